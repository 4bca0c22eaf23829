//! What it tells, and what is done through it.

use chrono::TimeDelta;
use tokio::join;
use vigie::backend::{BackendError, Cursor, Offer, RunsQuery, offers};
use vigie::model::{AlertKind, Command, Kind, LogOf, RunState, Severity, Snapshot, TaskId, TaskState, Verb};

use super::{Both, CONFIG, DATABASES, NEW, SYSTEM, USERS, alert, at, backend, degraded, keys, named, wait};
use crate::stand_ins::duplistatus::{CHECK, CLEANUP, StandIn};
use crate::stand_ins::duplistatus_web::PASSWORD;
use crate::support::{call, spec};

#[tokio::test]
async fn servers_and_their_backup_jobs_are_tasks_with_overdue_state_expected_date_and_tolerance() {
    let both = Both::start().await;
    let snapshot = both.poll().await;
    let system = named(&snapshot, SYSTEM);
    assert_eq!(system.name, "File Storage / System");
    assert_eq!(system.alias.as_deref(), Some("FS-PROD-01/System"));
    assert_eq!(
        (system.class.as_deref(), system.machine.as_deref()),
        (Some("backup job"), Some("FS-PROD-01"))
    );
    assert_eq!(system.labels["server"], "FS-PROD-01");
    assert_eq!(system.state, Some(TaskState::Absent), "two expected backups did not come");
    assert_eq!(system.remote_state.as_deref(), Some("Success, overdue"));
    assert_eq!(system.next_due, Some(at("2026-11-18T05:48:08.662Z")));
    assert_eq!(system.policy.start_window_s, 7_200, "its tolerance");
    assert!(
        system.remarks.iter().any(|remark| remark.contains("nobody was told yet")),
        "{:?}",
        system.remarks
    );
    let absent = alert(&snapshot, Some(SYSTEM), AlertKind::Absent).unwrap();
    assert_eq!(absent.severity, Severity::Critical);
    assert_eq!(absent.since, at("2026-11-18T07:48:08.662Z"));
    assert!(absent.summary.contains("2h of tolerance"), "{}", absent.summary);
    let users = named(&snapshot, USERS);
    assert_eq!(
        (users.state, users.last_run.as_ref().unwrap().state),
        (Some(TaskState::Healthy), RunState::Succeeded)
    );
    assert!(users.remarks[0].contains("1 warning"), "{:?}", users.remarks);
    let config = named(&snapshot, CONFIG);
    assert_eq!(config.state, Some(TaskState::Failing));
    assert_eq!(config.last_run.as_ref().unwrap().message.as_deref(), Some("1 error"));
    assert!(alert(&snapshot, Some(CONFIG), AlertKind::Failed).is_some());
    let databases = named(&snapshot, DATABASES);
    assert_eq!(databases.state, Some(TaskState::Healthy));
    assert!(databases.capabilities.refusal(Verb::Trigger).unwrap().contains("Duplicati does"));
    assert_eq!(snapshot.alerts.items.iter().filter(|alert| alert.task.is_some()).count(), 2);
    // Due, then late, and a backup mends it.
    let set = |clock: &str| both.web.inner().database.lock().unwrap().clock = at(clock);
    for (clock, state) in [
        ("2026-11-21T05:33:00Z", TaskState::Healthy),
        ("2026-11-21T06:00:00Z", TaskState::Due),
        ("2026-11-21T07:34:00Z", TaskState::Late),
        ("2026-11-22T05:34:00Z", TaskState::Absent),
    ] {
        set(clock);
        let snapshot = both.poll().await;
        assert_eq!(named(&snapshot, DATABASES).state, Some(state), "{clock}");
        let late = alert(&snapshot, Some(DATABASES), AlertKind::Late);
        assert_eq!(late.is_some(), state == TaskState::Late);
        assert!(late.is_none_or(|late| late.severity == Severity::Warning));
    }
    both.web.inner().jobs[0].last = Some(at("2026-11-22T05:33:00Z"));
    assert_eq!(named(&both.poll().await, DATABASES).state, Some(TaskState::Healthy));
    // One that nobody watches is not called late, and says so.
    both.web.inner().jobs[3].monitored = false;
    let snapshot = both.poll().await;
    let system = named(&snapshot, SYSTEM);
    assert_eq!((system.state, system.next_due), (Some(TaskState::Healthy), None));
    assert!(system.remarks.iter().any(|remark| remark.contains("monitoring is off")), "{:?}", system.remarks);
}

