//! A stand-in for Duty Duck (`develop` of February 2025, with a switch for
//! what later versions add), traps included: page 0 closes the connection,
//! totals of empty pages lie, PATCH erases, a toggle turns whatever there is,
//! incidents name keys twice, and one failing task freezes the detection.

mod http;
mod json;

use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The token that is let in.
pub const TOKEN_ID: &str = "888699a5-f73f-4ff5-9339-9d1c473082ff";
/// Its key.
pub const SECRET_KEY: &str = "feedfacefeedfacefeedfacefeedfacefeedfacefeedfacefeedfacefeedface";
/// The token's user.
pub const USER: &str = "22222222-2222-4222-8222-222222222222";

/// A task, in its own words.
#[derive(Debug, Clone)]
pub struct Task {
    pub id: String,
    pub user_id: String,
    pub name: String,
    pub description: Option<String>,
    pub status: String,
    pub previous: Option<String>,
    pub changed: DateTime<Utc>,
    pub cron: Option<String>,
    pub zone: Option<String>,
    pub next_due: Option<DateTime<Utc>>,
    /// The distance of due times, in seconds: cron texts are not computed here.
    pub every: i64,
    pub windows: (i64, i64),
    pub heartbeat: i64,
    pub created: DateTime<Utc>,
    pub labels: Vec<(&'static str, &'static str)>,
}

/// A run of a task.
#[derive(Debug, Clone)]
pub struct Run {
    pub id: String,
    pub task: String,
    pub status: String,
    pub started: DateTime<Utc>,
    pub completed: Option<DateTime<Utc>>,
    pub exit_code: Option<i64>,
    pub error: Option<String>,
    pub beat: Option<DateTime<Utc>>,
    pub logs: Vec<String>,
}

/// Why an incident began.
#[derive(Debug, Clone)]
pub enum Cause {
    /// Late, then absent.
    Scheduled { due: DateTime<Utc>, late: DateTime<Utc>, absent: Option<DateTime<Utc>> },
    /// A run failed or died.
    Run { run: String, started: DateTime<Utc>, finished: DateTime<Utc>, status: String },
    /// A monitor is down.
    Monitor { kind: &'static str, code: Option<i64> },
}

/// An incident.
#[derive(Debug, Clone)]
pub struct Incident {
    pub id: String,
    /// The UUID of the task or monitor.
    pub source: String,
    /// The id that people use; `None` for a monitor.
    pub user_id: Option<String>,
    pub created: DateTime<Utc>,
    pub resolved: Option<DateTime<Utc>>,
    pub priority: &'static str,
    pub cause: Cause,
    pub acknowledged: bool,
    /// Type, payload, and whether the user did it.
    pub events: Vec<(DateTime<Utc>, String, serde_json::Value, bool)>,
}

/// An HTTP monitor.
#[derive(Debug, Clone)]
pub struct Monitor {
    pub id: String,
    pub url: String,
    pub status: String,
    pub changed: DateTime<Utc>,
    pub last_ping: Option<DateTime<Utc>>,
    pub next_ping: Option<DateTime<Utc>>,
    pub code: Option<i64>,
    pub error_kind: &'static str,
    pub counter: i64,
}

/// What a test may turn.
#[derive(Debug, Clone)]
pub struct Switches {
    /// Starts fail with an empty 500, as on the real `develop`.
    pub start_fails: bool,
    /// A toggle acts, and its answer is lost.
    pub toggle_loses_answer: bool,
    /// Somebody else toggles right after.
    pub toggled_back: bool,
    /// A toggle waits until it is let through.
    pub holds_toggle: bool,
    /// Runs have logs, as later versions keep them.
    pub keeps_logs: bool,
    /// The token may read about itself.
    pub tells_scopes: bool,
    /// These paths answer with this status and an empty body.
    pub broken: Vec<(&'static str, u16)>,
    /// These paths never answer.
    pub stalled: Vec<&'static str>,
    /// A task that is created when the second page is asked for.
    pub grows: bool,
    /// The last row of every page is missing.
    pub loses_last_row: bool,
}

/// What a test may turn and look at.
pub struct Inner {
    pub tasks: Vec<Task>,
    pub runs: Vec<Run>,
    pub incidents: Vec<Incident>,
    pub monitors: Vec<Monitor>,
    /// The server's clock; `None`: the real one.
    pub clock: Option<DateTime<Utc>>,
    /// Empty: all.
    pub scopes: Vec<&'static str>,
    pub roles: Vec<&'static str>,
    pub token_expires: DateTime<Utc>,
    /// What is let in; changed when a token is replaced.
    pub secret_key: String,
    pub switches: Switches,
    /// Requests as `POST /path?query`, in order.
    pub requests: Vec<String>,
    /// Their bodies.
    pub bodies: Vec<String>,
    made: u32,
}

#[expect(clippy::disallowed_methods, reason = "the clock of a server of its own")]
fn real_now() -> DateTime<Utc> {
    Utc::now()
}

impl Inner {
    fn empty() -> Self {
        Self {
            tasks: Vec::new(),
            runs: Vec::new(),
            incidents: Vec::new(),
            monitors: Vec::new(),
            clock: None,
            scopes: Vec::new(),
            roles: vec!["Administrator"],
            token_expires: "2099-06-01T00:00:00Z".parse().unwrap(),
            secret_key: SECRET_KEY.to_owned(),
            switches: Switches {
                start_fails: false,
                toggle_loses_answer: false,
                toggled_back: false,
                holds_toggle: false,
                keeps_logs: false,
                tells_scopes: true,
                broken: Vec::new(),
                stalled: Vec::new(),
                grows: false,
                loses_last_row: false,
            },
            requests: Vec::new(),
            bodies: Vec::new(),
            made: 0,
        }
    }

