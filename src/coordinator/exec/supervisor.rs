//! The supervisor of one attempt: a process of its own, in a session of its
//! own, that outlives the coordinator which started it. It starts the command,
//! keeps its output and records its end; SIGTERM has it end the command, and
//! so has the max runtime, whether or not a coordinator is there to say so.
//!
//! Single-threaded, without a runtime, and small: there is one per run. What it
//! is to do it reads from its standard input; what it can't even begin it says
//! on its standard error; everything else is told by the records in its folder.

use std::io::{self, ErrorKind, PipeReader, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{ChildStdin, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Signal, WaitOptions, WaitStatus};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};

use crate::coordinator::{Clock as _, SystemClock};
use crate::vault::Redactor;

use super::launch::{Elsewhere, Launch};
use super::log::LogWriter;
use super::process::{self, Identity, LOOK};
use super::records::{Claim, Ended, Folder, Order, Started, VERSION};

/// How long output may still come once the command has ended: what it left
/// behind in the background may hold the pipe for ever.
const LAST_OUTPUT: Duration = Duration::from_millis(500);
/// Output that is read at once.
const PIECE: usize = 64 * 1024;
/// Output that the pipe may hold, so that a command seldom waits for the log.
const PIPE: usize = 256 * 1024;
/// What the redactor holds back is given out after so long without more.
const QUIET: Duration = Duration::from_millis(200);
/// The pause before a record that could not be written is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// How long what runs elsewhere may take to end, once it was killed there, before its client here is.
const CLIENT_GRACE: Duration = Duration::from_secs(10);

