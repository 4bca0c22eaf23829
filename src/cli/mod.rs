//! The command line: arguments, one file per command, and what they print.
//!
//! Owns the formats of `-o json|csv|table`, the exit codes, and the choice of
//! which face of vigie is shown. Commands and console read the same fleet and
//! send the same intents. May use every room.

mod act;
mod args;
mod audit;
mod config;
mod console;
mod endpoints;
mod output;
mod read;
mod report;
mod run;
mod serve;
mod session;
mod standing;
mod table;
mod token;
mod tty;
mod vault;

use std::ffi::OsString;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;

use crate::coordinator::{SUPERVISE, supervise};
use crate::model::Verb;

use audit::args::AuditCommand;
use endpoints::args::{EndpointsArgs, EndpointsCommand};

pub use args::{Args, Command};

/// How a command ends. See the module texts of the commands for what each means there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit(pub u8);

impl Exit {
    /// All is well.
    pub const OK: Self = Self(0);
    /// `status`: a warning. Actions: refused or failed. `endpoints test`: degraded.
    pub const FAILED: Self = Self(1);
    /// `status`: critical. Others: usage or configuration.
    pub const USAGE: Self = Self(2);
    /// `status`: an endpoint could not be read. Actions: the outcome is not known.
    pub const UNKNOWN: Self = Self(3);
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.0)
    }
}

/// Why a command did not do its work: a sentence for people, and how it ends.
#[derive(Debug)]
pub struct Failure {
    /// What failed, where, what to do. May have several lines.
    pub message: String,
    /// How the command ends.
    pub exit: Exit,
}

impl Failure {
    fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit: Exit::USAGE }
    }

    fn refused(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit: Exit::FAILED }
    }

    /// Says it.
    fn report(&self) -> ExitCode {
        complain(&self.message);
        self.exit.into()
    }
}

/// Reads the arguments and runs what they ask for.
#[must_use]
pub fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == SUPERVISE) {
        // Before everything else: it has to be quick and small.
        return match arguments.next() {
            Some(folder) => supervise(Path::new(&folder)),
            None => Failure::usage("`vigie supervise` is for vigie itself: it carries out one run").report(),
        };
    }
    // Installed first, so that the console's own panic hook can give the terminal back before the report.
    let _ = color_eyre::config::HookBuilder::default().display_env_section(false).install();
    let raw: Vec<OsString> = std::env::args_os().collect();
    let args = match Args::try_parse_from(&raw) {
        Ok(args) => args,
        Err(error) => return usage(&error, &raw),
    };
    let is_status = matches!(args.command, Some(Command::Status(_)));
    let args = match args {
        // Nothing, not even threads, stands before the command that it runs.
        Args { global, command: Some(Command::Run(options)) } => return run::run(&global, &options),
        Args { command: Some(Command::PassOn), .. } => return run::pass_on(),
        args => args,
    };
    match begin(args) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            let exit = failure.report();
            // For a check, what can't be asked is unknown, not a warning (Nagios plugin convention).
            if is_status { Exit::UNKNOWN.into() } else { exit }
        }
    }
}

/// A usage error, or the help that was asked for.
fn usage(error: &clap::Error, raw: &[OsString]) -> ExitCode {
    // Nothing better can be done where even this can't be printed.
    let _ = error.print();
    if !error.use_stderr() {
        return Exit::OK.into();
    }
    let is_status = raw.iter().skip(1).any(|arg| arg == "status");
    if is_status { Exit::UNKNOWN.into() } else { Exit::USAGE.into() }
}

fn begin(args: Args) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::usage(format!("vigie can't start its threads: {error}")))?;
    let result = runtime.block_on(dispatch(args));
    // A blocked read of a terminal or a file must not hold the exit.
    runtime.shutdown_background();
    result
}

async fn dispatch(args: Args) -> Result<Exit, Failure> {
    let Args { global, command } = args;
    match command {
        None => console::run(&global).await,
        Some(Command::Status(options)) => read::status(&global, &options).await,
        Some(Command::Tasks(options)) => read::list(&global, read::What::Tasks, &options).await,
        Some(Command::Runs(options)) => read::runs(&global, &options).await,
        Some(Command::Queues(options)) => read::list(&global, read::What::Queues, &options).await,
        Some(Command::Alerts(options)) => read::list(&global, read::What::Alerts, &options).await,
        Some(Command::Endpoints(EndpointsArgs { command, read })) => match command {
            None => read::list(&global, read::What::Endpoints, &read).await,
            Some(EndpointsCommand::Test(options)) => endpoints::test(&global, &options).await,
            Some(EndpointsCommand::Add(options)) => endpoints::add(&global, &options).await,
        },
        Some(Command::Audit(args)) => match args.command {
            None => audit::list(&global, &args.list).await,
            Some(AuditCommand::List(options)) => audit::list(&global, &options).await,
            Some(AuditCommand::Export(options)) => audit::export(&global, &options).await,
            Some(AuditCommand::Verify(options)) => audit::verify(&global, &options).await,
        },
        Some(Command::Vault(args)) => vault::run(&global, &args).await,
        Some(Command::Trigger(options)) => act::on_tasks(&global, Verb::Trigger, &options).await,
        Some(Command::Pause(options)) => act::on_tasks(&global, Verb::Pause, &options).await,
        Some(Command::Resume(options)) => act::on_tasks(&global, Verb::Resume, &options).await,
        Some(Command::Archive(options)) => act::on_tasks(&global, Verb::Archive, &options).await,
        Some(Command::Retry(options)) => act::on_runs(&global, Verb::Retry, None, &options).await,
        Some(Command::Cancel(options)) => act::on_runs(&global, Verb::Cancel, None, &options).await,
        Some(Command::Priority(options)) => {
            act::on_runs(&global, Verb::Reprioritise, Some(options.priority), &options.act).await
        }
        Some(Command::Ack(options)) => act::acknowledge(&global, &options).await,
        Some(Command::Snooze(options)) => act::put_off(&global, Verb::Snooze, &options).await,
        Some(Command::Silence(options)) => act::put_off(&global, Verb::Silence, &options).await,
        Some(Command::Reload(options)) => act::reload(&global, &options).await,
        Some(Command::Submit(options)) => act::submit(&global, &options).await,
        Some(Command::Do(options)) => act::order(&global, &options).await,
        // Handled before there were any threads.
        Some(Command::Run(_) | Command::PassOn) => Ok(Exit::OK),
        Some(Command::Serve(options)) => serve::run(&global, options).await,
        Some(Command::Token(command)) => token::run(&global, command).await,
        Some(Command::Config(command)) => config::run(&global, &command),
    }
}

/// Lines to standard error; a closed one is not an error of ours.
fn complain(message: &str) {
    let mut out = std::io::stderr().lock();
    for line in message.lines() {
        let _ = writeln!(out, "vigie: {line}");
    }
}

/// Text to standard output. A reader that has gone ends the command quietly.
///
/// # Errors
/// It can't be written: a full disk must not look like an answer.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::refused(format!("standard output can't be written: {error}")))
        }
        _ => Ok(()),
    }
}
