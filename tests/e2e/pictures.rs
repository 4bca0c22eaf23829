//! The pictures of `screenshots/`, drawn from the real binary: this machine's
//! coordinator, a duplistatus stand-in that is behind its schedule, and a
//! coordinator elsewhere that has just died. They are rendered on every test
//! run; `VIGIE_PICTURES=1` writes them.

use std::path::Path;
use std::process::{Command, Stdio};

use chrono::{TimeDelta, Utc};
use rustix::process::Signal;

use crate::stand_ins::duplistatus::StandIn;
use crate::term::{Home, Term, binary, free_port};

const TASKS: &str = r#"
[limits.team]
data = 1

[[task]]
id = "nightly-dump"
description = "the shop's database, to the backup disk"
shell = "sleep 600"
schedule = "30 3 * * *"
zone = "Europe/Paris"
priority = 2
team = "data"

[[task]]
id = "reindex-search"
shell = "sleep 600"
schedule = "0 5 * * 0"
team = "data"

[[task]]
id = "restart-webserver"
shell = "until [ -e $HOME/go ]; do sleep 0.1; done"
priority = 1
team = "web"

# Takes another while each time, and fails once.
[[task]]
id = "sync-repository"
shell = "cd; n=$(($(cat n || echo 0) + 1)); echo $n >n; echo fetched $((n * 214)) objects; sleep 0.$((n * 7 % 5)); [ $n != 4 ] && echo done"
every = "2s"
team = "web"
max_runtime = "30s"

[[task]]
id = "certificate-check"
shell = "echo shop.example: expired yesterday; exit 1"
schedule = "0 6 * * *"
zone = "Europe/Paris"
priority = 1
team = "web"

[[task]]
id = "push-metrics"
shell = "echo connection timed out; exit 7"
schedule = "15 * * * *"
retry = { count = 3, delay = "10m" }
team = "web"

[[task]]
id = "report-monthly"
schedule = "0 4 1 * *"
command = ["true"]
priority = 4
team = "data"
"#;

const EDGE_TASKS: &str = r#"
[[task]]
id = "log-rotate"
command = ["true"]
every = "5s"
start_window = "1s"
lateness_window = "2s"

[[task]]
id = "sync-clock"
command = ["true"]
schedule = "0 * * * *"
"#;

/// Whether the pictures are to be written.
fn wanted() -> bool {
    std::env::var_os("VIGIE_PICTURES").is_some()
}

/// Keeps what is on the screen as `screenshots/NAME.svg`.
pub fn keep(name: &str, term: &Term, theme: &str) {
    let svg = term.svg(theme);
    assert!(svg.starts_with("<svg") && svg.matches("<text").count() > 20, "{name} is no picture: {svg}");
    if wanted() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.svg")), svg).unwrap();
    }
}

/// A coordinator elsewhere, until it is killed.
struct Edge {
    home: Home,
    port: u16,
    process: std::process::Child,
}

