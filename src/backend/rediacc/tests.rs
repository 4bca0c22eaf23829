//! Tables: columns to the model.

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::convert::{self, Phase, alerts, queues, task};
use super::memory::{List, MOST, Memory, View};
use super::offers::{self, Menu};
use super::wire::{self, Dashboard, Item, Listing, Marks, Naming, Row, TeamCounts};
use crate::backend::Call;
use crate::model::{
    AlertKind, Arguments, Clean, Command, Deed, Input, IntentId, Payload, RunState, TaskState, Verb,
};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn row(value: Value) -> Row {
    let Value::Object(row) = value else { panic!("no object: {value}") };
    row
}

/// The contract's own item, with some columns changed.
fn item(changes: Value) -> Item {
    let mut columns = row(json!({
        "taskId": "7f5040b0-a0c7-4a08-9176-bdc386bd9bd4", "createdTime": "2026-01-20T09:00:00",
        "ageInMinutes": 12, "vaultVersion": 1, "machineName": "prod-01", "bridgeName": "Global Bridges",
        "teamName": "prod", "regionName": "Default Region", "status": "PROCESSING",
        "assignedTime": "2026-01-20T09:01:00", "lastAssigned": "2026-01-20T09:01:00",
        "minutesSinceAssigned": 11, "priority": 1, "priorityLabel": "Highest", "healthStatus": "STALE",
        "canBeCancelled": true, "hasResponse": false, "createdBy": "ana@example.org", "retryCount": 1,
        "lastRetryAt": "2026-01-20T09:01:00+00:00", "lastFailureReason": "Bridge reported failure",
        "permanentlyFailed": false, "totalDurationSeconds": 720, "processingDurationSeconds": 660,
        "lastResponseAt": null,
    }));
    columns.extend(row(changes));
    Item::of(&columns).unwrap()
}

fn task_of(changes: Value) -> crate::model::Task {
    task(&item(changes), &mut Menu::new(Some(Naming::Organization)))
}

#[test]
fn the_item_of_the_contract_is_read_column_by_column() {
    let task = task_of(json!({}));
    assert_eq!((&*task.name, task.alias.as_deref()), ("prod-01 7f5040b0", Some("7f5040b0")));
    assert_eq!(task.id.as_raw(), "7f5040b0-a0c7-4a08-9176-bdc386bd9bd4");
    assert_eq!(task.class.as_deref(), Some("queue item"));
    assert_eq!((task.team.as_deref(), task.machine.as_deref()), (Some("prod"), Some("prod-01")));
    assert_eq!(task.priority.unwrap().level(), 1);
    assert_eq!((task.state, task.remote_state.as_deref()), (Some(TaskState::Running), Some("PROCESSING")));
    let labels: Vec<String> = task.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(labels, ["bridge=Global Bridges", "created-by=ana@example.org", "region=Default Region"]);
    assert_eq!((task.retry.attempt, task.retry.max, task.retry.next_at), (1, 3, None));
    let run = &task.active_runs[0];
    assert_eq!((run.state, run.attempt), (RunState::Running, 1));
    assert_eq!(run.queued, Some(at("2026-01-20T09:00:00Z")));
    assert_eq!(run.started, Some(at("2026-01-20T09:01:00Z")));
    assert_eq!((run.ended, run.message.as_deref()), (None, Some("Bridge reported failure")));
    let remarks: Vec<&str> = task.remarks.iter().map(|remark| &**remark).collect();
    assert_eq!(
        remarks,
        ["stale: no update from its bridge for more than 10 min", "retry 1 of 3: Bridge reported failure"]
    );
}

