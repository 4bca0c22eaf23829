//! Tasks that come over the API: defined to stay, or submitted once.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{Home, Served, problem, text};

const FILE: &str = "[[task]]\nid = \"of-file\"\ncommand = [\"true\"]\n";

impl Served {
    fn put(&self, path: &str) -> RequestBuilder {
        self.bare(Method::PUT, path).bearer_auth(&self.file.token)
    }

    fn delete(&self, path: &str) -> RequestBuilder {
        self.bare(Method::DELETE, path).bearer_auth(&self.file.token)
    }

    async fn ids(&self) -> Vec<String> {
        let all = self.read("/tasks").await;
        let own = all["tasks"].as_array().unwrap().iter().filter(|task| task["source"] != "built-in");
        own.map(|task| text(&task["id"])).collect()
    }
}

async fn status(request: RequestBuilder) -> u16 {
    request.send().await.unwrap().status().as_u16()
}

async fn answer(request: RequestBuilder, status: u16) -> Value {
    let response = request.send().await.unwrap();
    let found = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    assert_eq!(found, status, "{body}");
    body
}

#[tokio::test]
async fn a_task_of_the_api_lives_beside_those_of_the_file_and_survives_restarts() {
    let home = Home::new(FILE);
    let served = home.serve().await;
    let task = json!({
        "id": "sync", "name": "Sync", "shell": "echo synced", "team": "data", "every": "1h",
        "retry": {"count": 2, "delay": "1s", "backoff": 2}, "description": null
    });
    let told = answer(served.post("/api/v1/tasks").json(&task), 201).await;
    assert_eq!(
        (&told["source"], &told["name"], &told["team"]),
        (&json!("api"), &json!("Sync"), &json!("data"))
    );
    assert_eq!(told["retry"]["max"], 2);
    assert_eq!(served.ids().await, ["of-file", "sync"]);
    assert_eq!(served.read("/tasks/of-file").await["source"], "file");
    assert_eq!(served.read("/tasks/sync/definition").await, task);
    let run = served.start_run("sync").await;
    served.until_run(&run, "succeeded").await;
    served.stop().await;

    let served = home.serve().await;
    assert_eq!(served.ids().await, ["of-file", "sync"]);
    let told = served.read("/tasks/sync").await;
    assert_eq!((&told["last_run"]["id"], &told["source"]), (&json!(run), &json!("api")));
    // Another file leaves it alone.
    home.write_tasks("");
    assert_eq!(status(served.post("/api/v1/reload")).await, 200);
    assert_eq!(served.ids().await, ["sync"]);

    let other = json!({"command": ["true"], "enabled": false});
    let told = answer(served.put("/api/v1/tasks/sync").json(&other), 200).await;
    assert_eq!(
        (&told["name"], &told["paused"], &told["schedule"]),
        (&json!("sync"), &json!(true), &Value::Null)
    );
    assert_eq!(status(served.put("/api/v1/tasks/fresh").json(&other)).await, 201);
    assert_eq!(status(served.delete("/api/v1/tasks/sync")).await, 200);
    assert_eq!(problem(served.get("/api/v1/tasks/sync")).await.0, 404);
    assert_eq!(served.ids().await, ["fresh"]);
    served.stop().await;
    let served = home.serve().await;
    assert_eq!(served.ids().await, ["fresh"]);
    served.stop().await;
}

#[tokio::test]
async fn an_id_is_taken_once_whoever_takes_it_first() {
    let home = Home::new(FILE);
    let served = home.serve().await;
    let task = |id: &str| json!({"id": id, "command": ["true"]});
    for (request, words) in [
        (served.post("/api/v1/tasks").json(&task("of-file")), "comes from tasks.toml"),
        (served.put("/api/v1/tasks/of-file").json(&task("of-file")), "comes from tasks.toml"),
        (served.delete("/api/v1/tasks/of-file"), "comes from tasks.toml"),
        (served.delete("/api/v1/tasks/disk-space"), "always there"),
        (served.post("/api/v1/tasks/of-file/archive"), "taking it out"),
        (served.get("/api/v1/tasks/of-file/definition"), "tasks.toml"),
    ] {
        let (status, kind, detail) = problem(request).await;
        assert_eq!((status, kind.as_str()), (409, "conflict"), "{detail}");
        assert!(detail.contains(words), "{detail}");
    }
    assert_eq!(status(served.post("/api/v1/tasks").json(&task("x"))).await, 201);
    let (status, _, detail) = problem(served.post("/api/v1/tasks").json(&task("x"))).await;
    assert_eq!(status, 409);
    assert!(detail.contains("PUT /api/v1/tasks/x replaces it"), "{detail}");
    assert_eq!(problem(served.delete("/api/v1/tasks/nope")).await.0, 404);

    home.write_tasks(&format!("{FILE}[[task]]\nid = \"x\"\n"));
    let (status, _, detail) = problem(served.post("/api/v1/reload")).await;
    assert_eq!(status, 422);
    assert!(detail.contains("line 5") && detail.contains("defined over the API"), "{detail}");
    assert_eq!(served.ids().await, ["of-file", "x"]);
    served.stop().await;
}

