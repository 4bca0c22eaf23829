//! The configuration: file → resolved settings, every error at once with line
//! and suggestion.
//!
//! Owns where files are looked up ([`Paths`]), the reading and checking of
//! `config.toml` ([`Settings`]), adding to it ([`Addition`]), the precedence command line > environment >
//! file > default ([`Overrides`]), and the watch on the file ([`ConfigWatch`]).
//! Needs no network and resolves no secret. May import: `model`, `action`,
//! `schedule`, `document`.

mod access;
mod endpoint;
mod keys;
mod paths;
mod rules;
mod watch;
mod write;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::action::{Action, Key};
use crate::document::{Document, Problem, Table};
use crate::model::{EndpointName, EndpointSpec, Kind, SecretRef};

pub use endpoint::check_url;
pub use paths::Paths;
pub use watch::ConfigWatch;
pub use write::{AddError, Addition, NewEndpoint};

/// The complete, commented reference: every setting at its default, and an
/// example of each kind of endpoint. Written by [`init`].
pub const EXAMPLE: &str = include_str!("../../config.example.toml");

/// The name of the endpoint that is there when none is configured.
pub const LOCAL: &str = "local";

/// The screens that a console can begin with.
pub const SCREENS: [&str; 5] = ["board", "tasks", "runs", "endpoints", "journal"];

/// Reads one environment variable; given by the shell, so that nothing here depends on the process.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

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
    /// ASCII instead of glyphs.
    pub ascii: bool,
    /// The screen to begin with: one of [`SCREENS`].
    pub screen: String,
    /// Where the vault's key comes from, if it is said.
    pub vault_key: Option<SecretRef>,
    /// The duplistatus surface of `vigie serve` needs no token on loopback.
    pub open_on_loopback: bool,
    /// How `vigie serve` is reached.
    pub access: ServeAccess,
}

/// How `vigie serve` is reached: `[coordinator]` but for `open_on_loopback`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServeAccess {
    /// Where it listens, unless the command line says otherwise.
    pub listen: Option<String>,
    /// The names by which it may be called beyond loopback.
    pub hosts: Vec<String>,
    /// Its certificate and key: PEM files.
    pub tls: Option<(PathBuf, PathBuf)>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            theme: "vigie-dark".to_owned(),
            endpoints: vec![EndpointSpec::new(EndpointName::new(LOCAL), Kind::Vigie, None)],
            keys: Vec::new(),
            read_only: false,
            ascii: false,
            screen: "tasks".to_owned(),
            vault_key: None,
            open_on_loopback: false,
            access: ServeAccess::default(),
        }
    }
}

impl Settings {
    /// Reads the text of a `config.toml`. Relative paths in it are relative to
    /// `folder`, and `~/` is `home`.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of lines.
    pub fn parse(text: &str, folder: &Path, home: Option<&Path>) -> Result<Self, Vec<Problem>> {
        let document = Document::parse(text)?;
        let settings = Self::read(&document, document.root(), &endpoint::Base { folder, home });
        let problems = document.into_problems();
        if problems.is_empty() { Ok(settings) } else { Err(problems) }
    }

    fn read(document: &Document<'_>, root: Table<'_>, base: &endpoint::Base<'_>) -> Self {
        let mut settings = Self::default();
        if let Some(value) = root.get("theme") {
            let place = value.clone();
            match value.string() {
                Some(theme) if is_simple_name(&theme) => settings.theme = theme,
                Some(_) => place.problem("must be a theme's name, such as \"vigie-dark\", or \"auto\""),
                None => {}
            }
        }
        if let Some(screen) = root.word::<Screen>("screen", SCREENS) {
            settings.screen = screen.0;
        }
        settings.ascii = root.bool("ascii").unwrap_or(settings.ascii);
        if let Some(safety) = root.table("safety") {
            settings.read_only = safety.bool("read_only").unwrap_or(settings.read_only);
            safety.finish();
        }
        if let Some(coordinator) = root.table("coordinator") {
            settings.open_on_loopback =
                coordinator.bool("open_on_loopback").unwrap_or(settings.open_on_loopback);
            settings.access = access::read(&coordinator, base);
            coordinator.finish();
        }
        if let Some(vault) = root.table("vault") {
            settings.vault_key = vault.get("key").and_then(|key| endpoint::vault_key(key, base));
            vault.finish();
        }
        if let Some(table) = root.table("keys") {
            settings.keys = keys::read(document, &table);
        }
        let endpoints = endpoint::read_all(root.tables("endpoint"), base);
        if !endpoints.is_empty() {
            settings.endpoints = endpoints;
        }
        root.finish();
        settings
    }

