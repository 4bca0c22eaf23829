//! The Duty Duck adapter against a stand-in with every trap of the real service.

mod acts;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::join;
use vigie::backend::{Backend, BackendError, Call, CredentialSource, RunsQuery, build};
use vigie::model::{
    AlertKind, Clean, Command, Coverage, Deed, EndpointSpec, Input, Kind, LogOf, Run, RunId, RunState,
    Severity, Snapshot, Task, TaskState, Verb,
};

use crate::stand_ins::duty_duck::{SECRET_KEY, StandIn, TOKEN_ID};
use crate::support::{around, call, log_of, spec};

const CLOCK: &str = "2026-11-20T07:00:00Z";

/// A source whose secrets can be changed.
#[derive(Debug)]
struct Secrets(Mutex<BTreeMap<&'static str, String>>);

impl Secrets {
    fn good() -> Arc<Self> {
        let pairs = [("token_id", TOKEN_ID), ("secret_key", SECRET_KEY)];
        Arc::new(Self(Mutex::new(pairs.map(|(name, value)| (name, value.to_owned())).into())))
    }

    fn set(&self, name: &'static str, value: &str) {
        self.0.lock().unwrap().insert(name, value.to_owned());
    }
}

#[async_trait]
impl CredentialSource for Secrets {
    async fn credential(&self, name: &str) -> Result<Option<SecretString>, String> {
        Ok(self.0.lock().unwrap().get(name).map(|value| SecretString::from(value.clone())))
    }
}

fn backend_with(url: &str, secrets: &Arc<Secrets>) -> Arc<dyn Backend> {
    build(&spec(Kind::DutyDuck, url), &around(Arc::clone(secrets) as _, None)).unwrap()
}

fn backend(server: &StandIn) -> Arc<dyn Backend> {
    backend_with(&server.url, &Secrets::good())
}

async fn poll(backend: &Arc<dyn Backend>) -> Snapshot {
    backend.poll(None).await.unwrap().snapshot
}

fn named<'a>(snapshot: &'a Snapshot, name: &str) -> &'a Task {
    let named = |task: &&Task| task.alias.as_deref() == Some(name) || task.name == name;
    snapshot.tasks.items.iter().find(named).unwrap()
}

fn told(snapshot: &Snapshot, task: &str) -> Vec<(AlertKind, Option<String>)> {
    let id = &named(snapshot, task).id;
    let of = snapshot.alerts.items.iter().filter(|alert| alert.task.as_ref() == Some(id));
    of.map(|alert| (alert.kind, alert.acknowledged_by.as_ref().map(ToString::to_string))).collect()
}

fn with(mut call: Call, inputs: &[(&str, &str)]) -> Call {
    let inputs = inputs.iter().map(|(name, text)| (Clean::line(name), Input::Text(Clean::line(text))));
    call.arguments.inputs = inputs.collect();
    call
}

fn runs_of(id: &str, limit: usize) -> RunsQuery {
    RunsQuery { task: Some(id.into()), limit }
}

#[tokio::test]
async fn everything_is_read_and_every_status_is_shown() {
    let server = StandIn::start().await;
    let backend = backend(&server);
    let snapshot = poll(&backend).await;
    assert_eq!((snapshot.tasks.coverage, &snapshot.degraded), (Coverage::Complete, &None));
    let states: Vec<_> = snapshot
        .tasks
        .items
        .iter()
        .map(|task| (task.alias.as_ref().unwrap_or(&task.name).as_str(), task.state.unwrap(), task.archived))
        .collect();
    assert_eq!(
        states,
        [
            ("nightly-db-dump", TaskState::Healthy, false),
            ("report", TaskState::Failing, false),
            ("import", TaskState::Running, false),
            ("old-export", TaskState::Archived, true),
            ("hourly-sync", TaskState::Absent, false),
            ("https://shop.example/health", TaskState::Healthy, false),
            ("https://old.example/", TaskState::Paused, false),
            ("https://api.example/", TaskState::Failing, false),
        ]
    );
    let nightly = named(&snapshot, "nightly-db-dump");
    assert_eq!(nightly.id.as_raw(), server.inner().id_of("nightly-db-dump"), "a UUID");
    assert_eq!(nightly.labels.get("env").map(Clean::as_str), Some("prod"));
    assert_eq!(told(&snapshot, "report"), [(AlertKind::Failed, None)]);
    let failed = snapshot.alerts.items.iter().find(|alert| alert.summary.contains("run failed")).unwrap();
    assert_eq!(failed.summary, "its run failed with exit code 3: disk full");
    assert_eq!(told(&snapshot, "hourly-sync"), [(AlertKind::Absent, None)]);
    assert_eq!(told(&snapshot, "https://api.example/"), [(AlertKind::Failed, None)]);
    assert!(snapshot.server_time.is_some());
    assert_eq!(server.posts(), Vec::<String>::new(), "a poll changes nothing");
}

