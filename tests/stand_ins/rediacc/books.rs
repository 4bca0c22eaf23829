//! What the stand-in's queue holds, and how an item goes on its way: PENDING →
//! ASSIGNED → PROCESSING → COMPLETED, FAILED or CANCELLED. Driven by the test.

use chrono::{DateTime, TimeDelta, Utc};

/// What only a vault or a credential field holds: nobody may ever see it.
pub const VAULT: &str = "v4ult-s3cret";
/// The server gives up after so many retries.
pub const MAX_RETRIES: u32 = 3;
/// Reasons after which the server does not try again.
const PERMANENT: [&str; 2] = ["Task permanently failed", "Fatal error"];

/// An item of the queue.
#[derive(Debug, Clone)]
pub struct Item {
    pub id: String,
    pub team: String,
    pub machine: Option<String>,
    pub bridge: String,
    pub status: String,
    /// `None`: the plan has none.
    pub priority: Option<u8>,
    pub created: DateTime<Utc>,
    pub assigned: Option<DateTime<Utc>>,
    pub answered: Option<DateTime<Utc>>,
    pub ended: Option<DateTime<Utc>>,
    pub retries: u32,
    pub retried: Option<DateTime<Utc>>,
    pub reason: Option<String>,
    pub permanent: bool,
    pub by: String,
    /// Said instead of the health that follows from the rest.
    pub health: Option<String>,
    /// Said instead of what follows from the status.
    pub can_be_cancelled: Option<bool>,
    /// `action`, `details`, when; oldest first.
    pub timeline: Vec<(String, String, DateTime<Utc>)>,
}

impl Item {
    pub fn has_ended(&self) -> bool {
        ["COMPLETED", "FAILED", "CANCELLED"].contains(&self.status.as_str())
    }

    pub fn is_at_work(&self) -> bool {
        ["ASSIGNED", "PROCESSING", "CANCELLING"].contains(&self.status.as_str())
    }

    /// At work, and no word of its bridge for so long.
    pub fn is_stale(&self, now: DateTime<Utc>, minutes: i64) -> bool {
        self.is_at_work()
            && now - self.answered.max(self.assigned).unwrap_or(now) > TimeDelta::minutes(minutes)
    }

    pub fn waits_too_long(&self, now: DateTime<Utc>) -> bool {
        self.status == "PENDING" && now - self.created > TimeDelta::hours(6)
    }

    pub fn health(&self, now: DateTime<Utc>) -> String {
        if let Some(health) = &self.health {
            return health.clone();
        }
        let word = match self.status.as_str() {
            "PENDING" if self.waits_too_long(now) => "STALE_PENDING",
            "ASSIGNED" | "PROCESSING" if self.is_stale(now, 10) => "STALE",
            "ASSIGNED" | "PROCESSING" => "ACTIVE",
            other => other,
        };
        word.to_owned()
    }

    fn note(&mut self, action: &str, details: &str, at: DateTime<Utc>) {
        self.timeline.push((action.to_owned(), details.to_owned(), at));
    }
}

/// What the procedures work on.
#[derive(Debug, Clone)]
pub struct Data {
    /// "Company" in place of "organization", and the procedures of that time.
    pub company: bool,
    pub teams: Vec<String>,
    /// Machine and team.
    pub machines: Vec<(String, String)>,
    pub items: Vec<Item>,
    pub audit: Vec<(&'static str, String, &'static str, String, DateTime<Utc>)>,
    pub has_audit_log: bool,
    pub has_priorities: bool,
    pub permission_group: &'static str,
    /// Refused, with code and words.
    pub refused: Vec<(&'static str, i64, &'static str)>,
    made: u32,
}

impl Default for Data {
    fn default() -> Self {
        Self {
            company: false,
            teams: vec!["prod".to_owned(), "staging".to_owned()],
            machines: vec![("prod-01".to_owned(), "prod".to_owned())],
            items: Vec::new(),
            audit: Vec::new(),
            has_audit_log: true,
            has_priorities: true,
            permission_group: "Administrators",
            refused: Vec::new(),
            made: 0,
        }
    }
}

