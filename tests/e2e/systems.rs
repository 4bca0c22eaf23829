//! All three systems at once: one table, one status, and each of them for itself.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use chrono::{DateTime, Utc};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::pictures::keep;
use crate::stand_ins::duplistatus::{self, CHECK, CLEANUP};
use crate::stand_ins::duplistatus_web::{self, Web};
use crate::stand_ins::rediacc;
use crate::stand_ins::rediacc::books::{Item, VAULT};
use crate::stand_ins::{duty_duck, lively};
use crate::term::{Home, Term, binary, patient};
use crate::three::{Places, configuration};

/// What every token of the stand-in for Rediacc has in it.
const TOKEN_MARK: &str = "-70ke-4n00-";

/// A system on a runtime of its own: whatever serves it ends with it.
pub(crate) struct Alone<T> {
    pub(crate) system: T,
    _runtime: Runtime,
}

pub(crate) fn alone<T>(start: impl Future<Output = T>) -> Alone<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let system = runtime.block_on(start);
    Alone { system, _runtime: runtime }
}

/// The three, and a home that is configured for them.
struct Three {
    home: Home,
    backups: Option<Alone<(duplistatus::StandIn, Web)>>,
    duck: Option<Alone<duty_duck::StandIn>>,
    queue: Option<Alone<rediacc::StandIn>>,
    now: DateTime<Utc>,
    _secrets: TempDir,
}

impl Three {
    fn new() -> Self {
        let now = Utc::now();
        let (backups, duck, queue) =
            (alone(lively::backups(now)), alone(duty_duck::StandIn::start()), alone(lively::queue(now)));
        let home = Home::new();
        let secrets = tempfile::tempdir().unwrap();
        let places = Places {
            cron: backups.system.0.url.clone(),
            web: backups.system.1.url.clone(),
            duck: duck.system.url.clone(),
            queue: queue.system.url.clone(),
            token: queue.system.world().fresh_token(),
        };
        let text = configuration(&places, secrets.path());
        // One of the secrets comes from the environment.
        let in_file = format!("password = {{ file = {:?} }}", secrets.path().join("duplistatus"));
        assert!(text.contains(&in_file), "{text}");
        let text = text.replace(&in_file, "password = { env = \"BACKUPS\" }");
        // A busy machine is no dead endpoint.
        home.write(&home.config(), &text.replace("poll = ", "timeout = \"60s\"\npoll = "));
        Self { home, backups: Some(backups), duck: Some(duck), queue: Some(queue), now, _secrets: secrets }
    }

