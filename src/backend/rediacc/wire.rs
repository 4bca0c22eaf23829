//! What Rediacc says, column by column (schema 3.0.0 and the forms before it).
//!
//! Rows of result sets, not objects: every column may be missing or null, bits
//! come as booleans or as 0 and 1, numbers as text, times with or without a
//! zone (then UTC). Sets are told apart by their columns, never by their
//! place: the schema lists the alternatives of a procedure side by side. What
//! is not named here is not read; vaults and credentials are not named here.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use serde_json::{Map, Value};

use super::session::bit;
use crate::model::{Clean, Priority, TaskId};

pub use super::session::Row;

/// One item of the queue, as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// `taskId`.
    pub id: TaskId,
    /// `status`: PENDING, ASSIGNED, PROCESSING, CANCELLING, COMPLETED, FAILED, CANCELLED, or one that is new.
    pub status: Clean,
    /// `healthStatus`: the same, or ACTIVE, STALE, `STALE_PENDING`, UNKNOWN, or one that is new.
    pub health: Option<Clean>,
    /// `createdTime`.
    pub created: Option<DateTime<Utc>>,
    /// `lastAssigned`, else `assignedTime`.
    pub assigned: Option<DateTime<Utc>>,
    /// `lastResponseAt`: the newest word of its bridge.
    pub answered: Option<DateTime<Utc>>,
    /// `machineName`.
    pub machine: Option<Clean>,
    /// `bridgeName`.
    pub bridge: Option<Clean>,
    /// `teamName`.
    pub team: Option<Clean>,
    /// `regionName`.
    pub region: Option<Clean>,
    /// `createdBy`.
    pub created_by: Option<Clean>,
    /// `priority`; null where the plan has none.
    pub priority: Option<Priority>,
    /// `canBeCancelled`.
    pub can_be_cancelled: Option<bool>,
    /// `hasResponse`.
    pub has_response: Option<bool>,
    /// `retryCount`.
    pub retries: u32,
    /// `lastRetryAt`.
    pub retried: Option<DateTime<Utc>>,
    /// `lastFailureReason`.
    pub reason: Option<Clean>,
    /// `permanentlyFailed`.
    pub permanently_failed: bool,
    /// `totalDurationSeconds`, from its creation on.
    pub total_s: Option<u64>,
    /// `processingDurationSeconds`, from its assignment on.
    pub processing_s: Option<u64>,
}

impl Item {
    /// `None` without an id.
    pub fn of(row: &Row) -> Option<Self> {
        Some(Self {
            id: TaskId::new(raw(row, "taskId").filter(|id| !id.trim().is_empty())?),
            status: text(row, "status").unwrap_or_else(|| "UNKNOWN".into()),
            health: text(row, "healthStatus"),
            created: time(row, "createdTime"),
            assigned: time(row, "lastAssigned").or_else(|| time(row, "assignedTime")),
            answered: time(row, "lastResponseAt"),
            machine: text(row, "machineName"),
            bridge: text(row, "bridgeName"),
            team: text(row, "teamName"),
            region: text(row, "regionName"),
            created_by: text(row, "createdBy"),
            priority: priority(row, "priority"),
            can_be_cancelled: flag(row, "canBeCancelled"),
            has_response: flag(row, "hasResponse"),
            retries: count(row, "retryCount").and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
            retried: time(row, "lastRetryAt"),
            reason: text(row, "lastFailureReason"),
            permanently_failed: flag(row, "permanentlyFailed").unwrap_or(false),
            total_s: count(row, "totalDurationSeconds"),
            processing_s: count(row, "processingDurationSeconds"),
        })
    }
}

/// `GetTeamQueueItems`.
#[derive(Debug, Default)]
pub struct Listing {
    /// The items, as sorted there: by priority, then newest first.
    pub items: Vec<Item>,
    /// Rows among them that have no id.
    pub unread: usize,
    /// `totalCount` of the statistics beside it.
    pub total: Option<u64>,
}

