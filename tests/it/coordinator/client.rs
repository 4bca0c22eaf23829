//! The coordinator and the two adapters that can speak to it: what one says, the other reads.

use std::sync::Arc;

use vigie::backend::{Accepted, Backend, BackendError, Call, RunsQuery};
use vigie::model::{
    Coverage, EndpointName, EndpointSpec, Kind, Run, RunId, RunState, Snapshot, TaskId, Verb,
};

use super::{Home, PATIENCE};
use crate::support::{Tokens, build, build_with, call, spec};

const TASKS: &str = r#"
[[task]]
id = "hello"
command = ["sh", "-c", "echo one; echo café"]

[[task]]
id = "long"
command = ["sleep", "600"]
kill_grace = "1s"

[[task]]
id = "nightly"
command = ["true"]
schedule = "0 3 * * *"
"#;

/// The native adapter, which finds the coordinator through its file.
fn native(home: &Home) -> Arc<dyn Backend> {
    let local = EndpointSpec::new(EndpointName::new("local"), Kind::Vigie, None);
    build_with(&local, &Arc::new(Tokens::default()), Some(home.data()))
}

/// Polls on, as a console does, until a run is in a state.
async fn until(backend: &dyn Backend, run: &RunId, state: RunState) -> Run {
    let seen = async {
        let mut cursor = None;
        loop {
            let polled = backend.poll(cursor.as_ref()).await.unwrap();
            let mut runs = polled.snapshot.runs.items.into_iter();
            if let Some(found) = runs.find(|found| found.id.as_ref() == Some(run) && found.state == state) {
                return found;
            }
            cursor = polled.cursor;
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.expect("the run never came to that state")
}

fn paused(snapshot: &Snapshot, task: &str) -> Option<bool> {
    snapshot.tasks.items.iter().find(|found| found.id.as_raw() == task).map(|found| found.paused)
}

#[tokio::test]
async fn the_native_adapter_sees_and_drives_it() {
    let home = Home::new(TASKS);
    let served = home.serve().await;
    let backend = native(&home);
    let full = backend.poll(None).await.unwrap();
    assert_eq!(full.snapshot.tasks.coverage, Coverage::Complete);
    assert_eq!(paused(&full.snapshot, "nightly"), Some(false));
    assert_eq!(full.snapshot.tasks.items.len(), 7);

    let started = backend.execute(&call(Verb::Trigger, Some("hello"))).await.unwrap().run.unwrap();
    let ended = until(&*backend, &started, RunState::Succeeded).await;
    assert_eq!(ended.exit_code, Some(0));
    let log = backend.log(&started, 0).await.unwrap();
    assert_eq!((log.text.as_str(), log.complete), ("one\ncafé\n", true));
    let query = RunsQuery { task: Some(TaskId::new("hello")), limit: 1_000 };
    assert_eq!(backend.runs(&query).await.unwrap().len(), 1);

    backend.execute(&call(Verb::Pause, Some("nightly"))).await.unwrap();
    let delta = backend.poll(full.cursor.as_ref()).await.unwrap();
    assert_eq!(delta.snapshot.tasks.coverage, Coverage::Listed);
    assert_eq!(paused(&delta.snapshot, "nightly"), Some(true));
    assert_eq!(paused(&delta.snapshot, "self-backup"), None, "what has not changed is not told");

    let started = backend.execute(&call(Verb::Trigger, Some("long"))).await.unwrap().run.unwrap();
    until(&*backend, &started, RunState::Running).await;
    backend.execute(&call(Verb::Cancel, Some("long"))).await.unwrap();
    until(&*backend, &started, RunState::Aborted).await;

    let refused = backend.execute(&call(Verb::Trigger, Some("nope"))).await.unwrap_err();
    assert!(matches!(refused, BackendError::NotFound(_)), "{refused}");
    backend.execute(&call(Verb::ReloadConfig, None)).await.unwrap();
    served.stop().await;
}

#[tokio::test]
async fn the_native_adapter_finds_the_next_one_and_reads_everything() {
    let home = Home::new(TASKS);
    let served = home.serve().await;
    let backend = native(&home);
    let before = backend.poll(None).await.unwrap();
    served.stop().await;
    assert!(backend.poll(before.cursor.as_ref()).await.is_err());

    let served = home.serve().await;
    let after = backend.poll(before.cursor.as_ref()).await.unwrap();
    assert_eq!(after.snapshot.tasks.coverage, Coverage::Complete);
    assert_ne!(after.cursor, before.cursor);
    served.stop().await;
}

#[tokio::test]
async fn one_intent_is_one_run_however_often_it_is_sent() {
    let home = Home::new(TASKS);
    let served = home.serve().await;
    let backend = native(&home);
    let intent: Call = call(Verb::Trigger, Some("hello"));
    let first: Accepted = backend.execute(&intent).await.unwrap();
    assert_eq!(backend.execute(&intent).await.unwrap().run, first.run);
    let other = backend.execute(&call(Verb::Trigger, Some("hello"))).await.unwrap();
    assert_ne!(other.run, first.run);
    served.stop().await;
}

#[tokio::test]
async fn a_client_of_duplistatus_sees_and_drives_it() {
    let mut home = Home::new(TASKS);
    home.open_on_loopback = true;
    let served = home.serve().await;
    let backend = build(&spec(Kind::Duplistatus, &served.file.url));
    let polled = backend.poll(None).await.unwrap();
    assert_eq!(paused(&polled.snapshot, "nightly"), Some(false));

    let done = backend.execute(&call(Verb::Trigger, Some("disk-space"))).await.unwrap();
    assert!(done.observed, "its answer is the run's end");
    backend.execute(&call(Verb::Pause, Some("nightly"))).await.unwrap();
    assert_eq!(served.read("/tasks/nightly").await["paused"], true);
    backend.execute(&call(Verb::Resume, Some("nightly"))).await.unwrap();
    assert_eq!(served.read("/tasks/nightly").await["paused"], false);
    backend.execute(&call(Verb::ReloadConfig, None)).await.unwrap();
    served.stop().await;
}
