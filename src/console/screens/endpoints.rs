//! Endpoints with health, age and errors.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::detail::endpoint;
use super::{Standing, View, endpoint_cells, in_view, say, stand, words};
use crate::console::format::{self, NONE, count, width};
use crate::console::state::{RowKey, Rows, Screen};
use crate::console::theme::Role;
use crate::console::widgets::{Grid, Pen, Row, Slot, glyph, rule};
use crate::fleet::EndpointRow;

const HEALTH: usize = 0;
const NAME: usize = 1;
const KIND: usize = 2;
const TASKS: usize = 3;
const LATENCY: usize = 4;
const LAST_OK: usize = 5;
const TRIES: usize = 6;
const GUARD: usize = 7;
const VERSION: usize = 8;
const SKEW: usize = 9;
const URL: usize = 10;
const SAYS: usize = 11;
/// With fewer lines below the table nothing is told there.
const LEAST_BELOW: u16 = 3;

pub(super) fn draw(buffer: &mut Buffer, titles: Rect, rows: Rect, view: &View<'_>) {
    let listed = view.state.rows.get(&Screen::Endpoints).filter(|rows| !rows.keys.is_empty());
    let Some(listed) = listed else {
        return say(buffer, rows, &words::no_tasks(view), view);
    };
    let widest = |cells: &dyn Fn(&EndpointRow) -> usize, most: usize| {
        let widest = view.fleet.endpoints().map(cells).max().unwrap_or(0).min(most);
        u16::try_from(widest).unwrap_or(u16::MAX)
    };
    let health = widest(&|row| 2 + row.health.word().len(), 14);
    let url = widest(&|row| width(url(row)), 40);
    let grid = Grid::fit(
        vec![
            Slot::new("HEALTH", 10, health),
            Slot::new("NAME", 8, endpoint_cells(view)),
            Slot::new("KIND", 11, 11).drop(5),
            Slot::new("TASKS", 5, 6).drop(4).right(),
            Slot::new("LATENCY", 7, 7).drop(2).right(),
            Slot::new("LAST OK", 7, 7).gap(2).drop(1),
            Slot::new("TRIES", 5, 5).drop(6).right(),
            Slot::new("GUARD", 7, 9).gap(2).drop(8),
            Slot::new("VERSION", 7, 10).drop(9),
            Slot::new("CLOCK", 7, 8).drop(7),
            Slot::new("URL", 20, url).drop(10),
            Slot::new("SAYS", 20, 200).drop(3),
        ],
        rows.width,
    );
    grid.titles(buffer, titles, view.style(Role::Heading));
    let rows = below(buffer, rows, listed, view);
    for (line, key, cursor) in in_view(listed, rows.height) {
        let RowKey::Endpoint(name) = key else { continue };
        if let Some(endpoint) = view.fleet.endpoint(name) {
            row(&mut grid.row(buffer, rows, line), endpoint, view);
        }
        stand(buffer, rows, line, Standing { cursor, marked: false }, view);
    }
}

/// Tells below the table of the endpoint under the cursor, unless its detail is
/// open; gives what is left for the rows, which is half of the room at least.
fn below(buffer: &mut Buffer, area: Rect, listed: &Rows, view: &View<'_>) -> Rect {
    let chosen = match &listed.cursor {
        Some(RowKey::Endpoint(name)) if view.state.detail.is_none() => view.fleet.endpoint(name),
        _ => None,
    };
    let Some(chosen) = chosen else { return area };
    let all = u16::try_from(listed.keys.len()).unwrap_or(u16::MAX);
    let free = area.height.saturating_sub(all.min(area.height.div_ceil(2)));
    let wanted = u16::try_from(endpoint::lines(area.width, view, chosen)).unwrap_or(u16::MAX);
    let height = free.min(wanted.saturating_add(1));
    if height < LEAST_BELOW {
        return area;
    }
    let top = area.bottom() - height;
    let mut line = Pen::new(buffer, Rect { y: top, height: 1, ..area }, 0);
    let title = chosen.spec.name.shown();
    line.put(glyph::LINE, view.style(Role::Border)).skip(1).put(&title, view.style(Role::Title)).skip(1);
    if wanted > height - 1 {
        let more = format!(" {} more: Enter ", count(usize::from(wanted - (height - 1)), "line"));
        let cells = line.left().saturating_sub(width(&more));
        for _ in 0..cells {
            line.put(glyph::LINE, view.style(Role::Border));
        }
        line.put(&more, view.style(Role::Muted));
    } else {
        rule(&mut line, view.style(Role::Border));
    }
    let told = Rect { y: top + 1, height: height - 1, ..area };
    endpoint::draw(buffer, told, view, chosen, 0);
    Rect { height: area.height - height, ..area }
}

fn row(cells: &mut Row<'_>, row: &EndpointRow, view: &View<'_>) {
    let (text, muted) = (view.style(Role::Text), view.style(Role::Muted));
    let health = view.style(Role::health(row.health));
    let now = view.state.now;
    cells.put(HEALTH, &format!("{} {}", glyph::health(row.health), row.health.word()), health);
    cells.put(NAME, &row.spec.name.shown(), text);
    cells.put(KIND, row.spec.kind.word(), muted);
    cells.put(TASKS, &row.tasks.to_string(), text);
    let latency = row.latency_step().map_or_else(|| NONE.to_owned(), format::latency);
    cells.put(LATENCY, &latency, if row.failure.is_some() { muted } else { text });
    let last = row.last_ok.map_or_else(|| "never".to_owned(), |last| format::ago(now, last));
    cells.put(LAST_OK, &last, text);
    cells.put(TRIES, &row.failure.as_ref().map_or_else(String::new, |f| f.tries.to_string()), text);
    cells.put(GUARD, row.spec.guard.word(), muted);
    cells.put(VERSION, row.version.as_deref().unwrap_or(NONE), muted);
    let (clock, role) = clock(row);
    cells.put(SKEW, &clock, view.style(role));
    cells.put(URL, url(row), muted);
    cells.put(SAYS, &says(row, view), health);
}

fn url(row: &EndpointRow) -> &str {
    row.url.as_deref().or(row.spec.url.as_deref()).unwrap_or(NONE)
}

/// How far its clock is from ours.
fn clock(row: &EndpointRow) -> (String, Role) {
    match row.skew_ms {
        None => (NONE.to_owned(), Role::Muted),
        Some(ms) if ms.unsigned_abs() < 1_000 => ("as ours".to_owned(), Role::Muted),
        Some(ms) => {
            let sign = if ms < 0 { '-' } else { '+' };
            (format!("{sign}{}", format::duration(ms.unsigned_abs())), Role::EvidenceUnverified)
        }
    }
}

fn says(row: &EndpointRow, view: &View<'_>) -> String {
    if let Some(receipt) = row.receipts.last() {
        return format!("{} {}", receipt.deed, receipt.stage);
    }
    let trouble = words::trouble(row, view).unwrap_or_default();
    // Its name stands in its own column.
    trouble.split_once(": ").map(|(_, text)| text.to_owned()).unwrap_or(trouble)
}
