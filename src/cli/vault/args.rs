//! The arguments of `vigie vault`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

use super::super::args::{DATA_HELP, Format};

const TO_HELP: &str = "Where the new key is: env:NAME, file:PATH or command:PROGRAM [default: made now, in place of the \
                       one in its file]";

/// `vault …`
#[derive(Debug, Clone, ClapArgs)]
pub struct VaultArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: VaultCommand,
    /// The data directory
    #[arg(long, global = true, value_name = "DIR", help = DATA_HELP)]
    pub data: Option<PathBuf>,
}

/// `vault …`
#[derive(Debug, Clone, Subcommand)]
pub enum VaultCommand {
    /// Put a value in: from standard input, or typed without being shown
    Set(VaultSet),
    /// What is in it: names, never values
    List(VaultList),
    /// Take a secret out
    Rm(VaultName),
    /// Encrypt everything anew, for a new key
    Rotate(VaultRotate),
    /// Put in what a file says, line by line: NAME=VALUE
    Import(VaultImport),
}

/// Options of `vault set`.
#[derive(Clone, ClapArgs)]
pub struct VaultSet {
    /// Its team and name, such as data/pg
    #[arg(value_name = "TEAM/NAME")]
    pub name: String,
    /// Taken only so that it is refused without being repeated.
    #[arg(hide = true)]
    pub value: Option<OsString>,
}

/// Without what may be a value.
impl std::fmt::Debug for VaultSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VaultSet").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A secret.
#[derive(Debug, Clone, ClapArgs)]
pub struct VaultName {
    /// Its team and name, such as data/pg
    #[arg(value_name = "TEAM/NAME")]
    pub name: String,
}

/// Options of `vault list`.
#[derive(Debug, Clone, ClapArgs)]
pub struct VaultList {
    /// How to print
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: Format,
}

/// Options of `vault rotate`.
#[derive(Debug, Clone, ClapArgs)]
pub struct VaultRotate {
    /// Where the new key is.
    #[arg(long, value_name = "SOURCE", help = TO_HELP)]
    pub to: Option<String>,
}

/// Options of `vault import`.
#[derive(Debug, Clone, ClapArgs)]
pub struct VaultImport {
    /// The file, such as .env; - is standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Whose secrets they become: NAME is kept as TEAM/NAME
    #[arg(long, value_name = "TEAM")]
    pub team: String,
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}
