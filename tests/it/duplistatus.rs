//! The duplistatus adapter against a stand-in with every trap of the real service.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::join;
use vigie::backend::{Accepted, Backend, BackendError, Cursor, RunsQuery};
use vigie::model::{
    Clean, Coverage, EndpointSpec, Kind, OptionValue, RunState, Snapshot, Task, TaskId, Verb,
};

use crate::raw::{Play, Raw};
use crate::stand_ins::duplistatus::{CHECK, CLEANUP, StandIn};
use crate::support::{build, call, log_of, spec};

fn backend(url: &str) -> Arc<dyn Backend> {
    build(&spec(Kind::Duplistatus, url))
}

async fn poll(backend: &Arc<dyn Backend>, since: Option<&Cursor>) -> (Snapshot, Option<Cursor>) {
    let polled = backend.poll(since).await.unwrap();
    (polled.snapshot, polled.cursor)
}

fn named<'a>(snapshot: &'a Snapshot, name: &str) -> &'a Task {
    snapshot.tasks.items.iter().find(|task| task.id.as_raw() == name).unwrap()
}

async fn act(backend: &Arc<dyn Backend>, verb: Verb, task: &str) -> Result<Accepted, BackendError> {
    backend.execute(&call(verb, Some(task))).await
}

fn conflict(result: Result<Accepted, BackendError>) -> String {
    match result {
        Err(BackendError::Conflict(reason)) => reason.to_string(),
        other => panic!("no conflict: {other:?}"),
    }
}

fn failed(result: Result<Accepted, BackendError>) -> String {
    match result {
        Err(BackendError::Failed(reason)) => reason.to_string(),
        other => panic!("no failure: {other:?}"),
    }
}

#[tokio::test]
async fn an_unchanged_status_costs_a_304_and_says_nothing_new() {
    let service = StandIn::start().await;
    let backend = backend(&service.url);
    let (first, cursor) = poll(&backend, None).await;
    assert_eq!(first.tasks.coverage, Coverage::Complete);
    assert_eq!(first.tasks.items.len(), 2);
    assert!(first.server_time.is_some(), "from the Date header");
    let (second, same) = poll(&backend, cursor.as_ref()).await;
    assert!(second.tasks.is_nothing() && second.server_time.is_some());
    assert_eq!((cursor.as_ref(), service.inner().not_modified), (same.as_ref(), 1));
    service.inner().fire();
    let (third, other) = poll(&backend, same.as_ref()).await;
    assert_eq!(named(&third, CHECK).last_run.as_ref().unwrap().state, RunState::Succeeded);
    assert_eq!(third.runs.items.len(), 2);
    assert_ne!(other, same);
}

#[tokio::test]
async fn both_known_tasks_are_there_when_stopped_and_typos_are_not() {
    let service = StandIn::start().await;
    let backend = backend(&service.url);
    service.inner().stop(CHECK);
    let failure = act(&backend, Verb::Trigger, "nope").await;
    assert_eq!(failed(failure), "Error: Unknown task: nope", "200, but it failed");
    let (snapshot, _) = poll(&backend, None).await;
    let names: Vec<_> = snapshot.tasks.items.iter().map(|task| task.id.as_raw()).collect();
    assert_eq!(names, [CLEANUP, CHECK]);
    assert!(named(&snapshot, CHECK).paused && !named(&snapshot, CLEANUP).paused);
}

#[tokio::test]
async fn a_trigger_reports_from_the_body_and_flags_what_was_not_sent() {
    let service = StandIn::start().await;
    let backend = backend(&service.url);
    service.inner().overdue = (2, 0);
    let accepted = act(&backend, Verb::Trigger, CHECK).await.unwrap();
    assert!(accepted.observed, "it answers when the run has ended");
    let message = accepted.message.unwrap();
    assert!(message.starts_with("10 checked, 2 overdue found, 0 notifications sent: fewer"), "{message}");
    service.inner().failing = Some("Error: SQLITE_BUSY");
    assert_eq!(failed(act(&backend, Verb::Trigger, CHECK).await), "Error: SQLITE_BUSY");
    let (snapshot, _) = poll(&backend, None).await;
    let run = named(&snapshot, CHECK).last_run.clone().unwrap();
    assert_eq!((run.state, run.ended), (RunState::Failed, None), "failures are not dated");
}

