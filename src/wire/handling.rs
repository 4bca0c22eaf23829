//! What operators say of alerts: who takes one, until when it is put off, what is silenced.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Alert, AlertKind, Clean, TaskId};

/// Takes the open alerts of a task.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Acknowledge {
    /// Why, for those who see it.
    pub note: Option<Clean>,
}

/// Puts the alerts of a task off, or silences them.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PutOff {
    /// Until when. If absent: a snooze until the next good run, for a week at most; a silence for an hour.
    pub until: Option<DateTime<Utc>>,
    /// Why, for those who see it.
    pub note: Option<Clean>,
}

/// Which alerts are silenced: those for which all holds that is said here, and something has to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Matcher {
    /// Of this task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// Of the tasks and the queue of this team; `default`: of those without a team.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<Clean>,
    /// Of the tasks that run on this machine; `local`: of those that run on the coordinator's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<Clean>,
    /// Of this kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<AlertKind>,
}

/// `task nightly-dump, kind late`
impl std::fmt::Display for Matcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let task = self.task.as_ref().map(|task| format!("task {task}"));
        let team = self.team.as_ref().map(|team| format!("team {team}"));
        let machine = self.machine.as_ref().map(|machine| format!("machine {machine}"));
        let kind = self.kind.map(|kind| format!("kind {kind}"));
        let parts: Vec<String> = [task, team, machine, kind].into_iter().flatten().collect();
        f.write_str(&parts.join(", "))
    }
}

/// Alerts that are silenced for a while, also those that are still to come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Silence {
    /// Its id.
    pub id: String,
    /// Which alerts.
    pub matcher: Matcher,
    /// Who made it.
    pub by: Clean,
    /// When.
    pub at: DateTime<Utc>,
    /// When it ends by itself.
    pub until: DateTime<Utc>,
    /// Why.
    #[serde(default)]
    pub comment: Option<Clean>,
}

/// Makes a silence. One with the same matcher goes for it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSilence {
    /// Which alerts.
    pub matcher: Matcher,
    /// When it ends by itself.
    pub until: DateTime<Utc>,
    /// Why, for those who see it.
    #[serde(default)]
    pub comment: Option<Clean>,
}

/// The silences that hold now.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Silences {
    /// Silences, oldest first.
    pub silences: Vec<Silence>,
}

/// What a silence would do.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SilencePreview {
    /// The tasks that its matcher holds for.
    pub tasks: Vec<TaskId>,
    /// The open alerts that it would silence.
    pub alerts: Vec<Alert>,
}
