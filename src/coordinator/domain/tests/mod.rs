mod added;
mod after;
mod handling;
mod machines;
mod model;
mod moments;
mod rest;
mod watching;

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::{AlertKind, Dialect, Flip, Priority, Schedule, TaskState, Timing, Verb};

pub(super) fn at(text: &str) -> DateTime<Utc> {
    format!("2026-03-02T{text}Z").parse().unwrap()
}

fn work() -> Work {
    Work::Command(CommandSpec { argv: vec!["true".to_owned()], env: BTreeMap::new(), cwd: None })
}

pub(super) fn every(id: &str, seconds: u32) -> Definition {
    let schedule = Schedule { timing: Timing::Every { seconds }, zone: "UTC".into(), assumed: false };
    Definition { schedule: Some(schedule), ..Definition::new(id, work()) }
}

fn cron(id: &str, expression: &str) -> Definition {
    let timing = Timing::Cron { expression: expression.into(), dialect: Dialect::Unix };
    let schedule = Schedule { timing, zone: "UTC".into(), assumed: false };
    Definition { schedule: Some(schedule), ..Definition::new(id, work()) }
}

pub(super) fn on_demand(id: &str) -> Definition {
    Definition::new(id, work())
}

/// A domain, with a disk that only remembers, and that checks every row.
pub(super) struct Bench {
    pub(super) domain: Domain,
    pub(super) now: DateTime<Utc>,
    pub(super) rows: BTreeMap<u64, Run>,
    pub(super) carriers: BTreeMap<u64, Carrier>,
    pub(super) flips: Vec<Flip>,
    pub(super) open: BTreeMap<AlertKey, Alert>,
    pub(super) started: Vec<(RunId, u32)>,
    pub(super) stopped: Vec<RunId>,
    pub(super) probed: Vec<String>,
    pub(super) asked: Vec<RunId>,
    pub(super) ended_there: Vec<RunId>,
    pub(super) records: BTreeMap<TaskId, Remembered>,
    pub(super) stopping: BTreeMap<RunId, Stop>,
    pub(super) silences: BTreeMap<String, Silence>,
}

use crate::model::Run;

impl Bench {
    pub(super) fn new(definitions: Vec<Definition>, now: DateTime<Utc>) -> Self {
        Self::restarted(definitions, now, Loaded::default(), true)
    }

    pub(super) fn restarted(
        definitions: Vec<Definition>,
        now: DateTime<Utc>,
        loaded: Loaded,
        scheduling: bool,
    ) -> Self {
        let carriers = loaded.runs.iter().map(|row| (row.seq, row.carrier.clone())).collect();
        let rows = loaded.runs.iter().map(|row| (row.seq, row.run.clone())).collect();
        let open = loaded.alerts.iter().map(|alert| (alert.key(), alert.clone())).collect();
        let records = loaded.tasks.clone();
        let stopping = loaded.stopping.clone();
        let silences = loaded.silences.iter().map(|silence| (silence.id.clone(), silence.clone())).collect();
        // Each start has a seed of its own, so that no id comes twice.
        let mut seed = [1; 32];
        seed[..8].copy_from_slice(&u64::from_le_bytes([1; 8]).wrapping_add(loaded.last_seq).to_le_bytes());
        let mut domain = Domain::new(seed, scheduling);
        domain.load(loaded, definitions, Limits { coordinator: 2, ..Limits::default() }, now);
        let mut bench = Self {
            domain,
            now,
            rows,
            carriers,
            flips: Vec::new(),
            open,
            started: Vec::new(),
            stopped: Vec::new(),
            probed: Vec::new(),
            asked: Vec::new(),
            ended_there: Vec::new(),
            records,
            stopping,
            silences,
        };
        bench.settle();
        bench
    }

    /// What a coordinator that is killed now leaves.
    pub(super) fn left(&self) -> Loaded {
        let runs = self.rows.iter().filter(|(_, run)| !run.state.is_ended());
        Loaded {
            stopping: self.stopping.clone(),
            fates: BTreeMap::new(),
            tasks: self.records.clone(),
            runs: runs
                .map(|(seq, run)| RunRow {
                    seq: *seq,
                    run: run.clone(),
                    carrier: self.carriers.get(seq).cloned().unwrap_or_default(),
                })
                .collect(),
            alerts: self.open.values().cloned().collect(),
            silences: self.silences.values().cloned().collect(),
            last_seq: self.rows.keys().max().copied().unwrap_or(0),
            restored: None,
        }
    }

