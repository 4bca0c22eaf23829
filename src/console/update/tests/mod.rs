//! Messages in, state and effects out.

mod acting;
mod commands;
mod cursor;
mod logs;
mod looking;
mod typing;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::action::{Code, Scope};
use crate::console::effect::Draft;
use crate::console::keymap::Keymap;
use crate::console::msg::{JournalLine, LogPiece};
use crate::console::state::{Column, Confirm, Overlay, RowKey};
use crate::fleet::Failure;
use crate::model::{
    Alert, AlertKind, Capabilities, Clean, Command, EndpointSpec, Guard, Health, IntentId, Kind, LogOf, Part,
    Receipt, Run, RunId, RunState, Snapshot, Stage, Target, Task, TaskId, TaskKey, TaskState, Verb,
};

fn t0() -> DateTime<Utc> {
    "2026-01-20T09:00:10Z".parse().unwrap()
}

fn run(task: &str, id: &str, state: RunState) -> Run {
    let started = Some(t0() - TimeDelta::minutes(5));
    let ended = state.is_ended().then(|| t0() - TimeDelta::minutes(4));
    Run { id: Some(RunId::new(id)), started, ended, ..Run::bare(TaskId::new(task), state) }
}

fn task(id: &str, state: TaskState) -> Task {
    let capabilities = Capabilities::by(|verb| match verb {
        Verb::Retry => Some("duplistatus has no retry; use trigger".into()),
        Verb::Pause if state == TaskState::Paused => Some("it is paused".into()),
        Verb::Resume if state != TaskState::Paused => Some("it is not paused".into()),
        Verb::Cancel if state != TaskState::Running => Some("nothing runs".into()),
        _ => None,
    });
    Task {
        state: Some(state),
        paused: state == TaskState::Paused,
        active_runs: if state == TaskState::Running {
            vec![run(id, &format!("{id}-1"), RunState::Running)]
        } else {
            Vec::new()
        },
        ..Task::bare(TaskId::new(id), id.into(), capabilities)
    }
}

/// The log of a run of the task `one`.
fn of(run: &str) -> LogOf {
    LogOf::Run { task: "one".into(), run: run.into() }
}

/// An endpoint's name, guard and tasks.
type Told<'a> = (&'a str, Guard, &'a [(&'a str, TaskState)]);

/// A console over a fleet, a clock that is moved by hand, and every effect so far.
struct Desk {
    state: State,
    fleet: Fleet,
    now: DateTime<Utc>,
    effects: Vec<Effect>,
}

