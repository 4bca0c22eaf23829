//! Blackouts: times of the day at which a task does not start by itself.
//!
//! A window goes from the first moment at which the clock of its zone shows
//! its beginning to the last at which it shows its end, so that a clock that is
//! set back opens no gap in it.

use std::sync::Arc;

use chrono::{DateTime, Datelike as _, Days, NaiveDate, NaiveTime, TimeDelta, Utc};

use crate::model::{Blackout, Clean, Weekday};

use super::BadSchedule;
use super::zone::{Place, Zone};

/// Windows in a row that are followed to find when it is over.
const CHAIN: usize = 64;
/// Windows that are passed over at most when time outside of them is counted.
const PASSED: usize = 1_000;
/// What lasts longer leaves no time at all.
const ALWAYS: TimeDelta = TimeDelta::days(8);
/// The first day of a week, for the check whether any time is left.
const MONDAY: Option<NaiveDate> = NaiveDate::from_ymd_opt(2026, 1, 5);

/// The blackouts of a task, read. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Blackouts(Arc<[Window]>);

#[derive(Debug)]
struct Window {
    blackout: Blackout,
    zone: Zone,
}

impl Blackouts {
    /// Reads them.
    ///
    /// # Errors
    /// An unknown zone, with the nearest name; or that no time is left at all.
    pub fn new(blackouts: &[Blackout]) -> Result<Self, BadSchedule> {
        let windows: Result<Vec<Window>, BadSchedule> = blackouts
            .iter()
            .map(|blackout| Ok(Window { blackout: blackout.clone(), zone: Zone::named(&blackout.zone)? }))
            .collect();
        let read = Self(windows?.into());
        let start = MONDAY.map(|day| day.and_time(NaiveTime::MIN).and_utc());
        if start.is_some_and(|start| read.end(start).is_some_and(|end| end - start >= ALWAYS)) {
            return Err(BadSchedule::from("leaves no time at all at which it could start".to_owned()));
        }
        Ok(read)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When the blackout is over that `at` is in; `None`: it is in none.
    #[must_use]
    pub fn end(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut end = at;
        for _ in 0..CHAIN {
            match self.0.iter().filter_map(|window| window.end(end)).max() {
                Some(later) => end = later,
                None => break,
            }
        }
        (end > at).then_some(end)
    }

    /// The next moment after `at` at which a blackout begins or is over.
    #[must_use]
    pub fn change(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.end(at).or_else(|| self.0.iter().filter_map(|window| window.begin_after(at)).min())
    }

    /// The moment at which so much time has gone by since `from`, without that of blackouts.
    #[must_use]
    pub fn after(&self, from: DateTime<Utc>, time: TimeDelta) -> DateTime<Utc> {
        let (mut at, mut left) = (from, time);
        if self.is_empty() {
            return at + left;
        }
        for _ in 0..PASSED {
            if let Some(end) = self.end(at) {
                at = end;
            }
            match self.change(at) {
                Some(begin) if begin - at < left => {
                    left -= begin - at;
                    at = begin;
                }
                _ => break,
            }
        }
        at + left
    }

    /// A moment by the clock of the first window's zone: `Sat 06:00 Europe/Paris`.
    #[must_use]
    pub fn clock(&self, at: DateTime<Utc>) -> Clean {
        match self.0.first() {
            Some(Window { zone, .. }) => {
                Clean::from(format!("{} {}", zone.wall(at).format("%a %H:%M"), zone.name()))
            }
            None => Clean::from(at.format("%a %H:%M UTC").to_string()),
        }
    }
}

impl Window {
    /// Its beginning and end where it begins on `day`.
    fn on(&self, day: NaiveDate) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let Blackout { from_min, to_min, days, .. } = &self.blackout;
        let weekday = Weekday::ALL.get(day.weekday().num_days_from_monday() as usize)?;
        if !days.is_empty() && !days.contains(weekday) {
            return None;
        }
        let wall = |day: NaiveDate, minutes: u16| {
            day.and_time(NaiveTime::MIN).checked_add_signed(TimeDelta::minutes(i64::from(minutes)))
        };
        let end_day = if to_min <= from_min { day.checked_add_days(Days::new(1))? } else { day };
        let begin = wall(day, *from_min)?;
        let begin = match self.zone.place(begin) {
            Place::Once(at) | Place::Skipped(at) => at,
            Place::Twice(fold) => fold.first(begin),
        };
        let end = wall(end_day, *to_min)?;
        let end = match self.zone.place(end) {
            Place::Once(at) | Place::Skipped(at) => at,
            Place::Twice(fold) => fold.second(end),
        };
        Some((begin, end))
    }

    fn end(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let today = self.zone.wall(at).date();
        let days = [today.pred_opt(), Some(today)].into_iter().flatten();
        let within = days.filter_map(|day| self.on(day)).filter(|(begin, end)| *begin <= at && at < *end);
        within.map(|(_, end)| end).max()
    }

