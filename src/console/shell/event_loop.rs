//! The loop: takes what happens, in order of urgency, and draws when something
//! shown has changed.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use chrono::{DateTime, Utc};
use crossterm::event::Event as Sent;
use futures_util::{Stream, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use super::agent::{self, Agent};
use super::canvas::Surface;
use super::style::Style;
use super::{Outcome, Signal, clipboard, file, input, time};
use crate::config::Settings;
use crate::console::effect::{Draft, Effect};
use crate::console::msg::{Event, JournalLine, Msg};
use crate::console::screens::{self, View};
use crate::console::state::State;
use crate::console::theme::{Painted, ThemeError};
use crate::console::update::{next_tick, update};
use crate::fleet::Fleet;
use crate::model::{Clean, Intent, IntentId};
use crate::runtime::Update;
use crate::runtime::journal::{self, JournalEntry};

/// The least time between two frames that answer keys.
const FRAME: Duration = Duration::from_millis(16);
/// The least time between two frames while only news come.
const CALM_FRAME: Duration = Duration::from_millis(33);
/// So much is taken in before a frame that is due is drawn all the same.
const MOST_AT_ONCE: usize = 512;
/// A signal that this process has brought about comes within this; it is waited for no longer.
const OWN_SIGNAL: Duration = Duration::from_secs(10);
/// So much of the journal is read.
const JOURNAL_READ: usize = 1_000;

/// The process as the console's host.
pub(super) trait Host {
    /// Gives the terminal back, and signals the whole job, this process too, to stop.
    fn stop_job(&mut self) -> io::Result<()>;
    /// Stops this process, which is told when it is continued.
    fn stop(&mut self) -> io::Result<()>;
    /// Takes the terminal again after a stop; its size.
    fn retake(&mut self) -> io::Result<(u16, u16)>;
    /// The terminal's size now.
    fn size(&self) -> io::Result<(u16, u16)>;
    /// Whether tmux is between us and the terminal.
    fn tmux(&self) -> bool;
}

/// Where everything that happens comes from.
pub(super) struct Sources<S, I, U, R> {
    pub(super) signals: S,
    pub(super) input: I,
    pub(super) updates: U,
    pub(super) changes: mpsc::Receiver<Result<Box<Settings>, Clean>>,
    /// The style that settings ask for, and what is wrong with it.
    pub(super) restyle: R,
}

/// The console at work.
pub(super) struct Shell<W, A, H> {
    pub(super) state: State,
    pub(super) fleet: Fleet,
    theme: Painted,
    surface: Surface<W>,
    host: H,
    clock: fn() -> DateTime<Utc>,
    /// From the moment that somebody does what is asked.
    agent: Option<A>,
    /// Where copies are kept, and the journal is.
    files: Option<(PathBuf, PathBuf)>,
    drawn: Option<Instant>,
    /// When the last frame was drawn that a key asked for.
    answered: Option<Instant>,
    /// A key has been pressed since the last frame.
    pressed: bool,
    outcome: Option<Outcome>,
    /// Somebody wants this job to stop.
    stopping: bool,
    /// The last wish to quit was a signal.
    by_signal: bool,
    aside: (mpsc::Sender<Event>, mpsc::Receiver<Event>),
}

impl<W: Write, A: Agent, H: Host> Shell<W, A, H> {
    /// A console that draws into `out`.
    pub(super) fn new(state: State, theme: Painted, out: W, host: H, clock: fn() -> DateTime<Utc>) -> Self {
        let surface = Surface::new(out, (state.width, state.height));
        Self {
            state,
            fleet: Fleet::default(),
            theme,
            surface,
            host,
            clock,
            agent: None,
            files: None,
            drawn: None,
            answered: None,
            pressed: false,
            outcome: None,
            stopping: false,
            by_signal: false,
            aside: mpsc::channel(4),
        }
    }

    /// Where copies are kept, and the journal is.
    pub(super) fn keep_files_in(&mut self, state: PathBuf, journal: PathBuf) {
        self.files = Some((state, journal));
    }

    /// Somebody does from now on what is asked.
    pub(super) fn begin(&mut self, agent: A) {
        self.agent = Some(agent);
        self.perform(Effect::LoadJournal);
    }

    /// Something has happened: takes it in, and does what follows from it.
    pub(super) fn happen(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            if let Event::Resize { width, height } = &event {
                self.surface.resize((*width, *height));
            }
            let msg = Msg { at: (self.clock)(), event };
            for effect in update(&mut self.state, &mut self.fleet, msg) {
                events.extend(self.perform(effect));
            }
        }
    }

    /// Does what is asked; what is known at once is the answer.
    fn perform(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Quit => {
                self.outcome.get_or_insert(if self.by_signal { Outcome::Interrupted } else { Outcome::Quit });
            }
            Effect::AskQuit => {
                let stops = self.agent.as_ref().and_then(Agent::stops_on_quit);
                return Some(Event::QuitAsked { stops });
            }
            Effect::Send(draft) => {
                let agent = self.agent.as_ref()?;
                let intent = intend(draft, (self.clock)());
                let id = intent.id;
                agent.send(intent);
                return Some(Event::Sending { intent: id });
            }
            Effect::Preview(draft) => {
                let intent = intend(draft.clone(), (self.clock)());
                let calls = self.agent.as_ref()?.preview(&intent);
                return Some(Event::Preview { draft, calls });
            }
            Effect::Refresh(endpoint) => self.agent.as_ref()?.refresh(endpoint),
            Effect::FetchRuns { endpoint, task, limit } => {
                self.agent.as_ref()?.fetch_runs(endpoint, task, limit);
            }
            Effect::FetchLog { endpoint, of, offset } => {
                self.agent.as_ref()?.fetch_log(endpoint, of, offset);
            }
            Effect::FetchTrace { endpoint, task } => self.agent.as_ref()?.fetch_trace(endpoint, task),
            Effect::FetchAudit { endpoint, limit } => self.agent.as_ref()?.fetch_audit(endpoint, limit),
            Effect::Foresee(draft) => {
                let intent = intend(draft, (self.clock)());
                self.agent.as_ref()?.foresee(intent);
            }
            Effect::ReadFile(path) => self.read_file(path),
            Effect::LoadJournal => self.load_journal(),
            Effect::Record(receipts) => self.agent.as_ref()?.record(receipts),
            Effect::Copy(text) => return Some(Event::Copied(self.copy(&text))),
            Effect::Bell => self.write(b"\x07"),
            Effect::Suspend => self.stopping = true,
            Effect::Redraw => {
                self.surface.redraw();
                self.state.dirty = true;
            }
        }
        None
    }

    /// Writes what is no frame. A terminal that is gone ends the console.
    fn write(&mut self, bytes: &[u8]) {
        if self.surface.control(bytes).is_err() {
            self.outcome.get_or_insert(Outcome::HungUp);
        }
    }

    fn copy(&mut self, text: &str) -> Result<Clean, Clean> {
        self.write(&clipboard::sequence(text));
        let kept = match &self.files {
            Some((state, _)) => clipboard::keep(state, text),
            None => Err(io::Error::other("there is no state folder")),
        };
        clipboard::told(text, &kept, self.host.tmux()).map(Clean::from).map_err(Clean::from)
    }

    fn load_journal(&self) {
        let Some((_, path)) = self.files.clone() else { return };
        let then = self.aside.0.clone();
        time::aside(
            move || journal::tail(&path, JOURNAL_READ),
            move |read| {
                let event = match read {
                    Ok(entries) => Event::Journal(entries.into_iter().filter_map(receipt).collect()),
                    Err(error) => Event::Problem(Clean::from(format!("the journal can't be read: {error}"))),
                };
                // Full or closed: the console is ending.
                then.try_send(event).unwrap_or_default();
            },
        );
    }

    fn read_file(&self, path: String) {
        let then = self.aside.0.clone();
        let home = std::env::home_dir();
        let typed = path.clone();
        time::aside(
            move || file::read(&typed, home.as_deref()),
            // Full or closed: the console is ending.
            move |result| then.try_send(Event::FileRead { path, result }).unwrap_or_default(),
        );
    }

    /// Gives the terminal back, stops with the whole job, and takes the terminal
    /// again once it is continued.
    ///
    /// The signal to the job reaches this process too. It stops only when that
    /// has come: noticed after the stop, it would be taken for a wish to stop again.
    async fn suspend(&mut self, signals: &mut (impl Stream<Item = Signal> + Unpin)) {
        if self.host.stop_job().is_err() {
            self.outcome.get_or_insert(Outcome::HungUp);
            return;
        }
        self.wait_for(Signal::Stop, signals).await;
        if self.outcome.is_some() {
            return;
        }
        if self.host.stop().is_err() {
            self.outcome.get_or_insert(Outcome::HungUp);
            return;
        }
        // Until then it may still be about to stop, and must not have the terminal.
        self.wait_for(Signal::Continue, signals).await;
        if self.outcome.is_none() {
            self.retake();
        }
    }

    /// Waits until `awaited` has come, for a while; wishes to stop that come
    /// before it are granted by the stop that is under way.
    async fn wait_for(&mut self, awaited: Signal, signals: &mut (impl Stream<Item = Signal> + Unpin)) {
        let comes = async {
            while let Some(signal) = signals.next().await {
                match signal {
                    signal if signal == awaited => return,
                    Signal::Stop | Signal::Continue => {}
                    signal => self.signal(signal),
                }
                if self.outcome.is_some() {
                    return;
                }
            }
        };
        // What has not come by then is taken for what it is whenever it comes.
        tokio::time::timeout(OWN_SIGNAL, comes).await.unwrap_or_default();
    }

    fn retake(&mut self) {
        let size = self.host.retake();
        if let Some(event) = self.resumed(&size) {
            self.happen(event);
        }
    }

    /// The terminal is ours again, of that size.
    fn resumed(&mut self, size: &io::Result<(u16, u16)>) -> Option<Event> {
        let Ok(size) = *size else {
            self.outcome.get_or_insert(Outcome::HungUp);
            return None;
        };
        self.surface.resize(size);
        self.state.dirty = true;
        if size == (self.state.width, self.state.height) {
            Some(Event::Resumed)
        } else {
            Some(Event::Resize { width: size.0, height: size.1 })
        }
    }

    fn signal(&mut self, signal: Signal) {
        match signal {
            Signal::Terminate => self.outcome = Some(Outcome::Terminated),
            Signal::HangUp => self.outcome = Some(Outcome::HungUp),
            Signal::Interrupt => {
                self.by_signal = true;
                self.happen(Event::Interrupted);
            }
            Signal::Stop => self.stopping = true,
            // After a stop by what can't be caught: somebody else may have had the terminal.
            Signal::Continue => self.retake(),
            Signal::Resized => self.resized(),
        }
    }

    /// The input tells of most changes of size, but not of one that comes together with a key:
    /// crossterm 0.29 then forgets the signal.
    fn resized(&mut self) {
        if let Ok((width, height)) = self.host.size()
            && (width, height) != (self.state.width, self.state.height)
        {
            self.happen(Event::Resize { width, height });
        }
    }

    fn sent(&mut self, sent: Option<io::Result<Sent>>) {
        match sent {
            Some(Ok(sent)) => {
                if let Some(event) = input::event(sent) {
                    self.pressed = true;
                    self.by_signal &= !matches!(event, Event::Key(_));
                    self.happen(event);
                }
            }
            // The terminal is gone.
            Some(Err(_)) | None => {
                self.outcome.get_or_insert(Outcome::HungUp);
            }
        }
    }

    /// New settings, with the style they ask for, or what is wrong with them.
    fn change(
        &mut self,
        change: Result<Box<Settings>, Clean>,
        restyle: &impl Fn(&Settings) -> Result<(Style, Option<Clean>), ThemeError>,
    ) {
        let settings = match change {
            Ok(settings) => *settings,
            Err(problem) => {
                let text = format!("the old settings stay: {problem}");
                return self.happen(Event::Problem(Clean::from(text)));
            }
        };
        let problem = match restyle(&settings) {
            Ok((style, problem)) => {
                if problem.is_none() {
                    self.theme = style.theme;
                }
                self.happen(Event::Restyled { keymap: Box::new(style.keymap), ascii: style.ascii });
                problem
            }
            Err(error) => Some(Clean::from(error.to_string())),
        };
        let Settings { endpoints, read_only, .. } = settings;
        if let Some(agent) = &self.agent {
            agent.configure(endpoints.clone(), read_only);
        }
        self.happen(Event::Configured { endpoints, read_only });
        self.happen(match problem {
            Some(problem) => Event::Problem(problem),
            None => Event::Note("the configuration was read again".into()),
        });
    }

    /// Time has come to where something changes.
    fn tick(&mut self) {
        let (offset_s, name) = time::local_zone((self.clock)());
        if offset_s != self.state.look.local_offset_s {
            self.happen(Event::LocalZone { offset_s, name });
        }
        self.happen(Event::Tick);
    }

    /// Draws a frame; whether anything was written.
    ///
    /// # Errors
    /// The terminal can't be written to.
    pub(super) fn draw(&mut self) -> io::Result<bool> {
        let view = View { state: &self.state, fleet: &self.fleet, theme: &self.theme };
        let written = self.surface.draw(|frame| screens::draw(frame, &view))?;
        self.state.dirty = false;
        self.drawn = Some(time::instant());
        if std::mem::take(&mut self.pressed) {
            self.answered = self.drawn;
        }
        Ok(written)
    }

    /// When to wake up although nothing happens: for the frame that is due, or the next tick.
    fn wake(&self) -> Option<Instant> {
        let now = time::instant();
        if self.state.dirty {
            // A key does not wait for the pause after a frame that only told news.
            let (last, pause) = if self.pressed { (self.answered, FRAME) } else { (self.drawn, CALM_FRAME) };
            return Some(last.map_or(now, |last| last + pause));
        }
        let at = next_tick(&self.state, &self.fleet)?;
        Some(now + time::until((self.clock)(), at))
    }
}

