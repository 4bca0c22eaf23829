//! Every rule of lateness, at its boundaries.

use chrono::{DateTime, TimeDelta, Utc};

use super::super::{Assessment, Plan, answered, assess, satisfied, windows};
use super::{at, cron, every};
use crate::model::{AlertKind, Dialect, Facts, Policy, QueuedFact, RunId, RunningFact, TaskState};

/// Daily at 02:00 UTC.
fn daily() -> Plan {
    cron("0 2 * * *", Dialect::Unix, "UTC")
}

/// A time of 20 November 2026.
fn clock(text: &str) -> DateTime<Utc> {
    at(&format!("2026-11-20T{text}Z"))
}

/// Known since the 19th at noon, last run in order that morning.
fn known() -> Facts {
    let start = at("2026-11-19T02:00:01Z");
    Facts {
        since: Some(at("2026-11-01T00:00:00Z")),
        last_start: Some(start),
        last_end: Some(start + TimeDelta::seconds(40)),
        good_streak: 7,
        ..Facts::default()
    }
}

fn judge(facts: &Facts, plan: Option<&Plan>, now: DateTime<Utc>) -> Assessment {
    assess(facts, plan, false, &Policy::default(), false, now)
}

fn kinds(answer: &Assessment) -> Vec<AlertKind> {
    answer.problems.iter().map(|problem| problem.kind).collect()
}

#[test]
fn a_slot_goes_from_due_to_late_to_absent() {
    let (facts, plan) = (known(), daily());
    let slot = clock("02:00:00");
    for (now, state, since, problem, next) in [
        ("01:59:59", TaskState::Healthy, facts.last_end, None, Some("02:00:00")),
        ("02:00:00", TaskState::Due, Some(slot), None, Some("02:02:00")),
        ("02:01:59", TaskState::Due, Some(slot), None, Some("02:02:00")),
        ("02:02:00", TaskState::Late, Some(clock("02:02:00")), Some(AlertKind::Late), Some("02:06:00")),
        ("02:05:59", TaskState::Late, Some(clock("02:02:00")), Some(AlertKind::Late), Some("02:06:00")),
        ("02:06:00", TaskState::Absent, Some(clock("02:06:00")), Some(AlertKind::Absent), None),
        ("23:59:59", TaskState::Absent, Some(clock("02:06:00")), Some(AlertKind::Absent), None),
    ] {
        let answer = judge(&facts, Some(&plan), clock(now));
        assert_eq!((answer.state, answer.since), (state, since), "{now}");
        assert_eq!(kinds(&answer), problem.into_iter().collect::<Vec<_>>(), "{now}");
        assert_eq!(answer.next_due, Some(slot), "{now}");
        assert_eq!(answer.late_since, problem.map(|_| slot), "{now}");
        assert_eq!(answer.next_change, next.map(clock), "{now}");
    }
}

#[test]
fn a_slot_long_gone_stays_the_one_that_lateness_counts_from() {
    let answer = judge(&known(), Some(&daily()), at("2026-11-25T10:00:00Z"));
    assert_eq!(answer.state, TaskState::Absent);
    assert_eq!(answer.next_due, Some(clock("02:00:00")));
    assert_eq!(answer.problems[0].since, clock("02:06:00"));
}

#[test]
fn summaries_are_one_line_by_the_zones_clock() {
    let plan = cron("0 2 * * *", Dialect::Unix, "Europe/Paris");
    for (now, assumed, words) in [
        ("01:03:00", false, "due 02:00 Europe/Paris, not started"),
        ("01:30:00", false, "due 02:00 Europe/Paris, never started"),
        ("01:03:00", true, "due 02:00 Europe/Paris, not started (schedule assumed)"),
        ("01:30:00", true, "due 02:00 Europe/Paris, never started (schedule assumed)"),
    ] {
        let answer = assess(&known(), Some(&plan), assumed, &Policy::default(), false, clock(now));
        assert_eq!(answer.problems[0].summary.as_str(), words);
        assert_eq!(answer.problems[0].assumed, assumed);
    }
}

