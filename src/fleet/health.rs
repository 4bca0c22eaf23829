//! How an endpoint is, and how well what it told is known.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::changes::{delta, plus};
use super::lateness::Basis;
use super::rows::{EndpointRow, Failure};
use crate::model::{
    Alert, AlertKind, Capabilities, Clean, EndpointSpec, Evidence, Health, Severity, Snapshot,
};

/// How far a clock may be off before its times can't be compared with ours.
pub const SKEW_TOLERANCE: TimeDelta = TimeDelta::seconds(30);
/// The resolution of an HTTP `Date`.
const DATE_RESOLUTION_MS: i64 = 1_000;

/// The health of one endpoint, beside its row.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// When the first of the failed polls in a row failed.
    pub down: Option<DateTime<Utc>>,
    /// When the evidence ended, while it is stale.
    pub stale: Option<DateTime<Utc>>,
    /// When its clock was first seen to be off.
    pub skewed: Option<DateTime<Utc>>,
    /// The pause before the next poll, where the last answer asked for a longer one than its cadence.
    pub pause: Option<Duration>,
}

/// An endpoint that nothing is known of yet.
pub(super) fn connecting(spec: &EndpointSpec, now: DateTime<Utc>) -> EndpointRow {
    EndpointRow {
        spec: spec.clone(),
        url: spec.url.clone(),
        health: Health::Connecting,
        evidence: Evidence::Unknown,
        last_ok: None,
        latency_ms: None,
        failure: None,
        since: now,
        skew_ms: None,
        degraded: None,
        version: None,
        remarks: Vec::new(),
        capabilities: Capabilities::none("the endpoint has not answered yet"),
        tasks: 0,
        receipts: Vec::new(),
    }
}

impl Pulse {
    /// When the next good poll must have arrived, while the evidence is not stale.
    pub fn deadline(&self, row: &EndpointRow) -> Option<DateTime<Utc>> {
        if self.stale.is_some() {
            return None;
        }
        let pause = self.pause.map_or(row.spec.poll, |asked| asked.max(row.spec.poll));
        let patience = delta(pause).checked_add(&delta(row.spec.timeout)).unwrap_or(TimeDelta::MAX);
        row.last_ok.map(|last_ok| plus(last_ok, patience))
    }

    /// A good poll. Whether what is shown of the endpoint changed.
    pub fn good(&mut self, row: &mut EndpointRow, snapshot: &Snapshot, now: DateTime<Utc>) -> bool {
        let before = shown(row);
        // One that brings nothing newer, for it was put off, leaves the rows their age.
        if row.last_ok != Some(snapshot.at) {
            self.pause = snapshot.next_poll;
        }
        row.last_ok = Some(snapshot.at);
        row.latency_ms = Some(snapshot.latency_ms);
        row.failure = None;
        row.degraded.clone_from(&snapshot.degraded);
        row.remarks.clone_from(&snapshot.remarks);
        if snapshot.version.is_some() {
            row.version.clone_from(&snapshot.version);
        }
        if let Some(skew) = skew_ms(snapshot) {
            row.skew_ms = Some(skew);
            if is_skewed(skew) {
                self.skewed.get_or_insert(now);
            } else {
                self.skewed = None;
            }
        }
        self.down = None;
        self.stale = None;
        set_health(row, if row.degraded.is_some() { Health::Degraded } else { Health::Up }, now);
        self.age(row, now);
        before != shown(row)
    }

    /// A failed poll. Whether what is shown of the endpoint changed.
    pub fn failed(&mut self, row: &mut EndpointRow, failure: Failure, now: DateTime<Utc>) -> bool {
        let before = shown(row);
        self.age(row, now);
        self.down.get_or_insert(now);
        if row.last_ok.is_some() {
            self.stale.get_or_insert(now);
        }
        set_health(row, failure.health, now);
        row.failure = Some(failure);
        self.age(row, now);
        before != shown(row)
    }

