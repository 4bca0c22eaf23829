//! Receipts until they are observed, histories, and what is bounded.

use chrono::TimeDelta;
use uuid::Uuid;

use super::build::*;
use crate::fleet::{Fleet, MAX_RECEIPTS, MAX_RUNS_PER_ENDPOINT, MAX_RUNS_PER_TASK, MAX_SERIES};
use crate::model::{
    Alert, AlertKind, Command, IntentId, Part, Priority, Receipt, Run, RunState, Severity, Snapshot, Stage,
    Target, Task, TaskState, Verb,
};

fn intent(number: u128) -> IntentId {
    IntentId(Uuid::from_u128(number))
}

/// Sent at second 10, accepted at 11.
fn accepted(verb: Verb) -> Receipt {
    Receipt {
        intent: intent(1),
        deed: verb.into(),
        target: Target::task(&key("a", "x"), TaskState::Healthy),
        stage: Stage::Accepted,
        at: at(11),
        sent: at(10),
        message: None,
        run: None,
        priority: None,
    }
}

fn stage(fleet: &Fleet) -> Option<Stage> {
    fleet.task(&key("a", "x")).unwrap().receipts.last().map(|receipt| receipt.stage)
}

fn with_runs(active: Vec<Run>, last: Option<Run>) -> Task {
    Task { active_runs: active, last_run: last, ..task("x") }
}

/// A fleet that read `before`, then got the receipt; then `after` is read at second 12.
fn observe(receipt: &Receipt, before: Task, after: Task) -> Option<Stage> {
    let mut fleet = fleet(&["a"]);
    fleet.apply(&name("a"), poll(9, vec![before]), at(9));
    let delta = fleet.note_receipt(receipt.clone(), at(11));
    assert_eq!(delta.changed, [key("a", "x")], "a mark stands beside the row");
    assert_eq!(stage(&fleet), Some(receipt.stage));
    let delta = fleet.apply(&name("a"), poll(12, vec![after]), at(12));
    let observed = stage(&fleet) == Some(Stage::Observed);
    assert_eq!(delta.receipts.len(), usize::from(observed));
    stage(&fleet)
}

#[test]
fn every_verb_is_observed_by_its_effect_and_by_nothing_else() {
    let (yes, no) = (Some(Stage::Observed), Some(Stage::Accepted));
    let waiting = || run("x", "r1", RunState::Queued, 5);
    let running = || run("x", "r1", RunState::Running, 5);
    let started = |second| run("x", "r2", RunState::Running, second);
    let ended = |second| run("x", "r2", RunState::Succeeded, second);
    let bare = |run: Run| Run { id: None, ..run };
    let paused = || Task { paused: true, ..task("x") };
    let one = Priority::new(1).ok();
    let named = |verb| Receipt { run: Some("r2".into()), ..accepted(verb) };
    let plain = || task("x");
    let table: Vec<(&str, Receipt, Task, Task, Option<Stage>)> = vec![
        ("named run seen", named(Verb::Trigger), plain(), with_runs(vec![started(11)], None), yes),
        ("named run seen ended", named(Verb::Trigger), plain(), with_runs(vec![], Some(ended(11))), yes),
        ("another run", named(Verb::Trigger), plain(), with_runs(vec![running()], None), no),
        ("run since", accepted(Verb::Trigger), plain(), with_runs(vec![bare(started(11))], None), yes),
        ("end since", accepted(Verb::Trigger), plain(), with_runs(vec![], Some(bare(ended(9)))), yes),
        ("run before", accepted(Verb::Trigger), plain(), with_runs(vec![], Some(bare(ended(4)))), no),
        ("retried", named(Verb::Retry), plain(), with_runs(vec![started(11)], None), yes),
        ("paused", accepted(Verb::Pause), plain(), paused(), yes),
        ("not paused", accepted(Verb::Pause), plain(), plain(), no),
        ("resumed", accepted(Verb::Resume), paused(), plain(), yes),
        ("still paused", accepted(Verb::Resume), paused(), paused(), no),
        ("cancelled", accepted(Verb::Cancel), with_runs(vec![running()], None), plain(), yes),
        (
            "still running",
            accepted(Verb::Cancel),
            with_runs(vec![running()], None),
            with_runs(vec![running()], None),
            no,
        ),
        (
            "reprioritised",
            Receipt { priority: one, ..accepted(Verb::Reprioritise) },
            with_runs(vec![waiting()], None),
            with_runs(vec![Run { priority: one, ..waiting() }], None),
            yes,
        ),
        (
            "as it was",
            Receipt { priority: one, ..accepted(Verb::Reprioritise) },
            with_runs(vec![waiting()], None),
            with_runs(vec![waiting()], None),
            no,
        ),
        ("archived", accepted(Verb::Archive), plain(), Task { archived: true, ..plain() }, yes),
        ("kept", accepted(Verb::Archive), plain(), plain(), no),
        (
            "lost answer, seen effect",
            Receipt { stage: Stage::Unknown, ..accepted(Verb::Pause) },
            plain(),
            paused(),
            yes,
        ),
        (
            "lost answer, no effect",
            Receipt { stage: Stage::Unknown, ..accepted(Verb::Pause) },
            plain(),
            plain(),
            Some(Stage::Unknown),
        ),
        (
            "not yet answered",
            Receipt { stage: Stage::Sent, ..accepted(Verb::Pause) },
            plain(),
            paused(),
            Some(Stage::Sent),
        ),
    ];
    for (what, receipt, before, after, expected) in table {
        assert_eq!(observe(&receipt, before, after), expected, "{what}");
    }
}

