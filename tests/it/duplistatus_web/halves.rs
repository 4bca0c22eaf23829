//! One half without the other, and polls that bring nothing new.

use chrono::TimeDelta;
use vigie::backend::Cursor;
use vigie::model::{AlertKind, Coverage, Health, Severity, TaskState};

use super::{Both, DATABASES, SYSTEM, USERS, alert, at, degraded, named, wait};
use crate::stand_ins::duplistatus::{CHECK, StandIn};
use crate::stand_ins::duplistatus_web::Web;

#[tokio::test]
async fn the_web_app_down_leaves_the_cron_service_live() {
    let mut both = Both::start().await;
    both.poll().await;
    let address = both.web.url.trim_start_matches("http://").to_owned();
    both.web = Web::start(both.cron.database()).await;
    both.cron.inner().fire();
    // Within one poll: in between it is only asked whether it is there.
    let snapshot = both.backend.poll(Some(&Cursor("a later one".to_owned()))).await.unwrap().snapshot;
    assert!(degraded(&snapshot).contains("the web app can't be read: "), "{}", degraded(&snapshot));
    assert_eq!((snapshot.tasks.coverage, &snapshot.tasks.gone), (Coverage::Listed, &Vec::new()));
    assert_eq!(snapshot.tasks.items.len(), 7);
    let users = named(&snapshot, USERS);
    assert_eq!(users.state, Some(TaskState::Unknown), "nobody knows, so it is not green");
    assert!(users.remarks[0].contains("the web app can't be read"), "{:?}", users.remarks);
    assert_eq!(named(&snapshot, SYSTEM).state, Some(TaskState::Absent), "what was bad stays so");
    assert!(alert(&snapshot, Some(SYSTEM), AlertKind::Absent).is_some());
    let check = named(&snapshot, CHECK);
    assert!(check.state.is_none() && check.last_run.is_some(), "judged by fresh facts");
    both.web = Web::start_at(both.cron.database(), &address).await;
    let snapshot = both.poll().await;
    assert_eq!((snapshot.degraded.as_deref(), snapshot.tasks.coverage), (None, Coverage::Complete));
    assert_eq!(named(&snapshot, USERS).state, Some(TaskState::Healthy));
}

#[tokio::test]
async fn the_cron_service_down_leaves_the_web_app_live_but_never_green() {
    let mut both = Both::start().await;
    both.cron.inner().fire();
    both.poll().await;
    let database = both.cron.database();
    both.cron = StandIn::start().await;
    database.lock().unwrap().clock = at("2026-11-22T05:34:00Z");
    let snapshot = both.poll().await;
    assert!(degraded(&snapshot).contains("the cron service can't be read"), "{}", degraded(&snapshot));
    let down = alert(&snapshot, None, AlertKind::EndpointDown).unwrap();
    assert!(
        down.severity == Severity::Critical && down.summary.contains("npm run cron:start"),
        "{}",
        down.summary
    );
    assert_eq!(snapshot.tasks.coverage, Coverage::Listed);
    let check = named(&snapshot, CHECK);
    assert_eq!((check.state, check.facts.as_ref()), (Some(TaskState::Unknown), None));
    assert!(check.remarks[0].contains("as of"), "{:?}", check.remarks);
    assert_eq!(named(&snapshot, DATABASES).state, Some(TaskState::Absent), "the other half is live");
    assert_eq!(snapshot.server_time, Some(at("2026-11-22T05:34:00Z")), "and tells the time");
    // Both: then the endpoint is down.
    drop(both.web);
    let error = both.backend.poll(None).await.unwrap_err();
    assert_eq!(error.health(), Health::Down);
}

#[tokio::test]
async fn an_empty_dashboard_of_a_database_that_cannot_be_read_deletes_nothing() {
    let both = Both::start().await;
    both.poll().await;
    both.web.inner().unreadable = true;
    let snapshot = both.poll().await;
    assert!(degraded(&snapshot).contains("its database can't be read"), "{}", degraded(&snapshot));
    assert_eq!((snapshot.tasks.coverage, snapshot.tasks.items.len()), (Coverage::Listed, 7));
    both.web.inner().unreadable = false;
    both.web.inner().jobs.pop();
    let snapshot = both.poll().await;
    assert_eq!((snapshot.tasks.coverage, snapshot.tasks.items.len()), (Coverage::Complete, 6), "one is gone");
}

#[tokio::test]
async fn its_wish_to_be_left_alone_is_obeyed() {
    let both = Both::start().await;
    both.poll().await;
    both.web.inner().busy = true;
    for _ in 0..3 {
        assert!(degraded(&both.poll().await).contains("too many requests"));
    }
    assert_eq!(both.web.inner().count("GET /api/dashboard"), 2);
    both.web.inner().busy = false;
    wait(TimeDelta::minutes(10));
    assert_eq!(both.poll().await.degraded, None);
}

#[tokio::test]
async fn nothing_new_is_not_told_again() {
    let both = Both::start().await;
    let polled = both.backend.poll(None).await.unwrap();
    let again = both.backend.poll(polled.cursor.as_ref()).await.unwrap();
    assert!(again.snapshot.tasks.is_nothing() && again.snapshot.runs.is_nothing());
    assert_eq!(again.snapshot.alerts, polled.snapshot.alerts, "complete all the same");
    assert_eq!(both.web.inner().count("GET /api/dashboard"), 1);
    assert_eq!(both.web.inner().count("GET /api/ping"), 1);
}
