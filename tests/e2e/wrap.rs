//! `vigie run`: as if it were not there, and everything reported in the end.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::stand_ins::duty_duck;
use crate::systems::alone;
use crate::term::{Home, Term, binary, free_port};

/// How long anything may take before a test fails.
const LIMIT: Duration = Duration::from_secs(60);

/// A coordinator as far as reports go: takes them all, and keeps them.
struct Watch {
    port: u16,
    taken: Arc<(Mutex<Vec<Value>>, Condvar)>,
}

impl Watch {
    fn start(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let taken = Arc::<(Mutex<Vec<Value>>, Condvar)>::default();
        let shared = Arc::clone(&taken);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || while let Some(()) = answer(stream.as_ref().unwrap(), &shared) {});
            }
        });
        Self { port, taken }
    }

    /// What was taken, once that is what is wanted.
    fn wait(&self, what: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let end = Instant::now() + LIMIT;
        let mut taken = self.taken.0.lock().unwrap();
        while !wanted(&taken) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "never: {what}\n{taken:#?}");
            taken = self.taken.1.wait_timeout(taken, left).unwrap().0;
        }
        taken.clone()
    }

    /// Reports other than heartbeats, in the order in which they came.
    /// Whoever ends before it hears the answer sends a report again: it counts once.
    fn told(&self) -> Vec<Value> {
        let mut told: Vec<Value> = Vec::new();
        for report in self.taken.0.lock().unwrap().iter().filter(|report| report["what"] != "beat") {
            if told.iter().all(|known| (&known["rid"], &known["what"]) != (&report["rid"], &report["what"])) {
                told.push(report.clone());
            }
        }
        told
    }
}

fn answer(stream: &TcpStream, taken: &(Mutex<Vec<Value>>, Condvar)) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    reader.read_line(&mut line).ok().filter(|&read| read > 0)?;
    let task = line.strip_prefix("POST /api/v1/tasks/")?.split('/').next()?.to_owned();
    assert!(line.contains("/reports "), "{line}");
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        if header.trim().is_empty() {
            break;
        }
        let header = header.to_ascii_lowercase();
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let mut report: Value = serde_json::from_slice(&body).unwrap();
    let answer = json!({"run": report["rid"], "task": task}).to_string();
    report["task"] = task.into();
    taken.0.lock().unwrap().push(report);
    taken.1.notify_all();
    let mut out = stream;
    write!(
        out,
        "HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{answer}",
        answer.len()
    )
    .ok()
}

/// A home whose one endpoint is at `port`.
fn home(port: u16) -> Home {
    let home = Home::new();
    let config =
        format!("[[endpoint]]\nname = \"watch\"\nkind = \"vigie\"\nurl = \"http://127.0.0.1:{port}\"\n");
    home.write(&home.config(), &config);
    home
}

fn command(home: &Home, program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).env_clear().envs(home.environment()).current_dir(home.path()).stdin(Stdio::null());
    command
}

/// As from a login: whoever started the tests may have signals ignored, as
/// `nohup` and jobs in the background of a script do.
fn wrapped(home: &Home, args: &[&str]) -> Command {
    let mut command = command(home, "env", &["--default-signal", binary(), "run", "--task", "dump", "--"]);
    command.args(args);
    command
}

fn run(home: &Home, args: &[&str]) -> Output {
    wrapped(home, args).output().unwrap()
}

