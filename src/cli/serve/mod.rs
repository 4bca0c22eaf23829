//! `vigie serve`: the coordinator in the foreground, until SIGTERM or SIGINT;
//! SIGHUP reads the tasks again. Beside it, the policies of the endpoints that
//! are configured. Exit codes: 0 ended as asked, 1 could not start, 2 usage,
//! and with `--check` a mistake in the tasks: without it that is logged, and
//! the tasks stay as they last were. So is one in the configuration: the tasks
//! run all the same.

mod access;
pub mod args;
mod log;
mod service;
mod spooled;
mod unit;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::{ConfigError, ConfigWatch, Overrides, Paths, Settings};
use crate::coordinator::engine::{Actor, Engine};
use crate::coordinator::{self, BindError, CertificateReload, Options, Server, SystemClock};
use crate::runtime::Places;
use crate::runtime::policy::{self, Configured};
use crate::vault::Vault;

pub use log::LogFormat;

use super::args::Global;
use super::{Exit, Failure, print, session};

use args::ServeOptions;

/// Runs it.
///
/// # Errors
/// Why it could not start: a taken address, a taken data directory.
pub async fn run(global: &Global, options: ServeOptions) -> Result<Exit, Failure> {
    if options.print_unit {
        return print_unit(global, &options);
    }
    let paths = session::paths(global)?;
    let policies = is_for_itself(&options);
    let line = access::Line::of(&options);
    let tasks = options.tasks.unwrap_or_else(|| paths.tasks.clone());
    // What is told of it later must not depend on where this was started.
    let tasks = std::path::absolute(&tasks).unwrap_or(tasks);
    if options.check {
        let count = check(&tasks)?;
        let data = options.data.unwrap_or_else(|| paths.data.clone());
        check_secrets(&tasks, &session::vault(&paths, session::vault_key(&paths).as_ref(), &data)).await?;
        let there = if tasks.exists() { "is right" } else { "is not there, which is fine" };
        print(&format!("{} {there}: {count} tasks, and the built-in ones\n", tasks.display()))?;
        let (_, settings) = session::configuration(global)?;
        return access::check(&access::wanted(&line, &settings.access));
    }
    let overrides = session::overrides(global)?;
    log::to_stderr(options.log_format);
    // A console's own coordinator takes nothing from the configuration, which may be being edited.
    let configured = if policies { settle(Settings::load(&paths, &overrides))? } else { Settings::default() };
    let cron_port = session::variable("CRON_PORT").map(|port| port.to_string_lossy().into_owned());
    let access = access::wanted(&line, &configured.access);
    let listener = coordinator::bind(access.listen.as_deref(), cron_port.as_deref(), access.tls.is_some())
        .await
        .map_err(unbound)?;
    let data = options.data.unwrap_or_else(|| paths.data.clone());
    let settings = Options {
        vault: session::vault(&paths, session::vault_key(&paths).as_ref(), &data),
        data,
        program: program(),
        tasks,
        scheduling: !options.answer_only,
        linger: options.linger,
        open_on_loopback: configured.open_on_loopback,
        hosts: access.hosts,
        tls: access.tls,
    };
    let signals = Signals::new().map_err(refused)?;
    let shutdown = CancellationToken::new();
    let server = Server::open(listener, settings.clone(), Arc::new(SystemClock), shutdown.clone())
        .await
        .map_err(refused)?;
    let beyond = server.beyond().map_or_else(String::new, |address| format!("https://{address}, and on "));
    print(&format!(
        "vigie's coordinator listens on {beyond}{}\n  data   {}\n  tasks  {}\n",
        server.announced().url,
        settings.data.display(),
        settings.tasks.display()
    ))?;
    let (engine, certificate) = (server.engine().clone(), server.certificate());
    service::ready(&format!("serving {}", server.announced().url));
    let mut running = std::pin::pin!(server.run());
    let serving = async {
        tokio::select! {
            _ = &mut running => shutdown.cancel(),
            () = service::keep_alive(&engine) => {}
            () = signals.until_the_end(&engine, &certificate) => {
                service::stopping();
                shutdown.cancel();
                running.await;
            }
        }
    };
    let Options { data, tasks, vault, .. } = settings;
    let places = Places { data, state: paths.state.clone(), tasks, vault };
    if policies {
        let stop = shutdown.child_token();
        let deliver = spooled::deliver(&paths, &overrides, places.clone(), stop.clone());
        tokio::join!(serving, deliver, apply_policies(&paths, &overrides, configured, places, stop));
    } else {
        serving.await;
    }
    Ok(Exit::OK)
}

