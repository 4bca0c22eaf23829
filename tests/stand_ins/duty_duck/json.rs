//! Its JSON, as it writes it: duplicate keys and nine-digit fractions included.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::{Cause, Incident, Monitor, Run, Task, USER};

const ORGANISATION: &str = "11111111-1111-4111-8111-111111111111";

fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// Some of its dates come from the clock, not from the database.
fn long(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Nanos, true)
}

pub fn task(task: &Task) -> Value {
    let records: serde_json::Map<String, Value> =
        task.labels.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    json!({
        "id": task.id, "userId": task.user_id, "organizationId": ORGANISATION, "name": task.name,
        "description": task.description, "status": task.status, "previousStatus": task.previous,
        "lastStatusChangeAt": stamp(task.changed), "cronSchedule": task.cron, "scheduleTimezone": task.zone,
        "nextDueAt": task.next_due.map(stamp), "startWindowSeconds": task.windows.0,
        "latenessWindowSeconds": task.windows.1, "heartbeatTimeoutSeconds": task.heartbeat,
        "emailNotificationEnabled": true, "pushNotificationEnabled": true, "smsNotificationEnabled": false,
        "createdAt": stamp(task.created), "metadata": {"records": records},
    })
}

pub fn run(run: &Run) -> Value {
    json!({
        "organizationId": ORGANISATION, "id": run.id, "taskId": run.task, "status": run.status,
        "startedAt": stamp(run.started), "updatedAt": stamp(run.started),
        "completedAt": run.completed.map(stamp), "exitCode": run.exit_code, "errorMessage": run.error,
        "lastHeartbeatAt": run.beat.map(stamp), "heartbeatTimeoutSeconds": 0, "metadata": {"records": {}},
    })
}

fn cause(incident: &Incident) -> Value {
    match &incident.cause {
        Cause::Scheduled { due, late, absent } => json!({
            "causeType": "ScheduledTaskIncidentCause", "taskId": incident.source,
            "taskUserId": incident.user_id, "taskWasDueAt": stamp(*due), "taskRanLateAt": long(*late),
            "taskSwitchedToAbsentAt": absent.map(long),
        }),
        // The user's id, where the other cause has the UUID.
        Cause::Run { run, started, finished, status } => json!({
            "causeType": "TaskRunIncidentCause", "taskId": incident.user_id, "taskRunId": run,
            "taskRunStartedAt": stamp(*started), "taskRunFinishedAt": long(*finished),
            "taskRunStatus": status,
        }),
        Cause::Monitor { kind, code } => json!({
            "causeType": "HttpMonitorIncidentCause",
            "lastPing": {"errorKind": kind, "httpCode": code}, "previousPings": [],
        }),
    }
}

/// With `createdBy` and `acknowledgedBy` twice: ids first, then people.
pub fn incident(incident: &Incident) -> String {
    let of_monitor = matches!(incident.cause, Cause::Monitor { .. });
    let ids = if incident.acknowledged { json!([USER]) } else { json!([]) };
    let body = json!({
        "organizationId": ORGANISATION, "id": incident.id, "createdAt": stamp(incident.created),
        "createdBy": null, "resolvedAt": incident.resolved.map(stamp), "cause": cause(incident),
        "status": if incident.resolved.is_some() { "resolved" } else { "ongoing" },
        "priority": incident.priority, "incidentSourceType": if of_monitor { "httpmonitor" } else { "task" },
        "incidentSourceId": incident.source, "acknowledgedBy": ids, "metadata": {"records": {}},
    })
    .to_string();
    let people = if incident.acknowledged { json!([ada()]) } else { json!([]) };
    format!("{},\"createdBy\":null,\"acknowledgedBy\":{people}}}", body.strip_suffix('}').unwrap())
}

pub fn event(
    incident: &Incident,
    (at, kind, payload, by_user): &(DateTime<Utc>, String, Value, bool),
) -> Value {
    json!({
        "event": {
            "organizationId": ORGANISATION, "incidentId": incident.id,
            "userId": if *by_user { json!(USER) } else { Value::Null }, "createdAt": stamp(*at),
            "eventType": kind, "eventPayload": payload,
        },
        "user": if *by_user { ada() } else { Value::Null },
    })
}

fn ada() -> Value {
    json!({"id": USER, "firstName": "Ada", "lastName": "Op"})
}

pub fn monitor(monitor: &Monitor) -> Value {
    json!({
        "organizationId": ORGANISATION, "id": monitor.id, "createdAt": stamp(monitor.changed),
        "url": monitor.url, "firstPingAt": null, "nextPingAt": monitor.next_ping.map(stamp),
        "lastPingAt": monitor.last_ping.map(stamp), "lastStatusChangeAt": stamp(monitor.changed),
        "recoveryConfirmationThreshold": 2, "downtimeConfirmationThreshold": 3, "intervalSeconds": 60,
        "lastHttpCode": monitor.code, "status": monitor.status, "statusCounter": monitor.counter,
        "errorKind": monitor.error_kind, "metadata": {"records": {}}, "emailNotificationEnabled": false,
        "pushNotificationEnabled": false, "smsNotificationEnabled": false, "archivedAt": null,
        "requestHeaders": {"headers": {"Authorization": "Bearer of-the-monitor"}}, "requestTimeoutMs": 10_000,
    })
}
