//! What the queue of the stand-in does: one function per procedure.

use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::books::{Item, VAULT};
use super::{EMAIL, Failure, Procedure, Set, World};

/// Every procedure beside those of the sessions.
pub const TABLE: &[(&str, Procedure)] = &[
    ("GetTeamQueueItems", items),
    ("GetQueueItemTrace", trace),
    ("CreateQueueItem", create),
    ("CancelQueueItem", cancel),
    ("RetryFailedQueueItem", retry),
    ("DeleteQueueItem", delete),
    ("UpdateQueueItemPriority", reprioritise),
    ("GetOrganizationDashboard", dashboard),
    ("GetCompanyDashboardJson", dashboard_json),
    ("GetOrganizationTeams", teams),
    ("GetCompanyTeams", teams),
    ("GetTeamMachines", machines),
    ("GetOrganizationRegions", regions),
    ("GetAuditLogs", audit),
    ("GetRequestAuthenticationStatus", status),
    ("GetQueueItemsNext", bridges_only),
];

/// Procedures of one generation only.
const OF_COMPANIES: &[&str] = &["UpdateQueueItemPriority", "GetCompanyDashboardJson", "GetCompanyTeams"];
const OF_ORGANISATIONS: &[&str] =
    &["GetOrganizationDashboard", "GetOrganizationTeams", "GetOrganizationRegions"];

type Sets = Result<Vec<Set>, Failure>;

/// What stands before every procedure: its generation, and what a test refuses.
fn admit(world: &World, name: &'static str) -> Result<(), Failure> {
    let other = if world.data.company { OF_ORGANISATIONS } else { OF_COMPANIES };
    if other.contains(&name) {
        return Err(Failure::new(404, format!("Could not find stored procedure '{name}'.")));
    }
    match world.data.refused.iter().find(|(refused, ..)| *refused == name) {
        Some((_, code, words)) => Err(Failure::new(*code, *words)),
        None => Ok(()),
    }
}

/// A `datetime2`: no zone is kept.
fn naive(at: Option<DateTime<Utc>>) -> Value {
    at.map_or(Value::Null, |at| json!(at.format("%Y-%m-%dT%H:%M:%S").to_string()))
}

/// A `datetimeoffset`.
fn zoned(at: Option<DateTime<Utc>>) -> Value {
    at.map_or(Value::Null, |at| json!(at.to_rfc3339_opts(SecondsFormat::Secs, false)))
}

fn entity(world: &World) -> &'static str {
    if world.data.company { "company" } else { "organization" }
}

fn label(priority: Option<u8>) -> Value {
    let labels = ["Highest", "High", "Normal", "Low", "Lowest"];
    priority.map_or(Value::Null, |priority| json!(labels[usize::from(priority - 1)]))
}

fn row(item: &Item, now: DateTime<Utc>, company: bool) -> Value {
    let until = item.ended.unwrap_or(now);
    let (vault, response) =
        if company { ("queueVault", "responseVault") } else { ("vaultContent", "vaultContentResponse") };
    let mut row = json!({
        "taskId": item.id, "createdTime": naive(Some(item.created)),
        "ageInMinutes": (now - item.created).num_minutes(), "vaultVersion": 1,
        "machineName": item.machine, "bridgeName": item.bridge, "teamName": item.team,
        "regionName": "Default Region", "status": item.status, "assignedTime": naive(item.assigned),
        "lastAssigned": naive(item.assigned),
        "minutesSinceAssigned": item.assigned.map(|at| (now - at).num_minutes()),
        "priority": item.priority, "priorityLabel": label(item.priority), "healthStatus": item.health(now),
        "canBeCancelled": item.can_be_cancelled.unwrap_or_else(|| !item.has_ended() && item.status != "CANCELLING"),
        "hasResponse": item.answered.is_some(), "createdBy": item.by, "retryCount": item.retries,
        "lastRetryAt": zoned(item.retried), "lastFailureReason": item.reason,
        "permanentlyFailed": item.permanent,
        "totalDurationSeconds": (until - item.created).num_seconds(),
        "processingDurationSeconds": item.assigned.map(|at| (until - at).num_seconds()),
        "lastResponseAt": naive(item.answered),
    });
    row[vault] = json!(format!("{{\"command\":\"{VAULT}\"}}"));
    row[response] = json!(VAULT);
    row
}