impl Desk {
    /// Endpoints with their guards and tasks, all told once, on the tasks screen.
    fn new(endpoints: &[Told<'_>]) -> Self {
        let look = Look { ascii: false, utc: true, local_offset_s: 3_600, local_zone: "CET".into() };
        let state = State::new(Keymap::new(&[]), look, Screen::Tasks, (80, 24), t0());
        let mut desk = Self { state, fleet: Fleet::default(), now: t0(), effects: Vec::new() };
        let specs = endpoints
            .iter()
            .map(|(name, guard, _)| EndpointSpec {
                guard: *guard,
                poll: std::time::Duration::from_hours(1),
                ..EndpointSpec::new((*name).into(), Kind::Vigie, Some("http://x".into()))
            })
            .collect();
        desk.event(Event::Configured { endpoints: specs, read_only: false });
        for (name, _, tasks) in endpoints {
            desk.event(Event::Described {
                endpoint: (*name).into(),
                url: None,
                capabilities: Capabilities::by(|_| None),
            });
            desk.poll(name, tasks);
        }
        desk.effects.clear();
        desk
    }

    /// One endpoint `a` of a kind, whose tasks and which itself allow all of its commands.
    fn of(kind: Kind, guard: Guard, tasks: &[(&str, TaskState)]) -> Self {
        let mut desk = Self::new(&[]);
        let spec = EndpointSpec {
            guard,
            poll: std::time::Duration::from_hours(1),
            ..EndpointSpec::new("a".into(), kind, Some("http://x".into()))
        };
        desk.event(Event::Configured { endpoints: vec![spec], read_only: false });
        let capabilities = Capabilities::by(|_| None).with(Command::of(kind).map(|command| (command, None)));
        desk.event(Event::Described { endpoint: "a".into(), url: None, capabilities: capabilities.clone() });
        let able =
            |(id, state): &(&str, TaskState)| Task { capabilities: capabilities.clone(), ..task(id, *state) };
        desk.tell("a", tasks.iter().map(able).collect(), Vec::new());
        desk.effects.clear();
        desk
    }

    /// Types a text, key by key.
    fn type_in(&mut self, text: &str) -> Vec<Effect> {
        text.chars().flat_map(|c| self.event(Event::Key(Key::char(c)))).collect()
    }

    /// One endpoint `a` with the guard of the configuration's default.
    fn one(tasks: &[(&str, TaskState)]) -> Self {
        Self::new(&[("a", Guard::Confirm, tasks)])
    }

    fn event(&mut self, event: Event) -> Vec<Effect> {
        let effects = update(&mut self.state, &mut self.fleet, Msg { at: self.now, event });
        self.effects.extend(effects.clone());
        effects
    }

    fn tell(&mut self, endpoint: &str, tasks: Vec<Task>, alerts: Vec<Alert>) -> Vec<Effect> {
        let snapshot = Snapshot {
            tasks: Part::complete(tasks),
            alerts: Part::complete(alerts),
            ..Snapshot::unchanged(self.now, 3)
        };
        self.event(Event::Polled { endpoint: endpoint.into(), snapshot: Box::new(snapshot) })
    }

    fn poll(&mut self, endpoint: &str, tasks: &[(&str, TaskState)]) -> Vec<Effect> {
        let tasks = tasks.iter().map(|(id, state)| task(id, *state)).collect();
        self.tell(endpoint, tasks, Vec::new())
    }

    /// Keys by their names, separated by spaces.
    fn keys(&mut self, keys: &str) -> Vec<Effect> {
        keys.split(' ').flat_map(|key| self.event(Event::Key(key.parse().unwrap()))).collect()
    }

    fn pass(&mut self, by: TimeDelta) -> Vec<Effect> {
        self.now += by;
        self.event(Event::Tick)
    }

    fn cursor(&self) -> String {
        self.state.tasks.cursor().map_or_else(|| "-".to_owned(), ToString::to_string)
    }

    fn says(&self) -> &str {
        self.state.message.as_ref().map_or("", |message| message.text.as_str())
    }

    fn confirm(&self) -> &Confirm {
        match &self.state.overlay {
            Some(Overlay::Confirm(confirm)) => confirm,
            other => panic!("{other:?}, message {:?}", self.says()),
        }
    }
}

fn sent(effects: &[Effect]) -> Vec<&Draft> {
    effects
        .iter()
        .filter_map(|effect| if let Effect::Send(draft) = effect { Some(draft) } else { None })
        .collect()
}

const HEALTHY: TaskState = TaskState::Healthy;
const RUNNING: TaskState = TaskState::Running;

proptest! {
    #[test]
    fn a_list_keeps_its_cursor_through_any_churn(
        orders in proptest::collection::vec(proptest::collection::vec(0..30_u8, 0..30), 1..12),
        picks in proptest::collection::vec(0..30_usize, 12),
        page in 1..12_usize,
    ) {
        let mut rows = crate::console::state::Rows::default();
        for (order, pick) in orders.into_iter().zip(picks) {
            let mut seen = std::collections::BTreeSet::new();
            let keys: Vec<_> = order
                .into_iter()
                .filter(|n| seen.insert(*n))
                .map(|n| RowKey::Endpoint(n.to_string().as_str().into()))
                .collect();
            let before = rows.cursor.clone();
            rows.replace(keys.clone(), page);
            if before.as_ref().is_some_and(|before| keys.contains(before)) {
                prop_assert_eq!(&rows.cursor, &before, "pinned");
            }
            prop_assert_eq!(rows.cursor.is_some(), !keys.is_empty());
            rows.select(pick, page);
            if let Some(position) = rows.position() {
                prop_assert!((rows.top..rows.top + page).contains(&position), "in view");
            }
        }
    }
}

// --- every action everywhere ------------------------------------------------

#[test]
fn no_action_panics_anywhere() {
    for &action in Action::ALL {
        for screen in Screen::ALL {
            for opened in [
                "",
                "enter",
                "enter right",
                "enter right right",
                "L",
                "L / x",
                "?",
                ":",
                "p",
                "w",
                "x",
                "/",
                "space *",
            ] {
                let mut desk = Desk::new(&[
                    ("a", Guard::Confirm, &[("one", RUNNING), ("two", HEALTHY)]),
                    ("b", Guard::ReadOnly, &[("three", TaskState::Paused)]),
                ]);
                navigate::show(&mut desk.state, &desk.fleet, screen);
                if !opened.is_empty() {
                    desk.keys(opened);
                }
                let refusal = hints::refusal(&desk.state, &desk.fleet, action);
                let effects = dispatch(&mut desk.state, &desk.fleet, action, Some(Key::char('t')));
                if let Some(reason) = refusal {
                    assert_eq!(desk.says(), format!("{action}: {reason}"));
                    assert_eq!(effects, []);
                }
                desk.pass(TimeDelta::minutes(1));
                assert!(next_tick(&desk.state, &desk.fleet).is_some_and(|at| at > desk.now));
                let _ = (hints::footer(&desk.state, &desk.fleet), hints::help(&desk.state, &desk.fleet));
            }
        }
        let mut empty = Desk::new(&[]);
        for screen in Screen::ALL {
            navigate::show(&mut empty.state, &empty.fleet, screen);
            dispatch(&mut empty.state, &empty.fleet, action, None);
        }
    }
}

#[test]
fn no_key_panics_in_any_overlay() {
    let codes = (' '..='~').map(Code::Char).chain([
        Code::Enter,
        Code::Esc,
        Code::Tab,
        Code::BackTab,
        Code::Backspace,
        Code::Delete,
        Code::Up,
        Code::Down,
        Code::Left,
        Code::Right,
        Code::Home,
        Code::End,
        Code::PageUp,
        Code::PageDown,
        Code::F(5),
    ]);
    let keys: Vec<Key> = codes
        .flat_map(|code| {
            [(false, false), (true, false), (false, true)].map(|(ctrl, alt)| Key { code, ctrl, alt })
        })
        .collect();
    for opened in
        ["", "?", ":", "p", "w", "x", "/", "enter", "enter right right", "L", "L /", "L / x enter", "q"]
    {
        for &key in &keys {
            let mut desk = Desk::one(&[("one", RUNNING), ("two", HEALTHY)]);
            if !opened.is_empty() {
                desk.keys(opened);
            }
            if opened == "q" {
                desk.event(Event::QuitAsked { stops: Some("a".into()) });
            }
            desk.event(Event::Key(key));
            desk.event(Event::Key(key));
            desk.event(Event::Paste("p:x\u{1b}[31m\nz".into()));
        }
    }
}

#[test]
fn help_lists_each_action_of_the_screen_once_and_footers_only_what_is_there() {
    let mut desk = Desk::one(&[("one", RUNNING)]);
    for screen in Screen::ALL {
        navigate::show(&mut desk.state, &desk.fleet, screen);
        let help = hints::help(&desk.state, &desk.fleet);
        let mut once: Vec<_> = help.iter().filter_map(|hint| hint.choice.action()).collect();
        let all = once.len();
        once.dedup();
        assert_eq!(all, once.len());
        for hint in hints::footer(&desk.state, &desk.fleet) {
            assert!(once.contains(&hint.choice.action().unwrap()), "{} on {screen:?}", hint.choice.name());
        }
        let tasks = once.iter().any(|action| action.spec().scope == Scope::Task);
        assert_eq!(tasks, !matches!(screen, Screen::Endpoints | Screen::Journal), "{screen:?}");
    }
    let retry = hints::palette(&desk.state, &desk.fleet, "retry");
    assert_eq!(retry[0].choice.action(), Some(Action::Retry));
    assert!(retry[0].refusal.is_some(), "disabled, not hidden");
}

// --- the bell, the journal, time -------------------------------------------------------

fn alert(task: &str, acknowledged: bool) -> Alert {
    Alert {
        task: Some(task.into()),
        queue: None,
        kind: AlertKind::Overrun,
        severity: AlertKind::Overrun.severity(),
        since: t0(),
        summary: "too long".into(),
        acknowledged_by: acknowledged.then(|| "me".into()),
        silenced_until: None,
        handling: None,
    }
}

#[test]
fn only_news_that_nobody_has_taken_rings() {
    let mut desk = Desk::new(&[]);
    let spec = EndpointSpec::new("a".into(), Kind::Vigie, Some("http://x".into()));
    desk.event(Event::Configured { endpoints: vec![spec], read_only: false });
    let all = || vec![task("one", HEALTHY), task("two", HEALTHY), task("three", HEALTHY)];
    assert_eq!(desk.tell("a", all(), vec![alert("one", false)]), [], "what was there before");
    assert_eq!(desk.tell("a", all(), vec![alert("one", false), alert("two", true)]), [], "taken");
    let three = || vec![alert("one", false), alert("two", true), alert("three", false)];
    assert_eq!(desk.tell("a", all(), three()), [Effect::Bell]);
    assert_eq!(desk.tell("a", all(), three()), [], "once");
}

#[test]
fn the_journal_lists_each_intent_once_newest_first() {
    let mut desk = Desk::one(&[("one", HEALTHY)]);
    let receipt = |id: u128, stage, minutes| Receipt {
        intent: IntentId(Uuid::from_u128(id)),
        deed: Verb::Trigger.into(),
        target: Target::task(&TaskKey::new(&"a".into(), &"one".into()), HEALTHY),
        stage,
        at: t0(),
        sent: t0() - TimeDelta::minutes(minutes),
        message: None,
        run: None,
        priority: None,
    };
    desk.event(Event::Receipt(receipt(3, Stage::Sent, 0)));
    let lines = [receipt(1, Stage::Observed, 9), receipt(2, Stage::Failed, 5), receipt(3, Stage::Sent, 0)];
    desk.event(Event::Journal(lines.into_iter().map(|receipt| JournalLine { receipt }).collect()));
    desk.keys("8");
    let own = |entry: &Entry<'_>| match entry {
        Entry::Own(receipt) => receipt.intent.0.as_u128(),
        Entry::Told(..) => panic!("nothing is told"),
    };
    let ids: Vec<_> = entries(&desk.state, &desk.fleet).iter().map(own).collect();
    assert_eq!(ids, [3, 2, 1]);
    assert_eq!(desk.state.rows[&Screen::Journal].keys.len(), 3);
    assert_eq!(desk.keys("y"), [Effect::Copy("a/one".into())]);
}

