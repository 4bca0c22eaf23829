//! The console's shell: the terminal, the clock, the timers, and the one loop
//! that turns what happens into messages and the update's effects into deeds.
//!
//! The only part of the console that touches the world. Everything of it that
//! can run without a terminal is generic over where bytes go and who does what
//! is asked, so that a test drives the same loop.

mod agent;
mod canvas;
mod clipboard;
mod event_loop;
mod file;
mod input;
mod signals;
mod style;
mod terminal;
#[cfg(test)]
mod tests;
mod time;

use std::io;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use color_eyre::eyre::{Report, WrapErr as _};
use crossterm::event::EventStream;
use futures_util::stream;
use tokio::sync::mpsc;

use self::event_loop::{Host, Shell, Sources};
use self::signals::{Signal, Signals};
use self::style::Style;
use self::terminal::{Stdout, Terminal};
use super::State;
use super::msg::Event;
use super::state::{Look, Screen};
use crate::config::Settings;
use crate::model::Clean;
use crate::runtime::{LocalPolicy, Places, Runtime, Setup, now};

/// With what the console is started.
#[derive(Debug)]
pub struct Start {
    /// What is configured; the command line is in it.
    pub settings: Settings,
    /// The folder of the user's own themes.
    pub themes: PathBuf,
    /// Where journal, clipboard and the local coordinator have their files.
    pub places: Places,
    /// What to do where a local coordinator is missing.
    pub local: LocalPolicy,
    /// Settings that are configured anew, with the command line in them, or
    /// what is wrong with them: then the old ones stay. May end at any time.
    pub changes: mpsc::Receiver<Result<Box<Settings>, Clean>>,
}

/// How the console ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The operator has quit.
    Quit,
    /// SIGINT, and nobody minded.
    Interrupted,
    /// SIGTERM.
    Terminated,
    /// SIGHUP, or the terminal is gone.
    HungUp,
}

impl Outcome {
    /// The exit code: 128 and the signal's number, where it was one.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Quit => 0,
            Self::HungUp => 129,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

/// Runs the console until it ends. The first frame is drawn before anything is
/// waited for. However this ends, the terminal is given back.
///
/// # Errors
/// Standard output is no terminal, or an endpoint's adapter can't be made.
pub async fn run(start: Start) -> Result<Outcome, Report> {
    let Start { settings, themes, places, local, changes } = start;
    let variable = |name: &str| std::env::var(name).ok();
    let (style, problem) = Style::load(&settings, &themes, variable)?;
    let size = Terminal::size().wrap_err("there is no terminal to draw on")?;
    let state = opened(&settings, &style, size, now());

    let mut signals = Signals::new().wrap_err("signals can't be listened to")?;
    let terminal = Terminal::take().wrap_err("the terminal can't be taken")?;
    let mut shell: Shell<_, crate::runtime::Handle, _> =
        Shell::new(state, style.theme, Stdout, RealHost, now);
    shell.keep_files_in(places.state.clone(), places.journal());
    shell.happen(Event::Configured { endpoints: settings.endpoints.clone(), read_only: settings.read_only });
    if let Some(problem) = problem {
        shell.happen(Event::Problem(problem));
    }
    if shell.draw().is_err() {
        return Ok(Outcome::HungUp);
    }

    let setup = Setup { endpoints: settings.endpoints, read_only: settings.read_only, places, local };
    let mut runtime = Runtime::start(setup)?;
    shell.begin(runtime.handle.clone());
    let updates = &mut runtime.updates;
    let sources = Sources {
        signals: stream::unfold(&mut signals, |signals| async move { Some((signals.next().await, signals)) }),
        input: EventStream::new(),
        updates: stream::unfold(updates, |updates| async move {
            updates.next().await.map(|update| (update, updates))
        }),
        changes,
        restyle: |settings: &Settings| Style::load(settings, &themes, variable),
    };
    let outcome = event_loop::run(&mut shell, sources).await;
    // The shell's prompt first, then what may take a moment.
    drop(terminal);
    drop(shell);
    runtime.shutdown().await;
    Ok(outcome)
}

/// The state of a console that has just been opened.
fn opened(settings: &Settings, style: &Style, size: (u16, u16), now: DateTime<Utc>) -> State {
    let (local_offset_s, local_zone) = time::local_zone(now);
    let look = Look { ascii: style.ascii, utc: false, local_offset_s, local_zone };
    let screen = Screen::named(&settings.screen).unwrap_or(Screen::Board);
    State::new(style.keymap.clone(), look, screen, size, now)
}

/// The real terminal's host: this process's job.
#[derive(Debug)]
struct RealHost;

impl Host for RealHost {
    fn stop_job(&mut self) -> io::Result<()> {
        terminal::stop_job()
    }
    fn stop(&mut self) -> io::Result<()> {
        terminal::stop()
    }
    fn retake(&mut self) -> io::Result<(u16, u16)> {
        terminal::retake()
    }
    fn size(&self) -> io::Result<(u16, u16)> {
        Terminal::size()
    }
    fn tmux(&self) -> bool {
        std::env::var_os("TMUX").is_some()
    }
}
