//! Incidents as alerts, and their events as a task's trace. Pure.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::convert::{brief, instant, met};
use super::reasons::Incidents;
use super::wire;
use crate::model::{
    Alert, AlertKey, AlertKind, Clean, Event, Run, RunState, Severity, Task, TaskId, TaskState,
};

/// Which ids are known, so that an incident finds its task.
#[derive(Debug, Default)]
pub struct Directory {
    /// And whether it is archived.
    ids: HashMap<TaskId, bool>,
    /// By the id that people use; of those not archived where two share one.
    aliases: HashMap<Clean, TaskId>,
}

impl Directory {
    /// Adds a task or monitor.
    pub fn add(&mut self, id: &TaskId, alias: Option<&Clean>, archived: bool) {
        self.ids.insert(id.clone(), archived);
        if let Some(alias) = alias
            && (!archived || !self.aliases.contains_key(alias))
        {
            self.aliases.insert(alias.clone(), id.clone());
        }
    }

    /// Whether it has been put away.
    fn is_archived(&self, id: &TaskId) -> bool {
        self.ids.get(id).is_some_and(|archived| *archived)
    }

    /// The task or monitor that an incident is of. Its source says so; its
    /// cause names the task too, in one of the two forms by the *user's* id.
    pub fn of(&self, incident: &wire::Incident) -> Option<TaskId> {
        let source = incident.source_id.as_deref();
        let named = incident.cause.as_ref().and_then(|cause| cause.task_id.as_deref());
        let known = |id: &str| self.ids.contains_key(id).then(|| TaskId::new(id));
        source
            .and_then(known)
            .or_else(|| named.and_then(known))
            .or_else(|| named.and_then(|alias| self.aliases.get(alias).cloned()))
            // Of something that is not listed: still not the endpoint's.
            .or_else(|| source.or(named).filter(|id| !id.is_empty()).map(TaskId::new))
    }
}

/// An open incident, as far as actions need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// For requests.
    pub id: String,
    /// Whose it is.
    pub task: TaskId,
    /// Who took it.
    pub taken_by: Option<Clean>,
}

/// Who took an incident.
pub fn taken_by(incident: &wire::Incident) -> Option<Clean> {
    let people = incident.acknowledged_by.as_deref().unwrap_or_default();
    let names: Vec<Clean> = people.iter().take(3).map(|person| brief(&person.shown())).collect();
    let names: Vec<&str> = names.iter().map(Clean::as_str).collect();
    let more = if people.len() > names.len() { ", …" } else { "" };
    (!names.is_empty()).then(|| Clean::from(format!("{}{more}", names.join(", "))))
}

/// The open incidents of each task, as far as actions care.
pub fn by_task(open: &[Open]) -> HashMap<TaskId, Incidents> {
    let mut all: HashMap<TaskId, Incidents> = HashMap::new();
    for incident in open {
        let entry = all.entry(incident.task.clone()).or_insert(Incidents::None);
        match (&*entry, &incident.taken_by) {
            (Incidents::Open, _) => {}
            (_, Some(by)) => *entry = Incidents::Taken(by.clone()),
            (_, None) => *entry = Incidents::Open,
        }
    }
    all
}

/// Alerts of open incidents: one per task and kind, the oldest of several.
/// `ended` finds a run that is known, of a task, to tell how it ended.
pub fn alerts<'a>(
    incidents: &[wire::Incident],
    directory: &Directory,
    ended: impl Fn(&TaskId, &str) -> Option<&'a Run>,
) -> Vec<Alert> {
    let mut alerts: BTreeMap<AlertKey, (Alert, usize)> = BTreeMap::new();
    for incident in incidents {
        let Some(task) = directory.of(incident) else { continue };
        let run = incident.cause.as_ref().and_then(|cause| ended(&task, cause.task_run_id.as_deref()?));
        let archived = directory.is_archived(&task);
        let mut alert = alert(task, incident, run);
        if archived {
            // Versions before March 2025 leave it open for ever, and nothing closes it.
            alert.severity = Severity::Info;
            alert.summary =
                Clean::from(format!("{}; archived since, which closes no incident", alert.summary));
        }
        match alerts.get_mut(&alert.key()) {
            None => {
                alerts.insert(alert.key(), (alert, 1));
            }
            Some((first, count)) => {
                *count += 1;
                let nobody = first.acknowledged_by.is_none() || alert.acknowledged_by.is_none();
                let by = if nobody { None } else { alert.acknowledged_by.clone() };
                if alert.since < first.since {
                    *first = alert;
                }
                // Taken only if all of them are.
                first.acknowledged_by = by;
            }
        }
    }
    let counted = |(mut alert, count): (Alert, usize)| {
        if count > 1 {
            alert.summary = Clean::from(format!("{} · {count} open incidents", alert.summary));
        }
        alert
    };
    alerts.into_values().map(counted).collect()
}

