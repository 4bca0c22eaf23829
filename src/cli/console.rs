//! `vigie` without a command: the console; or, where standard output is no
//! terminal, the status table, and a word that it is.

use std::io::IsTerminal as _;
use std::path::Path;

use crate::console::theme::{Theme, prefers_light};

use super::args::{Global, ReadOptions};
use super::{Exit, Failure, read, session};

/// The theme of this name: from `folder`, else built in. `auto` follows the
/// terminal's background.
///
/// # Errors
/// There is none of this name, or it is broken: then with its line.
pub fn theme(name: &str, folder: &Path) -> Result<Theme, String> {
    let variable = |name: &str| session::variable(name).and_then(|value| value.into_string().ok());
    let loaded = if name == "auto" {
        Theme::built_in(prefers_light(variable))
    } else {
        Theme::load(name, |name| std::fs::read_to_string(folder.join(format!("{name}.toml"))).ok())
    };
    loaded.map_err(|error| error.to_string())
}

/// Runs it.
///
/// # Errors
/// Usage, configuration, or a theme that can't be had.
pub async fn run(global: Global) -> Result<Exit, Failure> {
    if !std::io::stdout().is_terminal() {
        super::complain("standard output is not a terminal, so this is vigie status");
        return read::status(&global, &ReadOptions::default()).await;
    }
    Err(Failure::usage("not here yet"))
}
