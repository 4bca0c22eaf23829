//! Start, lease, end.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use vigie::coordinator::{Ended, LockError, Options, ServeError, SystemClock, read_announcement, serve};
use vigie::wire::COORDINATOR_FILE;

use super::{Home, PATIENCE, json};

#[tokio::test]
async fn one_per_data_directory_and_the_next_takes_over() {
    let home = Home::new("");
    let first = home.serve().await;
    let path = home.data().join(COORDINATOR_FILE);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let told = read_announcement(&home.data()).unwrap();
    assert_eq!(
        (told.url, told.token, told.pid),
        (first.file.url.clone(), first.file.token.clone(), std::process::id())
    );

    let refused = home.open(&CancellationToken::new()).await.unwrap_err();
    let ServeError::Lock(LockError::Taken { by: Some(holder), .. }) = &refused else { panic!("{refused}") };
    assert_eq!((holder.pid, holder.url.as_str()), (std::process::id(), first.file.url.as_str()));
    assert!(path.exists(), "the refused one leaves the announcement alone");

    let token = first.file.token.clone();
    assert_eq!(first.stop().await, Ended::Asked);
    assert!(!path.exists());

    let second = home.serve().await;
    assert_ne!(second.file.token, token);
    let stale = second.bare(Method::GET, "/api/v1/tasks").bearer_auth(token).send().await.unwrap();
    assert_eq!(stale.status(), StatusCode::UNAUTHORIZED);
    second.stop().await;
}

#[tokio::test]
async fn beyond_loopback_it_does_not_start() {
    let home = Home::new("");
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let options = Options {
        data: home.data(),
        program: env!("CARGO_BIN_EXE_vigie").into(),
        tasks: home.dir.path().join("tasks.toml"),
        vault: crate::support::vault(&home.data()),
        scheduling: false,
        linger: None,
        open_on_loopback: true,
        hosts: Vec::new(),
        tls: None,
    };
    let refused = serve(listener, options, std::sync::Arc::new(SystemClock), CancellationToken::new()).await;
    assert!(refused.unwrap_err().to_string().contains("speaks TLS only"));
    assert!(!home.data().exists(), "nothing is left behind");
}

#[tokio::test]
async fn it_ends_when_its_last_console_has_gone() {
    let mut home = Home::new("");
    home.linger = Some(Duration::from_millis(20));
    let served = home.serve().await;
    let mut consoles = Vec::new();
    for _ in 0..2 {
        let mut lease = served.get("/api/v1/lease").send().await.unwrap();
        assert_eq!(lease.status(), StatusCode::OK);
        assert_eq!(lease.chunk().await.unwrap().unwrap(), "\n");
        consoles.push(lease);
    }
    let about = served.read("/coordinator").await;
    assert_eq!((&about["consoles"], &about["ends_with_consoles"]), (&Value::from(2), &Value::from(true)));
    assert_eq!(about["pid"], std::process::id());
    assert_eq!(about["started"], "2026-01-20T09:01:00Z");

    consoles.pop();
    // The one that went is noticed though nothing is sent to it.
    let gone = async { while served.read("/coordinator").await["consoles"] != 1 {} };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
    assert!(!served.running.is_finished());
    drop(consoles);
    assert_eq!(served.ended().await, Ended::LastConsoleGone);
    assert!(read_announcement(&home.data()).is_none());
}

#[tokio::test]
async fn whoever_waits_is_answered_at_the_end() {
    let home = Home::new("[[task]]\nid = \"long\"\ncommand = [\"sleep\", \"600\"]\n");
    let served = home.serve().await;
    let mut lease = served.get("/api/v1/lease").send().await.unwrap();
    lease.chunk().await.unwrap();
    let trigger = tokio::spawn(served.post("/trigger/long").send());
    let cursor = served
        .until(|answer| {
            let runs = answer["runs"].as_array()?;
            runs.iter().any(|run| run["state"] == "running").then(|| answer["cursor"].clone())
        })
        .await;
    let path = format!("/api/v1/changes?since={}&wait_s=60", cursor.as_str().unwrap());
    let changes = tokio::spawn(served.get(&path).send());
    assert_eq!(served.stop().await, Ended::Asked);
    assert_eq!(lease.chunk().await.unwrap(), None);
    let triggered = json(trigger.await.unwrap().unwrap()).await;
    assert_eq!(triggered["success"], false, "{triggered}");
    assert_eq!(
        triggered["error"],
        "Error: the coordinator has ended; the run goes on, and its end will be known"
    );
    // It was answered at once, or came too late to be accepted.
    if let Ok(changes) = changes.await.unwrap() {
        assert_eq!(changes.status(), StatusCode::OK);
    }
}
