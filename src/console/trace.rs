//! A trace as lines: shared by the update (how far it scrolls, what is copied)
//! and by the screen.

use chrono::{DateTime, Utc};

use super::format::{exact, width, wrap};
use super::state::Look;
use super::theme::Role;
use crate::model::{Event, Trace};

/// Names and times take a quarter of the line at most, within these.
const NAMES: std::ops::RangeInclusive<usize> = 14..=28;

/// A line of a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What stands on the left: a fact's name, an event's time; empty where the line before goes on.
    pub name: String,
    /// What stands beside it, piece by piece.
    pub text: Vec<(String, Role)>,
}

/// How many of `cells` the names and times of `trace` take.
#[must_use]
pub fn names(trace: &Trace, cells: usize, now: DateTime<Utc>, look: &Look) -> usize {
    let facts = trace.facts.iter().map(|(name, _)| width(name));
    let times = trace.events.iter().map(|event| width(&exact(event.at, now, look)));
    facts.chain(times).max().unwrap_or(0).min((cells / 4).clamp(*NAMES.start(), *NAMES.end()))
}

/// The lines in `cells`: facts, an empty line, then what happened, newest first.
#[must_use]
pub fn lines(trace: &Trace, cells: usize, now: DateTime<Utc>, look: &Look) -> Vec<Line> {
    let room = cells.saturating_sub(names(trace, cells, now, look) + 3).max(8);
    let mut lines = Vec::new();
    for (name, value) in &trace.facts {
        let pieces = wrap(value, room).into_iter().map(|piece| vec![(piece, Role::Text)]);
        add(&mut lines, name, pieces);
    }
    if !lines.is_empty() && !trace.events.is_empty() {
        lines.push(Line { name: String::new(), text: Vec::new() });
    }
    for event in &trace.events {
        add(&mut lines, &exact(event.at, now, look), told(event, room).into_iter());
    }
    lines
}

fn add(lines: &mut Vec<Line>, name: &str, pieces: impl Iterator<Item = Vec<(String, Role)>>) {
    for (index, text) in pieces.enumerate() {
        let name = if index == 0 { name.to_owned() } else { String::new() };
        lines.push(Line { name, text });
    }
}

/// What happened, by whom, and more about it: on one line where that fits.
fn told(event: &Event, room: usize) -> Vec<Vec<(String, Role)>> {
    let mut more: Vec<String> = event.by.iter().map(|by| format!("by {by}")).collect();
    more.extend(event.details.iter().filter(|text| !text.is_empty()).map(ToString::to_string));
    let more = more.join(" · ");
    let mut lines: Vec<Vec<(String, Role)>> =
        wrap(&event.what, room).into_iter().map(|piece| vec![(piece, Role::Text)]).collect();
    let used = lines.last().map_or(0, |line| line.iter().map(|(text, _)| width(text)).sum());
    if more.is_empty() {
        return lines;
    }
    match lines.last_mut() {
        Some(last) if used + 2 + width(&more) <= room => last.push((format!("  {more}"), Role::Muted)),
        _ => lines.extend(wrap(&more, room).into_iter().map(|piece| vec![(piece, Role::Muted)])),
    }
    lines
}

/// As text to be copied: a line per fact and event, times in UTC.
#[must_use]
pub fn text(trace: &Trace) -> String {
    let facts = trace.facts.iter().map(|(name, value)| format!("{name}: {value}\n"));
    let events = trace.events.iter().map(|event| {
        let time = event.at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
        let more =
            event.by.iter().map(|by| format!("by {by}")).chain(event.details.iter().map(ToString::to_string));
        let parts: Vec<String> = [time, event.what.to_string()].into_iter().chain(more).collect();
        parts.join(" ") + "\n"
    });
    facts.chain(events).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    fn look() -> Look {
        Look { ascii: false, utc: true, local_offset_s: 0, local_zone: "UTC".into() }
    }

    fn trace() -> Trace {
        let at: DateTime<Utc> = "2026-01-20T09:00:00Z".parse().unwrap();
        let event = |minutes: i64, what: &str, by: Option<&str>, details: Option<&str>| Event {
            at: at - TimeDelta::minutes(minutes),
            what: what.into(),
            by: by.map(Into::into),
            details: details.map(Into::into),
        };
        Trace {
            facts: vec![("bridge".into(), "bridge-01".into()), ("health".into(), "HEALTHY".into())],
            events: vec![
                event(1, "Completed", None, None),
                event(2_000, "Assigned", Some("bridge-01"), Some("to machine prod-01, on the second try")),
            ],
        }
    }

    #[test]
    fn a_trace_fits_the_cells_there_are() {
        let now = "2026-01-20T09:41:00Z".parse().unwrap();
        for cells in 20..120 {
            let lines = lines(&trace(), cells, now, &look());
            let names = names(&trace(), cells, now, &look());
            for line in &lines {
                let text: usize = line.text.iter().map(|(text, _)| width(text)).sum();
                assert!(names + 3 + text <= cells.max(names + 11), "{cells}: {line:?}");
            }
            assert!(lines.iter().any(|line| line.name == "08:59:00"), "{lines:?}");
            assert!(lines.iter().any(|line| line.name == "Sun 23:40:00"), "{lines:?}");
        }
        assert_eq!(lines(&trace(), 120, now, &look()).len(), 5, "a line each where there is room");
    }

    #[test]
    fn what_is_copied_has_whole_times() {
        assert_eq!(
            text(&trace()),
            "bridge: bridge-01\nhealth: HEALTHY\n2026-01-20T08:59:00Z Completed\n\
             2026-01-18T23:40:00Z Assigned by bridge-01 to machine prod-01, on the second try\n"
        );
    }
}
