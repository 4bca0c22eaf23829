//! Values as text for the screen: ages, durations, times, and what fits into
//! so many cells. Pure; a screen at rest stays silent, so nothing here changes
//! more often than it must: ages under a minute read `<1m`, latency moves in steps.

use std::borrow::Cow;
use std::ops::Range;

use chrono::{DateTime, FixedOffset, TimeDelta, Utc};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use super::state::Look;
use crate::fleet::Fleet;
use crate::model::Target;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// What stands where there is no value.
pub const NONE: &str = "–";

/// A run's id as it is told in passing: long ones by their end, where they differ.
#[must_use]
pub fn run_id(id: &str) -> String {
    const WHOLE: usize = 12;
    const END: usize = 6;
    let length = id.chars().count();
    if length <= WHOLE {
        id.to_owned()
    } else {
        format!("…{}", id.chars().skip(length - END).collect::<String>())
    }
}

/// A target as it is told in passing: by its task's name where that is known,
/// with the run where it is one.
#[must_use]
pub fn target(target: &Target, fleet: &Fleet) -> String {
    let mut text = target.endpoint.to_string();
    if let Some(key) = target.key() {
        let name = fleet.task(&key).map_or_else(|| key.task.shown(), |row| row.task.name.clone());
        text = format!("{text}/{name}");
    }
    if let Some(run) = &target.run {
        text = format!("{text}#{}", run_id(&run.to_string()));
    }
    text
}

/// At most seven cells: `1d 6h`, `2h 5m`, `12h`, `41m`, under a minute `<1m`.
/// The smaller unit is left out where it is noise.
#[must_use]
pub fn span(span: TimeDelta) -> String {
    let ms = u64::try_from(span.num_milliseconds()).unwrap_or(0);
    let two = |big: u64, unit: char, small: u64, small_unit: char| match (big, small) {
        (10.., _) | (_, 0) => format!("{big}{unit}"),
        _ => format!("{big}{unit} {small}{small_unit}"),
    };
    match ms {
        0..MINUTE => "<1m".to_owned(),
        MINUTE..HOUR => format!("{}m", ms / MINUTE),
        HOUR..DAY => two(ms / HOUR, 'h', ms % HOUR / MINUTE, 'm'),
        _ => two(ms / DAY, 'd', ms % DAY / HOUR, 'h'),
    }
}

/// How long ago: `<1m`, `2m ago`, `1d 6h` (two units speak for themselves).
#[must_use]
pub fn ago(now: DateTime<Utc>, then: DateTime<Utc>) -> String {
    let text = span(now - then);
    if text.starts_with('<') || text.contains(' ') { text } else { format!("{text} ago") }
}

/// How long ago, within a sentence: `4m`, `<1m`.
#[must_use]
pub fn age(now: DateTime<Utc>, then: DateTime<Utc>) -> String {
    span(now - then)
}

/// When: `in 9m`, `in <1m`; by how much it is over: `+41m`.
#[must_use]
pub fn due(now: DateTime<Utc>, at: DateTime<Utc>) -> String {
    if at > now { format!("in {}", span(at - now)) } else { format!("+{}", span(now - at)) }
}

/// How long something took, in milliseconds: `8ms`, `1.4s`, `12s`, `1m 4s`, `2h 5m`, `1d 6h`.
#[must_use]
pub fn duration(ms: u64) -> String {
    match ms {
        0..SECOND => format!("{ms}ms"),
        SECOND..10_000 if ms % SECOND >= 100 => format!("{}.{}s", ms / SECOND, ms % SECOND / 100),
        SECOND..MINUTE => format!("{}s", ms / SECOND),
        MINUTE..HOUR if ms % MINUTE >= SECOND => {
            format!("{}m {}s", ms / MINUTE, ms % MINUTE / SECOND)
        }
        _ => span(TimeDelta::milliseconds(i64::try_from(ms).unwrap_or(i64::MAX))),
    }
}

/// How long something has been in progress; exact to the second, unlike an age.
#[must_use]
pub fn elapsed(now: DateTime<Utc>, started: DateTime<Utc>) -> String {
    let seconds = u64::try_from((now - started).num_seconds()).unwrap_or(0);
    if seconds == 0 { "0s".to_owned() } else { duration(seconds * SECOND) }
}

