//! Running commands on other machines, without anything installed there:
//! through this machine's OpenSSH client.
//!
//! What is to run goes over ssh's standard input, as a script for the remote
//! `/bin/sh`: environment, folder and arguments arrive byte for byte, and are on
//! no command line on either side. A script starts the command in a process
//! group of its own and writes down, there, its process and in the end its exit
//! code: so it can be ended, and asked about when the connection was cut.
//!
//! The connection that is shared (`ControlMaster`) belongs to the question
//! whether a machine is there, never to a run: ending a run ends no other one.
//! Runs take part in it where it stands, and connect by themselves where not.
//!
//! - `script`: what the remote shell reads;
//! - `sockets`: where the shared connections' sockets lie;
//! - `words`: what ssh says, turned into what to do.

mod script;
mod sockets;
mod words;

#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use crate::model::{Clean, RunId};

use super::domain::{KnownHosts, MachineSpec, Whereabouts};
use super::exec::{Elsewhere, Launch};

/// What the remote login shell is asked for; every shell reads it the same way.
const REMOTE: &str = "exec /bin/sh -s";
/// So long a shared connection stays once nothing uses it.
const PERSIST: u64 = 90;
/// A machine that is silent for so many seconds, so many times, is gone.
const ALIVE: (u64, u64) = (15, 4);
/// How long an answer may take once the connection stands.
const ANSWER: Duration = Duration::from_secs(15);
/// How long output may still come once ssh has ended: what holds a shared connection may hold its pipes.
const LAST_OUTPUT: Duration = Duration::from_millis(500);
/// The longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 64 * 1024;

/// Reaches machines. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ssh {
    /// Where shared connections have their sockets; `None`: nowhere, so that none is shared.
    sockets: Option<String>,
}

/// How a call of ssh went.
struct Said {
    /// Its exit code; `None` when it was ended by a signal.
    code: Option<i32>,
    out: String,
    err: String,
}

/// Whether a call may leave a connection that others share.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Share {
    Opens,
    Joins,
}

impl Ssh {
    /// For a coordinator with this data directory.
    #[must_use]
    pub fn new(data: &Path) -> Self {
        let sockets = match sockets::folder(data) {
            Ok(folder) => Some(folder),
            Err(error) => {
                tracing::warn!(%error, "no folder for sockets of ssh: each call makes a connection of its own");
                None
            }
        };
        Self { sockets }
    }

