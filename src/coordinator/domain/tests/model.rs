//! The queue and its runs against a simple model, by random triggers, cancels,
//! reprioritisations, ends, ticks, crashes and restarts: nothing that was
//! acknowledged is lost, nothing is carried out twice, and what starts is
//! always the best of what waits.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::*;
use super::{Bench, at, every, on_demand};
use crate::model::{Priority, Run};

/// As many runs at once as a bench allows.
const AT_ONCE: usize = 2;

#[derive(Debug, Clone)]
enum Step {
    Trigger {
        task: usize,
        priority: u8,
    },
    Cancel(usize),
    Reprioritise {
        run: usize,
        priority: u8,
    },
    Retry(usize),
    End {
        run: usize,
        good: bool,
    },
    Tick(i64),
    /// Killed, and started again after so many seconds. Each digit of `fates`, from the
    /// last one on, says what became of a run that was in progress.
    Crash {
        down: i64,
        fates: u32,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0usize..4, 1u8..=5).prop_map(|(task, priority)| Step::Trigger { task, priority }),
        2 => (0usize..64).prop_map(Step::Cancel),
        2 => (0usize..64, 1u8..=5).prop_map(|(run, priority)| Step::Reprioritise { run, priority }),
        1 => (0usize..64).prop_map(Step::Retry),
        6 => (0usize..64, any::<bool>()).prop_map(|(run, good)| Step::End { run, good }),
        4 => (0i64..90).prop_map(Step::Tick),
        2 => (0i64..200, any::<u32>()).prop_map(|(down, fates)| Step::Crash { down, fates }),
    ];
    proptest::collection::vec(step, 1..80)
}