#[test]
fn windows_are_cut_in_proportion() {
    let policy =
        |start_window_s, lateness_window_s| Policy { start_window_s, lateness_window_s, ..Policy::default() };
    for (start, lateness, interval, expected) in [
        (120, 240, None, (120_000, 240_000)),
        (120, 240, Some(86_400), (120_000, 240_000)),
        (120, 240, Some(360), (120_000, 240_000)),
        (120, 240, Some(359), (119_666, 239_334)),
        (120, 240, Some(300), (100_000, 200_000)),
        (120, 240, Some(60), (20_000, 40_000)),
        (120, 240, Some(1), (333, 667)),
        (0, 240, Some(60), (0, 60_000)),
        (3600, 0, Some(60), (60_000, 0)),
        (0, 0, Some(60), (0, 0)),
        (u32::MAX, u32::MAX, Some(60), (30_000, 30_000)),
    ] {
        let found = windows(&policy(start, lateness), interval.map(TimeDelta::seconds));
        let expected = (TimeDelta::milliseconds(expected.0), TimeDelta::milliseconds(expected.1));
        assert_eq!(found, expected, "{start} {lateness} {interval:?}");
    }
}

#[test]
fn in_a_short_interval_the_next_slot_ends_the_windows() {
    let plan = every(60);
    let facts = Facts { last_start: Some(clock("09:59:00")), last_end: None, ..known() };
    for (now, state) in [
        ("09:59:59", TaskState::Healthy),
        ("10:00:19", TaskState::Due),
        ("10:00:20", TaskState::Late),
        ("10:00:59", TaskState::Late),
        ("10:01:00", TaskState::Absent),
    ] {
        let answer = judge(&facts, Some(&plan), clock(now));
        assert_eq!((answer.state, answer.next_due), (state, Some(clock("10:00:00"))), "{now}");
    }
}

#[test]
fn a_start_answers_its_slot_and_the_coming_one_within_tolerance() {
    let (plan, policy) = (daily(), Policy::default());
    let (today, yesterday) = (Some(clock("02:00:00")), Some(at("2026-11-19T02:00:00Z")));
    for (start, slot) in [
        ("00:00:00", yesterday),
        ("01:57:59", yesterday),
        ("01:58:00", today),
        ("02:00:00", today),
        ("02:04:00", today),
        ("23:00:00", today),
    ] {
        assert_eq!(answered(&plan, &policy, clock(start)), slot, "{start}");
        let facts = Facts { last_start: Some(clock(start)), last_end: None, ..known() };
        assert_eq!(satisfied(&facts, &plan, &policy), slot, "{start}");
        let expected = if slot == today { TaskState::Healthy } else { TaskState::Absent };
        assert_eq!(judge(&facts, Some(&plan), clock("23:30:00")).state, expected, "{start}");
    }
    // A wide start window never makes an ordinary start answer the slot after it too.
    let wide = Policy { start_window_s: 86_400, lateness_window_s: 0, ..policy };
    assert_eq!(answered(&plan, &wide, clock("02:00:00")), today);
    assert_eq!(answered(&plan, &wide, clock("13:59:59")), today);
    assert_eq!(answered(&plan, &wide, clock("14:00:00")), Some(at("2026-11-21T02:00:00Z")));
    // Uneven slots: at :00 and :01. The window of :01 is long, the room before it is short.
    let uneven = cron("0,1 * * * *", Dialect::Unix, "UTC");
    assert_eq!(answered(&uneven, &policy, clock("10:00:00")), Some(clock("10:00:00")));
    assert_eq!(answered(&uneven, &policy, clock("10:00:41")), Some(clock("10:01:00")));
}

#[test]
fn where_only_ends_are_dated_an_end_answers() {
    let plan = daily();
    for (end, state) in [
        ("01:57:59", TaskState::Absent),
        ("01:58:00", TaskState::Healthy),
        ("02:00:00", TaskState::Healthy),
        ("02:31:00", TaskState::Healthy),
    ] {
        let facts = Facts {
            since: Some(at("2026-11-19T12:00:00Z")),
            last_end: Some(clock(end)),
            good_streak: 1,
            ..Facts::default()
        };
        assert_eq!(judge(&facts, Some(&plan), clock("12:00:00")).state, state, "{end}");
    }
}

