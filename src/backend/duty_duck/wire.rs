//! What Duty Duck says, in its own words (its `develop` branch of February
//! 2025; what later and earlier ones leave out is optional). Words of its own
//! are kept as text, so that new ones do no harm.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::model::{Clean, RunId, TaskId};

/// Something that a list holds.
pub trait Listed: DeserializeOwned + Send {
    /// What tells it from the others.
    fn identity(&self) -> &str;
}

/// A page of a list. Totals come from a window function over the page's own
/// rows: an empty page says that nothing matches, though other pages hold rows.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The rows.
    #[serde(alias = "runs")]
    pub items: Vec<T>,
    /// Rows whatever the filter.
    #[serde(default, alias = "totalRuns")]
    pub total_number_of_results: Option<u64>,
    /// Rows that the filter lets through.
    #[serde(default, alias = "totalFilteredRuns")]
    pub total_number_of_filtered_results: Option<u64>,
}

/// Labels of anything.
#[derive(Debug, Default, Deserialize)]
pub struct Metadata {
    /// By name.
    #[serde(default)]
    pub records: Option<BTreeMap<Clean, Value>>,
}

/// A task.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    /// A UUID.
    pub id: TaskId,
    /// What people call it; unique among those that are not archived.
    #[serde(default)]
    pub user_id: Option<Clean>,
    /// Its title.
    #[serde(default)]
    pub name: Option<Clean>,
    /// What it is for.
    #[serde(default)]
    pub description: Option<Clean>,
    /// healthy, failing, running, due, late, absent, archived.
    pub status: Clean,
    /// The status before.
    #[serde(default)]
    pub previous_status: Option<Clean>,
    /// When the status came.
    #[serde(default)]
    pub last_status_change_at: Option<DateTime<Utc>>,
    /// In the dialect of the crate `cron`, stored without the seconds.
    #[serde(default)]
    pub cron_schedule: Option<Clean>,
    /// IANA name; UTC where absent.
    #[serde(default)]
    pub schedule_timezone: Option<Clean>,
    /// Recomputed at each start and end of a run.
    #[serde(default)]
    pub next_due_at: Option<DateTime<Utc>>,
    /// 5 to 3600.
    #[serde(default)]
    pub start_window_seconds: Option<i64>,
    /// 5 to 3600.
    #[serde(default)]
    pub lateness_window_seconds: Option<i64>,
    /// 10 to 3600.
    #[serde(default)]
    pub heartbeat_timeout_seconds: Option<i64>,
    /// Whether it tells by e-mail.
    #[serde(default)]
    pub email_notification_enabled: Option<bool>,
    /// Whether it tells by push notification.
    #[serde(default)]
    pub push_notification_enabled: Option<bool>,
    /// Whether it tells by text message.
    #[serde(default)]
    pub sms_notification_enabled: Option<bool>,
    /// When it came to be.
    #[serde(default)]
    pub created_at: Option<DateTime<Utc>>,
    /// Its labels.
    #[serde(default)]
    pub metadata: Option<Metadata>,
}

impl Listed for Task {
    fn identity(&self) -> &str {
        self.id.as_raw()
    }
}

/// `GET /tasks/:id`.
#[derive(Debug, Deserialize)]
pub struct OneTask {
    /// The task.
    pub task: Task,
}

/// A run of a task.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// A UUID.
    pub id: RunId,
    /// running, finished, failed, aborted, dead.
    pub status: Clean,
    /// When it was recorded as begun.
    #[serde(default)]
    pub started_at: Option<DateTime<Utc>>,
    /// When it was recorded as ended.
    #[serde(default)]
    pub completed_at: Option<DateTime<Utc>>,
    /// Of the wrapped command.
    #[serde(default)]
    pub exit_code: Option<i64>,
    /// What its wrapper said.
    #[serde(default)]
    pub error_message: Option<Clean>,
    /// The newest heartbeat.
    #[serde(default)]
    pub last_heartbeat_at: Option<DateTime<Utc>>,
}

impl Listed for Run {
    fn identity(&self) -> &str {
        self.id.as_raw()
    }
}

/// `GET /tasks/:id/runs/:runId`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OneRun {
    /// The run.
    pub task_run: Run,
}

/// An incident. Its real form names `createdBy` and `acknowledgedBy` twice,
/// the second time with names: see [`LastWins`].
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Incident {
    /// A UUID; raw, for requests only.
    pub id: String,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it ended.
    #[serde(default)]
    pub resolved_at: Option<DateTime<Utc>>,
    /// Why.
    #[serde(default)]
    pub cause: Option<Cause>,
    /// ongoing, resolved, tobeconfirmed.
    pub status: Clean,
    /// emergency, critical, major, minor, warning, notice.
    #[serde(default)]
    pub priority: Option<Clean>,
    /// The UUID of the task or monitor.
    #[serde(default, rename = "incidentSourceId")]
    pub source_id: Option<String>,
    /// Who took it.
    #[serde(default)]
    pub acknowledged_by: Option<Vec<Person>>,
}

