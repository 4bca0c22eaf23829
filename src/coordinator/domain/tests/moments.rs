//! Cancel, reprioritise and retry at every moment of a run's life; retries over restarts.

use super::*;

/// A moment, how to get there, and what each call comes to: `Ok`, or the beginning of why not.
type Moment = (&'static str, fn(&mut Bench) -> RunId, [Result<(), &'static str>; 3]);

fn running(bench: &mut Bench) -> RunId {
    bench.trigger("a")
}

fn waiting(bench: &mut Bench) -> RunId {
    bench.trigger("a");
    bench.trigger("a")
}

fn ended(bench: &mut Bench, good: bool) -> RunId {
    let run = bench.trigger("b");
    bench.finish(&run, good);
    run
}

const MOMENTS: &[Moment] = &[
    ("waits for a place", waiting, [Ok(()), Ok(()), Err("it is still queued")]),
    (
        "waits for its next attempt",
        |bench| {
            let run = bench.trigger("a");
            bench.finish(&run, false);
            run
        },
        [Ok(()), Ok(()), Err("it is still queued")],
    ),
    ("runs", running, [Ok(()), Err("it has started"), Err("it is still running")]),
    (
        "runs its second attempt",
        |bench| {
            let run = bench.trigger("a");
            bench.finish(&run, false);
            bench.until(bench.now + TimeDelta::seconds(60));
            run
        },
        [Ok(()), Err("it has started"), Err("it is still running")],
    ),
    (
        "is being cancelled",
        |bench| {
            let run = bench.trigger("a");
            bench.domain.cancel(&run, &"x".into(), bench.now).unwrap();
            bench.settle();
            run
        },
        [Err("it is being stopped already"), Err("it has started"), Err("it is still running")],
    ),
    (
        "is being stopped for its time",
        |bench| {
            let run = bench.trigger("a");
            bench.until(bench.now + TimeDelta::seconds(300));
            run
        },
        // An operator's word goes before the limit's: no retry follows.
        [Ok(()), Err("it has started"), Err("it is still running")],
    ),
    ("succeeded", |bench| ended(bench, true), [Err("no run"), Err("no run"), Err("it succeeded")]),
    ("failed", |bench| ended(bench, false), [Err("no run"), Err("no run"), Ok(())]),
    (
        "was aborted",
        |bench| {
            let run = waiting(bench);
            bench.domain.cancel(&run, &"x".into(), bench.now).unwrap();
            bench.settle();
            run
        },
        [Err("no run"), Err("no run"), Ok(())],
    ),
    (
        "was missed",
        |bench| {
            bench.until(bench.now + TimeDelta::hours(3));
            let missed = bench.of("c").into_iter().find(|run| run.state == RunState::Missed).unwrap();
            missed.id.clone().unwrap()
        },
        [Err("no run"), Err("no run"), Ok(())],
    ),
    (
        "runs, and is a built-in's",
        |bench| bench.trigger("disk-space"),
        [
            Err("a built-in task ends by itself"),
            Err("a built-in task runs at once"),
            Err("it is still running"),
        ],
    ),
];

fn definitions() -> Vec<Definition> {
    let mut a = on_demand("a");
    a.retry = RetryRule { count: 2, delay: Duration::from_secs(30), jitter: 0.5, ..RetryRule::default() };
    a.policy.max_runtime_s = Some(240);
    let built_in = Definition::new("disk-space", Work::BuiltIn(BuiltIn::DiskSpace));
    vec![a, on_demand("b"), every("c", 3_600), built_in]
}

#[test]
fn cancel_reprioritise_and_retry_at_any_moment_of_a_runs_life() {
    let said = |result: Result<(), Refused>| match result {
        Ok(()) => Ok(()),
        Err(Refused::Conflict(why)) => Err(why.as_str().to_owned()),
        Err(Refused::NoRun(_)) => Err("no run".to_owned()),
        Err(other) => Err(format!("{other:?}")),
    };
    for (moment, lead, expected) in MOMENTS {
        for (call, expected) in ["cancel", "reprioritise", "retry"].into_iter().zip(expected) {
            let mut bench = Bench::new(definitions(), at("10:00:00"));
            let run = lead(&mut bench);
            let now = bench.now;
            let result = said(match call {
                "cancel" => bench.domain.cancel(&run, &"cancelled by me".into(), now),
                "reprioritise" => bench.domain.reprioritise_run(&run, Priority::new(1).unwrap()),
                _ => bench.domain.retry(&bench.run(&run).clone(), now).map(drop),
            });
            bench.settle();
            match (&result, expected) {
                (Ok(()), Ok(())) => {}
                (Err(found), Err(begins)) => {
                    assert!(found.starts_with(begins), "{call} when it {moment}: {found}");
                }
                _ => panic!("{call} when it {moment}: {result:?}"),
            }
            if result.is_err() {
                continue;
            }
            // What was accepted is so, whatever comes.
            if call == "cancel" {
                if bench.running().contains(&run) {
                    bench.finish(&run, false);
                }
                bench.until(now + TimeDelta::minutes(10));
                assert_eq!(bench.run(&run).state, RunState::Aborted, "{call} when it {moment}");
            } else if call == "reprioritise" {
                assert_eq!(bench.run(&run).priority, Priority::new(1).ok(), "{call} when it {moment}");
            } else {
                let cause = bench.rows.values().last().unwrap().cause.clone();
                assert_eq!(cause.as_deref(), Some("retry"), "{call} when it {moment}");
            }
        }
    }
}

#[test]
fn a_retry_keeps_its_time_over_restarts_with_its_jitter() {
    let mut bench = Bench::new(definitions(), at("10:00:00"));
    let run = bench.trigger("a");
    bench.finish(&run, false);
    let next = bench.run(&run).next_at.unwrap();
    assert!(next > at("10:00:30") && next < at("10:00:45"), "{next}");
    for seconds in [5, 10, 20] {
        bench =
            Bench::restarted(definitions(), at("10:00:00") + TimeDelta::seconds(seconds), bench.left(), true);
        assert_eq!((bench.run(&run).next_at, bench.run(&run).attempt), (Some(next), 1));
    }
    bench.until(next - TimeDelta::milliseconds(1));
    assert!(bench.started.is_empty());
    bench.until(next);
    assert_eq!(bench.started, [(run.clone(), 1)]);
    // One whose time has passed meanwhile starts at once.
    bench.finish(&run, false);
    let bench = Bench::restarted(definitions(), at("11:00:00"), bench.left(), true);
    assert!(bench.started.contains(&(run, 2)), "{:?}", bench.started);
}
