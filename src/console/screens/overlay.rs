//! What lies over the screen: help, palette, priority, columns, quitting; a
//! form and a confirmation are drawn by their own modules.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::{View, confirm, footer, form, journal};
use crate::console::format::{count, width, wrap};
use crate::console::hints::{self, Choice, Hint};
use crate::console::layout;
use crate::console::state::{Column, Input, Overlay};
use crate::console::theme::Role;
use crate::console::widgets::{Pen, boxed};
use crate::model::{Clean, EndpointName, Target};

/// Draws the overlay; gives where text goes, if it is typed into.
pub(super) fn draw(buffer: &mut Buffer, screen: Rect, view: &View<'_>, open: &Overlay) -> Option<Position> {
    match open {
        Overlay::Help { top } => help(buffer, screen, view, *top),
        Overlay::Palette { input, selected } => return palette(buffer, screen, view, input, *selected),
        Overlay::Priority { targets } => priority(buffer, screen, view, targets),
        Overlay::Columns { selected } => columns(buffer, screen, view, *selected),
        Overlay::Form(open) => return form::draw(buffer, screen, view, open),
        Overlay::Confirm(question) => return confirm::draw(buffer, screen, view, question),
        Overlay::Quit { endpoint, runs } => quit(buffer, screen, view, endpoint, runs),
    }
    None
}

/// A box of at most `width` by `height` cells (border included) in the middle
/// of the screen, a little above it; gives its inside.
pub(super) fn open_box(
    buffer: &mut Buffer,
    screen: Rect,
    width: usize,
    height: usize,
    title: &str,
    view: &View<'_>,
) -> Rect {
    let cells = |wanted: usize, most: u16| u16::try_from(wanted).unwrap_or(u16::MAX).min(most);
    let width = cells(width, screen.width.saturating_sub(2).max(screen.width.min(4)));
    let height = cells(height, screen.height.saturating_sub(2).max(screen.height.min(3)));
    let area = Rect::new(
        screen.x + (screen.width - width) / 2,
        screen.y + (screen.height - height) / 3,
        width,
        height,
    );
    let (ground, border, heading) =
        (view.style(Role::Overlay), view.style(Role::Border), view.style(Role::Title));
    boxed(buffer, area, title, ground, border, heading)
}

/// Keys with what they do, to close a box with: `y yes   Esc no`.
pub(super) fn keys(pen: &mut Pen<'_>, pairs: &[(&str, &str)], view: &View<'_>) {
    for (key, words) in pairs {
        pen.put(key, view.style(Role::Key)).skip(1).put(words, view.style(Role::Muted)).skip(3);
    }
}

/// The keys of an action; one that has none is called by its name.
fn keys_text(hint: &Hint) -> String {
    let mut keys = hint.keys.iter().map(ToString::to_string).collect::<Vec<_>>();
    if keys.is_empty() {
        keys.push(format!(":{}", hint.choice.name()));
    }
    keys.join(" ")
}

fn help(buffer: &mut Buffer, screen: Rect, view: &View<'_>, top: usize) {
    let hints = hints::help(view.state, view.fleet);
    let title = format!("keys of the {} screen", view.state.screen.name());
    let inside = open_box(buffer, screen, 100, hints.len() + 4, &title, view);
    let lines = usize::from(inside.height.saturating_sub(2));
    let first = layout::window(top, None, hints.len(), lines);
    for (hint, line) in hints.iter().skip(first).take(lines).zip(0u16..) {
        let mut pen = Pen::new(buffer, inside, line);
        let (key, words) = roles(hint);
        let text = keys_text(hint);
        // A command's name is longer than keys are.
        pen.field(&text, width(&text).max(16), view.style(key));
        pen.skip(1).put(hint.choice.title(), view.style(words));
        if let Some(reason) = &hint.refusal {
            pen.skip(2).put(reason, view.style(Role::Disabled));
        }
    }
    if inside.height > 1 {
        let mut pen = Pen::new(buffer, inside, inside.height - 1);
        keys(&mut pen, &[("Esc", "closes"), ("j k", "move")], view);
        let left = hints.len().saturating_sub(first + lines);
        if left > 0 {
            pen.put_at_end(&format!("{left} more below"), view.style(Role::Muted));
        }
    }
}

/// The roles of a hint's key and words: greyed where it can't be done.
const fn roles(hint: &Hint) -> (Role, Role) {
    match hint.refusal {
        Some(_) => (Role::Disabled, Role::Disabled),
        None => (Role::Key, Role::Text),
    }
}