impl Listed for LastWins<Incident> {
    fn identity(&self) -> &str {
        &self.0.id
    }
}

/// Why an incident began: three forms, told apart by `causeType`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cause {
    /// `ScheduledTaskIncidentCause`, `TaskRunIncidentCause`, `HttpMonitorIncidentCause`.
    #[serde(default, rename = "causeType")]
    pub kind: Option<Clean>,
    /// A UUID for a schedule's incident; the *user's* id for a run's.
    #[serde(default)]
    pub task_id: Option<String>,
    /// When a schedule wanted it.
    #[serde(default)]
    pub task_was_due_at: Option<DateTime<Utc>>,
    /// When it was found absent.
    #[serde(default)]
    pub task_switched_to_absent_at: Option<DateTime<Utc>>,
    /// The run that it is about.
    #[serde(default)]
    pub task_run_id: Option<String>,
    /// `failed` or `dead`.
    #[serde(default)]
    pub task_run_status: Option<Clean>,
    /// What a monitor met.
    #[serde(default)]
    pub last_ping: Option<Ping>,
}

/// What a monitor met.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ping {
    /// `none`, `httpcode`, `connect`, `timeout`, …
    #[serde(default)]
    pub error_kind: Option<Clean>,
    /// The status.
    #[serde(default)]
    pub http_code: Option<i64>,
}

/// A user: by name, or by bare UUID where names are not told.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Person {
    /// With names.
    #[serde(rename_all = "camelCase")]
    Named {
        /// A UUID.
        #[serde(default)]
        id: Option<Clean>,
        /// Given name.
        #[serde(default)]
        first_name: Option<Clean>,
        /// Family name.
        #[serde(default)]
        last_name: Option<Clean>,
    },
    /// A UUID.
    Id(Clean),
}

impl Person {
    /// What to show: the name, else the id.
    pub fn shown(&self) -> Clean {
        match self {
            Self::Id(id) => id.clone(),
            Self::Named { id, first_name, last_name } => {
                let names: Vec<&str> = [first_name, last_name]
                    .into_iter()
                    .flatten()
                    .map(|name| name.trim())
                    .filter(|name| !name.is_empty())
                    .collect();
                match (names.is_empty(), id) {
                    (false, _) => Clean::from(names.join(" ")),
                    (true, Some(id)) => id.clone(),
                    (true, None) => "somebody".into(),
                }
            }
        }
    }
}

/// An entry of `GET /incidents/:id/events`.
#[derive(Debug, Deserialize)]
pub struct Entry {
    /// What happened.
    pub event: Event,
    /// Who did it.
    #[serde(default)]
    pub user: Option<Person>,
}

/// An event of an incident.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// When.
    pub created_at: DateTime<Utc>,
    /// One of about eighteen words.
    #[serde(rename = "eventType")]
    pub kind: Clean,
    /// `{"Acknowledged": {…}}`: tagged from outside, or absent.
    #[serde(default, rename = "eventPayload")]
    pub payload: Option<Value>,
}

/// A page of events: without any total.
#[derive(Debug, Deserialize)]
pub struct Events {
    /// Oldest first.
    pub items: Vec<Entry>,
}

/// An HTTP monitor. Its request headers may hold credentials, and are left out.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Monitor {
    /// A UUID.
    pub id: TaskId,
    /// What it asks for.
    pub url: String,
    /// unknown, inactive, up, recovering, suspicious, down, archived.
    pub status: Clean,
    /// When the status came.
    #[serde(default)]
    pub last_status_change_at: Option<DateTime<Utc>>,
    /// The pause between two checks.
    #[serde(default)]
    pub interval_seconds: Option<i64>,
    /// When it checks next.
    #[serde(default)]
    pub next_ping_at: Option<DateTime<Utc>>,
    /// When it last checked.
    #[serde(default)]
    pub last_ping_at: Option<DateTime<Utc>>,
    /// What the last check was answered with.
    #[serde(default)]
    pub last_http_code: Option<i64>,
    /// What went wrong with it; `none`.
    #[serde(default)]
    pub error_kind: Option<Clean>,
    /// Checks of this status in a row.
    #[serde(default)]
    pub status_counter: Option<i64>,
    /// So many good checks end an outage.
    #[serde(default)]
    pub recovery_confirmation_threshold: Option<i64>,
    /// So many bad checks make one.
    #[serde(default)]
    pub downtime_confirmation_threshold: Option<i64>,
    /// When it came to be.
    #[serde(default)]
    pub created_at: Option<DateTime<Utc>>,
    /// Its labels.
    #[serde(default)]
    pub metadata: Option<Metadata>,
}

impl Listed for Monitor {
    fn identity(&self) -> &str {
        self.id.as_raw()
    }
}

/// `GET /http-monitors/:id`.
#[derive(Debug, Deserialize)]
pub struct OneMonitor {
    /// The monitor.
    pub monitor: Monitor,
}

