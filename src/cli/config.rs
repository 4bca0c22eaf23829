//! `vigie config init|check|paths`. Exit codes: 0 done, 2 a mistake in the
//! configuration or nowhere to write it.

use std::fmt::Write as _;

use crate::config::{self, Settings};
use crate::runtime::Runtime;

use super::args::{ConfigCommand, Global};
use super::{Exit, Failure, print, session};

/// Runs one of them.
///
/// # Errors
/// What is wrong, line by line.
pub fn run(global: &Global, command: &ConfigCommand) -> Result<Exit, Failure> {
    let paths = session::paths(global)?;
    match command {
        ConfigCommand::Init => {
            config::init(&paths).map_err(|error| Failure::usage(error.to_string()))?;
            print(&format!("wrote {}: every setting at its default, explained\n", paths.config.display()))?;
        }
        ConfigCommand::Check => check(global, &paths)?,
        ConfigCommand::Paths => {
            let mut text = String::new();
            let rows = [
                ("config", &paths.config),
                ("tasks", &paths.tasks),
                ("themes", &paths.themes),
                ("state", &paths.state),
                ("data", &paths.data),
            ];
            for (name, path) in rows {
                let there = if path.exists() { "" } else { "   (not there yet)" };
                let _ = writeln!(text, "{name:<8}{}{there}", path.display());
            }
            print(&text)?;
        }
    }
    Ok(Exit::OK)
}

/// The configuration, the theme and the certificates that it names, and the tasks beside it.
fn check(global: &Global, paths: &config::Paths) -> Result<(), Failure> {
    let overrides = session::overrides(global)?;
    let settings = Settings::load(paths, &overrides).map_err(|error| Failure::usage(error.to_string()))?;
    super::console::theme(&settings.theme, &paths.themes).map_err(Failure::usage)?;
    let wrong: Vec<String> = Runtime::check(&session::places(paths), &settings.endpoints)
        .iter()
        .map(ToString::to_string)
        .collect();
    if !wrong.is_empty() {
        return Err(Failure::usage(wrong.join("\n")));
    }
    let mut text = if paths.config.exists() {
        format!("{} is right\n", paths.config.display())
    } else {
        format!("no {}: everything is at its default\n", paths.config.display())
    };
    for spec in &settings.endpoints {
        let place = spec.url.as_deref().unwrap_or("the coordinator of this machine");
        let _ = writeln!(text, "  {} ({}) {place}", spec.name, spec.kind);
    }
    if paths.tasks.exists() {
        super::serve::check(&paths.tasks)?;
        let _ = writeln!(text, "{} is right", paths.tasks.display());
    }
    print(&text)
}
