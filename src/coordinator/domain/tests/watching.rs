//! Watched tasks, by a clock that tests set.

use proptest::prelude::*;

use super::super::*;
use super::{Bench, at, every, on_demand};
use crate::model::{AlertKind, Flip, Policy, RunMark, RunState, TaskState, Verb};

const FIRST: &str = "6bbea0f5-6a5c-4d3e-9a7c-0c2f0e7a1b22";
const SECOND: &str = "9d1f6a1e-0d5e-4a53-8a55-1f0f9f3c7d10";

fn watched(id: &str, seconds: u32) -> Definition {
    Definition { work: Work::Watched, ..every(id, seconds) }
}

fn limited(policy: Policy) -> Definition {
    Definition { policy, ..watched("a", 3_600) }
}

impl Bench {
    fn heard(&self, sign: Sign, via: Via, rid: Option<&str>, at: DateTime<Utc>) -> Heard {
        // As the engine finds it on disk.
        let known = rid.and_then(|rid| {
            let rows = self.rows.iter().rev().map(|(seq, run)| RunRow {
                seq: *seq,
                run: run.clone(),
                carrier: self.carriers.get(seq).cloned().unwrap_or_default(),
            });
            rows.into_iter().find(|row| row.rid() == Some(rid)).map(Box::new)
        });
        Heard { sign, via, rid: rid.map(str::to_owned), at, words: None, machine: None, known }
    }

    fn tell(
        &mut self,
        task: &str,
        sign: Sign,
        via: Via,
        rid: Option<&str>,
        at: DateTime<Utc>,
    ) -> Option<RunId> {
        let heard = self.heard(sign, via, rid, at);
        let noted = self.domain.hear(&Whose::Task(TaskId::new(task)), heard, self.now).unwrap();
        self.settle();
        noted.run
    }

    /// A ping, now.
    fn ping(&mut self, sign: Sign, rid: Option<&str>) -> Option<RunId> {
        self.tell("a", sign, Via::Ping, rid, self.now)
    }

    /// A report with its own time.
    fn report(&mut self, sign: Sign, rid: &str, time: &str) -> RunId {
        self.tell("a", sign, Via::Report, Some(rid), at(time)).unwrap()
    }

    /// Flips that tell of a failure: the kind, its computed time, its notice.
    fn failures(&self) -> Vec<(AlertKind, DateTime<Utc>, DateTime<Utc>)> {
        let told = self.flips.iter().filter_map(|flip| Some((flip.problem?, flip.computed, flip.noticed)));
        told.collect()
    }

    fn states(&self) -> Vec<TaskState> {
        self.flips.iter().filter(|flip| flip.old != flip.new).map(|flip| flip.new).collect()
    }

    /// The coordinator is killed, and another one starts `later`.
    fn crash(self, definitions: Vec<Definition>, later: DateTime<Utc>) -> Self {
        let flips = self.flips.clone();
        let mut next = Self::restarted(definitions, later, self.left(), true);
        let rows = self.rows.into_iter().filter(|(_, run)| run.state.is_ended()).collect::<Vec<_>>();
        next.rows.extend(rows);
        next.carriers.extend(self.carriers);
        next.flips.splice(0..0, flips);
        next
    }
}

const OK: Sign = Sign::Ended { good: true, exit_code: None };
const FAIL: Sign = Sign::Ended { good: false, exit_code: None };

