//! The endpoints' own audit logs, as far as they are fetched.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use chrono::{DateTime, Utc};

use crate::model::{AuditEntry, Clean};

/// What tells a line of an audit log from every other: lines have no ids.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuditKey {
    /// When.
    pub at: DateTime<Utc>,
    /// A digest of all that it says.
    digest: u64,
    /// Which of several that say the same.
    nth: u32,
}

/// The audit log of one endpoint.
#[derive(Debug, Clone)]
pub struct AuditLog {
    /// Its newest lines.
    pub lines: BTreeMap<AuditKey, AuditEntry>,
    /// Whether its system keeps one, as far as is known.
    pub kept: bool,
    /// Why it could not be fetched.
    pub error: Option<Clean>,
    /// Whether it is on its way.
    pub loading: bool,
    /// When it was last asked for, or came.
    pub asked: Option<DateTime<Utc>>,
}

impl Default for AuditLog {
    /// Of an endpoint that was not asked yet.
    fn default() -> Self {
        Self { lines: BTreeMap::new(), kept: true, error: None, loading: false, asked: None }
    }
}

/// Lines by what tells them apart.
#[must_use]
pub fn keyed(entries: Vec<AuditEntry>) -> BTreeMap<AuditKey, AuditEntry> {
    let mut lines = BTreeMap::new();
    for entry in entries {
        let mut hasher = DefaultHasher::new();
        entry.hash(&mut hasher);
        let mut key = AuditKey { at: entry.at, digest: hasher.finish(), nth: 0 };
        while lines.contains_key(&key) {
            key.nth += 1;
        }
        lines.insert(key, entry);
    }
    lines
}
