//! What the footer, the help and the palette offer: derived from the action
//! table, the key map and what is under the cursor.

use crate::action::{Action, Key};
use crate::fleet::Fleet;
use crate::model::Clean;

use super::State;

/// One action as it is offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// The action.
    pub action: Action,
    /// Its keys; empty where it has none.
    pub keys: Vec<Key>,
    /// Why it can't be done here and now; `None`: it can.
    pub refusal: Option<Clean>,
}

/// The most useful actions of this screen, for the footer, most useful first.
#[must_use]
pub fn footer(state: &State, fleet: &Fleet) -> Vec<Hint> {
    todo!()
}

/// Every action of this screen, for the help, in the table's order: each action once.
#[must_use]
pub fn help(state: &State, fleet: &Fleet) -> Vec<Hint> {
    todo!()
}

/// The actions that match what is typed, best first, for the palette.
#[must_use]
pub fn palette(state: &State, fleet: &Fleet, input: &str) -> Vec<Hint> {
    todo!()
}
