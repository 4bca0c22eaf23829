//! What the adapter does there, what it refuses, and what it never does.

use super::*;

#[tokio::test]
async fn trigger_is_refused_with_its_reason_and_cancel_finishes_as_aborted() {
    let server = StandIn::start().await;
    let backend = backend(&server);
    let snapshot = poll(&backend).await;
    let id = server.inner().id_of("import");
    let reason = named(&snapshot, "import").capabilities.refusal(Verb::Trigger).unwrap().to_string();
    assert!(reason.contains("only records runs") && reason.contains("wrapper starts the job"), "{reason}");
    let error = backend.execute(&call(Verb::Trigger, Some(&id))).await.unwrap_err();
    assert_eq!(error, BackendError::Unsupported(reason.as_str().into()));
    for verb in [Verb::Pause, Verb::Resume] {
        // Of a task that a poll has told as one.
        let error = backend.execute(&call(verb, Some(&id))).await.unwrap_err().to_string();
        assert!(error.contains("can't pause a task"), "{error}");
    }
    assert!(server.posts().is_empty());
    let cancel = call(Verb::Cancel, Some(&id));
    assert_eq!(
        backend.preview(&cancel),
        format!("POST /tasks/{id}/finish {{\"status\":\"aborted\"}}").as_str()
    );
    let said = backend.execute(&cancel).await.unwrap().message.unwrap();
    assert!(said.contains("at its next heartbeat"), "{said}");
    assert_eq!(server.posts(), [format!("POST /tasks/{id}/finish")]);
    let runs = backend.runs(&runs_of(&id, 5)).await.unwrap();
    assert_eq!(runs[0].state, RunState::Aborted);
    let error = backend.execute(&cancel).await.unwrap_err();
    assert_eq!(error, BackendError::Conflict("it is not running".into()));
}

#[tokio::test]
async fn cancel_of_one_run_never_ends_another() {
    let server = StandIn::start().await;
    let backend = backend(&server);
    poll(&backend).await;
    let id = server.inner().id_of("import");
    let first = RunId::new(&server.inner().runs.last().unwrap().id);
    server.inner().finish(&id, "finished", Some(0), None);
    server.inner().start(&id);
    let cancel = Call { run: Some(first), ..call(Verb::Cancel, Some(&id)) };
    let error = backend.execute(&cancel).await.unwrap_err();
    assert!(matches!(error, BackendError::Conflict(_)), "{error:?}");
    assert!(server.posts().is_empty());
}

#[tokio::test]
async fn start_and_finish_record_a_run_and_say_so() {
    let server = StandIn::start().await;
    let backend = backend(&server);
    poll(&backend).await;
    let id = server.inner().id_of("nightly-db-dump");
    let start = call(Command::DutyDuckStart, Some(&id));
    let said = backend.execute(&start).await.unwrap().message.unwrap();
    assert!(said.contains("runs nothing") && said.contains("30s without a heartbeat"), "{said}");
    assert_eq!(server.inner().bodies.last().unwrap(), "{}", "without a body it would be 415");
    let error = backend.execute(&start).await.unwrap_err();
    assert_eq!(error, BackendError::Conflict("Task already started".into()));
    let finish = |inputs: &[(&str, &str)]| with(call(Command::DutyDuckFinish, Some(&id)), inputs);
    // What the server answers with an empty 500 is not sent.
    let before = server.posts().len();
    let contradiction = finish(&[("outcome", "success"), ("exit-code", "3")]);
    let error = backend.execute(&contradiction).await.unwrap_err();
    assert!(matches!(error, BackendError::Unsupported(_)) && error.to_string().contains("exit code 0"));
    assert_eq!(server.posts().len(), before);
    backend
        .execute(&finish(&[("outcome", "failure"), ("exit-code", "3"), ("message", "disk full")]))
        .await
        .unwrap();
    let runs = backend.runs(&runs_of(&id, 5)).await.unwrap();
    assert_eq!((runs[0].exit_code, runs[0].message.as_deref()), (Some(3), Some("disk full")));
    let snapshot = poll(&backend).await;
    assert_eq!(named(&snapshot, "nightly-db-dump").state, Some(TaskState::Failing));
}

#[tokio::test]
async fn a_start_that_fails_inside_the_server_is_unknown_and_said() {
    let server = StandIn::start().await;
    server.inner().switches.start_fails = true;
    let backend = backend(&server);
    poll(&backend).await;
    let start = call(Command::DutyDuckStart, Some(&server.inner().id_of("report")));
    let error = backend.execute(&start).await.unwrap_err();
    assert!(matches!(error, BackendError::Server { status: 500, .. }) && error.may_have_acted());
    assert!(error.to_string().contains("gives no reason"), "{error}");
    assert_eq!(server.posts().len(), 1, "never sent again");
}