#[test]
fn nothing_is_drawn_but_when_something_reads_otherwise() {
    let mut desk = Desk::one(&[("one", HEALTHY)]);
    desk.poll("a", &[("one", HEALTHY)]);
    desk.state.dirty = false;
    desk.poll("a", &[("one", HEALTHY)]);
    assert!(!desk.state.dirty, "the same again");
    desk.now += TimeDelta::seconds(49);
    desk.event(Event::Key(Key::plain(Code::F(9))));
    assert!(!desk.state.dirty, "a key that does nothing, 09:00:59");
    assert_eq!(
        next_tick(&desk.state, &desk.fleet).map(|at| at.to_rfc3339()).as_deref(),
        Some("2026-01-20T09:01:00+00:00")
    );
    desk.pass(TimeDelta::seconds(1));
    assert!(desk.state.dirty, "the clock");

    let mut desk = Desk::one(&[("one", RUNNING)]);
    desk.state.dirty = false;
    assert_eq!(
        next_tick(&desk.state, &desk.fleet),
        Some(desk.now + TimeDelta::seconds(1)),
        "a run in progress"
    );
    desk.pass(TimeDelta::milliseconds(999));
    assert!(!desk.state.dirty);
    desk.pass(TimeDelta::milliseconds(1));
    assert!(desk.state.dirty);
}

