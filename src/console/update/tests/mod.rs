//! Messages in, state and effects out.

mod commands;
mod looking;

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

// --- moving ---------------------------------------------------------------

#[test]
fn the_cursor_moves_and_stays_in_view() {
    let names: Vec<String> = (0..50).map(|n| format!("t{n:02}")).collect();
    let tasks: Vec<_> = names.iter().map(|name| (name.as_str(), HEALTHY)).collect();
    let mut desk = Desk::one(&tasks);
    assert_eq!(desk.cursor(), "a/t00");
    desk.keys("j down k");
    assert_eq!(desk.cursor(), "a/t01");
    desk.keys("G");
    assert_eq!((desk.cursor().as_str(), desk.state.tasks_top), ("a/t49", 30));
    desk.keys("pageup");
    assert_eq!((desk.cursor().as_str(), desk.state.tasks_top), ("a/t30", 30));
    desk.keys("g k k");
    assert_eq!((desk.cursor().as_str(), desk.state.tasks_top), ("a/t00", 0));
    desk.keys("G");
    desk.event(Event::Resize { width: 60, height: 15 });
    assert_eq!(desk.state.tasks_top, 39, "11 rows of data at 60x15");
}

#[test]
fn the_cursor_is_pinned_to_its_row_when_others_come_and_go() {
    let mut desk = Desk::one(&[("b", HEALTHY), ("d", HEALTHY), ("f", HEALTHY)]);
    desk.keys("j");
    assert_eq!(desk.cursor(), "a/d");
    desk.poll("a", &[("a", HEALTHY), ("b", HEALTHY), ("c", HEALTHY), ("d", HEALTHY), ("f", HEALTHY)]);
    assert_eq!(desk.cursor(), "a/d");
    desk.poll("a", &[("a", HEALTHY), ("b", HEALTHY), ("f", HEALTHY)]);
    assert!(["a/b", "a/f"].contains(&desk.cursor().as_str()), "{}", desk.cursor());
    desk.poll("a", &[]);
    assert_eq!(desk.cursor(), "-");
    desk.keys("j k G space enter t x y L *");
}

#[test]
fn other_lists_pin_their_cursor_too() {
    let mut desk = Desk::new(&[("a", Guard::None, &[]), ("b", Guard::None, &[]), ("c", Guard::None, &[])]);
    desk.keys("7 j");
    let at = |desk: &Desk| desk.state.rows[&Screen::Endpoints].cursor.clone();
    assert_eq!(at(&desk), Some(RowKey::Endpoint("b".into())));
    let specs = |names: &[&str]| {
        names
            .iter()
            .map(|name| EndpointSpec::new((*name).into(), Kind::Vigie, Some("http://x".into())))
            .collect()
    };
    desk.event(Event::Configured { endpoints: specs(&["x", "a", "b", "c"]), read_only: false });
    assert_eq!(at(&desk), Some(RowKey::Endpoint("b".into())));
    desk.event(Event::Configured { endpoints: specs(&["x", "a", "c"]), read_only: false });
    assert_eq!(at(&desk), Some(RowKey::Endpoint("c".into())), "the nearest that was behind it");
    desk.event(Event::Configured { endpoints: specs(&["x", "a"]), read_only: false });
    assert_eq!(at(&desk), Some(RowKey::Endpoint("a".into())));
}

#[test]
fn a_list_that_grows_at_its_top_keeps_the_cursor_on_its_line() {
    let key = |n: usize| RowKey::Endpoint(format!("e{n}").as_str().into());
    let mut rows = crate::console::state::Rows::default();
    rows.replace((10..40).map(key).collect(), 10);
    assert_eq!((rows.position(), rows.top), (Some(0), 0));
    rows.select(15, 10);
    let line = rows.position().unwrap() - rows.top;
    rows.replace((0..40).map(key).collect(), 10);
    assert_eq!(rows.cursor, Some(key(25)));
    assert_eq!(rows.position().unwrap() - rows.top, line);
}

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

// --- acting -------------------------------------------------------------------

