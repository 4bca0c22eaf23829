//! What the coordinator does per second, and how long it takes: the real
//! binary with a real database in a temporary folder, spoken to over HTTP.
//!
//! Prints one line per figure. `VIGIE_BENCH_RUNS` is how many runs lie on disk
//! while lists are read (default 1 000 000), `VIGIE_BENCH_SECONDS` how long
//! each of the longer parts takes (default 30). A name after `--` picks parts.

mod client;
mod figures;
mod server;

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use client::Client;
use figures::{Stopwatch, nanoseconds_now, spread, wait};
use server::Server;

type Outcome = Result<(), Box<dyn Error>>;

/// Tasks of the parts about schedules, memory and start.
const SCHEDULED: usize = 10_000;
/// Tasks of the part about lists.
const LISTED: usize = 100_000;

/// A number from the environment, or what is usual.
fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.replace('_', "").parse().ok()).unwrap_or(usual)
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody reads it any more: then nothing is said.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// A part of the measurements.
type Part = fn() -> Outcome;

fn main() -> ExitCode {
    let parts: [(&str, Part); 8] = [
        ("redact", redact),
        ("rest", rest),
        ("scheduled", scheduled),
        ("together", together),
        ("enqueue", enqueue),
        ("pings", pings),
        ("empty", empty),
        ("lists", lists),
    ];
    let asked: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    say(&format!("load average at the start: {}", figures::load()));
    for (name, part) in parts {
        if !asked.is_empty() && !asked.iter().any(|asked| asked == name) {
            continue;
        }
        if let Err(error) = part() {
            say(&format!("{name}: {error}"));
            return ExitCode::FAILURE;
        }
    }
    say(&format!("load average at the end: {}", figures::load()));
    ExitCode::SUCCESS
}

/// A coordinator with nothing but its own tasks.
fn empty() -> Outcome {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("tasks.toml"), "")?;
    starts(folder.path(), "its own tasks")?;
    let server = Server::start(folder.path())?;
    wait(Duration::from_secs(2));
    say(&format!("its own tasks: {:.1} MB resident", server.resident_mb()?));
    Ok(())
}

/// Ten starts on the same data.
fn starts(folder: &Path, what: &str) -> Outcome {
    let mut times = Vec::new();
    for _ in 0..10 {
        let server = Server::start(folder)?;
        times.push(server.started_after);
    }
    say(&format!("{what}: start to serving {}", spread(&mut times)));
    Ok(())
}

/// A task file with 10 000 tasks that print when they start, each by its own `schedule`.
fn stamping(folder: &Path, schedule: impl Fn(usize) -> String) -> Outcome {
    let mut text = String::new();
    for i in 0..SCHEDULED {
        let (team, schedule) = (i % 20, schedule(i));
        writeln!(
            text,
            "[[task]]\nid = \"task-{i:05}\"\nname = \"Number {i}\"\nteam = \"team-{team}\"\n\
             command = [\"date\", \"+%s%N\"]\nschedule = \"{schedule}\""
        )?;
    }
    Ok(std::fs::write(folder.join("tasks.toml"), text)?)
}

/// 10 000 tasks whose time is far away, and none but its own: what they cost while nothing happens.
fn rest() -> Outcome {
    for (what, tasks) in [("its own tasks", 0), ("10000 tasks, none due", SCHEDULED)] {
        let folder = tempfile::tempdir()?;
        if tasks > 0 {
            stamping(folder.path(), |i| format!("{} {} 29 2 *", i / 60 % 60, i / 3600 % 24))?;
        }
        let server = Server::start(folder.path())?;
        // Threads that only a start needs are gone by then.
        wait(Duration::from_secs(15));
        let length = Duration::from_secs(setting("VIGIE_BENCH_SECONDS", 30) * 2);
        let (before, started) = (server.spent()?, Stopwatch::start());
        wait(length);
        let (after, seconds) = (server.spent()?, started.seconds());
        let share = (after.seconds - before.seconds) / seconds * 100.0;
        let wakes = figures::per_second(after.switches.saturating_sub(before.switches), seconds);
        say(&format!(
            "{what}: {share:.2} % of a core at rest, {wakes:.1} wake-ups a second, over {seconds:.0} s"
        ));
    }
    Ok(())
}

