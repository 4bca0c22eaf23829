//! What Rediacc can be asked, of an item and of the endpoint, each refusal
//! with its reason, and the exact requests. Pure.

use super::convert::Phase;
use super::wire::{Item, Naming};
use crate::backend::http;
use crate::backend::offers::{Offer, Offers, Reads};
use crate::backend::{BackendError, Call};
use crate::model::{Capabilities, Clean, Command, Deed, Input, Payload, Priority, TaskId, Verb};
use serde_json::{Map, Value};

/// What Rediacc offers.
pub const OFFERS: Offers = Offers {
    reads: Reads {
        runs: Offer::With("one run per item: the item itself"),
        log: Offer::No("Rediacc keeps what an item printed in its vault, which vigie never reads"),
        queues: Offer::With("one per team"),
        alerts: Offer::With("vigie makes them from what it says of stale and failed items"),
        trace: Offer::Yes,
        audit: Offer::With("where the plan has the audit log"),
    },
    reports: Offer::No("Rediacc takes no reports of runs: its own bridges carry its items out"),
    acts,
};

const NO_HOLD: &str = "Rediacc can't hold an item or a queue back";
const NO_ALERTS: &str = "Rediacc keeps no alerts";
const NO_TRIGGER: &str =
    "Rediacc starts items itself, when a bridge takes them up: put another one in with rediacc:create";
const NO_REPRIORITISE: &str = "Rediacc 3.0 has no call for it: cancel the item and create it anew";
const NOT_KNOWN_YET: &str = "it is not known yet whether this Rediacc has a call for it: 3.0 has none";
const OTHER_SYSTEM: &str = "Rediacc has no such command";
const FOR_ITEMS: &str = "this is for an item of the queue, not for the endpoint";
const FOR_ENDPOINT: &str = "this is for the endpoint, not for an item of the queue";

const fn acts(deed: Deed) -> Offer {
    match deed {
        Deed::Verb(verb) => match verb {
            Verb::Cancel => Offer::With("what waits at once, what runs as soon as its bridge has stopped it"),
            Verb::Retry => Offer::With("failed items only"),
            Verb::Reprioritise => Offer::With("the company generation (2025) only: 3.0 has no call for it"),
            Verb::Trigger => Offer::No(NO_TRIGGER),
            Verb::Pause | Verb::Resume => Offer::No(NO_HOLD),
            Verb::Acknowledge | Verb::Snooze | Verb::Silence => Offer::No(NO_ALERTS),
            Verb::ReloadConfig => Offer::No("Rediacc has no configuration that a call could have read again"),
            Verb::Archive => Offer::No(
                "Rediacc puts items away itself, 30 days after their end; rediacc:delete deletes one now",
            ),
        },
        Deed::Command(Command::RediaccCreate) => Offer::With("the payload from a file or standard input"),
        Deed::Command(Command::RediaccDelete | Command::RediaccRevoke) => Offer::Yes,
        Deed::Command(_) => Offer::No(OTHER_SYSTEM),
    }
}

/// What may be asked of the endpoint as a whole.
pub fn of_endpoint() -> Capabilities {
    let verbs = Capabilities::by(|verb| Some(acts(verb.into()).refusal().unwrap_or(FOR_ITEMS).into()));
    verbs.with([(Command::RediaccCreate, None), (Command::RediaccRevoke, None)])
}

/// Capabilities of items: most share theirs.
#[derive(Debug)]
pub struct Menu {
    naming: Option<Naming>,
    made: Vec<((Phase, Option<bool>), Capabilities)>,
}

impl Menu {
    /// For a generation, once it is known.
    pub const fn new(naming: Option<Naming>) -> Self {
        Self { naming, made: Vec::new() }
    }

    /// What may be done to `item` now.
    pub fn of(&mut self, item: &Item) -> Capabilities {
        let key = (item.phase(), item.can_be_cancelled);
        if let Some((_, made)) = self.made.iter().find(|(known, _)| *known == key) {
            return made.clone();
        }
        let naming = self.naming;
        let made = Capabilities::by(|verb| refusal(verb, key.0, key.1, naming).map(Clean::line))
            .with([(Command::RediaccDelete, None)]);
        self.made.push((key, made.clone()));
        made
    }
}

fn refusal(
    verb: Verb,
    phase: Phase,
    can_be_cancelled: Option<bool>,
    naming: Option<Naming>,
) -> Option<&'static str> {
    match verb {
        Verb::Cancel => match phase {
            Phase::Done | Phase::Failed | Phase::Cancelled => Some("it has ended already"),
            Phase::Stops => Some("it is being cancelled already"),
            _ if can_be_cancelled == Some(false) => Some("Rediacc says that it can't be cancelled now"),
            _ => None,
        },
        Verb::Retry => match phase {
            Phase::Failed => None,
            Phase::GivenUp => Some(
                "Rediacc tries again only what has failed, and this one is pending though it is given up: \
                 cancel it and create it anew",
            ),
            _ => Some("Rediacc tries again only what has failed"),
        },
        Verb::Reprioritise => match naming {
            Some(Naming::Organization) => Some(NO_REPRIORITISE),
            None => Some(NOT_KNOWN_YET),
            Some(Naming::Company) if !phase.is_pending() => Some("only what waits has a priority to change"),
            Some(Naming::Company) => None,
        },
        other => acts(other.into()).refusal(),
    }
}

