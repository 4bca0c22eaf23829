//! Runs outlive the coordinator: the real program, really killed.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use reqwest::Client;
use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};
use serde_json::Value;
use tempfile::TempDir;
use vigie::coordinator::read_announcement;
use vigie::wire::CoordinatorFile;

use crate::coordinator::machines::sshd::Sshd;

/// Longer than anything here takes: only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until it is so.
async fn until<T>(what: &str, mut seen: impl AsyncFnMut() -> Option<T>) -> T {
    let story = async {
        loop {
            if let Some(found) = seen().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, story).await.unwrap_or_else(|_| panic!("never came: {what}"))
}

fn pid(value: &Value) -> Pid {
    Pid::from_raw(i32::try_from(value.as_i64().unwrap()).unwrap()).unwrap()
}

/// Whether anything of a group still does something.
fn is_alive(group: Pid) -> bool {
    if test_kill_process_group(group).is_err() {
        return false;
    }
    let members = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let (state, of) = (fields.next()?.to_owned(), fields.nth(1)?.parse::<i32>().ok()?);
        (of == group.as_raw_nonzero().get()).then_some(state)
    });
    members.into_iter().any(|state| state != "Z" && state != "X")
}

/// A home with a data directory and tasks, and coordinators on it one after another.
struct Home {
    dir: TempDir,
}