    fn vigie(&self, args: &[&str]) -> Output {
        Command::new(binary())
            .args(patient(args))
            .env_clear()
            .envs(self.home.environment())
            .env("BACKUPS", duplistatus_web::PASSWORD)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// What `vigie … -o json` prints, and its exit code.
    fn json(&self, args: &[&str]) -> (Value, i32) {
        let output = self.vigie(&[args, &["-o", "json"]].concat());
        let shown = String::from_utf8(output.stdout).unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let json = serde_json::from_str(&shown).unwrap_or_else(|e| panic!("{e}: {shown}{said}"));
        (json, output.status.code().unwrap())
    }

    fn items(&self) -> Vec<Item> {
        self.queue.as_ref().unwrap().system.world().data.items.clone()
    }

    /// Every task of the seeds with the state that it has there.
    fn tasks(&self) -> BTreeMap<(String, String), String> {
        let mut tasks = BTreeMap::new();
        let mut put = |endpoint: &str, id: &str, state: &str| {
            tasks.insert((endpoint.to_owned(), id.to_owned()), state.to_owned());
        };
        if let Some(backups) = &self.backups {
            put("backups", CHECK, "healthy");
            put("backups", CLEANUP, "paused");
            for job in &backups.system.1.inner().jobs {
                let state = match job.name {
                    "Config" => "failing",
                    "New" => "unknown",
                    "System" => "absent",
                    _ => "healthy",
                };
                put("backups", &format!("{}/{}", job.server, job.name), state);
            }
        }
        if let Some(duck) = &self.duck {
            let inner = duck.system.inner();
            for task in &inner.tasks {
                put("duck", &task.id, &task.status);
            }
            for monitor in &inner.monitors {
                let state = match monitor.status.as_str() {
                    "up" => "healthy",
                    "inactive" => "paused",
                    _ => "failing",
                };
                put("duck", &monitor.id, state);
            }
        }
        if self.queue.is_some() {
            for item in self.items() {
                let state = match item.status.as_str() {
                    "PENDING" if is_given_up(&item) => "failing",
                    "PENDING" => "queued",
                    "COMPLETED" => "healthy",
                    "FAILED" => "failing",
                    "CANCELLED" => "archived",
                    _ => "running",
                };
                put("queue", &item.id, state);
            }
        }
        tasks
    }

    /// Every problem of the seeds: endpoint, task, kind.
    fn alerts(&self) -> BTreeSet<(String, String, String)> {
        let mut alerts = BTreeSet::new();
        let mut put = |endpoint: &str, task: &str, kind: &str| {
            alerts.insert((endpoint.to_owned(), task.to_owned(), kind.to_owned()));
        };
        for job in &self.backups.as_ref().unwrap().system.1.inner().jobs {
            match job.name {
                "Config" => put("backups", &format!("{}/Config", job.server), "failed"),
                "System" => put("backups", &format!("{}/System", job.server), "absent"),
                _ => {}
            }
        }
        let duck = self.duck.as_ref().unwrap().system.inner();
        put("duck", &duck.id_of("hourly-sync"), "absent");
        put("duck", &duck.id_of("report"), "failed");
        put("duck", &duck.id_of("https://api.example/"), "failed");
        for item in self.items() {
            match item.status.as_str() {
                "PENDING" if is_given_up(&item) => put("queue", &item.id, "retries-exhausted"),
                "PENDING" if item.waits_too_long(self.now) => put("queue", "", "queue-stalled"),
                "FAILED" if item.permanent => put("queue", &item.id, "retries-exhausted"),
                "FAILED" => put("queue", &item.id, "failed"),
                _ if item.is_stale(self.now, 10) => put("queue", &item.id, "dead"),
                _ => {}
            }
        }
        alerts
    }
}

fn is_given_up(item: &Item) -> bool {
    item.status == "PENDING" && item.retries >= 3 && item.reason.is_some()
}

fn told(report: &Value) -> BTreeMap<(String, String), String> {
    let text = |task: &Value, name: &str| task[name].as_str().unwrap_or_default().to_owned();
    let rows = report["tasks"].as_array().unwrap();
    rows.iter().map(|task| ((text(task, "endpoint"), text(task, "id")), text(task, "state"))).collect()
}

fn health(report: &Value) -> BTreeMap<String, String> {
    let endpoints = report["endpoints"].as_array().unwrap().iter();
    endpoints
        .map(|e| (e["name"].as_str().unwrap().to_owned(), e["health"].as_str().unwrap().to_owned()))
        .collect()
}

#[test]
fn the_status_tells_every_task_queue_run_and_alert_of_all_three() {
    let three = Three::new();
    let (report, code) = three.json(&["status"]);
    let up = ["backups", "duck", "queue"].map(|name| (name.to_owned(), "up".to_owned()));
    assert_eq!(health(&report), BTreeMap::from(up), "{}", report["endpoints"]);
    assert_eq!((report["worst"].as_str(), code), (Some("critical"), 2));
    assert_eq!(told(&report), three.tasks());
    // Nothing is stale, nothing is kept back: as fresh as the answers.
    for task in report["tasks"].as_array().unwrap() {
        assert_eq!(task["evidence"], "fresh", "{task}");
    }
    let alerts: BTreeSet<(String, String, String)> = report["alerts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|alert| {
            let text = |name: &str| alert[name].as_str().unwrap_or_default().to_owned();
            (text("endpoint"), text("task"), text("kind"))
        })
        .collect();
    assert_eq!(alerts, three.alerts());
    queues_are_those_of_the_seeds(&three, &report);
    let (runs, code) = three.json(&["runs", "--limit", "500"]);
    assert_eq!(code, 0);
    runs_are_those_of_the_seeds(&three, &runs);
}

fn queues_are_those_of_the_seeds(three: &Three, report: &Value) {
    let items = three.items();
    let queues = report["queues"].as_array().unwrap();
    assert_eq!(queues.len(), 3, "one for each team: {queues:?}");
    for queue in queues {
        let name = queue["name"].as_str().unwrap();
        let of_team = || items.iter().filter(|item| item.team == name);
        let waits = || of_team().filter(|item| item.status == "PENDING");
        assert_eq!(queue["endpoint"], "queue");
        assert_eq!(queue["depth"], waits().count(), "{queue}");
        assert_eq!(queue["running"], of_team().filter(|item| item.is_at_work()).count(), "{queue}");
        for level in 1..=5_u8 {
            let of_level = waits().filter(|item| item.priority == Some(level)).count();
            assert_eq!(queue["by_priority"][usize::from(level) - 1], of_level, "{queue}");
        }
    }
}

fn runs_are_those_of_the_seeds(three: &Three, runs: &Value) {
    let runs = runs["runs"].as_array().unwrap();
    let of = |endpoint: &str, id: &str| {
        let found = runs.iter().find(|run| run["endpoint"] == endpoint && run["id"] == id);
        found.unwrap_or_else(|| panic!("no run {endpoint}/{id} in {runs:?}"))
    };
    for run in &three.duck.as_ref().unwrap().system.inner().runs {
        let told = of("duck", &run.id);
        let state = if run.status == "finished" { "succeeded" } else { &run.status };
        assert_eq!(told["state"], state, "{told}");
        assert_eq!(told["exit_code"].as_i64(), run.exit_code, "{told}");
        assert_eq!(told["message"].as_str(), run.error.as_deref(), "{told}");
    }
    for item in three.items() {
        let told = of("queue", &item.id);
        let state = match item.status.as_str() {
            "PENDING" => "queued",
            "COMPLETED" => "succeeded",
            "FAILED" => "failed",
            "CANCELLED" => "aborted",
            _ => "running",
        };
        assert_eq!(
            (told["state"].as_str(), told["attempt"].as_u64()),
            (Some(state), Some(item.retries.into()))
        );
    }
}

