//! The fields of a cron text as sets, and the walk over wall-clock times that
//! they match. Knows no zone: instants are made in [`super::dst`].

use std::collections::BTreeSet;

use chrono::{Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike};
use croner::Cron;

/// How many years a search goes before it says "never". The rarest date that
/// exists, a 29 February on a given weekday, comes back within 40.
const HORIZON_YEARS: i32 = 100;

/// The wall-clock times that a cron text matches.
#[derive(Debug, Clone)]
pub(super) struct Fields {
    /// Bit n: second n matches. Never empty, like the sets below.
    pub seconds: u64,
    /// Bit n: minute n matches.
    pub minutes: u64,
    /// Bit n: hour n matches.
    pub hours: u64,
    /// Bit n: month n (1 to 12) matches.
    pub months: u64,
    /// The years that match; `None`: all.
    pub years: Option<BTreeSet<i32>>,
    /// The days that match.
    pub days: DayRule,
    /// Hours or minutes are a wildcard or stepped: fires in both passes of a repeated hour.
    pub repeats: bool,
}

/// Which days of a month match.
#[derive(Debug, Clone)]
pub(super) struct DayRule {
    /// Bit n: day of the month n (1 to 31) matches.
    pub of_month: u64,
    /// Bit n: weekday n (0 = Sunday to 6) matches.
    pub of_week: u64,
    /// One of the two is enough.
    pub either: bool,
    /// Has to match as well: the days of a text with `L`, `W` or `#`, which
    /// depend on the month.
    pub special: Option<Box<Cron>>,
}

impl DayRule {
    /// The days of one month that match, bit n for day n.
    fn in_month(&self, year: i32, month: u32) -> u64 {
        let Some(first) = NaiveDate::from_ymd_opt(year, month, 1) else { return 0 };
        let length = days_in(first);
        let real = ((1_u64 << length) - 1) << 1;
        let offset = first.weekday().num_days_from_sunday();
        // Bit 0 stands for the first of the month, then the week repeats.
        let week = ((self.of_week >> offset) | (self.of_week << (7 - offset))) & 0x7f;
        let weekdays = (week | week << 7 | week << 14 | week << 21 | week << 28) << 1;
        let plain = if self.either { self.of_month | weekdays } else { self.of_month & weekdays } & real;
        match &self.special {
            None => plain,
            Some(cron) => {
                let mut days = 0;
                let mut rest = plain;
                while let Some(day) = first_bit(rest, 0) {
                    rest &= !(1 << day);
                    let weekday = croner_weekday((offset + day - 1) % 7);
                    if cron.pattern.day_match(year, month, day, weekday).unwrap_or(false) {
                        days |= 1 << day;
                    }
                }
                days
            }
        }
    }
}

const fn croner_weekday(from_sunday: u32) -> croner::time::Weekday {
    use croner::time::Weekday as W;
    match from_sunday {
        0 => W::Sunday,
        1 => W::Monday,
        2 => W::Tuesday,
        3 => W::Wednesday,
        4 => W::Thursday,
        5 => W::Friday,
        _ => W::Saturday,
    }
}

fn days_in(first: NaiveDate) -> u32 {
    match first.month() {
        4 | 6 | 9 | 11 => 30,
        2 if first.leap_year() => 29,
        2 => 28,
        _ => 31,
    }
}

/// The lowest bit that is set at or above `from`.
fn first_bit(set: u64, from: u32) -> Option<u32> {
    let rest = set.checked_shr(from).unwrap_or(0);
    (rest != 0).then(|| from + rest.trailing_zeros())
}

/// The highest bit that is set at or below `until`, which is below 64.
fn last_bit(set: u64, until: u32) -> Option<u32> {
    let rest = set << (63 - until);
    (rest != 0).then(|| until - rest.leading_zeros())
}

impl Fields {
    /// The first match at or after `from` (whole seconds), within a century.
    pub fn at_or_after(&self, from: NaiveDateTime) -> Option<NaiveDateTime> {
        let today = from.date();
        if self.matches_day(today)
            && let Some(time) = self.time_from(from.time())
        {
            return Some(today.and_time(time));
        }
        let tomorrow = today.checked_add_days(Days::new(1))?;
        let date = self.day_from(tomorrow)?;
        Some(date.and_time(self.time_from(NaiveTime::MIN)?))
    }

