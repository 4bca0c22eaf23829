//! A coordinator that others play: a script as the child, a small server for
//! what it would answer.
#![expect(clippy::disallowed_methods, reason = "tests start servers")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::model::Kind;
use crate::vault::{KeySource, Vault};
use crate::wire::{COORDINATOR_FILE, CoordinatorFile};

const TOKEN: &str = "a-token";

/// What the small server answers from.
#[derive(Debug)]
struct Stage {
    data: PathBuf,
    scheduling: AtomicBool,
    consoles: AtomicUsize,
    /// Cancelled, and replaced, to break every lease.
    broken: std::sync::Mutex<CancellationToken>,
}

impl Stage {
    fn announced(&self) -> Option<CoordinatorFile> {
        serde_json::from_slice(&std::fs::read(self.data.join(COORDINATOR_FILE)).ok()?).ok()
    }

    /// Kills the coordinator, as far as a console can see.
    fn kill(&self) {
        std::fs::remove_file(self.data.join(COORDINATOR_FILE)).unwrap();
        let mut broken = self.broken.lock().unwrap();
        std::mem::take(&mut *broken).cancel();
    }
}

async fn serve(stage: Arc<Stage>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let stage = Arc::clone(&stage);
            tokio::spawn(async move {
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).await.unwrap();
                let request = String::from_utf8_lossy(&request[..length]).to_lowercase();
                let Some(announced) = stage.announced() else { return };
                assert!(request.contains(&format!("authorization: bearer {TOKEN}")), "{request}");
                if request.starts_with("get /api/v1/lease ") {
                    let broken = stage.broken.lock().unwrap().clone();
                    stage.consoles.fetch_add(1, Ordering::SeqCst);
                    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\n\r\n";
                    stream.write_all(head.as_bytes()).await.unwrap();
                    let gone = async {
                        let mut byte = [0];
                        while stream.read(&mut byte).await.is_ok_and(|n| n > 0) {}
                    };
                    tokio::select! { () = gone => {} () = broken.cancelled() => {} }
                    stage.consoles.fetch_sub(1, Ordering::SeqCst);
                    return;
                }
                let about = serde_json::to_string(&Coordinator {
                    version: "1".into(),
                    pid: announced.pid,
                    started: chrono::DateTime::UNIX_EPOCH,
                    scheduling: stage.scheduling.load(Ordering::SeqCst),
                    ends_with_consoles: true,
                    consoles: stage.consoles.load(Ordering::SeqCst),
                    you: None,
                })
                .unwrap();
                let length = about.len();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{about}"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            });
        }
    });
    url
}

/// A data directory, what plays the coordinator, and a keeper.
struct World {
    folder: TempDir,
    stage: Arc<Stage>,
    url: String,
    outbox: Arc<Outbox>,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let stage = Arc::new(Stage {
            data,
            scheduling: AtomicBool::new(true),
            consoles: AtomicUsize::new(0),
            broken: std::sync::Mutex::default(),
        });
        let url = serve(Arc::clone(&stage)).await;
        Self { folder, stage, url, outbox: Arc::default() }
    }

    fn announce(&self, pid: u32) {
        let file = CoordinatorFile { url: self.url.clone(), token: TOKEN.to_owned(), pid };
        std::fs::write(self.stage.data.join(COORDINATOR_FILE), serde_json::to_vec(&file).unwrap()).unwrap();
    }

    /// A program that notes its arguments, announces itself, and stays while `folder/alive` is there.
    fn program(&self) -> PathBuf {
        let folder = self.folder.path().display();
        std::fs::write(self.folder.path().join("alive"), "").unwrap();
        self.script(&format!(
            "echo \"$@\" >> {folder}/arguments\n\
             printf '{{\"url\":\"{}\",\"token\":\"{TOKEN}\",\"pid\":%s}}' $$ > {folder}/data/new\n\
             mv {folder}/data/new {folder}/data/{COORDINATOR_FILE}\n\
             while [ -e {folder}/alive ]; do sleep 0.05; done\n",
            self.url
        ))
    }

    /// Another process writes it: a child that a test beside this one starts meanwhile would hold
    /// it open for a moment, and what is open to be written can't be run.
    fn script(&self, text: &str) -> PathBuf {
        let path = self.folder.path().join("program");
        let mut writer = Command::new("sh");
        writer.args(["-c", "cat > \"$1\" && chmod 755 \"$1\"", "sh"]).arg(&path).stdin(Stdio::piped());
        let mut writer = writer.spawn().unwrap();
        write!(writer.stdin.take().unwrap(), "#!/bin/sh\n{text}").unwrap();
        assert!(writer.wait().unwrap().success());
        path
    }

    fn places(&self) -> Places {
        let folder = self.folder.path();
        Places {
            data: folder.join("data"),
            state: folder.join("state"),
            tasks: folder.join("tasks.toml"),
            vault: Vault::new(folder.join("data"), KeySource::File(folder.join("vault.key"))),
        }
    }

    /// Starts a keeper; it ends with the token.
    fn keep(&self, program: &Path, policy: LocalPolicy) -> (watch::Receiver<LocalState>, CancellationToken) {
        let (state, watched) = watch::channel(LocalState::Starting);
        let keeper = Keeper {
            spec: Arc::new(EndpointSpec::new("local".into(), Kind::Vigie, None)),
            places: self.places(),
            policy,
            program: Some(program.to_owned()),
            ask: Duration::from_millis(20),
            outbox: Arc::clone(&self.outbox),
            state,
        };
        let stop = CancellationToken::new();
        let token = stop.clone();
        tokio::spawn(async move { token.run_until_cancelled(keeper.run()).await });
        (watched, stop)
    }

    async fn note(&self) -> String {
        match self.outbox.next().await.unwrap() {
            Update::Note(note) => note.as_str().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    fn arguments(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("arguments")).unwrap_or_default()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.folder.path().join("alive"));
    }
}