/// 10 000 tasks of every hour, two or three at each second: start, memory, and due to process start.
fn scheduled() -> Outcome {
    let folder = tempfile::tempdir()?;
    stamping(folder.path(), |i| format!("{} {} * * * *", i % 60, i / 60 % 60))?;
    let first = Server::start(folder.path())?;
    say(&format!("{SCHEDULED} tasks: first start to serving {:.0} ms", first.started_after * 1e3));
    drop(first);
    starts(folder.path(), &format!("{SCHEDULED} tasks"))?;
    let server = Server::start(folder.path())?;
    // What came due while nothing served is late by that, and no figure of this.
    let serving = nanoseconds_now();
    wait(Duration::from_secs(3));
    say(&format!("{SCHEDULED} tasks: {:.1} MB resident", server.resident_mb()?));
    let length = Duration::from_secs(setting("VIGIE_BENCH_SECONDS", 30) * 4);
    let (before, started) = (server.spent()?, Stopwatch::start());
    wait(length);
    let share = (server.spent()?.seconds - before.seconds) / started.seconds() * 100.0;
    say(&format!("{SCHEDULED} tasks, 2.8 starts per second: {share:.1} % of a core"));
    let mut delays = delays(&server, serving)?;
    say(&format!("{SCHEDULED} tasks: due to process start {}", spread(&mut delays)));
    say(&format!("{SCHEDULED} tasks: {:.1} MB resident after that", server.resident_mb()?));
    Ok(())
}

/// 100 of 10 000 tasks due at the same second of every minute, 8 at a time.
fn together() -> Outcome {
    let folder = tempfile::tempdir()?;
    stamping(
        folder.path(),
        |i| if i % 100 == 0 { "30 * * * * *".to_owned() } else { "0 0 29 2 *".to_owned() },
    )?;
    let server = Server::start(folder.path())?;
    let serving = nanoseconds_now();
    wait(Duration::from_secs(65));
    let mut delays = delays(&server, serving)?;
    say(&format!(
        "100 of {SCHEDULED} tasks due at once, 8 at a time: due to process start {}",
        spread(&mut delays)
    ));
    Ok(())
}

/// From due to process start, in seconds, of the runs whose slot came after an instant.
fn delays(server: &Server, since: i64) -> Result<Vec<f64>, Box<dyn Error>> {
    let mut client = Client::new(server)?;
    let mut delays = Vec::new();
    let mut before = String::new();
    loop {
        let page = client.json(&format!("/api/v1/runs?state=succeeded&limit=500{before}"))?;
        for run in page["runs"].as_array().into_iter().flatten() {
            let (Some(slot), Some(id)) = (run["slot"].as_str(), run["id"].as_str()) else { continue };
            let due = chrono::DateTime::parse_from_rfc3339(slot)?.timestamp_nanos_opt().unwrap_or_default();
            let log = client.json(&format!("/api/v1/runs/{id}/log"))?;
            // The coordinator's own tasks print no time.
            let began: Option<i64> = log["text"].as_str().and_then(|text| text.trim().parse().ok());
            delays.extend(began.filter(|_| due > since).map(|began| figures::seconds(began - due)));
        }
        let Some(next) = page["next"].as_str() else { return Ok(delays) };
        before = format!("&before={next}");
    }
}

