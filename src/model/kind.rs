//! The systems that vigie speaks to, and what each needs to be configured.
//! How they are spoken to is in [`crate::backend`].

use std::time::Duration;

use super::words::words;

words! {
    /// The system that an endpoint speaks.
    Kind {
        /// vigie's own coordinator.
        Vigie = "vigie",
        /// The cron service of duplistatus.
        Duplistatus = "duplistatus",
    }
}

/// A name under `[endpoint.auth]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthName {
    /// The key.
    pub name: &'static str,
    /// Whether plain text is refused for it.
    pub secret: bool,
}

/// The shape of a value under `[endpoint.options]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionShape {
    /// An absolute http or https URL.
    Url,
    /// A table of cron texts (or `"off"`) by task name.
    Schedules,
}

/// A name under `[endpoint.options]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionName {
    /// The key.
    pub name: &'static str,
    /// What it takes.
    pub shape: OptionShape,
    /// One line for the reference.
    pub about: &'static str,
}

/// What a kind needs in a configuration.
#[derive(Debug, Clone, Copy)]
pub struct KindSpec {
    /// Whether `url` may be left out.
    pub url_optional: bool,
    /// Names under `auth`.
    pub auth: &'static [AuthName],
    /// Names under `options`.
    pub options: &'static [OptionName],
    /// The default pause between polls.
    pub poll: Duration,
    /// The default limit of a read.
    pub timeout: Duration,
}

impl Kind {
    /// What it needs in a configuration.
    #[must_use]
    pub const fn spec(self) -> KindSpec {
        match self {
            Self::Vigie => KindSpec {
                url_optional: true,
                auth: &[AuthName { name: "token", secret: true }],
                options: &[],
                poll: Duration::from_secs(5),
                timeout: Duration::from_secs(10),
            },
            Self::Duplistatus => KindSpec {
                url_optional: false,
                auth: &[
                    AuthName { name: "username", secret: false },
                    AuthName { name: "password", secret: true },
                ],
                options: &[
                    OptionName {
                        name: "web_url",
                        shape: OptionShape::Url,
                        about: "its web app, which username and password are for",
                    },
                    OptionName {
                        name: "schedules",
                        shape: OptionShape::Schedules,
                        about: "cron texts by task, where they differ from its defaults",
                    },
                ],
                poll: Duration::from_secs(5),
                timeout: Duration::from_secs(10),
            },
        }
    }
}
