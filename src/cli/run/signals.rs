//! Signals that reach vigie while the command runs.
//!
//! Both are in one process group, so what the terminal sends (Ctrl-C, Ctrl-Z,
//! a new size, its end) has reached the command as well: sending it on would
//! make it two. What a process sends to vigie is passed on, unless it is the
//! command itself that sends it. Sent by a process to the whole group it
//! arrives twice: nobody can tell.
//!
//! A stop (Ctrl-Z, or reading a terminal in the background) is the command's
//! decision: when it has stopped after one, vigie stops too, so that the shell
//! sees its job stop.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::signal::{
    SIGALRM, SIGCONT, SIGHUP, SIGINT, SIGIO, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2,
    SIGWINCH,
};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::{Cause, Origin};

const PASSED_ON: [i32; 13] = [
    SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGIO, SIGWINCH, SIGTSTP, SIGTTIN, SIGTTOU,
    SIGCONT,
];

/// Passes signals on, once it knows to whom.
#[derive(Debug)]
pub struct Signals {
    to: mpsc::Sender<Pid>,
    stops: Arc<Mutex<Stops>>,
}

/// What a stop waits for: that it was asked for, and that the command obeys.
#[derive(Debug, Default)]
struct Stops {
    asked: bool,
    child: bool,
}

/// Begins to collect signals. Those that are ignored stay ignored.
///
/// # Errors
/// There is no thread or no descriptor left.
pub fn listen() -> io::Result<Signals> {
    let ignored = ignored();
    let wanted = PASSED_ON.into_iter().filter(|&signal| ignored & (1 << (signal - 1)) == 0);
    let (to, pid) = mpsc::channel();
    let (ready, is_ready) = mpsc::channel();
    let stops = Arc::<Mutex<Stops>>::default();
    let shared = Arc::clone(&stops);
    let wanted: Vec<i32> = wanted.collect();
    // Once they are caught the thread must be there, so they are caught by it.
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut signals = match SignalsInfo::<WithOrigin>::new(&wanted) {
            Ok(signals) => signals,
            Err(error) => {
                let _ = ready.send(Err(error));
                return;
            }
        };
        let _ = ready.send(Ok(()));
        let Ok(pid) = pid.recv() else { return };
        for origin in &mut signals {
            pass_on(&origin, pid, &shared);
        }
    })?;
    is_ready.recv().map_err(|_| io::Error::other("the thread for signals has ended"))??;
    Ok(Signals { to, stops })
}

impl Signals {
    /// From now on they are passed on to `pid`; those that came before, first.
    pub fn to(&self, pid: Pid) {
        // If it has ended nobody listens any more.
        let _ = self.to.send(pid);
    }

    /// The command has stopped, or goes on.
    pub fn child_is_stopped(&self, stopped: bool) {
        note(&self.stops, |stops| {
            stops.child = stopped;
            // What was asked for is over.
            stops.asked &= stopped;
        });
    }
}

fn pass_on(origin: &Origin, child: Pid, stops: &Mutex<Stops>) {
    let sender = origin.process.as_ref().map(|process| process.pid);
    let by_a_process = matches!(origin.cause, Cause::Sent(_)) && sender != Some(child.as_raw_nonzero().get());
    if by_a_process && let Some(signal) = Signal::from_named_raw(origin.signal) {
        // It has ended: so be it.
        let _ = kill_process(child, signal);
    }
    match origin.signal {
        SIGTSTP | SIGTTIN | SIGTTOU => note(stops, |stops| stops.asked = true),
        SIGCONT => note(stops, |stops| *stops = Stops::default()),
        _ => {}
    }
}

/// Notes it, and stops vigie where that completes the picture.
fn note(stops: &Mutex<Stops>, change: impl FnOnce(&mut Stops)) {
    let mut stops: MutexGuard<'_, Stops> = stops.lock().unwrap_or_else(PoisonError::into_inner);
    change(&mut stops);
    if stops.asked && stops.child {
        *stops = Stops::default();
        drop(stops);
        let _ = signal_hook::low_level::raise(signal_hook::consts::signal::SIGSTOP);
    }
}

/// The signals that were ignored when vigie began, a bit each; on Linux, as
/// `SigIgn` of `/proc/self/status` (proc(5)). None, where that can't be told.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
