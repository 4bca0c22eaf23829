//! Commands that one system has: palette, form, question, dry run.

use super::*;
use crate::model::{Arguments, Input, Payload};

/// Opens the palette and runs what is typed.
fn run_named(desk: &mut Desk, name: &str) -> Vec<Effect> {
    desk.keys(":");
    desk.type_in(name);
    desk.keys("enter")
}

fn form(desk: &Desk) -> &crate::console::state::Form {
    match &desk.state.overlay {
        Some(Overlay::Form(form)) => form,
        other => panic!("{other:?}, message {:?}", desk.says()),
    }
}

fn values(desk: &Desk) -> Vec<&str> {
    form(desk).fields.iter().map(|field| field.input.text.as_str()).collect()
}

fn errors(desk: &Desk) -> Vec<Option<&str>> {
    form(desk).fields.iter().map(|field| field.error.as_deref()).collect()
}

#[test]
fn commands_of_the_system_under_the_cursor_are_in_palette_and_help() {
    let desk = Desk::of(Kind::Rediacc, Guard::Confirm, &[("one", HEALTHY)]);
    let named =
        |hints: &[hints::Hint]| -> Vec<&str> { hints.iter().map(|hint| hint.choice.name()).collect() };
    let all = hints::palette(&desk.state, &desk.fleet, "");
    let names = named(&all);
    let at = |name: &str| names.iter().position(|other| *other == name);
    assert!(
        at("reload-config") < at("rediacc:create") && at("rediacc:delete") < at("move-down"),
        "{names:?}"
    );
    assert_eq!(at("duty-duck:finish"), None, "another system's");
    let help = hints::help(&desk.state, &desk.fleet);
    assert_eq!(named(&help)[help.len() - 3..], ["rediacc:create", "rediacc:delete", "rediacc:revoke"]);
    assert_eq!(named(&hints::palette(&desk.state, &desk.fleet, "delete"))[0], "rediacc:delete");
    assert_eq!(named(&hints::palette(&desk.state, &desk.fleet, "rediacc:cr"))[0], "rediacc:create");
}

#[test]
fn a_command_that_is_refused_is_greyed_and_says_why() {
    let mut desk = Desk::of(Kind::Rediacc, Guard::Confirm, &[("one", HEALTHY)]);
    let why = "it runs: cancel it first";
    let capabilities = Capabilities::by(|_| None).with([(Command::RediaccDelete, Some(Clean::line(why)))]);
    desk.tell("a", vec![Task { capabilities, ..task("one", HEALTHY) }], vec![]);
    let delete = &hints::palette(&desk.state, &desk.fleet, "rediacc:delete")[0];
    assert_eq!(delete.refusal.as_deref(), Some(why));
    assert_eq!(run_named(&mut desk, "rediacc:delete"), []);
    assert_eq!(desk.says(), format!("rediacc:delete: {why}"));
    // What is aimed at a task has no place where an endpoint is chosen.
    desk.keys("7");
    assert_eq!(run_named(&mut desk, "rediacc:delete"), []);
    assert_eq!(desk.says(), "rediacc:delete: an endpoint is chosen, not a task");
    assert!(desk.state.overlay.is_none());
}

#[test]
fn a_command_without_inputs_follows_the_confirm_policy() {
    for (guard, command, asks) in [
        (Guard::None, "rediacc:delete", None),
        (Guard::Confirm, "rediacc:delete", Some(None)),
        (Guard::Typed, "rediacc:delete", Some(Some("rediacc:delete 1"))),
        (Guard::Confirm, "rediacc:revoke", Some(None)),
    ] {
        let mut desk = Desk::of(Kind::Rediacc, guard, &[("one", HEALTHY)]);
        let effects = run_named(&mut desk, command);
        match asks {
            None => assert_eq!(sent(&effects).len(), 1, "{guard} {command}"),
            Some(typed) => {
                assert!(matches!(effects[..], [Effect::Preview(_), Effect::Foresee(_)]), "{effects:?}");
                assert_eq!(desk.confirm().typed.as_ref().map(|(wanted, _)| wanted.as_str()), typed);
                assert_eq!(sent(&desk.keys("enter")), [] as [&Draft; 0], "Enter is No, or nothing is typed");
            }
        }
    }
    // A write on one target is sent, on several it is asked for.
    let mut desk = Desk::of(Kind::DutyDuck, Guard::Confirm, &[("one", HEALTHY), ("two", HEALTHY)]);
    let effects = run_named(&mut desk, "duty-duck:start");
    assert_eq!(sent(&effects)[0].targets[0].to_string(), "a/one");
    desk.keys("*");
    run_named(&mut desk, "duty-duck:start");
    assert_eq!(desk.confirm().draft.targets.len(), 2);
    // A read-only endpoint takes none.
    let mut desk = Desk::of(Kind::DutyDuck, Guard::ReadOnly, &[("one", HEALTHY)]);
    assert_eq!(run_named(&mut desk, "duty-duck:start"), []);
    assert!(desk.says().contains("read-only"), "{}", desk.says());
}