fn alert(task: TaskId, incident: &wire::Incident, run: Option<&Run>) -> Alert {
    let none = wire::Cause::default();
    let cause = incident.cause.as_ref().unwrap_or(&none);
    let kind_of_cause = cause.kind.as_ref().map(Clean::as_str);
    let (kind, summary) = match kind_of_cause {
        Some("ScheduledTaskIncidentCause") if cause.task_switched_to_absent_at.is_some() => {
            (AlertKind::Absent, missed(AlertKind::Absent, cause.task_was_due_at))
        }
        Some("ScheduledTaskIncidentCause") => {
            (AlertKind::Late, missed(AlertKind::Late, cause.task_was_due_at))
        }
        Some("TaskRunIncidentCause") => match cause.task_run_status.as_ref().map(Clean::as_str) {
            Some("dead") => (AlertKind::Dead, ended_badly(AlertKind::Dead, run)),
            Some("failed") | None => (AlertKind::Failed, ended_badly(AlertKind::Failed, run)),
            Some(other) => (AlertKind::Failed, format!("its run ended: {}", brief(other))),
        },
        Some("HttpMonitorIncidentCause") => {
            let ping = cause.last_ping.as_ref();
            let met = ping.and_then(|ping| met(ping.error_kind.as_ref(), ping.http_code));
            (AlertKind::Failed, down(met.as_ref()))
        }
        Some(other) => (AlertKind::Failed, format!("an incident: {}", brief(other))),
        None => (AlertKind::Failed, "an incident of which no cause is told".to_owned()),
    };
    let scheduled_or_run =
        matches!(kind_of_cause, Some("ScheduledTaskIncidentCause" | "TaskRunIncidentCause"));
    let by_priority = match incident.priority.as_ref().map(Clean::as_str) {
        Some("emergency" | "critical" | "major") => Some(Severity::Critical),
        Some("minor" | "warning") => Some(Severity::Warning),
        Some("notice") => Some(Severity::Info),
        _ => None,
    };
    // Those of tasks are all `major`, whatever they are: their kind tells more.
    let severity = by_priority.filter(|_| !scheduled_or_run).unwrap_or_else(|| kind.severity());
    Alert {
        task: Some(task),
        queue: None,
        kind,
        severity,
        since: incident.created_at,
        summary: Clean::from(summary),
        acknowledged_by: taken_by(incident),
        silenced_until: None,
        handling: None,
    }
}

/// How a task's schedule was missed, whoever tells it.
fn missed(kind: AlertKind, due: Option<DateTime<Utc>>) -> String {
    let what = if kind == AlertKind::Absent { "has not run at all" } else { "did not start in time" };
    due.map_or_else(|| what.to_owned(), |due| format!("{what} (due {})", instant(due)))
}

/// How a task's run ended, whoever tells it; with what is known of the run.
fn ended_badly(kind: AlertKind, run: Option<&Run>) -> String {
    if kind == AlertKind::Dead {
        return "its run sends no heartbeat any more".to_owned();
    }
    let code = run.and_then(|run| run.exit_code).map(|code| format!(" with exit code {code}"));
    let said = run.and_then(|run| run.message.as_ref()).map(|message| format!(": {message}"));
    format!("its run failed{}{}", code.unwrap_or_default(), said.unwrap_or_default())
}

fn down(met: Option<&Clean>) -> String {
    met.map_or_else(|| "it is down".to_owned(), |met| format!("it is down: {met}"))
}

