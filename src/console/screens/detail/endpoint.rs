//! What is known of an endpoint as a whole, and what may be asked of it: in its
//! detail, and below the table of endpoints where there is room.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::super::{View, words};
use super::summary::{self, Summary};
use crate::console::format::{self, count};
use crate::console::theme::Role;
use crate::console::widgets::glyph;
use crate::fleet::EndpointRow;
use crate::model::{AlertKind, Deed, Health, duration_text};

/// Draws from line `top` on, or the end where that is beyond it.
pub(in super::super) fn draw(
    buffer: &mut Buffer,
    area: Rect,
    view: &View<'_>,
    row: &EndpointRow,
    top: usize,
) {
    gathered(area.width, view, row).draw(buffer, area, top);
}

/// How many lines there are to tell in `width` cells.
pub(in super::super) fn lines(width: u16, view: &View<'_>, row: &EndpointRow) -> usize {
    gathered(width, view, row).lines.len()
}

fn gathered<'v>(width: u16, view: &'v View<'v>, row: &EndpointRow) -> Summary<'v> {
    let mut lines = Summary::new(view, width);
    health(&mut lines, row);
    // Those of its own; that it is down is told above.
    summary::alerts(&mut lines, |found| {
        let own =
            found.endpoint == row.spec.name && found.alert.task.is_none() && found.alert.queue.is_none();
        own && found.alert.kind != AlertKind::EndpointDown
    });
    let mut name = "remarks";
    for remark in &row.remarks {
        lines.add(name, remark, Role::Text);
        name = "";
    }
    for receipt in &row.receipts {
        lines.receipt(receipt);
    }
    place(&mut lines, row);
    lines.actions(&row.capabilities, Deed::is_about_endpoint);
    lines
}

fn health(lines: &mut Summary<'_>, row: &EndpointRow) {
    let word = format!("{} {}", glyph::health(row.health), row.health.word());
    let state = lines.view.state;
    // The moment alone: its age would be one more thing that changes on a screen at rest.
    let mut text = vec![format!("{word} since {}", format::moment(row.since, state.now, &state.look))];
    text.push(count(row.tasks, "task"));
    lines.add("health", &text.join(" · "), Role::health(row.health));
    let trouble = words::trouble(row, lines.view);
    if let Some(text) = trouble.filter(|_| row.health != Health::Connecting) {
        // Its name stands above.
        let text = text.split_once(": ").map_or(text.as_str(), |(_, text)| text);
        lines.add("", text, Role::health(row.health));
    }
}

fn place(lines: &mut Summary<'_>, row: &EndpointRow) {
    let mut system = vec![row.spec.kind.word().to_owned()];
    system.extend(row.version.as_ref().map(|version| format!("version {version}")));
    system.extend(row.url.clone().or_else(|| row.spec.url.clone()));
    lines.add("system", &system.join(" · "), Role::Text);
    match row.skew_ms {
        Some(ms) if ms.unsigned_abs() >= 1_000 => {
            let way = if ms < 0 { "behind" } else { "ahead of" };
            let text = format!("{} {way} ours", format::duration(ms.unsigned_abs()));
            lines.add("clock", &text, Role::EvidenceUnverified);
        }
        Some(_) => lines.add("clock", "as ours", Role::Muted),
        None => {}
    }
    let mut asked = vec![format!("every {}", duration_text(row.spec.poll.as_secs()))];
    asked.extend(row.latency_step().map(|step| format!("answers in {}", format::latency(step))));
    asked.push(format!("guard {}", row.spec.guard.word()));
    lines.add("poll", &asked.join(" · "), Role::Muted);
}
