//! What starts after others, and what a blackout holds back.

use super::*;
use crate::model::{Blackout, Weekday};

fn after(id: &str, others: &[&str]) -> Definition {
    Definition { after: others.iter().map(|id| TaskId::new(id)).collect(), ..on_demand(id) }
}

fn dark(from_min: u16, to_min: u16) -> Vec<Blackout> {
    vec![Blackout { from_min, to_min, days: Vec::<Weekday>::new(), zone: "UTC".into() }]
}

impl Bench {
    /// Runs a task that is on demand to its end.
    fn once(&mut self, task: &str, good: bool) {
        let run = self.trigger(task);
        self.finish(&run, good);
    }

    fn run_of(&self, task: &str) -> RunId {
        let active = self.domain.running().find(|active| active.row.run.task.as_raw() == task);
        active.and_then(|active| active.row.run.id.clone()).unwrap()
    }

    fn says(&self, task: &str, words: &str) -> bool {
        self.task(task).remarks.iter().any(|remark| remark.contains(words))
    }
}

#[test]
fn a_task_starts_after_each_that_it_names_has_succeeded() {
    let mut bench = Bench::new(vec![on_demand("a"), on_demand("b"), after("c", &["a", "b"])], at("10:00:00"));
    assert!(
        bench.says("c", "starts after the success of a, b; waits for a, b"),
        "{:?}",
        bench.task("c").remarks
    );
    assert_eq!(bench.task("c").after, ["a".into(), "b".into()]);
    bench.once("a", true);
    assert!(bench.says("c", "waits for b"));
    bench.once("b", false);
    assert!(bench.says("c", "waits for b (its last run: failed)"), "{:?}", bench.task("c").remarks);
    assert!(bench.of("c").is_empty());
    bench.once("b", true);
    assert_eq!(bench.of("c")[0].cause.as_deref(), Some("after a, b"));
    let run = bench.run_of("c");
    bench.finish(&run, true);
    // Each has to succeed anew.
    bench.once("a", true);
    bench.once("a", true);
    assert_eq!(bench.of("c").len(), 1);
    bench.once("b", true);
    assert_eq!(bench.of("c").len(), 2);
}

#[test]
fn no_success_is_lost_over_a_crash() {
    let definitions = || vec![on_demand("a"), on_demand("b"), after("c", &["a", "b"])];
    let mut bench = Bench::new(definitions(), at("10:00:00"));
    bench.once("a", true);
    let mut bench = Bench::restarted(definitions(), at("10:01:00"), bench.left(), true);
    bench.once("b", true);
    assert_eq!(bench.state("c"), TaskState::Running);
    let run = bench.run_of("c");
    bench.finish(&run, true);
    // One that only answers starts nothing by itself, and the next one does.
    let mut bench = Bench::restarted(definitions(), at("10:02:00"), bench.left(), false);
    bench.once("a", true);
    bench.once("b", true);
    assert!(bench.of("c").is_empty());
    assert!(bench.says("c", "all of them have"));
    let bench = Bench::restarted(definitions(), at("10:03:00"), bench.left(), true);
    assert_eq!(bench.of("c").len(), 1);
    assert_eq!(bench.state("c"), TaskState::Running);
}

#[test]
fn what_succeeds_while_it_runs_makes_one_run_after_it() {
    let mut bench = Bench::new(vec![on_demand("a"), after("c", &["a"])], at("10:00:00"));
    bench.once("a", true);
    let first = bench.run_of("c");
    bench.once("a", true);
    bench.once("a", true);
    assert_eq!(bench.of("c").len(), 1);
    bench.finish(&first, false);
    assert_eq!(bench.of("c").len(), 2);
    let second = bench.run_of("c");
    bench.finish(&second, true);
    assert_eq!(bench.of("c").len(), 2);
    // One that may overlap starts for each.
    let queued = Definition { overlap: Overlap::Queue, ..after("c", &["a"]) };
    let mut bench = Bench::new(vec![on_demand("a"), queued], at("10:00:00"));
    for _ in 0..3 {
        bench.once("a", true);
    }
    let states: Vec<_> = bench.of("c").iter().map(|run| run.state).collect();
    assert_eq!(states, [RunState::Running, RunState::Queued, RunState::Queued]);
}

#[test]
fn a_pause_counts_no_success_and_an_edit_forgets_what_is_no_longer_named() {
    let definitions =
        vec![on_demand("a"), on_demand("b"), Definition { enabled: false, ..after("c", &["a"]) }];
    let mut bench = Bench::new(definitions, at("10:00:00"));
    bench.once("a", true);
    assert!(bench.of("c").is_empty());
    let definitions = vec![on_demand("a"), on_demand("b"), after("c", &["a", "b"])];
    bench.domain.replace(definitions, Limits::default(), bench.now);
    bench.settle();
    bench.once("a", true);
    assert!(bench.of("c").is_empty());
    let definitions = vec![on_demand("a"), on_demand("b"), after("c", &["b"])];
    bench.domain.replace(definitions, Limits::default(), bench.now);
    bench.settle();
    assert!(bench.of("c").is_empty() && bench.says("c", "waits for b"));
    bench.once("b", true);
    assert_eq!(bench.of("c").len(), 1);
}

