//! What a probe has found, for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::backend::{self, Offer};
use crate::console::format;
use crate::fleet::{EndpointRow, TaskRow};
use crate::model::{Aim, Capabilities, Clean, Command, Deed, EndpointName, Health, Kind, Severity, Verb};

use super::super::read::why;
use super::super::session::Session;
use super::super::standing::Standing;

/// A clock that differs by less than this agrees with ours.
const SKEW_MS: i64 = 1_000;
/// The width of the first column.
const WIDTH: usize = 12;

/// Everything that is known of the endpoint.
pub fn describe(session: &Session, name: &EndpointName) -> String {
    let mut text = String::new();
    let Some(row) = session.fleet.endpoint(name) else { return text };
    let kind = row.spec.kind;
    let place = row.url.as_deref().or(row.spec.url.as_deref()).unwrap_or("this machine");
    let _ = writeln!(text, "{name} ({kind}) at {place}");
    let mut fact = |label: &str, value: &str| {
        let _ = writeln!(text, "  {label:<WIDTH$}{value}");
    };
    fact("health", row.health.word());
    if matches!(row.health, Health::Up | Health::Degraded) {
        let version = row.version.as_ref().map_or("not told", Clean::as_str);
        fact("version", version);
        fact("latency", &row.latency_ms.map_or_else(|| "not known".to_owned(), format::duration));
        fact("clock", &clock(row.skew_ms));
        let tasks = tasks_of(session, name);
        fact("tasks", &tasks_line(&tasks));
        fact("queues", &queues_line(session, name));
        fact("alerts", &alerts_line(session, name));
        fact("reads", &reads_line(kind));
        for remark in &row.remarks {
            fact("remark", remark.as_str());
        }
        can_be_done(&mut text, row, &tasks);
    }
    missing(&mut text, row);
    text
}

fn tasks_of<'a>(session: &'a Session, name: &EndpointName) -> Vec<&'a TaskRow> {
    session.fleet.tasks().filter(|row| row.key.endpoint == *name).collect()
}

fn clock(skew_ms: Option<i64>) -> String {
    let Some(skew) = skew_ms else { return "its time is not told".to_owned() };
    let size = format::duration(skew.unsigned_abs());
    match skew {
        skew if skew.abs() < SKEW_MS => "agrees with ours".to_owned(),
        1.. => format!("{size} ahead of ours"),
        _ => format!("{size} behind ours"),
    }
}

/// `12: 9 healthy, 2 failing, 1 late`
fn tasks_line(tasks: &[&TaskRow]) -> String {
    let mut states: BTreeMap<_, usize> = BTreeMap::new();
    for row in tasks {
        *states.entry(row.state.word()).or_default() += 1;
    }
    let states: Vec<String> = states.into_iter().map(|(state, n)| format!("{n} {state}")).collect();
    if states.is_empty() { "none".to_owned() } else { format!("{}: {}", tasks.len(), states.join(", ")) }
}

fn queues_line(session: &Session, name: &EndpointName) -> String {
    let queues: Vec<_> = session.fleet.queues().into_iter().filter(|row| row.endpoint == *name).collect();
    if queues.is_empty() {
        return "none".to_owned();
    }
    let depth: u64 = queues.iter().map(|row| row.queue.depth).sum();
    let running: u64 = queues.iter().map(|row| row.queue.running).sum();
    let stale: u64 = queues.iter().map(|row| row.queue.stale).sum();
    format!("{}: {depth} pending, {running} running, {stale} stale", queues.len())
}

fn alerts_line(session: &Session, name: &EndpointName) -> String {
    let alerts: Vec<_> = session.fleet.alerts().into_iter().filter(|row| row.endpoint == *name).collect();
    let of = |severity: Severity| {
        let n = alerts.iter().filter(|row| row.alert.severity == severity).count();
        (n > 0).then(|| format!("{n} {severity}"))
    };
    let counts: Vec<String> =
        [Severity::Critical, Severity::Warning, Severity::Info].into_iter().filter_map(of).collect();
    if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
}