/// Output that streams through the redactor in pieces of 64 KiB, with 20 secrets.
fn redact() -> Outcome {
    let secrets: Vec<String> =
        (0..20).map(|i| format!("s3cret-{i:02}-{:016x}", i * 0x9e37_79b9_7f4a_7c15_u128)).collect();
    let line = |i: usize| {
        format!(
            "2026-01-20T09:00:{:02}Z worker-{} wrote {} rows into shop.orders, status=ok\n",
            i % 60,
            i % 7,
            i * 31
        )
    };
    let quiet: String = (0..).map(line).take(1 << 13).collect();
    let mut loud = quiet.clone();
    for (i, at) in (0..quiet.len()).step_by(997).enumerate().rev() {
        loud.insert_str(at, &secrets[i % secrets.len()]);
    }
    let mut noise = String::new();
    for i in 0_u64..1 << 16 {
        write!(noise, "{:016x}", i.wrapping_mul(0x9e37_79b9_7f4a_7c15))?;
    }
    for (what, text) in [
        ("lines of a log", &quiet),
        ("the same with a secret per kilobyte", &loud),
        ("hexadecimal noise", &noise),
    ] {
        let mut redactor = vigie::vault::Redactor::new(&secrets);
        let (mut out, mut bytes, began) = (Vec::new(), 0, Stopwatch::start());
        while bytes < 256 << 20 {
            for piece in text.as_bytes().chunks(64 << 10) {
                redactor.push(piece, &mut out);
                out.clear();
                bytes += piece.len();
            }
        }
        let rate = figures::per_second(bytes, began.seconds()) / 1e6;
        say(&format!("redacted of {} secrets, {what}: {rate:.0} MB/s", secrets.len()));
    }
    Ok(())
}

/// From a call to the process that it starts.
fn enqueue() -> Outcome {
    let folder = tempfile::tempdir()?;
    let text = "[[task]]\nid = \"stamp\"\ncommand = [\"date\", \"+%s%N\"]\n";
    std::fs::write(folder.path().join("tasks.toml"), text)?;
    let server = Server::start(folder.path())?;
    let mut client = Client::new(&server)?;
    let (mut answers, mut delays) = (Vec::new(), Vec::new());
    for _ in 0..300 {
        let asked = nanoseconds_now();
        let answer = client.post("/api/v1/tasks/stamp/runs")?;
        answers.push(figures::seconds(nanoseconds_now() - asked));
        let run = answer["run"].as_str().ok_or("no run")?.to_owned();
        let began = loop {
            let log = client.json(&format!("/api/v1/runs/{run}/log"))?;
            if log["complete"] == true {
                break log["text"].as_str().unwrap_or_default().trim().parse::<i64>()?;
            }
            wait(Duration::from_millis(5));
        };
        delays.push(figures::seconds(began - asked));
    }
    say(&format!("enqueue to its durable answer {}", spread(&mut answers)));
    say(&format!("enqueue to process start {}", spread(&mut delays)));
    Ok(())
}

/// Durable pings over connections that stay open.
fn pings() -> Outcome {
    const TASKS: usize = 1_000;
    let folder = tempfile::tempdir()?;
    let mut text = String::new();
    for i in 0..TASKS {
        writeln!(
            text,
            "[[task]]\nid = \"job-{i}\"\nping_key = \"bench-of-pings-key-number-{i:06}\"\nevery = \"1h\""
        )?;
    }
    std::fs::write(folder.path().join("tasks.toml"), text)?;
    let server = Server::start(folder.path())?;
    let length = Duration::from_secs(setting("VIGIE_BENCH_SECONDS", 30) / 6 + 1);
    for connections in [1, 16, 64, 256] {
        let began = Stopwatch::start();
        let mut times = std::thread::scope(|scope| -> Result<Vec<f64>, Box<dyn Error>> {
            let senders: Vec<_> = (0..connections)
                .map(|connection| {
                    let server = &server;
                    scope.spawn(move || -> Result<Vec<f64>, String> {
                        let mut client = Client::new(server).map_err(|error| error.to_string())?;
                        let (started, mut times) = (Stopwatch::start(), Vec::new());
                        for i in (connection..).step_by(connections) {
                            if started.seconds() > length.as_secs_f64() {
                                break;
                            }
                            let one = Stopwatch::start();
                            let path = format!("/ping/bench-of-pings-key-number-{:06}", i % TASKS);
                            client.ping(&path).map_err(|error| error.to_string())?;
                            times.push(one.seconds());
                        }
                        Ok(times)
                    })
                })
                .collect();
            let mut times = Vec::new();
            for sender in senders {
                times.extend(sender.join().map_err(|_| "a sender panicked")??);
            }
            Ok(times)
        })?;
        let rate = figures::per_second(times.len(), began.seconds());
        say(&format!("pings over {connections} connections: {rate:.0}/s, each {}", spread(&mut times)));
    }
    say(&format!("after the pings: {:.1} MB resident", server.resident_mb()?));
    Ok(())
}

