//! A backup of `self-backup`, put into a fresh data directory, is a coordinator again.

use std::path::PathBuf;

use reqwest::StatusCode;
use serde_json::{Value, json};
use vigie::coordinator::audit::{Verdict, verify};

use super::{Home, Served, json, text};

/// What runs leaves a mark each time that it does.
fn tasks(marks: &str) -> String {
    format!(
        "[limits]\ncoordinator = 1\n\
         [[task]]\nid = \"good\"\ncommand = [\"true\"]\nteam = \"data\"\n\
         [[task]]\nid = \"bad\"\nshell = \"echo 'no such host'; exit 3\"\n\
         [[task]]\nid = \"paused\"\ncommand = [\"true\"]\nevery = \"1h\"\n\
         [[task]]\nid = \"hourly\"\nshell = \"echo x >> {marks}/hourly\"\nschedule = \"0 * * * *\"\ncatch_up = \"once\"\n\
         [[task]]\nid = \"long\"\nshell = \"echo x >> {marks}/long; exec sleep 600\"\n\
         retry = {{ count = 3, on = [\"failed\", \"dead\"] }}\n\
         [[task]]\nid = \"waits\"\nshell = \"echo x >> {marks}/waits\"\npriority = 1\n\
         [[task]]\nid = \"secret\"\nteam = \"data\"\nshell = \"test $TOKEN = t0p-s3cret\"\n\
         secrets = {{ TOKEN = \"data/token\" }}\n"
    )
}

/// The one file in `folder` whose name begins so.
fn only(folder: PathBuf, prefix: &str) -> PathBuf {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let found: Vec<PathBuf> =
        entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(prefix)).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

async fn state(served: &Served, task: &str) -> String {
    text(&served.read(&format!("/tasks/{task}")).await["state"])
}

