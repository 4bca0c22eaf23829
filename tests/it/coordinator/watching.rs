//! Jobs that run elsewhere: pings as clients of healthchecks.io send them, and reports.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use vigie::coordinator::Clock;

use super::{Home, NOW, Served, problem, text};

const KEY: &str = "0b6dd2a3-5d4f-4c9e-8a57-3f4a4f6f2b10";
const RID: &str = "6bbea0f5-6a5c-4d3e-9a7c-0c2f0e7a1b22";
const OTHER_RID: &str = "9d1f6a1e-0d5e-4a53-8a55-1f0f9f3c7d10";

/// `hourly` is due at ten o'clock, 59 minutes after the start.
const TASKS: &str = r#"
[[task]]
id = "hourly"
schedule = "0 * * * *"
ping_key = "0b6dd2a3-5d4f-4c9e-8a57-3f4a4f6f2b10"
max_runtime = "10m"

[[task]]
id = "now-and-then"

[[task]]
id = "elsewhere"
heartbeat_timeout = "30s"
"#;

/// A clock that a test moves.
#[derive(Debug)]
struct Hands(Mutex<DateTime<Utc>>);

impl Clock for Hands {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }
}

impl Hands {
    fn set(&self, time: &str) {
        *self.0.lock().unwrap() = format!("2026-01-20T{time}Z").parse().unwrap();
    }
}

async fn start() -> (Home, Arc<Hands>, Served) {
    let clock = Arc::new(Hands(Mutex::new(NOW.parse().unwrap())));
    let mut home = Home::new(TASKS);
    home.clock = clock.clone();
    let served = home.serve().await;
    (home, clock, served)
}

impl Served {
    /// What a client of pings sends: no token.
    async fn ping(&self, method: Method, path: &str, body: &str) -> Response {
        self.bare(method, &format!("/ping/{path}")).body(body.to_owned()).send().await.unwrap()
    }

    async fn pinged(&self, path: &str) {
        let answer = self.ping(Method::GET, path, "").await;
        assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (200, "OK"), "{path}");
    }

    async fn runs_of(&self, task: &str) -> Vec<Value> {
        let runs = self.read(&format!("/runs?task={task}")).await;
        runs["runs"].as_array().unwrap().clone()
    }

    async fn log_of(&self, run: &Value) -> String {
        text(&self.read(&format!("/runs/{}/log", text(&run["id"]))).await["text"])
    }

    async fn until_state(&self, task: &str, state: &str) -> Value {
        self.until(|answer| {
            let found = answer["tasks"].as_array()?.iter().find(|found| found["id"] == task)?;
            (found["state"] == state).then(|| found.clone())
        })
        .await
    }

    async fn key_of(&self, task: &str) -> String {
        text(&self.read(&format!("/tasks/{task}")).await["ping_key"])
    }

    /// What flips tell of, oldest first: the failure, and its computed time.
    async fn failures(&self, task: &str) -> Vec<(String, String)> {
        let flips = self.read("/flips").await;
        let told = flips["flips"].as_array().unwrap().iter().rev().filter(|flip| flip["task"] == task);
        told.filter_map(|flip| Some((flip["problem"].as_str()?.to_owned(), text(&flip["computed"]))))
            .collect()
    }
}

#[tokio::test]
async fn pings_answer_as_healthchecks_does() {
    let (_home, _, served) = start().await;
    let rid = format!("{KEY}?rid={RID}");
    let ok = (200, "OK");
    let no = (404, "not found");
    for (method, path, expected) in [
        (Method::GET, KEY.to_owned(), ok),
        (Method::POST, KEY.to_owned(), ok),
        (Method::GET, format!("{KEY}/"), ok),
        (Method::GET, format!("{KEY}/start"), ok),
        (Method::POST, format!("{KEY}/start?rid={RID}"), ok),
        (Method::GET, rid, ok),
        (Method::GET, format!("{KEY}/fail"), ok),
        (Method::POST, format!("{KEY}/log"), ok),
        (Method::GET, format!("{KEY}/0"), ok),
        (Method::GET, format!("{KEY}/255"), ok),
        (Method::GET, format!("{KEY}?create=1"), ok),
        (Method::GET, format!("{KEY}/256"), (400, "invalid url format")),
        (Method::GET, format!("{KEY}?rid=1"), (400, "invalid uuid format")),
        (Method::GET, format!("{KEY}/stop"), no),
        (Method::GET, "hourly".to_owned(), no),
        (Method::GET, RID.to_owned(), no),
        (Method::POST, format!("{RID}/start"), no),
    ] {
        let answer = served.ping(method.clone(), &path, "").await;
        let status = answer.status().as_u16();
        assert_eq!(answer.headers()["ping-body-limit"], "100000", "{method} {path}");
        assert_eq!((status, answer.text().await.unwrap().as_str()), expected, "{method} {path}");
    }
    let head = served.ping(Method::HEAD, KEY, "").await;
    assert_eq!((head.status().as_u16(), head.text().await.unwrap().as_str()), (200, ""));
    let before = served.runs_of("hourly").await.len();
    served.ping(Method::HEAD, KEY, "").await;
    assert_eq!(served.runs_of("hourly").await.len(), before + 1, "a HEAD counts");
    // The key is the right to ping and to nothing else; a web page may not use it.
    assert_eq!(served.bare(Method::PUT, &format!("/ping/{KEY}")).send().await.unwrap().status(), 401);
    let page = served.bare(Method::GET, &format!("/ping/{KEY}")).header("origin", "https://evil.example");
    assert_eq!(page.send().await.unwrap().status(), 403);
    let host = served.bare(Method::GET, &format!("/ping/{KEY}")).header("host", "evil.example");
    assert_eq!(host.send().await.unwrap().status(), 403);
    served.stop().await;
}