/// An id that looks like one, and begins with what is easy to tell apart.
fn id_of(n: u32) -> String {
    format!("{:08x}-a0c7-4a08-9176-bdc3{n:08x}", n.wrapping_mul(0x9e37_79b1))
}

impl Data {
    /// Three teams, seven machines and 31 items in every state, as of `now`.
    pub fn seeded(now: DateTime<Utc>) -> Self {
        let mut data = Self {
            teams: ["prod", "staging", "data"].map(str::to_owned).to_vec(),
            machines: [
                ("prod-01", "prod"),
                ("prod-02", "prod"),
                ("prod-03", "prod"),
                ("stage-01", "staging"),
                ("stage-02", "staging"),
                ("lake-01", "data"),
                ("lake-02", "data"),
            ]
            .map(|(machine, team)| (machine.to_owned(), team.to_owned()))
            .to_vec(),
            ..Self::default()
        };
        let ago = |minutes: i64| now - TimeDelta::minutes(minutes);
        // Nine wait; one of them for a working day, one has been given up.
        for (n, minutes) in [2, 4, 7, 11, 15, 23, 31].into_iter().enumerate() {
            data.put(n, 1 + u8::try_from(n % 5).unwrap(), ago(minutes));
        }
        data.put(1, 4, ago(7 * 60));
        let dead = data.put(3, 3, ago(95));
        for _ in 0..=MAX_RETRIES {
            data.assign(&dead, ago(90));
            data.give_back(&dead, "Machine unreachable: ssh timeout", ago(80));
        }
        // Two are assigned, three are at work; one of them is stale, one has been tried before.
        for n in 0..2 {
            let id = data.put(n, 2, ago(3));
            data.assign(&id, ago(1));
        }
        for (n, minutes) in [(0, 12), (4, 6), (5, 8)] {
            let id = data.put(n, 3, ago(minutes + 1));
            if minutes == 6 {
                data.assign(&id, ago(7));
                data.give_back(&id, "Bridge reported failure", ago(7));
            }
            data.assign(&id, ago(minutes));
            data.process(&id, if minutes == 12 { ago(minutes) } else { ago(1) });
        }
        for n in 0..14 {
            let begun = 60 + 37 * i64::try_from(n).unwrap();
            let id = data.put(n, 3, ago(begun));
            data.assign(&id, ago(begun - 1));
            data.process(&id, ago(begun - 2));
            data.complete(&id, ago(begun - 9));
        }
        let cancelled = data.put(2, 5, ago(140));
        data.cancel(&cancelled, ago(130)).unwrap();
        let failed = data.put(6, 3, ago(200));
        data.assign(&failed, ago(190));
        data.fail(&failed, "Fatal error: disk full", ago(170));
        let failed = data.put(4, 2, ago(50));
        data.assign(&failed, ago(49));
        data.fail(&failed, "rsync exited with 23", ago(45));
        for (minutes, action, entity) in
            [(140, "Created", "QueueItem"), (130, "Cancelled", "QueueItem"), (20, "Updated", "Machine")]
        {
            data.audit.push((
                entity,
                format!("{entity} 7"),
                action,
                format!("{action} by hand"),
                ago(minutes),
            ));
        }
        data
    }

    /// A new item for the machine number `n`; its id.
    pub fn put(&mut self, n: usize, priority: u8, at: DateTime<Utc>) -> String {
        let (machine, team) = self.machines[n % self.machines.len()].clone();
        self.add(&team, Some(machine), "Global Bridges", self.has_priorities.then_some(priority), at)
    }

