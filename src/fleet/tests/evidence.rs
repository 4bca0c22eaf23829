//! Evidence: what is not known is never shown as good.

use super::build::*;
use crate::fleet::{Counts, Fleet, TaskRow, Worst};
use crate::model::{
    Alert, AlertKind, Evidence, Facts, Health, Part, Run, RunState, Severity, Snapshot, TaskState,
};

fn row<'a>(fleet: &'a Fleet, task: &str) -> &'a TaskRow {
    fleet.task(&key("a", task)).unwrap()
}

fn kinds(fleet: &Fleet) -> Vec<AlertKind> {
    fleet.alerts().iter().map(|row| row.alert.kind).collect()
}

#[test]
fn an_endpoint_without_an_answer_is_unknown() {
    let mut fleet = fleet(&["a"]);
    let row = fleet.endpoint(&name("a")).unwrap();
    assert_eq!((row.health, row.evidence), (Health::Connecting, Evidence::Unknown));
    assert_eq!(fleet.worst(&[], at(0)), Worst::Unknown);
    assert!(fleet.alerts().is_empty());
    fleet.fail(&name("a"), refused(1), at(1));
    let row = fleet.endpoint(&name("a")).unwrap();
    assert_eq!((row.health, row.evidence, row.since), (Health::Down, Evidence::Unknown, at(1)));
    assert_eq!(kinds(&fleet), [AlertKind::EndpointDown]);
    assert_eq!(fleet.alerts()[0].alert.summary.as_str(), "down: connection refused");
    assert_eq!(fleet.alerts()[0].evidence, Evidence::Fresh);
}

#[test]
fn the_first_failed_poll_ages_all_rows_and_only_its_own() {
    let mut fleet = fleet(&["a", "b"]);
    fleet.apply(&name("a"), poll(1, vec![task("x"), task("y")]), at(1));
    fleet.apply(&name("b"), poll(1, vec![task("x")]), at(1));
    let delta = fleet.fail(&name("a"), refused(6), at(6));
    assert_eq!(delta.changed, [key("a", "x"), key("a", "y")]);
    assert_eq!(delta.endpoints, [name("a")]);
    assert!(delta.alerts && delta.gone.is_empty());
    assert_eq!(row(&fleet, "x").evidence, Evidence::Stale);
    assert_eq!(row(&fleet, "x").state, TaskState::Healthy, "the state stays, the evidence says the rest");
    assert_eq!(fleet.task(&key("b", "x")).unwrap().evidence, Evidence::Fresh);
    assert_eq!(fleet.counts().not_fresh, 2);
    assert_eq!(fleet.worst(&[], at(6)), Worst::Unknown);
    assert_eq!(fleet.worst(&[name("b")], at(6)), Worst::Ok);
    assert_eq!(fleet.worst(&[name("nobody")], at(6)), Worst::Unknown);

    // The alert counts from the first failure, whatever comes then.
    let mut failure = refused(12);
    (failure.tries, failure.health) = (2, Health::Unauthorised);
    let delta = fleet.fail(&name("a"), failure.clone(), at(12));
    assert!(delta.changed.is_empty());
    assert_eq!(fleet.alerts()[0].alert.since, at(6));
    assert_eq!(fleet.endpoint(&name("a")).unwrap().since, at(12));
    assert!(fleet.fail(&name("a"), failure, at(12)).is_empty());

    let delta = fleet.apply(&name("a"), Snapshot::unchanged(at(15), 3), at(15));
    assert_eq!(delta.changed, [key("a", "x"), key("a", "y")]);
    assert_eq!(row(&fleet, "x").evidence, Evidence::Fresh);
    assert!(fleet.alerts().is_empty());
    assert_eq!(fleet.worst(&[], at(15)), Worst::Ok);
}

#[test]
fn a_poll_that_never_comes_ends_the_evidence_too() {
    let mut fleet = fleet(&["a"]);
    fleet.apply(&name("a"), poll(1, vec![task("x")]), at(1));
    assert_eq!(fleet.next_change(), Some(at(16)), "poll interval + timeout");
    assert!(fleet.tick(at(15)).is_empty());
    assert_eq!(fleet.tick(at(16)).changed, [key("a", "x")]);
    assert_eq!(row(&fleet, "x").evidence, Evidence::Stale);
    assert_eq!(fleet.worst(&[], at(16)), Worst::Unknown);
    assert_eq!(fleet.next_change(), None);
}