    /// Whether there is any match at all: not for 30 February.
    pub fn ever(&self) -> bool {
        let first = self.years.as_ref().and_then(|years| years.first().copied()).unwrap_or(1970);
        let start = NaiveDate::from_ymd_opt(first, 1, 1).map(|day| day.and_time(NaiveTime::MIN));
        start.is_some_and(|start| self.at_or_after(start).is_some())
    }

    /// The last match at or before `until` (whole seconds), within a century.
    pub fn at_or_before(&self, until: NaiveDateTime) -> Option<NaiveDateTime> {
        let today = until.date();
        if self.matches_day(today)
            && let Some(time) = self.time_until(until.time())
        {
            return Some(today.and_time(time));
        }
        let yesterday = today.checked_sub_days(Days::new(1))?;
        let date = self.day_until(yesterday)?;
        Some(date.and_time(self.time_until(NaiveTime::MIN - TimeDelta::seconds(1))?))
    }

    fn matches_year(&self, year: i32) -> bool {
        self.years.as_ref().is_none_or(|years| years.contains(&year))
    }

    fn matches_day(&self, date: NaiveDate) -> bool {
        self.matches_year(date.year())
            && self.months >> date.month() & 1 == 1
            && self.days.in_month(date.year(), date.month()) >> date.day() & 1 == 1
    }

    fn day_from(&self, from: NaiveDate) -> Option<NaiveDate> {
        let (mut month, mut day) = (from.month(), from.day());
        for year in from.year()..=from.year().saturating_add(HORIZON_YEARS) {
            if self.matches_year(year) {
                while let Some(next) = first_bit(self.months, month) {
                    if next > month {
                        day = 1;
                    }
                    if let Some(day) = first_bit(self.days.in_month(year, next), day) {
                        return NaiveDate::from_ymd_opt(year, next, day);
                    }
                    (month, day) = (next + 1, 1);
                }
            }
            (month, day) = (1, 1);
        }
        None
    }

    fn day_until(&self, until: NaiveDate) -> Option<NaiveDate> {
        let (mut month, mut day) = (until.month(), until.day());
        for year in (until.year().saturating_sub(HORIZON_YEARS)..=until.year()).rev() {
            if self.matches_year(year) {
                while let Some(last) = last_bit(self.months, month) {
                    if last < month {
                        day = 31;
                    }
                    if let Some(day) = last_bit(self.days.in_month(year, last), day) {
                        return NaiveDate::from_ymd_opt(year, last, day);
                    }
                    (month, day) = (last - 1, 31);
                }
            }
            (month, day) = (12, 31);
        }
        None
    }

    fn time_from(&self, from: NaiveTime) -> Option<NaiveTime> {
        let (hour, minute, second) = (from.hour(), from.minute(), from.second());
        let least = (first_bit(self.minutes, 0)?, first_bit(self.seconds, 0)?);
        if self.hours >> hour & 1 == 1 {
            if self.minutes >> minute & 1 == 1
                && let Some(second) = first_bit(self.seconds, second)
            {
                return NaiveTime::from_hms_opt(hour, minute, second);
            }
            if let Some(minute) = first_bit(self.minutes, minute + 1) {
                return NaiveTime::from_hms_opt(hour, minute, least.1);
            }
        }
        NaiveTime::from_hms_opt(first_bit(self.hours, hour + 1)?, least.0, least.1)
    }

    fn time_until(&self, until: NaiveTime) -> Option<NaiveTime> {
        let (hour, minute, second) = (until.hour(), until.minute(), until.second());
        let most = (last_bit(self.minutes, 59)?, last_bit(self.seconds, 59)?);
        if self.hours >> hour & 1 == 1 {
            if self.minutes >> minute & 1 == 1
                && let Some(second) = last_bit(self.seconds, second)
            {
                return NaiveTime::from_hms_opt(hour, minute, second);
            }
            if minute > 0
                && let Some(minute) = last_bit(self.minutes, minute - 1)
            {
                return NaiveTime::from_hms_opt(hour, minute, most.1);
            }
        }
        let earlier = hour.checked_sub(1)?;
        NaiveTime::from_hms_opt(last_bit(self.hours, earlier)?, most.0, most.1)
    }
}
