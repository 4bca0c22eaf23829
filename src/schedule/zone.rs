//! IANA zones, and what becomes of a wall-clock time in one.

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::{GapInfo, TZ_VARIANTS, Tz};

use super::BadSchedule;

/// A zone of the IANA database.
#[derive(Debug, Clone, Copy)]
pub(super) struct Zone(Tz);

/// What becomes of a wall-clock time in a zone.
pub(super) enum Place {
    /// The usual case.
    Once(DateTime<Utc>),
    /// The clock jumps over it; the first instant after the jump.
    Skipped(DateTime<Utc>),
    /// The clock shows it twice.
    Twice(Fold),
}

/// A stretch of wall-clock time that is shown twice, since the clock is set back.
#[derive(Clone, Copy)]
pub(super) struct Fold {
    /// When the clock is set back.
    change: DateTime<Utc>,
    /// What the clock shows ahead of UTC until then.
    before: TimeDelta,
    /// And from then on.
    after: TimeDelta,
}

impl Fold {
    /// The first wall-clock time that is shown twice.
    pub fn begin(&self) -> NaiveDateTime {
        self.change.naive_utc() + self.after
    }

    /// The first one beyond it that is shown only once.
    pub fn end(&self) -> NaiveDateTime {
        self.change.naive_utc() + self.before
    }

    /// Whether the clock has been set back at `at`.
    pub fn is_second_pass(&self, at: DateTime<Utc>) -> bool {
        at >= self.change
    }

    /// When the clock shows `wall` first.
    pub fn first(&self, wall: NaiveDateTime) -> DateTime<Utc> {
        (wall - self.before).and_utc()
    }

    /// When it shows it again.
    pub fn second(&self, wall: NaiveDateTime) -> DateTime<Utc> {
        (wall - self.after).and_utc()
    }
}

impl Zone {
    /// Finds a zone by its name.
    ///
    /// # Errors
    /// An unknown zone, with the nearest name.
    pub fn named(name: &str) -> Result<Self, BadSchedule> {
        if let Ok(zone) = name.parse() {
            return Ok(Self(zone));
        }
        let wanted = name.trim().to_lowercase();
        let nearest = TZ_VARIANTS
            .iter()
            .map(|zone| (distance(&wanted, &zone.name().to_lowercase()), zone.name()))
            .min_by_key(|&(distance, _)| distance)
            .filter(|&(distance, _)| distance <= wanted.chars().count() / 2);
        Err(BadSchedule::from(match nearest {
            Some((_, nearest)) => format!("there is no zone {name:?}: did you mean {nearest:?}?"),
            None => {
                format!("there is no zone {name:?}: write an IANA name such as \"Europe/Paris\" or \"UTC\"")
            }
        }))
    }

    /// Its IANA name.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// What the clock shows at `at`, without fractions of a second.
    pub fn wall(self, at: DateTime<Utc>) -> NaiveDateTime {
        let utc = at.naive_utc();
        let utc = utc.with_nanosecond(0).unwrap_or(utc);
        utc.checked_add_signed(self.ahead(at)).unwrap_or(utc)
    }

    /// When the clock shows `wall`.
    pub fn place(self, wall: NaiveDateTime) -> Place {
        match self.0.from_local_datetime(&wall) {
            MappedLocalTime::Single(at) => Place::Once(at.to_utc()),
            MappedLocalTime::Ambiguous(first, second) => {
                Place::Twice(self.fold(first.to_utc(), second.to_utc()))
            }
            MappedLocalTime::None => match GapInfo::new(&wall, &self.0).and_then(|gap| gap.end) {
                Some(end) => Place::Skipped(end.to_utc()),
                // No rule is known there: the zone's clock is UTC's.
                None => Place::Once(wall.and_utc()),
            },
        }
    }

    fn ahead(self, at: DateTime<Utc>) -> TimeDelta {
        let offset = self.0.offset_from_utc_datetime(&at.naive_utc()).fix();
        TimeDelta::seconds(i64::from(offset.local_minus_utc()))
    }

    /// The fold in which one wall-clock time is shown at `first` and at `second`.
    fn fold(self, first: DateTime<Utc>, second: DateTime<Utc>) -> Fold {
        let before = self.ahead(first);
        let (mut low, mut high) = (first.timestamp(), second.timestamp());
        while high - low > 1 {
            let middle = low.midpoint(high);
            let old = DateTime::from_timestamp(middle, 0).is_some_and(|at| self.ahead(at) == before);
            if old {
                low = middle;
            } else {
                high = middle;
            }
        }
        let change = DateTime::from_timestamp(high, 0).unwrap_or(second);
        Fold { change, before, after: self.ahead(second) }
    }
}

/// Whether there is such a zone.
///
/// # Errors
/// It is unknown; with the nearest name.
pub fn check(name: &str) -> Result<(), BadSchedule> {
    Zone::named(name).map(drop)
}

/// How far a name is from what was written: a city alone is near its zone.
fn distance(wanted: &str, zone: &str) -> usize {
    let whole = strsim::osa_distance(wanted, zone);
    let city = zone.rsplit('/').next().map_or(whole, |city| strsim::osa_distance(wanted, city) + 1);
    whole.min(city)
}
