//! Commands on other machines, through a real ssh and a real sshd.

pub(crate) mod sshd;

use std::fs;
use std::sync::Arc;

use reqwest::StatusCode;
use serde_json::{Value, json};
use vigie::coordinator::SystemClock;

use super::{Home, PATIENCE, Served, text};
use sshd::Sshd;

/// A coordinator by the real clock: pauses pass.
fn home(tasks: &str) -> Home {
    let mut home = Home::new(tasks);
    home.clock = Arc::new(SystemClock);
    home
}

/// A task with one line of shell.
fn task(id: &str, machine: &str, line: &str, more: &str) -> String {
    format!("[[task]]\nid = {id:?}\nmachine = {machine:?}\nshell = {}\n{more}\n", json!(line))
}

async fn log(served: &Served, run: &str) -> String {
    text(&served.read(&format!("/runs/{run}/log")).await["text"])
}

async fn machine(served: &Served, name: &str) -> Value {
    let all = served.read("/machines").await;
    let found = all["machines"].as_array().unwrap().iter().find(|machine| machine["name"] == name);
    found.unwrap_or_else(|| panic!("{name} in {all}")).clone()
}

/// Waits for something that no change tells of.
async fn until(mut what: impl AsyncFnMut() -> bool) {
    let story = async {
        while !what().await {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, story).await.expect("what was waited for never came");
}

#[tokio::test]
async fn environment_folder_output_and_exit_code_are_exact() {
    let Some(sshd) = Sshd::start() else { return };
    let folder = sshd.path("it's a\tfolder");
    fs::create_dir(&folder).unwrap();
    let nasty = "line one\nit's \"two\" $HOME `id` \\ é😀 *";
    let home = home(&format!(
        "{}\n[[task]]\nid = \"env\"\nmachine = \"db-1\"\ncommand = [\"sh\", \"-c\", \"printf '%s|' \\\"$NASTY\\\" \\\"$1\\\" \\\"$(pwd)\\\" $VIGIE_TASK $VIGIE_ATTEMPT\", \"sh\", {}]\nenv = {{ NASTY = {} }}\ncwd = {}\n{}{}{}{}",
        sshd.machine("db-1", ""),
        json!(nasty),
        json!(nasty),
        json!(folder),
        task("seven", "db-1", "echo out; echo err >&2; exit 7", ""),
        task("own-255", "db-1", "echo mine; exit 255", ""),
        task("killed", "db-1", "kill -KILL $$", ""),
        task("big", "db-1", "head -c 3000000 /dev/zero | tr '\\0' x; echo end", ""),
    ));
    let served = home.serve().await;
    let run = served.start_run("env").await;
    let ended = served.until_run(&run, "succeeded").await;
    assert_eq!((&ended["exit_code"], &ended["machine"]), (&json!(0), &json!("db-1")));
    let expected = format!("{nasty}|{nasty}|{}|env|0|", folder.canonicalize().unwrap().display());
    assert_eq!(log(&served, &run).await, expected);
    assert_eq!(served.read("/tasks/env").await["machine"], "db-1");

    for (id, code, output) in [("seven", 7, "out\nerr\n"), ("own-255", 255, "mine\n"), ("killed", 137, "")] {
        let run = served.start_run(id).await;
        let ended = served.until_run(&run, "failed").await;
        assert_eq!(ended["exit_code"], code, "{ended}");
        assert_eq!(log(&served, &run).await, output);
        assert!(text(&ended["message"]).starts_with(&format!("exit code {code}")), "{ended}");
    }
    let run = served.start_run("big").await;
    served.until_run(&run, "succeeded").await;
    let whole = served.read(&format!("/runs/{run}/log?offset=2999000")).await;
    assert_eq!(
        (text(&whole["text"]).as_str(), &whole["next_offset"]),
        (format!("{}end\n", "x".repeat(1000)).as_str(), &json!(3_000_004))
    );
    served.stop().await;
}

#[tokio::test]
async fn what_is_secret_is_on_no_command_line() {
    let Some(sshd) = Sshd::start() else { return };
    let go = sshd.path("go");
    let home = home(&format!(
        "{}{}",
        sshd.machine("db-1", ""),
        task(
            "a",
            "db-1",
            &format!(
                "echo ready; until [ -e {} ]; do sleep 0.05; done; test -n \"$PGPASSWORD\"",
                go.display()
            ),
            "env = { PGPASSWORD = \"hunter2-of-this-test\" }"
        )
    ));
    let served = home.serve().await;
    let run = served.start_run("a").await;
    until(async || log(&served, &run).await == "ready\n").await;
    let lines: Vec<String> = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "))
        .collect();
    assert!(lines.iter().any(|line| line.contains("exec /bin/sh -s")), "the client is there to be seen");
    assert!(!lines.iter().any(|line| line.contains("hunter2-of-this-test")));
    fs::write(go, "").unwrap();
    served.until_run(&run, "succeeded").await;
    served.stop().await;
}

#[tokio::test]
async fn cancelling_a_remote_run_ends_its_process_group() {
    let Some(sshd) = Sshd::start() else { return };
    let pids = sshd.path("pids");
    // The first process goes at once; its child ignores what it is told.
    let line = format!(
        "(trap '' TERM; echo $$ > {0}.new; mv {0}.new {0}; while :; do sleep 1; done) & wait",
        pids.display()
    );
    let home =
        home(&format!("{}{}", sshd.machine("db-1", ""), task("a", "db-1", &line, "kill_grace = \"500ms\"")));
    let served = home.serve().await;
    let run = served.start_run("a").await;
    until(async || pids.exists()).await;
    let cancelled = served.post(&format!("/api/v1/runs/{run}/cancel")).send().await.unwrap();
    assert_eq!(cancelled.status(), StatusCode::OK);
    let ended = served.until_run(&run, "aborted").await;
    assert_eq!(ended["message"], "cancelled by local");
    let group = fs::read_to_string(&pids).unwrap().trim().to_owned();
    until(async || !group_lives(&group)).await;
    served.stop().await;
}

/// Whether any process of a group does something yet.
fn group_lives(group: &str) -> bool {
    fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { return false };
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        fields[2] == group && fields[0] != "Z"
    })
}