/// Carries out what standard input says, and records it in `folder`.
#[must_use]
pub fn supervise(folder: &Path) -> ExitCode {
    match Supervisor::begin(Folder::at(folder.to_owned())) {
        Ok(Some(mut supervisor)) => {
            supervisor.watch();
            supervisor.end();
            ExitCode::SUCCESS
        }
        // It was never started, and that is recorded.
        Ok(None) => ExitCode::SUCCESS,
        Err(error) => {
            // Whoever started it reads this, if it is still there.
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

/// A word on what could not be done.
fn failed(what: &str) -> impl Fn(io::Error) -> String + '_ {
    move |error| format!("{what}: {error}")
}

/// Signals as something to read.
struct Signals {
    child: UnixStream,
    stop: UnixStream,
}

impl Signals {
    fn new() -> io::Result<Self> {
        let register = |signals: &[i32]| -> io::Result<UnixStream> {
            let (read, write) = UnixStream::pair()?;
            read.set_nonblocking(true)?;
            for signal in signals {
                signal_hook::low_level::pipe::register(*signal, write.try_clone()?)?;
            }
            Ok(read)
        };
        // A terminal that hangs up is none of a run's business. What is started has its own handlers.
        signal_hook::flag::register(SIGHUP, std::sync::Arc::default())?;
        Ok(Self { child: register(&[SIGCHLD])?, stop: register(&[SIGTERM, SIGINT])? })
    }
}

/// Whether anything was there to be read; all of it is.
fn drain(mut stream: &UnixStream) -> bool {
    let mut buffer = [0; 64];
    let mut any = false;
    while matches!(stream.read(&mut buffer), Ok(count) if count > 0) {
        any = true;
    }
    any
}

/// How far a stop has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Asked to end.
    Asked,
    /// Killed where it runs; its client here is still there.
    KilledElsewhere,
    /// Killed.
    Killed,
}

#[derive(Debug, Clone, Copy)]
struct Stop {
    stage: Stage,
    /// When the next stage comes.
    next: Instant,
}

/// What the command is still to read.
struct Input {
    pipe: ChildStdin,
    text: Vec<u8>,
    given: usize,
}

struct Supervisor {
    folder: Folder,
    signals: Signals,
    log: LogWriter,
    log_error: Option<String>,
    /// Takes out of the output what must not be seen.
    redactor: Option<Redactor>,
    elsewhere: Option<Elsewhere>,
    kill_grace: Duration,
    /// How long the command may take, and when that is over. A coordinator ends
    /// it then too; this is for when there is none. Sleep of the machine does not count.
    max_runtime: Option<(Duration, Instant)>,
    /// The max runtime that it was ended for.
    overran: Option<Duration>,
    /// The command, which leads its group.
    pid: u32,
    output: Option<PipeReader>,
    input: Option<Input>,
    status: Option<WaitStatus>,
    /// When output is no longer waited for.
    last_output: Option<Instant>,
    stop: Option<Stop>,
    buffer: Vec<u8>,
}

#[expect(clippy::disallowed_methods, reason = "the supervisor's one reading of the monotonic clock")]
fn monotonic() -> Instant {
    Instant::now()
}

/// A time with its end, counted from now; `None`: beyond all clocks.
fn deadline(limit: Duration) -> Option<(Duration, Instant)> {
    Some((limit, monotonic().checked_add(limit)?))
}

impl Supervisor {
    /// Takes the attempt and starts the command. `None`: it can't be started, which is recorded.
    fn begin(folder: Folder) -> Result<Option<Self>, String> {
        // It fails only where this is a session of its own already.
        let _ = rustix::process::setsid();
        let signals = Signals::new().map_err(failed("its signals can't be had"))?;
        let mut order = Vec::new();
        io::stdin().lock().read_to_end(&mut order).map_err(failed("its order can't be read"))?;
        let order: Order =
            serde_json::from_slice(&order).map_err(|_| "its order is not whole: its coordinator has gone")?;
        let _ = rustix::thread::set_name(c"vigie");
        // What the command leaves behind is reaped here, whatever process 1 does.
        #[cfg(target_os = "linux")]
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));

        let boot = process::boot();
        let claim = Claim {
            version: VERSION,
            at: SystemClock.now(),
            supervisor: Some(Identity::of(std::process::id(), &boot)),
            kill_grace_ms: order.kill_grace_ms,
            machine: order.launch.elsewhere.as_ref().map(|elsewhere| elsewhere.machine.clone()),
        };
        folder
            .take(&claim)
            .map_err(failed("it can't be recorded that it starts"))?
            .map_err(|_| "somebody else has it")?;

        let opened = LogWriter::open(order.log.clone()).and_then(|mut log| {
            order.heading.as_ref().map_or(Ok(()), |heading| log.line(heading))?;
            Ok(log)
        });
        let mut log = match opened {
            Ok(log) => log,
            Err(error) => {
                never_began(&folder, format!("its log can't be written: {error}"));
                return Ok(None);
            }
        };
        let (pid, output, input) = match start(&order.launch) {
            Ok(started) => started,
            Err(error) => {
                let message = start_error(&order.launch, &error);
                let _ = log.line(&message);
                never_began(&folder, message);
                return Ok(None);
            }
        };
        let mut supervisor = Self {
            folder,
            signals,
            log,
            log_error: None,
            redactor: (!order.launch.redact.is_empty()).then(|| Redactor::new(&order.launch.redact)),
            elsewhere: order.launch.elsewhere,
            kill_grace: Duration::from_millis(order.kill_grace_ms),
            max_runtime: order.max_runtime_ms.map(Duration::from_millis).and_then(deadline),
            overran: None,
            pid,
            output: Some(output),
            input,
            status: None,
            last_output: None,
            stop: None,
            buffer: vec![0; PIECE],
        };
        supervisor.reap();
        if supervisor.status.is_none() {
            let command = Identity::of(pid, &boot);
            let started = Started { version: VERSION, at: SystemClock.now(), command };
            // Where it can't be kept there is only less to tell of a run that is lost.
            let _ = supervisor.folder.keep_started(&started);
        }
        Ok(Some(supervisor))
    }

    /// Until the command has ended, and its output.
    fn watch(&mut self) {
        while !self.is_over() {
            let timeout = self.timeout().map(|wait| Timespec {
                tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(wait.subsec_nanos()),
            });
            let mut fds = vec![
                PollFd::new(&self.signals.child, PollFlags::IN),
                PollFd::new(&self.signals.stop, PollFlags::IN),
            ];
            fds.extend(self.output.iter().map(|output| PollFd::new(output, PollFlags::IN)));
            fds.extend(self.input.iter().map(|input| PollFd::new(&input.pipe, PollFlags::OUT)));
            // Interrupted, or not: what is ready is found by trying.
            let ready = rustix::event::poll(&mut fds, timeout.as_ref());
            drop(fds);
            if ready == Ok(0) {
                self.keep(Redactor::flush);
            }
            if drain(&self.signals.child) {
                self.reap();
            }
            if drain(&self.signals.stop) {
                self.terminate();
            }
            self.feed();
            self.capture();
            self.pass_time();
        }
    }

    fn is_over(&self) -> bool {
        let stopped = match self.stop {
            Some(Stop { stage: Stage::Asked, .. }) if self.elsewhere.is_none() => {
                !process::is_alive(self.pid)
            }
            _ => true,
        };
        self.status.is_some() && self.output.is_none() && stopped
    }

    fn timeout(&self) -> Option<Duration> {
        let quiet = self.redactor.as_ref().is_some_and(Redactor::is_holding).then_some(QUIET);
        self.time_left().into_iter().chain(quiet).min()
    }

    /// Until something is to be done by itself.
    fn time_left(&self) -> Option<Duration> {
        let stop = self.stop.filter(|stop| stop.stage != Stage::Killed).map(|stop| stop.next);
        let end = self.max_runtime.filter(|_| !self.is_ending()).map(|(_, end)| end);
        let until = self.last_output.into_iter().chain(stop).chain(end).min()?;
        let wait = until.saturating_duration_since(monotonic());
        // Who leads the group has ended; when the rest has, nobody tells.
        Some(if self.status.is_some() && stop.is_some() { wait.min(LOOK) } else { wait })
    }

    fn reap(&mut self) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if u32::try_from(pid.as_raw_nonzero().get()).is_ok_and(|pid| pid == self.pid) {
                self.status = Some(status);
                self.last_output = Some(monotonic() + LAST_OUTPUT);
                self.input = None;
            }
        }
    }

    /// Gives the command what it is to read, as far as it reads.
    fn feed(&mut self) {
        let Some(input) = &mut self.input else { return };
        while input.given < input.text.len() {
            match input.pipe.write(&input.text[input.given..]) {
                Ok(count) => input.given += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // It reads no more.
                Err(_) => break,
            }
        }
        self.input = None;
    }

    /// Keeps a piece of the output. Everything that a run's log holds of it goes through here.
    /// Gives whether there may be more at once.
    fn capture(&mut self) -> bool {
        let Some(output) = &mut self.output else { return false };
        match output.read(&mut self.buffer) {
            Ok(0) => self.output = None,
            Ok(count) if self.redactor.is_some() => {
                let bytes = std::mem::take(&mut self.buffer);
                self.keep(|redactor, out| redactor.push(&bytes[..count], out));
                self.buffer = bytes;
                return true;
            }
            Ok(count) => {
                write(&mut self.log, &mut self.log_error, &self.buffer[..count]);
                return true;
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.output = None,
        }
        false
    }

    /// Keeps what the redactor lets through.
    fn keep(&mut self, step: impl FnOnce(&mut Redactor, &mut Vec<u8>)) {
        let Some(redactor) = &mut self.redactor else { return };
        let mut seen = Vec::new();
        step(redactor, &mut seen);
        write(&mut self.log, &mut self.log_error, &seen);
    }

    /// Whether the command has ended, or is made to.
    const fn is_ending(&self) -> bool {
        self.stop.is_some() || self.status.is_some()
    }

    /// Has the command end.
    fn terminate(&mut self) {
        if self.is_ending() {
            return;
        }
        self.stop = Some(Stop { stage: Stage::Asked, next: monotonic() + self.kill_grace });
        match self.elsewhere.clone() {
            Some(elsewhere) => self.tell(&elsewhere.machine, &elsewhere.terminate),
            None => process::signal(self.pid, Signal::TERM),
        }
    }

    /// Has another machine do something about the command there.
    fn tell(&mut self, machine: &str, (argv, text): &(Vec<String>, String)) {
        let told = argv.split_first().ok_or_else(|| ErrorKind::InvalidInput.into()).and_then(
            |(program, arguments)| {
                let mut command = Command::new(program);
                command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
                let mut child = command.process_group(0).spawn()?;
                // It fits into the pipe; whether it is read shows by what the command does.
                child.stdin.take().map_or(Ok(()), |mut pipe| pipe.write_all(text.as_bytes()))
            },
        );
        if let Err(error) = told {
            let _ = self.log.line(&format!("--- {machine} can't be told to end it: {error} ---"));
        }
    }

    fn pass_time(&mut self) {
        let now = monotonic();
        if self.last_output.is_some_and(|at| at <= now) {
            // What the command itself wrote is in the pipe by now, and no more than that is read.
            let mut pieces = PIPE / PIECE;
            while pieces > 0 && self.capture() {
                pieces -= 1;
            }
            self.output = None;
            self.last_output = None;
        }
        if let Some((limit, _)) = self.max_runtime.filter(|(_, end)| *end <= now && !self.is_ending()) {
            self.overran = Some(limit);
            self.terminate();
        }
        let Some(stop) = self.stop.filter(|stop| stop.stage != Stage::Killed && stop.next <= now) else {
            return;
        };
        if let (Stage::Asked, Some(elsewhere), None) = (stop.stage, self.elsewhere.clone(), self.status) {
            self.tell(&elsewhere.machine, &elsewhere.kill);
            self.stop = Some(Stop { stage: Stage::KilledElsewhere, next: now + CLIENT_GRACE });
        } else {
            process::signal(self.pid, Signal::KILL);
            self.stop = Some(Stop { stage: Stage::Killed, ..stop });
        }
    }

    /// Records how it ended, for as long as that takes: a full disk may have room again.
    fn end(mut self) {
        self.keep(Redactor::finish);
        let status = self.status;
        let ended = Ended {
            version: VERSION,
            at: SystemClock.now(),
            exit_code: status.and_then(WaitStatus::exit_status),
            signal: status.and_then(WaitStatus::terminating_signal),
            error: None,
            log_error: self.log_error,
            last_line: self.log.last_line(),
            stopped: self.stop.is_some(),
            overran_ms: self.overran.and_then(|limit| u64::try_from(limit.as_millis()).ok()),
        };
        record(&self.folder, &ended);
    }
}

