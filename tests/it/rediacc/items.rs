//! Queue items as tasks, teams as queues, problems as alerts.

use chrono::TimeDelta;
use vigie::model::{AlertKind, Coverage, RunState, Snapshot, TaskState, Verb};

use super::{Rig, alert_of, now, only, queue, remarks, start, task};

#[tokio::test]
async fn queue_items_are_tasks_with_priority_health_team_machine_bridge_retries_and_last_failure() {
    let mut rig = Rig::seeded().await;
    let snapshot = rig.poll().await;
    assert_eq!((snapshot.tasks.coverage, snapshot.tasks.items.len()), (Coverage::Complete, 31));
    let retried = snapshot
        .tasks
        .items
        .iter()
        .find(|task| task.state == Some(TaskState::Running) && task.retry.attempt > 0);
    let retried = retried.unwrap();
    assert_eq!(retried.class.as_deref(), Some("queue item"));
    assert_eq!(retried.name, format!("stage-02 {}", &retried.id.as_raw()[..8]).as_str());
    assert_eq!(retried.alias.as_deref(), Some(&retried.id.as_raw()[..8]));
    assert_eq!(retried.priority.unwrap().level(), 3);
    assert_eq!((retried.team.as_deref(), retried.machine.as_deref()), (Some("staging"), Some("stage-02")));
    assert_eq!(&*retried.labels["bridge"], "Global Bridges");
    assert_eq!(&*retried.labels["region"], "Default Region");
    assert_eq!(&*retried.labels["created-by"], "ana@example.org");
    assert_eq!((retried.retry.attempt, retried.retry.max), (1, 3));
    assert_eq!(retried.remarks, ["retry 1 of 3: Bridge reported failure"]);
    assert_eq!(retried.active_runs[0].message.as_deref(), Some("Bridge reported failure"));
    let states = |state| snapshot.tasks.items.iter().filter(|task| task.state == Some(state)).count();
    // One of the nine that wait has been given up.
    assert_eq!(states(TaskState::Queued), 8);
    assert_eq!(states(TaskState::Running), 5);
    assert_eq!(states(TaskState::Healthy), 14);
    assert_eq!(states(TaskState::Failing), 3);
    assert_eq!(states(TaskState::Archived), 1);
}

#[tokio::test]
async fn an_item_is_followed_from_its_queue_to_its_end() {
    let mut rig = Rig::empty().await;
    let id = rig.server.world().data.put(0, 2, start());
    let seen = |snapshot: &Snapshot, id: &str| {
        let task = task(snapshot, id);
        let run = task.active_runs.first().or(task.last_run.as_ref()).unwrap().clone();
        (task.state.unwrap(), task.remote_state.as_ref().unwrap().to_string(), run)
    };
    let (state, word, run) = seen(&rig.poll().await, &id);
    assert_eq!((state, word.as_str(), run.state), (TaskState::Queued, "PENDING", RunState::Queued));
    assert_eq!((run.queued, run.started), (Some(start()), None));
    rig.pass(1);
    rig.server.world().data.assign(&id, now());
    let (state, word, run) = seen(&rig.poll().await, &id);
    assert_eq!((state, word.as_str(), run.state), (TaskState::Running, "ASSIGNED", RunState::Running));
    assert_eq!(run.started, Some(now()));
    rig.pass(1);
    rig.server.world().data.process(&id, now());
    assert_eq!(seen(&rig.poll().await, &id).1, "PROCESSING");
    rig.pass(3);
    rig.server.world().data.complete(&id, now());
    let (state, word, run) = seen(&rig.poll().await, &id);
    assert_eq!((state, word.as_str(), run.state), (TaskState::Healthy, "COMPLETED", RunState::Succeeded));
    assert_eq!((run.ended, run.duration_ms), (Some(now()), Some(240_000)));
    // Another one fails, is tried again, is stopped.
    let id = rig.server.world().data.put(0, 2, now());
    rig.server.world().data.fail(&id, "rsync exited with 23", now());
    let snapshot = rig.poll().await;
    assert_eq!(seen(&snapshot, &id).2.message.as_deref(), Some("rsync exited with 23"));
    assert_eq!(alert_of(&snapshot, &id).unwrap().kind, AlertKind::Failed);
    assert_eq!(task(&snapshot, &id).capabilities.refusal(Verb::Retry), None);
    rig.act(Verb::Retry, &id).await.unwrap();
    rig.server.world().data.assign(&id, now());
    rig.act(Verb::Cancel, &id).await.unwrap();
    let (state, word, run) = seen(&rig.poll().await, &id);
    assert_eq!((state, word.as_str(), run.attempt), (TaskState::Running, "CANCELLING", 1));
    rig.server.world().data.stopped(&id, now());
    let snapshot = rig.poll().await;
    let (state, word, run) = seen(&snapshot, &id);
    assert_eq!((state, word.as_str(), run.state), (TaskState::Archived, "CANCELLED", RunState::Aborted));
    assert!(alert_of(&snapshot, &id).is_none());
    assert_eq!(snapshot.alerts.coverage, Coverage::Complete);
}

