//! What the web application says, in its own words (version 1.4.2). "N/A" is
//! its null wherever a text is expected; dates are ISO 8601 with Z, but for
//! the audit log's.

use serde::{Deserialize, Deserializer, Serialize};

use crate::model::Clean;

/// A text, unless it is empty or their word for nothing.
fn told<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Clean>, D::Error> {
    let text: Option<Clean> = Option::deserialize(from)?;
    Ok(text.filter(|text| !text.trim().is_empty() && text.as_str() != "N/A"))
}

/// Null for what is missing.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// `GET /api/ping`.
#[derive(Debug, Deserialize)]
pub struct Ping {
    /// True.
    pub ok: bool,
}

/// `GET /api/csrf`. The documentation calls the field otherwise.
#[derive(Deserialize)]
pub struct Csrf {
    /// 64 hexadecimal digits; a secret.
    pub token: String,
}

/// `POST /api/auth/login`, answered well.
#[derive(Debug, Deserialize)]
pub struct LoggedIn {
    /// The only word on success there is.
    pub success: bool,
    /// Who was let in.
    pub user: User,
}

/// A user, as the login tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// The name.
    pub username: Clean,
    /// Whether everything is open to them.
    #[serde(default)]
    pub is_admin: bool,
    /// The password is a first one. It works all the same.
    #[serde(default)]
    pub must_change_password: bool,
}

/// `POST /api/auth/login`, refused.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// A sentence.
    pub error: Clean,
    /// `INVALID_CREDENTIALS`, `ACCOUNT_LOCKED`, …
    #[serde(default, deserialize_with = "told")]
    pub error_code: Option<Clean>,
    /// Until when the account is locked.
    #[serde(default, deserialize_with = "told")]
    pub locked_until: Option<Clean>,
    /// How long that is, rounded up.
    #[serde(default)]
    pub minutes_remaining: Option<u32>,
}

/// `GET /api/dashboard`, as far as it is used: totals and charts are left out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dashboard {
    /// Every server. Empty also where its database could not be read.
    pub servers_summary: Vec<Server>,
}

/// A server that reports backups.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Server {
    /// Its id, as it goes into paths.
    pub id: String,
    /// Its name.
    #[serde(default, deserialize_with = "told")]
    pub name: Option<Clean>,
    /// What people call it.
    #[serde(default, deserialize_with = "told")]
    pub alias: Option<Clean>,
    /// A remark.
    #[serde(default, deserialize_with = "told")]
    pub note: Option<Clean>,
    /// Whether duplistatus has what it needs to ask the server itself.
    #[serde(default, deserialize_with = "or_default")]
    pub has_password: bool,
    /// Its backup jobs.
    #[serde(default, deserialize_with = "or_default")]
    pub backup_info: Vec<Job>,
    /// When the overdue check last ran: one for all servers.
    #[serde(default, deserialize_with = "told")]
    pub last_overdue_check: Option<Clean>,
}

/// A backup job, with its newest backup.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Its name: unique within its server.
    pub name: String,
    /// When the newest backup began.
    #[serde(default, deserialize_with = "told")]
    pub last_backup_date: Option<Clean>,
    /// Its id.
    #[serde(default, deserialize_with = "told")]
    pub last_backup_id: Option<Clean>,
    /// How it ended: Success, Unknown, Warning, Error or Fatal.
    #[serde(default, deserialize_with = "told")]
    pub last_backup_status: Option<Clean>,
    /// How long it took, `HH:MM:SS`.
    #[serde(default, deserialize_with = "told")]
    pub last_backup_duration: Option<Clean>,
    /// How many versions there are.
    #[serde(default)]
    pub last_backup_list_count: Option<u64>,
    /// How many backups were reported.
    #[serde(default)]
    pub backup_count: Option<u64>,
    /// How each ended, oldest first.
    #[serde(default, deserialize_with = "or_default")]
    pub status_history: Vec<Clean>,
    /// Files looked at.
    #[serde(default)]
    pub file_count: Option<u64>,
    /// Their size in bytes.
    #[serde(default)]
    pub file_size: Option<u64>,
    /// Bytes stored, over all versions.
    #[serde(default)]
    pub storage_size: Option<u64>,
    /// Bytes sent by the newest backup.
    #[serde(default)]
    pub uploaded_size: Option<u64>,
    /// Warnings of it.
    #[serde(default)]
    pub warnings: Option<u64>,
    /// Errors of it.
    #[serde(default)]
    pub errors: Option<u64>,
    /// Whether it is overdue now: past what is expected and the tolerance. Never, where it is not monitored.
    #[serde(default, deserialize_with = "or_default")]
    pub is_backup_overdue: bool,
    /// What is notified of: all, warnings, errors or off.
    #[serde(default, deserialize_with = "told")]
    pub notification_event: Option<Clean>,
    /// When the next backup is expected, without tolerance.
    #[serde(default, deserialize_with = "told")]
    pub expected_backup_date: Option<Clean>,
    /// How long ago that is, in words.
    #[serde(default, deserialize_with = "told")]
    pub expected_backup_elapsed: Option<Clean>,
    /// When somebody was last told that it is overdue.
    #[serde(default, deserialize_with = "told")]
    pub last_notification_sent: Option<Clean>,
}

