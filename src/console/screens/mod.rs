//! The screens: state and fleet in, cells out. Nothing here remembers,
//! decides or asks; what is not in view is not touched.

mod board;
mod confirm;
mod detail;
mod endpoints;
mod footer;
mod form;
mod header;
mod journal;
mod overlay;
mod runs;
mod tasks;
#[cfg(test)]
mod tests;
mod words;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::layout::{self, Areas};
use super::state::{RowKey, Rows, Screen};
use super::theme::{Painted, Role};
use super::widgets::{Pen, glyph};
use super::{State, hints};
use crate::fleet::Fleet;

/// What is drawn, and how.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// Where the operator is.
    pub state: &'a State,
    /// What is known.
    pub fleet: &'a Fleet,
    /// The theme.
    pub theme: &'a Painted,
}

impl View<'_> {
    const fn style(&self, role: Role) -> Style {
        self.theme.style(role)
    }
}

/// Draws one frame: all of it, from nothing.
pub fn draw(frame: &mut Frame<'_>, view: &View<'_>) {
    let area = frame.area();
    let buffer = frame.buffer_mut();
    let says = footer::says_something(view);
    let state = view.state;
    let areas = layout::areas(state.screen, area.width, area.height, says, state.detail.is_some());
    buffer.set_style(area, view.style(Role::Text));
    header::draw(buffer, areas.header, view);
    list(buffer, &areas, view);
    if let (Some(area), Some(detail)) = (areas.detail, &state.detail) {
        detail::draw(buffer, area, view, detail);
    }
    let mut cursor = footer::message(buffer, areas.message, view);
    footer::hints(buffer, areas.footer, view, &hints::footer(state, view.fleet));
    if let Some(open) = &state.overlay {
        cursor = overlay::draw(buffer, area, view, open);
    }
    if state.look.ascii {
        glyph::make_ascii(buffer);
    }
    if let Some(position) = cursor {
        frame.set_cursor_position(position);
    }
}

fn list(buffer: &mut Buffer, areas: &Areas, view: &View<'_>) {
    if areas.rows.is_empty() {
        return;
    }
    match view.state.screen {
        Screen::Board => board::draw(buffer, areas.rows, view),
        Screen::Tasks => tasks::draw(buffer, areas.titles, areas.rows, view),
        Screen::Runs => runs::draw(buffer, areas.titles, areas.rows, view),
        Screen::Endpoints => endpoints::draw(buffer, areas.titles, areas.rows, view),
        Screen::Journal => journal::draw(buffer, areas.titles, areas.rows, view),
    }
}

/// The rows of `rows` that are in view on `lines` lines, with whether the cursor is on them.
fn in_view(rows: &Rows, lines: u16) -> impl Iterator<Item = (u16, &RowKey, bool)> {
    let lines = usize::from(lines);
    let cursor = rows.cursor.as_ref();
    let index = cursor.and_then(|cursor| rows.keys.iter().position(|key| key == cursor));
    let top = layout::window(rows.top, index, rows.keys.len(), lines);
    let keys = rows.keys.iter().skip(top).take(lines);
    keys.zip(0u16..).map(move |(key, line)| (line, key, Some(key) == cursor))
}

/// What a row has in its first cell and beneath it.
#[derive(Debug, Clone, Copy, Default)]
struct Standing {
    cursor: bool,
    marked: bool,
}

/// Draws the gutter, and lays the cursor over line `line` of `area`.
fn stand(buffer: &mut Buffer, area: Rect, line: u16, standing: Standing, view: &View<'_>) {
    let row = Rect::new(area.x, area.y.saturating_add(line), area.width, 1).intersection(area);
    if standing.cursor {
        buffer.set_style(row, view.style(Role::Cursor));
    }
    let (symbol, role) = match (standing.cursor, standing.marked) {
        (_, true) => (glyph::MARK, Role::Mark),
        (true, false) => (glyph::CURSOR, Role::Bar),
        (false, false) => return,
    };
    Pen::new(buffer, row, 0).put(symbol, view.style(role));
}

/// How many cells the longest name of an endpoint takes: 8 to 16.
fn endpoint_cells(view: &View<'_>) -> u16 {
    let names = view.fleet.endpoints().map(|row| super::format::width(&row.spec.name.shown()));
    u16::try_from(names.max().unwrap_or(0)).unwrap_or(u16::MAX).clamp(8, 16)
}

/// Says `lines` where rows would be, each wrapped, one empty line above.
fn say(buffer: &mut Buffer, area: Rect, lines: &[(String, Role)], view: &View<'_>) {
    let mut line = u16::from(area.height > 4);
    for (text, role) in lines {
        for piece in super::format::wrap(text, usize::from(area.width.saturating_sub(3))) {
            Pen::new(buffer, area, line).skip(1).put(&piece, view.style(*role));
            line = line.saturating_add(1);
        }
    }
}
