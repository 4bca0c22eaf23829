//! A configured endpoint, as the configuration resolves it: still no secret in it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::words::words;
use super::{Clean, EndpointName, Kind, Labels};

words! {
    /// What stands between a key and a destructive or bulk intent.
    Guard {
        /// Nothing.
        None = "none",
        /// A yes.
        Confirm = "confirm",
        /// The verb and the count, typed.
        Typed = "typed",
        /// Nothing is ever sent.
        ReadOnly = "read-only",
    }
}

/// Where a secret, or a plain name that may be kept like one, comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// As written; only for names that are no secrets.
    Plain(String),
    /// An environment variable.
    Env(String),
    /// The first line of a file.
    File(PathBuf),
    /// The first line that a command prints.
    Command(Vec<String>),
    /// A name in vigie's own store.
    Vault(String),
}

/// How to trust, and be known to, a TLS endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsSpec {
    /// PEM roots to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM chain of our own certificate.
    pub client_cert: Option<PathBuf>,
    /// PEM key of it.
    pub client_key: Option<PathBuf>,
    /// The name to expect in the endpoint's certificate.
    pub server_name: Option<String>,
}

/// The value of one of the kind's own options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OptionValue {
    /// An absolute URL.
    Url(String),
    /// Cron texts by task name; `None`: the task is off.
    Schedules(BTreeMap<Clean, Option<String>>),
    /// Yes or no.
    Flag(bool),
    /// A line of text.
    Text(String),
    /// How what failed is tried again.
    Retry(RetryRule),
}

/// How what failed is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryRule {
    /// At most so often.
    pub count: u32,
    /// So long after the failure.
    pub delay: Duration,
}

/// One configured monitor or coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSpec {
    /// Unique; shown in every row.
    pub name: EndpointName,
    /// The system that it speaks.
    pub kind: Kind,
    /// Absolute http or https URL without trailing slash; `None` (only `vigie`):
    /// the coordinator of the data directory, started if there is none.
    pub url: Option<String>,
    /// The pause between polls.
    pub poll: Duration,
    /// The limit of a read.
    pub timeout: Duration,
    /// What stands before dangerous intents.
    pub guard: Guard,
    /// Carried by every task of it.
    pub labels: Labels,
    /// By name, see [`Kind::spec`].
    pub auth: BTreeMap<String, SecretRef>,
    /// TLS.
    pub tls: TlsSpec,
    /// By name, see [`Kind::spec`].
    pub options: BTreeMap<String, OptionValue>,
}

impl EndpointSpec {
    /// An endpoint of `kind` at its kind's defaults.
    #[must_use]
    pub fn new(name: EndpointName, kind: Kind, url: Option<String>) -> Self {
        let spec = kind.spec();
        Self {
            name,
            kind,
            url,
            poll: spec.poll,
            timeout: spec.timeout,
            guard: Guard::Confirm,
            labels: Labels::default(),
            auth: BTreeMap::new(),
            tls: TlsSpec::default(),
            options: BTreeMap::new(),
        }
    }

    /// Whether the option of that name is `true`.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.options.get(name), Some(OptionValue::Flag(true)))
    }

    /// The text of the option of that name.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.options.get(name) {
            Some(OptionValue::Text(text) | OptionValue::Url(text)) => Some(text),
            _ => None,
        }
    }
}