    /// By the server's clock.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.unwrap_or_else(real_now)
    }

    /// The next UUID.
    fn uuid(&mut self) -> String {
        self.made += 1;
        format!("{:08x}-cc4b-459c-8d99-{:012x}", self.made, self.made)
    }

    /// A task that has never run.
    pub fn add(&mut self, user_id: &str, cron: Option<&str>) -> &mut Task {
        let now = self.now();
        let every = 86_400;
        let task = Task {
            id: self.uuid(),
            user_id: user_id.to_owned(),
            name: user_id.replace('-', " "),
            description: None,
            status: "healthy".to_owned(),
            previous: None,
            changed: now,
            cron: cron.map(ToOwned::to_owned),
            zone: None,
            next_due: cron.map(|_| now + TimeDelta::seconds(every)),
            every,
            windows: (120, 240),
            heartbeat: 30,
            created: now + TimeDelta::microseconds(i64::from(self.made)),
            labels: Vec::new(),
        };
        self.tasks.push(task);
        self.tasks.last_mut().unwrap()
    }

    /// A monitor.
    pub fn watch(&mut self, url: &str, status: &str) -> &mut Monitor {
        let now = self.now();
        let monitor = Monitor {
            id: self.uuid(),
            url: url.to_owned(),
            status: status.to_owned(),
            changed: now,
            last_ping: (status != "inactive").then_some(now),
            next_ping: (status != "inactive").then(|| now + TimeDelta::seconds(60)),
            code: (status == "up").then_some(200),
            error_kind: if status == "up" || status == "inactive" { "none" } else { "timeout" },
            counter: 1,
        };
        self.monitors.push(monitor);
        self.monitors.last_mut().unwrap()
    }

    /// The task of that id, in either form; archived ones only by UUID.
    pub fn find(&mut self, id: &str) -> Option<&mut Task> {
        let by = |task: &&mut Task| task.id == id || (task.user_id == id && task.status != "archived");
        self.tasks.iter_mut().find(by)
    }

    /// The UUID of the task or monitor that people call so.
    pub fn id_of(&self, name: &str) -> String {
        let task = self.tasks.iter().find(|task| task.user_id == name).map(|task| task.id.clone());
        task.or_else(|| self.monitors.iter().find(|m| m.url == name).map(|m| m.id.clone())).unwrap()
    }

    fn change(&mut self, id: &str, status: &str) {
        let now = self.now();
        let task = self.find(id).unwrap();
        task.previous = Some(std::mem::replace(&mut task.status, status.to_owned()));
        task.changed = now;
        if matches!(status, "running" | "healthy" | "failing") && task.cron.is_some() {
            task.next_due = Some(now + TimeDelta::seconds(task.every));
        }
    }

