//! Who takes an alert, what is put off, what is silenced; and when that ends.

use crate::model::{Handling, QueueName, Scope, Severity};
use crate::wire::Matcher;

use super::*;

/// A task of every hour whose run has failed: one critical alert.
fn failing() -> Bench {
    let mut bench = Bench::new(vec![every("a", 3_600), on_demand("b")], at("09:00:30"));
    let run = bench.trigger("a");
    bench.finish(&run, false);
    bench
}

impl Bench {
    fn acknowledge(&mut self, task: &str, by: &str, note: Option<&str>) -> Result<(), Refused> {
        let note = note.map(Clean::line);
        let done = self.domain.acknowledge(&TaskId::new(task), &by.into(), note.as_ref(), self.now);
        self.settle();
        done
    }

    fn snooze(&mut self, task: &str, until: Option<DateTime<Utc>>) -> Result<(), Refused> {
        let done = self.domain.snooze(&TaskId::new(task), &"ana".into(), until, None, self.now);
        self.settle();
        done
    }

    fn silence(&mut self, id: &str, matcher: Matcher, until: DateTime<Utc>) -> Result<(), Refused> {
        let (by, at, comment) = ("ana".into(), self.now, Some("new disks".into()));
        let silence = Silence { id: id.to_owned(), matcher, by, at, until, comment };
        let done = self.domain.silence(silence, at);
        self.settle();
        done
    }

    /// The alert of that kind.
    fn alert(&self, kind: AlertKind) -> Alert {
        self.domain.alerts().into_iter().find(|alert| alert.kind == kind).unwrap()
    }

    fn owner(&self, kind: AlertKind) -> Option<Clean> {
        let alert = self.alert(kind);
        let key = alert.key();
        assert_eq!(self.open[&key].acknowledged_by, alert.acknowledged_by, "the disk knows it too");
        alert.acknowledged_by
    }

    fn quiet_until(&self, kind: AlertKind) -> Option<DateTime<Utc>> {
        self.alert(kind).silenced_until
    }

    /// A run of `task` that ends so.
    fn run_once(&mut self, task: &str, good: bool) {
        let run = self.trigger(task);
        self.finish(&run, good);
    }

    /// Killed, and started again a moment later.
    fn again(&self, definitions: Vec<Definition>) -> Self {
        Self::restarted(definitions, self.now, self.left(), true)
    }

    fn remarks(&self, task: &str) -> Vec<String> {
        let told = self.domain.told().find(|told| told.id.as_raw() == task).unwrap();
        told.remarks.iter().map(ToString::to_string).collect()
    }
}

fn of_task(task: &str) -> Matcher {
    Matcher { task: Some(TaskId::new(task)), ..Matcher::default() }
}

fn of_kind(kind: AlertKind) -> Matcher {
    Matcher { kind: Some(kind), ..Matcher::default() }
}

#[test]
fn an_acknowledgement_tells_owner_note_and_age() {
    let mut bench = failing();
    bench.now = at("09:05:00");
    bench.acknowledge("a", "ana", Some("looking at it")).unwrap();
    let handling = Handling {
        acknowledged_at: Some(at("09:05:00")),
        note: Some("looking at it".into()),
        ..Handling::default()
    };
    let alert = bench.alert(AlertKind::Failed);
    assert_eq!((alert.acknowledged_by, alert.handling), (Some("ana".into()), Some(Box::new(handling))));
    bench.acknowledge("a", "ben", None).unwrap();
    assert_eq!(bench.owner(AlertKind::Failed), Some("ben".into()), "somebody else may take it over");
    assert_eq!(bench.alert(AlertKind::Failed).handling.unwrap().note, None);
}

