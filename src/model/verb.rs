//! What a system may be asked to do, and whether it may be asked.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Clean;
use super::words::words;

words! {
    /// An action that changes something at an endpoint.
    Verb {
        /// Start a run now.
        Trigger = "trigger",
        /// Stop scheduling.
        Pause = "pause",
        /// Schedule again.
        Resume = "resume",
        /// Run a failed run again, as a new run.
        Retry = "retry",
        /// Stop a run, or take it out of its queue.
        Cancel = "cancel",
        /// Change the priority of pending runs.
        Reprioritise = "reprioritise",
        /// Take an alert's episode.
        Acknowledge = "acknowledge",
        /// Put an alert off.
        Snooze = "snooze",
        /// Silence alerts by a matcher.
        Silence = "silence",
        /// Have the endpoint read its configuration again.
        ReloadConfig = "reload-config",
        /// Put a task away.
        Archive = "archive",
    }
}

impl Verb {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Whether work in progress or waiting is lost by it.
    #[must_use]
    pub const fn is_destructive(self) -> bool {
        matches!(self, Self::Cancel | Self::Archive)
    }
}

/// Whether one verb may be used here and now, and if not, why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Capability {
    /// It may.
    Allowed,
    /// It may not; the reason is a sentence for the operator.
    Refused(Clean),
}

/// The capability of each verb. Cheap to clone: equal tasks may share one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "CapabilityMap", into = "CapabilityMap")]
pub struct Capabilities(Arc<[Capability; Verb::COUNT]>);

impl Capabilities {
    /// Each verb by what `decide` says of it: `None` allows, `Some(reason)` refuses.
    #[must_use]
    pub fn by(mut decide: impl FnMut(Verb) -> Option<Clean>) -> Self {
        Self(Arc::new(std::array::from_fn(|i| {
            decide(Verb::ALL[i]).map_or(Capability::Allowed, Capability::Refused)
        })))
    }

    /// All refused for one reason.
    #[must_use]
    pub fn none(reason: &str) -> Self {
        let reason = Clean::line(reason);
        Self::by(|_| Some(reason.clone()))
    }

    /// The capability of `verb`.
    #[must_use]
    pub fn of(&self, verb: Verb) -> &Capability {
        &self.0[verb as usize]
    }

    /// Why `verb` may not be used; `None` if it may.
    #[must_use]
    pub fn refusal(&self, verb: Verb) -> Option<&Clean> {
        match self.of(verb) {
            Capability::Allowed => None,
            Capability::Refused(reason) => Some(reason),
        }
    }

    /// Verb and refusal, in the order of [`Verb::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Verb, Option<&Clean>)> {
        Verb::ALL.iter().map(|&verb| (verb, self.refusal(verb)))
    }
}

type CapabilityMap = std::collections::BTreeMap<String, Option<Clean>>;

impl From<Capabilities> for CapabilityMap {
    fn from(capabilities: Capabilities) -> Self {
        capabilities.iter().map(|(verb, reason)| (verb.word().to_owned(), reason.cloned())).collect()
    }
}

/// Verbs that a map leaves out are refused; names that it has beyond ours are a newer server's.
impl From<CapabilityMap> for Capabilities {
    fn from(map: CapabilityMap) -> Self {
        Self::by(|verb| match map.get(verb.word()) {
            Some(reason) => reason.clone(),
            None => Some(Clean::line("the endpoint does not say that it can do this")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_of_reasons_and_back() {
        let capabilities = Capabilities::by(|verb| (verb != Verb::Trigger).then(|| "no such verb".into()));
        let json = serde_json::to_value(&capabilities).unwrap();
        assert_eq!(json["trigger"], serde_json::Value::Null);
        assert_eq!(json["retry"], "no such verb");
        let back: Capabilities = serde_json::from_value(json).unwrap();
        assert_eq!(back, capabilities);
        let sparse: Capabilities = serde_json::from_str(r#"{"trigger":null,"invented":"x"}"#).unwrap();
        assert_eq!(sparse.of(Verb::Trigger), &Capability::Allowed);
        assert!(sparse.refusal(Verb::Cancel).is_some());
    }
}
