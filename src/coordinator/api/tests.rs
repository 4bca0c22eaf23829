use std::collections::BTreeSet;

use axum::body::{Body, to_bytes};
use axum::http::Method;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use tempfile::TempDir;

use crate::coordinator::engine::Actor;
use crate::coordinator::fake_clock::Standing;
use crate::coordinator::http::Entrance;
use crate::model::{Role, RunId, TaskId};
use crate::vault::{KeySource, Vault};
use crate::wire::NewToken;

use super::routes::Route;
use super::*;

/// A coordinator without connections: calls go straight to its routes.
struct Bare {
    api: Api,
    data: TempDir,
}

impl Bare {
    async fn new(tasks: &str) -> Self {
        let data = TempDir::new().unwrap();
        let file = data.path().join("tasks.toml");
        std::fs::write(&file, tasks).unwrap();
        let options = Options {
            data: data.path().to_owned(),
            program: std::env::current_exe().unwrap(),
            tasks: file,
            vault: Vault::new(data.path().to_owned(), KeySource::File(data.path().join("vault.key"))),
            scheduling: true,
            linger: None,
            open_on_loopback: false,
            hosts: Vec::new(),
            tls: None,
        };
        let clock: SharedClock = Arc::new(Standing);
        let engine = Engine::start(options.clone(), clock.clone()).await.unwrap();
        let tokens = Tokens::load(&engine).await.unwrap();
        let (leases, closing) = (Leases::new(), CancellationToken::new());
        // Nothing waits: what would is answered at once.
        closing.cancel();
        let api = Api::new(engine, clock, leases, closing, &options, tokens, "the local one");
        Self { api, data }
    }

    /// Whoever waits, waits.
    fn stay_open(&mut self) {
        if let Some(parts) = Arc::get_mut(&mut self.api.0) {
            parts.closing = CancellationToken::new();
        }
    }

    async fn token(&self, name: &str, role: Role, teams: &[&str]) -> String {
        let teams: BTreeSet<String> = teams.iter().map(|team| (*team).to_owned()).collect();
        let wish = NewToken { name: name.to_owned(), role, teams, expires_in_s: None };
        let now = self.api.clock.now();
        self.api.access.tokens().create(wish, &Actor::here("test"), now).await.unwrap().token
    }

