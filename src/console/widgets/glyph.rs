//! Glyphs: what each stands for, and one column of ASCII for each.

use ratatui::buffer::Buffer;

use crate::model::{Evidence, Health, RunState, Severity, Stage, TaskState};

/// The bar before the row under the cursor.
pub const CURSOR: &str = "▌";
/// Before a marked row.
pub const MARK: &str = "●";
/// The filled part of a gauge or a depth.
pub const FULL: &str = "▇";
/// The rest of a gauge.
pub const REST: &str = "░";
/// The horizontal line of borders and rules.
pub const LINE: &str = "─";
/// The vertical line of borders.
pub const SIDE: &str = "│";

/// The glyph of a task's state.
#[must_use]
pub const fn task(state: TaskState) -> &'static str {
    match state {
        TaskState::Failing => "✗",
        TaskState::Late => "◷",
        TaskState::Absent => "◌",
        TaskState::Running => "►",
        TaskState::Due => "◔",
        TaskState::Queued => "⋯",
        TaskState::Healthy => "✓",
        TaskState::Paused => "‖",
        TaskState::Unknown => "?",
        TaskState::Archived => "⌂",
    }
}

/// The glyph of a run's state.
#[must_use]
pub const fn run(state: RunState) -> &'static str {
    match state {
        RunState::Queued => "⋯",
        RunState::Running => "►",
        RunState::Succeeded => "✓",
        RunState::Failed => "✗",
        RunState::Aborted => "■",
        RunState::Dead => "†",
        RunState::Missed => "◌",
    }
}

/// The suffix of a state whose evidence is not fresh; `unverified`: the gap
/// covers a deadline.
#[must_use]
pub const fn evidence(evidence: Evidence, unverified: bool) -> &'static str {
    match (evidence, unverified) {
        (Evidence::Skewed, _) => "≠",
        (Evidence::Unknown, _) => "?",
        (_, true) => "!",
        (Evidence::Stale, false) => "~",
        (Evidence::Fresh, false) => "",
    }
}

/// The glyph of an endpoint's health.
#[must_use]
pub const fn health(health: Health) -> &'static str {
    match health {
        Health::Connecting => "⋯",
        Health::Up => "✓",
        Health::Degraded => "◐",
        Health::Down => "✗",
        Health::Unauthorised => "⊘",
    }
}

/// The glyph of a severity.
#[must_use]
pub const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "✗",
        Severity::Warning => "▲",
        Severity::Info => "·",
    }
}

/// How far an intent has come.
#[must_use]
pub const fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Sent => "→",
        Stage::Accepted => "…",
        Stage::Observed => "✓",
        Stage::Failed => "✗",
        Stage::Unknown => "!",
    }
}

/// One column of ASCII for every glyph that vigie draws.
const ASCII: &[(&str, &str)] = &[
    ("✗", "x"),
    ("◷", "l"),
    ("◌", "o"),
    ("►", ">"),
    ("◔", "d"),
    ("⋯", ":"),
    ("✓", "+"),
    ("‖", "="),
    ("⌂", "_"),
    ("■", "#"),
    ("†", "t"),
    ("◐", "%"),
    ("⊘", "0"),
    ("▲", "^"),
    ("≠", "/"),
    ("→", ">"),
    ("←", "<"),
    ("…", "."),
    ("·", "."),
    ("–", "-"),
    ("●", "*"),
    ("▌", "|"),
    ("░", "."),
    ("▁", "_"),
    ("▂", "."),
    ("▃", ":"),
    ("▄", "-"),
    ("▅", "="),
    ("▆", "+"),
    ("▇", "#"),
    ("█", "#"),
    ("─", "-"),
    ("│", "|"),
    ("┌", "+"),
    ("┐", "+"),
    ("└", "+"),
    ("┘", "+"),
    ("├", "+"),
    ("┤", "+"),
    ("↑", "^"),
    ("↓", "v"),
];

/// The ASCII for a symbol; `?` for what vigie has no word for (remote text).
#[must_use]
pub fn ascii(symbol: &str) -> &str {
    if symbol.is_ascii() {
        return symbol;
    }
    ASCII.iter().find(|(glyph, _)| *glyph == symbol).map_or("?", |(_, plain)| plain)
}

/// Makes every cell of a drawn frame ASCII, column by column.
pub fn make_ascii(buffer: &mut Buffer) {
    let mut wide = 0;
    for cell in &mut buffer.content {
        if wide > 0 {
            // The second column of a wide character.
            wide -= 1;
            cell.set_symbol("?");
        } else if !cell.symbol().is_ascii() {
            wide = super::super::format::width(cell.symbol()).saturating_sub(1);
            let plain = ascii(cell.symbol()).to_owned();
            cell.set_symbol(&plain);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use unicode_width::UnicodeWidthStr;

    use super::*;

    #[test]
    fn every_glyph_is_one_column_with_one_column_of_ascii() {
        for (glyph, plain) in ASCII {
            assert_eq!((glyph.width(), plain.len()), (1, 1), "{glyph}");
            assert!(plain.is_ascii(), "{glyph}");
        }
    }

    #[test]
    fn states_are_told_apart_in_both_alphabets() {
        let states: Vec<&str> = TaskState::ALL.iter().map(|&state| task(state)).collect();
        let runs: Vec<&str> = RunState::ALL.iter().map(|&state| run(state)).collect();
        let healths: Vec<&str> = Health::ALL.iter().map(|&state| health(state)).collect();
        let stages: Vec<&str> = Stage::ALL.iter().map(|&state| stage(state)).collect();
        let suffixes = vec![
            evidence(Evidence::Skewed, false),
            evidence(Evidence::Stale, false),
            evidence(Evidence::Stale, true),
            evidence(Evidence::Unknown, true),
        ];
        for glyphs in [states, runs, healths, stages, suffixes] {
            let plain: BTreeSet<&str> = glyphs.iter().map(|glyph| ascii(glyph)).collect();
            assert_eq!(plain.len(), glyphs.len(), "{glyphs:?} in ASCII: {plain:?}");
            assert!(
                glyphs.iter().all(|glyph| glyph.is_ascii() || ASCII.iter().any(|(known, _)| known == glyph))
            );
        }
        assert_eq!(evidence(Evidence::Fresh, false), "");
    }

    #[test]
    fn remote_text_becomes_ascii_too() {
        let mut buffer = Buffer::with_lines(["✗ naïve 日本 ok"]);
        make_ascii(&mut buffer);
        let text: String = buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect();
        assert_eq!(text, "x na?ve ???? ok");
    }
}
