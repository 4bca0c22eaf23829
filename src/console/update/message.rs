//! The line above the footer: what was done, what was refused, what went wrong.

use chrono::TimeDelta;

use crate::fleet::Fleet;
use crate::model::{Clean, IntentId, Receipt, Severity, Stage, duration_text};

use super::super::format;
use super::super::state::{Message, State};

/// How long something said in passing stands.
const PASSING: TimeDelta = TimeDelta::seconds(6);
/// How long what became of an intent stands.
const RECEIPT: TimeDelta = TimeDelta::seconds(15);
/// Of so many intents on several targets it is remembered how many those are.
const BULKS: usize = 16;

/// Says something in passing.
pub(super) fn say(state: &mut State, severity: Severity, text: impl Into<Clean>) {
    put(state, severity, text.into(), Some(PASSING));
}

/// Says something that stands until the next.
pub(super) fn keep(state: &mut State, severity: Severity, text: impl Into<Clean>) {
    put(state, severity, text.into(), None);
}

/// An intent with so many targets is on its way: what becomes of it is told in one.
pub(super) fn sending(state: &mut State, intent: IntentId, targets: usize) {
    if targets > 1 {
        state.memory.bulks.insert(intent, targets);
    }
    if state.memory.bulks.len() > BULKS {
        state.memory.bulks.pop_first();
    }
}

/// Says what became of an intent, where that is news.
pub(super) fn receipt(state: &mut State, fleet: &Fleet, receipt: &Receipt) {
    if receipt.stage == Stage::Sent {
        return;
    }
    let (severity, text) = match state.memory.bulks.get(&receipt.intent) {
        Some(&targets) => Bulk::of(fleet, receipt, targets).told(state, fleet),
        None => told(state, fleet, receipt),
    };
    put(state, severity, text.into(), Some(RECEIPT));
}

/// What became of an intent at its one target.
fn told(state: &State, fleet: &Fleet, receipt: &Receipt) -> (Severity, String) {
    let what = format!("{} {}", receipt.deed, format::target(&receipt.target, fleet));
    let said = receipt.message.as_ref();
    let because = said.map_or_else(String::new, |message| format!(": {message}"));
    match receipt.stage {
        Stage::Sent | Stage::Accepted => {
            let said = said.map_or_else(String::new, |message| format!(" ({message})"));
            (Severity::Info, format!("{what}: accepted, not yet observed{said}"))
        }
        Stage::Observed => {
            // What is said of a named run is no more than its name.
            let said = if receipt.run.is_none() { because.as_str() } else { "" };
            (Severity::Info, format!("{} {what} observed {}{said}", tick(state), after(receipt)))
        }
        Stage::Failed => (Severity::Critical, format!("{} {what} failed{because}", cross(state))),
        Stage::Unknown => (
            Severity::Warning,
            format!("{what}: it may or may not have been done, the next poll tells{because}"),
        ),
    }
}

/// What became of an intent at all of its targets so far.
struct Bulk<'r> {
    newest: &'r Receipt,
    targets: usize,
    accepted: usize,
    observed: usize,
    unknown: usize,
    failed: usize,
    /// One that went wrong.
    example: Option<&'r Receipt>,
}

impl<'r> Bulk<'r> {
    fn of(fleet: &'r Fleet, newest: &'r Receipt, targets: usize) -> Self {
        let mut bulk =
            Self { newest, targets, accepted: 0, observed: 0, unknown: 0, failed: 0, example: None };
        for receipt in fleet.receipts().into_iter().filter(|other| other.intent == newest.intent) {
            let worse = match receipt.stage {
                Stage::Sent => continue,
                Stage::Accepted => &mut bulk.accepted,
                Stage::Observed => &mut bulk.observed,
                Stage::Unknown => &mut bulk.unknown,
                Stage::Failed => &mut bulk.failed,
            };
            *worse += 1;
            let graver = |known: &Receipt| known.stage == Stage::Unknown && receipt.stage == Stage::Failed;
            if matches!(receipt.stage, Stage::Failed | Stage::Unknown) && bulk.example.is_none_or(graver) {
                bulk.example = Some(receipt);
            }
        }
        bulk
    }

    fn told(&self, state: &State, fleet: &Fleet) -> (Severity, String) {
        let what = format!("{} {} targets", self.newest.deed, self.targets);
        if self.observed == self.targets {
            return (Severity::Info, format!("{} {what} observed {}", tick(state), after(self.newest)));
        }
        let counts = [
            (self.failed, "failed"),
            (self.unknown, "without answer"),
            (self.observed, "observed"),
            (self.accepted, "accepted"),
        ];
        let counts = counts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}"));
        let counts = counts.collect::<Vec<_>>().join(", ");
        let example = self.example.map_or_else(String::new, |receipt| {
            let said = receipt.message.as_ref().map_or_else(String::new, |message| format!(": {message}"));
            format!(" · {}{said}", format::target(&receipt.target, fleet))
        });
        let (severity, mark) = match (self.failed, self.unknown) {
            (0, 0) => (Severity::Info, String::new()),
            (0, _) => (Severity::Warning, String::new()),
            _ => (Severity::Critical, format!("{} ", cross(state))),
        };
        (severity, format!("{mark}{what}: {counts}{example}"))
    }
}

const fn tick(state: &State) -> &'static str {
    if state.look.ascii { "ok:" } else { "✓" }
}

const fn cross(state: &State) -> &'static str {
    if state.look.ascii { "failed:" } else { "✗" }
}

/// How long it took until a poll showed the effect.
fn after(receipt: &Receipt) -> String {
    match u64::try_from((receipt.at - receipt.sent).num_seconds()).unwrap_or(0) {
        0 => "at once".to_owned(),
        seconds => format!("after {}", spaced(&duration_text(seconds))),
    }
}

/// `1m24s` → `1 m 24 s`
fn spaced(duration: &str) -> String {
    let mut out = String::new();
    for c in duration.chars() {
        if !out.is_empty()
            && (c.is_ascii_alphabetic() || out.ends_with(|last: char| last.is_ascii_alphabetic()))
        {
            out.push(' ');
        }
        out.push(c);
    }
    out
}

fn put(state: &mut State, severity: Severity, text: Clean, stands: Option<TimeDelta>) {
    let until = stands.map(|stands| state.now + stands);
    state.message = Some(Message { text, severity, until });
    state.dirty = true;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_spaces() {
        assert_eq!(spaced("24s"), "24 s");
        assert_eq!(spaced("1m24s"), "1 m 24 s");
    }
}
