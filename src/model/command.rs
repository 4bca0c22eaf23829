//! Commands that only one system has, beyond the verbs that all share.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretSlice};
use serde::{Deserialize, Serialize};

use super::words::words;
use super::{Clean, Kind, Risk};

words! {
    /// Something that only one system can be asked: `kind:name`.
    Command {
        /// Have the overdue check run through the web application, which notes it in the audit log.
        DuplistatusCheckNow = "duplistatus:check-now",
        /// Forget which overdue backups were told of, so that they are told again.
        DuplistatusResetNotifications = "duplistatus:reset-notifications",
        /// Fetch the backup logs of a Duplicati server.
        DuplistatusCollect = "duplistatus:collect",
        /// Record that a run has begun.
        DutyDuckStart = "duty-duck:start",
        /// Record how the run in progress ended.
        DutyDuckFinish = "duty-duck:finish",
        /// Write a comment under the open incidents of a task.
        DutyDuckComment = "duty-duck:comment",
        /// Put an item into the queue.
        RediaccCreate = "rediacc:create",
        /// Take an item off the books.
        RediaccDelete = "rediacc:delete",
        /// End vigie's own session there.
        RediaccRevoke = "rediacc:revoke",
    }
}

/// What a command is aimed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// The endpoint as a whole.
    Endpoint,
    /// A task of it.
    Task,
}

/// What an input takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputShape {
    /// One line of text.
    Line,
    /// A whole number from the first to the second.
    Whole(i64, i64),
    /// One of these words.
    Word(&'static [&'static str]),
    /// The content of a file or of standard input: sent, never shown, never written down.
    Payload,
}

/// One input of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputSpec {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, in a few words.
    pub title: &'static str,
    /// What it takes.
    pub shape: InputShape,
    /// Whether it may not be left out.
    pub required: bool,
}

/// Everything that is fixed about a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandSpec {
    /// The system that has it.
    pub kind: Kind,
    /// What it does, in a few words.
    pub title: &'static str,
    /// What it is aimed at.
    pub aim: Aim,
    /// What it may cost.
    pub risk: Risk,
    /// What it takes.
    pub inputs: &'static [InputSpec],
}

const fn input(name: &'static str, title: &'static str, shape: InputShape, required: bool) -> InputSpec {
    InputSpec { name, title, shape, required }
}

/// How a recorded run may have ended.
const OUTCOMES: InputShape = InputShape::Word(&["success", "failure", "aborted"]);
/// What `rediacc:create` takes.
const ITEM: &[InputSpec] = &[
    input("team", "the team whose queue it enters", InputShape::Line, true),
    input("bridge", "the bridge that passes it on", InputShape::Line, true),
    input("machine", "the machine that it is for", InputShape::Line, false),
    input("priority", "1 (highest) to 5 (lowest)", InputShape::Whole(1, 5), false),
    input("payload", "what is to be done, as JSON", InputShape::Payload, true),
];
/// What `duty-duck:comment` takes.
const COMMENT: &[InputSpec] = &[input("text", "what to say", InputShape::Line, true)];
/// What `duty-duck:finish` takes.
const ENDING: &[InputSpec] = &[
    input("outcome", "how it ended", OUTCOMES, true),
    input("exit-code", "the exit code of the command", InputShape::Whole(0, 255), false),
    input("message", "what went wrong", InputShape::Line, false),
];

impl Command {
    /// What is fixed about it.
    #[must_use]
    pub const fn spec(self) -> CommandSpec {
        let (kind, title, aim, risk, inputs): (Kind, &str, Aim, Risk, &'static [InputSpec]) = match self {
            Self::DuplistatusCheckNow => (
                Kind::Duplistatus,
                "look for overdue backups now, on record",
                Aim::Endpoint,
                Risk::Write,
                &[],
            ),
            Self::DuplistatusResetNotifications => {
                (Kind::Duplistatus, "tell of overdue backups again", Aim::Endpoint, Risk::Write, &[])
            }
            Self::DuplistatusCollect => {
                (Kind::Duplistatus, "fetch the server's backup logs", Aim::Task, Risk::Write, &[])
            }
            Self::DutyDuckStart => {
                (Kind::DutyDuck, "record that a run has begun", Aim::Task, Risk::Write, &[])
            }
            Self::DutyDuckFinish => {
                (Kind::DutyDuck, "record how the run ended", Aim::Task, Risk::Write, ENDING)
            }
            Self::DutyDuckComment => {
                (Kind::DutyDuck, "comment on the open incidents", Aim::Task, Risk::Write, COMMENT)
            }
            Self::RediaccCreate => {
                (Kind::Rediacc, "put an item into the queue", Aim::Endpoint, Risk::Write, ITEM)
            }
            Self::RediaccDelete => {
                (Kind::Rediacc, "delete the item with its history", Aim::Task, Risk::Destructive, &[])
            }
            Self::RediaccRevoke => {
                (Kind::Rediacc, "end vigie's own session there", Aim::Endpoint, Risk::Destructive, &[])
            }
        };
        CommandSpec { kind, title, aim, risk, inputs }
    }

    /// Those of `kind`, in order.
    pub fn of(kind: Kind) -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(move |command| command.spec().kind == kind)
    }

    /// Whether `inputs` are what it takes.
    ///
    /// # Errors
    /// A sentence that names the input and what is wrong with it.
    pub fn check(self, inputs: &Inputs) -> Result<(), String> {
        let specs = self.spec().inputs;
        for name in inputs.keys() {
            if !specs.iter().any(|spec| spec.name == name.as_str()) {
                let known: Vec<&str> = specs.iter().map(|spec| spec.name).collect();
                let takes = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
                return Err(format!("{self} takes no {name:?}; it takes {takes}"));
            }
        }
        for spec in specs {
            match inputs.get(spec.name) {
                None if spec.required => return Err(format!("{self} needs {}: {}", spec.name, spec.title)),
                None => {}
                Some(input) => spec.check(input).map_err(|why| format!("{self}: {}: {why}", spec.name))?,
            }
        }
        Ok(())
    }
}

