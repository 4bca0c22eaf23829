//! What a poll costs, which generation answers, and in which clothes.

use std::time::Duration;

use chrono::TimeDelta;
use vigie::backend::BackendError;
use vigie::model::{Coverage, EndpointSpec, Snapshot, Verb};

use super::{Rig, now, queue, remarks, start, task};

const DASHBOARD: &str = "GetOrganizationDashboard";
const LIST: &str = "GetTeamQueueItems";

#[tokio::test]
async fn the_dashboard_is_the_cheap_poll_and_the_list_is_read_only_when_its_counts_move() {
    let mut rig = Rig::seeded().await;
    let first = rig.poll().await;
    assert_eq!(first.tasks.items.len(), 31);
    assert_eq!(
        rig.called(),
        ["ForkAuthenticationRequest", DASHBOARD, LIST, "GetRequestAuthenticationStatus"]
    );
    assert_eq!(first.version.as_deref(), Some("0.4.2"));
    // What seldom changes follows, one call per poll.
    let second = rig.poll().await;
    assert!(second.tasks.is_nothing() && second.alerts.is_nothing());
    rig.poll().await;
    assert_eq!(rig.called(), [DASHBOARD, "GetOrganizationTeams", DASHBOARD, "GetTeamMachines"]);
    for _ in 0..3 {
        let quiet = rig.poll().await;
        assert!(quiet.tasks.is_nothing() && quiet.queues.is_nothing() && quiet.next_poll.is_none());
    }
    assert_eq!(rig.called(), [DASHBOARD; 3]);
    // Ages move with every minute; they are no reason.
    rig.pass(1);
    rig.poll().await;
    assert_eq!(rig.called(), [DASHBOARD]);
    let id = rig.server.world().data.put(0, 3, now());
    let moved = rig.poll().await;
    assert_eq!((rig.called(), moved.tasks.items.len()), (vec![DASHBOARD.to_owned(), LIST.to_owned()], 32));
    // A retry in place moves no state, but the counts of retries.
    rig.server.world().data.give_back(&id, "ssh timeout", now());
    assert_eq!(task(&rig.poll().await, &id).retry.attempt, 1);
    assert_eq!(rig.called(), [DASHBOARD, LIST]);
}

#[tokio::test]
async fn the_list_is_read_again_after_some_minutes_though_nothing_moved() {
    let mut rig = Rig::empty().await;
    for _ in 0..3 {
        rig.poll().await;
    }
    rig.called();
    rig.pass(4);
    rig.poll().await;
    assert_eq!(rig.called(), [DASHBOARD]);
    rig.pass(1);
    rig.poll().await;
    assert_eq!(rig.called(), [DASHBOARD, LIST]);
    // Who has nothing yet gets everything.
    rig.cursor = None;
    rig.poll().await;
    assert_eq!(rig.called(), [DASHBOARD, LIST]);
}

#[tokio::test]
async fn a_list_that_could_not_be_read_is_read_by_the_next_poll() {
    let mut rig = Rig::seeded().await;
    rig.poll().await;
    rig.server.world().data.put(0, 3, now());
    rig.server.world().data.refused.push((LIST, 500, "Deadlock victim"));
    assert!(matches!(rig.try_poll().await, Err(BackendError::Server { .. })));
    rig.server.world().data.refused.clear();
    assert_eq!(rig.poll().await.tasks.items.len(), 32);
}

