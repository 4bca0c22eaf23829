//! The line above the footer: what was done, what was refused, what went wrong.

use chrono::TimeDelta;

use crate::model::{Clean, Receipt, Severity, Stage, duration_text};

use super::super::state::{Message, State};

/// How long something said in passing stands.
const PASSING: TimeDelta = TimeDelta::seconds(6);
/// How long what became of an intent stands.
const RECEIPT: TimeDelta = TimeDelta::seconds(15);

/// Says something in passing.
pub(super) fn say(state: &mut State, severity: Severity, text: impl Into<Clean>) {
    put(state, severity, text.into(), Some(PASSING));
}

/// Says something that stands until the next.
pub(super) fn keep(state: &mut State, severity: Severity, text: impl Into<Clean>) {
    put(state, severity, text.into(), None);
}

/// Says what became of an intent at one target, where that is news.
pub(super) fn receipt(state: &mut State, receipt: &Receipt) {
    let what = format!("{} {}", receipt.verb, receipt.target);
    let because = receipt.message.as_ref().map_or_else(String::new, |message| format!(": {message}"));
    let seconds = u64::try_from((receipt.at - receipt.sent).num_seconds()).unwrap_or(0);
    let tick = if state.look.ascii { "ok:" } else { "✓" };
    let cross = if state.look.ascii { "failed:" } else { "✗" };
    let (severity, text) = match receipt.stage {
        Stage::Sent => return,
        Stage::Accepted => (Severity::Info, format!("{what} accepted{because}")),
        Stage::Observed => {
            // What is said of a named run is no more than its name.
            let said = if receipt.run.is_none() { because.as_str() } else { "" };
            (
                Severity::Info,
                format!("{tick} {what} observed after {}{said}", spaced(&duration_text(seconds))),
            )
        }
        Stage::Failed => (Severity::Critical, format!("{cross} {what} failed{because}")),
        Stage::Unknown => (
            Severity::Warning,
            format!("{what}: it may or may not have been done, the next poll tells{because}"),
        ),
    };
    put(state, severity, text.into(), Some(RECEIPT));
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
