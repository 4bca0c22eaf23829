//! The native API, call by call.

use reqwest::Method;
use reqwest::header::HOST;
use serde_json::{Value, json};

use super::{Home, Served, problem, text};

/// `gate` runs until the file `open` is there.
fn tasks(home: &Home) -> String {
    let open = home.dir.path().join("open");
    format!(
        r#"
[[task]]
id = "hello"
command = ["sh", "-c", "echo one; echo café"]

[[task]]
id = "long"
command = ["sleep", "600"]
kill_grace = "1s"

[[task]]
id = "gate"
shell = "until [ -e '{}' ]; do sleep 0.02; done"
overlap = "allow"

[[task]]
id = "bad"
shell = "exit 3"

[[task]]
id = "nightly"
command = ["true"]
schedule = "0 3 * * *"
"#,
        open.display()
    )
}

async fn start() -> (Home, Served) {
    let home = Home::new("");
    home.write_tasks(&tasks(&home));
    let served = home.serve().await;
    (home, served)
}

#[tokio::test]
async fn from_the_list_of_tasks_to_the_log_of_a_run() {
    let (_home, served) = start().await;
    let all = served.read("/tasks").await;
    let ids: Vec<String> = all["tasks"].as_array().unwrap().iter().map(|task| text(&task["id"])).collect();
    for id in ["hello", "overdue-check", "audit-log-cleanup", "disk-space", "self-backup"] {
        assert!(ids.iter().any(|found| found == id), "{id} in {ids:?}");
    }
    assert_eq!(all["now"].as_str().unwrap(), "2026-01-20T09:01:00Z");

    // Waits before there is anything to see.
    let cursor = text(&all["cursor"]);
    let next = served.get(&format!("/api/v1/changes?since={cursor}&wait_s=30")).send();
    let (run, changes) = tokio::join!(served.start_run("hello"), next);
    let changes: Value = changes.unwrap().json().await.unwrap();
    assert_ne!(text(&changes["cursor"]), cursor);
    assert!(changes["runs"].as_array().unwrap().iter().any(|found| found["id"] == run.as_str()), "{changes}");

    let ended = served.until_run(&run, "succeeded").await;
    assert_eq!(ended["exit_code"], 0);
    assert_eq!(served.read(&format!("/runs/{run}")).await["state"], "succeeded");
    let log = served.read(&format!("/runs/{run}/log")).await;
    assert_eq!(log["text"], "one\ncafé\n");
    assert_eq!(
        (&log["next_offset"], &log["complete"], &log["dropped_bytes"]),
        (&json!(10), &json!(true), &json!(0))
    );
    let rest = served.read(&format!("/runs/{run}/log?offset=4")).await;
    assert_eq!(rest["text"], "café\n");
    assert_eq!(served.read(&format!("/runs/{run}/log?offset=10")).await["text"], "");

    let task = served.read("/tasks/hello").await;
    assert_eq!(task["last_run"]["id"], run.as_str());
    assert!(served.read("/queues").await["queues"].is_array());
    assert!(served.read("/flips").await["flips"].is_array());
    served.stop().await;
}

#[tokio::test]
async fn the_same_key_is_the_same_call() {
    let (_home, served) = start().await;
    let call = || served.post("/api/v1/tasks/hello/runs").header("idempotency-key", "key-1").send();
    let first: Value = call().await.unwrap().json().await.unwrap();
    let again: Value = call().await.unwrap().json().await.unwrap();
    assert_eq!(first, again);
    let other =
        served.post("/api/v1/tasks/hello/runs").header("idempotency-key", "key-2").send().await.unwrap();
    assert_ne!(other.json::<Value>().await.unwrap(), first);
    assert_eq!(served.read("/runs?task=hello").await["runs"].as_array().unwrap().len(), 2);
    served.stop().await;
}

#[tokio::test]
async fn pause_and_resume_are_seen() {
    let (_home, served) = start().await;
    for (verb, paused) in [("pause", true), ("resume", false)] {
        let path = format!("/api/v1/tasks/nightly/{verb}");
        let response = served.post(&path).json(&json!({})).send().await.unwrap();
        assert_eq!(response.status(), 200, "{verb}");
        assert!(text(&response.json::<Value>().await.unwrap()["message"]).contains("nightly"));
        assert_eq!(served.read("/tasks/nightly").await["paused"], paused);
        let (status, kind, _) = problem(served.post(&path)).await;
        assert_eq!((status, kind.as_str()), (409, "conflict"), "{verb} once more");
    }
    served.stop().await;
}

