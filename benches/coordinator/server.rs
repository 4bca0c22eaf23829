//! The real binary as a coordinator on a free port, and a database filled in bulk.

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;

use crate::client::Client;
use crate::figures::{Stopwatch, wait};

/// A coordinator that serves; ended when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    pub token: String,
    /// From the start of the process to its first answer, in seconds.
    pub started_after: f64,
}

impl Server {
    /// Starts one on `folder/tasks.toml` and `folder/data`.
    pub fn start(folder: &Path) -> Result<Self, Box<dyn Error>> {
        let data = folder.join("data");
        let said = data.join("coordinator.json");
        let _ = std::fs::remove_file(&said);
        let begun = Stopwatch::start();
        let mut child = Command::new(env!("CARGO_BIN_EXE_vigie"))
            .args(["serve", "--listen", "127.0.0.1:0", "--tasks"])
            .arg(folder.join("tasks.toml"))
            .arg("--data")
            .arg(&data)
            .env("HOME", folder)
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_DATA_HOME")
            .env_remove("XDG_STATE_HOME")
            .env_remove("VIGIE_CONFIG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        loop {
            if let Some(status) = child.try_wait()? {
                return Err(format!("vigie serve ended: {status}").into());
            }
            if let Some((address, token)) = announced(&said) {
                let mut server = Self { child, address, token, started_after: 0.0 };
                if Client::new(&server)?.answers() {
                    server.started_after = begun.seconds();
                    return Ok(server);
                }
                return Err("it does not answer".into());
            }
            if begun.seconds() > 120.0 {
                let _ = child.kill();
                return Err("it does not start".into());
            }
            wait(Duration::from_millis(1));
        }
    }

    /// What it takes of the memory, in megabytes.
    pub fn resident_mb(&self) -> Result<f64, Box<dyn Error>> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kilobytes * 1024.0 / 1e6)
    }

    /// What it has taken so far.
    pub fn spent(&self) -> Result<Spent, Box<dyn Error>> {
        let process = format!("/proc/{}", self.child.id());
        let stat = std::fs::read_to_string(format!("{process}/stat"))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        // utime and stime are the 14th and 15th field (proc(5)); ticks are hundredths of a second.
        let ticks = |place: usize| fields.get(place).and_then(|text| text.parse::<f64>().ok());
        let seconds = (ticks(11).ok_or("no utime")? + ticks(12).ok_or("no stime")?) / 100.0;
        let mut switches = 0;
        for thread in std::fs::read_dir(format!("{process}/task"))? {
            let status = std::fs::read_to_string(thread?.path().join("status"))?;
            let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            switches += line.ok_or("no voluntary_ctxt_switches")?.trim().parse::<usize>()?;
        }
        Ok(Spent { seconds, switches })
    }
}

/// What a process has taken.
#[derive(Debug, Clone, Copy)]
pub struct Spent {
    /// Of a core, in seconds.
    pub seconds: f64,
    /// How often one of the threads that it has now went to sleep, and so was woken.
    pub switches: usize,
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

fn announced(file: &Path) -> Option<(SocketAddr, String)> {
    let said: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(file).ok()?).ok()?;
    let address = said["url"].as_str()?.strip_prefix("http://")?.parse().ok()?;
    Some((address, said["token"].as_str()?.to_owned()))
}

/// Puts ended runs into a database that nobody has open: spread over the tasks, every fiftieth failed.
pub fn fill(database: &Path, tasks: usize, runs: u64) -> Result<(), Box<dyn Error>> {
    let connection = Connection::open(database)?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "cache_size", -262_144)?;
    // Filled in order of time, and the indexes after that: as they were, in less time.
    let mut indexes = Vec::new();
    {
        let sql = "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'runs' AND sql IS NOT NULL";
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            indexes.push((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
        }
    }
    for (name, _) in &indexes {
        connection.execute_batch(&format!("DROP INDEX {name}"))?;
    }
    connection.execute_batch(&format!(
        "BEGIN;
         INSERT INTO runs (seq, id, task, state, slot, queued, started, ended, duration_ms, exit_code, message, attempt, priority, cause)
         WITH RECURSIVE n(i) AS (VALUES(0) UNION ALL SELECT i + 1 FROM n LIMIT {runs})
         SELECT i + 1000, printf('01%06x-%04x-7000-8000-%012x', i / 65536, i % 65536, i), printf('task-%06d', (i * 7919) % {tasks}),
                iif(i % 50 = 0, 'failed', 'succeeded'), 1780000000000 + i * 1000, 1780000000000 + i * 1000,
                1780000000005 + i * 1000, 1780000001005 + i * 1000, 1000, iif(i % 50 = 0, 1, 0), 'done', 0, 3, 'schedule' FROM n;
         COMMIT;"
    ))?;
    for (_, sql) in &indexes {
        connection.execute_batch(sql)?;
    }
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}