    pub(super) fn settle(&mut self) -> Batch {
        let batch = self.domain.settle(self.now);
        for write in &batch.writes {
            match write {
                Write::Run(row) => {
                    let before = self.rows.insert(row.seq, row.run.clone()).map(|run| run.state);
                    assert!(legal(before, row.run.state), "{before:?} to {:?}", row.run.state);
                    assert_eq!(row.run.state.is_ended(), row.run.ended.is_some());
                    self.carriers.insert(row.seq, row.carrier.clone());
                }
                Write::Flip(flip) => {
                    assert!(flip.old != flip.new || flip.problem.is_some());
                    assert!(flip.computed <= flip.noticed);
                    self.flips.push(flip.clone());
                }
                Write::AlertOpened(alert) => assert!(self.open.insert(alert.key(), alert.clone()).is_none()),
                Write::AlertChanged(alert) => assert!(self.open.insert(alert.key(), alert.clone()).is_some()),
                Write::AlertClosed(key, _) => assert!(self.open.remove(key).is_some()),
                Write::Task { id, record, schedule, blackout, policy, paused } => {
                    let known = Remembered {
                        record: record.clone(),
                        schedule: schedule.clone(),
                        blackout: blackout.clone(),
                        policy: *policy,
                        defined: true,
                        paused: *paused,
                    };
                    self.records.insert(id.clone(), known);
                }
                Write::Noted { run, last_beat, marks } => {
                    let row = self.rows.values_mut().find(|row| row.id.as_ref() == Some(run)).unwrap();
                    row.last_beat = *last_beat;
                    row.marks.clone_from(marks);
                }
                Write::Stopping(run, stop) => drop(self.stopping.insert(run.clone(), stop.clone())),
                Write::Silence(silence) => {
                    drop(self.silences.insert(silence.id.clone(), (**silence).clone()));
                }
                Write::SilenceEnded(id) => assert!(self.silences.remove(id).is_some()),
                Write::TaskGone(id) => self.records.get_mut(id).unwrap().defined = false,
                _ => {}
            }
        }
        for effect in &batch.effects {
            match effect {
                Effect::Start { run, attempt, .. } => self.started.push((run.clone(), *attempt)),
                Effect::Stop(run) => self.stopped.push(run.clone()),
                Effect::Probe(machine) => self.probed.push(machine.name.to_string()),
                Effect::Ask { run, .. } => self.asked.push(run.clone()),
                Effect::EndThere { run, .. } => self.ended_there.push(run.clone()),
            }
        }
        assert!(self.domain.next_wake().is_none_or(|wake| wake > self.now));
        batch
    }

    /// Lets time pass up to `to`, looking whenever something is due.
    pub(super) fn until(&mut self, to: DateTime<Utc>) {
        while let Some(wake) = self.domain.next_wake().filter(|wake| *wake <= to) {
            self.now = wake;
            self.settle();
        }
        self.now = to;
        self.settle();
    }

    pub(super) fn finish(&mut self, run: &RunId, good: bool) {
        let message = Some(if good { "fine".into() } else { "exit code 1".into() });
        self.domain.finished(
            run,
            Outcome { good, exit_code: Some(i32::from(!good)), message, ..Outcome::default() },
            self.now,
        );
        self.settle();
    }

    pub(super) fn trigger(&mut self, task: &str) -> RunId {
        let run = self.domain.trigger(&TaskId::new(task), None, self.now).unwrap();
        self.settle();
        run
    }

    pub(super) fn run(&self, id: &RunId) -> &Run {
        self.rows.values().find(|run| run.id.as_ref() == Some(id)).unwrap()
    }

    pub(super) fn of(&self, task: &str) -> Vec<&Run> {
        self.rows.values().filter(|run| run.task.as_raw() == task).collect()
    }

    pub(super) fn state(&self, task: &str) -> TaskState {
        self.task(task).state.unwrap()
    }

    pub(super) fn task(&self, task: &str) -> &Task {
        self.domain.told().find(|told| told.id.as_raw() == task).unwrap()
    }

    pub(super) fn running(&self) -> Vec<RunId> {
        self.domain.running().filter_map(|active| active.row.run.id.clone()).collect()
    }

    pub(super) fn alerts(&self) -> Vec<AlertKind> {
        self.open.keys().map(|key| key.kind).collect()
    }
}

#[test]
fn slots_become_runs_and_runs_end() {
    let mut bench = Bench::new(vec![every("a", 60)], at("10:00:30"));
    assert_eq!(bench.state("a"), TaskState::Healthy);
    assert_eq!(bench.task("a").next_due, Some(at("10:01:00")));
    bench.until(at("10:01:00"));
    assert_eq!(bench.state("a"), TaskState::Running);
    let run = bench.running().remove(0);
    assert_eq!(bench.started, [(run.clone(), 0)]);
    assert_eq!(bench.run(&run).slot, Some(at("10:01:00")));
    bench.until(at("10:01:05"));
    bench.finish(&run, true);
    assert_eq!(bench.run(&run).duration_ms, Some(5_000));
    assert_eq!(bench.state("a"), TaskState::Healthy);
    assert_eq!(bench.task("a").next_due, Some(at("10:02:00")));
    let flips: Vec<_> = bench.flips.iter().map(|flip| (flip.old, flip.new)).collect();
    assert_eq!(flips, [(TaskState::Healthy, TaskState::Running), (TaskState::Running, TaskState::Healthy)]);
    assert!(bench.open.is_empty());
}

#[test]
fn what_overlaps_is_skipped_queued_or_allowed() {
    for (overlap, states) in [
        (Overlap::Skip, [RunState::Running, RunState::Missed]),
        (Overlap::Queue, [RunState::Running, RunState::Queued]),
        (Overlap::Allow, [RunState::Running, RunState::Running]),
    ] {
        let mut bench = Bench::new(vec![Definition { overlap, ..every("a", 60) }], at("10:00:30"));
        bench.until(at("10:02:00"));
        let found: Vec<_> = bench.of("a").iter().map(|run| run.state).collect();
        assert_eq!(found, states, "{overlap:?}");
        if overlap == Overlap::Skip {
            let why = bench.of("a")[1].message.clone().unwrap();
            assert_eq!(why, "skipped: the run before it is still running, since 1m");
            // A slot that was skipped is not late.
            bench.until(at("10:02:59"));
            assert!(bench.open.is_empty());
        }
    }
}