#[tokio::test]
async fn the_runs_of_what_runs_and_of_what_has_failed_come_with_the_poll() {
    let server = StandIn::start().await;
    let backend = backend(&server);
    let snapshot = poll(&backend).await;
    let import = named(&snapshot, "import");
    assert_eq!(import.active_runs.len(), 1);
    assert!(import.active_runs[0].last_beat.is_some() && import.active_runs[0].state == RunState::Running);
    let last = named(&snapshot, "report").last_run.as_ref().unwrap();
    assert_eq!((last.exit_code, last.message.as_deref()), (Some(3), Some("disk full")));
    assert_eq!(snapshot.runs.items.len(), 2);
    let asked = server.inner().requests.iter().filter(|line| line.contains("/runs")).count();
    assert_eq!(asked, 3, "what runs, what failed, and what ran last");
    let again = poll(&backend).await;
    assert_eq!(named(&again, "report").last_run.as_ref(), Some(last), "remembered");
    let asked = server.inner().requests.iter().filter(|line| line.contains("/runs")).count();
    assert_eq!(asked, 4, "only what runs is asked again");
    server.inner().finish("import", "finished", Some(0), None);
    let after = poll(&backend).await;
    let import = named(&after, "import");
    assert!(import.active_runs.is_empty());
    assert_eq!(import.last_run.as_ref().unwrap().state, RunState::Succeeded);
    let all = backend.runs(&RunsQuery { task: None, limit: 10 }).await.unwrap();
    assert_eq!(all.len(), 2, "what polls told");
}

#[tokio::test]
async fn the_last_runs_of_what_nobody_has_looked_at_come_with_the_first_polls() {
    let server = StandIn::empty(CLOCK).await;
    for n in 0..30 {
        let id = server.inner().add(&format!("t{n:02}"), None).id.clone();
        server.inner().start(&id);
        server.inner().finish(&id, "finished", Some(0), None);
    }
    server.inner().add("never-ran", None);
    let backend = backend(&server);
    let known = |snapshot: &Snapshot| snapshot.tasks.items.iter().filter(|t| t.last_run.is_some()).count();
    assert_eq!(known(&poll(&backend).await), 20, "a bounded number at each poll");
    assert_eq!(known(&poll(&backend).await), 30);
    let asked = server.count("GET /tasks/");
    assert_eq!(poll(&backend).await.degraded, None);
    assert_eq!((asked, server.count("GET /tasks/")), (30, 30), "once each, and what never ran not at all");
    // One whose runs can't be read keeps nobody else from being read.
    server.inner().switches.broken = vec![("/tasks/00000001-", 500)];
    let backend = self::backend(&server);
    for _ in 0..2 {
        let degraded = poll(&backend).await.degraded.unwrap();
        assert!(degraded.contains("runs of 00000001-"), "{degraded}");
    }
    assert_eq!(known(&poll(&backend).await), 29);
}