#[test]
fn a_command_on_the_endpoint_takes_it_from_any_of_its_rows() {
    for screen in ["2", "7"] {
        let mut desk = Desk::of(Kind::Duplistatus, Guard::Confirm, &[("one", HEALTHY)]);
        desk.keys(screen);
        let effects = run_named(&mut desk, "check-now");
        let [draft] = sent(&effects)[..] else { panic!("{screen}: {effects:?}, {}", desk.says()) };
        assert_eq!(draft.deed, Command::DuplistatusCheckNow);
        assert_eq!(draft.targets, [Target::endpoint("a".into())]);
    }
}

#[test]
fn what_a_command_takes_is_typed_cycled_and_checked_in_place() {
    let mut desk = Desk::of(Kind::DutyDuck, Guard::Confirm, &[("one", RUNNING)]);
    assert_eq!(run_named(&mut desk, "duty-duck:finish"), []);
    // Sent too early: what is needed is said, and chosen.
    desk.keys("tab tab");
    assert_eq!(desk.keys("enter"), []);
    assert_eq!((form(&desk).selected, errors(&desk)), (0, vec![Some("is needed"), None, None]));
    desk.keys("right");
    assert_eq!((values(&desk)[0], errors(&desk)[0]), ("success", None));
    desk.keys("right space left ctrl-u f tab");
    assert_eq!(values(&desk)[0], "failure", "the one word that begins so");
    desk.keys("3 0 0 down");
    assert_eq!(errors(&desk)[1], Some("must be a whole number from 0 to 255, not \"300\""));
    desk.keys("up backspace enter");
    assert_eq!((errors(&desk)[1], form(&desk).selected), (None, 2));
    desk.type_in("disk full");
    let effects = desk.keys("enter");
    let [draft] = sent(&effects)[..] else { panic!("{effects:?}") };
    let inputs: Vec<_> =
        draft.arguments.inputs.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    assert_eq!(
        inputs,
        [
            ("exit-code", Input::Text("30".into())),
            ("message", Input::Text("disk full".into())),
            ("outcome", Input::Text("failure".into())),
        ]
    );
    assert!(desk.state.overlay.is_none());
}

#[test]
fn a_form_is_left_with_esc_and_sent_from_anywhere_with_ctrl_enter() {
    let mut desk = Desk::of(Kind::DutyDuck, Guard::Confirm, &[("one", RUNNING)]);
    run_named(&mut desk, "duty-duck:finish");
    desk.keys("right esc");
    assert!(desk.state.overlay.is_none());
    assert_eq!(desk.says(), "duty-duck:finish: nothing was sent");
    for key in ["ctrl-enter", "ctrl-j"] {
        run_named(&mut desk, "duty-duck:finish");
        let effects = desk.keys(&format!("right {key}"));
        assert_eq!(sent(&effects).len(), 1, "{key}");
    }
    // Typing acts on nothing else.
    run_named(&mut desk, "duty-duck:comment");
    assert_eq!(desk.type_in("tx qpy1?:/"), []);
    assert_eq!(values(&desk), ["tx qpy1?:/"]);
    desk.event(Event::Paste(" and\u{1b}[31m more\n".into()));
    assert_eq!(values(&desk), ["tx qpy1?:/ and more "]);
    let effects = desk.keys("enter");
    assert_eq!(sent(&effects)[0].arguments.inputs["text"], Input::Text("tx qpy1?:/ and more".into()));
}

fn create(desk: &mut Desk) -> Vec<Effect> {
    run_named(desk, "rediacc:create");
    desk.type_in("Private Team");
    desk.keys("tab");
    desk.type_in("Global Bridges");
    desk.keys("tab tab tab");
    desk.type_in("~/item.json");
    desk.keys("enter")
}

