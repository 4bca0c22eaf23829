//! The native adapter against a scripted coordinator that speaks the wire's types.

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use vigie::backend::{Accepted, Backend, BackendError, Cursor, RunsQuery};
use vigie::model::{Clean, Command, Coverage, Input, Kind, Priority, RunId, TaskId, Verb};
use vigie::wire::{COORDINATOR_FILE, Report, Reported, RetrySpec, Submission};

use crate::raw::{Play, Raw, Seen};
use crate::support::{TOKEN, Tokens, build, build_with, call, spec};

const NOW: &str = "2026-11-20T07:00:00Z";

fn task(id: &str) -> Value {
    json!({"id": id, "name": id, "actions": {"trigger": null}})
}

fn run(id: &str, state: &str) -> Value {
    json!({"id": id, "task": "dump", "state": state})
}

fn all(cursor: &str, tasks: &[Value]) -> Play {
    let body = json!({
        "cursor": cursor, "now": NOW, "tasks": tasks, "runs": [run("r1", "succeeded")],
        "queues": [{"name": "default", "depth": 0, "running": 0}], "alerts": [],
    });
    Play::json(200, &body.to_string())
}

fn changes(cursor: &str, tasks: &[Value], gone: &[&str]) -> Play {
    let body = json!({
        "cursor": cursor, "now": NOW, "tasks": tasks, "gone": gone, "runs": [], "queues": [],
        "queues_gone": ["old"], "alerts": [],
        "alerts_gone": [{"task": "dump", "queue": null, "kind": "late"}],
    });
    Play::json(200, &body.to_string())
}

fn problem(status: u16, detail: &str) -> Play {
    let body = json!({"type": "x", "title": "t", "status": status, "detail": detail});
    Play::answer(status, &[("content-type", "application/problem+json")], &body.to_string())
}

