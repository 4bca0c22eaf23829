//! The two lines at the bottom: what is said (filter, message, trouble), and
//! what can be done.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::{View, words};
use crate::action::{Action, Code, Key};
use crate::console::format::{count, width};
use crate::console::hints::{Choice, Hint};
use crate::console::state::{DetailTab, Input, LogState, RowKey, Screen, Search};
use crate::console::theme::Role;
use crate::console::widgets::Pen;
use crate::model::Severity;

/// Whether the message line is worth its place on a tiny screen.
pub(super) fn says_something(view: &View<'_>) -> bool {
    view.state.message.is_some() || view.state.filter.editing || searched(view).is_some()
}

/// Draws the message line; gives where text goes while a filter is typed.
pub(super) fn message(buffer: &mut Buffer, area: Rect, view: &View<'_>) -> Option<Position> {
    let state = view.state;
    if area.is_empty() {
        return None;
    }
    let mut pen = Pen::new(buffer, area, 0);
    pen.skip(1);
    if let Some((log, search)) = searched(view)
        && (search.editing || state.message.is_none())
    {
        return search_line(&mut pen, area, log, search, view);
    }
    let on_tasks = state.screen == Screen::Tasks;
    if on_tasks && state.filter.editing {
        return filter(&mut pen, area, view);
    }
    if let Some(message) = &state.message {
        let role = match message.severity {
            Severity::Critical => Role::Error,
            Severity::Warning => Role::SeverityWarning,
            Severity::Info => Role::Text,
        };
        pen.put(&message.text, view.style(role));
    } else if on_tasks && !state.filter.input.text.is_empty() {
        filter(&mut pen, area, view);
    } else if on_tasks && !state.marks.is_empty() {
        pen.put(&format!("{} marked", count(state.marks.len(), "task")), view.style(Role::Mark));
    } else if view.fleet.task_count() == 0 && state.screen != Screen::Board {
        // The rows' place says it already.
    } else if let Some(text) = chosen_trouble(view).or_else(|| words::worst_trouble(view)) {
        pen.put(&text, view.style(Role::Muted));
    }
    None
}

/// The log on the screen, if something is looked for in it.
fn searched<'v>(view: &View<'v>) -> Option<(&'v LogState, &'v Search)> {
    let detail = view.state.detail.as_ref().filter(|detail| detail.tab == DetailTab::Log)?;
    let log = detail.log.as_ref()?;
    Some((log, log.search.as_ref()?))
}

/// What is looked for in a log, and to the right which of how many lines that have it.
fn search_line(
    pen: &mut Pen<'_>,
    area: Rect,
    log: &LogState,
    search: &Search,
    view: &View<'_>,
) -> Option<Position> {
    let matches = log.matches();
    let at = search.found.and_then(|found| matches.iter().position(|&line| line == found));
    let (note, role) = match (at, matches.len()) {
        _ if search.input.text.is_empty() => (String::new(), Role::Muted),
        (_, 0) => ("no line has it".to_owned(), Role::SeverityWarning),
        (Some(at), all) => (format!("{} of {}", at + 1, count(all, "line")), Role::Muted),
        (None, all) => (count(all, "line"), Role::Muted),
    };
    pen.put("/", view.style(Role::Key));
    let room = pen.left().saturating_sub(width(&note) + 3);
    let column = input(pen, &search.input, room, view);
    pen.skip(1);
    let left = pen.left();
    pen.skip(left.saturating_sub(width(&note) + 1)).put(&note, view.style(role));
    search.editing.then_some(Position::new(column, area.y))
}

/// What is wrong with the endpoint under the cursor.
fn chosen_trouble(view: &View<'_>) -> Option<String> {
    let rows = view.state.rows.get(&Screen::Endpoints).filter(|_| view.state.screen == Screen::Endpoints)?;
    let Some(RowKey::Endpoint(name)) = &rows.cursor else { return None };
    words::trouble(view.fleet.endpoint(name)?, view)
}