#[test]
fn what_passed_while_nobody_was_there_is_missed_or_caught_up() {
    for (catch_up, expected) in [
        (CatchUp::None, vec![(RunState::Missed, "13:00:00")]),
        (CatchUp::Once, vec![(RunState::Running, "13:00:00")]),
    ] {
        let definition = Definition { catch_up, ..every("a", 3_600) };
        let bench = Bench::new(vec![definition.clone()], at("09:30:00"));
        let bench = Bench::restarted(vec![definition], at("13:30:00"), bench.left(), true);
        let found: Vec<_> = bench.of("a").iter().map(|run| (run.state, run.slot.unwrap())).collect();
        let expected: Vec<_> = expected.into_iter().map(|(state, slot)| (state, at(slot))).collect();
        assert_eq!(found, expected, "{catch_up:?}");
        if catch_up == CatchUp::None {
            let why = bench.of("a")[0].message.clone().unwrap();
            assert_eq!(why, "not run, like 3 before it: no coordinator could start them");
            assert_eq!(bench.state("a"), TaskState::Healthy);
            assert!(bench.open.is_empty());
        }
    }
}

#[test]
fn a_slot_within_its_start_window_is_started_in_time_after_a_restart() {
    let bench = Bench::new(vec![every("a", 3_600)], at("09:30:00"));
    let bench = Bench::restarted(vec![every("a", 3_600)], at("10:01:59"), bench.left(), true);
    assert_eq!(bench.of("a")[0].state, RunState::Running);
}

#[test]
fn one_that_only_answers_schedules_nothing_and_does_what_is_asked() {
    let bench = Bench::new(vec![every("a", 3_600)], at("09:30:00"));
    let mut bench = Bench::restarted(vec![every("a", 3_600)], at("10:00:01"), bench.left(), false);
    assert_eq!(bench.of("a")[0].state, RunState::Missed);
    assert_eq!(bench.state("a"), TaskState::Healthy);
    assert!(bench.task("a").remarks.iter().any(|remark| remark.contains("vigie serve")));
    bench.until(at("11:00:00"));
    assert_eq!(bench.of("a").len(), 1);
    bench.trigger("a");
    assert_eq!(bench.state("a"), TaskState::Running);
}

#[test]
fn an_unstarted_slot_is_due_late_absent_at_its_very_instants() {
    // Nothing is scheduled here, so the slots stay unstarted.
    let mut bench = Bench::restarted(vec![every("a", 3_600)], at("09:30:00"), Loaded::default(), false);
    bench.until(at("10:10:00"));
    let flips: Vec<_> = bench.flips.iter().map(|flip| (flip.new, flip.computed, flip.noticed)).collect();
    assert_eq!(
        flips,
        [
            (TaskState::Due, at("10:00:00"), at("10:00:00")),
            (TaskState::Late, at("10:02:00"), at("10:02:00")),
            (TaskState::Absent, at("10:06:00"), at("10:06:00")),
        ]
    );
    assert_eq!(bench.alerts(), [AlertKind::Absent]);
    let run = bench.trigger("a");
    bench.finish(&run, true);
    assert!(bench.open.is_empty());
}

#[test]
fn retries_come_at_their_time_and_exhaust() {
    let retry = RetryRule { count: 2, delay: Duration::from_secs(30), backoff: 2.0, ..RetryRule::default() };
    let mut bench = Bench::new(vec![Definition { retry, ..on_demand("a") }], at("10:00:00"));
    let run = bench.trigger("a");
    bench.finish(&run, false);
    let waiting = bench.run(&run);
    assert_eq!(
        (waiting.state, waiting.attempt, waiting.next_at),
        (RunState::Queued, 1, Some(at("10:00:30")))
    );
    assert_eq!(bench.state("a"), TaskState::Queued);
    assert_eq!(bench.task("a").retry.next_at, Some(at("10:00:30")));
    assert!(bench.open.is_empty());
    bench.until(at("10:00:50"));
    bench.finish(&run, false);
    // It waits since its second attempt failed, not since it was asked for.
    assert_eq!(
        bench.flips.last().map(|flip| (flip.new, flip.computed)),
        Some((TaskState::Queued, bench.now))
    );
    assert_eq!(bench.run(&run).next_at, Some(at("10:01:50")));
    bench.until(at("10:01:50"));
    assert_eq!(bench.started.iter().map(|(_, attempt)| *attempt).collect::<Vec<_>>(), [0, 1, 2]);
    bench.finish(&run, false);
    assert_eq!((bench.run(&run).state, bench.run(&run).attempt), (RunState::Failed, 2));
    assert_eq!(bench.alerts(), [AlertKind::RetriesExhausted]);
    assert_eq!(bench.state("a"), TaskState::Failing);

    let again = bench.domain.retry(&bench.run(&run).clone(), bench.now).unwrap();
    bench.settle();
    assert_eq!(bench.run(&again).cause.as_deref(), Some("retry"));
    bench.finish(&again, true);
    assert!(bench.open.is_empty());
    assert_eq!(bench.state("a"), TaskState::Healthy);
}

#[test]
fn delays_grow_and_jitter_adds() {
    let rule = RetryRule {
        count: 5,
        delay: Duration::from_secs(10),
        backoff: 3.0,
        jitter: 0.5,
        ..RetryRule::default()
    };
    let at_once = RetryRule { delay: Duration::ZERO, backoff: 100.0, ..rule.clone() };
    assert_eq!(runs::retry_delay(&at_once, 1_000, 1.0), TimeDelta::zero());
    for (attempt, share, seconds) in
        [(1, 0.0, 10), (2, 0.0, 30), (3, 0.0, 90), (1, 1.0, 15), (99, 0.0, 86_400)]
    {
        assert_eq!(
            runs::retry_delay(&rule, attempt, share),
            TimeDelta::seconds(seconds),
            "{attempt} {share}"
        );
    }
}

