//! The arguments, as clap reads them. Those of a command that has a folder
//! are beside it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use crate::model::{Priority, parse_duration};

use super::audit::args::AuditArgs;
use super::endpoints::args::EndpointsArgs;
use super::serve::args::ServeOptions;
use super::token::args::TokenCommand;
use super::vault::args::VaultArgs;

const CONFIG_HELP: &str =
    "The configuration [default: $VIGIE_CONFIG, then config.toml in $XDG_CONFIG_HOME/vigie]";
/// What `--data` is, wherever it is said.
pub const DATA_HELP: &str = "The data directory [default: $XDG_DATA_HOME/vigie]";

/// The look-out for scheduled and queued work.
///
/// Without a command: the console. Without a configuration it watches the
/// coordinator of this machine, and starts one if there is none.
#[derive(Debug, Parser)]
#[command(name = "vigie", version, max_term_width = 100, disable_help_subcommand = true)]
pub struct Args {
    /// For every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do; the console, if absent.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Options of every command.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Global {
    /// The configuration
    #[arg(long, global = true, value_name = "FILE", help = CONFIG_HELP)]
    pub config: Option<PathBuf>,
    /// Send nothing, whatever is pressed or asked
    #[arg(long, global = true)]
    pub read_only: bool,
    /// A theme's name, or auto
    #[arg(long, value_name = "NAME")]
    pub theme: Option<String>,
    /// ASCII instead of glyphs
    #[arg(long)]
    pub ascii: bool,
    /// The screen to begin with: board, tasks, runs, endpoints or journal
    #[arg(long, value_name = "NAME")]
    pub screen: Option<String>,
}

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The worst state of the fleet, for people and for checks (exit code: 0 ok, 1 warning, 2 critical, 3 unknown)
    Status(ReadOptions),
    /// Tasks of every endpoint
    Tasks(ReadOptions),
    /// Runs, newest first
    Runs(RunsOptions),
    /// Queues and their depths
    Queues(ReadOptions),
    /// Open alerts
    Alerts(ReadOptions),
    /// Endpoints and their health; test one alone, or add one
    Endpoints(EndpointsArgs),
    /// The audit logs that endpoints keep themselves, newest first
    Audit(AuditArgs),
    /// Secrets that vigie keeps itself, encrypted: put in, list, take out
    Vault(VaultArgs),
    /// Start a run now
    Trigger(ActOptions),
    /// Stop scheduling
    Pause(ActOptions),
    /// Schedule again
    Resume(ActOptions),
    /// Run again what failed
    Retry(RunActOptions),
    /// Stop the run, or take it out of its queue
    Cancel(RunActOptions),
    /// Put the task away
    Archive(ActOptions),
    /// Set the priority of pending runs, 1 (highest) to 5
    #[command(visible_alias = "reprioritise")]
    Priority(PriorityOptions),
    /// Take the alerts of a task: say that you are on it
    #[command(visible_alias = "acknowledge")]
    Ack(NoteOptions),
    /// Put the alerts of a task off for a while
    Snooze(PutOffOptions),
    /// Silence the alerts of a task
    Silence(PutOffOptions),
    /// Have an endpoint read its configuration again
    #[command(visible_alias = "reload-config")]
    Reload(ReloadOptions),
    /// Give a command that only this system has; without one: what there is, and what can be done now
    Do(DoOptions),
    /// Have a coordinator run a command once: queued, retried, watched, its output kept
    Submit(SubmitOptions),
    /// Run a command as it is, and report its start, heartbeats, end and last output: for cron lines
    Run(WrapOptions),
    /// Pass on what a command that has ended left to others to write: how `run` ends before they do.
    #[command(hide = true)]
    PassOn,
    /// Run the coordinator: scheduler, queue and monitor of this machine
    Serve(ServeOptions),
    /// Who may call a coordinator from elsewhere: make, list, revoke and rotate tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// The configuration: make it, check it, find it
    #[command(subcommand)]
    Config(ConfigCommand),
}

/// How a reading command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs: stable.
    Json,
    /// For spreadsheets: the values of the JSON.
    Csv,
}