#[test]
fn slots_in_a_blackout_are_missed_and_not_late() {
    let quiet = Definition { blackout: dark(10 * 60 + 30, 12 * 60 + 30), ..every("a", 3_600) };
    let mut bench = Bench::new(vec![quiet.clone()], at("09:30:00"));
    bench.until(at("10:00:00"));
    let run = bench.run_of("a");
    bench.finish(&run, true);
    assert!(!bench.says("a", "blackout"));
    assert_eq!(bench.task("a").next_due, Some(at("13:00:00")));
    bench.until(at("10:30:00"));
    assert!(
        bench.says("a", "blackout until Mon 12:30 UTC: it starts only by hand"),
        "{:?}",
        bench.task("a").remarks
    );
    bench.until(at("11:10:00"));
    let missed = bench.of("a")[1];
    assert_eq!(missed.state, RunState::Missed);
    assert_eq!(
        missed.message.as_deref(),
        Some("blackout: nothing of it starts by itself until Mon 12:30 UTC")
    );
    assert_eq!(bench.state("a"), TaskState::Healthy);
    // By hand it starts.
    bench.once("a", true);
    bench.until(at("12:59:59"));
    assert!(!bench.says("a", "blackout") && bench.open.is_empty());
    assert_eq!(bench.of("a").len(), 4);
    bench.until(at("13:00:00"));
    assert_eq!(bench.state("a"), TaskState::Running);

    // Where nothing is scheduled, what came before it is late only by the time outside of it.
    let late = Definition {
        blackout: dark(10 * 60 + 1, 10 * 60 + 31),
        catch_up: CatchUp::Once,
        ..every("a", 3_600)
    };
    let mut bench = Bench::restarted(vec![late], at("09:30:00"), Loaded::default(), false);
    bench.until(at("10:31:59"));
    assert_eq!(bench.state("a"), TaskState::Due);
    bench.until(at("10:32:00"));
    assert_eq!(bench.state("a"), TaskState::Late);
}

#[test]
fn a_blackout_is_no_slot_to_catch_up_with() {
    let definition =
        Definition { blackout: dark(11 * 60, 14 * 60), catch_up: CatchUp::Once, ..every("a", 3_600) };
    let bench = Bench::new(vec![definition.clone()], at("09:30:00"));
    let mut bench = Bench::restarted(vec![definition], at("13:30:00"), bench.left(), true);
    let found: Vec<_> = bench.of("a").iter().map(|run| (run.state, run.slot.unwrap())).collect();
    // The newest slot outside is caught up with, once the blackout is over.
    assert_eq!(found, [(RunState::Missed, at("13:00:00")), (RunState::Queued, at("10:00:00"))]);
    bench.until(at("14:00:00"));
    assert_eq!(bench.of("a")[1].state, RunState::Running);
}

#[test]
fn what_would_start_by_itself_in_a_blackout_is_held_back_until_it_is_over() {
    let definitions = || vec![on_demand("a"), Definition { blackout: dark(600, 660), ..after("c", &["a"]) }];
    let mut bench = Bench::new(definitions(), at("10:00:00"));
    bench.once("a", true);
    let held = bench.of("c")[0].clone();
    assert_eq!((held.state, held.next_at), (RunState::Queued, Some(at("11:00:00"))));
    assert_eq!(held.message.as_deref(), Some("held back by a blackout until Mon 11:00 UTC"));
    // It takes no place, and is neither late nor stalled; a restart keeps it.
    let mut bench = Bench::restarted(definitions(), at("10:30:00"), bench.left(), true);
    bench.until(at("10:59:59"));
    assert!(bench.started.is_empty() && bench.open.is_empty());
    assert_eq!(bench.state("c"), TaskState::Queued);
    bench.until(at("11:00:00"));
    assert_eq!(bench.state("c"), TaskState::Running);
    // Without the blackout it starts at once.
    let mut bench = Bench::new(definitions(), at("10:00:00"));
    bench.once("a", true);
    bench.domain.replace(vec![on_demand("a"), after("c", &["a"])], Limits::default(), bench.now);
    bench.settle();
    assert_eq!(bench.state("c"), TaskState::Running);
}

