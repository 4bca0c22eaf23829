//! What the dialects mean, and what becomes of slots when the clock changes.

use chrono::{DateTime, TimeDelta, Utc};

use super::super::{Plan, validate};
use super::{at, cron, every, schedule};
use crate::model::{Clean, Dialect, Schedule, Timing};

/// Made without the code under test: see `reference.py` beside it.
const REFERENCE: &str = include_str!("../../../tests/fixtures/schedule/slots.tsv");

fn dialect(word: &str) -> Dialect {
    word.parse().unwrap()
}

#[test]
fn slots_are_those_of_the_reference() {
    let mut rows = 0;
    for line in REFERENCE.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [kind, zone, text, after, slots, ..] = columns.as_slice() else { panic!("{line}") };
        let plan = cron(text, dialect(kind), zone);
        let (after, expected) = (at(after), slots.split(' ').map(at).collect::<Vec<_>>());
        let mut found = Vec::new();
        let mut from = after;
        while let Some(slot) = plan.next(from).filter(|_| found.len() < expected.len()) {
            found.push(slot);
            from = slot;
        }
        assert_eq!(found, expected, "{kind} {text:?} in {zone} after {after}");
        assert_between(&plan, after, &expected, line);
        rows += 1;
    }
    assert!(rows > 250, "{rows} rows");
}

/// Backwards, and at the moments around a slot, the same slots are seen.
fn assert_between(plan: &Plan, after: DateTime<Utc>, slots: &[DateTime<Utc>], row: &str) {
    let last = slots[slots.len() - 1];
    assert_eq!(plan.slots_between(after, last, usize::MAX), slots, "{row}");
    for pair in slots.windows(2) {
        let (earlier, later) = (pair[0], pair[1]);
        assert_eq!(plan.previous(earlier), Some(earlier), "{row}");
        assert_eq!(plan.previous(later - TimeDelta::seconds(1)), Some(earlier), "{row}");
        assert_eq!(plan.previous(later - TimeDelta::nanoseconds(1)), Some(earlier), "{row}");
        assert_eq!(plan.next(earlier + TimeDelta::milliseconds(1)), Some(later), "{row}");
        assert_eq!(plan.next(later - TimeDelta::nanoseconds(1)), Some(later), "{row}");
    }
}