#[test]
fn an_early_completion_answers_the_coming_slot_unless_it_is_the_one_befores_run() {
    let plan = every(3600);
    let (nine, nine_run) = (clock("09:00:00"), clock("09:00:02"));
    let facts = |start: &str, end: &str, previous| Facts {
        last_start: Some(clock(start)),
        last_end: Some(clock(end)),
        previous_start: previous,
        ..known()
    };
    let policy = Policy::default();
    // By hand from 09:50 to 09:59, after the run of 09:00: the work of 10:00 is done.
    let by_hand = facts("09:50:00", "09:59:00", Some(nine_run));
    assert_eq!(satisfied(&by_hand, &plan, &policy), Some(clock("10:00:00")));
    // The same, ended one second too early.
    let too_early = facts("09:50:00", "09:57:59", Some(nine_run));
    assert_eq!(satisfied(&too_early, &plan, &policy), Some(nine));
    // The run of 09:00 itself took 59 minutes.
    let long = facts("09:00:02", "09:59:00", Some(clock("08:00:02")));
    assert_eq!(satisfied(&long, &plan, &policy), Some(nine));
    // It took until 11:30: the slots at 10:00 and 11:00 were skipped by overlap.
    let overlong = facts("09:00:02", "11:30:00", Some(clock("08:00:02")));
    assert_eq!(satisfied(&overlong, &plan, &policy), Some(clock("11:00:00")));
    // An end of a run before the newest start says nothing of the newest.
    let lost = facts("09:00:02", "08:59:00", Some(clock("08:00:02")));
    assert_eq!(satisfied(&lost, &plan, &policy), Some(nine));
}

#[test]
fn what_the_system_says_of_a_slot_comes_first() {
    let plan = daily();
    let explicit =
        Facts { satisfied: Some(at("2026-11-19T02:00:00Z")), last_start: Some(clock("02:00:00")), ..known() };
    assert_eq!(judge(&explicit, Some(&plan), clock("02:10:00")).state, TaskState::Absent);
    let skipped = Facts { satisfied: Some(clock("02:00:00")), ..known() };
    let answer = judge(&skipped, Some(&plan), clock("02:10:00"));
    assert_eq!((answer.state, answer.next_due), (TaskState::Healthy, Some(at("2026-11-21T02:00:00Z"))));
}

#[test]
fn slots_before_the_known_past_do_not_count() {
    let plan = daily();
    for (since, state, due) in [
        ("02:00:00", TaskState::Absent, "2026-11-20T02:00:00Z"),
        ("02:00:01", TaskState::Healthy, "2026-11-21T02:00:00Z"),
        ("02:00:00.001", TaskState::Healthy, "2026-11-21T02:00:00Z"),
    ] {
        let facts = Facts { since: Some(clock(since)), ..Facts::default() };
        let answer = judge(&facts, Some(&plan), clock("12:00:00"));
        assert_eq!((answer.state, answer.next_due), (state, Some(at(due))), "{since}");
        // Resumed since its last run: at rest from then on.
        let resumed = judge(&Facts { since: facts.since, ..known() }, Some(&plan), clock("12:00:00"));
        assert_eq!(resumed.state, state);
        assert!(state != TaskState::Healthy || resumed.since == facts.since, "{since}");
    }
}

#[test]
fn without_a_known_past_nothing_is_late_and_without_any_fact_nothing_is_known() {
    let plan = daily();
    let mut facts = Facts::default();
    let answer = judge(&facts, Some(&plan), clock("12:00:00"));
    assert_eq!((answer.state, answer.since), (TaskState::Unknown, None));
    assert_eq!(answer.next_due, Some(at("2026-11-21T02:00:00Z")));
    assert_eq!(answer.next_change, answer.next_due);
    assert_eq!(judge(&facts, None, clock("12:00:00")).next_change, None);
    facts.last_start = Some(at("2026-10-01T00:00:00Z"));
    let answer = judge(&facts, Some(&plan), clock("12:00:00"));
    assert_eq!((answer.state, answer.late_since, kinds(&answer)), (TaskState::Healthy, None, vec![]));
    let new = Facts { since: Some(clock("11:00:00")), ..Facts::default() };
    assert_eq!(judge(&new, Some(&plan), clock("12:00:00")).state, TaskState::Healthy);
    assert_eq!(judge(&new, None, clock("12:00:00")).state, TaskState::Healthy);
}