#[test]
fn every_status_has_its_state_and_unknown_ones_are_kept() {
    use TaskState::{Archived, Failing, Healthy, Queued, Running, Unknown};
    let table = [
        ("PENDING", Queued, Some(RunState::Queued)),
        ("ASSIGNED", Running, Some(RunState::Running)),
        ("PROCESSING", Running, Some(RunState::Running)),
        ("CANCELLING", Running, Some(RunState::Running)),
        ("COMPLETED", Healthy, Some(RunState::Succeeded)),
        ("FAILED", Failing, Some(RunState::Failed)),
        ("CANCELLED", Archived, Some(RunState::Aborted)),
        ("HIBERNATING", Unknown, None),
        ("completed", Healthy, Some(RunState::Succeeded)),
    ];
    for (status, state, run) in table {
        let task = task_of(json!({"status": status, "healthStatus": "DOZING"}));
        assert_eq!((task.state, task.remote_state.as_deref()), (Some(state), Some(status)));
        let carried = task.active_runs.iter().chain(&task.last_run).map(|run| run.state).next();
        assert_eq!(carried, run, "{status}");
        assert_eq!(task.archived, state == Archived);
        assert!(task.remarks.iter().any(|remark| *remark == "health: DOZING"), "{:?}", task.remarks);
        let ended = task.last_run.is_some();
        assert_eq!(ended, matches!(state, Healthy | Failing | Archived), "{status}");
    }
    let task = task_of(json!({"status": null}));
    assert_eq!((task.state, task.remote_state.as_deref()), (Some(Unknown), Some("UNKNOWN")));
}

#[test]
fn a_pending_item_without_retries_left_is_dead_in_practice() {
    let phase = |changes| item(changes).phase();
    let pending = |retries: u32, reason: Value, permanent: Value| {
        phase(json!({
            "status": "PENDING", "retryCount": retries, "lastFailureReason": reason,
            "permanentlyFailed": permanent,
        }))
    };
    assert_eq!(pending(0, Value::Null, json!(false)), Phase::Waits);
    assert_eq!(pending(2, json!("Bridge reported failure"), json!(0)), Phase::Waits);
    assert_eq!(pending(3, Value::Null, json!(false)), Phase::Waits, "nothing failed yet");
    assert_eq!(pending(3, json!("ssh timeout"), json!(false)), Phase::GivenUp);
    assert_eq!(pending(1, json!("x"), json!(1)), Phase::GivenUp);
    let task = task_of(json!({"status": "PENDING", "retryCount": 3, "healthStatus": "PENDING"}));
    assert_eq!(task.state, Some(TaskState::Failing));
    assert!(task.remarks[0].starts_with("given up though it is pending"), "{:?}", task.remarks);
    assert!(task.capabilities.refusal(Verb::Retry).unwrap().contains("cancel it and create it anew"));
    assert_eq!(task.capabilities.refusal(Verb::Cancel), None);
}

#[test]
fn times_come_from_what_is_told_with_or_without_a_zone() {
    for (text, expected) in [
        ("2026-01-20T09:00:00", "2026-01-20T09:00:00Z"),
        ("2026-01-20T09:00:00.1234567", "2026-01-20T09:00:00.1234567Z"),
        ("2025-05-03T15:30:45.123Z", "2025-05-03T15:30:45.123Z"),
        ("2026-01-20T09:01:00+02:00", "2026-01-20T07:01:00Z"),
        ("2026-01-20 09:01:00.0000000 +00:00", "2026-01-20T09:01:00Z"),
        ("2026-01-20 09:01:00", "2026-01-20T09:01:00Z"),
    ] {
        assert_eq!(wire::time(&row(json!({"t": text})), "t"), Some(at(expected)), "{text}");
    }
    for none in [json!(null), json!(""), json!("soon"), json!(7), json!("0001-01-01T00:00:00")] {
        assert_eq!(wire::time(&row(json!({"t": none})), "t"), None, "{none}");
    }
    // By the bridge's last word, else by the length.
    let ended = |changes| convert::run(&item(changes)).unwrap();
    let run = ended(json!({"status": "COMPLETED", "lastResponseAt": "2026-01-20T09:10:00"}));
    assert_eq!((run.ended, run.duration_ms), (Some(at("2026-01-20T09:10:00Z")), Some(660_000)));
    let run = ended(json!({"status": "FAILED"}));
    assert_eq!(run.ended, Some(at("2026-01-20T09:12:00Z")));
    let run = ended(json!({"status": "CANCELLED", "processingDurationSeconds": null}));
    assert_eq!((run.ended, run.duration_ms), (Some(at("2026-01-20T09:12:00Z")), Some(660_000)));
    // Back in the queue: since its retry, and not at work.
    let run = ended(json!({"status": "PENDING", "lastRetryAt": "2026-01-20T09:05:00+00:00"}));
    assert_eq!((run.queued, run.started), (Some(at("2026-01-20T09:05:00Z")), None));
}