impl InputSpec {
    /// Whether `input` is what it takes.
    ///
    /// # Errors
    /// What it must be.
    pub fn check(&self, input: &Input) -> Result<(), String> {
        match (self.shape, input) {
            (InputShape::Payload, Input::Payload(_)) => Ok(()),
            (InputShape::Payload, Input::Text(_)) => Err("comes from a file or standard input".to_owned()),
            (_, Input::Payload(_)) => Err("is text, not a file's content".to_owned()),
            (_, Input::Text(text)) if text.trim().is_empty() => Err("is empty".to_owned()),
            (InputShape::Line, Input::Text(_)) => Ok(()),
            (InputShape::Whole(least, most), Input::Text(text)) => match text.trim().parse::<i64>() {
                Ok(number) if (least..=most).contains(&number) => Ok(()),
                _ => Err(format!("must be a whole number from {least} to {most}, not {text:?}")),
            },
            (InputShape::Word(words), Input::Text(text)) => {
                if words.contains(&text.as_str()) {
                    Ok(())
                } else {
                    Err(format!("must be one of {}, not {text:?}", words.join(", ")))
                }
            }
        }
    }
}

/// Inputs by name.
pub type Inputs = BTreeMap<Clean, Input>;

/// The value of one input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Input {
    /// One line of text.
    Text(Clean),
    /// A file's content.
    Payload(Payload),
}

/// Content that is sent, and never shown or written down: elsewhere it is its digest.
#[derive(Clone, Serialize, Deserialize)]
pub struct Payload {
    /// Absent in what was read back from a journal.
    #[serde(skip)]
    content: Option<Arc<SecretSlice<u8>>>,
    sha256: Clean,
    bytes: u64,
}

impl Payload {
    /// `content`, and `sha256`, its digest in lower-case hexadecimal.
    #[must_use]
    pub fn new(content: Vec<u8>, sha256: &str) -> Self {
        let bytes = content.len() as u64;
        Self { content: Some(Arc::new(SecretSlice::from(content))), sha256: Clean::line(sha256), bytes }
    }

    /// The content, for the request only; `None` for one that was read back from a journal.
    #[must_use]
    pub fn content(&self) -> Option<&[u8]> {
        self.content.as_ref().map(|content| content.expose_secret())
    }

    /// The digest in lower-case hexadecimal.
    #[must_use]
    pub const fn sha256(&self) -> &Clean {
        &self.sha256
    }

    /// The length in bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// By digest and length.
impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        (&self.sha256, self.bytes) == (&other.sha256, other.bytes)
    }
}

impl Eq for Payload {}

/// Without the content.
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, sha256 {}", self.bytes, self.sha256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(pairs: &[(&str, &str)]) -> Inputs {
        pairs.iter().map(|(name, text)| (Clean::line(name), Input::Text(Clean::line(text)))).collect()
    }

    #[test]
    fn every_command_carries_its_kind() {
        for &command in Command::ALL {
            let spec = command.spec();
            assert!(command.word().starts_with(&format!("{}:", spec.kind)), "{command}");
            let mut names: Vec<_> = spec.inputs.iter().map(|input| input.name).collect();
            names.dedup();
            assert_eq!(names.len(), spec.inputs.len());
        }
    }

    #[test]
    fn inputs_are_checked_by_name_and_shape() {
        let finish = Command::DutyDuckFinish;
        for (given, wrong) in [
            (vec![("outcome", "success")], None),
            (vec![("outcome", "failure"), ("exit-code", "3"), ("message", "disk full")], None),
            (vec![], Some("needs outcome")),
            (vec![("outcome", "won")], Some("one of success, failure, aborted")),
            (vec![("outcome", "failure"), ("exit-code", "300")], Some("from 0 to 255")),
            (vec![("outcome", "failure"), ("exit-code", "x")], Some("whole number")),
            (vec![("outcome", "failure"), ("message", " ")], Some("is empty")),
            (vec![("outcome", "success"), ("colour", "red")], Some("takes no \"colour\"")),
        ] {
            let checked = finish.check(&inputs(&given));
            match (checked, wrong) {
                (Ok(()), None) => {}
                (Err(said), Some(wrong)) => assert!(said.contains(wrong), "{said}"),
                (checked, wrong) => panic!("{given:?}: {checked:?}, not {wrong:?}"),
            }
        }
        let said = Command::RediaccCreate
            .check(&inputs(&[("team", "t"), ("bridge", "b"), ("payload", "{}")]))
            .unwrap_err();
        assert!(said.contains("comes from a file or standard input"), "{said}");
    }

    #[test]
    fn a_payload_is_only_its_digest_wherever_it_is_written() {
        let payload = Payload::new(b"hunter2".to_vec(), "abc123");
        let json = serde_json::to_string(&Input::Payload(payload.clone())).unwrap();
        assert_eq!(json, r#"{"payload":{"sha256":"abc123","bytes":7}}"#);
        assert!(!format!("{payload:?}").contains("hunter"));
        let Input::Payload(back) = serde_json::from_str(&json).unwrap() else { panic!("{json}") };
        assert_eq!((&back, back.content()), (&payload, None));
        assert_eq!(payload.content(), Some(b"hunter2".as_slice()));
    }
}