    /// The status and the body of a call; one that would wait or go on for ever has its beginning read.
    async fn call(&self, method: &Method, path: &str, body: &str, token: Option<&str>) -> (u16, String) {
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let address = ([127, 0, 0, 1], 8667).into();
        let request = request
            .extension(Entrance { peer: address, local: address, beyond: false })
            .body(Body::from(body.to_owned()))
            .unwrap();
        let service = TowerToHyperService::new(router(self.api.clone()));
        let response = service.call(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    /// The status, and the problem's kind where the answer is one.
    async fn ask(&self, route: &Route, token: Option<&str>) -> (u16, String) {
        let path = route
            .path
            .replace("{id}", "nothing")
            .replace("{task}", "nothing")
            .replace("{name}", "nothing")
            .replace("{key}", "nothing")
            .replace("{action}", "start");
        let path = if path.ends_with("/changes") { format!("{path}?since=0-0") } else { path };
        let (status, body) = self.call(&route.method, &path, "", token).await;
        if status < 400 {
            return (status, String::new());
        }
        let body: Value = serde_json::from_str(&body).unwrap_or_default();
        (status, body["type"].as_str().or_else(|| body["error"].as_str()).unwrap_or_default().to_owned())
    }
}

/// Walks the list that the router is made of: a route that is added later is in it.
#[tokio::test]
async fn every_route_asks_for_its_role() {
    let bare = Bare::new("").await;
    let routes = routes(Routes::new(bare.api.clone())).list().to_vec();
    assert!(routes.len() > 25);
    for role in [None, Some(Role::Viewer), Some(Role::Operator), Some(Role::Admin)] {
        let token = match role {
            Some(role) => Some(bare.token(&format!("a-{role}"), role, &[]).await),
            None => None,
        };
        for route in &routes {
            let (status, kind) = bare.ask(route, token.as_deref()).await;
            let what = format!("{} {} as {role:?}: {status} {kind}", route.method, route.path);
            match (route.need.role(), role) {
                (Some(_), None) => assert_eq!(status, 401, "{what}"),
                (Some(needed), Some(role)) if !role.covers(needed) => {
                    assert_eq!(status, 403, "{what}");
                    let told = format!("this needs the role {needed}; a-{role} has the role {role}");
                    assert!(kind == "role-needed" || kind == told, "{what}");
                }
                _ => assert!(status != 401 && status != 403, "{what}"),
            }
        }
    }
    bare.api.engine.clone().shutdown().await;
}

#[tokio::test]
async fn what_concerns_all_teams_is_for_nobody_of_some() {
    let bare = Bare::new("").await;
    let token = bare.token("some", Role::Admin, &["data"]).await;
    let mut found = 0;
    for route in routes(Routes::new(bare.api.clone())).list() {
        if matches!(route.need, Need::AdminOfAll | Need::ViewerOfAll) {
            found += 1;
            assert_eq!(bare.ask(route, Some(&token)).await.0, 403, "{}", route.path);
        }
    }
    assert!(found > 0);
    bare.api.engine.clone().shutdown().await;
}

#[tokio::test]
async fn where_there_is_nothing_only_known_callers_hear_so() {
    let bare = Bare::new("").await;
    let token = bare.token("viewer", Role::Viewer, &[]).await;
    for (method, path, told) in
        [("GET", "/api/v1/nowhere", 404), ("GET", "/nowhere", 404), ("PUT", "/api/v1/tasks", 405)]
    {
        let route = Route { method: method.parse().unwrap(), path, need: Need::Viewer };
        assert_eq!(bare.ask(&route, None).await.0, 401, "{path}");
        assert_eq!(bare.ask(&route, Some(&token)).await.0, told, "{path}");
    }
    bare.api.engine.clone().shutdown().await;
}

impl Bare {
    /// The status and the body of a `GET` by the one who started it.
    async fn get(&self, path: &str) -> (u16, Value) {
        let token = self.token(&uuid::Uuid::new_v4().to_string(), Role::Viewer, &[]).await;
        let address = ([127, 0, 0, 1], 8667).into();
        let request = Request::builder()
            .uri(path)
            .header("host", "localhost")
            .header("authorization", format!("Bearer {token}"))
            .extension(Entrance { peer: address, local: address, beyond: false })
            .body(Body::empty())
            .unwrap();
        let response = TowerToHyperService::new(router(self.api.clone())).call(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 64 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    /// The ids of a page, and the next one's place.
    async fn page(&self, query: &str) -> (Vec<String>, Option<String>) {
        let (status, body) = self.get(&format!("/api/v1/tasks?{query}")).await;
        assert_eq!(status, 200, "{query}: {body}");
        let page: crate::wire::TaskPage = serde_json::from_value(body).unwrap();
        let ids = page.tasks.iter().map(|task| task.id.as_raw().to_owned()).collect();
        (ids, page.next.map(|next| next.as_raw().to_owned()))
    }
}

#[tokio::test]
async fn all_tasks_come_at_once_or_by_page_and_filter() {
    let task = |i: u32| {
        let team = if i.is_multiple_of(2) { "even" } else { "odd" };
        format!(
            "[[task]]\nid = \"task-{i:03}\"\nname = \"Number {i}\"\nteam = \"{team}\"\nshell = \"true\"\n"
        )
    };
    let bare = Bare::new(&(0..300).map(task).collect::<String>()).await;
    let (status, whole) = bare.get("/api/v1/tasks").await;
    let whole: crate::wire::Tasks = serde_json::from_value(whole).unwrap();
    assert_eq!((status, whole.tasks.len(), whole.queues.len()), (200, 304, 2));
    assert!(whole.tasks.windows(2).all(|pair| pair[0].id < pair[1].id));

    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let (ids, next) = bare.page(&format!("limit=70{after}")).await;
        assert!(ids.len() <= 70);
        seen.extend(ids);
        let Some(next) = next else { break };
        assert_eq!(seen.last(), Some(&next));
        after = format!("&after={next}");
    }
    let all: Vec<&str> = whole.tasks.iter().map(|task| task.id.as_raw()).collect();
    assert_eq!(seen, all);

    assert_eq!(bare.page("team=odd&limit=2").await.0, ["task-001", "task-003"]);
    assert_eq!(bare.page("q=NUMBER%2029&team=even").await.0.len(), 5, "290 to 298");
    assert_eq!(bare.page("state=late,absent").await, (vec![], None));
    assert_eq!(bare.page("state=healthy&after=task-298").await.0, ["task-299"]);
    assert_eq!(bare.page("machine=nowhere").await.0.len(), 0);
    for wrong in ["state=lost", "limit=0", "sort=id"] {
        let (status, problem) = bare.get(&format!("/api/v1/tasks?{wrong}")).await;
        assert_eq!((status, problem["type"].as_str()), (400, Some("bad-parameter")), "{wrong}");
    }
    bare.api.engine.clone().shutdown().await;
}

#[tokio::test]
async fn a_disk_that_can_t_be_written_is_a_problem_with_what_to_do() {
    use crate::coordinator::db::{FILE, fault};
    let bare = Bare::new("[[task]]\nid = \"a\"\nshell = \"true\"\n").await;
    assert_eq!(bare.get("/health").await.1["isRunning"], true);
    let database = bare.data.path().join(FILE);
    let route = Route { method: Method::POST, path: "/api/v1/tasks/a/runs", need: Need::Operator };
    let token = bare.token("operator", Role::Operator, &[]).await;
    let reader = bare.token("reader", Role::Viewer, &[]).await;
    fault::set(&database, Some(fault::Fault::Io));
    assert_eq!(bare.ask(&route, Some(&token)).await, (503, "storage".to_owned()));
    let health = Route { method: Method::GET, path: "/health", need: Need::Nothing };
    assert_eq!(bare.ask(&health, None).await.0, 503, "who watches it hears of it");
    let tasks = Route { method: Method::GET, path: "/api/v1/tasks", need: Need::Viewer };
    assert_eq!(bare.ask(&tasks, Some(&reader)).await.0, 200, "what is known can be read");
    fault::set(&database, None);
    let mut revisions = bare.api.engine.revisions();
    let well = async {
        while bare.api.engine.view().trouble.is_some() {
            revisions.changed().await.unwrap();
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), well).await.unwrap();
    assert_eq!(bare.ask(&health, None).await.0, 200);
    assert_eq!(bare.ask(&route, Some(&token)).await.0, 202);
    bare.api.engine.clone().shutdown().await;
}

const TWO_TEAMS: &str = r#"
[[task]]
id = "own-task"
team = "ours"
shell = "echo own words"

[[task]]
id = "foreign-task"
name = "foreign name"
team = "theirs"
shell = "echo foreign words; exit 3"
schedule = "0 3 29 2 *"

[[task]]
id = "foreign-nobodys"
shell = "exit 4"
"#;

/// Two teams, each with a task that has run, and a token of one of them.
async fn two_teams() -> (Bare, String, RunId) {
    let bare = Bare::new(TWO_TEAMS).await;
    let token = bare.token("ours", Role::Admin, &["ours"]).await;
    let mut foreign = None;
    for task in ["own-task", "foreign-nobodys", "foreign-task"] {
        let actor = Actor::here("test");
        let run = bare.api.engine.trigger(&TaskId::new(task), None, actor).await.unwrap().id.unwrap();
        bare.api.engine.ended(&run).await.unwrap();
        foreign = Some(run);
    }
    (bare, token, foreign.unwrap())
}

/// Walks the list that the router is made of: a route that is added later is in it.
#[tokio::test]
async fn nothing_of_another_team_is_in_any_list() {
    let (bare, token, _) = two_teams().await;
    let view = bare.api.engine.view();
    let since = format!("?since={:016x}-0", view.epoch);
    let mut told = 0;
    for route in routes(Routes::new(bare.api.clone())).list() {
        // A stream, and what tells of no task.
        let apart = ["/api/v1/lease", "/api/v1/openapi.json"];
        if route.method != Method::GET || route.path.contains('{') || apart.contains(&route.path) {
            continue;
        }
        let query = if route.path.ends_with("/changes") { since.as_str() } else { "" };
        let path = format!("{}{query}", route.path);
        let (status, body) = bare.call(&route.method, &path, "", Some(&token)).await;
        assert!(!body.contains("foreign") && !body.contains("theirs"), "{path}: {status} {body}");
        let (_, all) = bare.call(&route.method, &path, "", Some("the local one")).await;
        told += usize::from(all.contains("foreign") && status == 200);
        // What is theirs is there for them, wherever it is for everybody.
        if status == 200 && all.contains("own-task") {
            assert!(body.contains("own-task"), "{path}: {body}");
        }
    }
    assert!(told >= 4, "most lists tell of all to whoever sees all: {told}");
    bare.api.engine.clone().shutdown().await;
}

#[tokio::test]
async fn what_is_of_another_team_is_answered_as_if_it_were_not_there() {
    let (bare, token, run) = two_teams().await;
    let mut asked = 0;
    for route in routes(Routes::new(bare.api.clone())).list() {
        let theirs = if route.path.starts_with("/api/v1/runs/") {
            run.as_raw()
        } else if route.path.contains("/tasks/{id}") || route.path.contains("{task}") {
            "foreign-task"
        } else {
            continue;
        };
        // A task that another team has keeps its id: that much is told to who would take it.
        if route.method == Method::PUT {
            continue;
        }
        asked += 1;
        let body = match route.path {
            path if path.ends_with("/priority") => r#"{"priority":1}"#,
            path if path.ends_with("/reports") => {
                r#"{"rid":"r","what":"started","at":"2026-01-20T09:00:00Z"}"#
            }
            _ => "",
        };
        let mut answers = Vec::new();
        for id in [theirs, "no-such-thing"] {
            let path = route.path.replace("{id}", id).replace("{task}", id);
            let (status, answer) = bare.call(&route.method, &path, body, Some(&token)).await;
            answers.push((status, answer.replace(id, "IT")));
        }
        let what = format!("{} {}", route.method, route.path);
        assert_eq!(answers[0], answers[1], "{what}");
        assert!(answers[0].0 == 404 || answers[0].1.contains("Unknown task"), "{what}: {answers:?}");
    }
    assert!(asked > 12);
    let still = bare.api.engine.view();
    let task = still.tasks.iter().find(|task| task.id.as_raw() == "foreign-task").unwrap();
    assert!(!task.paused && task.active_runs.is_empty(), "nothing was done to it");
    bare.api.engine.clone().shutdown().await;
}

#[tokio::test]
async fn a_viewer_is_told_what_an_operator_could_do_and_no_key_to_ping_with() {
    let bare = Bare::new("[[task]]\nid = \"watched\"\nschedule = \"0 3 * * *\"\n").await;
    let viewer = bare.token("viewer", Role::Viewer, &[]).await;
    let operator = bare.token("operator", Role::Operator, &[]).await;
    let task = async |token: &str| -> Value {
        let (_, body) = bare.call(&Method::GET, "/api/v1/tasks/watched", "", Some(token)).await;
        serde_json::from_str(&body).unwrap()
    };
    let seen = task(&viewer).await;
    assert_eq!(seen["actions"]["pause"], "needs the role operator", "{seen}");
    assert_eq!(seen["actions"]["reload-config"], "needs the role admin");
    assert!(seen["ping_key"].is_null());
    let seen = task(&operator).await;
    assert_eq!(seen["actions"]["pause"], Value::Null, "{seen}");
    assert_eq!(seen["actions"]["reload-config"], "needs the role admin");
    assert!(seen["ping_key"].is_string());
    bare.api.engine.clone().shutdown().await;
}

#[tokio::test]
async fn a_revoked_token_lets_go_of_who_waits_with_it() {
    let mut bare = Bare::new("").await;
    bare.stay_open();
    let token = bare.token("gone", Role::Viewer, &[]).await;
    let view = bare.api.engine.view();
    let path = format!("/api/v1/changes?since={:016x}-{}&wait_s=60", view.epoch, view.revision);
    let waiting = bare.call(&Method::GET, &path, "", Some(&token));
    let lease = bare.call(&Method::GET, "/api/v1/lease", "", Some(&token));
    let revoking = async {
        // Both wait: the one with a lease, the other in its place.
        while bare.api.leases.count() == 0 || bare.api.waiting.available_permits() == MAX_WAITING {
            tokio::task::yield_now().await;
        }
        bare.api.access.tokens().revoke("gone", &Actor::here("test"), bare.api.clock.now()).await.unwrap();
    };
    let all = async { tokio::join!(waiting, lease, revoking) };
    let ((status, body), (leased, _), ()) =
        tokio::time::timeout(std::time::Duration::from_secs(60), all).await.expect("they were not let go");
    assert_eq!((status, leased), (401, 200));
    assert!(body.contains("the token gone is revoked"), "{body}");
    assert_eq!(bare.api.leases.count(), 0);
    bare.api.engine.clone().shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let bare = Bare::new("").await;
    let address = ([127, 0, 0, 1], 8667).into();
    let never = futures_util::stream::pending::<Result<axum::body::Bytes, std::convert::Infallible>>();
    let request = Request::post("/api/v1/reload")
        .header("host", "localhost")
        .header("authorization", "Bearer the local one")
        .extension(Entrance { peer: address, local: address, beyond: false })
        .body(Body::from_stream(never))
        .unwrap();
    let response = TowerToHyperService::new(router(bare.api.clone())).call(request).await.unwrap();
    assert_eq!(response.status().as_u16(), 408);
    bare.api.engine.clone().shutdown().await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_told_so_however_it_comes() {
    let bare = Bare::new("").await;
    let token = Some("the local one");
    let fits = format!("\"{}\"", "x".repeat(MAX_BODY - 2));
    let (status, _) = bare.call(&Method::POST, "/api/v1/tokens", &fits, token).await;
    assert_eq!(status, 400, "read, and no token");
    let (status, body) = bare.call(&Method::POST, "/api/v1/tokens", &format!("{fits} "), token).await;
    assert_eq!(status, 413, "{body}");
    bare.api.engine.clone().shutdown().await;
}

/// A line in the audit log for whatever changes something or was to: also where there is nothing of that name.
#[tokio::test]
async fn every_call_that_changes_something_is_in_the_audit_log() {
    let bare = Bare::new("[[task]]\nid = \"a\"\ncommand = [\"true\"]\n").await;
    let admin = bare.token("admin-1", Role::Admin, &[]).await;
    let viewer = bare.token("viewer-1", Role::Viewer, &[]).await;
    let mut asked = 0;
    for route in routes(Routes::new(bare.api.clone())).list() {
        // What jobs tell of themselves is in their runs.
        let told = route.path.ends_with("/reports") || route.need == Need::Key;
        if route.method == Method::GET || told {
            continue;
        }
        asked += 1;
        let body = match route.path {
            path if path.ends_with("/priority") => r#"{"priority":1}"#,
            "/api/v1/tasks" | "/api/v1/tasks/{id}" => r#"{"id":"b","command":["true"]}"#,
            "/api/v1/runs" => r#"{"command":["true"]}"#,
            "/api/v1/tokens" => r#"{"name":"made","role":"viewer"}"#,
            "/api/v1/silences" => r#"{"matcher":{"task":"a"},"until":"2999-01-01T00:00:00Z"}"#,
            _ => "",
        };
        let task = if route.path.ends_with("/tasks/{id}") { "b" } else { "a" };
        let path = route.path.replace("{id}", task).replace("{task}", task).replace("{name}", "none");
        for (token, by) in [(&admin, "admin-1"), (&viewer, "viewer-1")] {
            let newest = |rows: Vec<crate::wire::AuditRow>| rows.first().map_or(0, |row| row.seq);
            let before = newest(bare.api.engine.audit(1, None).await.unwrap());
            let (status, answer) = bare.call(&route.method, &path, body, Some(token)).await;
            let rows = bare.api.engine.audit_after(100, before).await.unwrap();
            let what = format!("{} {path} by {by}: {status} {answer}: {rows:?}", route.method);
            // A run that ends meanwhile leaves no line.
            let row = rows.iter().find(|row| row.by == *by).unwrap_or_else(|| panic!("{what}"));
            assert_eq!(row.from, *"127.0.0.1", "{what}");
            assert!(
                !row.action.is_empty() && (!row.target.is_empty() || row.action == *"reload-config"),
                "{what}"
            );
            assert_eq!(row.result == *"ok", status < 300, "{what}");
        }
    }
    assert!(asked >= 18, "{asked}");
    bare.api.engine.clone().shutdown().await;
}

#[tokio::test]
async fn what_is_described_is_what_is_served() {
    let bare = Bare::new("").await;
    let (_, document) = bare.get("/api/v1/openapi.json").await;
    let described: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone()))
        })
        .collect();
    let list = routes(Routes::new(bare.api.clone())).list().to_vec();
    let served: BTreeSet<(String, String)> =
        list.iter().map(|route| (route.method.to_string(), route.path.to_owned())).collect();
    assert_eq!(described, served);
    // And each of them leads to a handler: nothing else answers there.
    for route in &list {
        let (status, kind) = bare.ask(route, Some("the local one")).await;
        assert!(
            status != 405 && kind != "not-found" && !kind.starts_with("Cannot "),
            "{route:?}: {status} {kind}"
        );
    }
    bare.api.engine.clone().shutdown().await;
}