#[derive(Debug, Clone)]
enum Move {
    Trigger(usize, u8),
    Finish(usize, bool),
    Cancel(usize),
    Priority(usize, u8),
    Pass(u32),
    Crash,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let step = prop_oneof![
        5 => (0usize..5, 1u8..=5).prop_map(|(task, level)| Move::Trigger(task, level)),
        6 => (0usize..9, prop::bool::weighted(0.8)).prop_map(|(run, good)| Move::Finish(run, good)),
        1 => (0usize..9).prop_map(Move::Cancel),
        1 => (0usize..9, 1u8..=5).prop_map(|(run, level)| Move::Priority(run, level)),
        2 => (1u32..90).prop_map(Move::Pass),
        1 => Just(Move::Crash),
    ];
    proptest::collection::vec(step, 1..80)
}

fn chain() -> Vec<Definition> {
    let low = |definition: Definition| Definition { priority: Priority::new(5).unwrap(), ..definition };
    vec![
        on_demand("p0"),
        Definition { team: Some("x".into()), ..on_demand("p1") },
        every("p2", 60),
        low(after("f", &["p0", "p1"])),
        Definition { overlap: Overlap::Queue, team: Some("x".into()), ..after("g", &["f", "p2"]) },
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    /// Against a plain list of successes since each one's last start: a task comes to
    /// run only when all that it names are in it, and never stays idle when they are,
    /// whatever the limits, the priorities and the crashes.
    #[test]
    fn no_success_is_lost_and_none_counts_twice(moves in moves()) {
        let names = ["p0", "p1", "p2", "f", "g"];
        let needs: [(&str, [&str; 2]); 2] = [("f", ["p0", "p1"]), ("g", ["f", "p2"])];
        let mut bench = Bench::new(chain(), at("00:00:00"));
        let mut since: HashMap<&str, BTreeSet<String>> = HashMap::new();
        let mut seen: BTreeMap<u64, RunState> = BTreeMap::new();
        for step in moves {
            let now = bench.now;
            let active: Vec<RunId> = bench.domain.runs.keys().cloned().collect();
            let pick = |i: usize| (!active.is_empty()).then(|| active[i % active.len()].clone());
            match step {
                Move::Trigger(i, level) => {
                    let _ = bench.domain.trigger(&TaskId::new(names[i]), Priority::new(level).ok(), now);
                }
                Move::Finish(i, good) => {
                    let running = bench.running();
                    if let Some(run) = running.get(i % running.len().max(1)) {
                        let outcome = Outcome { good, ..Outcome::default() };
                        bench.domain.finished(&run.clone(), outcome, now);
                    }
                }
                Move::Cancel(i) => if let Some(run) = pick(i) {
                    let _ = bench.domain.cancel(&run, &"x".into(), now);
                },
                Move::Priority(i, level) => if let Some(run) = pick(i) {
                    let _ = bench.domain.reprioritise_run(&run, Priority::new(level).unwrap());
                },
                Move::Pass(seconds) => bench.until(now + TimeDelta::seconds(i64::from(seconds))),
                Move::Crash => {
                    bench = Bench::restarted(chain(), now + TimeDelta::seconds(1), bench.left(), true);
                }
            }
            bench.settle();
            // Ends first, then what came of them, then starts: the order within one step.
            let rows: Vec<(u64, Run)> = bench.rows.iter().map(|(seq, run)| (*seq, run.clone())).collect();
            let was = |seq: &u64| seen.get(seq).copied();
            for (seq, run) in &rows {
                if run.state == RunState::Succeeded && was(seq) != Some(RunState::Succeeded) {
                    for (follower, needed) in needs {
                        if needed.contains(&run.task.as_raw()) {
                            since.entry(follower).or_default().insert(run.task.as_raw().to_owned());
                        }
                    }
                }
            }
            for (follower, needed) in needs {
                let all = needed.iter().all(|task| since.get(follower).is_some_and(|since| since.contains(*task)));
                let own: Vec<&(u64, Run)> = rows.iter().filter(|(_, run)| run.task.as_raw() == follower).collect();
                let came = own.iter().any(|(seq, run)| {
                    was(seq).is_none() && run.cause.as_deref().is_some_and(|cause| cause.starts_with("after"))
                });
                prop_assert!(!came || all, "{follower} came to run before its time");
                let idle = own.iter().all(|(_, run)| run.state.is_ended());
                prop_assert!(!(all && idle), "{follower} stays idle");
                let started = |(seq, run): &&(u64, Run)| {
                    run.started.is_some() && matches!(was(seq), None | Some(RunState::Queued))
                };
                // Coming to run and starting both begin the count anew.
                if came || own.iter().any(started) {
                    since.remove(follower);
                }
            }
            seen = rows.into_iter().map(|(seq, run)| (seq, run.state)).collect();
            prop_assert!(bench.running().len() <= 2);
        }
    }
}
