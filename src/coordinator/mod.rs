//! vigie's own coordinator: a scheduler, a queue and a monitor on one machine,
//! over HTTP and `SQLite`.
//!
//! Owns `serve`, and below it `domain/` (pure: tasks, runs, queue, lateness →
//! changes), `engine/` (the one owner of the state), `db/` (one writer thread that
//! groups commits; migrations), `exec/` (supervisors that outlive it, captured output),
//! `machines/` (commands on other machines, by ssh), `builtin/` (the tasks that are
//! always there), `tasks_file/` (`tasks.toml`) and `api/` (the duplistatus surface and
//! `/api/v1`). What it says it has, it has on disk. Never imports `backend`:
//! the two meet in `wire`. May import: `model`, `schedule`, `wire`, `vault`, `document`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

mod announce;
mod api;
mod builtin;
mod clock;
mod db;
mod domain;
pub mod engine;
mod exec;
mod http;
mod lease;
mod lock;
mod machines;
mod metrics;
mod private;
mod serve;
mod shell;
mod tasks_file;
mod tls;
pub mod tokens;

/// The audit log on disk, with or without a coordinator that runs.
pub mod audit {
    pub use super::db::Verdict;
    pub use super::db::audit::{export, record, verify};
    pub use super::domain::Audit;
}

pub use announce::{AnnounceError, read as read_announcement};
#[cfg(test)]
pub use clock::fake as fake_clock;
pub use clock::{Clock, SystemClock};
pub use domain::Steady;
pub use exec::{SUPERVISE, supervise};
pub use lock::{DataLock, Holder, LockError, acquire as acquire_lock};
pub use serve::{
    BindError, CertificateReload, DEFAULT_PORT, Ended, ServeError, Server, address, bind, serve,
};
pub use tasks_file::{NamedSecret, check as check_tasks, secrets as secrets_of_tasks};
pub use tls::{Certificate, TlsError};

use crate::vault::Vault;

/// How a coordinator runs.
#[derive(Debug, Clone)]
pub struct Options {
    /// The data directory: database, logs, backups, lock, `coordinator.json`.
    pub data: PathBuf,
    /// This program: runs are carried out by processes of it.
    pub program: PathBuf,
    /// `tasks.toml`; may not exist yet.
    pub tasks: PathBuf,
    /// Where runs have their secrets from.
    pub vault: Vault,
    /// Schedule and run, or only answer.
    pub scheduling: bool,
    /// End so long after the last lease has gone (and if none came so long after the start); `None`: never.
    pub linger: Option<Duration>,
    /// The duplistatus surface needs no token on loopback.
    pub open_on_loopback: bool,
    /// Names by which it may be called beyond loopback, besides its addresses.
    pub hosts: Vec<String>,
    /// What it shows to whoever calls from elsewhere; without it, it listens on loopback only.
    pub tls: Option<TlsFiles>,
}

/// The files of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, with those between it and its authority: PEM.
    pub certificate: PathBuf,
    /// Its private key: PEM.
    pub key: PathBuf,
}

/// Shared by engine, executor and API.
pub type SharedClock = Arc<dyn Clock>;
