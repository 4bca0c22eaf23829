//! Intents: who is asked first, what is sent, what is told of it.

use super::*;

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
