//! When time alone changes something that is shown.

use chrono::{DateTime, TimeDelta, Utc};

use crate::fleet::{Fleet, TaskRow};
use crate::model::{Run, RunState, TaskKey, TaskState};

use super::super::layout;
use super::super::state::{About, RowKey, Screen, State};
use super::{audit, lists, log};

const MINUTE_MS: i64 = 60_000;

/// The next instant at which a tick has something to do: a fact of the fleet
/// falls due, a message has stood long enough, a shown age, countdown or clock
/// reads otherwise, or more of a log, or an audit log, is to be asked for. `None`: never.
#[must_use]
pub fn next_tick(state: &State, fleet: &Fleet) -> Option<DateTime<Utc>> {
    let asks = log::next_ask(state);
    let audit = audit::next_ask(state, fleet);
    [fleet.next_change(), state.tasks.next_change(), next_shown(state, fleet), asks, audit]
        .into_iter()
        .flatten()
        .min()
}

/// Time has come to `now`: what has passed goes, and what reads otherwise is to be drawn.
pub(super) fn pass(state: &mut State, fleet: &Fleet, now: DateTime<Utc>) {
    if !state.dirty && next_shown(state, fleet).is_some_and(|at| at <= now) {
        state.dirty = true;
    }
    state.now = now;
    if state.message.as_ref().and_then(|message| message.until).is_some_and(|until| until <= now) {
        state.message = None;
        state.dirty = true;
    }
}

/// The next instant after [`State::now`] at which something on the screen reads otherwise.
fn next_shown(state: &State, fleet: &Fleet) -> Option<DateTime<Utc>> {
    let mut next = Next { now: state.now, at: None };
    next.at(state.message.as_ref().and_then(|message| message.until));
    // The clock.
    next.whole(Some(DateTime::UNIX_EPOCH), MINUTE_MS);
    if let Some(detail) = &state.detail {
        match &detail.about {
            About::Task(key) => task_and_runs(&mut next, fleet, key, state),
            About::Endpoint(_) => endpoints(&mut next, fleet),
        }
    }
    let covered = state.detail.is_some() && state.width < layout::DETAIL_BESIDE;
    if !covered {
        list(&mut next, state, fleet);
    }
    next.at
}

/// Collects the earliest of several instants.
struct Next {
    now: DateTime<Utc>,
    at: Option<DateTime<Utc>>,
}

impl Next {
    fn at(&mut self, at: Option<DateTime<Utc>>) {
        if let Some(at) = at.filter(|at| *at > self.now) {
            self.at = Some(self.at.map_or(at, |known| known.min(at)));
        }
    }

    /// An age or countdown, counted from or to `instant`: in minutes within a
    /// day, in hours within a week, then in days.
    fn minute(&mut self, instant: Option<DateTime<Utc>>) {
        let away = instant.map_or(0, |instant| (self.now - instant).num_hours().abs());
        let unit_ms = match away {
            0..24 => MINUTE_MS,
            24..168 => 60 * MINUTE_MS,
            _ => 24 * 60 * MINUTE_MS,
        };
        self.whole(instant, unit_ms);
    }

    /// A countdown whose last minute is in seconds.
    fn soon(&mut self, instant: Option<DateTime<Utc>>) {
        match instant {
            Some(at) if at > self.now && at - self.now <= TimeDelta::minutes(1) => self.second(instant),
            _ => self.minute(instant),
        }
    }

    /// One in seconds.
    fn second(&mut self, instant: Option<DateTime<Utc>>) {
        self.whole(instant, 1_000);
    }

    /// The next instant that is a whole number of `unit_ms` away from `instant`.
    fn whole(&mut self, instant: Option<DateTime<Utc>>, unit_ms: i64) {
        let Some(instant) = instant else { return };
        let passed = (self.now - instant).num_milliseconds().div_euclid(unit_ms);
        let step = passed.saturating_add(1).saturating_mul(unit_ms);
        self.at(TimeDelta::try_milliseconds(step).and_then(|step| instant.checked_add_signed(step)));
    }
}

/// The ages of a row of the task table.
fn task(next: &mut Next, fleet: &Fleet, row: &TaskRow) {
    next.minute(row.task.last_run.as_ref().and_then(|run| run.ended.or(run.started)));
    next.minute(row.next_due);
    next.minute(row.late_since.or(row.unverified_late_since));
    next.minute(fleet.endpoint(&row.key.endpoint).filter(|e| e.failure.is_some()).and_then(|e| e.last_ok));
    next.minute(row.task.retry.next_at);
    row.task.active_runs.iter().for_each(|active| run(next, active));
}

/// The age of a run, or its duration so far.
fn run(next: &mut Next, run: &Run) {
    // The duration so far is in seconds within an hour.
    if run.state == RunState::Running
        && run.started.is_some_and(|started| next.now - started < TimeDelta::hours(1))
    {
        next.second(run.started);
    }
    next.minute(run.ended.or(run.started).or(run.queued));
    next.minute(run.next_at);
}

/// The ages of the open detail.
fn task_and_runs(next: &mut Next, fleet: &Fleet, key: &TaskKey, state: &State) {
    let Some(row) = fleet.task(key) else { return };
    task(next, fleet, row);
    next.minute(row.since);
    let rows = layout::detail_rows(state.width, state.height);
    let top = state.detail.as_ref().map_or(0, |detail| detail.top);
    fleet.runs_of(key).into_iter().skip(top).take(rows).for_each(|known| run(next, known));
}

/// The ages of the rows of the list that are in view.
fn list(next: &mut Next, state: &State, fleet: &Fleet) {
    let page = lists::page(state);
    match state.screen {
        Screen::Tasks => {
            let last = state.tasks.len().min(state.tasks_top + page);
            for row in (state.tasks_top..last).filter_map(|i| fleet.task(state.tasks.get(i)?)) {
                task(next, fleet, row);
            }
        }
        Screen::Board => board(next, fleet),
        Screen::Runs => {
            let rows = state.rows.get(&Screen::Runs);
            let top = rows.map_or(0, |rows| rows.top);
            let known = fleet.runs(lists::RUNS_LISTED);
            known.iter().skip(top).take(page).for_each(|row| run(next, &row.run));
        }
        Screen::Endpoints => endpoints(next, fleet),
        Screen::Journal => {
            let rows = state.rows.get(&Screen::Journal);
            let keys = rows.into_iter().flat_map(|rows| rows.keys.iter().skip(rows.top).take(page));
            for key in keys {
                if let RowKey::Entry(intent, target) = key {
                    let known = fleet.receipts().into_iter().chain(&state.journal);
                    let found = known.into_iter().find(|r| r.intent == *intent && r.target == *target);
                    next.minute(found.map(|receipt| receipt.at));
                    next.minute(found.map(|receipt| receipt.sent));
                }
            }
        }
    }
}

fn endpoints(next: &mut Next, fleet: &Fleet) {
    for row in fleet.endpoints().filter(|row| row.failure.is_some()) {
        next.minute(row.last_ok);
        next.minute(Some(row.since));
        next.soon(row.failure.as_ref().map(|failure| failure.next_try));
    }
}

fn board(next: &mut Next, fleet: &Fleet) {
    endpoints(next, fleet);
    fleet.open_alerts().for_each(|(_, alert)| next.minute(Some(alert.since)));
    fleet.queues().iter().for_each(|row| next.minute(row.queue.oldest_pending));
    let moving = if fleet.counts().of(TaskState::Running) == 0 { None } else { Some(fleet.tasks()) };
    for row in moving.into_iter().flatten() {
        row.task.active_runs.iter().for_each(|active| run(next, active));
    }
}