#[test]
fn what_has_no_alert_can_be_neither_acknowledged_nor_snoozed() {
    let mut bench = failing();
    for task in ["b", "disk"] {
        let refused = bench.acknowledge(task, "ana", None).unwrap_err();
        assert_eq!(bench.snooze(task, None).unwrap_err(), refused);
        let missing = refused == Refused::NoTask(TaskId::new(task));
        assert_eq!(missing, task == "disk", "{refused:?}");
    }
}

#[test]
fn an_acknowledgement_survives_a_restart_and_what_the_episode_says_anew() {
    let mut bench = failing();
    bench.acknowledge("a", "ana", Some("mine")).unwrap();
    bench.now = at("09:10:00");
    let run = bench.trigger("a");
    let said = Outcome { message: Some("another word".into()), ..Outcome::default() };
    bench.domain.finished(&run, said, bench.now);
    bench.settle();
    assert!(bench.alert(AlertKind::Failed).summary.contains("another word"));
    let bench = bench.again(vec![every("a", 3_600), on_demand("b")]);
    assert_eq!(bench.owner(AlertKind::Failed), Some("ana".into()));
    assert_eq!(bench.alert(AlertKind::Failed).handling.unwrap().note, Some("mine".into()));
}

#[test]
fn an_acknowledgement_ends_by_itself_on_recovery_and_a_new_episode_breaks_through() {
    let mut bench = failing();
    bench.acknowledge("a", "ana", None).unwrap();
    bench.run_once("a", true);
    assert!(bench.domain.alerts().is_empty());
    bench.run_once("a", false);
    assert_eq!(bench.owner(AlertKind::Failed), None, "this is another episode");
}

#[test]
fn an_acknowledgement_breaks_through_when_another_reason_appears() {
    let mut bench = failing();
    bench.acknowledge("a", "ana", None).unwrap();
    bench.domain.close();
    bench.until(at("10:30:00"));
    assert_eq!(bench.owner(AlertKind::Failed), Some("ana".into()));
    assert_eq!(bench.owner(AlertKind::Absent), None, "nobody has taken that it never ran");
}

#[test]
fn an_acknowledgement_breaks_through_when_severity_rises_and_stays_when_it_falls() {
    for (before, after, stays) in [
        (Severity::Warning, Severity::Critical, false),
        (Severity::Warning, Severity::Warning, true),
        (Severity::Critical, Severity::Warning, true),
        (Severity::Info, Severity::Warning, false),
    ] {
        let mut bench = failing();
        let key = bench.alert(AlertKind::Failed).key();
        bench.domain.alerts.get_mut(&key).unwrap().severity = before;
        bench.acknowledge("a", "ana", None).unwrap();
        let worse = Alert { severity: after, ..bench.alert(AlertKind::Failed) };
        let handled = bench.domain.handled(worse, bench.now);
        assert_eq!(handled.acknowledged_by.is_some(), stays, "{before} to {after}");
        assert_eq!(handled.handling.is_some(), stays);
    }
}

#[test]
fn a_snooze_ends_at_its_time() {
    let mut bench = failing();
    bench.snooze("a", Some(at("09:30:00"))).unwrap();
    assert_eq!(bench.quiet_until(AlertKind::Failed), Some(at("09:30:00")));
    let handling = bench.alert(AlertKind::Failed).handling.unwrap();
    assert!(handling.snoozed && handling.silenced_by == Some("ana".into()));
    bench.until(at("09:29:59"));
    assert_eq!(bench.quiet_until(AlertKind::Failed), Some(at("09:30:00")));
    bench.until(at("09:30:00"));
    assert_eq!((bench.quiet_until(AlertKind::Failed), bench.alert(AlertKind::Failed).handling), (None, None));
    assert_eq!(bench.records[&TaskId::new("a")].record.snoozed, None, "it is forgotten on disk too");
}

