//! What is done: each call once, and what becomes of it.

use vigie::backend::{BackendError, Call};
use vigie::model::{Clean, Command, Input, Payload, TaskState, Verb};

use super::{Rig, now, start, task};
use crate::stand_ins::rediacc::Lose;
use crate::support::call;

pub fn create(team: &str, priority: Option<&str>, payload: &[u8]) -> Call {
    let mut create = call(Command::RediaccCreate, None);
    let text = |text: &str| Input::Text(Clean::line(text));
    let inputs = &mut create.arguments.inputs;
    inputs.insert("team".into(), text(team));
    inputs.insert("bridge".into(), text("Global Bridges"));
    inputs.insert("machine".into(), text("prod-01"));
    inputs.extend(priority.map(|priority| (Clean::line("priority"), text(priority))));
    inputs.insert("payload".into(), Input::Payload(Payload::new(payload.to_vec(), "ab12")));
    create
}

fn body_of(rig: &Rig, procedure: &str) -> serde_json::Value {
    rig.server.world().seen.iter().rev().find(|seen| seen.procedure == procedure).unwrap().body.clone()
}

#[tokio::test]
async fn what_waits_is_cancelled_at_once_and_what_runs_by_its_bridge() {
    let mut rig = Rig::empty().await;
    let (waits, runs) = {
        let mut world = rig.server.world();
        let (waits, runs) = (world.data.put(0, 3, start()), world.data.put(0, 3, start()));
        world.data.assign(&runs, start());
        (waits, runs)
    };
    rig.poll().await;
    let done = rig.act(Verb::Cancel, &waits).await.unwrap();
    assert_eq!((done.message.as_deref(), done.observed), (Some("PENDING → CANCELLED"), true));
    let begun = rig.act(Verb::Cancel, &runs).await.unwrap();
    assert_eq!((begun.message.as_deref(), begun.observed), (Some("ASSIGNED → CANCELLING"), false));
    let snapshot = rig.poll().await;
    assert_eq!(task(&snapshot, &waits).state, Some(TaskState::Archived));
    assert_eq!(task(&snapshot, &runs).remote_state.as_deref(), Some("CANCELLING"));
    assert_eq!(
        task(&snapshot, &runs).capabilities.refusal(Verb::Cancel).unwrap(),
        &"it is being cancelled already"
    );
    let refused = rig.act(Verb::Cancel, &waits).await.unwrap_err();
    assert!(
        matches!(&refused, BackendError::Conflict(why) if why.contains("in status CANCELLED")),
        "{refused:?}"
    );
    assert!(!refused.may_have_acted());
    assert_eq!(body_of(&rig, "CancelQueueItem"), serde_json::json!({"taskId": waits}));
}

#[tokio::test]
async fn only_what_failed_is_tried_again() {
    let mut rig = Rig::empty().await;
    let id = rig.server.world().data.put(0, 3, start());
    let refused = rig.act(Verb::Retry, &id).await.unwrap_err();
    assert_eq!(refused, BackendError::Conflict("Can only retry failed queue items".into()));
    rig.server.world().data.fail(&id, "rsync exited with 23", start());
    rig.pass(2);
    let done = rig.act(Verb::Retry, &id).await.unwrap();
    assert_eq!((done.message.as_deref(), done.observed), (Some("waits again: retry 1 of 3"), true));
    let snapshot = rig.poll().await;
    let task = task(&snapshot, &id);
    assert_eq!((task.state, task.retry.attempt), (Some(TaskState::Queued), 1));
    assert_eq!(task.active_runs[0].queued, Some(now()), "it waits since its retry");
}