#[test]
fn nicknames_mean_the_same_in_both_dialects() {
    for (name, text) in [
        ("@hourly", "0 0 * * * * *"),
        ("@daily", "0 0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * SUN"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        (" @Annually ", "0 0 1 1 *"),
    ] {
        for &kind in Dialect::ALL {
            let (short, long) = (cron(name, kind, "Europe/Paris"), cron(text, kind, "Europe/Paris"));
            let (from, until) = (at("2026-01-01T00:00:00Z"), at("2028-01-01T00:00:00Z"));
            assert_eq!(
                short.slots_between(from, until, 400),
                long.slots_between(from, until, 400),
                "{kind} {name}"
            );
        }
    }
}

#[test]
fn spaces_and_case_do_not_matter() {
    let from = at("2026-11-20T10:00:30Z");
    for text in ["*/1    *    *            *     *", "\t* * * * *  ", "0 * * * jan-DEC *"] {
        assert_eq!(cron(text, Dialect::Unix, "UTC").next(from), Some(at("2026-11-20T10:01:00Z")), "{text:?}");
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    for (kind, text, words) in [
        ("unix", "61 * * * *", &["minute \"61\"", "0 to 59"][..]),
        ("unix", "0 24 * * *", &["hour \"24\"", "0 to 23"]),
        ("unix", "0 0 32 * *", &["day-of-month \"32\"", "1 to 31"]),
        ("unix", "0 0 0 * *", &["day-of-month \"0\""]),
        ("unix", "0 0 * 13 *", &["month \"13\"", "JAN to DEC"]),
        ("unix", "0 0 * MAI *", &["month \"MAI\""]),
        ("unix", "0 0 * * 8", &["day-of-week \"8\"", "0 and 7 are Sunday"]),
        ("unix", "0 0 * * MO", &["day-of-week \"MO\""]),
        ("unix", "0 0 * * L", &["day-of-week \"L\"", "5L"]),
        ("unix", "60 * * * * *", &["second \"60\""]),
        ("unix", "0 0 0 1 1 * 20x6", &["year \"20X6\""]),
        ("unix", "22-2 * * * *", &["minute \"22-2\"", "rising ranges"]),
        ("unix", "*/0 * * * *", &["minute \"*/0\"", "steps"]),
        ("unix", "/5 * * * *", &["minute \"/5\""]),
        ("unix", "1,,2 * * * *", &["minute \"1,,2\""]),
        ("unix", "MON * * * *", &["minute \"MON\""]),
        ("unix", "L * * * *", &["minute \"L\""]),
        ("unix", "0 0 * * 1#6", &["day-of-week \"1#6\""]),
        ("unix", "0 0 * * JAN", &["day-of-week \"JAN\""]),
        ("unix", "* * * *", &["has 4 fields", "it takes 5"]),
        ("unix", "", &["has 0 fields"]),
        ("unix", "1 2 3 4 5 6 7 8", &["has 8 fields"]),
        ("unix", "@every 5m", &["\"@every 5m\"", "@hourly"]),
        ("unix", "@reboot", &["\"@reboot\"", "@daily"]),
        ("unix", "* * * * é", &["day-of-week"]),
        ("quartz", "0 0 * * 0", &["day-of-week \"0\"", "1 is Sunday"]),
        ("quartz", "0 0 * * 8", &["day-of-week \"8\""]),
        ("quartz", "*5 * * * *", &["minute \"*5\""]),
        ("quartz", "0 0 1 1 * ? 1969", &["year \"1969\"", "1970 to 2100"]),
        ("quartz", "0 0 * FOO *", &["month \"FOO\""]),
        ("quartz", "0 0 32 * *", &["day-of-month \"32\""]),
        ("quartz", "0 0 40W * *", &["day-of-month \"40W\""]),
    ] {
        let error = validate(text, dialect(kind), "UTC").expect_err(text).to_string();
        for word in words {
            assert!(error.contains(word), "{text:?}: {error}");
        }
    }
}

#[test]
fn an_unknown_zone_names_the_nearest() {
    for (zone, words) in [
        ("Europe/Pariss", "did you mean \"Europe/Paris\"?"),
        ("europe/paris", "did you mean \"Europe/Paris\"?"),
        ("Kolkata", "did you mean \"Asia/Kolkata\"?"),
        ("utc", "did you mean \"UTC\"?"),
        ("xxxxxxxxxxxxxx", "write an IANA name"),
        ("", "write an IANA name"),
    ] {
        let error = validate("* * * * *", Dialect::Unix, zone).expect_err(zone).to_string();
        assert!(error.contains(&format!("{zone:?}")) && error.contains(words), "{error}");
    }
}

#[test]
fn dates_that_never_come_give_none_at_once() {
    let now = at("2026-11-20T10:00:00Z");
    for (kind, text) in [
        ("unix", "0 0 30 2 *"),
        ("unix", "0 0 31 2,4,6,9,11 *"),
        ("unix", "0 0 31W 2 *"),
        ("quartz", "0 0 0 30 2 ? *"),
        ("quartz", "0 0 31 4 2#1"),
    ] {
        let plan = cron(text, dialect(kind), "Europe/Paris");
        assert_eq!((plan.next(now), plan.previous(now)), (None, None), "{text}");
        assert!(plan.slots_between(now, now + TimeDelta::days(9000), 5).is_empty());
    }
    let past = cron("0 0 0 1 1 * 2020", Dialect::Unix, "UTC");
    assert_eq!(past.next(now), None);
    assert_eq!(past.previous(now), Some(at("2020-01-01T00:00:00Z")));
    let future = cron("0 0 0 1 1 ? 2090", Dialect::Quartz, "UTC");
    assert_eq!((future.next(now), future.previous(now)), (Some(at("2090-01-01T00:00:00Z")), None));
    for edge in [DateTime::<Utc>::MAX_UTC, DateTime::<Utc>::MIN_UTC] {
        let plan = cron("* * * * * *", Dialect::Unix, "America/New_York");
        assert!(plan.next(edge).is_none_or(|slot| slot > edge));
        assert!(plan.previous(edge).is_none_or(|slot| slot <= edge));
        assert!(every(7).next(edge).is_none_or(|slot| slot > edge));
    }
}

#[test]
fn rare_dates_are_found_both_ways() {
    // The 29 February that is a Monday: by the calendar 2024 was a Thursday, so 2044 is next.
    let plan = cron("0 0 0 29 2 2 *", Dialect::Quartz, "UTC");
    let now = at("2026-11-20T10:00:00Z");
    assert_eq!(plan.next(now), Some(at("2044-02-29T00:00:00Z")));
    assert_eq!(plan.previous(now), Some(at("2016-02-29T00:00:00Z")));
}

#[test]
fn either_day_or_both() {
    let (from, until) = (at("2026-11-01T00:00:00Z"), at("2026-12-01T00:00:00Z"));
    // By the calendar: Fridays of November 2026 are the 6th, 13th, 20th and 27th.
    for (kind, text, days) in [
        ("unix", "0 12 13 * FRI", &[6, 13, 20, 27][..]),
        ("unix", "0 12 2 * FRI", &[2, 6, 13, 20, 27]),
        ("quartz", "0 12 13 * FRI", &[13]),
        ("quartz", "0 12 2 * FRI", &[]),
        ("unix", "0 12 */2 * FRI", &[13, 27]),
        ("unix", "0 12 L * 5#2", &[13, 30]),
        ("quartz", "0 12 13,L * 6#2", &[13]),
        ("quartz", "0 12 ? * L", &[7, 14, 21, 28]),
    ] {
        let slots = cron(text, dialect(kind), "UTC").slots_between(from, until, 40);
        let expected: Vec<_> = days.iter().map(|day| at(&format!("2026-11-{day:02}T12:00:00Z"))).collect();
        assert_eq!(slots, expected, "{kind} {text}");
    }
}

#[test]
fn a_whole_day_that_a_zone_left_out_is_one_slot() {
    // Samoa went from Thursday 29 to Saturday 31 December 2011, at midnight: 10:00 UTC on the 30th.
    let plan = cron("0 */6 * * *", Dialect::Unix, "Pacific/Apia");
    let slots = plan.slots_between(at("2011-12-30T03:00:00Z"), at("2011-12-30T17:00:00Z"), 9);
    assert_eq!(slots, ["2011-12-30T04:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T16:00:00Z"].map(at));
}

#[test]
fn intervals_count_from_the_epoch() {
    let plan = every(600);
    let now = at("2026-11-20T10:03:00.5Z");
    assert_eq!(plan.next(now), Some(at("2026-11-20T10:10:00Z")));
    assert_eq!(plan.previous(now), Some(at("2026-11-20T10:00:00Z")));
    assert_eq!(plan.next(at("2026-11-20T10:10:00Z")), Some(at("2026-11-20T10:20:00Z")));
    assert_eq!(plan.previous(at("1969-12-31T23:59:00Z")), Some(at("1969-12-31T23:50:00Z")));
    let seven = every(7);
    assert_eq!(seven.next(DateTime::UNIX_EPOCH), Some(at("1970-01-01T00:00:07Z")));
    let none = Schedule { timing: Timing::Every { seconds: 0 }, zone: Clean::line("UTC"), assumed: false };
    assert!(Plan::new(&none).unwrap_err().to_string().contains("at least one second"));
}

#[test]
fn slots_between_is_bounded_and_half_open() {
    let plan = cron("* * * * * *", Dialect::Unix, "UTC");
    let from = at("2026-11-20T10:00:00Z");
    let slots = plan.slots_between(from, from + TimeDelta::days(3650), 3);
    assert_eq!(slots, [1, 2, 3].map(|seconds| from + TimeDelta::seconds(seconds)));
    assert!(plan.slots_between(from, from, 3).is_empty());
    assert_eq!(plan.slots_between(from, from + TimeDelta::seconds(1), 3).len(), 1);
}

#[test]
fn a_slot_is_told_by_the_clock_of_its_zone() {
    let slot = at("2026-11-20T01:00:00Z");
    for (text, zone, clock) in [
        ("0 2 * * *", "Europe/Paris", "02:00 Europe/Paris"),
        ("0 1 * * *", "UTC", "01:00 UTC"),
        ("0 1 * * FRI", "UTC", "Fri 20 Nov 01:00 UTC"),
    ] {
        assert_eq!(cron(text, Dialect::Unix, zone).clock(slot).as_str(), clock);
    }
    assert_eq!(every(5).clock(at("2026-11-20T01:00:05Z")).as_str(), "01:00:05 UTC");
    assert!(Plan::new(&schedule("0 1 * * *", Dialect::Unix, "UTC")).is_ok());
}
