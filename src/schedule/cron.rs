//! Cron texts in their dialects → [`Fields`]. The crates `croner` (Unix) and
//! `cron` (Quartz) read the fields; instants are never taken from them.

use std::fmt::Write as _;
use std::str::FromStr as _;

use cron::TimeUnitSpec;
use croner::parser::{CronParser, CronParserBuilder, Seconds, Year};

use crate::model::Dialect;

use super::BadSchedule;
use super::wall::{DayRule, Fields};

/// The seven fields, seconds first.
type Texts = [String; 7];

const SECOND: usize = 0;
const MINUTE: usize = 1;
const HOUR: usize = 2;
const DAY_OF_MONTH: usize = 3;
const MONTH: usize = 4;
const DAY_OF_WEEK: usize = 5;
const YEAR: usize = 6;

const NAMES: [&str; 7] = ["second", "minute", "hour", "day-of-month", "month", "day-of-week", "year"];
const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// What stands for a whole text, the same in both dialects.
const NICKNAMES: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * SUN"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

const ALL_DAYS_OF_MONTH: u64 = 0xffff_fffe;
const ALL_DAYS_OF_WEEK: u64 = 0x7f;

/// Reads a cron text.
///
/// # Errors
/// The first field that can't be read, its value, and what it takes.
pub(super) fn read(expression: &str, dialect: Dialect) -> Result<Fields, BadSchedule> {
    if dialect == Dialect::Unix
        && let Some(fields) = read_plain(expression)
    {
        return Ok(fields);
    }
    let texts = split(expression)?;
    for (field, text) in texts.iter().enumerate() {
        if !is_plausible(field, text, dialect) {
            return Err(unreadable(expression, field, text, dialect));
        }
    }
    let fields = match dialect {
        Dialect::Unix => read_unix(&texts),
        Dialect::Quartz => read_quartz(&texts),
    };
    fields.map_err(|()| {
        let culprit = (0..texts.len()).find(|&field| !reads_alone(field, &texts[field], dialect));
        match culprit {
            Some(field) => unreadable(expression, field, &texts[field], dialect),
            None => BadSchedule::from(format!("the cron text {expression:?} can't be read")),
        }
    })
}

/// Cuts a text into its fields, seconds and year filled in where it has none.
fn split(expression: &str) -> Result<Texts, BadSchedule> {
    let text = expression.trim();
    let text = if text.starts_with('@') {
        let known = NICKNAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        known.map(|&(_, meaning)| meaning).ok_or_else(|| {
            let names: Vec<&str> = NICKNAMES.iter().map(|&(name, _)| name).collect();
            BadSchedule::from(format!("{text:?} is not one of {}", names.join(", ")))
        })?
    } else {
        text
    };
    let mut parts = text.split_whitespace().map(str::to_ascii_uppercase);
    let count = text.split_whitespace().count();
    if !(5..=7).contains(&count) {
        return Err(BadSchedule::from(format!(
            "the cron text {expression:?} has {count} fields: it takes 5 (minute hour day-of-month month \
             day-of-week), 6 (second first) or 7 (and year last)"
        )));
    }
    let mut texts: Texts = std::array::from_fn(|field| match field {
        SECOND if count == 5 => "0".to_owned(),
        YEAR if count < 7 => "*".to_owned(),
        _ => parts.next().unwrap_or_default(),
    });
    for field in [DAY_OF_MONTH, DAY_OF_WEEK] {
        if texts[field] == "?" {
            "*".clone_into(&mut texts[field]);
        }
    }
    Ok(texts)
}

/// What the crates would let pass and shouldn't: empty items, letters where
/// they mean nothing, marks of another field.
fn is_plausible(field: usize, text: &str, dialect: Dialect) -> bool {
    text.split(',').all(|item| {
        let marks = item.chars().all(|c| {
            c.is_ascii_alphanumeric() || matches!(c, '*' | '-' | '/') || (c == '#' && field == DAY_OF_WEEK)
        });
        let words = item
            .split(|c: char| !c.is_ascii_alphabetic())
            .filter(|word| !word.is_empty())
            .all(|word| takes_word(field, word, item, dialect));
        !item.is_empty() && !item.starts_with('/') && marks && words
    })
}