#[tokio::test]
async fn an_item_is_deleted_and_gone() {
    let mut rig = Rig::seeded().await;
    let id = rig.poll().await.tasks.items[30].id.clone();
    rig.called();
    rig.act(Command::RediaccDelete, id.as_raw()).await.unwrap();
    let snapshot = rig.poll().await;
    assert_eq!(rig.called()[..3], ["DeleteQueueItem", "GetOrganizationDashboard", "GetTeamQueueItems"]);
    assert!(snapshot.tasks.items.iter().all(|task| task.id != id));
    let again = rig.act(Command::RediaccDelete, id.as_raw()).await.unwrap_err();
    assert!(matches!(again, BackendError::NotFound(_)), "{again:?}");
}

#[tokio::test]
async fn what_was_deleted_is_gone_from_a_cut_list_too() {
    let many = |data: &mut crate::stand_ins::rediacc::Data| {
        for n in 0..1_100 {
            data.put(n, 3, start());
        }
    };
    let mut rig = Rig::with(many, |_| {}).await;
    let id = rig.poll().await.tasks.items[700].id.clone();
    rig.act(Command::RediaccDelete, id.as_raw()).await.unwrap();
    assert_eq!(rig.poll().await.tasks.gone, [id]);
    rig.pass(5);
    assert!(rig.poll().await.tasks.gone.is_empty(), "said once");
}