#[tokio::test]
async fn queues_have_their_depth_per_priority_stale_counts_and_oldest_age() {
    let mut rig = Rig::seeded().await;
    let snapshot = rig.poll().await;
    let shown: Vec<(String, u64, u64, u64)> = snapshot
        .queues
        .items
        .iter()
        .map(|queue| (queue.name.to_string(), queue.depth, queue.running, queue.stale))
        .collect();
    let pending: u64 = shown.iter().map(|queue| queue.1).sum();
    assert_eq!(shown.iter().map(|queue| queue.0.as_str()).collect::<Vec<_>>(), ["data", "prod", "staging"]);
    assert_eq!((pending, shown.iter().map(|queue| queue.2).sum::<u64>()), (9, 5));
    let prod = queue(&snapshot, "prod");
    assert_eq!(prod.by_priority.unwrap().iter().sum::<u64>(), prod.depth);
    assert_eq!(prod.oldest_pending, Some(start() - TimeDelta::hours(7)));
    assert_eq!(prod.stale, 2, "one waits too long, one is silent at work");
    assert_eq!(snapshot.queues.coverage, Coverage::Complete);
    // Without priorities in the plan there is only a total.
    let mut plain = Rig::with(
        |data| {
            data.has_priorities = false;
            data.items.iter_mut().for_each(|item| item.priority = None);
        },
        |_| {},
    )
    .await;
    let snapshot = plain.poll().await;
    assert_eq!(queue(&snapshot, "prod").by_priority, None);
    assert_eq!(queue(&snapshot, "prod").depth, prod.depth);
    assert!(snapshot.tasks.items.iter().all(|task| task.priority.is_none()));
}

#[tokio::test]
async fn stale_given_up_and_failed_items_are_alerts_in_words_that_help() {
    let mut rig = Rig::seeded().await;
    let snapshot = rig.poll().await;
    let mut shown: Vec<String> = snapshot
        .alerts
        .items
        .iter()
        .map(|alert| {
            let at = alert.queue.as_ref().map_or("item", |queue| queue.as_raw());
            format!("{at} {} {}", alert.kind, alert.summary)
        })
        .collect();
    shown.sort();
    assert_eq!(
        shown,
        [
            "item dead no bridge update for more than 10 min (Global Bridges)",
            "item failed failed: rsync exited with 23",
            "item retries-exhausted failed for good after 0 of 3 retries: Fatal error: disk full",
            "item retries-exhausted pending, but given up after 3 of 3 retries: Machine unreachable: ssh timeout",
            "prod queue-stalled 1 item waits for too long: no bridge takes it",
        ]
    );
    assert!(snapshot.alerts.items.iter().all(|alert| alert.since <= start()));
}

#[tokio::test]
async fn a_word_that_nobody_knows_is_kept() {
    let mut rig = Rig::empty().await;
    let (odd, ill) = {
        let mut world = rig.server.world();
        let odd = world.data.put(0, 3, start());
        world.data.item(&odd).status = "HIBERNATING".to_owned();
        let ill = world.data.put(0, 3, start());
        world.data.item(&ill).health = Some("DROWSY\u{1b}[31m".to_owned());
        (odd, ill)
    };
    let snapshot = rig.poll().await;
    let odd = task(&snapshot, &odd);
    assert_eq!((odd.state, odd.remote_state.as_deref()), (Some(TaskState::Unknown), Some("HIBERNATING")));
    let ill = task(&snapshot, &ill);
    assert_eq!(ill.state, Some(TaskState::Queued));
    assert_eq!(ill.remarks, ["health: DROWSY"]);
}

#[tokio::test]
async fn a_choice_of_teams_limits_what_is_asked_for() {
    let mut rig = Rig::with(|_| {}, only("prod, data")).await;
    let snapshot = rig.poll().await;
    let teams: std::collections::BTreeSet<&str> =
        snapshot.tasks.items.iter().filter_map(|task| task.team.as_deref()).collect();
    assert_eq!(teams.into_iter().collect::<Vec<_>>(), ["data", "prod"]);
    assert_eq!(snapshot.queues.items.len(), 2);
    let asked = rig
        .server
        .world()
        .seen
        .iter()
        .find(|seen| seen.procedure == "GetTeamQueueItems")
        .unwrap()
        .body
        .clone();
    assert_eq!(asked["teamName"], "prod,data");
    let bad = crate::support::spec(vigie::model::Kind::Rediacc, "http://127.0.0.1:9/api");
    let mut bad = bad;
    only(" , ")(&mut bad);
    assert_eq!(crate::support::try_build(&bad).unwrap_err().to_string(), "options.teams names no team");
}