/// Keeps output. A command must not block because its log can't be written: the rest is dropped.
fn write(log: &mut LogWriter, log_error: &mut Option<String>, bytes: &[u8]) {
    if log_error.is_none() {
        *log_error = log.write(bytes).err().map(|error| error.to_string());
    } else {
        log.remember(bytes);
    }
}

/// Records that the command was never started.
fn never_began(folder: &Folder, error: String) {
    let ended = Ended { version: VERSION, at: SystemClock.now(), error: Some(error), ..Ended::default() };
    record(folder, &ended);
}

fn record(folder: &Folder, ended: &Ended) {
    while let Err(error) = folder.keep_ended(ended) {
        // Nobody is interested any more where the folder has gone.
        if error.kind() == ErrorKind::NotFound {
            return;
        }
        std::thread::sleep(TRY_AGAIN);
    }
}

/// Starts the command in a group of its own. Both of its outputs go into one
/// pipe, so that they stay in the order in which they were written.
fn start(launch: &Launch) -> io::Result<(u32, PipeReader, Option<Input>)> {
    let (program, arguments) = launch
        .argv
        .split_first()
        .ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "there is no command"))?;
    let (output, writer) = io::pipe()?;
    #[cfg(target_os = "linux")]
    let _ = rustix::pipe::fcntl_setpipe_size(&output, PIPE);
    rustix::io::ioctl_fionbio(&output, true)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .envs(&launch.env)
        .stdin(if launch.stdin.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0);
    match (&launch.cwd, std::env::var_os("HOME")) {
        (Some(cwd), _) => command.current_dir(cwd),
        (None, Some(home)) if Path::new(&home).is_dir() => command.current_dir(home),
        (None, _) => command.current_dir("/"),
    };
    let mut child = command.spawn()?;
    // The command holds the write end: it has to go here for the output to end.
    drop(command);
    let input = match (child.stdin.take(), &launch.stdin) {
        (Some(pipe), Some(text)) => {
            rustix::io::ioctl_fionbio(pipe.as_fd(), true)?;
            Some(Input { pipe, text: text.clone().into_bytes(), given: 0 })
        }
        _ => None,
    };
    Ok((child.id(), output, input))
}

fn start_error(command: &Launch, error: &io::Error) -> String {
    let program = command.argv.first().map_or("", String::as_str);
    match &command.cwd {
        Some(cwd) if error.kind() == ErrorKind::NotFound && !cwd.is_dir() => {
            format!("can't start {program:?}: its cwd {} is not there", cwd.display())
        }
        _ => format!("can't start {program:?}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No test: what the other tests start as the supervisor, in the stead of `vigie supervise`.
    #[test]
    fn entry() {
        if let Some(folder) = std::env::var_os(super::super::AS_TEST) {
            let _ = supervise(Path::new(&folder));
        }
    }
}