/// The filter, and to the right how many match or what is wrong with it.
fn filter(pen: &mut Pen<'_>, area: Rect, view: &View<'_>) -> Option<Position> {
    let state = view.state;
    let editing = state.filter.editing;
    let (note, role) = match &state.filter.error {
        Some(error) => (error.to_string(), Role::Error),
        None => (format!("{} of {}", state.tasks.len(), view.fleet.task_count()), Role::Muted),
    };
    pen.put(if editing { "/" } else { "filter: " }, view.style(Role::Key));
    let room = pen.left().saturating_sub(width(&note).min(pen.left() / 2) + 3);
    let column = input(pen, &state.filter.input, room, view);
    pen.skip(1);
    let left = pen.left();
    pen.skip(left.saturating_sub(width(&note) + 1)).put(&note, view.style(role));
    editing.then_some(Position::new(column, area.y))
}

/// Draws a line of text being typed into `room` cells, so that its cursor is
/// in view; gives the column of the cursor.
pub(super) fn input(pen: &mut Pen<'_>, input: &Input, room: usize, view: &View<'_>) -> u16 {
    let before: String = input.text.chars().take(input.cursor).collect();
    // What is left of the cursor scrolls out, character by character.
    let mut shown = before.as_str();
    while width(shown) >= room.max(1) {
        let mut chars = shown.chars();
        chars.next();
        shown = chars.as_str();
    }
    let after = &input.text[before.len()..];
    pen.put(shown, view.style(Role::Input));
    let column = pen.column();
    pen.put_within(after, room.saturating_sub(width(shown)), view.style(Role::Input));
    column
}

/// Draws as many hints as fit whole, most useful first; help keeps its place.
pub(super) fn hints(buffer: &mut Buffer, area: Rect, view: &View<'_>, hints: &[Hint]) {
    let mut pen = Pen::new(buffer, area, 0);
    pen.skip(1);
    let help = hints.iter().find(|hint| hint.choice == Choice::Action(Action::Help));
    let reserved = help.map_or(0, |hint| cells(hint) + 2);
    let mut help_drawn = false;
    for hint in hints {
        let is_help = hint.choice == Choice::Action(Action::Help);
        let keep = if help_drawn || is_help { 0 } else { reserved };
        if cells(hint) + keep > pen.left() {
            continue;
        }
        let Some(key) = hint.keys.first() else { continue };
        let (key_role, word_role) = match hint.refusal {
            Some(_) => (Role::Disabled, Role::Disabled),
            None => (Role::Key, Role::Muted),
        };
        pen.put(&key_text(key), view.style(key_role));
        pen.skip(1).put(label(hint.choice), view.style(word_role)).skip(2);
        help_drawn |= is_help;
    }
}

fn cells(hint: &Hint) -> usize {
    hint.keys.first().map_or(0, |key| width(&key_text(key)) + 1 + width(label(hint.choice)))
}

/// A key as the footer shows it: what has a sign needs no word, which would read as one of ours.
fn key_text(key: &Key) -> String {
    match (key.code, key.ctrl, key.alt) {
        (Code::Right, false, false) => "→".to_owned(),
        (Code::Left, false, false) => "←".to_owned(),
        _ => key.to_string(),
    }
}

/// A word for the footer: the action's name, shorter where that is long.
const fn label(choice: Choice) -> &'static str {
    let Choice::Action(action) = choice else { return choice.name() };
    match action {
        Action::Reprioritise => "priority",
        Action::Acknowledge => "ack",
        Action::ReloadConfig => "reload",
        Action::NewTask => "new task",
        Action::NextTab => "next tab",
        Action::PreviousTab => "previous tab",
        Action::MarkAll => "mark all",
        Action::FindNext => "next",
        Action::FindPrevious => "previous",
        _ => action.spec().name,
    }
}
