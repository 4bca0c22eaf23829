//! What a system may be asked to do, and whether it may be asked.

use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};

use super::words::words;
use super::{Aim, Clean, Command, Role, UnknownWord};

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

    /// What a caller of a coordinator has to be for it.
    #[must_use]
    pub const fn role(self) -> Role {
        if matches!(self, Self::ReloadConfig) { Role::Admin } else { Role::Operator }
    }

    /// Whether work in progress or waiting is lost by it.
    #[must_use]
    pub const fn is_destructive(self) -> bool {
        matches!(self, Self::Cancel | Self::Archive)
    }
}

/// What an action may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Risk {
    /// Changes nothing outside the console.
    Safe,
    /// Changes something at an endpoint; several targets at once need a confirmation.
    Write,
    /// May lose work: needs a confirmation.
    Destructive,
}

/// What an intent asks for: a verb, or a command that only one system has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "Clean")]
pub enum Deed {
    /// Known to all.
    Verb(Verb),
    /// Known to one system.
    Command(Command),
}

impl Deed {
    /// Its word: `trigger`, `rediacc:delete`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Verb(verb) => verb.word(),
            Self::Command(command) => command.word(),
        }
    }

    /// Whether work in progress or waiting is lost by it.
    #[must_use]
    pub const fn is_destructive(self) -> bool {
        match self {
            Self::Verb(verb) => verb.is_destructive(),
            Self::Command(command) => matches!(command.spec().risk, Risk::Destructive),
        }
    }

    /// Whether it is aimed at an endpoint as a whole rather than at a task.
    #[must_use]
    pub const fn is_about_endpoint(self) -> bool {
        match self {
            Self::Verb(verb) => matches!(verb, Verb::ReloadConfig),
            Self::Command(command) => matches!(command.spec().aim, Aim::Endpoint),
        }
    }

    /// The verb, if it is one.
    #[must_use]
    pub const fn verb(self) -> Option<Verb> {
        match self {
            Self::Verb(verb) => Some(verb),
            Self::Command(_) => None,
        }
    }
}

impl From<Verb> for Deed {
    fn from(verb: Verb) -> Self {
        Self::Verb(verb)
    }
}

impl From<Command> for Deed {
    fn from(command: Command) -> Self {
        Self::Command(command)
    }
}

impl PartialEq<Verb> for Deed {
    fn eq(&self, verb: &Verb) -> bool {
        *self == Self::Verb(*verb)
    }
}

impl PartialEq<Command> for Deed {
    fn eq(&self, command: &Command) -> bool {
        *self == Self::Command(*command)
    }
}

impl From<Deed> for &'static str {
    fn from(deed: Deed) -> Self {
        deed.word()
    }
}

impl TryFrom<Clean> for Deed {
    type Error = UnknownWord;
    fn try_from(word: Clean) -> Result<Self, UnknownWord> {
        word.parse()
    }
}

impl std::str::FromStr for Deed {
    type Err = UnknownWord;
    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        if word.contains(':') { word.parse().map(Self::Command) } else { word.parse().map(Self::Verb) }
    }
}

impl std::fmt::Display for Deed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}

/// Whether one deed may be done here and now, and if not, why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Capability {
    /// It may.
    Allowed,
    /// It may not; the reason is a sentence for the operator.
    Refused(Clean),
}