#[tokio::test]
async fn a_backup_of_self_backup_restores() {
    let marks = tempfile::tempdir().unwrap();
    let mut lost = Home::new(&tasks(&marks.path().display().to_string()));
    let vault = crate::support::vault(&lost.data());
    let name = "data/token".parse().unwrap();
    vault.set(vec![(name, "t0p-s3cret".into())], super::NOW.parse().unwrap()).await.unwrap();
    let served = lost.serve().await;
    for (task, end) in [("good", "succeeded"), ("bad", "failed")] {
        let run = served.start_run(task).await;
        served.until_run(&run, end).await;
    }
    assert!(served.post("/api/v1/tasks/paused/pause").send().await.unwrap().status().is_success());
    let defined = json!({"id": "defined", "command": ["true"], "every": "1h"});
    assert!(served.post("/api/v1/tasks").json(&defined).send().await.unwrap().status().is_success());
    let wish = json!({"name": "ci", "role": "operator"});
    let token = json(served.post("/api/v1/tokens").json(&wish).send().await.unwrap()).await;
    let long = served.start_run("long").await;
    served.until_run(&long, "running").await;
    let waits = served.start_run("waits").await;
    let backup = served.start_run("self-backup").await;
    served.until_run(&backup, "succeeded").await;
    // What comes after it is not in it.
    let after = json(served.post("/api/v1/tasks/good/runs").send().await.unwrap()).await;
    let before = (served.read("/runs?limit=500").await, served.read("/flips").await, rows(&served).await);
    served.stop().await;

    // Hours later, of the same machine: nothing tells but the backup itself.
    lost.clock = std::sync::Arc::new(super::StandingClock("2026-01-20T13:30:00Z".parse().unwrap()));
    let mut home = Home::new(&std::fs::read_to_string(lost.dir.path().join("tasks.toml")).unwrap());
    home.clock = lost.clock.clone();
    let backups = lost.data().join("backups");
    std::fs::create_dir(home.data()).unwrap();
    std::fs::copy(only(backups.clone(), "coordinator-"), home.data().join("coordinator.db")).unwrap();
    std::fs::copy(only(backups, "vault-"), home.data().join("vault.age")).unwrap();
    std::fs::copy(lost.dir.path().join("vault.key"), home.dir.path().join("vault.key")).unwrap();
    let served = home.serve().await;

    for (task, expected) in [
        ("good", "healthy"),
        ("bad", "failing"),
        ("paused", "paused"),
        ("hourly", "healthy"),
        ("long", "failing"),
        ("waits", "healthy"),
        ("defined", "healthy"),
        ("self-backup", "healthy"),
    ] {
        assert_eq!(state(&served, task).await, expected, "{task}");
    }
    let run = async |id: &str| served.read(&format!("/runs/{id}")).await;
    let (long, waits, backup) = (run(&long).await, run(&waits).await, run(&backup).await);
    assert_eq!(long["state"], "dead");
    assert_eq!(
        long["message"],
        "it ran when the backup of 2026-01-20 09:01:00 UTC was made: how it ended is not known"
    );
    assert_eq!(waits["state"], "aborted");
    assert!(text(&waits["message"]).ends_with("it may have run since"), "{waits}");
    assert_eq!(backup["state"], "succeeded", "{backup}");
    let gone = served.get(&format!("/api/v1/runs/{}", text(&after["run"]))).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);
    the_rest_is_there(&served, &before).await;

    // The token is good, and the secret opens.
    let trigger = served.bare(reqwest::Method::POST, "/api/v1/tasks/secret/runs");
    let run = json(trigger.bearer_auth(text(&token["token"])).send().await.unwrap()).await;
    served.until_run(&text(&run["run"]), "succeeded").await;
    // A restart is no restoring.
    let restored = |rows: &[Value]| rows.iter().filter(|row| row["action"] == "restore").count();
    assert_eq!(restored(&rows(&served).await), 1);
    served.stop().await;
    let served = home.serve().await;
    assert_eq!(restored(&rows(&served).await), 1);
    served.stop().await;
    let verdict = verify(&home.data()).unwrap();
    assert!(matches!(verdict, Verdict::Whole { .. }), "{verdict:?}");
    // Nothing ran twice, or for slots of which nothing is known.
    for (task, times) in [("long", 1), ("waits", 0), ("hourly", 0)] {
        let ran = std::fs::read_to_string(marks.path().join(task)).unwrap_or_default();
        assert_eq!(ran.lines().count(), times, "{task}");
    }
}

async fn rows(served: &Served) -> Vec<Value> {
    served.read("/audit?limit=1000").await["rows"].as_array().unwrap().clone()
}

/// Ended runs, flips and the audit log are as they were when the backup was made.
async fn the_rest_is_there(served: &Served, (runs, flips, audit): &(Value, Value, Vec<Value>)) {
    let now = served.read("/runs?limit=500").await;
    let now: Vec<&Value> = now["runs"].as_array().unwrap().iter().collect();
    let ended = runs["runs"].as_array().unwrap().iter().filter(|run| {
        let task = run["task"].as_str().unwrap();
        ["good", "bad"].contains(&task) && run["state"] != "queued"
    });
    let mut compared = 0;
    for run in ended {
        assert!(now.contains(&run), "{run} is not in {now:#?}");
        let log = served.read(&format!("/runs/{}/log", text(&run["id"]))).await;
        // The logs are not in the backup: there is nothing to read, and nothing to wait for.
        assert_eq!((&log["text"], &log["complete"]), (&json!(""), &json!(true)));
        compared += 1;
    }
    assert!(compared >= 2);
    let kept = served.read("/flips").await;
    let old = flips["flips"].as_array().unwrap();
    let failed = old.iter().find(|flip| flip["task"] == "bad").unwrap();
    assert!(kept["flips"].as_array().unwrap().contains(failed));
    let rows = rows(served).await;
    let missing: Vec<&Value> = audit.iter().filter(|row| !rows.contains(row)).collect();
    assert!(
        missing.iter().all(|row| row["target"] == "good"),
        "only what came after the backup: {missing:#?}"
    );
}
