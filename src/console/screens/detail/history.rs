//! How long runs took and how they ended, then the runs, newest first.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::super::{Standing, View, runs, stand};
use crate::console::format::{self, count, percentile, sparkline};
use crate::console::layout;
use crate::console::state::Detail;
use crate::console::theme::Role;
use crate::console::widgets::{Grid, Pen, Slot, glyph};
use crate::fleet::TaskRow;
use crate::model::Run;

/// Lines above the runs: durations, titles.
const HEAD: u16 = 2;

pub(super) fn draw(buffer: &mut Buffer, area: Rect, view: &View<'_>, detail: &Detail, row: &TaskRow) {
    let known = view.fleet.runs_of(&row.key);
    durations(&mut Pen::new(buffer, area, 0), &known, row, view);
    let head = HEAD.min(area.height);
    let titles = Rect { y: area.y + 1.min(head), height: head.saturating_sub(1), ..area };
    let list = Rect { y: area.y + head, height: area.height - head, ..area };
    if let Some(error) = &detail.runs_error {
        let text = format!("The history could not be read: {error}");
        return super::super::say(buffer, list, &[(text, Role::Error)], view);
    }
    if known.is_empty() {
        let text = if detail.runs_loading { "Reading the history …" } else { "No run is known." };
        return super::super::say(buffer, list, &[(text.to_owned(), Role::Muted)], view);
    }
    let grid = Grid::fit(
        vec![
            Slot::new("STATE", 11, 11),
            Slot::new("STARTED", 9, 10),
            Slot::new("TOOK", 7, 7).right(),
            Slot::new("EXIT", 4, 4).drop(2).right(),
            Slot::new("TRY", 3, 3).drop(4).right(),
            Slot::new("CAUSE", 8, 9).drop(3).gap(2),
            Slot::new("MESSAGE", 10, 200).drop(1),
        ],
        area.width,
    );
    grid.titles(buffer, titles, view.style(Role::Heading));
    let chosen = detail.run.as_ref().and_then(|id| known.iter().position(|run| run.id.as_ref() == Some(id)));
    let cursor = chosen.unwrap_or(0);
    let lines = usize::from(list.height);
    let top = layout::window(detail.top, Some(cursor), known.len(), lines);
    for ((index, run), line) in known.iter().enumerate().skip(top).take(lines).zip(0u16..) {
        let mut cells = grid.row(buffer, list, line);
        let (text, muted) = (view.style(Role::Text), view.style(Role::Muted));
        cells.put(0, &runs::state_word(run.state), view.style(Role::run(run.state)));
        cells.put(1, &runs::started(run, view), text);
        cells.put(2, &runs::took(run, view), text);
        cells.put(3, &run.exit_code.map(|code| code.to_string()).unwrap_or_default(), muted);
        cells.put(4, &if run.attempt > 0 { run.attempt.to_string() } else { String::new() }, muted);
        cells.put(5, run.cause.as_deref().unwrap_or(""), muted);
        cells.put(6, run.message.as_deref().unwrap_or(""), if run.state.is_bad() { text } else { muted });
        stand(buffer, list, line, Standing { cursor: index == cursor, marked: false }, view);
    }
}

/// `▂▂▃▂▂▇▂▂▃▂  p50 38s  p95 1m 12s   ✓✓✓✗✓   41 runs, 1 failed`
fn durations(pen: &mut Pen<'_>, known: &[&Run], row: &TaskRow, view: &View<'_>) {
    let series = view.fleet.durations(&row.key);
    let (text, muted) = (view.style(Role::Text), view.style(Role::Muted));
    pen.skip(1);
    if let (Some(p50), Some(p95)) = (percentile(&series, 50), percentile(&series, 95)) {
        let bars = sparkline(&series, (pen.left() / 3).min(40));
        pen.put(&bars, view.style(Role::Sparkline)).skip(2);
        pen.put("p50 ", muted).put(&format::duration(p50), text).skip(2);
        pen.put("p95 ", muted).put(&format::duration(p95), text).skip(3);
    }
    if known.is_empty() {
        return;
    }
    let failed = known.iter().filter(|run| run.state.is_bad()).count();
    let tally = format!("{}, {failed} failed", count(known.len(), "run"));
    // How the newest ended, oldest of them first, where there is room for at least ten.
    let room = pen.left().saturating_sub(format::width(&tally) + 3).min(30);
    if room >= 10 {
        let newest = known.iter().map(|run| run.state).filter(|state| state.is_ended()).take(room);
        for state in newest.collect::<Vec<_>>().into_iter().rev() {
            pen.put(glyph::run(state), view.style(Role::run(state)));
        }
        pen.skip(3);
    }
    pen.put(&tally, if failed > 0 { text } else { muted });
}
