//! `vigie` without a command: the console; or, where standard output is no
//! terminal, the status table, and a word that it is.

use std::convert::Infallible;
use std::io::IsTerminal as _;
use std::path::Path;

use tokio::sync::mpsc;

use crate::config::{ConfigError, ConfigWatch, Overrides, Paths, Settings};
use crate::console::shell::{self, Start};
use crate::console::theme::{Theme, ThemeError, prefers_light};
use crate::model::Clean;
use crate::runtime::LocalPolicy;

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
    loaded.map_err(|error| match error {
        ThemeError::Unknown { .. } => {
            format!("{error} (built in: {}; your own: {})", Theme::BUILT_IN.join(", "), folder.display())
        }
        _ => error.to_string(),
    })
}

/// Runs it.
///
/// # Errors
/// Usage, configuration, or a theme that can't be had.
pub async fn run(global: &Global) -> Result<Exit, Failure> {
    if !std::io::stdout().is_terminal() {
        super::complain("standard output is not a terminal, so this is vigie status");
        return read::status(global, &ReadOptions::default()).await;
    }
    let (paths, settings) = session::configuration(global)?;
    theme(&settings.theme, &paths.themes).map_err(Failure::usage)?;
    let overrides = session::overrides(global)?;
    let (sender, changes) = mpsc::channel(1);
    let start = Start {
        settings,
        themes: paths.themes.clone(),
        places: session::places(&paths),
        local: LocalPolicy::Child,
        changes,
    };
    let outcome = tokio::select! {
        outcome = shell::run(start) => outcome,
        never = watch(&paths, &overrides, sender) => match never {},
    };
    outcome.map(|outcome| Exit(outcome.exit_code())).map_err(|error| Failure::usage(format!("{error:#}")))
}

/// What is wrong with a file, so that one line of a terminal tells its cause:
/// the first problem, the file by its name, and how many more there are.
fn in_a_line(error: &ConfigError) -> String {
    let ConfigError::Wrong { path, problems } = error else { return error.to_string() };
    let [first, others @ ..] = &problems[..] else { return error.to_string() };
    let file = path.file_name().unwrap_or(path.as_os_str()).display();
    match others.len() {
        0 => format!("{file} {first}"),
        more => format!("{file} {first} (and {more} more: vigie config check)"),
    }
}

/// Reads the configuration again whenever its file changes.
async fn watch(
    paths: &Paths,
    overrides: &Overrides,
    changes: mpsc::Sender<Result<Box<Settings>, Clean>>,
) -> Infallible {
    match ConfigWatch::new(vec![paths.config.clone()]) {
        Ok(mut watch) => loop {
            watch.changed().await;
            let read = Settings::load(paths, overrides).map(Box::new);
            // A console that has ended is not told.
            let _ = changes.send(read.map_err(|error| Clean::from(in_a_line(&error)))).await;
        },
        Err(error) => {
            let told = format!("the configuration is not watched: {error}");
            let _ = changes.send(Err(Clean::from(told))).await;
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Problem;

    #[test]
    fn a_broken_file_is_told_in_a_line_cause_first() {
        let problem = |line| Problem { line, path: "keys.quit".into(), message: "quit needs a key".into() };
        let wrong = |problems| {
            in_a_line(&ConfigError::Wrong { path: "/a/very/long/way/to/config.toml".into(), problems })
        };
        assert_eq!(wrong(vec![problem(3)]), "config.toml line 3: keys.quit: quit needs a key");
        assert_eq!(
            wrong(vec![problem(3), problem(4), problem(9)]),
            "config.toml line 3: keys.quit: quit needs a key (and 2 more: vigie config check)"
        );
        assert_eq!(in_a_line(&ConfigError::NoHome), ConfigError::NoHome.to_string());
    }
}
