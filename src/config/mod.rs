//! The configuration: file → resolved settings, every error at once with line
//! and suggestion.
//!
//! Owns where files are looked up, the reading and checking of `config.toml`,
//! and the precedence command line > environment > file > default. Needs no
//! network and resolves no secret. May import: `model`, `action`, `document`.

use std::path::PathBuf;

use crate::action::{Action, Key};
use crate::model::EndpointSpec;

/// Everything that is configured, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// A theme's name, or `auto`.
    pub theme: String,
    /// Endpoints; never empty: without any in the file, the local coordinator.
    pub endpoints: Vec<EndpointSpec>,
    /// Keys per action, where they differ from the defaults; an empty list unbinds.
    pub keys: Vec<(Action, Vec<Key>)>,
    /// Refuse every intent.
    pub read_only: bool,
    /// Seconds an intent waits before it is sent; 0: none.
    pub hold_s: u32,
    /// ASCII instead of glyphs.
    pub ascii: bool,
    /// The screen to begin with.
    pub screen: String,
}

/// Where files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// `config.toml`.
    pub config: PathBuf,
    /// `tasks.toml`, beside it.
    pub tasks: PathBuf,
    /// Own themes, `themes/` beside it.
    pub themes: PathBuf,
    /// State: journal, log file.
    pub state: PathBuf,
    /// Data: the coordinator's.
    pub data: PathBuf,
}
