//! The open detail of a task: beside the table where that is wide, else over
//! it. Three lines of head (name, tabs, rule), then the tab.

mod history;
mod log;
mod summary;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::tasks::StateWord;
use super::{View, tasks};
use crate::console::format::width;
use crate::console::layout::DETAIL_HEAD;
use crate::console::state::{Detail, DetailTab};
use crate::console::theme::Role;
use crate::console::widgets::{Pen, glyph, rule};
use crate::fleet::TaskRow;

pub(super) fn draw(buffer: &mut Buffer, area: Rect, view: &View<'_>, detail: &Detail) {
    let area = if area.x > 0 { divide(buffer, area, view) } else { area };
    let Some(row) = view.fleet.task(&detail.key) else {
        let text = format!("{} is gone. Esc closes this.", detail.key);
        Pen::new(buffer, area, 0).skip(1).put(&text, view.style(Role::Muted));
        return;
    };
    title(&mut Pen::new(buffer, area, 0), row, view);
    tabs(&mut Pen::new(buffer, area, 1), row, view, detail);
    let mut line = Pen::new(buffer, area, 2);
    if detail.tab == DetailTab::Log {
        log::headline(&mut line, detail, row, view);
    }
    rule(&mut line, view.style(Role::Border));

    let head = DETAIL_HEAD.min(area.height);
    let content = Rect { y: area.y + head, height: area.height - head, ..area };
    match detail.tab {
        DetailTab::Summary => summary::draw(buffer, content, view, detail, row),
        DetailTab::History => history::draw(buffer, content, view, detail, row),
        DetailTab::Log => log::draw(buffer, content, view, detail, row),
    }
}

/// Draws the line between table and detail, and gives what is right of it.
fn divide(buffer: &mut Buffer, area: Rect, view: &View<'_>) -> Rect {
    for line in 0..area.height {
        Pen::new(buffer, area, line).put(glyph::SIDE, view.style(Role::Border));
    }
    let width = area.width.saturating_sub(1);
    Rect { x: area.x + 1, width, ..area }
}

/// `fleet/restart-webserver                ► running  try 2/3  p1`
fn title(pen: &mut Pen<'_>, row: &TaskRow, view: &View<'_>) {
    let state = StateWord::of(row);
    let mut rest = String::new();
    let tries = tasks::tries(row);
    if !tries.is_empty() {
        rest = format!("  try {tries}");
    }
    if let Some(priority) = row.task.priority {
        rest = format!("{rest}  p{priority}");
    }
    let right = width(&state.text()) + width(&rest);
    let endpoint = format!("{}/", row.key.endpoint);
    pen.skip(1);
    let room = pen.left().saturating_sub(right + 3);
    let shown = width(&endpoint).min(room);
    pen.put_within(&endpoint, shown, view.style(Role::Muted));
    pen.put_within(&row.task.name, room - shown, view.style(Role::Title));
    let gap = pen.left().saturating_sub(right + 1);
    pen.skip(gap).put(&state.text(), view.style(state.role)).put(&rest, view.style(Role::Text));
}

/// `summary  history  log                 team prod · prod-01`
fn tabs(pen: &mut Pen<'_>, row: &TaskRow, view: &View<'_>, detail: &Detail) {
    pen.skip(1);
    for tab in DetailTab::ALL {
        let role = if tab == detail.tab { Role::Match } else { Role::Muted };
        pen.put(tab.title(), view.style(role)).skip(2);
    }
    let team = row.team().map(|team| format!("team {team}"));
    let place = [team, row.machine().map(ToString::to_string)];
    let place: Vec<String> = place.into_iter().flatten().collect();
    let text = place.join(" · ");
    if width(&text) < pen.left() {
        let gap = pen.left() - width(&text) - 1;
        pen.skip(gap).put(&text, view.style(Role::Muted));
    }
}
