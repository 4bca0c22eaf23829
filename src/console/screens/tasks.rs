//! The table of every endpoint's tasks. Only rows in view are looked at.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::{Standing, View, endpoint_cells, say, stand, words};
use crate::action::{Action, Code};
use crate::console::format::{self, NONE, width};
use crate::console::layout;
use crate::console::state::Column;
use crate::console::theme::Role;
use crate::console::widgets::{Grid, Pen, Row, Slot, glyph};
use crate::fleet::{SortKey, TaskRow, took_ms};
use crate::model::{Evidence, Receipt, Run, RunState, TaskState, Verb};

pub(super) fn draw(buffer: &mut Buffer, titles: Rect, rows: Rect, view: &View<'_>) {
    let state = view.state;
    if state.tasks.is_empty() {
        let filter = state.filter.input.text.trim();
        let lines = if view.fleet.task_count() == 0 {
            words::no_tasks(view)
        } else {
            vec![(words::no_match(filter, view.fleet), Role::Text)]
        };
        say(buffer, rows, &lines, view);
        return;
    }
    let columns: Vec<Column> =
        Column::ALL.into_iter().filter(|c| *c == Column::Task || !state.hidden.contains(c)).collect();
    let table = Table { view, grid: grid(&columns, rows.width, view), columns };
    table.titles(buffer, titles);

    let lines = usize::from(rows.height);
    let top = layout::window(state.tasks_top, state.tasks.cursor_index(), state.tasks.len(), lines);
    let cursor = state.tasks.cursor();
    for line in 0..rows.height {
        let Some(key) = state.tasks.get(top + usize::from(line)) else { break };
        let Some(row) = view.fleet.task(key) else { continue };
        table.row(&mut table.grid.row(buffer, rows, line), row);
        let standing = Standing { cursor: cursor == Some(key), marked: state.marks.contains(key) };
        stand(buffer, rows, line, standing, view);
    }
}

/// Columns of this rank and above are only good to know.
const OPTIONAL: u8 = 8;

/// The columns in `room` cells. What an operator misses least goes first.
fn grid(columns: &[Column], room: u16, view: &View<'_>) -> Grid {
    let endpoint = endpoint_cells(view);
    let slot = |column: &Column, task: u16| {
        let title = column.title();
        match column {
            Column::State => Slot::new(title, 10, 11),
            Column::Endpoint => Slot::new(title, 8, endpoint).drop(1),
            Column::Task => Slot::new(title, task, 48),
            Column::Schedule => Slot::new(title, 13, 16).drop(8),
            Column::Last => Slot::new(title, 7, 7).drop(2),
            Column::Took => Slot::new(title, 7, 7).drop(5).right(),
            Column::Next => Slot::new(title, 9, 9).gap(2).drop(3),
            Column::Priority => Slot::new(title, 1, 1).drop(4),
            Column::Try => Slot::new(title, 3, 5).drop(6).right(),
            Column::Evidence => Slot::new(title, 11, 11).drop(9).gap(2),
            Column::Class => Slot::new(title, 8, 14).drop(12),
            Column::Team => Slot::new(title, 8, 12).drop(10),
            Column::Machine => Slot::new(title, 8, 14).drop(11),
        }
    };
    let slots = |task: u16| columns.iter().map(|column| slot(column, task)).collect::<Vec<Slot>>();
    // A name that can be read is worth more than what is only good to know.
    let needed = slots(24).into_iter().filter(|slot| slot.drop < OPTIONAL);
    let needed: u16 = needed.map(|slot| slot.gap + slot.least).sum();
    Grid::fit(slots(if needed <= room { 24 } else { 16 }), room)
}

/// The column that shows what an order sorts by.
const fn column_of(key: SortKey) -> Column {
    match key {
        SortKey::State => Column::State,
        SortKey::Endpoint => Column::Endpoint,
        SortKey::Name => Column::Task,
        SortKey::Last => Column::Last,
        SortKey::Took => Column::Took,
        SortKey::Next => Column::Next,
        SortKey::Priority => Column::Priority,
        SortKey::Retries => Column::Try,
        SortKey::Team => Column::Team,
        SortKey::Machine => Column::Machine,
    }
}

struct Table<'a> {
    view: &'a View<'a>,
    columns: Vec<Column>,
    grid: Grid,
}