#[test]
fn every_command_is_observed_by_its_effect_where_it_has_one() {
    let (yes, no) = (Some(Stage::Observed), Some(Stage::Accepted));
    let of = |command: Command| Receipt { deed: command.into(), ..accepted(Verb::Trigger) };
    let running = |second| with_runs(vec![run("x", "r1", RunState::Running, second)], None);
    let plain = || task("x");
    let runs = || Task { state: Some(TaskState::Running), ..plain() };
    for (what, receipt, before, after, expected) in [
        ("started", of(Command::DutyDuckStart), plain(), running(11), yes),
        ("runs, by its word alone", of(Command::DutyDuckStart), plain(), runs(), yes),
        ("not started", of(Command::DutyDuckStart), plain(), plain(), no),
        ("finished", of(Command::DutyDuckFinish), running(5), plain(), yes),
        ("still running", of(Command::DutyDuckFinish), running(5), running(5), no),
        ("still there", of(Command::RediaccDelete), plain(), plain(), no),
        ("commented", of(Command::DutyDuckComment), plain(), plain(), yes),
        ("collected", of(Command::DuplistatusCollect), plain(), plain(), yes),
        (
            "commented, the answer lost",
            Receipt { stage: Stage::Unknown, ..of(Command::DutyDuckComment) },
            plain(),
            plain(),
            Some(Stage::Unknown),
        ),
        (
            "retried in the same run, not yet",
            Receipt { run: Some("r1".into()), ..accepted(Verb::Retry) },
            with_runs(vec![], Some(run("x", "r1", RunState::Failed, 1))),
            with_runs(vec![], Some(run("x", "r1", RunState::Failed, 1))),
            no,
        ),
        (
            "retried in the same run",
            Receipt { run: Some("r1".into()), ..accepted(Verb::Retry) },
            with_runs(vec![], Some(run("x", "r1", RunState::Failed, 1))),
            with_runs(vec![run("x", "r1", RunState::Queued, 1)], None),
            yes,
        ),
    ] {
        assert_eq!(observe(&receipt, before, after), expected, "{what}");
    }
}