#[test]
fn a_scheduled_task_without_history_is_healthy_until_its_first_slot_has_gone_by() {
    let plan = daily();
    let facts = Facts { scheduled_since: Some(at("2026-11-19T12:00:00Z")), ..Facts::default() };
    for (now, state) in [
        ("00:00:00", TaskState::Healthy),
        ("02:00:00", TaskState::Healthy),
        ("02:05:59", TaskState::Healthy),
        ("02:06:00", TaskState::Unknown),
        ("23:00:00", TaskState::Unknown),
    ] {
        let answer = judge(&facts, Some(&plan), clock(now));
        assert_eq!((answer.state, answer.late_since, kinds(&answer)), (state, None, vec![]), "{now}");
    }
    assert_eq!(judge(&facts, Some(&plan), clock("02:03:00")).next_change, Some(clock("02:06:00")));
    // Without a schedule nothing tells when it would show.
    assert_eq!(judge(&facts, None, clock("00:00:00")).state, TaskState::Unknown);
    let failing = Facts { undated_failure: true, bad_streak: 1, ..facts };
    assert_eq!(judge(&failing, Some(&plan), clock("00:00:00")).state, TaskState::Failing);
}

#[test]
fn paused_is_not_late_and_has_nothing_due() {
    let failing = Facts { bad_streak: 1, good_streak: 0, ..known() };
    let answer = assess(&failing, Some(&daily()), false, &Policy::default(), true, clock("12:00:00"));
    assert_eq!((answer.state, answer.next_due, answer.late_since), (TaskState::Paused, None, None));
    assert_eq!((kinds(&answer), answer.next_change), (vec![AlertKind::Failed], None));
}

#[test]
fn a_failure_without_a_date_is_failing_and_stops_lateness() {
    let facts = Facts { undated_failure: true, last_end: Some(at("2026-11-18T02:00:05Z")), ..known() };
    let answer = judge(&facts, Some(&daily()), clock("12:00:00"));
    assert_eq!((answer.state, answer.since, answer.late_since), (TaskState::Failing, None, None));
    assert_eq!(answer.next_due, Some(at("2026-11-21T02:00:00Z")));
    assert_eq!(kinds(&answer), [AlertKind::Failed]);
    assert_eq!(answer.problems[0].since, at("2026-11-18T02:00:05Z"));
    assert_eq!(answer.problems[0].summary.as_str(), "the last run failed; when is not told");
}

#[test]
fn failing_and_recovery_have_thresholds() {
    for (bad, good, was, failing, words) in [
        (0, 4, false, false, ""),
        (1, 0, false, false, ""),
        (2, 0, false, false, ""),
        (3, 0, false, true, "the last 3 runs failed"),
        (0, 1, true, true, "failed before; 1 of 2 good runs since"),
        (0, 2, true, false, ""),
        (1, 0, true, true, "the last run failed"),
    ] {
        let facts = Facts {
            bad_streak: bad,
            good_streak: good,
            was_failing: was,
            failing_since: Some(at("2026-11-17T02:01:00Z")),
            ..known()
        };
        let policy = Policy { failure_threshold: 3, recovery_threshold: 2, ..Policy::default() };
        let answer = assess(&facts, Some(&daily()), false, &policy, false, at("2026-11-19T12:00:00Z"));
        let state = if failing { TaskState::Failing } else { TaskState::Healthy };
        assert_eq!((answer.state, answer.since), (state, facts.last_end), "{bad} {good} {was}");
        assert_eq!(answer.problems.len(), usize::from(failing));
        for problem in &answer.problems {
            assert_eq!((problem.since, problem.summary.as_str()), (at("2026-11-17T02:01:00Z"), words));
        }
    }
    // A threshold of zero is one.
    let policy = Policy { failure_threshold: 0, recovery_threshold: 0, ..Policy::default() };
    assert_eq!(assess(&known(), None, false, &policy, false, clock("01:00:00")).state, TaskState::Healthy);
}