#[test]
fn what_is_judged_here_turns_late_on_fresh_evidence_only() {
    let mut fleet = fleet(&["a"]);
    for second in [590, 595, 600] {
        fleet.apply(&name("a"), poll(second, vec![judged("x")]), at(second));
    }
    assert_eq!(row(&fleet, "x").state, TaskState::Due);
    fleet.apply(&name("a"), poll(715, vec![judged("x")]), at(715));
    fleet.apply(&name("a"), poll(721, vec![judged("x")]), at(721));
    assert_eq!(row(&fleet, "x").state, TaskState::Late);
    assert_eq!(row(&fleet, "x").late_since, Some(at(600)));
    assert_eq!(kinds(&fleet), [AlertKind::Late]);
    assert_eq!(fleet.worst(&[], at(721)), Worst::Warning);
    // It stays what it was when the evidence ended.
    fleet.fail(&name("a"), refused(730), at(730));
    fleet.tick(at(5_000));
    assert_eq!((row(&fleet, "x").state, row(&fleet, "x").evidence), (TaskState::Late, Evidence::Stale));
    assert_eq!(row(&fleet, "x").late_since, Some(at(600)));
    assert_eq!(row(&fleet, "x").unverified_late_since, None);
}

#[test]
fn a_gap_over_the_deadline_is_unverified_and_heals() {
    let mut fleet = fleet(&["a"]);
    fleet.apply(&name("a"), poll(500, vec![judged("x")]), at(500));
    // Nobody was there for an hour (the lid was closed): the evidence ended long ago, so nothing is late.
    let delta = fleet.tick(at(4_000));
    assert_eq!(delta.changed, [key("a", "x")]);
    let gap = row(&fleet, "x");
    assert_eq!((gap.state, gap.evidence), (TaskState::Healthy, Evidence::Stale));
    assert_eq!((gap.late_since, gap.unverified_late_since), (None, Some(at(600))));
    assert_eq!(fleet.counts().unverified, 1);
    assert!(fleet.alerts().is_empty(), "an alert needs evidence");

    let mut ran = judged("x");
    ran.facts = Some(Box::new(Facts {
        satisfied: Some(at(3_600)),
        last_start: Some(at(3_600)),
        last_end: Some(at(3_605)),
        ..*ran.facts.unwrap()
    }));
    fleet.apply(&name("a"), poll(4_001, vec![ran]), at(4_001));
    let healed = row(&fleet, "x");
    assert_eq!((healed.state, healed.unverified_late_since), (TaskState::Healthy, None));
    assert_eq!(healed.next_due, Some(at(4_200)));
}

#[test]
fn what_its_system_judges_is_shown_as_told_and_unverified_when_stale() {
    let mut fleet = fleet(&["a"]);
    let mut told = task("x");
    told.next_due = Some(at(600));
    fleet.apply(&name("a"), poll(590, vec![told.clone()]), at(590));
    fleet.fail(&name("a"), refused(595), at(595));
    assert_eq!(fleet.next_change(), Some(at(720)));
    fleet.tick(at(719));
    assert_eq!(row(&fleet, "x").unverified_late_since, None);
    assert_eq!(fleet.tick(at(720)).changed, [key("a", "x")]);
    assert_eq!(row(&fleet, "x").unverified_late_since, Some(at(600)));
    assert_eq!(row(&fleet, "x").state, TaskState::Healthy);
    // Its system still calls it healthy: then it is.
    fleet.apply(&name("a"), poll(725, vec![told.clone()]), at(725));
    assert_eq!(row(&fleet, "x").unverified_late_since, None);
    told.state = Some(TaskState::Absent);
    fleet.apply(&name("a"), poll(730, vec![told]), at(730));
    assert_eq!((row(&fleet, "x").state, row(&fleet, "x").late_since), (TaskState::Absent, Some(at(600))));
}

#[test]
fn where_slots_follow_quickly_the_start_window_is_cut_for_the_unverified_too() {
    let mut fleet = fleet(&["a"]);
    let mut told = task("x");
    told.schedule = Some(every_ten_minutes());
    told.schedule.as_mut().unwrap().timing = crate::model::Timing::Every { seconds: 60 };
    told.next_due = Some(at(600));
    fleet.apply(&name("a"), poll(590, vec![told]), at(590));
    fleet.fail(&name("a"), refused(595), at(595));
    assert_eq!(fleet.next_change(), Some(at(620)), "a third of the minute");
    fleet.tick(at(620));
    assert_eq!(row(&fleet, "x").unverified_late_since, Some(at(600)));
}

