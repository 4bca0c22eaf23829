use super::*;
use crate::coordinator::domain::CommandSpec;

struct Bench {
    folder: tempfile::TempDir,
    executor: Executor,
    events: mpsc::Receiver<Event>,
}

fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let (sender, events) = mpsc::channel(16);
    let executor = Executor::new(Logs::new(folder.path().to_owned()), sender);
    Bench { folder, executor, events }
}

fn shell_attempt(script: &str, kill_grace: Duration) -> Attempt {
    let (run, task) = (RunId::new("run-1"), TaskId::new("task"));
    let command = CommandSpec {
        argv: vec!["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()],
        env: std::collections::BTreeMap::from([("GREETING".to_owned(), "hello".to_owned())]),
        cwd: None,
    };
    let launch = Launch::here(&command, &task, &run, 0);
    Attempt { run, task, launch, number: 0, kill_grace }
}

impl Bench {
    fn text(&self) -> String {
        let piece = self.executor.logs.read(&TaskId::new("task"), &RunId::new("run-1"), 0, 1 << 22).unwrap();
        String::from_utf8_lossy(&piece.bytes).into_owned()
    }

    async fn started(&mut self) -> Process {
        match self.events.recv().await.unwrap() {
            Event::Started(_, process) => process,
            Event::Ended(_, outcome) => panic!("ended: {outcome:?}"),
        }
    }

    async fn ended(&mut self) -> Outcome {
        loop {
            if let Event::Ended(_, outcome) = self.events.recv().await.unwrap() {
                return outcome;
            }
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
    bench.executor.start(shell_attempt(script, Duration::from_secs(10)));
    let outcome = bench.ended().await;
    assert_eq!((outcome.good, outcome.exit_code), (false, Some(3)));
    assert_eq!(outcome.message.unwrap(), "exit code 3: last words");
    assert_eq!(bench.text(), "hello\ntask run-1\nlast words\n");
}

#[tokio::test]
async fn what_is_not_there_says_so() {
    let mut bench = bench();
    let mut attempt = shell_attempt("", Duration::ZERO);
    attempt.launch.argv = vec!["/no/such/program".to_owned()];
    bench.executor.start(attempt);
    let outcome = bench.ended().await;
    assert!(!outcome.good);
    assert!(outcome.message.unwrap().starts_with("can't start \"/no/such/program\": "));

    let mut attempt = shell_attempt("true", Duration::ZERO);
    attempt.launch.cwd = Some(bench.folder.path().join("gone"));
    bench.executor.start(attempt);
    assert!(bench.ended().await.message.unwrap().ends_with("is not there"));
}

#[tokio::test]
async fn much_output_is_bounded() {
    let mut bench = bench();
    let script = "i=0; while [ $i -lt 40 ]; do printf '%65536s' x; i=$((i+1)); done; echo end";
    bench.executor.start(shell_attempt(script, Duration::from_secs(10)));
    assert!(bench.ended().await.good);
    let piece = bench.executor.logs.read(&TaskId::new("task"), &RunId::new("run-1"), 0, usize::MAX).unwrap();
    assert_eq!(piece.next_offset, 40 * 65_536 + 4);
    assert!(piece.dropped_bytes >= 40 * 65_536 - 1024 * 1024);
    assert!(piece.bytes.len() <= 1024 * 1024 + 100 && piece.bytes.ends_with(b"end\n"));
}

#[tokio::test]
async fn a_stopped_command_may_tidy_up() {
    let mut bench = bench();
    let script = "trap 'echo tidied; exit 5' TERM; echo ready; while :; do sleep 0.01; done";
    bench.executor.start(shell_attempt(script, Duration::from_secs(60)));
    bench.started().await;
    bench.says("ready").await;
    bench.executor.stop(&RunId::new("run-1"));
    assert_eq!(bench.ended().await.exit_code, Some(5));
    // The shell may say in between that its `sleep` was terminated.
    let text = bench.text();
    assert!(text.starts_with("ready\n") && text.ends_with("tidied\n"), "{text}");
}

#[tokio::test]
async fn one_that_ignores_sigterm_is_killed_with_its_children() {
    let mut bench = bench();
    let script = "trap '' TERM; (trap '' TERM; sleep 600) & echo ready; wait; sleep 600";
    bench.executor.start(shell_attempt(script, Duration::from_millis(100)));
    let process = bench.started().await;
    bench.says("ready").await;
    assert!(process.start_ticks > 0 && process::is_alive(process.pid));
    bench.executor.stop(&RunId::new("run-1"));
    let outcome = bench.ended().await;
    assert_eq!(outcome.message.unwrap(), "ended by signal 9: ready");
    // Orphans are reaped by init in its own time.
    process::gone(process.pid).await;
}

#[tokio::test]
async fn a_child_left_in_the_background_does_not_hold_the_run() {
    let mut bench = bench();
    bench.executor.start(shell_attempt("sleep 600 & echo done", Duration::from_secs(1)));
    let process = bench.started().await;
    assert!(bench.ended().await.good);
    assert!(process::is_alive(process.pid));
    process::signal(process.pid, Signal::KILL);
    process::gone(process.pid).await;
}

#[tokio::test]
async fn nor_does_one_that_never_stops_writing() {
    let mut bench = bench();
    bench.executor.start(shell_attempt("yes & echo done", Duration::from_secs(1)));
    let process = bench.started().await;
    assert!(bench.ended().await.good);
    // Nobody reads what it writes any more.
    process::gone(process.pid).await;
}

#[tokio::test]
async fn leftovers_are_ended_only_if_they_are_the_same() {
    let mut bench = bench();
    bench.executor.start(shell_attempt("echo ready; sleep 600", Duration::from_secs(1)));
    let process = bench.started().await;
    let other = Process { start_ticks: process.start_ticks + 1, ..process };
    end_leftovers([other]).await;
    assert!(process::is_alive(process.pid));
    end_leftovers([process]).await;
    assert!(!bench.ended().await.good);
}
