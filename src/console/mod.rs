//! The console: keys in, intents out, and the fleet on the screen.
//!
//! Data flow: input, poll, timer, signal or effect result → [`Msg`] (with its
//! time) → [`update()`] → [`Effect`]s, which [`shell`] runs, and whose results are
//! messages again; if something shown has changed, one frame.
//!
//! Owns the key map, the console's state and its pure update, screens, widgets
//! and themes, and the terminal shell. State, update and screens are pure: no
//! clock, no I/O, no HTTP. May import: `model`, `schedule`, `fleet`, `action`,
//! `document`; only `shell` may import `runtime`.

pub mod effect;
pub mod format;
pub mod hints;
pub mod keymap;
pub mod layout;
pub mod msg;
pub mod screens;
pub mod shell;
pub mod state;
pub mod theme;
pub mod trace;
pub mod update;
pub mod widgets;

pub use effect::{Draft, Effect};
pub use keymap::Keymap;
pub use msg::{Event, Msg};
pub use state::State;
pub use update::update;
