//! Alerts that somebody takes, puts off or silences, over HTTP.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{Home, Served, problem, text};

const TASKS: &str = "[[task]]\nid = \"dump\"\nteam = \"data\"\ncommand = [\"false\"]\n\
                     [[task]]\nid = \"sync\"\nteam = \"ops\"\ncommand = [\"false\"]\n";

impl Served {
    fn drop_silence(&self, id: &str) -> RequestBuilder {
        self.bare(Method::DELETE, &format!("/api/v1/silences/{id}")).bearer_auth(&self.file.token)
    }

    /// The one alert of a task.
    async fn alert_of(&self, task: &str) -> Value {
        let all = self.read("/alerts").await["alerts"].clone();
        let mut theirs = all.as_array().unwrap().iter().filter(|alert| alert["task"] == task);
        let alert = theirs.next().unwrap_or_else(|| panic!("no alert of {task}: {all:#}")).clone();
        assert!(theirs.next().is_none(), "{all:#}");
        alert
    }

    async fn fails(&self, task: &str) {
        let run = self.start_run(task).await;
        self.until_run(&run, "failed").await;
    }

    async fn token(&self, name: &str, role: &str, teams: &[&str]) -> String {
        let wish = json!({"name": name, "role": role, "teams": teams});
        let made = said(self.post("/api/v1/tokens").json(&wish), 201).await;
        text(&made["token"])
    }
}

async fn said(request: RequestBuilder, status: u16) -> Value {
    let response = request.send().await.unwrap();
    let found = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    assert_eq!(found, status, "{body}");
    body
}

#[tokio::test]
async fn an_alert_is_taken_put_off_and_silenced_and_a_restart_forgets_none_of_it() {
    let home = Home::new(TASKS);
    let served = home.serve().await;
    let early = problem(served.post("/api/v1/tasks/dump/acknowledge")).await;
    assert_eq!(early, (409, "conflict".to_owned(), "no alert of it is open".to_owned()));
    served.fails("dump").await;
    let note = json!({"note": "looking at it"});
    let done = said(served.post("/api/v1/tasks/dump/acknowledge").json(&note), 200).await;
    assert_eq!(done["message"], "the open alerts of dump are taken by local");
    let until = json!({"until": "2026-01-20T11:00:00Z", "note": "after lunch"});
    let done = said(served.post("/api/v1/tasks/dump/snooze").json(&until), 200).await;
    assert_eq!(
        done["message"],
        "the alerts of dump are put off until 2026-01-20 11:00 UTC, or until its next good run"
    );
    let alert = served.alert_of("dump").await;
    assert_eq!(
        (&alert["acknowledged_by"], &alert["silenced_until"]),
        (&json!("local"), &json!("2026-01-20T11:00:00Z"))
    );
    let handling = json!({
        "acknowledged_at": "2026-01-20T09:01:00Z", "note": "looking at it",
        "silenced_by": "local", "comment": "after lunch", "snoozed": true,
    });
    assert_eq!(alert["handling"], handling);

    let done = said(served.post("/api/v1/tasks/dump/silence"), 200).await;
    assert_eq!(done["message"], "the alerts of dump are silenced for an hour");
    served.stop().await;
    let served = home.serve().await;
    assert_eq!(served.alert_of("dump").await, alert, "the snooze is the longer");
    let silences = served.read("/silences").await["silences"].clone();
    assert_eq!(silences[0]["matcher"], json!({"task": "dump"}));
    assert_eq!(
        (&silences[0]["by"], &silences[0]["until"]),
        (&json!("local"), &json!("2026-01-20T10:01:00Z"))
    );
    let audit = served.read("/audit?limit=9").await["rows"].clone();
    for (action, details) in [
        ("acknowledge", "looking at it"),
        ("snooze", "until 2026-01-20 11:00:00 UTC, after lunch"),
        ("silence", "task dump"),
    ] {
        let row =
            audit.as_array().unwrap().iter().find(|row| row["action"] == action && row["result"] == "ok");
        let row = row.unwrap_or_else(|| panic!("no {action} in {audit:#}"));
        assert_eq!((&row["target"], &row["details"]), (&json!("dump"), &json!(details)));
    }
    served.stop().await;
}

#[tokio::test]
async fn a_silence_by_matcher_is_previewed_made_listed_and_ended() {
    let home = Home::new(TASKS);
    let served = home.serve().await;
    served.fails("dump").await;
    served.fails("sync").await;
    let preview = served.read("/silences/preview?team=data&kind=failed").await;
    assert_eq!(preview["tasks"], json!(["dump"]));
    assert_eq!(preview["alerts"][0]["task"], "dump");
    assert!(served.read("/silences").await["silences"].as_array().unwrap().is_empty(), "that was a preview");

    let wish = json!({
        "matcher": {"team": "data", "kind": "failed"}, "until": "2026-01-20T12:00:00Z", "comment": "new disks",
    });
    let once = || served.post("/api/v1/silences").header("idempotency-key", "once").json(&wish);
    let made = said(once(), 201).await;
    assert_eq!(said(once(), 201).await, made, "the same key makes no other");
    assert_eq!(served.read("/silences").await["silences"], json!([made]));
    assert_eq!(served.alert_of("dump").await["silenced_until"], "2026-01-20T12:00:00Z");
    assert_eq!(served.alert_of("sync").await["silenced_until"], Value::Null);

    let id = text(&made["id"]);
    let done = said(served.drop_silence(&id), 200).await;
    assert_eq!(done["message"], format!("the silence {id} is over"));
    assert_eq!(served.alert_of("dump").await["silenced_until"], Value::Null);
    assert_eq!(problem(served.drop_silence(&id)).await.1, "silence-not-found");
    served.stop().await;
    let served = home.serve().await;
    assert!(served.read("/silences").await["silences"].as_array().unwrap().is_empty());
    served.stop().await;
}