/// What comes over the API and what the file says never meet in one key or one circle, whichever comes second.
#[tokio::test]
async fn keys_and_circles_are_refused_across_the_file_and_the_api() {
    let home = Home::new(FILE);
    let served = home.serve().await;
    let key = "0123456789abcdef";
    let task = json!({"id": "x", "command": ["true"], "ping_key": key, "after": ["of-file"]});
    assert_eq!(status(served.post("/api/v1/tasks").json(&task)).await, 201);
    let other = json!({"id": "y", "command": ["true"], "failure_action": "run:x"});
    assert_eq!(status(served.post("/api/v1/tasks").json(&other)).await, 201);
    let made = text(&served.read("/tasks/y").await["ping_key"]);
    let of_file = text(&served.read("/tasks/of-file").await["ping_key"]);
    let line = FILE.lines().count() + 3;
    for (more, words) in [
        (format!("ping_key = \"{key}\""), "is the key of the task \"x\": each task has its own"),
        (format!("ping_key = \"{made}\""), "is the key of the task \"y\": each task has its own"),
        (format!("ping_key = \"{of_file}\""), "is the key of the task \"of-file\": each task has its own"),
    ] {
        home.write_tasks(&format!("{FILE}[[task]]\nid = \"new\"\n{more}\n"));
        let (status, _, detail) = problem(served.post("/api/v1/reload")).await;
        assert_eq!(status, 422, "{more}");
        assert!(detail.contains(&format!("line {line}: ")) && detail.contains(words), "{detail}");
    }
    // Nothing of it is half taken, and a task may say what was made for it.
    assert_eq!(served.ids().await, ["of-file", "x", "y"]);
    home.write_tasks(&format!("{FILE}ping_key = \"{of_file}\"\n"));
    assert_eq!(status(served.post("/api/v1/reload")).await, 200);
    served.stop().await;
    // The same at the start: a file that is not taken leaves the one before.
    home.write_tasks(&format!("{FILE}[[task]]\nid = \"new\"\nping_key = \"{made}\"\n"));
    let served = home.serve().await;
    assert_eq!(served.ids().await, ["of-file", "x", "y"]);
    served.stop().await;
}

#[tokio::test]
async fn every_problem_of_a_task_is_told_with_its_field() {
    let home = Home::new(FILE);
    let served = home.serve().await;
    let task = json!({
        "id": "a b", "comand": ["true"], "schedule": "99 * * * *", "priority": 9,
        "retry": {"count": 1, "jiter": 1}, "overlap": "skp", "env": {"A": 1}
    });
    let response = served.post("/api/v1/tasks").json(&task).send().await.unwrap();
    assert_eq!(response.status(), 422);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["type"], "bad-task");
    let mut fields: Vec<&str> = body["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| problem["field"].as_str().unwrap())
        .collect();
    fields.sort_unstable();
    assert_eq!(fields, ["comand", "env.A", "id", "overlap", "priority", "retry.jiter", "schedule"], "{body}");
    assert!(text(&body["detail"]).contains("did you mean \"command\"?"), "{body}");

    for (task, field, words) in [
        (json!({"id": "a", "failure_action": "run:nobody"}), "failure_action", "no task \"nobody\""),
        (json!({"id": "a", "failure_action": "run:a"}), "failure_action", "itself"),
        (json!({"id": "disk-space"}), "id", "built-in"),
        (json!({}), "", "\"id\" is missing"),
    ] {
        let body = answer(served.post("/api/v1/tasks").json(&task), 422).await;
        assert_eq!(body["problems"][0]["field"], field, "{body}");
        assert!(text(&body["problems"][0]["detail"]).contains(words), "{body}");
    }
    let body = answer(served.put("/api/v1/tasks/a").json(&json!({"id": "b"})), 422).await;
    assert_eq!(body["problems"][0]["field"], "id");
    assert_eq!(problem(served.post("/api/v1/tasks").body("[]")).await.1, "bad-body");
    assert_eq!(served.ids().await, ["of-file"]);
    served.stop().await;
}

