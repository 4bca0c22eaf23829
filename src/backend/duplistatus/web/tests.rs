//! The web application's answers through the pure part.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use serde_json::json;

use super::convert;
use super::wire::{ApplicationLog, AuditRow, Dashboard, DryRun, Job, Server};
use crate::model::{RunState, TaskId, TaskState, Timing};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn servers(json: serde_json::Value) -> Vec<Server> {
    serde_json::from_value::<Dashboard>(json).unwrap().servers_summary
}

/// After what the real one answers, shortened.
const DASHBOARD: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/duplistatus/1.4.2/dashboard.json"));

#[test]
fn a_dashboard_is_read() {
    let servers = serde_json::from_str::<Dashboard>(DASHBOARD).unwrap().servers_summary;
    let now = at("2026-11-20T07:19:40Z");
    let (tasks, alerts) = convert::jobs(&servers, Some(7_200), now);
    let names: Vec<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
    assert_eq!(names, ["Backup Storage / Databases", "File Storage / System"]);
    let databases = &tasks[0];
    assert_eq!(databases.state, Some(TaskState::Healthy));
    let run = databases.last_run.as_ref().unwrap();
    assert_eq!(run.started, Some(at("2026-11-20T05:33:08.715Z")));
    assert_eq!((run.duration_ms, run.message.as_deref()), (Some(278_000), None));
    assert_eq!(tasks[1].state, Some(TaskState::Absent));
    assert_eq!(alerts.len(), 1);
}

#[test]
fn the_id_of_a_job_leads_back_to_its_server() {
    for (server, job) in [("68a7", "Databases"), ("a/b%2F%", "x/y z%2F"), ("%25", "/")] {
        let id = convert::task_id(server, job);
        assert_eq!(convert::parts(&id), Some((server.to_owned(), job)));
    }
    for none in ["overdue-backup-check", "", "/x", "x/"] {
        assert_eq!(convert::parts(&TaskId::new(none)), None, "{none}");
    }
}

#[test]
fn every_status_is_shown_as_what_it_is() {
    for (status, state, run) in [
        (json!("Success"), TaskState::Healthy, RunState::Succeeded),
        (json!("Warning"), TaskState::Healthy, RunState::Succeeded),
        (json!("Error"), TaskState::Failing, RunState::Failed),
        (json!("Fatal"), TaskState::Failing, RunState::Failed),
        (json!("Unknown"), TaskState::Unknown, RunState::Dead),
        (json!("Exploded"), TaskState::Unknown, RunState::Dead),
        (json!("N/A"), TaskState::Unknown, RunState::Dead),
        (json!(null), TaskState::Unknown, RunState::Dead),
    ] {
        let dashboard = json!({"serversSummary": [{"id": "s", "name": "S", "backupInfo": [
            {"name": "j", "lastBackupDate": "2026-11-20T05:00:00Z", "lastBackupStatus": status}]}]});
        let (tasks, _) = convert::jobs(&servers(dashboard), None, at("2026-11-20T07:00:00Z"));
        assert_eq!(tasks[0].state, Some(state), "{status}");
        assert_eq!(tasks[0].last_run.as_ref().unwrap().state, run, "{status}");
    }
}

#[test]
fn hostile_names_are_clean_and_go_back_as_they_came() {
    let dashboard = json!({"serversSummary": [{"id": "s", "name": "\u{1b}[31mS", "alias": "",
        "backupInfo": [{"name": "j\u{202e}\n"}]}]});
    let (tasks, _) = convert::jobs(&servers(dashboard), Some(0), at("2026-11-20T07:00:00Z"));
    assert_eq!(tasks[0].name, "S / j ");
    assert_eq!(tasks[0].id.as_raw(), "s/j\u{202e}\n");
}