/// One of the six failures: how it comes about, what is told of it, and what shows that it is open.
struct Failure {
    name: &'static str,
    policy: Policy,
    story: fn(&mut Bench),
    told: (AlertKind, &'static str),
    open: bool,
}

fn six_failures() -> Vec<Failure> {
    let usual = Policy::default();
    vec![
        Failure {
            name: "started late",
            policy: usual,
            story: |bench| bench.until(at("10:02:00")),
            told: (AlertKind::Late, "10:02:00"),
            open: true,
        },
        Failure {
            name: "never ran",
            policy: usual,
            story: |bench| bench.until(at("10:06:00")),
            told: (AlertKind::Absent, "10:06:00"),
            open: true,
        },
        Failure {
            name: "failed",
            policy: usual,
            story: |bench| {
                bench.until(at("10:00:10"));
                bench.ping(Sign::Started, None);
                bench.until(at("10:00:30"));
                bench.ping(FAIL, None);
            },
            told: (AlertKind::Failed, "10:00:30"),
            open: true,
        },
        Failure {
            name: "did not stop",
            policy: Policy { max_runtime_s: Some(60), ..usual },
            story: |bench| {
                bench.until(at("10:00:10"));
                bench.ping(Sign::Started, None);
                bench.until(at("10:01:30"));
            },
            told: (AlertKind::Overrun, "10:01:10"),
            open: true,
        },
        Failure {
            name: "heartbeat lost",
            policy: usual,
            story: |bench| {
                bench.until(at("10:00:10"));
                bench.report(Sign::Started, FIRST, "10:00:10");
                bench.until(at("10:00:20"));
                bench.report(Sign::Beat, FIRST, "10:00:20");
                bench.until(at("10:01:30"));
            },
            told: (AlertKind::Dead, "10:00:50"),
            open: true,
        },
        Failure {
            name: "too often",
            policy: Policy { min_gap_s: Some(600), ..usual },
            story: |bench| {
                bench.until(at("10:00:10"));
                bench.ping(OK, None);
                bench.until(at("10:05:00"));
                bench.ping(OK, None);
            },
            told: (AlertKind::TooOften, "10:05:00"),
            open: true,
        },
    ]
}

#[test]
fn each_of_the_six_failures_is_told_once_at_its_computed_time() {
    for Failure { name, policy, story, told: (kind, computed), open } in six_failures() {
        let mut bench = Bench::new(vec![limited(policy)], at("09:30:00"));
        story(&mut bench);
        let told = |bench: &Bench| -> Vec<_> {
            bench.failures().into_iter().filter(|(found, ..)| *found == kind).collect()
        };
        assert_eq!(told(&bench), [(kind, at(computed), at(computed))], "{name}");
        assert_eq!(bench.alerts().contains(&kind), open, "{name}");
        // Neither judging anew, nor time, nor another coordinator tells it again.
        let end = at("10:30:00");
        bench.domain.doubt_everything();
        bench.until(end);
        let mut bench = bench.crash(vec![limited(policy)], end + TimeDelta::seconds(1));
        bench.until(at("10:50:00"));
        assert_eq!(told(&bench).len(), 1, "{name}: {:?}", bench.failures());
        assert_eq!(bench.alerts().contains(&kind), kind != AlertKind::Late, "{name}");
    }
}

#[test]
fn what_came_to_be_while_nobody_was_there_has_its_own_time() {
    for (policy, before, kind, computed) in [
        (Policy::default(), None, AlertKind::Absent, "10:06:00"),
        (
            Policy { max_runtime_s: Some(600), ..Policy::default() },
            Some("10:00:00"),
            AlertKind::Overrun,
            "10:10:00",
        ),
    ] {
        let mut bench = Bench::new(vec![limited(policy)], at("09:30:00"));
        if let Some(start) = before {
            bench.until(at(start));
            bench.ping(Sign::Started, None);
        }
        let bench = bench.crash(vec![limited(policy)], at("10:40:00"));
        assert_eq!(bench.failures(), [(kind, at(computed), at("10:40:00"))]);
    }
}

#[test]
fn a_coordinator_that_was_deaf_waits_for_a_heartbeat_before_it_misses_it() {
    let mut bench = Bench::new(vec![limited(Policy::default())], at("09:59:00"));
    bench.until(at("10:00:00"));
    bench.report(Sign::Beat, FIRST, "10:00:00");
    let mut bench = bench.crash(vec![limited(Policy::default())], at("10:10:00"));
    assert!(bench.failures().is_empty());
    bench.until(at("10:10:29"));
    bench.report(Sign::Beat, FIRST, "10:10:29");
    bench.until(at("10:10:58"));
    assert!(bench.failures().is_empty() && bench.open.is_empty());
    bench.until(at("10:10:59"));
    assert_eq!(bench.failures(), [(AlertKind::Dead, at("10:10:59"), at("10:10:59"))]);
    // Found and lost again: another loss.
    bench.report(Sign::Beat, FIRST, "10:10:59");
    assert!(bench.open.is_empty());
    bench.until(at("10:12:00"));
    assert_eq!(bench.failures().len(), 2);
}

#[test]
fn a_late_start_is_marked_wherever_it_runs() {
    let mut bench = Bench::new(vec![limited(Policy::default())], at("09:30:00"));
    bench.until(at("10:03:00"));
    let run = bench.ping(Sign::Started, None).unwrap();
    assert_eq!(bench.run(&run).marks, [RunMark::StartedLate]);
    assert_eq!(bench.run(&run).message.as_deref(), Some("started 3m late"));
    assert_eq!(bench.run(&run).slot, Some(at("10:00:00")));
    let last = bench.flips.last().unwrap();
    assert_eq!((last.old, last.new, last.run.as_ref()), (TaskState::Late, TaskState::Running, Some(&run)));
    assert_eq!(last.reason, "run started (ping), started 3m late");
    assert!(bench.open.is_empty());
    bench.ping(OK, None);
    assert_eq!(bench.run(&run).message.as_deref(), Some("started 3m late"));
    assert_eq!(bench.task("a").last_run.as_ref().unwrap().marks, [RunMark::StartedLate]);

    // Here: held up in its queue.
    let definitions = vec![on_demand("x"), on_demand("y"), every("c", 3_600)];
    let mut bench = Bench::new(definitions, at("09:59:00"));
    let (x, _) = (bench.trigger("x"), bench.trigger("y"));
    bench.until(at("10:03:00"));
    bench.finish(&x, true);
    let run = bench.of("c")[0].clone();
    assert_eq!((run.state, run.marks), (RunState::Running, vec![RunMark::StartedLate]));
    let last = bench.flips.iter().rfind(|flip| flip.task.as_raw() == "c").unwrap();
    assert_eq!((last.new, last.problem), (TaskState::Running, Some(AlertKind::Late)));
}

#[test]
fn commands_here_are_marked_over_their_time_and_too_often() {
    let mut definition = every("a", 60);
    definition.policy.max_runtime_s = Some(20);
    definition.policy.min_gap_s = Some(90);
    let mut bench = Bench::new(vec![definition], at("10:00:30"));
    bench.until(at("10:01:20"));
    let run = bench.running().remove(0);
    assert_eq!(bench.run(&run).marks, [RunMark::Overran]);
    bench.finish(&run, false);
    bench.until(at("10:02:00"));
    let told: Vec<_> = bench.failures().into_iter().map(|(kind, computed, _)| (kind, computed)).collect();
    assert_eq!(told, [(AlertKind::Overrun, at("10:01:20")), (AlertKind::TooOften, at("10:02:00"))]);
}

#[test]
fn signs_find_their_run_as_at_healthchecks() {
    let mut bench = Bench::new(vec![limited(Policy::default())], at("10:10:00"));
    // Each rid by itself, several at once.
    let first = bench.ping(Sign::Started, Some(FIRST)).unwrap();
    bench.until(at("10:10:10"));
    let second = bench.ping(Sign::Started, Some(SECOND)).unwrap();
    assert_ne!(first, second);
    bench.until(at("10:10:20"));
    assert_eq!(bench.ping(OK, Some(FIRST)), Some(first.clone()));
    assert_eq!((bench.run(&first).state, bench.run(&first).duration_ms), (RunState::Succeeded, Some(20_000)));
    assert_eq!(bench.state("a"), TaskState::Running);
    // Sent again, after an answer that was lost: the same.
    assert_eq!(bench.ping(OK, Some(FIRST)), Some(first));
    // Without rid: the only one that is open.
    let three = Sign::Ended { good: false, exit_code: Some(3) };
    assert_eq!(bench.ping(three, None), Some(second.clone()));
    let failed = bench.run(&second);
    assert_eq!((failed.state, failed.exit_code), (RunState::Failed, Some(3)));
    assert_eq!(failed.message.as_deref(), Some("exit code 3"));
    assert_eq!(bench.state("a"), TaskState::Failing);
    // An end without a start is a whole run.
    let whole = bench.ping(OK, None).unwrap();
    let run = bench.run(&whole);
    assert_eq!((run.state, run.started, run.ended), (RunState::Succeeded, None, Some(bench.now)));
    assert_eq!(bench.state("a"), TaskState::Healthy);
    // A start without rid starts anew: of the one before, nobody told the end, and that counts for nothing.
    let before = bench.ping(Sign::Started, None).unwrap();
    bench.until(at("10:12:00"));
    let after = bench.ping(Sign::Started, None).unwrap();
    assert_eq!(bench.run(&before).state, RunState::Dead);
    bench.until(at("10:12:30"));
    assert_eq!(bench.ping(OK, None), Some(after.clone()));
    assert_eq!(bench.run(&after).duration_ms, Some(30_000));
    assert_eq!(bench.state("a"), TaskState::Healthy);
    // Words change nothing, and belong to the newest run.
    assert_eq!(bench.ping(Sign::Logged, None), Some(after));
    // A rid that is used every day is a new run every day.
    bench.until(at("10:20:00"));
    let again = bench.ping(OK, Some(FIRST)).unwrap();
    assert_eq!(bench.run(&again).ended, Some(bench.now));
    assert!(bench.open.is_empty());
}

#[test]
fn an_early_end_answers_the_coming_slot_and_an_overlap_the_one_that_passed() {
    let mut bench = Bench::new(vec![limited(Policy::default())], at("09:30:00"));
    bench.until(at("09:58:30"));
    let run = bench.ping(OK, None).unwrap();
    assert_eq!(bench.run(&run).slot, Some(at("10:00:00")));
    bench.until(at("10:59:00"));
    assert!(bench.states().iter().all(|state| *state == TaskState::Healthy));
    assert_eq!(bench.task("a").next_due, Some(at("11:00:00")));
    // In progress while the next slot comes: skipped by overlap. The one after that is missed.
    bench.until(at("11:00:10"));
    let run = bench.ping(Sign::Started, None).unwrap();
    bench.until(at("13:01:59"));
    assert!(bench.open.is_empty());
    bench.until(at("13:06:00"));
    assert_eq!(bench.alerts(), [AlertKind::Absent]);
    bench.until(at("13:30:00"));
    bench.ping(OK, None);
    assert_eq!(bench.run(&run).state, RunState::Succeeded);
    assert!(bench.open.is_empty());
    assert_eq!(bench.task("a").next_due, Some(at("14:00:00")));
}

#[test]
fn words_that_no_run_can_take_are_told_of_the_task_until_the_next_run() {
    for task in [watched("a", 3_600), on_demand("a")] {
        let mut bench = Bench::new(vec![task.clone()], at("10:10:00"));
        let heard =
            Heard { words: Some("no tape".into()), ..bench.heard(Sign::Logged, Via::Ping, None, bench.now) };
        let noted = bench.domain.hear(&Whose::Task(TaskId::new("a")), heard, bench.now).unwrap();
        assert_eq!((noted.run, noted.keeps_output), (None, false));
        bench.settle();
        let says = |bench: &Bench| bench.task("a").remarks.iter().any(|remark| remark.contains("no tape"));
        assert!(says(&bench) && bench.states().is_empty(), "it changes nothing else");
        let remark = "told at 2026-03-02 10:10 UTC, while nothing of it ran: no tape";
        assert!(bench.task("a").remarks.iter().any(|said| said == remark));
        let mut bench = bench.crash(vec![task], at("10:11:00"));
        assert!(says(&bench), "also after a restart");
        bench.ping(OK, None);
        assert!(!says(&bench));
    }
}

#[test]
fn thresholds_hold_for_pings() {
    let policy = Policy { failure_threshold: 2, recovery_threshold: 2, ..Policy::default() };
    let mut bench = Bench::new(vec![Definition { schedule: None, ..limited(policy) }], at("10:00:00"));
    assert_eq!(bench.state("a"), TaskState::Unknown);
    for (sign, state) in [
        (FAIL, TaskState::Healthy),
        (FAIL, TaskState::Failing),
        (OK, TaskState::Failing),
        (OK, TaskState::Healthy),
    ] {
        bench.until(bench.now + TimeDelta::seconds(10));
        bench.ping(sign, None);
        assert_eq!(bench.state("a"), state);
    }
}

#[test]
fn reports_may_come_late_twice_and_out_of_order() {
    let ended = Sign::Ended { good: true, exit_code: Some(0) };
    let facts = |bench: &Bench, run: &RunId| {
        let run = bench.run(run).clone();
        (run.state, run.started, run.ended, run.slot, run.duration_ms)
    };
    let expected =
        (RunState::Succeeded, Some(at("10:00:05")), Some(at("10:01:05")), Some(at("10:00:00")), Some(60_000));
    let start = (Sign::Started, "10:00:05");
    let beat = (Sign::Beat, "10:00:30");
    let end = (ended, "10:01:05");
    for order in [
        vec![start, beat, end],
        vec![start, end, beat, end, start],
        vec![end, start],
        vec![end, end, start, start],
        vec![beat, start, end],
        vec![beat, end, start],
        vec![end, beat, start],
    ] {
        for restart in [false, true] {
            let mut bench = Bench::new(vec![limited(Policy::default())], at("09:30:00"));
            bench.until(at("10:20:00"));
            assert_eq!(bench.state("a"), TaskState::Absent);
            let mut runs = Vec::new();
            for (sign, time) in &order {
                runs.push(bench.report(*sign, FIRST, time));
                if restart {
                    let now = bench.now;
                    bench = bench.crash(vec![limited(Policy::default())], now);
                }
            }
            runs.dedup();
            assert_eq!(runs.len(), 1, "{order:?}");
            assert_eq!(facts(&bench, &runs[0]), expected, "{order:?}");
            assert_eq!(bench.state("a"), TaskState::Healthy, "{order:?}");
            assert!(bench.open.is_empty(), "{order:?}");
            let told: Vec<_> = bench.failures().into_iter().map(|(kind, ..)| kind).collect();
            assert_eq!(told, [AlertKind::Late, AlertKind::Absent], "it started in time: {order:?}");
        }
    }
}

#[test]
fn an_old_report_does_not_undo_what_came_after_it() {
    let mut bench = Bench::new(vec![limited(Policy::default())], at("10:10:00"));
    let good = bench.ping(OK, None).unwrap();
    let old = bench.report(Sign::Ended { good: false, exit_code: Some(1) }, FIRST, "09:50:00");
    assert_eq!(bench.run(&old).state, RunState::Failed);
    assert_eq!(bench.state("a"), TaskState::Healthy);
    assert_eq!(bench.task("a").last_run.as_ref().unwrap().id, Some(good));
    // A start that was held up is not over its time before its end had a chance to come.
    let policy = Policy { max_runtime_s: Some(60), ..Policy::default() };
    let mut bench = Bench::new(vec![limited(policy)], at("10:10:00"));
    bench.until(at("10:30:00"));
    bench.report(Sign::Started, FIRST, "10:10:00");
    assert!(bench.failures().is_empty() && bench.open.is_empty());
    bench.until(at("10:30:30"));
    assert_eq!(bench.failures(), [(AlertKind::Overrun, at("10:11:00"), at("10:30:30"))]);
    assert_eq!(bench.alerts(), [AlertKind::Overrun]);
}

#[test]
fn a_run_that_lost_its_heartbeat_is_given_up_by_the_next_and_may_come_back() {
    let mut bench = Bench::new(vec![limited(Policy::default())], at("10:10:00"));
    let lost = bench.report(Sign::Started, FIRST, "10:10:00");
    bench.report(Sign::Beat, FIRST, "10:10:00");
    bench.until(at("10:11:00"));
    assert_eq!(bench.alerts(), [AlertKind::Dead]);
    assert_eq!(bench.state("a"), TaskState::Running);
    bench.report(Sign::Started, SECOND, "10:11:00");
    assert_eq!((bench.run(&lost).state, bench.run(&lost).ended), (RunState::Dead, Some(at("10:10:00"))));
    bench.until(at("10:11:10"));
    bench.report(Sign::Ended { good: true, exit_code: Some(0) }, SECOND, "10:11:10");
    assert!(bench.open.is_empty());
    bench.report(Sign::Ended { good: false, exit_code: Some(9) }, FIRST, "10:11:05");
    assert_eq!((bench.run(&lost).state, bench.run(&lost).exit_code), (RunState::Failed, Some(9)));
    assert_eq!(bench.state("a"), TaskState::Healthy);
}

#[test]
fn a_run_that_is_given_up_for_its_heartbeat_does_what_a_bad_run_does() {
    let failure_action = FailureAction::Run(TaskId::new("b"));
    let watched = Definition { failure_action, ..limited(Policy::default()) };
    let mut bench = Bench::new(vec![watched, on_demand("b")], at("09:30:00"));
    bench.until(at("10:00:00"));
    bench.report(Sign::Beat, FIRST, "10:00:00");
    bench.until(at("10:05:00"));
    assert_eq!(bench.alerts(), [AlertKind::Dead]);
    assert!(bench.of("b").is_empty(), "it may come back");
    bench.report(Sign::Started, SECOND, "10:05:00");
    let caused = bench.of("b")[0];
    assert_eq!((caused.cause.as_deref(), caused.queued), (Some("failure of a"), Some(at("10:05:00"))));
}

#[test]
fn open_runs_are_bounded() {
    let mut bench = Bench::new(vec![limited(Policy::default())], at("10:10:00"));
    for i in 0..MAX_PENDING + 5 {
        bench.until(bench.now + TimeDelta::seconds(1));
        let rid = uuid::Uuid::from_u128(i as u128).to_string();
        bench.ping(Sign::Started, Some(&rid));
    }
    assert_eq!(bench.domain.runs.len(), MAX_PENDING);
    assert_eq!(bench.of("a").iter().filter(|run| run.state == RunState::Dead).count(), 5);
    assert_eq!(bench.state("a"), TaskState::Running);
}

#[test]
fn a_cancelled_run_elsewhere_is_closed_here_and_its_process_not_touched() {
    let mut bench = Bench::new(vec![limited(Policy::default())], at("10:10:00"));
    let run = bench.ping(Sign::Started, None).unwrap();
    let why = bench.task("a").capabilities.refusal(Verb::Trigger).map(|why| why.as_str().to_owned());
    assert!(why.unwrap().contains("only watched"));
    bench.domain.cancel(&run, &"cancelled by me".into(), bench.now).unwrap();
    bench.settle();
    assert!(bench.stopped.is_empty());
    assert_eq!(bench.run(&run).state, RunState::Aborted);
    assert!(bench.run(&run).message.as_deref().unwrap().contains("is not touched"));
    // A coordinator that ends waits for none of them, and stops none.
    bench.ping(Sign::Started, None);
    bench.domain.close();
    bench.settle();
    assert!(bench.stopped.is_empty() && bench.domain.running().next().is_none());
}

#[test]
fn a_command_here_may_be_pinged() {
    let mut bench = Bench::new(vec![on_demand("a")], at("10:00:00"));
    let own = bench.trigger("a");
    // Its own pings are about the run that is seen here: its exit counts.
    for sign in [Sign::Started, Sign::Logged, OK, FAIL] {
        assert_eq!(bench.ping(sign, None), Some(own.clone()));
        assert_eq!(bench.run(&own).state, RunState::Running);
    }
    bench.finish(&own, true);
    // Whoever runs it elsewhere has a run of its own, outside limits and queue.
    let other = bench.report(Sign::Started, FIRST, "10:00:00");
    assert_eq!(bench.domain.queues()[0].running, 0);
    let beside = bench.trigger("a");
    assert_eq!(bench.state("a"), TaskState::Running);
    bench.report(Sign::Ended { good: true, exit_code: Some(0) }, FIRST, "10:00:00");
    assert_eq!(bench.run(&other).state, RunState::Succeeded);
    assert_eq!(bench.run(&beside).state, RunState::Running);
}

#[test]
fn keys_are_made_once_and_those_of_the_file_go_before() {
    let key = |bench: &Bench, task: &str| bench.task(task).ping_key.clone().map(|key| key.to_string());
    let built_in = Definition::new("disk-space", Work::BuiltIn(BuiltIn::DiskSpace));
    let definitions = vec![built_in, watched("a", 60), on_demand("b")];
    let mut bench = Bench::new(definitions.clone(), at("10:00:30"));
    let (a, b) = (key(&bench, "a").unwrap(), key(&bench, "b").unwrap());
    assert_ne!(a, b);
    assert_eq!(key(&bench, "disk-space"), None);
    bench = bench.crash(definitions.clone(), at("10:00:40"));
    assert_eq!((key(&bench, "a"), key(&bench, "b")), (Some(a.clone()), Some(b)));
    let hear = |bench: &mut Bench, key: &str| {
        let heard = bench.heard(OK, Via::Ping, None, bench.now);
        let noted = bench.domain.hear(&Whose::Key(key.to_owned()), heard, bench.now);
        bench.settle();
        noted.map(|noted| noted.task)
    };
    assert_eq!(hear(&mut bench, &a), Ok(TaskId::new("a")));
    assert!(hear(&mut bench, "a").is_err());
    // The file gives a another key; then b takes the one that was a's.
    let fixed = |key: &str| Some(key.into());
    let named = Definition { ping_key: fixed("one-of-my-own-keys"), ..watched("a", 60) };
    bench.domain.replace(vec![named.clone(), on_demand("b")], Limits::default(), bench.now);
    bench.settle();
    assert!(hear(&mut bench, &a).is_err());
    assert_eq!(hear(&mut bench, "one-of-my-own-keys"), Ok(TaskId::new("a")));
    let taken = Definition { ping_key: fixed("one-of-my-own-keys"), ..on_demand("b") };
    bench.domain.replace(vec![watched("a", 60), taken], Limits::default(), bench.now);
    bench.settle();
    assert_eq!(hear(&mut bench, "one-of-my-own-keys"), Ok(TaskId::new("b")));
    assert_eq!(hear(&mut bench, &a), Ok(TaskId::new("a")));
    bench.domain.replace(vec![on_demand("b")], Limits::default(), bench.now);
    bench.settle();
    assert!(hear(&mut bench, &a).is_err());
}

#[derive(Debug, Clone)]
enum Step {
    Pass(u32),
    Ping(usize, Sign, Option<usize>),
    Report(Sign, usize, i64),
    Doubt,
    Cancel(usize),
    Crash(u32),
}

fn signs() -> impl Strategy<Value = Sign> {
    prop_oneof![
        3 => Just(Sign::Started),
        2 => Just(Sign::Beat),
        4 => any::<bool>().prop_map(|good| Sign::Ended { good, exit_code: Some(i32::from(!good)) }),
        1 => Just(Sign::Logged),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (0u32..400).prop_map(Step::Pass),
        6 => (0usize..3, signs(), proptest::option::of(0usize..3)).prop_map(|(task, sign, rid)| Step::Ping(task, sign, rid)),
        4 => (signs(), 0usize..3, 0i64..900).prop_map(|(sign, rid, ago)| Step::Report(sign, rid, ago)),
        1 => Just(Step::Doubt),
        1 => (0usize..4).prop_map(Step::Cancel),
        1 => (0u32..900).prop_map(Step::Crash),
    ];
    proptest::collection::vec(step, 1..60)
}

/// Flips of a task follow each other, none tells of one cause twice.
fn check_flips(flips: &[Flip]) -> Result<(), TestCaseError> {
    let mut states: BTreeMap<TaskId, TaskState> = BTreeMap::new();
    let mut causes = BTreeSet::new();
    for flip in flips {
        prop_assert!(flip.computed <= flip.noticed);
        let state = states.entry(flip.task.clone()).or_insert(TaskState::Healthy);
        prop_assert_eq!(*state, flip.old);
        *state = flip.new;
        if let Some(problem) = flip.problem {
            let cause = (flip.task.clone(), problem, flip.computed, flip.run.clone());
            prop_assert!(causes.insert(cause), "told twice: {:?}", flip);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    /// Whatever is pinged and reported: flips alternate, are noticed no sooner than they come to be,
    /// and tell of nothing twice, however often it is judged, and over crashes; the state is what the rules say.
    #[test]
    fn flips_tell_of_everything_once(steps in steps()) {
        let policy = Policy { max_runtime_s: Some(300), min_gap_s: Some(60), ..Policy::default() };
        let definitions = || vec![
            Definition { policy, ..watched("a", 900) },
            watched("b", 300),
            Definition { overlap: Overlap::Allow, schedule: None, ..watched("c", 60) },
        ];
        let rids = [FIRST, SECOND, "a-third-one"];
        let tasks = ["a", "b", "c"];
        let mut bench = Bench::new(definitions(), at("00:01:00"));
        for step in steps {
            let now = bench.now;
            match step {
                Step::Pass(seconds) => bench.until(now + TimeDelta::seconds(seconds.into())),
                Step::Ping(task, sign, rid) => {
                    bench.tell(tasks[task], sign, Via::Ping, rid.map(|rid| rids[rid]), now);
                }
                Step::Report(sign, rid, ago) => {
                    bench.tell("a", sign, Via::Report, Some(rids[rid]), now - TimeDelta::seconds(ago));
                }
                Step::Doubt => bench.domain.doubt_everything(),
                Step::Cancel(i) => {
                    let open: Vec<RunId> = bench.domain.runs.keys().cloned().collect();
                    if let Some(run) = open.get(i) {
                        let _ = bench.domain.cancel(run, &"x".into(), now);
                    }
                }
                Step::Crash(away) => bench = bench.crash(definitions(), now + TimeDelta::seconds(away.into())),
            }
            bench.settle();
            check_flips(&bench.flips)?;
            bench.domain.doubt_everything();
            let again = bench.settle();
            prop_assert!(again.writes.is_empty(), "judged anew: {:?}", again.writes);
            for id in tasks {
                let entry = bench.domain.tasks.get(&id.into()).unwrap();
                let assessment = bench.domain.assess(entry, bench.now);
                prop_assert_eq!(assessment.state, entry.record.state);
                prop_assert_eq!(bench.state(id), entry.record.state);
            }
            for active in bench.domain.runs.values() {
                prop_assert_eq!(bench.rows.get(&active.row.seq), Some(&active.row.run));
            }
            prop_assert_eq!(bench.domain.alerts().len(), bench.open.len());
        }
    }
}
