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
        /// Duty Duck: tasks that report, and HTTP monitors.
        DutyDuck = "duty-duck",
        /// The queue of Rediacc.
        Rediacc = "rediacc",
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
    /// `true` or `false`.
    Flag,
    /// A line of text.
    Text,
    /// `{ count = 3, delay = "30s" }`.
    Retry,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// What using its credentials costs, to be said before they are used.
    pub caution: Option<&'static str>,
}

impl Kind {
    /// What it needs in a configuration.
    #[must_use]
    pub const fn spec(self) -> KindSpec {
        let seconds = Duration::from_secs;
        let (timeout, url_optional, caution) = (seconds(10), false, None);
        match self {
            Self::Vigie => KindSpec {
                url_optional: true,
                auth: VIGIE_AUTH,
                options: &[],
                poll: seconds(5),
                timeout,
                caution,
            },
            Self::Duplistatus => KindSpec {
                url_optional,
                auth: DUPLISTATUS_AUTH,
                options: DUPLISTATUS,
                poll: seconds(5),
                timeout,
                caution,
            },
            Self::DutyDuck => KindSpec {
                url_optional,
                auth: DUTY_DUCK_AUTH,
                options: &[],
                poll: seconds(10),
                timeout,
                caution,
            },
            Self::Rediacc => KindSpec {
                url_optional,
                auth: REDIACC_AUTH,
                options: REDIACC,
                poll: seconds(15),
                timeout: seconds(30),
                caution: Some(
                    "vigie forks a session of its own from the token, which spends it: use a token that was \
                     made for vigie, never the one that a browser or another program goes on with",
                ),
            },
        }
    }
}

const fn secret(name: &'static str) -> AuthName {
    AuthName { name, secret: true }
}

const fn plain(name: &'static str) -> AuthName {
    AuthName { name, secret: false }
}

const fn option(name: &'static str, shape: OptionShape, about: &'static str) -> OptionName {
    OptionName { name, shape, about }
}

const VIGIE_AUTH: &[AuthName] = &[secret("token")];
const DUPLISTATUS_AUTH: &[AuthName] = &[plain("username"), secret("password")];
const DUTY_DUCK_AUTH: &[AuthName] = &[plain("token_id"), secret("secret_key")];
const REDIACC_AUTH: &[AuthName] =
    &[secret("token"), plain("email"), secret("password"), secret("second_factor")];

const DUPLISTATUS: &[OptionName] = &[
    option("web_url", OptionShape::Url, "its web app, which username and password are for"),
    option("schedules", OptionShape::Schedules, "cron texts by task, where they differ from its defaults"),
    option(
        "plain_http_login",
        OptionShape::Flag,
        "log in to the web app over plain HTTP although it is on another machine",
    ),
];

const REDIACC: &[OptionName] = &[
    option("teams", OptionShape::Text, "only these teams, separated by commas"),
    option("policy", OptionShape::Flag, "whether a vigie serve retries what failed, by the two below"),
    option("retry", OptionShape::Retry, "how often, and how long after the failure"),
    option("failure_action", OptionShape::Text, "after the last retry: alert, none, or run:ENDPOINT/TASK"),
];