#[test]
fn another_service_is_not_taken_for_it() {
    for json in ["{}", "[]", r#"{"serversSummary":{}}"#, r#"{"serversSummary":[{"name":"x"}]}"#] {
        assert!(serde_json::from_str::<Dashboard>(json).is_err(), "{json}");
    }
    let row: AuditRow = serde_json::from_value(json!({"timestamp": "2026-11-20 07:19:38", "action": "x",
        "targetType": "backup", "targetId": "7", "details": {"message": "m"}, "errorMessage": "e"}))
    .unwrap();
    let entry = convert::audit(row, at("2026-11-20T00:00:00Z"));
    assert_eq!(entry.at, at("2026-11-20T07:19:38Z"));
    assert_eq!((entry.target.as_deref(), entry.details.as_deref()), (Some("backup 7"), Some("m · e")));
    let dry: DryRun = serde_json::from_str(
        r#"{"dryRun":true,"wouldDeleteCount":1,"oldestRemaining":null,"retentionDays":90,"cutoffDate":"2026-08-22"}"#,
    )
    .unwrap();
    assert_eq!(convert::foreseen(&dry), "would delete 1 audit row older than 2026-08-22 (retention 90 days)");
}

#[test]
fn the_overdue_check_is_due_by_its_schedule() {
    let five = super::super::convert::configured(&convert::tidy(" */5   * * *   *"));
    assert!(matches!(&five.timing, Timing::Cron { expression, .. } if *expression == "*/5 * * * *"));
    let last = at("2026-11-20T07:01:00Z");
    assert_eq!(convert::check_due(&five, last), Some(at("2026-11-20T07:10:00Z")));
    let bad = super::super::convert::configured("bad");
    assert_eq!(convert::check_due(&bad, last), None);
}

#[test]
fn the_tolerances_are_theirs() {
    for (word, seconds) in
        [("no_tolerance", Some(0)), ("2h", Some(7_200)), ("1d", Some(86_400)), ("9h", None)]
    {
        assert_eq!(convert::tolerance(word), seconds);
    }
}

proptest! {
    /// However a log grows between two looks, every whole line is given once, or counted as dropped.
    #[test]
    fn a_log_is_given_line_by_line(first in 0usize..40, more in 0usize..40, tail in 1usize..20, cut in any::<bool>()) {
        let text = |lines: usize, open: bool| {
            let mut text: Vec<String> = (0..lines).map(|i| i.to_string()).collect();
            text.push((if open { "open" } else { "" }).to_owned());
            text.join("\n")
        };
        let look = |text: &str| {
            let lines: Vec<&str> = text.split('\n').collect();
            let logs = lines[lines.len().saturating_sub(tail)..].join("\n");
            ApplicationLog { error: None, logs, file_size: text.len() as u64, line_count: lines.len() as u64 }
        };
        let one = convert::log_after(&look(&text(first, cut)), 0);
        prop_assert_eq!(one.next_offset, first as u64);
        let two = convert::log_after(&look(&text(first + more, false)), one.next_offset);
        let given = two.text.lines().count();
        prop_assert_eq!(given, more.min(tail - 1).min(more));
        prop_assert_eq!(two.dropped_bytes > 0, given < more && first > 0);
        if given > 0 {
            let newest = (first + more - 1).to_string();
            prop_assert_eq!(two.text.lines().last(), Some(newest.as_str()));
        }
    }

    /// Whatever the dates: one state, no alert without a bad state, and no panic.
    #[test]
    fn any_dates_give_whole_tasks(last in any::<Option<i32>>(), expected in any::<Option<i32>>(),
        overdue in any::<bool>(), tolerance in any::<Option<u16>>()) {
        let now = at("2026-11-20T07:00:00Z");
        let date = |offset: Option<i32>| offset.map(|s| (now + TimeDelta::seconds(s.into())).to_rfc3339());
        let job: Job = serde_json::from_value(json!({"name": "j", "lastBackupDate": date(last),
            "expectedBackupDate": date(expected), "isBackupOverdue": overdue, "lastBackupStatus": "Success",
            "lastBackupDuration": "99:99:99"})).unwrap();
        let server = Server { id: "s".into(), name: None, alias: None, note: None, has_password: true,
            backup_info: vec![job], last_overdue_check: None };
        let (tasks, alerts) = convert::jobs(&[server], tolerance.map(u32::from), now);
        let state = tasks[0].state.unwrap();
        prop_assert_eq!(matches!(state, TaskState::Late | TaskState::Absent), overdue);
        prop_assert!(alerts.is_empty() || state.is_problem());
    }
}
