//! Cookie, token and login, and what is kept of them.

use chrono::TimeDelta;
use tokio::join;
use vigie::backend::Cursor;
use vigie::model::{Clean, Command, Coverage, EndpointSpec, OptionValue};

use super::{Both, SYSTEM, backend, degraded, named, wait};
use crate::stand_ins::duplistatus::CHECK;
use crate::stand_ins::duplistatus_web::{PASSWORD, Web};
use crate::support::call;

#[tokio::test]
async fn login_with_csrf_sends_the_secure_cookie_by_hand_on_this_machine() {
    let both = Both::start().await;
    assert!(both.web.inner().secure_cookie);
    let snapshot = both.poll().await;
    assert_eq!(snapshot.degraded, None);
    assert_eq!(snapshot.tasks.coverage, Coverage::Complete);
    assert_eq!(snapshot.tasks.items.len(), 7, "two of the cron service, five backup jobs");
    let lines = both.web.inner().requests.clone();
    assert_eq!(lines[..3], ["GET /api/csrf", "POST /api/auth/login", "GET /api/dashboard"]);
    let remarks: Vec<&str> = snapshot.remarks.iter().map(Clean::as_str).collect();
    assert!(remarks.contains(&"web app: signed in as admin (administrator)"), "{remarks:?}");
    assert!(remarks.iter().any(|remark| remark.contains("it is a first one")), "{remarks:?}");
    both.poll().await;
    assert_eq!(both.logins(), 1);
}

#[tokio::test]
async fn plain_http_to_another_machine_needs_the_opt_in() {
    let elsewhere = |spec: &mut EndpointSpec| {
        let Some(OptionValue::Url(url)) = spec.options.get_mut("web_url") else { panic!() };
        *url = url.replace("127.0.0.1", "0.0.0.0");
    };
    let both = Both::with(elsewhere).await;
    let snapshot = both.poll().await;
    assert!(degraded(&snapshot).contains("options.plain_http_login = true"), "{}", degraded(&snapshot));
    assert!(degraded(&snapshot).contains("could read the password"), "{}", degraded(&snapshot));
    assert_eq!(both.web.inner().requests, [] as [String; 0], "not even asked for a token");
    assert_eq!(*both.keys.asked.lock().unwrap(), 0, "nor its source for the password");
    let both = Both::with(|spec| {
        elsewhere(spec);
        spec.options.insert("plain_http_login".to_owned(), OptionValue::Flag(true));
    })
    .await;
    assert_eq!(both.poll().await.degraded, None);
}

#[tokio::test]
async fn a_token_is_renewed_before_it_expires_and_when_it_is_refused() {
    let both = Both::start().await;
    both.poll().await;
    // Ours and theirs go on by 26 minutes: another token is asked for before anything is sent.
    wait(TimeDelta::minutes(26));
    both.web.inner().database.lock().unwrap().clock += TimeDelta::minutes(26);
    both.command(Command::DuplistatusCheckNow, None).await.unwrap();
    assert_eq!(both.web.inner().count("GET /api/csrf"), 2);
    assert_eq!(both.web.inner().count("POST /api/notifications/check-overdue"), 1);
    // One that expired sooner is refused, renewed, and the call is sent once more.
    both.web.inner().expire_tokens();
    both.command(Command::DuplistatusCheckNow, None).await.unwrap();
    assert_eq!(both.web.inner().count("GET /api/csrf"), 3);
    assert_eq!(both.web.inner().count("POST /api/notifications/check-overdue"), 3);
    assert_eq!(
        both.web.inner().audit.iter().filter(|row| row["action"] == "overdue_check_manual").count(),
        2
    );
    assert_eq!(both.logins(), 1);
}

#[tokio::test]
async fn sessions_wiped_by_its_restart_are_made_anew() {
    let both = Both::start().await;
    both.poll().await;
    both.web.inner().restart();
    let snapshot = both.poll().await;
    assert_eq!((snapshot.degraded, both.logins()), (None, 2));
    // A command too, and it is done once.
    both.web.inner().restart();
    both.command(Command::DuplistatusResetNotifications, None).await.unwrap();
    assert_eq!(both.logins(), 3);
    let done =
        |web: &Web| web.inner().audit.iter().filter(|r| r["action"] == "overdue_notifications_reset").count();
    assert_eq!(done(&both.web), 1);
    // After a day the session is over by itself.
    wait(TimeDelta::hours(24));
    both.poll().await;
    assert_eq!(both.logins(), 4);
}

#[tokio::test]
async fn a_password_that_was_refused_is_not_tried_again() {
    let state = tempfile::tempdir().unwrap();
    let both = Both::start().await;
    both.set_password("wr0ng-hunter2");
    let backend_of = || backend(&both.spec, &both.keys, Some(state.path().to_owned()));
    let one = backend_of();
    for _ in 0..8 {
        wait(TimeDelta::minutes(20));
        let snapshot = one.poll(None).await.unwrap().snapshot;
        let why = degraded(&snapshot).to_owned();
        assert!(why.contains("Invalid username or password") && why.contains("not tried again"), "{why}");
        assert!(!format!("{why} {one:?} {snapshot:?}").contains("hunter2"));
        assert_eq!(named(&snapshot, CHECK).id.as_raw(), CHECK, "the cron service is read all the same");
    }
    assert_eq!(both.logins(), 1);
    // Nor by another process.
    let other = backend_of();
    assert!(degraded(&other.poll(None).await.unwrap().snapshot).contains("not tried again"));
    assert_eq!(both.logins(), 1);
    // Another value is, at once, and it heals.
    both.set_password(PASSWORD);
    for backend in [one, other] {
        wait(TimeDelta::seconds(31));
        assert_eq!(backend.poll(None).await.unwrap().snapshot.degraded, None);
    }
    assert_eq!(both.logins(), 2, "one for both");
}