impl Edge {
    fn start() -> Self {
        let (home, port) = (Home::new(), free_port());
        home.write(&home.tasks(), EDGE_TASKS);
        let mut command = Command::new(binary());
        command.args(["serve", "--listen", &format!("127.0.0.1:{port}")]).env_clear();
        command.envs(home.environment()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().unwrap();
        Self { home, port, process }
    }

    fn token(&self) -> String {
        let path = self.home.data().join("coordinator.json");
        loop {
            let file = std::fs::read_to_string(&path).ok();
            let file = file.and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok());
            if let Some(token) = file.as_ref().and_then(|file| file["token"].as_str()) {
                return token.to_owned();
            }
            std::thread::park_timeout(std::time::Duration::from_millis(10));
        }
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A home with three endpoints.
fn home(backups: &StandIn, edge: &Edge) -> Home {
    let home = Home::new();
    home.write(&home.tasks(), TASKS);
    let config = format!(
        r#"
[[endpoint]]
name = "local"
kind = "vigie"

[[endpoint]]
name = "backups"
kind = "duplistatus"
url = "{}"
poll = "1s"

[[endpoint]]
name = "edge"
kind = "vigie"
url = "http://127.0.0.1:{}"
poll = "1s"
[endpoint.auth]
token = {{ env = "EDGE_TOKEN" }}
"#,
        backups.url, edge.port,
    );
    home.write(&home.config(), &config);
    home
}

/// How many tasks are on the screen: between titles and message.
fn rows(screen: &vt100::Screen) -> usize {
    let (height, _) = screen.size();
    let lines = screen.contents();
    lines.lines().skip(2).take(usize::from(height.get()) - 4).filter(|line| !line.trim().is_empty()).count()
}

/// Filters for `word`, and waits for the cursor on `task`.
fn find(term: &mut Term, word: &str, task: &str) {
    term.keys(&format!("/{word}\r"));
    term.wait_line(&["▌", task]);
    term.wait("it alone", |screen| rows(screen) == 1);
}

/// Takes the filter away.
fn everything(term: &mut Term) {
    term.keys("\x1b");
    term.wait("all rows", |screen| rows(screen) > 15);
}

/// Presses `key` on `task`, and waits for its row to have `words`.
fn press(term: &mut Term, task: &str, key: &str, words: &str) {
    find(term, task, task);
    term.keys(key);
    term.wait_line(&[words, task]);
    everything(term);
}

/// The fleet with something of everything.
fn stage(term: &mut Term, home: &Home) {
    term.wait_line(&["local", "report-monthly"]);
    term.wait_line(&["backups", "overdue-backup-check"]);
    term.wait_line(&["edge", "log-rotate"]);
    press(term, "restart-webserver", "t", "► running");
    press(term, "certificate-check", "t", "✗ failing");
    press(term, "push-metrics", "t", "⋯ queued");
    press(term, "nightly-dump", "t", "► running");
    press(term, "reindex-search", "t", "⋯ queued");
    press(term, "report-monthly", "P", "‖ paused");
    if wanted() {
        // Long enough for the next run's gauge to be on its way.
        term.wait_line(&["► running", "restart-webserver", " 15s "]);
    }
    home.write(Path::new("go"), "");
    find(term, "restart-webserver", "restart-webserver");
    term.wait_line(&["✓ healthy", "restart-webserver"]);
    std::fs::remove_file(home.path().join("go")).unwrap();
    term.keys("t");
    term.wait_line(&["► running", "restart-webserver"]);
    everything(term);
}

/// Gives the terminal another height, and waits until the footer stands at its end.
fn resized(term: &Term, height: u16) {
    term.resize(112, height);
    term.wait("the footer at the new height", |screen| {
        let text = screen.contents();
        let last = text.lines().nth(usize::from(height) - 1);
        last.is_some_and(|line| line.contains("palette"))
    });
}

#[test]
fn pictures() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let backups = runtime.block_on(StandIn::start());
    {
        let mut inner = backups.inner();
        inner.clock = Utc::now() - TimeDelta::minutes(7);
        inner.fire();
    }
    let edge = Edge::start();
    let home = home(&backups, &edge);
    let extra = [("EDGE_TOKEN", edge.token()), ("COLORTERM", "truecolor".to_owned())];
    let extra = extra.each_ref().map(|(name, value)| (*name, value.as_str()));
    let mut term = Term::start(&home, binary(), &["--screen", "tasks"], &extra, 112, 26);
    stage(&mut term, &home);
    let light = ["--screen", "tasks", "--theme", "vigie-light"];
    let mut second = Term::start(&home, binary(), &light, &extra, 112, 26);
    second.wait_line(&["edge", "log-rotate"]);
    drop(edge);
    term.wait_line(&["late!", "log-rotate"]);
    term.keys("g");
    term.wait_line(&["▌", "failing"]);
    keep("tasks", &term, "vigie-dark");

    resized(&term, 34);
    term.keys("1");
    term.wait_for("ENDED");
    keep("board", &term, "vigie-dark");

    second.wait_line(&["late!", "log-rotate"]);
    keep("light", &second, "vigie-light");
    second.keys("q");
    assert_eq!(second.end(), 0);

    term.keys("2");
    term.wait_for("STATE");
    resized(&term, 26);
    find(&mut term, "sync-repo", "sync-repository");
    term.keys("\r");
    term.wait_for("history");
    term.keys("l");
    term.wait_for("p95");
    keep("detail", &term, "vigie-dark");
    term.keys("\x1b");
    term.wait_gone("p95");
    everything(&mut term);

    term.keys("//nightly|reindex|overdue-backup|certificate/\r");
    term.wait("them alone", |screen| rows(screen) == 4);
    term.keys("*");
    term.keys("x");
    term.wait_for("POST");
    keep("confirm", &term, "vigie-dark");
    term.keys("n");
    term.wait_gone("POST");

    term.keys("?");
    term.wait_for("start a run now");
    keep("help", &term, "vigie-dark");
    term.keys("\x1b");
    term.wait_gone("start a run now");
    // Whether it is the last console is known only once the second has been missed: no question then.
    term.signal(Signal::TERM);
    assert_eq!(term.end(), 143);
    home.wait_until_quiet();
}
