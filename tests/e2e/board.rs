//! From a fresh home to triage: what a stranger meets.

use rustix::process::{Pid, Signal, kill_process};

use crate::term::{Home, Term, binary, free_port};

const BUILT_IN: [&str; 4] = ["audit-log-cleanup", "disk-space", "overdue-check", "self-backup"];

#[test]
fn a_fresh_home_shows_the_built_in_tasks_and_a_trigger_is_observed() {
    let home = Home::new();
    let mut term = Term::vigie(&home, &[], 100, 24);
    term.wait_for("1/1 endpoint up");
    term.keys("2");
    for task in BUILT_IN {
        term.wait_line(&["healthy", "local", task]);
    }
    term.only("self-backup", &["healthy", "self-backup"]);
    term.keys("t");
    home.wait_until_observed("trigger", "self-backup");
    // The log of the run, with what it printed.
    term.keys("L");
    term.wait_for("written and verified");
    term.keys("\x1b");
    // The run is among the runs.
    term.keys("4");
    term.wait_line(&["succeeded", "self-backup"]);
    term.quit_last();
    home.wait_until_quiet();
}

#[test]
fn a_task_added_to_the_file_appears_runs_and_can_be_cancelled() {
    let home = Home::new();
    let mut term = Term::vigie(&home, &[], 100, 24);
    term.wait_for("1/1 endpoint up");
    term.keys("2");
    term.wait_line(&["healthy", "self-backup"]);
    home.write(
        &home.tasks(),
        "[[task]]\nid = \"tick\"\nshell = \"echo tick\"\nevery = \"1s\"\n\n\
         [[task]]\nid = \"long\"\nshell = \"echo begun; sleep 600\"\npriority = 1\n",
    );
    term.wait_for("tick");
    term.keys("4");
    term.wait_line(&["succeeded", "tick"]);
    term.only("long", &["long"]);
    term.keys("t");
    term.wait_line(&["running", "long"]);
    term.keys("x");
    term.wait_for("cancel");
    // The key that asked is not the key that answers.
    term.keys("x");
    term.keys("y");
    home.wait_until_observed("cancel", "long");
    term.quit_last();
}

#[test]
fn a_killed_coordinator_is_replaced() {
    let home = Home::new();
    let mut term = Term::vigie(&home, &[], 100, 24);
    term.wait_line(&["healthy", "self-backup"]);
    let killed = home.coordinator().unwrap();
    kill_process(killed, Signal::KILL).unwrap();
    term.wait_for("started another");
    term.wait_line(&["healthy ", "self-backup"]);
    assert_ne!(home.coordinator(), Some(killed));
    term.quit_last();
}

/// `vigie serve` on `port` of this machine.
fn serve(home: &Home, port: u16) -> std::process::Child {
    let mut command = std::process::Command::new(binary());
    command.args(["serve", "--listen", &port.to_string()]).env_clear().envs(home.environment());
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap()
}

#[test]
fn a_killed_endpoint_is_stale_at_once_and_its_recovery_is_seen() {
    let home = Home::new();
    let port = free_port();
    let mut coordinator = serve(&home, port);
    let script = home.path().join("token.sh");
    home.write(&script, "sed 's/.*\"token\":\"//; s/\".*//' ~/.local/share/vigie/coordinator.json\n");
    home.write(
        &home.config(),
        &format!(
            "[[endpoint]]\nname = \"ops\"\nkind = \"vigie\"\nurl = \"http://127.0.0.1:{port}\"\n\
             [endpoint.auth]\ntoken = {{ command = [\"sh\", \"{}\"] }}\n",
            script.display()
        ),
    );
    let mut term = Term::vigie(&home, &[], 100, 24);
    term.wait_line(&["healthy ", "ops", "self-backup"]);
    coordinator.kill().unwrap();
    coordinator.wait().unwrap();
    term.wait_line(&["healthy~", "ops", "self-backup"]);
    term.wait_for("0/1 endpoint up");
    let mut coordinator = serve(&home, port);
    // The token is another now: it is read again from its source.
    term.wait_line(&["healthy ", "ops", "self-backup"]);
    term.keys("q");
    assert_eq!(term.end(), 0, "nothing stops with this console, so it does not ask");
    kill_process(Pid::from_child(&coordinator), Signal::TERM).unwrap();
    assert_eq!(coordinator.wait().unwrap().code(), Some(0));
    home.wait_until_quiet();
}

#[test]
fn a_second_console_attaches_and_takes_over() {
    let home = Home::new();
    let mut first = Term::vigie(&home, &["--screen", "tasks"], 100, 24);
    first.wait_line(&["healthy", "self-backup"]);
    let coordinator = home.coordinator();
    let mut second = Term::vigie(&home, &["--screen", "tasks"], 80, 24);
    second.wait_line(&["healthy", "self-backup"]);
    assert_eq!(home.coordinator(), coordinator, "one coordinator for both");
    // The second console's quitting stops nothing, so it does not ask.
    second.keys("q");
    assert_eq!(second.end(), 0);
    first.quit_last();
    home.wait_until_quiet();
}

#[test]
fn a_filter_narrows_as_it_is_typed_and_esc_clears_it() {
    let home = Home::new();
    let mut term = Term::vigie(&home, &["--screen", "tasks"], 80, 24);
    term.wait_line(&["healthy", "self-backup"]);
    term.keys("/disk");
    term.wait_gone("self-backup");
    term.wait_for("disk-space");
    term.keys("\x1b");
    term.wait_for("self-backup");
    term.quit_last();
}