#[tokio::test]
async fn what_waits_is_put_in_another_order() {
    let home = Home::new("");
    home.write_tasks(&format!("{}\n[limits]\ncoordinator = 1\n", tasks(&home)));
    let served = home.serve().await;
    let gate = served.start_run("gate").await;
    served.until_run(&gate, "running").await;
    let first = served.start_run("hello").await;
    let second = served.start_run("bad").await;
    let queues = served.read("/queues").await;
    assert_eq!(
        (&queues["queues"][0]["depth"], &queues["queues"][0]["running"]),
        (&json!(2), &json!(1)),
        "{queues}"
    );

    for (path, id, priority) in [("tasks", "hello", 4), ("runs", second.as_str(), 1)] {
        let request =
            served.post(&format!("/api/v1/{path}/{id}/priority")).json(&json!({ "priority": priority }));
        assert_eq!(request.send().await.unwrap().status(), 200, "{path}");
    }
    assert_eq!(served.read(&format!("/runs/{first}")).await["priority"], 4);
    assert_eq!(served.read(&format!("/runs/{second}")).await["priority"], 1);
    let queues = served.read("/queues").await;
    assert_eq!(queues["queues"][0]["by_priority"], json!([1, 0, 0, 1, 0]));

    std::fs::write(home.dir.path().join("open"), "").unwrap();
    served.until_run(&first, "succeeded").await;
    // One at a time: the last to end is the first that was asked for.
    assert_eq!(served.read(&format!("/runs/{second}")).await["state"], "failed");
    served.stop().await;
}

#[tokio::test]
async fn cancel_and_retry() {
    let (_home, served) = start().await;
    let run = served.start_run("long").await;
    served.until_run(&run, "running").await;
    let cancelled = served.post(&format!("/api/v1/runs/{run}/cancel")).send().await.unwrap();
    assert_eq!(cancelled.status(), 200);
    served.until_run(&run, "aborted").await;

    let run = served.start_run("bad").await;
    assert_eq!(served.until_run(&run, "failed").await["exit_code"], 3);
    let retried = served.post(&format!("/api/v1/runs/{run}/retry")).send().await.unwrap();
    assert_eq!(retried.status(), 202);
    let retried: Value = retried.json().await.unwrap();
    assert_eq!(retried["task"], "bad");
    assert_ne!(retried["run"], run.as_str());
    served.until_run(&text(&retried["run"]), "failed").await;
    let alerts = served.read("/alerts").await;
    assert_eq!(alerts["alerts"][0]["task"], "bad", "{alerts}");
    served.stop().await;
}

#[tokio::test]
async fn runs_come_in_pages() {
    let (_home, served) = start().await;
    let mut started = Vec::new();
    for _ in 0..3 {
        let run = served.start_run("hello").await;
        served.until_run(&run, "succeeded").await;
        started.push(run);
    }
    started.reverse();
    let ids = |page: &Value| {
        page["runs"].as_array().unwrap().iter().map(|run| text(&run["id"])).collect::<Vec<_>>()
    };
    let first = served.read("/runs?task=hello&limit=2").await;
    assert_eq!(ids(&first), started[..2]);
    let second = served.read(&format!("/runs?task=hello&limit=2&before={}", text(&first["next"]))).await;
    assert_eq!(ids(&second), started[2..]);
    assert_eq!(second["next"], Value::Null);
    assert_eq!(ids(&served.read("/runs?limit=100000").await), started);
    served.stop().await;
}

