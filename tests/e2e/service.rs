//! The coordinator as a service: systemd is told, its unit is a good one, and
//! its log can be read by programs.

use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::term::{Home, binary, vigie};

/// A `vigie serve` that is ended whatever happens.
pub struct Serve(Child);

impl Serve {
    fn start(home: &Home, args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut command = Command::new(binary());
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(args);
        command.env_clear().envs(home.environment()).envs(env.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    /// One that others can find.
    pub fn announced(home: &Home) -> Self {
        let serve = Self::start(home, &[], &[]);
        let end = Instant::now() + Duration::from_secs(60);
        while home.coordinator() != Some(Pid::from_child(&serve.0)) {
            assert!(Instant::now() < end, "it never came up");
            std::thread::park_timeout(Duration::from_millis(5));
        }
        serve
    }

    fn terminate(&self) {
        kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn systemd_hears_when_it_is_ready_alive_and_ending() {
    let home = Home::new();
    let path = home.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut serve =
        Serve::start(&home, &[], &[("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "200000")]);
    let next = || {
        let mut buffer = [0; 1_024];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    let first = next();
    assert!(first.starts_with("READY=1\nSTATUS=serving http://127.0.0.1:"), "{first}");
    for _ in 0..3 {
        assert_eq!(next(), "WATCHDOG=1\n");
    }
    kill_process(Pid::from_child(&serve.0), Signal::HUP).unwrap();
    let mut told = std::iter::repeat_with(&next).filter(|text| text != "WATCHDOG=1\n");
    let reloading = told.next().unwrap();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(told.next().unwrap(), "READY=1\n");
    serve.terminate();
    let last = std::iter::repeat_with(&next).find(|text| text != "WATCHDOG=1\n").unwrap();
    assert!(last.starts_with("STOPPING=1\n"), "{last}");
    assert!(serve.0.wait().unwrap().success());
}

#[test]
fn the_log_can_be_json() {
    let home = Home::new();
    let mut serve = Serve::start(&home, &["--log-format", "json"], &[("VIGIE_LOG", "vigie=debug")]);
    let mut lines = BufReader::new(serve.0.stderr.take().unwrap()).lines().map(Result::unwrap);
    let parsed = |line: String| -> serde_json::Value { serde_json::from_str(&line).unwrap() };
    let entry = lines.by_ref().map(parsed).find(|entry| entry["level"] == "INFO").unwrap();
    assert_eq!(entry["fields"]["message"], "coordinator started");
    assert!(entry["timestamp"].as_str().unwrap().ends_with('Z'));
    let file = std::fs::read(home.data().join("coordinator.json")).unwrap();
    let file: serde_json::Value = serde_json::from_slice(&file).unwrap();
    let (url, right) = (file["url"].as_str().unwrap(), file["token"].as_str().unwrap());
    // A wrong token, a right one, and a key for pings: none of them is in any line.
    let secrets = ["vigie_wr0ng", right, "a-key-that-nobody-guesses"];
    let mut ids = Vec::new();
    for (path, token) in
        [("/api/v1/tasks", secrets[0]), ("/api/v1/tasks", right), ("/ping/a-key-that-nobody-guesses", right)]
    {
        let curl = Command::new("curl")
            .args([
                "-sS",
                "-o",
                "/dev/null",
                "-D",
                "-",
                "-H",
                &format!("Authorization: Bearer {token}"),
                &format!("{url}{path}"),
            ])
            .output()
            .unwrap();
        let head = String::from_utf8(curl.stdout).unwrap();
        let id = head.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap();
        ids.push(id.trim().to_owned());
    }
    serve.terminate();
    let rest: Vec<String> = lines.collect();
    serve.0.wait().unwrap();
    for line in &rest {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(entry.is_object());
        assert!(secrets.iter().all(|secret| !line.contains(secret)), "{line}");
    }
    for id in ids {
        assert!(rest.iter().any(|line| line.contains(&id)), "{id}: {rest:#?}");
    }
    let wrong = rest.iter().find(|line| line.contains("a call with a wrong token")).unwrap();
    assert!(wrong.contains("\"path\":\"/api/v1/tasks\""), "{wrong}");
}

#[test]
fn the_printed_unit_is_one_that_systemd_takes() {
    let home = Home::new();
    let data = home.path().join("its data");
    let (code, unit, error) = vigie(
        &home,
        &["serve", "--print-unit", "--data", data.to_str().unwrap(), "--listen", "127.0.0.1:9000"],
    );
    assert_eq!(code, 0, "{error}");
    let start = unit.lines().find(|line| line.starts_with("ExecStart=")).unwrap();
    assert!(
        start.contains(&format!("\"{}\"", data.display())) && start.contains("127.0.0.1:9000"),
        "{start}"
    );
    for line in ["Type=notify", "KillMode=process", "WatchdogSec=30s", "Restart=always"] {
        assert!(unit.lines().any(|found| found == line), "{unit}");
    }
    let path = home.path().join("vigie.service");
    std::fs::write(&path, &unit).unwrap();
    match Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!said.contains("vigie.service"), "{said}");
        }
        Err(error) => println!("systemd-analyze is not here ({error}): the unit was read by eye only"),
    }
}

/// Whatever the umask is: what it keeps is its own user's alone.
#[test]
fn what_is_kept_is_nobody_else_s_to_read() {
    use std::os::unix::fs::PermissionsExt as _;

    fn open(folder: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let metadata = std::fs::symlink_metadata(entry.path()).unwrap();
            let mode = metadata.permissions().mode() & 0o7777;
            if metadata.is_dir() {
                open(&entry.path(), found);
            }
            let wanted = if metadata.is_dir() { 0o700 } else { 0o600 };
            if !metadata.is_symlink() && mode & !wanted & 0o777 != 0 {
                found.push(format!("{} {mode:o}", entry.path().display()));
            }
        }
    }

    let home = Home::new();
    let script = format!("umask 000; exec {} serve --listen 127.0.0.1:0", binary());
    let mut command = Command::new("sh");
    command.args(["-c", &script]).env_clear().envs(home.environment());
    let serve =
        Serve(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let end = Instant::now() + Duration::from_secs(60);
    while home.coordinator().is_none() {
        assert!(Instant::now() < end, "it never came up");
        std::thread::park_timeout(Duration::from_millis(5));
    }
    let under = |line: &str| {
        let line = format!("umask 000; {line}").replace("vigie ", &format!("{} ", binary()));
        let run =
            Command::new("sh").args(["-c", &line]).env_clear().envs(home.environment()).output().unwrap();
        assert!(run.status.success(), "{line}: {}", String::from_utf8_lossy(&run.stderr));
    };
    under("vigie submit --wait --name hello -- echo words");
    under("echo t0p-s3cret | vigie vault set data/pg");
    under("vigie token create --name ci --role viewer");
    under("vigie trigger local/self-backup --wait --yes");
    under("vigie submit --name long -- sleep 600");
    let data = home.data();
    assert_eq!(std::fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    let mut found = Vec::new();
    open(&data, &mut found);
    for folder in ["state/vigie", ".local/state/vigie"] {
        let folder = home.path().join(folder);
        if folder.exists() {
            open(&folder, &mut found);
        }
    }
    assert_eq!(found, [] as [String; 0]);
    under("vigie cancel local/long --yes --wait || true");
    drop(serve);
}
