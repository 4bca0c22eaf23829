//! What somebody looks at: traces, runs, the audit log; and what nobody may ever see.

use vigie::backend::{BackendError, RunsQuery};
use vigie::model::{Command, LogOf, RunState, Verb};

use super::{Rig, now, start};
use crate::stand_ins::rediacc::books::VAULT;
use crate::support::call;

#[tokio::test]
async fn the_trace_with_its_timeline_is_the_detail() {
    let mut rig = Rig::seeded().await;
    rig.poll().await;
    let id = {
        let mut world = rig.server.world();
        let id = world.data.put(0, 1, now());
        world.data.assign(&id, now());
        world.data.give_back(&id, "Bridge reported failure", now());
        world.data.assign(&id, now());
        id
    };
    rig.pass(1);
    rig.server.world().data.process(&id, now());
    rig.pass(4);
    rig.poll().await;
    rig.called();
    let trace = rig.backend.trace(&id.as_str().into()).await.unwrap();
    assert_eq!(rig.called(), ["GetQueueItemTrace"]);
    let fact = |name: &str| trace.facts.iter().find(|(n, _)| *n == name).map(|(_, value)| value.to_string());
    for (name, value) in [
        ("item", id.as_str()),
        ("status", "PROCESSING"),
        ("health", "active"),
        ("priority", "1 (Highest)"),
        ("team", "prod"),
        ("machine", "prod-01"),
        ("bridge", "Global Bridges"),
        ("region", "Default Region"),
        ("organisation", "Example"),
        ("created", "2026-11-20 07:00:00 UTC"),
        ("last answer of its bridge", "2026-11-20 07:01:00 UTC"),
        ("waited", "0s"),
        ("at work for", "5m"),
        ("retries", "1 of 3"),
        ("last failure", "Bridge reported failure"),
        ("has an answer", "yes"),
        ("can be cancelled", "yes"),
        ("usual time at work", "7m"),
        ("success rate of its machine", "93.3"),
        ("waiting now", "4"),
        ("at work now", "2 of at most 5"),
    ] {
        assert_eq!(fact(name).as_deref(), Some(value), "{name}");
    }
    let beside = fact("beside it (before)").unwrap();
    assert!(beside.contains("PENDING") && beside.contains("earlier"), "{beside}");
    let events: Vec<&str> = trace.events.iter().map(|event| &*event.what).collect();
    assert_eq!(events.first(), Some(&"Processing"), "newest first");
    assert_eq!(events.len(), 5);
    assert!(trace.events.iter().all(|event| event.by.as_deref() == Some("ana@example.org")));
    assert!(!format!("{trace:?}").contains(VAULT), "{trace:?}");
    let gone = rig.backend.trace(&"no-such-item".into()).await;
    assert!(matches!(gone, Err(BackendError::NotFound(_))), "{gone:?}");
}

#[tokio::test]
async fn an_item_has_one_run_and_asking_for_what_is_known_costs_no_call() {
    let mut rig = Rig::seeded().await;
    let snapshot = rig.poll().await;
    rig.called();
    let all = rig.backend.runs(&RunsQuery { task: None, limit: 10 }).await.unwrap();
    assert_eq!(all.len(), 10);
    let id = snapshot.tasks.items[0].id.clone();
    let one = rig.backend.runs(&RunsQuery { task: Some(id.clone()), limit: 10 }).await.unwrap();
    assert_eq!(
        (one.len(), one[0].task.clone(), one[0].id.as_ref().unwrap().as_raw()),
        (1, id.clone(), id.as_raw())
    );
    assert!(rig.called().is_empty());
    let id = rig.server.world().data.put(0, 3, start());
    let one = rig.backend.runs(&RunsQuery { task: Some(id.as_str().into()), limit: 10 }).await.unwrap();
    assert_eq!(one[0].state, RunState::Queued);
    assert_eq!(rig.called(), ["GetTeamQueueItems"]);
    let log = rig.backend.log(&LogOf::Endpoint, 0).await;
    assert!(log.unwrap_err().to_string().contains("in its vault, which vigie never reads"));
}

#[tokio::test]
async fn the_audit_log_is_read_for_the_journal() {
    let mut rig = Rig::seeded().await;
    rig.poll().await;
    let entries = rig.backend.audit(2).await.unwrap();
    let shown: Vec<String> = entries
        .iter()
        .map(|entry| format!("{} {} {}", entry.at, entry.action, entry.target.as_ref().unwrap()))
        .collect();
    assert_eq!(
        shown,
        [
            "2026-11-20 06:40:00 UTC Updated Machine Machine 7",
            "2026-11-20 04:50:00 UTC Cancelled QueueItem QueueItem 7"
        ]
    );
    assert_eq!(entries[0].by.as_deref(), Some("ana@example.org"));
    assert!(!format!("{entries:?}").contains(VAULT));
    // A plan without it says so, and is not asked again once it is known.
    let mut small = Rig::with(|data| data.has_audit_log = false, |_| {}).await;
    let unasked = small.backend.audit(2).await.unwrap_err();
    assert!(unasked.to_string().contains("does not include the auditLog feature"), "{unasked}");
    small.poll().await;
    small.called();
    let known = small.backend.audit(2).await.unwrap_err();
    assert_eq!(known.to_string(), "the plan of this organisation has no audit log");
    assert!(small.called().is_empty());
}

#[tokio::test]
async fn vault_and_credential_fields_appear_nowhere() {
    for company in [false, true] {
        let mut rig = Rig::with(|data| data.company = company, |_| {}).await;
        rig.server.world().switches.pascal = company;
        let mut all: Vec<String> = Vec::new();
        for _ in 0..4 {
            let snapshot = rig.poll().await;
            all.push(format!("{snapshot:?} {:?}", rig.backend));
            for task in &snapshot.tasks.items {
                all.push(format!("{:?}", rig.backend.trace(&task.id).await));
                if all.iter().map(String::len).sum::<usize>() > 200_000 {
                    break;
                }
            }
            rig.pass(10);
        }
        all.push(format!("{:?}", rig.backend.audit(100).await));
        all.push(format!("{:?}", rig.backend.runs(&RunsQuery { task: None, limit: 100 }).await));
        let failed = rig.server.world().data.put(0, 3, now());
        rig.server.world().data.fail(&failed, "rsync", now());
        for deed in [Verb::Retry, Verb::Retry, Verb::Reprioritise, Verb::Cancel, Verb::Cancel] {
            let call = call(deed, Some(&failed));
            all.push(format!("{:?} {:?}", rig.backend.preview(&call), rig.backend.execute(&call).await));
        }
        let create = super::acts::create("prod", None, br#"{"command":"v4ult-s3cret"}"#);
        all.push(format!("{:?} {:?}", rig.backend.preview(&create), rig.backend.execute(&create).await));
        let delete = call(Command::RediaccDelete, Some(&failed));
        all.push(format!("{:?}", rig.backend.execute(&delete).await));
        let all = all.concat();
        assert!(all.contains("created ") && all.contains("Processing"), "it was all there");
        assert!(!all.contains(VAULT), "{}", &all[all.find(VAULT).unwrap().saturating_sub(300)..]);
        assert!(!all.contains("4n00-8000"), "no token either");
    }
}