    pub fn add(
        &mut self,
        team: &str,
        machine: Option<String>,
        bridge: &str,
        priority: Option<u8>,
        at: DateTime<Utc>,
    ) -> String {
        self.made += 1;
        let id = id_of(self.made);
        self.items.push(Item {
            id: id.clone(),
            team: team.to_owned(),
            machine,
            bridge: bridge.to_owned(),
            status: "PENDING".to_owned(),
            priority,
            created: at,
            assigned: None,
            answered: None,
            ended: None,
            retries: 0,
            retried: None,
            reason: None,
            permanent: false,
            by: "ana@example.org".to_owned(),
            health: None,
            can_be_cancelled: None,
            timeline: vec![("Created".to_owned(), format!("Queue item created for {team}"), at)],
        });
        id
    }

    /// The item of that id.
    pub fn item(&mut self, id: &str) -> &mut Item {
        self.items.iter_mut().find(|item| item.id == id).unwrap()
    }

    /// A bridge takes it.
    pub fn assign(&mut self, id: &str, at: DateTime<Utc>) {
        let item = self.item(id);
        item.status = "ASSIGNED".to_owned();
        item.assigned = Some(at);
        item.note("Assigned", "Assigned to Global Bridges", at);
    }

    /// Its bridge says that it works on it.
    pub fn process(&mut self, id: &str, at: DateTime<Utc>) {
        let item = self.item(id);
        item.status = "PROCESSING".to_owned();
        item.answered = Some(at);
        item.note("Processing", "Output of the bridge", at);
    }

    pub fn complete(&mut self, id: &str, at: DateTime<Utc>) {
        let item = self.item(id);
        item.status = "COMPLETED".to_owned();
        (item.answered, item.ended) = (Some(at), Some(at));
        item.note("Completed", "Completed", at);
    }

    /// As the server does it: back into the queue, or given up there once the retries are spent.
    pub fn give_back(&mut self, id: &str, reason: &str, at: DateTime<Utc>) {
        let item = self.item(id);
        item.status = "PENDING".to_owned();
        item.reason = Some(reason.to_owned());
        if item.retries < MAX_RETRIES {
            item.retries += 1;
            item.retried = Some(at);
        }
        item.note("Retry", reason, at);
    }

    /// It fails and stays failed.
    pub fn fail(&mut self, id: &str, reason: &str, at: DateTime<Utc>) {
        let item = self.item(id);
        item.status = "FAILED".to_owned();
        item.reason = Some(reason.to_owned());
        item.permanent = PERMANENT.iter().any(|text| reason.contains(text));
        (item.answered, item.ended) = (Some(at), Some(at));
        item.note("Failed", reason, at);
    }

    /// What waits at once, what is at work by way of CANCELLING; before and after.
    pub fn cancel(&mut self, id: &str, at: DateTime<Utc>) -> Result<(String, String), String> {
        let item = self.item(id);
        let before = item.status.clone();
        let after = match before.as_str() {
            "PENDING" => "CANCELLED",
            "ASSIGNED" | "PROCESSING" => "CANCELLING",
            _ => return Err(format!("Queue item cannot be cancelled in status {before}")),
        };
        item.status = after.to_owned();
        item.ended = (after == "CANCELLED").then_some(at);
        item.note("Cancelled", "Cancelled by user", at);
        Ok((before, after.to_owned()))
    }

    /// Its bridge has stopped it.
    pub fn stopped(&mut self, id: &str, at: DateTime<Utc>) {
        let item = self.item(id);
        item.status = "CANCELLED".to_owned();
        item.ended = Some(at);
        item.note("Cancelled", "Stopped by its bridge", at);
    }

    /// Only from FAILED; the new count.
    pub fn retry(&mut self, id: &str, at: DateTime<Utc>) -> Result<u32, String> {
        let item = self.item(id);
        if item.status != "FAILED" {
            return Err("Can only retry failed queue items".to_owned());
        }
        item.status = "PENDING".to_owned();
        item.retries += 1;
        (item.retried, item.ended, item.permanent) = (Some(at), None, false);
        item.note("Retry", "Retried by user", at);
        Ok(item.retries)
    }
}