#[test]
fn a_snooze_ends_with_the_next_good_run() {
    let mut patient = every("a", 3_600);
    patient.policy.recovery_threshold = 2;
    let mut bench = Bench::new(vec![patient], at("09:00:30"));
    bench.run_once("a", false);
    bench.snooze("a", None).unwrap();
    assert!(bench.quiet_until(AlertKind::Failed).is_some_and(|until| until > at("09:00:00")));
    bench.now = at("09:01:00");
    bench.run_once("a", false);
    assert!(bench.quiet_until(AlertKind::Failed).is_some(), "that was no good one");
    bench.run_once("a", true);
    assert_eq!(bench.quiet_until(AlertKind::Failed), None, "the episode goes on, and counts again");
}

#[test]
fn a_snooze_holds_for_what_comes_unless_that_is_more_severe() {
    let late = || {
        let mut bench = Bench::new(vec![every("a", 3_600)], at("09:00:30"));
        bench.domain.close();
        bench.until(at("10:03:00"));
        bench
    };
    let mut bench = late();
    bench.snooze("a", Some(at("12:00:00"))).unwrap();
    assert_eq!(bench.quiet_until(AlertKind::Late), Some(at("12:00:00")));
    bench.until(at("10:30:00"));
    assert_eq!(bench.quiet_until(AlertKind::Absent), None, "critical is more than was put off");

    let mut bench = failing();
    bench.snooze("a", Some(at("12:00:00"))).unwrap();
    bench.domain.close();
    bench.until(at("10:30:00"));
    assert_eq!(bench.quiet_until(AlertKind::Absent), Some(at("12:00:00")), "critical as what was put off");
}

#[test]
fn a_snooze_survives_a_restart() {
    let mut bench = failing();
    bench.snooze("a", Some(at("09:30:00"))).unwrap();
    let mut bench = bench.again(vec![every("a", 3_600)]);
    assert_eq!(bench.quiet_until(AlertKind::Failed), Some(at("09:30:00")));
    bench.until(at("09:30:00"));
    assert_eq!(bench.quiet_until(AlertKind::Failed), None);
}

#[test]
fn a_silence_holds_for_what_its_matcher_says() {
    let of_team = |team: &str| Matcher { team: Some(team.into()), ..Matcher::default() };
    let on = |machine: &str| Matcher { machine: Some(machine.into()), ..Matcher::default() };
    let both = Matcher { kind: Some(AlertKind::Failed), ..of_team("data") };
    let other_kind = Matcher { kind: Some(AlertKind::Late), ..of_team("data") };
    for (matcher, a, b) in [
        (of_task("a"), true, false),
        (of_task("b"), false, true),
        (of_team("data"), true, false),
        (of_team("default"), false, true),
        (on("local"), true, true),
        (of_kind(AlertKind::Failed), true, true),
        (of_kind(AlertKind::Late), false, false),
        (both, true, false),
        (other_kind, false, false),
    ] {
        let team = Definition { team: Some("data".into()), ..on_demand("a") };
        let mut bench = Bench::new(vec![team, on_demand("b")], at("09:00:30"));
        bench.run_once("a", false);
        bench.run_once("b", false);
        bench.silence("s", matcher.clone(), at("12:00:00")).unwrap();
        for (task, holds) in [("a", a), ("b", b)] {
            let id = Some(TaskId::new(task));
            let alert = bench.domain.alerts().into_iter().find(|alert| alert.task == id).unwrap();
            assert_eq!(alert.silenced_until.is_some(), holds, "{matcher}: {task}");
        }
    }
}

#[test]
fn a_silence_of_a_team_holds_for_its_queue_and_one_of_a_task_does_not() {
    let queue =
        Alert { task: None, queue: Some(QueueName::new("data")), ..failing().alert(AlertKind::Failed) };
    let of_team = |team: &str| Matcher { team: Some(team.into()), ..Matcher::default() };
    let on = Matcher { machine: Some("local".into()), ..Matcher::default() };
    for (matcher, holds) in [
        (of_team("data"), true),
        (of_team("ops"), false),
        (of_task("a"), false),
        (on, false),
        (of_kind(AlertKind::Failed), true),
    ] {
        assert_eq!(fits(&matcher, &queue, None), holds, "{matcher}");
    }
}