#[tokio::test]
async fn the_session_is_kept_for_other_processes() {
    let state = tempfile::tempdir().unwrap();
    let both = Both::start().await;
    let process = || backend(&both.spec, &both.keys, Some(state.path().to_owned()));
    // A status every minute, and a command now and then.
    let first = process();
    first.poll(None).await.unwrap();
    for _ in 0..3 {
        wait(TimeDelta::minutes(1));
        assert_eq!(process().poll(None).await.unwrap().snapshot.degraded, None);
    }
    let other = process();
    other.execute(&call(Command::DuplistatusCheckNow, None)).await.unwrap();
    assert!(
        other.endpoint_capabilities().refusal(Command::DuplistatusCheckNow).is_none(),
        "it knows who it is"
    );
    assert_eq!((both.logins(), both.web.inner().count("GET /api/csrf")), (1, 1));
    let audited = |action| both.web.inner().audit.iter().filter(|row| row["action"] == action).count();
    assert_eq!(audited("login"), 1, "and one row in the audit log");
    // A token that one of them has renewed serves the next.
    wait(TimeDelta::minutes(26));
    both.web.inner().database.lock().unwrap().clock += TimeDelta::minutes(26);
    for _ in 0..2 {
        process().execute(&call(Command::DuplistatusCheckNow, None)).await.unwrap();
    }
    assert_eq!((both.logins(), both.web.inner().count("GET /api/csrf")), (1, 2));
    // Wiped there, it is made anew once for all of them.
    both.web.inner().restart();
    process().execute(&call(Command::DuplistatusResetNotifications, None)).await.unwrap();
    wait(TimeDelta::seconds(31));
    assert_eq!(first.poll(None).await.unwrap().snapshot.degraded, None);
    assert_eq!((both.logins(), audited("overdue_notifications_reset")), (2, 1));
    // Only its user may read it, and the password is not in it.
    for file in std::fs::read_dir(state.path().join("sessions")).unwrap() {
        let file = file.unwrap();
        assert!(!String::from_utf8(std::fs::read(file.path()).unwrap()).unwrap().contains(PASSWORD));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
    // Another password starts anew.
    "changed".clone_into(&mut both.web.inner().password);
    both.set_password("changed");
    process().poll(None).await.unwrap();
    assert_eq!(both.logins(), 3);
}

#[tokio::test]
async fn processes_that_begin_at_once_log_in_once() {
    let state = tempfile::tempdir().unwrap();
    let both = Both::start().await;
    let process = || backend(&both.spec, &both.keys, Some(state.path().to_owned()));
    let (one, two, three) = (process(), process(), process());
    let (a, b, c) = join!(one.poll(None), two.poll(None), three.audit(5));
    assert_eq!((a.unwrap().snapshot.degraded, b.unwrap().snapshot.degraded), (None, None));
    assert!(c.is_ok());
    assert_eq!(both.logins(), 1);
}

#[tokio::test]
async fn a_session_that_cannot_be_kept_costs_only_other_processes() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("a file, and no folder");
    std::fs::write(&state, "").unwrap();
    let both = Both::start().await;
    let backend = backend(&both.spec, &both.keys, Some(state));
    for _ in 0..2 {
        wait(TimeDelta::seconds(31));
        assert_eq!(backend.poll(None).await.unwrap().snapshot.degraded, None);
    }
    assert_eq!(both.logins(), 1);
}

#[tokio::test]
async fn a_locked_account_is_shown_and_left_alone() {
    let both = Both::start().await;
    for bad in ["a", "b", "c", "d", "e"] {
        both.set_password(bad);
        both.poll().await;
    }
    assert_eq!(both.logins(), 5);
    both.set_password(PASSWORD);
    let snapshot = both.poll().await;
    assert!(degraded(&snapshot).contains("the account admin is locked until"), "{}", degraded(&snapshot));
    assert_eq!(both.logins(), 5, "nothing is tried before");
    let why = both.backend.endpoint_capabilities().refusal(Command::DuplistatusCheckNow).unwrap().to_string();
    assert!(why.contains("not signed in") && why.contains("locked until"), "{why}");
    wait(TimeDelta::minutes(16));
    both.web.inner().database.lock().unwrap().clock += TimeDelta::minutes(16);
    assert_eq!(both.poll().await.degraded, None);
    assert_eq!(both.logins(), 6);
}

#[tokio::test]
async fn one_login_at_a_time() {
    let both = Both::start().await;
    let (a, b, c, d) = join!(
        both.backend.poll(None),
        both.backend.audit(5),
        both.runs(SYSTEM),
        both.command(Command::DuplistatusCheckNow, None)
    );
    assert!(a.is_ok() && b.is_ok() && c.is_ok() && d.is_ok());
    assert_eq!(both.logins(), 1);
}

#[tokio::test]
async fn credentials_that_are_missing_are_named() {
    let both = Both::start().await;
    *both.keys.password.lock().unwrap() = None;
    let snapshot = both.poll().await;
    assert!(degraded(&snapshot).contains("password is not configured"), "{}", degraded(&snapshot));
    let asked = *both.keys.asked.lock().unwrap();
    both.backend.poll(Some(&Cursor("a later one".to_owned()))).await.unwrap();
    assert_eq!(*both.keys.asked.lock().unwrap(), asked, "its source is not asked with every poll");
}