#[tokio::test]
async fn their_na_is_null_throughout() {
    let both = Both::start().await;
    let snapshot = both.poll().await;
    let new = named(&snapshot, NEW);
    assert_eq!((&new.last_run, new.next_due, new.state), (&None, None, Some(TaskState::Unknown)));
    assert!(new.remarks.iter().any(|remark| remark.contains("no backup of it has been reported")));
    assert_eq!(new.labels.get("alias"), None);
    assert_eq!(new.name, "DNS-PROD-01 / New");
    let trace = both.backend.trace(&TaskId::new(NEW)).await.unwrap();
    let fact = |name: &str| trace.facts.iter().find(|(n, _)| n == name).unwrap().1.to_string();
    assert_eq!(fact("last backup"), "none");
    assert_eq!(fact("last notification"), "none");
    assert_eq!((fact("stored"), fact("notifications")), ("1.4 GiB".to_owned(), "warnings".to_owned()));
    let checked = |snapshot: &Snapshot| {
        snapshot.remarks.iter().any(|remark| remark.contains("no overdue check has run"))
    };
    assert!(checked(&snapshot));
    both.command(Command::DuplistatusCheckNow, None).await.unwrap();
    assert!(!checked(&both.poll().await));
}

#[tokio::test]
async fn run_history_of_a_job_newest_first() {
    let both = Both::start().await;
    let runs = both.runs(USERS).await.unwrap();
    let told: Vec<_> = runs.iter().map(|run| (run.id.as_ref().unwrap().as_raw(), run.state)).collect();
    assert_eq!(
        told,
        [("Users-0", RunState::Succeeded), ("Users-1", RunState::Succeeded), ("Users-2", RunState::Failed)]
    );
    let fatal = &runs[2];
    assert_eq!((fatal.remote_state.as_deref(), fatal.message.as_deref()), (Some("Fatal"), Some("2 errors")));
    assert_eq!(fatal.duration_ms, Some(395_000));
    assert_eq!(fatal.ended.unwrap() - fatal.started.unwrap(), TimeDelta::seconds(395));
    // Of all jobs, one call per server.
    both.poll().await;
    let before = both.web.inner().count("GET /api/servers/");
    let all = both.backend.runs(&RunsQuery { task: None, limit: 5 }).await.unwrap();
    assert_eq!(both.web.inner().count("GET /api/servers/"), before + 3);
    assert_eq!(all.len(), 5);
    assert!(all.is_sorted_by(|a, b| a.started >= b.started));
    let of = |task: &str| all.iter().filter(|run| run.task.as_raw() == task).count();
    assert_eq!((of(USERS), of(DATABASES), of(SYSTEM)), (2, 2, 0), "{all:?}");
    let refused = both.runs(CHECK).await.unwrap_err();
    assert!(
        matches!(&refused, BackendError::Unsupported(why) if why.contains("no run history")),
        "{refused:?}"
    );
    assert!(matches!(both.runs("nobody/System").await, Err(BackendError::NotFound(_))));
}

#[tokio::test]
async fn schedules_come_from_the_web_application() {
    let both = Both::start().await;
    both.web
        .inner()
        .database
        .lock()
        .unwrap()
        .configured
        .insert(CHECK.to_owned(), ("*/1    *    *            *     *", true));
    let snapshot = both.poll().await;
    let schedule = named(&snapshot, CHECK).schedule.clone().unwrap();
    assert!(!schedule.assumed);
    assert_eq!(schedule.text(), "*/1 * * * *");
    assert!(named(&snapshot, CLEANUP).schedule.as_ref().unwrap().assumed, "this one nobody tells");
    // Off is no schedule, and is said.
    both.web.inner().database.lock().unwrap().configured.insert(CHECK.to_owned(), ("*/5 * * * *", false));
    both.cron.inner().stop(CHECK);
    wait(TimeDelta::minutes(6));
    let snapshot = both.poll().await;
    let check = named(&snapshot, CHECK);
    assert!(check.paused && check.schedule.is_none());
    assert!(check.remarks.iter().any(|remark| remark.contains("switched off")), "{:?}", check.remarks);
    assert_eq!(alert(&snapshot, None, AlertKind::SchedulerSilent), None, "on purpose");
}