fn done() -> Play {
    Play::json(200, r#"{"message":"done"}"#)
}

fn accepted(run: &str) -> Play {
    Play::json(202, &json!({"run": run, "task": "dump"}).to_string())
}

fn cursor(text: &str) -> Cursor {
    Cursor(text.to_owned())
}

async fn native(script: impl Fn(&Seen, usize) -> Play + Send + Sync + 'static) -> (Raw, Arc<dyn Backend>) {
    let server = Raw::start(script).await;
    let backend = build(&spec(Kind::Vigie, &server.url));
    (server, backend)
}

async fn act(backend: &Arc<dyn Backend>, verb: Verb) -> Result<Accepted, BackendError> {
    backend.execute(&call(verb, Some("dump"))).await
}

#[tokio::test]
async fn everything_first_then_what_changed() {
    let (server, backend) = native(|seen, _| {
        if seen.target.starts_with("/api/v1/tasks") {
            all("e1-5", &[task("dump"), task("scrub")])
        } else {
            changes("e1-6", &[task("dump")], &["scrub"])
        }
    })
    .await;
    assert!(backend.pushes());
    let first = backend.poll(None).await.unwrap();
    assert_eq!(first.cursor, Some(cursor("e1-5")));
    let snapshot = first.snapshot;
    assert_eq!(snapshot.server_time, Some(NOW.parse().unwrap()));
    for coverage in [snapshot.tasks.coverage, snapshot.queues.coverage, snapshot.alerts.coverage] {
        assert_eq!(coverage, Coverage::Complete);
    }
    assert_eq!(snapshot.runs.coverage, Coverage::Listed, "the newest runs are not all runs");
    assert_eq!((snapshot.tasks.items.len(), snapshot.runs.items.len()), (2, 1));
    let second = backend.poll(first.cursor.as_ref()).await.unwrap();
    assert_eq!(second.cursor, Some(cursor("e1-6")));
    let snapshot = second.snapshot;
    assert_eq!(snapshot.tasks.coverage, Coverage::Listed);
    assert_eq!(snapshot.tasks.gone, [TaskId::new("scrub")]);
    assert_eq!((snapshot.queues.gone.len(), snapshot.alerts.gone.len()), (1, 1));
    assert_eq!(server.lines(), ["GET /api/v1/tasks", "GET /api/v1/changes?since=e1-5&wait_s=5"]);
}

#[tokio::test]
async fn a_gap_is_closed_within_the_same_poll() {
    let (server, backend) = native(|seen, _| {
        if seen.target.contains("since=e1-") {
            problem(410, "the cursor is of another life")
        } else if seen.target.contains("since=") {
            problem(400, "no cursor of this version")
        } else {
            all("e2-1", &[task("dump")])
        }
    })
    .await;
    for since in ["e1-900", "old format"] {
        let polled = backend.poll(Some(&cursor(since))).await.unwrap();
        assert_eq!(
            (polled.cursor, polled.snapshot.tasks.coverage),
            (Some(cursor("e2-1")), Coverage::Complete)
        );
    }
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn a_word_of_a_newer_coordinator_costs_its_own_item_only() {
    let mut strange = task("strange");
    strange["state"] = json!("zombie");
    let strange = Arc::new(strange);
    let newer = Arc::clone(&strange);
    let (_server, backend) = native(move |seen, _| {
        if seen.target.contains("since=e1-1") {
            changes("e1-2", &[(*newer).clone()], &[])
        } else if seen.target.contains("since=") {
            changes("e1-4", &[], &[])
        } else {
            all("e1-3", &[task("dump"), (*newer).clone()])
        }
    })
    .await;
    for since in [None, Some(cursor("e1-1"))] {
        let polled = backend.poll(since.as_ref()).await.unwrap();
        let snapshot = polled.snapshot;
        assert_eq!(snapshot.tasks.items.len(), 1);
        assert_eq!(snapshot.tasks.coverage, Coverage::Listed, "what can't be read is not gone");
        assert_eq!(snapshot.queues.coverage, Coverage::Complete);
        let why = snapshot.degraded.unwrap();
        assert!(why.contains("1 of 2 tasks") && why.contains("zombie"), "{why}");
        let later = backend.poll(polled.cursor.as_ref()).await.unwrap();
        assert_eq!(later.snapshot.degraded, Some(why), "it still can't be read");
    }
}

#[tokio::test]
async fn a_broken_tasks_file_is_told_with_every_answer() {
    let (_server, backend) = native(|seen, _| {
        let Play::Say(bytes) =
            (if seen.target.contains("since=") { changes("c2", &[], &[]) } else { all("c1", &[]) })
        else {
            unreachable!()
        };
        let body = String::from_utf8(bytes).unwrap();
        let body = body.split_once("\r\n\r\n").unwrap().1;
        Play::json(200, &body.replacen('{', r#"{"file_problems":["line 3: no such key"],"#, 1))
    })
    .await;
    for since in [None, Some(cursor("c1"))] {
        let snapshot = backend.poll(since.as_ref()).await.unwrap().snapshot;
        assert_eq!(snapshot.degraded, Some("tasks file: line 3: no such key".into()));
    }
}

#[tokio::test]
async fn where_too_many_wait_for_changes_it_waits_here() {
    let (server, backend) = native(|seen, _| {
        if seen.target.ends_with("wait_s=0") {
            changes("c2", &[task("dump")], &[])
        } else {
            Play::answer(503, &[("retry-after", "1")], r#"{"detail":"too many callers"}"#)
        }
    })
    .await;
    let since = cursor("c1");
    let begin = crate::support::instant();
    let poll = backend.poll(Some(&since));
    tokio::pin!(poll);
    tokio::select! {
        early = &mut poll => panic!("{early:?}"),
        () = server.asked(1) => {}
    }
    // Its answer is on the way; the rest is waiting.
    tokio::time::pause();
    tokio::select! {
        biased;
        early = &mut poll => panic!("{early:?}"),
        () = tokio::time::sleep_until(begin + Duration::from_millis(4_900)) => {}
    }
    let polled = poll.await.unwrap();
    assert_eq!(polled.snapshot.tasks.items.len(), 1);
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn after_a_failed_poll_the_next_answers_at_once() {
    let (server, backend) =
        native(
            |_, n| {
                if n == 1 { problem(500, "out of memory") } else { changes("c1", &[task("dump")], &[]) }
            },
        )
        .await;
    let since = cursor("c0");
    backend.poll(Some(&since)).await.unwrap();
    backend.poll(Some(&since)).await.unwrap_err();
    // That it is back must not wait for its next change.
    backend.poll(Some(&since)).await.unwrap();
    backend.poll(Some(&since)).await.unwrap();
    let lines = server.lines();
    let waits: Vec<_> = lines.iter().filter_map(|line| line.split("wait_s=").nth(1)).collect();
    assert_eq!(waits, ["5", "5", "0", "5"]);
}

#[tokio::test]
async fn a_poll_may_wait_longer_than_a_read() {
    let server = Raw::start(|_, _| Play::Hang).await;
    let mut spec = spec(Kind::Vigie, &server.url);
    (spec.poll, spec.timeout) = (Duration::from_secs(5), Duration::from_secs(2));
    let backend = build(&spec);
    let since = cursor("c");
    let begin = crate::support::instant();
    let poll = backend.poll(Some(&since));
    tokio::pin!(poll);
    tokio::select! {
        early = &mut poll => panic!("{early:?}"),
        () = server.asked(1) => {}
    }
    tokio::time::pause();
    tokio::select! {
        biased;
        early = &mut poll => panic!("it waits for 5 s and has 2 s for the way: {early:?}"),
        () = tokio::time::sleep_until(begin + Duration::from_millis(6_900)) => {}
    }
    let error = poll.await.unwrap_err();
    assert_eq!(error, BackendError::TimedOut { after: Duration::from_secs(7) });
}

#[tokio::test]
async fn an_expired_token_heals_and_a_bad_source_is_named() {
    let valid = Arc::new(Mutex::new(TOKEN.to_owned()));
    let known = Arc::clone(&valid);
    let server = Raw::start(move |seen, _| {
        if seen.header("authorization") == Some(&format!("Bearer {}", known.lock().unwrap())) {
            if seen.method == "POST" { accepted("r7") } else { all("c", &[]) }
        } else {
            problem(401, "who are you?")
        }
    })
    .await;
    let tokens = Arc::new(Tokens::default());
    let backend = build_with(&spec(Kind::Vigie, &server.url), &tokens, None);
    backend.poll(None).await.unwrap();
    backend.poll(None).await.unwrap();
    assert_eq!(tokens.asked.load(Ordering::SeqCst), 1, "asked once while it works");
    *valid.lock().unwrap() = "next".to_owned();
    let error = backend.poll(None).await.unwrap_err();
    assert_eq!(error, BackendError::Unauthorised("who are you?".into()));
    let asked = server.seen().len();
    *tokens.token.lock().unwrap() = Ok(Some("next".to_owned()));
    backend.poll(None).await.unwrap();
    assert_eq!(server.seen().len(), asked + 1);
    // In the middle of a call that changes something too: a 401 did nothing.
    *valid.lock().unwrap() = "last".to_owned();
    *tokens.token.lock().unwrap() = Ok(Some("last".to_owned()));
    act(&backend, Verb::Trigger).await.unwrap();
    *valid.lock().unwrap() = "never".to_owned();
    *tokens.token.lock().unwrap() = Err("the file /run/token can't be read".to_owned());
    let error = backend.poll(None).await.unwrap_err();
    assert_eq!(error, BackendError::Credential("the file /run/token can't be read".into()));
    *tokens.token.lock().unwrap() = Ok(Some("two\nlines".to_owned()));
    let error = backend.poll(None).await.unwrap_err();
    assert!(matches!(error, BackendError::Credential(_)) && !error.to_string().contains("two"), "{error:?}");
    *tokens.token.lock().unwrap() = Ok(None);
    assert!(backend.poll(None).await.is_err());
    assert_eq!(server.seen().last().unwrap().header("authorization"), None);
}

/// Leaves the file that a coordinator at `url` with `token` would.
fn announce(data: &Path, url: &str, token: &str) {
    let file = json!({"url": url, "token": token, "pid": 4711});
    fs::write(data.join(COORDINATOR_FILE), file.to_string()).unwrap();
}

#[tokio::test]
async fn the_local_coordinator_is_found_by_its_file() {
    let data = tempfile::tempdir().unwrap();
    let mut spec = spec(Kind::Vigie, "");
    spec.url = None;
    let backend = build_with(&spec, &Arc::default(), Some(data.path().to_owned()));
    assert_eq!(backend.url(), None);
    let none = BackendError::Unreachable("no coordinator runs here".into());
    assert_eq!(backend.poll(None).await.unwrap_err(), none);
    fs::write(data.path().join(COORDINATOR_FILE), r#"{"token":"half-writ"#).unwrap();
    let error = backend.poll(None).await.unwrap_err();
    assert!(
        error.to_string().contains(COORDINATOR_FILE) && !error.to_string().contains("half-writ"),
        "{error}"
    );

    let first = Raw::start(|_, _| all("a", &[])).await;
    announce(data.path(), &first.url, "first");
    backend.poll(None).await.unwrap();
    assert_eq!(first.seen()[0].header("authorization"), Some("Bearer first"));
    assert_eq!(backend.url().as_ref(), Some(&first.url));
    fs::remove_file(data.path().join(COORDINATOR_FILE)).unwrap();
    let url = first.url.clone();
    drop(first);
    assert!(backend.poll(None).await.is_err());
    assert_eq!(backend.url(), Some(url), "it is still known where it was");
    assert!(!format!("{backend:?}").contains("Bearer") && !format!("{backend:?}").contains("token"));
}

#[tokio::test]
async fn a_coordinator_that_moved_is_followed_within_the_call() {
    let data = tempfile::tempdir().unwrap();
    let mut spec = spec(Kind::Vigie, "");
    spec.url = None;
    let backend = build_with(&spec, &Arc::default(), Some(data.path().to_owned()));
    let here = Raw::start(|seen, _| match seen.header("authorization") {
        Some("Bearer new") if seen.method == "POST" => accepted("r1"),
        Some("Bearer new") => all("b", &[]),
        _ => problem(401, "not mine"),
    })
    .await;
    // Nobody listens any more where the file points.
    announce(data.path(), "http://127.0.0.1:9", "old");
    let error = backend.poll(None).await.unwrap_err();
    assert_eq!(error, BackendError::Unreachable("connection refused (127.0.0.1:9)".into()));
    announce(data.path(), &here.url, "new");
    backend.poll(None).await.unwrap();
    // Another life at the same place, with another token, while a call is on its way.
    announce(data.path(), &here.url, "old");
    let fresh = build_with(&spec, &Arc::default(), Some(data.path().to_owned()));
    assert!(matches!(fresh.poll(None).await, Err(BackendError::Unauthorised(_))));
    announce(data.path(), &here.url, "new");
    act(&fresh, Verb::Trigger).await.unwrap();
    assert_eq!(fresh.url().as_ref(), Some(&here.url));
}

#[tokio::test]
async fn each_verb_is_one_call_with_a_key_of_its_own() {
    let (server, backend) = native(|seen, _| match seen.line().as_str() {
        "GET /api/v1/tasks/dump" => {
            let mut dump = task("dump");
            dump["last_run"] = run("r3", "failed");
            Play::json(200, &dump.to_string())
        }
        line if line.ends_with("/runs") || line.ends_with("/retry") => accepted("r9"),
        _ => done(),
    })
    .await;
    let mut keys = Vec::new();
    let put_off = r#"{"until":"2026-01-20T12:00:00Z","note":"on it"}"#;
    for (verb, run, sent, body) in [
        (Verb::Trigger, None, "POST /api/v1/tasks/dump/runs", r#"{"priority":2}"#),
        (Verb::Pause, None, "POST /api/v1/tasks/dump/pause", ""),
        (Verb::Resume, None, "POST /api/v1/tasks/dump/resume", ""),
        (Verb::Reprioritise, None, "POST /api/v1/tasks/dump/priority", r#"{"priority":2}"#),
        (Verb::Reprioritise, Some("r/1"), "POST /api/v1/runs/r%2F1/priority", r#"{"priority":2}"#),
        (Verb::Retry, Some("r1"), "POST /api/v1/runs/r1/retry", ""),
        (Verb::Retry, None, "POST /api/v1/runs/r3/retry", ""),
        (Verb::Cancel, Some("r1"), "POST /api/v1/runs/r1/cancel", ""),
        (Verb::Archive, None, "POST /api/v1/tasks/dump/archive", ""),
        (Verb::Acknowledge, None, "POST /api/v1/tasks/dump/acknowledge", r#"{"note":"on it"}"#),
        (Verb::Snooze, None, "POST /api/v1/tasks/dump/snooze", put_off),
        (Verb::Silence, None, "POST /api/v1/tasks/dump/silence", put_off),
    ] {
        let mut call = call(verb, Some("dump"));
        call.run = run.map(RunId::new);
        call.arguments.priority = Some(Priority::new(2).unwrap());
        call.arguments.note = Some("on it".into());
        call.arguments.until = Some("2026-01-20T12:00:00Z".parse().unwrap());
        let accepted = backend.execute(&call).await.unwrap();
        let seen = server.seen().last().unwrap().clone();
        assert_eq!((seen.line().as_str(), seen.body.as_str()), (sent, body));
        assert!(!accepted.observed, "the next poll shows it");
        let started = matches!(verb, Verb::Trigger | Verb::Retry);
        assert_eq!(accepted.run, started.then(|| RunId::new("r9")));
        let key = seen.header("idempotency-key").unwrap().to_owned();
        assert!(key.starts_with(&call.intent.to_string()));
        keys.push(key);
        if run.is_some() || verb != Verb::Retry {
            assert_eq!(backend.preview(&call), sent);
        }
    }
    let unique: std::collections::BTreeSet<_> = keys.iter().collect();
    assert_eq!(unique.len(), keys.len());
    let reload = backend.execute(&call(Verb::ReloadConfig, None)).await.unwrap();
    assert_eq!(reload.message, Some(Clean::from("done")));
    assert_eq!(server.lines().last().unwrap(), "POST /api/v1/reload");
    let before = server.seen().len();
    assert!(act(&backend, Verb::Reprioritise).await.is_err(), "without a priority");
    assert!(backend.execute(&call(Verb::Trigger, None)).await.is_err(), "without a task");
    assert_eq!(server.seen().len(), before, "nothing was sent");
}

#[tokio::test]
async fn a_retry_needs_a_run_that_failed() {
    let (server, backend) = native(|_, _| {
        let mut dump = task("dump");
        dump["last_run"] = run("r3", "succeeded");
        Play::json(200, &dump.to_string())
    })
    .await;
    let error = act(&backend, Verb::Retry).await.unwrap_err();
    assert!(matches!(error, BackendError::Conflict(_)), "{error:?}");
    assert_eq!(server.lines(), ["GET /api/v1/tasks/dump"]);
}

#[tokio::test]
async fn cancelling_a_task_cancels_each_of_its_active_runs_newest_first() {
    let (server, backend) = native(|seen, _| match seen.line().as_str() {
        "GET /api/v1/tasks/dump" => {
            let mut dump = task("dump");
            dump["active_runs"] = json!([run("r1", "running"), run("r2", "queued"), run("r3", "queued")]);
            Play::json(200, &dump.to_string())
        }
        "POST /api/v1/runs/r2/cancel" => problem(409, "it has ended"),
        _ => done(),
    })
    .await;
    let accepted = act(&backend, Verb::Cancel).await.unwrap();
    assert_eq!(accepted.message, Some("2 runs cancelled".into()));
    let posts: Vec<_> = server.lines().into_iter().filter(|line| line.starts_with("POST")).collect();
    assert_eq!(posts, ["r3", "r2", "r1"].map(|run| format!("POST /api/v1/runs/{run}/cancel")));
    let (_server, idle) = native(|_, _| Play::json(200, &task("dump").to_string())).await;
    assert!(matches!(act(&idle, Verb::Cancel).await, Err(BackendError::Conflict(_))));
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_once_more_under_the_same_key() {
    let (server, backend) =
        native(
            |_, n| {
                if n == 0 { Play::SayAndClose(b"HTTP/1.1 202 X\r\n".to_vec()) } else { accepted("r9") }
            },
        )
        .await;
    assert_eq!(act(&backend, Verb::Trigger).await.unwrap().run, Some(RunId::new("r9")));
    let keys: Vec<_> =
        server.seen().iter().map(|s| s.header("idempotency-key").unwrap().to_owned()).collect();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0], keys[1]);
    // Lost twice: it is not known whether it was done.
    let (server, backend) = native(|_, _| Play::SayAndClose(Vec::new())).await;
    assert!(act(&backend, Verb::Trigger).await.unwrap_err().may_have_acted());
    assert_eq!(server.seen().len(), 2);
    // Turned away the second time: the first may have had its effect all the same.
    let (_server, backend) =
        native(|_, n| if n == 0 { Play::SayAndClose(Vec::new()) } else { problem(401, "no") }).await;
    assert!(act(&backend, Verb::Trigger).await.unwrap_err().may_have_acted());
}

#[tokio::test]
async fn runs_come_page_by_page_up_to_the_limit() {
    let (server, backend) = native(|seen, _| {
        let (ids, next) = if seen.target.contains("before=") {
            (["r3", "r4"], Value::Null)
        } else {
            (["r1", "r2"], json!("a b"))
        };
        let runs = ids.map(|id| run(id, "succeeded"));
        Play::json(200, &json!({"runs": runs, "next": next}).to_string())
    })
    .await;
    let query = RunsQuery { task: Some(TaskId::new("dump")), limit: 3 };
    let runs = backend.runs(&query).await.unwrap();
    let ids: Vec<_> = runs.iter().map(|run| run.id.clone().unwrap().as_raw().to_owned()).collect();
    assert_eq!(ids, ["r1", "r2", "r3"]);
    assert_eq!(
        server.lines(),
        ["GET /api/v1/runs?limit=3&task=dump", "GET /api/v1/runs?limit=1&task=dump&before=a+b"]
    );
    let all = backend.runs(&RunsQuery { task: None, limit: 100 }).await.unwrap();
    assert_eq!(all.len(), 4);
    let before = server.seen().len();
    assert_eq!(backend.runs(&RunsQuery { task: None, limit: 0 }).await, Ok(vec![]));
    assert_eq!(server.seen().len(), before);
}

#[tokio::test]
async fn a_log_is_cleaned_and_goes_on_where_it_ended() {
    let (server, backend) = native(|_, _| {
        let body = json!({"text": "one\r\n\u{1b}[31mtwo\u{1b}[0m\u{7}", "next_offset": 99, "dropped_bytes": 7, "complete": true});
        Play::json(200, &body.to_string())
    })
    .await;
    let chunk = backend.log(&crate::support::log_of("t", "r1"), 80).await.unwrap();
    assert_eq!(chunk.text.as_str(), "one\ntwo");
    assert_eq!((chunk.next_offset, chunk.dropped_bytes, chunk.complete), (99, 7, true));
    assert_eq!(server.lines(), ["GET /api/v1/runs/r1/log?offset=80"]);
}

#[tokio::test]
async fn the_remote_text_of_a_task_is_clean() {
    let (_server, backend) = native(|_, _| {
        let mut dump = task("dump");
        dump["name"] = json!("\u{1b}]52;c;ZXZpbA==\u{7}dump\u{202e}");
        all("c", &[dump])
    })
    .await;
    let polled = backend.poll(None).await.unwrap();
    assert_eq!(polled.snapshot.tasks.items[0].name, "dump");
}

#[tokio::test]
async fn a_submission_an_archiving_and_reports_are_what_the_protocol_says() {
    let (server, backend) = native(|seen, _| match seen.target.rsplit('/').next() {
        Some("archive") => done(),
        _ => accepted("r9"),
    })
    .await;
    let mut submit = call(Command::VigieSubmit, None);
    let inputs =
        [("command", "pg_dump 'my shop'"), ("priority", "1"), ("retry", "2"), ("secrets", "P=data/pg")];
    submit.arguments.inputs =
        inputs.iter().map(|(name, text)| (Clean::line(name), Input::Text(Clean::line(text)))).collect();
    assert!(backend.endpoint_capabilities().refusal(Command::VigieSubmit).is_none());
    let accepted = backend.execute(&submit).await.unwrap();
    assert_eq!(accepted.run, Some(RunId::new("r9")));
    let sent: Submission = serde_json::from_str(&server.seen()[0].body).unwrap();
    let expected = Submission {
        command: vec!["pg_dump".to_owned(), "my shop".to_owned()],
        priority: Priority::new(1).ok(),
        retry: Some(RetrySpec { count: 2, ..RetrySpec::default() }),
        secrets: [("P".to_owned(), "data/pg".to_owned())].into(),
        ..Submission::default()
    };
    assert_eq!(sent, expected);
    let key = server.seen()[0].header("idempotency-key").unwrap().to_owned();
    assert!(key.starts_with(&submit.intent.to_string()), "{key}");
    act(&backend, Verb::Archive).await.unwrap();
    let report = Report {
        rid: "r-1".to_owned(),
        what: Reported::Ended { exit_code: 3 },
        at: NOW.parse().unwrap(),
        output: Some("disk full\n".to_owned()),
        machine: Some("db-1".into()),
    };
    backend.report(&TaskId::new("nightly dump"), &report).await.unwrap();
    let body: Value = serde_json::from_str(&server.seen()[2].body).unwrap();
    let expected = json!({
        "rid": "r-1", "what": {"ended": {"exit_code": 3}}, "at": NOW, "output": "disk full\n", "machine": "db-1",
    });
    assert_eq!(body, expected);
    let lines = server.lines();
    assert_eq!(
        lines,
        ["POST /api/v1/runs", "POST /api/v1/tasks/dump/archive", "POST /api/v1/tasks/nightly%20dump/reports"]
    );
    // What can't be sent never leaves.
    submit.arguments.inputs.insert("command".into(), Input::Text("'open".into()));
    assert!(!backend.execute(&submit).await.unwrap_err().may_have_acted());
    assert_eq!(server.seen().len(), 3);
}