#[test]
fn killing_any_of_them_leaves_the_other_two_live() {
    for dead in ["backups", "duck", "queue"] {
        let mut three = Three::new();
        match dead {
            "backups" => three.backups = None,
            "duck" => three.duck = None,
            _ => three.queue = None,
        }
        let (report, code) = three.json(&["status"]);
        for (name, health) in health(&report) {
            assert_eq!(health, if name == dead { "down" } else { "up" }, "{}", report["endpoints"]);
        }
        assert_eq!((report["worst"].as_str(), code), (Some("unknown"), 3), "{dead}");
        assert_eq!(told(&report), three.tasks(), "{dead}");
    }
}

#[test]
fn the_console_shows_and_drives_all_three_in_one_table() {
    let mut three = Three::new();
    let env = [("BACKUPS", duplistatus_web::PASSWORD)];
    let mut term = Term::start(&three.home, binary(), &["--screen", "tasks"], &env, 140, 60);
    for (endpoint, task) in [("backups", CHECK), ("duck", "import"), ("queue", "prod-01")] {
        term.wait_line(&[endpoint, task]);
    }
    term.wait_for("3/3 endpoints up");
    // A task of duplistatus is paused.
    term.only(CHECK, &["backups", "healthy"]);
    term.keys("P");
    three.home.wait_until_observed("pause", CHECK);
    // A run that Duty Duck records is cancelled.
    term.only("endpoint:duck import", &["import", "running"]);
    term.keys("x");
    term.wait_for("cancel");
    term.keys("y");
    let import = three.duck.as_ref().unwrap().system.inner().id_of("import");
    three.home.wait_until_observed("cancel", &import);
    assert_eq!(three.duck.as_ref().unwrap().system.inner().runs.last().unwrap().status, "aborted");
    // Of Rediacc's items one that waits is cancelled, and one that has failed is tried again.
    let (waits, failed) = {
        let items = three.items();
        let of = |fits: &dyn Fn(&Item) -> bool| items.iter().find(|item| fits(item)).unwrap().id.clone();
        (of(&|item| item.status == "PENDING"), of(&|item| item.status == "FAILED"))
    };
    term.only(&waits[..8], &["queue", "queued"]);
    term.keys("x");
    term.wait_for("cancel");
    term.keys("y");
    three.home.wait_until_observed("cancel", &waits);
    term.only(&failed[..8], &["queue", "failing"]);
    term.keys("r");
    three.home.wait_until_observed("retry", &failed);
    let statuses: Vec<String> = [&waits, &failed]
        .map(|id| three.items().into_iter().find(|item| item.id == **id).unwrap().status)
        .to_vec();
    assert_eq!(statuses, ["CANCELLED", "PENDING"]);
    // One of them dies: its rows age, and those of the others do not.
    term.keys("\x1b");
    three.duck = None;
    term.wait_for("2/3 endpoints up");
    term.wait_line(&["healthy~", "duck", "import"]);
    term.keys("q");
    assert_eq!(term.end(), 0);
    nothing_secret_is_left(&three, &term);
}

/// The pictures of the three systems; see [`crate::pictures`].
#[test]
fn pictures_of_all_three() {
    let three = Three::new();
    let env = [("BACKUPS", duplistatus_web::PASSWORD), ("COLORTERM", "truecolor")];
    let mut term = Term::start(&three.home, binary(), &["--screen", "tasks"], &env, 112, 30);
    term.wait_for("3/3 endpoints up");
    for (endpoint, task) in [("backups", "Config"), ("duck", "import"), ("queue", "prod-01")] {
        term.wait_line(&[endpoint, task]);
    }
    keep("systems", &term, "vigie-dark");
    let running = three.items().into_iter().find(|item| item.status == "PROCESSING").unwrap().id;
    term.only(&running[..8], &["queue", "running"]);
    term.keys("\rll");
    term.wait_line(&["status", "PROCESSING"]);
    keep("trace", &term, "vigie-dark");
    term.keys("q");
    assert_eq!(term.end(), 0);
}

fn nothing_secret_is_left(three: &Three, term: &Term) {
    let secrets = [duplistatus_web::PASSWORD, duty_duck::SECRET_KEY, VAULT, TOKEN_MARK];
    let screen = String::from_utf8_lossy(&term.raw()).into_owned();
    for secret in secrets {
        assert!(!screen.contains(secret), "{secret} is on the screen");
    }
    let files = files(three.home.path());
    assert!(files.len() > 2, "it has kept a journal and a session: {files:?}");
    let mut sessions = 0;
    for file in files {
        let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        for secret in secrets {
            if !text.contains(secret) {
                continue;
            }
            let mode = std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
            assert_eq!((secret, mode), (TOKEN_MARK, 0o600), "{}", file.display());
            sessions += 1;
        }
    }
    assert_eq!(sessions, 1, "only the session that is kept has a token");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else if entry.file_type().unwrap().is_file() {
            found.push(entry.path());
        }
    }
    found
}
