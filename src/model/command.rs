//! Commands that only one system has, beyond the verbs that all share.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretSlice};
use serde::{Deserialize, Serialize};

use super::words::words;
use super::{Clean, Kind, Risk, parse_duration, split_words};

words! {
    /// Something that only one system can be asked: `kind:name`.
    Command {
        /// Have a command run once.
        VigieSubmit = "vigie:submit",
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
    /// Words as a shell splits them: see [`split_words`]; at least one.
    Words,
    /// The same, each `NAME=VALUE`.
    Pairs,
    /// How long, such as `1h30m`: whole seconds, at least one.
    Duration,
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
/// The longest that a duration may be, in seconds: as the protocol has it.
const LONGEST: u64 = u32::MAX as u64;
/// What `vigie:submit` takes.
const SUBMISSION: &[InputSpec] = &[
    input("command", "what runs: words, quoted as for a shell", InputShape::Words, true),
    input("shell", "whether a shell is to run the line as it stands", YES_NO, false),
    input("name", "what people call it", InputShape::Line, false),
    input("machine", "where it runs; else beside the coordinator", InputShape::Line, false),
    input("team", "whose it is", InputShape::Line, false),
    input("priority", "1 (highest) to 5 (lowest); else 3", InputShape::Whole(1, 5), false),
    input("retry", "how often it is tried again", InputShape::Whole(0, 100), false),
    input("retry-delay", "how long before each; else 30s", InputShape::Duration, false),
    input("max-runtime", "how long it may run", InputShape::Duration, false),
    input("env", "variables, NAME=VALUE each", InputShape::Pairs, false),
    input("secrets", "variables from the vault, NAME=NAME-THERE each", InputShape::Pairs, false),
    input("cwd", "the folder where it runs", InputShape::Line, false),
];
const YES_NO: InputShape = InputShape::Word(&["no", "yes"]);
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
            Self::VigieSubmit => (Kind::Vigie, "run a command once", Aim::Endpoint, Risk::Write, SUBMISSION),
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
        let for_a_shell = is_for_a_shell(inputs);
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
                Some(Input::Text(text))
                    if for_a_shell && spec.shape == InputShape::Words && !text.trim().is_empty() => {}
                Some(input) => spec.check(input).map_err(|why| format!("{self}: {}: {why}", spec.name))?,
            }
        }
        Ok(())
    }
}

/// Whether a line is to be run by a shell, which has words of its own.
#[must_use]
pub fn is_for_a_shell(inputs: &Inputs) -> bool {
    matches!(inputs.get("shell"), Some(Input::Text(text)) if text.as_str() == "yes")
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
            (InputShape::Words, Input::Text(text)) => split_words(text).map(|_| ()),
            (InputShape::Pairs, Input::Text(text)) => {
                let words = split_words(text)?;
                let unnamed = |word: &&String| word.split_once('=').is_none_or(|(name, _)| name.is_empty());
                words.iter().find(unnamed).map_or(Ok(()), |word| Err(format!("{word:?} is not NAME=VALUE")))
            }
            (InputShape::Duration, Input::Text(text)) => match parse_duration(text)?.as_secs() {
                1..=LONGEST => Ok(()),
                _ => Err(format!("{text:?} is too short or too long: from 1s on")),
            },
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
    fn a_submission_is_checked_field_by_field() {
        for (given, wrong) in [
            (vec![("command", "pg_dump -Fc shop")], None),
            (vec![("command", "a | b"), ("shell", "yes")], None),
            (vec![("command", "a"), ("env", "A=1 B='x y'"), ("max-runtime", "1h30m"), ("retry", "3")], None),
            (vec![], Some("needs command")),
            (vec![("command", "a | b")], Some("for a shell")),
            (vec![("command", "a | b"), ("shell", "no")], Some("for a shell")),
            (vec![("command", "'a")], Some("never closed")),
            (vec![("command", "a"), ("env", "A")], Some("not NAME=VALUE")),
            (vec![("command", "a"), ("max-runtime", "10")], Some("not a duration")),
            (vec![("command", "a"), ("retry-delay", "0s")], Some("too short")),
            (vec![("command", "a"), ("priority", "6")], Some("from 1 to 5")),
        ] {
            match (Command::VigieSubmit.check(&inputs(&given)), wrong) {
                (Ok(()), None) => {}
                (Err(said), Some(wrong)) => assert!(said.contains(wrong), "{said}"),
                (checked, wrong) => panic!("{given:?}: {checked:?}, not {wrong:?}"),
            }
        }
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