impl Table<'_> {
    /// The titles; that of the column in force as an order is marked.
    fn titles(&self, buffer: &mut Buffer, area: Rect) {
        self.grid.titles(buffer, area, self.view.style(Role::Heading));
        let order = self.view.state.tasks.order();
        let Some(i) = self.columns.iter().position(|column| *column == column_of(order.key)) else { return };
        let title = self.columns[i].title();
        let with_arrow = format!("{title} {}", if order.reversed { "↑" } else { "↓" });
        let shown = if self.grid.width(i) >= width(&with_arrow) { &with_arrow } else { title };
        self.grid.row(buffer, area, 0).put(i, shown, self.view.style(Role::Title));
    }

    fn has(&self, column: Column) -> bool {
        self.columns.iter().position(|c| *c == column).is_some_and(|i| self.grid.width(i) > 0)
    }

    fn row(&self, cells: &mut Row<'_>, row: &TaskRow) {
        let view = self.view;
        // What was not seen to be true just now is not drawn as if it were.
        let dim = row.evidence == Evidence::Stale || row.evidence == Evidence::Unknown;
        let text = view.style(if dim { Role::EvidenceStale } else { Role::Text });
        let muted = view.style(if dim { Role::EvidenceStale } else { Role::Muted });
        for (i, column) in self.columns.iter().enumerate() {
            match column {
                Column::State => {
                    let shown = StateWord::of(row);
                    cells.put(i, &shown.text(), view.style(shown.role));
                }
                Column::Endpoint => cells.put(i, &row.key.endpoint.shown(), muted),
                Column::Task => {
                    let mut pen = cells.pen(i);
                    if let Some(pen) = &mut pen {
                        self.name(pen, row, text);
                    }
                }
                Column::Schedule => match &row.task.schedule {
                    Some(schedule) => cells.put(i, &schedule.text(), muted),
                    // Its system tells when it is next, and not by which rule.
                    None if row.next_due.is_some() => cells.put(i, "–", muted),
                    None => cells.put(i, "on demand", muted),
                },
                Column::Last => cells.put(i, &last(row, view), text),
                Column::Took => cells.put(i, &took(row, view), text),
                Column::Next => {
                    let (words, role) = next(row, view);
                    let style = if dim && role == Role::Text { muted } else { view.style(role) };
                    cells.put(i, &words, style);
                }
                Column::Priority => match row.task.priority {
                    Some(priority) => cells.put(i, &priority.to_string(), text),
                    None => cells.put(i, "·", muted),
                },
                Column::Try => cells.put(i, &tries(row), text),
                Column::Evidence => {
                    let (words, role) = evidence(row, view);
                    cells.put(i, &words, view.style(role));
                }
                Column::Class => cells.put(i, row.task.class.as_deref().unwrap_or(""), muted),
                Column::Team => cells.put(i, row.team().map_or("", |team| team.as_str()), muted),
                Column::Machine => cells.put(i, row.machine().map_or("", |machine| machine.as_str()), muted),
            }
        }
    }

    /// The name, then what is pending on it, then how old a stale row is.
    fn name(&self, pen: &mut Pen<'_>, row: &TaskRow, text: Style) {
        let view = self.view;
        // The newest receipts say most; three fit beside any name.
        let receipts = &row.receipts[row.receipts.len().saturating_sub(3)..];
        let pending: Vec<(String, Role)> =
            receipts.iter().map(|receipt| (mark_of(receipt, view), Role::stage(receipt.stage))).collect();
        let reserved: usize = pending.iter().map(|(mark, _)| width(mark) + 1).sum();
        pen.put_within(&row.task.name, pen.left().saturating_sub(reserved), text);
        for (mark, role) in &pending {
            pen.skip(1).put(mark, view.style(*role));
        }
        if row.evidence == Evidence::Stale && !self.has(Column::Evidence) {
            let last = view.fleet.endpoint(&row.key.endpoint).and_then(|endpoint| endpoint.last_ok);
            if let Some(last) = last {
                let seen = format!("  (seen {})", format::ago(view.state.now, last));
                pen.put_whole(&seen, view.style(Role::EvidenceStale));
            }
        }
    }
}

/// A receipt beside a name: the verb's key and how far it came, such as `t→` or `p2✓`.
fn mark_of(receipt: &Receipt, view: &View<'_>) -> String {
    let action = receipt.deed.verb().and_then(Action::for_verb);
    let key = action.and_then(|action| view.state.keymap.keys(action).first());
    let letter = match key.map(|key| key.code) {
        Some(Code::Char(letter)) => letter,
        // A command by its own name, not by its system's.
        _ => receipt.deed.word().rsplit(':').next().and_then(|name| name.chars().next()).unwrap_or(' '),
    };
    let priority = receipt.priority.filter(|_| receipt.deed == Verb::Reprioritise);
    let priority = priority.map_or_else(String::new, |priority| priority.to_string());
    format!("{letter}{priority}{}", glyph::stage(receipt.stage))
}

/// A task's state as it is shown: a glyph, a word, the evidence, and a role.
pub(super) struct StateWord {
    glyph: &'static str,
    word: &'static str,
    /// It is vigie's own finding, against its system's word.
    own: bool,
    suffix: &'static str,
    pub role: Role,
}