fn takes_word(field: usize, word: &str, item: &str, dialect: Dialect) -> bool {
    match (field, dialect) {
        (DAY_OF_MONTH, _) => matches!(word, "L" | "LW" | "W"),
        (MONTH, Dialect::Unix) => MONTHS.contains(&word),
        (DAY_OF_WEEK, Dialect::Unix) => {
            let day = word.strip_suffix('L').unwrap_or(word);
            // A lone `L` names no day.
            if day.is_empty() { item.len() > 1 } else { DAYS.contains(&day) }
        }
        // The crate knows the long names too, and refuses what is none.
        (MONTH | DAY_OF_WEEK, Dialect::Quartz) => true,
        _ => false,
    }
}

fn unreadable(expression: &str, field: usize, text: &str, dialect: Dialect) -> BadSchedule {
    let takes = match (field, dialect) {
        (SECOND | MINUTE, _) => "0 to 59",
        (HOUR, _) => "0 to 23",
        (DAY_OF_MONTH, _) => "1 to 31, L (last day), LW (last weekday), 15W (weekday nearest to the 15th)",
        (MONTH, _) => "1 to 12 or JAN to DEC",
        (DAY_OF_WEEK, Dialect::Unix) => {
            "0 to 7 (0 and 7 are Sunday) or SUN to SAT, 5L (last Friday), 1#2 (second Monday)"
        }
        (DAY_OF_WEEK, Dialect::Quartz) => {
            "1 to 7 (1 is Sunday) or SUN to SAT, 6L (last Friday), 2#2 (second Monday)"
        }
        (_, Dialect::Unix) => "1 to 5000",
        (_, Dialect::Quartz) => "1970 to 2100",
    };
    let mut message = format!("the cron text {expression:?}: {} {text:?} can't be read", NAMES[field]);
    // Writing to a `String` can't fail.
    let _ =
        write!(message, "; it takes {takes}, * for any, lists (1,3), rising ranges (1-3) and steps (*/2)");
    BadSchedule::from(message)
}

/// Whether a field can be read where all others are wildcards.
fn reads_alone(field: usize, text: &str, dialect: Dialect) -> bool {
    let mut texts: Texts = std::array::from_fn(|_| "*".to_owned());
    text.clone_into(&mut texts[field]);
    match dialect {
        Dialect::Unix => read_unix(&texts).is_ok(),
        Dialect::Quartz => read_quartz(&texts).is_ok(),
    }
}

/// `5/15` is from 5 in steps of 15, as most crons have it.
fn croner() -> CronParserBuilder {
    CronParser::builder().seconds(Seconds::Required).year(Year::Required).sloppy_ranges(true)
}

/// A Unix text of numbers, stars, ranges and steps alone, as nearly every one is. The crate reads it in the same way
/// and far slower, since it counts the years up to 5000; `None`: that has to read it.
fn read_plain(expression: &str) -> Option<Fields> {
    let meaning = |text: &str| NICKNAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    let text = expression.trim();
    let text = if text.starts_with('@') { meaning(text)?.1 } else { text };
    let mut texts = [""; 7];
    let mut count = 0;
    for part in text.split_whitespace() {
        *texts.get_mut(count)? = if part == "?" { "*" } else { part };
        count += 1;
    }
    match count {
        5 => {
            texts.copy_within(0..5, 1);
            texts[SECOND] = "0";
        }
        6 => {}
        // Years are few, and the crate's.
        _ => return None,
    }
    let days_of_week = numbers(texts[DAY_OF_WEEK], 0, 7)?;
    Some(Fields {
        seconds: numbers(texts[SECOND], 0, 59)?,
        minutes: numbers(texts[MINUTE], 0, 59)?,
        hours: numbers(texts[HOUR], 0, 23)?,
        months: numbers(texts[MONTH], 1, 12)?,
        years: None,
        days: DayRule {
            of_month: numbers(texts[DAY_OF_MONTH], 1, 31)?,
            // 7 is Sunday again.
            of_week: (days_of_week | days_of_week >> 7) & ALL_DAYS_OF_WEEK,
            either: is_either(texts[DAY_OF_MONTH], texts[DAY_OF_WEEK]),
            special: None,
        },
        repeats: repeats(texts[HOUR], texts[MINUTE]),
    })
}