/// Options of reading commands.
#[derive(Debug, Clone, ClapArgs)]
pub struct ReadOptions {
    /// How to print
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: Format,
    /// Only this endpoint; may be repeated
    #[arg(long, value_name = "NAME")]
    pub endpoint: Vec<String>,
    /// Only what matches, such as `state:late,failing team:data`
    #[arg(long, value_name = "EXPR")]
    pub filter: Option<String>,
    /// The limit of the whole command
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    pub timeout: Duration,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { output: Format::Table, endpoint: Vec::new(), filter: None, timeout: Duration::from_secs(10) }
    }
}

/// Options of `runs`.
#[derive(Debug, Clone, ClapArgs)]
pub struct RunsOptions {
    /// As for every reading command.
    #[command(flatten)]
    pub read: ReadOptions,
    /// At most so many; those in progress come first
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub limit: usize,
}

/// Options of commands that act.
#[derive(Debug, Clone, ClapArgs)]
pub struct ActOptions {
    /// What to act on; a task's id, alias, or name where that is unique
    #[arg(required = true, value_name = "ENDPOINT/TASK")]
    pub targets: Vec<String>,
    /// How to act.
    #[command(flatten)]
    pub how: How,
    /// Wait until the effect is seen; for a run, until it has ended
    #[arg(long)]
    pub wait: bool,
}

/// Options of commands that act on runs.
#[derive(Debug, Clone, ClapArgs)]
pub struct RunActOptions {
    /// On what, and how.
    #[command(flatten)]
    pub act: ActOptions,
    /// Only this run of the task
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
}

/// How to act.
#[derive(Debug, Clone, Copy, Default, ClapArgs)]
pub struct How {
    /// Answer every confirmation with yes
    #[arg(long)]
    pub yes: bool,
    /// Show what would be sent, and send nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Options of `priority`.
#[derive(Debug, Clone, ClapArgs)]
pub struct PriorityOptions {
    /// 1 (highest) to 5 (lowest)
    #[arg(value_name = "N")]
    pub priority: Priority,
    /// On what, and how.
    #[command(flatten)]
    pub act: RunActOptions,
}

/// Options of `ack`.
#[derive(Debug, Clone, ClapArgs)]
pub struct NoteOptions {
    /// On what, and how.
    #[command(flatten)]
    pub act: ActOptions,
    /// Why, for those who see it
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
}

/// Options of `snooze` and `silence`.
#[derive(Debug, Clone, ClapArgs)]
pub struct PutOffOptions {
    /// On what, how and why.
    #[command(flatten)]
    pub note: NoteOptions,
    /// For how long, such as 2h
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    pub duration: Option<Duration>,
}

/// Options of `do`.
#[derive(Debug, Clone, ClapArgs)]
pub struct DoOptions {
    /// The endpoint
    #[arg(value_name = "ENDPOINT")]
    pub endpoint: String,
    /// The command, such as rediacc:delete or delete
    #[arg(value_name = "COMMAND")]
    pub command: Option<String>,
    /// What to act on, where it is about tasks: id, alias, or name where that is unique
    #[arg(value_name = "TASK")]
    pub tasks: Vec<String>,
    /// An input of the command; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// The file that holds what is sent, at most 1 MiB; - is standard input. Only its digest is recorded
    #[arg(long, value_name = "FILE")]
    pub payload: Option<PathBuf>,
    /// How to act.
    #[command(flatten)]
    pub how: How,
    /// Wait until the effect is seen
    #[arg(long)]
    pub wait: bool,
}

/// Options of `reload`.
#[derive(Debug, Clone, ClapArgs)]
pub struct ReloadOptions {
    /// The endpoint
    #[arg(value_name = "ENDPOINT")]
    pub endpoint: String,
    /// How to act.
    #[command(flatten)]
    pub how: How,
}

/// Options of `submit`.
#[derive(Debug, Clone, ClapArgs)]
pub struct SubmitOptions {
    /// The coordinator [default: the first that is configured]
    #[arg(long, value_name = "NAME")]
    pub endpoint: Option<String>,
    /// What people call it [default: its program]
    #[arg(long, value_name = "TEXT")]
    pub name: Option<String>,
    /// Where it runs [default: beside the coordinator]
    #[arg(long, value_name = "NAME")]
    pub machine: Option<String>,
    /// Whose it is
    #[arg(long, value_name = "NAME")]
    pub team: Option<String>,
    /// 1 (highest) to 5 (lowest) [default: 3]
    #[arg(long, value_name = "N")]
    pub priority: Option<Priority>,
    /// How often it is tried again
    #[arg(long, value_name = "N")]
    pub retry: Option<u32>,
    /// How long before each [default: 30s]
    #[arg(long, value_name = "DURATION")]
    pub retry_delay: Option<String>,
    /// How long it may run
    #[arg(long, value_name = "DURATION")]
    pub max_runtime: Option<String>,
    /// A variable; may be repeated. The journal holds it: what is secret goes into the vault
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// A variable whose value is in the coordinator's vault; may be repeated
    #[arg(long, value_name = "NAME=VAULT-NAME")]
    pub secret: Vec<String>,
    /// The folder where it runs
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<String>,
    /// A line for a shell, instead of a command
    #[arg(long, value_name = "LINE", required_unless_present = "command", conflicts_with = "command")]
    pub shell: Option<String>,
    /// How to act.
    #[command(flatten)]
    pub how: How,
    /// Wait until it has ended
    #[arg(long)]
    pub wait: bool,
    /// The command with its arguments, after --
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Options of `run`.
#[derive(Debug, Clone, ClapArgs)]
pub struct WrapOptions {
    /// The task that this is a run of: its id, or its name where unique
    #[arg(long, value_name = "NAME")]
    pub task: String,
    /// Where it is watched [default: the first endpoint that takes reports of runs]
    #[arg(long, value_name = "NAME")]
    pub endpoint: Option<String>,
    /// How often to say that it goes on
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_beat)]
    pub heartbeat: Duration,
    /// Leave its output alone, and report none of it
    #[arg(long)]
    pub no_output: bool,
    /// Say nothing of reports that are refused or lost
    #[arg(long)]
    pub quiet: bool,
    /// The command with its arguments, after --
    #[arg(required = true, last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

fn parse_beat(text: &str) -> Result<Duration, String> {
    let beat = parse_duration(text)?;
    if beat < Duration::from_secs(1) { Err("must be at least 1s".to_owned()) } else { Ok(beat) }
}

/// `config …`
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// Write the commented reference to where the configuration is looked for
    Init,
    /// Read the configuration and say everything that is wrong with it
    Check,
    /// Where everything is
    Paths,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn full_action_names_are_aliases() {
        let args = Args::try_parse_from(["vigie", "reprioritise", "2", "a/b", "--yes"]).unwrap();
        assert!(
            matches!(args.command, Some(Command::Priority(o)) if o.priority.level() == 2 && o.act.act.how.yes)
        );
        assert!(Args::try_parse_from(["vigie", "priority", "9", "a/b"]).is_err());
        assert!(Args::try_parse_from(["vigie", "reload-config", "a"]).is_ok());
        assert!(Args::try_parse_from(["vigie", "status", "--timeout", "10"]).is_err());
    }

