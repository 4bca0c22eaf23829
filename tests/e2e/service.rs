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
        while home.coordinator().is_none() {
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
    serve.terminate();
    let last = std::iter::repeat_with(next).find(|text| text != "WATCHDOG=1\n").unwrap();
    assert!(last.starts_with("STOPPING=1\n"), "{last}");
    assert!(serve.0.wait().unwrap().success());
}

#[test]
fn the_log_can_be_json() {
    let home = Home::new();
    let mut serve = Serve::start(&home, &["--log-format", "json"], &[]);
    let mut line = String::new();
    BufReader::new(serve.0.stderr.take().unwrap()).read_line(&mut line).unwrap();
    let entry: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(entry["fields"]["message"], "coordinator started");
    assert_eq!(entry["level"], "INFO");
    assert!(entry["timestamp"].as_str().unwrap().ends_with('Z'));
    serve.terminate();
    serve.0.wait().unwrap();
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