#[test]
fn over_its_max_runtime_a_run_is_stopped_and_aborted() {
    let mut definition = every("a", 3_600);
    definition.policy.max_runtime_s = Some(60);
    let mut bench = Bench::new(vec![definition], at("09:30:00"));
    bench.until(at("10:00:59"));
    assert!(bench.stopped.is_empty());
    bench.until(at("10:01:00"));
    let run = bench.running().remove(0);
    assert_eq!(bench.stopped, std::slice::from_ref(&run));
    assert_eq!(bench.alerts(), [AlertKind::Overrun]);
    bench.until(at("10:01:03"));
    assert_eq!(bench.stopped.len(), 1);
    bench.finish(&run, false);
    assert_eq!(bench.run(&run).state, RunState::Aborted);
    assert_eq!(bench.run(&run).message.as_deref(), Some("over its max runtime of 1m"));
    assert_eq!(bench.alerts(), [AlertKind::Overrun]);
    assert_eq!(bench.open.values().next().unwrap().since, at("10:01:00"));
}

#[test]
fn a_full_coordinator_queues_and_a_queue_that_waits_too_long_stalls() {
    let definitions = vec![on_demand("a"), on_demand("b"), every("c", 3_600)];
    let mut bench = Bench::new(definitions, at("09:59:00"));
    let (a, _) = (bench.trigger("a"), bench.trigger("b"));
    bench.until(at("10:00:00"));
    assert_eq!(bench.state("c"), TaskState::Queued);
    let queue = &bench.domain.queues()[0];
    assert_eq!((queue.name.as_raw(), queue.depth, queue.running), ("default", 1, 2));
    assert_eq!(queue.by_priority, Some([0, 0, 1, 0, 0]));
    bench.until(at("10:05:59"));
    assert!(bench.open.is_empty());
    bench.until(at("10:06:00"));
    assert_eq!(bench.alerts(), [AlertKind::QueueStalled]);
    assert!(bench.open.keys().next().unwrap().queue.is_some());
    bench.finish(&a, true);
    assert_eq!(bench.state("c"), TaskState::Running);
    assert!(bench.open.is_empty());
    assert_eq!(bench.of("c")[0].message.as_deref(), Some("started 6m late (cause: queue)"));
}

#[test]
fn pauses_hold_over_restarts_and_their_slots_do_not_count() {
    let mut bench = Bench::new(vec![every("a", 60)], at("10:00:30"));
    let id = TaskId::new("a");
    bench.domain.pause(&id, &"me".into(), bench.now).unwrap();
    bench.settle();
    assert_eq!(
        bench.domain.pause(&id, &"me".into(), bench.now),
        Err(Refused::Conflict("it is paused already".into()))
    );
    let mut bench = Bench::restarted(vec![every("a", 60)], at("10:05:30"), bench.left(), true);
    bench.until(at("10:10:30"));
    assert_eq!(bench.state("a"), TaskState::Paused);
    assert!(bench.of("a").is_empty() && bench.open.is_empty());
    assert_eq!(bench.task("a").capabilities.refusal(Verb::Pause).unwrap(), &"it is paused already");
    bench.domain.resume(&id, &"me".into(), bench.now).unwrap();
    bench.until(at("10:10:59"));
    assert!(bench.of("a").is_empty());
    bench.until(at("10:11:00"));
    assert_eq!(bench.of("a")[0].slot, Some(at("10:11:00")));
}

#[test]
fn a_clock_that_was_set_back_stops_no_schedule() {
    let year = TimeDelta::days(365);
    let mut limited = every("a", 60);
    limited.policy.max_runtime_s = Some(30);
    let mut bench = Bench::new(vec![limited.clone()], at("10:00:30") + year);
    bench.until(at("10:01:00") + year);
    let run = bench.running().remove(0);
    // A correction: the slot does not come twice.
    bench.now = at("10:00:59") + year;
    bench.until(at("10:01:10") + year);
    assert_eq!(bench.of("a").len(), 1);
    let left = bench.left();
    // Put right while it runs: what runs keeps its limit, and the next slot comes.
    bench.now = at("10:01:15");
    bench.settle();
    let started = bench.domain.active(&run).and_then(|active| active.row.run.started);
    assert_eq!(started, Some(at("10:01:05")));
    bench.until(at("10:01:34"));
    assert!(bench.stopped.is_empty());
    bench.until(at("10:01:35"));
    bench.finish(&run, true);
    assert_eq!(bench.task("a").next_due, Some(at("10:02:00")));
    bench.until(at("10:02:00"));
    assert_eq!(bench.of("a").last().unwrap().slot, Some(at("10:02:00")));
    // Put right while no coordinator was there.
    let mut bench = Bench::restarted(vec![limited], at("10:01:15"), left, true);
    assert_eq!(bench.task("a").next_due, Some(at("10:02:00")));
    bench.until(at("10:02:00"));
    assert_eq!(bench.of("a").last().unwrap().slot, Some(at("10:02:00")));
}

/// Starts of a task around a jump of the clock at 10:05, and until `then` after
/// it, where each run takes no time: the slot, and when it really started, by a
/// clock that nobody set.
fn starts_around(
    definition: Definition,
    jump: TimeDelta,
    then: TimeDelta,
) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
    let mut true_now = at("10:04:00") - then;
    let mut bench = Bench::new(vec![definition], true_now);
    let mut starts = Vec::new();
    let mut jumped = false;
    while true_now < at("10:05:00") + then {
        true_now += TimeDelta::minutes(1);
        if !jumped && true_now > at("10:05:00") {
            jumped = true;
            bench.now += jump + TimeDelta::minutes(1);
            bench.settle();
        } else {
            bench.until(bench.now + TimeDelta::minutes(1));
        }
        let running = bench.running();
        assert!(running.len() <= 1, "a storm");
        for run in running {
            starts.push((bench.run(&run).slot.unwrap(), true_now));
            bench.finish(&run, true);
        }
    }
    starts
}