/// A list of words, or all.
fn among(body: &Value, parameter: &str, value: &str) -> bool {
    body[parameter]
        .as_str()
        .is_none_or(|words| words.split(',').any(|word| word.trim().eq_ignore_ascii_case(value)))
}

fn date(body: &Value, parameter: &str) -> Result<Option<DateTime<Utc>>, Failure> {
    let Some(text) = body[parameter].as_str() else { return Ok(None) };
    let read = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S");
    read.map(|at| Some(at.and_utc())).map_err(|_| Failure::new(400, format!("{parameter} is no datetime2")))
}

fn items(world: &mut World, body: &Value) -> Sets {
    admit(world, "GetTeamQueueItems")?;
    let now = world.clock;
    let (from, to) = (date(body, "dateFrom")?, date(body, "dateTo")?);
    let yes = |parameter: &str, default: bool| body[parameter].as_bool().unwrap_or(default);
    let minutes = body["staleThresholdMinutes"].as_i64().unwrap_or(10);
    let level = |item: &Item| item.priority.map(u64::from);
    let fits = |item: &&Item| {
        among(body, "teamName", &item.team)
            && item.machine.as_deref().is_none_or(|machine| among(body, "machineName", machine))
            && among(body, "bridgeName", &item.bridge)
            && among(body, "status", &item.status)
            && among(body, "taskId", &item.id)
            && among(body, "createdByUserEmail", &item.by)
            && body["priority"].as_u64().is_none_or(|wanted| level(item) == Some(wanted))
            && body["minPriority"].as_u64().is_none_or(|least| level(item) >= Some(least))
            && body["maxPriority"].as_u64().is_none_or(|most| level(item) <= Some(most))
            && from.is_none_or(|from| item.created >= from)
            && to.is_none_or(|to| item.created <= to)
            && (yes("includeCompleted", true) || item.status != "COMPLETED")
            && (yes("includeCancelled", true) || item.status != "CANCELLED")
            && (!yes("onlyStale", false) || item.is_stale(now, minutes))
    };
    let mut found: Vec<&Item> = world.data.items.iter().filter(fits).collect();
    found.sort_by_key(|item| (item.priority.unwrap_or(3), std::cmp::Reverse(item.created)));
    let most = usize::try_from(body["maxRecords"].as_u64().unwrap_or(1_000).min(10_000)).unwrap();
    let statistics = counts(&found, now);
    let rows: Set = found.iter().take(most).map(|item| row(item, now, world.data.company)).collect();
    Ok(vec![rows, vec![statistics]])
}

fn with(items: &[&Item], status: &str) -> usize {
    items.iter().filter(|item| item.status == status).count()
}

fn counts(items: &[&Item], now: DateTime<Utc>) -> Value {
    json!({
        "totalCount": items.len(), "pendingCount": with(items, "PENDING"),
        "assignedCount": with(items, "ASSIGNED"), "processingCount": with(items, "PROCESSING"),
        "cancellingCount": with(items, "CANCELLING"), "completedCount": with(items, "COMPLETED"),
        "cancelledCount": with(items, "CANCELLED"), "failedCount": with(items, "FAILED"),
        "staleCount": items.iter().filter(|item| item.is_stale(now, 10)).count(),
    })
}

/// The item that a call is about.
fn named<'a>(world: &'a World, body: &Value) -> Result<&'a Item, Failure> {
    let id = body["taskId"].as_str().ok_or_else(|| Failure::new(400, "taskId is required"))?;
    let found = world.data.items.iter().find(|item| item.id == id);
    found.ok_or_else(|| Failure::new(404, "Queue item not found"))
}