#[tokio::test]
async fn what_is_submitted_once_is_a_task_of_its_own_with_its_run() {
    let home = Home::new(FILE);
    let served = home.serve().await;
    let work = json!({
        "command": ["/bin/sh", "-c", "echo \"$WHO\"; exit 3"], "name": "Pg dump!", "team": "data", "priority": 1,
        "env": {"WHO": "me"}, "retry": {"count": 1, "delay_s": 0}, "max_runtime_s": 60, "cwd": "/tmp"
    });
    let call = || served.post("/api/v1/runs").header("idempotency-key", "k").json(&work);
    let accepted = answer(call(), 202).await;
    let (run, id) = (text(&accepted["run"]), text(&accepted["task"]));
    assert!(id.starts_with("pg-dump-") && id.len() == "pg-dump-".len() + 6, "{id}");
    assert_eq!(answer(call(), 202).await, accepted, "the same key is the same call");
    let other = served.post("/api/v1/runs").header("idempotency-key", "k").json(&json!({"shell": "true"}));
    assert_eq!(problem(other).await.0, 409);
    let ended = served.until_run(&run, "failed").await;
    assert_eq!(
        (&ended["attempt"], &ended["priority"], &ended["cause"]),
        (&json!(1), &json!(1), &json!("submitted"))
    );
    assert_eq!(
        served.read(&format!("/runs/{run}/log")).await["text"].as_str().unwrap().matches("me\n").count(),
        2
    );
    served.stop().await;

    let served = home.serve().await;
    let told = served.read(&format!("/tasks/{id}")).await;
    assert_eq!(
        (&told["state"], &told["class"], &told["source"]),
        (&json!("failing"), &json!("one-off"), &json!("one-off"))
    );
    assert_eq!(
        (&told["name"], &told["team"], &told["last_run"]["id"]),
        (&json!("Pg dump!"), &json!("data"), &json!(run))
    );
    // It can be run again, and put away.
    let again = answer(served.post(&format!("/api/v1/runs/{run}/retry")), 202).await;
    served.until_run(&text(&again["run"]), "failed").await;
    assert_eq!(status(served.post(&format!("/api/v1/tasks/{id}/archive"))).await, 200);
    let told = served.read(&format!("/tasks/{id}")).await;
    assert_eq!((&told["state"], &told["archived"]), (&json!("archived"), &json!(true)));
    assert_eq!(served.read("/alerts").await["alerts"], json!([]));
    let (status, _, detail) = problem(served.post(&format!("/api/v1/tasks/{id}/runs"))).await;
    assert_eq!(status, 409);
    assert!(detail.contains("put away"), "{detail}");
    assert_eq!(problem(served.post(&format!("/api/v1/tasks/{id}/archive"))).await.0, 409);
    // A resume takes it back.
    answer(served.post(&format!("/api/v1/tasks/{id}/resume")), 200).await;
    assert_eq!(served.read(&format!("/tasks/{id}")).await["state"], "failing");

    let body = answer(served.post("/api/v1/runs").json(&json!({})), 422).await;
    assert!(text(&body["detail"]).contains("must begin with a program"), "{body}");
    let body =
        answer(served.post("/api/v1/runs").json(&json!({"shell": "true", "command": ["true"]})), 422).await;
    assert!(text(&body["detail"]).contains("one of the two"), "{body}");
    assert_eq!(problem(served.post("/api/v1/runs").json(&json!({"comand": ["x"]}))).await.1, "bad-body");
    served.stop().await;
}

#[tokio::test]
async fn a_bad_file_is_told_whole_wherever_it_is_asked_for_and_changes_nothing() {
    let home = Home::new(FILE);
    let served = home.serve().await;
    home.write_tasks(
        "[[task]]\nid = \"of-file\"\nschedule = \"30 2 30 2 *\"\nzone = \"Europe/Pari\"\n\n\
         [[task]]\nid = \"b\"\nshell = \"true\"\nafter = \"bb\"\ncolour = \"red\"\n",
    );
    let lines = [
        "line 3: task[0].schedule",
        "line 4: task[0].zone",
        "line 9: task[1].after",
        "line 10: task[1].colour",
    ];
    let (status, _, detail) = problem(served.post("/api/v1/reload")).await;
    assert_eq!(status, 422);
    let old = served.post("/reload-config").send().await.unwrap();
    assert_eq!(old.status(), 500);
    let old = text(&old.json::<Value>().await.unwrap()["error"]);
    let all = served.read("/tasks").await;
    let told = all["file_problems"].as_array().unwrap().iter().map(text).collect::<Vec<_>>().join("\n");
    for line in lines {
        assert!(
            detail.contains(line) && old.contains(line) && told.contains(line),
            "{line}: {detail}\n{old}\n{told}"
        );
    }
    assert_eq!(served.ids().await, ["of-file"]);
    assert_eq!(served.read("/tasks/of-file").await["schedule"], Value::Null);
    served.stop().await;
}

#[tokio::test]
async fn a_task_of_the_api_starts_after_one_of_the_file() {
    let home = Home::new(FILE);
    let served = home.serve().await;
    let task = json!({"id": "then", "shell": "echo then", "after": "of-file"});
    let told = answer(served.post("/api/v1/tasks").json(&task), 201).await;
    assert_eq!(told["after"], json!(["of-file"]));
    let run = served.start_run("of-file").await;
    served.until_run(&run, "succeeded").await;
    let followed = served
        .until(|answer| {
            let runs = answer["runs"].as_array()?;
            runs.iter().find(|run| run["task"] == "then" && run["state"] == "succeeded").cloned()
        })
        .await;
    assert_eq!(followed["cause"], "after of-file");
    served.stop().await;
}
