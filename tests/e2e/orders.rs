//! `do`, `ack`, `audit` and dry runs, against the systems that have them.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use chrono::Utc;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::stand_ins::duplistatus::StandIn as Backups;
use crate::stand_ins::duplistatus_web::{PASSWORD, USERNAME, Web};
use crate::stand_ins::duty_duck::{SECRET_KEY, StandIn as Duck, TOKEN_ID};
use crate::stand_ins::rediacc::{Data, EMAIL, PASSWORD as REDIACC_PASSWORD, StandIn as Queue};
use crate::term::{Home, Term, binary, vigie};

/// Runs it and fails unless it ends with 0.
fn done(home: &Home, args: &[&str]) -> String {
    let (code, out, err) = vigie(home, args);
    assert_eq!(code, 0, "{args:?}: {out}{err}");
    out
}

/// A file that only its owner can read, beside the configuration.
fn secret(home: &Home, name: &str, text: &str) {
    let path = home.config().parent().unwrap().join(name);
    home.write(&path, text);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn with_duck() -> (Runtime, Duck, Home) {
    let runtime = Runtime::new().unwrap();
    let duck = runtime.block_on(Duck::start());
    let home = Home::new();
    secret(&home, "key", SECRET_KEY);
    let text = format!(
        "[[endpoint]]\nname = \"duck\"\nkind = \"duty-duck\"\nurl = \"{}\"\ntimeout = \"60s\"\n[endpoint.auth]\n\
         token_id = \"{TOKEN_ID}\"\nsecret_key = {{ file = \"key\" }}\n",
        duck.url
    );
    home.write(&home.config(), &text);
    (runtime, duck, home)
}

#[test]
fn commands_of_one_system_are_given_by_alias_and_checked() {
    let (_runtime, duck, home) = with_duck();
    let listed = done(&home, &["do", "duck"]);
    assert!(listed.contains("duty-duck:finish   record how the run ended\n"), "{listed}");
    assert!(
        listed.contains("    vigie do duck finish TASK --set outcome=success|failure|aborted"),
        "{listed}"
    );
    assert!(listed.contains("    now: 1 of 8 tasks; the others: "), "{listed}");

    let finish = [
        "do",
        "duck",
        "finish",
        "import",
        "--set",
        "outcome=failure",
        "--set",
        "exit-code=3",
        "--set",
        "message=full",
    ];
    let dry = done(&home, &[&finish[..], &["--dry-run"]].concat());
    let id = duck.inner().id_of("import");
    assert!(dry.starts_with(&format!("would duty-duck:finish duck/{id}   (POST ")), "{dry}");
    assert!(dry.contains("    exit-code: 3\n    message: full\n    outcome: failure\n"), "{dry}");
    assert_eq!(duck.posts(), Vec::<String>::new(), "a dry run sends nothing");

    let said = done(&home, &[&finish[..], &["--wait"]].concat());
    assert!(said.starts_with(&format!("observed duty-duck:finish duck/{id}")), "{said}");
    let run = duck.inner().runs.iter().rfind(|run| run.task == id).unwrap().clone();
    assert_eq!((run.status.as_str(), run.exit_code, run.error.as_deref()), ("failed", Some(3), Some("full")));
    assert!(home.journal().contains(r#""verb":"duty-duck:finish""#), "{}", home.journal());

    // What the state forbids, and what only another verb can do, is refused with its reason.
    for (args, words) in [
        (
            &["do", "duck", "finish", "import", "--set", "outcome=success"][..],
            "duty-duck:finish duck/import: ",
        ),
        (&["trigger", "duck/report"], "trigger duck/report: "),
        (&["do", "duck", "comment", "report", "hourly-sync", "--set", "text=hm"], "needs a confirmation"),
    ] {
        let before = duck.posts();
        let (code, out, err) = vigie(&home, args);
        assert_eq!((code, out.as_str()), (1, ""), "{args:?}: {err}");
        assert!(err.contains(words), "{args:?}: {err}");
        assert_eq!(duck.posts(), before);
    }
}

#[test]
fn acknowledging_takes_the_incidents_of_a_task() {
    let (_runtime, duck, home) = with_duck();
    let alerts = |home: &Home| {
        let text = done(home, &["alerts", "-o", "json", "--filter", "report"]);
        serde_json::from_str::<Value>(&text).unwrap()["alerts"].clone()
    };
    assert_eq!(alerts(&home)[0]["acknowledged_by"], Value::Null);
    done(&home, &["ack", "duck/report", "--note", "on it"]);
    assert!(alerts(&home)[0]["acknowledged_by"].is_string(), "{}", alerts(&home));
    assert!(duck.posts().iter().any(|line| line.contains("acknowledge")), "{:?}", duck.posts());
}

#[test]
fn endpoints_test_tells_every_class_of_task_and_what_the_token_may() {
    let (_runtime, duck, home) = with_duck();
    duck.inner().scopes = vec!["readTasks", "readTaskRuns", "readIncidents", "readHttpMonitors"];
    let (code, out, err) = vigie(&home, &["endpoints", "test", "duck"]);
    assert!(code == 0 || code == 1, "{out}{err}");
    for words in
        ["  remark      ", "what can be done to its 5 tasks\n", "what can be done to its 3 http monitors\n"]
    {
        assert!(out.contains(words), "{words}: {out}");
    }
    assert!(out.contains("writeTaskRuns"), "what the token lacks is named: {out}");
    duck.inner().secret_key = "another".to_owned();
    let (code, out, err) = vigie(&home, &["endpoints", "test", "duck"]);
    assert_eq!(code, 3, "{out}{err}");
    assert!(
        out.contains("unauthorised") && out.contains("check where auth.secret_key, auth.token_id"),
        "{out}"
    );
    assert!(!format!("{out}{err}").contains(SECRET_KEY));
}

fn with_backups() -> (Runtime, Backups, Web, Home) {
    let runtime = Runtime::new().unwrap();
    let (cron, web) = runtime.block_on(async {
        let cron = Backups::start().await;
        let web = Web::start(cron.database()).await;
        (cron, web)
    });
    let home = Home::new();
    secret(&home, "password", PASSWORD);
    let text = format!(
        "[[endpoint]]\nname = \"here\"\nkind = \"vigie\"\n\n[[endpoint]]\nname = \"backups\"\nkind = \"duplistatus\"\n\
         url = \"{}\"\nauth.username = \"{USERNAME}\"\nauth.password = {{ file = \"password\" }}\n\
         options.web_url = \"{}\"\n",
        cron.url, web.url
    );
    home.write(&home.config(), &text);
    (runtime, cron, web, home)
}

#[test]
fn a_dry_run_of_the_system_itself_is_shown_before_anything_is_sent() {
    let (_runtime, cron, web, home) = with_backups();
    let dry = done(&home, &["trigger", "backups/audit-log-cleanup", "--dry-run"]);
    let mut lines = dry.lines();
    let first = lines.next().unwrap();
    assert!(first.starts_with("would trigger backups/audit-log-cleanup   (POST /trigger/"), "{dry}");
    let foreseen = lines.next().unwrap();
    assert!(foreseen.starts_with("    ") && foreseen.contains("120"), "{dry}");
    // And in the question.
    let mut term = Term::vigie(&home, &["trigger", "backups/audit-log-cleanup"], 100, 30);
    term.wait_line(&["120"]);
    term.wait_for("Type y to go on");
    term.keys("n\r");
    assert_eq!(term.end(), 1);
    assert_eq!(cron.posts(), Vec::<String>::new(), "nothing was sent");
    assert!(web.inner().requests.iter().any(|line| line.contains("cleanup")), "the system was asked");
    home.wait_until_quiet();
}

#[test]
fn audit_lists_what_endpoints_keep_themselves_and_passes_over_those_that_keep_none() {
    let (_runtime, cron, web, home) = with_backups();
    let config = std::fs::read_to_string(home.config()).unwrap();
    let bare =
        format!("{config}\n[[endpoint]]\nname = \"bare\"\nkind = \"duplistatus\"\nurl = \"{}\"\n", cron.url);
    home.write(&home.config(), &bare);
    done(&home, &["do", "backups", "duplistatus:check-now"]);
    let (code, out, err) = vigie(&home, &["audit", "-o", "json"]);
    assert_eq!((code, err.as_str()), (0, ""), "the bare one keeps none, and was not asked for by name");
    let report: Value = serde_json::from_str(&out).unwrap();
    let line = &report["audit"][0];
    let members: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["endpoint", "at", "by", "action", "target", "result", "details", "from"]);
    assert_eq!(line["endpoint"], "backups");
    assert!(line["at"].as_str().unwrap().ends_with('Z'), "{line}");
    let named = vigie(&home, &["audit", "--endpoint", "bare", "--endpoint", "backups"]);
    assert_eq!(named.0, 3);
    assert!(named.2.contains("the audit log of bare could not be read: "), "{}", named.2);
    assert!(named.1.lines().count() > 1, "the other one is read all the same: {}", named.1);
    let one = done(&home, &["audit", "--limit", "1"]);
    assert_eq!(one.lines().count(), 2, "a header and a line: {one}");
    drop(web);
    let (code, _, err) = vigie(&home, &["audit"]);
    assert_eq!(code, 3);
    assert!(err.contains("the audit log of backups could not be read: "), "{err}");
    home.wait_until_quiet();
}

/// A Rediacc whose account wants `code` beside the password, if that is given.
fn with_queue(code: Option<&str>) -> (Runtime, Queue, Home) {
    let runtime = Runtime::new().unwrap();
    let queue = runtime.block_on(Queue::start());
    {
        let mut world = queue.world();
        world.second_factor = code.map(str::to_owned);
        // The binary has the real clock: by it, what a session is given must be good for a while.
        world.clock = Utc::now();
        world.data = Data::seeded(world.clock);
    }
    let home = Home::new();
    secret(&home, "password", REDIACC_PASSWORD);
    let text = format!(
        "[[endpoint]]\nname = \"queue\"\nkind = \"rediacc\"\nurl = \"{}\"\ntimeout = \"60s\"\n[endpoint.auth]\n\
         email = \"{EMAIL}\"\npassword = {{ file = \"password\" }}\n",
        queue.url
    );
    home.write(&home.config(), &text);
    (runtime, queue, home)
}

#[test]
fn a_payload_is_sent_and_its_digest_alone_is_recorded() {
    let (_runtime, queue, home) = with_queue(None);
    secret(&home, "item.json", r#"{"command":"hunter2"}"#);
    let item = home.config().parent().unwrap().join("item.json").display().to_string();
    let create =
        ["do", "queue", "create", "--set", "team=prod", "--set", "bridge=Global Bridges", "--payload", &item];
    let dry = done(&home, &[&create[..], &["--dry-run"]].concat());
    assert!(dry.contains("    payload: 21 bytes, sha256 ") && !dry.contains("hunter2"), "{dry}");
    assert_eq!(queue.world().count("CreateQueueItem"), 0);
    let said = done(&home, &create);
    assert!(said.contains("rediacc:create queue") && !said.contains("hunter2"), "{said}");
    let sent =
        queue.world().seen.iter().find(|seen| seen.procedure == "CreateQueueItem").unwrap().body.clone();
    assert!(sent.to_string().contains("hunter2"), "{sent}");
    let journal = home.journal();
    assert!(journal.contains("sha256") && !journal.contains("hunter2"), "{journal}");
    // Standard input is read where it is named; without one there is nothing to send.
    let (code, _, err) = vigie(&home, &[&create[..8], &["-"]].concat());
    assert_eq!(code, 2);
    assert!(err.contains("standard input is empty"), "{err}");
}

#[test]
fn a_destructive_command_asks_and_is_refused_where_nobody_can_answer() {
    let (_runtime, queue, home) = with_queue(None);
    let text = done(&home, &["tasks", "-o", "json"]);
    let report: Value = serde_json::from_str(&text).unwrap();
    let deletable = |task: &&Value| task["actions"]["rediacc:delete"] == Value::Null;
    let id = report["tasks"].as_array().unwrap().iter().find(deletable).unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let csv = done(&home, &["tasks", "-o", "csv"]);
    assert!(!csv.lines().next().unwrap().contains("rediacc:"), "columns are for verbs alone: {csv}");
    let (code, _, err) = vigie(&home, &["do", "queue", "delete", &id]);
    assert_eq!(code, 1);
    assert!(err.contains("rediacc:delete of 1 target needs a confirmation"), "{err}");
    assert_eq!(queue.world().count("DeleteQueueItem"), 0);
    let said = done(&home, &["do", "queue", "rediacc:delete", &id, "--yes"]);
    assert!(said.contains(&format!("rediacc:delete queue/{id}")), "{said}");
    assert_eq!(queue.world().count("DeleteQueueItem"), 1);
}

#[test]
fn a_second_factor_is_asked_for_at_the_terminal_and_not_shown() {
    let (_runtime, queue, home) = with_queue(Some("271828"));
    let (code, out, err) = vigie(&home, &["endpoints", "test", "queue"]);
    assert_eq!(code, 3, "{out}{err}");
    assert!(err.contains("a second factor is needed") && err.contains("vigie endpoints test queue"), "{err}");
    let mut term = Term::vigie(&home, &["endpoints", "test", "queue"], 120, 60);
    term.wait_for("queue asks for the second factor (it is not shown): ");
    term.keys("271828\r");
    term.wait_line(&["health", "up"]);
    assert_eq!(term.end(), 0);
    term.assert_given_back();
    let raw = String::from_utf8(term.raw()).unwrap();
    assert!(!raw.contains("271828"), "{raw}");
    // The session is kept: nobody is asked again.
    let status = done(&home, &["endpoints", "test", "queue"]);
    assert!(status.contains("  queues      ") && status.contains(" pending, "), "{status}");
    assert_eq!(queue.world().refused, 0, "no token was used twice");
}

#[test]
fn a_token_is_used_only_after_its_caution_and_a_yes() {
    let (_runtime, queue, home) = with_queue(None);
    std::fs::remove_file(home.config()).unwrap();
    let token = queue.world().fresh_token();
    secret(&home, "token", &token);
    let file = format!("token=file:{}", home.config().parent().unwrap().join("token").display());
    let add = ["endpoints", "add", "queue", "--kind", "rediacc", "--url", &queue.url, "--auth", &file];
    let mut term = Term::vigie(&home, &add, 120, 60);
    term.wait_for("use a token that was made for vigie");
    term.wait_for("Use it now?");
    assert_eq!(queue.world().seen.len(), 0, "nothing was sent yet");
    term.keys("n\r");
    assert_eq!(term.end(), 1);
    assert_eq!(queue.world().seen.len(), 0);
    assert!(!home.config().exists());
    let said = done(&home, &[&add[..], &["--yes"]].concat());
    assert!(said.contains("health      up") && said.contains("queue is an endpoint now"), "{said}");
    assert_eq!(queue.world().count("ForkAuthenticationRequest"), 1);
    // What was forked by the probe goes on.
    done(&home, &["tasks", "--endpoint", "queue"]);
    assert_eq!(queue.world().count("ForkAuthenticationRequest"), 1);
    assert_eq!(queue.world().refused, 0);
}

#[test]
fn two_processes_at_once_share_one_session_and_no_request_is_refused() {
    let (runtime, queue, home) = with_queue(None);
    secret(&home, "token", &queue.world().fresh_token());
    let text = format!(
        "[[endpoint]]\nname = \"queue\"\nkind = \"rediacc\"\nurl = \"{}\"\ntimeout = \"60s\"\n[endpoint.auth]\n\
         token = {{ file = \"token\" }}\n",
        queue.url
    );
    home.write(&home.config(), &text);
    let start = || {
        let mut command = Command::new(binary());
        command
            .args(["status", "-o", "json", "--timeout", "60s"])
            .env_clear()
            .envs(home.environment())
            .stdin(Stdio::null());
        command.stdout(Stdio::piped()).spawn().unwrap()
    };
    // The first call of all is held back: both are at it when it goes on.
    queue.close_gate();
    let mut children = vec![start(), start()];
    runtime.block_on(queue.called("ForkAuthenticationRequest", 1));
    children.push(start());
    queue.open_gate();
    for child in children {
        let output = child.wait_with_output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["endpoints"][0]["health"], "up", "{report}");
        assert_eq!(report["tasks"].as_array().unwrap().len(), 31);
    }
    let world = queue.world();
    assert_eq!((world.refused, world.concurrent), (0, 0), "{:?}", world.calls());
    assert_eq!(world.count("ForkAuthenticationRequest"), 1);
}
