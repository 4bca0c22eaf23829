//! What the cron service says, in its own words (version 1.4.2).

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::model::{Clean, TaskId};

/// `GET /health`. All of it lives in the service's memory: a restart empties
/// the two maps.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// True in every version so far.
    pub is_running: bool,
    /// What is scheduled now; what is configured but stopped is missing.
    pub active_tasks: BTreeSet<TaskId>,
    /// When each task last ended well, as RFC 3339; failures are not dated.
    #[serde(default)]
    pub last_run_times: BTreeMap<TaskId, Clean>,
    /// The newest error of each task since its last success; of unknown names
    /// that somebody triggered too, for ever.
    #[serde(default)]
    pub errors: BTreeMap<TaskId, Clean>,
}

impl Status {
    /// Every name that it tells, some more than once.
    pub fn names(&self) -> impl Iterator<Item = &TaskId> {
        self.active_tasks.iter().chain(self.last_run_times.keys()).chain(self.errors.keys())
    }
}

/// `POST /trigger/:task`, with status 200 for failures too.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Triggered {
    /// The only word on success there is.
    pub success: bool,
    /// What was done.
    #[serde(default)]
    pub message: Option<Clean>,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<Clean>,
    /// Counts of the overdue check.
    #[serde(default)]
    pub statistics: Option<Statistics>,
}

/// What the overdue check counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Statistics {
    /// Backups that were looked at.
    pub checked_backups: u64,
    /// Backups that are overdue.
    pub overdue_backups_found: u64,
    /// Notifications that went out.
    pub notifications_sent: u64,
}

/// `POST /start/:task`, `/stop/:task`, `/reload-config`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Done {
    /// What was done.
    pub message: Clean,
}