#[tokio::test]
async fn a_slow_trigger_has_two_minutes_and_is_never_sent_again() {
    let service = StandIn::start().await;
    service.close_gate();
    let mut spec = spec(Kind::Duplistatus, &service.url);
    spec.timeout = Duration::from_secs(30);
    let backend = build(&spec);
    let begin = crate::support::instant();
    let trigger = act(&backend, Verb::Trigger, CHECK);
    tokio::pin!(trigger);
    tokio::select! {
        early = &mut trigger => panic!("{early:?}"),
        () = service.asked("POST /trigger") => {}
    }
    // Meanwhile it is polled like ever, and no second trigger goes out beside the first.
    poll(&backend, None).await;
    assert!(conflict(act(&backend, Verb::Trigger, CHECK).await).contains("under way"));
    tokio::time::pause();
    tokio::select! {
        biased;
        early = &mut trigger => panic!("the read limit of 30 s is not the trigger's: {early:?}"),
        () = tokio::time::sleep_until(begin + Duration::from_secs(119)) => {}
    }
    let error = trigger.await.unwrap_err();
    assert_eq!(error, BackendError::TimedOut { after: Duration::from_secs(120) });
    assert!(error.may_have_acted());
    tokio::time::resume();
    assert_eq!(service.posts(), [format!("POST /trigger/{CHECK}")]);
    service.open_gate();
    assert!(act(&backend, Verb::Trigger, CHECK).await.is_ok(), "the place is free again");
}

#[tokio::test]
async fn a_start_is_sent_only_where_nothing_is_scheduled() {
    let service = StandIn::start().await;
    let backend = backend(&service.url);
    assert!(conflict(act(&backend, Verb::Resume, CHECK).await).contains("leak a timer"));
    assert_eq!(service.posts(), [] as [String; 0], "nothing was sent");
    let accepted = act(&backend, Verb::Pause, CHECK).await.unwrap();
    assert!(!accepted.observed);
    assert!(accepted.message.unwrap().contains("until duplistatus restarts"));
    assert!(conflict(act(&backend, Verb::Pause, CHECK).await).contains("not scheduled"));
    // Two consoles' worth of haste: one start goes out.
    let (one, two) = join!(act(&backend, Verb::Resume, CHECK), act(&backend, Verb::Resume, CHECK));
    assert_eq!(usize::from(one.is_ok()) + usize::from(two.is_ok()), 1, "{one:?} {two:?}");
    let starts = service.posts().iter().filter(|line| line.contains("/start/")).count();
    assert_eq!(starts, 1);
}

#[tokio::test]
async fn a_leaked_timer_is_noticed_and_not_doubled() {
    let service = StandIn::start().await;
    let backend = backend(&service.url);
    poll(&backend, None).await;
    // Somebody else's client does what ours does not.
    service.inner().start(CLEANUP);
    service.inner().stop(CLEANUP);
    poll(&backend, None).await;
    let mut last = None;
    for _ in 0..2 {
        service.inner().fire();
        last = Some(poll(&backend, None).await.0);
    }
    let last = last.unwrap();
    let task = named(&last, CLEANUP);
    assert!(task.paused && task.remarks.iter().any(|r| r.contains("leaked a timer")), "{:?}", task.remarks);
    assert!(conflict(act(&backend, Verb::Resume, CLEANUP).await).contains("restart duplistatus"));
    assert_eq!(service.posts(), [] as [String; 0]);
    service.inner().restart();
    let (clean, _) = poll(&backend, None).await;
    assert!(!named(&clean, CLEANUP).remarks.iter().any(|r| r.contains("leaked")));
}

#[tokio::test]
async fn a_start_that_throws_is_a_clear_no() {
    let service = StandIn::start().await;
    let backend = backend(&service.url);
    for name in ["toString", "__proto__"] {
        let reason = failed(act(&backend, Verb::Resume, name).await);
        assert!(reason.contains("Internal Server Error") && !reason.contains('<'), "{reason}");
    }
    let unknown = act(&backend, Verb::Resume, "nope").await.unwrap_err();
    assert_eq!(unknown, BackendError::NotFound("Task nope not found in configuration".into()));
}