#[test]
fn what_is_deleted_is_gone_and_what_is_created_is_there() {
    let mut fleet = fleet(&["a"]);
    fleet.apply(&name("a"), poll(9, vec![task("x")]), at(9));
    let deleted = Receipt { deed: Command::RediaccDelete.into(), ..accepted(Verb::Trigger) };
    let created = Receipt {
        intent: intent(2),
        deed: Command::RediaccCreate.into(),
        target: Target::endpoint(name("a")),
        run: Some("y".into()),
        ..accepted(Verb::Trigger)
    };
    let lost = Receipt { intent: intent(3), stage: Stage::Unknown, run: None, ..created.clone() };
    for receipt in [&deleted, &created, &lost] {
        fleet.note_receipt((*receipt).clone(), at(11));
    }
    let delta = fleet.apply(&name("a"), poll(12, vec![task("x")]), at(12));
    assert!(delta.receipts.is_empty(), "{delta:?}");
    let delta = fleet.apply(&name("a"), poll(13, vec![task("y")]), at(13));
    let mut moved: Vec<_> = delta.receipts.iter().map(|receipt| (receipt.deed, receipt.stage)).collect();
    moved.sort();
    assert_eq!(moved, [(created.deed, Stage::Observed), (deleted.deed, Stage::Observed)]);
    let stages: Vec<_> = fleet.receipts().into_iter().map(|receipt| receipt.stage).collect();
    assert_eq!(stages[0], Stage::Unknown, "a lost answer is shown by nothing, and stays so");
}

#[test]
fn one_run_of_several_is_cancelled() {
    let runs = |states: [RunState; 2]| {
        let runs = [("r1", states[0]), ("r2", states[1])].map(|(id, state)| run("x", id, state, 5));
        runs.into_iter().filter(|run| !run.state.is_ended()).collect::<Vec<_>>()
    };
    let mut receipt = accepted(Verb::Cancel);
    receipt.target.run = Some("r2".into());
    let before = with_runs(runs([RunState::Running, RunState::Running]), None);
    let mut after = with_runs(runs([RunState::Running, RunState::Aborted]), None);
    assert_eq!(observe(&receipt, before.clone(), before.clone()), Some(Stage::Accepted));
    after.last_run = Some(run("x", "r2", RunState::Aborted, 5));
    assert_eq!(observe(&receipt, before, after), Some(Stage::Observed));
}

#[test]
fn what_is_said_of_alerts_is_observed_on_the_alert() {
    let mut fleet = fleet(&["a"]);
    let alert = Alert {
        task: Some("x".into()),
        queue: None,
        kind: AlertKind::Failed,
        severity: Severity::Critical,
        since: at(0),
        summary: "exit 1".into(),
        acknowledged_by: None,
        silenced_until: None,
        handling: None,
    };
    let answer = |second, alert: Alert| Snapshot {
        alerts: Part::complete(vec![alert]),
        ..poll(second, vec![task("x")])
    };
    fleet.apply(&name("a"), answer(9, alert.clone()), at(9));
    fleet.note_receipt(accepted(Verb::Acknowledge), at(11));
    fleet.apply(&name("a"), answer(12, alert.clone()), at(12));
    assert_eq!(stage(&fleet), Some(Stage::Accepted));
    fleet.apply(&name("a"), answer(13, Alert { acknowledged_by: Some("me".into()), ..alert }), at(13));
    assert_eq!(stage(&fleet), Some(Stage::Observed));
}

#[test]
fn what_the_opposite_has_overtaken_is_not_waited_for() {
    let one = |number: u128, verb, second| Receipt {
        intent: intent(number),
        at: at(second),
        sent: at(second),
        ..accepted(verb)
    };
    for (older, newer, overtaken) in [
        (Verb::Pause, Verb::Resume, true),
        (Verb::Resume, Verb::Pause, true),
        (Verb::Archive, Verb::Resume, true),
        (Verb::Reprioritise, Verb::Reprioritise, true),
        (Verb::Pause, Verb::Trigger, false),
        (Verb::Pause, Verb::Pause, false),
    ] {
        let mut fleet = fleet(&["a"]);
        fleet.apply(&name("a"), poll(9, vec![task("x")]), at(9));
        fleet.note_receipt(one(1, older, 11), at(11));
        fleet.note_receipt(Receipt { stage: Stage::Sent, ..one(2, newer, 12) }, at(12));
        let beside = |fleet: &Fleet| fleet.task(&key("a", "x")).unwrap().receipts.len();
        assert_eq!(beside(&fleet), 2, "what has only left may still be refused");
        fleet.note_receipt(one(2, newer, 12), at(13));
        assert_eq!(beside(&fleet) == 1, overtaken, "{older}, then {newer}");
        let first = fleet.receipts().into_iter().find(|receipt| receipt.intent == intent(1)).unwrap();
        let says = first.message.as_ref().is_some_and(|message| message.contains("overtaken by"));
        assert_eq!((says, first.stage), (overtaken, Stage::Accepted), "nobody has seen its effect");
    }
}

