//! Copies what the command writes to where it was meant to go, byte for byte
//! as it comes, and keeps the end of it.
//!
//! A reader that goes away is the command's business: it gets SIGPIPE, as it
//! would without vigie. What can't be written for another reason (a disk that
//! is full) is lost and told of, and the command goes on.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal as _, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::fstat;
use rustix::pipe::fcntl_getpipe_size;

use crate::cli::complain;

use super::tail::Tail;

const PIECE: usize = 64 * 1024;

/// The outputs of the command that are copied.
#[derive(Debug)]
pub struct Outputs {
    copies: Vec<Copy>,
}

/// One copy that goes on.
#[derive(Debug)]
struct Copy {
    /// Dropped when the command has ended.
    goes_on: PipeWriter,
    /// What was left where others still write.
    done: mpsc::Receiver<Option<Rest>>,
}

/// A pipe that somebody still writes to, and where that belongs.
#[derive(Debug)]
struct Rest {
    from: PipeReader,
    to: File,
}

impl Outputs {
    /// Connects the outputs of `command`; leaves those alone that are terminals.
    ///
    /// # Errors
    /// No pipe, or no thread.
    pub fn prepare(command: &mut Command, wanted: bool, tail: &Arc<Mutex<Tail>>) -> io::Result<Self> {
        let (out, err) = (io::stdout(), io::stderr());
        let (copies_out, copies_err) = (wanted && !out.is_terminal(), wanted && !err.is_terminal());
        let mut copies = Vec::new();
        if copies_out {
            let (copy, writer) = Copy::begin(out.as_fd().try_clone_to_owned()?, tail)?;
            if copies_err && is_same(&out, &err) {
                command.stderr(Stdio::from(writer.try_clone()?));
            }
            command.stdout(Stdio::from(writer));
            copies.push(copy);
        }
        if copies_err && !(copies_out && is_same(&out, &err)) {
            let (copy, writer) = Copy::begin(err.as_fd().try_clone_to_owned()?, tail)?;
            command.stderr(Stdio::from(writer));
            copies.push(copy);
        }
        Ok(Self { copies })
    }

    /// The command has ended: everything that it wrote is passed on. Others may
    /// still write; that is left to another process.
    pub fn finish(self) {
        for Copy { goes_on, done } in self.copies {
            drop(goes_on);
            if let Ok(Some(rest)) = done.recv() {
                leave(rest);
            }
        }
    }
}

impl Copy {
    fn begin(to: OwnedFd, tail: &Arc<Mutex<Tail>>) -> io::Result<(Self, PipeWriter)> {
        let (from, writer) = io::pipe()?;
        let (until, goes_on) = io::pipe()?;
        let (sender, done) = mpsc::channel();
        let tail = Arc::clone(tail);
        std::thread::Builder::new().name("output".to_owned()).spawn(move || {
            let _ = sender.send(copy(from, File::from(to), &until, &tail));
        })?;
        Ok((Self { goes_on, done }, writer))
    }
}

/// Whether both are the same file: then they share one pipe, and their order stays.
fn is_same(one: &impl AsFd, other: &impl AsFd) -> bool {
    match (fstat(one), fstat(other)) {
        (Ok(one), Ok(other)) => (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino),
        _ => false,
    }
}

/// Copies until the end, or until `until` says that the command has ended and
/// what it wrote is copied.
fn copy(mut from: PipeReader, mut to: File, until: &PipeReader, tail: &Mutex<Tail>) -> Option<Rest> {
    let mut piece = vec![0; PIECE];
    // The command can have left no more than this in the pipe.
    let mut left = None;
    let mut lost = false;
    loop {
        let mut looked_at = [PollFd::new(&from, PollFlags::IN), PollFd::new(until, PollFlags::IN)];
        if let Err(error) = poll(&mut looked_at, None) {
            if error == rustix::io::Errno::INTR {
                continue;
            }
            return None;
        }
        let is_ready = !looked_at[0].revents().is_empty();
        if left.is_none() && !looked_at[1].revents().is_empty() {
            left = Some(fcntl_getpipe_size(&from).unwrap_or(PIECE));
        }
        if left.is_some_and(|left| left == 0 || !is_ready) {
            return Some(Rest { from, to });
        }
        if !is_ready {
            continue;
        }
        let read = match from.read(&mut piece) {
            Ok(0) => return None,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return None,
        };
        left = left.map(|left: usize| left.saturating_sub(read));
        tail.lock().unwrap_or_else(PoisonError::into_inner).push(&piece[..read]);
        match write(&mut to, &piece[..read]) {
            // Nobody reads any more: the command shall know it.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return None,
            Err(error) if !lost => {
                lost = true;
                complain(&format!("what the command writes is lost: {error}"));
            }
            _ => {}
        }
    }
}

/// Writes it all, also to what does not wait by itself.
fn write(to: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                poll(&mut [PollFd::new(to, PollFlags::OUT)], None).map_err(io::Error::from)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Leaves the rest to a process of its own. Without one, whoever still writes gets SIGPIPE.
fn leave(rest: Rest) {
    let Ok(program) = std::env::current_exe() else { return };
    let _ = Command::new(program)
        .arg("pass-on")
        .stdin(Stdio::from(OwnedFd::from(rest.from)))
        .stdout(Stdio::from(rest.to))
        .stderr(Stdio::null())
        .spawn();
}

/// Standard input to standard output, to its end.
///
/// # Errors
/// What can't be written.
pub fn pass_on() -> io::Result<()> {
    let mut from = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut to = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(read) => write(&mut to, &piece[..read])?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
