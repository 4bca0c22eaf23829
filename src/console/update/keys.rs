//! From a key to whoever takes it: the overlay, the line being typed, or an action.

use crate::action::{Code, Key};
use crate::fleet::Fleet;

use super::super::effect::Effect;
use super::super::state::State;
use super::navigate::Motion;
use super::{act, dispatch, log, navigate, overlay};

/// Ctrl-C: always asks to quit, and twice in a row always quits.
const INTERRUPT: Key = Key::ctrl('c');

/// A key was pressed.
pub(super) fn key(state: &mut State, fleet: &Fleet, key: Key) -> Vec<Effect> {
    if key == INTERRUPT {
        return interrupt(state);
    }
    state.memory.interrupted = false;
    if key.alt && state.keymap.actions(key).is_empty() {
        // Esc and a key that follow each other at once look like the key with
        // alt to a terminal program: a quick operator means the two.
        let mut effects = self::key(state, fleet, Key::plain(Code::Esc));
        effects.extend(self::key(state, fleet, Key { alt: false, ..key }));
        return effects;
    }
    if let Some(overlay) = state.overlay.take() {
        return overlay::key(state, fleet, overlay, key);
    }
    if log::is_searching(state) {
        log::search_key(state, key);
        return Vec::new();
    }
    if state.filter.editing {
        filter_key(state, key);
        return Vec::new();
    }
    let actions = state.keymap.actions(key).to_vec();
    act::choose(state, fleet, &actions)
        .map_or_else(Vec::new, |action| dispatch(state, fleet, action, Some(key)))
}

/// Ctrl-C, or the signal that means the same.
pub(super) fn interrupt(state: &mut State) -> Vec<Effect> {
    if state.memory.interrupted {
        return vec![Effect::Quit];
    }
    state.memory.interrupted = true;
    vec![Effect::AskQuit]
}

/// A key while the filter is typed. It never acts on rows: it edits, moves the
/// cursor up or down, or ends the typing.
fn filter_key(state: &mut State, key: Key) {
    match key {
        Key { code: Code::Esc, ctrl: false, alt: false } => navigate::clear_filter(state),
        Key { code: Code::Enter, ctrl: false, alt: false } => {
            state.filter.editing = false;
            state.dirty = true;
        }
        Key { code: Code::Backspace, ctrl: false, alt: false } if state.filter.input.text.is_empty() => {
            state.filter.editing = false;
            state.dirty = true;
        }
        Key { code: Code::Down, ctrl: false, alt: false } => navigate::go_list(state, Motion::Down),
        Key { code: Code::Up, ctrl: false, alt: false } => navigate::go_list(state, Motion::Up),
        Key { code: Code::PageDown, ctrl: false, alt: false } => navigate::go_list(state, Motion::PageDown),
        Key { code: Code::PageUp, ctrl: false, alt: false } => navigate::go_list(state, Motion::PageUp),
        key => {
            let before = state.filter.input.clone();
            state.filter.input.key(key);
            if state.filter.input.text != before.text {
                navigate::apply_filter(state);
            } else if state.filter.input != before {
                state.dirty = true;
            }
        }
    }
}

/// Text was pasted: into whatever is being typed, else nowhere.
pub(super) fn paste(state: &mut State, text: &str) {
    if state.overlay.is_some() {
        overlay::paste(state, text);
    } else if log::is_searching(state) {
        log::search_paste(state, text);
    } else if state.filter.editing {
        state.filter.input.insert(text);
        navigate::apply_filter(state);
    }
}