impl StateWord {
    pub fn of(row: &TaskRow) -> Self {
        let unverified = row.unverified_late_since.is_some();
        // Healthy when last seen, and its deadline has passed since: "late", unverified.
        let state = if unverified && !row.state.is_problem() { TaskState::Late } else { row.state };
        let role = match row.evidence {
            _ if unverified => Role::EvidenceUnverified,
            Evidence::Fresh | Evidence::Skewed => Role::task(state),
            Evidence::Stale | Evidence::Unknown if state.is_problem() => Role::task(state),
            Evidence::Stale | Evidence::Unknown => Role::EvidenceStale,
        };
        let suffix = match state {
            // The word says it already.
            TaskState::Unknown => "",
            _ => glyph::evidence(row.evidence, unverified),
        };
        Self { glyph: glyph::task(state), word: state.word(), own: row.own_finding, suffix, role }
    }

    /// Whether it is the word of `state` that is shown.
    pub fn is(&self, state: TaskState) -> bool {
        self.word == state.word()
    }

    pub fn text(&self) -> String {
        format!("{} {}{}{}", self.glyph, self.word, if self.own { "*" } else { "" }, self.suffix)
    }
}

/// The run in progress, if there is one.
pub(super) fn running(row: &TaskRow) -> Option<&Run> {
    row.task.active_runs.iter().find(|run| run.state == RunState::Running)
}

fn last(row: &TaskRow, view: &View<'_>) -> String {
    if row.state == TaskState::Running {
        return "now".to_owned();
    }
    let run = row.task.last_run.as_ref();
    let at = run.and_then(|run| run.ended.or(run.started));
    at.map_or_else(|| NONE.to_owned(), |at| format::ago(view.state.now, at))
}

fn took(row: &TaskRow, view: &View<'_>) -> String {
    if let Some(started) = running(row).and_then(|run| run.started) {
        return format::elapsed(view.state.now, started);
    }
    let took = row.task.last_run.as_ref().and_then(took_ms);
    took.map_or_else(|| NONE.to_owned(), format::duration)
}

/// When it is due, by how much it is late, or how long it still takes.
pub(super) fn next(row: &TaskRow, view: &View<'_>) -> (String, Role) {
    let now = view.state.now;
    if let Some(since) = row.unverified_late_since {
        return (format!("{}!", format::due(now, since)), Role::EvidenceUnverified);
    }
    match row.state {
        TaskState::Paused | TaskState::Archived => (NONE.to_owned(), Role::Muted),
        TaskState::Running => running_next(row, view),
        TaskState::Queued => {
            let run = row.task.active_runs.iter().find(|run| run.state == RunState::Queued);
            match run.map(|run| (run.next_at, run.queued)) {
                Some((Some(next), _)) => (format::due(now, next), Role::StateQueued),
                Some((None, Some(queued))) => {
                    (format!("waits {}", format::age(now, queued)), Role::StateQueued)
                }
                _ => (NONE.to_owned(), Role::Muted),
            }
        }
        state => match row.late_since.or(row.next_due) {
            Some(at) if at > now => (format::due(now, at), Role::Text),
            // Within its start window, and known to be well: nothing to count yet.
            Some(at) if state == TaskState::Healthy && row.evidence == Evidence::Fresh => {
                let over = format::due(now, at);
                (if over == "+<1m" { "now".to_owned() } else { over }, Role::Text)
            }
            Some(at) => (format::due(now, at), Role::task(state)),
            None => (NONE.to_owned(), Role::Muted),
        },
    }
}

/// How long a run in progress still takes, if it takes as long as usual.
fn running_next(row: &TaskRow, view: &View<'_>) -> (String, Role) {
    let started = running(row).and_then(|run| run.started);
    let usual = format::percentile(&view.fleet.durations(&row.key), 50);
    let (Some(started), Some(usual)) = (started, usual) else { return (NONE.to_owned(), Role::Muted) };
    let elapsed = u64::try_from((view.state.now - started).num_milliseconds()).unwrap_or(0);
    match usual.checked_sub(elapsed) {
        Some(rest) if rest >= 1_000 => (format!("~{}", format::duration(rest / 1_000 * 1_000)), Role::Muted),
        _ if usual < 1_000 => (NONE.to_owned(), Role::Muted),
        _ => (format!("over {}", format::duration(usual / 1_000 * 1_000)), Role::SeverityWarning),
    }
}

pub(super) fn tries(row: &TaskRow) -> String {
    match (row.task.retry.attempt, row.task.retry.max) {
        (0, _) => String::new(),
        (attempt, 0) => attempt.to_string(),
        (attempt, max) => format!("{attempt}/{max}"),
    }
}

/// How well the row is known, in words.
pub(super) fn evidence(row: &TaskRow, view: &View<'_>) -> (String, Role) {
    let endpoint = view.fleet.endpoint(&row.key.endpoint);
    match row.evidence {
        Evidence::Fresh => (row.evidence.word().to_owned(), Role::Muted),
        Evidence::Stale => {
            let age = endpoint.and_then(|endpoint| endpoint.last_ok);
            let age = age.map(|last| format::age(view.state.now, last));
            (format!("stale {}", age.unwrap_or_default()).trim_end().to_owned(), Role::EvidenceStale)
        }
        Evidence::Skewed | Evidence::Unknown => (row.evidence.word().to_owned(), Role::EvidenceUnverified),
    }
}
