//! A run from its start to its end: retries, limits, its time.

use super::super::runs::retry_delay;
use super::*;

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
    assert_eq!(retry_delay(&at_once, 1_000, 1.0), TimeDelta::zero());
    for (attempt, share, seconds) in
        [(1, 0.0, 10), (2, 0.0, 30), (3, 0.0, 90), (1, 1.0, 15), (99, 0.0, 86_400)]
    {
        assert_eq!(retry_delay(&rule, attempt, share), TimeDelta::seconds(seconds), "{attempt} {share}");
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
