//! When a task starts: its schedule, what it comes after, its blackouts.

use std::time::Duration;

use crate::document::{Table, Value};
use crate::model::{Blackout, Clean, Dialect, Schedule, TaskId, Timing, Weekday};
use crate::schedule::{BadSchedule, Blackouts, Plan, check_zone};

use super::super::domain::Work;
use super::{Definition, MAX_TIME, Name};

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// Reads when a task starts, and gives the tasks that it names.
pub(super) fn read<'a>(table: &Table<'a>, task: &mut Definition) -> Vec<Name<'a>> {
    task.schedule = schedule(table);
    task.blackout = blackouts(table);
    let Some(value) = table.get("after") else { return Vec::new() };
    if let Some(key) = ["schedule", "every"].into_iter().find(|key| table.get(key).is_some()) {
        value.problem(&format!(
            "there is {key} too: a task starts by the clock or after others, one of the two"
        ));
    }
    if task.work == Work::Watched {
        value.problem("there is no command to start: a task that is only watched starts elsewhere");
    }
    let values = if value.is_list() { value.clone().list().unwrap_or_default() } else { vec![value.clone()] };
    if values.is_empty() {
        value.problem("names no task: say after which, or leave it out");
    }
    let mut names = Vec::new();
    for value in values {
        let Some(named) = value.clone().string().map(|id| TaskId::new(&id)) else { continue };
        if task.after.contains(&named) {
            value.problem(&format!("{:?} stands there twice", named.as_raw()));
            continue;
        }
        task.after.push(named.clone());
        names.push(Name { field: "after", value, task: named });
    }
    names
}

fn schedule(table: &Table<'_>) -> Option<Schedule> {
    let cron = table.get("schedule");
    let every = table.get("every");
    let zone = table.get("zone");
    let dialect: Option<Dialect> = table.word("dialect", Dialect::ALL.iter().map(|dialect| dialect.word()));
    let zone_text = zone.clone().map_or_else(|| Some("UTC".to_owned()), Value::string);
    if let (Some(_), Some(every)) = (&cron, &every) {
        every.problem("there is a schedule too: one of the two");
        return None;
    }
    for (key, given) in [("zone", zone.is_some()), ("dialect", dialect.is_some())] {
        if given && cron.is_none() {
            let value = if key == "zone" { zone.clone() } else { table.get("dialect") };
            if let Some(value) = value {
                value.problem("says how a schedule is read, and there is none");
            }
        }
    }
    let (value, timing) = match (cron, every) {
        (Some(value), _) => {
            let expression = Clean::line(value.clone().string()?.trim());
            (value, Timing::Cron { expression, dialect: dialect.unwrap_or(Dialect::Unix) })
        }
        (None, Some(value)) => {
            let every = value.clone().duration_within(Duration::from_secs(1)..=MAX_TIME)?;
            if every.subsec_nanos() != 0 {
                value.problem("must be whole seconds");
            }
            let seconds = u32::try_from(every.as_secs()).unwrap_or(u32::MAX);
            (value, Timing::Every { seconds })
        }
        (None, None) => return None,
    };
    // A zone that is none is a problem of its own line.
    let zone_is_bad = |error: BadSchedule| zone.as_ref().map(|zone| zone.problem(&error.0));
    let known = zone_text.filter(|name| check_zone(name).map_err(zone_is_bad).is_ok());
    let zone = Clean::line(known.as_deref().unwrap_or("UTC"));
    let schedule = Schedule { timing, zone, assumed: false };
    match Plan::new(&schedule) {
        Ok(plan) if !plan.can_come() => {
            value.problem(&format!(
                "the cron text {:?} can never come: there is no such date",
                schedule.text().as_str()
            ));
        }
        Ok(_) => {}
        Err(error) => value.problem(&error.0),
    }
    Some(schedule)
}

/// The times at which it does not start by itself.
fn blackouts(table: &Table<'_>) -> Vec<Blackout> {
    if let Some(windows) = table.get("windows") {
        windows.problem(
            "say when it must not start with blackout = [{ from = \"22:00\", to = \"06:00\" }], and how late it \
             may with start_window and lateness_window",
        );
    }
    let Some(value) = table.get("blackout") else { return Vec::new() };
    let Some(list) = value.clone().list() else { return Vec::new() };
    let count = list.len();
    let read: Vec<Blackout> = list.into_iter().filter_map(Value::table).filter_map(blackout).collect();
    if read.len() == count
        && let Err(error) = Blackouts::new(&read)
    {
        value.problem(&error.0);
    }
    read
}

fn blackout(table: Table<'_>) -> Option<Blackout> {
    let from = table.need("from").and_then(|value| minutes(&value, 0..=DAY - 1));
    let to = table.need("to").and_then(|value| minutes(&value, 0..=DAY));
    let days = table.get("days").and_then(Value::list);
    let days: Option<Vec<Weekday>> = days.map_or(Some(Vec::new()), |days| {
        let words = || Weekday::ALL.iter().map(|day| day.word());
        days.into_iter().map(|day| day.word(words())).collect()
    });
    let zone = table.get("zone");
    let name = zone.clone().map_or_else(|| Some("UTC".to_owned()), Value::string);
    let zone_is_bad = |error: BadSchedule| zone.as_ref().map(|zone| zone.problem(&error.0));
    let name = name.filter(|name| check_zone(name).map_err(zone_is_bad).is_ok());
    if let (Some(from), Some(to)) = (from, to)
        && from == to
    {
        table.problem("is over when it begins: a whole day is from = \"00:00\", to = \"24:00\"");
    }
    table.finish();
    Some(Blackout { from_min: from?, to_min: to?, days: days?, zone: Clean::line(&name?) })
}

/// A time of the day, as minutes since midnight.
fn minutes(value: &Value<'_>, within: std::ops::RangeInclusive<u16>) -> Option<u16> {
    let text = value.clone().string()?;
    let number = |digits: &str| {
        let good = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_digit());
        good.then(|| digits.parse::<u16>().ok()).flatten()
    };
    let read = text.split_once(':').and_then(|(hour, minute)| {
        let (hour, minute) = (number(hour)?, number(minute).filter(|minute| *minute < 60)?);
        Some(hour * 60 + minute).filter(|minutes| within.contains(minutes))
    });
    if read.is_none() {
        value.problem(&format!("{text:?} is not a time of the day: write \"06:00\" or \"22:30\""));
    }
    read
}
