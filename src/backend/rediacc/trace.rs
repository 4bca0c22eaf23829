//! What Rediacc tells when somebody looks: the trace of an item, the audit log. Pure.

use chrono::{DateTime, Utc};

use super::convert::MAX_RETRIES;
use super::wire::{Row, Traced, count, flag, number, text, time};
use crate::model::{AuditEntry, Clean, Event, Trace, duration_text};

/// Most neighbours that are named.
const MAX_NEIGHBOURS: usize = 20;

/// The trace of an item, `has_response` as the list tells it.
pub fn trace(traced: &Traced, has_response: Option<bool>) -> Trace {
    let item = &traced.item;
    let mut facts = Facts(Vec::new());
    facts.text(item, "item", "taskId");
    facts.text(item, "status", "status");
    facts.say("health", text(item, "healthStatus").map(|health| in_words(&health)));
    facts.say("priority", priority(item));
    for (name, column) in PLACES {
        facts.text(item, name, column);
    }
    for (name, column) in TIMES {
        facts.say(name, time(item, column).map(at));
    }
    for (name, column) in LENGTHS {
        facts.say(name, count(item, column).map(length));
    }
    facts.say("retries", count(item, "retryCount").map(|n| format!("{n} of {MAX_RETRIES}").into()));
    facts.text(item, "last failure", "lastFailureReason");
    facts.say("has an answer", has_response.map(yes_or_no));
    facts.say("can be cancelled", flag(item, "canBeCancelled").map(yes_or_no));
    facts.say("usual time at work", count(&traced.usual, "avgProcessingTimeSeconds").map(length));
    facts.text(&traced.usual, "success rate of its machine", "machineSuccessRate");
    facts.text(&traced.usual, "waiting now", "currentQueueDepth");
    facts.say("at work now", at_work(&traced.usual));
    for neighbour in traced.neighbours.iter().take(MAX_NEIGHBOURS) {
        facts.say(&beside(neighbour), neighbour_of(neighbour));
    }
    let mut events: Vec<Event> = traced.timeline.iter().filter_map(event).collect();
    let undated = traced.timeline.len() - events.len();
    if undated > 0 {
        facts.say("timeline", Some(format!("{undated} entries without a readable time are left out").into()));
    }
    // Stable, so that what bears the same time stays as told.
    events.sort_by_key(|event| std::cmp::Reverse(event.at));
    Trace { facts: facts.0, events }
}

const PLACES: [(&str, &str); 7] = [
    ("team", "teamName"),
    ("machine", "machineName"),
    ("bridge", "bridgeName"),
    ("region", "regionName"),
    ("organisation", "organizationName"),
    ("company", "companyName"),
    ("created by", "createdBy"),
];
const TIMES: [(&str, &str); 5] = [
    ("created", "createdTime"),
    ("first assigned", "assignedTime"),
    ("last assigned", "lastAssigned"),
    ("last retry", "lastRetryAt"),
    ("last answer of its bridge", "lastResponseAt"),
];
const LENGTHS: [(&str, &str); 3] = [
    ("waited", "secondsToAssignment"),
    ("at work for", "processingDurationSeconds"),
    ("in all", "totalDurationSeconds"),
];

struct Facts(Vec<(Clean, Clean)>);

impl Facts {
    fn say(&mut self, name: &str, value: Option<Clean>) {
        self.0.extend(value.map(|value| (Clean::line(name), value)));
    }

    fn text(&mut self, row: &Row, name: &str, column: &str) {
        self.say(name, text(row, column));
    }
}

/// A word of `healthStatus`, kept where nobody knows it.
fn in_words(health: &Clean) -> Clean {
    match health.to_ascii_uppercase().as_str() {
        "STALE" => "stale: no update from its bridge for more than 10 min".into(),
        "STALE_PENDING" => "stale: it has waited for hours".into(),
        "ACTIVE" => "active".into(),
        _ => health.clone(),
    }
}

fn priority(item: &Row) -> Option<Clean> {
    let level = text(item, "priority")?;
    Some(match text(item, "priorityLabel") {
        Some(label) => format!("{level} ({label})").into(),
        None => level,
    })
}

fn at_work(usual: &Row) -> Option<Clean> {
    let working = text(usual, "activeProcessingCount")?;
    Some(match text(usual, "maxConcurrentTasks") {
        Some(most) => format!("{working} of at most {most}").into(),
        None => working,
    })
}

fn beside(neighbour: &Row) -> String {
    text(neighbour, "relativePosition")
        .map_or_else(|| "beside it".to_owned(), |position| format!("beside it ({})", position.to_lowercase()))
}

fn neighbour_of(neighbour: &Row) -> Option<Clean> {
    let id: String = text(neighbour, "taskId")?.chars().take(8).collect();
    let apart = number(neighbour, "secondsDifference").map(|seconds| {
        let way = if seconds < 0.0 { "earlier" } else { "later" };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative; saturates"
        )]
        let seconds = seconds.abs() as u64;
        format!("{} {way}", duration_text(seconds))
    });
    let told = [
        text(neighbour, "status").map(|status| status.to_string()),
        text(neighbour, "priority").map(|priority| format!("priority {priority}")),
        apart,
        text(neighbour, "createdBy").map(|by| format!("by {by}")),
    ];
    let told: Vec<String> = told.into_iter().flatten().collect();
    Some(Clean::from(format!("{id} {}", told.join(", "))))
}

fn event(row: &Row) -> Option<Event> {
    Some(Event {
        at: time(row, "timestamp")?,
        what: text(row, "action")?,
        by: text(row, "actionByUser"),
        details: text(row, "details"),
    })
}

/// The audit log, newest first. A line without a readable time is left out.
pub fn audit(rows: &[Row]) -> Vec<AuditEntry> {
    let mut entries: Vec<AuditEntry> = rows.iter().filter_map(entry).collect();
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.at));
    entries
}

fn entry(row: &Row) -> Option<AuditEntry> {
    let target = match (text(row, "entity"), text(row, "entityName")) {
        (Some(entity), Some(name)) => Some(format!("{entity} {name}").into()),
        (entity, name) => entity.or(name),
    };
    Some(AuditEntry {
        at: time(row, "timestamp")?,
        by: text(row, "actionByUser"),
        action: text(row, "action")?,
        target,
        result: None,
        details: text(row, "details"),
        from: None,
    })
}

fn at(time: DateTime<Utc>) -> Clean {
    Clean::from(time.format("%Y-%m-%d %H:%M:%S UTC").to_string())
}

fn length(seconds: u64) -> Clean {
    Clean::from(duration_text(seconds))
}

fn yes_or_no(bit: bool) -> Clean {
    Clean::line(if bit { "yes" } else { "no" })
}
