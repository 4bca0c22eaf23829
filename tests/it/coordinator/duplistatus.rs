//! The surface at the root, as a client of duplistatus' cron service sees it.

use reqwest::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HOST, IF_NONE_MATCH};
use reqwest::{Method, StatusCode};

use super::{Home, Served, text};

const TASKS: &str = r#"
[[task]]
id = "good"
command = ["true"]

[[task]]
id = "bad"
command = ["sh", "-c", "exit 3"]

[[task]]
id = "nightly"
command = ["true"]
schedule = "0 3 * * *"
"#;

/// Status and body of a call.
async fn post(served: &Served, path: &str) -> (u16, String) {
    let response = served.post(path).send().await.unwrap();
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json; charset=utf-8", "{path}");
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn health(served: &Served) -> String {
    let response = served.bare(Method::GET, "/health").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json; charset=utf-8");
    response.text().await.unwrap()
}

#[tokio::test]
async fn health_has_duplistatus_bytes_and_a_validator() {
    let home = Home::new(TASKS);
    let served = home.serve().await;
    let first = served.bare(Method::GET, "/health").send().await.unwrap();
    let etag = first.headers()[ETAG].clone();
    assert!(etag.to_str().unwrap().starts_with("W/\""));
    let body = first.text().await.unwrap();
    let active: serde_json::Value = serde_json::from_str(&body).unwrap();
    let names: Vec<String> = active["activeTasks"].as_array().unwrap().iter().map(text).collect();
    for name in ["overdue-check", "audit-log-cleanup", "disk-space", "self-backup", "nightly"] {
        assert!(names.iter().any(|found| found == name), "{name} in {names:?}");
    }
    assert!(!names.iter().any(|found| found == "good"), "what has no schedule is not scheduled: {names:?}");
    let list = serde_json::to_string(&names).unwrap();
    assert_eq!(
        body,
        format!("{{\"isRunning\":true,\"activeTasks\":{list},\"lastRunTimes\":{{}},\"errors\":{{}}}}")
    );

    let again = served.bare(Method::GET, "/health").header(IF_NONE_MATCH, &etag).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(again.headers()[ETAG], etag);
    assert_eq!(again.text().await.unwrap(), "");
    let forced =
        served.bare(Method::GET, "/health").header(IF_NONE_MATCH, &etag).header(CACHE_CONTROL, "no-cache");
    assert_eq!(forced.send().await.unwrap().status(), StatusCode::OK);

    post(&served, "/trigger/good").await;
    let changed = served.bare(Method::GET, "/health").header(IF_NONE_MATCH, &etag).send().await.unwrap();
    assert_eq!(changed.status(), StatusCode::OK);
    assert!(
        changed
            .text()
            .await
            .unwrap()
            .ends_with(r#""lastRunTimes":{"good":"2026-01-20T09:01:00.000Z"},"errors":{}}"#)
    );
    served.stop().await;
}

#[tokio::test]
async fn a_trigger_answers_when_the_run_has_ended() {
    let home = Home::new(TASKS);
    let served = home.serve().await;
    let (status, body) = post(&served, "/trigger/disk-space").await;
    assert_eq!(status, 200);
    assert!(body.starts_with(r#"{"taskName":"disk-space","success":true,"message":""#), "{body}");
    let (status, body) = post(&served, "/trigger/bad").await;
    assert_eq!(status, 200, "as duplistatus: success is in the body");
    assert!(body.starts_with(r#"{"taskName":"bad","success":false,"error":"Error: "#), "{body}");
    let after: serde_json::Value = serde_json::from_str(&health(&served).await).unwrap();
    assert!(text(&after["errors"]["bad"]).starts_with("Error: "), "{after}");
    assert!(after["lastRunTimes"]["disk-space"].is_string(), "{after}");
    assert!(after["lastRunTimes"]["bad"].is_null(), "{after}");
    served.stop().await;
}

#[tokio::test]
async fn unknown_names_leave_no_trace() {
    let home = Home::new(TASKS);
    let served = home.serve().await;
    let before = health(&served).await;
    assert_eq!(
        post(&served, "/trigger/nope").await,
        (200, r#"{"taskName":"nope","success":false,"error":"Error: Unknown task: nope"}"#.to_owned())
    );
    assert_eq!(
        post(&served, "/trigger/a%2Fb%20%C3%A9").await,
        (200, r#"{"taskName":"a/b é","success":false,"error":"Error: Unknown task: a/b é"}"#.to_owned())
    );
    assert_eq!(health(&served).await, before);
    let (status, body) = post(&served, "/trigger/%ff").await;
    assert!(status == 400 && body.starts_with("{\"error\":"), "{status} {body}");
    served.stop().await;
}

#[tokio::test]
async fn start_and_stop() {
    let home = Home::new(TASKS);
    let served = home.serve().await;
    let stopped = (200, r#"{"message":"Task nightly stopped"}"#.to_owned());
    let started = (200, r#"{"message":"Task nightly started"}"#.to_owned());
    assert_eq!(post(&served, "/start/nightly").await, started, "what is started stays started");
    assert_eq!(post(&served, "/stop/nightly").await, stopped);
    assert!(!health(&served).await.contains("nightly"));
    assert_eq!(
        post(&served, "/stop/nightly").await,
        (404, r#"{"error":"Task nightly not found"}"#.to_owned())
    );
    assert_eq!(post(&served, "/start/nightly").await, started);
    assert!(health(&served).await.contains("nightly"));
    assert_eq!(
        post(&served, "/start/nope").await,
        (404, r#"{"error":"Task nope not found in configuration"}"#.to_owned())
    );
    assert_eq!(
        post(&served, "/start/good").await,
        (409, r#"{"error":"Task good has no schedule: trigger it"}"#.to_owned())
    );
    assert_eq!(post(&served, "/stop/nope").await, (404, r#"{"error":"Task nope not found"}"#.to_owned()));
    assert_eq!(post(&served, "/stop/nightly").await, stopped);
    served.stop().await;

    let served = home.serve().await;
    assert!(!health(&served).await.contains("nightly"), "a stop survives a restart");
    served.stop().await;
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_is_named() {
    let home = Home::new(TASKS);
    let served = home.serve().await;
    let reloaded = (200, r#"{"message":"Configuration reloaded successfully"}"#.to_owned());
    assert_eq!(post(&served, "/reload-config").await, reloaded);
    let before = health(&served).await;

    home.write_tasks("[[task]]\nid = \"good\"\ncommand = [\"true\"]\nschedule = \"61 * * * *\"\n");
    let (status, body) = post(&served, "/reload-config").await;
    assert_eq!(status, 500);
    assert!(body.starts_with(r#"{"error":"Error: Invalid task configuration for "#), "{body}");
    assert!(body.contains("line 4") && body.contains("61"), "{body}");
    assert_eq!(health(&served).await, before);

    home.write_tasks("[[task]]\nid = \"other\"\ncommand = [\"true\"]\nevery = \"1h\"\n");
    assert_eq!(post(&served, "/reload-config").await, reloaded);
    let after = health(&served).await;
    assert!(after.contains("\"other\"") && !after.contains("nightly"), "{after}");
    served.stop().await;
}

#[tokio::test]
async fn bodies_are_ignored_and_errors_are_json() {
    let home = Home::new(TASKS);
    let served = home.serve().await;
    let broken = served.post("/stop/nightly").header(CONTENT_TYPE, "application/json").body("{not json");
    assert_eq!(broken.send().await.unwrap().status(), StatusCode::OK);
    for (request, status, body) in [
        (served.get("/trigger/good"), 404, r#"{"error":"Cannot GET /trigger/good"}"#),
        (served.get("/nothing"), 404, r#"{"error":"Cannot GET /nothing"}"#),
        (
            served.post("/stop/nightly").body(vec![b'x'; (1 << 20) + 1]),
            413,
            r#"{"error":"a body may have at most 1 MiB"}"#,
        ),
        (
            served.post("/stop/nightly").header(HOST, "evil.example"),
            403,
            r#"{"error":"the Host must be localhost or a loopback address, not \"evil.example\""}"#,
        ),
    ] {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(response.text().await.unwrap(), body);
    }
    let refused = served.bare(Method::POST, "/trigger/good").send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(refused.headers()["www-authenticate"], "Bearer realm=\"vigie\"");
    assert!(refused.text().await.unwrap().starts_with("{\"error\":\""));
    served.stop().await;
}

#[tokio::test]
async fn it_can_be_opened_for_old_clients() {
    let mut home = Home::new(TASKS);
    home.open_on_loopback = true;
    let served = home.serve().await;
    let triggered = served.bare(Method::POST, "/trigger/good").send().await.unwrap();
    assert_eq!(triggered.status(), StatusCode::OK);
    let page = served
        .bare(Method::POST, "/trigger/good")
        .header("origin", "http://evil.example")
        .send()
        .await
        .unwrap();
    assert_eq!(page.status(), StatusCode::FORBIDDEN);
    let native = served.bare(Method::GET, "/api/v1/tasks").send().await.unwrap();
    assert_eq!(native.status(), StatusCode::UNAUTHORIZED);
    served.stop().await;
}
