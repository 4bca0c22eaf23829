//! vigie's own finding: a system that judges lateness itself, and has stopped to.

use chrono::TimeDelta;
use proptest::prelude::*;
use proptest::sample::select;

use super::build::*;
use crate::fleet::{Fleet, TaskRow};
use crate::model::{AlertKind, Evidence, Policy, Severity, Snapshot, Task, TaskState};

/// Due at second 100; late at 130 and absent at 190 by its windows, within 20 s of that by its word.
fn watched(word: TaskState) -> Task {
    Task {
        state: Some(word),
        next_due: Some(at(100)),
        policy: Policy { start_window_s: 30, lateness_window_s: 60, ..Policy::default() },
        judged_within_s: Some(20),
        ..task("x")
    }
}

fn row(fleet: &Fleet) -> &TaskRow {
    fleet.task(&key("a", "x")).unwrap()
}

fn shown(fleet: &Fleet) -> (TaskState, bool) {
    (row(fleet).state, row(fleet).own_finding)
}

#[test]
fn where_the_collector_has_stopped_vigie_judges_and_says_that_it_did() {
    use TaskState::{Absent, Archived, Due, Failing, Healthy, Late, Paused, Running, Unknown};
    for (word, second, state, own) in [
        (Healthy, 99, Healthy, false),
        (Healthy, 149, Healthy, false),
        (Healthy, 150, Late, true),
        (Failing, 150, Late, true),
        (Due, 150, Late, true),
        (Due, 209, Late, true),
        (Healthy, 210, Absent, true),
        (Late, 209, Late, false),
        (Late, 210, Absent, true),
        (Absent, 210, Absent, false),
        (Running, 999, Running, false),
        (Paused, 999, Paused, false),
        (Archived, 999, Archived, false),
        (Unknown, 999, Unknown, false),
    ] {
        let mut fleet = fleet(&["a"]);
        fleet.apply(&name("a"), poll(second, vec![watched(word)]), at(second));
        assert_eq!(shown(&fleet), (state, own), "{word} at {second}");
        assert_eq!(row(&fleet).is_judged_here(), own);
        let alerts = fleet.alerts();
        assert_eq!(alerts.len(), usize::from(own), "{word} at {second}");
        if own {
            let alert = &alerts[0].alert;
            let (kind, since, severity) = match state {
                Late => (AlertKind::Late, 130, Severity::Warning),
                _ => (AlertKind::Absent, 190, Severity::Critical),
            };
            assert_eq!((alert.kind, alert.since, alert.severity), (kind, at(since), severity));
            assert_eq!((row(&fleet).since, row(&fleet).late_since), (Some(at(since)), Some(at(100))));
            let words = "by vigie's own reckoning: vigie has not judged it";
            assert!(alert.summary.contains(words), "{}", alert.summary);
            assert!(alert.summary.starts_with("due 2026-01-20 09:01 UTC, "), "{}", alert.summary);
        }
    }
    for change in [
        |task: &mut Task| task.paused = true,
        |task: &mut Task| task.archived = true,
        |task: &mut Task| task.next_due = None,
        |task: &mut Task| task.judged_within_s = None,
    ] {
        let (mut fleet, mut task) = (fleet(&["a"]), watched(Healthy));
        change(&mut task);
        fleet.apply(&name("a"), poll(999, vec![task]), at(999));
        assert_eq!(shown(&fleet), (Healthy, false));
    }
}

#[test]
fn its_windows_are_the_system_s_own_and_never_cut() {
    let mut fleet = fleet(&["a"]);
    let mut frequent = watched(TaskState::Healthy);
    frequent.schedule = Some(every_ten_minutes());
    frequent.policy = Policy { start_window_s: 600, lateness_window_s: 600, ..frequent.policy };
    fleet.apply(&name("a"), poll(719, vec![frequent]), at(719));
    assert_eq!(shown(&fleet), (TaskState::Healthy, false));
    fleet.apply(&name("a"), Snapshot::unchanged(at(720), 3), at(720));
    assert_eq!(shown(&fleet), (TaskState::Late, true));
    assert!(fleet.alerts()[0].alert.summary.starts_with("due 09:01:40 UTC, not started;"));
}