#[test]
fn problems_become_alerts_that_begin_when_the_problem_did() {
    let now = at("2026-01-20T18:00:00Z");
    let table = [
        (json!({}), Some((AlertKind::Dead, "2026-01-20T09:11:00Z", "no bridge update for more than 10 min"))),
        (
            json!({"lastResponseAt": "2026-01-20T09:03:00"}),
            Some((AlertKind::Dead, "2026-01-20T09:13:00Z", "Global Bridges")),
        ),
        (json!({"healthStatus": "ACTIVE"}), None),
        (json!({"status": "COMPLETED", "healthStatus": "COMPLETED"}), None),
        (
            json!({"status": "FAILED", "lastFailureReason": "rsync exited with 23"}),
            Some((AlertKind::Failed, "2026-01-20T09:12:00Z", "failed: rsync exited with 23")),
        ),
        (
            json!({"status": "FAILED", "lastFailureReason": "Fatal error: disk full"}),
            Some((AlertKind::RetriesExhausted, "2026-01-20T09:12:00Z", "failed for good after 1 of 3")),
        ),
        (
            json!({"status": "FAILED", "lastFailureReason": null, "permanentlyFailed": "1"}),
            Some((AlertKind::RetriesExhausted, "2026-01-20T09:12:00Z", "failed for good")),
        ),
        (
            json!({"status": "FAILED", "lastFailureReason": "x", "retryCount": 3}),
            Some((AlertKind::RetriesExhausted, "2026-01-20T09:12:00Z", "after 3 of 3 retries: x")),
        ),
        (
            json!({"status": "PENDING", "lastFailureReason": "x", "retryCount": 3, "healthStatus": "PENDING"}),
            Some((AlertKind::RetriesExhausted, "2026-01-20T09:01:00Z", "pending, but given up")),
        ),
        (json!({"status": "CANCELLED", "retryCount": 3}), None),
    ];
    for (changes, expected) in table {
        let item = item(changes.clone());
        let found = alerts(&[&item], now);
        let found = found.first().map(|alert| (alert.kind, alert.since, alert.summary.to_string()));
        match (found, expected) {
            (Some((kind, since, summary)), Some((wanted, begun, words))) => {
                assert_eq!((kind, since), (wanted, at(begun)), "{changes}");
                assert!(summary.contains(words), "{changes}: {summary}");
            }
            (found, expected) => assert_eq!(found.is_none(), expected.is_none(), "{changes}: {found:?}"),
        }
    }
    let waiting = item(json!({"status": "PENDING", "healthStatus": "STALE_PENDING", "retryCount": 0}));
    let found = alerts(&[&waiting, &waiting], now);
    assert_eq!(found.len(), 1, "one for the queue: {found:?}");
    assert_eq!((found[0].kind, found[0].since), (AlertKind::QueueStalled, at("2026-01-20T15:00:00Z")));
    assert_eq!(found[0].queue.as_ref().unwrap().as_raw(), "prod");
    assert_eq!(found[0].summary, "2 items wait for too long: no bridge takes them");
    let early = alerts(&[&waiting], at("2026-01-20T09:30:00Z"));
    assert_eq!(early[0].since, at("2026-01-20T09:30:00Z"), "nothing begins in the future");
}

#[test]
fn a_pending_run_is_in_the_queue_of_its_team_alone() {
    let made = |id: &str, team: Value, status: &str, priority: Value, created: &str| {
        item(json!({
            "taskId": id, "teamName": team, "status": status, "priority": priority, "createdTime": created,
            "healthStatus": "PENDING", "retryCount": 0,
        }))
    };
    let items = [
        made("1", json!("prod"), "PENDING", json!(1), "2026-01-20T08:00:00"),
        made("2", json!("prod"), "PENDING", json!(3), "2026-01-20T07:00:00"),
        made("3", json!("prod"), "ASSIGNED", json!(3), "2026-01-20T06:00:00"),
        made("4", json!("data"), "PENDING", json!(null), "2026-01-20T06:00:00"),
        made("5", json!(null), "PENDING", json!(5), "2026-01-20T06:00:00"),
        made("6", json!("done"), "COMPLETED", json!(5), "2026-01-20T06:00:00"),
    ];
    let items: Vec<&Item> = items.iter().collect();
    let found = queues(&items, &["idle".into(), "prod".into()]);
    let shown: Vec<String> = found
        .iter()
        .map(|q| format!("{} {} {:?} {} {:?}", q.name, q.depth, q.by_priority, q.running, q.oldest_pending))
        .collect();
    assert_eq!(
        shown,
        [
            "data 1 None 0 Some(2026-01-20T06:00:00Z)",
            "default 1 Some([0, 0, 0, 0, 1]) 0 Some(2026-01-20T06:00:00Z)",
            "done 0 Some([0, 0, 0, 0, 0]) 0 None",
            "idle 0 Some([0, 0, 0, 0, 0]) 0 None",
            "prod 2 Some([1, 0, 1, 0, 0]) 1 Some(2026-01-20T07:00:00Z)",
        ]
    );
    let counts = TeamCounts { team: "prod".into(), pending: 900, active: 4, stale: 2 };
    let queue = &convert::counted(&[counts])[0];
    assert_eq!((queue.depth, queue.by_priority, queue.running, queue.stale), (900, None, 4, 2));
}

