//! `[[endpoint]]`: one configured monitor or coordinator each.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::{is_simple_name, rules};
use crate::document::{Table, Value};
use crate::model::{
    AuthName, Clean, Dialect, EndpointName, EndpointSpec, Guard, Kind, OptionShape, OptionValue, RetryRule,
    SecretRef, TlsSpec,
};
use crate::schedule;

/// How often an endpoint may be polled.
const POLL: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(86_400);
/// How long a read may take.
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(600);

/// How often what failed may be tried again.
const RETRIES: RangeInclusive<i64> = 1..=100;
/// How long after a failure.
const RETRY_DELAY: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);

/// The forms to use.
const SECRET_FORMS: &str = "{ env = \"NAME\" }, { file = \"PATH\" } or { command = [\"PROGRAM\", …] }";

/// What paths in the file are relative to.
pub struct Base<'a> {
    /// The file's folder.
    pub folder: &'a Path,
    /// What `~/` stands for.
    pub home: Option<&'a Path>,
}

impl Base<'_> {
    pub(super) fn path(&self, value: Value<'_>) -> Option<PathBuf> {
        let place = value.clone();
        let text = value.string()?;
        if text.is_empty() {
            place.problem("must be a path");
            return None;
        }
        match (text.strip_prefix("~/"), self.home) {
            (Some(rest), Some(home)) => Some(home.join(rest)),
            (Some(_), None) => {
                place.problem("there is no home directory for ~: write the whole path");
                None
            }
            (None, _) => Some(self.folder.join(text)),
        }
    }
}

/// Reads every `[[endpoint]]`; those with problems may be missing or at defaults.
pub fn read_all(tables: Vec<Table<'_>>, base: &Base<'_>) -> Vec<EndpointSpec> {
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let mut local: Option<usize> = None;
    let mut endpoints = Vec::new();
    for table in &tables {
        let name = table.need("name").and_then(|value| {
            let place = value.clone();
            let name = value.string()?;
            if !is_simple_name(&name) {
                place.problem("must be 1 to 64 letters, digits, dots, hyphens or underscores");
            }
            if let Some(line) = names.insert(name.clone(), place.line()) {
                place.problem(&format!("{name:?} is already the name of the endpoint at line {line}"));
            }
            Some(name)
        });
        let line = table.line();
        let kind: Option<Kind> =
            table.need("kind").and_then(|value| value.word(Kind::ALL.iter().map(|kind| kind.word())));
        let spec = read_one(table, name.as_deref().unwrap_or_default(), kind, base);
        if kind == Some(Kind::Vigie) && spec.url.is_none() && table.get("url").is_none() {
            match local {
                Some(first) => table.problem(&format!(
                    "the endpoint at line {first} is the local coordinator already: give this one a url"
                )),
                None => local = Some(line),
            }
        }
        endpoints.push(spec);
    }
    rules::check_references(&tables, &names);
    tables.into_iter().for_each(Table::finish);
    endpoints
}

fn read_one(table: &Table<'_>, name: &str, kind: Option<Kind>, base: &Base<'_>) -> EndpointSpec {
    let url = table.get("url").and_then(url);
    let mut spec = EndpointSpec::new(EndpointName::new(name), kind.unwrap_or(Kind::Vigie), url);
    if let Some(kind) = kind
        && !kind.spec().url_optional
        && table.get("url").is_none()
    {
        table.problem(&format!("\"url\" is missing: where is this {kind}?"));
    }
    if let Some(poll) = table.get("poll").and_then(|value| value.duration_within(POLL)) {
        spec.poll = poll;
    }
    if let Some(timeout) = table.get("timeout").and_then(|value| value.duration_within(TIMEOUT)) {
        spec.timeout = timeout;
    }
    if let Some(guard) = table.word("guard", Guard::ALL.iter().map(|guard| guard.word())) {
        spec.guard = guard;
    }
    if let Some(labels) = table.string_map("labels") {
        spec.labels = Arc::new(
            labels.into_iter().map(|(name, value)| (Clean::from(name), Clean::from(value))).collect(),
        );
    }
    if let Some(tls) = table.table("tls") {
        spec.tls = read_tls(tls, base);
    }
    match kind {
        Some(kind) => {
            if let Some(auth) = table.table("auth") {
                spec.auth = read_auth(auth, kind, base);
            }
            if let Some(options) = table.table("options") {
                spec.options = read_options(options, kind);
            }
            rules::check(table, kind);
        }
        // What they may hold depends on the kind.
        None => table.know(&["auth", "options"]),
    }
    spec
}

fn url(value: Value<'_>) -> Option<String> {
    let place = value.clone();
    check_url(&value.string()?).map_err(|why| place.problem(&why)).ok()
}