#[test]
fn a_skewed_clock_is_a_warning_and_makes_nothing_late() {
    let mut fleet = fleet(&["a"]);
    let answer = |second: i64, server: i64| Snapshot {
        server_time: Some(at(server)),
        ..poll(second, vec![judged("x")])
    };
    // Whole seconds and latency are no skew.
    fleet.apply(&name("a"), answer(100, 99), at(100));
    assert_eq!(fleet.endpoint(&name("a")).unwrap().skew_ms, Some(0));
    fleet.apply(&name("a"), answer(101, 131), at(101));
    assert_eq!(row(&fleet, "x").evidence, Evidence::Fresh, "30 s are tolerated");
    fleet.apply(&name("a"), answer(102, 902), at(102));
    let skewed = row(&fleet, "x");
    assert_eq!((skewed.state, skewed.evidence), (TaskState::Healthy, Evidence::Skewed));
    assert_eq!((skewed.late_since, skewed.unverified_late_since), (None, Some(at(600))));
    let alerts = fleet.alerts();
    assert_eq!((alerts.len(), alerts[0].alert.kind), (1, AlertKind::ClockSkew));
    assert_eq!(alerts[0].alert.severity, Severity::Warning);
    assert_eq!(
        alerts[0].alert.summary.as_str(),
        "its clock is 13m20s ahead of ours: times can't be compared"
    );
    fleet.apply(&name("a"), answer(103, 103), at(103));
    assert_eq!(row(&fleet, "x").evidence, Evidence::Fresh);
    assert!(fleet.alerts().is_empty());
}

#[test]
fn a_silent_scheduler_is_one_critical_alert_of_its_endpoint() {
    let mut fleet = fleet(&["a"]);
    let mut paused = judged("z");
    paused.paused = true;
    fleet.apply(
        &name("a"),
        poll(1_150, vec![judged("x"), judged("y"), paused.clone(), task("w")]),
        at(1_150),
    );
    assert_eq!(row(&fleet, "x").state, TaskState::Absent);
    let alerts = fleet.alerts();
    let silent = alerts.iter().find(|row| row.alert.kind == AlertKind::SchedulerSilent).unwrap();
    assert_eq!(silent.alert.severity, Severity::Critical);
    assert_eq!((silent.alert.task.as_ref(), silent.alert.since), (None, at(600)));
    // Something that was started since, even on demand, shows that it lives.
    let mut ran = task("w");
    ran.last_run = Some(run("w", "r1", RunState::Succeeded, 1_151));
    fleet.apply(&name("a"), poll(1_155, vec![judged("x"), judged("y"), paused, ran]), at(1_155));
    assert!(!kinds(&fleet).contains(&AlertKind::SchedulerSilent));
}

#[test]
fn an_assumed_schedule_makes_warnings() {
    let mut fleet = fleet(&["a"]);
    let mut assumed = judged("x");
    assumed.schedule.as_mut().unwrap().assumed = true;
    fleet.apply(&name("a"), poll(1_150, vec![assumed]), at(1_150));
    assert_eq!(row(&fleet, "x").state, TaskState::Absent);
    for alert in fleet.alerts() {
        assert_eq!(alert.alert.severity, Severity::Warning, "{alert:?}");
        assert!(alert.alert.summary.contains("assumed"), "{alert:?}");
    }
    assert_eq!(fleet.worst(&[], at(1_150)), Worst::Warning);
}

#[test]
fn alerts_come_worst_first_once_and_silenced_ones_do_not_count() {
    let mut fleet = fleet(&["a"]);
    let mut failing = judged("x");
    let facts = failing.facts.as_mut().unwrap();
    (facts.bad_streak, facts.good_streak) = (1, 0);
    failing.last_run = Some(Run { message: Some("exit 1".into()), ..run("x", "r", RunState::Failed, 0) });
    let told = Alert {
        task: Some("y".into()),
        queue: None,
        kind: AlertKind::Overrun,
        severity: Severity::Critical,
        since: at(50),
        summary: "runs for 2h".into(),
        acknowledged_by: None,
        silenced_until: Some(at(300)),
        handling: None,
    };
    let info = Alert { severity: Severity::Info, kind: AlertKind::TooOften, since: at(60), ..told.clone() };
    let snapshot = Snapshot {
        alerts: Part::complete(vec![info, told.clone()]),
        ..poll(100, vec![failing.clone(), task("y")])
    };
    fleet.apply(&name("a"), snapshot.clone(), at(100));
    assert_eq!(kinds(&fleet), [AlertKind::Failed, AlertKind::Overrun, AlertKind::TooOften]);
    assert!(fleet.alerts()[0].alert.summary.ends_with("exit 1"), "{:?}", fleet.alerts()[0]);
    assert_eq!(fleet.worst(&[], at(100)), Worst::Critical);

    // The system's own word on the same problem replaces the computed one.
    let own = Alert { task: Some("x".into()), kind: AlertKind::Failed, summary: "own".into(), ..told };
    fleet.apply(&name("a"), Snapshot { alerts: Part::complete(vec![own]), ..snapshot }, at(100));
    assert_eq!(fleet.alerts().len(), 1);
    assert_eq!(fleet.alerts()[0].alert.summary.as_str(), "own");
    assert_eq!(fleet.worst(&[], at(100)), Worst::Ok, "it is silenced");
    fleet.apply(&name("a"), Snapshot::unchanged(at(295), 3), at(295));
    assert!(fleet.tick(at(300)).alerts, "the silence runs out by itself");
    assert_eq!(fleet.worst(&[], at(300)), Worst::Critical);
}

