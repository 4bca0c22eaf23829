//! The audit log as it travels, and the rule by which its rows are chained:
//! whoever has the rows and both ends can verify them, on disk or from afar.
//!
//! Each row's hash covers its content and the hash before it. The anchor is
//! the row that the oldest kept one builds on, the head is the newest row.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::model::Clean;

/// Of the row that has none before it.
const GENESIS: [u8; 32] = [0; 32];
/// What begins the hashed bytes of rows of form 2, so that none reads as one of form 1.
const MARK: &[u8] = b"vigie audit 2";

/// A page of the audit log, newest first; with `after=`, oldest first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Audit {
    /// The page.
    pub rows: Vec<AuditRow>,
    /// For `before=`, or `after=`, of the next page; `None` on the last.
    pub next: Option<u64>,
}

/// A row of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditRow {
    /// Its number: one more than the row before it.
    pub seq: u64,
    /// When.
    pub at: DateTime<Utc>,
    /// Who: a token's name, a user of the machine, or what noticed something.
    pub by: Clean,
    /// What was done, or tried.
    pub action: Clean,
    /// To what; may be empty.
    pub target: Clean,
    /// With what; may be empty.
    pub details: Clean,
    /// `ok`, or why not.
    pub result: Clean,
    /// From where: an address, or `here`; empty in rows of earlier versions.
    pub from: Clean,
    /// What its hash covers: 2; 1 in rows of earlier versions; 0 where what is on disk is not what vigie writes.
    #[serde(default = "newest_form")]
    pub form: i64,
    /// The SHA-256 of this row and of all before it, in hexadecimal.
    pub hash: String,
}

/// What a row's hash covers where nothing is said of it.
const fn newest_form() -> i64 {
    2
}

/// Both ends of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditEnds {
    /// What the oldest row builds on; `None`: nothing was ever cleaned away.
    pub anchor: Option<AuditPlace>,
    /// The newest row, as it was noted apart from it; `None`: there is none.
    pub head: Option<AuditPlace>,
}

/// A row's place in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditPlace {
    /// Its number, where it is known.
    pub seq: Option<i64>,
    /// Its hash, in hexadecimal.
    pub hash: String,
}

/// What of a row its hash covers.
#[derive(Debug, Clone, Copy)]
pub struct Link<'a> {
    /// Its number.
    pub seq: i64,
    /// When, in milliseconds since 1970 (UTC).
    pub at_ms: i64,
    /// Rows of form 1 have no source, and their hash does not cover their number.
    pub form: i64,
    /// Who, what, to what, with what, with which result.
    pub texts: [&'a str; 5],
    /// From where.
    pub source: &'a str,
}

impl Link<'_> {
    /// The hash that the row must have after `before`. Fields are told apart by
    /// their lengths. `None`: no row has this form.
    #[must_use]
    pub fn hash(&self, before: &[u8]) -> Option<Vec<u8>> {
        let mut hash = Sha256::new();
        hash.update(before);
        let mut texts = self.texts.to_vec();
        match self.form {
            1 if self.source.is_empty() => {}
            2 => {
                hash.update(MARK);
                hash.update(self.seq.to_be_bytes());
                texts.push(self.source);
            }
            _ => return None,
        }
        hash.update(self.at_ms.to_be_bytes());
        for text in texts {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        }
        Some(hash.finalize().to_vec())
    }
}

impl AuditRow {
    /// What of it its hash covers.
    #[must_use]
    pub fn link(&self) -> Link<'_> {
        Link {
            seq: i64::try_from(self.seq).unwrap_or(i64::MAX),
            at_ms: self.at.timestamp_millis(),
            form: self.form,
            texts: [&self.by, &self.action, &self.target, &self.details, &self.result].map(Clean::as_str),
            source: self.from.as_str(),
        }
    }
}

/// A place in the chain: a row's number, where it is known, and its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The number.
    pub seq: Option<i64>,
    /// The hash.
    pub hash: Vec<u8>,
}

impl From<&Place> for AuditPlace {
    fn from(place: &Place) -> Self {
        Self { seq: place.seq, hash: hex(&place.hash) }
    }
}

impl TryFrom<&AuditPlace> for Place {
    type Error = String;