fn trace(world: &mut World, body: &Value) -> Sets {
    admit(world, "GetQueueItemTrace")?;
    let now = world.clock;
    let item = named(world, body)?;
    let until = item.ended.unwrap_or(now);
    let mut about = json!({
        "taskId": item.id, "status": item.status, "createdTime": zoned(Some(item.created)),
        "assignedTime": zoned(item.assigned), "lastAssigned": zoned(item.assigned), "retryCount": item.retries,
        "lastRetryAt": zoned(item.retried), "lastFailureReason": item.reason,
        "lastResponseAt": zoned(item.answered), "priority": item.priority, "priorityLabel": label(item.priority),
        "secondsToAssignment": item.assigned.map(|at| (at - item.created).num_seconds()),
        "processingDurationSeconds": item.assigned.map(|at| (until - at).num_seconds()),
        "totalDurationSeconds": (until - item.created).num_seconds(), "machineName": item.machine,
        "machineId": 7, "bridgeName": item.bridge, "bridgeId": 1, "regionName": "Default Region", "regionId": 1,
        "teamName": item.team, "teamId": 3, "createdBy": item.by, "createdByUserId": 4,
        "healthStatus": item.health(now), "isStale": item.is_stale(now, 10),
        "isStalePending": item.waits_too_long(now), "canBeCancelled": !item.has_ended(),
    });
    about[format!("{}Name", entity(world))] = json!("Example");
    about[format!("{}Id", entity(world))] = json!(1);
    let vault = |kind: &str| {
        vec![json!({"vaultType": kind, "vaultVersion": 1, "vaultContent": VAULT, "hasContent": true})]
    };
    let mut before = item.created;
    let timeline = item
        .timeline
        .iter()
        .map(|(action, details, at)| {
            let since = (*at - before).num_seconds();
            before = *at;
            let details = match action.as_str() {
                "Processing" => json!({"output": details, "vaultContent": VAULT}).to_string(),
                _ => details.clone(),
            };
            json!({
                "action": action, "details": details, "timestamp": zoned(Some(*at)), "actionByUser": item.by,
                "secondsSincePrevious": since,
            })
        })
        .collect();
    let beside = |other: &&Item| other.machine == item.machine && other.id != item.id;
    let neighbours = world.data.items.iter().filter(beside).take(4).map(|other| {
        let apart = (other.created - item.created).num_seconds();
        json!({
            "taskId": other.id, "status": other.status, "createdTime": zoned(Some(other.created)),
            "priority": other.priority, "secondsDifference": apart,
            "relativePosition": if apart < 0 { "Before" } else { "After" }, "createdBy": other.by,
        })
    });
    let usual = json!({
        "avgProcessingTimeSeconds": 420, "machineSuccessRate": 93.3, "currentQueueDepth": 4,
        "activeProcessingCount": 2, "maxConcurrentTasks": 5,
    });
    let neighbours = neighbours.collect();
    Ok(vec![vec![about], vault("Request"), vault("Response"), timeline, neighbours, vec![usual]])
}

fn create(world: &mut World, body: &Value) -> Sets {
    admit(world, "CreateQueueItem")?;
    let now = world.clock;
    let parameter = |name: &str| {
        body[name].as_str().map(str::to_owned).ok_or_else(|| Failure::new(400, format!("{name} is required")))
    };
    let (team, bridge) = (parameter("teamName")?, parameter("bridgeName")?);
    let vault = parameter(if world.data.company { "queueVault" } else { "vaultContent" })?;
    if serde_json::from_str::<Value>(&vault).is_err() {
        return Err(Failure::new(400, "vaultContent is not valid JSON"));
    }
    if !world.data.teams.contains(&team) {
        return Err(Failure::new(404, "Team not found"));
    }
    let machine = body["machineName"].as_str().map(str::to_owned);
    let wanted = body["priority"].as_u64().unwrap_or(3);
    let priority = world.data.has_priorities.then(|| u8::try_from(wanted).unwrap());
    let id = world.data.add(&team, machine.clone(), &bridge, priority, now);
    Ok(vec![vec![json!({
        "taskId": id, "time": zoned(Some(now)), "machineName": machine, "bridgeName": bridge,
        "bridgeCredential": VAULT, "status": "PENDING", "priority": priority, "createdBy": EMAIL,
        "highPriorityInfo": (wanted == 1).then_some("Highest priority items end after 33 seconds"),
    })]])
}

