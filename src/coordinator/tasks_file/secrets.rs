//! `secrets = { VARIABLE = "team/name" }`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::coordinator::domain::{Definition, Work};
use crate::document::Table;
use crate::model::{Clean, TaskId};
use crate::vault::SecretName;

/// A secret that a task names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedSecret {
    /// The task.
    pub task: TaskId,
    /// Its name in the vault.
    pub name: SecretName,
}

/// What the task file at `path` names; of a file that is wrong or not there: nothing.
#[must_use]
pub fn of(path: &Path) -> Vec<NamedSecret> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let tasks = super::parse(&text).map(|file| file.tasks).unwrap_or_default();
    let of_task = |task: &Definition| -> Vec<NamedSecret> {
        let names = task.secrets.values().filter_map(|name| name.parse().ok());
        names.map(|name| NamedSecret { task: task.id.clone(), name }).collect()
    };
    tasks.iter().flat_map(of_task).collect()
}

/// Variables and the names of their values: those of the task's own team, and shared ones.
pub(super) fn read(table: &Table<'_>, task: &Definition) -> BTreeMap<String, String> {
    let Some(value) = table.get("secrets") else { return BTreeMap::new() };
    let Work::Command(command) = &task.work else {
        value.problem("there is no command here that could use them");
        return BTreeMap::new();
    };
    let Some(entries) = table.table("secrets") else { return BTreeMap::new() };
    let team = task.team.as_ref().map(Clean::as_str);
    let mut secrets = BTreeMap::new();
    for (variable, value) in entries.entries() {
        let place = value.clone();
        let is_variable = variable.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && variable.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_variable {
            place.problem(&format!("{variable:?} is not the name of an environment variable"));
        }
        if command.env.contains_key(variable) {
            place.problem(&format!("{variable} is in env too: one of the two"));
        }
        let Some(name) = value.string() else { continue };
        match name.parse::<SecretName>().and_then(|known| known.check_for(team).map(|()| known)) {
            Ok(known) => {
                secrets.insert(variable.to_owned(), known.to_string());
            }
            Err(why) => place.problem(&why),
        }
    }
    secrets
}