#[tokio::test]
async fn generations_a_and_b_are_told_apart_by_what_they_answer() {
    let mut new = Rig::seeded().await;
    let of_new = new.poll().await;
    assert!(remarks(&of_new).contains(&"Rediacc 3.0, organisation: Example (BUSINESS)".to_owned()));
    let waiting = |snapshot: &Snapshot| {
        snapshot
            .tasks
            .items
            .iter()
            .find(|task| task.remote_state.as_deref() == Some("PENDING"))
            .unwrap()
            .clone()
    };
    let refusal = waiting(&of_new).capabilities.refusal(Verb::Reprioritise).unwrap().to_string();
    assert_eq!(refusal, "Rediacc 3.0 has no call for it: cancel the item and create it anew");
    let mut old = Rig::with(|data| data.company = true, |_| {}).await;
    let of_old = old.poll().await;
    assert!(
        remarks(&of_old).contains(&"Rediacc of 2025, company: Example".to_owned()),
        "{:?}",
        remarks(&of_old)
    );
    assert_eq!(waiting(&of_old).capabilities.refusal(Verb::Reprioritise), None);
    assert_eq!(of_old.queues, of_new.queues);
    let shape = |snapshot: &Snapshot| {
        let mut tasks = snapshot.tasks.items.clone();
        for task in &mut tasks {
            task.capabilities = vigie::model::Capabilities::none("");
        }
        tasks
    };
    assert_eq!(shape(&of_old), shape(&of_new));
    // It is remembered: nobody asks twice for what is not there.
    old.poll().await;
    old.poll().await;
    let calls = old.called();
    assert_eq!(calls.iter().filter(|call| *call == DASHBOARD).count(), 1, "{calls:?}");
    assert_eq!(calls.iter().filter(|call| *call == "GetCompanyDashboardJson").count(), 3);
    assert!(calls.contains(&"GetCompanyTeams".to_owned()));
    // Retries are not counted there: the list is read every minute.
    old.pass(1);
    old.poll().await;
    assert_eq!(old.called(), ["GetCompanyDashboardJson", LIST]);
}

#[tokio::test]
async fn pascal_case_bits_tables_empty_sets_and_zoneless_dates_make_no_difference() {
    let mut plain = Rig::seeded().await;
    let expected = plain.poll().await;
    for company in [false, true] {
        for (n, name) in ["pascal", "bits", "tables", "empty sets", "zone-less", "all"].iter().enumerate() {
            let mut rig = Rig::with(|data| data.company = company, |_| {}).await;
            {
                let mut world = rig.server.world();
                let switches = &mut world.switches;
                let all = n == 5;
                switches.pascal = n == 0 || all;
                switches.bits_as_numbers = n == 1 || all;
                switches.tables = n == 2 || all;
                switches.extra_sets = n == 3 || all;
                switches.zoneless = n == 4 || all;
            }
            let snapshot = rig.poll().await;
            assert_eq!(snapshot.queues, expected.queues, "{name}");
            assert_eq!(snapshot.alerts, expected.alerts, "{name}");
            let ids = |snapshot: &Snapshot| {
                snapshot
                    .tasks
                    .items
                    .iter()
                    .map(|t| (t.id.clone(), t.state, t.last_run.clone()))
                    .collect::<Vec<_>>()
            };
            assert_eq!(ids(&snapshot), ids(&expected), "{name}");
            if !company {
                assert_eq!(snapshot.tasks, expected.tasks, "{name}");
            }
        }
    }
    let mut empty = Rig::empty().await;
    empty.server.world().switches.extra_sets = true;
    let snapshot = empty.poll().await;
    assert_eq!((snapshot.tasks.coverage, snapshot.tasks.items.len()), (Coverage::Complete, 0));
    assert_eq!(queue(&snapshot, "prod").depth, 0, "a team without items has a queue");
}

#[tokio::test]
async fn teams_and_machines_are_counted_in_the_remarks_and_empty_teams_have_queues() {
    let mut rig = Rig::seeded().await;
    rig.poll().await;
    rig.server.world().data.teams.push("night".to_owned());
    rig.poll().await;
    let third = rig.poll().await;
    assert!(remarks(&third).contains(&"4 teams, 7 machines".to_owned()), "{:?}", remarks(&third));
    assert!(remarks(&third).contains(&"permissions: Administrators (ana@example.org)".to_owned()));
    assert!(
        remarks(&third).contains(&"limits of the plan that are reached: Machine (7 of 7)".to_owned()),
        "{:?}",
        remarks(&third)
    );
    rig.pass(10);
    let later = rig.poll().await;
    assert_eq!(queue(&later, "night").depth, 0);
    assert!(rig.called().contains(&LIST.to_owned()));
}