/// The upper bound that a latency stays under, in milliseconds: `<10ms`, `<1s`.
#[must_use]
pub fn latency(step_ms: u64) -> String {
    format!("<{}", duration(step_ms))
}

/// A time in the zone that is shown.
#[must_use]
pub fn zoned(at: DateTime<Utc>, look: &Look) -> DateTime<FixedOffset> {
    let seconds = if look.utc { 0 } else { look.local_offset_s };
    let zone = FixedOffset::east_opt(seconds).unwrap_or_else(|| chrono::Offset::fix(&Utc));
    at.with_timezone(&zone)
}

/// `09:41`.
#[must_use]
pub fn clock(at: DateTime<Utc>, look: &Look) -> String {
    zoned(at, look).format("%H:%M").to_string()
}

/// A time near now: `09:41` today, `Thu 09:41` within a week, else `2026-01-20 09:41`.
#[must_use]
pub fn moment(at: DateTime<Utc>, now: DateTime<Utc>, look: &Look) -> String {
    let (at, now) = (zoned(at, look), zoned(now, look));
    let days = (at.date_naive() - now.date_naive()).num_days();
    let pattern = match days {
        0 => "%H:%M",
        -6..=6 => "%a %H:%M",
        _ => "%Y-%m-%d %H:%M",
    };
    at.format(pattern).to_string()
}

/// A time in at most ten cells: `09:41` today, `Thu 09:41` within a week, else `2026-01-20`.
#[must_use]
pub fn day(at: DateTime<Utc>, now: DateTime<Utc>, look: &Look) -> String {
    let text = moment(at, now, look);
    match text.split_once(' ') {
        Some((date, _)) if date.len() == 10 => date.to_owned(),
        _ => text,
    }
}

/// A time to the second: `09:41:07` today, `Thu 09:41:07` within a week, else
/// `2026-01-20 09:41`.
#[must_use]
pub fn exact(at: DateTime<Utc>, now: DateTime<Utc>, look: &Look) -> String {
    let text = moment(at, now, look);
    match text.split_once(' ') {
        Some((date, _)) if date.len() == 10 => text,
        _ => format!("{text}{}", at.format(":%S")),
    }
}

/// Where `wanted` stands in `text`, in bytes; ASCII letters in either case.
#[must_use]
pub fn occurrences(text: &str, wanted: &str) -> Vec<Range<usize>> {
    let (folded, wanted) = (text.to_ascii_lowercase(), wanted.to_ascii_lowercase());
    if wanted.is_empty() {
        return Vec::new();
    }
    folded.match_indices(&wanted).map(|(at, found)| at..at + found.len()).collect()
}

/// The word for the zone that is shown.
#[must_use]
pub fn zone_word(look: &Look) -> &str {
    if look.utc { "UTC" } else { &look.local_zone }
}

/// How many cells a text takes.
#[must_use]
pub fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width() }
}

/// The text, cut to `cells` with an ellipsis where it is wider. Never cuts a
/// grapheme, so the result may be one cell narrower.
#[must_use]
pub fn ellipsis(text: &str, cells: usize) -> Cow<'_, str> {
    // No text of so few bytes is wider; saves measuring for most cells.
    if text.len() <= cells || width(text) <= cells {
        return Cow::Borrowed(text);
    }
    let Some(room) = cells.checked_sub(1) else { return Cow::Borrowed("") };
    let mut used = 0;
    let mut end = 0;
    for (at, grapheme) in text.grapheme_indices(true) {
        used += grapheme.width();
        if used > room {
            break;
        }
        end = at + grapheme.len();
    }
    Cow::Owned(format!("{}…", text[..end].trim_end()))
}

