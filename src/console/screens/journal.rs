//! Own intents and what became of them beside what the endpoints' own audit
//! logs tell, newest first.

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Standing, View, in_view, say, stand};
use crate::console::format::{self, width};
use crate::console::state::{RowKey, Screen};
use crate::console::theme::Role;
use crate::console::widgets::{Grid, Pen, Row, Slot, glyph};
use crate::model::{AuditEntry, EndpointName, IntentId, Receipt, Target};

const AT: usize = 0;
const STAGE: usize = 1;
const WHAT: usize = 2;
const TARGET: usize = 3;
const AFTER: usize = 4;
const MESSAGE: usize = 5;

/// So many lines tell which audit logs can't be read.
const TROUBLES: usize = 3;
/// From this width on those who did something are told whole.
const WIDE: u16 = 120;

pub(super) fn draw(buffer: &mut Buffer, titles: Rect, rows: Rect, view: &View<'_>) {
    let troubles = troubles(view);
    let below = u16::try_from(troubles.len()).unwrap_or(0).min(rows.height.saturating_sub(1));
    let list = Rect { height: rows.height - below, ..rows };
    for (text, line) in troubles.iter().zip(list.height..rows.height) {
        Pen::new(buffer, rows, line).skip(1).put(text, view.style(Role::Muted));
    }
    let listed = view.state.rows.get(&Screen::Journal).filter(|rows| !rows.keys.is_empty());
    let Some(listed) = listed else {
        let text = "Nothing was done from here yet. Every intent is written down before it is sent.";
        return say(buffer, list, &[(text.to_owned(), Role::Text)], view);
    };
    let recent = view.fleet.receipts();
    let shown: Vec<_> = in_view(listed, list.height)
        .filter_map(|(line, key, cursor)| Some((line, Line::of(key, &recent, view)?, cursor)))
        .collect();
    let widest = |cells: &dyn Fn(&Line<'_>) -> usize, least: u16, most: u16| {
        let widest = shown.iter().map(|(_, shown, _)| cells(shown)).max().unwrap_or(0);
        u16::try_from(widest).unwrap_or(u16::MAX).clamp(least, most)
    };
    // On a wide screen everybody is told whole.
    let by = widest(&|line| width(&line.stage()), 12, if list.width < WIDE { 12 } else { 32 });
    let what = widest(&|line| width(line.what(list.width).as_ref()), 12, 31);
    let target = widest(&|line| width(&line.target(view)), 18, 44);
    let grid = Grid::fit(
        vec![
            Slot::new("AT", 9, 10),
            Slot::new("STAGE", 10, by),
            Slot::new("ACTION", 12, what).drop(1),
            Slot::new("TARGET", 18, target),
            Slot::new("AFTER", 6, 6).drop(3).right(),
            Slot::new("MESSAGE", 8, 200).drop(2).gap(2),
        ],
        list.width,
    );
    grid.titles(buffer, titles, view.style(Role::Heading));
    for (line, shown, cursor) in shown {
        let cells = &mut grid.row(buffer, list, line);
        let (stage, role) = match shown {
            Line::Own(receipt) => (shown.stage(), Role::stage(receipt.stage)),
            Line::Told(..) => (shown.stage(), Role::Muted),
        };
        cells.put(STAGE, &stage, view.style(role));
        let text = view.style(if matches!(shown, Line::Own(_)) { Role::Text } else { Role::Muted });
        cells.put(WHAT, &shown.what(list.width), text);
        cells.put(TARGET, &shown.target(view), text);
        match shown {
            Line::Own(receipt) => own(cells, receipt, view),
            Line::Told(_, entry) => {
                let cut = width(&stage) > grid.width(STAGE);
                told(cells, entry, cut, view);
            }
        }
        stand(buffer, list, line, Standing { cursor, marked: false }, view);
    }
}