/// The problem that a bad state alone tells, since `since`, unless `told` has
/// one like it. Incidents may be out of the token's reach, and early versions
/// open none for tasks: a task in a bad state has its alert all the same.
/// `why` is why no incident tells it.
pub fn by_state(
    task: &Task,
    since: DateTime<Utc>,
    told: impl Fn(AlertKind) -> bool,
    why: &str,
) -> Option<Alert> {
    // Whether a check that went wrong once means anything is still to be confirmed.
    let suspected = task.class.is_some() && task.remote_state.as_ref().is_some_and(|w| *w == "suspicious");
    let last = task.last_run.as_ref();
    let dead = last.is_some_and(|run| run.state == RunState::Dead);
    let (kind, alike) = match task.state? {
        TaskState::Failing if suspected => return None,
        TaskState::Failing if dead => (AlertKind::Dead, [AlertKind::Dead, AlertKind::Failed]),
        TaskState::Failing => (AlertKind::Failed, [AlertKind::Dead, AlertKind::Failed]),
        TaskState::Late => (AlertKind::Late, [AlertKind::Late, AlertKind::Absent]),
        TaskState::Absent => (AlertKind::Absent, [AlertKind::Absent; 2]),
        _ => return None,
    };
    if alike.into_iter().any(told) {
        return None;
    }
    let what = match kind {
        _ if task.class.is_some() => down(last.and_then(|run| run.message.as_ref())),
        AlertKind::Dead | AlertKind::Failed => ended_badly(kind, last),
        _ => missed(kind, task.next_due),
    };
    Some(Alert {
        task: Some(task.id.clone()),
        queue: None,
        kind,
        severity: kind.severity(),
        since,
        summary: Clean::from(format!("{what}; by its state, since {why}")),
        acknowledged_by: None,
        silenced_until: None,
        handling: None,
    })
}

/// An event of an incident; a type that nobody knows keeps its word.
pub fn event(entry: &wire::Entry) -> Event {
    let what = match entry.event.kind.as_str() {
        "creation" => "incident opened".into(),
        "confirmation" => "incident confirmed".into(),
        "resolution" => "incident resolved".into(),
        "monitorpinged" => "checked".into(),
        "taskrunstarted" => "run started".into(),
        "taskrunfailed" => "run failed".into(),
        "taskrunisdead" => "run is dead".into(),
        "taskrunreceivedlastheartbeat" => "last heartbeat".into(),
        other => switched(other).unwrap_or_else(|| entry.event.kind.clone()),
    };
    Event {
        at: entry.event.created_at,
        what,
        by: entry.user.as_ref().map(wire::Person::shown),
        details: entry.event.payload.as_ref().and_then(details),
    }
}

/// `taskswitchedtolate` → `switched to late`.
fn switched(word: &str) -> Option<Clean> {
    let to = word.strip_prefix("taskswitchedto").or_else(|| word.strip_prefix("monitorswitchedto"))?;
    Some(Clean::from(format!("switched to {to}")))
}

/// What an externally tagged payload says, in a line.
fn details(payload: &Value) -> Option<Clean> {
    let (tag, inner) = payload.as_object()?.iter().next()?;
    let text = match tag.as_str() {
        // Who did it stands beside the event.
        "Acknowledged" => return None,
        "Comment" => comment(inner),
        "MonitorPing" => {
            let kind = inner.get("errorKind").and_then(Value::as_str).map(Clean::line);
            met(kind.as_ref(), inner.get("httpCode").and_then(Value::as_i64))?.to_string()
        }
        "Notification" => {
            let ways =
                [("sentViaEmail", "e-mail"), ("sentViaPushNotification", "push"), ("sentViaSms", "SMS")];
            let ways: Vec<&str> = ways
                .iter()
                .filter(|(name, _)| inner.get(name) == Some(&Value::Bool(true)))
                .map(|(_, way)| *way)
                .collect();
            if ways.is_empty() { "sent to nobody".to_owned() } else { format!("by {}", ways.join(", ")) }
        }
        other => format!("{}: {}", brief(other), brief(&inner.to_string())),
    };
    let text = Clean::from(text);
    (!text.trim().is_empty()).then_some(text)
}

/// The text of an editorjs document, its inline tags left out.
fn comment(inner: &Value) -> String {
    let document = inner.get("editorjsData").unwrap_or(inner);
    let blocks = document.get("blocks").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let texts = blocks.iter().filter_map(|block| block.get("data")?.get("text")?.as_str());
    texts.map(plain).collect::<Vec<_>>().join(" ")
}

fn plain(html: &str) -> String {
    let mut text = String::new();
    let mut in_tag = false;
    for c in html.chars() {
        match c {
            '<' => in_tag = true,
            '>' if in_tag => in_tag = false,
            c if !in_tag => text.push(c),
            _ => {}
        }
    }
    for (entity, c) in [("&nbsp;", " "), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&amp;", "&")] {
        text = text.replace(entity, c);
    }
    text
}

