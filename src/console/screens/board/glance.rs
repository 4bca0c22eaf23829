//! The board's summaries: how many tasks are in which state, what is due next,
//! and how what ran last has ended. Times are of the clock: they keep still.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::super::{View, runs};
use crate::console::format::{self, count, width};
use crate::console::theme::Role;
use crate::console::widgets::{Grid, Pen, Slot, glyph};
use crate::fleet::{DueMinute, RunRow};
use crate::model::TaskState;

/// So many minutes with something due are shown.
pub(super) const NEXT: usize = 8;
/// What may be seen at a glance, in the order of looking: what is wrong, what
/// goes on, what is well, what is put away.
const STATES: [TaskState; 10] = [
    TaskState::Failing,
    TaskState::Absent,
    TaskState::Late,
    TaskState::Running,
    TaskState::Queued,
    TaskState::Due,
    TaskState::Healthy,
    TaskState::Paused,
    TaskState::Archived,
    TaskState::Unknown,
];

/// `TASKS  30  ✗2 failing  ►2 running  ✓18 healthy  ~2 stale`: words go before
/// glyphs where it is narrow. What is not known to be so now is counted apart,
/// unless it is a problem.
pub(super) fn tasks(buffer: &mut Buffer, area: Rect, view: &View<'_>) {
    let counts = view.fleet.counts();
    let of = |state: TaskState| if state.is_problem() { counts.of(state) } else { counts.fresh(state) };
    let mut parts: Vec<(&str, usize, &str, Role)> = STATES
        .into_iter()
        .map(|state| (glyph::task(state), of(state), state.word(), Role::task(state)))
        .filter(|(_, number, ..)| *number > 0)
        .collect();
    let told: usize = parts.iter().map(|(_, number, ..)| number).sum();
    let stale = counts.tasks.saturating_sub(told);
    if stale > 0 {
        parts.push(("~", stale, "not fresh", Role::EvidenceStale));
    }
    let mut pen = Pen::new(buffer, area, 0);
    pen.skip(1).put("TASKS", view.style(Role::Heading)).skip(6);
    pen.put(&counts.tasks.to_string(), view.style(Role::Text)).skip(2);
    let words = |worded: bool| {
        parts.iter().map(move |(glyph, number, word, role)| {
            (if worded { format!("{glyph}{number} {word}") } else { format!("{glyph}{number}") }, *role)
        })
    };
    let needed: usize = words(true).map(|(text, _)| width(&text) + 2).sum();
    for (text, role) in words(needed <= pen.left() + 2) {
        if !pen.put_whole(&text, view.style(role)) {
            break;
        }
        pen.skip(2);
    }
}

/// A minute in which something is due: its first task, and how many there are.
pub(super) struct Slotted {
    at: DateTime<Utc>,
    name: String,
    tasks: usize,
}

impl Slotted {
    /// `09:45 backups/overdue-backup-check`, or `10:00 (14 tasks)`.
    pub fn text(&self, view: &View<'_>) -> String {
        let time = format::clock(self.at, &view.state.look);
        match self.tasks {
            1 => format!("{time} {}", self.name),
            tasks => format!("{time} ({})", count(tasks, "task")),
        }
    }

    /// On a line of its own.
    pub fn draw(&self, pen: &mut Pen<'_>, view: &View<'_>) {
        pen.skip(1).put(&format::clock(self.at, &view.state.look), view.style(Role::Muted)).skip(2);
        pen.put(&self.name, view.style(Role::Text));
        if self.tasks > 1 {
            pen.skip(1).put(&format!("and {} more", self.tasks - 1), view.style(Role::Muted));
        }
    }
}

/// The earliest minutes in which something is due, within a day.
pub(super) fn next(view: &View<'_>) -> Vec<Slotted> {
    let now = view.state.now;
    let minutes = view.fleet.due_minutes(now, now + TimeDelta::days(1), NEXT);
    let named = |minute: DueMinute<'_>| Slotted {
        at: minute.at,
        name: format!("{}/{}", minute.first.key.endpoint, minute.first.task.name),
        tasks: minute.tasks,
    };
    minutes.into_iter().map(named).collect()
}

/// The newest ended run of every task among `runs`, newest first.
pub(super) fn ended(runs: &[RunRow]) -> Vec<RunRow> {
    let mut seen = HashSet::new();
    let newest = runs.iter().filter(|row| row.run.state.is_ended() && seen.insert(row.key()));
    newest.cloned().collect()
}

/// ` ✗ failed     09:38  backups/overdue-backup-check    24s  ntfy unreachable`
pub(super) fn draw_ended(buffer: &mut Buffer, list: Rect, rows: &[RunRow], view: &View<'_>) {
    let look = &view.state.look;
    let name = |row: &RunRow| format!("{}/{}", row.endpoint, row.task_name);
    let ended = |row: &RunRow| {
        let at = row.run.ended.or(row.run.started).or(row.run.slot);
        at.map_or_else(|| format::NONE.to_owned(), |at| format::day(at, view.state.now, look))
    };
    let widest = |text: &dyn Fn(&RunRow) -> String| {
        let widest = rows.iter().take(usize::from(list.height)).map(|row| width(&text(row))).max();
        u16::try_from(widest.unwrap_or(0)).unwrap_or(u16::MAX)
    };
    let grid = Grid::fit(
        vec![
            Slot::new("", 11, 11),
            Slot::new("", 5, widest(&ended)),
            Slot::new("", 16, widest(&name).clamp(16, 48)).gap(2),
            Slot::new("", 7, 7).right().drop(2),
            Slot::new("", 8, 200).gap(2).drop(1),
        ],
        list.width,
    );
    for (row, line) in rows.iter().zip(0..list.height) {
        let run = &row.run;
        let mut cells = grid.row(buffer, list, line);
        let (text, muted) = (view.style(Role::Text), view.style(Role::Muted));
        cells.put(0, &runs::state_word(run.state), view.style(Role::run(run.state)));
        cells.put(1, &ended(row), muted);
        cells.put(2, &name(row), text);
        cells.put(3, &runs::took(run, view), text);
        cells.put(4, run.message.as_deref().unwrap_or(""), muted);
    }
}