#[test]
fn one_key_triggers_one_task_and_the_receipt_is_told() {
    let mut desk = Desk::one(&[("one", HEALTHY), ("two", HEALTHY)]);
    let effects = desk.keys("j t");
    let [draft] = sent(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!(draft.deed, Verb::Trigger);
    assert_eq!(draft.targets[0].to_string(), "a/two");
    assert_eq!(draft.targets[0].seen, Some(HEALTHY));

    let receipt = |stage, at| Receipt {
        intent: IntentId(Uuid::from_u128(7)),
        deed: Verb::Trigger.into(),
        target: Target::task(&TaskKey::new(&"a".into(), &"two".into()), HEALTHY),
        stage,
        at,
        sent: t0(),
        message: None,
        run: None,
        priority: None,
    };
    desk.event(Event::Receipt(receipt(Stage::Sent, t0())));
    desk.event(Event::Receipt(receipt(Stage::Accepted, t0())));
    assert_eq!(desk.says(), "trigger a/two: accepted, not yet observed");
    desk.now += TimeDelta::seconds(24);
    desk.event(Event::Receipt(receipt(Stage::Observed, desk.now)));
    assert_eq!(desk.says(), "✓ trigger a/two observed after 24 s");
    let counted = Some("2 overdue found, 0 sent".into());
    desk.event(Event::Receipt(Receipt { message: counted, ..receipt(Stage::Observed, desk.now) }));
    assert_eq!(desk.says(), "✓ trigger a/two observed after 24 s: 2 overdue found, 0 sent");
    desk.event(Event::Receipt(receipt(Stage::Unknown, desk.now)));
    assert!(desk.says().contains("may or may not have been done"), "{}", desk.says());
    desk.pass(TimeDelta::minutes(1));
    assert_eq!(desk.says(), "", "what was said in passing goes");
}

#[test]
fn an_answer_that_comes_after_its_effect_was_seen_is_told_as_observed() {
    let mut desk = Desk::one(&[("one", TaskState::Running)]);
    let target = Target {
        run: Some(RunId::new("one-1")),
        ..Target::task(&TaskKey::new(&"a".into(), &"one".into()), TaskState::Running)
    };
    // The poll was quicker than the answer.
    let ended = run("one", "one-1", RunState::Aborted);
    desk.tell("a", vec![Task { last_run: Some(ended), ..task("one", HEALTHY) }], Vec::new());
    for (intent, stage) in [(1, Stage::Accepted), (2, Stage::Unknown)] {
        let effects = desk.event(Event::Receipt(Receipt {
            intent: IntentId(Uuid::from_u128(intent)),
            deed: Verb::Cancel.into(),
            target: target.clone(),
            stage,
            at: desk.now,
            sent: desk.now,
            message: None,
            run: None,
            priority: None,
        }));
        assert!(desk.says().starts_with("✓ cancel a/one") && desk.says().ends_with("observed at once"));
        let [Effect::Record(receipts)] = &effects[..] else { panic!("{effects:?}") };
        assert_eq!(receipts[0].stage, Stage::Observed);
        desk.pass(TimeDelta::minutes(1));
    }
}

#[test]
fn an_intent_on_several_is_told_in_one() {
    let mut desk = Desk::one(&[("one", HEALTHY), ("three", HEALTHY), ("two", HEALTHY)]);
    desk.keys("* t");
    let effects = desk.keys("y");
    let draft = sent(&effects)[0].clone();
    let intent = IntentId(Uuid::from_u128(9));
    desk.event(Event::Sending { intent });
    let mut come = |target: usize, stage, message: Option<&str>| {
        desk.now += TimeDelta::seconds(1);
        desk.event(Event::Receipt(Receipt {
            intent,
            deed: Verb::Trigger.into(),
            target: draft.targets[target].clone(),
            stage,
            at: desk.now,
            sent: t0(),
            message: message.map(Clean::from),
            run: None,
            priority: None,
        }));
        desk.says().to_owned()
    };
    assert_eq!(come(0, Stage::Accepted, None), "trigger 3 targets: 1 accepted");
    assert_eq!(
        come(1, Stage::Unknown, Some("cut off")),
        "trigger 3 targets: 1 without answer, 1 accepted · a/three: cut off"
    );
    assert_eq!(
        come(2, Stage::Failed, Some("full")),
        "✗ trigger 3 targets: 1 failed, 1 without answer, 1 accepted · a/two: full"
    );
    assert_eq!(
        come(0, Stage::Observed, None),
        "✗ trigger 3 targets: 1 failed, 1 without answer, 1 observed · a/two: full",
        "what went wrong is not hidden by what went well"
    );
}

#[test]
fn a_run_is_told_by_the_end_of_a_long_id() {
    let mut desk = Desk::one(&[("one", RUNNING)]);
    let mut active = task("one", RUNNING);
    active.active_runs = vec![run("one", "01a1f894-62d2-7000-9262-e4f3c448883f", RunState::Running)];
    desk.tell("a", vec![active], vec![]);
    desk.keys("x y");
    assert_eq!(desk.says(), "cancel a/one#…48883f …");
}

/// When a question is asked, by guard, risk and count.
#[test]
fn the_confirm_policy() {
    enum Want {
        Sends,
        Asks,
        Types(&'static str),
        Refuses,
    }
    use Want::{Asks, Refuses, Sends, Types};
    for (guard, keys, want) in [
        (Guard::None, "t", Sends),
        (Guard::None, "x", Sends),
        (Guard::None, "* t", Asks),
        (Guard::None, "* x", Asks),
        (Guard::Confirm, "t", Sends),
        (Guard::Confirm, "x", Asks),
        (Guard::Confirm, "* t", Asks),
        (Guard::Confirm, "* x", Asks),
        (Guard::Typed, "t", Sends),
        (Guard::Typed, "x", Types("cancel 1")),
        (Guard::Typed, "* t", Types("trigger 2")),
        (Guard::Typed, "* x", Types("cancel 2")),
        (Guard::ReadOnly, "t", Refuses),
        (Guard::ReadOnly, "x", Refuses),
        (Guard::ReadOnly, "* x", Refuses),
    ] {
        let mut desk = Desk::new(&[("a", guard, &[("one", RUNNING), ("two", RUNNING)])]);
        let effects = desk.keys(keys);
        match want {
            Sends => assert_eq!(sent(&effects).len(), 1, "{guard} {keys}"),
            Asks => {
                assert_eq!(sent(&effects), [] as [&Draft; 0], "{guard} {keys}");
                assert_eq!(desk.confirm().typed, None, "{guard} {keys}");
                assert!(matches!(effects[..], [Effect::Preview(_), Effect::Foresee(_)]));
                assert_eq!(sent(&desk.keys("y")).len(), 1, "{guard} {keys}");
                assert!(desk.state.overlay.is_none());
            }
            Types(text) => {
                assert_eq!(sent(&effects), [] as [&Draft; 0], "{guard} {keys}");
                assert_eq!(desk.confirm().typed.as_ref().unwrap().0, text, "{guard} {keys}");
                assert_eq!(sent(&desk.keys("y enter backspace")), [] as [&Draft; 0]);
                for c in text.chars() {
                    assert_eq!(desk.event(Event::Key(Key::char(c))), []);
                }
                assert_eq!(sent(&desk.keys("enter")).len(), 1, "{guard} {keys}");
            }
            Refuses => {
                assert_eq!(effects, []);
                assert!(desk.state.overlay.is_none());
                assert!(desk.says().contains("a is read-only"), "{}", desk.says());
            }
        }
    }
}

#[test]
fn a_trigger_that_deletes_something_asks_first() {
    let mut desk = Desk::one(&[("one", HEALTHY)]);
    let risky = Task { caution: Some("a run deletes rows".into()), ..task("one", HEALTHY) };
    desk.tell("a", vec![risky], Vec::new());
    desk.keys("t");
    assert!(matches!(desk.state.overlay, Some(Overlay::Confirm(_))));
    // Putting it on hold deletes nothing.
    desk.keys("esc P");
    assert!(desk.state.overlay.is_none());
}

#[test]
fn the_strictest_guard_wins_and_read_only_targets_are_left_out() {
    let mut desk = Desk::new(&[
        ("a", Guard::None, &[("one", RUNNING)]),
        ("b", Guard::Typed, &[("two", RUNNING)]),
        ("c", Guard::ReadOnly, &[("three", RUNNING)]),
        ("d", Guard::Confirm, &[("four", HEALTHY)]),
    ]);
    desk.keys("* x");
    let confirm = desk.confirm();
    assert_eq!(confirm.typed.as_ref().unwrap().0, "cancel 2");
    let groups: Vec<_> = confirm
        .groups
        .iter()
        .map(|group| {
            let reasons: Vec<_> =
                group.skipped.iter().map(|(reason, t)| (reason.as_str(), t.len())).collect();
            (group.endpoint.as_raw(), group.will.len(), reasons)
        })
        .collect();
    assert_eq!(
        groups,
        [
            ("a", 1, vec![]),
            ("b", 1, vec![]),
            ("c", 0, vec![("c is read-only (its guard)", 1)]),
            ("d", 0, vec![("nothing runs", 1)]),
        ]
    );
    let draft = confirm.draft.clone();
    desk.event(Event::Preview { draft, calls: vec!["POST /one".into(), "POST /two".into()] });
    assert_eq!(desk.confirm().groups[1].will[0].call, Some("POST /two".into()));
}

#[test]
fn a_read_only_console_sends_nothing() {
    let mut desk = Desk::one(&[("one", RUNNING)]);
    desk.event(Event::Configured { endpoints: vec![], read_only: true });
    let mut desk = Desk::new(&[("a", Guard::None, &[("one", RUNNING)])]);
    desk.state.read_only = true;
    for keys in ["t", "x", "p", "P", "C", "* t"] {
        assert_eq!(desk.keys(keys), [], "{keys}");
        assert!(desk.says().ends_with("this console is read-only"), "{}", desk.says());
        assert!(desk.state.overlay.is_none());
    }
}

#[test]
fn the_key_that_opened_a_question_does_nothing_and_the_default_is_no() {
    for (no, closes) in
        [("x", false), ("enter", true), ("esc", true), ("n", true), ("j", false), ("space", false)]
    {
        let mut desk = Desk::one(&[("one", RUNNING)]);
        desk.keys("x");
        assert_eq!(sent(&desk.keys(no)), [] as [&Draft; 0], "{no}");
        assert_eq!(desk.state.overlay.is_none(), closes, "{no}");
    }
    // Where cancelling is on `y`, it takes another yes.
    let mut desk = Desk::one(&[("one", RUNNING)]);
    desk.state.keymap = Keymap::new(&[(Action::Cancel, vec![Key::char('y')])]);
    assert_eq!(sent(&desk.keys("y y y")), [] as [&Draft; 0]);
    assert_eq!(desk.confirm().yes_key(), Key::char('Y'));
    assert_eq!(sent(&desk.keys("Y")).len(), 1);
}

#[test]
fn what_changed_while_the_question_stood_is_not_sent() {
    // The run has ended: nothing is left to cancel.
    let mut desk = Desk::one(&[("one", RUNNING)]);
    desk.keys("x");
    assert_eq!(desk.confirm().draft.targets[0].run, Some("one-1".into()), "bound to the run that was seen");
    let mut ended = task("one", HEALTHY);
    ended.last_run = Some(run("one", "one-1", RunState::Succeeded));
    desk.tell("a", vec![ended], vec![]);
    assert_eq!(desk.keys("y"), []);
    assert_eq!(desk.says(), "cancel a/one#one-1: already finished");

    // One of two has been started by somebody else.
    let mut desk = Desk::one(&[("one", HEALTHY), ("two", HEALTHY)]);
    desk.keys("* t");
    desk.poll("a", &[("one", RUNNING), ("two", HEALTHY)]);
    let effects = desk.keys("y");
    let targets: Vec<_> = sent(&effects)[0].targets.iter().map(ToString::to_string).collect();
    assert_eq!(targets, ["a/two"]);
    assert_eq!(desk.says(), "trigger: left out a/one: it was healthy and is running now");

    // A slot that has come meanwhile is no change that matters.
    let mut desk = Desk::one(&[("one", HEALTHY), ("two", HEALTHY)]);
    desk.keys("* t");
    desk.poll("a", &[("one", TaskState::Late), ("two", TaskState::Due)]);
    assert_eq!(sent(&desk.keys("y"))[0].targets.len(), 2);

    // The task is gone.
    let mut desk = Desk::one(&[("one", RUNNING)]);
    desk.keys("x");
    desk.poll("a", &[]);
    assert_eq!(desk.keys("y"), []);
    assert_eq!(desk.says(), "cancel a/one#one-1: a/one is gone");
}

#[test]
fn what_can_not_be_done_says_why() {
    let mut desk = Desk::one(&[("one", HEALTHY)]);
    assert_eq!(desk.keys("r"), []);
    assert_eq!(desk.says(), "retry: duplistatus has no retry; use trigger");
    desk.keys("x");
    assert_eq!(desk.says(), "cancel: nothing runs");
    desk.keys("7 t");
    assert_eq!(desk.says(), "trigger: an endpoint is chosen, not a task");
}

#[test]
fn pause_and_resume_share_a_key() {
    let mut desk = Desk::one(&[("off", TaskState::Paused), ("on", HEALTHY)]);
    assert_eq!(sent(&desk.keys("g P"))[0].deed, Verb::Pause, "the healthy one is listed first");
    assert_eq!(sent(&desk.keys("G P"))[0].deed, Verb::Resume);
    desk.event(Event::Polled {
        endpoint: "a".into(),
        snapshot: Box::new(Snapshot {
            tasks: Part::complete(vec![Task {
                capabilities: Capabilities::by(|verb| Some(format!("no {verb} here").into())),
                ..task("off", TaskState::Paused)
            }]),
            ..Snapshot::unchanged(t0(), 1)
        }),
    });
    desk.keys("P");
    assert_eq!(desk.says(), "resume: no resume here", "the one that fits gives the reason");
}

#[test]
fn a_priority_takes_one_more_keystroke() {
    let mut desk = Desk::one(&[("one", HEALTHY)]);
    desk.keys("p");
    assert!(matches!(desk.state.overlay, Some(Overlay::Priority { .. })));
    assert_eq!(desk.keys("9 0 p x"), [], "only 1 to 5");
    let effects = desk.keys("1");
    assert_eq!(sent(&effects)[0].arguments.priority.unwrap().level(), 1);
    assert!(desk.state.overlay.is_none());
    desk.keys("p esc");
    assert!(desk.state.overlay.is_none());
    assert_eq!(sent(&desk.effects).len(), 1);
}

#[test]
fn runs_and_endpoints_are_acted_on_where_they_are_listed() {
    let mut desk = Desk::one(&[("one", RUNNING)]);
    desk.event(Event::Runs {
        endpoint: "a".into(),
        task: None,
        result: Ok(vec![run("one", "one-1", RunState::Running), run("one", "one-0", RunState::Failed)]),
    });
    desk.keys("4 G x");
    assert_eq!(desk.says(), "cancel: already finished");
    assert_eq!(desk.keys("r"), []);
    assert_eq!(desk.says(), "retry: duplistatus has no retry; use trigger");
    desk.keys("g x");
    assert_eq!(desk.confirm().draft.targets[0].run, Some("one-1".into()));
    desk.keys("n 7");
    let effects = desk.keys("C");
    assert_eq!(sent(&effects)[0].targets, [Target::endpoint("a".into())]);
    desk.keys("8 C");
    assert!(desk.says().starts_with("reload-config: the journal only tells"), "{}", desk.says());
}

// --- marks, filter, esc -----------------------------------------------------------

#[test]
fn marks_are_acted_on_instead_of_the_row() {
    let mut desk = Desk::one(&[("one", HEALTHY), ("three", HEALTHY), ("two", HEALTHY)]);
    desk.keys("space");
    assert_eq!(desk.cursor(), "a/three", "space moves on");
    desk.keys("j");
    let effects = desk.keys("t");
    assert_eq!(sent(&effects)[0].targets[0].to_string(), "a/one");
    assert!(desk.state.marks.is_empty(), "a mark is used once");
    desk.keys("* *");
    assert!(desk.state.marks.is_empty());
    desk.keys("*");
    desk.poll("a", &[("one", HEALTHY)]);
    assert_eq!(desk.state.marks.len(), 1, "marks of rows that are gone go too");
}

#[test]
fn a_mark_that_the_filter_hides_is_not_acted_on_unasked() {
    let mut desk = Desk::one(&[("one", HEALTHY), ("two", HEALTHY)]);
    desk.keys("space / t w o enter");
    assert_eq!(desk.cursor(), "a/two");
    assert_eq!(sent(&desk.keys("t")), [] as [&Draft; 0]);
    assert_eq!(desk.confirm().draft.targets[0].to_string(), "a/one");
    assert_eq!(sent(&desk.keys("y")).len(), 1);
    assert_eq!(sent(&desk.keys("t"))[0].targets[0].to_string(), "a/two");
}

#[test]
fn a_run_is_retried_only_if_it_went_wrong() {
    let mut desk = Desk::one(&[]);
    let mut failing = task("one", TaskState::Failing);
    failing.capabilities = Capabilities::by(|_| None);
    desk.tell("a", vec![failing], vec![]);
    let runs = [("r3", RunState::Running), ("r2", RunState::Failed), ("r1", RunState::Succeeded)];
    desk.event(Event::Runs {
        endpoint: "a".into(),
        task: None,
        result: Ok(runs.map(|(id, state)| run("one", id, state)).to_vec()),
    });
    desk.keys("4");
    let mut told = Vec::new();
    for _ in runs {
        let Some(RowKey::Run { run: Some(id), .. }) = desk.state.rows[&Screen::Runs].cursor.clone() else {
            panic!("no run is under the cursor")
        };
        let effects = desk.keys("r");
        told.push((id.to_string(), sent(&effects).len(), desk.says().to_owned()));
        desk.keys("j");
    }
    told.sort();
    let told: Vec<_> = told.iter().map(|(id, sent, says)| (id.as_str(), *sent, says.as_str())).collect();
    assert_eq!(
        told,
        [
            ("r1", 0, "retry: that run succeeded; trigger starts another"),
            ("r2", 1, "retry a/one#r2 …"),
            ("r3", 0, "retry: that run is still running"),
        ]
    );
}

#[test]
fn typing_a_filter_never_acts_on_rows() {
    let mut desk = Desk::one(&[("one", RUNNING), ("two", RUNNING)]);
    desk.keys("/ t x space q y p 1");
    assert_eq!(desk.effects, []);
    assert_eq!(desk.state.filter.input.text, "tx qyp1");
    assert!(desk.state.overlay.is_none() && desk.state.marks.is_empty());
    desk.keys("ctrl-u");
    assert!(desk.state.filter.editing);
    desk.keys("backspace");
    assert!(!desk.state.filter.editing, "backspace on nothing closes");
    assert_eq!(desk.state.tasks.len(), 2);
    desk.keys("/ t w o");
    assert_eq!(desk.state.tasks.len(), 1, "as you type");
    assert_eq!(desk.cursor(), "a/two");
    desk.keys("enter");
    assert_eq!((desk.state.filter.editing, desk.state.tasks.len()), (false, 1));
    desk.keys("/ esc");
    assert_eq!((desk.state.filter.input.text.as_str(), desk.state.tasks.len()), ("", 2));
    assert_eq!(desk.effects, []);
}

#[test]
fn a_filter_that_can_not_be_read_leaves_the_last_good_one() {
    let mut desk = Desk::one(&[("one", HEALTHY), ("two", HEALTHY)]);
    desk.keys("/ t w o");
    desk.event(Event::Paste(" p:x".into()));
    assert!(desk.state.filter.error.is_some());
    assert_eq!(desk.state.tasks.len(), 1);
    desk.keys("backspace backspace backspace backspace");
    assert_eq!(desk.state.filter.error, None);
}

#[test]
fn esc_goes_from_the_innermost_out() {
    let mut desk = Desk::one(&[("one", HEALTHY), ("other", HEALTHY)]);
    desk.keys("/ o enter space enter ?");
    assert!(desk.state.overlay.is_some() && desk.state.detail.is_some() && desk.state.marks.len() == 1);
    desk.keys("esc");
    assert!(desk.state.overlay.is_none() && desk.state.detail.is_some());
    desk.keys("esc");
    assert!(desk.state.detail.is_none() && desk.state.marks.len() == 1);
    desk.keys("esc");
    assert!(desk.state.marks.is_empty() && desk.state.filter.input.text == "o");
    desk.keys("esc");
    assert_eq!(desk.state.filter.input.text, "");
    assert_eq!(desk.effects.iter().filter(|effect| !matches!(effect, Effect::FetchRuns { .. })).count(), 0);
}

#[test]
fn esc_and_a_key_in_one_breath_are_two_keys() {
    let mut desk = Desk::one(&[("one", HEALTHY), ("other", HEALTHY)]);
    desk.keys("/ o t enter");
    assert_eq!(desk.state.filter.input.text, "ot");
    desk.keys("alt-/ n e");
    assert_eq!(desk.state.filter.input.text, "ne", "the filter was cleared and opened, nothing was acted on");
    assert!(desk.effects.is_empty());
}

#[test]
fn opening_the_runs_asks_who_answers() {
    let mut desk = Desk::one(&[("one", HEALTHY)]);
    let effects = desk.keys("4");
    assert_eq!(effects, [Effect::FetchRuns { endpoint: "a".into(), task: None, limit: 200 }]);
    assert_eq!(desk.keys("2"), []);
}

#[test]
fn columns_are_put_away_and_back_but_never_the_name() {
    let mut desk = Desk::one(&[("one", HEALTHY)]);
    desk.keys("w space j j space");
    assert!(desk.state.hidden.contains(&Column::State) && !desk.state.hidden.contains(&Column::Task));
    desk.keys("g space enter");
    assert!(desk.state.overlay.is_none());
    assert_eq!(desk.state.hidden, [Column::Class].into(), "which is away until it is asked for");
}

#[test]
fn the_palette_runs_what_is_typed_and_says_why_not() {
    let mut desk = Desk::one(&[("one", HEALTHY)]);
    desk.keys(": r u n s enter");
    assert_eq!(desk.state.screen, Screen::Runs);
    desk.keys("2 : r e t r y enter");
    assert_eq!(desk.says(), "retry: duplistatus has no retry; use trigger");
    desk.keys(": t r i g g e r");
    assert_eq!(sent(&desk.keys("enter")).len(), 1);
    desk.keys(": backspace");
    assert!(desk.state.overlay.is_none());
}

// --- quitting ---------------------------------------------------------------------

#[test]
fn quitting_asks_only_when_it_stops_something() {
    let mut desk = Desk::one(&[("one", RUNNING), ("two", HEALTHY)]);
    assert_eq!(desk.keys("q"), [Effect::AskQuit]);
    assert_eq!(desk.event(Event::QuitAsked { stops: None }), [Effect::Quit]);

    desk.event(Event::QuitAsked { stops: Some("a".into()) });
    let Some(Overlay::Quit { runs, .. }) = &desk.state.overlay else { panic!() };
    assert_eq!(runs, &[Clean::from("one")]);
    for stays in ["q", "x", "space"] {
        assert_eq!(desk.keys(stays), [], "{stays}");
        assert!(desk.state.overlay.is_some());
    }
    assert_eq!(desk.keys("n"), []);
    assert!(desk.state.overlay.is_none());
    desk.event(Event::QuitAsked { stops: Some("a".into()) });
    assert_eq!(desk.keys("y"), [Effect::Quit]);
}

#[test]
fn an_interrupt_twice_always_quits() {
    for opened in ["", "?", ":", "p", "x", "/ a", "enter", "w"] {
        let mut desk = Desk::one(&[("one", RUNNING)]);
        if !opened.is_empty() {
            desk.keys(opened);
        }
        assert_eq!(desk.keys("ctrl-c"), [Effect::AskQuit], "{opened}");
        desk.event(Event::QuitAsked { stops: Some("a".into()) });
        assert_eq!(desk.keys("ctrl-c"), [Effect::Quit], "{opened}");
    }
    let mut desk = Desk::one(&[]);
    assert_eq!(desk.keys("ctrl-c j ctrl-c"), [Effect::AskQuit, Effect::AskQuit], "not in a row");
    assert_eq!(desk.event(Event::Interrupted), [Effect::Quit]);
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

#[test]
fn the_detail_fetches_once_and_again_when_a_run_has_ended() {
    let mut desk = Desk::one(&[("one", RUNNING), ("two", HEALTHY)]);
    let fetch = Effect::FetchRuns { endpoint: "a".into(), task: Some("one".into()), limit: 200 };
    assert_eq!(desk.keys("enter"), std::slice::from_ref(&fetch));
    let runs = || Event::Runs {
        endpoint: "a".into(),
        task: Some("one".into()),
        result: Ok(vec![run("one", "one-1", RunState::Running), run("one", "one-0", RunState::Failed)]),
    };
    assert_eq!(desk.event(runs()), []);
    assert_eq!(desk.keys("right j"), []);
    assert_eq!(desk.state.detail.as_ref().unwrap().run, Some("one-0".into()));
    let mut ended = task("one", HEALTHY);
    ended.last_run = Some(run("one", "one-1", RunState::Succeeded));
    assert_eq!(desk.tell("a", vec![ended.clone(), task("two", HEALTHY)], vec![]), [fetch]);
    ended.name = "renamed".into();
    assert_eq!(desk.tell("a", vec![ended, task("two", HEALTHY)], vec![]), [], "once");
    assert_eq!(desk.state.detail.as_ref().unwrap().run, Some("one-0".into()), "the cursor stays on its run");
    desk.poll("a", &[("two", HEALTHY)]);
    assert!(desk.state.detail.is_none());
    assert_eq!(desk.says(), "a/one is gone");
}

#[test]
fn a_log_is_followed_piece_by_piece_with_one_in_flight() {
    let mut desk = Desk::one(&[("one", RUNNING)]);
    let ask = |offset| Effect::FetchLog { endpoint: "a".into(), of: of("one-1"), offset };
    assert!(desk.keys("L").contains(&ask(0)));
    assert_eq!(desk.pass(TimeDelta::seconds(1)), [], "one is on its way");
    assert_eq!(desk.event(log(0, "first\nsec", false)), []);
    assert_eq!(lines(&desk), ["first", "sec"]);
    assert_eq!(next_tick(&desk.state, &desk.fleet), Some(desk.now + TimeDelta::milliseconds(500)));
    assert_eq!(desk.pass(TimeDelta::milliseconds(499)), []);
    assert_eq!(desk.pass(TimeDelta::milliseconds(1)), [ask(9)]);
    desk.event(log(0, "stale", false));
    desk.event(Event::Log { endpoint: "a".into(), of: of("other"), offset: 9, result: Err("x".into()) });
    desk.event(Event::Log { endpoint: "b".into(), of: of("one-1"), offset: 9, result: Err("x".into()) });
    assert_eq!(lines(&desk), ["first", "sec"], "answers to other questions are dropped");
    desk.event(log(9, "ond\n", false));
    assert_eq!(lines(&desk), ["first", "second"], "a line that was cut is joined");
    desk.event(log(9, "ond\n", false));
    assert_eq!(lines(&desk), ["first", "second"], "twice is once");
    assert_eq!(desk.pass(TimeDelta::milliseconds(500)), [ask(13)]);
    desk.state.dirty = false;
    desk.event(log(13, "", false));
    assert!(!desk.state.dirty, "nothing new is no frame");
    assert_eq!(desk.pass(TimeDelta::milliseconds(500)), [ask(13)]);
    desk.event(log(13, "end\n", true));
    assert_eq!(desk.pass(TimeDelta::seconds(5)), [], "nothing follows");
    assert_eq!(desk.keys("y"), [Effect::Copy("first\nsecond\nend\n".into())]);
}

#[test]
fn a_long_log_is_bounded_read_on_at_once_and_scrolls() {
    let mut desk = Desk::one(&[("one", RUNNING)]);
    desk.keys("L");
    let text = "line\n".repeat(12_000);
    let effects = desk.event(log(0, &text, false));
    assert!(matches!(effects[..], [Effect::FetchLog { offset: 60_000, .. }]));
    let detail = desk.state.detail.as_ref().unwrap();
    let shown = detail.log.as_ref().unwrap();
    assert_eq!((shown.lines.len(), shown.dropped_lines), (10_000, 2_000));
    assert_eq!(detail.top, 10_000 - 18, "the end is followed");
    desk.keys("k");
    assert_eq!(desk.state.detail.as_ref().unwrap().top, 10_000 - 19);
    assert!(!desk.state.detail.as_ref().unwrap().log.as_ref().unwrap().follow);
    desk.event(log(60_000, "more\n", true));
    assert_eq!(desk.state.detail.as_ref().unwrap().top, 10_000 - 20, "what is read stays where it is");
    desk.keys("f");
    assert_eq!(desk.state.detail.as_ref().unwrap().top, 10_000 - 18);
}

#[test]
fn a_log_that_can_not_be_read_is_not_asked_for_for_ever() {
    let mut desk = Desk::one(&[("one", RUNNING)]);
    desk.keys("L");
    desk.event(Event::Log {
        endpoint: "a".into(),
        of: of("one-1"),
        offset: 0,
        result: Err("no logs".into()),
    });
    assert_eq!(desk.pass(TimeDelta::seconds(10)), []);
    assert!(desk.keys("R").iter().any(|effect| matches!(effect, Effect::FetchLog { offset: 0, .. })));
}

#[test]
fn a_log_is_read_on_when_its_endpoint_answers_again() {
    let mut desk = Desk::one(&[("one", RUNNING)]);
    desk.keys("L");
    desk.event(log(0, "first\n", false));
    desk.pass(TimeDelta::seconds(1));
    let lost = Event::Log { endpoint: "a".into(), of: of("one-1"), offset: 6, result: Err("reset".into()) };
    desk.event(lost);
    assert_eq!(lines(&desk), ["first"], "what was read stays");
    let failure = Failure { health: Health::Down, reason: "reset".into(), tries: 1, next_try: desk.now };
    desk.event(Event::Failed { endpoint: "a".into(), failure });
    assert_eq!(desk.pass(TimeDelta::seconds(10)), []);
    let ask = Effect::FetchLog { endpoint: "a".into(), of: of("one-1"), offset: 6 };
    assert!(desk.poll("a", &[("one", RUNNING)]).contains(&ask));
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