/// What the kind can be read for, whichever endpoint it is.
fn reads_line(kind: Kind) -> String {
    let reads = backend::offers(kind).reads;
    let all = [
        ("runs", reads.runs),
        ("log", reads.log),
        ("queues", reads.queues),
        ("alerts", reads.alerts),
        ("trace", reads.trace),
        ("audit", reads.audit),
    ];
    let one = |(name, offer): (&str, Offer)| match offer {
        Offer::Yes => name.to_owned(),
        Offer::With(what) => format!("{name} ({what})"),
        Offer::No(_) => format!("no {name}"),
    };
    all.into_iter().map(one).collect::<Vec<_>>().join(", ")
}

/// What can be done, to the endpoint and to each class of its tasks.
fn can_be_done(text: &mut String, row: &EndpointRow, tasks: &[&TaskRow]) {
    let commands = |aim| Command::of(row.spec.kind).filter(move |command| command.spec().aim == aim);
    let _ = writeln!(text, "\n  what can be done to the endpoint");
    let own = std::iter::once(Deed::from(Verb::ReloadConfig));
    for deed in own.chain(commands(Aim::Endpoint).map(Deed::from)) {
        line(text, deed, &Standing::of_endpoint(&row.capabilities, deed));
    }
    let mut classes: BTreeMap<&str, Vec<&Capabilities>> = BTreeMap::new();
    for task in tasks {
        let class = task.task.class.as_ref().map_or("task", Clean::as_str);
        classes.entry(class).or_default().push(&task.task.capabilities);
    }
    let verbs = Verb::ALL.iter().copied().filter(|verb| *verb != Verb::ReloadConfig).map(Deed::from);
    let deeds: Vec<Deed> = verbs.chain(commands(Aim::Task).map(Deed::from)).collect();
    for (class, tasks) in classes {
        let _ = writeln!(text, "\n  what can be done to its {}", format::count(tasks.len(), class));
        for &deed in &deeds {
            line(text, deed, &Standing::of_tasks(tasks.iter().copied(), deed));
        }
    }
}

fn line(text: &mut String, deed: Deed, standing: &Standing) {
    let _ = writeln!(text, "    {:<32}{standing}", deed.word());
}

/// What keeps it from being up, and what to do.
fn missing(text: &mut String, row: &EndpointRow) {
    let reason = match row.health {
        Health::Up => return,
        Health::Degraded => row.degraded.clone().unwrap_or_else(|| "a part can't be read".into()),
        Health::Connecting | Health::Down | Health::Unauthorised => why(row),
    };
    let _ = writeln!(text, "\n  what is missing\n    {reason}");
    let advice = match row.health {
        Health::Unauthorised => {
            let names: Vec<String> = row.spec.auth.keys().map(|name| format!("auth.{name}")).collect();
            if names.is_empty() {
                let takes: Vec<&str> = row.spec.kind.spec().auth.iter().map(|name| name.name).collect();
                format!("give it credentials under [endpoint.auth]: {}", takes.join(", "))
            } else {
                format!("check where {} comes from, and what it may do there", names.join(", "))
            }
        }
        Health::Down | Health::Connecting => {
            format!(
                "check that it runs, and that its url and [endpoint.tls] are right; a read may take {}",
                format::duration(u64::try_from(row.spec.timeout.as_millis()).unwrap_or(u64::MAX))
            )
        }
        Health::Up | Health::Degraded => return,
    };
    let _ = writeln!(text, "    {advice}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_told_in_words() {
        assert_eq!(clock(None), "its time is not told");
        assert_eq!(clock(Some(-900)), "agrees with ours");
        assert_eq!(clock(Some(180_000)), "3m ahead of ours");
        assert_eq!(clock(Some(-180_000)), "3m behind ours");
    }

    #[test]
    fn what_a_kind_cannot_be_read_for_is_said() {
        for &kind in Kind::ALL {
            let line = reads_line(kind);
            for name in ["runs", "log", "queues", "alerts", "trace", "audit"] {
                assert!(line.contains(name), "{kind}: {line}");
            }
        }
    }
}
