//! The envelope around every answer, read so that no secret gets further.
//!
//! Vault and credential fields go while the bytes are parsed, in JSON that
//! travels as text too; tokens are set aside, also where the rest of the
//! answer turns out to be unreadable.

use std::cell::{Cell, RefCell};
use std::fmt;

use secrecy::SecretString;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// One row of a result set: columns with their first letter in lower case.
pub type Row = Map<String, Value>;

/// JSON within text within JSON is followed so deep; what lies deeper goes.
const MAX_NESTING: u8 = 4;
/// What a name of a field that holds secrets contains.
const SECRET_WORDS: &[&str] = &["vault", "credential", "password", "secret"];
/// The field that brings the next token.
const NEXT_TOKEN: &str = "nextRequestToken";

/// A token, and where in the answer it was.
#[derive(Debug, Clone)]
pub struct Found {
    /// The set; `None` at the top of the envelope.
    pub set: Option<usize>,
    /// The row in it.
    pub row: usize,
    /// The token.
    pub token: SecretString,
}

/// What an answer holds, without anything secret but the tokens.
#[derive(Debug, Default)]
pub struct Envelope {
    /// 0: it went well.
    pub failure: i64,
    /// What the endpoint says in words.
    pub text: Option<String>,
    /// All sets with their rows, empty ones too, so that indexes are the endpoint's.
    pub sets: Vec<Vec<Row>>,
    /// Facts at the top of the envelope.
    pub top: Row,
    /// Whether the sets are named as in 2025-05 (`tables`).
    pub tables: bool,
}

/// Reads an answer. The tokens are there whatever becomes of the rest.
pub fn read(body: &[u8]) -> (Vec<Found>, Result<Envelope, String>) {
    let context = Context { found: RefCell::default(), dropped: Cell::new(false) };
    let mut reader = serde_json::Deserializer::from_slice(body);
    let keep = Keep { context: &context, at: At::Top, nesting: 0 };
    let value = keep.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    let envelope = value.map_err(|error| error.to_string()).and_then(envelope);
    (context.found.into_inner(), envelope)
}

/// The next token of the session that asked: in the first set, else at the top,
/// else in a row that is nothing but it.
pub fn rotation<'a>(found: &'a [Found], sets: &[Vec<Row>]) -> Option<&'a SecretString> {
    let alone = |f: &&Found| f.set.and_then(|set| sets.get(set)?.get(f.row)).is_none_or(Map::is_empty);
    found
        .iter()
        .find(|f| f.set == Some(0))
        .or_else(|| found.iter().find(|f| f.set.is_none()))
        .or_else(|| found.iter().find(alone))
        .map(|f| &f.token)
}

/// A bit: true and false, 0 and 1, whatever the generation.
pub fn bit(value: Option<&Value>) -> Option<bool> {
    match value? {
        Value::Bool(bit) => Some(*bit),
        Value::Number(number) => number.as_i64().map(|n| n != 0),
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn envelope(value: Value) -> Result<Envelope, String> {
    let Value::Object(mut top) = value else { return Err("not an object".to_owned()) };
    let tables = top.remove("tables");
    let (sets, is_tables) = match (top.remove("resultSets"), tables) {
        (Some(sets), _) => (Some(sets), false),
        (None, tables) => (tables, true),
    };
    let failure = top.remove("failure");
    if failure.is_none() && sets.is_none() {
        return Err("neither failure nor resultSets is there".to_owned());
    }
    let failure = match failure {
        None | Some(Value::Null | Value::Bool(false)) => 0,
        Some(Value::Bool(true)) => 400,
        Some(Value::Number(n)) => n.as_i64().ok_or("failure is not a whole number")?,
        Some(Value::String(text)) => text.trim().parse().map_err(|_| "failure is not a number".to_owned())?,
        Some(_) => return Err("failure is not a number".to_owned()),
    };
    let present = sets.is_some();
    let sets = match sets {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(sets)) => {
            let set = |(n, value)| set(value).map_err(|why| format!("resultSets[{n}]: {why}"));
            sets.into_iter().enumerate().map(set).collect::<Result<Vec<_>, _>>()?
        }
        Some(_) => return Err("resultSets is not a list".to_owned()),
    };
    let text = words(&top, &sets);
    Ok(Envelope { failure, text, sets, top, tables: present && is_tables })
}

fn set(value: Value) -> Result<Vec<Row>, String> {
    let data = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Object(mut set) => set.remove("data"),
        _ => return Err("not an object".to_owned()),
    };
    let rows = match data {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(rows)) => rows,
        Some(_) => return Err("data is not a list".to_owned()),
    };
    let row = |(n, value)| match value {
        Value::Object(row) => Ok(row),
        Value::Null => Ok(Row::new()),
        _ => Err(format!("data[{n}] is not an object")),
    };
    rows.into_iter().enumerate().map(row).collect()
}

