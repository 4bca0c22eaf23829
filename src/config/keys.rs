//! `[keys]`: action = ["key", …].

use std::collections::BTreeMap;

use crate::action::{Action, Key};
use crate::document::{Document, Table, Value, did_you_mean};

/// Reads the table: what differs from the defaults. Each key may have one
/// action, but that pause and resume share theirs, since never both can be done.
pub fn read(document: &Document<'_>, table: &Table<'_>) -> Vec<(Action, Vec<Key>)> {
    let mut configured: BTreeMap<Action, (Vec<Key>, usize)> = BTreeMap::new();
    for (name, value) in table.entries() {
        let line = value.line();
        let Ok(action) = name.parse::<Action>() else {
            let near = did_you_mean(name, Action::ALL.iter().map(|action| action.spec().name));
            value.problem(&format!("no such action{near}"));
            continue;
        };
        if let Some(keys) = keys_of(&value, action) {
            configured.insert(action, (keys, line));
        }
    }
    report_clashes(document, &configured);
    configured
        .into_iter()
        .filter(|(action, (keys, _))| *keys != default_keys(*action))
        .map(|(action, (keys, _))| (action, keys))
        .collect()
}

fn keys_of(value: &Value<'_>, action: Action) -> Option<Vec<Key>> {
    if !value.is_list() {
        value.problem("must be a list of keys, such as [\"t\"]; [] unbinds");
        return None;
    }
    let mut keys: Vec<Key> = Vec::new();
    for element in value.clone().list()? {
        let Some(text) = element.clone().string() else { continue };
        match text.parse::<Key>() {
            Ok(key) if keys.contains(&key) => element.problem(&format!("{key} is there twice")),
            Ok(key) => keys.push(key),
            Err(error) => element.problem(&error.to_string()),
        }
    }
    if keys.is_empty() && action == Action::Quit && value.clone().list()?.is_empty() {
        value.problem("quit needs a key");
        return None;
    }
    Some(keys)
}

fn default_keys(action: Action) -> Vec<Key> {
    action.spec().keys.iter().filter_map(|key| key.parse().ok()).collect()
}

/// Which action has a key: it, and the line where the file says so (`None`: by default).
type Holder = (Action, Option<usize>);

fn report_clashes(document: &Document<'_>, configured: &BTreeMap<Action, (Vec<Key>, usize)>) {
    let mut holders: BTreeMap<Key, Vec<Holder>> = BTreeMap::new();
    for &action in Action::ALL {
        let (keys, line) = match configured.get(&action) {
            Some((keys, line)) => (keys.clone(), Some(*line)),
            None => (default_keys(action), None),
        };
        for key in keys {
            holders.entry(key).or_default().push((action, line));
        }
    }
    for (key, mut holders) in holders {
        let shared = |pair: &[Action; 2]| holders.iter().all(|(action, _)| pair.contains(action));
        if holders.len() < 2 || (holders.len() == 2 && Action::SHARED.iter().any(shared)) {
            continue;
        }
        // Told at the last line of the file that is concerned.
        holders.sort_by_key(|(_, line)| *line);
        let Some((last, Some(line))) = holders.pop() else { continue };
        let others: Vec<String> = holders
            .iter()
            .map(|(action, line)| match line {
                Some(line) => format!("{action} (line {line})"),
                None => format!("{action} (by default: unbind it with {action} = [])"),
            })
            .collect();
        document.report(line, &format!("keys.{last}"), &format!("{key} is also {}", others.join(" and ")));
    }
}
