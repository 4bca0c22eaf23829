//! The terminal itself: taken for the console, and always given back.

use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ThreadId};
use std::time::Duration;

use crossterm::terminal;
use rustix::process::{self, Signal};

/// Another screen, empty; no cursor; pasted text in brackets.
const TAKE: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?2004h\x1b[0m\x1b[2J\x1b[H";
/// Everything back, whatever was being written.
const GIVE_BACK: &[u8] = b"\x1b[?2026l\x1b[0m\x1b[?2004l\x1b[?25h\x1b[?1049l";

/// Whether the terminal is ours now: so that it is given back once, by whoever comes first.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal while it is ours. Gives it back when dropped.
#[derive(Debug)]
pub(super) struct Terminal(());

impl Terminal {
    /// Takes the terminal.
    ///
    /// # Errors
    /// There is none, or it can't be put into raw mode.
    pub(super) fn take() -> io::Result<Self> {
        give_back_on_panic(thread::current().id());
        // Made first, so that half of it is given back too.
        let terminal = Self(());
        take()?;
        Ok(terminal)
    }

    /// Columns and rows.
    ///
    /// # Errors
    /// There is no terminal.
    pub(super) fn size() -> io::Result<(u16, u16)> {
        terminal::size()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Nobody is left to be told.
        give_back().unwrap_or_default();
    }
}

fn take() -> io::Result<()> {
    TAKEN.store(true, Ordering::SeqCst);
    terminal::enable_raw_mode()?;
    Stdout.write_all(TAKE)
}

/// Gives the terminal back, if it is ours. The writing is tried even where the
/// mode can't be changed any more.
pub(super) fn give_back() -> io::Result<()> {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return Ok(());
    }
    let written = Stdout.write_all(GIVE_BACK);
    terminal::disable_raw_mode().and(written)
}

/// A panic on `console`'s thread first gives the terminal back, then says what
/// there is to say. On another thread it ends a task but not the console: it
/// goes to the log and not into the middle of the screen.
fn give_back_on_panic(console: ThreadId) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let say = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if thread::current().id() != console && TAKEN.load(Ordering::SeqCst) {
                tracing::error!(%panic, "a task ended by a panic");
                return;
            }
            give_back().unwrap_or_default();
            say(panic);
        }));
    });
}

/// Gives the terminal back, and asks the whole job to stop as Ctrl-Z does, so
/// that a wrapper such as `cargo run` stops too. The signal reaches this
/// process as well, where it is caught: it stops by [`stop`], once that has come.
///
/// # Errors
/// The terminal can't be given back, or the job can't be signalled.
pub(super) fn stop_job() -> io::Result<()> {
    give_back()?;
    Ok(process::kill_current_process_group(Signal::TSTP)?)
}

/// Stops this process, by the signal that can't be caught.
///
/// # Errors
/// The system refuses.
pub(super) fn stop() -> io::Result<()> {
    Ok(process::kill_process(process::getpid(), Signal::STOP)?)
}

/// Takes the terminal again, after somebody else may have had it.
///
/// # Errors
/// The terminal can't be taken.
pub(super) fn retake() -> io::Result<(u16, u16)> {
    // Raw mode is remembered by the process, but the shell has set its own since.
    if TAKEN.load(Ordering::SeqCst) {
        terminal::disable_raw_mode()?;
    }
    take()?;
    Terminal::size()
}

/// Standard output without a buffer: a write is one system call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stdout;

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match rustix::io::write(io::stdout().as_fd(), bytes) {
                // Another program has made the terminal non-blocking: wait as if it were not.
                Err(rustix::io::Errno::AGAIN) => thread::sleep(Duration::from_millis(1)),
                Err(rustix::io::Errno::INTR) => {}
                written => return Ok(written?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
