//! What whoever operates a coordinator reads of it.

use std::collections::BTreeSet;

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;

use super::{Home, Served};

/// The value of a sample in the text that Prometheus reads.
fn sample(text: &str, name: &str) -> f64 {
    let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
    line.unwrap_or_else(|| panic!("no {name} in\n{text}")).rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn metrics_tell_the_state_and_what_was_counted() {
    let home = Home::new(
        "[[task]]\nid = \"good\"\ncommand = [\"true\"]\n[[task]]\nid = \"bad\"\ncommand = [\"false\"]\n\
         [limits]\ncoordinator = 1\n[[task]]\nid = \"long\"\ncommand = [\"sleep\", \"600\"]\nteam = \"data\"\n\
         [[task]]\nid = \"waits\"\ncommand = [\"true\"]\npriority = 1\n",
    );
    let served = home.serve().await;
    for (task, state) in [("good", "succeeded"), ("bad", "failed")] {
        let run = served.start_run(task).await;
        served.until_run(&run, state).await;
    }
    let long = served.start_run("long").await;
    served.until_run(&long, "running").await;
    served.start_run("waits").await;
    let response = served.get("/metrics").send().await.unwrap();
    let kind = response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
    assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"), "{kind}");
    let text = response.text().await.unwrap();
    for (name, value) in [
        ("vigie_tasks{state=\"failing\"}", 1.0),
        ("vigie_tasks{state=\"running\"}", 1.0),
        ("vigie_tasks{state=\"queued\"}", 1.0),
        ("vigie_queue_depth{queue=\"default\",priority=\"1\"}", 1.0),
        ("vigie_queue_running{queue=\"data\"}", 1.0),
        ("vigie_alerts{kind=\"failed\",severity=\"critical\"}", 1.0),
        ("vigie_runs_total{state=\"succeeded\"}", 1.0),
        ("vigie_runs_total{state=\"failed\"}", 1.0),
        ("vigie_start_delay_seconds_count", 3.0),
        ("vigie_http_requests_total{code=\"202\"}", 4.0),
        ("vigie_commits_refused_total", 0.0),
    ] {
        assert!((sample(&text, name) - value).abs() < 0.5, "{name} is not {value} in\n{text}");
    }
    assert!(sample(&text, "vigie_commit_seconds_count") >= 4.0);
    assert!(sample(&text, "vigie_database_size_bytes") > 10_000.0);
    assert!(text.ends_with("# EOF\n"));
    let refused = served.bare(Method::GET, "/metrics").send().await.unwrap();
    assert_eq!(refused.status(), 401);
    served.stop().await;
}

/// Objects have no other members than those that are described. What is only
/// a part of an object (`part`) leaves that to the whole.
fn strict(schema: &mut Value, part: bool) {
    match schema {
        Value::Object(object) => {
            if !part && object.get("properties").is_some_and(Value::is_object) {
                object.entry("unevaluatedProperties").or_insert_with(|| false.into());
            }
            for (key, value) in object {
                strict(value, ["anyOf", "oneOf", "allOf"].contains(&key.as_str()));
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| strict(value, part)),
        _ => {}
    }
}

/// The description of the API, to hold answers against.
struct Described {
    paths: Value,
    components: Value,
    checked: BTreeSet<String>,
}

impl Described {
    async fn read(served: &Served) -> Self {
        let mut document = served.read("/openapi.json").await;
        assert_eq!(document["openapi"], "3.1.0");
        let mut components = document["components"].take();
        strict(&mut components, false);
        Self { paths: document["paths"].take(), components, checked: BTreeSet::new() }
    }

    /// Sends a call, and holds its answer against what is described for it.
    async fn holds(
        &mut self,
        method: Method,
        path: &str,
        url: &str,
        served: &Served,
        body: Option<Value>,
    ) -> Value {
        let mut request = served.bare(method.clone(), url).bearer_auth(&served.file.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let described = &self.paths[path][method.as_str().to_ascii_lowercase()]["responses"];
        let answer = described.get(status.as_str()).unwrap_or_else(|| &described["default"]);
        let media = response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
        let schema = answer["content"][&media]["schema"].clone();
        assert!(schema.is_object(), "{method} {path}: {status} {media} is not described: {described}");
        let mut whole = schema;
        whole["components"] = self.components.clone();
        let body: Value = response.json().await.unwrap();
        let validator = jsonschema::draft202012::new(&whole).unwrap();
        let errors: Vec<String> =
            validator.iter_errors(&body).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{method} {url}: {errors:#?}\n{body:#}");
        self.checked.insert(format!("{method} {path}"));
        body
    }

    /// Every call of the native API was held against its description.
    fn all_are_checked(&self) {
        // What has no JSON to hold against is named here.
        let apart = ["GET /api/v1/lease", "GET /api/v1/openapi.json"];
        let paths = self.paths.as_object().unwrap();
        for (path, methods) in paths.iter().filter(|(path, _)| path.starts_with("/api/")) {
            for method in methods.as_object().unwrap().keys() {
                let call = format!("{} {path}", method.to_ascii_uppercase());
                assert!(self.checked.contains(&call) || apart.contains(&&*call), "{call} is not checked");
            }
        }
    }
}

/// What is said of alerts, of a coordinator whose task `bad` has failed.
async fn handling_fits(api: &mut Described, served: &Served) {
    for (path, body) in [
        ("acknowledge", serde_json::json!({ "note": "on it" })),
        ("snooze", serde_json::json!({ "until": "2026-01-20T10:00:00Z" })),
        ("silence", serde_json::json!({ "note": "new disks" })),
    ] {
        let url = format!("/api/v1/tasks/bad/{path}");
        api.holds(Method::POST, &format!("/api/v1/tasks/{{id}}/{path}"), &url, served, Some(body)).await;
    }
    let silences = "/api/v1/silences";
    let silence = serde_json::json!({ "matcher": { "team": "data" }, "until": "2026-01-20T10:00:00Z" });
    let silence = api.holds(Method::POST, silences, silences, served, Some(silence)).await;
    api.holds(Method::GET, silences, silences, served, None).await;
    let preview = "/api/v1/silences/preview";
    api.holds(Method::GET, preview, "/api/v1/silences/preview?kind=failed", served, None).await;
    let url = format!("/api/v1/silences/{}", silence["id"].as_str().unwrap());
    api.holds(Method::DELETE, "/api/v1/silences/{id}", &url, served, None).await;
}

/// A task of the API, from its definition to its end.
async fn definitions_fit(api: &mut Described, served: &Served) {
    let made = serde_json::json!({ "id": "made", "command": ["true"], "every": "1h", "team": "data" });
    let (all, one) = ("/api/v1/tasks", "/api/v1/tasks/{id}");
    api.holds(Method::POST, all, all, served, Some(made.clone())).await;
    api.holds(Method::PUT, one, "/api/v1/tasks/made", served, Some(made)).await;
    api.holds(Method::GET, "/api/v1/tasks/{id}/definition", "/api/v1/tasks/made/definition", served, None)
        .await;
    let bad = serde_json::json!({ "id": "made", "commando": ["true"] });
    let problem = api.holds(Method::PUT, one, "/api/v1/tasks/made", served, Some(bad)).await;
    assert_eq!(problem["problems"][0]["field"], "commando");
    api.holds(Method::POST, "/api/v1/tasks/{id}/archive", "/api/v1/tasks/made/archive", served, None).await;
    api.holds(Method::DELETE, one, "/api/v1/tasks/made", served, None).await;
}

#[tokio::test]
async fn the_description_of_the_api_fits_its_answers() {
    let home = Home::new(
        "[[task]]\nid = \"good\"\nname = \"Good\"\ncommand = [\"true\"]\nteam = \"data\"\nlabels = { env = \"prod\" }\n\
         schedule = \"0 3 * * *\"\nretry = { count = 2 }\n[[task]]\nid = \"bad\"\ncommand = [\"false\"]\n\
         [[task]]\nid = \"watched\"\nevery = \"1h\"\n[[task]]\nid = \"long\"\ncommand = [\"sleep\", \"600\"]\n",
    );
    let served = home.serve().await;
    let mut api = Described::read(&served).await;
    let get = Method::GET;
    let post = Method::POST;
    for (task, state) in [("good", "succeeded"), ("bad", "failed"), ("long", "running")] {
        let path = "/api/v1/tasks/{id}/runs";
        let accepted =
            api.holds(post.clone(), path, &format!("/api/v1/tasks/{task}/runs"), &served, None).await;
        served.until_run(accepted["run"].as_str().unwrap(), state).await;
    }
    let runs = api.holds(get.clone(), "/api/v1/runs", "/api/v1/runs?limit=2", &served, None).await;
    let run = runs["runs"][0]["id"].as_str().unwrap().to_owned();
    let tasks = api.holds(get.clone(), "/api/v1/tasks", "/api/v1/tasks", &served, None).await;
    let cursor = tasks["cursor"].as_str().unwrap().to_owned();
    definitions_fit(&mut api, &served).await;
    let work = serde_json::json!({ "command": ["true"], "priority": 1 });
    api.holds(post.clone(), "/api/v1/runs", "/api/v1/runs", &served, Some(work)).await;
    handling_fits(&mut api, &served).await;
    let token = serde_json::json!({ "name": "grafana", "role": "viewer", "teams": ["data"] });
    api.holds(post.clone(), "/api/v1/tokens", "/api/v1/tokens", &served, Some(token)).await;
    let report = serde_json::json!({ "rid": "a", "what": "started", "at": "2026-01-20T09:00:59Z" });
    let reports = "/api/v1/tasks/{id}/reports";
    api.holds(post.clone(), reports, "/api/v1/tasks/watched/reports", &served, Some(report)).await;
    for (path, url) in [
        ("/api/v1/tasks", "/api/v1/tasks?limit=2&state=healthy".to_owned()),
        ("/api/v1/tasks/{id}", "/api/v1/tasks/good".to_owned()),
        ("/api/v1/tasks/{id}", "/api/v1/tasks/none".to_owned()),
        ("/api/v1/runs/{id}", format!("/api/v1/runs/{run}")),
        ("/api/v1/runs/{id}/log", format!("/api/v1/runs/{run}/log")),
        ("/api/v1/queues", "/api/v1/queues".to_owned()),
        ("/api/v1/machines", "/api/v1/machines".to_owned()),
        ("/api/v1/alerts", "/api/v1/alerts".to_owned()),
        ("/api/v1/flips", "/api/v1/flips?limit=5".to_owned()),
        ("/api/v1/flips", "/api/v1/flips?limit=0".to_owned()),
        ("/api/v1/audit", "/api/v1/audit?limit=5".to_owned()),
        ("/api/v1/audit", "/api/v1/audit?after=0&limit=5".to_owned()),
        ("/api/v1/audit", "/api/v1/audit?after=0&before=5".to_owned()),
        ("/api/v1/audit/ends", "/api/v1/audit/ends".to_owned()),
        ("/api/v1/changes", format!("/api/v1/changes?since={cursor}")),
        ("/api/v1/coordinator", "/api/v1/coordinator".to_owned()),
        ("/api/v1/tokens", "/api/v1/tokens".to_owned()),
    ] {
        api.holds(get.clone(), path, &url, &served, None).await;
    }
    for (path, url, body) in [
        ("/api/v1/tasks/{id}/pause", "/api/v1/tasks/good/pause".to_owned(), None),
        ("/api/v1/tasks/{id}/resume", "/api/v1/tasks/good/resume".to_owned(), None),
        (
            "/api/v1/tasks/{id}/priority",
            "/api/v1/tasks/good/priority".to_owned(),
            Some(serde_json::json!({ "priority": 9 })),
        ),
        ("/api/v1/runs/{id}/cancel", format!("/api/v1/runs/{run}/cancel"), None),
        ("/api/v1/runs/{id}/retry", format!("/api/v1/runs/{run}/retry"), None),
        (
            "/api/v1/runs/{id}/priority",
            format!("/api/v1/runs/{run}/priority"),
            Some(serde_json::json!({ "priority": 1 })),
        ),
        ("/api/v1/reload", "/api/v1/reload".to_owned(), None),
        ("/api/v1/tokens/{name}/rotate", "/api/v1/tokens/grafana/rotate".to_owned(), None),
    ] {
        api.holds(post.clone(), path, &url, &served, body).await;
    }
    let (one, url) = ("/api/v1/tokens/{name}", "/api/v1/tokens/grafana");
    api.holds(Method::DELETE, one, url, &served, None).await;
    api.all_are_checked();
    served.stop().await;
}

/// Without a token, with too small a role, with a path that leads nowhere, and with a body that is none.
#[tokio::test]
async fn every_refusal_is_as_it_is_described() {
    let home = Home::new("[[task]]\nid = \"a\"\ncommand = [\"true\"]\n");
    let served = home.serve().await;
    let wish = serde_json::json!({ "name": "some", "role": "viewer", "teams": ["data"] });
    let made: Value = served.post("/api/v1/tokens").json(&wish).send().await.unwrap().json().await.unwrap();
    let some = made["token"].as_str().unwrap().to_owned();
    let api = Described::read(&served).await;
    let mut problem = serde_json::json!({ "$ref": "#/components/schemas/Problem" });
    problem["components"] = api.components.clone();
    let problem = jsonschema::draft202012::new(&problem).unwrap();
    let mut statuses = BTreeSet::new();
    for (path, methods) in api.paths.as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let filled = path.replace("{action}", "0").replace('{', "no-such-").replace('}', "");
            for (token, query) in
                [("", ""), (some.as_str(), ""), (served.file.token.as_str(), "?limit=-1&x=\0")]
            {
                // What would wait or never end is not asked.
                if path.ends_with("/lease") && !token.is_empty() {
                    continue;
                }
                let request = served.bare(method.clone(), &format!("{filled}{query}")).body("{\"a\": NaN");
                let request = if token.is_empty() { request } else { request.bearer_auth(token) };
                let response = request.send().await.unwrap();
                let (status, media) = (response.status().as_u16(), response.headers()[CONTENT_TYPE].clone());
                let what = format!("{method} {filled}{query}: {status}");
                assert!(response.headers().contains_key("x-request-id"), "{what}");
                if status < 400 {
                    continue;
                }
                assert!(status < 500, "{what}");
                statuses.insert(status);
                let text = response.text().await.unwrap();
                if path.starts_with("/api/") {
                    assert_eq!(media, "application/problem+json", "{what}");
                    let body: Value = serde_json::from_str(&text).unwrap();
                    assert!(problem.is_valid(&body) && body["status"] == status, "{what}: {text}");
                } else if !path.starts_with("/ping/") {
                    let body: Value = serde_json::from_str(&text).unwrap();
                    assert!(body["error"].as_str().is_some_and(|why| !why.is_empty()), "{what}: {text}");
                }
            }
        }
    }
    assert_eq!(statuses, BTreeSet::from([400, 401, 403, 404]), "each way to fail was met");
    served.stop().await;
}

/// As `promtool check metrics` has it, and the rules of `OpenMetrics` for names and units.
#[tokio::test]
async fn metrics_are_named_as_prometheus_wants_them() {
    let home = Home::new(
        "[[task]]\nid = \"a\"\nteam = \"o'\\\"dd\\\\ \u{e9}\"\ncommand = [\"true\"]\n\
         [[task]]\nid = \"b\"\nmachine = \"db-1.invalid\"\ncommand = [\"true\"]\n",
    );
    let served = home.serve().await;
    let run = served.start_run("a").await;
    served.until_run(&run, "succeeded").await;
    served.start_run("b").await;
    let text = served.get("/metrics").send().await.unwrap().text().await.unwrap();
    let (mut types, mut helped, mut seen) =
        (std::collections::BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}");
            let snake = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            assert!(name.starts_with("vigie_") && snake, "{line}");
            assert!(!name.ends_with("_total") && !name.contains(kind), "{line}");
            for unit in ["_ms", "_milliseconds", "_minutes", "_hours", "_kilobytes", "_percent"] {
                assert!(!name.ends_with(unit), "not a base unit: {line}");
            }
        } else if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, words) = rest.split_once(' ').unwrap();
            assert!(words.len() > 5 && helped.insert(name.to_owned()), "{line}");
        } else if let Some(rest) = line.strip_prefix("# UNIT ") {
            let (name, unit) = rest.split_once(' ').unwrap();
            assert!(name.ends_with(&format!("_{unit}")), "{line}");
        } else if line != "# EOF" {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            assert!(seen.insert(sample.to_owned()), "twice: {line}");
            let value: f64 = value.parse().unwrap();
            assert!(value >= 0.0, "{line}");
            let name = sample.split('{').next().unwrap();
            let (family, kind) = types.iter().rfind(|(of, _)| name.starts_with(of.as_str())).unwrap();
            let suffix = &name[family.len()..];
            let fits = match kind.as_str() {
                "counter" => suffix == "_total",
                "info" => suffix == "_info",
                "histogram" => ["_bucket", "_sum", "_count"].contains(&suffix),
                _ => suffix.is_empty(),
            };
            assert!(fits, "{line} is no {kind}");
        }
    }
    assert_eq!(helped, types.keys().cloned().collect());
    assert!(text.contains("queue=\"o'\\\"dd\\\\ \u{e9}\""), "{text}");
    for name in ["vigie_machine_running{machine=\"local\"}", "vigie_machine_reachable{machine=\"local\"}"] {
        sample(&text, name);
    }
    let waits = sample(&text, "vigie_machine_depth{machine=\"db-1.invalid\",priority=\"3\"}");
    let runs = sample(&text, "vigie_machine_running{machine=\"db-1.invalid\"}");
    assert!((waits + runs - 1.0).abs() < 0.5, "{text}");
    served.stop().await;
}
