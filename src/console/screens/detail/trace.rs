//! What the system tells of a task beyond polls and runs: facts, then what happened, newest first.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::super::{View, say};
use crate::console::format::count;
use crate::console::state::{Detail, TraceState};
use crate::console::theme::Role;
use crate::console::trace;
use crate::console::widgets::{Pen, glyph};

/// Writes onto the rule above what there is, or that what is shown is old.
pub(super) fn headline(pen: &mut Pen<'_>, detail: &Detail, view: &View<'_>) {
    let Some(TraceState { told: Some(told), error, loading, .. }) = &detail.trace else { return };
    let mut said = Vec::new();
    if !told.events.is_empty() {
        said.push((count(told.events.len(), "event"), Role::Muted));
    }
    match (loading, error) {
        (true, _) => said.push(("reading …".to_owned(), Role::Pending)),
        (false, Some(error)) => said.push((format!("not read again: {error}"), Role::Error)),
        (false, None) => {}
    }
    if said.is_empty() {
        return;
    }
    pen.put(glyph::LINE, view.style(Role::Border)).skip(1);
    for (index, (text, role)) in said.iter().enumerate() {
        pen.put(if index == 0 { "" } else { " · " }, view.style(Role::Muted)).put(text, view.style(*role));
    }
    pen.skip(1);
}

pub(super) fn draw(buffer: &mut Buffer, area: Rect, view: &View<'_>, detail: &Detail) {
    let state = detail.trace.as_ref();
    let Some(told) = state.and_then(|state| state.told.as_ref()) else {
        let (text, role) = match state.and_then(|state| state.error.as_ref()) {
            Some(reason) => (format!("No trace: {reason}"), Role::Muted),
            None => ("Reading the trace …".to_owned(), Role::Muted),
        };
        return say(buffer, area, &[(text, role)], view);
    };
    let (now, look) = (view.state.now, &view.state.look);
    let names = trace::names(told, usize::from(area.width), now, look);
    let lines = trace::lines(told, usize::from(area.width), now, look);
    if lines.is_empty() {
        return say(buffer, area, &[("Nothing is told of it.".to_owned(), Role::Muted)], view);
    }
    let height = usize::from(area.height);
    let top = detail.top.min(lines.len().saturating_sub(height));
    for (shown, line) in lines.iter().skip(top).take(height).zip(0u16..) {
        let mut pen = Pen::new(buffer, area, line);
        pen.skip(1).field(&shown.name, names, view.style(Role::Muted)).skip(1);
        for (text, role) in &shown.text {
            pen.put(text, view.style(*role));
        }
    }
}
