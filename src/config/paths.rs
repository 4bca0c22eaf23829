//! Where files are.

use std::path::{Path, PathBuf};

use directories::BaseDirs;

use super::{ConfigError, Environment};

/// Where files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// `config.toml`.
    pub config: PathBuf,
    /// Whether that file was asked for by name, and so must be there.
    pub explicit: bool,
    /// `tasks.toml`, beside it.
    pub tasks: PathBuf,
    /// Own themes, `themes/` beside it.
    pub themes: PathBuf,
    /// State: journal, log file.
    pub state: PathBuf,
    /// Data: the coordinator's.
    pub data: PathBuf,
    /// The home directory, where there is one.
    pub home: Option<PathBuf>,
}

impl Paths {
    /// Looks them up: the configuration at `flag` (`--config`), `$VIGIE_CONFIG`
    /// or `$XDG_CONFIG_HOME/vigie/config.toml`; state and data under
    /// `$XDG_STATE_HOME/vigie` and `$XDG_DATA_HOME/vigie`. The XDG variables
    /// default as their specification says; relative ones are ignored.
    ///
    /// # Errors
    /// [`ConfigError::NoHome`] if a default is needed and there is no home directory.
    pub fn resolve(flag: Option<&Path>, env: Environment<'_>) -> Result<Self, ConfigError> {
        let base = BaseDirs::new();
        let folder = |name: &str, default: fn(&BaseDirs) -> Option<&Path>| {
            env(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
                .or_else(|| base.as_ref().and_then(default).map(Path::to_path_buf))
                .map(|path| path.join("vigie"))
                .ok_or(ConfigError::NoHome)
        };
        let named = flag
            .map(Path::to_path_buf)
            .or_else(|| env("VIGIE_CONFIG").filter(|value| !value.is_empty()).map(PathBuf::from));
        let explicit = named.is_some();
        let config = match named {
            Some(path) => std::path::absolute(&path).unwrap_or(path),
            None => folder("XDG_CONFIG_HOME", |base| Some(base.config_dir()))?.join("config.toml"),
        };
        let beside = config.parent().unwrap_or_else(|| Path::new("")).to_path_buf();
        Ok(Self {
            explicit,
            tasks: beside.join("tasks.toml"),
            themes: beside.join("themes"),
            config,
            state: folder("XDG_STATE_HOME", |base| base.state_dir().or_else(|| Some(base.data_dir())))?,
            data: folder("XDG_DATA_HOME", |base| Some(base.data_dir()))?,
            home: env("HOME")
                .filter(|home| !home.is_empty())
                .map(PathBuf::from)
                .or_else(|| base.as_ref().map(|base| base.home_dir().to_path_buf())),
        })
    }
}