#[test]
fn an_open_question_ignores_keys_without_a_frame() {
    let mut desk = Desk::one(&[("one", RUNNING)]);
    desk.keys("x");
    desk.state.dirty = false;
    desk.keys("x j space");
    assert!(!desk.state.dirty);
}

#[test]
fn a_failed_poll_touches_only_its_own_rows() {
    let mut desk =
        Desk::new(&[("a", Guard::Confirm, &[("one", HEALTHY)]), ("b", Guard::Confirm, &[("two", HEALTHY)])]);
    desk.keys("j");
    let failure = Failure {
        health: Health::Down,
        reason: "connection refused".into(),
        tries: 1,
        next_try: t0() + TimeDelta::seconds(5),
    };
    desk.event(Event::Failed { endpoint: "a".into(), failure });
    assert_eq!(desk.cursor(), "b/two");
    assert!(desk.state.overlay.is_none(), "no dialog");
    assert_eq!(desk.state.tasks.len(), 2);
}

#[test]
fn risks_and_verbs_agree_with_the_table() {
    for &action in Action::ALL {
        let spec = action.spec();
        let destructive = spec.needs.is_some_and(Verb::is_destructive);
        assert_eq!(spec.risk == crate::model::Risk::Destructive, destructive, "{action}");
        // A new task is a command of one system: no verb, and no look either.
        let is_safe = spec.needs.is_none() && action != Action::NewTask;
        assert_eq!(spec.risk == crate::model::Risk::Safe, is_safe, "{action}");
    }
}

// --- the detail --------------------------------------------------------------------

fn log(offset: u64, text: &str, complete: bool) -> Event {
    Event::Log {
        endpoint: "a".into(),
        of: of("one-1"),
        offset,
        result: Ok(LogPiece {
            text: Clean::text(text),
            next_offset: offset + text.len() as u64,
            dropped_bytes: 0,
            complete,
        }),
    }
}

fn lines(desk: &Desk) -> Vec<String> {
    let log = desk.state.detail.as_ref().and_then(|detail| detail.log.as_ref());
    log.map(|log| log.lines.iter().map(ToString::to_string).collect()).unwrap_or_default()
}