    /// Lets time pass: a poll that did not come ends the evidence when it
    /// should have, however late that is noticed. Whether the evidence changed.
    pub fn age(&mut self, row: &mut EndpointRow, now: DateTime<Utc>) -> bool {
        if let Some(deadline) = self.deadline(row)
            && deadline <= now
        {
            self.stale = Some(deadline);
        }
        let evidence = if row.last_ok.is_none() {
            Evidence::Unknown
        } else if self.stale.is_some() {
            Evidence::Stale
        } else if self.skewed.is_some() {
            Evidence::Skewed
        } else {
            Evidence::Fresh
        };
        std::mem::replace(&mut row.evidence, evidence) != evidence
    }

    /// How this bears on its tasks.
    pub fn basis(&self, row: &EndpointRow) -> Basis {
        Basis {
            evidence: row.evidence,
            until: self.stale,
            skew: self.skewed.and(row.skew_ms).map(|skew| TimeDelta::seconds(skew_step(skew))),
            answered: row.last_ok,
            kind: row.spec.kind,
        }
    }

    /// The endpoint's own problems that its health tells.
    pub fn alerts(&self, row: &EndpointRow) -> Vec<Alert> {
        let mut alerts = Vec::new();
        if let (Some(since), Some(failure)) = (self.down, &row.failure) {
            let summary = Clean::from(format!("{}: {}", row.health, failure.reason));
            alerts.push(own(AlertKind::EndpointDown, since, summary, AlertKind::EndpointDown.severity()));
        }
        if let (Some(since), Some(skew)) = (self.skewed, row.skew_ms) {
            let way = if skew > 0 { "ahead of" } else { "behind" };
            let distance = crate::model::duration_text(skew_step(skew).unsigned_abs());
            let summary = Clean::from(format!("its clock is {distance} {way} ours: times can't be compared"));
            alerts.push(own(AlertKind::ClockSkew, since, summary, AlertKind::ClockSkew.severity()));
        }
        alerts
    }
}

/// An alert on the endpoint as a whole.
pub(super) fn own(kind: AlertKind, since: DateTime<Utc>, summary: Clean, severity: Severity) -> Alert {
    Alert {
        task: None,
        queue: None,
        kind,
        severity,
        since,
        summary,
        acknowledged_by: None,
        silenced_until: None,
        handling: None,
    }
}

/// What a screen shows of an endpoint, as far as polls move it, in its steps.
#[derive(PartialEq)]
struct Shown {
    health: Health,
    evidence: Evidence,
    latency: Option<u64>,
    skew: Option<i64>,
    failure: Option<Failure>,
    degraded: Option<Clean>,
    version: Option<Clean>,
    remarks: Vec<Clean>,
}

fn shown(row: &EndpointRow) -> Shown {
    Shown {
        health: row.health,
        evidence: row.evidence,
        latency: row.latency_step(),
        skew: row.skew_ms.map(skew_step),
        failure: row.failure.clone(),
        degraded: row.degraded.clone(),
        version: row.version.clone(),
        remarks: row.remarks.clone(),
    }
}

fn set_health(row: &mut EndpointRow, health: Health, now: DateTime<Utc>) {
    if row.health != health {
        row.health = health;
        row.since = now;
    }
}

/// The smallest difference between the clocks that the answer allows: it was
/// made somewhere between request and arrival, and dated in whole seconds.
fn skew_ms(snapshot: &Snapshot) -> Option<i64> {
    let ahead = (snapshot.server_time? - snapshot.at).num_milliseconds();
    let latency = i64::try_from(snapshot.latency_ms).unwrap_or(i64::MAX);
    let earliest = latency.saturating_add(DATE_RESOLUTION_MS).saturating_neg();
    Some(if ahead > 0 {
        ahead
    } else if ahead < earliest {
        ahead - earliest
    } else {
        0
    })
}

fn is_skewed(skew_ms: i64) -> bool {
    skew_ms.unsigned_abs() > SKEW_TOLERANCE.num_milliseconds().unsigned_abs()
}

/// A skew as it is shown, in seconds: none within the tolerance, else to 10 s.
fn skew_step(skew_ms: i64) -> i64 {
    if is_skewed(skew_ms) { skew_ms / 10_000 * 10 } else { 0 }
}