#[test]
fn what_a_failing_task_shows_when_its_slot_comes() {
    let facts = Facts { bad_streak: 1, good_streak: 0, ..known() };
    for (now, state, problems) in [
        ("02:00:00", TaskState::Failing, vec![AlertKind::Failed]),
        ("02:02:00", TaskState::Late, vec![AlertKind::Late, AlertKind::Failed]),
        ("02:06:00", TaskState::Absent, vec![AlertKind::Absent, AlertKind::Failed]),
    ] {
        let answer = judge(&facts, Some(&daily()), clock(now));
        assert_eq!((answer.state, kinds(&answer)), (state, problems), "{now}");
    }
}

#[test]
fn where_several_states_hold_the_first_is_shown() {
    let all = Facts {
        bad_streak: 1,
        good_streak: 0,
        running: vec![running(None, "02:00:01", None)],
        queued: Some(QueuedFact { since: clock("02:00:00"), slot: None }),
        satisfied: Some(at("2026-11-19T02:00:00Z")),
        ..known()
    };
    let not_running = Facts { running: vec![], ..all.clone() };
    let not_queued = Facts { queued: None, ..not_running.clone() };
    let not_failing = Facts { bad_streak: 0, good_streak: 1, ..not_queued.clone() };
    let steps = [
        (&all, true, "02:10:00"),
        (&all, false, "02:10:00"),
        (&not_running, false, "02:10:00"),
        (&not_queued, false, "02:10:00"),
        (&not_queued, false, "02:03:00"),
        (&not_queued, false, "02:01:00"),
        (&not_failing, false, "02:01:00"),
        (&not_failing, false, "01:00:00"),
    ];
    let shown = steps.map(|(facts, paused, now)| {
        assess(facts, Some(&daily()), false, &Policy::default(), paused, clock(now)).state
    });
    // All but archived, which is no matter of time, and unknown, which is no fact.
    assert_eq!(shown, TaskState::PRECEDENCE[1..9]);
}

#[test]
fn a_queued_run_is_queued_and_not_late() {
    let queued = |slot| Some(QueuedFact { since: clock("02:00:00"), slot });
    let facts = Facts { queued: queued(Some(clock("02:00:00"))), ..known() };
    for now in ["02:00:00", "02:02:00", "02:06:00", "12:00:00"] {
        let answer = judge(&facts, Some(&daily()), clock(now));
        assert_eq!((answer.state, answer.since), (TaskState::Queued, Some(clock("02:00:00"))));
        assert_eq!((answer.next_due, answer.late_since), (Some(clock("02:00:00")), None));
        assert_eq!((kinds(&answer), answer.next_change), (vec![], None));
    }
    // Its slot is dealt with: it waits for its next attempt.
    let retry = Facts { satisfied: Some(clock("02:00:00")), bad_streak: 1, ..facts };
    let answer = judge(&retry, Some(&daily()), clock("02:10:00"));
    assert_eq!((answer.state, answer.next_due), (TaskState::Queued, Some(at("2026-11-21T02:00:00Z"))));
}

fn running(id: Option<&str>, started: &str, beat: Option<&str>) -> RunningFact {
    RunningFact { id: id.map(RunId::new), started: clock(started), last_beat: beat.map(clock) }
}

#[test]
fn every_run_in_progress_is_watched_for_its_limit() {
    let policy = Policy { max_runtime_s: Some(3600), ..Policy::default() };
    let runs = vec![running(Some("8"), "02:30:00", None), running(Some("7"), "02:00:01", None)];
    let facts = Facts { running: runs, last_start: Some(clock("02:30:00")), ..known() };
    for (now, since, words, next) in [
        ("03:00:00", None, "", Some("03:00:01")),
        ("03:00:01", Some("03:00:01"), "run 7 not ended after 1h", Some("03:30:00")),
        ("03:29:59", Some("03:00:01"), "run 7 not ended after 1h", Some("03:30:00")),
        ("03:30:00", Some("03:00:01"), "2 runs (8, 7) not ended after 1h", None),
    ] {
        let answer = assess(&facts, None, false, &policy, false, clock(now));
        assert_eq!((answer.state, answer.since), (TaskState::Running, Some(clock("02:00:01"))));
        let found =
            answer.problems.first().map(|problem| (problem.kind, problem.since, problem.summary.as_str()));
        assert_eq!(found, since.map(|since| (AlertKind::Overrun, clock(since), words)), "{now}");
        assert_eq!(answer.next_change, next.map(clock), "{now}");
    }
    let unnamed = Facts { running: vec![running(None, "02:00:00", None)], ..Facts::default() };
    let answer = assess(&unnamed, None, false, &policy, false, clock("04:00:00"));
    assert_eq!(answer.problems[0].summary.as_str(), "a run not ended after 1h");
    assert_eq!(assess(&unnamed, None, false, &Policy::default(), false, clock("23:00:00")).problems, []);
}