#[tokio::test]
async fn a_job_is_watched_from_its_first_ping_to_its_lateness() {
    let (home, clock, served) = start().await;
    assert_eq!(served.read("/tasks/hourly").await["state"], "healthy");
    clock.set("10:00:01");
    served.until_state("hourly", "due").await;
    served.pinged(&format!("{KEY}/start")).await;
    let running = served.runs_of("hourly").await.remove(0);
    assert_eq!((&running["state"], &running["slot"]), (&json!("running"), &json!("2026-01-20T10:00:00Z")));
    clock.set("10:00:31");
    let answer = served.ping(Method::POST, &format!("{KEY}/3"), "working\nno space left\n").await;
    assert_eq!(answer.status(), 200);
    let failed = served.runs_of("hourly").await.remove(0);
    assert_eq!(failed["id"], running["id"]);
    assert_eq!((&failed["state"], &failed["exit_code"]), (&json!("failed"), &json!(3)));
    assert_eq!(failed["message"], "exit code 3: no space left");
    assert_eq!(failed["duration_ms"], 30_000);
    assert_eq!(served.log_of(&failed).await, "working\nno space left\n");
    assert_eq!(served.read("/tasks/hourly").await["state"], "failing");

    clock.set("10:40:00");
    served.pinged(KEY).await;
    assert_eq!(served.read("/tasks/hourly").await["state"], "healthy");
    clock.set("11:02:00");
    served.until_state("hourly", "late").await;
    assert_eq!(served.read("/alerts").await["alerts"][0]["kind"], "late");
    clock.set("11:03:00");
    served.pinged(&format!("{KEY}/start")).await;
    let late = served.runs_of("hourly").await.remove(0);
    assert_eq!(late["marks"], json!(["started-late"]));
    clock.set("11:13:00");
    served
        .until(|answer| answer["alerts"].as_array()?.iter().find(|alert| alert["kind"] == "overrun").cloned())
        .await;
    // Another coordinator goes on where this one ended, and tells nothing twice.
    served.stop().await;
    let served = home.serve().await;
    assert_eq!(served.runs_of("hourly").await.remove(0)["state"], "running");
    served.pinged(KEY).await;
    assert_eq!(served.read("/alerts").await["alerts"], json!([]));
    clock.set("12:30:00");
    served.until_state("hourly", "absent").await;
    let told = served.failures("hourly").await;
    let expected =
        [("failed", "10:00:31"), ("late", "11:02:00"), ("overrun", "11:13:00"), ("absent", "12:06:00")];
    let expected = expected.map(|(kind, time)| (kind.to_owned(), format!("2026-01-20T{time}Z")));
    assert_eq!(told, expected);
    served.stop().await;
}

#[tokio::test]
async fn runs_with_a_rid_are_told_apart_and_bodies_are_their_logs() {
    let (_home, clock, served) = start().await;
    let key = served.key_of("now-and-then").await;
    assert_eq!(served.read("/tasks/now-and-then").await["state"], "unknown");
    for rid in [RID, OTHER_RID] {
        served.pinged(&format!("{key}/start?rid={rid}")).await;
    }
    assert_eq!(served.read("/tasks/now-and-then").await["active_runs"].as_array().unwrap().len(), 2);
    for (rid, word, path) in [(RID, "first", ""), (OTHER_RID, "second", "/1")] {
        let log = served.ping(Method::POST, &format!("{key}/log?rid={rid}"), word).await;
        assert_eq!(log.status(), 200);
        clock.set(if path.is_empty() { "09:02:00" } else { "09:03:00" });
        let end = served.ping(Method::POST, &format!("{key}{path}?rid={rid}"), "the end").await;
        assert_eq!(end.status(), 200);
    }
    let runs = served.runs_of("now-and-then").await;
    let told: Vec<_> =
        runs.iter().rev().map(|run| (text(&run["state"]), run["duration_ms"].clone())).collect();
    assert_eq!(told, [("succeeded".to_owned(), json!(60_000)), ("failed".to_owned(), json!(120_000))]);
    assert_eq!(served.log_of(&runs[1]).await, "first\nthe end\n");
    assert_eq!(served.log_of(&runs[0]).await, "second\nthe end\n");

    // The first 100 kB of a body, however long it is.
    let long = "0123456789".repeat(300_000);
    assert_eq!(served.ping(Method::POST, &key, &long).await.status(), 200);
    let run = served.runs_of("now-and-then").await.remove(0);
    assert_eq!(served.log_of(&run).await, format!("{}\n", &long[..100_000]));
    // What is no text is none the less kept.
    let bytes = served.bare(Method::POST, &format!("/ping/{key}")).body(vec![b'a', 0xff, b'b']);
    assert_eq!(bytes.send().await.unwrap().status(), 200);
    let run = served.runs_of("now-and-then").await.remove(0);
    assert_eq!(served.log_of(&run).await, "a\u{fffd}b\n");
    served.stop().await;
}

