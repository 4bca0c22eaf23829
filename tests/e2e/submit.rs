//! Work that is submitted: from the command line and from the console's form.

use serde_json::Value;

use crate::term::{Home, Term, vigie};

/// The one run of the task that is called so.
fn run_of(home: &Home, name: &str) -> Value {
    let (code, out, err) = vigie(home, &["tasks", "-o", "json", "--filter", name]);
    assert_eq!(code, 0, "{err}");
    let told: Value = serde_json::from_str(&out).unwrap();
    let tasks = told["tasks"].as_array().unwrap();
    assert_eq!(tasks.len(), 1, "{told:#}");
    tasks[0].clone()
}

#[test]
fn submit_runs_a_command_once_and_waits_for_its_end() {
    let home = Home::new();
    let mark = home.path().join("a mark");
    let args =
        ["submit", "--name", "Marker", "--priority", "1", "--wait", "--", "touch", mark.to_str().unwrap()];
    let (code, out, err) = vigie(&home, &args);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.starts_with("observed vigie:submit local"), "{out}");
    assert!(mark.exists());
    home.wait_until_quiet();
    let task = run_of(&home, "Marker");
    assert_eq!((&task["last_run"]["state"], &task["priority"]), (&"succeeded".into(), &1.into()), "{task:#}");
    assert!(home.journal().contains("vigie:submit"), "recorded before it is sent");
    home.wait_until_quiet();
    // One that fails is a failure of the command.
    let (code, _, err) = vigie(&home, &["submit", "--shell", "echo no | grep yes", "--wait"]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("failed"), "{err}");
    home.wait_until_quiet();
    let before = home.journal();
    let (code, out, _) = vigie(&home, &["submit", "--dry-run", "--retry", "2", "--", "pg_dump", "my shop"]);
    assert_eq!(code, 0);
    assert!(out.contains("POST /api/v1/runs pg_dump 'my shop'") && out.contains("retry: 2"), "{out}");
    assert_eq!(home.journal(), before, "nothing was sent");
    home.wait_until_quiet();
    for (args, code, why) in [
        (&["submit"][..], 2, "required"),
        (&["submit", "--max-runtime", "10", "--", "x"], 2, "not a duration"),
        (&["submit", "--endpoint", "nowhere", "--", "x"], 1, "no endpoint"),
        (&["--read-only", "submit", "--", "x"], 1, "read-only"),
    ] {
        let (ended, _, err) = vigie(&home, args);
        assert_eq!(ended, code, "{args:?}: {err}");
        assert!(err.contains(why), "{args:?}: {err}");
    }
    home.wait_until_quiet();
}

#[test]
fn n_in_the_console_has_a_command_run_at_any_size() {
    for (width, height) in [(100, 30), (60, 15)] {
        let home = Home::new();
        let mark = home.path().join("mark");
        let mut term = Term::vigie(&home, &[], width, height);
        term.wait_for("disk-space");
        term.keys("n");
        term.wait_for("vigie:submit");
        term.keys("touch x |\t");
        term.wait_for("is for a shell");
        // Backtab, and all of it anew.
        term.keys("\x1b[Z\x15");
        term.keys(&format!("touch {}\t\tMarker\n", mark.display()));
        term.wait_gone("vigie:submit ·");
        term.keys("2/Marker\r");
        term.wait_line(&["✓", "Marker"]);
        assert!(mark.exists());
        term.keys("\x1b");
        term.quit_last();
    }
}