#[tokio::test]
async fn a_silent_overdue_check_is_an_alert() {
    let both = Both::start().await;
    both.cron.inner().fire();
    let snapshot = both.poll().await;
    assert_eq!(alert(&snapshot, None, AlertKind::SchedulerSilent), None);
    assert!(snapshot.remarks.iter().any(|remark| remark.contains("last overdue check 2026-11-20 07:00 UTC")));
    both.web.inner().database.lock().unwrap().clock += TimeDelta::minutes(11);
    let snapshot = both.poll().await;
    let silent = alert(&snapshot, None, AlertKind::SchedulerSilent).unwrap().clone();
    assert_eq!((silent.severity, silent.since), (Severity::Critical, at("2026-11-20T07:10:00Z")));
    assert!(silent.summary.contains("nobody is told of overdue backups"), "{}", silent.summary);
    both.command(Command::DuplistatusCheckNow, None).await.unwrap();
    assert_eq!(alert(&both.poll().await, None, AlertKind::SchedulerSilent), None);
}

#[tokio::test]
async fn a_half_loaded_configuration_is_an_alert() {
    let both = Both::start().await;
    both.poll().await;
    // Ours.
    both.cron.inner().configured.insert(CLEANUP.to_owned(), ("bad", true));
    let error = both.backend.execute(&call(Verb::ReloadConfig, None)).await.unwrap_err();
    assert!(error.to_string().contains("half loaded"));
    let snapshot = both.poll().await;
    let ours = alert(&snapshot, None, AlertKind::SchedulerSilent).unwrap().clone();
    assert!(ours.summary.contains("mend its configuration"), "{}", ours.summary);
    assert_eq!(ours.severity, Severity::Critical);
    assert!(degraded(&snapshot).contains("half loaded"));
    let later = both.poll().await;
    assert_eq!(alert(&later, None, AlertKind::SchedulerSilent).unwrap().since, ours.since, "one episode");
    both.cron.inner().configured.insert(CLEANUP.to_owned(), ("0 2 * * *", true));
    both.backend.execute(&call(Verb::ReloadConfig, None)).await.unwrap();
    assert_eq!(alert(&both.poll().await, None, AlertKind::SchedulerSilent), None);
    // Somebody else's: what is enabled is not scheduled.
    both.cron.inner().stop(CHECK);
    let snapshot = both.poll().await;
    let theirs = alert(&snapshot, None, AlertKind::SchedulerSilent).unwrap();
    assert!(theirs.summary.contains("enabled in duplistatus but not scheduled"), "{}", theirs.summary);
    assert_eq!(theirs.severity, Severity::Warning);
    // What was stopped from here is so on purpose.
    both.backend.execute(&call(Verb::Resume, Some(CHECK))).await.unwrap();
    assert_eq!(alert(&both.poll().await, None, AlertKind::SchedulerSilent), None);
    both.backend.execute(&call(Verb::Pause, Some(CHECK))).await.unwrap();
    assert_eq!(alert(&both.poll().await, None, AlertKind::SchedulerSilent), None);
}

#[tokio::test]
async fn a_leaked_timer_is_an_alert() {
    let both = Both::start().await;
    both.poll().await;
    both.cron.inner().start(CLEANUP);
    both.cron.inner().stop(CLEANUP);
    for _ in 0..2 {
        both.poll().await;
        both.cron.inner().fire();
    }
    both.cron.inner().fire();
    let snapshot = both.poll().await;
    let leak = alert(&snapshot, Some(CLEANUP), AlertKind::TooOften).unwrap();
    assert!(leak.summary.contains("leaked a timer") && leak.summary.contains("restart"), "{}", leak.summary);
    assert_eq!(leak.severity, Severity::Warning);
    both.cron.inner().restart();
    both.cron.inner().fire();
    assert_eq!(alert(&both.poll().await, Some(CLEANUP), AlertKind::TooOften), None);
}

