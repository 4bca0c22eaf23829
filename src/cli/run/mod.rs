//! `vigie run`: runs a command as if vigie were not there, and reports its
//! start, heartbeats, end and last output.
//!
//! What it must never be is in the way:
//!
//! - The command starts at once: the configuration is read and reports are
//!   sent by another thread (`reporter`), and whatever goes wrong there is
//!   told at the end, if at all. What can't be delivered is spooled.
//! - It has vigie's process group, terminal and standard input. Of its two
//!   outputs one that is a terminal is left alone, so that it still is one
//!   (its output is then not reported); any other becomes a pipe that is
//!   copied byte for byte as it comes (`tee`), one for both where both are the
//!   same file, so that their order stays.
//! - Signals that are sent to vigie are passed on (`signals`); those that the
//!   terminal sends have reached the command already. Signals that were
//!   ignored when vigie began (as by `nohup`) stay so.
//! - Its exit code is vigie's; if a signal ended it, the same signal ends
//!   vigie. 127: it was not found; 126: it could not be started.
//! - Once it has ended, vigie stays for reports [`LAST_WORDS`] at most. What
//!   others still write to its outputs is passed on by a process of its own.
//! - Where vigie can't even set that up it becomes the command.

mod child;
mod reporter;
mod signals;
mod tail;
mod tee;

use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::model::Clean;

use super::args::{Global, WrapOptions};
use super::{complain, session};
use child::{Child, Ended};
use reporter::{Reporter, Told};
use tail::Tail;
use tee::Outputs;

/// How long reports may take after the command has ended.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// As shells have it: the command was not found.
const NOT_FOUND: u8 = 127;
/// As shells have it: the command could not be started.
const NOT_STARTED: u8 = 126;

/// Runs the command, and ends as it did.
pub fn run(global: &Global, options: &WrapOptions) -> ExitCode {
    let Some((program, arguments)) = options.command.split_first() else {
        return ExitCode::from(NOT_FOUND);
    };
    let mut command = Command::new(program);
    command.args(arguments);
    let tail = Arc::new(Mutex::new(Tail::default()));
    let (outputs, signals) =
        match (Outputs::prepare(&mut command, !options.no_output, &tail), signals::listen()) {
            (Ok(outputs), Ok(signals)) => (outputs, signals),
            (Err(error), _) | (_, Err(error)) => return become_it(program, arguments, &error),
        };
    let (reporter, done) = Reporter::begin(global, options);
    let at = session::now();
    // Its parent has no use for the ends of the pipes that it writes to.
    let started = Child::start(command);
    reporter.tell(Told::Started { at });
    let child = match started {
        Ok(child) => child,
        Err(error) => {
            let code = if error.kind() == ErrorKind::NotFound { NOT_FOUND } else { NOT_STARTED };
            let message = format!("{} can't be started: {error}", Clean::line(&program.to_string_lossy()));
            complain(&message);
            reporter.tell(Told::Ended {
                at: session::now(),
                exit_code: i32::from(code),
                output: Some(message),
            });
            last_words(&done, options.quiet);
            return ExitCode::from(code);
        }
    };
    signals.to(child.pid());
    let ended = child.follow(&signals);
    let at = session::now();
    outputs.finish();
    let output = tail.lock().map(|tail| tail.text()).ok().filter(|text| !text.is_empty());
    reporter.tell(Told::Ended { at, exit_code: ended.code(), output });
    last_words(&done, options.quiet);
    end_as(ended)
}

/// Waits a little for the reports, and says what was wrong with them.
fn last_words(done: &mpsc::Receiver<Vec<String>>, quiet: bool) {
    let Ok(complaints) = done.recv_timeout(LAST_WORDS) else { return };
    if !quiet {
        for complaint in &complaints {
            complain(complaint);
        }
    }
}

/// Ends as the command did.
fn end_as(ended: Ended) -> ExitCode {
    if let Ended::Signal(signal) = ended {
        // One core is enough.
        let none = Rlimit { current: Some(0), maximum: Some(0) };
        let _ = setrlimit(Resource::Core, none);
        // Returns only for a signal that ends nobody by default.
        let _ = signal_hook::low_level::emulate_default_handler(signal);
    }
    ExitCode::from(u8::try_from(ended.code()).unwrap_or(u8::MAX))
}

/// Runs the command in vigie's place, unreported.
fn become_it(program: &std::ffi::OsStr, arguments: &[std::ffi::OsString], why: &std::io::Error) -> ExitCode {
    complain(&format!("this run is not reported: {why}"));
    // Anew: the other may be connected to pipes already.
    let error = Command::new(program).args(arguments).exec();
    complain(&format!("{} can't be started: {error}", Clean::line(&program.to_string_lossy())));
    ExitCode::from(if error.kind() == ErrorKind::NotFound { NOT_FOUND } else { NOT_STARTED })
}

/// `vigie pass-on`: standard input to standard output, to its end.
pub fn pass_on() -> ExitCode {
    match tee::pass_on() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