/// crontab(5): a field is restricted unless it starts with a star; either day is enough only where both are.
fn is_either(of_month: &str, of_week: &str) -> bool {
    !of_month.starts_with('*') && !of_week.starts_with('*')
}

/// A list of numbers, ranges and steps as bits; `None`: it is something else, or wrong.
fn numbers(text: &str, least: u32, most: u32) -> Option<u64> {
    let number = |digits: &str| {
        let good = (1..=2).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
        good.then(|| digits.parse::<u32>().ok()).flatten()
    };
    let mut bits = 0;
    for item in text.split(',') {
        let (span, step) = match item.split_once('/') {
            Some((span, step)) => (span, Some(number(step).filter(|step| *step > 0)?)),
            None => (item, None),
        };
        let (first, last) = match span.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None if span == "*" && (step.is_some() || text == "*") => (least, most),
            None => {
                let first = number(span)?;
                (first, if step.is_some() { most } else { first })
            }
        };
        if first < least || last > most || first > last {
            return None;
        }
        let mut value = first;
        while value <= last {
            bits |= 1 << value;
            value += step.unwrap_or(1);
        }
    }
    Some(bits)
}

/// What the crate has to read: names, `L`, `W`, `#`, years.
fn read_unix(texts: &Texts) -> Result<Fields, ()> {
    let either = is_either(&texts[DAY_OF_MONTH], &texts[DAY_OF_WEEK]);
    let mut texts = texts.clone();
    // The crate takes 7 for Sunday everywhere but before `L`.
    texts[DAY_OF_WEEK] = map_items(&texts[DAY_OF_WEEK], |item| if item == "7L" { "0L" } else { item });
    let cron = croner().dom_and_dow(!either).build().parse(&texts.join(" ")).map_err(drop)?;
    let pattern = &cron.pattern;
    let special = pattern.days.has_modifiers() || pattern.days_of_week.has_modifiers();
    let fields = Fields {
        seconds: set(pattern.seconds.values())?,
        minutes: set(pattern.minutes.values())?,
        hours: set(pattern.hours.values())?,
        months: set(pattern.months.values())?,
        years: (texts[YEAR] != "*").then(|| pattern.years.values().into_iter().map(i32::from).collect()),
        days: if special {
            DayRule {
                of_month: ALL_DAYS_OF_MONTH,
                of_week: ALL_DAYS_OF_WEEK,
                either: false,
                special: Some(Box::new(cron.clone())),
            }
        } else {
            DayRule {
                of_month: set(pattern.days.values())?,
                // 7 is Sunday again.
                of_week: set(pattern.days_of_week.values().into_iter().map(|day| day % 7))?,
                either,
                special: None,
            }
        },
        repeats: repeats(&texts[HOUR], &texts[MINUTE]),
    };
    Ok(fields)
}