    fn try_from(place: &AuditPlace) -> Result<Self, String> {
        let hash = from_hex(&place.hash).ok_or_else(|| format!("{:?} is no hash", place.hash))?;
        Ok(Self { seq: place.seq, hash })
    }
}

/// What walking the chain came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every row is as it was written, and none is missing.
    Whole {
        /// How many rows there are.
        rows: u64,
        /// When the oldest was written.
        since: Option<DateTime<Utc>>,
        /// The newest row's hash, in hexadecimal: to be noted elsewhere.
        head: Option<String>,
    },
    /// Something was done to it.
    Broken {
        /// The first row that does not fit; `None`: it is about the end.
        row: Option<u64>,
        /// What does not fit, for people.
        why: String,
        /// Rows before it, which are as they were written.
        good: u64,
    },
}

/// A walk along the chain, oldest row first.
#[derive(Debug, Clone)]
pub struct Walk {
    is_anchored: bool,
    last: Place,
    since: Option<DateTime<Utc>>,
    good: u64,
}

impl Walk {
    /// From the anchor on; without one, from the first row that ever was.
    #[must_use]
    pub fn from(anchor: Option<Place>) -> Self {
        let is_anchored = anchor.is_some();
        let last = anchor.unwrap_or_else(|| Place { seq: Some(0), hash: GENESIS.to_vec() });
        Self { is_anchored, last, since: None, good: 0 }
    }

    /// The next row, and the hash that it has.
    ///
    /// # Errors
    /// [`Verdict::Broken`]: it does not fit.
    pub fn step(&mut self, row: &Link<'_>, hash: Vec<u8>) -> Result<(), Verdict> {
        if row.hash(&self.last.hash).as_ref() != Some(&hash) {
            return Err(self.broken(Some(row.seq), self.misfit(row)));
        }
        if self.since.is_none() {
            self.since = DateTime::from_timestamp_millis(row.at_ms);
        }
        self.last = Place { seq: Some(row.seq), hash };
        self.good += 1;
        Ok(())
    }

    /// There are no more rows. `head`: the newest, as it was noted.
    #[must_use]
    pub fn end(self, head: Option<&Place>) -> Verdict {
        let newest = (self.good > 0 || self.is_anchored).then_some(&self.last);
        if let Some(why) = cut_off(head, newest) {
            return self.broken(None, why);
        }
        Verdict::Whole { rows: self.good, since: self.since, head: head.map(|head| hex(&head.hash)) }
    }

    /// Something does not fit: at a row, or at the end.
    #[must_use]
    pub fn broken(&self, row: Option<i64>, why: String) -> Verdict {
        Verdict::Broken { row: row.and_then(|seq| u64::try_from(seq).ok()), why, good: self.good }
    }

    /// What is wrong with a row that does not fit the one before it.
    fn misfit(&self, row: &Link<'_>) -> String {
        let missing = self.last.seq.map(|seq| row.seq - seq - 1).filter(|missing| *missing > 0);
        match (missing, self.last.seq) {
            (Some(1), Some(seq)) => format!("row {} before it is missing", seq + 1),
            (Some(missing), Some(seq)) => {
                format!("rows {} to {} before it are missing", seq + 1, seq + missing)
            }
            _ if self.good == 0 => {
                "it does not fit what the log begins with: it was changed, or rows before it are missing"
                    .to_owned()
            }
            _ => {
                "it does not fit the row before it: one of the two was changed, or put where it is".to_owned()
            }
        }
    }
}

/// What is wrong with the end: the newest row is not the one that was noted.
fn cut_off(head: Option<&Place>, newest: Option<&Place>) -> Option<String> {
    match (head, newest) {
        (None, None) => None,
        (Some(head), Some(newest)) if head.hash == newest.hash => None,
        (None, Some(_)) => Some("the note of which row is the newest is missing".to_owned()),
        (Some(head), newest) => {
            let last = newest.and_then(|newest| newest.seq).unwrap_or(0);
            Some(match head.seq {
                Some(seq) if seq > last => format!("rows {} to {seq}, the newest, are missing", last + 1),
                _ => "the newest row is not the one that was noted".to_owned(),
            })
        }
    }
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What hexadecimal digits stand for; `None` where they are none.
#[must_use]
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(text.get(i..i + 2)?, 16).ok()).collect()
}