#[tokio::test]
async fn what_is_refused_says_why() {
    let (_home, served) = start().await;
    let token = || served.bare(Method::GET, "/api/v1/tasks").bearer_auth("0".repeat(64));
    for (request, status, kind, detail) in [
        (served.bare(Method::GET, "/api/v1/tasks"), 401, "unauthorised", "coordinator.json"),
        (served.bare(Method::GET, "/api/v1/nothing"), 401, "unauthorised", "coordinator.json"),
        (token(), 401, "unauthorised", "not the token"),
        (served.get("/api/v1/tasks").header(HOST, "evil.example"), 403, "foreign-host", "evil.example"),
        (
            served.get("/api/v1/tasks").header("origin", "http://evil.example"),
            403,
            "foreign-origin",
            "another origin",
        ),
        (served.get("/api/v1/nothing"), 404, "not-found", "/api/v1/nothing"),
        (served.get("/api/v1/openapi.yaml"), 404, "not-found", "openapi.yaml"),
        (served.get("/api/v1/tasks/nope"), 404, "task-not-found", "nope"),
        (served.get("/api/v1/runs/nope"), 404, "run-not-found", "nope"),
        (served.get("/api/v1/runs/nope/log"), 404, "run-not-found", "nope"),
        (served.post("/api/v1/tasks/nope/runs"), 404, "task-not-found", "nope"),
        (served.post("/api/v1/tasks/nope/pause"), 404, "task-not-found", "nope"),
        (served.post("/api/v1/runs/nope/cancel"), 404, "run-not-found", "nope"),
        (
            served.bare(Method::DELETE, "/api/v1/tasks").bearer_auth(&served.file.token),
            405,
            "method-not-allowed",
            "DELETE",
        ),
        (served.get("/api/v1/runs?limit=x"), 400, "bad-parameter", "limit"),
        (served.get("/api/v1/runs?limit=0"), 400, "bad-parameter", "limit"),
        (served.get("/api/v1/runs?tsk=x"), 400, "bad-parameter", "tsk"),
        (served.get("/api/v1/changes"), 400, "bad-parameter", "since"),
        (served.get("/api/v1/changes?since=x"), 400, "bad-parameter", "since"),
        (served.get("/api/v1/changes?since=0-0&wait_s=61"), 400, "bad-parameter", "wait_s"),
        (served.get("/api/v1/tasks/%ff"), 400, "bad-parameter", ""),
        (served.post("/api/v1/tasks/hello/runs").body("{"), 400, "bad-body", "line 1"),
        (served.post("/api/v1/tasks/hello/runs").body("{\"prio\":1}"), 400, "bad-body", "prio"),
        (served.post("/api/v1/tasks/hello/priority").body("{\"priority\":9}"), 400, "bad-body", "not 9"),
        (served.post("/api/v1/tasks/hello/priority"), 400, "bad-body", ""),
        (
            served.post("/api/v1/tasks/hello/runs").body(vec![b' '; (1 << 20) + 1]),
            413,
            "body-too-large",
            "1 MiB",
        ),
        (
            served.post("/api/v1/tasks/hello/runs").header("idempotency-key", ""),
            400,
            "bad-parameter",
            "Idempotency-Key",
        ),
    ] {
        let described = format!("{request:?}");
        let (found, found_kind, found_detail) = problem(request).await;
        assert_eq!((found, found_kind.as_str()), (status, kind), "{described}: {found_detail}");
        assert!(found_detail.contains(detail), "{described}: {found_detail}");
        assert!(!found_detail.contains(&served.file.token));
    }
    let allowed = served.post("/api/v1/queues").send().await.unwrap();
    assert_eq!(allowed.headers()["allow"], "GET,HEAD");
    assert_eq!(served.read("/runs").await["runs"], json!([]), "nothing was started");
    served.stop().await;
}

#[tokio::test]
async fn a_streamed_body_is_bounded_too() {
    let (_home, served) = start().await;
    let pieces = futures_util::stream::iter((0..40).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1 << 15])));
    let request = served.post("/api/v1/tasks/hello/runs").body(reqwest::Body::wrap_stream(pieces));
    assert_eq!(problem(request).await.0, 413);
    served.stop().await;
}

#[tokio::test]
async fn a_cursor_of_another_life_is_gone() {
    let (home, served) = start().await;
    let cursor = text(&served.read("/tasks").await["cursor"]);
    let (epoch, revision) = cursor.split_once('-').unwrap();
    let ahead = format!("{epoch}-{}", revision.parse::<u64>().unwrap() + 1_000);
    let (status, kind, _) = problem(served.get(&format!("/api/v1/changes?since={ahead}&wait_s=30"))).await;
    assert_eq!((status, kind.as_str()), (410, "cursor-too-old"));
    served.stop().await;

    let served = home.serve().await;
    let (status, kind, detail) =
        problem(served.get(&format!("/api/v1/changes?since={cursor}&wait_s=30"))).await;
    assert_eq!((status, kind.as_str()), (410, "cursor-too-old"));
    assert!(detail.contains("/api/v1/tasks"), "{detail}");
    served.stop().await;
}

#[tokio::test]
async fn a_bad_tasks_file_is_told() {
    let (home, served) = start().await;
    home.write_tasks("[[task]]\nid = \"hello\"\nschedule = \"61 * * * *\"\n");
    let (status, kind, detail) = problem(served.post("/api/v1/reload")).await;
    assert_eq!((status, kind.as_str()), (422, "bad-tasks-file"));
    assert!(detail.contains("line 3"), "{detail}");
    let told = served.until(|answer| answer["file_problems"].get(0).map(text)).await;
    assert!(told.contains("line 3"), "{told}");
    home.write_tasks("[[task]]\nid = \"fresh\"\ncommand = [\"true\"]\n");
    assert_eq!(served.post("/api/v1/reload").send().await.unwrap().status(), 200);
    let all = served.read("/tasks").await;
    assert!(all["tasks"].as_array().unwrap().iter().any(|task| task["id"] == "fresh"), "{all}");
    assert_eq!(all["file_problems"], json!([]));
    served.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_nothing() {
    let (home, served) = start().await;
    let waiting = served.post("/trigger/gate").send();
    let seen = served.until(|answer| {
        let run = answer["runs"].as_array()?.iter().find(|run| run["task"] == "gate")?;
        (run["state"] == "running").then(|| text(&run["id"]))
    });
    let run = tokio::select! {
        run = seen => run,
        _ = waiting => panic!("the run can't have ended"),
    };
    std::fs::write(home.dir.path().join("open"), "").unwrap();
    served.until_run(&run, "succeeded").await;
    served.stop().await;
}