impl Listing {
    /// Reads it from the sets of an answer. No set with items means no items.
    pub fn of(sets: &[Vec<Row>]) -> Self {
        let rows = set(sets, &["taskId"], &[]);
        let items: Vec<Item> = rows.iter().filter_map(Item::of).collect();
        let statistics = set(sets, &["totalCount"], &["taskId"]).first();
        Self {
            unread: rows.len() - items.len(),
            items,
            total: statistics.and_then(|row| count(row, "totalCount")),
        }
    }

    /// Whether there is more than this, as far as can be told: `most` were asked for.
    pub fn is_cut(&self, most: usize) -> bool {
        let read = self.items.len() + self.unread;
        read >= most || self.total.is_some_and(|total| total > read as u64)
    }
}

/// Which words a generation uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// "Organization": schema 3.0.0.
    Organization,
    /// "Company": until late 2025.
    Company,
}

impl Naming {
    /// What procedures are called.
    pub const fn dashboard(self) -> &'static str {
        match self {
            Self::Organization => "GetOrganizationDashboard",
            Self::Company => "GetCompanyDashboardJson",
        }
    }

    /// What the payload of a new item is called.
    pub const fn vault(self) -> &'static str {
        match self {
            Self::Organization => "vaultContent",
            Self::Company => "queueVault",
        }
    }

    /// See [`Self::dashboard`].
    pub const fn teams(self) -> &'static str {
        match self {
            Self::Organization => "GetOrganizationTeams",
            Self::Company => "GetCompanyTeams",
        }
    }
}

/// Counts of a team's queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamCounts {
    /// `teamName`.
    pub team: Clean,
    /// `pendingItems`.
    pub pending: u64,
    /// `activeItems`.
    pub active: u64,
    /// `staleItems`.
    pub stale: u64,
}

/// The dashboard, as far as the queue goes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Dashboard {
    /// Told by which words it uses.
    pub naming: Option<Naming>,
    /// `organizationName`, `companyName`.
    pub organisation: Option<Clean>,
    /// `planCode`.
    pub plan: Option<Clean>,
    /// `totalCount` of all items.
    pub total: Option<u64>,
    /// By team.
    pub teams: Vec<TeamCounts>,
    /// Whether the plan has the audit log.
    pub audit_log: Option<bool>,
    /// Limits that are reached, in words.
    pub limits: Vec<Clean>,
    /// All counts that move when an item does; `None` where it tells none.
    pub marks: Option<Marks>,
}

/// Counts that move when an item does. What moves with time alone is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks {
    rows: Vec<(Clean, Vec<Option<i64>>)>,
    /// Whether retries are counted: without, one that ends between two looks leaves no mark.
    pub with_retries: bool,
}

/// Of the queue as a whole. Ages are not among them.
const MARKS: &[&str] = &[
    "pendingCount",
    "assignedCount",
    "processingCount",
    "cancellingCount",
    "activeCount",
    "completedCount",
    "cancelledCount",
    "failedCount",
    "totalCount",
    "staleCount",
    "stalePendingCount",
    "completedToday",
    "cancelledToday",
    "failedToday",
    "createdToday",
    "itemsWithRetries",
    "maxRetryCount",
    "avgRetryCount",
    "highestPriorityPending",
    "highPriorityPending",
    "normalPriorityPending",
    "lowPriorityPending",
];
/// Of a team's or a machine's.
const PLACE_MARKS: &[&str] = &["totalItems", "pendingItems", "activeItems", "staleItems"];

