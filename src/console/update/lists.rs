//! The lists beside the task table, and what is under the cursor anywhere.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::fleet::{Delta, Fleet};
use crate::model::{AuditEntry, EndpointName, Receipt, TaskId, TaskKey};

use super::super::layout;
use super::super::state::{AuditKey, RowKey, Rows, Screen, State};

/// So many runs are listed.
pub const RUNS_LISTED: usize = 500;
/// So many lines of the journal are listed.
pub const ENTRIES_LISTED: usize = 1_000;

impl Rows {
    /// The number of the row under the cursor.
    #[must_use]
    pub fn position(&self) -> Option<usize> {
        let cursor = self.cursor.as_ref()?;
        self.keys.iter().position(|key| key == cursor)
    }

    /// Puts the cursor on row `index`, or the last, and the row into view.
    pub(super) fn select(&mut self, index: usize, page: usize) {
        let index = index.min(self.keys.len().saturating_sub(1));
        self.cursor = self.keys.get(index).cloned();
        self.top = layout::window(self.top, self.position(), self.keys.len(), page);
    }

    /// Takes a new order. The cursor stays on its row, and that row on its
    /// line of the screen; where it is gone, the nearest one that was near it is taken.
    pub(super) fn replace(&mut self, keys: Vec<RowKey>, page: usize) {
        let old = self.position();
        let line = old.map_or(0, |old| old.saturating_sub(self.top));
        let index = old.and_then(|old| {
            let there: BTreeSet<&RowKey> = keys.iter().collect();
            let (before, after) = self.keys.split_at(old);
            let near = after.iter().chain(before.iter().rev()).find(|key| there.contains(key));
            near.and_then(|near| keys.iter().position(|key| key == near))
        });
        let at_top = self.top == 0 && index.is_some_and(|index| index < page);
        self.keys = keys;
        let index = index.unwrap_or(0);
        if !at_top {
            self.top = index.saturating_sub(line);
        }
        self.select(index, page);
    }
}

/// Brings the list of the current screen up to date, if `delta` touches it.
pub(super) fn follow(state: &mut State, fleet: &Fleet, delta: &Delta) {
    let touched = match state.screen {
        Screen::Tasks | Screen::Journal => true,
        Screen::Board => delta.alerts || !delta.endpoints.is_empty(),
        Screen::Runs => delta.runs || !delta.endpoints.is_empty() || !delta.gone.is_empty(),
        Screen::Endpoints => !delta.endpoints.is_empty(),
    };
    if touched {
        refresh(state, fleet);
    }
}

/// Brings the list of the current screen up to date.
pub(super) fn refresh(state: &mut State, fleet: &Fleet) {
    if state.screen == Screen::Tasks {
        keep_task_in_view(state);
        return;
    }
    let keys = match state.screen {
        Screen::Tasks => return,
        Screen::Board => fleet
            .alerts()
            .into_iter()
            .map(|row| RowKey::Alert(row.endpoint.clone(), row.alert.key()))
            .collect(),
        Screen::Runs => fleet
            .runs(RUNS_LISTED)
            .into_iter()
            .map(|row| RowKey::Run {
                at: row.run.id.is_none().then(|| row.run.started.or(row.run.ended)).flatten(),
                task: TaskKey::new(&row.endpoint, &row.run.task),
                run: row.run.id,
            })
            .collect(),
        Screen::Endpoints => fleet.endpoints().map(|row| RowKey::Endpoint(row.spec.name.clone())).collect(),
        Screen::Journal => entries(state, fleet).iter().map(Entry::key).collect(),
    };
    let page = page(state);
    let rows = state.rows.entry(state.screen).or_default();
    if rows.keys != keys || rows.cursor.is_none() {
        rows.replace(keys, page);
        state.dirty = true;
    }
}

/// A line of the journal.
#[derive(Debug, Clone, Copy)]
pub enum Entry<'a> {
    /// An own intent at one target, as far as it came.
    Own(&'a Receipt),
    /// A line of an endpoint's own audit log.
    Told(&'a EndpointName, &'a AuditKey, &'a AuditEntry),
}

impl Entry<'_> {
    /// When it was sent, or noted.
    #[must_use]
    pub const fn at(&self) -> DateTime<Utc> {
        match self {
            Self::Own(receipt) => receipt.sent,
            Self::Told(_, _, entry) => entry.at,
        }
    }

    fn key(&self) -> RowKey {
        match self {
            Self::Own(receipt) => RowKey::Entry(receipt.intent, receipt.target.clone()),
            Self::Told(endpoint, key, _) => RowKey::Told((*endpoint).clone(), (*key).clone()),
        }
    }
}