#[test]
fn a_lost_heartbeat_is_dead_only_after_the_first_beat() {
    for (timeout, beat, now, dead) in [
        (None, None, "23:00:00", None),
        (Some(60), None, "23:00:00", None),
        (None, Some("02:01:00"), "02:01:29", None),
        (None, Some("02:01:00"), "02:01:30", Some("02:01:30")),
        (Some(60), Some("02:01:00"), "02:01:59", None),
        (Some(60), Some("02:01:00"), "02:02:00", Some("02:02:00")),
    ] {
        let policy = Policy { heartbeat_timeout_s: timeout, ..Policy::default() };
        let facts = Facts { running: vec![running(Some("7"), "02:00:00", beat)], ..known() };
        let answer = assess(&facts, None, false, &policy, false, clock(now));
        assert_eq!(answer.state, TaskState::Running);
        let found = answer.problems.first().map(|problem| (problem.kind, problem.since));
        assert_eq!(found, dead.map(|since| (AlertKind::Dead, clock(since))), "{timeout:?} {beat:?} {now}");
    }
}

#[test]
fn slots_that_come_while_a_run_is_in_progress() {
    let hourly = every(3600);
    let facts = Facts { running: vec![running(None, "09:00:02", None)], ..known() };
    // The system does not tell what it did with 10:00: perhaps skipped by overlap, not late.
    let answer = judge(&facts, Some(&hourly), clock("10:30:00"));
    assert_eq!((answer.state, kinds(&answer)), (TaskState::Running, vec![]));
    assert_eq!((answer.next_due, answer.next_change), (Some(clock("11:00:00")), Some(clock("11:00:00"))));
    // It tells that 09:00 is the last one dealt with: 10:00 is open, and absent beside the run.
    let told = Facts { satisfied: Some(clock("09:00:00")), ..facts };
    let answer = judge(&told, Some(&hourly), clock("10:30:00"));
    assert_eq!((answer.state, kinds(&answer)), (TaskState::Running, vec![AlertKind::Absent]));
    assert_eq!((answer.next_due, answer.late_since), (Some(clock("10:00:00")), Some(clock("10:00:00"))));
}

#[test]
fn starts_too_near_to_each_other_are_too_often() {
    for (gap, minimum, too_often) in
        [(299, Some(300), true), (300, Some(300), false), (5, None, false), (0, Some(1), true)]
    {
        let last = clock("02:00:00");
        let facts =
            Facts { last_start: Some(last), previous_start: Some(last - TimeDelta::seconds(gap)), ..known() };
        let policy = Policy { min_gap_s: minimum, ..Policy::default() };
        let answer = assess(&facts, None, false, &policy, false, clock("02:10:00"));
        assert_eq!(answer.state, TaskState::Healthy);
        let found = answer.problems.first().map(|problem| (problem.kind, problem.since));
        assert_eq!(found, too_often.then_some((AlertKind::TooOften, last)), "{gap} {minimum:?}");
    }
}

#[test]
fn a_schedule_that_ends_is_judged_to_its_end() {
    let plan = cron("0 0 2 20 11 ? 2026", Dialect::Quartz, "UTC");
    assert_eq!(judge(&known(), Some(&plan), clock("02:03:00")).state, TaskState::Late);
    let done = Facts { last_start: Some(clock("02:00:00")), last_end: None, ..known() };
    let answer = judge(&done, Some(&plan), clock("02:03:00"));
    assert_eq!((answer.state, answer.next_due, answer.next_change), (TaskState::Healthy, None, None));
}
