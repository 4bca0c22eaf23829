//! The command as a process: started, followed, never reaped before vigie
//! ends, so that its id can't become another's while signals go to it.

use std::io;
use std::process::Command;

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::signals::Signals;

/// How the command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this code.
    Code(i32),
    /// By a signal.
    Signal(i32),
}

impl Ended {
    /// As shells tell it: 128 and the signal's number where one ended it.
    pub const fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

/// A command that runs.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
}

impl Child {
    /// Starts it.
    ///
    /// # Errors
    /// What the system says.
    pub fn start(mut command: Command) -> io::Result<Self> {
        let child = command.spawn()?;
        i32::try_from(child.id())
            .ok()
            .and_then(Pid::from_raw)
            .map(|pid| Self { pid })
            .ok_or_else(|| io::Error::other("it has no process id"))
    }

    /// Its process.
    pub const fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits for its end; stops with it where both were asked to.
    pub fn follow(&self, signals: &Signals) -> Ended {
        let look = WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::CONTINUED;
        loop {
            let status = match waitid(WaitId::Pid(self.pid), look | WaitIdOptions::NOWAIT) {
                Ok(Some(status)) => status,
                Ok(None) | Err(Errno::INTR) => continue,
                // Somebody ignores SIGCHLD for us: the kernel forgets children at once.
                Err(_) => return Ended::Code(0),
            };
            if let Some(code) = status.exit_status() {
                return Ended::Code(code);
            }
            if let Some(signal) = status.terminating_signal() {
                return Ended::Signal(signal);
            }
            // Taken away, so that the next look waits for the next change.
            let taken = if status.stopped() { WaitIdOptions::STOPPED } else { WaitIdOptions::CONTINUED };
            let _ = waitid(WaitId::Pid(self.pid), taken | WaitIdOptions::NOHANG);
            signals.child_is_stopped(status.stopped());
        }
    }
}
