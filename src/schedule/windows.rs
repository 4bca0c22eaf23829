//! The windows around a slot, and which slots a run answers.

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{Facts, Policy};

use super::Plan;

/// The start window and the lateness window of a slot that has `interval`
/// until the following one: both are cut in proportion, so that together they
/// fit in it. `None`: no slot follows, nothing is cut.
#[must_use]
pub fn windows(policy: &Policy, interval: Option<TimeDelta>) -> (TimeDelta, TimeDelta) {
    let start = TimeDelta::seconds(i64::from(policy.start_window_s));
    let lateness = TimeDelta::seconds(i64::from(policy.lateness_window_s));
    let total = start + lateness;
    match interval {
        Some(interval) if interval < total => {
            let share = i128::from(interval.num_milliseconds()) * i128::from(start.num_milliseconds())
                / i128::from(total.num_milliseconds());
            let start = TimeDelta::milliseconds(i64::try_from(share).unwrap_or(0));
            (start, interval - start)
        }
        _ => (start, lateness),
    }
}

/// How long before `slot` a start (or a good end) still counts for it: the
/// start window, but never so much that it is nearer to the slot before.
fn tolerance(plan: &Plan, policy: &Policy, slot: DateTime<Utc>) -> TimeDelta {
    let (after, _) = windows(policy, plan.interval(slot));
    match plan.previous(slot - TimeDelta::nanoseconds(1)) {
        None => after,
        Some(before) => {
            let room = slot - before;
            after.min(windows(policy, Some(room)).0).min(room / 2)
        }
    }
}

/// The latest slot that a run started at `at` answers: the coming one within
/// tolerance, else the last one that has come. The same for an end, where a
/// system dates only ends.
#[must_use]
pub fn answered(plan: &Plan, policy: &Policy, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    match plan.next(at) {
        Some(coming) if coming - at <= tolerance(plan, policy, coming) => Some(coming),
        _ => plan.previous(at),
    }
}

/// The latest slot that the facts show as dealt with: what the system says
/// itself, else what follows from the newest start and end.
#[must_use]
pub fn satisfied(facts: &Facts, plan: &Plan, policy: &Policy) -> Option<DateTime<Utc>> {
    if facts.satisfied.is_some() {
        return facts.satisfied;
    }
    let newest = facts.running.iter().map(|run| run.started).chain(facts.last_start).max();
    let Some(start) = newest else {
        return facts.last_end.and_then(|end| answered(plan, policy, end));
    };
    let by_start = answered(plan, policy, start);
    let Some(end) = facts.last_end.filter(|&end| end >= start) else { return by_start };
    // Slots that came while it ran were skipped by overlap: missed, not absent.
    let by_overlap = plan.previous(end);
    // A run beyond the schedule (the slot before it had its own) that ends
    // shortly before the coming slot has done that one's work.
    let extra = facts
        .previous_start
        .is_some_and(|earlier| earlier < start && answered(plan, policy, earlier) >= by_start);
    let by_early_end = if extra { answered(plan, policy, end) } else { None };
    by_start.max(by_overlap).max(by_early_end)
}
