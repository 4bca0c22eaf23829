//! What a command takes, a line an input; a file is told by its path, its content never shown.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::overlay::{keys, open_box};
use super::{View, footer, journal};
use crate::console::format::{count, ellipsis, width};
use crate::console::state::{Field, Form};
use crate::console::theme::Role;
use crate::console::widgets::Pen;
use crate::model::{InputShape, InputSpec};

/// Lines beside the fields: what the command does, air, help, keys.
const FRAME: usize = 5;

/// Draws the form; gives where text goes.
pub(super) fn draw(buffer: &mut Buffer, screen: Rect, view: &View<'_>, form: &Form) -> Option<Position> {
    let to = match form.targets.as_slice() {
        [target] => journal::named(target, view),
        many => count(many.len(), "target"),
    };
    let title = format!("{} · {to}", form.command);
    let inside = open_box(buffer, screen, 78, form.fields.len() + FRAME + 2, &title, view);
    let height = usize::from(inside.height);
    // Where it is low, air goes first, then what the command does.
    let head = match height.saturating_sub(form.fields.len()) {
        0..=2 => 0,
        3 => 1,
        _ => 2,
    };
    if head > 0 {
        Pen::new(buffer, inside, 0).put(form.command.spec().title, view.style(Role::Muted));
    }
    let lines = height.saturating_sub(usize::from(head) + 2).max(1);
    let first = crate::console::layout::window(0, Some(form.selected), form.fields.len(), lines);
    let names = form.lines().map(|(spec, _)| width(spec.name)).max().unwrap_or(0);
    let mut cursor = None;
    let shown = form.lines().enumerate().skip(first).take(lines);
    for ((index, (spec, field)), y) in shown.zip(head..inside.height) {
        let mut pen = Pen::new(buffer, inside, y);
        let here = index == form.selected;
        pen.field(spec.name, names, view.style(if here { Role::Title } else { Role::Text }));
        let mark = if spec.required { " * " } else { "   " };
        pen.put(mark, view.style(Role::Pending));
        let column = value(&mut pen, spec, field, here, view);
        if here && form.files.is_none() {
            cursor = column.map(|column| Position::new(column, inside.y + y));
        }
    }
    help(buffer, inside, view, form);
    if height > 0 {
        let sends = if form.selected + 1 == form.fields.len() { "sends" } else { "next" };
        let mut pen = Pen::new(buffer, inside, inside.height - 1);
        let mut shown = vec![("Enter", sends), ("Tab", "moves"), ("Ctrl-J", "sends"), ("Esc", "leaves it")];
        if form.choices.len() > 1 {
            shown.insert(1, ("PgDn", "endpoint"));
        }
        keys(&mut pen, &shown, view);
    }
    cursor
}

/// What is typed into a field, and at the end of the line what is wrong with
/// it; gives the column of the cursor.
fn value(pen: &mut Pen<'_>, spec: &InputSpec, field: &Field, here: bool, view: &View<'_>) -> Option<u16> {
    let error = field.error.as_ref().filter(|_| !here);
    let kept = error.map_or(0, |error| width(error).min(pen.left() / 2) + 2);
    let room = pen.left().saturating_sub(kept);
    let column = if here {
        Some(footer::input(pen, &field.input, room, view))
    } else if field.input.text.is_empty() && error.is_none() {
        let text = if spec.required { "" } else { "may be left out" };
        pen.put_within(text, room, view.style(Role::Disabled));
        None
    } else {
        pen.put_within(&field.input.text, room, view.style(Role::Text));
        None
    };
    if let Some(error) = error {
        pen.skip(2);
        let text = ellipsis(error, pen.left()).into_owned();
        pen.put_at_end(&text, view.style(Role::Error));
    }
    column
}

/// On the line above the keys: what is wrong with the chosen field, else what it takes.
fn help(buffer: &mut Buffer, inside: Rect, view: &View<'_>, form: &Form) {
    let (Some(spec), Some(field)) = (form.spec(), form.fields.get(form.selected)) else { return };
    if usize::from(inside.height) < form.fields.len().min(1) + 2 {
        return;
    }
    let mut pen = Pen::new(buffer, inside, inside.height - 2);
    if form.files.is_some() {
        pen.put("Reading the file …", view.style(Role::Pending));
    } else if let Some(error) = &field.error {
        pen.put(&format!("{} {error}", spec.name), view.style(Role::Error));
    } else {
        let takes = match spec.shape {
            InputShape::Line => String::new(),
            InputShape::Words | InputShape::Pairs => " · words, as a shell splits them".to_owned(),
            InputShape::Duration => " · such as 90s, 10m or 1h30m".to_owned(),
            InputShape::Whole(least, most) => format!(" · a whole number, {least} to {most}"),
            InputShape::Word(words) => format!(" · {} (space or ← →)", words.join(", ")),
            InputShape::Payload => " · a file's path".to_owned(),
        };
        pen.put(&format!("{}{takes}", spec.title), view.style(Role::Muted));
    }
}
