//! Open problems: those that the systems raise, and those that vigie computes.
//! One open alert per endpoint, task, queue and kind; the system's own wins.

use std::cmp::Reverse;

use super::health;
use super::rows::{AlertRow, TaskContext};
use super::site::Site;
use crate::model::{Alert, AlertKind, Clean, Evidence, Severity, TaskState};

/// The open alerts of one endpoint, in no order that means anything.
pub(super) fn open(site: &Site) -> impl Iterator<Item = &Alert> {
    let troubled = site.book.troubled.iter().filter_map(|id| site.entries.get(id));
    let computed = site.own.iter().chain(troubled.flat_map(|entry| &entry.problems));
    site.told.values().chain(computed.filter(|alert| !site.told.contains_key(&alert.key())))
}

/// All alerts of one endpoint.
pub(super) fn collect(site: &Site, rows: &mut Vec<AlertRow>) {
    rows.extend(open(site).map(|alert| {
        let entry = alert.task.as_ref().and_then(|task| site.entries.get(task));
        AlertRow {
            endpoint: site.name.clone(),
            alert: alert.clone(),
            // That it can't be read is known first-hand.
            evidence: match alert.kind {
                AlertKind::EndpointDown if !site.told.contains_key(&alert.key()) => Evidence::Fresh,
                _ => site.row.evidence,
            },
            task_name: entry.map(|entry| entry.row.task.name.clone()),
            task: entry
                .map_or_else(|| TaskContext::of_endpoint(&site.row), |entry| TaskContext::of(&entry.row)),
        }
    }));
}

/// What counts before what is silenced or snoozed; worst first, then newest, then in a fixed order.
pub(super) fn sort(rows: &mut [AlertRow]) {
    rows.sort_by(|a, b| {
        let (x, y) = (&a.alert, &b.alert);
        let quiet = |alert: &Alert| alert.silenced_until.is_some();
        (quiet(x), x.severity, Reverse(x.since))
            .cmp(&(quiet(y), y.severity, Reverse(y.since)))
            .then_with(|| a.endpoint.cmp(&b.endpoint))
            .then_with(|| (&x.task, &x.queue, x.kind).cmp(&(&y.task, &y.queue, y.kind)))
    });
}

/// The endpoint's tasks stopped advancing: there are enabled ones with a
/// schedule, every one of them is absent, and none has started since the first
/// of their slots. Then it is not the tasks, it is what should start them.
pub(super) fn scheduler_silent(site: &Site) -> Option<Alert> {
    let counts = &site.book.counts;
    if counts.scheduled == 0 || counts.scheduled_absent != counts.scheduled {
        return None;
    }
    let absent = || site.entries.values().filter(|entry| entry.row.is_scheduled());
    let since = absent().filter_map(|entry| entry.row.late_since).min()?;
    let last_start = site.entries.values().filter_map(|entry| entry.last_start()).max();
    if last_start.is_some_and(|start| start >= since) {
        return None;
    }
    debug_assert!(absent().all(|entry| entry.row.state == TaskState::Absent), "counts agree with rows");
    let assumed =
        absent().all(|entry| entry.row.task.schedule.as_ref().is_some_and(|schedule| schedule.assumed));
    let basis = if assumed { ", by an assumed schedule" } else { "" };
    let summary = Clean::from(format!(
        "nothing was started since {}: all {} scheduled tasks are absent{basis}",
        since.format("%Y-%m-%d %H:%M UTC"),
        counts.scheduled,
    ));
    let severity = if assumed { Severity::Warning } else { AlertKind::SchedulerSilent.severity() };
    Some(health::own(AlertKind::SchedulerSilent, since, summary, severity))
}