/// Its errors joined, else its message, else what the first row says.
fn words(top: &Row, sets: &[Vec<Row>]) -> Option<String> {
    let said = |value: Option<&Value>| {
        value.and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let errors = match top.get("errors") {
        Some(Value::Array(errors)) => {
            errors.iter().filter_map(|e| said(Some(e))).collect::<Vec<_>>().join("; ")
        }
        one => said(one).unwrap_or_default(),
    };
    if !errors.is_empty() {
        return Some(errors);
    }
    said(top.get("message")).or_else(|| {
        let row = sets.first()?.first()?;
        ["errorMessage", "error", "message"].iter().find_map(|name| said(row.get(*name)))
    })
}

struct Context {
    found: RefCell<Vec<Found>>,
    dropped: Cell<bool>,
}

/// How far in the envelope a value is.
#[derive(Clone, Copy)]
enum At {
    Top,
    Sets,
    Set(usize),
    Rows(usize),
    Row(usize, usize),
    Deep,
}

/// Reads a value without what is secret in it.
#[derive(Clone, Copy)]
struct Keep<'a> {
    context: &'a Context,
    at: At,
    nesting: u8,
}

impl Keep<'_> {
    const fn below(self, at: At) -> Self {
        Self { at, ..self }
    }

    fn keep_token(&self, token: Value) {
        let (set, row) = match self.at {
            At::Row(set, row) => (Some(set), row),
            _ => (None, 0),
        };
        if let Value::String(token) = token
            && !token.trim().is_empty()
        {
            self.context.found.borrow_mut().push(Found { set, row, token: SecretString::from(token) });
        }
    }

    /// A text without what is secret in it; null, if nothing of it can be told from a secret.
    fn text(self, text: &str) -> Value {
        let secret = || {
            let lower = text.to_ascii_lowercase();
            SECRET_WORDS.iter().any(|word| lower.contains(word)) || lower.contains("token")
        };
        let Some(start) = text.find(['{', '[']) else { return Value::from(text) };
        if self.nesting >= MAX_NESTING {
            return if secret() { Value::Null } else { Value::from(text) };
        }
        if text[..start].trim().is_empty() {
            let context = Context { found: RefCell::default(), dropped: Cell::new(false) };
            let keep = Keep { context: &context, at: At::Deep, nesting: self.nesting + 1 };
            let mut reader = serde_json::Deserializer::from_str(text);
            if let Ok(value) = keep.deserialize(&mut reader)
                && reader.end().is_ok()
            {
                if !context.dropped.get() {
                    return Value::from(text);
                }
                self.context.dropped.set(true);
                return Value::from(value.to_string());
            }
        }
        if secret() {
            // Prose with something in it that may be a vault's content.
            self.context.dropped.set(true);
            return Value::from(format!("{}…", text[..start].trim_end()));
        }
        Value::from(text)
    }
}

impl<'de> DeserializeSeed<'de> for Keep<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Keep<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::from(v))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(Value::from(v))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(Value::from(v))
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(self.text(v))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        loop {
            let at = match self.at {
                At::Sets => At::Set(items.len()),
                At::Rows(set) => At::Row(set, items.len()),
                _ => At::Deep,
            };
            let Some(item) = seq.next_element_seed(self.below(at))? else { return Ok(Value::Array(items)) };
            items.push(item);
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut kept = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let key = lower_first(key);
            if key == NEXT_TOKEN && matches!(self.at, At::Top | At::Row(..)) {
                let token = map.next_value::<Value>()?;
                self.keep_token(token);
            } else if is_secret(&key) {
                map.next_value::<IgnoredAny>()?;
                self.context.dropped.set(true);
            } else {
                let at = match (self.at, key.as_str()) {
                    (At::Top, "resultSets" | "tables") => At::Sets,
                    (At::Set(n), "data") => At::Rows(n),
                    _ => At::Deep,
                };
                let value = map.next_value_seed(self.below(at))?;
                kept.insert(key, value);
            }
        }
        Ok(Value::Object(kept))
    }
}

/// Whether a field of that name holds what nobody may see.
fn is_secret(key: &str) -> bool {
    let lower = key.to_ascii_lowercase();
    lower.ends_with("token") || SECRET_WORDS.iter().any(|word| lower.contains(word))
}

/// `TaskId` is `taskId`: generations differ in that.
fn lower_first(mut key: String) -> String {
    if let Some(first) = key.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    key
}
