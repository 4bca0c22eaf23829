//! What operators ask for.

use super::*;

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
