use super::*;
use crate::coordinator::SystemClock;
use crate::coordinator::domain::{CommandSpec, Process};

use process::Identity;
use records::Claim;

struct Bench {
    folder: tempfile::TempDir,
    executor: Executor,
    events: mpsc::Receiver<Event>,
}

fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let (sender, events) = mpsc::channel(16);
    let (logs, runs) = (Logs::new(folder.path().join("logs")), folder.path().join("runs"));
    let program = std::env::current_exe().unwrap();
    let executor = Executor::new(&program, &runs, logs, Arc::new(SystemClock), sender);
    Bench { folder, executor, events }
}

fn task() -> TaskId {
    TaskId::new("task")
}

fn run() -> RunId {
    RunId::new("run-1")
}

fn shell(script: &str) -> Launch {
    let command = CommandSpec {
        argv: vec!["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()],
        env: BTreeMap::from([("GREETING".to_owned(), "hello".to_owned())]),
        cwd: None,
    };
    Launch::here(&command, &task(), &run(), 0)
}

impl Bench {
    fn text(&self) -> String {
        let piece = self.executor.logs.read(&task(), &run(), 0, 1 << 22).unwrap();
        String::from_utf8_lossy(&piece.bytes).into_owned()
    }

    fn start(&self, launch: Launch, kill_grace: Duration) {
        let attempt = Attempt { run: run(), task: task(), number: 0, kill_grace, max_runtime: None };
        self.executor.start(attempt, std::future::ready(Ok(launch)));
    }

    fn start_shell(&self, script: &str) {
        self.start(shell(script), Duration::from_secs(10));
    }

    fn folder(&self) -> Folder {
        Folder::of(&self.executor.runs, &run(), 0)
    }

    /// Waits until the command has started, and that is recorded.
    async fn started(&self) -> u32 {
        loop {
            if let Some(started) = self.folder().started() {
                return started.command.pid;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn ended(&mut self) -> Outcome {
        match self.events.recv().await.unwrap() {
            Event::Ended(_, outcome) => outcome,
            other => panic!("{other:?}"),
        }
    }

    async fn lost(&mut self) -> Lost {
        match self.events.recv().await.unwrap() {
            Event::Lost(_, lost) => lost,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until the log says so.
    async fn says(&self, words: &str) {
        while !self.text().contains(words) {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn output_is_captured_in_its_order_with_environment_and_exit_code() {
    let mut bench = bench();
    let script = "echo $GREETING; echo $VIGIE_TASK $VIGIE_RUN >&2; echo last words; exit 3";
    bench.start_shell(script);
    let outcome = bench.ended().await;
    assert_eq!((outcome.good, outcome.exit_code), (false, Some(3)));
    assert_eq!(outcome.message.unwrap(), "exit code 3: last words");
    assert_eq!(bench.text(), "hello\ntask run-1\nlast words\n");
}

#[tokio::test]
async fn what_is_not_there_says_so() {
    let mut bench = bench();
    let argv = vec!["/no/such/program".to_owned()];
    bench.start(Launch { argv, ..shell("") }, Duration::ZERO);
    let outcome = bench.ended().await;
    assert!(!outcome.good);
    assert!(outcome.message.unwrap().starts_with("can't start \"/no/such/program\": "));

    let cwd = Some(bench.folder.path().join("gone"));
    bench.start(Launch { cwd, ..shell("true") }, Duration::ZERO);
    assert!(bench.ended().await.message.unwrap().ends_with("is not there"));
}

#[tokio::test]
async fn much_output_is_bounded() {
    let mut bench = bench();
    let script = "i=0; while [ $i -lt 40 ]; do printf '%65536s' x; i=$((i+1)); done; echo end";
    bench.start_shell(script);
    assert!(bench.ended().await.good);
    let piece = bench.executor.logs.read(&task(), &run(), 0, usize::MAX).unwrap();
    assert_eq!(piece.next_offset, 40 * 65_536 + 4);
    assert!(piece.dropped_bytes >= 40 * 65_536 - 1024 * 1024);
    assert!(piece.bytes.len() <= 1024 * 1024 + 100 && piece.bytes.ends_with(b"end\n"));
}

#[tokio::test]
async fn a_stopped_command_may_tidy_up() {
    let mut bench = bench();
    let script = "trap 'echo tidied; exit 5' TERM; echo ready; while :; do sleep 0.01; done";
    bench.start(shell(script), Duration::from_secs(60));
    bench.started().await;
    bench.says("ready").await;
    bench.executor.stop(&run());
    assert_eq!(bench.ended().await.exit_code, Some(5));
    // The shell may say in between that its `sleep` was terminated.
    let text = bench.text();
    assert!(text.starts_with("ready\n") && text.ends_with("tidied\n"), "{text}");
}

#[tokio::test]
async fn one_that_ignores_sigterm_is_killed_with_its_children() {
    let mut bench = bench();
    let script = "trap '' TERM; (trap '' TERM; sleep 600) & echo ready; wait; sleep 600";
    bench.start(shell(script), Duration::from_millis(100));
    let group = bench.started().await;
    bench.says("ready").await;
    assert!(process::is_alive(group));
    bench.executor.stop(&run());
    let outcome = bench.ended().await;
    assert_eq!(outcome.message.unwrap(), "ended by signal 9: ready");
    assert!(outcome.stopped);
    // Orphans are reaped by init in its own time.
    process::gone(group).await;
}

#[tokio::test]
async fn a_child_left_in_the_background_does_not_hold_the_run() {
    for child in ["sleep 600", "yes"] {
        let mut bench = bench();
        // First the number, before a child that says much: of that not all is kept.
        bench.start_shell(&format!("echo $$; {child} & echo done"));
        assert!(bench.ended().await.good);
        // Its group has the number of the shell that is no more.
        let group = bench.text().lines().find_map(|line| line.parse().ok()).unwrap();
        process::signal(group, Signal::KILL);
        process::gone(group).await;
    }
}

#[tokio::test]
async fn input_is_given_as_far_as_it_is_read() {
    let mut bench = bench();
    let stdin = Some("x".repeat(1 << 20));
    bench.start(Launch { stdin: stdin.clone(), ..shell("wc -c") }, Duration::ZERO);
    assert_eq!(bench.ended().await.message.unwrap(), "1048576");

    let mut bench = self::bench();
    bench.start(Launch { stdin, ..shell("head -c 3; exec <&-; echo; echo enough") }, Duration::ZERO);
    assert_eq!(bench.ended().await.message.unwrap(), "enough");

    let mut bench = self::bench();
    bench.start_shell("cat; echo nothing");
    assert_eq!(bench.ended().await.message.unwrap(), "nothing");
}

#[tokio::test]
async fn what_can_not_be_launched_says_why() {
    let mut bench = bench();
    let attempt =
        Attempt { run: run(), task: task(), number: 1, kill_grace: Duration::ZERO, max_runtime: None };
    bench.executor.start(attempt, std::future::ready(Err("the vault is locked".into())));
    let outcome = bench.ended().await;
    assert_eq!((outcome.good, outcome.message.unwrap().as_str()), (false, "the vault is locked"));
    assert_eq!(bench.text(), "--- attempt 2 ---\nthe vault is locked\n");

    // Nor is one that is stopped before it is known how.
    let attempt =
        Attempt { run: run(), task: task(), number: 0, kill_grace: Duration::ZERO, max_runtime: None };
    bench.executor.start(attempt, std::future::pending());
    bench.executor.stop(&run());
    assert!(bench.ended().await.stopped);
}

#[tokio::test]
async fn a_supervisor_that_is_killed_takes_its_command_with_it() {
    let mut bench = bench();
    bench.start(shell("trap '' TERM; echo ready; while :; do sleep 600; done"), Duration::from_millis(50));
    let group = bench.started().await;
    bench.says("ready").await;
    let supervisor = bench.folder().claim().unwrap().supervisor.unwrap();
    process::signal(supervisor.pid, Signal::KILL);
    let lost = bench.lost().await;
    assert!(lost.certain && lost.why.starts_with("it started at 20"), "{lost:?}");
    assert!(
        lost.why.ends_with(", and its supervisor was killed while it ran, and what was left of it was ended")
    );
    assert!(!process::is_alive(group));
}

#[tokio::test]
async fn a_supervisor_is_in_a_session_of_its_own_and_its_records_hold_no_secret() {
    let mut bench = bench();
    let mut launch = shell("echo $PPID $TOKEN > /dev/null; sleep 600");
    launch.env.insert("TOKEN".to_owned(), "t0p-s3cret".to_owned());
    launch.stdin = Some("t0p-s3cret".to_owned());
    launch.redact = vec!["t0p-s3cret".to_owned()];
    bench.start(launch, Duration::ZERO);
    let group = bench.started().await;
    let supervisor = bench.folder().claim().unwrap().supervisor.unwrap();
    let session = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        fields.split(' ').nth(4).unwrap().parse::<u32>().unwrap()
    };
    assert_eq!((session(supervisor.pid), session(group)), (supervisor.pid, supervisor.pid));
    for entry in std::fs::read_dir(bench.folder().path()).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(!text.contains("t0p-s3cret"), "{text}");
    }
    bench.executor.stop(&run());
    bench.ended().await;
}

#[tokio::test]
async fn secrets_are_taken_out_of_the_log_also_when_they_come_in_pieces() {
    let mut bench = bench();
    let redact = vec!["t0p-s3cret".to_owned()];
    let script = "printf 'key t0p-s'; sleep 0.3; printf '3cret, '; echo t0p-s3cret; printf t0p-s3c; sleep 0.3; printf ret";
    bench.start(Launch { redact, ..shell(script) }, Duration::ZERO);
    let last = bench.ended().await.message.unwrap();
    let text = bench.text();
    assert!(text.starts_with("key ") && text.contains(", ") && text.contains('\n'), "{text}");
    for seen in [text.as_str(), last.as_str()] {
        assert!(!seen.contains("s3cret") && !seen.contains("t0p-s3c"), "{seen}");
    }
}

#[tokio::test]
async fn a_full_disk_costs_the_log_and_not_the_run() {
    let mut bench = bench();
    let log = bench.executor.logs.head(&task(), &run());
    std::fs::create_dir_all(log.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("/dev/full", &log).unwrap();
    bench.start_shell("i=0; while [ $i -lt 100 ]; do printf '%65536s' x; i=$((i+1)); done; echo; echo end");
    let outcome = bench.ended().await;
    assert_eq!((outcome.good, outcome.exit_code), (true, Some(0)));
    assert_eq!(outcome.message.unwrap(), "end; its log is not whole: No space left on device (os error 28)");
}

/// Another coordinator on the same folders, as after a restart.
fn successor(bench: &Bench) -> (Executor, mpsc::Receiver<Event>) {
    let (sender, events) = mpsc::channel(16);
    let of = &bench.executor;
    let clock = Arc::new(SystemClock);
    (Executor::new(&of.program, &of.runs, of.logs.clone(), clock, sender), events)
}

fn in_progress() -> InProgress {
    InProgress { run: run(), task: task(), number: 0 }
}

#[tokio::test]
async fn another_coordinator_takes_over() {
    let bench = bench();
    let gate = bench.folder.path().join("gate");
    bench.start_shell(&format!(
        "echo one; until [ -e {} ]; do sleep 0.01; done; echo two; exit 4",
        gate.display()
    ));
    bench.started().await;
    let (executor, mut events) = successor(&bench);
    assert_eq!(executor.survey(&[in_progress()], true)[&run()], Fate::GoesOn);
    executor.adopt(in_progress());
    std::fs::write(&gate, "").unwrap();
    let Event::Ended(_, outcome) = events.recv().await.unwrap() else { panic!() };
    assert_eq!((outcome.exit_code, outcome.message.unwrap().as_str()), (Some(4), "exit code 4: two"));
    assert_eq!(bench.text(), "one\ntwo\n");
    let Fate::Ended(late) = &executor.survey(&[in_progress()], true)[&run()] else { panic!() };
    assert_eq!((late.exit_code, late.at), (Some(4), outcome.at));
    // And it may stop what it took over.
    bench.folder().remove().unwrap();
    bench.start_shell("exec sleep 600");
    bench.started().await;
    executor.adopt(in_progress());
    executor.stop(&run());
    let Event::Ended(_, outcome) = events.recv().await.unwrap() else { panic!() };
    assert!(outcome.stopped && outcome.message.unwrap().starts_with("ended by signal 15"));
}

#[tokio::test]
async fn a_supervisor_ends_its_run_at_the_max_runtime_whoever_is_there() {
    for script in ["exec sleep 600", "trap '' TERM; while :; do sleep 600; done"] {
        let mut bench = bench();
        let (kill_grace, limit) = (Duration::from_millis(50), Duration::from_millis(300));
        let attempt = Attempt { run: run(), task: task(), number: 0, kill_grace, max_runtime: Some(limit) };
        bench.executor.start(attempt, std::future::ready(Ok(shell(script))));
        let outcome = bench.ended().await;
        assert_eq!((outcome.good, outcome.stopped, outcome.overran), (false, true, Some(limit)), "{script}");
    }
    // What ends before has not, and neither has what was told to end.
    let mut bench = bench();
    let (kill_grace, limit) = (Duration::from_secs(10), Duration::from_secs(600));
    let attempt = Attempt { run: run(), task: task(), number: 0, kill_grace, max_runtime: Some(limit) };
    bench.executor.start(attempt.clone(), std::future::ready(Ok(shell("exec sleep 600"))));
    bench.started().await;
    bench.executor.stop(&run());
    let outcome = bench.ended().await;
    assert_eq!((outcome.stopped, outcome.overran), (true, None));
    bench.executor.start(attempt, std::future::ready(Ok(shell("echo fine"))));
    let outcome = bench.ended().await;
    assert_eq!((outcome.good, outcome.overran), (true, None));
}

#[tokio::test]
async fn what_can_not_be_known_for_want_of_a_disk_is_neither_lost_nor_started_again() {
    let bench = bench();
    bench.folder().make().unwrap();
    // Nothing can be written down by this process.
    let in_the_way = bench.folder().path().join(format!(".claim.{}", std::process::id()));
    std::fs::create_dir(&in_the_way).unwrap();
    assert_eq!(bench.executor.survey(&[in_progress()], true)[&run()], Fate::GoesOn);
    let (executor, mut events) = successor(&bench);
    executor.adopt(in_progress());
    // Once it can it is known that nobody began it.
    std::fs::remove_dir(in_the_way).unwrap();
    let Event::NeverStarted(of) = events.recv().await.unwrap() else { panic!() };
    assert_eq!((of, bench.folder().claim().unwrap().supervisor), (run(), None));
}

#[tokio::test]
async fn what_nobody_took_was_not_started_and_never_will_be() {
    let bench = bench();
    let fate = |whole| bench.executor.survey(&[in_progress()], whole).remove(&run()).unwrap();
    // After a power cut, nobody knows.
    let Fate::Lost(lost) = fate(false) else { panic!() };
    assert!(!lost.certain && lost.why.ends_with("it may have run"), "{lost:?}");
    assert_eq!(fate(true), Fate::NeverStarted);
    bench.folder().make().unwrap();
    assert_eq!(fate(true), Fate::NeverStarted);
    assert_eq!(fate(true), Fate::NeverStarted);
    // A supervisor that comes late finds it taken.
    assert_eq!(bench.folder().claim().unwrap().supervisor, None);
    let late = Claim { supervisor: Some(Identity::of(1, "b")), ..bench.folder().claim().unwrap() };
    assert!(bench.folder().take(&late).unwrap().is_err());
    // Nobody's folders go, those of the known stay.
    let other = Folder::of(&bench.executor.runs, &RunId::new("other"), 0);
    other.make().unwrap();
    fate(true);
    assert!(!other.path().exists() && bench.folder().path().exists());
}

#[test]
fn after_another_boot_what_had_started_is_lost_and_what_had_ended_is_known() {
    let home = tempfile::tempdir().unwrap();
    let folder = Folder::of(home.path(), &run(), 0);
    folder.make().unwrap();
    let at = chrono::DateTime::UNIX_EPOCH;
    let look = || adopt::look(&folder, "now", true, at);
    let identity = |pid| Identity { boot: "then".to_owned(), ..Identity::of(pid, "") };
    // It has the number, and even the start, of a process that is there.
    let own = identity(std::process::id());
    let claim = Claim { version: 1, at, supervisor: Some(own.clone()), kill_grace_ms: 0, machine: None };
    folder.take(&claim).unwrap().unwrap();
    let Found::Lost(lost) = look() else { panic!() };
    assert!(!lost.certain);
    assert_eq!(
        lost.why,
        "the machine went down when it was about to start, at 1970-01-01 00:00:00 UTC: it may have run"
    );
    folder.keep_started(&records::Started { version: 1, at, command: own }).unwrap();
    let Found::Lost(lost) = look() else { panic!() };
    assert!(lost.certain);
    assert_eq!(lost.why, "it started at 1970-01-01 00:00:00 UTC, and the machine went down while it ran");
    folder.keep_ended(&records::Ended { at, exit_code: Some(0), ..records::Ended::default() }).unwrap();
    let Found::Ended(outcome) = look() else { panic!() };
    assert!(outcome.good && outcome.at == Some(at));
}

#[tokio::test]
async fn leftovers_of_an_earlier_version_are_ended_only_if_they_are_the_same() {
    use std::os::unix::process::CommandExt as _;
    let mut child = std::process::Command::new("sleep").arg("600").process_group(0).spawn().unwrap();
    let is = Identity::of(child.id(), "");
    let other = Process { pid: is.pid, start_ticks: is.start_ticks + 1 };
    end_leftovers([other]).await;
    assert!(process::is_alive(is.pid));
    end_leftovers([Process { start_ticks: is.start_ticks, ..other }]).await;
    assert!(!process::is_alive(is.pid));
    child.wait().unwrap();
}