#[test]
fn sets_are_known_by_their_columns_wherever_they_stand() {
    let items = vec![row(json!({"taskId": "a", "status": "PENDING"})), row(json!({"taskId": null}))];
    let statistics = vec![row(json!({"totalCount": "2", "pendingCount": 1}))];
    for sets in [vec![items.clone(), statistics.clone()], vec![statistics.clone(), vec![], items.clone()]] {
        let listing = Listing::of(&sets);
        assert_eq!((listing.items.len(), listing.unread, listing.total), (1, 1, Some(2)));
        assert!(!listing.is_cut(MOST) && listing.is_cut(2));
    }
    let nothing = Listing::of(&[statistics]);
    assert_eq!((nothing.items.len(), nothing.total), (0, Some(2)));
    assert!(nothing.is_cut(MOST), "the statistics know of more");
    assert!(!Listing::of(&[]).is_cut(MOST));
}

#[test]
fn the_dashboard_of_the_company_generation_is_texts_within_a_text() {
    let team =
        json!([{"TeamName": "prod", "TotalItems": 4, "PendingItems": 2, "ActiveItems": 1, "StaleItems": 0}]);
    let queue =
        json!({"PendingCount": 2, "TotalCount": 4, "TeamIssues": team.to_string(), "MachineIssues": "[]"});
    let cell = json!({
        "companyInfo": json!({"CompanyName": "Example"}).to_string(), "queueStats": queue.to_string(),
    });
    let dashboard = Dashboard::of(&[vec![row(json!({"subscriptionAndResourcesJson": cell.to_string()}))]]);
    assert_eq!(dashboard.naming, Some(Naming::Company));
    assert_eq!((dashboard.organisation.as_deref(), dashboard.total), (Some("Example"), Some(4)));
    assert_eq!(dashboard.teams, [TeamCounts { team: "prod".into(), pending: 2, active: 1, stale: 0 }]);
    assert!(!dashboard.marks.unwrap().with_retries);
    // One cell that holds itself, deep: read no further than makes sense.
    let deep = (0..7).fold(json!({"PendingCount": 1}), |inner, _| json!({"x": inner.to_string()}));
    assert!(Dashboard::of(&[vec![row(deep)]]).marks.is_none());
}

fn marks(changes: Value) -> Marks {
    let mut queue = row(json!({
        "pendingCount": 2, "totalCount": 9, "itemsWithRetries": 0, "avgRetryCount": 0.5,
        "oldestPendingAgeMinutes": 4, "avgPendingAgeMinutes": 2,
    }));
    queue.extend(row(changes));
    let team = row(json!({"teamName": "prod", "totalItems": 9, "pendingItems": 2, "activeItems": 0}));
    Dashboard::of(&[vec![queue], vec![team]]).marks.unwrap()
}

