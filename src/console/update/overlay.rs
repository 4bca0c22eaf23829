//! What lies over the screen, and its keys.

use crate::action::{Action, Code, Key};
use crate::fleet::Fleet;
use crate::model::{EndpointName, Priority, Severity};

use super::super::effect::Effect;
use super::super::hints::{self, Choice, Hint};
use super::super::state::{Column, Confirm, Input, Overlay, State};
use super::navigate::Motion;
use super::{act, audit, command, lists, message};

impl Confirm {
    /// The key that says yes where nothing is to be typed: never the one that opened the question.
    #[must_use]
    pub fn yes_key(&self) -> Key {
        let yes = Key::char('y');
        if self.opened_by == Some(yes) { Key::char('Y') } else { yes }
    }
}

/// Takes a key for the overlay, which the state has been relieved of; it is
/// put back unless the key closes it.
pub(super) fn key(state: &mut State, fleet: &Fleet, overlay: Overlay, key: Key) -> Vec<Effect> {
    let before = overlay.clone();
    let effects = take(state, fleet, overlay, key);
    state.dirty |= state.overlay.as_ref() != Some(&before);
    effects
}

fn take(state: &mut State, fleet: &Fleet, overlay: Overlay, key: Key) -> Vec<Effect> {
    match overlay {
        Overlay::Help { top } => help(state, fleet, top, key),
        Overlay::Palette { input, selected } => palette(state, fleet, input, selected, key),
        Overlay::Priority { targets } => {
            if key == Key::plain(Code::Esc) {
                return Vec::new();
            }
            let level = match key {
                Key { code: Code::Char(c), ctrl: false, alt: false } => c.to_digit(10),
                _ => None,
            };
            match level.and_then(|level| Priority::new(u8::try_from(level).ok()?).ok()) {
                Some(priority) => return act::reprioritise(state, fleet, targets, priority, key),
                None => state.overlay = Some(Overlay::Priority { targets }),
            }
            Vec::new()
        }
        Overlay::Columns { selected } => {
            columns(state, selected, key);
            Vec::new()
        }
        Overlay::Form(form) => command::form_key(state, fleet, form, key),
        Overlay::Confirm(question) => confirm(state, fleet, question, key),
        Overlay::Quit { endpoint, runs } => match key {
            Key { code: Code::Char('y'), ctrl: false, alt: false } => vec![Effect::Quit],
            Key { code: Code::Esc | Code::Enter | Code::Char('n'), ctrl: false, alt: false } => Vec::new(),
            _ => {
                state.overlay = Some(Overlay::Quit { endpoint, runs });
                Vec::new()
            }
        },
    }
}

/// Which way a key moves within a list that is typed into or not.
const fn motion(key: Key, letters: bool) -> Option<Motion> {
    if key.ctrl || key.alt {
        return None;
    }
    Some(match key.code {
        Code::Down => Motion::Down,
        Code::Up => Motion::Up,
        Code::PageDown => Motion::PageDown,
        Code::PageUp => Motion::PageUp,
        Code::Char('j') if letters => Motion::Down,
        Code::Char('k') if letters => Motion::Up,
        Code::Home | Code::Char('g') if letters => Motion::First,
        Code::End | Code::Char('G') if letters => Motion::Last,
        _ => return None,
    })
}

fn help(state: &mut State, fleet: &Fleet, top: usize, key: Key) -> Vec<Effect> {
    if let Some(motion) = motion(key, true) {
        let lines = hints::help(state, fleet).len();
        let top = motion.apply(top, lines, usize::from(state.height / 2));
        state.overlay = Some(Overlay::Help { top });
        return Vec::new();
    }
    let closes = key == Key::char('q')
        || matches!(key.code, Code::Esc | Code::Enter)
        || state.keymap.actions(key).contains(&Action::Help);
    if !closes {
        state.overlay = Some(Overlay::Help { top });
    }
    Vec::new()
}