#[test]
fn a_silence_holds_for_what_is_still_to_come_and_is_told_at_its_tasks() {
    let mut bench = Bench::new(vec![every("a", 3_600), on_demand("b")], at("09:00:30"));
    bench.silence("s", of_task("a"), at("12:00:00")).unwrap();
    assert_eq!(bench.remarks("a"), ["alerts silenced by ana until 2026-03-02 12:00 UTC: new disks"]);
    assert!(bench.remarks("b").is_empty());
    bench.run_once("a", false);
    assert_eq!(bench.quiet_until(AlertKind::Failed), Some(at("12:00:00")));
    let handling = bench.alert(AlertKind::Failed).handling.unwrap();
    assert_eq!((handling.silenced_by, handling.comment), (Some("ana".into()), Some("new disks".into())));
    assert!(!handling.snoozed);
    bench.run_once("a", true);
    bench.run_once("a", false);
    assert_eq!(bench.quiet_until(AlertKind::Failed), Some(at("12:00:00")), "a good run ends no silence");
}

#[test]
fn a_silence_expires_by_itself_within_the_second() {
    let mut bench = failing();
    bench.silence("s", of_task("a"), at("09:30:00")).unwrap();
    assert_eq!(bench.domain.next_wake(), Some(at("09:30:00")));
    bench.until(at("09:30:00"));
    assert_eq!(bench.quiet_until(AlertKind::Failed), None);
    assert!(bench.remarks("a").is_empty() && bench.silences.is_empty());
}

#[test]
fn a_silence_is_ended_by_its_id_and_by_another_of_the_same_matcher() {
    let mut bench = failing();
    bench.silence("s", of_task("a"), at("12:00:00")).unwrap();
    bench.silence("t", of_task("a"), at("11:00:00")).unwrap();
    assert_eq!(bench.quiet_until(AlertKind::Failed), Some(at("11:00:00")), "the newer word counts");
    assert_eq!(bench.domain.end_silence("s", bench.now), Err(Refused::NoSilence("s".to_owned())));
    bench.silence("u", of_kind(AlertKind::Failed), at("10:00:00")).unwrap();
    assert_eq!(bench.quiet_until(AlertKind::Failed), Some(at("11:00:00")), "of two the longer");
    bench.domain.end_silence("t", bench.now).unwrap();
    bench.settle();
    assert_eq!(bench.quiet_until(AlertKind::Failed), Some(at("10:00:00")));
    bench.domain.end_silence("u", bench.now).unwrap();
    let batch = bench.settle();
    assert_eq!(batch.alerts.len(), 1, "who follows the changes hears of it");
    assert!(batch.silences_changed && bench.silences.is_empty());
    assert_eq!(bench.quiet_until(AlertKind::Failed), None);
}

#[test]
fn a_silence_survives_a_restart_and_one_that_has_expired_meanwhile_does_not() {
    let mut bench = failing();
    bench.silence("s", of_task("a"), at("09:30:00")).unwrap();
    let again = bench.again(vec![every("a", 3_600)]);
    assert_eq!(again.quiet_until(AlertKind::Failed), Some(at("09:30:00")));
    bench.now = at("09:31:00");
    let again = bench.again(vec![every("a", 3_600)]);
    assert_eq!((again.quiet_until(AlertKind::Failed), again.silences.len()), (None, 0));
}

