//! What failures, crashes and a new task file come to.

use super::*;

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