    /// Asks a machine whether it is there and fit to run something.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub async fn probe(&self, machine: &MachineSpec) -> Result<(), Clean> {
        let said = self.call(machine, Share::Opens, script::probe()).await?;
        if said.out.lines().any(|line| line == script::READY) && said.code == Some(0) {
            Ok(())
        } else {
            Err(words::mended(machine, said.code, &said.err))
        }
    }

    /// Asks a machine what became of an attempt that was started there.
    pub async fn ask(&self, machine: &MachineSpec, run: &RunId, attempt: u32) -> Whereabouts {
        match self.call(machine, Share::Joins, script::ask(run, attempt)).await {
            Err(error) => Whereabouts::Unknown(error),
            Ok(said) => script::fate(&said.out)
                .unwrap_or_else(|| Whereabouts::Unknown(words::mended(machine, said.code, &said.err))),
        }
    }

    /// Has the process group of an attempt ended by SIGTERM, or SIGKILL.
    ///
    /// # Errors
    /// The machine was not reached.
    pub async fn end(
        &self,
        machine: &MachineSpec,
        run: &RunId,
        attempt: u32,
        kill: bool,
    ) -> Result<(), Clean> {
        let said = self.call(machine, Share::Joins, script::end(run, attempt, kill)).await?;
        if said.code == Some(0) { Ok(()) } else { Err(words::mended(machine, said.code, &said.err)) }
    }

    /// The way to carry out on `machine` what `here` would carry out on this one.
    ///
    /// # Errors
    /// What can't be said to a shell there.
    pub fn launch(
        &self,
        machine: &MachineSpec,
        here: Launch,
        run: &RunId,
        attempt: u32,
    ) -> Result<Launch, Clean> {
        let stdin = script::start(&here, run, attempt)?;
        let argv = self.argv(machine, Share::Joins);
        let elsewhere = Elsewhere {
            machine: machine.name.as_str().to_owned(),
            terminate: (argv.clone(), script::end(run, attempt, false)),
            kill: (argv.clone(), script::end(run, attempt, true)),
        };
        let (stdin, elsewhere) = (Some(stdin), Some(elsewhere));
        Ok(Launch { argv, stdin, elsewhere, redact: here.redact, ..Launch::default() })
    }

    /// Program and arguments. Whatever the user's configuration says, nothing is
    /// asked for, forwarded or run on this side. The host comes after `--`, and
    /// never begins with `-`.
    fn argv(&self, machine: &MachineSpec, share: Share) -> Vec<String> {
        let mut argv = vec!["ssh".to_owned(), "-T".to_owned(), "-x".to_owned()];
        if let Some(file) = &machine.ssh_config {
            argv.extend(["-F".to_owned(), file.display().to_string()]);
        }
        let strict = match machine.known_hosts {
            KnownHosts::Strict => "yes",
            KnownHosts::AcceptNew => "accept-new",
        };
        let mut options = vec![
            "BatchMode=yes".to_owned(),
            format!("StrictHostKeyChecking={strict}"),
            format!("ConnectTimeout={}", machine.connect_timeout.as_secs().max(1)),
            "ConnectionAttempts=1".to_owned(),
            format!("ServerAliveInterval={}", ALIVE.0),
            format!("ServerAliveCountMax={}", ALIVE.1),
            "ClearAllForwardings=yes".to_owned(),
            "PermitLocalCommand=no".to_owned(),
            "RemoteCommand=none".to_owned(),
            "LogLevel=ERROR".to_owned(),
        ];
        match (&self.sockets, share) {
            (Some(folder), share) => {
                options.push(format!("ControlPath=\"{}\"", sockets::path(folder, machine)));
                if share == Share::Opens {
                    options.extend(["ControlMaster=auto".to_owned(), format!("ControlPersist={PERSIST}")]);
                } else {
                    options.push("ControlMaster=no".to_owned());
                }
            }
            (None, _) => options.extend(["ControlPath=none".to_owned(), "ControlMaster=no".to_owned()]),
        }
        argv.extend(options.into_iter().flat_map(|option| ["-o".to_owned(), option]));
        argv.extend(["--".to_owned(), machine.host.clone(), REMOTE.to_owned()]);
        argv
    }

    /// Has a machine read a script, and gives what it says.
    async fn call(&self, machine: &MachineSpec, share: Share, script: String) -> Result<Said, Clean> {
        let argv = self.argv(machine, share);
        let limit = machine.connect_timeout + ANSWER;
        match tokio::time::timeout(limit, call(&argv, script)).await {
            Ok(Ok(said)) => Ok(said),
            Ok(Err(error)) => Err(words::no_ssh(&error)),
            Err(_) => Err(words::silent(machine, limit)),
        }
    }
}

/// Runs a program to its end, in a group of its own: a shared connection that it leaves is nobody else's.
async fn call(argv: &[String], input: String) -> io::Result<Said> {
    let (program, arguments) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let ended = CancellationToken::new();
    let write = async {
        if let Some(mut stdin) = stdin {
            // One that ends early does not read it all: its exit code says why.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let wait = async {
        let status = child.wait().await;
        ended.cancel();
        status
    };
    let (status, out, err, ()) = tokio::join!(wait, read(stdout, &ended), read(stderr, &ended), write);
    Ok(Said { code: status?.code(), out, err })
}

/// Everything up to the end, or to a moment after the program's.
async fn read(source: Option<impl AsyncRead + Unpin>, ended: &CancellationToken) -> String {
    let Some(source) = source else { return String::new() };
    let mut bytes = Vec::new();
    let mut source = source.take(MAX_ANSWER);
    let all = async { while let Ok(1..) = source.read_buf(&mut bytes).await {} };
    let late = async {
        ended.cancelled().await;
        tokio::time::sleep(LAST_OUTPUT).await;
    };
    tokio::select! {
        () = all => {}
        () = late => {}
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
