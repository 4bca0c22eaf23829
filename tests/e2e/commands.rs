//! Commands: formats and exit codes, as scripts rely on them.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::term::{Home, binary, free_port, patient};

fn vigie(home: &Home, args: &[&str]) -> Output {
    Command::new(binary())
        .args(patient(args))
        .env_clear()
        .envs(home.environment())
        .current_dir(home.path())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}{}", stdout(output), stderr(output)))
}

/// The rows of `vigie runs -o json`.
fn rows(runs: &Value) -> impl Iterator<Item = &Value> {
    runs["runs"].as_array().unwrap().iter()
}

/// The names of an object's members, in order.
fn members(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn status_of_a_fresh_home_is_ok_and_complete() {
    let home = Home::new();
    let output = vigie(&home, &["status", "-o", "json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(members(&report), ["version", "at", "worst", "endpoints", "tasks", "queues", "alerts"]);
    assert_eq!((report["version"].as_u64(), report["worst"].as_str()), (Some(1), Some("ok")));
    let endpoint = &report["endpoints"][0];
    assert_eq!(members(endpoint)[..7], ["name", "kind", "url", "health", "latency_ms", "last_ok", "error"]);
    assert_eq!((endpoint["name"].as_str(), endpoint["health"].as_str()), (Some("local"), Some("up")));
    assert!(endpoint.get("version").is_some() && endpoint["skew_ms"].is_i64(), "{endpoint}");
    assert!(endpoint["url"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{endpoint}");
    let tasks = report["tasks"].as_array().unwrap();
    let ids: Vec<&str> = tasks.iter().map(|task| task["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["audit-log-cleanup", "disk-space", "overdue-check", "self-backup"]);
    for task in tasks {
        assert_eq!(
            members(task)[..16],
            [
                "endpoint",
                "id",
                "name",
                "state",
                "evidence",
                "paused",
                "priority",
                "team",
                "machine",
                "schedule",
                "zone",
                "next_due",
                "late_by_s",
                "last_run",
                "retry",
                "actions"
            ]
        );
        // Nothing is scheduled for the sake of an answer: a slot that has just come is due.
        assert!(task["state"] == "healthy" || task["state"] == "due", "{task}");
        assert_eq!(task["evidence"], "fresh");
        assert_eq!(
            members(&task["last_run"]),
            ["id", "state", "started", "ended", "duration_ms", "exit_code", "message"]
        );
        assert_eq!(members(&task["retry"]), ["attempt", "max", "next_at"]);
        assert_eq!(task["actions"]["trigger"], Value::Null, "{task}");
        assert!(task["actions"]["resume"].is_string(), "{task}");
        assert_eq!(task["actions"].as_object().unwrap().len(), 11);
        assert_eq!(
            (&task["class"], &task["alias"], &task["labels"]),
            (&Value::Null, &Value::Null, &json!({}))
        );
    }
    home.wait_until_quiet();
}

#[test]
fn a_triggered_run_is_waited_for_and_kept() {
    let home = Home::new();
    home.write(&home.tasks(), "[[task]]\nid = \"sweep\"\nshell = \"true\"\n");
    let output = vigie(&home, &["trigger", "local/sweep", "--wait"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).starts_with("observed trigger local/sweep"), "{}", stdout(&output));
    home.wait_until_quiet();
    let runs = json(&vigie(&home, &["runs", "-o", "json", "--filter", "sweep"]));
    let run = rows(&runs).next().unwrap();
    assert_eq!(
        members(run)[..10],
        [
            "endpoint",
            "task",
            "id",
            "state",
            "started",
            "ended",
            "duration_ms",
            "exit_code",
            "message",
            "attempt"
        ]
    );
    assert_eq!((run["task"].as_str(), run["state"].as_str()), (Some("sweep"), Some("succeeded")));
    home.wait_until_quiet();
    let tasks = stdout(&vigie(&home, &["tasks", "-o", "csv", "--filter", "name:sweep"]));
    let mut lines = tasks.lines();
    assert!(lines.next().unwrap().contains("last_run.state"), "{tasks}");
    assert!(lines.next().unwrap().starts_with("local,sweep,sweep,healthy,fresh,false,"), "{tasks}");
    assert_eq!(lines.next(), None);
}

#[test]
fn what_cannot_be_recorded_is_sent_only_where_that_is_meant() {
    let home = Home::new();
    // A file where the state's folder should be: neither journal nor log can be written.
    let state = home.path().join(".local/state/vigie");
    std::fs::create_dir_all(state.parent().unwrap()).unwrap();
    std::fs::write(&state, "").unwrap();
    let refused = vigie(&home, &["trigger", "local/disk-space"]);
    let said = stderr(&refused);
    assert_eq!(code(&refused), 1, "{said}");
    assert!(said.contains("the journal can't be written") && said.contains("give --yes"), "{said}");
    let sent = vigie(&home, &["trigger", "local/disk-space", "--yes"]);
    assert_eq!(code(&sent), 0, "{}", stderr(&sent));
    assert!(stdout(&sent).contains("(unrecorded)"), "{}", stdout(&sent));
}

#[test]
fn refusals_end_with_one_and_name_their_reason() {
    let home = Home::new();
    for (args, words) in [
        (&["trigger", "nowhere/x"][..], "no endpoint \"nowhere\""),
        (&["trigger", "local/disk-spac"], "did you mean \"disk-space\""),
        (&["resume", "local/disk-space"], "resume local/disk-space: "),
        (&["pause", "local/disk-space", "local/self-backup"], "--yes"),
        (&["--read-only", "trigger", "local/disk-space"], "read-only"),
    ] {
        let output = vigie(&home, args);
        assert_eq!(code(&output), 1, "{args:?}: {}{}", stdout(&output), stderr(&output));
        assert!(stderr(&output).contains(words), "{args:?}: {}", stderr(&output));
    }
    let dry = vigie(&home, &["trigger", "local/disk-space", "--dry-run"]);
    assert_eq!(code(&dry), 0);
    assert_eq!(stdout(&dry), "would trigger local/disk-space   (POST /api/v1/tasks/disk-space/runs)\n");
    let runs = json(&vigie(&home, &["runs", "-o", "json"]));
    assert_eq!(rows(&runs).find(|run| run["cause"] != "schedule"), None, "nothing was sent");
    home.wait_until_quiet();
}

#[test]
fn taking_and_putting_off_alerts_go_through_what_the_system_can_do() {
    let home = Home::new();
    for (args, words) in [
        (&["ack", "local/disk-space", "--note", "on it"][..], "disk-space: no alert of it is open"),
        (&["acknowledge", "local/nothing"], "acknowledge local/nothing: no such task"),
        (&["snooze", "local/disk-space", "--for", "2h"], "disk-space: no alert of it is open"),
    ] {
        let output = vigie(&home, args);
        assert_eq!(code(&output), 1, "{args:?}: {}{}", stdout(&output), stderr(&output));
        assert!(stderr(&output).contains(words), "{args:?}: {}", stderr(&output));
    }
    let twice = vigie(&home, &["ack", "local/disk-space", "--note", "two\nlines"]);
    assert_eq!(code(&twice), 2, "{}", stderr(&twice));
    home.wait_until_quiet();
}

#[test]
fn commands_of_one_system_are_listed_and_checked_before_anything_is_asked() {
    let home = Home::new();
    let dead = free_port();
    home.write(
        &home.config(),
        &format!(
            "[[endpoint]]\nname = \"local\"\nkind = \"vigie\"\n\n\
             [[endpoint]]\nname = \"duck\"\nkind = \"duty-duck\"\nurl = \"http://127.0.0.1:{dead}\"\n\
             [endpoint.auth]\ntoken_id = \"x\"\nsecret_key = {{ env = \"PATH\" }}\n"
        ),
    );
    for (args, exit, words) in [
        (&["do", "local"][..], 0, ""),
        (&["do", "nowhere"], 1, "no endpoint \"nowhere\""),
        (&["do", "duck", "finsh", "t"], 2, "has no command \"finsh\"; did you mean \"finish\"?"),
        (&["do", "duck", "finsh", "t"], 2, "duty-duck:finish   record how the run ended"),
        (&["do", "duck", "rediacc:delete", "t"], 2, "duck (duty-duck) has no command \"rediacc:delete\""),
        (&["do", "duck", "cancel", "t"], 2, "vigie cancel duck/TASK"),
        (&["do", "duck", "finish"], 2, "needs a task: vigie do duck finish TASK --set outcome="),
        (&["do", "duck", "finish", "t"], 2, "needs outcome"),
        (
            &["do", "duck", "duty-duck:finish", "t", "--set", "outcome=success"],
            1,
            "duty-duck:finish duck/t: ",
        ),
        (&["do", "duck", "start", "t", "--payload", "x"], 2, "takes no payload"),
        (&["do", "duck", "--set", "a=b"], 2, "name one"),
        (&["do", "duck"], 3, "duck could not be read: "),
    ] {
        let output = vigie(&home, args);
        assert_eq!(code(&output), exit, "{args:?}: {}{}", stdout(&output), stderr(&output));
        assert!(stderr(&output).contains(words), "{args:?}: {}", stderr(&output));
    }
    let listed = stdout(&vigie(&home, &["do", "duck"]));
    assert!(listed.contains("    vigie do duck comment TASK --set text=TEXT\n"), "{listed}");
    assert!(listed.contains("    now: not known\n"), "{listed}");
    home.wait_until_quiet();
}

#[test]
fn audit_lists_what_the_coordinator_keeps() {
    let home = Home::new();
    let all = vigie(&home, &["audit", "-o", "json"]);
    assert_eq!((code(&all), stderr(&all)), (0, String::new()));
    let report = json(&all);
    assert_eq!(members(&report), ["version", "at", "audit"]);
    assert_eq!(report["audit"], json!([]));
    assert_eq!(code(&vigie(&home, &["pause", "local/disk-space", "--yes"])), 0);
    let named = json(&vigie(&home, &["audit", "list", "--endpoint", "local", "-o", "json"]));
    let line = &named["audit"][0];
    assert_eq!((line["by"].as_str(), line["action"].as_str()), (Some("local"), Some("pause")), "{named}");
    assert_eq!((line["target"].as_str(), line["from"].as_str()), (Some("disk-space"), Some("127.0.0.1")));
    assert_eq!(code(&vigie(&home, &["audit", "--endpoint", "nowhere"])), 2);
    let csv = stdout(&vigie(&home, &["audit", "-o", "csv"]));
    assert!(csv.starts_with("endpoint,at,by,action,target,result,details,from\nlocal,"), "{csv}");
    home.wait_until_quiet();
}

#[test]
fn usage_and_configuration_end_with_two_but_status_with_three() {
    let home = Home::new();
    for (args, expected) in [
        (&["trigger"][..], 2),
        (&["trigger", "no-slash"], 2),
        (&["priority", "9", "local/x"], 2),
        (&["tasks", "-o", "yaml"], 2),
        (&["tasks", "--filter", "stat:late"], 2),
        (&["tasks", "--limit", "3"], 2),
        (&["trigger", "local/x", "--run", "1"], 2),
        (&["serve", "--listen", "nowhere"], 2),
        (&["serve", "--listen", "0.0.0.0:0"], 2),
        (&["status", "-o", "yaml"], 3),
        (&["status", "--endpoint", "nowhere"], 3),
    ] {
        let output = vigie(&home, args);
        assert_eq!(code(&output), expected, "{args:?}: {}", stderr(&output));
    }
    home.write(
        &home.config(),
        "theme = \"vigie-dark\"\n\n[[endpoint]]\nname = \"b\"\nkind = \"duplistats\"\nurl = \"http://x:1\"\npol = \"5s\"\n",
    );
    let check = vigie(&home, &["config", "check"]);
    assert_eq!(code(&check), 2);
    let text = stderr(&check);
    assert!(text.contains("line 5") && text.contains("duplistatus"), "{text}");
    assert!(text.contains("line 7") && text.contains("poll"), "{text}");
    assert_eq!(code(&vigie(&home, &["status"])), 3);
    assert_eq!(code(&vigie(&home, &["tasks"])), 2);
    assert_eq!(code(&vigie(&home, &[])), 2);
}

#[test]
fn a_dead_endpoint_makes_the_status_unknown() {
    let home = Home::new();
    let url = format!("http://127.0.0.1:{}", free_port());
    home.write(
        &home.config(),
        &format!("[[endpoint]]\nname = \"b\"\nkind = \"duplistatus\"\nurl = \"{url}\"\n"),
    );
    let output = vigie(&home, &["status", "-o", "json", "--timeout", "60s"]);
    assert_eq!(code(&output), 3);
    let report = json(&output);
    assert_eq!(report["worst"], "unknown");
    assert_eq!(report["endpoints"][0]["health"], "down");
    assert!(report["endpoints"][0]["error"].as_str().unwrap().contains("refused"), "{report}");
    let acting = vigie(&home, &["trigger", "b/overdue-backup-check"]);
    assert_eq!(code(&acting), 1, "nothing was sent: {}", stderr(&acting));
}

/// A duplistatus that answers `/health` and nothing else.
fn duplistatus(body: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
            let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    port
}

#[test]
fn two_endpoints_share_one_table() {
    let home = Home::new();
    home.write(&home.tasks(), "[[task]]\nid = \"sweep\"\nshell = \"true\"\n");
    let port = duplistatus(
        r#"{"isRunning":true,"activeTasks":["overdue-backup-check"],"lastRunTimes":{},"errors":{"overdue-backup-check":"Error: ntfy unreachable"}}"#,
    );
    home.write(
        &home.config(),
        &format!(
            "[[endpoint]]\nname = \"local\"\nkind = \"vigie\"\ntimeout = \"60s\"\n\n\
             [[endpoint]]\nname = \"backups\"\nkind = \"duplistatus\"\nurl = \"http://127.0.0.1:{port}\"\n\
             timeout = \"60s\"\n"
        ),
    );
    let output = vigie(&home, &["status", "-o", "json"]);
    assert_eq!(code(&output), 2, "a failed task is critical: {}", stdout(&output));
    let report = json(&output);
    let task = |endpoint: &str, id: &str| {
        let found =
            report["tasks"].as_array().unwrap().iter().find(|t| t["endpoint"] == endpoint && t["id"] == id);
        found.unwrap_or_else(|| panic!("{endpoint}/{id} in {report}")).clone()
    };
    assert_eq!(task("local", "sweep")["state"], "healthy");
    let failing = task("backups", "overdue-backup-check");
    assert_eq!(failing["state"], "failing");
    assert_eq!(failing["last_run"]["message"], "Error: ntfy unreachable");
    assert_eq!(failing["actions"]["retry"], "duplistatus has no retry; use trigger");
    assert_eq!(failing["late_by_s"], Value::Null);
    assert_eq!(task("backups", "audit-log-cleanup")["state"], "paused");
    let alert = &report["alerts"][0];
    assert_eq!(
        members(alert)[..8],
        ["endpoint", "task", "kind", "severity", "since", "summary", "acknowledged_by", "silenced_until"]
    );
    assert_eq!((alert["endpoint"].as_str(), alert["kind"].as_str()), (Some("backups"), Some("failed")));
    home.wait_until_quiet();
}

#[test]
fn without_a_terminal_the_console_is_a_status() {
    let home = Home::new();
    let output = vigie(&home, &[]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).contains("disk-space"), "{}", stdout(&output));
    assert!(stderr(&output).contains("not a terminal"), "{}", stderr(&output));
    home.wait_until_quiet();
}

#[test]
fn the_configuration_is_made_checked_and_found() {
    let home = Home::new();
    assert_eq!(code(&vigie(&home, &["config", "check"])), 0);
    let init = vigie(&home, &["config", "init"]);
    assert_eq!(code(&init), 0, "{}", stderr(&init));
    assert_eq!(code(&vigie(&home, &["config", "init"])), 2, "never overwritten");
    let check = vigie(&home, &["config", "check"]);
    assert_eq!(code(&check), 0, "{}", stderr(&check));
    let paths = stdout(&vigie(&home, &["config", "paths"]));
    assert!(paths.contains(&home.config().display().to_string()), "{paths}");
    home.write(
        &home.tasks(),
        "[[task]]\nid = \"a\"\nschedule = \"61 * * * *\"\n\n[[task]]\nid = \"b\"\nmachine = \"-x\"\n",
    );
    let wrong = vigie(&home, &["serve", "--check"]);
    assert_eq!(code(&wrong), 2);
    let text = stderr(&wrong);
    assert!(text.contains("line 3") && text.contains("line 7"), "{text}");
}

#[test]
fn what_only_an_adapter_knows_is_checked_too() {
    let home = Home::new();
    home.write(
        &home.config(),
        "[[endpoint]]\nname = \"a\"\nkind = \"vigie\"\nurl = \"https://h:1\"\n[endpoint.tls]\nca_file = \"none.pem\"\n\n\
         [[endpoint]]\nname = \"b\"\nkind = \"vigie\"\nurl = \"http://h:1\"\n[endpoint.tls]\nserver_name = \"x\"\n",
    );
    let check = vigie(&home, &["config", "check"]);
    assert_eq!(code(&check), 2);
    let text = stderr(&check);
    assert!(text.contains("vigie: endpoint a: ") && text.contains("none.pem"), "{text}");
    assert!(text.contains("vigie: endpoint b: tls is configured, but the url is http"), "{text}");
}

#[test]
fn filtered_runs_are_found_behind_newer_ones() {
    let home = Home::new();
    home.write(
        &home.tasks(),
        "[[task]]\nid = \"older\"\nshell = \"true\"\n\n[[task]]\nid = \"newer\"\nshell = \"true\"\n",
    );
    for target in ["local/older", "local/newer", "local/newer"] {
        let output = vigie(&home, &["trigger", target, "--wait"]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        home.wait_until_quiet();
    }
    let runs = json(&vigie(&home, &["runs", "-o", "json", "--limit", "1", "--filter", "id:older"]));
    assert_eq!(runs["runs"][0]["task"], "older", "{runs}");
    assert_eq!(runs["runs"].as_array().unwrap().len(), 1);
    home.wait_until_quiet();
}

#[cfg(target_os = "linux")]
#[test]
fn an_answer_that_cannot_be_written_is_an_error() {
    let home = Home::new();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = Command::new(binary())
        .args(["tasks"])
        .env_clear()
        .envs(home.environment())
        .stdin(Stdio::null())
        .stdout(full)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("standard output can't be written"), "{}", stderr(&output));
    home.wait_until_quiet();
}