    /// Records that a run has begun.
    pub fn start(&mut self, id: &str) {
        let now = self.now();
        let task = self.find(id).unwrap().id.clone();
        let run = Run {
            id: self.uuid(),
            task: task.clone(),
            status: "running".to_owned(),
            started: now,
            completed: None,
            exit_code: None,
            error: None,
            beat: Some(now),
            logs: vec!["starting".to_owned(), "10 of 20".to_owned()],
        };
        self.runs.push(run);
        self.resolve(&task);
        self.change(&task, "running");
    }

    /// Records how the run in progress ended, and opens an incident where it ended badly.
    pub fn finish(&mut self, id: &str, status: &str, exit_code: Option<i64>, error: Option<&str>) {
        let now = self.now();
        let task = self.find(id).unwrap().clone();
        let run = self.runs.iter_mut().rfind(|run| run.task == task.id && run.status == "running").unwrap();
        run.status = status.to_owned();
        run.exit_code = exit_code;
        run.error = error.map(ToOwned::to_owned);
        run.completed = Some(now);
        if status != "dead" {
            run.beat = None;
        }
        let run = run.clone();
        let bad = matches!(status, "failed" | "dead");
        if bad {
            let cause = Cause::Run {
                run: run.id,
                started: run.started,
                finished: now + TimeDelta::nanoseconds(393),
                status: status.to_owned(),
            };
            let kind = if status == "dead" { "taskrunisdead" } else { "taskrunfailed" };
            self.open(&task.id, Some(&task.user_id), cause, kind);
        }
        self.change(&task.id, if bad { "failing" } else { "healthy" });
    }

    /// Opens an incident.
    pub fn open(&mut self, source: &str, user_id: Option<&str>, cause: Cause, event: &str) -> String {
        let now = self.now();
        let id = self.uuid();
        let events = ["creation", event].map(|kind| (now, kind.to_owned(), serde_json::Value::Null, false));
        self.incidents.push(Incident {
            id: id.clone(),
            source: source.to_owned(),
            user_id: user_id.map(ToOwned::to_owned),
            created: now,
            resolved: None,
            priority: "major",
            cause,
            acknowledged: false,
            events: events.to_vec(),
        });
        id
    }

    /// Ends the incidents of a task or monitor.
    pub fn resolve(&mut self, source: &str) {
        let now = self.now();
        for incident in self.incidents.iter_mut().filter(|i| i.source == source && i.resolved.is_none()) {
            incident.resolved = Some(now);
            incident.events.push((now, "resolution".to_owned(), serde_json::Value::Null, false));
        }
    }

    /// One round of the collectors. The first of them fails as a whole on a
    /// failing task whose due time has come, and those after it have nothing to do.
    pub fn collect(&mut self) {
        let now = self.now();
        let silent: Vec<String> = self
            .runs
            .iter()
            .filter(|run| run.status == "running")
            .filter(|run| {
                let heartbeat = self.tasks.iter().find(|task| task.id == run.task).unwrap().heartbeat;
                run.beat.is_some_and(|beat| beat + TimeDelta::seconds(heartbeat) < now)
            })
            .map(|run| run.task.clone())
            .collect();
        for task in silent {
            self.finish(&task, "dead", None, None);
        }
        let is_due = |task: &&Task| task.next_due.is_some_and(|due| due <= now);
        if self.tasks.iter().filter(is_due).any(|task| task.status == "failing") {
            return;
        }
        for task in self.tasks.clone().iter().filter(is_due) {
            let due = task.next_due.unwrap();
            let late = due + TimeDelta::seconds(task.windows.0);
            let absent = late + TimeDelta::seconds(task.windows.1);
            match task.status.as_str() {
                "healthy" => self.change_quietly(&task.id, "due"),
                "due" if late <= now => {
                    self.change_quietly(&task.id, "late");
                    let late = now + TimeDelta::nanoseconds(714);
                    let cause = Cause::Scheduled { due, late, absent: None };
                    self.open(&task.id, Some(&task.user_id), cause, "taskswitchedtolate");
                }
                "late" if absent <= now => {
                    self.change_quietly(&task.id, "absent");
                    let open =
                        self.incidents.iter_mut().find(|i| i.source == task.id && i.resolved.is_none());
                    if let Some(Incident { cause: Cause::Scheduled { absent, .. }, .. }) = open {
                        *absent = Some(now);
                    }
                }
                _ => {}
            }
        }
    }