/// What a call on a monitor answers.
#[derive(Debug, Deserialize)]
pub enum Done {
    /// The only word.
    Done,
}

/// `GET /api-tokens`: those of the token's user.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tokens {
    /// In no order.
    pub api_tokens: Vec<Token>,
}

/// An API token, without its key.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// A UUID.
    pub id: String,
    /// Its title.
    #[serde(default)]
    pub label: Option<Clean>,
    /// Empty: all rights of its user.
    pub scopes: Vec<Clean>,
    /// When it ends.
    #[serde(default)]
    pub expires_at: Option<DateTime<Utc>>,
}

/// `GET /users/debug-auth-context`.
#[derive(Debug, Deserialize)]
pub struct Context {
    /// `Reporter`, `Editor`, `MemberInviter`, `MemberManager`, `Administrator`, `Owner`.
    #[serde(default)]
    pub active_organization_roles: Option<Vec<Clean>>,
    /// Empty: all rights of the user.
    pub restricted_to_scopes: Vec<Clean>,
}

/// `GET /users/me`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Me {
    /// Given name.
    #[serde(default)]
    pub first_name: Option<Clean>,
    /// Family name.
    #[serde(default)]
    pub last_name: Option<Clean>,
    /// Address.
    #[serde(default)]
    pub email: Option<Clean>,
}

/// `GET /tasks/:id/runs/:runId/logs`, of later versions.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Logs {
    /// All that there are.
    #[serde(default)]
    pub total_number_of_logs: Option<u64>,
    /// From the asked index on.
    pub logs: Vec<LogLine>,
}

/// A line of a run's log.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogLine {
    /// INFO, ERROR, …
    #[serde(default)]
    pub severity_text: Option<Clean>,
    /// The text, or something structured.
    #[serde(default)]
    pub body: Value,
    /// When.
    #[serde(default)]
    pub timestamp: Option<DateTime<Utc>>,
}

/// Decodes an object in which a key may stand twice: the later one counts.
#[derive(Debug)]
pub struct LastWins<T>(pub T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for LastWins<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        serde_path_to_error::deserialize(value)
            .map(Self)
            .map_err(|error| D::Error::custom(format!("{}: {}", error.path(), error.inner())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACKNOWLEDGED: &str = include_str!("../../../tests/fixtures/duty-duck/incident-acknowledged.json");
    const ONGOING: &str = include_str!("../../../tests/fixtures/duty-duck/incidents-ongoing.json");

    #[derive(Deserialize)]
    struct One {
        incident: LastWins<Incident>,
    }

    #[test]
    fn duplicate_keys_are_read_and_the_last_wins() {
        assert_eq!(ACKNOWLEDGED.matches("\"acknowledgedBy\"").count(), 2, "as the server really writes it");
        let bare = ACKNOWLEDGED.trim().strip_prefix("{\"incident\":").unwrap().strip_suffix('}').unwrap();
        let error = serde_json::from_str::<Incident>(bare).unwrap_err().to_string();
        assert!(error.contains("duplicate field `acknowledgedBy`"), "what happens without: {error}");
        let one: One = serde_json::from_str(ACKNOWLEDGED).unwrap();
        let people: Vec<_> =
            one.incident.0.acknowledged_by.unwrap().iter().map(|person| person.shown().to_string()).collect();
        assert_eq!(people, ["Ada Op"], "the names, not the bare ids that stand first");
    }

    #[test]
    fn nine_digit_fractions_are_read() {
        let page: Page<LastWins<Incident>> = serde_json::from_str(&ONGOING.replace(
            "\"taskSwitchedToAbsentAt\":null",
            "\"taskSwitchedToAbsentAt\":\"2026-11-20T07:12:39.610208714Z\"",
        ))
        .unwrap();
        let absent = page.items[1].0.cause.as_ref().unwrap().task_switched_to_absent_at.unwrap();
        assert_eq!(absent.timestamp_subsec_nanos(), 610_208_714);
    }

    #[test]
    fn a_wrong_type_within_an_incident_names_its_place() {
        let text = ONGOING.replace("\"taskId\":\"adhoc\"", "\"taskId\":[1]");
        let mut reader = serde_json::Deserializer::from_str(&text);
        let error = serde_path_to_error::deserialize::<_, Page<LastWins<Incident>>>(&mut reader).unwrap_err();
        assert_eq!(error.path().to_string(), "items[0]");
        assert!(error.inner().to_string().starts_with("cause.taskId: invalid type"), "{error}");
    }

    #[test]
    fn people_without_names_are_their_ids() {
        for (json, shown) in [
            (r#"{"id":"u","firstName":"Ada","lastName":"Op"}"#, "Ada Op"),
            (r#"{"id":"u","firstName":"","lastName":null}"#, "u"),
            (r#""u""#, "u"),
            ("{}", "somebody"),
        ] {
            assert_eq!(serde_json::from_str::<Person>(json).unwrap().shown(), shown, "{json}");
        }
    }
}
