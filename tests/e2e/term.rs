//! A pseudo-terminal with a screen that can be read, and a home of its own.

use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::svg;

/// How long anything may take before a test fails with the screen that it saw.
const LIMIT: Duration = Duration::from_secs(60);

/// The binary under test.
pub fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_vigie")
}

/// A port on which nothing listens, and nothing will: each is given once, and
/// they are below those that systems hand out by themselves (from 32768 on Linux).
pub fn free_port() -> u16 {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 120).unwrap() * 100;
    let free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::from_fn(|| Some(20_000 + first + GIVEN.fetch_add(1, Ordering::Relaxed) % 700))
        .take(700)
        .find(free)
        .unwrap()
}

/// An empty home, and the environment that makes it one.
pub struct Home {
    folder: TempDir,
}

impl Drop for Home {
    fn drop(&mut self) {
        crate::stand_ins::leftovers::end(&self.data());
    }
}

impl Home {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn config(&self) -> PathBuf {
        self.path().join(".config/vigie/config.toml")
    }

    pub fn tasks(&self) -> PathBuf {
        self.path().join(".config/vigie/tasks.toml")
    }

    pub fn data(&self) -> PathBuf {
        self.path().join(".local/share/vigie")
    }

    /// Writes a file of this home, with the folders above it.
    pub fn write(&self, path: &Path, text: &str) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }

    /// Only what a fresh login has.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("HOME", self.path().display().to_string()),
            ("PATH", std::env::var("PATH").unwrap_or_default()),
            ("TERM", "xterm-256color".to_owned()),
            ("LANG", "C.UTF-8".to_owned()),
            ("TZ", "UTC".to_owned()),
        ]
    }

    /// The pid of the coordinator that runs on this home, once it has announced itself.
    pub fn coordinator(&self) -> Option<Pid> {
        let text = std::fs::read_to_string(self.data().join("coordinator.json")).ok()?;
        let file: serde_json::Value = serde_json::from_str(&text).ok()?;
        Pid::from_raw(i32::try_from(file["pid"].as_u64()?).ok()?)
    }

    /// What was intended at this home, and what became of it: a line of JSON each.
    pub fn journal(&self) -> String {
        std::fs::read_to_string(self.path().join(".local/state/vigie/journal.jsonl")).unwrap_or_default()
    }

    /// Waits until the journal has it that the effect of `verb` at `target` was
    /// seen. The screen may tell something else again by then.
    pub fn wait_until_observed(&self, verb: &str, target: &str) {
        let end = Instant::now() + LIMIT;
        let is_it = |line: &str| {
            let entry: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
            let receipt = &entry["receipt"];
            (receipt["verb"].as_str(), receipt["stage"].as_str()) == (Some(verb), Some("observed"))
                && receipt["target"]["task"].as_str() == Some(target)
        };
        while !self.journal().lines().any(is_it) {
            assert!(Instant::now() < end, "never observed: {verb} {target}\n{}", self.journal());
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// Waits until the coordinator of this home has ended and cleaned up.
    pub fn wait_until_quiet(&self) {
        let end = Instant::now() + LIMIT;
        while self.coordinator().is_some() {
            assert!(Instant::now() < end, "the coordinator did not end");
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
}

/// The screen, also after a test has failed while it was looking at it.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Shared {
    parser: vt100::Parser,
    raw: Vec<u8>,
    closed: bool,
}

/// A program in a pseudo-terminal.
pub struct Term {
    shared: Arc<(Mutex<Shared>, Condvar)>,
    master: Box<dyn MasterPty + Send>,
    writer: Box<dyn std::io::Write + Send>,
    child: Box<dyn Child + Send + Sync>,
}

fn cells(n: u16) -> NonZeroU16 {
    NonZeroU16::new(n).unwrap()
}

impl Term {
    /// Starts vigie with `args` in a terminal of `width` by `height`.
    pub fn vigie(home: &Home, args: &[&str], width: u16, height: u16) -> Self {
        Self::start(home, binary(), args, &[], width, height)
    }

    /// Starts any program, with `extra` environment.
    pub fn start(
        home: &Home,
        program: &str,
        args: &[&str],
        extra: &[(&str, &str)],
        width: u16,
        height: u16,
    ) -> Self {
        let size = PtySize { rows: height, cols: width, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(program);
        command.args(args);
        command.env_clear();
        for (name, value) in home.environment() {
            command.env(name, value);
        }
        for (name, value) in extra {
            command.env(name, value);
        }
        command.cwd(home.path());
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let parser = vt100::Parser::new(cells(height), cells(width), 0);
        let shared =
            Arc::new((Mutex::new(Shared { parser, raw: Vec::new(), closed: false }), Condvar::new()));
        let mut reader = pair.master.try_clone_reader().unwrap();
        let writer = pair.master.take_writer().unwrap();
        let sink = Arc::clone(&shared);
        std::thread::spawn(move || {
            let mut buffer = [0; 16_384];
            loop {
                let read = reader.read(&mut buffer).unwrap_or(0);
                let mut shared = lock(&sink.0);
                shared.parser.process(&buffer[..read]);
                shared.raw.extend_from_slice(&buffer[..read]);
                shared.closed = read == 0;
                sink.1.notify_all();
                if read == 0 {
                    return;
                }
            }
        });
        Self { shared, master: pair.master, writer, child }
    }

    /// Types.
    pub fn keys(&mut self, text: &str) {
        self.writer.write_all(text.as_bytes()).unwrap();
        self.writer.flush().unwrap();
    }

    /// Waits until the screen fulfils `condition`; fails with the screen.
    pub fn wait(&self, what: &str, condition: impl Fn(&vt100::Screen) -> bool) -> String {
        let end = Instant::now() + LIMIT;
        let mut shared = lock(&self.shared.0);
        while !condition(shared.parser.screen()) {
            let left = end.saturating_duration_since(Instant::now());
            let screen = shared.parser.screen().contents();
            assert!(!left.is_zero(), "never: {what}\n{screen}");
            assert!(!shared.closed, "ended before: {what}\n{screen}");
            shared = self.shared.1.wait_timeout(shared, left.min(Duration::from_millis(200))).unwrap().0;
        }
        shared.parser.screen().contents()
    }

    /// Waits for a text anywhere on the screen.
    pub fn wait_for(&self, text: &str) -> String {
        self.wait(&format!("{text:?} appears"), |screen| screen.contents().contains(text))
    }

    /// Waits until a text is nowhere on the screen.
    pub fn wait_gone(&self, text: &str) -> String {
        self.wait(&format!("{text:?} goes"), |screen| !screen.contents().contains(text))
    }

    /// Waits for a line that has all of `words`.
    pub fn wait_line(&self, words: &[&str]) -> String {
        let has = |line: &str| words.iter().all(|word| line.contains(word));
        self.wait(&format!("a line with {words:?}"), |screen| screen.contents().lines().any(has))
    }

    /// Narrows the table of tasks to the one row that `filter` finds, whose line has all of `words`.
    pub fn only(&mut self, filter: &str, words: &[&str]) {
        self.keys("2\x1b/");
        self.keys(filter);
        self.keys("\r");
        let on_it = |line: &str| line.starts_with('▌') && words.iter().all(|word| line.contains(word));
        self.wait(&format!("the cursor on {words:?}"), |screen| screen.contents().lines().any(on_it));
    }

    /// The screen as SVG, on the background of `theme`: a whole frame, never the half of one.
    pub fn svg(&self, theme: &str) -> String {
        let end = Instant::now() + LIMIT;
        let mut shared = lock(&self.shared.0);
        while !shared.raw.ends_with(b"\x1b[?2026l") {
            assert!(Instant::now() < end, "a frame that does not end");
            shared = self.shared.1.wait_timeout(shared, Duration::from_millis(200)).unwrap().0;
        }
        svg::picture(shared.parser.screen(), theme)
    }

    /// Everything that was written to the terminal so far.
    pub fn raw(&self) -> Vec<u8> {
        lock(&self.shared.0).raw.clone()
    }

    /// Gives the terminal another size, and waits until all of it is drawn anew. A key that came
    /// together with the signal could wait for the next one (so it is in crossterm 0.29).
    pub fn resize(&self, width: u16, height: u16) {
        let before = {
            let mut shared = lock(&self.shared.0);
            shared.parser.screen_mut().set_size(cells(height), cells(width));
            shared.raw.len()
        };
        self.master.resize(PtySize { rows: height, cols: width, pixel_width: 0, pixel_height: 0 }).unwrap();
        let end = Instant::now() + LIMIT;
        let mut shared = lock(&self.shared.0);
        while !shared.raw[before..].windows(3).any(|bytes| bytes == b"\x1b[J") {
            assert!(Instant::now() < end, "it never drew anew\n{}", shared.parser.screen().contents());
            shared = self.shared.1.wait_timeout(shared, Duration::from_millis(200)).unwrap().0;
        }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.process_id().unwrap()).unwrap()).unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Quits the last console of a home: it says what that stops, and is told yes.
    pub fn quit_last(&mut self) {
        self.keys("q");
        self.wait_for("vigie serve");
        self.keys("y");
        assert_eq!(self.end(), 0);
        self.assert_given_back();
    }

    /// Waits for the program's end, and gives its exit code.
    pub fn end(&mut self) -> u32 {
        let end = Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.exit_code();
            }
            let screen = lock(&self.shared.0).parser.screen().contents();
            assert!(Instant::now() < end, "it did not end\n{screen}");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// The program has ended and the terminal is as it was found.
    pub fn assert_given_back(&self) {
        let end = Instant::now() + LIMIT;
        let mut shared = lock(&self.shared.0);
        // What was written last may still be on its way.
        while !shared.closed && Instant::now() < end {
            shared = self.shared.1.wait_timeout(shared, Duration::from_millis(50)).unwrap().0;
        }
        let screen = shared.parser.screen();
        assert!(!screen.alternate_screen(), "still on the alternate screen");
        assert!(!screen.hide_cursor(), "the cursor is still hidden");
        assert!(!screen.bracketed_paste(), "paste is still bracketed");
        assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None, "the mouse is still taken");
    }
}

impl Drop for Term {
    fn drop(&mut self) {
        // A test that failed must not leave a program behind.
        let _ = self.child.kill();
    }
}

/// These arguments, with patience where a command reads: a busy machine is no failure.
pub fn patient<'a>(args: &[&'a str]) -> Vec<&'a str> {
    let mut args = args.to_vec();
    let reads =
        args.first().is_some_and(|first| ["status", "tasks", "runs", "queues", "alerts"].contains(first));
    if reads && !args.contains(&"--timeout") {
        args.extend(["--timeout", "60s"]);
    }
    args
}

/// Runs the binary at `home` without a terminal: exit code, standard output, standard error.
pub fn vigie(home: &Home, args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = Command::new(binary())
        .args(patient(args))
        .env_clear()
        .envs(home.environment())
        .current_dir(home.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}