#[tokio::test]
async fn an_alert_by_state_ends_with_the_state_and_gives_way_to_the_incident() {
    let server = StandIn::start().await;
    let backend = backend(&server);
    poll(&backend).await;
    server.inner().switches.broken = vec![("/incidents", 500)];
    let id = server.inner().id_of("import");
    server.inner().finish("import", "failed", Some(9), None);
    let part = poll(&backend).await;
    assert_eq!(told(&part, "import"), [(AlertKind::Failed, None)]);
    assert!(told(&part, "report").is_empty(), "its incident is known, and holds");
    server.inner().start("import");
    let over = poll(&backend).await.alerts;
    let gone: Vec<_> = over.gone.iter().filter_map(|key| key.task.as_ref()).collect();
    assert_eq!((over.coverage, gone), (Coverage::Listed, vec![&id.as_str().into()]));
    server.inner().finish("import", "failed", Some(9), None);
    server.inner().switches.broken.clear();
    let healed = poll(&backend).await;
    let alert =
        healed.alerts.items.iter().find(|a| a.task.as_ref().is_some_and(|t| t.as_raw() == id)).unwrap();
    assert_eq!(alert.summary, "its run failed with exit code 9", "one alert, the incident's");
}

#[tokio::test]
async fn tasks_come_from_all_pages_and_page_zero_is_never_asked_for() {
    let server = StandIn::empty(CLOCK).await;
    for n in 0..123 {
        server.inner().add(&format!("t{n:03}"), None);
    }
    // One that comes in the middle of reading moves no other to another page.
    server.inner().switches.grows = true;
    let backend = backend(&server);
    let snapshot = poll(&backend).await;
    assert_eq!(snapshot.tasks.items.len(), 124);
    assert_eq!(snapshot.tasks.coverage, Coverage::Complete);
    let lists: Vec<_> =
        server.inner().requests.iter().filter(|line| line.starts_with("GET /tasks?")).cloned().collect();
    assert_eq!(lists.len(), 3);
    assert!(lists.iter().all(|line| line.contains("itemsPerPage=50") && line.contains("orderBy=createdAt")));
    assert!(server.inner().requests.iter().all(|line| !line.contains("pageNumber=0")));
    // The trap itself: the connection closes without an answer.
    let trap = ask(&server, "GET", "tasks?pageNumber=0").await;
    assert!(trap.is_none(), "{trap:?}");
}