    #[test]
    fn options_are_offered_only_where_they_mean_something() {
        for (line, is_right) in [
            ("runs --limit 3", true),
            ("tasks --limit 3", false),
            ("cancel a/b --run 1", true),
            ("priority 1 a/b --run 1", true),
            ("trigger a/b --run 1", false),
            ("pause a/b --run 1", false),
            ("ack a/b --note x", true),
            ("acknowledge a/b c/d", true),
            ("ack a/b --for 2h", false),
            ("snooze a/b --for 2h --note x --yes", true),
            ("silence a/b --for ever", false),
            ("pause a/b --note x", false),
            ("do a", true),
            ("do a b c d --set x=1 --set y=2 --payload - --yes --wait", true),
            ("do", false),
            ("audit", true),
            ("audit -o csv --endpoint a --limit 5", true),
            ("audit list -o json", true),
            ("audit -o json list", false),
            ("audit export -o csv --since 24h --data d", true),
            ("audit verify", true),
            ("audit verify -o json", false),
            ("vault set data/pg", true),
            ("vault get data/pg", false),
            ("vault list -o json --data d", true),
            ("vault rotate --to file:k", true),
            ("vault import - --team data --dry-run", true),
            ("vault import .env", false),
            ("endpoints -o json --endpoint a", true),
            ("endpoints test a", true),
            ("endpoints test", false),
            ("endpoints test a -o json", false),
            ("endpoints add", true),
            ("endpoints add a --kind rediacc --url http://x/api --auth token=env:T --yes --no-probe", true),
            ("endpoints add a --kind cron", false),
        ] {
            let parsed = Args::try_parse_from(["vigie"].into_iter().chain(line.split(' ')));
            assert_eq!(parsed.is_ok(), is_right, "{line}");
        }
    }
}