fn cancel(world: &mut World, body: &Value) -> Sets {
    admit(world, "CancelQueueItem")?;
    let (id, now) = (named(world, body)?.id.clone(), world.clock);
    let (before, after) = world.data.cancel(&id, now).map_err(|why| Failure::new(409, why))?;
    Ok(vec![vec![json!({"taskId": id, "result": "OK", "previousStatus": before, "newStatus": after})]])
}

fn retry(world: &mut World, body: &Value) -> Sets {
    admit(world, "RetryFailedQueueItem")?;
    let (id, now) = (named(world, body)?.id.clone(), world.clock);
    let retries = world.data.retry(&id, now).map_err(|why| Failure::new(400, why))?;
    Ok(vec![vec![json!({"taskId": id, "result": "OK", "newRetryCount": retries})]])
}

fn delete(world: &mut World, body: &Value) -> Sets {
    admit(world, "DeleteQueueItem")?;
    let id = named(world, body)?.id.clone();
    world.data.items.retain(|item| item.id != id);
    Ok(vec![vec![json!({"result": "Queue item deleted"})]])
}

fn reprioritise(world: &mut World, body: &Value) -> Sets {
    admit(world, "UpdateQueueItemPriority")?;
    let id = named(world, body)?.id.clone();
    let priority = body["priority"].as_u64().and_then(|level| u8::try_from(level).ok());
    let priority = priority.filter(|level| (1..=5).contains(level));
    world.data.item(&id).priority =
        Some(priority.ok_or_else(|| Failure::new(400, "priority must be between 1 and 5"))?);
    Ok(vec![vec![json!({"result": "OK"})]])
}

/// Items of one place: total, pending, active and stale.
fn place(items: &[&Item], now: DateTime<Utc>) -> Map<String, Value> {
    let pending = with(items, "PENDING");
    let active = items.iter().filter(|item| item.is_at_work()).count();
    let stale = items.iter().filter(|item| item.is_stale(now, 10)).count();
    let row = json!({
        "totalItems": items.len(), "pendingItems": pending, "activeItems": active, "staleItems": stale,
    });
    row.as_object().unwrap().clone()
}