#[test]
fn a_clock_that_jumps_neither_storms_nor_skips() {
    let minutes = TimeDelta::minutes;
    let hours = TimeDelta::hours;
    for (expression, interval) in [
        ("*/5 * * * *", minutes(5)),
        ("*/10 * * * *", minutes(10)),
        ("0 * * * *", hours(1)),
        ("0 */6 * * *", hours(6)),
        ("0 10 * * *", hours(24)),
    ] {
        for catch_up in [CatchUp::None, CatchUp::Once] {
            for jump in [hours(1), TimeDelta::days(3), -hours(1), -TimeDelta::days(1), -minutes(7)] {
                let mut definition = cron("a", expression);
                definition.catch_up = catch_up;
                let starts = starts_around(definition, jump, interval * 3 + hours(1));
                let after = starts.iter().position(|(_, start)| *start > at("10:05:00")).unwrap();
                let near = &starts[after.saturating_sub(3)..starts.len().min(after + 3)];
                let what = format!("{expression} {catch_up:?} {jump}: {near:?}");
                for (i, pair) in starts.windows(2).enumerate() {
                    let gap = pair[1].1 - pair[0].1;
                    // At the jump itself the next slots of the new time may be near.
                    let at_it = i + 1 == after || i == after;
                    let jumped = at_it && (jump > TimeDelta::zero() || -jump >= interval);
                    assert!(gap >= interval || jumped, "{what}");
                    assert!(gap <= interval * 2, "{what}");
                    assert!(pair[1].0 != pair[0].0, "{what}");
                }
                let slots: BTreeSet<_> = starts[after..].iter().map(|(slot, _)| slot).collect();
                assert_eq!(slots.len(), starts.len() - after, "each at most once: {what}");
                if jump < TimeDelta::zero() && -jump < interval {
                    let slots: BTreeSet<_> = starts.iter().map(|(slot, _)| slot).collect();
                    assert_eq!(slots.len(), starts.len(), "each at most once: {what}");
                }
            }
        }
    }
}

#[test]
fn what_runs_is_not_stopped_for_a_clock_that_was_put_forward_nor_for_a_sleep() {
    let mut limited = on_demand("a");
    limited.policy.max_runtime_s = Some(60);
    let steady =
        |up: u64, awake: u64| Steady { up: Duration::from_secs(up), awake: Duration::from_secs(awake) };
    for asleep in [false, true] {
        let mut bench = Bench::new(vec![limited.clone()], at("10:00:00"));
        bench.domain.keep_time(bench.now, steady(1_000, 900));
        let run = bench.trigger("a");
        // Ten seconds later it is an hour later.
        bench.now = at("11:00:10");
        let passed = if asleep { 3_610 } else { 10 };
        bench.domain.keep_time(bench.now, steady(1_000 + passed, 910));
        bench.domain.doubt_everything();
        bench.until(at("11:00:59"));
        assert!(bench.stopped.is_empty(), "{asleep}");
        assert!(bench.run(&run).marks.is_empty() && bench.flips.iter().all(|flip| flip.problem.is_none()));
        assert_ne!(bench.state("a"), TaskState::Failing);
        bench.until(at("11:01:00"));
        assert_eq!(bench.stopped, std::slice::from_ref(&run), "{asleep}");
        bench.finish(&run, false);
    }
}

#[test]
fn a_slot_at_the_very_moment_of_resuming_counts() {
    let mut bench = Bench::new(vec![every("a", 60)], at("10:00:30"));
    let id = TaskId::new("a");
    bench.domain.pause(&id, &"me".into(), bench.now).unwrap();
    bench.until(at("10:02:00"));
    bench.domain.resume(&id, &"me".into(), bench.now).unwrap();
    bench.settle();
    assert_eq!(bench.of("a")[0].slot, Some(at("10:02:00")));
    assert_eq!(bench.state("a"), TaskState::Running);
}

#[test]
fn cancelling_unqueues_or_stops() {
    let mut bench = Bench::new(vec![on_demand("a")], at("10:00:00"));
    let (first, second) = (bench.trigger("a"), bench.trigger("a"));
    bench.domain.cancel(&second, &"cancelled by me".into(), bench.now).unwrap();
    bench.settle();
    assert_eq!(bench.run(&second).state, RunState::Aborted);
    assert!(bench.run(&second).started.is_none() && bench.stopped.is_empty());
    bench.domain.cancel(&first, &"cancelled by me".into(), bench.now).unwrap();
    bench.settle();
    assert_eq!(bench.stopped, std::slice::from_ref(&first));
    assert!(bench.domain.cancel(&first, &"".into(), bench.now).is_err());
    // Whatever it says of its end, it was aborted.
    bench.finish(&first, true);
    let run = bench.run(&first);
    assert_eq!((run.state, run.message.as_deref()), (RunState::Aborted, Some("cancelled by me")));
    assert_eq!(bench.domain.cancel(&first, &"".into(), bench.now), Err(Refused::NoRun(first)));
}

