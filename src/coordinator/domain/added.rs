//! Tasks that come over the API: defined to stay, or submitted once. And
//! putting tasks away.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::model::{Clean, RunId, RunState, TaskId, TaskSource};
use crate::wire::FieldProblem;

use super::calls::conflict;
use super::{BuiltIn, Definition, Domain, Entry, Paused, Record, Refused, Write};

/// One-off tasks that are kept at most. Beyond that the oldest that has ended
/// goes for each new one.
pub const MOST_ONE_OFFS: usize = 5_000;
/// Why a failure can't start a task.
pub const ONLY_WATCHED: &str =
    "names a task that has no command here: it is only watched, and can't be started";
/// The longest beginning of an id that is made from a name.
const STEM: usize = 40;

/// Why a task can't be put away.
pub(super) fn no_archive(entry: &Entry, running: bool) -> Option<&'static str> {
    match entry.definition.source {
        TaskSource::BuiltIn => Some("a built-in task is always there"),
        TaskSource::File => Some("a task of tasks.toml is put away by taking it out of there"),
        _ if entry.record.archived.is_some() => Some("it is put away already"),
        _ if running => Some("a run of it is in progress: cancel it first, or wait"),
        TaskSource::Api | TaskSource::OneOff => None,
    }
}

/// Why the API can't change a task that comes from elsewhere.
const fn not_ours(source: TaskSource) -> Option<&'static str> {
    match source {
        TaskSource::BuiltIn => Some("a built-in task is always there, and as it is"),
        TaskSource::File => Some("it comes from tasks.toml: change it there"),
        TaskSource::Api | TaskSource::OneOff => None,
    }
}

/// What is there beside the task file, whatever that says.
#[derive(Debug, Default)]
pub struct Beside {
    /// The tasks of the API.
    pub added: Vec<Arc<Definition>>,
    /// By what which task is pinged now, the file's own among them.
    pub keys: BTreeMap<String, TaskId>,
}

impl Domain {
    /// What a task file has to live beside.
    #[must_use]
    pub fn beside(&self) -> Beside {
        let added = self.tasks.values().map(|entry| &entry.definition).filter(|task| task.is_added());
        let keys =
            self.tasks.iter().filter_map(|(id, entry)| Some((entry.ping_key()?.to_string(), id.clone())));
        Beside { added: added.cloned().collect(), keys: keys.collect() }
    }

    /// A new task, or another definition for one of the API's; `text` is it as
    /// the database keeps it. One that was put away is taken back.
    ///
    /// # Errors
    /// Why not; [`Refused::Invalid`] when it names what is not there.
    pub fn define(
        &mut self,
        mut definition: Definition,
        text: &str,
        replace: bool,
        now: DateTime<Utc>,
    ) -> Result<(), Refused> {
        let id = definition.id.clone();
        definition.source = TaskSource::Api;
        match self.tasks.get(&id).map(|entry| entry.definition.source) {
            Some(TaskSource::OneOff) => {
                return Err(conflict(format!(
                    "{id} was submitted once, and is no task to change: take another id"
                )));
            }
            Some(TaskSource::Api) if !replace => {
                return Err(conflict(format!(
                    "there is a task {id} already: PUT /api/v1/tasks/{id} replaces it"
                )));
            }
            Some(source) => {
                if let Some(why) = not_ours(source) {
                    return Err(conflict(format!("there is a task {id} already: {why}")));
                }
            }
            None => {}
        }
        let flaws = self.flaws(&definition);
        if !flaws.is_empty() {
            return Err(Refused::Invalid(flaws));
        }
        let at = now;
        self.out.writes.push(Write::Defined {
            id: id.clone(),
            source: TaskSource::Api,
            text: text.to_owned(),
            at,
        });
        if self.tasks.contains_key(&id) {
            self.redefine(&id, definition, now);
            if let Some(entry) = self.tasks.get_mut(&id)
                && entry.record.archived.take().is_some()
            {
                entry.forget_slots(now);
            }
            self.follow(&id, now);
            self.mark(&id);
        } else {
            let mut record = self.forgotten.remove(&id).unwrap_or_else(|| Box::new(Record::new(now)));
            record.forget_slots(now);
            record.archived = None;
            self.add(&id, Entry::new(Arc::new(definition), record));
        }
        self.follow_definitions();
        Ok(())
    }

    /// What a definition names and is not there, or leads back to it.
    fn flaws(&self, definition: &Definition) -> Vec<FieldProblem> {
        let others =
            self.tasks.values().map(|entry| &*entry.definition).filter(|other| other.id != definition.id);
        let links = super::Links::of(others.chain([definition]));
        let known = |task: &TaskId| *task == definition.id || self.tasks.contains_key(task);
        let flaw = |(field, named): (&'static str, &TaskId)| {
            let watched =
                || self.tasks.get(named).is_some_and(|other| field != "after" && other.is_watched());
            let detail = if known(named) {
                let circle = links.circle(&definition.id, field, named);
                circle.or_else(|| watched().then(|| ONLY_WATCHED.to_owned()))?
            } else {
                format!("there is no task {:?}", named.as_raw())
            };
            Some(FieldProblem { field: field.to_owned(), detail: Clean::line(&detail) })
        };
        let taken = definition.ping_key.as_deref().and_then(|key| {
            let other = self.task_of_key(key).is_some_and(|task| task != definition.id);
            let detail = if other {
                "is the key of another task: each task has its own"
            } else if self.tasks.contains_key(key) {
                "is the id of a task, which anybody may know: take another key"
            } else {
                return None;
            };
            Some(FieldProblem { field: "ping_key".to_owned(), detail: detail.into() })
        });
        let machine = definition.machine.as_ref().and_then(|name| self.no_machine(name));
        let machine = machine.map(|detail| FieldProblem { field: "machine".to_owned(), detail });
        definition.names().filter_map(flaw).chain(taken).chain(machine).collect()
    }

