//! The real loop over a terminal in memory, a clock that tests move, and an
//! agent that only remembers.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use chrono::TimeDelta;
use crossterm::event::{Event as Sent, KeyCode, KeyEvent, KeyModifiers};
use futures_util::stream::poll_fn;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use super::agent::Agent;
use super::*;
use crate::action::{Action, Key};
use crate::console::theme::{Level, Theme};
use crate::model::{
    Capabilities, Command, EndpointName, EndpointSpec, Intent, Kind, LogOf, Part, Receipt, Snapshot, Task,
    TaskId, TaskState, Verb,
};
use crate::runtime::Update;

thread_local! {
    /// When the test began, by the timers' clock.
    static BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// 09:00:10, and as much later as timers have passed.
fn clock() -> DateTime<Utc> {
    let began = BEGAN.get().unwrap_or_else(|| {
        BEGAN.set(Some(time::instant()));
        time::instant()
    });
    let passed = TimeDelta::from_std(time::instant() - began).unwrap();
    "2026-01-20T09:00:10Z".parse::<DateTime<Utc>>().unwrap() + passed
}

/// What was written, write by write; broken on demand.
#[derive(Clone, Default)]
struct Paper {
    writes: Rc<RefCell<Vec<Vec<u8>>>>,
    gone: Rc<Cell<bool>>,
}

impl io::Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.gone.get() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.writes.borrow_mut().push(bytes.to_vec());
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn screen(&self) -> String {
        let mut parser = vt100::Parser::new(24.try_into().unwrap(), 80.try_into().unwrap(), 0);
        self.writes.borrow().iter().for_each(|bytes| parser.process(bytes));
        parser.screen().contents()
    }
    fn count(&self) -> usize {
        self.writes.borrow().len()
    }
}

#[derive(Clone, Default)]
struct Memory {
    asked: Rc<RefCell<Vec<String>>>,
    stops: Rc<RefCell<Option<EndpointName>>>,
    size: Rc<Cell<Option<(u16, u16)>>>,
}

impl Memory {
    fn note(&self, text: String) {
        self.asked.borrow_mut().push(text);
    }
    fn asked(&self) -> Vec<String> {
        self.asked.borrow().clone()
    }
}

impl Agent for Memory {
    fn send(&self, intent: Intent) {
        let targets: Vec<_> = intent.targets.iter().map(ToString::to_string).collect();
        self.note(format!("send {} {}", intent.deed, targets.join(" ")));
    }
    fn refresh(&self, endpoint: Option<EndpointName>) {
        self.note(format!("refresh {endpoint:?}"));
    }
    fn fetch_runs(&self, endpoint: EndpointName, _: Option<TaskId>, limit: usize) {
        self.note(format!("runs {endpoint} {limit}"));
    }
    fn fetch_log(&self, _: EndpointName, of: LogOf, offset: u64) {
        let run = match of {
            LogOf::Run { run, .. } => run.to_string(),
            LogOf::Endpoint => "endpoint".to_owned(),
        };
        self.note(format!("log {run} {offset}"));
    }
    fn fetch_trace(&self, endpoint: EndpointName, task: TaskId) {
        self.note(format!("trace {endpoint}/{task}"));
    }
    fn fetch_audit(&self, endpoint: EndpointName, limit: usize) {
        self.note(format!("audit {endpoint} {limit}"));
    }
    fn foresee(&self, intent: Intent) {
        self.note(format!("foresee {}", intent.deed));
    }
    fn configure(&self, endpoints: Vec<EndpointSpec>, _: bool) {
        self.note(format!("configure {}", endpoints.len()));
    }
    fn preview(&self, intent: &Intent) -> Vec<Clean> {
        intent.targets.iter().map(|target| Clean::from(format!("POST /{target}"))).collect()
    }
    fn record(&self, receipts: Vec<Receipt>) {
        self.note(format!("record {}", receipts.len()));
    }
    fn stops_on_quit(&self) -> Option<EndpointName> {
        self.stops.borrow().clone()
    }
}

impl Host for Memory {
    fn stop_job(&mut self) -> io::Result<()> {
        self.note("stop the job".into());
        Ok(())
    }
    fn stop(&mut self) -> io::Result<()> {
        self.note("stop".into());
        Ok(())
    }
    fn retake(&mut self) -> io::Result<(u16, u16)> {
        self.note("retake".into());
        Ok((80, 24))
    }
    fn size(&self) -> io::Result<(u16, u16)> {
        Ok(self.size.get().unwrap_or((80, 24)))
    }
    fn tmux(&self) -> bool {
        false
    }
}

