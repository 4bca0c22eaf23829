//! The arguments of `vigie serve`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args as ClapArgs;

use crate::cli::args::DATA_HELP;
use crate::model::parse_duration;

use super::LogFormat;

const LISTEN_HELP: &str = "Where to listen [default: 127.0.0.1 at $CRON_PORT, else 127.0.0.1:8667]";

/// Options of `serve`.
#[derive(Debug, Clone, ClapArgs)]
pub struct ServeOptions {
    /// Where to listen
    #[arg(long, value_name = "ADDR", help = LISTEN_HELP)]
    pub listen: Option<String>,
    /// The certificate to show beyond loopback: a PEM file [default: tls in the configuration]
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key: a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// The tasks [default: tasks.toml beside the configuration]
    #[arg(long, value_name = "FILE")]
    pub tasks: Option<PathBuf>,
    /// The data directory
    #[arg(long, value_name = "DIR", help = DATA_HELP)]
    pub data: Option<PathBuf>,
    /// Check the tasks, how it would be reached, and its certificate, and end
    #[arg(long)]
    pub check: bool,
    /// Print a systemd unit that starts it with these options, and end
    #[arg(long)]
    pub print_unit: bool,
    /// How its log lines are written to standard error; the variable `VIGIE_LOG` filters them
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub log_format: LogFormat,
    /// End so long after the last console has gone: how a console starts its own.
    #[arg(long, hide = true, value_name = "DURATION", value_parser = parse_duration)]
    pub linger: Option<Duration>,
    /// Answer, but schedule nothing: how a command starts its own.
    #[arg(long, hide = true)]
    pub answer_only: bool,
}