#[test]
fn a_silence_says_what_is_wrong_with_it() {
    let mut bench = failing();
    let of_team = Matcher { team: Some("dtaa".into()), ..Matcher::default() };
    let on = Matcher { machine: Some("elsewhere".into()), ..Matcher::default() };
    for (matcher, until, field, words) in [
        (Matcher::default(), at("12:00:00"), "matcher", "says nothing: name a task, a team"),
        (of_team, at("12:00:00"), "matcher.team", "no task is of the team dtaa"),
        (on, at("12:00:00"), "matcher.machine", "no task runs on elsewhere"),
        (of_task("a"), at("09:00:00"), "until", "has passed"),
        (of_task("a"), at("09:00:00") + TimeDelta::days(400), "until", "more than a year"),
    ] {
        let Err(Refused::Unfit(problems)) = bench.silence("s", matcher, until) else { panic!("{field}") };
        assert_eq!(problems[0].field, field);
        assert!(problems[0].detail.contains(words), "{problems:?}");
    }
    let gone = bench.silence("s", of_task("x"), at("12:00:00"));
    assert_eq!(gone, Err(Refused::NoTask(TaskId::new("x"))));
}

#[test]
fn who_is_of_some_teams_silences_only_what_is_theirs() {
    let team = Definition { team: Some("data".into()), ..on_demand("a") };
    let bench = Bench::new(vec![team, on_demand("b")], at("09:00:30"));
    let data = Scope::Teams(["data".to_owned()].into());
    let of_team = |team: &str| Matcher { team: Some(team.into()), ..Matcher::default() };
    for (matcher, theirs) in [
        (of_task("a"), true),
        (of_task("b"), false),
        (of_team("data"), true),
        (of_team("default"), false),
        (of_kind(AlertKind::Failed), false),
    ] {
        assert_eq!(bench.domain.is_matcher_within(&matcher, &data), theirs, "{matcher}");
        assert!(bench.domain.is_matcher_within(&matcher, &Scope::All));
    }
}

proptest! {
    /// However calls and runs follow one another: only open episodes have an
    /// owner, each alert is quiet exactly as its snooze and the silences say,
    /// and a restart changes nothing of it.
    #[test]
    fn what_operators_said_holds_through_anything(
        steps in proptest::collection::vec((0_u8..8, 0_usize..3, 1_i64..2_400), 1..60)
    ) {
        let watched = || Definition { work: Work::Watched, ..every("w", 1_200) };
        let tasks = || vec![on_demand("a"), on_demand("b"), watched()];
        let mut bench = Bench::new(tasks(), at("09:00:30"));
        for (i, (what, which, seconds)) in steps.into_iter().enumerate() {
            let task = ["a", "b", "w"][which];
            let until = bench.now + TimeDelta::seconds(seconds);
            match what {
                0 | 1 if task == "w" => {}
                0 => bench.run_once(task, false),
                1 => bench.run_once(task, true),
                2 => drop(bench.acknowledge(task, "ana", None)),
                3 => drop(bench.snooze(task, Some(until))),
                4 => drop(bench.silence(&i.to_string(), of_task(task), until)),
                5 => drop(bench.silence(&i.to_string(), of_kind(AlertKind::Failed), until)),
                6 => bench.until(until),
                _ => {
                    let before = bench.domain.alerts();
                    bench = bench.again(tasks());
                    prop_assert_eq!(bench.domain.alerts(), before);
                }
            }
            for alert in bench.domain.alerts() {
                let entry = alert.task.as_ref().and_then(|task| bench.domain.tasks.get(task));
                let snooze = entry.and_then(|entry| entry.record.snoozed.as_ref());
                let snooze = snooze.filter(|snooze| alert.severity >= snooze.severity);
                let silenced = bench.silences.values().filter(|silence| {
                    let Matcher { task, kind, .. } = &silence.matcher;
                    task.as_ref().is_none_or(|task| Some(task) == alert.task.as_ref())
                        && kind.is_none_or(|kind| kind == alert.kind)
                });
                let untils = silenced.map(|silence| silence.until).chain(snooze.map(|snooze| snooze.until));
                prop_assert_eq!(alert.silenced_until, untils.max());
                prop_assert!(alert.silenced_until.is_none_or(|until| until > bench.now));
            }
        }
    }
}