    fn change_quietly(&mut self, id: &str, status: &str) {
        let due = self.find(id).unwrap().next_due;
        self.change(id, status);
        self.find(id).unwrap().next_due = due;
    }

    /// A little of everything: every status of tasks and monitors, runs, incidents.
    pub fn seed(&mut self) {
        let real = self.now();
        let hours = |n| real - TimeDelta::hours(n);
        self.clock = Some(hours(3));
        let nightly = self.add("nightly-db-dump", Some("0 3 * * *"));
        nightly.name = "Nightly DB dump".to_owned();
        nightly.description = Some("pg_dump".to_owned());
        nightly.zone = Some("Europe/Paris".to_owned());
        nightly.labels = vec![("env", "prod")];
        self.add("report", Some("0 6 * * 2-6"));
        self.add("import", None);
        self.add("old-export", Some("0 4 * * *"));
        self.change("old-export", "archived");
        self.start("report");
        self.add("hourly-sync", Some("0 * * * *")).every = 3_600;
        self.clock = Some(hours(2));
        self.finish("report", "failed", Some(3), Some("disk full"));
        let sync = self.find("hourly-sync").unwrap();
        sync.next_due = Some(hours(2));
        for minutes in [0, 3, 8] {
            self.clock = Some(hours(2) + TimeDelta::minutes(minutes));
            self.collect();
        }
        self.clock = Some(real - TimeDelta::minutes(1));
        self.start("import");
        self.find("import").unwrap().heartbeat = 3_600;
        self.watch("https://shop.example/health", "up");
        self.watch("https://old.example/", "inactive");
        let down = self.watch("https://api.example/", "down").id.clone();
        self.open(&down, None, Cause::Monitor { kind: "httpcode", code: Some(503) }, "monitorswitchedtodown");
        self.clock = None;
    }
}

#[derive(Clone)]
struct App {
    inner: Arc<Mutex<Inner>>,
    asked: watch::Sender<usize>,
    /// Whether held toggles may go on.
    open: watch::Sender<bool>,
}

impl App {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }
}

/// The server; ends when dropped.
pub struct StandIn {
    pub url: String,
    app: App,
    _server: JoinSet<()>,
}

impl StandIn {
    /// With [`Inner::seed`] in it.
    pub async fn start() -> Self {
        let mut inner = Inner::empty();
        inner.seed();
        Self::with(inner).await
    }

    /// With nothing in it, at `clock`.
    pub async fn empty(clock: &str) -> Self {
        let mut inner = Inner::empty();
        inner.clock = Some(clock.parse().unwrap());
        Self::with(inner).await
    }

    async fn with(inner: Inner) -> Self {
        let app = App {
            inner: Arc::new(Mutex::new(inner)),
            asked: watch::Sender::new(0),
            open: watch::Sender::new(false),
        };
        let router: Router = http::router(app.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self { url, app, _server: super::serve(listener, router) }
    }

    pub fn inner(&self) -> MutexGuard<'_, Inner> {
        self.app.inner()
    }

    /// Lets toggles through that [`Switches::holds_toggle`] holds.
    pub fn let_through(&self) {
        self.app.open.send_replace(true);
    }

    /// Waits until a request whose line begins with `line` has come.
    pub async fn asked(&self, line: &str) {
        let mut asked = self.app.asked.subscribe();
        while !self.inner().requests.iter().any(|request| request.starts_with(line)) {
            asked.changed().await.unwrap();
        }
    }

    /// The requests so far that are no reads.
    pub fn posts(&self) -> Vec<String> {
        self.inner().requests.iter().filter(|line| !line.starts_with("GET")).cloned().collect()
    }

    /// How many requests began so.
    pub fn count(&self, line: &str) -> usize {
        self.inner().requests.iter().filter(|request| request.starts_with(line)).count()
    }
}