fn read_quartz(texts: &Texts) -> Result<Fields, ()> {
    let mut plain = texts.clone();
    let mut special: Texts = std::array::from_fn(|_| "*".to_owned());
    // A lone `L` is the last day of the week.
    plain[DAY_OF_WEEK] = map_items(&texts[DAY_OF_WEEK], |item| if item == "L" { "7" } else { item });
    // What the crate doesn't know comes from the other one.
    for (field, marks) in [(DAY_OF_MONTH, &['L', 'W'][..]), (DAY_OF_WEEK, &['#'][..])] {
        if plain[field].contains(marks) || plain[field].split(',').any(|item| item.ends_with('L')) {
            special[field] = std::mem::replace(&mut plain[field], "*".to_owned());
        }
    }
    let special = if special.iter().all(|text| text == "*") {
        None
    } else {
        let parser = croner().alternative_weekdays(true).dom_and_dow(true).build();
        Some(Box::new(parser.parse(&special.join(" ")).map_err(drop)?))
    };
    let schedule = cron::Schedule::from_str(&plain.join(" ")).map_err(drop)?;
    Ok(Fields {
        seconds: set(schedule.seconds().iter())?,
        minutes: set(schedule.minutes().iter())?,
        hours: set(schedule.hours().iter())?,
        months: set(schedule.months().iter())?,
        years: (texts[YEAR] != "*")
            .then(|| schedule.years().iter().filter_map(|year| i32::try_from(year).ok()).collect()),
        days: DayRule {
            of_month: set(schedule.days_of_month().iter())?,
            of_week: set(schedule.days_of_week().iter().map(|day| day - 1))?,
            either: false,
            special,
        },
        repeats: repeats(&texts[HOUR], &texts[MINUTE]),
    })
}

/// A list with each item put through `change`.
fn map_items(list: &str, change: impl Fn(&str) -> &str) -> String {
    list.split(',').map(change).collect::<Vec<_>>().join(",")
}

/// Whether hours or minutes are a wildcard or stepped.
fn repeats(hours: &str, minutes: &str) -> bool {
    hours.contains(['*', '/']) || minutes.contains(['*', '/'])
}

/// Values below 64 as bits; an empty set is an error.
fn set<T: Into<u32>>(values: impl IntoIterator<Item = T>) -> Result<u64, ()> {
    let bits =
        values.into_iter().fold(0_u64, |bits, value| bits | 1_u64.checked_shl(value.into()).unwrap_or(0));
    if bits == 0 { Err(()) } else { Ok(bits) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn item(low: u32, high: u32) -> impl Strategy<Value = String> {
        let number = move || low..=high;
        prop_oneof![
            number().prop_map(|n| n.to_string()),
            (number(), number()).prop_map(|(a, b)| format!("{a}-{b}")),
            (number(), number(), 0..70_u32).prop_map(|(a, b, step)| format!("{a}-{b}/{step}")),
            (number(), 0..70_u32).prop_map(|(a, step)| format!("{a}/{step}")),
            (0..70_u32).prop_map(|step| format!("*/{step}")),
            Just("*".to_owned()),
        ]
    }

    fn list(low: u32, high: u32) -> impl Strategy<Value = String> {
        prop_oneof![
            2 => Just("*".to_owned()),
            6 => item(low, high),
            2 => proptest::collection::vec(item(low, high), 2..4).prop_map(|items| items.join(",")),
            1 => "[0-9*,/-]{1,6}",
        ]
    }

    proptest! {
        /// What is read here is what the crate reads, and what it refuses is not read here.
        #[test]
        fn plain_texts_mean_what_they_mean_to_the_crate(
            second in list(0, 60), minute in list(0, 59), hour in list(0, 23), of_month in list(0, 31),
            month in list(1, 13), of_week in list(0, 8),
        ) {
            let text = [second, minute, hour, of_month, month, of_week].join(" ");
            if let Some(plain) = read_plain(&text) {
                let texts = split(&text).unwrap();
                prop_assert!((0..7).all(|field| is_plausible(field, &texts[field], Dialect::Unix)), "{}", text);
                let by_crate = read_unix(&texts);
                prop_assert!(by_crate.is_ok(), "{}", text);
                prop_assert_eq!(format!("{plain:?}"), format!("{:?}", by_crate.unwrap()));
            }
        }
    }

    #[test]
    fn usual_texts_are_plain() {
        for text in [
            "0 3 * * *",
            "*/5 * * * *",
            "7 12 * * * *",
            "0 9-17 * * 1-5",
            "5/15 0,12 1 */3 7",
            "@daily",
            "0 0 1 * ?",
        ] {
            assert!(read_plain(text).is_some(), "{text}");
        }
        for text in ["0 0 L * *", "0 0 * * MON", "0 0 1 1 * * 2027"] {
            assert!(read_plain(text).is_none(), "{text}");
        }
    }
}