#[tokio::test]
async fn who_may_not_see_the_dashboard_gets_the_list_each_time() {
    let mut rig = Rig::seeded().await;
    rig.server.world().data.refused.push((DASHBOARD, 403, "You do not have permission"));
    let snapshot = rig.poll().await;
    assert_eq!(snapshot.tasks.items.len(), 31);
    let told = remarks(&snapshot);
    assert!(
        told.iter().any(|remark| remark
            == "no dashboard, so every poll reads the whole list: not permitted: You do not have permission"),
        "{told:?}"
    );
    rig.poll().await;
    let calls = rig.called();
    assert_eq!(calls.iter().filter(|call| *call == DASHBOARD).count(), 1, "{calls:?}");
    assert_eq!(calls.iter().filter(|call| *call == LIST).count(), 2);
    // It may be granted later.
    rig.server.world().data.refused.clear();
    rig.pass(10);
    assert!(!remarks(&rig.poll().await).iter().any(|remark| remark.starts_with("no dashboard")));
}

#[tokio::test]
async fn a_list_that_may_not_be_read_is_no_empty_queue() {
    let mut rig = Rig::seeded().await;
    rig.server.world().data.refused.push((LIST, 403, "You do not have permission"));
    assert!(matches!(rig.try_poll().await, Err(BackendError::Forbidden(_))));
    rig.server.world().data.refused.clear();
    assert_eq!(rig.poll().await.tasks.items.len(), 31);
}

#[tokio::test]
async fn polls_slow_down_when_the_budget_is_nearly_spent_and_say_so() {
    let hasty = |spec: &mut EndpointSpec| spec.poll = Duration::from_secs(5);
    let mut rig = Rig::with(|_| {}, hasty).await;
    let mut calls = 0;
    let slowed = loop {
        let snapshot = rig.poll().await;
        if snapshot.next_poll.is_some() {
            break snapshot;
        }
        calls += 1;
        // Something moves each time: two calls a poll.
        rig.server.world().data.put(calls, 3, now());
        assert!(calls < 40);
    };
    let words = "the request budget is nearly spent: polls are slowed down";
    // What two calls cost is gained in eight seconds, and the cadence is five.
    assert_eq!(slowed.next_poll, Some(Duration::from_secs(8)));
    assert!(remarks(&slowed).iter().any(|remark| remark == words), "{:?}", remarks(&slowed));
    // The budget fills again.
    rig.pass(10);
    let snapshot = rig.poll().await;
    assert_eq!(snapshot.next_poll, None);
    assert!(!remarks(&snapshot).iter().any(|remark| remark == words));
    assert!(now() - start() == TimeDelta::minutes(10));
}

#[tokio::test]
async fn commands_that_spend_the_budget_put_polls_off_and_no_endpoint_looks_down() {
    let mut rig = Rig::seeded().await;
    let first = rig.poll().await;
    rig.called();
    // More than the bucket holds: each is sent.
    for _ in 0..70 {
        rig.act(Verb::Cancel, "nobody").await.unwrap_err();
    }
    assert_eq!(rig.called().len(), 70);
    rig.pass(1);
    let put_off = rig.poll().await;
    assert!(rig.called().is_empty(), "nothing is asked");
    assert_eq!(put_off.at, first.at, "what is known is as old as it was");
    assert!(put_off.tasks.is_nothing() && put_off.queues.is_nothing() && put_off.alerts.is_nothing());
    // 60 less 4 calls and 70 commands, 15 more in the minute: 1. A poll wants 5.
    assert_eq!(put_off.next_poll, Some(Duration::from_secs(16)));
    let words = "the request budget is spent: the next poll is at 07:01:16 UTC";
    assert_eq!(put_off.degraded.as_deref(), Some(words));
    assert!(
        remarks(&put_off).iter().any(|remark| remark == "request budget: fewer than 10 of 60 left"),
        "{put_off:?}"
    );
    // When it said, it goes on where it was.
    rig.pass(1);
    let snapshot = rig.poll().await;
    assert_eq!(rig.called()[..2], [DASHBOARD, LIST]);
    assert_eq!((snapshot.degraded, snapshot.tasks.items.len()), (None, 31));
    // A server that fails is not hidden behind the budget.
    rig.pass(5);
    rig.server.world().data.refused.push((DASHBOARD, 500, "no"));
    rig.try_poll().await.unwrap_err();
    for _ in 0..70 {
        rig.act(Verb::Cancel, "nobody").await.unwrap_err();
    }
    rig.try_poll().await.unwrap_err();
}