#[test]
fn priorities_change_what_waits() {
    let definitions = ["a", "b", "c", "d"].map(on_demand).to_vec();
    let mut bench = Bench::new(definitions, at("10:00:00"));
    let (a, b) = (bench.trigger("a"), bench.trigger("b"));
    let (c, d) = (bench.trigger("c"), bench.trigger("d"));
    let one = Priority::new(1).unwrap();
    assert!(bench.domain.reprioritise_run(&a, one).is_err());
    assert!(bench.domain.reprioritise_task(&TaskId::new("a"), one).is_err());
    bench.domain.reprioritise_task(&TaskId::new("d"), one).unwrap();
    bench.settle();
    assert_eq!(bench.domain.queues()[0].by_priority, Some([1, 0, 1, 0, 0]));
    assert_eq!(bench.task("d").priority, Some(one));
    bench.finish(&a, true);
    assert_eq!(bench.run(&d).state, RunState::Running);
    bench.finish(&b, true);
    assert_eq!(bench.run(&c).state, RunState::Running);
}

#[test]
fn a_crash_loses_what_ran_and_keeps_what_waits() {
    let mut bench = Bench::new(["a", "b", "c"].map(on_demand).to_vec(), at("10:00:00"));
    let (a, _, c) = (bench.trigger("a"), bench.trigger("b"), bench.trigger("c"));
    let definitions = ["a", "c"].map(on_demand).to_vec();
    let bench = Bench::restarted(definitions, at("10:05:00"), bench.left(), true);
    assert_eq!(bench.run(&a).state, RunState::Dead);
    assert_eq!(bench.run(&a).message.as_deref(), Some("the coordinator ended while it ran"));
    assert_eq!(bench.alerts(), [AlertKind::Dead]);
    assert_eq!(bench.of("b")[0].state, RunState::Dead);
    assert_eq!(bench.run(&c).state, RunState::Running);
}

#[test]
fn a_failure_may_start_another_task() {
    let failure_action = FailureAction::Run(TaskId::new("b"));
    let definitions = vec![Definition { failure_action, ..on_demand("a") }, on_demand("b")];
    let mut bench = Bench::new(definitions, at("10:00:00"));
    let run = bench.trigger("a");
    bench.finish(&run, false);
    assert_eq!(bench.of("b")[0].cause.as_deref(), Some("failure of a"));
    assert_eq!(bench.state("b"), TaskState::Running);
    assert_eq!(bench.alerts(), [AlertKind::Failed]);
}

#[test]
fn what_a_failure_would_start_and_may_not_is_missed_and_says_why() {
    let failure_action = FailureAction::Run(TaskId::new("b"));
    let failing = Definition { failure_action, ..on_demand("a") };
    let fail = |bench: &mut Bench| {
        let run = bench.trigger("a");
        bench.finish(&run, false);
        let missed = bench.of("b").last().copied().cloned().unwrap();
        (missed.state, missed.cause.unwrap().to_string(), missed.message.unwrap().to_string())
    };
    let told = |why: &str| (RunState::Missed, "failure of a".to_owned(), format!("not started: {why}"));
    let off = Definition { enabled: false, ..on_demand("b") };
    let mut bench = Bench::new(vec![failing.clone(), off], at("10:00:00"));
    assert_eq!(fail(&mut bench), told("it is switched off in tasks.toml (enabled = false)"));
    let mut bench = Bench::new(vec![failing.clone(), every("b", 3_600)], at("10:00:30"));
    bench.domain.pause(&TaskId::new("b"), &"me".into(), bench.now).unwrap();
    assert_eq!(fail(&mut bench), told("it is paused"));
    let mut bench = Bench::new(vec![failing], at("10:00:00"));
    bench.domain.define(on_demand("b"), "{}", false, bench.now).unwrap();
    bench.settle();
    bench.domain.archive(&TaskId::new("b"), &"me".into(), bench.now).unwrap();
    assert_eq!(fail(&mut bench), told("it is put away: resume takes it back"));
}

#[test]
fn a_run_that_its_supervisor_ended_over_its_max_runtime_is_told_as_if_it_was_seen() {
    let mut limited = on_demand("a");
    limited.policy.max_runtime_s = Some(60);
    limited.retry = RetryRule { count: 1, delay: Duration::ZERO, ..RetryRule::default() };
    let told = |bench: &Bench| -> Vec<_> {
        let told = bench.flips.iter().filter_map(|flip| Some((flip.problem?, flip.computed, flip.noticed)));
        told.collect()
    };
    let overran = |ended: &str| Outcome {
        stopped: true,
        overran: Some(Duration::from_secs(60)),
        at: Some(at(ended)),
        ..Outcome::default()
    };
    // While no coordinator was there.
    let mut bench = Bench::new(vec![limited.clone()], at("10:00:00"));
    let run = bench.trigger("a");
    let mut loaded = bench.left();
    loaded.fates.insert(run.clone(), Fate::Ended(overran("10:01:02")));
    let bench = Bench::restarted(vec![limited.clone()], at("10:30:00"), loaded, true);
    assert_eq!(told(&bench), [(AlertKind::Overrun, at("10:01:00"), at("10:30:00"))]);
    assert_eq!(bench.started, [(run.clone(), 1)], "it is tried again, as its task has it");
    // And where it was a moment faster than the coordinator.
    limited.retry = RetryRule::default();
    let mut bench = Bench::new(vec![limited.clone()], at("10:00:00"));
    let run = bench.trigger("a");
    bench.now = at("10:00:59");
    bench.domain.finished(&run, overran("10:00:59"), bench.now);
    bench.settle();
    assert_eq!(told(&bench), [(AlertKind::Overrun, at("10:00:59"), at("10:00:59"))]);
    assert_eq!(bench.run(&run).state, RunState::Aborted);
    assert_eq!(bench.run(&run).message.as_deref(), Some("over its max runtime of 1m"));
    assert_eq!(bench.alerts(), [AlertKind::Overrun]);
    // An operator's word goes before.
    let mut bench = Bench::new(vec![limited], at("10:00:00"));
    let run = bench.trigger("a");
    bench.domain.cancel(&run, &"cancelled by me".into(), bench.now).unwrap();
    bench.domain.finished(&run, overran("10:01:00"), at("10:01:00"));
    bench.settle();
    assert_eq!(bench.run(&run).message.as_deref(), Some("cancelled by me"));
}

