//! From wall-clock matches to instants, across changes of the clock: the one
//! rule for every dialect.
//!
//! - Shown twice: a slot at a fixed time fires once, in the first pass; slots
//!   of wildcard or stepped hours or minutes fire in both.
//! - Jumped over: all slots inside the gap become one, at the first instant after it.

use chrono::{DateTime, TimeDelta, Utc};

use super::wall::Fields;
use super::zone::{Place, Zone};

const SECOND: TimeDelta = TimeDelta::seconds(1);

/// The first slot strictly after `after`.
pub(super) fn next(fields: &Fields, zone: Zone, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let here = zone.wall(after);
    let mut from = here.checked_add_signed(SECOND)?;
    if fields.repeats
        && let Place::Twice(fold) = zone.place(here)
        && !fold.is_second_pass(after)
    {
        if let Some(wall) = fields.at_or_after(from).filter(|&wall| wall < fold.end()) {
            return Some(fold.first(wall));
        }
        // The rest of the first pass is empty, the whole second one is ahead.
        from = fold.begin();
        if let Some(wall) = fields.at_or_after(from).filter(|&wall| wall < fold.end()) {
            return Some(fold.second(wall));
        }
    }
    loop {
        let wall = fields.at_or_after(from)?;
        let found = match zone.place(wall) {
            Place::Once(at) | Place::Skipped(at) => Some(at),
            Place::Twice(fold) if fold.first(wall) > after => Some(fold.first(wall)),
            Place::Twice(fold) if fields.repeats => Some(fold.second(wall)),
            Place::Twice(fold) => {
                from = fold.end();
                None
            }
        };
        match found {
            Some(at) if at > after => return Some(at),
            Some(_) => from = wall.checked_add_signed(SECOND)?,
            None => {}
        }
    }
}

/// The last slot at or before `at`.
pub(super) fn previous(fields: &Fields, zone: Zone, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let mut until = zone.wall(at);
    if let Place::Twice(fold) = zone.place(until)
        && fold.is_second_pass(at)
    {
        let in_second = fields.at_or_before(until).filter(|&wall| fields.repeats && wall >= fold.begin());
        if let Some(wall) = in_second {
            return Some(fold.second(wall));
        }
        // The whole first pass lies behind.
        until = fold.end().checked_sub_signed(SECOND)?;
    }
    let wall = fields.at_or_before(until)?;
    let slot = match zone.place(wall) {
        Place::Once(slot) | Place::Skipped(slot) => slot,
        Place::Twice(fold) if fields.repeats && fold.second(wall) <= at => fold.second(wall),
        Place::Twice(fold) => fold.first(wall),
    };
    // At the very edge of what a date can hold, a zone's clock can't be told.
    (slot <= at).then_some(slot)
}
