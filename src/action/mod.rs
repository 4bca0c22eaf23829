//! The one table of actions, and the names of keys.
//!
//! Key map, help, footer, palette, the configuration's `[keys]`, the command
//! line's verbs and the README's key list are all derived from [`Action::ALL`].
//! Knows no terminal. May import: `model`.

mod key;
mod table;

pub use key::{Code, Key, UnknownKey};
pub use table::{Action, Scope, Spec, UnknownAction};
