//! Due times: started, missed, late, absent.

use super::*;

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
