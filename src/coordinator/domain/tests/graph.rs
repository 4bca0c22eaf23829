//! Whatever is called in whatever order: runs keep to their graph.

use proptest::prelude::*;

use super::*;

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