/// The draft with an id, decided now.
fn intend(draft: Draft, at: DateTime<Utc>) -> Intent {
    let Draft { deed, targets, arguments } = draft;
    Intent { id: IntentId(Uuid::now_v7()), deed, targets, arguments, at, by: None }
}

/// A line of the journal as the journal's screen lists it.
fn receipt(entry: JournalEntry) -> Option<JournalLine> {
    match entry {
        JournalEntry::Receipt(receipt) => Some(JournalLine { receipt }),
        JournalEntry::Intent(_) => None,
    }
}

/// Sleeps until `wake`; for ever, if there is nothing to wake up for.
async fn sleep(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake).await,
        None => std::future::pending().await,
    }
}

/// Runs until the console ends: draws, waits, takes in everything that is
/// there, and so on. What came first in urgency is taken first: signals, keys, news.
pub(super) async fn run<W, A, H, S, I, U, R>(
    shell: &mut Shell<W, A, H>,
    sources: Sources<S, I, U, R>,
) -> Outcome
where
    W: Write,
    A: Agent,
    H: Host,
    S: Stream<Item = Signal>,
    I: Stream<Item = io::Result<Sent>>,
    U: Stream<Item = Update>,
    R: Fn(&Settings) -> Result<(Style, Option<Clean>), ThemeError>,
{
    let Sources { signals, input, updates, mut changes, restyle } = sources;
    let (mut signals, mut input, mut updates) =
        (pin!(signals.fuse()), pin!(input.fuse()), pin!(updates.fuse()));
    loop {
        if let Some(outcome) = shell.outcome {
            return outcome;
        }
        if std::mem::take(&mut shell.stopping) {
            shell.suspend(&mut signals).await;
            continue;
        }
        if shell.state.dirty && shell.wake().is_some_and(|wake| wake <= time::instant()) {
            if shell.draw().is_err() {
                return Outcome::HungUp;
            }
            // Between two frames others may have their turn.
            tokio::task::yield_now().await;
        }
        let wake = shell.wake();
        for taken in 0..MOST_AT_ONCE {
            tokio::select! {
                biased;
                Some(signal) = signals.next() => shell.signal(signal),
                sent = input.next() => shell.sent(sent),
                Some(update) = updates.next() => shell.happen(agent::event(update)),
                Some(change) = changes.recv() => shell.change(change, &restyle),
                Some(event) = shell.aside.1.recv() => shell.happen(event),
                // Only the first is waited for.
                () = std::future::ready(()), if taken > 0 => break,
                () = sleep(wake) => shell.tick(),
            }
            if shell.outcome.is_some() || shell.stopping {
                break;
            }
        }
    }
}
