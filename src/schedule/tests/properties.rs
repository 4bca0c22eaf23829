//! What holds for every schedule and all facts.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::super::{Plan, assess};
use super::{cron, every};
use crate::model::{Dialect, Facts, Policy, QueuedFact, RunningFact, TaskState};

const ZONES: [&str; 6] =
    ["UTC", "Europe/Paris", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia"];

fn field(low: u32, high: u32) -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just("*".to_owned()),
        3 => (low..=high).prop_map(|value| value.to_string()),
        1 => (2..=high.min(9)).prop_map(|step| format!("*/{step}")),
        1 => (low..=high, low..=high).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        1 => (low..=high, low..=high).prop_map(|(a, b)| format!("{a},{b}")),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let second = prop_oneof![3 => Just("0".to_owned()), 1 => field(0, 59)];
    let day = prop_oneof![3 => Just("*".to_owned()), 2 => field(1, 28), 1 => Just("L".to_owned())];
    let month = prop_oneof![3 => Just("*".to_owned()), 1 => field(1, 12)];
    let weekday = prop_oneof![3 => Just("*".to_owned()), 1 => field(1, 7), 1 => Just("2#2".to_owned())];
    let texts = (second, field(0, 59), field(0, 23), day, month, weekday);
    let cron = (texts, any::<bool>(), 0..ZONES.len()).prop_map(|(texts, quartz, zone)| {
        let (second, minute, hour, day, month, weekday) = texts;
        // A day rule of both kinds may leave nothing at all: keep one of them open.
        let day = if weekday == "*" { day } else { "*".to_owned() };
        let dialect = if quartz { Dialect::Quartz } else { Dialect::Unix };
        cron(&format!("{second} {minute} {hour} {day} {month} {weekday}"), dialect, ZONES[zone])
    });
    prop_oneof![4 => cron, 1 => (1..200_000_u32).prop_map(every)]
}

/// Between 2011, when Samoa left out a day, and 2040; often near a change of the clock.
fn instant() -> impl Strategy<Value = DateTime<Utc>> {
    let near = [1_774_746_000_i64, 1_792_890_000, 1_772_953_200, 1_793_512_800, 1_775_314_800, 1_791_041_400];
    let near = (prop::sample::select(near.to_vec()), -9_000..9_000_i64).prop_map(|(at, off)| at + off);
    let seconds = prop_oneof![1_300_000_000..2_200_000_000_i64, near];
    (seconds, prop_oneof![Just(0_u32), 0..1_000_000_000_u32])
        .prop_map(|(seconds, nanos)| DateTime::from_timestamp(seconds, nanos).unwrap())
}

fn before(now: DateTime<Utc>) -> impl Strategy<Value = Option<DateTime<Utc>>> {
    let back = prop_oneof![0..400_i64, 0..200_000_i64];
    prop::option::of(back.prop_map(move |back| now - TimeDelta::seconds(back)))
}

fn facts(now: DateTime<Utc>) -> impl Strategy<Value = Facts> {
    let run = (0..9_000_i64, prop::option::of(0..60_i64)).prop_map(move |(started, beat)| RunningFact {
        id: None,
        started: now - TimeDelta::seconds(started),
        last_beat: beat.map(|beat| now - TimeDelta::seconds(beat)),
    });
    let dates = (before(now), before(now), before(now), before(now), before(now));
    let counts = (0..3_u32, 0..3_u32, any::<bool>(), prop::bool::weighted(0.1));
    let queued = prop::option::weighted(0.1, (before(now), before(now)));
    (dates, counts, prop::collection::vec(run, 0..3), queued).prop_map(
        move |(dates, counts, running, queued)| {
            let (since, satisfied, last_start, previous_start, last_end) = dates;
            Facts {
                since,
                scheduled_since: None,
                satisfied,
                last_start,
                previous_start,
                // Dated, so that no problem has to borrow the moment of asking.
                last_end: last_end.or(Some(now - TimeDelta::days(3))),
                bad_streak: counts.0,
                good_streak: counts.1,
                was_failing: counts.2,
                failing_since: None,
                undated_failure: counts.3,
                running,
                queued: queued.map(|(since, slot)| QueuedFact { since: since.unwrap_or(now), slot }),
            }
        },
    )
}