/// Counts of the queue, of teams and of machines.
fn overview(world: &World) -> (Value, Set, Set) {
    let (now, data) = (world.clock, &world.data);
    let all: Vec<&Item> = data.items.iter().collect();
    let today = |at: Option<DateTime<Utc>>| at.is_some_and(|at| at.date_naive() == now.date_naive());
    let ended_today =
        |status: &str| all.iter().filter(|item| item.status == status && today(item.ended)).count();
    let pending: Vec<&&Item> = all.iter().filter(|item| item.status == "PENDING").collect();
    let age = |item: &&&Item| (now - item.created).num_minutes();
    let at = |levels: &[u8]| {
        pending.iter().filter(|item| item.priority.is_some_and(|p| levels.contains(&p))).count()
    };
    let mut queue = counts(&all, now);
    let more = json!({
        "activeCount": all.iter().filter(|item| item.is_at_work()).count(),
        "stalePendingCount": all.iter().filter(|item| item.waits_too_long(now)).count(),
        "completedToday": ended_today("COMPLETED"), "cancelledToday": ended_today("CANCELLED"),
        "createdToday": all.iter().filter(|item| today(Some(item.created))).count(),
        "itemsWithRetries": all.iter().filter(|item| item.retries > 0).count(),
        "maxRetryCount": all.iter().map(|item| item.retries).max(),
        "avgRetryCount": f64::from(all.iter().map(|item| item.retries).sum::<u32>()) / f64::from(u32::try_from(all.len().max(1)).unwrap()),
        "oldestPendingAgeMinutes": pending.iter().map(age).max(),
        "avgPendingAgeMinutes": pending.iter().map(age).sum::<i64>() / i64::try_from(pending.len().max(1)).unwrap(),
        "highestPriorityPending": at(&[1]), "highPriorityPending": at(&[2]), "normalPriorityPending": at(&[3]),
        "lowPriorityPending": at(&[4, 5]), "hasStaleItems": all.iter().any(|item| item.is_stale(now, 10)),
        "hasOldPendingItems": all.iter().any(|item| item.waits_too_long(now)),
    });
    queue.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let teams = data.teams.iter().map(|team| {
        let items: Vec<&Item> = all.iter().copied().filter(|item| item.team == *team).collect();
        let mut row = place(&items, now);
        row.insert("teamName".to_owned(), json!(team));
        Value::Object(row)
    });
    let machines = data.machines.iter().map(|(machine, team)| {
        let items: Vec<&Item> =
            all.iter().copied().filter(|item| item.machine.as_ref() == Some(machine)).collect();
        let mut row = place(&items, now);
        row.extend([
            ("machineName".to_owned(), json!(machine)),
            ("teamName".to_owned(), json!(team)),
            ("bridgeName".to_owned(), json!("Global Bridges")),
        ]);
        Value::Object(row)
    });
    (queue, teams.collect(), machines.collect())
}

fn dashboard(world: &mut World, _: &Value) -> Sets {
    admit(world, "GetOrganizationDashboard")?;
    let (queue, teams, machines) = overview(world);
    let plan = "BUSINESS";
    Ok(vec![
        vec![json!({
            "organizationName": "Example", "organizationGuid": "0f3c", "planCode": plan,
            "vaultContent": VAULT,
        })],
        vec![json!({"planCode": plan, "status": "ACTIVE", "daysRemaining": 12})],
        vec![json!({"planCode": plan, "maxUsers": 20}), json!({"planCode": "ENTERPRISE", "maxUsers": 500})],
        vec![
            json!({"resourceType": "Machine", "resourceLimit": 7, "currentUsage": 7, "isLimitReached": true,
                "usagePercentage": 100.0, "planCode": plan}),
            json!({"resourceType": "Bridge", "resourceLimit": 5, "currentUsage": 1, "isLimitReached": false,
                "usagePercentage": 20.0, "planCode": plan}),
        ],
        vec![json!({"resourcesAtLimit": 1, "resourcesNearLimit": 0})],
        vec![json!({"auditLog": world.data.has_audit_log, "advancedQueue": true})],
        vec![json!({"maxActiveJobs": 5, "maxReservedJobs": 2, "jobTimeoutHours": 24, "machineLimit": 7})],
        vec![queue],
        vec![json!({
            "totalUserItems": 1, "userPendingItems": 1, "userActiveItems": 0, "userCompletedToday": 0,
            "userHighPriorityActive": 0, "pendingCount": 1,
        })],
        teams.clone(),
        machines.clone(),
        vec![json!({"userEmail": EMAIL, "totalItems": 31, "pendingItems": 9, "activeItems": 5})],
        // The alternatives of the last two.
        teams,
        machines,
    ])
}

/// Upper-case first letters, as JSON made by the database has them.
fn pascal(row: &Value) -> Value {
    let named = row.as_object().unwrap().iter().map(|(name, value)| {
        let (first, rest) = name.split_at(1);
        (first.to_ascii_uppercase() + rest, value.clone())
    });
    Value::Object(named.collect())
}