impl Dashboard {
    /// Reads it from the sets of an answer.
    pub fn of(sets: &[Vec<Row>]) -> Self {
        let sets = &unfolded(sets);
        let organisation = set(sets, &["organizationName"], &["teamName", "taskId"]).first();
        let company = set(sets, &["companyName"], &["teamName", "taskId"]).first();
        let naming = match (organisation, company) {
            (Some(_), _) => Some(Naming::Organization),
            (None, Some(_)) => Some(Naming::Company),
            (None, None) => None,
        };
        let name = organisation.map(|row| text(row, "organizationName"));
        let queue = set(sets, &["pendingCount"], &["userPendingItems"]).first();
        let teams = set(sets, &["teamName", "pendingItems"], &["machineName"]);
        let features = set(sets, &["auditLog"], &[]).first();
        let plans = [organisation, company, set(sets, &["planCode"], &["resourceType"]).first()];
        Self {
            naming,
            organisation: name.or_else(|| company.map(|row| text(row, "companyName"))).flatten(),
            plan: plans.into_iter().flatten().find_map(|row| text(row, "planCode")),
            total: queue.and_then(|row| count(row, "totalCount")),
            teams: teams.iter().filter_map(TeamCounts::of).collect(),
            audit_log: features.and_then(|row| flag(row, "auditLog")),
            limits: set(sets, &["resourceType", "isLimitReached"], &[]).iter().filter_map(reached).collect(),
            marks: queue.map(|row| Marks::of(row, sets)),
        }
    }
}

impl TeamCounts {
    fn of(row: &Row) -> Option<Self> {
        let counted = |column| count(row, column).unwrap_or(0);
        Some(Self {
            team: text(row, "teamName")?,
            pending: counted("pendingItems"),
            active: counted("activeItems"),
            stale: counted("staleItems"),
        })
    }
}

impl Marks {
    fn of(queue: &Row, sets: &[Vec<Row>]) -> Self {
        let places = sets.iter().flatten().filter(|row| row.contains_key("pendingItems"));
        let mut rows: Vec<(Clean, Vec<Option<i64>>)> = places
            .map(|row| {
                let names = ["teamName", "machineName", "bridgeName", "userEmail"];
                let name: Vec<&str> = names.iter().filter_map(|column| raw(row, column)).collect();
                (Clean::from(name.join(" / ")), marks(row, PLACE_MARKS))
            })
            .collect();
        rows.sort();
        rows.insert(0, (Clean::line(""), marks(queue, MARKS)));
        Self { rows, with_retries: number(queue, "itemsWithRetries").is_some() }
    }
}

/// In thousandths: one of them is an average.
fn marks(row: &Row, columns: &[&str]) -> Vec<Option<i64>> {
    #[expect(clippy::cast_possible_truncation, reason = "counts: a saturated one would still be a mark")]
    let thousandths = |number: f64| (number * 1_000.0).round() as i64;
    columns.iter().map(|column| number(row, column).map(thousandths)).collect()
}

fn reached(row: &Row) -> Option<Clean> {
    if flag(row, "isLimitReached") != Some(true) {
        return None;
    }
    let what = text(row, "resourceType")?;
    Some(match (count(row, "currentUsage"), count(row, "resourceLimit")) {
        (Some(used), Some(limit)) => Clean::from(format!("{what} ({used} of {limit})")),
        _ => what,
    })
}

/// The sets, with those that an answer holds as JSON text in a cell: the
/// dashboard of the company generation is one cell with texts in texts.
fn unfolded(sets: &[Vec<Row>]) -> Vec<Vec<Row>> {
    const DEPTH: usize = 4;
    let mut all = sets.to_vec();
    let mut from = 0;
    for _ in 0..DEPTH {
        let until = all.len();
        let cells = all[from..until].iter().flatten().flat_map(Map::values);
        let found: Vec<Vec<Row>> = cells.filter_map(folded).collect();
        if found.is_empty() {
            break;
        }
        all.extend(found);
        from = until;
    }
    all
}

/// The rows in a cell, if it holds any.
fn folded(cell: &Value) -> Option<Vec<Row>> {
    let read;
    let value = match cell {
        Value::String(text) if text.trim_start().starts_with(['{', '[']) => {
            read = serde_json::from_str::<Value>(text).ok()?;
            &read
        }
        Value::Object(_) | Value::Array(_) => cell,
        _ => return None,
    };
    let rows: Vec<Row> = match value {
        Value::Object(row) => vec![lowered(row)],
        Value::Array(rows) => rows.iter().filter_map(Value::as_object).map(lowered).collect(),
        _ => return None,
    };
    (!rows.is_empty()).then_some(rows)
}