/// `12 tasks`, `1 task`: the noun takes an s but for one.
#[must_use]
pub fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// The first, second, third …
#[must_use]
pub fn ordinal(n: u32) -> String {
    let suffix = match (n % 100, n % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    format!("{n}{suffix}")
}

/// The lines of `text` at most `cells` wide, broken at spaces where that is
/// possible. At least one line.
#[must_use]
pub fn wrap(text: &str, cells: usize) -> Vec<String> {
    let words = text.split(' ').filter(|word| !word.is_empty());
    pack(words, " ", cells)
}

/// `items` in as few lines of at most `cells` as their order allows, with
/// `between` them. Only what is wider than a line is broken. At least one line.
#[must_use]
pub fn pack<'t>(items: impl IntoIterator<Item = &'t str>, between: &str, cells: usize) -> Vec<String> {
    let cells = cells.max(1);
    let mut lines = Vec::new();
    let (mut line, mut used) = (String::new(), 0);
    for item in items {
        if used > 0 && used + width(between) + width(item) <= cells {
            line.push_str(between);
            used += width(between);
        } else if used > 0 {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        for grapheme in item.graphemes(true) {
            let wide = grapheme.width();
            if used + wide > cells && used > 0 {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push_str(grapheme);
            used += wide;
        }
    }
    if used > 0 || lines.is_empty() {
        lines.push(line);
    }
    lines
}

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The newest `cells` of `values`, oldest first, as bars between nothing and the largest of them.
#[must_use]
pub fn sparkline(values: &[u64], cells: usize) -> String {
    let newest = &values[values.len().saturating_sub(cells)..];
    let most = newest.iter().copied().max().unwrap_or(0).max(1);
    let bar = |value: u64| {
        let step = u128::from(value) * (BARS.len() as u128 - 1) / u128::from(most);
        BARS[usize::try_from(step).unwrap_or(0).min(BARS.len() - 1)]
    };
    newest.iter().map(|&value| bar(value)).collect()
}

/// The nearest-rank percentile (`percent` of 1 to 100) of values in any order.
#[must_use]
pub fn percentile(values: &[u64], percent: usize) -> Option<u64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone;
    use proptest::prelude::*;

    fn now() -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 1, 20, 9, 41, 7).unwrap()
    }

    fn look(utc: bool, offset: i32) -> Look {
        Look { ascii: false, utc, local_offset_s: offset, local_zone: "CET".into() }
    }

    #[test]
    fn ages() {
        for (seconds, in_column, in_sentence) in [
            (-5, "<1m", "<1m"),
            (0, "<1m", "<1m"),
            (59, "<1m", "<1m"),
            (60, "1m ago", "1m"),
            (150, "2m ago", "2m"),
            (3_600, "1h ago", "1h"),
            (7_500, "2h 5m", "2h 5m"),
            (108_000, "1d 6h", "1d 6h"),
            (12 * 3_600 + 59, "12h ago", "12h"),
            (20 * 86_400 + 7_000, "20d ago", "20d"),
        ] {
            let then = now() - TimeDelta::seconds(seconds);
            assert_eq!(ago(now(), then), in_column, "{seconds}");
            assert_eq!(age(now(), then), in_sentence, "{seconds}");
        }
    }

    #[test]
    fn dues() {
        for (seconds, text) in [
            (540, "in 9m"),
            (30, "in <1m"),
            (0, "+<1m"),
            (-2_460, "+41m"),
            (-108_000, "+1d 6h"),
            (3_900, "in 1h 5m"),
        ] {
            let at = now() + TimeDelta::seconds(seconds);
            assert_eq!(due(now(), at), text, "{seconds}");
        }
    }

    #[test]
    fn durations() {
        for (ms, text) in [
            (0, "0ms"),
            (8, "8ms"),
            (999, "999ms"),
            (1_000, "1s"),
            (1_450, "1.4s"),
            (12_900, "12s"),
            (64_000, "1m 4s"),
            (720_000, "12m"),
            (7_500_000, "2h 5m"),
            (108_000_000, "1d 6h"),
            (u64::MAX, "106751991167d"),
        ] {
            assert_eq!(duration(ms), text, "{ms}");
        }
        assert_eq!(elapsed(now(), now() - TimeDelta::seconds(64)), "1m 4s");
        assert_eq!(elapsed(now(), now() + TimeDelta::seconds(64)), "0s");
    }

    #[test]
    fn latencies() {
        for (step, text) in [(10, "<10ms"), (500, "<500ms"), (2_000, "<2s"), (20_000, "<20s")] {
            assert_eq!(latency(step), text);
        }
    }

    #[test]
    fn times_in_the_zone_that_is_shown() {
        assert_eq!(clock(now(), &look(true, 3_600)), "09:41");
        assert_eq!(clock(now(), &look(false, 3_600)), "10:41");
        assert_eq!(clock(now(), &look(false, -5_400)), "08:11");
        let paris = look(false, 3_600);
        for (hours, text) in [(0, "10:41"), (13, "23:41"), (14, "Wed 00:41"), (-24, "Mon 10:41")] {
            assert_eq!(moment(now() + TimeDelta::hours(hours), now(), &paris), text);
        }
        assert_eq!(moment(now() - TimeDelta::days(30), now(), &paris), "2025-12-21 10:41");
        assert_eq!(day(now() - TimeDelta::days(30), now(), &paris), "2025-12-21");
        assert_eq!(day(now() - TimeDelta::days(1), now(), &paris), "Mon 10:41");
        assert_eq!((zone_word(&paris), zone_word(&look(true, 0))), ("CET", "UTC"));
    }

    #[test]
    fn what_is_too_wide_ends_in_an_ellipsis() {
        for (text, cells, cut) in [
            ("short", 5, "short"),
            ("longer", 5, "long…"),
            ("two words", 5, "two…"),
            ("x", 0, ""),
            ("日本語", 6, "日本語"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
            ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…"),
            ("👩‍👩‍👧‍👦x", 2, "…"),
        ] {
            assert_eq!(ellipsis(text, cells), cut, "{text} in {cells}");
        }
    }

    #[test]
    fn sparklines_and_percentiles() {
        assert_eq!(sparkline(&[], 8), "");
        assert_eq!(sparkline(&[0, 0], 8), "▁▁");
        assert_eq!(sparkline(&[1, 50, 100], 8), "▁▄█");
        assert_eq!(sparkline(&[900, 50, 100], 2), "▄█");
        assert_eq!(sparkline(&[u64::MAX, 0], 2), "█▁");
        assert_eq!(percentile(&[], 50), None);
        let hundred: Vec<u64> = (1..=100).rev().collect();
        assert_eq!(percentile(&hundred, 50), Some(50));
        assert_eq!(percentile(&hundred, 95), Some(95));
        assert_eq!(percentile(&[7], 95), Some(7));
        for (n, text) in [(1, "1st"), (2, "2nd"), (3, "3rd"), (7, "7th"), (12, "12th"), (101, "101st")] {
            assert_eq!(ordinal(n), text);
        }
        assert_eq!(count(1, "task"), "1 task");
        assert_eq!(count(0, "run"), "0 runs");
    }

    #[test]
    fn what_is_looked_for_is_found_in_either_case() {
        assert_eq!(occurrences("Error: no ERROR é", "error"), [0..5, 10..15]);
        assert!(occurrences("é error", "É").is_empty());
        assert!(occurrences("anything", "").is_empty());
        assert_eq!(exact(now(), now(), &look(true, 0)), "09:41:07");
        assert_eq!(exact(now() - TimeDelta::days(1), now(), &look(true, 0)), "Mon 09:41:07");
        assert_eq!(exact(now() - TimeDelta::days(30), now(), &look(true, 0)), "2025-12-21 09:41");
    }

    #[test]
    fn long_text_is_wrapped_between_words() {
        for (text, cells, lines) in [
            ("", 5, vec![""]),
            ("one two three", 8, vec!["one two", "three"]),
            ("one two", 7, vec!["one two"]),
            ("verylongword x", 5, vec!["veryl", "ongwo", "rd x"]),
            ("日本語", 4, vec!["日本", "語"]),
            ("try in <1m", 8, vec!["try in", "<1m"]),
        ] {
            assert_eq!(wrap(text, cells), lines, "{text} in {cells}");
        }
        assert_eq!(
            pack(["t trigger", "p priority", "x cancel"], "   ", 22),
            ["t trigger   p priority", "x cancel"]
        );
    }

    proptest! {
        #[test]
        fn wrapped_lines_fit(text in "[a-z日é ]{0,60}", cells in 2usize..20) {
            prop_assert!(wrap(&text, cells).iter().all(|line| line.width() <= cells));
        }

        #[test]
        fn an_ellipsis_never_overflows(text in "\\PC*", cells in 0usize..40) {
            prop_assert!(ellipsis(&text, cells).width() <= cells);
        }
    }
}