#[test]
fn counts_that_move_ask_for_the_list_and_ages_do_not() {
    let now = at("2026-01-20T09:00:00Z");
    let mut memory = Memory::default();
    let first = marks(json!({}));
    assert_eq!(memory.list(Some(&first), Some(9), false, now), List::Whole, "never read");
    memory.learn(&mut View::whole(Listing::default()), Some(first.clone()), now);
    assert_eq!(memory.list(Some(&first), Some(9), false, now), List::Nothing);
    let older = marks(json!({"oldestPendingAgeMinutes": 5, "avgPendingAgeMinutes": 3, "invented": 1}));
    assert_eq!(memory.list(Some(&older), Some(9), false, now), List::Nothing);
    for moved in [
        json!({"pendingCount": 3}),
        json!({"avgRetryCount": 0.625}),
        json!({"staleCount": 1}),
        json!({"highPriorityPending": 1}),
        json!({"completedToday": 1}),
    ] {
        assert_eq!(memory.list(Some(&marks(moved.clone())), Some(9), false, now), List::Whole, "{moved}");
    }
    assert_eq!(memory.list(Some(&first), Some(9), true, now), List::Whole, "who asks has nothing");
    assert_eq!(memory.list(None, None, false, now), List::Whole, "nothing to go by");
    assert_eq!(memory.list(Some(&first), Some(5_000), true, now), List::Split);
    let later = now + chrono::TimeDelta::minutes(5);
    assert_eq!(memory.list(Some(&first), Some(9), false, later), List::Whole);
    memory.act();
    assert_eq!(memory.list(Some(&first), Some(9), false, now), List::Whole, "something was done from here");
    assert!(memory.take_acted());
    assert_eq!(memory.list(Some(&first), Some(9), false, now), List::Nothing);
}

#[test]
fn capabilities_name_their_reasons() {
    let refusal = |naming, changes, verb: Verb| {
        let task = task(&item(changes), &mut Menu::new(naming));
        task.capabilities.refusal(verb).map(ToString::to_string)
    };
    let new = Some(Naming::Organization);
    let old = Some(Naming::Company);
    let table = [
        (new, json!({}), Verb::Cancel, None),
        (new, json!({"canBeCancelled": null}), Verb::Cancel, None),
        (new, json!({"canBeCancelled": 0}), Verb::Cancel, Some("can't be cancelled now")),
        (new, json!({"status": "COMPLETED"}), Verb::Cancel, Some("ended already")),
        (new, json!({"status": "CANCELLING"}), Verb::Cancel, Some("being cancelled already")),
        (new, json!({"status": "FAILED"}), Verb::Retry, None),
        (new, json!({}), Verb::Retry, Some("only what has failed")),
        (new, json!({}), Verb::Reprioritise, Some("Rediacc 3.0 has no call for it")),
        (None, json!({}), Verb::Reprioritise, Some("not known yet")),
        (old, json!({}), Verb::Reprioritise, Some("only what waits")),
        (old, json!({"status": "PENDING"}), Verb::Reprioritise, None),
        (new, json!({}), Verb::Trigger, Some("rediacc:create")),
        (new, json!({}), Verb::Pause, Some("can't hold an item")),
        (new, json!({}), Verb::Acknowledge, Some("keeps no alerts")),
        (new, json!({}), Verb::Archive, Some("rediacc:delete")),
        (new, json!({}), Verb::ReloadConfig, Some("no configuration")),
    ];
    for (naming, changes, verb, expected) in table {
        let found = refusal(naming, changes.clone(), verb);
        match (&found, expected) {
            (Some(found), Some(expected)) => assert!(found.contains(expected), "{verb} {changes}: {found}"),
            _ => assert_eq!(found.is_none(), expected.is_none(), "{verb} {changes}: {found:?}"),
        }
    }
    let endpoint = offers::of_endpoint();
    assert!(endpoint.refusal(Command::RediaccCreate).is_none());
    assert!(endpoint.refusal(Command::RediaccDelete).is_some());
    assert!(Verb::ALL.iter().all(|verb| endpoint.refusal(*verb).is_some()));
}

fn call(deed: impl Into<Deed>, task: Option<&str>, inputs: Vec<(&str, Input)>) -> Call {
    let inputs = inputs.into_iter().map(|(name, input)| (Clean::line(name), input)).collect();
    Call {
        intent: IntentId(uuid::Uuid::nil()),
        deed: deed.into(),
        task: task.map(Into::into),
        run: None,
        arguments: Arguments { inputs, priority: "1".parse().ok(), ..Arguments::default() },
    }
}

fn payload(content: &[u8]) -> Input {
    Input::Payload(Payload::new(content.to_vec(), "ab12"))
}