    fn begin_after(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let today = self.zone.wall(at).date();
        let mut days = today.iter_days().take(9).filter_map(|day| self.on(day));
        days.find(|(begin, end)| *begin > at && begin < end).map(|(begin, _)| begin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn window(from_min: u16, to_min: u16, days: &[Weekday], zone: &str) -> Blackout {
        Blackout { from_min, to_min, days: days.to_vec(), zone: zone.into() }
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_blackout_over_midnight_belongs_to_the_day_on_which_it_begins() {
        let read = Blackouts::new(&[window(22 * 60, 6 * 60, &[Weekday::Friday], "UTC")]).unwrap();
        // 2026-11-20 is a Friday.
        for (moment, end) in [
            ("2026-11-20T05:00:00Z", None),
            ("2026-11-20T21:59:59Z", None),
            ("2026-11-20T22:00:00Z", Some("2026-11-21T06:00:00Z")),
            ("2026-11-21T05:59:59Z", Some("2026-11-21T06:00:00Z")),
            ("2026-11-21T06:00:00Z", None),
            ("2026-11-21T23:00:00Z", None),
        ] {
            assert_eq!(read.end(at(moment)), end.map(at), "{moment}");
        }
        assert_eq!(read.change(at("2026-11-21T06:00:00Z")), Some(at("2026-11-27T22:00:00Z")));
        assert_eq!(read.change(at("2026-11-20T23:00:00Z")), Some(at("2026-11-21T06:00:00Z")));
        assert_eq!(read.clock(at("2026-11-21T06:00:00Z")), "Sat 06:00 UTC");
    }

    #[test]
    fn blackouts_that_adjoin_are_one() {
        let two = [window(20 * 60, 1_440, &[], "UTC"), window(0, 4 * 60, &[], "UTC")];
        let read = Blackouts::new(&two).unwrap();
        assert_eq!(read.end(at("2026-11-20T21:00:00Z")), Some(at("2026-11-21T04:00:00Z")));
        let always = [window(0, 12 * 60, &[], "UTC"), window(12 * 60, 1_440, &[], "UTC")];
        assert!(Blackouts::new(&always).unwrap_err().0.contains("no time at all"));
        let known = Blackouts::new(&[window(0, 60, &[], "Europe/Pari")]).unwrap_err();
        assert!(known.0.contains("Europe/Paris"), "{known}");
    }

    #[test]
    fn a_clock_that_changes_opens_no_gap() {
        // Europe/Paris: 03:00 becomes 02:00 on 2026-10-25, 02:00 becomes 03:00 on 2026-03-29.
        let read = Blackouts::new(&[window(60, 150, &[], "Europe/Paris")]).unwrap();
        assert_eq!(read.end(at("2026-10-24T23:00:00Z")), Some(at("2026-10-25T01:30:00Z")));
        assert_eq!(read.end(at("2026-10-25T00:45:00Z")), Some(at("2026-10-25T01:30:00Z")));
        assert_eq!(read.end(at("2026-03-29T00:30:00Z")), Some(at("2026-03-29T01:00:00Z")));
        let gap = Blackouts::new(&[window(130, 140, &[], "Europe/Paris")]).unwrap();
        assert_eq!(gap.end(at("2026-03-29T01:00:00Z")), None);
    }

    #[test]
    fn time_in_a_blackout_does_not_count() {
        let read = Blackouts::new(&[window(22 * 60, 6 * 60, &[], "UTC")]).unwrap();
        let day = |time: &str| at(&format!("2026-11-{time}Z"));
        for (from, minutes, to) in [
            ("20T12:00:00", 10, "20T12:10:00"),
            ("20T21:58:00", 2, "20T22:00:00"),
            ("20T21:58:00", 4, "21T06:02:00"),
            ("20T23:00:00", 5, "21T06:05:00"),
            ("20T21:00:00", 60 + 16 * 60 + 1, "22T06:01:00"),
        ] {
            assert_eq!(read.after(day(from), TimeDelta::minutes(minutes)), day(to), "{from} {minutes}");
        }
        assert_eq!(Blackouts::default().after(day("20T23:00:00"), TimeDelta::minutes(1)), day("20T23:01:00"));
    }

    proptest! {
        #[test]
        fn begin_and_end_are_where_it_changes(
            from in 0u16..1_440, to in 1u16..=1_440, days in proptest::collection::vec(0usize..7, 0..3),
            minute in 0i64..600_000, zone in prop_oneof![Just("UTC"), Just("Europe/Paris"), Just("America/New_York")],
        ) {
            let days: Vec<Weekday> = days.into_iter().map(|day| Weekday::ALL[day]).collect();
            prop_assume!(from != to);
            let Ok(read) = Blackouts::new(&[window(from, to, &days, zone)]) else { return Ok(()) };
            let now = at("2026-01-01T00:00:00Z") + TimeDelta::minutes(minute);
            let second = TimeDelta::seconds(1);
            let dark = |at| read.end(at).is_some();
            let change = read.change(now).unwrap();
            prop_assert!(change > now);
            prop_assert_eq!(dark(change - second), dark(now));
            prop_assert_ne!(dark(change), dark(now));
            // Time outside is what is counted, to the second.
            let later = read.after(now, TimeDelta::minutes(90));
            let outside = (0..(later - now).num_minutes()).filter(|m| !dark(now + TimeDelta::minutes(*m))).count();
            prop_assert_eq!(outside, 90);
        }
    }
}