/// Prints the unit that starts this program with these options.
fn print_unit(global: &Global, options: &ServeOptions) -> Result<Exit, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::refused(format!("where this program is can't be found out: {error}")))?;
    let absolute = |path: &Path| {
        std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned()
    };
    let mut arguments = vec!["serve".to_owned()];
    let paths = [("--config", &global.config), ("--tasks", &options.tasks), ("--data", &options.data)];
    for (name, path) in paths {
        if let Some(path) = path {
            arguments.extend([name.to_owned(), absolute(path)]);
        }
    }
    for (name, path) in [("--tls-cert", &options.tls_cert), ("--tls-key", &options.tls_key)] {
        if let Some(path) = path {
            arguments.extend([name.to_owned(), absolute(path)]);
        }
    }
    if let Some(listen) = &options.listen {
        arguments.extend(["--listen".to_owned(), listen.clone()]);
    }
    if options.log_format == LogFormat::Json {
        arguments.extend(["--log-format".to_owned(), "json".to_owned()]);
    }
    let manager =
        if rustix::process::geteuid().is_root() { unit::Manager::System } else { unit::Manager::User };
    print(&unit::text(manager, &program, &arguments))?;
    Ok(Exit::OK)
}

/// This program. An upgrade puts another one in its place; the one that runs is meant.
fn program() -> PathBuf {
    let own = PathBuf::from("/proc/self/exe");
    if own.exists() { own } else { std::env::current_exe().unwrap_or_else(|_| "vigie".into()) }
}

/// Whether it was started for its own sake: not by a console, to end with it,
/// nor to answer a command. Only then are policies its business: of several
/// consoles each would retry what failed.
const fn is_for_itself(options: &ServeOptions) -> bool {
    options.linger.is_none() && !options.answer_only
}

/// The configuration to begin with. What is wrong in it is logged: the tasks go on without it.
///
/// # Errors
/// It can't be read at all, as where a file is named that is not there.
fn settle(read: Result<Settings, ConfigError>) -> Result<Settings, Failure> {
    read.or_else(|error| match error {
        ConfigError::Wrong { .. } => {
            tracing::error!("the configuration is not used, and the tasks go on without it: {error}");
            Ok(Settings::default())
        }
        error => Err(Failure::usage(error.to_string())),
    })
}

/// Applies the policies of the configuration, as it is and as it changes, until `stop`.
async fn apply_policies(
    paths: &Paths,
    overrides: &Overrides,
    settings: Settings,
    places: Places,
    stop: CancellationToken,
) {
    let of = |settings: Settings| Configured { endpoints: settings.endpoints, read_only: settings.read_only };
    let (sender, configured) = watch::channel(of(settings));
    let follow = async {
        match ConfigWatch::new(vec![paths.config.clone()]) {
            Ok(mut watch) => loop {
                watch.changed().await;
                match Settings::load(paths, overrides) {
                    Ok(settings) => {
                        sender.send_replace(of(settings));
                    }
                    Err(error) => tracing::error!("the configuration stays as it was: {error}"),
                }
            },
            Err(error) => {
                tracing::warn!("the configuration is not watched: {error}");
                std::future::pending::<std::convert::Infallible>().await
            }
        }
    };
    tokio::select! {
        () = policy::apply(configured, places, stop) => {}
        never = follow => match never {},
    }
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

/// Whether every secret that the tasks name is in the vault.
///
/// # Errors
/// Each that is not, or that the vault can't be opened.
async fn check_secrets(tasks: &Path, vault: &Vault) -> Result<(), Failure> {
    let named = coordinator::secrets_of_tasks(tasks);
    if named.is_empty() {
        return Ok(());
    }
    let known = vault.list().await.map_err(|error| Failure::usage(error.to_string()))?;
    let missing: Vec<String> = named
        .iter()
        .filter(|secret| known.iter().all(|entry| entry.name != secret.name))
        .map(|secret| {
            let (task, name) = (&secret.task, &secret.name);
            format!(
                "{}: task {task}: there is no secret {name} in the vault; put it there with: vigie vault set {name}",
                tasks.display()
            )
        })
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(Failure::usage(missing.join("\n"))) }
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
    async fn until_the_end(mut self, engine: &Engine, certificate: &CertificateReload) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {
                    service::reloading();
                    certificate.now();
                    let actor = Actor::here("SIGHUP");
                    if let Err(error) = engine.reload(actor).await {
                        for problem in &error.problems {
                            tracing::error!("{problem}");
                        }
                    }
                    service::reloaded();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_that_was_started_for_itself_applies_policies() {
        let own = || ServeOptions {
            listen: None,
            tasks: None,
            data: None,
            check: false,
            print_unit: false,
            log_format: LogFormat::Text,
            linger: None,
            answer_only: false,
            tls_cert: None,
            tls_key: None,
        };
        assert!(is_for_itself(&own()));
        let of_a_console = ServeOptions { linger: Some(std::time::Duration::from_secs(1)), ..own() };
        assert!(!is_for_itself(&of_a_console));
        assert!(!is_for_itself(&ServeOptions { answer_only: true, ..own() }));
    }

    #[test]
    fn a_mistake_in_the_configuration_stops_no_task_and_a_missing_file_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        let paths = Paths::resolve(Some(&path), &|_| Some(folder.path().into())).unwrap();
        let load = || settle(Settings::load(&paths, &Overrides::default()));
        assert_eq!(load().unwrap_err().exit, Exit::USAGE);
        std::fs::write(&path, "endpoint = 5").unwrap();
        assert_eq!(load().unwrap(), Settings::default());
    }
}
