//! What is broken or empty, in words: what, since when, and what helps.

use std::collections::BTreeMap;

use super::View;
use crate::console::format::{age, count, due, ordinal};
use crate::console::theme::Role;
use crate::document::nearest;
use crate::fleet::{EndpointRow, Fleet};
use crate::model::{Clean, Health, Kind, TaskState};

/// What is wrong with an endpoint as a whole, in a sentence; `None`: nothing.
pub(super) fn trouble(row: &EndpointRow, view: &View<'_>) -> Option<String> {
    let now = view.state.now;
    let name = &row.spec.name;
    let place = row.url.as_deref().or(row.spec.url.as_deref());
    match row.health {
        Health::Up => None,
        Health::Degraded => {
            let what = row.degraded.as_deref().unwrap_or("a part of it can't be read");
            Some(format!("{name}: {what}"))
        }
        Health::Connecting => {
            Some(place.map_or_else(
                || format!("{name}: starting …"),
                |url| format!("{name}: connecting to {url} …"),
            ))
        }
        Health::Down | Health::Unauthorised => {
            let failure = row.failure.as_ref();
            let reason = failure.map_or_else(|| row.health.word(), |failure| failure.reason.as_str());
            let mut text = vec![format!("{name}: {reason}")];
            if let Some(failure) = &row.failure {
                let when = if failure.next_try > now { due(now, failure.next_try) } else { "now".to_owned() };
                text.push(format!("{} try {when}", ordinal(failure.tries.saturating_add(1))));
            }
            if let (Some(last), 1..) = (row.last_ok, row.tasks) {
                text.push(format!("its rows are {} old", age(now, last)));
            }
            Some(text.join(" · "))
        }
    }
}

/// The worst endpoint's trouble, for the line that has nothing else to say.
pub(super) fn worst_trouble(view: &View<'_>) -> Option<String> {
    let rank = |row: &&EndpointRow| match row.health {
        Health::Unauthorised => 0,
        Health::Down => 1,
        Health::Degraded => 2,
        Health::Connecting => 3,
        Health::Up => 4,
    };
    let others = view.fleet.endpoints().filter(|row| rank(row) < 2).count().saturating_sub(1);
    let text = trouble(view.fleet.endpoints().min_by_key(rank)?, view)?;
    Some(if others == 0 { text } else { format!("{text} · and {others} more") })
}

/// Why there are no tasks at all, an endpoint a line.
pub(super) fn no_tasks(view: &View<'_>) -> Vec<(String, Role)> {
    let mut lines: Vec<(String, Role)> = Vec::new();
    for row in view.fleet.endpoints() {
        let name = &row.spec.name;
        match (trouble(row, view), row.health) {
            (Some(text), Health::Connecting) => lines.push((text, Role::Muted)),
            (Some(text), _) => lines.push((text, Role::Error)),
            (None, _) if row.spec.kind == Kind::Vigie => lines.push((
                format!("{name} has no tasks of yours yet. Add one: `vigie config paths` shows tasks.toml."),
                Role::Text,
            )),
            (None, _) => lines.push((format!("{name} has no tasks."), Role::Text)),
        }
    }
    if lines.is_empty() {
        lines.push(("No endpoint is configured: `vigie config paths` shows where.".to_owned(), Role::Text));
    }
    lines
}

/// What to say where a filter matches nothing, with the nearest value that would.
pub(super) fn no_match(filter: &str, fleet: &Fleet) -> String {
    let text = format!("No task matches {filter}.");
    for term in filter.split_whitespace() {
        let Some((field, value)) = term.split_once(':') else { continue };
        let wanted = value.rsplit(',').next().unwrap_or(value);
        if let Some((near, tasks)) = nearest_value(field, wanted, fleet) {
            return format!("{text} Nearest: {field}:{near} ({tasks}).");
        }
    }
    format!("{text} {} in all; Esc clears the filter.", count(fleet.task_count(), "task"))
}

/// The value of a filter's field that is nearest to `wanted`, with how many tasks have it.
fn nearest_value(field: &str, wanted: &str, fleet: &Fleet) -> Option<(Clean, usize)> {
    let mut values: BTreeMap<Clean, usize> = BTreeMap::new();
    let mut count = |value: Option<&Clean>| {
        if let Some(value) = value {
            *values.entry(value.clone()).or_default() += 1;
        }
    };
    match field {
        "team" => fleet.tasks().for_each(|row| count(row.team())),
        "class" => fleet.tasks().for_each(|row| count(row.task.class.as_ref())),
        "machine" => fleet.tasks().for_each(|row| count(row.machine())),
        "endpoint" => values.extend(fleet.endpoints().map(|row| (row.spec.name.shown(), row.tasks))),
        "state" => {
            let counts = fleet.counts();
            values.extend(TaskState::ALL.iter().map(|&state| (state.word().into(), counts.of(state))));
        }
        _ => return None,
    }
    if values.contains_key(wanted) {
        return None;
    }
    let near = nearest(wanted, values.keys().map(Clean::as_str))?;
    values.get_key_value(near).map(|(near, &tasks)| (near.clone(), tasks))
}
