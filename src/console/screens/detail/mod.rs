//! The open detail of a task or an endpoint: beside the table where that is
//! wide, else over it. Three lines of head (name, tabs, rule), then the tab.

pub(super) mod endpoint;
mod history;
mod log;
mod summary;
mod trace;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::tasks::StateWord;
use super::{View, tasks};
use crate::console::format::width;
use crate::console::layout::DETAIL_HEAD;
use crate::console::state::{About, Detail, DetailTab};
use crate::console::theme::Role;
use crate::console::widgets::{Pen, glyph, rule};
use crate::fleet::{EndpointRow, TaskRow};

pub(super) fn draw(buffer: &mut Buffer, area: Rect, view: &View<'_>, detail: &Detail) {
    let area = if area.x > 0 { divide(buffer, area, view) } else { area };
    match &detail.about {
        About::Task(key) => match view.fleet.task(key) {
            Some(row) => of_task(buffer, area, view, detail, row),
            None => gone(buffer, area, view, detail),
        },
        About::Endpoint(endpoint) => match view.fleet.endpoint(endpoint) {
            Some(row) => of_endpoint(buffer, area, view, detail, row),
            None => gone(buffer, area, view, detail),
        },
    }
}

fn gone(buffer: &mut Buffer, area: Rect, view: &View<'_>, detail: &Detail) {
    let text = format!("{} is gone. Esc closes this.", detail.about);
    Pen::new(buffer, area, 0).skip(1).put(&text, view.style(Role::Muted));
}

fn of_task(buffer: &mut Buffer, area: Rect, view: &View<'_>, detail: &Detail, row: &TaskRow) {
    title(&mut Pen::new(buffer, area, 0), row, view);
    let team = row.team().map(|team| format!("team {team}"));
    let place = [team, row.machine().map(ToString::to_string)];
    let place: Vec<String> = place.into_iter().flatten().collect();
    tabs(&mut Pen::new(buffer, area, 1), &place.join(" · "), view, detail);
    let mut line = Pen::new(buffer, area, 2);
    match detail.tab {
        DetailTab::Log => log::headline(&mut line, detail, view),
        DetailTab::Trace => trace::headline(&mut line, detail, view),
        DetailTab::Summary | DetailTab::History => {}
    }
    rule(&mut line, view.style(Role::Border));
    let content = content(area);
    match detail.tab {
        DetailTab::Summary => summary::draw(buffer, content, view, detail, row),
        DetailTab::History => history::draw(buffer, content, view, detail, row),
        DetailTab::Trace => trace::draw(buffer, content, view, detail),
        DetailTab::Log => log::draw(buffer, content, view, detail),
    }
}

fn of_endpoint(buffer: &mut Buffer, area: Rect, view: &View<'_>, detail: &Detail, row: &EndpointRow) {
    let mut pen = Pen::new(buffer, area, 0);
    let health = format!("{} {}", glyph::health(row.health), row.health.word());
    let room = pen.left().saturating_sub(width(&health) + 4);
    pen.skip(1).put_within(&row.spec.name.shown(), room, view.style(Role::Title));
    let gap = pen.left().saturating_sub(width(&health) + 1);
    pen.skip(gap).put(&health, view.style(Role::health(row.health)));
    tabs(&mut Pen::new(buffer, area, 1), row.spec.kind.word(), view, detail);
    let mut line = Pen::new(buffer, area, 2);
    if detail.tab == DetailTab::Log {
        log::headline(&mut line, detail, view);
    }
    rule(&mut line, view.style(Role::Border));
    match detail.tab {
        DetailTab::Log => log::draw(buffer, content(area), view, detail),
        _ => endpoint::draw(buffer, content(area), view, row, detail.top),
    }
}

/// What is below the head.
fn content(area: Rect) -> Rect {
    let head = DETAIL_HEAD.min(area.height);
    Rect { y: area.y + head, height: area.height - head, ..area }
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

/// `summary  history  trace  log                 team prod · prod-01`
fn tabs(pen: &mut Pen<'_>, place: &str, view: &View<'_>, detail: &Detail) {
    pen.skip(1);
    for &tab in detail.tabs() {
        let role = if tab == detail.tab { Role::Match } else { Role::Muted };
        pen.put(tab.title(), view.style(role)).skip(2);
    }
    if width(place) < pen.left() {
        let gap = pen.left() - width(place) - 1;
        pen.skip(gap).put(place, view.style(Role::Muted));
    }
}