/// `GET /api/servers`: only to tell an empty dashboard from one that could not be read.
#[derive(Debug, Deserialize)]
pub struct ServerName {
    /// Its id.
    #[serde(rename = "id")]
    pub _id: String,
}

/// `GET /api/servers/:id?includeBackups=true`, as far as it is used.
#[derive(Debug, Deserialize)]
pub struct History {
    /// Every backup of every job, in no order that means anything.
    pub backups: Vec<Backup>,
}

/// One backup.
#[derive(Debug, Deserialize)]
pub struct Backup {
    /// Its id.
    pub id: String,
    /// The job's name.
    pub name: String,
    /// When it began.
    #[serde(default, deserialize_with = "told")]
    pub date: Option<Clean>,
    /// How it ended.
    #[serde(default, deserialize_with = "told")]
    pub status: Option<Clean>,
    /// Warnings.
    #[serde(default)]
    pub warnings: Option<u64>,
    /// Errors.
    #[serde(default)]
    pub errors: Option<u64>,
    /// How long it took, in seconds.
    #[serde(default)]
    pub duration_seconds: Option<f64>,
}

/// `GET /api/cron-config`: of the overdue check only.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CronConfig {
    /// The cron text; may hold runs of blanks.
    pub cron_expression: Clean,
    /// Whether it is to be scheduled.
    pub enabled: bool,
}

/// `GET /api/configuration/overdue-tolerance`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Tolerance {
    /// `no_tolerance`, `5min`, …, `1d`.
    pub overdue_tolerance: Clean,
}

/// `GET /api/audit-log/retention`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// In days, 30 to 365.
    pub retention_days: u32,
}

/// `POST /api/audit-log/cleanup` with `dryRun`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DryRun {
    /// True: nothing was deleted.
    #[serde(rename = "dryRun")]
    pub is_dry: bool,
    /// How many rows would go.
    pub would_delete_count: u64,
    /// The retention that was counted with.
    pub retention_days: u32,
    /// The day before which rows would go.
    pub cutoff_date: Clean,
}

/// `GET /api/audit-log`.
#[derive(Debug, Deserialize)]
pub struct AuditLog {
    /// Rows, newest first.
    pub logs: Vec<AuditRow>,
}

/// A row of the audit log.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditRow {
    /// In UTC, which it does not say: `2026-11-20 07:19:38`.
    pub timestamp: Clean,
    /// Who.
    #[serde(default, deserialize_with = "told")]
    pub username: Option<Clean>,
    /// What.
    pub action: Clean,
    /// What sort of thing it was done to.
    #[serde(default, deserialize_with = "told")]
    pub target_type: Option<Clean>,
    /// Which.
    #[serde(default, deserialize_with = "told")]
    pub target_id: Option<Clean>,
    /// Whatever the action has to tell.
    #[serde(default)]
    pub details: Option<serde_json::Value>,
    /// From where.
    #[serde(default, deserialize_with = "told")]
    pub ip_address: Option<Clean>,
    /// success, failure or error.
    #[serde(default, deserialize_with = "told")]
    pub status: Option<Clean>,
    /// Why it failed.
    #[serde(default, deserialize_with = "told")]
    pub error_message: Option<Clean>,
}

/// `GET /api/application-logs?file=…&tail=…`, with status 200 for a missing file too.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationLog {
    /// Why there is none.
    #[serde(default, deserialize_with = "told")]
    pub error: Option<Clean>,
    /// The last lines; empty where there are none.
    pub logs: String,
    /// The file's size in bytes, read a moment after the lines.
    #[serde(default, deserialize_with = "or_default")]
    pub file_size: u64,
    /// How many lines the file has, read with the lines; what follows the last line break counts as one.
    #[serde(default, deserialize_with = "or_default")]
    pub line_count: u64,
}

/// `POST /api/notifications/check-overdue`, and others that answer with a sentence.
#[derive(Debug, Deserialize)]
pub struct Done {
    /// What was done.
    pub message: Clean,
    /// Counts of the overdue check.
    #[serde(default)]
    pub statistics: Option<super::super::wire::Statistics>,
}

/// `POST /api/backups/collect`. Where the server has no backups, only a sentence.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Collected {
    /// The server's name, as it says itself.
    #[serde(default, deserialize_with = "told")]
    pub server_name: Option<Clean>,
    /// A sentence.
    #[serde(default)]
    pub message: Option<Clean>,
    /// What was fetched.
    #[serde(default)]
    pub stats: Option<Fetched>,
}

/// What a collection brought.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Fetched {
    /// Logs that were new.
    #[serde(default)]
    pub processed: u64,
    /// Logs that were known.
    #[serde(default)]
    pub skipped: u64,
    /// Logs that could not be read.
    #[serde(default)]
    pub errors: u64,
}