fn policy() -> impl Strategy<Value = Policy> {
    let windows = (0..500_u32, 0..500_u32);
    let limits = (prop::option::of(0..9_000_u32), prop::option::of(1..90_u32), prop::option::of(1..900_u32));
    (windows, limits, 0..3_u32, 0..3_u32).prop_map(|(windows, limits, failure, recovery)| Policy {
        start_window_s: windows.0,
        lateness_window_s: windows.1,
        max_runtime_s: limits.0,
        heartbeat_timeout_s: limits.1,
        min_gap_s: limits.2,
        failure_threshold: failure,
        recovery_threshold: recovery,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn next_and_previous_are_each_others_mirror(plan in plan(), at in instant()) {
        let next = plan.next(at).unwrap();
        prop_assert!(next > at);
        prop_assert_eq!(plan.previous(next), Some(next));
        prop_assert!(plan.previous(next - TimeDelta::nanoseconds(1)) <= Some(at));
        let previous = plan.previous(at).unwrap();
        prop_assert!(previous <= at);
        prop_assert_eq!(plan.next(previous - TimeDelta::nanoseconds(1)), Some(previous));
        prop_assert_eq!(plan.next(previous), Some(next));
    }

    #[test]
    fn slots_between_are_those_that_next_gives(plan in plan(), at in instant(), limit in 0..20_usize) {
        let until = at + TimeDelta::hours(30);
        let slots = plan.slots_between(at, until, limit);
        prop_assert!(slots.len() <= limit);
        let mut from = at;
        for &slot in &slots {
            prop_assert_eq!(plan.next(from), Some(slot));
            prop_assert!(slot <= until);
            from = slot;
        }
        prop_assert!(slots.len() == limit || plan.next(from).is_none_or(|slot| slot > until));
    }

    #[test]
    fn the_answer_changes_when_it_says_and_not_before(
        (now, facts) in instant().prop_flat_map(|now| (Just(now), facts(now))),
        plan in prop::option::weighted(0.9, plan()),
        policy in policy(),
        paused in prop::bool::weighted(0.1),
        samples in prop::collection::vec(0..1000_i32, 4),
    ) {
        let ask = |at| assess(&facts, plan.as_ref(), false, &policy, paused, at);
        let answer = ask(now);
        let quiet = answer.next_change.map_or(TimeDelta::days(400), |change| change - now);
        for permille in samples {
            let at = now + quiet / 1000 * permille;
            prop_assert_eq!(&ask(at), &answer, "at {}", at);
        }
        if let Some(change) = answer.next_change {
            prop_assert!(change > now);
            prop_assert_eq!(&ask(change - TimeDelta::nanoseconds(1)), &answer);
            let mut later = ask(change);
            later.next_change = answer.next_change;
            prop_assert_ne!(later, answer);
        }
    }

    #[test]
    fn what_can_never_be_late_is_not(
        (now, facts) in instant().prop_flat_map(|now| (Just(now), facts(now))),
        plan in plan(),
        policy in policy(),
        paused in any::<bool>(),
    ) {
        let facts = if paused { facts } else { Facts { since: None, ..facts } };
        let answer = assess(&facts, Some(&plan), false, &policy, paused, now);
        prop_assert!(!matches!(answer.state, TaskState::Late | TaskState::Absent | TaskState::Due));
        prop_assert_eq!(answer.late_since, None);
        prop_assert!(paused || answer.next_due > Some(now));
    }

    #[test]
    fn next_due_is_past_only_while_something_is_due(
        (now, facts) in instant().prop_flat_map(|now| (Just(now), facts(now))),
        plan in plan(),
        policy in policy(),
    ) {
        let answer = assess(&facts, Some(&plan), false, &policy, false, now);
        match answer.state {
            TaskState::Due | TaskState::Late | TaskState::Absent => prop_assert!(answer.next_due <= Some(now)),
            TaskState::Healthy | TaskState::Unknown => prop_assert!(answer.next_due > Some(now)),
            _ => {}
        }
        prop_assert!(answer.late_since.is_none() || answer.late_since == answer.next_due);
    }
}