/// `plain`, one that is retried, one that runs beside itself, and one with slots.
fn definitions() -> Vec<Definition> {
    let retry = RetryRule {
        count: 2,
        delay: std::time::Duration::from_secs(20),
        backoff: 2.0,
        jitter: 0.5,
        ..RetryRule::default()
    };
    vec![
        on_demand("plain"),
        Definition { retry, ..on_demand("retried") },
        Definition { overlap: Overlap::Allow, ..on_demand("beside") },
        every("slots", 60),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    Waits,
    /// Until its next attempt.
    Rests,
    Runs,
    Over,
}

/// A run as the model knows it.
#[derive(Debug, Clone)]
struct Known {
    task: TaskId,
    priority: Priority,
    stand: Stand,
    attempt: u32,
    cancelled: bool,
}

struct Model {
    bench: Bench,
    /// By the order of coming.
    runs: BTreeMap<u64, (RunId, Known)>,
    /// What was carried out, attempt by attempt.
    carried_out: BTreeSet<(RunId, u32)>,
    /// Starts of the bench that were looked at.
    seen: usize,
    slots: BTreeSet<DateTime<Utc>>,
}

impl Model {
    fn new() -> Self {
        let bench = Bench::new(definitions(), at("10:00:30"));
        let (runs, carried_out, slots) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        Self { bench, runs, carried_out, seen: 0, slots }
    }

    /// The nth of those that fit, if any does.
    fn pick(&self, n: usize, fits: impl Fn(&Known) -> bool) -> Option<(u64, RunId)> {
        let found: Vec<_> = self.runs.iter().filter(|(_, (_, known))| fits(known)).collect();
        let (seq, (id, _)) = found.get(n.checked_rem(found.len())?)?;
        Some((**seq, id.clone()))
    }

    fn known(&mut self, seq: u64) -> &mut Known {
        &mut self.runs.get_mut(&seq).unwrap().1
    }

    fn act(&mut self, step: &Step) {
        let now = self.bench.now;
        match *step {
            Step::Trigger { task, priority } => {
                let task = definitions().swap_remove(task).id;
                let priority = Priority::new(priority).unwrap();
                // It may be refused; what is not has to be there from now on.
                if let Ok(id) = self.bench.domain.trigger(&task, Some(priority), now) {
                    assert!(self.bench.domain.active(&id).is_some());
                }
            }
            Step::Cancel(n) => {
                let Some((seq, id)) = self.pick(n, |known| known.stand != Stand::Over) else { return };
                let known = self.known(seq);
                let again = known.stand == Stand::Runs && std::mem::replace(&mut known.cancelled, true);
                if known.stand != Stand::Runs {
                    known.stand = Stand::Over;
                }
                let cancelled = self.bench.domain.cancel(&id, &"enough".into(), now);
                assert_eq!(cancelled.is_err(), again);
            }
            Step::Reprioritise { run, priority } => {
                let priority = Priority::new(priority).unwrap();
                let pending = |known: &Known| matches!(known.stand, Stand::Waits | Stand::Rests);
                let Some((seq, id)) = self.pick(run, pending) else { return };
                self.bench.domain.reprioritise_run(&id, priority).unwrap();
                self.known(seq).priority = priority;
            }
            Step::Retry(n) => {
                let Some((_, id)) = self.pick(n, |known| known.stand == Stand::Over) else { return };
                let ended = self.bench.run(&id).clone();
                let retried = self.bench.domain.retry(&ended, now);
                assert!(retried.is_err() || ended.state != RunState::Succeeded);
            }
            Step::End { run, good } => {
                let Some((seq, id)) = self.pick(run, |known| known.stand == Stand::Runs) else { return };
                self.bench.domain.finished(&id, outcome(good), now);
                self.ended(seq, good, true);
            }
            Step::Tick(seconds) => self.bench.now += TimeDelta::seconds(seconds),
            Step::Crash { down, fates } => return self.crash(down, fates),
        }
        self.bench.settle();
        self.catch_up();
    }

    /// An attempt is over: for good, or until its next one.
    fn ended(&mut self, seq: u64, good: bool, may_try_again: bool) {
        let known = self.known(seq);
        let again = !good
            && may_try_again
            && !known.cancelled
            && known.task.as_raw() == "retried"
            && known.attempt < 2;
        known.stand = if again { Stand::Rests } else { Stand::Over };
        known.attempt += u32::from(again);
    }

    fn crash(&mut self, down: i64, mut fates: u32) {
        let mut left = self.bench.left();
        let running: Vec<(u64, RunId)> = self
            .runs
            .iter()
            .filter(|(_, (_, known))| known.stand == Stand::Runs)
            .map(|(seq, (id, _))| (*seq, id.clone()))
            .collect();
        for (seq, id) in running {
            let fate = match fates % 5 {
                0 => Fate::GoesOn,
                1 | 2 => {
                    let good = fates % 5 == 1;
                    self.ended(seq, good, true);
                    Fate::Ended(outcome(good))
                }
                3 => {
                    let certain = (fates / 5).is_multiple_of(2);
                    self.ended(seq, false, certain);
                    Fate::Lost(Lost { why: "its supervisor is gone".into(), certain })
                }
                _ => {
                    let known = self.known(seq);
                    let start = (id.clone(), known.attempt);
                    known.stand = if known.cancelled { Stand::Over } else { Stand::Waits };
                    // It was to start, and certainly has not: this time counts for nothing.
                    self.carried_out.remove(&start);
                    Fate::NeverStarted
                }
            };
            fates /= 10;
            left.fates.insert(id, fate);
        }
        let now = self.bench.now + TimeDelta::seconds(down);
        let rows = std::mem::take(&mut self.bench.rows);
        let ended = rows.into_iter().filter(|(_, run)| run.state.is_ended());
        left.last_seq = left.last_seq.max(self.runs.keys().max().copied().unwrap_or(0));
        self.bench = Bench::restarted(definitions(), now, left, true);
        // The disk keeps its history.
        for (seq, run) in ended {
            self.bench.rows.entry(seq).or_insert(run);
        }
        self.seen = 0;
        self.catch_up();
    }

    /// Holds the model against what has come of a step.
    fn catch_up(&mut self) {
        let now = self.bench.now;
        self.take_in_what_came();
        for (id, known) in self.runs.values_mut() {
            let rests = known.stand == Stand::Rests;
            if rests && self.bench.run(id).next_at.is_none_or(|at| at <= now) {
                known.stand = Stand::Waits;
            }
        }
        self.start();
        for (id, known) in self.runs.values() {
            let row = self.bench.run(id);
            let state = row.state;
            let as_known = match known.stand {
                Stand::Waits => state == RunState::Queued && row.next_at.is_none(),
                Stand::Rests => state == RunState::Queued && row.next_at.is_some(),
                Stand::Runs => state == RunState::Running,
                Stand::Over => state.is_ended(),
            };
            assert!(as_known, "{id:?} is {state}, and should be {:?}: {row:?}", known.stand);
            assert_eq!(self.bench.domain.active(id).is_some(), known.stand != Stand::Over, "{row:?}");
            if known.stand != Stand::Over {
                assert_eq!((row.attempt, row.priority), (known.attempt, Some(known.priority)));
            }
        }
        // Nothing is under way that the model does not know of.
        let under_way = self.runs.values().filter(|(_, known)| known.stand == Stand::Runs).count();
        assert_eq!(self.bench.running().len(), under_way);
        assert!(under_way <= AT_ONCE);
    }

    /// Runs that were asked for, and those of slots: each slot once, and none before its time.
    fn take_in_what_came(&mut self) {
        let last = self.runs.keys().max().copied().unwrap_or(0);
        let rows: Vec<(u64, Run)> =
            self.bench.rows.range(last + 1..).map(|(seq, run)| (*seq, run.clone())).collect();
        for (seq, run) in rows {
            if let Some(slot) = run.slot {
                assert!(slot <= self.bench.now, "{run:?}");
                assert!(self.slots.insert(slot), "the slot {slot} came twice");
            }
            let stand = if run.state.is_ended() { Stand::Over } else { Stand::Waits };
            let (task, priority) = (run.task, run.priority.unwrap_or_default());
            let known = Known { task, priority, stand, attempt: 0, cancelled: false };
            self.runs.insert(seq, (run.id.unwrap(), known));
        }
    }

    /// What has started is the best of what waited, again and again, and nothing that could start was left.
    fn start(&mut self) {
        let started = self.bench.started[self.seen..].to_vec();
        self.seen = self.bench.started.len();
        for (id, attempt) in started {
            let best = self.best().expect("nothing may start");
            assert_eq!(self.runs[&best].0, id, "another one should have started");
            assert_eq!(self.known(best).attempt, attempt);
            self.known(best).stand = Stand::Runs;
            assert!(self.carried_out.insert((id.clone(), attempt)), "{id:?} was carried out twice");
        }
        assert_eq!(self.best(), None, "it could start");
    }

    /// Who starts next, by the rules said simply.
    fn best(&self) -> Option<u64> {
        let runs = |task: Option<&TaskId>| {
            let running = self.runs.values().filter(|(_, known)| known.stand == Stand::Runs);
            running.filter(|(_, known)| task.is_none_or(|task| known.task == *task)).count()
        };
        let has_room = |known: &Known| known.task.as_raw() == "beside" || runs(Some(&known.task)) == 0;
        let waiting = self.runs.iter().filter(|(_, (_, known))| known.stand == Stand::Waits);
        let free = runs(None) < AT_ONCE;
        let best = waiting.filter(|(_, (_, known))| free && has_room(known));
        best.min_by_key(|(seq, (_, known))| (known.priority, **seq)).map(|(seq, _)| *seq)
    }
}

fn outcome(good: bool) -> Outcome {
    Outcome { good, exit_code: Some(i32::from(!good)), ..Outcome::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_nothing_is_doubled_and_the_order_is_right(steps in steps()) {
        let mut model = Model::new();
        for step in &steps {
            model.act(step);
        }
    }
}