/// The answer to a bare request with the token; `None` where the connection closes without one.
async fn ask(server: &StandIn, method: &str, path: &str) -> Option<String> {
    let host = server.url.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    let request = format!(
        "{method} /{path} HTTP/1.1\r\nhost: {host}\r\nx-api-token-id: {TOKEN_ID}\r\n\
         x-api-token-secret-key: {SECRET_KEY}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    (!answer.is_empty()).then_some(answer)
}

#[tokio::test]
async fn the_total_of_an_empty_page_is_never_believed_and_a_short_count_deletes_nothing() {
    let server = StandIn::empty(CLOCK).await;
    for n in 0..60 {
        server.inner().add(&format!("t{n:02}"), None);
    }
    let beyond = ask(&server, "GET", "tasks?pageNumber=9&include=healthy").await.unwrap();
    assert!(beyond.contains("\"totalNumberOfFilteredResults\":0"), "the trap itself: {beyond}");
    let backend = backend(&server);
    assert_eq!(poll(&backend).await.tasks.coverage, Coverage::Complete);
    // Two rows are missing: the pages do not add up to the total.
    server.inner().switches.loses_last_row = true;
    let short = poll(&backend).await;
    assert_eq!((short.tasks.items.len(), short.tasks.coverage), (58, Coverage::Listed));
    assert!(short.degraded.unwrap().contains("tasks: only 58 of 60"));
    server.inner().switches.loses_last_row = false;
    server.inner().tasks.clear();
    let none = poll(&backend).await;
    assert_eq!((none.tasks.items.len(), none.tasks.coverage), (0, Coverage::Complete), "none is none");
}

#[tokio::test]
async fn an_expired_token_says_so_and_heals_without_a_restart() {
    let server = StandIn::start().await;
    let secrets = Secrets::good();
    let backend = backend_with(&server.url, &secrets);
    poll(&backend).await;
    let later = server.inner().now() - TimeDelta::minutes(1);
    server.inner().token_expires = later;
    let error = backend.poll(None).await.unwrap_err();
    assert!(matches!(error, BackendError::Unauthorised(_)));
    for words in ["API Token is expired", "make a new one in Duty Duck"] {
        assert!(error.to_string().contains(words), "{error}");
    }
    // Somebody puts a new key where the old one was.
    let new = "0123456789abcdef".repeat(4);
    server.inner().token_expires = "2099-01-01T00:00:00Z".parse().unwrap();
    server.inner().secret_key.clone_from(&new);
    let error = backend.poll(None).await.unwrap_err().to_string();
    assert!(error.contains("secret_key does not belong to token_id"), "{error}");
    secrets.set("secret_key", &new);
    poll(&backend).await;
    // Also in the middle: the 401 alone makes it look again.
    let newer = "fedcba9876543210".repeat(4);
    server.inner().secret_key.clone_from(&newer);
    secrets.set("secret_key", &newer);
    poll(&backend).await;
    secrets.set("token_id", "no-uuid");
    server.inner().secret_key.push('0');
    let error = backend.poll(None).await.unwrap_err();
    assert!(matches!(error, BackendError::Unauthorised(_)), "a 400 about the token is a refusal of it");
    assert!(error.to_string().contains("must be the token's UUID"), "{error}");
}

#[tokio::test]
async fn what_the_token_may_not_read_makes_degraded_and_the_tasks_are_shown() {
    let server = StandIn::start().await;
    server.inner().scopes = vec!["readTasks"];
    let backend = backend(&server);
    let snapshot = poll(&backend).await;
    assert_eq!(snapshot.tasks.items.len(), 5);
    assert_eq!(snapshot.tasks.coverage, Coverage::Listed, "monitors that can't be read are not gone");
    assert_eq!(told(&snapshot, "report"), [(AlertKind::Failed, None)], "what fails is told by its state");
    assert_eq!(told(&snapshot, "hourly-sync"), [(AlertKind::Absent, None)]);
    let alert = snapshot.alerts.items.iter().find(|alert| alert.kind == AlertKind::Failed).unwrap();
    assert!(alert.summary.contains("its incidents can't be read"), "{}", alert.summary);
    let degraded = snapshot.degraded.as_ref().unwrap();
    for words in
        ["HTTP monitors: not permitted", "readHttpMonitors", "incidents: not permitted", "readTaskRuns"]
    {
        assert!(degraded.contains(words), "{degraded}");
    }
    assert!(snapshot.remarks.contains(&"scopes: readTasks".into()), "{:?}", snapshot.remarks);
    assert!(snapshot.remarks.iter().any(|r| r.contains("token vigie expires 2099-06-01")));
    let refusal = |task, verb: Verb| named(&snapshot, task).capabilities.refusal(verb).unwrap().to_string();
    assert_eq!(refusal("import", Verb::Cancel), "the token lacks the scope writeTaskRuns");
    assert_eq!(refusal("report", Verb::Archive), "the token lacks the scope writeTasks");
    assert!(refusal("report", Verb::Acknowledge).contains("can't be read"));
    let before = server.count("GET /incidents");
    poll(&backend).await;
    assert_eq!(server.count("GET /incidents"), before, "what is known to be refused is not asked for");
    assert_eq!(server.count("GET /users/debug-auth-context"), 1, "scopes are read once, not at each poll");
}

#[tokio::test]
async fn scopes_that_the_server_does_not_tell_are_learnt_from_what_it_refuses() {
    let server = StandIn::start().await;
    server.inner().switches.tells_scopes = false;
    server.inner().scopes = vec!["readTasks", "readTaskRuns", "readIncidents", "readHttpMonitors"];
    let backend = backend(&server);
    let snapshot = poll(&backend).await;
    assert_eq!(snapshot.degraded, None);
    assert!(snapshot.remarks[0].contains("not told"));
    assert_eq!(named(&snapshot, "import").capabilities.refusal(Verb::Cancel), None, "nothing is known");
    let id = server.inner().id_of("import");
    let error = backend.execute(&call(Verb::Cancel, Some(&id))).await.unwrap_err();
    assert_eq!(error, BackendError::Forbidden("the token, or its user, lacks writeTaskRuns".into()));
    let start = call(Command::DutyDuckStart, Some(&server.inner().id_of("report")));
    let error = backend.execute(&start).await.unwrap_err().to_string();
    assert!(error.contains("User is not allowed to start this task (writeTaskRuns is needed)"), "{error}");
    let snapshot = poll(&backend).await;
    let why = named(&snapshot, "import").capabilities.refusal(Verb::Cancel).unwrap();
    assert!(why.contains("writeTaskRuns"), "{why}");
    assert_eq!(server.count("GET /api-tokens"), 2, "read again after a refusal that was news");
    poll(&backend).await;
    assert_eq!(server.count("GET /api-tokens"), 2);
}

#[tokio::test]
async fn the_trace_is_what_happened_to_the_incidents_of_a_task() {
    let server = StandIn::start().await;
    let backend = backend(&server);
    poll(&backend).await;
    let id = server.inner().id_of("report");
    let comment = with(call(Command::DutyDuckComment, Some(&id)), &[("text", "looking at it")]);
    backend.execute(&comment).await.unwrap();
    backend.execute(&call(Verb::Acknowledge, Some(&id))).await.unwrap();
    // More events than a page holds, one of a type that nobody knows, and a closed incident before.
    {
        let mut inner = server.inner();
        let at = inner.now() - TimeDelta::hours(1);
        let incident = inner.incidents.iter_mut().find(|i| i.source == id).unwrap();
        let unknown = (0..60)
            .map(|n| (at + TimeDelta::seconds(n), format!("moonrise{n}"), serde_json::Value::Null, false));
        incident.events.extend(unknown);
    }
    let trace = backend.trace(&id.as_str().into()).await.unwrap();
    assert_eq!(trace.events.len(), 64);
    assert!(trace.events.is_sorted_by(|a, b| a.at >= b.at), "newest first");
    let find = |what: &str| trace.events.iter().find(|event| event.what == what).unwrap();
    assert_eq!(find("acknowledged").by.as_deref(), Some("Ada Op"));
    assert_eq!(find("comment").details.as_deref(), Some("looking at it"));
    assert_eq!(find("moonrise7").details, None);
    let fact = |name: &str| trace.facts.iter().find(|(n, _)| *n == name).map(|(_, v)| v.to_string()).unwrap();
    assert_eq!((fact("user id").as_str(), fact("status before").as_str()), ("report", "running"));
    assert!(fact("incident").contains("acknowledged by Ada Op"), "{}", fact("incident"));
    // After it is over the newest closed one is told.
    server.inner().resolve(&id);
    let trace = backend.trace(&id.as_str().into()).await.unwrap();
    assert!(trace.events.iter().any(|event| event.what == "incident resolved"));
    let monitor = server.inner().id_of("https://api.example/");
    let trace = backend.trace(&monitor.as_str().into()).await.unwrap();
    assert!(trace.events.iter().any(|event| event.what == "switched to down"));
}

#[tokio::test]
async fn runs_are_read_over_pages_up_to_the_limit() {
    let server = StandIn::empty(CLOCK).await;
    let id = server.inner().add("often", None).id.clone();
    for n in 0..70 {
        server.inner().clock =
            Some(CLOCK.parse::<chrono::DateTime<chrono::Utc>>().unwrap() + TimeDelta::minutes(n));
        server.inner().start(&id);
        server.inner().finish(&id, "finished", Some(0), None);
    }
    let backend = backend(&server);
    poll(&backend).await;
    let newest_first = |runs: &[Run]| runs.is_sorted_by(|a, b| a.started >= b.started);
    for (limit, count, requests) in [(10, 10, 1), (60, 60, 2), (200, 70, 2)] {
        let before = server.count("GET /tasks/");
        let runs = backend.runs(&runs_of(&id, limit)).await.unwrap();
        assert_eq!((runs.len(), newest_first(&runs)), (count, true));
        assert_eq!(server.count("GET /tasks/") - before, requests);
    }
    assert!(named(&poll(&backend).await, "often").last_run.is_some(), "what was looked at is remembered");
    server.inner().watch("https://h.example/", "up");
    poll(&backend).await;
    let monitor = server.inner().id_of("https://h.example/");
    let error = backend.runs(&runs_of(&monitor, 5)).await.unwrap_err();
    assert!(matches!(error, BackendError::Unsupported(_)));
}

#[tokio::test]
async fn logs_are_read_where_the_server_keeps_them() {
    let server = StandIn::start().await;
    let backend = backend(&server);
    let id = server.inner().id_of("import");
    let run = server.inner().runs.last().unwrap().id.clone();
    let error = backend.log(&log_of(&id, &run), 0).await.unwrap_err();
    assert!(error.to_string().contains("this Duty Duck keeps no logs"), "{error}");
    let error = backend.log(&log_of(&id, "no-run"), 0).await.unwrap_err();
    assert!(matches!(error, BackendError::NotFound(_)), "a run that there is not is another matter");
    server.inner().switches.keeps_logs = true;
    let first = backend.log(&log_of(&id, &run), 0).await.unwrap();
    assert_eq!(first.text, "07:12:26 INFO starting\n07:12:26 INFO 10 of 20\n");
    assert_eq!((first.next_offset, first.complete), (2, false), "it still runs");
    server.inner().runs.last_mut().unwrap().logs.extend((0..600).map(|n| format!("line {n}")));
    server.inner().finish(&id, "finished", Some(0), None);
    let second = backend.log(&log_of(&id, &run), first.next_offset).await.unwrap();
    assert_eq!((second.next_offset, second.complete), (502, false), "a page of it");
    let third = backend.log(&log_of(&id, &run), second.next_offset).await.unwrap();
    assert_eq!((third.next_offset, third.complete), (602, true));
    assert!(third.text.ends_with("line 599\n"));
    let end = backend.log(&log_of(&id, &run), third.next_offset).await.unwrap();
    assert!(end.text.is_empty() && end.complete && end.next_offset == 602);
    assert!(matches!(backend.log(&LogOf::Endpoint, 0).await, Err(BackendError::Unsupported(_))));
}

#[tokio::test]
async fn the_freeze_of_all_detection_is_told_with_its_culprit_until_it_is_cured() {
    let server = StandIn::empty(CLOCK).await;
    let minute = |n: i64| CLOCK.parse::<chrono::DateTime<chrono::Utc>>().unwrap() + TimeDelta::minutes(n);
    server.inner().add("failcron", Some("* * * * *")).every = 60;
    {
        let mut inner = server.inner();
        let innocent = inner.add("innocent", Some("1 * * * *"));
        (innocent.every, innocent.next_due) = (3_600, Some(minute(1)));
    }
    let id = server.inner().id_of("failcron");
    server.inner().start(&id);
    server.inner().finish(&id, "failed", Some(1), Some("no disk"));
    let backend = backend(&server);
    let silent = |snapshot: &Snapshot| {
        snapshot.alerts.items.iter().find(|alert| alert.kind == AlertKind::SchedulerSilent).cloned()
    };
    assert_eq!(silent(&poll(&backend).await), None, "failing alone is no freeze");
    server.inner().clock = Some(minute(30));
    for _ in 0..3 {
        server.inner().collect();
    }
    let frozen = poll(&backend).await;
    let innocent = named(&frozen, "innocent");
    assert_eq!(innocent.state, Some(TaskState::Healthy), "the trap itself: nobody is late any more");
    assert_eq!((innocent.next_due, innocent.judged_within_s), (Some(minute(1)), Some(30)), "so vigie judges");
    let alert = silent(&frozen).unwrap();
    assert_eq!((&alert.task, alert.severity, alert.since), (&None, Severity::Critical, minute(1)));
    assert!(alert.summary.starts_with("failcron freezes all detection: archive it"));
    assert!(named(&frozen, "failcron").remarks[0].contains("stops Duty Duck's detection"));
    backend.execute(&call(Verb::Archive, Some(&id))).await.unwrap();
    let cured = poll(&backend).await;
    assert_eq!((silent(&cured), cured.alerts.coverage), (None, Coverage::Complete));
    for _ in 0..3 {
        server.inner().collect();
    }
    assert_eq!(named(&poll(&backend).await, "innocent").state, Some(TaskState::Absent));
}

#[tokio::test]
async fn the_servers_clock_decides_what_is_past_due() {
    // Years ahead of ours, where every due time here would be far in the past.
    let server = StandIn::empty("2031-01-01T00:00:00Z").await;
    server.inner().add("failcron", Some("* * * * *")).every = 60;
    let id = server.inner().id_of("failcron");
    server.inner().start(&id);
    server.inner().finish(&id, "failed", Some(1), None);
    let backend = backend(&server);
    assert!(poll(&backend).await.alerts.items.iter().all(|a| a.kind != AlertKind::SchedulerSilent));
    server.inner().clock = Some("2031-01-01T00:05:00Z".parse().unwrap());
    assert!(poll(&backend).await.alerts.items.iter().any(|a| a.kind == AlertKind::SchedulerSilent));
}

#[tokio::test]
async fn a_part_that_fails_takes_nothing_with_it() {
    let server = StandIn::start().await;
    let backend = backend(&server);
    let all = poll(&backend).await;
    server.inner().switches.broken = vec![("/http-monitors", 500), ("/incidents", 500)];
    let part = poll(&backend).await;
    assert_eq!((part.tasks.coverage, part.alerts.coverage), (Coverage::Listed, Coverage::Listed));
    assert_eq!(part.tasks.items.len(), all.tasks.items.len() - 3);
    let degraded = part.degraded.unwrap();
    assert!(degraded.contains("HTTP monitors: the endpoint failed with status 500"), "{degraded}");
    assert!(degraded.contains("incidents: the endpoint failed with status 500"), "{degraded}");
    server.inner().switches.broken.clear();
    let healed = poll(&backend).await;
    assert_eq!((healed.degraded, healed.tasks.coverage), (None, Coverage::Complete));
}

#[tokio::test]
async fn a_poll_ends_within_its_time_and_keeps_what_it_has_read() {
    let server = StandIn::start().await;
    let mut limit = Duration::from_secs(2);
    let (backend, snapshot) = loop {
        let short = EndpointSpec { timeout: limit, ..spec(Kind::DutyDuck, &server.url) };
        let backend = build(&short, &around(Secrets::good() as _, None)).unwrap();
        server.inner().switches.stalled = vec!["/http-monitors", "/incidents", "/api-tokens"];
        let begin = crate::support::instant();
        let polled = backend.poll(None).await;
        // Three limits one after another would be longer. On a busy machine a limit may be
        // over before the tasks have come.
        let in_time = begin.elapsed() < 2 * limit;
        match polled {
            Ok(polled) if in_time && polled.snapshot.tasks.items.len() == 5 => {
                break (backend, polled.snapshot);
            }
            polled => assert!(limit < Duration::from_secs(60), "all of it shares one limit: {polled:?}"),
        }
        limit *= 2;
    };
    assert_eq!(snapshot.tasks.coverage, Coverage::Listed);
    let degraded = snapshot.degraded.unwrap();
    assert!(
        degraded.contains("HTTP monitors: no answer within") && degraded.contains("incidents: no answer")
    );
    server.inner().switches.stalled = vec!["/tasks"];
    let error = backend.poll(None).await.unwrap_err();
    assert_eq!(error, BackendError::TimedOut { after: limit });
}
