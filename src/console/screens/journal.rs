//! Own intents and what became of them, newest first.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Standing, View, in_view, say, stand};
use crate::console::format;
use crate::console::state::{RowKey, Screen};
use crate::console::theme::Role;
use crate::console::widgets::{Grid, Slot, glyph};
use crate::model::{IntentId, Receipt, Target};

pub(super) fn draw(buffer: &mut Buffer, titles: Rect, rows: Rect, view: &View<'_>) {
    let listed = view.state.rows.get(&Screen::Journal).filter(|rows| !rows.keys.is_empty());
    let Some(listed) = listed else {
        let text = "Nothing was done from here yet. Every intent is written down before it is sent.";
        return say(buffer, rows, &[(text.to_owned(), Role::Text)], view);
    };
    let grid = Grid::fit(
        vec![
            Slot::new("SENT", 9, 10),
            Slot::new("STAGE", 10, 10),
            Slot::new("VERB", 12, 13).drop(1),
            Slot::new("TARGET", 18, 44),
            Slot::new("AFTER", 6, 6).drop(3).right(),
            Slot::new("MESSAGE", 8, 200).drop(2).gap(2),
        ],
        rows.width,
    );
    grid.titles(buffer, titles, view.style(Role::Heading));
    let recent = view.fleet.receipts();
    for (line, key, cursor) in in_view(listed, rows.height) {
        let RowKey::Entry(intent, target) = key else { continue };
        let Some(receipt) = find(&recent, &view.state.journal, *intent, target) else { continue };
        let mut cells = grid.row(buffer, rows, line);
        let (text, muted) = (view.style(Role::Text), view.style(Role::Muted));
        cells.put(0, &format::day(receipt.sent, view.state.now, &view.state.look), muted);
        let stage = format!("{} {}", glyph::stage(receipt.stage), receipt.stage);
        cells.put(1, &stage, view.style(Role::stage(receipt.stage)));
        cells.put(2, &verb(receipt), text);
        cells.put(3, &named(&receipt.target, view), text);
        let ms = u64::try_from((receipt.at - receipt.sent).num_milliseconds()).unwrap_or(0);
        cells.put(4, &format::duration(ms), muted);
        cells.put(5, receipt.message.as_deref().unwrap_or(""), muted);
        stand(buffer, rows, line, Standing { cursor, marked: false }, view);
    }
}

/// The receipt of `intent` at `target`: as it is now, else as the journal had it.
fn find<'r>(
    recent: &[&'r Receipt],
    journal: &'r [Receipt],
    intent: IntentId,
    target: &Target,
) -> Option<&'r Receipt> {
    let wanted = |receipt: &&Receipt| receipt.intent == intent && receipt.target == *target;
    recent.iter().copied().find(wanted).or_else(|| journal.iter().rev().find(wanted))
}

fn verb(receipt: &Receipt) -> String {
    match receipt.priority {
        Some(priority) => format!("priority {priority}"),
        None => receipt.deed.word().to_owned(),
    }
}

/// A target by its task's name, where that is known.
pub(super) fn named(target: &Target, view: &View<'_>) -> String {
    let row = target.key().and_then(|key| view.fleet.task(&key));
    match row {
        Some(row) => format!("{}/{}", target.endpoint, row.task.name),
        None => target.to_string(),
    }
}