fn waiting(home: &Home) -> Vec<String> {
    let folder = home.path().join(".local/state/vigie/spool");
    let entries = fs::read_dir(folder).map(|entries| entries.filter_map(Result::ok).collect::<Vec<_>>());
    let mut names: Vec<String> =
        entries.unwrap_or_default().iter().map(|e| e.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Runs until nothing waits any more: what a slow machine could not deliver
/// before a run's end comes with the next.
fn deliver(home: &Home) {
    while !waiting(home).is_empty() {
        run(home, &["true"]);
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Reads a line of what a child prints.
fn line(child: &mut Child) -> String {
    let mut line = Vec::new();
    let out = child.stdout.as_mut().unwrap();
    let mut byte = [0];
    while out.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

#[test]
fn run_ends_as_its_command_did() {
    let watch = Watch::start(0);
    let home = home(watch.port);
    for code in [0, 1, 3, 255] {
        let output = run(&home, &["sh", "-c", &format!("exit {code}")]);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
    }
    for (signal, name) in [(15, "TERM"), (9, "KILL"), (1, "HUP"), (6, "ABRT"), (13, "PIPE")] {
        let output = run(&home, &["sh", "-c", &format!("kill -{name} $$")]);
        assert_eq!(
            (output.status.signal(), output.status.core_dumped()),
            (Some(signal), false),
            "{output:?}"
        );
    }
    let plain = home.path().join("plain");
    fs::write(&plain, "no program").unwrap();
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o644)).unwrap();
    for (program, code) in [("/no/such/program", 127), (plain.to_str().unwrap(), 126)] {
        let output = run(&home, &[program]);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(text(&output.stderr).contains("can't be started"), "{output:?}");
    }
    deliver(&home);
    let codes: BTreeSet<i64> =
        watch.told().iter().filter_map(|report| report["what"]["ended"]["exit_code"].as_i64()).collect();
    assert_eq!(codes, BTreeSet::from([0, 1, 3, 255, 143, 137, 129, 134, 141, 127, 126]));
    // Without a command there is nothing to run.
    let output = command(&home, binary(), &["run", "--task", "dump"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn run_reports_start_heartbeats_and_end_with_the_output_tail() {
    let watch = Watch::start(0);
    let home = home(watch.port);
    let args =
        ["run", "--task", "nightly-dump", "--endpoint", "watch", "--heartbeat", "1s", "--", "sh", "-c"];
    let mut child = command(&home, binary(), &args)
        .arg("read x; echo out; echo err >&2; printf '\\377'; exit 3")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    watch.wait("two heartbeats", |all| all.iter().filter(|report| report["what"] == "beat").count() >= 2);
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(3), "err\n"));
    assert_eq!(output.stdout, b"out\n\xff");
    deliver(&home);
    let mut told = watch.told();
    told.retain(|report| report["task"] == "nightly-dump");
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(
        (&told[0]["what"], &told[1]["what"]),
        (&json!("started"), &json!({"ended": {"exit_code": 3}}))
    );
    assert!(told.iter().all(|report| report["rid"] == told[0]["rid"]));
    let tail = told[1]["output"].as_str().unwrap();
    // From two pipes: which came first nobody can tell.
    assert!(tail.contains("out\n") && tail.contains("err\n") && tail.contains('\u{fffd}'), "{tail:?}");
    assert!(told[0]["machine"].is_string());
}

#[test]
fn run_is_not_in_the_way_when_the_coordinator_is_away_and_delivers_later() {
    let port = free_port();
    let home = home(port);
    let before = chrono::Utc::now();
    for code in [3, 0] {
        let output = run(&home, &["sh", "-c", &format!("echo kept; exit {code}")]);
        assert_eq!(
            (output.status.code(), text(&output.stdout), text(&output.stderr)),
            (Some(code), "kept\n", "")
        );
    }
    let after = chrono::Utc::now();
    let names = waiting(&home);
    assert_eq!(names.len(), 4, "{names:?}");
    let file = home.path().join(".local/state/vigie/spool").join(&names[0]);
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    let watch = Watch::start(port);
    assert_eq!(run(&home, &["true"]).status.code(), Some(0));
    deliver(&home);
    let told = watch.told();
    let at =
        |report: &Value| report["at"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    let earlier: Vec<&Value> = told.iter().filter(|report| at(report) <= after).collect();
    let codes: Vec<&Value> = earlier.iter().map(|report| &report["what"]).collect();
    let ended = |code: i32| json!({"ended": {"exit_code": code}});
    assert_eq!(codes, [&json!("started"), &ended(3), &json!("started"), &ended(0)], "in the order of events");
    assert!(earlier[0]["rid"] == earlier[1]["rid"] && earlier[2]["rid"] == earlier[3]["rid"]);
    assert_eq!(earlier[1]["output"], "kept\n");
    assert!(told.len() >= 6 && earlier.iter().all(|report| before <= at(report)), "its own time is kept");
}

#[test]
fn run_runs_the_command_whatever_is_wrong_with_vigie() {
    // A coordinator that takes the connection and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let home = home(silent.local_addr().unwrap().port());
    let output = run(&home, &["sh", "-c", "echo done; exit 5"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(5), "done\n"));
    assert_eq!(waiting(&home).len(), 2);
    // A configuration that is none: told afterwards, and kept for later.
    home.write(&home.config(), "endpoint = 5");
    let output = run(&home, &["sh", "-c", "echo done; exit 5"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(5), "done\n"));
    assert!(text(&output.stderr).contains("config.toml"), "{output:?}");
    assert_eq!(waiting(&home).len(), 4);
    let quiet =
        command(&home, binary(), &["run", "--task", "dump", "--quiet", "--", "true"]).output().unwrap();
    assert_eq!((quiet.status.code(), text(&quiet.stderr)), (Some(0), ""));
    // An endpoint that there is not.
    home.write(&home.config(), "");
    let args = ["run", "--task", "dump", "--endpoint", "nowhere", "--", "sh", "-c", "exit 6"];
    let output = command(&home, binary(), &args).output().unwrap();
    assert_eq!(output.status.code(), Some(6));
    assert!(text(&output.stderr).contains("no endpoint nowhere; there are: local"), "{output:?}");
    // One whose system takes no reports.
    home.write(
        &home.config(),
        "[[endpoint]]\nname = \"b\"\nkind = \"duplistatus\"\nurl = \"http://127.0.0.1:9\"\n",
    );
    let args = ["run", "--task", "dump", "--endpoint", "b", "--", "sh", "-c", "exit 7"];
    let output = command(&home, binary(), &args).output().unwrap();
    assert_eq!(output.status.code(), Some(7));
    assert!(text(&output.stderr).contains("duplistatus takes no reports of runs"), "{output:?}");
    // No place to keep anything.
    let home = Home::new();
    home.write(&home.path().join(".local/state"), "in the way");
    let output = run(&home, &["sh", "-c", "echo done; exit 8"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(8), "done\n"));
    assert!(text(&output.stderr).contains("nothing can be kept here"), "{output:?}");
    // No home at all.
    let output = wrapped(&home, &["sh", "-c", "exit 9"]).env_remove("HOME").output().unwrap();
    assert_eq!(output.status.code(), Some(9), "{output:?}");
}

#[test]
fn input_and_output_go_through_whole_and_in_order() {
    let watch = Watch::start(0);
    let home = home(watch.port);
    // 100 MB through both ends.
    let mut child = wrapped(&home, &["cat"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let pattern: Vec<u8> = (0..=255_u8).cycle().take(1_000_003).collect();
    let sent = pattern.clone();
    let writer = std::thread::spawn(move || (0..100).for_each(|_| input.write_all(&sent).unwrap()));
    let mut out = child.stdout.take().unwrap();
    let mut piece = vec![0; pattern.len()];
    for i in 0..100 {
        out.read_exact(&mut piece).unwrap();
        assert!(piece == pattern, "piece {i}");
    }
    assert_eq!(out.read(&mut piece).unwrap(), 0);
    writer.join().unwrap();
    assert!(child.wait().unwrap().success());
    // Both outputs to one file: in the order in which they were written.
    let file = fs::File::create(home.path().join("log")).unwrap();
    let script = "i=0; while [ $i -lt 200 ]; do echo out$i; echo err$i >&2; i=$((i+1)); done";
    let both = wrapped(&home, &["sh", "-c", script]).stdout(file.try_clone().unwrap()).stderr(file).status();
    assert!(both.unwrap().success());
    let expected = (0..200).map(|i| format!("out{i}\nerr{i}\n")).collect::<Vec<_>>().concat();
    assert_eq!(fs::read_to_string(home.path().join("log")).unwrap(), expected);
    // A reader that goes ends the command as it would without vigie.
    let mut child = wrapped(&home, &["yes"]).stdout(Stdio::piped()).spawn().unwrap();
    assert_eq!(line(&mut child), "y");
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().signal(), Some(13));
    // Closed outputs are no reason to fail.
    let script = format!("{} run --task dump -- sh -c 'exit 4' >&- 2>&-", binary());
    assert_eq!(command(&home, "sh", &["-c", &script]).status().unwrap().code(), Some(4));
    // A disk that is full loses the output, not the run.
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = wrapped(&home, &["sh", "-c", "echo lost; exit 3"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("what the command writes is lost"), "{output:?}");
}

#[test]
fn what_others_write_later_is_waited_for_by_nobody_and_still_arrives() {
    let watch = Watch::start(0);
    let home = home(watch.port);
    let fifo = home.path().join("go");
    let made = command(&home, "mkfifo", &[fifo.to_str().unwrap()]).status().unwrap();
    assert!(made.success());
    let script = format!("(read x < {}; echo late) & echo early; exit 4", fifo.display());
    let mut child = wrapped(&home, &["sh", "-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
    assert_eq!(line(&mut child), "early");
    assert_eq!(child.wait().unwrap().code(), Some(4), "ends while its child goes on");
    fs::write(&fifo, "go\n").unwrap();
    assert_eq!(line(&mut child), "late");
    assert_eq!(line(&mut child), "", "and the end");
}

#[test]
fn signals_are_forwarded_and_those_that_were_ignored_stay_so() {
    let watch = Watch::start(0);
    let home = home(watch.port);
    for (signal, name) in [
        (Signal::INT, "INT"),
        (Signal::TERM, "TERM"),
        (Signal::HUP, "HUP"),
        (Signal::QUIT, "QUIT"),
        (Signal::USR1, "USR1"),
        (Signal::USR2, "USR2"),
        (Signal::WINCH, "WINCH"),
        (Signal::CONT, "CONT"),
    ] {
        // Reading is what a signal interrupts.
        let script = format!("trap 'echo got {name}; exit 7' {name}; echo ready; while :; do read x; done");
        let mut child = wrapped(&home, &["sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        assert_eq!(line(&mut child), "ready");
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        assert_eq!(line(&mut child), format!("got {name}"));
        assert_eq!(child.wait().unwrap().code(), Some(7));
    }
    // One that nobody catches ends both, by itself.
    let mut child =
        wrapped(&home, &["sh", "-c", "echo ready; exec sleep 600"]).stdout(Stdio::piped()).spawn().unwrap();
    assert_eq!(line(&mut child), "ready");
    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(15));
    // As under nohup.
    let script = format!(
        "trap '' HUP; exec {} run --task dump -- sh -c 'kill -HUP $$; kill -HUP $PPID; echo alive'",
        binary()
    );
    let output = command(&home, "sh", &["-c", &script]).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), "alive\n"), "{output:?}");
}

#[test]
fn a_terminal_stays_one_and_its_keys_reach_the_command_once() {
    let watch = Watch::start(0);
    let home = home(watch.port);
    let script = "trap 'echo interrupted; n=$((n+1))' INT; \
                  [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo ready; \
                  while :; do read x && break; done; echo \"$n times, $x\"; exit 5";
    let mut term = Term::vigie(&home, &["run", "--task", "dump", "--", "sh", "-c", script], 80, 24);
    term.wait_for("ready");
    term.keys("\x03");
    term.wait_for("interrupted");
    term.keys("typed\r");
    term.wait_for("1 times, typed");
    assert_eq!(term.end(), 5);
}

#[test]
fn a_shell_stops_and_continues_it_as_a_job() {
    let watch = Watch::start(0);
    let home = home(watch.port);
    let mut term = Term::start(&home, "bash", &["--norc", "--noprofile", "-i"], &[("PS1", "$ ")], 80, 24);
    term.wait_for("$ ");
    // What is typed is not what is waited for; what is typed ahead of `fg` a shell throws away.
    let script = "trap 'echo goes-on' CONT; echo begun; while :; do read x && break; done; echo got-$x";
    home.write(&home.path().join("job"), script);
    term.keys(&format!("{} run --task dump -- sh job\r", binary()));
    term.wait_for("begun");
    term.keys("\x1a");
    term.wait_line(&["Stopped"]);
    term.keys("echo at-the-''prompt\r");
    term.wait_for("at-the-prompt");
    term.keys("fg\r");
    term.wait_for("goes-on");
    term.keys("input\r");
    term.wait_for("got-input");
    term.keys("exit\r");
    term.end();
}

/// A real coordinator of `home`, until it is dropped.
struct Serve(Child);

impl Serve {
    fn start(home: &Home) -> Self {
        let args = ["serve", "--listen", "127.0.0.1:0"];
        let mut child =
            command(home, binary(), &args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        assert!(line(&mut child).contains("listens on"));
        Self(child)
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap();
        let _ = kill_process(pid, Signal::TERM);
        let _ = self.0.wait();
    }
}

/// The runs of `task` that `home`'s coordinator knows, once they are as wanted.
fn runs(home: &Home, task: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let end = Instant::now() + LIMIT;
    loop {
        let output = command(home, binary(), &["runs", "-o", "json", "--filter", task]).output().unwrap();
        let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let runs = told["runs"].as_array().cloned().unwrap_or_default();
        if wanted(&runs) {
            return runs;
        }
        assert!(Instant::now() < end, "never: {told:#} {}", text(&output.stderr));
    }
}

#[test]
fn a_real_coordinator_takes_what_waited_and_what_is_reported_now() {
    let home = Home::new();
    home.write(&home.tasks(), "[[task]]\nid = \"dump\"\nname = \"Nightly dump\"\n");
    // Nobody there yet.
    assert_eq!(run(&home, &["sh", "-c", "echo first; exit 3"]).status.code(), Some(3));
    assert_eq!(waiting(&home).len(), 2);
    let serve = Serve::start(&home);
    let told = runs(&home, "dump", |runs| runs.iter().any(|run| run["state"] == "failed"));
    assert_eq!(told[0]["exit_code"], 3, "{told:?}");
    assert_eq!(run(&home, &["sh", "-c", "echo second"]).status.code(), Some(0));
    let told = runs(&home, "dump", |runs| runs.iter().any(|run| run["state"] == "succeeded"));
    assert_eq!(told.len(), 2, "each is told once: {told:?}");
    deliver(&home);
    drop(serve);
}

#[test]
fn run_tells_duty_duck_as_it_happens_and_nothing_after_the_fact() {
    let duck = alone(duty_duck::StandIn::start());
    let duck = &duck.system;
    duck.inner().add("dump", None);
    let home = Home::new();
    let config = format!(
        "[[endpoint]]\nname = \"duck\"\nkind = \"duty-duck\"\nurl = \"{}\"\n[endpoint.auth]\ntoken_id = \"{}\"\n\
         secret_key = {{ env = \"DUCK\" }}\n",
        duck.url,
        duty_duck::TOKEN_ID
    );
    home.write(&home.config(), &config);
    let told = |wanted: &dyn Fn(&duty_duck::Run) -> bool, what: &str| {
        let end = Instant::now() + LIMIT;
        loop {
            let runs = duck.inner().runs.clone();
            let of = duck.inner().id_of("dump");
            match runs.into_iter().rfind(|run| run.task == of).filter(|run| wanted(run)) {
                Some(run) => return run,
                None => assert!(Instant::now() < end, "never: {what}"),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let gate = home.path().join("gate");
    let script = format!("until [ -e {} ]; do sleep 0.05; done; echo disk is full; exit 3", gate.display());
    let args = ["run", "--task", "dump", "--heartbeat", "1s", "--", "sh", "-c", &script];
    let mut wrapped = command(&home, binary(), &args);
    let child =
        wrapped.env("DUCK", duty_duck::SECRET_KEY).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.unwrap();
    told(&|run| run.status == "running" && run.beat.is_some(), "a start and a heartbeat");
    fs::write(gate, "").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(3), "disk is full\n"), "{output:?}");
    let run = told(&|run| run.completed.is_some(), "the end");
    assert_eq!(
        (run.status.as_str(), run.exit_code, run.error.as_deref()),
        ("failed", Some(3), Some("disk is full"))
    );

    // What waited is of another time, which it can't be told: it is refused, and does not wait for ever.
    let late = json!({"endpoint": null, "task": "dump", "report": {
        "rid": "0", "what": {"ended": {"exit_code": 0}}, "at": "2026-01-20T09:00:00Z"}});
    let spool = home.path().join(".local/state/vigie/spool");
    fs::create_dir_all(&spool).unwrap();
    fs::write(spool.join("0-3-ended.json"), late.to_string()).unwrap();
    let end = Instant::now() + LIMIT;
    while spool.join("0-3-ended.json").exists() {
        assert!(Instant::now() < end, "it waits for ever");
        let mut wrapped = command(&home, binary(), &["run", "--task", "dump", "--", "true"]);
        assert!(wrapped.env("DUCK", duty_duck::SECRET_KEY).status().unwrap().success());
    }
    let of = duck.inner().id_of("dump");
    let finished = duck.inner().runs.iter().filter(|run| run.task == of && run.status == "failed").count();
    assert_eq!(finished, 1);
}
