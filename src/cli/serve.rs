//! `vigie serve`: the coordinator in the foreground, until SIGTERM or SIGINT;
//! SIGHUP reads the tasks again. Exit codes: 0 ended as asked, 1 could not
//! start, 2 usage or configuration, and with `--check` a mistake in the tasks:
//! without it that is logged, and the tasks stay as they last were.

use std::path::Path;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::coordinator::engine::{Actor, Engine};
use crate::coordinator::{self, BindError, Options, Server, SystemClock};

use super::args::{Global, ServeOptions};
use super::{Exit, Failure, print, session};

/// Runs it.
///
/// # Errors
/// Why it could not start: a taken address, a taken data directory.
pub async fn run(global: &Global, options: ServeOptions) -> Result<Exit, Failure> {
    let paths = session::paths(global)?;
    let tasks = options.tasks.unwrap_or_else(|| paths.tasks.clone());
    // What is told of it later must not depend on where this was started.
    let tasks = std::path::absolute(&tasks).unwrap_or(tasks);
    if options.check {
        let count = check(&tasks)?;
        let there = if tasks.exists() { "is right" } else { "is not there, which is fine" };
        print(&format!("{} {there}: {count} tasks, and the built-in ones\n", tasks.display()))?;
        return Ok(Exit::OK);
    }
    // A console's own coordinator must come up while the configuration is being edited.
    let configured = if options.linger.is_some() {
        Settings::default()
    } else {
        Settings::load(&paths, &session::overrides(global)?)
            .map_err(|error| Failure::usage(error.to_string()))?
    };
    log_to_stderr();
    let cron_port = session::variable("CRON_PORT").map(|port| port.to_string_lossy().into_owned());
    let listener =
        coordinator::bind(options.listen.as_deref(), cron_port.as_deref()).await.map_err(unbound)?;
    let settings = Options {
        data: options.data.unwrap_or(paths.data),
        tasks,
        scheduling: !options.answer_only,
        linger: options.linger,
        open_on_loopback: configured.open_on_loopback,
    };
    let signals = Signals::new().map_err(refused)?;
    let shutdown = CancellationToken::new();
    let server = Server::open(listener, settings.clone(), Arc::new(SystemClock), shutdown.clone())
        .await
        .map_err(refused)?;
    print(&format!(
        "vigie's coordinator listens on {}\n  data   {}\n  tasks  {}\n",
        server.announced().url,
        settings.data.display(),
        settings.tasks.display()
    ))?;
    let engine = server.engine().clone();
    let mut running = std::pin::pin!(server.run());
    tokio::select! {
        _ = &mut running => {}
        () = signals.until_the_end(&engine) => {
            shutdown.cancel();
            running.await;
        }
    }
    Ok(Exit::OK)
}

/// An address that can never do is usage; one that can't be had now is not.
fn unbound(error: BindError) -> Failure {
    match error {
        BindError::Unreadable { .. } | BindError::NotLoopback(_) => Failure::usage(error.to_string()),
        BindError::Taken { .. } | BindError::Refused { .. } => refused(error),
    }
}

fn refused(error: impl std::fmt::Display) -> Failure {
    Failure::refused(error.to_string())
}

/// Reads the tasks and says everything that is wrong with them. Gives their number.
///
/// # Errors
/// Every mistake with its line.
pub fn check(tasks: &Path) -> Result<usize, Failure> {
    coordinator::check_tasks(tasks).map_err(|error| {
        let lines: Vec<String> = error.problems.iter().map(ToString::to_string).collect();
        Failure::usage(lines.join("\n"))
    })
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Until SIGTERM or SIGINT; SIGHUP reloads.
    async fn until_the_end(mut self, engine: &Engine) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {
                    let actor = Actor { name: "SIGHUP".into(), idempotency_key: None };
                    if let Err(error) = engine.reload(actor).await {
                        for problem in &error.problems {
                            tracing::error!("{problem}");
                        }
                    }
                }
            }
        }
    }
}

/// Log lines go to standard error; `VIGIE_LOG` is a filter such as `debug`.
fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("VIGIE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,vigie=info"));
    // A second subscriber in one process is refused, which is as well.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .try_init();
}