#[tokio::test]
async fn a_machine_that_can_not_be_reached_says_why_and_holds_up_only_its_own() {
    let Some(sshd) = Sshd::start() else { return };
    let machines = ["refused", "changed", "new", "db-1"].map(|name| sshd.machine(name, "")).concat();
    let unknown = sshd.machine("unknown", "host = \"no-such-host.invalid\"");
    let tasks = ["refused", "changed", "new", "unknown", "db-1"]
        .map(|name| task(&format!("on-{name}"), name, "echo there", ""))
        .concat();
    let home = home(&format!("{machines}{unknown}{tasks}"));
    let served = home.serve().await;
    let mut waiting = Vec::new();
    for (name, words) in [
        ("refused", "does sshd run there"),
        ("changed", "ssh-keygen -R changed"),
        ("new", "accept-new"),
        ("unknown", "ssh knows no such host"),
    ] {
        let run = served.start_run(&format!("on-{name}")).await;
        until(async || machine(&served, name).await["health"] == "unreachable").await;
        let told = machine(&served, name).await;
        assert!(text(&told["error"]).contains(words), "{told}");
        assert_eq!((&told["depth"], &told["running"]), (&json!(1), &json!(0)));
        let task = served.read(&format!("/tasks/on-{name}")).await;
        assert!(text(&task["remarks"][0]).contains(words), "{task}");
        let run = served.read(&format!("/runs/{run}")).await;
        assert_eq!((&run["state"], &run["attempt"]), (&json!("queued"), &json!(0)));
        waiting.push(run);
    }
    let run = served.start_run("on-db-1").await;
    served.until_run(&run, "succeeded").await;
    assert_eq!(machine(&served, "db-1").await["health"], "reachable");
    assert_eq!(machine(&served, "local").await["health"], "reachable");
    // Once its key may be written down, what waited starts by itself.
    home.write_tasks(&format!(
        "{machines}{unknown}{tasks}",
        machines = machines.replace("[machine.new]\n", "[machine.new]\nknown_hosts = \"accept-new\"\n")
    ));
    served.until_run(&text(&waiting[2]["id"]), "succeeded").await;
    assert!(!fs::read_to_string(sshd.path("no_hosts")).unwrap().is_empty());
    served.stop().await;
}

#[tokio::test]
async fn a_run_whose_connection_is_cut_goes_on_there_and_tells_how_it_ended() {
    let Some(sshd) = Sshd::start() else { return };
    let go = sshd.path("go");
    let line =
        format!("echo ready; until [ -e {} ]; do sleep 0.05; done; echo unheard; exit 9", go.display());
    let home = home(&format!("{}{}", sshd.machine("db-1", ""), task("a", "db-1", &line, "")));
    let served = home.serve().await;
    let run = served.start_run("a").await;
    until(async || log(&served, &run).await == "ready\n").await;
    sshd.cut();
    until(async || {
        let run = served.read(&format!("/runs/{run}")).await;
        let task = served.read("/tasks/a").await;
        assert_eq!(run["state"], "running", "{run}");
        task["active_runs"][0]["message"]
            .as_str()
            .is_some_and(|message| message.contains("it still runs there"))
    })
    .await;
    fs::write(go, "").unwrap();
    let ended = served.until_run(&run, "failed").await;
    assert_eq!(ended["exit_code"], 9);
    assert!(text(&ended["message"]).contains("the connection to db-1 was lost"), "{ended}");
    served.stop().await;
}