#[tokio::test]
async fn keys_are_made_and_stay() {
    let (home, _, served) = start().await;
    assert_eq!(served.key_of("hourly").await, KEY);
    let key = served.key_of("now-and-then").await;
    assert!(uuid::Uuid::parse_str(&key).is_ok());
    assert_eq!(served.read("/tasks/disk-space").await["ping_key"], Value::Null);
    served.pinged(&key).await;
    served.stop().await;
    let served = home.serve().await;
    assert_eq!(served.key_of("now-and-then").await, key);
    served.pinged(&key).await;
    served.stop().await;
}

#[tokio::test]
async fn reports_have_their_own_times_and_may_come_twice() {
    let (_home, clock, served) = start().await;
    clock.set("09:30:00");
    let report = async |what: Value, at: &str, output: Option<&str>| {
        let mut body =
            json!({ "rid": RID, "what": what, "at": format!("2026-01-20T{at}Z"), "machine": "db-1" });
        if let Some(output) = output {
            body["output"] = json!(output);
        }
        let answer = served.post("/api/v1/tasks/elsewhere/reports").json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 202);
        text(&answer.json::<Value>().await.unwrap()["run"])
    };
    let ended = json!({ "ended": { "exit_code": 7 } });
    let run = report(ended.clone(), "09:20:00", Some("a\nb\n")).await;
    assert_eq!(report(json!("started"), "09:10:00", None).await, run);
    assert_eq!(report(ended, "09:20:00", Some("a\nb\n")).await, run);
    assert_eq!(report(json!("beat"), "09:15:00", None).await, run);
    let told = served.read(&format!("/runs/{run}")).await;
    assert_eq!((&told["state"], &told["exit_code"]), (&json!("failed"), &json!(7)));
    assert_eq!((&told["duration_ms"], &told["machine"]), (&json!(600_000), &json!("db-1")));
    assert_eq!((&told["message"], &told["cause"]), (&json!("exit code 7: b"), &json!("report")));
    assert_eq!(served.log_of(&told).await, "a\nb\n");
    assert_eq!(served.runs_of("elsewhere").await.len(), 1);

    let report = |body: Value| served.post("/api/v1/tasks/elsewhere/reports").json(&body);
    for (rid, detail) in [("", "1 to 128"), ("a b", "1 to 128")] {
        let body = json!({ "rid": rid, "what": "started", "at": "2026-01-20T09:00:00Z" });
        let (status, kind, told) = problem(report(body)).await;
        assert_eq!((status, kind.as_str()), (400, "bad-body"));
        assert!(told.contains(detail), "{told}");
    }
    let body = json!({ "rid": "r", "what": "started", "at": "2026-01-20T09:00:00Z" });
    for (task, expected) in [("nobody", 404), ("disk-space", 409)] {
        let request = served.post(&format!("/api/v1/tasks/{task}/reports")).json(&body);
        assert_eq!(problem(request).await.0, expected);
    }
    served.stop().await;
}

#[tokio::test]
async fn a_lost_heartbeat_is_told_and_a_cancel_closes_the_run() {
    let (_home, clock, served) = start().await;
    let key = served.key_of("elsewhere").await;
    served.pinged(&format!("{key}/start")).await;
    // Where a task says how often it beats, words are a beat.
    served.pinged(&format!("{key}/log")).await;
    clock.set("09:01:30");
    let dead =
        |answer: &Value| answer["alerts"].as_array()?.iter().find(|alert| alert["kind"] == "dead").cloned();
    served.until(dead).await;
    assert_eq!(served.failures("elsewhere").await, [("dead".to_owned(), "2026-01-20T09:01:30Z".to_owned())]);
    let run = served.runs_of("elsewhere").await.remove(0);
    assert_eq!((&run["state"], &run["marks"]), (&json!("running"), &json!(["heartbeat-lost"])));
    let cancel = served.post(&format!("/api/v1/runs/{}/cancel", text(&run["id"]))).send().await.unwrap();
    assert_eq!(cancel.status(), 200);
    let run = served.runs_of("elsewhere").await.remove(0);
    assert_eq!(run["state"], "aborted");
    assert!(text(&run["message"]).contains("is not touched"), "{run}");
    let (status, kind, detail) = problem(served.post("/api/v1/tasks/elsewhere/runs")).await;
    assert_eq!((status, kind.as_str()), (409, "conflict"));
    assert!(detail.contains("only watched"), "{detail}");
    served.stop().await;
}