/// An absolute http or https URL without credentials, query and trailing slash.
///
/// # Errors
/// What is wrong with it; never the text itself, which may hold a password.
pub fn check_url(text: &str) -> Result<String, String> {
    let url = Url::parse(text.trim())
        .map_err(|error| format!("not an absolute URL ({error}): write http://HOST:PORT"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("must begin with http:// or https://, not {}:", Clean::line(url.scheme())));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("names no host: write http://HOST:PORT".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must hold no credentials, which would end up in logs: write them under [endpoint.auth]"
            .to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must have no ? and no #".to_owned());
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn read_tls(table: Table<'_>, base: &Base<'_>) -> TlsSpec {
    let path = |key: &'static str| table.get(key).and_then(|value| base.path(value));
    let tls = TlsSpec {
        ca_file: path("ca_file"),
        client_cert: path("client_cert"),
        client_key: path("client_key"),
        server_name: table.string("server_name"),
    };
    if table.get("client_cert").is_some() != table.get("client_key").is_some() {
        table.problem("client_cert and client_key go together");
    }
    table.finish();
    tls
}

fn read_auth(table: Table<'_>, kind: Kind, base: &Base<'_>) -> BTreeMap<String, SecretRef> {
    let names = kind.spec().auth;
    let read =
        |name: &AuthName| Some((name.name.to_owned(), secret(table.get(name.name)?, name.secret, base)?));
    let auth = names.iter().filter_map(read).collect();
    table.finish();
    auth
}

/// One of the forms of a secret; plain text only if it is none.
fn secret(value: Value<'_>, is_secret: bool, base: &Base<'_>) -> Option<SecretRef> {
    if let Some(text) = value.as_str() {
        if is_secret {
            value.problem(&format!("a secret is never written here: use {SECRET_FORMS}"));
            return None;
        }
        return Some(SecretRef::Plain(text.to_owned()));
    }
    if !value.is_table() {
        let plain = if is_secret { "" } else { "a string, " };
        value.problem(&format!("must be {plain}{SECRET_FORMS}"));
        return None;
    }
    let place = value.clone();
    let table = value.table()?;
    if table.entries().len() != 1 {
        place.problem(&format!("must be exactly one of {SECRET_FORMS}"));
        return None;
    }
    let named = |key: &'static str| {
        let value = table.get(key)?;
        let place = value.clone();
        let name = value.string()?;
        if name.is_empty() || name.contains(|c: char| c == '=' || c.is_whitespace() || c.is_control()) {
            place.problem("must be a name");
            return None;
        }
        Some(name)
    };
    if table.get("env").is_some() {
        named("env").map(SecretRef::Env)
    } else if table.get("vault").is_some() {
        named("vault").map(SecretRef::Vault)
    } else if let Some(file) = table.get("file") {
        base.path(file).map(SecretRef::File)
    } else if let Some(command) = table.get("command") {
        let argv = command.clone().strings()?;
        if argv.first().is_none_or(String::is_empty) {
            command.problem("must be a program and its arguments, such as [\"pass\", \"show\", \"x\"]");
            return None;
        }
        Some(SecretRef::Command(argv))
    } else {
        place.problem(&format!("must be one of {SECRET_FORMS}"));
        None
    }
}

/// The forms in which the vault's key is named.
const KEY_FORMS: &str =
    "{ file = \"PATH\" }, { env = \"NAME\" } or { command = [\"pass\", \"show\", \"x\"] }";

/// Where the vault's key comes from: as any secret, but not from the vault.
pub(super) fn vault_key(value: Value<'_>, base: &Base<'_>) -> Option<SecretRef> {
    let place = value.clone();
    match secret(value, true, base)? {
        SecretRef::Vault(_) => {
            place.problem(&format!("the vault's key can't be in the vault: use {KEY_FORMS}"));
            None
        }
        reference => Some(reference),
    }
}

fn read_options(table: Table<'_>, kind: Kind) -> BTreeMap<String, OptionValue> {
    let mut options = BTreeMap::new();
    for option in kind.spec().options {
        let Some(value) = table.get(option.name) else { continue };
        let value = match option.shape {
            OptionShape::Url => url(value).map(OptionValue::Url),
            OptionShape::Flag => value.bool().map(OptionValue::Flag),
            OptionShape::Text => value.string().map(OptionValue::Text),
            OptionShape::Retry => value.table().and_then(retry).map(OptionValue::Retry),
            OptionShape::Schedules => value.table().map(|table| OptionValue::Schedules(schedules(&table))),
        };
        if let Some(value) = value {
            options.insert(option.name.to_owned(), value);
        }
    }
    table.finish();
    options
}

/// `{ count = 3, delay = "30s" }`.
fn retry(table: Table<'_>) -> Option<RetryRule> {
    let count = table.need("count").and_then(|value| value.integer(RETRIES));
    let delay = table.need("delay").and_then(|value| value.duration_within(RETRY_DELAY));
    table.finish();
    Some(RetryRule { count: u32::try_from(count?).ok()?, delay: delay? })
}

/// Cron texts by task; `"off"` is `None`.
fn schedules(table: &Table<'_>) -> BTreeMap<Clean, Option<String>> {
    let read = |(name, value): (&str, Value<'_>)| {
        let place = value.clone();
        let text = value.string()?;
        if text == "off" {
            return Some((Clean::line(name), None));
        }
        if let Err(error) = schedule::validate(&text, Dialect::Unix, "UTC") {
            place.problem(&format!("{error}; \"off\" for a task that is not scheduled"));
        }
        Some((Clean::line(name), Some(text)))
    };
    table.entries().into_iter().filter_map(read).collect()
}
