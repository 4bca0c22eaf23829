//! The arguments of `vigie audit`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use super::super::args::{DATA_HELP, Format};
use crate::model::parse_duration;

/// `audit [list]`
#[derive(Debug, Clone, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
pub struct AuditArgs {
    /// The list, by name.
    #[command(subcommand)]
    pub command: Option<AuditCommand>,
    /// The list, without.
    #[command(flatten)]
    pub list: AuditOptions,
}

/// `audit …`
#[derive(Debug, Clone, Subcommand)]
pub enum AuditCommand {
    /// The audit logs that endpoints keep themselves, newest first
    List(AuditOptions),
    /// All of a coordinator's own log, oldest first: of this machine's as it lies on disk, whether it runs or not
    Export(AuditExport),
    /// Whether every row of a coordinator's own log is as it was written, and none is missing (exit code: 0 yes, 1 no, 3 it could not be read)
    Verify(AuditVerify),
}

/// The form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// An object on each line.
    Json,
    /// For spreadsheets.
    Csv,
}

/// Where the log is.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct AuditPlace {
    /// The coordinator of this endpoint, over its API; without it, the data directory is read
    #[arg(long, value_name = "NAME", conflicts_with = "data")]
    pub endpoint: Option<String>,
    /// The data directory
    #[arg(long, value_name = "DIR", help = DATA_HELP)]
    pub data: Option<PathBuf>,
}

/// Options of `audit export`.
#[derive(Debug, Clone, ClapArgs)]
pub struct AuditExport {
    /// How to print: json is one object a line
    #[arg(short, long, value_enum, default_value = "json")]
    pub output: ExportFormat,
    /// Only from then on: a time, a day, or how long ago, such as 24h
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Whose log
    #[command(flatten)]
    pub place: AuditPlace,
}

/// Options of `audit verify`.
#[derive(Debug, Clone, ClapArgs)]
pub struct AuditVerify {
    /// Whose log
    #[command(flatten)]
    pub place: AuditPlace,
}

/// Options of `audit list`.
#[derive(Debug, Clone, ClapArgs)]
pub struct AuditOptions {
    /// How to print
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: Format,
    /// Only this endpoint; may be repeated
    #[arg(long, value_name = "NAME")]
    pub endpoint: Vec<String>,
    /// At most so many lines
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub limit: usize,
    /// The limit of the whole command
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    pub timeout: Duration,
}
