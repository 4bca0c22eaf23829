//! `vigie endpoints add` and `test`: what is asked, found, and written.

use std::os::unix::fs::PermissionsExt as _;

use crate::stand_ins::duplistatus::StandIn;
use crate::term::{Home, Term, binary, free_port, vigie};

fn config(home: &Home) -> String {
    std::fs::read_to_string(home.config()).unwrap()
}

#[test]
fn endpoints_add_probes_says_what_it_found_and_keeps_comments() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let backups = runtime.block_on(StandIn::start());
    let home = Home::new();
    let before = "# mine, oddly   spaced\ntheme   = 'vigie-light' # bright room\n\n[[endpoint]]\n\
                  name = \"here\" # kept\nkind = \"vigie\"";
    home.write(&home.config(), before);
    std::fs::set_permissions(home.config(), std::fs::Permissions::from_mode(0o600)).unwrap();
    let add = ["endpoints", "add", "backups", "--kind", "duplistatus", "--url", &backups.url];
    let (code, out, err) = vigie(&home, &add);
    assert_eq!(code, 0, "{out}{err}");
    for words in [
        "health      up",
        "tasks       2: 2 healthy",
        "clock       ",
        "latency     ",
        "what can be done to its 2 tasks",
        "no: duplistatus has no retry; use trigger",
        "backups is an endpoint now",
    ] {
        assert!(out.contains(words), "{words}: {out}");
    }
    let after = config(&home);
    assert_eq!(
        after.strip_prefix(before).unwrap(),
        format!("\n\n[[endpoint]]\nname = \"backups\"\nkind = \"duplistatus\"\nurl = \"{}\"\n", backups.url)
    );
    assert_eq!(std::fs::metadata(home.config()).unwrap().permissions().mode() & 0o777, 0o600);
    let (code, out, err) = vigie(&home, &["endpoints", "test", "backups"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(
        out.starts_with(&format!("backups (duplistatus) at {}\n  health      up\n", backups.url)),
        "{out}"
    );
    assert_eq!(backups.posts(), Vec::<String>::new(), "looking changes nothing");
    // What is wrong is told, and nothing is written.
    for (args, exit, words) in [
        (&add[..], 2, "\"backups\" is already the name of the endpoint at line"),
        (&["endpoints", "add", "x", "--kind", "duplistatus", "--url", "ops"], 2, "url: not an absolute URL"),
        (&["endpoints", "add", "x", "--kind", "duplistatus"], 2, "\"url\" is missing"),
        (&["endpoints", "add", "x", "--url", "http://h"], 2, "--kind is missing"),
        (&["endpoints", "add", "x", "--kind", "rediacc", "--url", "http://h/api"], 2, "rediacc needs token"),
        (&["endpoints", "add", "x", "--kind", "vigie", "--auth", "token=hunter2"], 2, "write env:NAME"),
        (&["endpoints", "add", "x", "--kind", "vigie", "--auth", "hunter2"], 2, "write NAME=VALUE"),
        (&["endpoints", "test", "nowhere"], 2, "no endpoint \"nowhere\""),
    ] {
        let (code, out, err) = vigie(&home, args);
        assert_eq!((code, out.as_str()), (exit, ""), "{args:?}: {err}");
        assert!(err.contains(words) && !err.contains("hunter2"), "{args:?}: {err}");
    }
    assert_eq!(config(&home), after);
}

#[test]
fn a_failing_probe_writes_nothing_unless_it_is_left_out() {
    let home = Home::new();
    let url = format!("http://127.0.0.1:{}", free_port());
    let add = ["endpoints", "add", "b", "--kind", "duplistatus", "--url", &url, "--yes"];
    let (code, out, err) = vigie(&home, &add);
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("what is missing\n    connection refused"), "{out}");
    assert!(err.contains("nothing was written: give --no-probe"), "{err}");
    assert!(!home.config().exists());
    // The caution comes before a token is used, and needs a yes.
    let token = ["--kind", "rediacc", "--url", &url, "--auth", "token=env:TOKEN"];
    let (code, out, err) = vigie(&home, &[&["endpoints", "add", "q"], &token[..]].concat());
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("use a token that was made for vigie") && err.contains("give --yes"), "{err}");
    assert!(!home.config().exists());

    let (code, _, err) = vigie(&home, &[&add[..], &["--no-probe"]].concat());
    assert_eq!(code, 0, "{err}");
    let text = config(&home);
    assert!(text.starts_with("# vigie: the complete configuration."), "{text}");
    // The coordinator of this machine was there by default, and stays.
    let (code, out, err) = vigie(&home, &["endpoints", "-o", "csv"]);
    assert_eq!(code, 3, "{out}{err}");
    assert!(out.contains("\nlocal,vigie,") && out.contains("\nb,duplistatus,"), "{out}");
    let (code, out, err) = vigie(&home, &["endpoints", "test", "b"]);
    assert_eq!(code, 3, "{out}{err}");
    assert!(out.contains("health      down") && err.contains("b could not be read: "), "{out}{err}");
    home.wait_until_quiet();
}

