//! The terminal is always given back.

use crate::term::{Home, Term, binary};
use rustix::process::Signal;

fn started(home: &Home) -> Term {
    let term = Term::vigie(home, &["--screen", "tasks"], 80, 24);
    term.wait_line(&["healthy", "self-backup"]);
    term
}

#[test]
fn sigterm_and_sighup_give_it_back() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129)] {
        let home = Home::new();
        let mut term = started(&home);
        term.signal(signal);
        assert_eq!(term.end(), code, "{signal:?}");
        term.assert_given_back();
        home.wait_until_quiet();
    }
}

#[test]
fn suspending_gives_it_back_and_the_foreground_draws_anew() {
    let home = Home::new();
    let mut term = Term::start(&home, "bash", &["--norc", "--noprofile", "-i"], &[("PS1", "sh> ")], 80, 24);
    term.wait_for("sh>");
    term.keys(&format!("{} --screen tasks\r", binary()));
    term.wait_line(&["healthy", "self-backup"]);
    // More than once: it must not depend on which of its signals it notices first.
    for _ in 0..5 {
        term.keys("\x1a");
        term.wait("the shell is back", |screen| {
            !screen.alternate_screen() && screen.contents().contains("Stopped")
        });
        // A clean screen, so that nothing that was said before is taken for said now.
        term.keys("printf '\\e[2J\\e[H'; fg\r");
        term.wait("the console is back", |screen| {
            screen.alternate_screen() && screen.contents().contains("disk-space") && screen.hide_cursor()
        });
    }
    term.keys("q");
    term.wait_for("vigie serve");
    term.keys("y");
    term.wait("the shell is back", |screen| !screen.alternate_screen() && screen.contents().contains("sh>"));
    term.keys("exit 7\r");
    assert_eq!(term.end(), 7);
    home.wait_until_quiet();
}

#[test]
fn every_size_is_drawn_and_a_resize_follows() {
    let home = Home::new();
    let mut term = started(&home);
    for (width, height) in [(60, 15), (200, 50), (20, 5), (80, 24)] {
        term.resize(width, height);
        term.wait("the header at the new size", |screen| {
            let (rows, cols) = screen.size();
            (cols.get(), rows.get()) == (width, height) && screen.contents().contains("tasks")
        });
    }
    term.wait_line(&["healthy", "self-backup"]);
    term.quit_last();
}

#[test]
fn ascii_without_colour_is_plain() {
    let home = Home::new();
    let mut term =
        Term::start(&home, binary(), &["--ascii", "--screen", "tasks"], &[("NO_COLOR", "1")], 80, 24);
    let screen = term.wait_line(&["healthy", "self-backup"]);
    assert!(screen.is_ascii(), "{screen}");
    let raw = String::from_utf8(term.raw()).unwrap();
    for colour in ["\x1b[38;", "\x1b[48;", "\x1b[31m", "\x1b[32m"] {
        assert!(!raw.contains(colour), "{colour:?} was written");
    }
    term.quit_last();
}

#[test]
fn read_only_sends_nothing_and_says_so() {
    let home = Home::new();
    let ran = home.path().join("ran");
    home.write(&home.tasks(), &format!("[[task]]\nid = \"mark\"\nshell = \"touch {}\"\n", ran.display()));
    let mut term = Term::vigie(&home, &["--read-only", "--screen", "tasks"], 80, 24);
    term.wait_line(&["healthy", "self-backup"]);
    term.only("mark", &["healthy", "mark"]);
    term.keys("t");
    term.wait_for("read-only");
    term.quit_last();
    home.wait_until_quiet();
    assert_eq!((home.journal().as_str(), ran.exists()), ("", false));
}

#[test]
fn a_theme_that_cannot_be_had_is_told_before_the_terminal_is_taken() {
    let home = Home::new();
    home.write(&home.path().join(".config/vigie/themes/mine.toml"), "[roles]\ntxet = 1\n");
    for (name, words) in [("nope", "there is no theme \"nope\""), ("mine", "theme mine: line 2: roles.txet")]
    {
        let mut term = Term::vigie(&home, &["--theme", name], 100, 24);
        assert_eq!(term.end(), 2);
        term.wait_for(words);
    }
}