async fn becomes(
    state: &mut watch::Receiver<LocalState>,
    wanted: impl FnMut(&LocalState) -> bool,
) -> LocalState {
    let state = tokio::time::timeout(Duration::from_secs(60), state.wait_for(wanted)).await;
    state.expect("in time").expect("the keeper lives").clone()
}

async fn attached(state: &mut watch::Receiver<LocalState>, ends_with_us: bool) {
    becomes(state, |state| *state == LocalState::Attached { ends_with_us }).await;
}

#[tokio::test]
async fn one_that_runs_is_attached_to_and_none_is_started() {
    let world = World::new().await;
    world.announce(4_711);
    let (mut state, stop) = world.keep(Path::new("/nonexistent"), LocalPolicy::Child);
    attached(&mut state, true).await;
    // A second console: then quitting the first stops nothing.
    let (mut second, second_stop) = world.keep(Path::new("/nonexistent"), LocalPolicy::Child);
    attached(&mut second, false).await;
    attached(&mut state, false).await;
    second_stop.cancel();
    attached(&mut state, true).await;
    stop.cancel();
    while world.stage.consoles.load(Ordering::SeqCst) > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn without_one_a_child_is_started_and_held() {
    let world = World::new().await;
    let program = world.program();
    let (mut state, stop) = world.keep(&program, LocalPolicy::Child);
    attached(&mut state, true).await;
    assert!(world.note().await.starts_with("started a coordinator on this machine (pid "));
    let folder = world.folder.path().display();
    assert_eq!(
        world.arguments(),
        format!("serve --listen 127.0.0.1:0 --data {folder}/data --tasks {folder}/tasks.toml --linger 2s\n")
    );
    // In its own process group: what a terminal sends to ours does not reach it.
    let pid = rustix::process::Pid::from_raw(world.stage.announced().unwrap().pid.cast_signed()).unwrap();
    assert_eq!(rustix::process::getpgid(Some(pid)).unwrap(), pid);
    stop.cancel();
}

#[tokio::test]
async fn one_that_was_killed_is_replaced() {
    let world = World::new().await;
    let program = world.program();
    let (mut state, stop) = world.keep(&program, LocalPolicy::Child);
    attached(&mut state, true).await;
    world.note().await;
    let first = world.stage.announced().unwrap().pid;
    world.stage.kill();
    becomes(&mut state, |state| *state == LocalState::Starting).await;
    attached(&mut state, true).await;
    let note = world.note().await;
    assert!(note.starts_with("the coordinator had ended: started another (pid "), "{note}");
    assert_ne!(world.stage.announced().unwrap().pid, first);
    stop.cancel();
}

#[tokio::test]
async fn what_a_killed_one_left_behind_is_not_believed() {
    let world = World::new().await;
    // A file that leads nowhere: nobody listens there any more.
    let taken = TcpSocket::new_v4().unwrap();
    taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let dead = taken.local_addr().unwrap();
    let file = CoordinatorFile { url: format!("http://{dead}"), token: "old".to_owned(), pid: 1 };
    std::fs::write(world.stage.data.join(COORDINATOR_FILE), serde_json::to_vec(&file).unwrap()).unwrap();
    let program = world.program();
    let (mut state, stop) = world.keep(&program, LocalPolicy::Child);
    attached(&mut state, true).await;
    stop.cancel();
}

#[tokio::test]
async fn the_loser_of_a_race_attaches_to_the_winner() {
    let world = World::new().await;
    let folder = world.folder.path().display();
    let program = world.script(&format!(
        "touch {folder}/began\necho 'error: a coordinator already runs on here' >&2\nexit 1"
    ));
    let (mut state, stop) = world.keep(&program, LocalPolicy::Child);
    while !world.folder.path().join("began").exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.announce(4_711);
    attached(&mut state, true).await;
    stop.cancel();
}

#[tokio::test]
async fn one_that_ends_at_once_is_told_with_its_last_words() {
    let world = World::new().await;
    let program = world.script("echo starting; echo 'tasks.toml: line 3: no such key' >&2; echo >&2; exit 2");
    let (mut watched, stop) = world.keep(&program, LocalPolicy::Child);
    let state = becomes(&mut watched, |state| matches!(state, LocalState::Failed(_))).await;
    let LocalState::Failed(reason) = state else { panic!("{state:?}") };
    let log = world.places().coordinator_log();
    assert_eq!(
        reason.as_str(),
        format!(
            "the coordinator ended at once (exit status: 2): tasks.toml: line 3: no such key (see {})",
            log.display()
        )
    );
    // It is tried again: the second one lives.
    world.program();
    attached(&mut watched, true).await;
    stop.cancel();
}

#[tokio::test]
async fn one_that_only_answers_is_waited_out_by_a_console_and_good_enough_for_a_command() {
    let world = World::new().await;
    world.stage.scheduling.store(false, Ordering::SeqCst);
    world.announce(4_711);
    let program = world.program();
    let (mut command, command_stop) = world.keep(&program, LocalPolicy::AnswerOnly);
    attached(&mut command, false).await;
    let (mut console, console_stop) = world.keep(&program, LocalPolicy::Child);
    // Its rows may be shown meanwhile, but it is not held.
    attached(&mut console, false).await;
    assert_eq!(world.stage.consoles.load(Ordering::SeqCst), 1);
    command_stop.cancel();
    world.stage.scheduling.store(true, Ordering::SeqCst);
    world.stage.kill();
    attached(&mut console, true).await;
    assert!(world.arguments().ends_with("--linger 2s\n"), "{}", world.arguments());
    console_stop.cancel();
}

#[tokio::test]
async fn a_command_starts_one_that_only_answers() {
    let world = World::new().await;
    world.stage.scheduling.store(false, Ordering::SeqCst);
    let program = world.program();
    let (mut state, stop) = world.keep(&program, LocalPolicy::AnswerOnly);
    attached(&mut state, false).await;
    assert!(world.arguments().ends_with("--linger 1s --answer-only\n"), "{}", world.arguments());
    stop.cancel();
}

#[tokio::test]
async fn one_that_is_on_its_way_out_is_followed_by_ours() {
    let world = World::new().await;
    let folder = world.folder.path().display();
    // The lock is still held when ours is started first.
    let lives = std::fs::read_to_string(world.program()).unwrap();
    let program = world.script(&format!(
        "if [ ! -e {folder}/began ]; then touch {folder}/began; \
         echo 'error: a coordinator already runs on here: pid 1' >&2; echo hint >&2; exit 1; fi\n{lives}"
    ));
    let (mut state, stop) = world.keep(&program, LocalPolicy::Child);
    attached(&mut state, true).await;
    assert!(world.note().await.starts_with("started a coordinator"));
    stop.cancel();
}

#[tokio::test]
async fn one_that_gives_leases_back_at_once_is_asked_in_peace_and_without_notes() {
    let world = World::new().await;
    world.announce(4_711);
    let (mut state, stop) = world.keep(Path::new("/nonexistent"), LocalPolicy::Child);
    for _ in 0..3 {
        attached(&mut state, true).await;
        std::mem::take(&mut *world.stage.broken.lock().unwrap()).cancel();
        becomes(&mut state, |state| *state == LocalState::Starting).await;
    }
    attached(&mut state, true).await;
    world.outbox.close();
    assert!(world.outbox.next().await.is_none(), "the same one again is no news");
    stop.cancel();
}

#[test]
fn a_coordinator_that_finds_the_directory_locked_is_understood() {
    let data = tempfile::tempdir().unwrap();
    let _first = crate::coordinator::acquire_lock(data.path()).unwrap();
    let refused = crate::coordinator::acquire_lock(data.path()).unwrap_err().to_string();
    assert!(refused.contains(child::TAKEN), "{refused}");
}