    /// Work that is wanted once: a task of its own, with an id that begins with `stem`, and its run.
    ///
    /// # Errors
    /// There is no room for one more, or no such machine.
    pub fn submit(
        &mut self,
        mut definition: Definition,
        stem: &str,
        text: &str,
        now: DateTime<Utc>,
    ) -> Result<RunId, Refused> {
        if let Some(detail) = definition.machine.as_ref().and_then(|name| self.no_machine(name)) {
            return Err(Refused::Invalid(vec![FieldProblem { field: "machine".to_owned(), detail }]));
        }
        if self.one_offs.len() >= MOST_ONE_OFFS {
            let ended = |id: &&TaskId| self.tasks.get(id).is_some_and(|entry| entry.active.is_empty());
            let oldest = self.one_offs.iter().filter(ended).min_by_key(|id| self.ended_at(id)).cloned();
            let Some(oldest) = oldest else {
                return Err(conflict(format!("{MOST_ONE_OFFS} submitted tasks wait or run already")));
            };
            self.remove_now(&oldest, now);
        }
        let id = self.free_id(stem);
        definition.id = id.clone();
        definition.source = TaskSource::OneOff;
        self.out.writes.push(Write::Defined {
            id: id.clone(),
            source: TaskSource::OneOff,
            text: text.to_owned(),
            at: now,
        });
        self.queue_names.insert(definition.queue());
        self.queues_changed = true;
        self.machine_names.extend(definition.machine.clone());
        self.add(&id, Entry::new(Arc::new(definition), Box::new(Record::new(now))));
        self.enqueue(&id, None, "submitted", None, now).ok_or(Refused::NoTask(id))
    }

    fn ended_at(&self, id: &TaskId) -> Option<DateTime<Utc>> {
        self.tasks.get(id)?.record.facts.last_end
    }

    /// A readable id that nobody has: the stem and six digits.
    fn free_id(&mut self, stem: &str) -> TaskId {
        let mut kept: String = stem
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
            .skip_while(|c| *c == '-')
            .take(STEM)
            .collect();
        kept.truncate(kept.trim_end_matches('-').len());
        let stem = if kept.is_empty() { "task" } else { kept.as_str() };
        loop {
            let id = TaskId::new(&format!("{stem}-{:06x}", self.ids.random() & 0x00ff_ffff));
            let built_in = BuiltIn::ALL.iter().any(|built_in| built_in.id() == id.as_raw());
            if !built_in && !self.tasks.contains_key(&id) && !self.forgotten.contains_key(&id) {
                return id;
            }
        }
    }

    /// Takes a task of the API out, with what waits of it. What runs goes on.
    ///
    /// # Errors
    /// Why not.
    pub fn remove(&mut self, task: &TaskId, now: DateTime<Utc>) -> Result<(), Refused> {
        if let Some(why) = not_ours(self.entry(task)?.definition.source) {
            return Err(conflict(why));
        }
        let names_it = |other: &&Entry| {
            other.definition.id != *task && other.definition.names().any(|(_, named)| named == task)
        };
        if let Some(other) = self.tasks.values().find(names_it) {
            let field =
                other.definition.names().find(|(_, named)| *named == task).map_or("", |(field, _)| field);
            let id = &other.definition.id;
            return Err(conflict(format!("{id} names it in its {field}: change that first")));
        }
        self.remove_now(task, now);
        self.follow_definitions();
        Ok(())
    }

    fn remove_now(&mut self, task: &TaskId, now: DateTime<Utc>) {
        Arc::make_mut(&mut self.order).retain(|id| id != task);
        self.drop_task(task, &"its task was removed".into(), now);
        self.out.writes.push(Write::Undefined(task.clone()));
    }

    /// Puts a task of the API away: nothing of it runs until it is resumed. What waits of it is aborted.
    ///
    /// # Errors
    /// Why not.
    pub fn archive(&mut self, task: &TaskId, by: &Clean, now: DateTime<Utc>) -> Result<(), Refused> {
        let entry = self.entry(task)?;
        let runs = entry.active.iter().filter_map(|(_, run)| self.runs.get(run));
        let running = runs.into_iter().any(|active| active.row.run.state == RunState::Running);
        if let Some(why) = no_archive(entry, running) {
            return Err(conflict(why));
        }
        for run in self.pending_of(task) {
            self.withdraw(&run, &"its task was put away".into(), now);
        }
        if let Some(entry) = self.tasks.get_mut(task) {
            entry.record.archived = Some(Paused { at: now, by: by.clone() });
            entry.reason = Some(Clean::from(format!("put away by {by}")));
            entry.touched = true;
            self.mark(task);
        }
        Ok(())
    }

    /// Takes out what was submitted once and ended before an instant. Gives how many tasks went.
    pub fn retire_one_offs(&mut self, before: DateTime<Utc>, now: DateTime<Utc>) -> usize {
        let old = |id: &&TaskId| {
            let ended = self.tasks.get(id).is_some_and(|entry| entry.active.is_empty());
            ended && self.ended_at(id).is_some_and(|at| at < before)
        };
        let old: Vec<TaskId> = self.one_offs.iter().filter(old).cloned().collect();
        for id in &old {
            self.remove_now(id, now);
        }
        if !old.is_empty() {
            self.follow_definitions();
        }
        old.len()
    }
}