#[test]
fn a_quiet_task_fails_without_an_alert() {
    let quiet = Definition { failure_action: FailureAction::Nothing, ..on_demand("a") };
    let mut bench = Bench::new(vec![quiet], at("10:00:00"));
    let run = bench.trigger("a");
    bench.finish(&run, false);
    assert_eq!(bench.state("a"), TaskState::Failing);
    assert!(bench.open.is_empty());
}

#[test]
fn thresholds_hold_back_failing_and_healthy() {
    let mut definition = on_demand("a");
    definition.policy.failure_threshold = 2;
    definition.policy.recovery_threshold = 2;
    let mut bench = Bench::new(vec![definition], at("10:00:00"));
    let mut states = Vec::new();
    for good in [false, false, true, false, true, true, false] {
        let run = bench.trigger("a");
        bench.finish(&run, good);
        states.push(bench.state("a") == TaskState::Failing);
    }
    assert_eq!(states, [false, true, true, true, true, false, false]);
}

#[test]
fn a_new_file_keeps_pauses_histories_and_what_runs() {
    let mut bench = Bench::new(vec![every("a", 60), every("b", 60), on_demand("c")], at("10:00:30"));
    let running = bench.trigger("c");
    let waiting = bench.trigger("c");
    bench.domain.pause(&TaskId::new("a"), &"me".into(), bench.now).unwrap();
    bench.settle();
    bench.until(at("10:00:31"));
    bench.domain.replace(vec![every("b", 30), every("d", 60)], Limits::default(), bench.now);
    let batch = bench.settle();
    assert_eq!(batch.tasks_gone, [TaskId::new("a"), TaskId::new("c")]);
    assert_eq!(bench.run(&waiting).state, RunState::Aborted);
    assert_eq!(bench.run(&running).state, RunState::Running);
    assert_eq!(bench.task("b").next_due, Some(at("10:01:00")));
    bench.finish(&running, true);
    assert_eq!(bench.run(&running).state, RunState::Succeeded);
    bench.domain.replace(vec![every("a", 60)], Limits::default(), bench.now);
    bench.settle();
    assert_eq!(bench.state("a"), TaskState::Paused);
}

#[test]
fn capabilities_say_why_not() {
    let watched = Definition::new("w", Work::Watched);
    let built_in = Definition::new("disk-space", Work::BuiltIn(BuiltIn::DiskSpace));
    let mut bench = Bench::new(vec![built_in, watched, on_demand("a")], at("10:00:00"));
    let why = |bench: &Bench, task: &str, verb| {
        bench.task(task).capabilities.refusal(verb).map(|why| why.as_str().to_owned())
    };
    assert_eq!(why(&bench, "a", Verb::Trigger), None);
    assert_eq!(why(&bench, "a", Verb::Cancel).unwrap(), "nothing of it is running or queued");
    assert_eq!(why(&bench, "a", Verb::Retry).unwrap(), "no run of it has failed");
    assert_eq!(why(&bench, "a", Verb::Reprioritise).unwrap(), "no run of it is pending");
    assert_eq!(why(&bench, "a", Verb::Pause).unwrap(), "it has no schedule to pause");
    assert!(why(&bench, "w", Verb::Trigger).unwrap().contains("only watched"));
    assert_eq!(bench.state("w"), TaskState::Unknown);
    assert!(bench.domain.trigger(&TaskId::new("w"), None, bench.now).is_err());
    assert_eq!(
        bench.domain.trigger(&TaskId::new("x"), None, bench.now),
        Err(Refused::NoTask(TaskId::new("x")))
    );

    let run = bench.trigger("disk-space");
    assert_eq!(bench.run(&run).state, RunState::Running);
    assert_eq!(why(&bench, "disk-space", Verb::Trigger).unwrap(), "it is running already");
    assert!(why(&bench, "disk-space", Verb::Cancel).is_some());
    assert!(why(&bench, "disk-space", Verb::Reprioritise).unwrap().contains("outside the queue"));
    assert_eq!(bench.domain.queues()[0].running, 0);
    let run = bench.trigger("a");
    assert_eq!(why(&bench, "a", Verb::Cancel), None);
    bench.finish(&run, false);
    assert_eq!(why(&bench, "a", Verb::Retry), None);
    assert!(why(&bench, "a", Verb::Archive).is_some());
    for verb in [Verb::Acknowledge, Verb::Snooze] {
        assert_eq!(why(&bench, "a", verb), None, "its run has failed");
        assert_eq!(why(&bench, "w", verb).unwrap(), "no alert of it is open");
    }
    assert_eq!(why(&bench, "w", Verb::Silence), None, "also what may come is silenced");
}