/// The ends that a test holds.
struct Hands {
    paper: Paper,
    memory: Memory,
    keys: UnboundedSender<io::Result<Sent>>,
    signals: UnboundedSender<Signal>,
    updates: UnboundedSender<Update>,
    changes: mpsc::Sender<Result<Box<Settings>, Clean>>,
}

impl Hands {
    fn key(&self, key: char) {
        let code = match key {
            '\r' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            key => KeyCode::Char(key),
        };
        let event = Sent::Key(KeyEvent::new(code, KeyModifiers::NONE));
        self.keys.send(Ok(event)).unwrap();
    }

    fn poll(&self, tasks: &[&str]) {
        let snapshot = Snapshot {
            tasks: Part::complete(tasks.iter().map(|id| task(id)).collect()),
            ..Snapshot::unchanged(clock(), 3)
        };
        self.updates.send(Update::Polled { endpoint: "a".into(), snapshot: Box::new(snapshot) }).unwrap();
    }

    /// Lets the loop do what there is to do.
    async fn rest(&self) {
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
}

fn task(id: &str) -> Task {
    let capabilities = Capabilities::by(|verb| (verb == Verb::Cancel).then(|| "nothing runs".into()));
    Task { state: Some(TaskState::Healthy), ..Task::bare(id.into(), id.into(), capabilities) }
}

fn stream<T>(mut from: UnboundedReceiver<T>) -> impl futures_util::Stream<Item = T> {
    poll_fn(move |context| from.poll_recv(context))
}

fn settings() -> Settings {
    let spec = EndpointSpec {
        poll: Duration::from_hours(10),
        ..EndpointSpec::new("a".into(), Kind::Vigie, Some("http://x".into()))
    };
    Settings { endpoints: vec![spec], screen: "tasks".into(), ..Settings::default() }
}

/// Runs `script` beside the loop until one of them ends; the loop must.
async fn play<F: Future<Output = ()>>(script: impl FnOnce(Rc<Hands>) -> F) -> (Outcome, Rc<Hands>) {
    let (paper, memory) = (Paper::default(), Memory::default());
    let (keys, input) = unbounded_channel();
    let (signals, signalled) = unbounded_channel();
    let (updates, updated) = unbounded_channel();
    let (changes, changed) = mpsc::channel(4);
    let hands =
        Rc::new(Hands { paper: paper.clone(), memory: memory.clone(), keys, signals, updates, changes });

    let style = Style {
        theme: Theme::built_in(false).unwrap().paint(Level::None),
        keymap: crate::console::Keymap::new(&[]),
        ascii: false,
    };
    let state = opened(&settings(), &style, (80, 24), clock());
    let mut shell = Shell::new(state, style.theme.clone(), paper, memory.clone(), clock);
    shell.happen(Event::Configured { endpoints: settings().endpoints, read_only: false });
    shell.draw().unwrap();
    shell.begin(memory);
    let sources = Sources {
        signals: stream(signalled),
        input: stream(input),
        updates: stream(updated),
        changes: changed,
        restyle: |settings: &Settings| Style::load(settings, std::path::Path::new("/nowhere"), |_| None),
    };
    hands
        .updates
        .send(Update::Described { endpoint: "a".into(), url: None, capabilities: Capabilities::by(|_| None) })
        .unwrap();
    let script = script(Rc::clone(&hands));
    let (outcome, ()) = tokio::join!(
        async {
            let limit = Duration::from_hours(24);
            tokio::time::timeout(limit, event_loop::run(&mut shell, sources)).await.expect("the loop ends")
        },
        script
    );
    (outcome, hands)
}

#[tokio::test(start_paused = true)]
async fn a_console_at_rest_writes_only_when_the_clock_does() {
    let (outcome, hands) = play(|hands| async move {
        hands.poll(&["one", "two"]);
        hands.rest().await;
        assert!(hands.paper.screen().contains("one"), "{}", hands.paper.screen());
        let before = hands.paper.count();
        tokio::time::sleep(Duration::from_secs(600)).await;
        let writes = hands.paper.writes.borrow()[before..].to_vec();
        assert_eq!(writes.len(), 10, "one per minute");
        assert!(writes.iter().all(|bytes| bytes.len() < 80), "{writes:?}");
        hands.poll(&["one", "two"]);
        hands.rest().await;
        assert_eq!(hands.paper.count(), before + 10, "the same again is no byte");
        hands.key('q');
    })
    .await;
    assert_eq!(outcome, Outcome::Quit);
    assert!(hands.memory.asked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_a_frame_or_two() {
    play(|hands| async move {
        hands.rest().await;
        let before = hands.paper.count();
        for n in 0..300 {
            hands.poll(&[&format!("task-{n}"), "other"]);
        }
        hands.rest().await;
        let frames = hands.paper.count() - before;
        assert!((1..=3).contains(&frames), "{frames} frames");
        assert!(hands.paper.screen().contains("task-299"));
        hands.key('q');
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn keys_become_intents_and_questions_are_answered() {
    let (_, hands) = play(|hands| async move {
        hands.poll(&["one", "two"]);
        hands.rest().await;
        hands.key('t');
        hands.rest().await;
        assert_eq!(hands.memory.asked(), ["send trigger a/one"]);
        "*t".chars().for_each(|key| hands.key(key));
        hands.rest().await;
        assert!(hands.paper.screen().contains("POST /a/two"), "{}", hands.paper.screen());
        hands.key('y');
        hands.rest().await;
        hands.key('q');
    })
    .await;
    assert_eq!(hands.memory.asked(), ["send trigger a/one", "foresee trigger", "send trigger a/one a/two"]);
}

#[tokio::test(start_paused = true)]
async fn however_it_ends_it_says_how() {
    for (signal, outcome) in [
        (Signal::Terminate, Outcome::Terminated),
        (Signal::HangUp, Outcome::HungUp),
        (Signal::Interrupt, Outcome::Interrupted),
    ] {
        let (ended, _) = play(|hands| async move { hands.signals.send(signal).unwrap() }).await;
        assert_eq!(ended, outcome);
    }
    let (ended, _) = play(|hands| async move {
        hands.keys.send(Err(io::ErrorKind::UnexpectedEof.into())).unwrap();
    })
    .await;
    assert_eq!(ended, Outcome::HungUp);
    let (ended, _) = play(|hands| async move {
        hands.rest().await;
        hands.paper.gone.set(true);
        hands.key('j');
        hands.poll(&["one"]);
    })
    .await;
    assert_eq!(ended, Outcome::HungUp, "the terminal can't be written to");
    assert_eq!(
        [Outcome::Quit, Outcome::HungUp, Outcome::Interrupted, Outcome::Terminated].map(Outcome::exit_code),
        [0, 129, 130, 143]
    );
}

#[tokio::test(start_paused = true)]
async fn quitting_what_schedules_asks_first() {
    let (outcome, hands) = play(|hands| async move {
        *hands.memory.stops.borrow_mut() = Some("a".into());
        hands.poll(&["one"]);
        hands.key('q');
        hands.rest().await;
        assert!(hands.paper.screen().contains("vigie serve"), "{}", hands.paper.screen());
        hands.key('n');
        hands.rest().await;
        assert!(!hands.paper.screen().contains("vigie serve"));
        // An interrupt that is answered by hand is no end by signal.
        hands.signals.send(Signal::Interrupt).unwrap();
        hands.rest().await;
        hands.key('y');
    })
    .await;
    assert_eq!(outcome, Outcome::Quit);
    drop(hands);
}

/// Ctrl-Z as a terminal in raw mode sends it.
fn ctrl_z() -> Sent {
    Sent::Key(KeyEvent::new(KeyCode::Char('z'), KeyModifiers::CONTROL))
}

#[tokio::test(start_paused = true)]
async fn a_stop_gives_the_terminal_back_once_and_draws_anew() {
    let (_, hands) = play(|hands| async move {
        hands.poll(&["one"]);
        hands.rest().await;
        let before = hands.paper.count();
        hands.keys.send(Ok(ctrl_z())).unwrap();
        hands.poll(&["one", "two"]);
        hands.rest().await;
        assert_eq!(hands.memory.asked(), ["stop the job"], "its own signal has not come back yet");
        hands.signals.send(Signal::Stop).unwrap();
        hands.rest().await;
        assert_eq!(hands.memory.asked(), ["stop the job", "stop"], "it has not been continued yet");
        assert_eq!(hands.paper.count(), before, "the terminal is somebody else's");
        hands.signals.send(Signal::Continue).unwrap();
        hands.rest().await;
        let whole = hands.paper.writes.borrow()[before..].iter().map(Vec::len).max().unwrap();
        assert!(whole > 500, "everything is drawn: {whole} bytes");
        hands.key('q');
    })
    .await;
    assert_eq!(hands.memory.asked(), ["stop the job", "stop", "retake"]);
}

#[tokio::test(start_paused = true)]
async fn wishes_to_stop_that_meet_are_one_stop_and_a_later_one_is_another() {
    let (_, hands) = play(|hands| async move {
        hands.rest().await;
        // From outside and from here; what comes back of the latter comes late.
        hands.signals.send(Signal::Stop).unwrap();
        hands.rest().await;
        hands.keys.send(Ok(ctrl_z())).unwrap();
        hands.signals.send(Signal::Stop).unwrap();
        hands.rest().await;
        hands.signals.send(Signal::Stop).unwrap();
        hands.signals.send(Signal::Continue).unwrap();
        hands.rest().await;
        hands.signals.send(Signal::Terminate).unwrap();
    })
    .await;
    let once = ["stop the job", "stop", "retake"];
    // The key that was typed before the stop is a wish of its own.
    assert_eq!(hands.memory.asked(), [&once[..], &["stop the job"]].concat());
}

#[tokio::test(start_paused = true)]
async fn a_stop_whose_signal_never_comes_back_is_made_all_the_same() {
    let (_, hands) = play(|hands| async move {
        hands.keys.send(Ok(ctrl_z())).unwrap();
        tokio::time::sleep(Duration::from_mins(1)).await;
        hands.key('q');
    })
    .await;
    assert_eq!(hands.memory.asked(), ["stop the job", "stop", "retake"]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_could_not_be_caught_takes_the_terminal_again() {
    let (_, hands) = play(|hands| async move {
        hands.signals.send(Signal::Continue).unwrap();
        hands.rest().await;
        hands.key('q');
    })
    .await;
    assert_eq!(hands.memory.asked(), ["retake"]);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_size_that_the_input_does_not_tell_of_is_drawn_all_the_same() {
    play(|hands| async move {
        hands.poll(&["one"]);
        hands.rest().await;
        let before = hands.paper.count();
        hands.signals.send(Signal::Resized).unwrap();
        hands.rest().await;
        assert_eq!(hands.paper.count(), before, "the same size is no news");
        hands.memory.size.set(Some((80, 15)));
        hands.signals.send(Signal::Resized).unwrap();
        hands.rest().await;
        let written = hands.paper.writes.borrow()[before..].concat();
        let mut small = vt100::Parser::new(15.try_into().unwrap(), 80.try_into().unwrap(), 0);
        small.process(&written);
        let screen = small.screen().contents();
        assert!(screen.contains("one") && screen.lines().last().unwrap().contains("palette"), "{screen}");
        hands.key('q');
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn settings_change_while_it_runs() {
    let (_, hands) = play(|hands| async move {
        hands.poll(&["one"]);
        let changed = Settings { keys: vec![(Action::Trigger, vec![Key::char('b')])], ..settings() };
        hands.changes.send(Ok(Box::new(changed))).await.unwrap();
        hands.rest().await;
        hands.key('t');
        hands.key('b');
        hands.rest().await;
        hands.changes.send(Err("line 3: endpoint[0].pol: unknown".into())).await.unwrap();
        hands.rest().await;
        assert!(hands.paper.screen().contains("the old settings stay: line 3"), "{}", hands.paper.screen());
        hands.key('q');
    })
    .await;
    assert_eq!(hands.memory.asked(), ["configure 1", "send trigger a/one"]);
}

#[tokio::test(start_paused = true)]
async fn a_command_with_a_payload_is_typed_read_and_sent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("item.json");
    std::fs::write(&path, b"{\"password\":\"hunter2\"}").unwrap();
    let (_, hands) = play(|hands| async move {
        let spec = EndpointSpec::new("r".into(), Kind::Rediacc, Some("http://x".into()));
        let changed = Settings { endpoints: vec![spec], screen: "endpoints".into(), ..settings() };
        hands.changes.send(Ok(Box::new(changed))).await.unwrap();
        hands.rest().await;
        let capabilities = Capabilities::by(|_| None).with(Command::of(Kind::Rediacc).map(|c| (c, None)));
        hands.updates.send(Update::Described { endpoint: "r".into(), url: None, capabilities }).unwrap();
        hands.rest().await;
        "7:create\rteam\tbridge\t\t\t".chars().for_each(|key| hands.key(key));
        path.display().to_string().chars().for_each(|key| hands.key(key));
        hands.rest().await;
        assert!(hands.paper.screen().contains("rediacc:create"), "{}", hands.paper.screen());
        hands.key('\r');
        // The file is read on another thread: real time passes.
        while hands.memory.asked().len() < 2 {
            tokio::task::yield_now().await;
        }
        hands.rest().await;
        assert!(!hands.paper.screen().contains("hunter2"));
        hands.key('q');
    })
    .await;
    assert_eq!(hands.memory.asked(), ["configure 1", "send rediacc:create r"]);
}