#[test]
fn a_payload_is_read_from_a_file_before_anything_is_sent_and_shown_nowhere() {
    let mut desk = Desk::of(Kind::Rediacc, Guard::Confirm, &[("one", HEALTHY)]);
    assert_eq!(create(&mut desk), [Effect::ReadFile("~/item.json".into())]);
    assert_eq!(desk.keys("x enter tab"), [], "it waits");
    let read = |path: &str, result| Event::FileRead { path: path.into(), result };
    desk.event(read("~/other.json", Err("no such file".into())));
    assert!(form(&desk).files.is_some(), "an answer to another question");
    desk.event(read("~/item.json", Err("/home/ana/item.json: No such file".into())));
    assert_eq!(errors(&desk)[4], Some("/home/ana/item.json: No such file"));
    assert_eq!(desk.keys("enter"), [Effect::ReadFile("~/item.json".into())], "once more");
    let payload = Payload::new(b"{\"password\":\"hunter2\"}".to_vec(), "abc123");
    let effects = desk.event(read("~/item.json", Ok(payload.clone())));
    let [draft] = sent(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!(draft.targets, [Target::endpoint("a".into())]);
    assert_eq!(draft.arguments.inputs["payload"], Input::Payload(payload));
    assert_eq!(draft.arguments.inputs.len(), 3, "what was left out is left out");
    assert!(!format!("{:?} {:?}", desk.state, desk.effects).contains("hunter2"));

    // Closed while the file was read: nothing is sent.
    create(&mut desk);
    desk.keys("esc");
    let late = Payload::new(b"{}".to_vec(), "def");
    assert_eq!(desk.event(read("~/item.json", Ok(late))), []);
}

#[test]
fn what_would_be_done_is_foreseen_in_the_question_and_never_waited_for() {
    let mut desk = Desk::of(Kind::Rediacc, Guard::Confirm, &[("one", HEALTHY), ("two", HEALTHY)]);
    desk.keys("*");
    let effects = run_named(&mut desk, "rediacc:delete");
    let [Effect::Preview(draft), Effect::Foresee(asked)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(draft, asked);
    let draft = draft.clone();
    let other = Draft {
        arguments: Arguments { note: Some("other".into()), ..Arguments::default() },
        ..draft.clone()
    };
    desk.state.dirty = false;
    desk.event(Event::Foreseen { draft: other, lines: vec![Ok(Some("x".into())); 2] });
    desk.event(Event::Foreseen { draft: draft.clone(), lines: vec![Ok(None), Ok(None)] });
    assert!(!desk.state.dirty, "nothing that is shown");
    let told = |desk: &Desk| -> Vec<_> {
        desk.confirm().groups[0].will.iter().map(|planned| planned.foreseen.clone()).collect()
    };
    assert_eq!(told(&desk), [None, None]);
    let lines = vec![Ok(Some("would delete 3 rows".into())), Err("timed out".into())];
    desk.event(Event::Foreseen { draft: draft.clone(), lines });
    assert_eq!(told(&desk), [Some(Ok("would delete 3 rows".into())), Some(Err("timed out".into()))]);
    assert!(desk.state.dirty);
    assert_eq!(sent(&desk.keys("y")).len(), 1);
    desk.event(Event::Foreseen { draft, lines: vec![Ok(Some("late".into())); 2] });
    assert!(desk.state.overlay.is_none());
}

#[test]
fn a_receipt_of_a_command_is_told_as_that_of_a_verb() {
    let mut desk = Desk::of(Kind::Rediacc, Guard::None, &[("one", HEALTHY)]);
    let effects = run_named(&mut desk, "rediacc:delete");
    let target = sent(&effects)[0].targets[0].clone();
    let receipt = |stage| Receipt {
        intent: IntentId(Uuid::from_u128(1)),
        deed: Command::RediaccDelete.into(),
        target: target.clone(),
        stage,
        at: t0(),
        sent: t0(),
        message: None,
        run: None,
        priority: None,
    };
    desk.event(Event::Receipt(receipt(Stage::Accepted)));
    assert_eq!(desk.says(), "rediacc:delete a/one: accepted, not yet observed");
    assert_eq!(desk.fleet.task(&TaskKey::new(&"a".into(), &"one".into())).unwrap().receipts.len(), 1);
}

#[test]
fn an_alert_is_acknowledged_with_one_key_and_observed_when_somebody_has_it() {
    let mut desk = Desk::of(Kind::DutyDuck, Guard::Confirm, &[("one", TaskState::Failing)]);
    let told = |taken: bool| {
        let failing = Task { capabilities: Capabilities::by(|_| None), ..task("one", TaskState::Failing) };
        (vec![failing], vec![alert("one", taken)])
    };
    let (tasks, alerts) = told(false);
    desk.tell("a", tasks, alerts);
    desk.keys("1");
    let effects = desk.keys("a");
    let [draft] = sent(&effects)[..] else { panic!("{effects:?}, {}", desk.says()) };
    assert_eq!((draft.deed, draft.targets[0].to_string()), (Verb::Acknowledge.into(), "a/one".to_owned()));
    let intent = IntentId(Uuid::from_u128(1));
    let receipt = Receipt {
        intent,
        deed: Verb::Acknowledge.into(),
        target: draft.targets[0].clone(),
        stage: Stage::Accepted,
        at: desk.now,
        sent: desk.now,
        message: None,
        run: None,
        priority: None,
    };
    desk.event(Event::Receipt(receipt));
    desk.now += TimeDelta::seconds(5);
    let (tasks, alerts) = told(false);
    desk.tell("a", tasks, alerts);
    assert!(desk.says().contains("accepted"), "{}", desk.says());
    desk.now += TimeDelta::seconds(5);
    let (tasks, alerts) = told(true);
    let effects = desk.tell("a", tasks, alerts);
    assert_eq!(desk.says(), "✓ acknowledge a/one observed after 10 s");
    let recorded = effects
        .iter()
        .any(|effect| matches!(effect, Effect::Record(receipts) if receipts[0].stage == Stage::Observed));
    assert!(recorded, "{effects:?}");
    assert_eq!(desk.fleet.alerts()[0].alert.acknowledged_by.as_deref(), Some("me"));
}

#[test]
fn n_asks_for_a_command_and_sends_it_through_the_same_path() {
    let mut desk = Desk::of(Kind::Vigie, Guard::Confirm, &[("one", HEALTHY)]);
    assert_eq!(desk.keys("n"), []);
    assert_eq!(form(&desk).command, Command::VigieSubmit);
    // What is wrong is said beside its field, and nothing is sent.
    desk.type_in("pg_dump shop | gzip");
    assert_eq!(desk.keys("tab"), []);
    assert!(errors(&desk)[0].unwrap().contains("is for a shell"), "{:?}", errors(&desk));
    desk.keys("y");
    desk.keys("tab");
    assert_eq!((values(&desk)[1], errors(&desk)[0]), ("yes", None), "a shell has its own words");
    desk.keys("backtab");
    desk.keys("left");
    desk.keys("tab");
    assert!(errors(&desk)[0].is_some(), "{:?}", values(&desk));
    desk.keys("backtab");
    desk.keys("left");
    for text in ["Dump", "", "data", "1", "3", "30s", "1h", "A=1", "", "/tmp"] {
        desk.keys("tab");
        desk.type_in(text);
    }
    let sent = desk.keys("enter");
    let [Effect::Send(draft)] = &sent[..] else { panic!("{sent:?} {:?}", errors(&desk)) };
    assert_eq!((draft.deed, draft.targets.len()), (Command::VigieSubmit.into(), 1));
    let text = |name: &str| match &draft.arguments.inputs[name] {
        Input::Text(text) => text.to_string(),
        Input::Payload(_) => String::new(),
    };
    assert_eq!((text("command"), text("shell")), ("pg_dump shop | gzip".to_owned(), "yes".to_owned()));
    assert_eq!((text("name"), text("priority"), text("retry")), ("Dump".into(), "1".into(), "3".into()));
    assert!(!draft.arguments.inputs.contains_key("machine"), "what is left out is not sent");
}

#[test]
fn n_is_greyed_with_the_reason_where_nobody_takes_work() {
    let mut desk = Desk::of(Kind::Rediacc, Guard::Confirm, &[("one", HEALTHY)]);
    let why = hints::refusal(&desk.state, &desk.fleet, Action::NewTask).unwrap();
    assert_eq!(why, "no endpoint here takes work: only a coordinator of vigie's does");
    assert_eq!(desk.keys("n"), []);
    assert_eq!(desk.says(), format!("new-task: {why}"));
    let mut desk = Desk::of(Kind::Vigie, Guard::Confirm, &[("one", HEALTHY)]);
    desk.state.read_only = true;
    assert_eq!(
        hints::refusal(&desk.state, &desk.fleet, Action::NewTask).unwrap(),
        "this console is read-only"
    );
    assert_eq!(desk.keys("n"), []);
}

#[test]
fn the_endpoint_of_a_new_task_is_chosen_in_the_form() {
    let mut desk =
        Desk::new(&[("a", Guard::Confirm, &[("one", HEALTHY)]), ("b", Guard::Typed, &[("two", HEALTHY)])]);
    let can = || Capabilities::by(|_| None).with([(Command::VigieSubmit, None)]);
    for name in ["a", "b"] {
        desk.event(Event::Described { endpoint: name.into(), url: None, capabilities: can() });
    }
    let to = |desk: &Desk| form(desk).targets[0].endpoint.to_string();
    desk.keys("j n");
    assert_eq!(to(&desk), "b", "the one under the cursor first");
    desk.keys("pagedown");
    assert_eq!(to(&desk), "a");
    desk.keys("pageup pageup");
    assert_eq!(to(&desk), "a");
    desk.keys("pagedown");
    desk.type_in("true");
    let sent = desk.keys("ctrl-j");
    // Its guard asks only for what is destructive or bulk.
    let [Effect::Send(draft)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(draft.targets[0].endpoint.to_string(), "b");
}