#[tokio::test]
async fn a_silence_that_can_not_be_says_which_field_and_why() {
    let home = Home::new(TASKS);
    let served = home.serve().await;
    let until = "2026-01-20T12:00:00Z";
    for (wish, status, kind, words) in [
        (json!({"matcher": {}, "until": until}), 422, "bad-value", "matcher: says nothing"),
        (json!({"matcher": {"team": "x"}, "until": until}), 422, "bad-value", "matcher.team: no task is of"),
        (json!({"matcher": {"task": "x"}, "until": until}), 404, "task-not-found", "no task"),
        (
            json!({"matcher": {"task": "dump"}, "until": "2020-01-01T00:00:00Z"}),
            422,
            "bad-value",
            "until: 2020-",
        ),
        (json!({"matcher": {"kind": "bad"}, "until": until}), 400, "bad-body", "bad"),
        (json!({"matcher": {"taks": "dump"}, "until": until}), 400, "bad-body", "taks"),
        (json!({"matcher": {"task": "dump"}}), 400, "bad-body", "until"),
    ] {
        let (found, what, detail) = problem(served.post("/api/v1/silences").json(&wish)).await;
        assert_eq!((found, &*what), (status, kind), "{wish}: {detail}");
        assert!(detail.contains(words), "{detail}");
    }
    assert_eq!(problem(served.get("/api/v1/silences/preview")).await.0, 400);
    served.stop().await;
}

#[tokio::test]
async fn who_is_of_a_team_handles_the_alerts_of_that_team_only() {
    let home = Home::new(TASKS);
    let served = home.serve().await;
    served.fails("dump").await;
    served.fails("sync").await;
    let ana = served.token("ana", "operator", &["data"]).await;
    let viewer = served.token("eve", "viewer", &["data"]).await;
    let post = |path: &str, token: &str| served.bare(Method::POST, path).bearer_auth(token);
    for path in ["acknowledge", "snooze", "silence"] {
        let own = format!("/api/v1/tasks/dump/{path}");
        let others = format!("/api/v1/tasks/sync/{path}");
        assert_eq!(problem(post(&own, &viewer)).await.1, "role-needed");
        assert_eq!(problem(post(&others, &ana)).await.1, "task-not-found");
        said(post(&own, &ana), 200).await;
    }
    assert_eq!(served.alert_of("dump").await["acknowledged_by"], "ana");
    assert_eq!(served.alert_of("sync").await["acknowledged_by"], Value::Null);
    let until = "2026-01-20T12:00:00Z";
    let of = |matcher: Value| json!({"matcher": matcher, "until": until});
    let silences = "/api/v1/silences";
    said(post(silences, &ana).json(&of(json!({"team": "data"}))), 201).await;
    for (matcher, kind) in [
        (json!({"team": "ops"}), "other-team"),
        (json!({"kind": "failed"}), "other-team"),
        (json!({"task": "sync"}), "task-not-found"),
    ] {
        assert_eq!(problem(post(silences, &ana).json(&of(matcher))).await.1, kind);
    }
    let made = said(served.post(silences).json(&of(json!({"kind": "failed"}))), 201).await;
    let theirs = said(served.bare(Method::GET, silences).bearer_auth(&viewer), 200).await;
    assert_eq!(
        theirs["silences"].as_array().unwrap().len(),
        2,
        "what is everybody's is not listed: {theirs}"
    );
    let end = served.bare(Method::DELETE, &format!("{silences}/{}", text(&made["id"]))).bearer_auth(&ana);
    assert_eq!(problem(end).await.1, "silence-not-found");
    served.stop().await;
}

#[tokio::test]
async fn metrics_do_not_count_what_is_silenced_or_snoozed() {
    let home = Home::new(TASKS);
    let served = home.serve().await;
    served.fails("dump").await;
    served.fails("sync").await;
    let metrics = async || served.get("/metrics").send().await.unwrap().text().await.unwrap();
    let failed = "{kind=\"failed\",severity=\"critical\"}";
    assert!(metrics().await.contains(&format!("vigie_alerts{failed} 2\n")));
    said(served.post("/api/v1/tasks/dump/snooze"), 200).await;
    let after = metrics().await;
    assert!(after.contains(&format!("vigie_alerts{failed} 1\n")), "{after}");
    assert!(after.contains(&format!("vigie_alerts_silenced{failed} 1\n")), "{after}");
    served.stop().await;
}

#[tokio::test]
async fn who_waits_for_changes_hears_of_it() {
    let home = Home::new(TASKS);
    let served = home.serve().await;
    served.fails("dump").await;
    let cursor = text(&served.read("/tasks").await["cursor"]);
    said(served.post("/api/v1/tasks/dump/acknowledge"), 200).await;
    let changes = served.read(&format!("/changes?since={cursor}&wait_s=30")).await;
    assert_eq!(changes["alerts"][0]["acknowledged_by"], "local");
    served.stop().await;
}