fn palette(
    buffer: &mut Buffer,
    screen: Rect,
    view: &View<'_>,
    input: &Input,
    selected: usize,
) -> Option<Position> {
    let found = hints::palette(view.state, view.fleet, &input.text);
    // As high as all actions need, whatever matches: it keeps still while one types.
    let inside = open_box(buffer, screen, 84, crate::action::Action::ALL.len() + 5, "do", view);
    if inside.is_empty() {
        return None;
    }
    let mut pen = Pen::new(buffer, inside, 0);
    pen.put(":", view.style(Role::Key));
    let room = pen.left();
    let column = footer::input(&mut pen, input, room, view);
    if found.is_empty() {
        Pen::new(buffer, inside, 2).put("No action is called that.", view.style(Role::Muted));
    }
    // The last line has room for the whole reason why the selected one can't be done.
    let list = Rect { y: inside.y + 2, height: inside.height.saturating_sub(3), ..inside };
    let lines = usize::from(list.height);
    let selected = selected.min(found.len().saturating_sub(1));
    if let Some(reason) = found.get(selected).and_then(|hint| hint.refusal.as_ref())
        && inside.height > 3
    {
        Pen::new(buffer, inside, inside.height - 1).put(reason, view.style(Role::SeverityWarning));
    }
    let first = layout::window(0, Some(selected), found.len(), lines);
    for ((index, hint), line) in found.iter().enumerate().skip(first).take(lines).zip(0u16..) {
        let (key, words) = roles(hint);
        let mut pen = Pen::new(buffer, list, line);
        let title = view.style(if hint.refusal.is_some() { words } else { Role::Title });
        if let Choice::Command(command) = hint.choice {
            // It has no keys: its name has their room.
            pen.field(command.word(), width(command.word()).max(31), title).skip(1);
        } else {
            pen.field(hint.choice.name(), 16, title).field(&keys_text(hint), 16, view.style(key));
        }
        pen.put(hint.choice.title(), view.style(words));
        if let Some(reason) = &hint.refusal {
            pen.skip(2).put(reason, view.style(Role::Disabled));
        }
        if index == selected {
            buffer.set_style(Rect { y: list.y + line, height: 1, ..list }, view.style(Role::Cursor));
        }
    }
    Some(Position::new(column, inside.y))
}

fn priority(buffer: &mut Buffer, screen: Rect, view: &View<'_>, targets: &[Target]) {
    let title = match targets {
        [target] => format!("priority of {}", journal::named(target, view)),
        _ => format!("priority of {}", count(targets.len(), "task")),
    };
    let inside = open_box(buffer, screen, 60, 4, &title, view);
    let levels = [("1", "highest"), ("2", ""), ("3", "usual"), ("4", ""), ("5", "lowest")];
    let mut pen = Pen::new(buffer, inside, 0);
    for (level, words) in levels {
        pen.put(level, view.style(Role::Key)).skip(1);
        if !words.is_empty() {
            pen.put(words, view.style(Role::Text)).skip(1);
        }
        pen.skip(2);
    }
    keys(&mut Pen::new(buffer, inside, 1), &[("Esc", "leaves it as it is")], view);
}

fn columns(buffer: &mut Buffer, screen: Rect, view: &View<'_>, selected: usize) {
    let inside = open_box(buffer, screen, 44, Column::ALL.len() + 4, "columns", view);
    let lines = usize::from(inside.height.saturating_sub(2));
    let first = layout::window(0, Some(selected), Column::ALL.len(), lines);
    let shown = Column::ALL.into_iter().enumerate().skip(first).take(lines);
    for ((index, column), line) in shown.zip(0u16..) {
        let mut pen = Pen::new(buffer, inside, line);
        let hidden = view.state.hidden.contains(&column) && column != Column::Task;
        let role = if hidden { Role::Disabled } else { Role::Text };
        pen.put(if hidden { "[ ] " } else { "[x] " }, view.style(if hidden { role } else { Role::Mark }));
        pen.put(&column.title().to_lowercase(), view.style(role));
        if column == Column::Task {
            pen.skip(2).put("always stays", view.style(Role::Muted));
        }
        if index == selected {
            buffer.set_style(Rect { y: inside.y + line, height: 1, ..inside }, view.style(Role::Cursor));
        }
    }
    if inside.height > 1 {
        let mut pen = Pen::new(buffer, inside, inside.height - 1);
        keys(&mut pen, &[("space", "puts it away"), ("Esc", "closes")], view);
    }
}

fn quit(buffer: &mut Buffer, screen: Rect, view: &View<'_>, endpoint: &EndpointName, runs: &[Clean]) {
    let wide = usize::from(screen.width.saturating_sub(6)).min(72);
    let text = format!(
        "{endpoint} ends with its last console: nothing is scheduled until vigie runs again. \
         To keep it alive without one, run `vigie serve`."
    );
    let sentences = wrap(&text, wide);
    let listed = runs.len().min(usize::from(screen.height).saturating_sub(sentences.len() + 8).max(1));
    let more = runs.len() - listed.min(runs.len());
    let extra = if runs.is_empty() { 0 } else { listed + 2 + usize::from(more > 0) };
    let title = format!("quit and stop {endpoint}?");
    let inside = open_box(buffer, screen, wide + 4, sentences.len() + extra + 4, &title, view);
    let mut line = 0;
    let mut say = |buffer: &mut Buffer, text: &str, role: Role| {
        Pen::new(buffer, inside, line).put(text, view.style(role));
        line += 1;
    };
    for sentence in &sentences {
        say(buffer, sentence, Role::Text);
    }
    if !runs.is_empty() {
        say(buffer, "", Role::Text);
        let verb = if runs.len() == 1 { "goes" } else { "go" };
        say(buffer, &format!("{} in progress {verb} on without it:", count(runs.len(), "run")), Role::Text);
        for run in runs.iter().take(listed) {
            say(buffer, &format!("  {run}"), Role::Text);
        }
        if more > 0 {
            say(buffer, &format!("  and {more} more"), Role::Muted);
        }
    }
    if inside.height > 0 {
        let mut pen = Pen::new(buffer, inside, inside.height - 1);
        keys(&mut pen, &[("y", "quits"), ("Enter, Esc or n", "stays")], view);
    }
}