/// `PendingCount` as `pendingCount`.
fn lowered(row: &Row) -> Row {
    let lower = |name: &str| {
        let mut chars = name.chars();
        let first = chars.next().map(|c| c.to_ascii_lowercase());
        first.into_iter().chain(chars).collect::<String>()
    };
    row.iter().map(|(name, value)| (lower(name), value.clone())).collect()
}

/// `GetQueueItemTrace`, without the vaults beside it.
#[derive(Debug, Default)]
pub struct Traced {
    /// The item itself.
    pub item: Row,
    /// What happened to it.
    pub timeline: Vec<Row>,
    /// What waits or works beside it.
    pub neighbours: Vec<Row>,
    /// What is usual at its machine.
    pub usual: Row,
}

impl Traced {
    /// Reads it from the sets of an answer; `None` if it tells of no item.
    pub fn of(sets: &[Vec<Row>]) -> Option<Self> {
        let first = |with: &[&str], without: &[&str]| set(sets, with, without).first().cloned();
        Some(Self {
            item: first(&["taskId", "status"], &["relativePosition"])?,
            timeline: set(sets, &["action", "timestamp"], &[]).to_vec(),
            neighbours: set(sets, &["relativePosition"], &[]).to_vec(),
            usual: first(&["avgProcessingTimeSeconds"], &[])
                .or_else(|| first(&["currentQueueDepth"], &[]))
                .unwrap_or_default(),
        })
    }
}

/// The first set with some of these columns in a row, and none of those.
pub fn set<'a>(sets: &'a [Vec<Row>], with: &[&str], without: &[&str]) -> &'a [Row] {
    let fits = |row: &Row| {
        with.iter().all(|column| row.contains_key(*column))
            && !without.iter().any(|column| row.contains_key(*column))
    };
    sets.iter().find(|rows| rows.iter().any(fits)).map_or(&[], Vec::as_slice)
}

/// Text as it came; empty text is none.
pub fn raw<'a>(row: &'a Row, column: &str) -> Option<&'a str> {
    row.get(column)?.as_str().filter(|text| !text.is_empty())
}

/// Text, or a number as text.
pub fn text(row: &Row, column: &str) -> Option<Clean> {
    match row.get(column)? {
        Value::String(text) => Some(Clean::line(text.trim())).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(Clean::from(number.to_string())),
        _ => None,
    }
}

/// A number, a number as text, or a bit.
pub fn number(row: &Row, column: &str) -> Option<f64> {
    match row.get(column)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Bool(bit) => Some(f64::from(u8::from(*bit))),
        _ => None,
    }
    .filter(|number| number.is_finite())
}

/// A number that counts something.
pub fn count(row: &Row, column: &str) -> Option<u64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative; saturates")]
    number(row, column).filter(|number| *number >= 0.0).map(|number| number as u64)
}

/// A bit, in any of its forms.
pub fn flag(row: &Row, column: &str) -> Option<bool> {
    bit(row.get(column))
}

/// 1 to 5.
pub fn priority(row: &Row, column: &str) -> Option<Priority> {
    count(row, column).and_then(|level| Priority::new(u8::try_from(level).ok()?).ok())
}

/// A time with a zone, or without: then it is UTC. Years before 1971 are what
/// some databases say for "never".
pub fn time(row: &Row, column: &str) -> Option<DateTime<Utc>> {
    instant(raw(row, column)?).filter(|at| at.timestamp() > 31_536_000)
}

fn instant(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if let Ok(zoned) = DateTime::parse_from_rfc3339(text) {
        return Some(zoned.to_utc());
    }
    // `datetimeoffset` as the database itself prints it.
    if let Ok(zoned) = DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f %:z") {
        return Some(zoned.to_utc());
    }
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .or_else(|| text.parse::<NaiveDate>().ok()?.and_hms_opt(0, 0, 0))
        .map(|naive| naive.and_utc())
}