/// The capability of each verb, and of the commands that its system has.
/// Cheap to clone: equal tasks may share one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "CapabilityMap", into = "CapabilityMap")]
pub struct Capabilities(Arc<Listed>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Listed {
    verbs: [Capability; Verb::COUNT],
    commands: Vec<(Command, Capability)>,
}

/// Of a command that its system does not list.
static NOT_LISTED: LazyLock<Clean> = LazyLock::new(|| Clean::line("this is no command of that system here"));

impl Capabilities {
    /// Each verb by what `decide` says of it: `None` allows, `Some(reason)` refuses. No commands.
    #[must_use]
    pub fn by(mut decide: impl FnMut(Verb) -> Option<Clean>) -> Self {
        let verbs = std::array::from_fn(|i| Capability::from(decide(Verb::ALL[i])));
        Self(Arc::new(Listed { verbs, commands: Vec::new() }))
    }

    /// All verbs refused for one reason.
    #[must_use]
    pub fn none(reason: &str) -> Self {
        let reason = Clean::line(reason);
        Self::by(|_| Some(reason.clone()))
    }

    /// As far as `role` goes: what needs more is refused for that.
    #[must_use]
    pub fn within(&self, role: Role) -> Self {
        let more =
            |needed: Role| (!role.covers(needed)).then(|| Clean::from(format!("needs the role {needed}")));
        let verbs = Self::by(|verb| more(verb.role()).or_else(|| self.refusal(verb).cloned()));
        verbs.with(
            self.commands().map(|(command, why)| (command, more(Role::Operator).or_else(|| why.cloned()))),
        )
    }

    /// With the commands of a system: `None` allows, `Some(reason)` refuses.
    #[must_use]
    pub fn with(self, commands: impl IntoIterator<Item = (Command, Option<Clean>)>) -> Self {
        let mut listed = Arc::unwrap_or_clone(self.0);
        listed.commands.extend(commands.into_iter().map(|(command, why)| (command, why.into())));
        Self(Arc::new(listed))
    }

    /// Why a deed may not be done; `None` if it may.
    #[must_use]
    pub fn refusal(&self, deed: impl Into<Deed>) -> Option<&Clean> {
        let capability = match deed.into() {
            Deed::Verb(verb) => Some(&self.0.verbs[verb as usize]),
            Deed::Command(command) => {
                self.0.commands.iter().find(|(known, _)| *known == command).map(|(_, capability)| capability)
            }
        };
        match capability {
            Some(Capability::Allowed) => None,
            Some(Capability::Refused(reason)) => Some(reason),
            None => Some(&NOT_LISTED),
        }
    }

    /// Deed and refusal: the verbs in the order of [`Verb::ALL`], then the system's commands.
    pub fn iter(&self) -> impl Iterator<Item = (Deed, Option<&Clean>)> {
        let verbs = Verb::ALL.iter().map(|&verb| Deed::Verb(verb));
        let commands = self.0.commands.iter().map(|(command, _)| Deed::Command(*command));
        verbs.chain(commands).map(|deed| (deed, self.refusal(deed)))
    }

    /// The system's commands and refusals, in its order.
    pub fn commands(&self) -> impl Iterator<Item = (Command, Option<&Clean>)> {
        self.0.commands.iter().map(|(command, _)| (*command, self.refusal(*command)))
    }
}

impl From<Option<Clean>> for Capability {
    fn from(reason: Option<Clean>) -> Self {
        reason.map_or(Self::Allowed, Self::Refused)
    }
}

type CapabilityMap = std::collections::BTreeMap<String, Option<Clean>>;

impl From<Capabilities> for CapabilityMap {
    fn from(capabilities: Capabilities) -> Self {
        capabilities.iter().map(|(deed, reason)| (deed.word().to_owned(), reason.cloned())).collect()
    }
}

/// Verbs that a map leaves out are refused; names that it has beyond ours are a newer server's.
impl From<CapabilityMap> for Capabilities {
    fn from(map: CapabilityMap) -> Self {
        let verbs = Self::by(|verb| match map.get(verb.word()) {
            Some(reason) => reason.clone(),
            None => Some(Clean::line("the endpoint does not say that it can do this")),
        });
        verbs.with(map.iter().filter_map(|(word, reason)| Some((word.parse().ok()?, reason.clone()))))
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
        assert_eq!(sparse.refusal(Verb::Trigger), None);
        assert!(sparse.refusal(Verb::Cancel).is_some());
        assert_eq!(sparse.iter().count(), Verb::COUNT, "a command that nobody knows is left out");
    }

    #[test]
    fn a_role_greys_what_needs_more() {
        let all = Capabilities::by(|verb| (verb == Verb::Pause).then(|| "it is paused already".into()));
        let of = |role, verb| all.within(role).refusal(verb).map(ToString::to_string);
        assert_eq!(all.within(Role::Admin), all);
        assert_eq!(of(Role::Operator, Verb::Trigger), None);
        assert_eq!(of(Role::Operator, Verb::Pause).unwrap(), "it is paused already");
        assert_eq!(of(Role::Operator, Verb::ReloadConfig).unwrap(), "needs the role admin");
        for verb in Verb::ALL.iter().filter(|verb| **verb != Verb::ReloadConfig) {
            assert_eq!(of(Role::Viewer, *verb).unwrap(), "needs the role operator");
        }
    }

    #[test]
    fn commands_stand_beside_the_verbs() {
        let why = Clean::line("it runs");
        let commands = [(Command::RediaccDelete, Some(why.clone())), (Command::RediaccCreate, None)];
        let capabilities = Capabilities::none("no").with(commands);
        assert_eq!(capabilities.refusal(Command::RediaccDelete), Some(&why));
        assert_eq!(capabilities.refusal(Command::RediaccCreate), None);
        assert!(capabilities.refusal(Command::DutyDuckStart).is_some());
        let json = serde_json::to_value(&capabilities).unwrap();
        assert_eq!((&json["rediacc:delete"], &json["trigger"]), (&"it runs".into(), &"no".into()));
        let back: Capabilities = serde_json::from_value(json).unwrap();
        assert_eq!(back.refusal(Command::RediaccDelete), Some(&why));
    }

    #[test]
    fn a_deed_is_its_word() {
        for deed in [Deed::Verb(Verb::Retry), Deed::Command(Command::RediaccDelete)] {
            let json = serde_json::to_string(&deed).unwrap();
            assert_eq!(json, format!("{:?}", deed.word()));
            assert_eq!(serde_json::from_str::<Deed>(&json).unwrap(), deed);
        }
        assert!("rediacc:dance".parse::<Deed>().is_err() && "dance".parse::<Deed>().is_err());
    }
}