#[test]
fn a_preview_is_the_exact_request_and_holds_no_payload() {
    let shown = |call: &Call, naming| match offers::request(call, naming) {
        Ok(request) => request.shown().to_string(),
        Err(error) => error.to_string(),
    };
    let new = Some(Naming::Organization);
    let on = |deed: Deed| shown(&call(deed, Some("7f50"), vec![]), new);
    assert_eq!(on(Verb::Cancel.into()), r#"POST /StoredProcedure/CancelQueueItem {"taskId":"7f50"}"#);
    assert_eq!(on(Verb::Retry.into()), r#"POST /StoredProcedure/RetryFailedQueueItem {"taskId":"7f50"}"#);
    assert_eq!(
        on(Command::RediaccDelete.into()),
        r#"POST /StoredProcedure/DeleteQueueItem {"taskId":"7f50"}"#
    );
    assert!(on(Verb::Reprioritise.into()).contains("3.0 has no call for it"));
    let old = shown(&call(Verb::Reprioritise, Some("7f50"), vec![]), Some(Naming::Company));
    assert!(
        old.starts_with(r#"POST /StoredProcedure/UpdateQueueItemPriority {"taskId":"7f50","priority":1} (priority 1 ends after 33 s"#),
        "{old}"
    );
    let create = |naming| {
        let inputs = vec![
            ("team", Input::Text("prod".into())),
            ("bridge", Input::Text("Global Bridges".into())),
            ("priority", Input::Text("2".into())),
            ("payload", payload(br#"{"password":"hunter2"}"#)),
        ];
        shown(&call(Command::RediaccCreate, None, inputs), naming)
    };
    assert_eq!(
        create(new),
        "POST /StoredProcedure/CreateQueueItem {\"teamName\":\"prod\",\"bridgeName\":\"Global Bridges\",\
         \"priority\":2,\"vaultContent\":<22 bytes, sha256 ab12>} (priority 2 becomes 4 without a Business or \
         Enterprise plan)"
    );
    assert!(create(Some(Naming::Company)).contains(r#""queueVault":<22 bytes"#));
    assert!(shown(&call(Verb::Trigger, Some("7f50"), vec![]), new).contains("rediacc:create"));
    assert!(shown(&call(Verb::Cancel, None, vec![]), new).contains("not for the endpoint"));
    assert!(shown(&call(Command::RediaccRevoke, Some("7f50"), vec![]), new).contains("for the endpoint"));
    assert!(shown(&call(Command::DutyDuckStart, Some("7f50"), vec![]), new).contains("no such command"));
}

#[test]
fn a_payload_that_is_no_json_text_is_refused_before_it_is_sent() {
    for (content, words) in [
        (&b"\xff\xfe"[..], "is not UTF-8 text (byte 1)"),
        (b"{\"a\": hunter2}", "is not valid JSON (line 1, column 7)"),
        (b"", "is not valid JSON"),
        (b"{} {}", "is not valid JSON"),
    ] {
        let inputs = vec![
            ("team", Input::Text("prod".into())),
            ("bridge", Input::Text("b".into())),
            ("payload", payload(content)),
        ];
        let request = offers::request(&call(Command::RediaccCreate, None, inputs), None).unwrap();
        let error = request.full_body().unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("nothing was sent"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    let missing = offers::request(&call(Command::RediaccCreate, None, vec![]), None).unwrap_err();
    assert!(missing.to_string().contains("rediacc:create needs team"), "{missing}");
}

proptest! {
    /// Whatever comes in the columns, an item with an id becomes a task.
    #[test]
    fn no_column_breaks_an_item(
        column in proptest::sample::select(vec![
            "status", "createdTime", "lastAssigned", "lastResponseAt", "priority", "retryCount", "lastRetryAt",
            "totalDurationSeconds", "processingDurationSeconds", "healthStatus", "permanentlyFailed", "teamName",
        ]),
        value in prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            Just(json!([1, {"a": 2}])),
            Just(json!("9999-12-31T23:59:59.9999999")),
            Just(json!(1e300)),
        ],
        status in proptest::sample::select(vec!["PENDING", "PROCESSING", "COMPLETED", "FAILED", "CANCELLED"]),
    ) {
        let item = item(json!({"status": status, column: value}));
        let task = task(&item, &mut Menu::new(None));
        prop_assert_eq!(task.id.as_raw(), "7f5040b0-a0c7-4a08-9176-bdc386bd9bd4");
        let now = at("2026-01-20T18:00:00Z");
        prop_assert!(alerts(&[&item], now).iter().all(|alert| alert.since <= now));
        prop_assert!(queues(&[&item], &[]).len() <= 1);
    }
}