#[tokio::test]
async fn the_audit_log_is_told_with_its_zoneless_utc_times() {
    let both = Both::start().await;
    both.command(Command::DuplistatusCheckNow, None).await.unwrap();
    both.web.inner().audit.insert(
        0,
        serde_json::json!({"timestamp": "soon", "action": "odd", "details": {"a": [1, {"b": null}]}}),
    );
    let rows = both.backend.audit(50).await.unwrap();
    assert_eq!(rows.len(), 3, "no row is lost");
    assert!(rows[0].details.as_ref().unwrap().contains("dated \"soon\""), "{:?}", rows[0]);
    let check = &rows[1];
    assert_eq!(check.at, at("2026-11-20T07:00:00Z"));
    assert_eq!((check.action.as_str(), check.by.as_deref()), ("overdue_check_manual", Some("admin")));
    assert_eq!((check.result.as_deref(), check.from.as_deref()), (Some("success"), Some("127.0.0.1")));
    assert!(check.details.as_ref().unwrap().contains("overdueBackupsFound 1"), "{:?}", check.details);
    assert_eq!(both.backend.audit(1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn check_now_reset_notifications_and_collect() {
    let both = Both::start().await;
    // Slow, and nothing else waits for it.
    both.web.close_gate();
    let check = call(Command::DuplistatusCheckNow, None);
    let checking = both.backend.execute(&check);
    let watching = async {
        both.web.asked("POST /api/notifications/check-overdue").await;
        assert_eq!(both.poll().await.degraded, None);
        both.web.open_gate();
    };
    let (checked, ()) = join!(checking, watching);
    let said = checked.unwrap().message.unwrap();
    assert!(said.contains("5 checked, 1 overdue found, 0 notifications sent: fewer than overdue"), "{said}");
    both.web.inner().jobs[3].notified = Some(at("2026-11-19T00:00:00Z"));
    let said = both.command(Command::DuplistatusResetNotifications, None).await.unwrap();
    assert!(said.contains("cleared"), "{said}");
    assert_eq!(both.web.inner().jobs[3].notified, None);
    let said = both.command(Command::DuplistatusCollect, Some(USERS)).await.unwrap();
    assert_eq!(said, "4 new backup logs from FS-PROD-01, 48 known, 0 not read");
    assert_eq!(
        both.web.inner().bodies,
        [serde_json::json!({"serverId": "b3a2d6c859401b3895631803e14da0fa"})]
    );
    // What it did is seen by the next poll, however soon.
    let reads = both.web.inner().count("GET /api/dashboard");
    both.backend.poll(Some(&Cursor("none".to_owned()))).await.unwrap();
    assert_eq!(both.web.inner().count("GET /api/dashboard"), reads + 1);
    let preview = |command, task| both.backend.preview(&call(command, task)).to_string();
    assert_eq!(preview(Command::DuplistatusCheckNow, None), "POST /api/notifications/check-overdue");
    assert_eq!(preview(Command::DuplistatusCollect, Some(USERS)), "POST /api/backups/collect");
    assert!(both.command(Command::DuplistatusCollect, Some(CHECK)).await.is_err());
    let snapshot = both.poll().await;
    let why = named(&snapshot, CHECK).capabilities.refusal(Command::DuplistatusCollect).unwrap();
    assert!(why.contains("for backup jobs"), "{why}");
    assert!(both.command(Command::RediaccCreate, None).await.is_err());
}

#[tokio::test]
async fn what_cannot_be_done_says_why() {
    // Without the web app.
    let cron = StandIn::start().await;
    let alone = backend(&spec(Kind::Duplistatus, &cron.url), &keys(PASSWORD), None);
    let why = alone.endpoint_capabilities().refusal(Command::DuplistatusCheckNow).unwrap().to_string();
    assert!(why.contains("options.web_url"), "{why}");
    for refused in [
        alone.execute(&call(Command::DuplistatusCheckNow, None)).await.unwrap_err(),
        alone.audit(5).await.unwrap_err(),
        alone.log(&LogOf::Endpoint, 0).await.unwrap_err(),
        alone.trace(&TaskId::new(CHECK)).await.unwrap_err(),
    ] {
        assert!(
            matches!(&refused, BackendError::Unsupported(why) if why.contains("options.web_url")),
            "{refused:?}"
        );
    }
    let unforeseen = alone.foresee(&call(Verb::Trigger, Some(CLEANUP))).await.unwrap_err().to_string();
    assert!(unforeseen.contains("options.web_url"), "{unforeseen}");
    // Not signed in yet.
    let both = Both::start().await;
    let refusal = |command| both.backend.endpoint_capabilities().refusal(command).map(ToString::to_string);
    assert!(refusal(Command::DuplistatusCheckNow).unwrap().contains("not signed in"));
    // No administrator, no password stored.
    both.web.inner().is_admin = false;
    both.web.inner().no_stored_password = true;
    let snapshot = both.poll().await;
    assert_eq!(refusal(Command::DuplistatusCheckNow), None);
    assert!(snapshot.remarks.iter().any(|remark| remark.contains("(no administrator)")));
    let why = named(&snapshot, USERS).capabilities.refusal(Command::DuplistatusCollect).unwrap();
    assert!(why.contains("keeps no password of this server"), "{why}");
    let error = both.backend.log(&LogOf::Endpoint, 0).await.unwrap_err();
    assert!(matches!(&error, BackendError::Forbidden(why) if why.contains("no administrator")), "{error:?}");
    let unforeseen = both.backend.foresee(&call(Verb::Trigger, Some(CLEANUP))).await.unwrap_err().to_string();
    assert!(unforeseen.contains("no administrator"), "{unforeseen}");
    assert_eq!(both.web.inner().count("POST /api/audit-log/cleanup"), 0);
    // A verb of a backup job goes nowhere, also where it looks like a task's name.
    let error = both.backend.execute(&call(Verb::Trigger, Some(USERS))).await.unwrap_err();
    assert!(
        matches!(&error, BackendError::Unsupported(why) if why.contains("can't start a backup")),
        "{error:?}"
    );
    assert_eq!(both.cron.posts(), [] as [String; 0]);
    let offered = offers(Kind::Duplistatus);
    assert!(matches!((offered.acts)(Command::DuplistatusCollect.into()), Offer::With(_)));
    assert!(matches!((offered.acts)(Command::DutyDuckStart.into()), Offer::No(_)));
}

#[tokio::test]
async fn the_dry_run_comes_before_the_audit_clean_up() {
    let both = Both::start().await;
    both.web.inner().retention = 45;
    let foreseen = both.backend.foresee(&call(Verb::Trigger, Some(CLEANUP))).await.unwrap().unwrap();
    assert_eq!(foreseen, "would delete 120 audit rows older than 2026-10-06 (retention 45 days)");
    assert_eq!(both.web.inner().bodies, [serde_json::json!({"dryRun": true, "retentionDays": 45})]);
    assert_eq!(both.backend.foresee(&call(Verb::Trigger, Some(CHECK))).await, Ok(None));
    assert_eq!(both.backend.foresee(&call(Verb::Pause, Some(CLEANUP))).await, Ok(None));
    both.web.inner().retention = 5;
    let unforeseen = both.backend.foresee(&call(Verb::Trigger, Some(CLEANUP))).await.unwrap_err().to_string();
    assert!(unforeseen.contains("between 30 and 365"), "{unforeseen}");
}

#[tokio::test]
async fn the_application_log_is_followed_without_offsets_of_its_own() {
    let both = Both::start().await;
    let log = async |from| both.backend.log(&LogOf::Endpoint, from).await;
    let first = log(0).await.unwrap();
    assert_eq!((first.text.as_str(), first.dropped_bytes, first.complete), ("one\ntwo\n", 0, false));
    let same = log(first.next_offset).await.unwrap();
    assert_eq!((same.text.as_str(), same.next_offset), ("", first.next_offset));
    // A line that is not whole yet waits.
    both.web.inner().log = Some("one\ntwo\nthr".to_owned());
    assert_eq!(log(first.next_offset).await.unwrap().text, "");
    both.web.inner().log = Some("one\ntwo\nthree\nfour\n".to_owned());
    let next = log(first.next_offset).await.unwrap();
    assert_eq!(next.text, "three\nfour\n");
    // More than it gives at once is counted.
    let long: Vec<String> = (0..5_000).map(|i| format!("line {i:05}")).collect();
    both.web.inner().log = Some(long.join("\n") + "\n");
    let much = log(next.next_offset).await.unwrap();
    assert!(much.text.ends_with("line 04999\n") && much.dropped_bytes > 30_000, "{}", much.dropped_bytes);
    // A new file begins anew.
    both.web.inner().log = Some("fresh\n".to_owned());
    assert_eq!(log(much.next_offset).await.unwrap().text, "fresh\n");
    both.web.inner().log = None;
    let error = log(1).await.unwrap_err();
    assert!(matches!(&error, BackendError::NotFound(why) if why.contains("Log file not found")), "{error:?}");
}