#[test]
fn a_reload_is_observed_by_the_next_good_poll_and_stands_beside_the_endpoint() {
    let mut fleet = fleet(&["a"]);
    let reload = Receipt { target: Target::endpoint(name("a")), ..accepted(Verb::ReloadConfig) };
    assert_eq!(fleet.note_receipt(reload, at(11)).endpoints, [name("a")]);
    assert_eq!(fleet.endpoint(&name("a")).unwrap().receipts.len(), 1);
    let delta = fleet.apply(&name("a"), poll(12, vec![]), at(12));
    assert_eq!(delta.receipts[0].stage, Stage::Observed);
    assert!(fleet.tick(at(22)).endpoints.contains(&name("a")));
    assert!(fleet.endpoint(&name("a")).unwrap().receipts.is_empty());
}

#[test]
fn a_yes_without_effect_says_so_and_an_ended_receipt_leaves() {
    let mut fleet = fleet(&["a"]);
    fleet.apply(&name("a"), poll(9, vec![task("x")]), at(9));
    fleet.note_receipt(Receipt { message: Some("ok".into()), ..accepted(Verb::Pause) }, at(11));
    fleet.apply(&name("a"), poll(12, vec![task("x")]), at(12));
    fleet.apply(&name("a"), poll(13, vec![task("x")]), at(13));
    let message = |fleet: &Fleet| fleet.receipts()[0].message.clone().unwrap();
    assert_eq!(message(&fleet).as_str(), "ok", "two polls in two seconds prove nothing");
    let delta = fleet.apply(&name("a"), poll(21, vec![task("x")]), at(21));
    assert_eq!(delta.changed, [key("a", "x")]);
    assert_eq!(message(&fleet).as_str(), "accepted, but nothing changed (ok)");
    assert_eq!(stage(&fleet), Some(Stage::Accepted));
    fleet.apply(&name("a"), poll(30, vec![Task { paused: true, ..task("x") }]), at(30));
    assert_eq!((stage(&fleet), message(&fleet).as_str()), (Some(Stage::Observed), "ok"));
    // What comes late does not turn it back.
    assert!(fleet.note_receipt(accepted(Verb::Pause), at(31)).is_empty());
    assert_eq!(fleet.next_change(), Some(at(40)));
    fleet.apply(&name("a"), Snapshot::unchanged(at(39), 1), at(39));
    assert_eq!(stage(&fleet), Some(Stage::Observed));
    assert_eq!(fleet.tick(at(40)).changed, [key("a", "x")]);
    assert_eq!(stage(&fleet), None);
    assert_eq!(fleet.receipts().len(), 1, "the list keeps it");
}

#[test]
fn a_refusal_is_told_once_and_receipts_are_bounded() {
    let mut fleet = fleet(&["a"]);
    fleet.apply(&name("a"), poll(9, vec![task("x")]), at(9));
    let failed = Receipt { stage: Stage::Failed, ..accepted(Verb::Trigger) };
    assert_eq!(fleet.note_receipt(failed.clone(), at(11)).receipts, std::slice::from_ref(&failed));
    assert!(fleet.note_receipt(failed.clone(), at(11)).is_empty());
    for number in 2..2_000 {
        fleet.note_receipt(Receipt { intent: intent(number), ..failed.clone() }, at(11));
    }
    assert_eq!(fleet.receipts().len(), MAX_RECEIPTS);
    assert_eq!(fleet.receipts()[0].intent, intent(1_999));
    assert!(fleet.task(&key("a", "x")).unwrap().receipts.len() <= MAX_RECEIPTS);
}