#[tokio::test]
async fn a_half_loaded_configuration_is_named_until_it_is_mended() {
    let service = StandIn::start().await;
    let backend = backend(&service.url);
    let reload = call(Verb::ReloadConfig, None);
    assert!(backend.endpoint_capabilities().refusal(Verb::ReloadConfig).is_none());
    backend.execute(&reload).await.unwrap();
    service.inner().configured.insert(CLEANUP.to_owned(), ("bad", true));
    let reason = failed(backend.execute(&reload).await);
    assert!(reason.starts_with("half loaded: Error: Invalid task configuration for"), "{reason}");
    let (snapshot, cursor) = poll(&backend, None).await;
    assert!(snapshot.degraded.unwrap().contains("half loaded"));
    assert!(snapshot.tasks.items.iter().all(|task| task.paused), "the tasks after it are gone");
    let (unchanged, _) = poll(&backend, cursor.as_ref()).await;
    assert!(unchanged.degraded.is_some(), "a 304 heals nothing");
    service.inner().configured.insert(CLEANUP.to_owned(), ("0 2 * * *", true));
    backend.execute(&reload).await.unwrap();
    assert_eq!(poll(&backend, None).await.0.degraded, None);
}

#[tokio::test]
async fn names_travel_encoded_and_impossible_ones_not_at_all() {
    let service = StandIn::start().await;
    let backend = backend(&service.url);
    assert_eq!(failed(act(&backend, Verb::Trigger, "a/b é").await), "Error: Unknown task: a/b é");
    assert_eq!(service.posts(), ["POST /trigger/a%2Fb%20%C3%A9"]);
    assert_eq!(backend.preview(&call(Verb::Trigger, Some("a/b é"))), "POST /trigger/a%2Fb%20%C3%A9");
    for name in ["", ".", ".."] {
        let refused = act(&backend, Verb::Trigger, name).await.unwrap_err();
        assert!(matches!(refused, BackendError::Unsupported(_)), "{refused:?}");
    }
    assert_eq!(service.posts().len(), 1);
}

#[tokio::test]
async fn what_the_service_lacks_is_refused_with_its_reason_and_never_sent() {
    let service = StandIn::start().await;
    let backend = backend(&service.url);
    let (snapshot, _) = poll(&backend, None).await;
    for &verb in Verb::ALL {
        let capability = named(&snapshot, CHECK).capabilities.refusal(verb).cloned();
        let lawful = matches!(verb, Verb::Trigger | Verb::Pause | Verb::Resume);
        if lawful {
            continue;
        }
        let refused = act(&backend, verb, CHECK).await.unwrap_err();
        assert_eq!(refused, BackendError::Unsupported(capability.unwrap()), "{verb}");
        assert_eq!(backend.preview(&call(verb, Some(CHECK))).as_str(), refused.to_string());
    }
    assert_eq!(service.posts(), [] as [String; 0]);
    let query = RunsQuery { task: Some(TaskId::new(CHECK)), limit: 10 };
    assert!(matches!(backend.runs(&query).await, Err(BackendError::Unsupported(_))));
    assert!(matches!(backend.log(&log_of(CHECK, "1"), 0).await, Err(BackendError::Unsupported(_))));
}

#[tokio::test]
async fn an_answer_with_too_many_names_is_none_of_it() {
    let names: Vec<String> = (0..20_000).map(|i| format!("\"t{i}\"")).collect();
    let body = format!(r#"{{"isRunning":true,"activeTasks":[{}]}}"#, names.join(","));
    let liar = Raw::start(move |_, _| Play::json(200, &body)).await;
    let error = backend(&liar.url).poll(None).await.unwrap_err().to_string();
    assert!(error.contains("20000 names of tasks"), "{error}");
}

#[tokio::test]
async fn the_wrong_port_is_guessed_at() {
    let page = "<html><head><title>404: This page could not be found.</title></head></html>";
    let web = Raw::start(move |_, _| Play::answer(404, &[("content-type", "text/html")], page)).await;
    let error = backend(&web.url).poll(None).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("could not be found") && text.contains("9667"), "{text}");
}

#[test]
fn schedules_are_checked_when_it_is_built() {
    let with = |cron: Option<&str>| {
        let mut spec: EndpointSpec = spec(Kind::Duplistatus, "http://127.0.0.1:9");
        let schedules = BTreeMap::from([(Clean::from(CHECK), cron.map(str::to_owned))]);
        spec.options.insert("schedules".to_owned(), OptionValue::Schedules(schedules));
        crate::support::try_build(&spec)
    };
    assert!(with(Some("*/1    *    *            *     *")).is_ok(), "runs of blanks, as its own default has");
    assert!(with(Some("*/2 * * * * *")).is_ok(), "seconds first");
    assert!(with(None).is_ok());
    let error = with(Some("61 * * * *")).unwrap_err().to_string();
    assert!(error.contains("options.schedules.overdue-backup-check"), "{error}");
}