/// The lines of the journal, newest first: the receipts of this console and of
/// earlier ones, each intent and target once, and what the endpoints' own logs tell.
#[must_use]
pub fn entries<'a>(state: &'a State, fleet: &'a Fleet) -> Vec<Entry<'a>> {
    let mut seen = BTreeSet::new();
    let own = fleet.receipts().into_iter().chain(state.journal.iter().rev());
    let own = own.filter(|receipt| seen.insert((receipt.intent, &receipt.target))).map(Entry::Own);
    let told = state.audit.iter().flat_map(|(endpoint, log)| {
        log.lines.iter().rev().map(move |(key, entry)| Entry::Told(endpoint, key, entry))
    });
    let mut all: Vec<Entry<'_>> = own.chain(told).collect();
    all.sort_by_key(|entry| std::cmp::Reverse(entry.at()));
    all.truncate(ENTRIES_LISTED);
    all
}

/// The task that a line of an audit log is about, where it names one that is
/// listed: by its id, another id of it, or its name.
#[must_use]
pub fn task_told(state: &State, fleet: &Fleet) -> Option<TaskKey> {
    let RowKey::Told(endpoint, key) = row(state).filter(|_| state.screen == Screen::Journal)? else {
        return None;
    };
    let target = state.audit.get(endpoint)?.lines.get(key)?.target.as_ref()?;
    let by_id = TaskKey::new(endpoint, &TaskId::new(target));
    if fleet.task(&by_id).is_some() {
        return Some(by_id);
    }
    let mut named = fleet.tasks().filter(|row| {
        row.key.endpoint == *endpoint && (row.task.name == *target || row.task.alias.as_ref() == Some(target))
    });
    match (named.next(), named.next()) {
        (Some(row), None) => Some(row.key.clone()),
        _ => None,
    }
}

/// How many rows of data the current screen has.
pub(super) fn page(state: &State) -> usize {
    layout::list_rows(state.screen, state.width, state.height, message_line(state)).max(1)
}

/// Whether the line above the footer has something to say.
const fn message_line(state: &State) -> bool {
    state.message.is_some() || state.filter.editing || !state.filter.input.text.is_empty()
}

/// Keeps the row under the cursor of the task table in view.
pub(super) fn keep_task_in_view(state: &mut State) {
    let top = layout::window(state.tasks_top, state.tasks.cursor_index(), state.tasks.len(), page(state));
    if top != state.tasks_top {
        state.tasks_top = top;
        state.dirty = true;
    }
}

/// The row under the cursor of the current screen, if it is not the task table.
pub(super) fn row(state: &State) -> Option<&RowKey> {
    state.rows.get(&state.screen)?.cursor.as_ref()
}

/// The task that the cursor is on, or that belongs to the row it is on.
#[must_use]
pub fn task_under_cursor(state: &State) -> Option<TaskKey> {
    if state.screen == Screen::Tasks {
        return state.tasks.cursor().cloned();
    }
    match row(state)? {
        RowKey::Alert(endpoint, alert) => alert.task.as_ref().map(|task| TaskKey::new(endpoint, task)),
        RowKey::Run { task, .. } => Some(task.clone()),
        RowKey::Entry(_, target) => target.key(),
        RowKey::Endpoint(_) | RowKey::Told(..) => None,
    }
}

/// The endpoint that the cursor is on, or that the row it is on belongs to.
#[must_use]
pub fn endpoint_under_cursor(state: &State) -> Option<EndpointName> {
    if let Some(detail) = &state.detail {
        return Some(detail.about.endpoint().clone());
    }
    if state.screen == Screen::Tasks {
        return state.tasks.cursor().map(|key| key.endpoint.clone());
    }
    Some(match row(state)? {
        RowKey::Alert(endpoint, _) | RowKey::Endpoint(endpoint) | RowKey::Told(endpoint, _) => {
            endpoint.clone()
        }
        RowKey::Run { task, .. } => task.endpoint.clone(),
        RowKey::Entry(_, target) => target.endpoint.clone(),
    })
}