/// Lists, filters and histories with 100 000 tasks and many runs on disk.
fn lists() -> Outcome {
    let runs = setting("VIGIE_BENCH_RUNS", 1_000_000);
    let folder = tempfile::tempdir()?;
    let mut text = String::new();
    for i in 0..LISTED {
        writeln!(
            text,
            "[[task]]\nid = \"task-{i:06}\"\nname = \"Number {i}\"\nteam = \"team-{}\"\nping_key = \"bench-of-lists-key-number-{i:06}\"\nschedule = \"{} {} * * *\"",
            i % 100,
            i % 60,
            i % 24
        )?;
    }
    std::fs::write(folder.path().join("tasks.toml"), text)?;
    drop(Server::start(folder.path())?);
    let filling = Stopwatch::start();
    server::fill(&folder.path().join("data").join("coordinator.db"), LISTED, runs)?;
    say(&format!("{runs} runs were put on disk in {:.0} s", filling.seconds()));
    let server = Server::start(folder.path())?;
    let what = format!("{LISTED} tasks, {runs} runs");
    say(&format!("{what}: start to serving {:.0} ms", server.started_after * 1e3));
    wait(Duration::from_secs(2));
    say(&format!("{what}: {:.1} MB resident", server.resident_mb()?));
    let mut client = Client::new(&server)?;
    let calls: [(&str, &dyn Fn(usize) -> String); 10] = [
        ("a page of tasks", &|i| format!("/api/v1/tasks?limit=100&after=task-{:06}", i * 331 % LISTED)),
        ("tasks of a team", &|i| format!("/api/v1/tasks?limit=100&team=team-{}", i % 100)),
        ("tasks of a state that few have", &|_| "/api/v1/tasks?limit=100&state=failing,running".to_owned()),
        ("tasks by a word", &|i| format!("/api/v1/tasks?limit=100&q=number%20{}", i * 331 % LISTED)),
        ("one task", &|i| format!("/api/v1/tasks/task-{:06}", i * 331 % LISTED)),
        ("the newest runs", &|_| "/api/v1/runs?limit=100".to_owned()),
        ("a task's history", &|i| format!("/api/v1/runs?limit=100&task=task-{:06}", i * 331 % LISTED)),
        ("failed runs", &|_| "/api/v1/runs?limit=100&state=failed".to_owned()),
        ("a task's failed runs", &|i| {
            format!("/api/v1/runs?limit=100&state=failed&task=task-{:06}", i * 331 % LISTED)
        }),
        ("flips", &|_| "/api/v1/flips?limit=100".to_owned()),
    ];
    for (name, path) in calls {
        let mut times = Vec::new();
        for i in 0..400 {
            let one = Stopwatch::start();
            client.get(&path(i))?;
            times.push(one.seconds());
        }
        say(&format!("{what}: {name} {}", spread(&mut times)));
    }
    let one = Stopwatch::start();
    let bytes = client.get("/api/v1/tasks")?.len();
    let megabytes = bytes / 1_000_000;
    say(&format!("{what}: all tasks at once, {megabytes} MB, {:.0} ms", one.seconds() * 1e3));
    say(&format!("{what}: {:.1} MB resident at the end", server.resident_mb()?));
    Ok(())
}