/// A call as it is sent.
#[derive(Debug)]
pub struct Request {
    /// The procedure.
    pub procedure: &'static str,
    /// Its parameters, without the payload.
    pub body: Map<String, Value>,
    /// The payload, and the parameter that it is sent as.
    pub payload: Option<(&'static str, Payload)>,
    /// What to know before it is sent.
    pub caution: Option<&'static str>,
}

impl Request {
    fn on(procedure: &'static str, task: &TaskId) -> Self {
        let body = Map::from_iter([("taskId".to_owned(), Value::from(task.as_raw()))]);
        Self { procedure, body, payload: None, caution: None }
    }

    /// As `POST /StoredProcedure/Name {…}`: of a payload its length and digest.
    pub fn shown(&self) -> Clean {
        let path = http::shown_path(&["StoredProcedure", self.procedure]);
        let mut body = Value::Object(self.body.clone()).to_string();
        if let Some((parameter, payload)) = &self.payload {
            let (bytes, sha256) = (payload.bytes(), payload.sha256());
            body.truncate(body.len().saturating_sub(1));
            body = format!(r#"{body},"{parameter}":<{bytes} bytes, sha256 {sha256}>}}"#);
        }
        let caution = self.caution.map(|caution| format!(" ({caution})")).unwrap_or_default();
        Clean::from(format!("POST {path} {body}{caution}"))
    }

    /// The body with its payload.
    ///
    /// # Errors
    /// [`BackendError::Unsupported`] if the payload is no JSON text, or is no longer there.
    pub fn full_body(&self) -> Result<Value, BackendError> {
        let mut body = self.body.clone();
        if let Some((parameter, payload)) = &self.payload {
            body.insert((*parameter).to_owned(), Value::from(json_text(payload)?));
        }
        Ok(Value::Object(body))
    }
}

/// The payload as text, if it is what Rediacc takes: one JSON text.
fn json_text(payload: &Payload) -> Result<&str, BackendError> {
    let wrong =
        |why: String| BackendError::Unsupported(format!("the payload {why}; nothing was sent").into());
    let content = payload.content().ok_or_else(|| wrong("is no longer there: give it again".to_owned()))?;
    let text = std::str::from_utf8(content)
        .map_err(|error| wrong(format!("is not UTF-8 text (byte {})", error.valid_up_to() + 1)))?;
    // Of the error only the place: its words would quote the payload.
    serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|error| {
        wrong(format!("is not valid JSON (line {}, column {})", error.line(), error.column()))
    })?;
    Ok(text)
}

/// The request of a call; `naming`, as far as it is known.
///
/// # Errors
/// [`BackendError::Unsupported`] with the reason, where there is none.
pub fn request(call: &Call, naming: Option<Naming>) -> Result<Request, BackendError> {
    let no = |reason: &str| BackendError::Unsupported(reason.into());
    let item = || call.task.as_ref().ok_or_else(|| no(FOR_ITEMS));
    match call.deed {
        Deed::Verb(Verb::Cancel) => Ok(Request::on("CancelQueueItem", item()?)),
        Deed::Verb(Verb::Retry) => Ok(Request::on("RetryFailedQueueItem", item()?)),
        Deed::Verb(Verb::Reprioritise) => match naming {
            Some(Naming::Company) => {
                let mut request = Request::on("UpdateQueueItemPriority", item()?);
                let priority = call.priority()?;
                request.caution = caution(priority);
                request.body.insert("priority".to_owned(), Value::from(priority.level()));
                Ok(request)
            }
            Some(Naming::Organization) => Err(no(NO_REPRIORITISE)),
            None => Err(no(NOT_KNOWN_YET)),
        },
        Deed::Command(Command::RediaccDelete) => Ok(Request::on("DeleteQueueItem", item()?)),
        Deed::Command(Command::RediaccCreate | Command::RediaccRevoke) if call.task.is_some() => {
            Err(no(FOR_ENDPOINT))
        }
        Deed::Command(Command::RediaccCreate) => create(call, naming),
        Deed::Command(Command::RediaccRevoke) => Ok(Request {
            procedure: "DeleteUserRequest",
            body: Map::new(),
            payload: None,
            caution: Some("ends vigie's own session there; a fresh token is needed after it"),
        }),
        other => Err(crate::backend::offers::refused(acts(other))),
    }
}

fn create(call: &Call, naming: Option<Naming>) -> Result<Request, BackendError> {
    Command::RediaccCreate
        .check(&call.arguments.inputs)
        .map_err(|why| BackendError::Unsupported(Clean::from(why)))?;
    let mut body = Map::new();
    let names = [("teamName", "team"), ("bridgeName", "bridge"), ("machineName", "machine")];
    for (parameter, input) in names {
        if let Some(text) = call.text(input) {
            body.insert(parameter.to_owned(), Value::from(text.trim()));
        }
    }
    let priority: Option<Priority> = call.text("priority").and_then(|text| text.trim().parse().ok());
    if let Some(priority) = priority {
        body.insert("priority".to_owned(), Value::from(priority.level()));
    }
    let payload = match call.arguments.inputs.get("payload") {
        Some(Input::Payload(payload)) => {
            Some((naming.unwrap_or(Naming::Organization).vault(), payload.clone()))
        }
        _ => None,
    };
    let caution = priority.and_then(caution);
    Ok(Request { procedure: "CreateQueueItem", body, payload, caution })
}

/// What a priority costs there.
fn caution(priority: Priority) -> Option<&'static str> {
    match priority.level() {
        1 => Some("priority 1 ends after 33 s; without a Business or Enterprise plan it becomes 4"),
        2 => Some("priority 2 becomes 4 without a Business or Enterprise plan"),
        _ => None,
    }
}