#[test]
fn endpoints_add_asks_at_a_terminal() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let backups = runtime.block_on(StandIn::start());
    let home = Home::new();
    let mut term = Term::vigie(&home, &["endpoints", "add"], 110, 60);
    term.wait_for("Which system is it?");
    term.keys("5\r");
    term.wait_for("a number or a name of the list");
    term.keys("duplistatus\r");
    term.wait_for("shown in every row [duplistatus]: ");
    term.keys("a b\r");
    term.wait_for("1 to 64 letters");
    term.keys("backups\r");
    term.wait_for("The URL of its cron service");
    term.keys("ops-1\r");
    term.wait_for("not an absolute URL");
    term.keys(&format!("{}/\r", backups.url));
    term.wait_for("Read its web application too");
    term.keys("n\r");
    term.wait_for("Keep the coordinator of this machine too?");
    let screen = term.wait_for("Type y for yes: ");
    assert!(screen.contains("2 healthy"), "what was found comes first: {screen}");
    term.keys("y\r");
    term.wait_for("Write it?");
    assert!(!home.config().exists(), "nothing is written before the last yes");
    term.keys("y\r");
    assert_eq!(term.end(), 0);
    let text = config(&home);
    let added = format!(
        "\n[[endpoint]]\nname = \"local\"\nkind = \"vigie\"\n\n[[endpoint]]\nname = \"backups\"\n\
         kind = \"duplistatus\"\nurl = \"{}\"\n",
        backups.url
    );
    assert!(text.ends_with(&added), "{text}");
}

#[test]
fn a_pasted_secret_is_never_shown_and_kept_only_with_a_yes() {
    let home = Home::new();
    home.write(&home.config(), "[[endpoint]]\nname = \"here\"\nkind = \"vigie\"\n");
    let before = config(&home);
    let url = format!("http://127.0.0.1:{}", free_port());
    let kept = home.config().parent().unwrap().join("secrets/duck.secret_key");
    for (last, exit) in [("n", 1), ("y", 0)] {
        let args = ["endpoints", "add", "duck", "--kind", "duty-duck", "--url", &url];
        let mut term = Term::vigie(&home, &args, 110, 60);
        term.wait_for("token_id: ");
        term.keys("some-id\r");
        term.wait_for("never written into the configuration");
        term.keys("paste\r");
        term.wait_for("secret_key (it is not shown): ");
        term.keys("hunterx\x7f2\r");
        term.wait_for("Keep it in ");
        assert!(!kept.exists());
        term.keys("y\r");
        term.wait_for("It could not be read. Go on all the same?");
        term.keys("y\r");
        term.wait_for("Write it?");
        term.keys(&format!("{last}\r"));
        assert_eq!(term.end(), exit);
        term.assert_given_back();
        let raw = String::from_utf8(term.raw()).unwrap();
        assert!(!raw.contains("hunter"), "{raw}");
        if last == "n" {
            assert!(!kept.exists(), "gone again");
            assert_eq!(config(&home), before);
        }
    }
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "hunter2\n");
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(kept.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(
        config(&home).strip_prefix(&before).unwrap(),
        format!(
            "\n[[endpoint]]\nname = \"duck\"\nkind = \"duty-duck\"\nurl = \"{url}\"\n\n[endpoint.auth]\n\
             token_id = \"some-id\"\nsecret_key = {{ file = \"secrets/duck.secret_key\" }}\n"
        )
    );
}

#[test]
fn ctrl_c_while_a_secret_is_typed_gives_the_terminal_back() {
    let home = Home::new();
    let mut term = Term::start(&home, "bash", &["--norc", "--noprofile", "-i"], &[("PS1", "sh> ")], 100, 40);
    term.wait_for("sh>");
    let url = format!("http://127.0.0.1:{}", free_port());
    term.keys(&format!("{} endpoints add d --kind duty-duck --url {url}; stty -a\r", binary()));
    term.wait_for("token_id: ");
    term.keys("x\r");
    term.wait_for("> ");
    term.keys("paste\r");
    term.wait_for("(it is not shown): ");
    term.keys("hunter\x03");
    term.wait_for("nothing was done");
    term.wait_line(&[" echo ", "icanon"]);
    term.keys("exit\r");
    term.end();
    assert!(!home.config().exists());
}
