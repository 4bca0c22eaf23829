//! A disk that can't be written: what callers hear, what is shown, what is not
//! done, and how it goes on.

use rusqlite::Connection;

use std::path::PathBuf;

use super::tests::{Bench, me, state, until};
use super::*;
use crate::coordinator::db::FILE;
use crate::coordinator::db::fault::{self, Fault};
use crate::model::{AlertKind, TaskState};

/// Two tasks whose commands say in files of their own that they were started.
async fn coordinator(bench: &Bench) -> Engine {
    let marked = |id: &str| {
        let file = bench.file(id);
        format!("[[task]]\nid = \"{id}\"\noverlap = \"allow\"\nshell = \"echo x >> '{}'\"\n", file.display())
    };
    bench.write(&(marked("a") + &marked("b")));
    bench.start().await
}

fn starts(bench: &Bench, id: &str) -> usize {
    std::fs::read_to_string(bench.file(id)).map_or(0, |text| text.lines().count())
}

fn database(bench: &Bench) -> PathBuf {
    bench.options().data.join(FILE)
}

async fn trigger(engine: &Engine, id: &str) -> Result<RunId, String> {
    let asked = engine.trigger(&TaskId::new(id), None, me()).await;
    asked.map(|run| run.id.unwrap()).map_err(|refusal| {
        assert!(matches!(refusal, Refusal::Storage(_)), "{refusal}");
        refusal.to_string()
    })
}

/// What everybody may see while it lasts.
fn is_shown(engine: &Engine, words: &str) {
    let view = engine.view();
    assert!(view.trouble.as_ref().unwrap().contains(words), "{:?}", view.trouble);
    assert_eq!(engine.health().trouble, view.trouble);
    let alert = view.alerts.iter().find(|alert| alert.kind == AlertKind::SchedulerSilent).unwrap();
    assert!(alert.summary.contains(words), "{alert:?}");
    let changes = engine.since(view.revision - 1).unwrap();
    assert_eq!(changes.alerts, std::slice::from_ref(alert), "who follows the changes hears of it");
}

/// Nothing is left of it, and the history knows.
async fn is_over(bench: &Bench, engine: &Engine) {
    let view = until(engine, |view| view.trouble.is_none()).await;
    assert!(view.alerts.iter().all(|alert| alert.kind != AlertKind::SchedulerSilent));
    assert_eq!(engine.health().trouble, None);
    // What comes next carries the rows of what was.
    trigger(engine, "a").await.unwrap();
    let connection = Connection::open(database(bench)).unwrap();
    let sql = "SELECT count(*), count(closed) FROM alerts WHERE kind = 'scheduler-silent'";
    let rows: (u32, u32) = connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(rows, (1, 1));
}

/// A run of `b` that was refused is neither there nor started, and comes once it can be written.
async fn b_waits(bench: &Bench, engine: &Engine, words: &str) {
    let refused = trigger(engine, "b").await.unwrap_err();
    assert!(refused.contains(words) && refused.contains("tried again by itself"), "{refused}");
    is_shown(engine, words);
    let refused = trigger(engine, "b").await.unwrap_err();
    assert!(refused.contains(words) && refused.contains("ask again then"), "{refused}");
    let of_b = RunFilter { task: Some(TaskId::new("b")), limit: 9, ..RunFilter::default() };
    assert!(engine.runs(of_b).await.unwrap().is_empty());
    assert_eq!((starts(bench, "b"), state(engine, "b")), (0, TaskState::Healthy));
}

/// The run that was asked for when it could not be written, and no other.
async fn b_came(bench: &Bench, engine: &Engine) {
    until(engine, |view| view.tasks.get("b").is_some_and(|task| task.last_run.is_some())).await;
    let of_b = RunFilter { task: Some(TaskId::new("b")), limit: 9, ..RunFilter::default() };
    assert_eq!((starts(bench, "b"), engine.runs(of_b).await.unwrap().len()), (1, 1));
}

#[tokio::test]
async fn a_disk_that_fails_is_told_and_nothing_is_started() {
    let bench = Bench::new();
    let engine = coordinator(&bench).await;
    fault::set(&database(&bench), Some(Fault::Io));
    b_waits(&bench, &engine, "look at the disk").await;
    fault::set(&database(&bench), None);
    is_over(&bench, &engine).await;
    b_came(&bench, &engine).await;
    engine.shutdown().await;
}

#[tokio::test]
async fn a_database_that_another_program_locks_is_told() {
    let bench = Bench::new();
    let engine = coordinator(&bench).await;
    let other = Connection::open(database(&bench)).unwrap();
    other.busy_timeout(std::time::Duration::from_secs(60)).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    b_waits(&bench, &engine, "another program holds it").await;
    other.execute_batch("ROLLBACK").unwrap();
    is_over(&bench, &engine).await;
    b_came(&bench, &engine).await;
    engine.shutdown().await;
}

#[tokio::test]
async fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let bench = Bench::new();
    let engine = coordinator(&bench).await;
    fault::set(&database(&bench), Some(Fault::Full));
    // There is room in the pages that it has: until that is used up, calls are good.
    let mut acknowledged = Vec::new();
    let refused = loop {
        match trigger(&engine, "a").await {
            Ok(run) => acknowledged.push(run),
            Err(refused) => break refused,
        }
        if let Some(run) = acknowledged.last().filter(|_| acknowledged.len() % 50 == 0) {
            // Not more of them than may wait.
            let _ = engine.ended(run).await;
        }
    };
    assert!(refused.contains("full; make room on the disk"), "{refused}");
    is_shown(&engine, "full");
    for run in &acknowledged {
        assert_eq!(engine.run(run).await.unwrap().id.as_ref(), Some(run), "what was answered is on disk");
    }
    assert!(starts(&bench, "a") <= acknowledged.len(), "nothing starts that is not on disk");
    fault::set(&database(&bench), None);
    is_over(&bench, &engine).await;
    for run in &acknowledged {
        let ended = engine.ended(run).await.unwrap();
        assert_eq!(ended.state, RunState::Succeeded, "{ended:?}");
    }
    engine.shutdown().await;
}
