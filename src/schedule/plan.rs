//! [`Plan`]: a schedule that has been read.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Timelike, Utc};

use crate::model::{Clean, Dialect, Schedule, Timing};

use super::wall::Fields;
use super::zone::Zone;
use super::{BadSchedule, Blackouts, cron, dst};

/// A schedule that has been read: gives slots. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Plan {
    rule: Rule,
    zone: Zone,
    blackouts: Blackouts,
}

/// Slots in a blackout that are passed over at most to find one that is in none.
const PASSED: usize = 1_000;

#[derive(Debug, Clone)]
enum Rule {
    Cron(Arc<Fields>),
    /// Seconds, at least 1.
    Every(i64),
}

impl Plan {
    /// Reads a schedule.
    ///
    /// # Errors
    /// [`BadSchedule`] with what is wrong: the field, its value, what it takes; an unknown zone with the nearest name.
    pub fn new(schedule: &Schedule) -> Result<Self, BadSchedule> {
        let zone = Zone::named(schedule.zone.as_str())?;
        let rule = match &schedule.timing {
            Timing::Cron { expression, dialect } => {
                Rule::Cron(Arc::new(cron::read(expression.as_str(), *dialect)?))
            }
            Timing::Every { seconds: 0 } => {
                return Err(BadSchedule::from("an interval is at least one second".to_owned()));
            }
            Timing::Every { seconds } => Rule::Every(i64::from(*seconds)),
        };
        Ok(Self { rule, zone, blackouts: Blackouts::default() })
    }

    /// Whether any slot of it can ever come: not for 30 February, or in years without the date.
    #[must_use]
    pub fn can_come(&self) -> bool {
        match &self.rule {
            Rule::Cron(fields) => fields.ever(),
            Rule::Every(_) => true,
        }
    }

    /// The same, with times at which nothing of it starts.
    #[must_use]
    pub fn avoiding(self, blackouts: Blackouts) -> Self {
        Self { blackouts, ..self }
    }

    /// Its blackouts. Its slots are its slots all the same: see [`Plan::next_open`].
    #[must_use]
    pub const fn blackouts(&self) -> &Blackouts {
        &self.blackouts
    }

    /// The first slot strictly after `after` that is in no blackout; `None`: never again.
    #[must_use]
    pub fn next_open(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut slot = self.next(after)?;
        for _ in 0..PASSED {
            let Some(end) = self.blackouts.end(slot) else { return Some(slot) };
            slot = self.next(end - TimeDelta::nanoseconds(1))?;
        }
        None
    }

    /// The first slot strictly after `after`; `None`: never again (within a century).
    #[must_use]
    pub fn next(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match &self.rule {
            Rule::Cron(fields) => dst::next(fields, self.zone, after),
            Rule::Every(seconds) => {
                let slot = after.timestamp().div_euclid(*seconds).checked_add(1)?.checked_mul(*seconds)?;
                DateTime::from_timestamp(slot, 0)
            }
        }
    }

    /// The last slot at or before `at`; `None`: none (within a century).
    #[must_use]
    pub fn previous(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match &self.rule {
            Rule::Cron(fields) => dst::previous(fields, self.zone, at),
            Rule::Every(seconds) => {
                DateTime::from_timestamp(at.timestamp().div_euclid(*seconds).checked_mul(*seconds)?, 0)
            }
        }
    }

    /// Slots in `(after, until]`, at most `limit` of them, oldest first.
    #[must_use]
    pub fn slots_between(
        &self,
        after: DateTime<Utc>,
        until: DateTime<Utc>,
        limit: usize,
    ) -> Vec<DateTime<Utc>> {
        std::iter::successors(self.next(after), |&slot| self.next(slot))
            .take_while(|&slot| slot <= until)
            .take(limit)
            .collect()
    }

    /// The distance from `slot` to the one after it; `None` when it is the last.
    #[must_use]
    pub fn interval(&self, slot: DateTime<Utc>) -> Option<TimeDelta> {
        self.next(slot).map(|next| next - slot)
    }

    /// The IANA name of its zone.
    #[must_use]
    pub fn zone(&self) -> &'static str {
        self.zone.name()
    }

    /// A slot by the clock of its zone: `02:00 UTC`; with the day where the
    /// next one is more than a day away: `Sat 21 Nov 02:00 Europe/Paris`.
    #[must_use]
    pub fn clock(&self, slot: DateTime<Utc>) -> Clean {
        let wall = self.zone.wall(slot);
        let day = match self.interval(slot) {
            Some(interval) if interval <= TimeDelta::hours(25) => "",
            _ => "%a %-d %b ",
        };
        let time = if wall.second() == 0 { "%H:%M" } else { "%H:%M:%S" };
        Clean::from(format!("{} {}", wall.format(&format!("{day}{time}")), self.zone()))
    }
}

/// Whether a cron text can be read in a zone.
///
/// # Errors
/// As [`Plan::new`].
pub fn validate(expression: &str, dialect: Dialect, zone: &str) -> Result<(), BadSchedule> {
    Zone::named(zone)?;
    cron::read(expression, dialect).map(drop)
}