impl Home {
    /// `@` in the tasks stands for the home.
    fn new(tasks: &str) -> Self {
        let home = Self { dir: TempDir::new().unwrap() };
        let tasks = tasks.replace('@', &home.dir.path().display().to_string());
        std::fs::write(home.path("tasks.toml"), tasks).unwrap();
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn data(&self) -> PathBuf {
        self.path("data")
    }

    async fn serve(&self) -> Coordinator {
        let child = Command::new(env!("CARGO_BIN_EXE_vigie"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(self.data())
            .arg("--tasks")
            .arg(self.path("tasks.toml"))
            .env("HOME", self.dir.path())
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("XDG_STATE_HOME", self.path("state"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let file = until("the coordinator", async || {
            read_announcement(&self.data()).filter(|file| file.pid == child.id())
        })
        .await;
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Coordinator { child, file, client }
    }

    fn folder(&self, run: &str) -> PathBuf {
        self.data().join("runs").join(format!("{run}.0"))
    }

    /// Waits for what a supervisor records.
    async fn record(&self, run: &str, name: &str) -> Value {
        let path = self.folder(run).join(name);
        until(name, async || serde_json::from_slice(&std::fs::read(&path).ok()?).ok()).await
    }

    async fn supervisor(&self, run: &str) -> Pid {
        pid(&self.record(run, "claim").await["supervisor"]["pid"])
    }

    async fn command(&self, run: &str) -> Pid {
        pid(&self.record(run, "started").await["command"]["pid"])
    }

    async fn file(&self, name: &str) -> String {
        let path = self.path(name);
        until(name, async || std::fs::read_to_string(&path).ok().filter(|text| text.ends_with('\n'))).await
    }

    fn open_gate(&self) {
        std::fs::write(self.path("gate"), "").unwrap();
    }

    /// As if the machine had been started anew since.
    fn reboot(&self) {
        let disk = rusqlite::Connection::open(self.data().join("coordinator.db")).unwrap();
        assert_eq!(disk.execute("UPDATE meta SET value = 'another' WHERE name = 'boot'", []).unwrap(), 1);
        for folder in std::fs::read_dir(self.data().join("runs")).unwrap() {
            for record in std::fs::read_dir(folder.unwrap().path()).unwrap() {
                let path = record.unwrap().path();
                let mut record: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
                for process in ["supervisor", "command"] {
                    if let Some(process) = record.get_mut(process) {
                        process["boot"] = "another".into();
                    }
                }
                std::fs::write(path, record.to_string()).unwrap();
            }
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        crate::stand_ins::leftovers::end(&self.data());
    }
}

/// A coordinator that runs, and is killed with the test.
struct Coordinator {
    child: Child,
    file: CoordinatorFile,
    client: Client,
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Coordinator {
    async fn call(&self, method: reqwest::Method, path: &str) -> Value {
        let url = format!("{}/api/v1{path}", self.file.url);
        let answer = self.client.request(method, url).bearer_auth(&self.file.token).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    async fn get(&self, path: &str) -> Value {
        self.call(reqwest::Method::GET, path).await
    }

    async fn trigger(&self, task: &str) -> String {
        let answer = self.call(reqwest::Method::POST, &format!("/tasks/{task}/runs")).await;
        answer["run"].as_str().unwrap().to_owned()
    }

    async fn cancel(&self, run: &str) {
        self.call(reqwest::Method::POST, &format!("/runs/{run}/cancel")).await;
    }

    async fn run(&self, id: &str) -> Value {
        self.get(&format!("/runs/{id}")).await
    }

    /// Waits until a run is in a state.
    async fn until(&self, id: &str, state: &str) -> Value {
        until(state, async || {
            let run = self.run(id).await;
            (run["state"] == state).then_some(run)
        })
        .await
    }

    async fn runs(&self, task: &str) -> usize {
        self.get(&format!("/runs?task={task}")).await["runs"].as_array().unwrap().len()
    }

    async fn log(&self, run: &str) -> String {
        self.get(&format!("/runs/{run}/log")).await["text"].as_str().unwrap().to_owned()
    }

    /// `kill -9`.
    fn kill(mut self) {
        self.child.kill().unwrap();
        assert_eq!(self.child.wait().unwrap().signal(), Some(9));
    }

    async fn terminate(mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        until("its end", async || self.child.try_wait().unwrap()).await
    }
}

const LONG: &str = r#"
[[task]]
id = "long"
shell = "echo once >> @/count; echo one; until [ -e @/gate ]; do sleep 0.02; done; echo two; exit 7"
kill_grace = "200ms"
retry = { count = 3, delay = "0s", on = ["dead"] }
"#;

async fn it_went_on_and_ended(home: &Home, coordinator: &Coordinator, run: &str) {
    let ended = coordinator.until(run, "failed").await;
    assert_eq!((&ended["exit_code"], &ended["message"]), (&7.into(), &"exit code 7: two".into()));
    assert_eq!(coordinator.log(run).await, "one\ntwo\n", "the whole log is there");
    assert_eq!(home.file("count").await, "once\n", "it was carried out once");
    assert_eq!(coordinator.runs("long").await, 1);
    until("its folder goes", async || (!home.folder(run).exists()).then_some(())).await;
}

#[tokio::test]
async fn kill_9_of_the_coordinator_in_mid_run_loses_and_doubles_nothing() {
    let home = Home::new(LONG);
    let first = home.serve().await;
    let run = first.trigger("long").await;
    home.command(&run).await;
    first.kill();
    let second = home.serve().await;
    assert_eq!(second.run(&run).await["state"], "running");
    second.kill();
    let third = home.serve().await;
    home.open_gate();
    it_went_on_and_ended(&home, &third, &run).await;
}

/// The same run, on another machine. `None`: there is no sshd here.
fn far() -> Option<(Sshd, Home)> {
    let sshd = Sshd::start()?;
    let home = Home::new(&format!("{}{LONG}machine = \"db-1\"\n", sshd.machine("db-1", "")));
    Some((sshd, home))
}

#[tokio::test]
async fn kill_9_of_the_coordinator_leaves_a_remote_run_going_and_its_result_is_picked_up_once() {
    let Some((_sshd, home)) = far() else { return };
    let first = home.serve().await;
    let run = first.trigger("long").await;
    home.file("count").await;
    first.kill();
    let second = home.serve().await;
    assert_eq!(second.run(&run).await["state"], "running");
    second.kill();
    // It ends while nobody is there.
    home.open_gate();
    home.record(&run, "ended").await;
    let third = home.serve().await;
    it_went_on_and_ended(&home, &third, &run).await;
    third.kill();
    let fourth = home.serve().await;
    assert_eq!(fourth.run(&run).await["state"], "failed");
    assert_eq!(fourth.runs("long").await, 1);
}

#[tokio::test]
async fn a_remote_run_that_lost_its_coordinator_and_its_connection_is_found_again_where_it_was_started() {
    let Some((sshd, home)) = far() else { return };
    let first = home.serve().await;
    let run = first.trigger("long").await;
    home.file("count").await;
    first.kill();
    sshd.cut();
    home.record(&run, "ended").await;
    // Meanwhile its task was put on another machine.
    let tasks = std::fs::read_to_string(home.path("tasks.toml")).unwrap();
    let moved = tasks.replace("machine = \"db-1\"", "machine = \"db-2\"") + &sshd.machine("db-2", "");
    std::fs::write(home.path("tasks.toml"), moved).unwrap();
    let second = home.serve().await;
    let goes_on = async |coordinator: &Coordinator| {
        until("that it still runs there", async || {
            let run = coordinator.run(&run).await;
            run["message"].as_str().is_some_and(|said| said.contains("it still runs there")).then_some(())
        })
        .await;
    };
    goes_on(&second).await;
    // And the one that has found it is killed too.
    second.kill();
    let second = home.serve().await;
    goes_on(&second).await;
    home.open_gate();
    let ended = second.until(&run, "failed").await;
    assert_eq!((&ended["exit_code"], &ended["machine"]), (&7.into(), &"db-1".into()));
    assert_eq!(home.file("count").await, "once\n", "it was carried out once");
    assert_eq!(second.runs("long").await, 1);
}

#[tokio::test]
async fn a_run_that_ends_while_nobody_is_there_is_told_with_its_true_end() {
    let home = Home::new(LONG);
    let first = home.serve().await;
    let run = first.trigger("long").await;
    home.command(&run).await;
    first.kill();
    home.open_gate();
    let ended: String = home.record(&run, "ended").await["at"].as_str().unwrap().to_owned();
    let second = home.serve().await;
    let told = second.run(&run).await;
    assert_eq!(told["ended"].as_str().unwrap()[..19], ended[..19]);
    it_went_on_and_ended(&home, &second, &run).await;
}

#[tokio::test]
async fn a_run_is_ended_at_its_max_runtime_though_no_coordinator_is_there() {
    let home = Home::new(
        "[[task]]\nid = \"long\"\nshell = \"echo on; exec sleep 600\"\nmax_runtime = \"1s\"\nkill_grace = \"1s\"\n",
    );
    let first = home.serve().await;
    let run = first.trigger("long").await;
    home.record(&run, "claim").await;
    first.kill();
    // Its end, which is on disk before anybody asks for it.
    let at = home.record(&run, "ended").await["at"].as_str().unwrap().to_owned();
    let second = home.serve().await;
    let ended = second.until(&run, "aborted").await;
    assert_eq!(ended["message"], "over its max runtime of 1s");
    let time = |value: &Value| value.as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    let took = time(&ended["ended"]) - time(&ended["started"]);
    assert!(took >= chrono::TimeDelta::seconds(1), "{ended}");
    assert_eq!(time(&ended["ended"]), time(&Value::from(at)));
    let alerts = second.get("/alerts").await;
    let kinds: Vec<&Value> =
        alerts["alerts"].as_array().unwrap().iter().map(|alert| &alert["kind"]).collect();
    assert_eq!(kinds, ["overrun"], "{alerts}");
    let flips = second.get("/flips").await;
    let told: Vec<&Value> =
        flips["flips"].as_array().unwrap().iter().filter(|flip| flip["problem"] == "overrun").collect();
    assert_eq!(told.len(), 1, "{flips}");
    assert_eq!(time(&told[0]["computed"]) - time(&ended["started"]), chrono::TimeDelta::seconds(1));
}

#[tokio::test]
async fn sigterm_leaves_the_run_to_its_supervisor() {
    let home = Home::new(LONG);
    let first = home.serve().await;
    let run = first.trigger("long").await;
    let command = home.command(&run).await;
    assert!(first.terminate().await.success());
    assert!(is_alive(command));
    let second = home.serve().await;
    home.open_gate();
    it_went_on_and_ended(&home, &second, &run).await;
}

#[tokio::test]
async fn kill_9_of_the_supervisor_ends_the_run_and_says_what_is_known() {
    for both in [false, true] {
        let home = Home::new(&LONG.replace("count = 3", "count = 0"));
        let mut coordinator = home.serve().await;
        let run = coordinator.trigger("long").await;
        let (supervisor, command) = (home.supervisor(&run).await, home.command(&run).await);
        home.file("count").await;
        if both {
            coordinator.kill();
            kill_process(supervisor, Signal::KILL).unwrap();
            coordinator = home.serve().await;
        } else {
            kill_process(supervisor, Signal::KILL).unwrap();
        }
        let dead = coordinator.until(&run, "dead").await;
        let message = dead["message"].as_str().unwrap();
        assert!(message.starts_with("it started at 20"), "{message}");
        assert!(
            message
                .ends_with(", and its supervisor was killed while it ran, and what was left of it was ended")
        );
        assert!(!is_alive(command), "nothing runs that nobody watches");
        assert_eq!((home.file("count").await.as_str(), coordinator.runs("long").await), ("once\n", 1));
    }
}

#[tokio::test]
async fn after_a_reboot_what_started_is_dead_and_tried_again_only_where_that_is_wished() {
    let home = Home::new(LONG);
    let first = home.serve().await;
    let run = first.trigger("long").await;
    let (supervisor, command) = (home.supervisor(&run).await, home.command(&run).await);
    home.file("count").await;
    first.kill();
    kill_process(supervisor, Signal::KILL).unwrap();
    kill_process_group(command, Signal::KILL).unwrap();
    home.reboot();
    home.open_gate();
    let second = home.serve().await;
    // `retry.on` has `dead`: it certainly ran, and certainly does not any more.
    let again = second.until(&run, "failed").await;
    assert_eq!(again["attempt"], 1);
    assert_eq!(home.file("count").await, "once\nonce\n");
}

#[tokio::test]
async fn after_a_power_cut_a_run_whose_start_is_uncertain_may_have_run_and_is_not_started_again() {
    let home = Home::new(LONG);
    let first = home.serve().await;
    let run = first.trigger("long").await;
    let (supervisor, command) = (home.supervisor(&run).await, home.command(&run).await);
    home.file("count").await;
    first.kill();
    kill_process(supervisor, Signal::KILL).unwrap();
    kill_process_group(command, Signal::KILL).unwrap();
    home.reboot();
    // What was not flushed went with the power.
    std::fs::remove_dir_all(home.folder(&run)).unwrap();
    home.open_gate();
    let second = home.serve().await;
    let dead = second.run(&run).await;
    assert_eq!((&dead["state"], &dead["attempt"]), (&"dead".into(), &0.into()));
    let message = dead["message"].as_str().unwrap();
    assert!(message.ends_with("it may have run"), "{message}");
    assert_eq!((home.file("count").await.as_str(), second.runs("long").await), ("once\n", 1));
}

#[tokio::test]
async fn no_acknowledged_trigger_is_lost_or_doubled_however_soon_the_coordinator_is_killed() {
    let home = Home::new(
        "[[task]]\nid = \"a\"\nshell = \"echo $VIGIE_RUN >> @/count\"\noverlap = \"allow\"\n\
         concurrency = 2\n",
    );
    let mut acknowledged = Vec::new();
    for round in 0..6 {
        let coordinator = home.serve().await;
        for _ in 0..=round {
            acknowledged.push(coordinator.trigger("a").await);
        }
        coordinator.kill();
    }
    let coordinator = home.serve().await;
    for run in &acknowledged {
        coordinator.until(run, "succeeded").await;
    }
    let count = home.file("count").await;
    let mut carried_out: Vec<&str> = count.lines().collect();
    carried_out.sort_unstable();
    acknowledged.sort_unstable();
    assert_eq!(carried_out, acknowledged);
    assert_eq!(coordinator.runs("a").await, acknowledged.len());
}

#[tokio::test]
async fn nasty_commands_are_carried_out_and_ended_all_the_same() {
    let home = Home::new(NASTY);
    let coordinator = home.serve().await;
    for (task, state, message) in [
        ("utf8", "succeeded", "caf\u{fffd}\u{fffd} ok"),
        ("newline", "succeeded", "no newline"),
        ("closes", "failed", "exit code 3"),
        ("exec", "failed", "can't start \"/no/such/program\": "),
        ("cwd", "failed", "its cwd @/gone is not there"),
        ("env", "succeeded", "a=b c"),
        ("daemon", "succeeded", "left"),
        ("killer", "dead", "its supervisor was killed while it ran, and what was left of it was ended"),
        ("hangs-up", "succeeded", "still here"),
    ] {
        let run = coordinator.trigger(task).await;
        let ended = coordinator.until(&run, state).await;
        let message = message.replace('@', &home.dir.path().display().to_string());
        let told = ended["message"].as_str().unwrap();
        assert!(told.contains(&message), "{task}: {told}");
    }
    // A daemon has left its group and its session: it is nobody's run any more, and lives.
    let daemon: i32 = home.file("daemon").await.trim().parse().unwrap();
    let daemon = Pid::from_raw(daemon).unwrap();
    assert!(is_alive(daemon));
    kill_process_group(daemon, Signal::KILL).unwrap();
    // What ignores SIGTERM is killed after its grace, with its children.
    let run = coordinator.trigger("stubborn").await;
    let group = home.command(&run).await;
    home.file("ready").await;
    coordinator.cancel(&run).await;
    coordinator.until(&run, "aborted").await;
    assert!(!is_alive(group));
}

const NASTY: &str = r#"
[[task]]
id = "utf8"
shell = "printf 'caf\\377\\376 ok\\n'"
[[task]]
id = "newline"
shell = "printf 'no newline'"
[[task]]
id = "closes"
shell = "exec >&- 2>&-; exit 3"
[[task]]
id = "exec"
command = ["/no/such/program"]
[[task]]
id = "cwd"
shell = "true"
cwd = "@/gone"
[[task]]
id = "env"
shell = "echo \"a=$a\""
env = { a = "b c" }
[[task]]
id = "daemon"
shell = "(setsid sh -c 'echo $$ > @/daemon; exec sleep 600' > /dev/null 2>&1 &); until [ -s @/daemon ]; do sleep 0.02; done; echo left"
[[task]]
id = "killer"
shell = "kill -s KILL -- -$PPID; sleep 600"
kill_grace = "200ms"
[[task]]
id = "hangs-up"
shell = "kill -HUP $PPID; kill -PIPE $PPID; echo still here"
[[task]]
id = "stubborn"
shell = "trap '' TERM HUP INT; (trap '' TERM; sleep 600) & (sleep 600 & sleep 600) & echo yes > @/ready; while :; do sleep 600; done"
kill_grace = "200ms"
"#;

/// The most memory that a process ever had, in KiB.
fn most_memory(pid: Pid) -> u64 {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test]
async fn a_gibibyte_of_output_is_bounded_on_disk_and_in_memory() {
    let home = Home::new(
        "[[task]]\nid = \"much\"\nshell = \"head -c 1073741824 /dev/zero; echo; echo the end; echo > @/said; \
         until [ -e @/gate ]; do sleep 0.02; done\"\n",
    );
    let coordinator = home.serve().await;
    let run = coordinator.trigger("much").await;
    let supervisor = home.supervisor(&run).await;
    home.file("said").await;
    let most = most_memory(supervisor);
    assert!(most < 64 * 1024, "{most} KiB");
    home.open_gate();
    let ended = coordinator.until(&run, "succeeded").await;
    assert_eq!(ended["message"], "the end");
    let logs = home.data().join("logs").join("task-much");
    let kept: u64 =
        std::fs::read_dir(logs).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(kept <= 1024 * 1024 + 100, "{kept}");
}