#[derive(Debug, Clone)]
enum Step {
    Pass(u32),
    Trigger(usize, Option<u8>),
    Finish(usize, bool),
    Cancel(usize),
    Priority(usize, u8),
    Pause(usize),
    Resume(usize),
    Replace(u8),
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1u32..200).prop_map(Step::Pass),
        4 => (0usize..5, proptest::option::of(1u8..=5)).prop_map(|(task, priority)| Step::Trigger(task, priority)),
        4 => (0usize..9, any::<bool>()).prop_map(|(run, good)| Step::Finish(run, good)),
        2 => (0usize..9).prop_map(Step::Cancel),
        1 => (0usize..9, 1u8..=5).prop_map(|(run, priority)| Step::Priority(run, priority)),
        1 => (0usize..5).prop_map(Step::Pause),
        1 => (0usize..5).prop_map(Step::Resume),
        1 => any::<u8>().prop_map(Step::Replace),
        1 => Just(Step::Crash),
    ];
    proptest::collection::vec(step, 1..60)
}

fn some_definitions(mask: u8) -> Vec<Definition> {
    let mut all = vec![
        every("t0", 60),
        Definition { overlap: Overlap::Queue, team: Some("x".into()), ..every("t1", 45) },
        Definition {
            overlap: Overlap::Allow,
            concurrency: Some(2),
            team: Some("x".into()),
            ..every("t2", 30)
        },
        Definition {
            retry: RetryRule { count: 2, delay: Duration::from_secs(20), ..RetryRule::default() },
            catch_up: CatchUp::Once,
            ..every("t3", 100)
        },
        on_demand("t4"),
    ];
    all[0].policy.max_runtime_s = Some(90);
    let mut kept = Vec::new();
    for (i, definition) in all.into_iter().enumerate() {
        if mask & (1 << i) == 0 {
            kept.push(definition);
        }
    }
    kept
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    /// Whatever comes: rows only take legal steps (checked by the bench), limits hold,
    /// nothing that may start is left waiting behind something worse, and a crash at any
    /// moment can be taken over.
    #[test]
    fn runs_never_leave_the_graph(steps in steps()) {
        let mut bench = Bench::new(some_definitions(0), at("00:00:00"));
        let mut defined = 0u8;
        for step in steps {
            let active: Vec<RunId> = bench.domain.runs.keys().cloned().collect();
            let pick = |i: usize| (!active.is_empty()).then(|| active[i % active.len()].clone());
            let task = |i: usize| TaskId::new(&format!("t{i}"));
            let now = bench.now;
            match step {
                Step::Pass(seconds) => bench.until(now + TimeDelta::seconds(i64::from(seconds))),
                Step::Trigger(i, priority) => {
                    let priority = priority.map(|level| Priority::new(level).unwrap());
                    let _ = bench.domain.trigger(&task(i), priority, now);
                }
                Step::Finish(i, good) => {
                    let running = bench.running();
                    if let Some(run) = running.get(i % running.len().max(1)) {
                        bench.finish(&run.clone(), good);
                    }
                }
                Step::Cancel(i) => if let Some(run) = pick(i) { let _ = bench.domain.cancel(&run, &"x".into(), now); },
                Step::Priority(i, level) => if let Some(run) = pick(i) {
                    let _ = bench.domain.reprioritise_run(&run, Priority::new(level).unwrap());
                },
                Step::Pause(i) => { let _ = bench.domain.pause(&task(i), &"x".into(), now); }
                Step::Resume(i) => { let _ = bench.domain.resume(&task(i), &"x".into(), now); }
                Step::Replace(mask) => {
                    defined = mask;
                    let limits = Limits { coordinator: 2, team: BTreeMap::from([("x".to_owned(), 1)]), ..Limits::default() };
                    bench.domain.replace(some_definitions(mask), limits, now);
                }
                Step::Crash => {
                    bench.settle();
                    bench = Bench::restarted(some_definitions(defined), now + TimeDelta::seconds(1), bench.left(), true);
                }
            }
            bench.settle();
            prop_assert!(bench.running().len() <= 2);
            let mut per_task: HashMap<TaskId, u32> = HashMap::new();
            for active in bench.domain.running() {
                let count = per_task.entry(active.row.run.task.clone()).or_default();
                *count += 1;
                prop_assert!(*count <= active.definition.at_once());
            }
            // What is on disk is what is in memory.
            let on_disk = bench.rows.values().filter(|run| !run.state.is_ended()).count();
            prop_assert_eq!(on_disk, bench.domain.runs.len());
            for active in bench.domain.runs.values() {
                prop_assert_eq!(bench.rows.get(&active.row.seq), Some(&active.row.run));
            }
            let told = bench.domain.alerts();
            prop_assert_eq!(told.len(), bench.open.len());
        }
    }
}

#[test]
fn the_alerts_of_a_task_are_found_whatever_their_kind() {
    assert!(AlertKind::ALL.is_sorted(), "the search begins at the first kind");
    let mut limited = every("b", 60);
    limited.policy.max_runtime_s = Some(30);
    let mut bench = Bench::new(vec![on_demand("a"), limited, on_demand("c")], at("10:00:30"));
    for task in ["a", "c"] {
        let run = bench.trigger(task);
        bench.finish(&run, false);
    }
    bench.until(at("10:01:30"));
    let kinds = |task: &str| -> Vec<AlertKind> {
        bench.domain.alerts_on(Some(&TaskId::new(task))).iter().map(|key| key.kind).collect()
    };
    assert_eq!(kinds("a"), [AlertKind::Failed]);
    assert_eq!(kinds("b"), [AlertKind::Overrun]);
    assert_eq!(kinds("c"), [AlertKind::Failed]);
    assert!(kinds("d").is_empty() && bench.domain.alerts_on(None).is_empty());
}
