//! A coordinator, scripted: one task that runs, waits and has failed, so that everything can be asked.

use std::sync::Arc;

use ::vigie::backend::Call;
use ::vigie::model::{Clean, Command, Deed, EndpointSpec, Input, Kind, LogOf, Priority, RunId, TaskId, Verb};
use ::vigie::wire::{Report, Reported};
use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::super::subject::{Ask, Good, Subject};
use crate::raw::Seen;
use crate::support::{TOKEN, call, log_of, spec};

const NOW: &str = "2026-11-20T07:00:00Z";
const TASK: &str = "nightly dump";

pub struct Coordinator;

pub fn make() -> BoxFuture<'static, Arc<dyn Subject>> {
    async { Arc::new(Coordinator) as _ }.boxed()
}

fn run(id: &str, state: &str) -> Value {
    json!({
        "id": id, "task": TASK, "state": state, "remote_state": state, "slot": NOW, "queued": NOW, "started": NOW,
        "ended": NOW, "duration_ms": 1200, "exit_code": 3, "message": "disk full", "attempt": 1, "priority": 2,
        "next_at": NOW, "machine": "db-1", "cause": "schedule",
    })
}

fn task() -> Value {
    json!({
        "id": TASK, "name": "Nightly dump", "alias": "dump", "class": "job", "description": "pg_dump",
        "state": "failing", "remote_state": "failing", "paused": false, "archived": false, "priority": 2,
        "team": "data", "machine": "db-1", "labels": {"env": "prod"},
        "schedule": {"cron": {"expression": "0 3 * * *", "dialect": "unix"}, "zone": "Europe/Paris"},
        "next_due": NOW, "last_run": run("r2", "failed"), "active_runs": [run("r3", "running")],
        "retry": {"attempt": 1, "max": 3, "next_at": NOW},
        "actions": {"trigger": null, "pause": "already stopped"}, "remarks": ["a remark"], "caution": "deletes",
    })
}

fn tasks() -> Value {
    json!({
        "cursor": "e1-1", "now": now(), "tasks": [task()], "runs": [run("r2", "failed")],
        "queues": [{
            "name": "data", "depth": 4, "by_priority": [0, 1, 3, 0, 0], "running": 1, "stale": 0,
            "oldest_pending": NOW,
        }],
        "alerts": [{
            "task": TASK, "queue": null, "kind": "failed", "severity": "critical", "since": NOW,
            "summary": "disk full", "acknowledged_by": null, "silenced_until": null,
        }],
        "file_problems": [],
    })
}

fn changes() -> Value {
    let mut changes = tasks();
    let more = changes.as_object_mut().unwrap();
    more.insert("gone".to_owned(), json!(["old task"]));
    more.insert("queues_gone".to_owned(), json!(["old queue"]));
    more.insert("alerts_gone".to_owned(), json!([{"task": "old task", "queue": null, "kind": "late"}]));
    changes
}

/// The coordinator's own clock, which is right.
fn now() -> String {
    crate::support::now().to_rfc3339()
}

#[async_trait]
impl Subject for Coordinator {
    fn name(&self) -> &'static str {
        "vigie"
    }

    fn kind(&self) -> Kind {
        Kind::Vigie
    }

    fn configure(&self, url: &str) -> EndpointSpec {
        spec(Kind::Vigie, url)
    }

    fn credentials(&self) -> Vec<(&'static str, &'static str)> {
        vec![("token", TOKEN)]
    }

    async fn good(&self, seen: &Seen) -> Good {
        let path = seen.target.split('?').next().unwrap().strip_prefix("/api/v1").unwrap_or_default();
        let last = path.rsplit('/').next().unwrap_or_default();
        let (status, body) = match (seen.method.as_str(), last) {
            ("GET", "tasks") => (200, tasks()),
            ("GET", "changes") => (200, changes()),
            ("GET", "nightly%20dump") => (200, task()),
            ("GET", "runs") => {
                (200, json!({"runs": [run("r3", "running"), run("r2", "failed")], "next": null}))
            }
            ("GET", "log") => {
                (200, json!({"text": "one\ntwo\n", "next_offset": 8, "dropped_bytes": 0, "complete": true}))
            }
            ("GET", "audit") => (
                200,
                json!({"rows": [{
                    "seq": 7, "at": NOW, "by": "ada", "action": "pause", "target": TASK, "details": "", "result": "ok",
                    "from": "127.0.0.1", "hash": "ab12",
                }], "next": null}),
            ),
            ("POST", "runs" | "retry" | "reports") => (202, json!({"run": "r4", "task": TASK})),
            (
                "POST",
                "pause" | "resume" | "priority" | "cancel" | "reload" | "archive" | "acknowledge" | "snooze"
                | "silence",
            ) => (200, json!({"message": "done"})),
            _ => (404, json!({"type": "x", "title": "t", "status": 404, "detail": "no such place"})),
        };
        Good::json(status, &body)
    }

    fn task(&self) -> TaskId {
        TASK.into()
    }

    fn logs(&self) -> Vec<LogOf> {
        vec![log_of(TASK, "r2")]
    }

    fn calls(&self, deed: Deed) -> Vec<Call> {
        let mut whole = call(deed, Some(TASK));
        whole.arguments.priority = Priority::new(1).ok();
        let one = Call { run: Some(RunId::new("r3")), ..whole.clone() };
        match deed {
            Deed::Verb(Verb::ReloadConfig) => vec![call(deed, None)],
            Deed::Command(Command::VigieSubmit) => {
                let ways = [
                    vec![("command", "pg_dump 'my shop'"), ("retry", "3")],
                    vec![("command", "a | b"), ("shell", "yes")],
                ];
                let submit = |way: &Vec<(&str, &str)>| {
                    let mut call = call(deed, None);
                    let input =
                        |(name, text): &(&str, &str)| (Clean::line(name), Input::Text(Clean::line(text)));
                    call.arguments.inputs = way.iter().map(input).collect();
                    call
                };
                ways.iter().map(submit).collect()
            }
            Deed::Verb(Verb::Retry | Verb::Cancel | Verb::Reprioritise) => vec![whole, one],
            _ => vec![whole],
        }
    }

    fn reports(&self) -> Vec<Report> {
        let report = |what, output: Option<&str>| Report {
            rid: "r-1".to_owned(),
            what,
            at: crate::support::now(),
            output: output.map(str::to_owned),
            machine: Some("db-1".into()),
        };
        vec![
            report(Reported::Started, None),
            report(Reported::Beat, None),
            report(Reported::Ended { exit_code: 3 }, Some("disk full")),
        ]
    }

    fn maps(&self) -> &'static [&'static str] {
        &["labels", "actions"]
    }

    /// A change that can't be read is found out by a full poll.
    fn spares(&self, ask: &Ask, route: &str) -> bool {
        matches!(ask, Ask::Since) && route.ends_with("/changes")
    }
}