/// A paragraph as editorjs stores it; its text is HTML.
pub fn paragraph(text: &str) -> Value {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            c => html.push(c),
        }
    }
    serde_json::json!({
        "payload": {"editorjsData": {"blocks": [{"type": "paragraph", "data": {"text": html}}]}}
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ongoing() -> Vec<wire::Incident> {
        let text = include_str!("../../../tests/fixtures/duty-duck/incidents-ongoing.json");
        let page: wire::Page<wire::LastWins<wire::Incident>> = serde_json::from_str(text).unwrap();
        page.items.into_iter().map(|incident| incident.0).collect()
    }

    fn directory() -> Directory {
        let mut directory = Directory::default();
        directory.add(&"b7a4458d-79ea-4cf2-ade0-a221b160dff4".into(), Some(&"adhoc".into()), true);
        directory.add(&"430c9e4e-c26a-49bb-a90b-3abd995c52d5".into(), Some(&"adhoc".into()), false);
        directory.add(&"6dbf469d-d65f-4611-8b2f-3b3c440eb1c3".into(), Some(&"minutely".into()), false);
        directory
    }

    /// Without any run that is known.
    fn alerts(incidents: &[wire::Incident], directory: &Directory) -> Vec<Alert> {
        super::alerts(incidents, directory, |_, _| None)
    }

    fn incident(json: &Value) -> wire::Incident {
        serde_json::from_value(json.clone()).unwrap()
    }

    #[test]
    fn incidents_are_alerts_on_the_right_task() {
        let alerts = alerts(&ongoing(), &directory());
        let told: Vec<_> = alerts
            .iter()
            .map(|a| (a.task.as_ref().unwrap().as_raw(), a.kind, a.severity, a.summary.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                (
                    "430c9e4e-c26a-49bb-a90b-3abd995c52d5",
                    AlertKind::Failed,
                    Severity::Critical,
                    "its run failed"
                ),
                (
                    "6dbf469d-d65f-4611-8b2f-3b3c440eb1c3",
                    AlertKind::Late,
                    Severity::Warning,
                    "did not start in time (due 2026-11-20 07:12:00 UTC)"
                ),
            ]
        );
        assert_eq!(alerts[0].since.to_rfc3339(), "2026-11-20T07:12:26.505882+00:00");
    }

    #[test]
    fn the_cause_of_a_run_names_the_users_id() {
        let mut of_run = ongoing().remove(0);
        of_run.source_id = Some("1d9bc208-06b1-4ef9-85c9-242c21b223fe".into());
        let found = directory().of(&of_run).unwrap();
        assert_eq!(
            found.as_raw(),
            "430c9e4e-c26a-49bb-a90b-3abd995c52d5",
            "not the archived one of that name"
        );
    }

    #[test]
    fn every_cause_has_its_kind_and_severity() {
        for (cause, priority, kind, severity, said) in [
            (
                r#"{"causeType":"ScheduledTaskIncidentCause","taskSwitchedToAbsentAt":"2026-11-20T07:12:39Z"}"#,
                "major",
                AlertKind::Absent,
                Severity::Critical,
                "not run at all",
            ),
            (
                r#"{"causeType":"TaskRunIncidentCause","taskRunStatus":"dead"}"#,
                "major",
                AlertKind::Dead,
                Severity::Critical,
                "no heartbeat",
            ),
            (
                r#"{"causeType":"TaskRunIncidentCause","taskRunStatus":"vanished"}"#,
                "major",
                AlertKind::Failed,
                Severity::Critical,
                "vanished",
            ),
            (
                r#"{"causeType":"HttpMonitorIncidentCause","lastPing":{"errorKind":"httpcode","httpCode":503}}"#,
                "minor",
                AlertKind::Failed,
                Severity::Warning,
                "it is down: HTTP 503",
            ),
            (
                r#"{"causeType":"HttpMonitorIncidentCause","lastPing":{"errorKind":"timeout","httpCode":null}}"#,
                "notice",
                AlertKind::Failed,
                Severity::Info,
                "no answer in time",
            ),
            (
                r#"{"causeType":"MoonIncidentCause"}"#,
                "vast",
                AlertKind::Failed,
                Severity::Critical,
                "MoonIncident",
            ),
            ("null", "critical", AlertKind::Failed, Severity::Critical, "no cause"),
        ] {
            let cause: Value = serde_json::from_str(cause).unwrap();
            let told = incident(&serde_json::json!({
                "id": "i", "createdAt": "2026-11-20T07:00:00Z", "status": "ongoing", "priority": priority,
                "incidentSourceId": "m", "cause": cause,
            }));
            let told = alerts(&[told], &Directory::default()).remove(0);
            assert_eq!((told.kind, told.severity), (kind, severity), "{cause}");
            assert!(told.summary.contains(said), "{}", told.summary);
        }
    }

    #[test]
    fn several_open_incidents_of_a_kind_are_one_alert_that_is_taken_when_all_are() {
        let one = |id: &str, at: &str, by: &[&str]| {
            incident(&serde_json::json!({
                "id": id, "createdAt": at, "status": "ongoing", "incidentSourceId": "m",
                "cause": {"causeType": "TaskRunIncidentCause", "taskRunStatus": "failed"}, "acknowledgedBy": by,
            }))
        };
        let (new, old) = (one("b", "2026-11-20T08:00:00Z", &["Bo"]), one("a", "2026-11-20T07:00:00Z", &[]));
        let told = alerts(&[new, old], &Directory::default());
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].since.to_rfc3339(), "2026-11-20T07:00:00+00:00");
        assert_eq!(
            (told[0].summary.as_str(), &told[0].acknowledged_by),
            ("its run failed · 2 open incidents", &None)
        );
        let both = [one("b", "2026-11-20T08:00:00Z", &["Bo"]), one("a", "2026-11-20T07:00:00Z", &["Al"])];
        assert!(alerts(&both, &Directory::default())[0].acknowledged_by.is_some());
        let open =
            |taken: Option<&str>| Open { id: "i".into(), task: "m".into(), taken_by: taken.map(Clean::line) };
        assert_eq!(by_task(&[open(Some("Bo")), open(None), open(Some("Al"))])["m"], Incidents::Open);
        assert_eq!(by_task(&[open(Some("Bo"))])["m"], Incidents::Taken("Bo".into()));
    }

    #[test]
    fn events_are_told_in_words_and_unknown_ones_keep_theirs() {
        let text = include_str!("../../../tests/fixtures/duty-duck/incident-events.json");
        let events: wire::Events = serde_json::from_str(text).unwrap();
        let told: Vec<_> = events.items.iter().map(event).collect();
        let words: Vec<_> = told.iter().map(|e| (e.what.as_str(), e.by.as_deref())).collect();
        assert_eq!(
            words,
            [("incident opened", None), ("run failed", None), ("acknowledged", Some("Ada Op"))]
        );
        for (kind, payload, what, said) in [
            ("taskswitchedtolate", "null", "switched to late", None),
            ("moonrise", r#"{"Moon":{"phase":1}}"#, "moonrise", Some("Moon: {\"phase\":1}")),
            (
                "monitorpinged",
                r#"{"MonitorPing":{"httpCode":500,"errorKind":"httpcode"}}"#,
                "checked",
                Some("HTTP 500"),
            ),
            (
                "notification",
                r#"{"Notification":{"escalationLevel":0,"sentViaEmail":true,"sentViaSms":true}}"#,
                "notification",
                Some("by e-mail, SMS"),
            ),
            (
                "comment",
                r#"{"Comment":{"editorjsData":{"blocks":[{"data":{"text":"<b>a</b> &lt;b"}}]}}}"#,
                "comment",
                Some("a <b"),
            ),
            ("comment", r#"{"Comment":{"editorjsData":7}}"#, "comment", None),
        ] {
            let entry = format!(
                r#"{{"event":{{"createdAt":"2026-11-20T07:00:00.123456789Z","eventType":"{kind}","eventPayload":{payload}}}}}"#
            );
            let told = event(&serde_json::from_str(&entry).unwrap());
            assert_eq!((told.what.as_str(), told.details.as_deref()), (what, said), "{kind}");
        }
    }

    #[test]
    fn a_comment_can_not_smuggle_markup() {
        let sent = paragraph("<img src=x> & more");
        let text = &sent["payload"]["editorjsData"]["blocks"][0]["data"]["text"];
        assert_eq!(text, "&lt;img src=x&gt; &amp; more");
        assert_eq!(comment(&sent["payload"]), "<img src=x> & more");
    }
}
