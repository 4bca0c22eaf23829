//! Alerts that somebody takes, puts off or silences: from the command line and in the console.

use serde_json::Value;

use crate::term::{Home, Term, vigie};

/// Work that has failed: one critical alert.
fn failed() -> Home {
    let home = Home::new();
    let (code, out, err) = vigie(&home, &["submit", "--name", "Bad", "--wait", "--", "false"]);
    assert_eq!(code, 1, "{out}{err}");
    // The coordinator that answered goes first: a console would only wait it out.
    home.wait_until_quiet();
    home
}

fn alert(home: &Home) -> Value {
    let (code, out, err) = vigie(home, &["alerts", "-o", "json", "--filter", "kind:failed"]);
    assert_eq!(code, 0, "{out}{err}");
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(told["alerts"].as_array().unwrap().len(), 1, "{told:#}");
    told["alerts"][0].clone()
}

#[test]
fn what_is_acknowledged_still_counts_and_what_is_snoozed_or_silenced_does_not() {
    for quieten in [&["snooze", "local/Bad"][..], &["silence", "local/Bad", "--for", "2h", "--note", "disks"]]
    {
        let home = failed();
        assert_eq!(vigie(&home, &["status"]).0, 2);
        let (code, out, err) = vigie(&home, &["ack", "local/Bad", "--note", "on it", "--wait"]);
        assert_eq!(code, 0, "{out}{err}");
        assert!(out.starts_with("observed acknowledge local/"), "{out}");
        let told = alert(&home);
        assert_eq!((&told["acknowledged_by"], &told["note"]), (&"local".into(), &"on it".into()), "{told:#}");
        assert_eq!(vigie(&home, &["status"]).0, 2, "somebody has it, and it is still there");

        let (code, out, err) = vigie(&home, &[quieten, &["--wait"]].concat());
        assert_eq!(code, 0, "{out}{err}");
        assert!(out.starts_with(&format!("observed {} local/", quieten[0])), "{out}");
        let told = alert(&home);
        assert!(told["silenced_until"].is_string() && told["silenced_by"] == "local", "{told:#}");
        assert_eq!(told["snoozed"], quieten[0] == "snooze");
        let (_, out, _) = vigie(&home, &["alerts"]);
        let word = if quieten[0] == "snooze" { "snoozed until 20" } else { "silenced until 20" };
        assert!(out.contains("taken by local · ") && out.contains(word), "{out}");
        let (code, out, err) = vigie(&home, &["status", "-o", "json"]);
        let told: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((code, told["worst"].as_str()), (0, Some("ok")), "{err}");
        home.wait_until_quiet();
    }
}

#[test]
fn a_silence_of_what_has_no_alert_is_taken_at_the_coordinators_word() {
    let home = Home::new();
    let silence = ["silence", "local/disk-space", "--for", "1h", "--note", "moving house", "--wait"];
    let (code, out, err) = vigie(&home, &silence);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.starts_with("observed silence local/disk-space"), "{out}");
    home.wait_until_quiet();
}

#[test]
fn in_the_console_one_key_takes_an_alert_and_another_puts_it_off() {
    let home = failed();
    let mut term = Term::vigie(&home, &[], 110, 30);
    term.wait_line(&["failing", "Bad"]);
    term.keys("1");
    term.wait_line(&["failed", "Bad"]);
    term.keys("a");
    term.wait_line(&["failed", "Bad", "taken by local"]);
    term.keys("s");
    term.wait_line(&["failed", "Bad", "snoozed until"]);
    term.keys("\r");
    term.wait_for("or the next good run");
    term.wait_for("taken by local");
    term.keys("\x1b");
    term.quit_last();
}