#[test]
fn a_row_that_comes_back_has_its_receipts_again() {
    let mut fleet = fleet(&["a"]);
    fleet.apply(&name("a"), poll(9, vec![task("x")]), at(9));
    fleet.note_receipt(accepted(Verb::Pause), at(11));
    fleet.apply(&name("a"), poll(12, vec![]), at(12));
    assert_eq!(fleet.task_count(), 0);
    fleet.apply(&name("a"), poll(13, vec![task("x")]), at(13));
    assert_eq!(stage(&fleet), Some(Stage::Accepted));
}

#[test]
fn histories_grow_from_what_tasks_carry() {
    let mut fleet = fleet(&["a"]);
    for (second, id) in [(10, "r1"), (20, "r2"), (30, "r3")] {
        let last = run("x", id, RunState::Succeeded, second - 5);
        let delta = fleet.apply(&name("a"), poll(second, vec![with_runs(vec![], Some(last))]), at(second));
        assert!(delta.runs);
    }
    let ids =
        |runs: Vec<&Run>| runs.iter().map(|run| run.id.as_ref().unwrap().to_string()).collect::<Vec<_>>();
    assert_eq!(ids(fleet.runs_of(&key("a", "x"))), ["r3", "r2", "r1"]);
    assert_eq!(fleet.durations(&key("a", "x")), [2_000; 3]);
    // Fetched history comes beside it; what is known already counts once.
    let older = [("r0", -100), ("r1", 5)].map(|(id, second)| run("x", id, RunState::Succeeded, second));
    assert!(fleet.learn_runs(&name("a"), older.to_vec(), at(31)).runs);
    assert!(fleet.learn_runs(&name("a"), older.to_vec(), at(31)).is_empty());
    assert_eq!(ids(fleet.runs_of(&key("a", "x"))), ["r3", "r2", "r1", "r0"]);
    assert_eq!(fleet.runs(2).len(), 2);
    assert_eq!(fleet.runs(2)[0].run.id, Some("r3".into()));
    // A run in progress becomes the ended one, and comes before all while it runs.
    let running = run("x", "r4", RunState::Running, 2);
    fleet.apply(&name("a"), poll(32, vec![with_runs(vec![running], None)]), at(32));
    assert_eq!(fleet.runs(1)[0].run.id, Some("r4".into()));
    let gone = Snapshot { runs: Part::listed(vec![], vec!["r2".into()]), ..Snapshot::unchanged(at(33), 1) };
    fleet.apply(&name("a"), gone, at(33));
    assert!(!ids(fleet.runs_of(&key("a", "x"))).contains(&"r2".to_owned()));
}

#[test]
fn runs_without_id_are_told_apart_by_their_end() {
    let mut fleet = fleet(&["a"]);
    let bare = |second| {
        let mut run = run("x", "", RunState::Succeeded, second);
        (run.id, run.started, run.duration_ms) = (None, None, None);
        run
    };
    for second in [10, 10, 20, 20, 30] {
        fleet.apply(
            &name("a"),
            poll(second + 5, vec![with_runs(vec![], Some(bare(second)))]),
            at(second + 5),
        );
    }
    let ends: Vec<_> = fleet.runs_of(&key("a", "x")).iter().map(|run| run.ended.unwrap()).collect();
    assert_eq!(ends, [at(32), at(22), at(12)]);
    // One in progress has no place in a history, but is shown.
    let active = Run { id: None, ..run("x", "", RunState::Running, 40) };
    fleet.apply(&name("a"), poll(41, vec![with_runs(vec![active], Some(bare(30)))]), at(41));
    assert_eq!(fleet.runs(10).len(), 4);
    assert_eq!(fleet.runs(10)[0].run.state, RunState::Running);
    assert_eq!(fleet.runs_of(&key("a", "x")).len(), 4);
    fleet.apply(&name("a"), poll(45, vec![with_runs(vec![], Some(bare(30)))]), at(45));
    assert_eq!(fleet.runs(10).len(), 3);
}