/// One cell with a text that holds texts.
fn dashboard_json(world: &mut World, _: &Value) -> Sets {
    admit(world, "GetCompanyDashboardJson")?;
    let (queue, teams, machines) = overview(world);
    let mut queue = pascal(&queue);
    // Retries are not counted in this generation.
    for name in ["ItemsWithRetries", "MaxRetryCount", "AvgRetryCount", "StalePendingCount"] {
        queue.as_object_mut().unwrap().remove(name);
    }
    let texts = |rows: &Set| json!(json!(rows.iter().map(pascal).collect::<Vec<_>>()).to_string());
    queue["TeamIssues"] = texts(&teams);
    queue["MachineIssues"] = texts(&machines);
    let text = json!({
        "companyInfo": json!({"CompanyName": "Example", "CompanyVault": VAULT}).to_string(),
        "activeSubscription": json!({"Edition": "BUSINESS", "PlanName": "Business", "IsActive": 1}).to_string(),
        "featureAccess": json!({"HasAdvancedAnalytics": 1}).to_string(),
        "queueStats": queue.to_string(),
    });
    Ok(vec![vec![json!({"subscriptionAndResourcesJson": text.to_string()})]])
}

fn teams(world: &mut World, _: &Value) -> Sets {
    admit(world, if world.data.company { "GetCompanyTeams" } else { "GetOrganizationTeams" })?;
    let machines = |team: &str| world.data.machines.iter().filter(|(_, of)| of == team).count();
    let row = |team: &String| {
        let mut row = json!({
            "teamName": team, "isMember": true, "memberCount": 2, "machineCount": machines(team),
            "repositoryCount": 0, "storageCount": 0, "vaultContent": format!("{{\"ssh\":\"{VAULT}\"}}"),
            "vaultVersion": 1,
        });
        row[format!("{}Name", entity(world))] = json!("Example");
        row
    };
    Ok(vec![world.data.teams.iter().map(row).collect()])
}

fn machines(world: &mut World, body: &Value) -> Sets {
    admit(world, "GetTeamMachines")?;
    let rows = world.data.machines.iter().filter(|(_, team)| among(body, "teamName", team)).map(|(machine, team)| {
        json!({
            "machineName": machine, "vaultStatus": format!("{{\"result\":\"{VAULT}\"}}"), "vaultContent": VAULT,
            "vaultStatusTime": naive(Some(world.clock)), "bridgeName": "Global Bridges",
            "regionName": "Default Region", "teamName": team, "queueCount": 1, "machineGuid": "0f3c",
            "cephClusterName": null, "assignmentStatus": "AVAILABLE",
        })
    });
    Ok(vec![rows.collect()])
}

fn regions(world: &mut World, _: &Value) -> Sets {
    admit(world, "GetOrganizationRegions")?;
    Ok(vec![vec![json!({"regionName": "Default Region", "bridgeCount": 1, "vaultContent": VAULT})]])
}

fn audit(world: &mut World, body: &Value) -> Sets {
    admit(world, "GetAuditLogs")?;
    if !world.data.has_audit_log {
        return Err(Failure::new(403, "Your subscription plan does not include the auditLog feature"));
    }
    let most = usize::try_from(body["maxRecords"].as_u64().unwrap_or(100)).unwrap();
    let rows = world.data.audit.iter().rev().take(most).map(|(entity, name, action, details, at)| {
        json!({
            "entity": entity, "entityName": name, "action": action,
            "details": json!({"text": details, "credential": VAULT}).to_string(), "actionByUser": EMAIL,
            "timestamp": naive(Some(*at)),
        })
    });
    let rows: Set = rows.collect();
    // The schema lists its select twice.
    Ok(vec![rows, Vec::new()])
}

fn status(world: &mut World, _: &Value) -> Sets {
    admit(world, "GetRequestAuthenticationStatus")?;
    Ok(vec![vec![json!({
        "userEmail": EMAIL, "isTFAEnabled": false, "isAuthorized": true, "lastLoginTime": zoned(Some(world.clock)),
        "permissionGroup": world.data.permission_group, "activeTokenCount": 2,
        "authenticationStatus": "Authenticated",
    })]])
}

fn bridges_only(_: &mut World, _: &Value) -> Sets {
    Err(Failure::new(403, "Only bridge tokens can get queue items"))
}