fn palette(state: &mut State, fleet: &Fleet, mut input: Input, selected: usize, key: Key) -> Vec<Effect> {
    let found = hints::palette(state, fleet, &input.text);
    let selected = selected.min(found.len().saturating_sub(1));
    if let Some(motion) = motion(key, false) {
        let page = usize::from(state.height / 2);
        let selected = motion.apply(selected, found.len(), page);
        state.overlay = Some(Overlay::Palette { input, selected });
        return Vec::new();
    }
    match key.code {
        Code::Esc => return Vec::new(),
        Code::Backspace if input.text.is_empty() => return Vec::new(),
        Code::Enter => match found.get(selected) {
            Some(Hint { choice: Choice::Action(action), .. }) => {
                return super::dispatch(state, fleet, *action, Some(key));
            }
            Some(Hint { choice: Choice::Command(chosen), .. }) => {
                return command::begin(state, fleet, *chosen, Some(key));
            }
            None => state.overlay = Some(Overlay::Palette { input, selected }),
        },
        _ => {
            let before = input.text.clone();
            input.key(key);
            let selected = if input.text == before { selected } else { 0 };
            state.overlay = Some(Overlay::Palette { input, selected });
        }
    }
    Vec::new()
}

fn columns(state: &mut State, selected: usize, key: Key) {
    let mut selected = selected;
    if let Some(motion) = motion(key, true) {
        selected = motion.apply(selected, Column::ALL.len(), Column::ALL.len());
    } else if key == Key::char(' ') {
        let column = Column::ALL[selected.min(Column::ALL.len() - 1)];
        if column == Column::Task {
            message::say(state, Severity::Info, "the task's name always stays");
        } else if !state.hidden.remove(&column) {
            state.hidden.insert(column);
        }
    } else if matches!(key.code, Code::Esc | Code::Enter)
        || state.keymap.actions(key).contains(&Action::Columns)
    {
        return;
    }
    state.overlay = Some(Overlay::Columns { selected });
}

fn confirm(state: &mut State, fleet: &Fleet, mut confirm: Box<Confirm>, key: Key) -> Vec<Effect> {
    let plain = !key.ctrl && !key.alt;
    let empty = confirm.typed.as_ref().is_none_or(|(_, typed)| typed.text.is_empty());
    let wanted = confirm.typed.as_ref().map_or("", |(wanted, _)| wanted.as_str());
    let no = plain
        && (key.code == Code::Esc
            || (confirm.typed.is_none() && key.code == Code::Enter)
            || (empty && key.code == Code::Char('n') && !wanted.starts_with('n')));
    if no {
        message::say(state, Severity::Info, format!("{}: nothing was sent", confirm.draft.deed));
        return Vec::new();
    }
    let yes = match &mut confirm.typed {
        None => key == confirm.yes_key() && confirm.opened_by != Some(key),
        Some((wanted, typed)) if key == Key::plain(Code::Enter) => typed.text.trim() == wanted.as_str(),
        Some((_, typed)) => {
            typed.key(key);
            false
        }
    };
    if yes {
        return act::confirmed(state, fleet, *confirm);
    }
    state.overlay = Some(Overlay::Confirm(confirm));
    Vec::new()
}

/// Text was pasted into an overlay that is typed into.
pub(super) fn paste(state: &mut State, text: &str) {
    // What stands before something that can't be undone is typed, not pasted.
    match &mut state.overlay {
        Some(Overlay::Palette { input, selected }) => {
            input.insert(text);
            *selected = 0;
        }
        Some(Overlay::Form(form)) => command::paste(form, text),
        _ => return,
    }
    state.dirty = true;
}

/// Quitting stops `endpoint`: asks, with what runs there.
pub(super) fn ask_quit(state: &mut State, fleet: &Fleet, endpoint: EndpointName) {
    let runs = fleet.tasks().filter(|row| row.key.endpoint == endpoint);
    let runs = runs.filter(|row| !row.task.active_runs.is_empty()).map(|row| row.task.name.clone()).collect();
    state.overlay = Some(Overlay::Quit { endpoint, runs });
    state.dirty = true;
}

/// Opens the palette.
pub(super) fn open_palette(state: &mut State) {
    state.overlay = Some(Overlay::Palette { input: Input::default(), selected: 0 });
    state.dirty = true;
}

/// A refresh of the endpoint under the cursor, or of all.
pub(super) fn refresh(state: &mut State, fleet: &Fleet) -> Vec<Effect> {
    let endpoint = if state.detail.is_some() || state.screen == super::super::state::Screen::Endpoints {
        lists::endpoint_under_cursor(state)
    } else {
        None
    };
    let what = endpoint.as_ref().map_or_else(|| "every endpoint".to_owned(), ToString::to_string);
    message::say(state, Severity::Info, format!("polling {what} …"));
    let mut effects = vec![Effect::Refresh(endpoint)];
    effects.extend(super::detail::refresh(state, fleet));
    effects.extend(audit::fetch(state, fleet, true));
    effects
}
