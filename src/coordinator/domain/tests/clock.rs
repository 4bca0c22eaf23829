//! A clock that is set, and a machine that sleeps.

use super::*;

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