#[tokio::test]
async fn archive_says_why_not() {
    let server = StandIn::start().await;
    let backend = backend(&server);
    let snapshot = poll(&backend).await;
    let why =
        |name: &str| named(&snapshot, name).capabilities.refusal(Verb::Archive).map(ToString::to_string);
    assert!(why("import").unwrap().contains("while it is running"));
    assert_eq!(why("old-export").unwrap(), "already archived");
    assert_eq!(why("report"), None);
    let archive = |name: &str| call(Verb::Archive, Some(&server.inner().id_of(name)));
    for (name, said) in [
        ("import", "Cannot archive a task while it is running"),
        ("old-export", "The task is already archived"),
    ] {
        let error = backend.execute(&archive(name)).await.unwrap_err();
        assert_eq!(error, BackendError::Conflict(said.into()));
    }
    backend.execute(&archive("report")).await.unwrap();
    backend.execute(&archive("https://api.example/")).await.unwrap();
    let snapshot = poll(&backend).await;
    assert!(named(&snapshot, "report").archived && named(&snapshot, "https://api.example/").archived);
    // The trap: their incidents stay open, and nobody can close them.
    assert_eq!(told(&snapshot, "report"), [(AlertKind::Failed, None)]);
    let left = snapshot.alerts.items.iter().filter(|alert| alert.summary.contains("archived since"));
    assert!(left.clone().count() == 2 && left.clone().all(|alert| alert.severity == Severity::Info));
}

#[tokio::test]
async fn acknowledge_takes_every_open_incident_of_the_task() {
    let server = StandIn::start().await;
    let backend = backend(&server);
    let id = server.inner().id_of("report");
    // A second one, open beside the first.
    let cause = server.inner().incidents.iter().find(|i| i.source == id).unwrap().cause.clone();
    let second = server.inner().open(&id, Some("report"), cause, "taskrunfailed");
    let snapshot = poll(&backend).await;
    assert_eq!(told(&snapshot, "report"), [(AlertKind::Failed, None)], "one open alert per kind");
    assert_eq!(named(&snapshot, "report").capabilities.refusal(Verb::Acknowledge), None);
    let nothing = named(&snapshot, "nightly-db-dump").capabilities.refusal(Verb::Acknowledge).unwrap();
    assert_eq!(nothing, "it has no open incident");
    let mut acknowledge = call(Verb::Acknowledge, Some(&id));
    acknowledge.arguments.note = Some("on <it>".into());
    assert!(backend.preview(&acknowledge).contains(&format!("POST /incidents/{second}/acknowledge")));
    let said = backend.execute(&acknowledge).await.unwrap().message.unwrap();
    assert_eq!(said, "2 incidents acknowledged");
    assert_eq!(server.count("POST /incidents/"), 4, "two acknowledged, two with the note");
    assert!(server.inner().bodies.iter().any(|body| body.contains("on &lt;it&gt;")));
    let snapshot = poll(&backend).await;
    assert_eq!(told(&snapshot, "report"), [(AlertKind::Failed, Some("Ada Op".to_owned()))]);
    let why = named(&snapshot, "report").capabilities.refusal(Verb::Acknowledge).unwrap();
    assert_eq!(why, "already acknowledged by Ada Op");
    let again = backend.execute(&acknowledge).await.unwrap_err();
    assert_eq!(again, BackendError::Conflict("already acknowledged by Ada Op".into()));
    let none = call(Verb::Acknowledge, Some(&server.inner().id_of("nightly-db-dump")));
    let none = backend.execute(&none).await.unwrap_err();
    assert_eq!(none, BackendError::Conflict("it has no open incident".into()));
}

#[tokio::test]
async fn pause_and_resume_of_a_monitor_are_verified_toggles() {
    let server = StandIn::start().await;
    let backend = backend(&server);
    let snapshot = poll(&backend).await;
    let shop = "https://shop.example/health";
    let id = server.inner().id_of(shop);
    assert_eq!(named(&snapshot, shop).class.as_deref(), Some("http monitor"));
    let pause = call(Verb::Pause, Some(&id));
    assert_eq!(backend.preview(&pause), format!("POST /http-monitors/{id}/toggle").as_str());
    let before = server.inner().requests.len();
    let done = backend.execute(&pause).await.unwrap();
    assert!(done.observed, "{done:?}");
    let one = format!("GET /http-monitors/{id}");
    assert_eq!(
        server.inner().requests[before..],
        [one.clone(), format!("POST /http-monitors/{id}/toggle"), one],
        "looked at just before, sent once, looked at after"
    );
    // A second pause would resume it.
    let error = backend.execute(&pause).await.unwrap_err();
    assert_eq!(error, BackendError::Conflict("already paused".into()));
    assert_eq!(server.posts().len(), 1);
    assert!(named(&poll(&backend).await, shop).paused);
    backend.execute(&call(Verb::Resume, Some(&id))).await.unwrap();
    let error = backend.execute(&call(Verb::Resume, Some(&id))).await.unwrap_err();
    assert_eq!(error, BackendError::Conflict("it is not paused".into()));
    assert!(!named(&poll(&backend).await, shop).paused);
}

