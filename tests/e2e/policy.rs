//! The policy of an endpoint: applied by the real `vigie serve`, and by nothing else.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use chrono::Utc;
use serde_json::Value;

use crate::stand_ins::rediacc::StandIn;
use crate::term::{Home, binary};

const RETRY: &str = "RetryFailedQueueItem";

fn vigie(home: &Home, args: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(args).env_clear().envs(home.environment()).current_dir(home.path()).stdin(Stdio::null());
    command
}

async fn output(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// A running `vigie serve`; killed if a test fails.
struct Served(Child);

impl Served {
    /// With data of its own; state and configuration are the home's.
    fn start(home: &Home, name: &str) -> Self {
        let log = File::create(home.path().join(name)).unwrap();
        let data = format!("data-of-{name}");
        let mut command = vigie(home, &["serve", "--listen", "127.0.0.1:0", "--data", &data]);
        Self(command.stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    async fn end(mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        until("serve ends", || self.0.try_wait().unwrap().is_some()).await;
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // One that has ended is not there any more.
        self.0.kill().unwrap_or_default();
        self.0.wait().ok();
    }
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..3_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("not within 60 s: {what}");
}

fn log(home: &Home, name: &str) -> String {
    std::fs::read_to_string(home.path().join(name)).unwrap()
}

/// What vigie decided by itself, from the journal.
fn automatic(home: &Home) -> Vec<String> {
    let text = log(home, ".local/state/vigie/journal.jsonl");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter_map(|line| Some(line["intent"]["by"].as_str()?.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_running_serve_retries_what_failed_once_for_each_failure_and_journals_it() {
    let server = StandIn::start().await;
    let (token, id) = {
        let mut world = server.world();
        world.clock = Utc::now();
        let at = world.clock;
        let id = world.data.put(0, 3, at);
        world.data.fail(&id, "rsync exited with 23", at);
        (world.fresh_token(), id)
    };
    let home = Home::new();
    let path = home.path().join("token");
    home.write(&path, &token);
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let config = format!(
        "[[endpoint]]\nname = \"rq\"\nkind = \"rediacc\"\nurl = {:?}\npoll = \"1s\"\ntimeout = \"60s\"\n\
         [endpoint.auth]\ntoken = {{ file = {:?} }}\n\
         [endpoint.options]\npolicy = true\nretry = {{ count = 1, delay = \"1s\" }}\n",
        server.url, path,
    );
    home.write(&home.config(), &config);
    // A command reads it, and leaves it alone.
    let status = output(vigie(&home, &["status", "-o", "json", "--timeout", "60s"])).await;
    let report: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(report["tasks"][0]["state"], "failing", "{report}");
    assert_eq!(server.world().count(RETRY), 0);

    let first = Served::start(&home, "first.log");
    until("the first applies it", || log(&home, "first.log").contains("its policy is applied here")).await;
    let second = Served::start(&home, "second.log");
    until("the second stands by", || log(&home, "second.log").contains("this one stands by")).await;
    until("the item is tried again", || server.world().count(RETRY) == 1).await;
    assert_eq!(
        server.world().seen.iter().rev().find(|seen| seen.procedure == RETRY).unwrap().body["taskId"],
        id
    );
    {
        let mut world = server.world();
        let at = world.clock;
        world.data.assign(&id, at);
        world.data.fail(&id, "rsync exited with 23", at);
    }
    until("it is given up", || log(&home, "first.log").contains("failed for good after 1 automatic retry"))
        .await;
    first.end().await;
    assert_eq!(server.world().count(RETRY), 1);
    assert_eq!(automatic(&home), ["policy of rq: retry 1 of 1"]);
    second.end().await;
}