#[test]
fn histories_and_series_are_bounded() {
    let mut fleet = fleet(&["a"]);
    let tasks: Vec<Task> = (0..100).map(|i| task(&format!("t{i}"))).collect();
    fleet.apply(&name("a"), poll(0, tasks), at(0));
    for round in 0..120i64 {
        let runs = (0..100)
            .map(|i| run(&format!("t{i}"), &format!("{i}-{round}"), RunState::Succeeded, round * 60 + i))
            .collect();
        let snapshot =
            Snapshot { runs: Part::listed(runs, vec![]), ..Snapshot::unchanged(at(round * 60), 1) };
        fleet.apply(&name("a"), snapshot, at(round * 60));
    }
    assert_eq!(fleet.runs(usize::MAX).len(), MAX_RUNS_PER_ENDPOINT);
    assert_eq!(fleet.sites[0].history.len(), MAX_RUNS_PER_ENDPOINT);
    assert_eq!(fleet.durations(&key("a", "t7")).len(), MAX_SERIES);
    // What somebody looks at is kept even where the endpoint's history is full of newer runs.
    let old: Vec<Run> = (0..200).map(|i| run("t7", &format!("old{i}"), RunState::Failed, -i * 60)).collect();
    fleet.learn_runs(&name("a"), old, at(8_000));
    let known = fleet.runs_of(&key("a", "t7"));
    assert!(known.len() > MAX_RUNS_PER_TASK && known.len() <= 2 * MAX_RUNS_PER_TASK, "{}", known.len());
    // One task alone can't fill it.
    let many =
        (0..200).map(|i| run("t1", &format!("n{i}"), RunState::Succeeded, 100_000 + i)).collect::<Vec<_>>();
    let snapshot = Snapshot { runs: Part::listed(many, vec![]), ..Snapshot::unchanged(at(8_001), 1) };
    fleet.apply(&name("a"), snapshot, at(8_001));
    assert_eq!(fleet.runs_of(&key("a", "t1")).len(), MAX_RUNS_PER_TASK);
    // A task that is gone takes its runs along.
    fleet.apply(&name("a"), poll(8_002, vec![]), at(8_002));
    assert_eq!((fleet.runs(10).len(), fleet.sites[0].history.len()), (0, 0));
}

#[test]
fn a_changed_endpoint_starts_anew_and_others_stay() {
    let mut fleet = fleet(&["a", "b"]);
    fleet.apply(&name("a"), poll(1, vec![task("x")]), at(1));
    fleet.apply(&name("b"), poll(1, vec![task("x")]), at(1));
    assert!(fleet.configure(&[spec("a"), spec("b")], at(2)).is_empty());
    let mut moved = spec("a");
    moved.url = Some("http://ops-2".into());
    let delta = fleet.configure(&[spec("b"), moved], at(2));
    assert_eq!((delta.gone, delta.endpoints.len()), (vec![key("a", "x")], 2));
    let names: Vec<_> = fleet.endpoints().map(|row| row.spec.name.to_string()).collect();
    assert_eq!(names, ["b", "a"]);
    assert!(fleet.task(&key("b", "x")).is_some());
    // The labels of an endpoint are those of its tasks, which may say otherwise.
    let mut labelled = spec("b");
    labelled.labels =
        std::sync::Arc::new([("team".into(), "data".into()), ("env".into(), "prod".into())].into());
    fleet.configure(&[labelled], at(3));
    let own = Task { labels: std::sync::Arc::new([("env".into(), "lab".into())].into()), ..task("y") };
    fleet.apply(&name("b"), poll(4, vec![task("x"), own]), at(4));
    let row = |id| fleet.task(&key("b", id)).unwrap();
    assert_eq!(row("x").team().unwrap().as_str(), "data");
    assert_eq!(row("y").labels.get("env").unwrap().as_str(), "lab");
    assert_eq!(row("y").labels.get("team").unwrap().as_str(), "data");
    assert!(fleet.tick(at(4) + TimeDelta::days(1)).gone.is_empty());
}