/// The audit logs that can't be read, a line each; what keeps none is no trouble.
fn troubles(view: &View<'_>) -> Vec<String> {
    let failed = view.state.audit.iter().filter_map(|(name, log)| Some((name, log.error.as_ref()?)));
    failed
        .take(TROUBLES)
        .map(|(name, reason)| format!("{name}: its audit log could not be read: {reason}"))
        .collect()
}

/// What a row tells.
enum Line<'v> {
    Own(&'v Receipt),
    Told(&'v EndpointName, &'v AuditEntry),
}

impl<'v> Line<'v> {
    fn of(key: &'v RowKey, recent: &[&'v Receipt], view: &View<'v>) -> Option<Self> {
        match key {
            RowKey::Entry(intent, target) => {
                find(recent, &view.state.journal, *intent, target).map(Line::Own)
            }
            RowKey::Told(endpoint, key) => {
                let entry = view.state.audit.get(endpoint)?.lines.get(key)?;
                Some(Line::Told(endpoint, entry))
            }
            _ => None,
        }
    }

    /// How far an own intent came, or who did what was done elsewhere.
    fn stage(&self) -> String {
        match self {
            Line::Own(receipt) => format!("{} {}", glyph::stage(receipt.stage), receipt.stage),
            Line::Told(_, entry) => {
                entry.by.as_ref().map_or_else(|| "· remote".to_owned(), |by| format!("by {by}"))
            }
        }
    }

    /// What was done; on a narrow screen a command without its system's name, which the target tells.
    fn what(&self, cells: u16) -> Cow<'_, str> {
        match self {
            Line::Own(Receipt { priority: Some(priority), .. }) => format!("priority {priority}").into(),
            Line::Own(receipt) => {
                let word = receipt.deed.word();
                let short = word.split_once(':').map_or(word, |(_, name)| name);
                (if cells < WIDE { short } else { word }).into()
            }
            Line::Told(_, entry) => entry.action.as_str().into(),
        }
    }

    fn target(&self, view: &View<'_>) -> String {
        match self {
            Line::Own(receipt) => named(&receipt.target, view),
            Line::Told(endpoint, AuditEntry { target: Some(target), .. }) => format!("{endpoint}/{target}"),
            Line::Told(endpoint, _) => endpoint.to_string(),
        }
    }
}

fn own(cells: &mut Row<'_>, receipt: &Receipt, view: &View<'_>) {
    let muted = view.style(Role::Muted);
    cells.put(AT, &format::day(receipt.sent, view.state.now, &view.state.look), muted);
    let ms = u64::try_from((receipt.at - receipt.sent).num_milliseconds()).unwrap_or(0);
    cells.put(AFTER, &format::duration(ms), muted);
    cells.put(MESSAGE, receipt.message.as_deref().unwrap_or(""), muted);
}

/// A line of an endpoint's own log: dimmer than what was done from here. `cut`:
/// who did it does not fit beside it.
fn told(cells: &mut Row<'_>, entry: &AuditEntry, cut: bool, view: &View<'_>) {
    let muted = view.style(Role::Muted);
    cells.put(AT, &format::day(entry.at, view.state.now, &view.state.look), muted);
    let mut more: Vec<String> = entry
        .result
        .iter()
        .chain(&entry.details)
        .filter(|text| !text.is_empty())
        .map(ToString::to_string)
        .collect();
    // Who it was is told whole somewhere.
    more.extend(entry.by.as_ref().filter(|_| cut).map(|by| format!("by {by}")));
    more.extend(entry.from.as_ref().map(|from| format!("from {from}")));
    cells.put(MESSAGE, &more.join(" · "), muted);
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

/// A target by its task's name, where that is known.
pub(super) fn named(target: &Target, view: &View<'_>) -> String {
    let row = target.key().and_then(|key| view.fleet.task(&key));
    match row {
        Some(row) => format!("{}/{}", target.endpoint, row.task.name),
        None => target.to_string(),
    }
}