#[test]
fn a_part_that_cannot_be_read_is_at_least_a_warning() {
    let mut fleet = fleet(&["a"]);
    let snapshot = Snapshot { degraded: Some("no right to read queues".into()), ..poll(1, vec![task("x")]) };
    fleet.apply(&name("a"), snapshot, at(1));
    assert_eq!(fleet.endpoint(&name("a")).unwrap().health, Health::Degraded);
    assert_eq!(fleet.worst(&[], at(1)), Worst::Warning);
    assert_eq!(fleet.worst(&[], at(1)).exit_code(), 1);
}

#[test]
fn what_an_endpoint_remarks_is_shown_and_a_longer_pause_is_waited_for() {
    let mut fleet = fleet(&["a"]);
    let slowed = |second| Snapshot {
        remarks: vec!["the budget is nearly spent".into()],
        next_poll: Some(std::time::Duration::from_secs(60)),
        ..poll(second, vec![task("x")])
    };
    let delta = fleet.apply(&name("a"), slowed(1), at(1));
    assert_eq!(delta.endpoints, [name("a")]);
    assert_eq!(fleet.endpoint(&name("a")).unwrap().remarks, ["the budget is nearly spent"]);
    assert!(fleet.apply(&name("a"), slowed(2), at(2)).is_empty());
    assert_eq!(fleet.next_change(), Some(at(72)), "60 s and the timeout of 10 s");
    assert!(fleet.tick(at(71)).is_empty());
    assert_eq!(row(&fleet, "x").evidence, Evidence::Fresh);
    fleet.tick(at(72));
    assert_eq!(row(&fleet, "x").evidence, Evidence::Stale);
    // Back at its cadence, with nothing to remark.
    fleet.apply(&name("a"), poll(80, vec![task("x")]), at(80));
    assert!(fleet.endpoint(&name("a")).unwrap().remarks.is_empty());
    assert_eq!(fleet.next_change(), Some(at(95)));
}

#[test]
fn a_poll_that_was_put_off_is_no_failure_and_its_rows_grow_old() {
    let mut fleet = fleet(&["a"]);
    fleet.apply(&name("a"), poll(1, vec![task("x")]), at(1));
    let put_off = Snapshot {
        degraded: Some("the request budget is spent".into()),
        next_poll: Some(std::time::Duration::from_secs(200)),
        ..Snapshot::unchanged(at(1), 3)
    };
    fleet.apply(&name("a"), put_off.clone(), at(6));
    assert_eq!(row(&fleet, "x").evidence, Evidence::Fresh);
    assert_eq!(fleet.next_change(), Some(at(16)), "5 s and the timeout of 10 s after the last answer");
    fleet.tick(at(16));
    assert_eq!(row(&fleet, "x").evidence, Evidence::Stale);
    fleet.apply(&name("a"), put_off, at(20));
    assert_eq!(row(&fleet, "x").evidence, Evidence::Stale);
    assert_eq!(fleet.endpoint(&name("a")).unwrap().health, Health::Degraded);
    assert!(fleet.alerts().is_empty(), "the endpoint is not down");
}

#[test]
fn a_schedule_that_cannot_be_read_says_so_and_is_not_late() {
    let mut fleet = fleet(&["a"]);
    let mut broken = judged("x");
    broken.schedule.as_mut().unwrap().zone = "Mars/Olympus".into();
    broken.schedule.as_mut().unwrap().timing =
        crate::model::Timing::Cron { expression: "61 * * * *".into(), dialect: crate::model::Dialect::Unix };
    fleet.apply(&name("a"), poll(1_150, vec![broken]), at(1_150));
    assert!(row(&fleet, "x").schedule_error.is_some());
    assert_eq!((row(&fleet, "x").state, row(&fleet, "x").late_since), (TaskState::Healthy, None));
}

#[test]
fn counts_follow_the_rows() {
    let mut fleet = fleet(&["a"]);
    fleet.apply(&name("a"), poll(1_150, vec![judged("x"), task("y")]), at(1_150));
    let counts = fleet.counts();
    assert_eq!((counts.tasks, counts.of(TaskState::Absent), counts.of(TaskState::Healthy)), (2, 1, 1));
    fleet.configure(&[], at(1_151));
    assert_eq!(fleet.counts(), Counts::default());
    assert_eq!((fleet.next_change(), fleet.task_count()), (None, 0));
}