#[tokio::test]
async fn an_item_is_created_from_a_payload_that_nobody_sees() {
    let mut rig = Rig::empty().await;
    let call = create("prod", Some("1"), br#"{"command":"hunter2"}"#);
    let preview = rig.backend.preview(&call);
    assert_eq!(
        preview,
        "POST /StoredProcedure/CreateQueueItem {\"teamName\":\"prod\",\"bridgeName\":\"Global Bridges\",\
         \"machineName\":\"prod-01\",\"priority\":1,\"vaultContent\":<21 bytes, sha256 ab12>} (priority 1 ends \
         after 33 s; without a Business or Enterprise plan it becomes 4)"
    );
    let done = rig.backend.execute(&call).await.unwrap();
    let id = done.run.unwrap();
    let message = done.message.unwrap();
    assert_eq!(
        message,
        format!("created {id}, PENDING, priority 1, Highest priority items end after 33 seconds").as_str()
    );
    assert_eq!(
        body_of(&rig, "CreateQueueItem"),
        serde_json::json!({"teamName": "prod", "bridgeName": "Global Bridges", "machineName": "prod-01",
            "priority": 1, "vaultContent": "{\"command\":\"hunter2\"}"})
    );
    assert_eq!(task(&rig.poll().await, id.as_raw()).state, Some(TaskState::Queued));
    rig.called();
    let bad = rig.backend.execute(&create("prod", None, b"{\"command\": hunter2")).await.unwrap_err();
    assert_eq!(bad.to_string(), "the payload is not valid JSON (line 1, column 13); nothing was sent");
    assert!(rig.called().is_empty());
    let nowhere = rig.backend.execute(&create("nowhere", None, b"{}")).await.unwrap_err();
    assert_eq!(nowhere, BackendError::NotFound("Team not found".into()));
    // Before the first poll, and in the words of the company generation.
    let old = Rig::with(|data| data.company = true, |_| {}).await;
    old.backend.execute(&create("prod", None, b"{}")).await.unwrap();
    assert_eq!(body_of(&old, "CreateQueueItem")["queueVault"], "{}");
    assert_eq!(body_of(&old, "CreateQueueItem").get("vaultContent"), None);
}

#[tokio::test]
async fn reprioritise_is_there_on_generation_a_and_refused_with_its_reason_on_b() {
    let mut old = Rig::with(|data| data.company = true, |_| {}).await;
    let id = old.server.world().data.put(0, 3, start());
    let mut call = call(Verb::Reprioritise, Some(&id));
    call.arguments.priority = "2".parse().ok();
    // Even before the first poll.
    old.backend.execute(&call).await.unwrap();
    assert_eq!(body_of(&old, "UpdateQueueItemPriority"), serde_json::json!({"taskId": id, "priority": 2}));
    assert_eq!(task(&old.poll().await, &id).priority.unwrap().level(), 2);
    let mut new = Rig::seeded().await;
    new.poll().await;
    new.called();
    let refused = new.backend.execute(&call).await.unwrap_err();
    let reason = "Rediacc 3.0 has no call for it: cancel the item and create it anew";
    assert_eq!(refused, BackendError::Unsupported(reason.into()));
    assert_eq!(new.backend.preview(&call), reason);
    assert!(new.called().is_empty());
}

#[tokio::test]
async fn a_lost_answer_is_unknown_and_nothing_is_sent_twice() {
    for how in [Lose::BeforeActing, Lose::AfterActing] {
        let mut rig = Rig::empty().await;
        rig.poll().await;
        rig.server.world().lose.push_back(("CreateQueueItem", how));
        let lost = rig.backend.execute(&create("prod", None, b"{}")).await.unwrap_err();
        assert!(lost.may_have_acted(), "{lost:?}");
        let made = usize::from(how == Lose::AfterActing);
        rig.pass(1);
        // The session may have to be mended first; the item is there or not, once.
        let mut found = rig.try_poll().await;
        for _ in 0..3 {
            if found.is_ok() {
                break;
            }
            found = rig.try_poll().await;
        }
        if let Ok(snapshot) = found {
            assert_eq!(snapshot.tasks.items.len(), made);
        }
        assert_eq!(rig.server.world().count("CreateQueueItem"), 1);
        assert_eq!(rig.server.world().data.items.len(), made);
    }
}

#[tokio::test]
async fn what_a_role_may_not_do_is_not_permitted() {
    let rig = Rig::empty().await;
    let id = rig.server.world().data.put(0, 3, start());
    for (code, words) in [
        (403, "You do not have permission to cancel queue items"),
        (400, "Only bridge tokens can cancel queue items"),
        (6, "Only bridge tokens can cancel queue items"),
    ] {
        rig.server.world().data.refused = vec![("CancelQueueItem", code, words)];
        let refused = rig.act(Verb::Cancel, &id).await.unwrap_err();
        assert_eq!(refused, BackendError::Forbidden(words.into()), "{code}");
    }
}

#[tokio::test]
async fn the_session_is_revoked_on_request() {
    let mut rig = Rig::empty().await;
    rig.poll().await;
    let revoke = call(Command::RediaccRevoke, None);
    assert!(rig.backend.preview(&revoke).starts_with("POST /StoredProcedure/DeleteUserRequest {}"));
    let done = rig.backend.execute(&revoke).await.unwrap();
    assert!(done.observed && done.message.unwrap().contains("is revoked"));
    assert_eq!(rig.server.world().count("DeleteUserRequest"), 1);
}

#[tokio::test]
async fn what_rediacc_does_not_have_is_refused_with_its_reason() {
    let mut rig = Rig::seeded().await;
    let snapshot = rig.poll().await;
    rig.called();
    let item = &snapshot.tasks.items[0];
    for verb in [
        Verb::Trigger,
        Verb::Pause,
        Verb::Resume,
        Verb::Acknowledge,
        Verb::Snooze,
        Verb::Silence,
        Verb::Archive,
    ] {
        let refused = rig.act(verb, item.id.as_raw()).await.unwrap_err();
        let reason = item.capabilities.refusal(verb).unwrap();
        assert_eq!(refused, BackendError::Unsupported(reason.clone()), "{verb}");
        assert_eq!(&rig.backend.preview(&call(verb, Some(item.id.as_raw()))), reason);
    }
    assert!(rig.called().is_empty());
    let endpoint = rig.backend.endpoint_capabilities();
    assert_eq!(endpoint.refusal(Command::RediaccCreate), None);
    assert_eq!(endpoint.refusal(Command::RediaccRevoke), None);
    assert_eq!(item.capabilities.refusal(Command::RediaccDelete), None);
}
