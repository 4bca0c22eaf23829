//! Runs of the whole fleet, newest first.

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Standing, View, endpoint_cells, in_view, say, stand, words};
use crate::console::format::{self, NONE};
use crate::console::state::{RowKey, Screen};
use crate::console::theme::Role;
use crate::console::widgets::{Grid, Row, Slot, glyph};
use crate::fleet::{Fleet, took_ms};
use crate::model::{Run, RunId, RunState, TaskKey};

const STATE: usize = 0;
const ENDPOINT: usize = 1;
const TASK: usize = 2;
const CAUSE: usize = 3;
const STARTED: usize = 4;
const TOOK: usize = 5;
const EXIT: usize = 6;
const TRY: usize = 7;
const MESSAGE: usize = 8;

pub(super) fn draw(buffer: &mut Buffer, titles: Rect, rows: Rect, view: &View<'_>) {
    let listed = view.state.rows.get(&Screen::Runs).filter(|rows| !rows.keys.is_empty());
    let Some(listed) = listed else {
        let lines = if view.fleet.task_count() == 0 {
            words::no_tasks(view)
        } else {
            vec![("No run is known yet: what runs from now on appears here.".to_owned(), Role::Text)]
        };
        return say(buffer, rows, &lines, view);
    };
    let grid = Grid::fit(
        vec![
            Slot::new("STATE", 11, 11),
            Slot::new("ENDPOINT", 8, endpoint_cells(view)).drop(1),
            Slot::new("TASK", 16, 30),
            Slot::new("CAUSE", 8, 9).drop(6),
            Slot::new("STARTED", 9, 10).drop(3),
            Slot::new("TOOK", 7, 7).drop(2).right(),
            Slot::new("EXIT", 4, 4).drop(4).right(),
            Slot::new("TRY", 3, 3).drop(7).right(),
            Slot::new("MESSAGE", 10, 200).drop(5).gap(2),
        ],
        rows.width,
    );
    grid.titles(buffer, titles, view.style(Role::Heading));
    for (line, key, cursor) in in_view(listed, rows.height) {
        let RowKey::Run { task, run, at } = key else { continue };
        if let Some(found) = find(view.fleet, task, run.as_ref(), *at) {
            row(&mut grid.row(buffer, rows, line), task, found, view);
        }
        stand(buffer, rows, line, Standing { cursor, marked: false }, view);
    }
}

/// The run that a key of a list means.
fn find<'f>(
    fleet: &'f Fleet,
    task: &TaskKey,
    run: Option<&RunId>,
    at: Option<DateTime<Utc>>,
) -> Option<&'f Run> {
    match run {
        Some(id) => fleet.run(&task.endpoint, id),
        None => {
            fleet.runs_of(task).into_iter().find(|run| run.id.is_none() && run.started.or(run.ended) == at)
        }
    }
}

fn row(cells: &mut Row<'_>, task: &TaskKey, run: &Run, view: &View<'_>) {
    let name = view.fleet.task(task).map_or_else(|| task.task.shown(), |row| row.task.name.clone());
    let text = view.style(Role::Text);
    let muted = view.style(Role::Muted);
    cells.put(STATE, &state_word(run.state), view.style(Role::run(run.state)));
    cells.put(ENDPOINT, &task.endpoint.shown(), muted);
    cells.put(TASK, &name, text);
    cells.put(CAUSE, run.cause.as_deref().unwrap_or(""), muted);
    cells.put(STARTED, &started(run, view), text);
    cells.put(TOOK, &took(run, view), text);
    let exit = run.exit_code.map(|code| code.to_string()).unwrap_or_default();
    cells.put(EXIT, &exit, view.style(if run.exit_code == Some(0) { Role::Muted } else { Role::Text }));
    cells.put(TRY, &if run.attempt > 0 { run.attempt.to_string() } else { String::new() }, muted);
    let message_role = if run.state.is_bad() { Role::Text } else { Role::Muted };
    cells.put(MESSAGE, run.message.as_deref().unwrap_or(""), view.style(message_role));
}

/// A run's state as it is shown.
pub(super) fn state_word(state: RunState) -> String {
    format!("{} {}", glyph::run(state), state.word())
}

/// When it started, or what comes instead.
pub(super) fn started(run: &Run, view: &View<'_>) -> String {
    let at = run.started.or(run.queued).or(run.slot).or(run.ended);
    at.map_or_else(|| NONE.to_owned(), |at| format::day(at, view.state.now, &view.state.look))
}

/// How long it took, or has been running.
pub(super) fn took(run: &Run, view: &View<'_>) -> String {
    match (run.state, run.started) {
        (RunState::Running, Some(started)) => format::elapsed(view.state.now, started),
        _ => took_ms(run).map_or_else(|| NONE.to_owned(), format::duration),
    }
}