#[tokio::test]
async fn a_run_that_is_killed_with_its_connection_is_dead() {
    let Some(sshd) = Sshd::start() else { return };
    let pid = sshd.path("pid");
    let line = format!("echo $$ > {0}.new; mv {0}.new {0}; echo ready; exec sleep 600", pid.display());
    let home = home(&format!("{}{}", sshd.machine("db-1", ""), task("a", "db-1", &line, "")));
    let served = home.serve().await;
    let run = served.start_run("a").await;
    until(async || log(&served, &run).await == "ready\n").await;
    // As when the machine goes down: the shell beside it, and then everything.
    let leader = fs::read_to_string(&pid).unwrap().trim().to_owned();
    let record = fs::read_to_string(sshd.path(&format!("state/vigie/runs/{run}-0.pid"))).unwrap();
    let shell = record.split_whitespace().nth(3).unwrap().to_owned();
    for pid in [shell, leader] {
        std::process::Command::new("kill").args(["-KILL", &pid]).status().unwrap();
    }
    sshd.cut();
    let ended = served.until_run(&run, "dead").await;
    assert!(text(&ended["message"]).contains("nobody knows how it ended"), "{ended}");
    served.stop().await;
}

#[tokio::test]
async fn a_remote_run_outlives_the_coordinator() {
    let Some(sshd) = Sshd::start() else { return };
    let go = sshd.path("go");
    let line = format!("echo ready; until [ -e {} ]; do sleep 0.05; done; echo done; exit 4", go.display());
    let home = home(&format!("{}{}", sshd.machine("db-1", ""), task("a", "db-1", &line, "")));
    let served = home.serve().await;
    let run = served.start_run("a").await;
    until(async || log(&served, &run).await == "ready\n").await;
    served.stop().await;
    let served = home.serve().await;
    assert_eq!(served.read(&format!("/runs/{run}")).await["state"], "running");
    fs::write(go, "").unwrap();
    let ended = served.until_run(&run, "failed").await;
    assert_eq!(ended["exit_code"], 4);
    assert_eq!(log(&served, &run).await, "ready\ndone\n");
    served.stop().await;
}

#[tokio::test]
async fn each_machine_has_its_limit_and_all_runs_share_one_connection() {
    let Some(sshd) = Sshd::start() else { return };
    let go = sshd.path("go");
    let line = format!("echo ready; until [ -e {} ]; do sleep 0.05; done", go.display());
    let home = home(&format!(
        "{}{}{}{}{}",
        sshd.machine("db-1", "limit = 1"),
        sshd.machine("db-2", "limit = 2"),
        task("a", "db-1", &line, ""),
        task("b", "db-1", &line, ""),
        task("c", "db-2", &line, "overlap = \"allow\""),
    ));
    let served = home.serve().await;
    let (a, b) = (served.start_run("a").await, served.start_run("b").await);
    let c = [served.start_run("c").await, served.start_run("c").await];
    for run in [&a, &c[0], &c[1]] {
        until(async || log(&served, run).await == "ready\n").await;
    }
    assert_eq!(served.read(&format!("/runs/{b}")).await["state"], "queued");
    let told = machine(&served, "db-1").await;
    assert_eq!((&told["limit"], &told["running"], &told["depth"]), (&json!(1), &json!(1), &json!(1)));
    assert_eq!(told["by_priority"], json!([0, 0, 1, 0, 0]));
    assert_eq!(told["oldest_by_priority"][2], told["oldest_pending"]);
    assert_eq!(machine(&served, "db-2").await["running"], 2);
    let queues = served.read("/queues").await;
    assert_eq!(queues["queues"][0]["oldest_by_priority"][2], queues["queues"][0]["oldest_pending"]);
    // One connection for each machine, whatever runs there.
    let connections = sshd.connections().len();
    assert!((2..=4).contains(&connections), "{connections} processes for two connections");
    fs::write(go, "").unwrap();
    for run in [&a, &b, &c[0], &c[1]] {
        served.until_run(run, "succeeded").await;
    }
    assert_eq!(sshd.connections().len(), connections);
    served.stop().await;
}

#[tokio::test]
async fn a_machine_that_takes_no_more_sessions_is_connected_to_anew() {
    let Some(sshd) = Sshd::with("MaxSessions 1") else { return };
    let go = sshd.path("go");
    let line = format!("echo ready; until [ -e {} ]; do sleep 0.05; done", go.display());
    let home =
        home(&format!("{}{}", sshd.machine("db-1", ""), task("a", "db-1", &line, "overlap = \"allow\"")));
    let served = home.serve().await;
    let runs = [served.start_run("a").await, served.start_run("a").await];
    for run in &runs {
        until(async || log(&served, run).await.ends_with("ready\n")).await;
    }
    fs::write(go, "").unwrap();
    for run in &runs {
        served.until_run(run, "succeeded").await;
    }
    served.stop().await;
}