#[tokio::test]
async fn a_toggle_whose_answer_is_lost_is_unknown_and_never_sent_again() {
    let server = StandIn::start().await;
    let backend = backend(&server);
    poll(&backend).await;
    let id = server.inner().id_of("https://shop.example/health");
    server.inner().switches.toggle_loses_answer = true;
    let error = backend.execute(&call(Verb::Pause, Some(&id))).await.unwrap_err();
    assert!(error.may_have_acted(), "{error:?}");
    assert_eq!(server.posts().len(), 1);
    assert!(named(&poll(&backend).await, "https://shop.example/health").paused, "the next poll tells");
}

#[tokio::test]
async fn a_toggle_that_somebody_turns_back_is_no_success() {
    let server = StandIn::start().await;
    let backend = backend(&server);
    poll(&backend).await;
    let id = server.inner().id_of("https://shop.example/health");
    server.inner().switches.toggled_back = true;
    let error = backend.execute(&call(Verb::Pause, Some(&id))).await.unwrap_err().to_string();
    assert!(error.contains("somebody else"), "{error}");
    assert_eq!(server.posts().len(), 1);
    // Where the state can't be read before, nothing is sent, and that is sure.
    server.inner().switches.broken.push(("/http-monitors/", 500));
    let error = backend.execute(&call(Verb::Pause, Some(&id))).await.unwrap_err();
    assert!(!error.may_have_acted() && error.to_string().contains("nothing was sent"), "{error:?}");
    assert_eq!(server.posts().len(), 1);
}

#[tokio::test]
async fn two_toggles_of_one_monitor_from_here_do_not_cross() {
    let server = StandIn::start().await;
    let backend = backend(&server);
    poll(&backend).await;
    let id = server.inner().id_of("https://shop.example/health");
    server.inner().switches.holds_toggle = true;
    let pause = call(Verb::Pause, Some(&id));
    let toggle = format!("POST /http-monitors/{id}/toggle");
    let (one, two, ()) = join!(backend.execute(&pause), backend.execute(&pause), async {
        server.asked(&toggle).await;
        server.let_through();
    });
    let results = [one, two];
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    let refused = results.into_iter().find_map(Result::err).unwrap();
    assert_eq!(refused, BackendError::Conflict("already paused".into()));
    assert_eq!(server.count(&toggle), 1);
}

/// PATCH replaces a task, and erases what it does not name.
#[tokio::test]
async fn patch_is_never_used() {
    let server = StandIn::start().await;
    let backend = backend(&server);
    poll(&backend).await;
    let targets = ["nightly-db-dump", "report", "import", "old-export", "https://shop.example/health"];
    for target in targets {
        let id = server.inner().id_of(target);
        for &verb in Verb::ALL {
            let _ = backend.execute(&call(verb, Some(&id))).await;
        }
        for &command in Command::ALL {
            let inputs = [("outcome", "failure"), ("text", "hello")];
            let _ = backend.execute(&with(call(command, Some(&id)), &inputs)).await;
        }
        let _ = (backend.runs(&runs_of(&id, 5)).await, backend.trace(&id.as_str().into()).await);
        poll(&backend).await;
    }
    let methods: Vec<_> =
        server.inner().requests.iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert!(methods.len() > 50 && methods.iter().all(|method| method == "GET" || method == "POST"));
    // The trap itself: an empty one erases the schedule.
    let id = server.inner().id_of("nightly-db-dump");
    assert!(server.inner().find(&id).unwrap().cron.is_some());
    ask(&server, "PATCH", &format!("tasks/{id}")).await.unwrap();
    assert!(server.inner().find(&id).unwrap().cron.is_none());
}

#[tokio::test]
async fn every_deed_is_previewed_or_refused_in_words() {
    let server = StandIn::start().await;
    let backend = backend(&server);
    let snapshot = poll(&backend).await;
    for task in &snapshot.tasks.items {
        let deeds = Verb::ALL.iter().map(|&verb| Deed::Verb(verb));
        for deed in deeds.chain(Command::ALL.iter().map(|&command| Deed::Command(command))) {
            let inputs = [("outcome", "success"), ("text", "hello")];
            let shown = backend.preview(&with(call(deed, Some(task.id.as_raw())), &inputs));
            assert!(!shown.trim().is_empty(), "{deed}");
            if task.capabilities.refusal(deed).is_none() {
                assert!(shown.starts_with("POST /"), "{deed}: {shown}");
            }
        }
    }
    let told = backend.endpoint_capabilities();
    assert!(told.iter().all(|(_, why)| why.is_some()), "nothing is for the endpoint as a whole");
}