    /// Reads the file that `paths` names, and lays `overrides` over it. A file
    /// that nobody asked for by name may be missing: then everything is at its
    /// default.
    ///
    /// # Errors
    /// A file that can't be read, or everything that is wrong with it.
    pub fn load(paths: &Paths, overrides: &Overrides) -> Result<Self, ConfigError> {
        let settings = match std::fs::read(&paths.config) {
            Ok(bytes) => {
                let folder = paths.config.parent().unwrap_or_else(|| Path::new(""));
                crate::document::text(&bytes)
                    .and_then(|text| Self::parse(text, folder, paths.home.as_deref()))
                    .map_err(|problems| ConfigError::Wrong { path: paths.config.clone(), problems })?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && !paths.explicit => Self::default(),
            Err(source) => return Err(ConfigError::Unreadable { path: paths.config.clone(), source }),
        };
        Ok(settings.with(overrides))
    }

    /// These settings with `overrides` laid over them.
    #[must_use]
    pub fn with(mut self, overrides: &Overrides) -> Self {
        if let Some(theme) = &overrides.theme {
            self.theme.clone_from(theme);
        }
        if let Some(screen) = &overrides.screen {
            self.screen.clone_from(screen);
        }
        self.read_only = overrides.read_only.unwrap_or(self.read_only);
        self.ascii = overrides.ascii.unwrap_or(self.ascii);
        self
    }
}

/// What environment or command line say instead of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `VIGIE_THEME`, `--theme`.
    pub theme: Option<String>,
    /// `VIGIE_SCREEN`, `--screen`.
    pub screen: Option<String>,
    /// `VIGIE_READ_ONLY`, `--read-only`.
    pub read_only: Option<bool>,
    /// `VIGIE_ASCII`, `--ascii`.
    pub ascii: Option<bool>,
}

impl Overrides {
    /// What the environment says.
    ///
    /// # Errors
    /// The first variable with a value that it can't have.
    pub fn from_env(env: Environment<'_>) -> Result<Self, ConfigError> {
        let text = |name: &'static str| match env(name) {
            None => Ok(None),
            Some(value) if value.is_empty() => Ok(None),
            Some(value) => value
                .into_string()
                .map(Some)
                .map_err(|_| ConfigError::Environment { name, reason: "it is not UTF-8".to_owned() }),
        };
        let flag = |name: &'static str| {
            text(name)?
                .map(|value| match value.to_ascii_lowercase().as_str() {
                    "1" | "true" | "yes" | "on" => Ok(true),
                    "0" | "false" | "no" | "off" => Ok(false),
                    _ => {
                        Err(ConfigError::Environment { name, reason: "it must be true or false".to_owned() })
                    }
                })
                .transpose()
        };
        let screen = text("VIGIE_SCREEN")?;
        if let Some(screen) = &screen
            && let Err(reason) = check_screen(screen)
        {
            return Err(ConfigError::Environment { name: "VIGIE_SCREEN", reason });
        }
        Ok(Self {
            theme: text("VIGIE_THEME")?,
            screen,
            read_only: flag("VIGIE_READ_ONLY")?,
            ascii: flag("VIGIE_ASCII")?,
        })
    }

    /// These, and where they say nothing, what `weaker` says.
    #[must_use]
    pub fn or(self, weaker: Self) -> Self {
        Self {
            theme: self.theme.or(weaker.theme),
            screen: self.screen.or(weaker.screen),
            read_only: self.read_only.or(weaker.read_only),
            ascii: self.ascii.or(weaker.ascii),
        }
    }
}

/// Whether `name` is a screen that a console can begin with.
///
/// # Errors
/// A sentence with the names that there are, and the nearest.
pub fn check_screen(name: &str) -> Result<(), String> {
    if SCREENS.contains(&name) {
        return Ok(());
    }
    let near = crate::document::did_you_mean(name, SCREENS);
    Err(format!("{name:?} is not one of {}{near}", SCREENS.join(", ")))
}

/// A checked screen name, only so that it can be read like any other word.
struct Screen(String);

impl std::str::FromStr for Screen {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        check_screen(name).map(|()| Self(name.to_owned()))
    }
}

/// Whether it can be the name of an endpoint or a theme: letters, digits, `.`,
/// `_` and `-`, 1 to 64 of them.
#[must_use]
pub fn is_simple_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// Writes [`EXAMPLE`] where the configuration is looked for.
///
/// # Errors
/// There is a file already (it is never overwritten), or it can't be written.
pub fn init(paths: &Paths) -> Result<(), ConfigError> {
    use std::io::Write as _;

    let path = &paths.config;
    let unwritable = |source| ConfigError::Unwritable { path: path.clone(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(unwritable)?;
    }
    match std::fs::File::create_new(path) {
        Ok(mut file) => file.write_all(EXAMPLE.as_bytes()).map_err(unwritable),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(ConfigError::Exists { path: path.clone() })
        }
        Err(source) => Err(unwritable(source)),
    }
}

/// What is wrong with the configuration as a whole.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no home directory, and the variables that would do without are not set.
    #[error("no home directory: set HOME, or XDG_CONFIG_HOME, XDG_STATE_HOME and XDG_DATA_HOME")]
    NoHome,
    /// It can't be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It can't be written.
    #[error("{} can't be written: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is there already.
    #[error("{} is there already; it is not overwritten", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Its content is wrong. Shown as one line for each problem.
    #[error("{}", all(path, problems))]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong, in the order of lines.
        problems: Vec<Problem>,
    },
    /// A variable has a value that it can't have.
    #[error("${name}: {reason}")]
    Environment {
        /// The variable.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The folder can't be watched.
    #[error("{} can't be watched for changes: {reason}", path.display())]
    Unwatchable {
        /// The folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

fn all(path: &Path, problems: &[Problem]) -> String {
    let lines: Vec<String> =
        problems.iter().map(|problem| format!("{}: {problem}", path.display())).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests;