/// Two teams whose tasks have to do with each other, as somebody who sees both has arranged it.
const LINKED: &str = r#"
[[task]]
id = "foreign"
team = "theirs"
machine = "shared.invalid"
shell = "false"

[[task]]
id = "own"
team = "ours"
machine = "shared.invalid"
after = ["foreign"]
shell = "true"
"#;

#[tokio::test]
async fn how_another_team_does_is_not_told_by_what_is_ones_own() {
    let bare = Bare::new(LINKED).await;
    let token = bare.token("ours-1", Role::Admin, &["ours"]).await;
    for _ in 0..3 {
        bare.api.engine.trigger(&TaskId::new("foreign"), None, Actor::here("test")).await.unwrap();
    }
    bare.api.engine.trigger(&TaskId::new("own"), None, Actor::here("test")).await.unwrap();
    let read = async |path: &str, token: &str| -> Value {
        let (status, body) = bare.call(&Method::GET, path, "", Some(token)).await;
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    };
    // What theirs waits for is said, and not how far that is.
    let remark = |task: &Value| {
        let remarks = task["remarks"].as_array().unwrap().iter().filter_map(Value::as_str);
        remarks.filter(|remark| remark.starts_with("starts after")).map(str::to_owned).collect::<Vec<_>>()
    };
    let (all, some) = ("the local one", token.as_str());
    assert_eq!(remark(&read("/api/v1/tasks/own", some).await), ["starts after the success of foreign"]);
    let whole = remark(&read("/api/v1/tasks/own", all).await);
    assert!(whole[0].contains("; waits for foreign"), "{whole:?}");
    // On a machine that both use, each sees its own runs.
    let of = |machines: &Value| {
        let machine = &machines["machines"][1];
        assert_eq!(machine["name"], "shared.invalid");
        let count = |name: &str| machine[name].as_u64().unwrap();
        assert_eq!(machine["by_priority"][2].as_u64(), Some(count("depth")), "{machine}");
        count("running") + count("depth")
    };
    assert_eq!(of(&read("/api/v1/machines", all).await), 4);
    assert_eq!(of(&read("/api/v1/machines", some).await), 1);
    let away = bare.token("away", Role::Viewer, &["elsewhere"]).await;
    let machines = read("/api/v1/machines", &away).await;
    assert_eq!(machines["machines"].as_array().unwrap().len(), 1, "the coordinator's own alone: {machines}");
    bare.api.engine.clone().shutdown().await;
}

#[tokio::test]
async fn a_task_of_one_team_neither_starts_another_s_nor_is_started_by_it() {
    let bare = Bare::new(LINKED).await;
    let token = bare.token("ours-1", Role::Admin, &["ours"]).await;
    let define = async |body: &str| bare.call(&Method::POST, "/api/v1/tasks", body, Some(&token)).await;
    for (field, value) in [("after", r#"["TASK"]"#), ("failure_action", r#""run:TASK""#)] {
        let mut answers = Vec::new();
        for named in ["foreign", "no-such-task"] {
            let value = value.replace("TASK", named);
            let body = format!(r#"{{"id":"sly","team":"ours","command":["true"],"{field}":{value}}}"#);
            let (status, answer) = define(&body).await;
            assert_eq!(status, 422, "{answer}");
            assert!(answer.contains(field) && answer.contains("there is no task"), "{answer}");
            answers.push(answer.replace(named, "IT"));
        }
        assert_eq!(answers[0], answers[1], "whether there is one is not told");
    }
    let (status, answer) = define(r#"{"id":"next","team":"ours","command":["true"],"after":["own"]}"#).await;
    assert_eq!(status, 201, "{answer}");
    bare.api.engine.clone().shutdown().await;
}
