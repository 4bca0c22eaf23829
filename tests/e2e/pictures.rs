//! The pictures of `screenshots/`, drawn from the real binary. They are
//! rendered on every test run; `VIGIE_PICTURES=1` writes them.

use std::path::Path;

use crate::term::{Home, Term};

const TASKS: &str = r#"
[[task]]
id = "nightly-dump"
description = "the shop's database, to the backup disk"
shell = "sleep 600"
every = "1d"
priority = 2
team = "data"

[[task]]
id = "sync-repository"
shell = "echo fetched 214 objects; sleep 0.2; echo done"
every = "2s"
team = "web"
max_runtime = "30s"

[[task]]
id = "certificate-check"
shell = "echo shop.example: expired; exit 1"
schedule = "0 6 * * *"
zone = "Europe/Paris"
priority = 1
team = "web"

[[task]]
id = "report-monthly"
schedule = "0 4 1 * *"
command = ["true"]
priority = 4
team = "data"
"#;

fn keep(name: &str, svg: &str) {
    assert!(svg.starts_with("<svg") && svg.matches("<tspan").count() > 20, "{name} is no picture: {svg}");
    if std::env::var_os("VIGIE_PICTURES").is_some() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.svg")), svg).unwrap();
    }
}

/// Filters for `word`, and waits for the cursor on `task`.
fn find(term: &mut Term, word: &str, task: &str) {
    term.keys(&format!("/{word}\r"));
    term.wait_line(&["▌", task]);
    term.wait("it alone", |screen| screen.contents().matches(" local ").count() == 1);
}

/// Takes the filter away.
fn everything(term: &mut Term) {
    term.keys("\x1b");
    term.wait_for("report-monthly");
}

#[test]
fn pictures() {
    let home = Home::new();
    home.write(&home.tasks(), TASKS);
    let mut term = Term::vigie(&home, &["--screen", "tasks"], 110, 24);
    term.wait_line(&["local", "report-monthly"]);
    find(&mut term, "certificate", "certificate-check");
    term.keys("t");
    term.wait_line(&["failing", "certificate-check"]);
    everything(&mut term);
    find(&mut term, "nightly", "nightly-dump");
    term.keys("t");
    term.wait_line(&["running", "nightly-dump"]);
    everything(&mut term);
    find(&mut term, "monthly", "report-monthly");
    term.keys("P");
    term.wait_line(&["paused", "report-monthly"]);
    everything(&mut term);
    term.keys("g");
    term.wait_line(&["healthy", "disk-space"]);
    keep("tasks", &term.svg());

    term.keys("1");
    term.wait_for("ALERTS");
    keep("board", &term.svg());

    term.keys("2");
    find(&mut term, "sync", "sync-repository");
    term.keys("\r");
    term.wait_for("history");
    term.keys("l");
    term.wait_for("p95");
    keep("detail", &term.svg());
    term.keys("\x1b");
    term.wait_gone("p95");
    everything(&mut term);

    find(&mut term, "nightly", "nightly-dump");
    term.keys("x");
    term.wait_for("POST");
    keep("confirm", &term.svg());
    term.keys("n");
    term.wait_gone("POST");

    term.keys("?");
    term.wait_for("start a run now");
    keep("help", &term.svg());
    term.keys("\x1b");
    term.wait_gone("start a run now");
    term.quit_last();
}
