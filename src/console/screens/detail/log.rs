//! The log of one run, or of an endpoint, as far as it is read.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::super::{View, runs, say};
use crate::console::format::{count, occurrences};
use crate::console::state::{Detail, LogState};
use crate::console::theme::Role;
use crate::console::widgets::{Pen, glyph};

/// Writes onto the rule above the log which run it is of, and how much of it there is.
pub(super) fn headline(pen: &mut Pen<'_>, detail: &Detail, view: &View<'_>) {
    let Some(log) = &detail.log else { return };
    pen.put(glyph::LINE, view.style(Role::Border)).skip(1);
    match log.run().map(|id| (id, view.fleet.run(detail.about.endpoint(), id))) {
        None => pen.put("its own log", view.style(Role::Text)),
        Some((_, Some(run))) => {
            let text = format!("{} {}", runs::state_word(run.state), runs::started(run, view));
            pen.put(&text, view.style(Role::run(run.state)))
        }
        Some((id, None)) => pen.put(&format!("run {id}"), view.style(Role::Text)),
    };
    if log.error.is_some() && log.lines.is_empty() {
        pen.skip(1);
        return;
    }
    pen.put(" · ", view.style(Role::Muted));
    pen.put(&count(log.lines.len() + log.dropped_lines, "line"), view.style(Role::Muted));
    let follow = if log.follow { "following" } else { "f follows" };
    let end = match (log.complete, log.loading) {
        (true, _) => "complete",
        (false, true) if log.lines.is_empty() => "reading …",
        (false, _) => follow,
    };
    pen.put(" · ", view.style(Role::Muted))
        .put(end, view.style(if log.follow && !log.complete { Role::Pending } else { Role::Muted }));
    if log.dropped_lines > 0 {
        let text = format!(" · the last {} kept here", log.lines.len());
        pen.put(&text, view.style(Role::SeverityWarning));
    }
    if log.error.is_some() && !log.lines.is_empty() {
        pen.put(" · reading failed: R reads on", view.style(Role::Error));
    }
    if log.dropped_bytes > 0 {
        let text = format!(" · {} dropped to bound it", bytes(log.dropped_bytes));
        pen.put(&text, view.style(Role::SeverityWarning));
    }
    pen.skip(1);
}

fn bytes(n: u64) -> String {
    match n {
        0..1_024 => format!("{n} B"),
        1_024..1_048_576 => format!("{} KiB", n / 1_024),
        _ => format!("{} MiB", n / 1_048_576),
    }
}

pub(super) fn draw(buffer: &mut Buffer, area: Rect, view: &View<'_>, detail: &Detail) {
    let Some(log) = &detail.log else {
        let runs = detail.about.task().map(|key| view.fleet.runs_of(key)).unwrap_or_default();
        let text = if runs.is_empty() {
            "No run is known, so there is no log.".to_owned()
        } else if detail.run.is_none() && runs.iter().all(|run| run.id.is_none()) {
            format!("{} gives its runs no ids, so it has no logs to ask for.", detail.about.endpoint())
        } else {
            "Reading the log …".to_owned()
        };
        return say(buffer, area, &[(text, Role::Muted)], view);
    };
    if let Some(error) = log.error.as_ref().filter(|_| log.lines.is_empty()) {
        let lines = [(format!("No log: {error}"), Role::Text), ("R tries again.".to_owned(), Role::Muted)];
        return say(buffer, area, &lines, view);
    }
    if log.lines.is_empty() && log.dropped_lines == 0 {
        return say(buffer, area, &[(empty(log).to_owned(), Role::Muted)], view);
    }
    let height = usize::from(area.height);
    let last = log.lines.len().saturating_sub(height);
    let top = if log.follow { last } else { detail.top.min(last) };
    let wanted = log.search.as_ref().map_or("", |search| search.input.text.as_str());
    let found = log.search.as_ref().and_then(|search| search.found?.checked_sub(log.dropped_lines));
    for ((index, text), line) in log.lines.iter().enumerate().skip(top).take(height).zip(0u16..) {
        let mut pen = Pen::new(buffer, area, line);
        pen.skip(1);
        let mut from = 0;
        for at in occurrences(text, wanted) {
            pen.put(&text[from..at.start], view.style(Role::Text));
            pen.put(&text[at.clone()], view.style(Role::Match));
            from = at.end;
        }
        pen.put(&text[from..], view.style(Role::Text));
        if found == Some(index) && !wanted.is_empty() {
            let row = Rect { y: area.y + line, height: 1, ..area };
            buffer.set_style(row, view.style(Role::Cursor));
        }
    }
}

const fn empty(log: &LogState) -> &'static str {
    match (log.complete, log.loading) {
        (true, _) => "It printed nothing.",
        (false, true) => "Reading the log …",
        (false, false) => "It has printed nothing yet.",
    }
}
