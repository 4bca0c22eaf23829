//! The audit log: who did what, to what, from where, when, with which result.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use vigie::coordinator::audit::{Verdict, verify};

use super::{Home, Served, json, problem, text};

const TASKS: &str = "[[task]]\nid = \"a\"\ncommand = [\"true\"]\nschedule = \"* * * * *\"\n";

async fn rows(served: &Served) -> Vec<Value> {
    let mut page = served.read("/audit?limit=2").await;
    let mut rows: Vec<Value> = Vec::new();
    loop {
        rows.extend(page["rows"].as_array().unwrap().iter().cloned());
        assert!(page["rows"].as_array().unwrap().len() <= 2);
        let Some(next) = page["next"].as_u64() else { return rows };
        page = served.read(&format!("/audit?limit=2&before={next}")).await;
    }
}

#[tokio::test]
async fn every_change_is_in_the_audit_log_and_so_is_what_was_refused() {
    let home = Home::new(TASKS);
    let served = home.serve().await;
    let run = served.start_run("a").await;
    served.until_run(&run, "succeeded").await;
    let call =
        async |path: &str| served.post(&format!("/api/v1{path}")).send().await.unwrap().status().as_u16();
    assert_eq!(call("/tasks/a/pause").await, 200);
    assert_eq!(call("/tasks/a/pause").await, 409);
    assert_eq!(call("/tasks/none/runs").await, 404);
    assert_eq!(call(&format!("/runs/{run}/cancel")).await, 409);
    assert_eq!(call(&format!("/runs/{run}/retry")).await, 409);
    assert_eq!(call("/runs/none/retry").await, 404);
    home.write_tasks("[[task]]\nid = 5\n");
    assert_eq!(call("/reload").await, 422);
    // Nobody asked for what a schedule starts. The watch of the file tells of it too, when it comes to that.
    let (rows, verdict) = loop {
        let (all, verdict) = (rows(&served).await, verify(&home.data()).unwrap());
        if rows(&served).await.len() == all.len() {
            break (all, verdict);
        }
    };
    let shown: Vec<[String; 3]> =
        rows.iter().rev().map(|row| ["action", "target", "result"].map(|key| text(&row[key]))).collect();
    let of = |action: &str, target: &str| -> Vec<String> {
        let found = shown.iter().filter(|row| row[0] == action && row[1] == target);
        found.map(|row| row[2].clone()).collect()
    };
    assert_eq!(of("trigger", "a"), ["ok"]);
    assert_eq!(of("pause", "a"), ["ok", "it is paused already"]);
    assert_eq!(of("trigger", "none").len(), 1);
    assert_eq!(of("cancel", &run).len(), 1, "{shown:?}");
    assert_eq!(of("retry", &run), ["it succeeded; to run it once more, trigger the task"]);
    assert_eq!(of("retry", "none").len(), 1, "{shown:?}");
    assert!(shown.iter().any(|row| row[0] == "reload-config" && row[2].ends_with("problem")), "{shown:?}");
    for row in &rows {
        if row["by"] != "file changed" {
            assert_eq!(
                (row["by"].as_str(), row["from"].as_str()),
                (Some("local"), Some("127.0.0.1")),
                "{row}"
            );
        }
        assert_eq!(row["at"].as_str(), Some("2026-01-20T09:01:00Z"));
    }
    let newest = rows.first().and_then(|row| row["hash"].as_str()).unwrap().to_owned();
    let Verdict::Whole { rows: count, head, .. } = verdict else { panic!("broken") };
    assert_eq!((count, head), (rows.len() as u64, Some(newest)));
    let (status, kind, _) = problem(served.get("/api/v1/audit?limit=0")).await;
    assert_eq!((status, kind.as_str()), (400, "bad-parameter"));
    served.stop().await;
}

#[tokio::test]
async fn what_a_role_forbids_is_in_the_audit_log_and_a_team_does_not_read_it() {
    let home = Home::new(TASKS);
    let served = home.serve().await;
    let token = async |role: &str, teams: Option<Value>| {
        let mut wish = json!({"name": format!("{role}-1"), "role": role});
        if let Some(teams) = teams {
            wish["teams"] = teams;
        }
        let made = served.post("/api/v1/tokens").json(&wish).send().await.unwrap();
        assert!(made.status().is_success());
        text(&json(made).await["token"])
    };
    let viewer = token("viewer", None).await;
    let operator = token("operator", Some(json!(["ops"]))).await;
    let ask = async |method: Method, path: &str, token: &str| {
        served.bare(method, path).bearer_auth(token).send().await.unwrap().status()
    };
    assert_eq!(ask(Method::POST, "/api/v1/tasks/a/runs", &viewer).await, StatusCode::FORBIDDEN);
    assert_eq!(ask(Method::GET, "/api/v1/audit", &viewer).await, StatusCode::OK);
    assert_eq!(ask(Method::GET, "/api/v1/audit", &operator).await, StatusCode::FORBIDDEN);
    let rows = rows(&served).await;
    let found = rows.iter().find(|row| row["by"] == "viewer-1").unwrap();
    assert_eq!(found["target"], "/api/v1/tasks/a/runs");
    assert_eq!(found["from"], "127.0.0.1");
    assert!(text(&found["result"]).contains("operator"), "{found}");
    assert!(rows.iter().any(|row| row["action"] == "create-token"), "{rows:?}");
    served.stop().await;
}