#[tokio::test]
async fn more_items_than_one_list_holds_are_listed_in_two_and_none_is_lost() {
    let mut rig = Rig::with(
        |data| {
            for n in 0..1_200 {
                let at = start() - TimeDelta::hours(if n < 1_000 { 72 } else { 3 });
                let id = data.put(n, 5, at);
                data.assign(&id, at);
                data.complete(&id, at + TimeDelta::minutes(5));
            }
        },
        |_| {},
    )
    .await;
    let running = {
        let mut world = rig.server.world();
        let old = start() - TimeDelta::days(9);
        let id = world.data.put(0, 5, old);
        world.data.assign(&id, old);
        world.data.process(&id, start());
        id
    };
    let snapshot = rig.poll().await;
    assert_eq!(
        rig.server.world().count("GetTeamQueueItems"),
        2,
        "one look at the dashboard was enough to know"
    );
    assert_eq!(snapshot.tasks.coverage, Coverage::Complete);
    // All that is active, failed or of today; nothing of what ended days ago.
    assert_eq!(snapshot.tasks.items.len(), 31 + 200 + 1);
    assert!(queue(&snapshot, "prod").by_priority.is_some(), "all that waits is listed");
    let told = remarks(&snapshot);
    assert!(
        told.iter().any(|remark| remark.starts_with(
            "more than 1000 items: finished ones are listed only if they were made after 2026-11-19 07:00"
        )),
        "{told:?}"
    );
    // What was made long before and ends now is still seen to end.
    rig.pass(1);
    rig.server.world().data.complete(&running, now());
    let snapshot = rig.poll().await;
    assert_eq!(task(&snapshot, &running).state, Some(TaskState::Healthy));
}

#[tokio::test]
async fn what_is_missing_from_a_cut_list_is_not_gone() {
    let mut rig = Rig::with(
        |data| {
            for n in 0..1_100 {
                data.put(n, 1, start() - TimeDelta::minutes(5));
            }
        },
        |_| {},
    )
    .await;
    let snapshot = rig.poll().await;
    assert_eq!((snapshot.tasks.coverage, snapshot.queues.coverage), (Coverage::Listed, Coverage::Listed));
    assert!(snapshot.tasks.gone.is_empty());
    // 1 000 that are active or failed, and the 15 that finished.
    assert_eq!(snapshot.tasks.items.len(), 1_015);
    let prod = queue(&snapshot, "prod");
    let depth: u64 = snapshot.queues.items.iter().map(|queue| queue.depth).sum();
    assert_eq!(
        (depth, prod.by_priority, prod.oldest_pending),
        (1_109, None, None),
        "the system's own counts"
    );
    assert!(
        remarks(&snapshot).iter().any(|remark| remark.starts_with("only the first 1000 active and failed"))
    );
    // Alerts of what is listed and well again are over; of the others nothing is said.
    assert_eq!(snapshot.alerts.coverage, Coverage::Listed);
    assert_eq!(
        snapshot.alerts.gone.len(),
        3 * 1_015 - snapshot.alerts.items.iter().filter(|a| a.task.is_some()).count()
    );
}

#[tokio::test]
async fn an_item_that_left_the_active_ones_beyond_the_list_is_said_to_be_unknown() {
    let mut rig = Rig::empty().await;
    let lost = {
        let mut world = rig.server.world();
        let begun = start() - TimeDelta::hours(2);
        let id = world.data.put(0, 5, begun);
        world.data.assign(&id, begun);
        world.data.process(&id, start());
        id
    };
    assert_eq!(task(&rig.poll().await, &lost).state, Some(TaskState::Running));
    {
        let mut world = rig.server.world();
        for n in 0..1_050 {
            let id = world.data.put(n, 1, start());
            world.data.complete(&id, start());
        }
        world.data.complete(&lost, start());
    }
    let snapshot = rig.poll().await;
    assert_eq!(snapshot.tasks.coverage, Coverage::Listed);
    let lost = task(&snapshot, &lost);
    assert_eq!(lost.state, Some(TaskState::Unknown));
    assert!(lost.remarks.iter().any(|remark| remark.contains("how it ended lies beyond what is listed")));
    assert!(lost.active_runs.is_empty());
}

#[tokio::test]
async fn what_the_system_no_longer_lists_is_gone_and_a_row_without_id_proves_nothing() {
    let mut rig = Rig::empty().await;
    let (first, second) = {
        let mut world = rig.server.world();
        (world.data.put(0, 3, start()), world.data.put(0, 3, start()))
    };
    assert_eq!(rig.poll().await.tasks.items.len(), 2);
    rig.server.world().data.items.retain(|item| item.id != first);
    let snapshot = rig.poll().await;
    assert_eq!((snapshot.tasks.coverage, snapshot.tasks.items.len()), (Coverage::Complete, 1));
    rig.server.world().data.item(&second).id = String::new();
    rig.pass(5);
    let snapshot = rig.poll().await;
    assert_eq!((snapshot.tasks.coverage, snapshot.tasks.items.len()), (Coverage::Listed, 0));
    assert_eq!(snapshot.degraded.as_deref(), Some("1 of 1 items have no id and are left out"));
}
