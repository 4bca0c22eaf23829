//! Intents, receipts, and the journal.

use super::*;
use crate::model::{Guard, Priority, Stage};

const SECOND: Duration = Duration::from_secs(1);

type Change = fn(&mut Setup);

fn calling(steps: impl IntoIterator<Item = Step>) -> Arc<Fake> {
    Arc::new(Fake { calls: Mutex::new(steps.into_iter().collect()), ..Fake::default() })
}

fn journalled(world: &World) -> Vec<journal::JournalEntry> {
    journal::tail(&places(world.folder.path()).journal(), 1_000).unwrap()
}

/// The newest receipt of a journal.
fn newest_receipt(entries: &[journal::JournalEntry]) -> Receipt {
    match entries.last() {
        Some(journal::JournalEntry::Receipt(receipt)) => receipt.clone(),
        other => panic!("{other:?}"),
    }
}

/// The journal once it holds so many lines.
async fn journal_of(world: &World, lines: usize) -> Vec<journal::JournalEntry> {
    loop {
        let entries = journalled(world);
        if entries.len() >= lines {
            return entries;
        }
        tokio::time::sleep(SECOND / 100).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_becomes_of_a_call_is_told_and_recorded() {
    let outcomes = [
        (Step::Good, Stage::Accepted, "done"),
        (Step::Observed, Stage::Observed, "done"),
        (
            Step::Bad(BackendError::Conflict("it runs already".into())),
            Stage::Failed,
            "refused: it runs already",
        ),
        (Step::Bad(BackendError::Broken("reset".into())), Stage::Unknown, "the connection broke: reset"),
        (Step::Break, Stage::Unknown, "the adapter broke, which is a defect of vigie: index out of bounds"),
        (Step::Hang, Stage::Unknown, "no answer within 15m"),
    ];
    for (step, stage, said) in outcomes {
        let fake = calling([step]);
        let mut world = World::new(&[("a", &fake)]);
        let sent = Intent {
            arguments: Arguments { priority: Some(Priority::new(2).unwrap()), ..Arguments::default() },
            ..intent(Verb::Reprioritise, &[("a", "one")])
        };
        world.runtime.handle.send(sent.clone());
        let receipt = world.wait(|update| match update {
            Update::Receipt(receipt) if receipt.stage == stage => Some(receipt),
            _ => None,
        });
        let receipt = receipt.await;
        assert_eq!(receipt.message.as_ref().unwrap(), &said);
        assert_eq!((receipt.intent, &receipt.target), (sent.id, &sent.targets[0]));
        assert_eq!(receipt.priority, sent.arguments.priority);
        assert!(receipt.at >= receipt.sent);
        assert_eq!(receipt.run.is_some(), matches!(stage, Stage::Accepted | Stage::Observed));
        let lines = if stage == Stage::Observed { 3 } else { 2 };
        let entries = journal_of(&world, lines).await;
        assert_eq!(entries[0], journal::JournalEntry::Intent(sent.clone()));
        assert_eq!(entries[lines - 1], journal::JournalEntry::Receipt(receipt), "{stage}");
        assert_eq!(fake.called.lock().unwrap().len(), 1, "never sent again by itself");
        // What a later poll shows is recorded when the fleet says so.
        let later = Receipt { stage: Stage::Observed, message: None, ..newest_receipt(&entries) };
        world.runtime.handle.record(vec![later.clone()]);
        let entries = journal_of(&world, lines + 1).await;
        assert_eq!(entries.last(), Some(&journal::JournalEntry::Receipt(later)));
        assert_eq!(fake.called.lock().unwrap()[0].1.intent, sent.id);
        world.end().await;
    }
}

#[tokio::test]
async fn the_intent_is_on_disk_before_its_request_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let fake = Arc::new(Fake { journal: Some(places(folder.path()).journal()), ..Fake::default() });
    let mut world = World::with(&[("a", &fake)], folder, |_| ());
    for i in 0..5 {
        world.runtime.handle.send(intent(Verb::Trigger, &[("a", &i.to_string()), ("a", "x")]));
        world.receipt().await;
        world.receipt().await;
    }
    assert_eq!(*fake.recorded.lock().unwrap(), [true; 10]);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn read_only_sends_nothing_and_records_nothing() {
    let fake = calling([]);
    let guarded = |setup: &mut Setup| setup.endpoints[0].guard = Guard::ReadOnly;
    let everywhere = |setup: &mut Setup| setup.read_only = true;
    let changes: [(Change, &str); 2] = [
        (guarded, "read-only: the guard of a forbids it"),
        (everywhere, "read-only: nothing is sent to any endpoint"),
    ];
    for (change, said) in changes {
        let mut world = World::with(&[("a", &fake)], tempfile::tempdir().unwrap(), change);
        world.runtime.handle.send(intent(Verb::Trigger, &[("a", "one")]));
        let receipt = world.receipt().await;
        assert_eq!((receipt.stage, receipt.message.unwrap().as_str()), (Stage::Failed, said));
        assert!(fake.called.lock().unwrap().is_empty());
        assert!(journalled(&world).is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn each_target_has_its_own_receipt_and_a_repeated_one_is_sent_once() {
    let (a, b) = (calling([]), calling([Step::Hang]));
    let mut world = World::new(&[("a", &a), ("b", &b)]);
    let targets = [("a", "1"), ("b", "2"), ("none", "3"), ("a", "1"), ("a", "4")];
    world.runtime.handle.send(intent(Verb::Pause, &targets));
    let mut stages = Vec::new();
    for _ in 0..4 {
        let receipt = world.receipt().await;
        stages.push((receipt.target.to_string(), receipt.stage));
    }
    stages.sort();
    let wanted = [
        ("a/1", Stage::Accepted),
        ("a/4", Stage::Accepted),
        ("b/2", Stage::Unknown),
        ("none/3", Stage::Failed),
    ];
    assert_eq!(stages, wanted.map(|(target, stage)| (target.to_owned(), stage)));
    assert_eq!(a.called.lock().unwrap().len(), 2);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn one_endpoint_has_at_most_four_calls_in_flight() {
    let fake = calling((0..40).map(|_| Step::Slow(SECOND)));
    let mut world = World::new(&[("a", &fake)]);
    let names: Vec<String> = (0..20).map(|i| i.to_string()).collect();
    let targets: Vec<(&str, &str)> = names.iter().map(|name| ("a", name.as_str())).collect();
    // Also over several intents.
    world.runtime.handle.send(intent(Verb::Trigger, &targets[..10]));
    world.runtime.handle.send(intent(Verb::Trigger, &targets[10..]));
    for _ in 0..20 {
        assert_eq!(world.receipt().await.stage, Stage::Accepted);
    }
    assert_eq!(fake.most_calling.load(Ordering::SeqCst), 4);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_accepted_action_is_looked_for_at_once_and_again() {
    let fake = calling([]);
    let mut world = World::new(&[("a", &fake)]);
    world.polled("a").await;
    tokio::time::sleep(SECOND / 2).await;
    world.runtime.handle.send(intent(Verb::Trigger, &[("a", "one")]));
    let begin = Instant::now();
    assert_eq!(world.receipt().await.stage, Stage::Accepted);
    tokio::time::sleep(2 * SECOND).await;
    let looks: Vec<u128> =
        fake.began().into_iter().skip(1).map(|at| at.duration_since(begin).as_millis()).collect();
    assert_eq!(looks.len(), 2, "{looks:?}");
    assert!(looks[0] < 50 && (900..1_200).contains(&looks[1]), "{looks:?}");
    world.end().await;
}

#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn without_a_journal_acting_must_be_meant_twice() {
    let fake = calling([]);
    let folder = tempfile::tempdir().unwrap();
    // A file where the state's folder should be.
    std::fs::write(folder.path().join("state"), "").unwrap();
    let mut world = World::with(&[("a", &fake)], folder, |_| ());
    world.runtime.handle.send(intent(Verb::Trigger, &[("a", "one")]));
    // Why comes first, so that the receipt has the last word.
    let why = |update| match update {
        Update::Unrecorded { reason, refused } => Some((reason, refused)),
        Update::Receipt(receipt) => panic!("too early: {receipt:?}"),
        _ => None,
    };
    let (_, asks_again) = world.wait(why).await;
    let refused = world.receipt().await;
    let said = refused.message.unwrap();
    assert_eq!((refused.stage, asks_again), (Stage::Failed, Some(refused.intent)));
    assert!(said.contains("can't be recorded: send it again to act unrecorded"), "{said}");
    // Another wish is not the same.
    world.runtime.handle.send(intent(Verb::Trigger, &[("a", "two")]));
    assert_eq!(world.receipt().await.stage, Stage::Failed);
    assert!(fake.called.lock().unwrap().is_empty());

    world.runtime.handle.send(intent(Verb::Trigger, &[("a", "one")]));
    let accepted = world.receipt().await;
    assert_eq!(accepted.stage, Stage::Accepted);
    assert_eq!(accepted.message.unwrap(), "done (unrecorded)");
    assert_eq!(fake.called.lock().unwrap().len(), 1);
    // Once meant is not for ever.
    world.runtime.handle.send(intent(Verb::Trigger, &[("a", "one")]));
    assert_eq!(world.receipt().await.stage, Stage::Failed);

    // And with a journal again it is as usual.
    std::fs::remove_file(world.folder.path().join("state")).unwrap();
    world.runtime.handle.send(intent(Verb::Trigger, &[("a", "three")]));
    assert_eq!(world.receipt().await.stage, Stage::Accepted);
    assert_eq!(journal_of(&world, 2).await.len(), 2);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_for_calls_and_leaves_the_truth_in_the_journal() {
    let fake = calling([Step::Slow(SECOND), Step::Hang, Step::Hang, Step::Hang]);
    let mut world = World::new(&[("a", &fake)]);
    let names = ["1", "2", "3", "4", "5", "6"];
    world.runtime.handle.send(intent(Verb::Trigger, &names.map(|name| ("a", name))));
    world.wait(|update| matches!(update, Update::Receipt(_)).then_some(())).await;
    while fake.called.lock().unwrap().len() < 4 {
        tokio::task::yield_now().await;
    }
    let World { runtime, folder } = world;
    let begin = Instant::now();
    runtime.shutdown().await;
    assert!(begin.elapsed() < 4 * SECOND, "{:?}", begin.elapsed());
    let mut stages: Vec<(Stage, Option<String>)> = journal::tail(&places(folder.path()).journal(), 100)
        .unwrap()
        .into_iter()
        .filter_map(|entry| match entry {
            journal::JournalEntry::Receipt(receipt) => {
                Some((receipt.stage, receipt.message.map(|m| m.as_str().to_owned())))
            }
            journal::JournalEntry::Intent(_) => None,
        })
        .collect();
    stages.sort();
    let unknown = (Stage::Unknown, Some("vigie ended before the answer came".to_owned()));
    let unsent = (Stage::Failed, Some("not sent: vigie was about to end".to_owned()));
    let accepted = (Stage::Accepted, Some("done".to_owned()));
    assert_eq!(stages, [accepted, unsent.clone(), unsent, unknown.clone(), unknown.clone(), unknown]);
    assert_eq!(fake.called.lock().unwrap().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_preview_names_the_request_of_each_target() {
    let world = World::new(&[("a", &calling([]))]);
    let lines = world.runtime.handle.preview(&intent(Verb::Cancel, &[("a", "one"), ("b", "two")]));
    assert_eq!(lines, ["POST /cancel", "there is no endpoint b"].map(Clean::from));
}