#[test]
fn only_an_answer_from_after_the_instant_shows_that_nothing_was_judged() {
    let mut fleet = fleet(&["a"]);
    fleet.apply(&name("a"), poll(145, vec![watched(TaskState::Healthy)]), at(145));
    assert_eq!(fleet.next_change(), Some(at(150)));
    assert!(fleet.tick(at(150)).is_empty(), "the answer of 145 could not know");
    // The next one does, even if it only says that nothing has changed.
    let delta = fleet.apply(&name("a"), Snapshot::unchanged(at(151), 3), at(151));
    assert_eq!((delta.changed, delta.alerts), (vec![key("a", "x")], true));
    assert_eq!(shown(&fleet), (TaskState::Late, true));
    // Its own word wins again as soon as it is spoken.
    fleet.apply(&name("a"), poll(155, vec![watched(TaskState::Late)]), at(155));
    assert_eq!(shown(&fleet), (TaskState::Late, false));
    assert!(fleet.alerts().is_empty());
    let started = Task { next_due: Some(at(700)), ..watched(TaskState::Running) };
    fleet.apply(&name("a"), poll(160, vec![started]), at(160));
    assert_eq!(shown(&fleet), (TaskState::Running, false));
}

#[test]
fn on_stale_evidence_it_is_only_unverified() {
    let mut fleet = fleet(&["a"]);
    fleet.apply(&name("a"), poll(120, vec![watched(TaskState::Healthy)]), at(120));
    fleet.fail(&name("a"), refused(125), at(125));
    assert_eq!(fleet.next_change(), Some(at(130)));
    fleet.tick(at(130));
    assert_eq!(shown(&fleet), (TaskState::Healthy, false));
    assert_eq!(row(&fleet).unverified_late_since, Some(at(100)));
    fleet.tick(at(5_000));
    assert_eq!((row(&fleet).state, row(&fleet).evidence), (TaskState::Healthy, Evidence::Stale));

    // A finding that was made while the evidence was fresh stays, as it was then.
    fleet.apply(&name("a"), poll(5_001, vec![watched(TaskState::Healthy)]), at(5_001));
    fleet.fail(&name("a"), refused(5_005), at(5_005));
    assert_eq!(shown(&fleet), (TaskState::Absent, true));
    assert_eq!(row(&fleet).unverified_late_since, None);
}

/// By a clock that is an hour behind ours it is not time yet; then it is, but can't be relied on.
#[test]
fn by_a_skewed_clock_nothing_is_found() {
    let mut fleet = fleet(&["a"]);
    let behind = |second| Snapshot {
        server_time: Some(at(second - 3_600)),
        ..poll(second, vec![watched(TaskState::Healthy)])
    };
    for (second, unverified) in [(3_700, None), (3_760, Some(at(100)))] {
        fleet.apply(&name("a"), behind(second), at(second));
        assert_eq!((row(&fleet).state, row(&fleet).evidence), (TaskState::Healthy, Evidence::Skewed));
        assert_eq!(row(&fleet).unverified_late_since, unverified, "{second}");
    }
}

proptest! {
    #[test]
    fn it_is_never_early_and_goes_only_forward(
        word in select(vec![TaskState::Healthy, TaskState::Failing, TaskState::Due, TaskState::Late]),
        (start, lateness, lag) in (0u32..200, 0u32..200, 0u32..100),
        steps in proptest::collection::vec((1i64..20, any::<bool>()), 1..60),
    ) {
        let mut fleet = fleet(&["a"]);
        let mut task = watched(word);
        task.policy = Policy { start_window_s: start, lateness_window_s: lateness, ..task.policy };
        task.judged_within_s = Some(lag);
        let late = at(100) + TimeDelta::seconds(i64::from(start + lag));
        let absent = late + TimeDelta::seconds(i64::from(lateness));
        let (mut now, mut flips, mut answered) = (at(0), 0, at(0));
        fleet.apply(&name("a"), poll(0, vec![task.clone()]), now);
        for (seconds, polled) in steps {
            now += TimeDelta::seconds(seconds);
            let before = shown(&fleet);
            if polled {
                answered = now;
                fleet.apply(&name("a"), Snapshot { at: now, ..poll(0, vec![task.clone()]) }, now);
            } else {
                fleet.tick(now);
            }
            let after = shown(&fleet);
            flips += u32::from(before != after);
            prop_assert!(after.0 == word || after.1, "another state is always vigie's own: {after:?}");
            if after.1 {
                let limit = if after.0 == TaskState::Absent { absent } else { late };
                prop_assert!(answered >= limit, "{after:?} by an answer of {answered}, before {limit}");
                prop_assert!(!before.1 || before.0 == after.0 || after.0 == TaskState::Absent);
            } else {
                prop_assert!(!before.1, "{before:?} was taken back");
            }
            // And an answer from after the instant always shows it.
            prop_assert!(answered < absent || after.0 == TaskState::Absent);
            prop_assert!(answered < late || after.0 != word || word == TaskState::Late);
            prop_assert!(fleet.next_change().is_none_or(|at| at > now));
        }
        prop_assert!(flips <= 2);
    }
}
