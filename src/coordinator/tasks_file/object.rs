//! A task as a JSON object: the fields of the task file, by the same reader.

use serde_json::{Map, Value as Json};

use crate::document::Document;
use crate::model::{Clean, TaskId, TaskSource, duration_text};
use crate::wire::{FieldProblem, Submission};

use super::Definition;

/// The path of the one task in the document that is made of it.
const PATH: &str = "task[0]";

/// Reads a task from JSON. What it names need not be there.
///
/// # Errors
/// Everything that is wrong with it, by field.
pub fn from_json(task: &Map<String, Json>) -> Result<Definition, Vec<FieldProblem>> {
    let whole = |detail: String| vec![FieldProblem { field: String::new(), detail: Clean::from(detail) }];
    let mut root = toml::Table::new();
    root.insert("task".to_owned(), toml::Value::Array(vec![toml::Value::Table(table(task)?)]));
    let text = toml::to_string(&root).map_err(|error| whole(format!("can't be read: {error}")))?;
    let by_field = |problems: Vec<crate::document::Problem>| -> Vec<FieldProblem> {
        let field = |path: &str| {
            let rest = path.strip_prefix(PATH).unwrap_or(path);
            rest.strip_prefix('.').unwrap_or(rest).to_owned()
        };
        let told = |problem: crate::document::Problem| FieldProblem {
            field: field(&problem.path),
            detail: problem.message,
        };
        problems.into_iter().map(told).collect()
    };
    let document = Document::parse(&text).map_err(by_field)?;
    let read = document.root().tables("task").into_iter().next().and_then(super::read_one);
    match read {
        Some(definition) if !document.has_problems() => Ok(definition),
        _ => Err(by_field(document.into_problems())),
    }
}

/// Reads a task as the database keeps it.
///
/// # Errors
/// Why it is none, in one sentence.
pub fn from_kept(id: &TaskId, source: TaskSource, text: &str) -> Result<Definition, String> {
    let mut task: Map<String, Json> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    task.insert("id".to_owned(), Json::String(id.as_raw().to_owned()));
    let said =
        |problems: Vec<FieldProblem>| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let mut definition = from_json(&task).map_err(said)?;
    definition.source = source;
    Ok(definition)
}

/// What was submitted, with the fields of a task, and the beginning of its id.
#[must_use]
pub fn from_submission(submission: &Submission) -> (Map<String, Json>, String) {
    let Submission { name, command, shell, machine, team, priority, retry, env, secrets, cwd, max_runtime_s } =
        submission;
    let program = match (shell, command.first()) {
        (Some(line), _) => line.split_whitespace().next().unwrap_or_default(),
        (None, Some(program)) => program,
        (None, None) => "",
    };
    let program = program.rsplit('/').next().unwrap_or(program);
    let stem = name.as_ref().map_or(program, Clean::as_str).to_owned();
    let mut task = Map::new();
    let mut put = |key: &str, value: Json| task.insert(key.to_owned(), value);
    if let Some(name) =
        name.as_ref().map(Clean::as_str).or_else(|| Some(program).filter(|name| !name.is_empty()))
    {
        put("name", name.into());
    }
    if shell.is_none() || !command.is_empty() {
        put("command", command.clone().into());
    }
    if let Some(shell) = shell {
        put("shell", shell.as_str().into());
    }
    for (key, value) in [("machine", machine), ("team", team)] {
        if let Some(value) = value {
            put(key, value.as_str().into());
        }
    }
    if let Some(priority) = priority {
        put("priority", priority.level().into());
    }
    if let Some(retry) = retry {
        let mut rule = Map::from_iter([("count".to_owned(), Json::from(retry.count))]);
        if let Some(delay_s) = retry.delay_s {
            rule.insert("delay".to_owned(), duration_text(u64::from(delay_s)).into());
        }
        if let Some(backoff) = retry.backoff {
            rule.insert("backoff".to_owned(), backoff.into());
        }
        put("retry", rule.into());
    }
    for (key, pairs) in [("env", env), ("secrets", secrets)] {
        if !pairs.is_empty() {
            let pairs: Map<String, Json> =
                pairs.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
            put(key, pairs.into());
        }
    }
    if let Some(cwd) = cwd {
        put("cwd", cwd.as_str().into());
    }
    if let Some(seconds) = max_runtime_s {
        put("max_runtime", format!("{seconds}s").into());
    }
    (task, stem)
}

/// JSON as TOML; `null` is what is not said.
fn table(object: &Map<String, Json>) -> Result<toml::Table, Vec<FieldProblem>> {
    let mut problems = Vec::new();
    let mut table = toml::Table::new();
    for (key, json) in object {
        match value(json) {
            Ok(Some(value)) => drop(table.insert(key.clone(), value)),
            Ok(None) => {}
            Err(detail) => problems.push(FieldProblem { field: key.clone(), detail: detail.into() }),
        }
    }
    if problems.is_empty() { Ok(table) } else { Err(problems) }
}

fn value(json: &Json) -> Result<Option<toml::Value>, &'static str> {
    Ok(Some(match json {
        Json::Null => return Ok(None),
        Json::Bool(truth) => toml::Value::Boolean(*truth),
        Json::String(text) => toml::Value::String(text.clone()),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => toml::Value::Integer(whole),
            (None, Some(real)) if !number.is_u64() => toml::Value::Float(real),
            _ => return Err("is a number beyond all bounds"),
        },
        Json::Array(list) => {
            let items: Result<Vec<Option<toml::Value>>, _> = list.iter().map(value).collect();
            let items: Option<Vec<toml::Value>> = items?.into_iter().collect();
            toml::Value::Array(items.ok_or("has a null in its list")?)
        }
        Json::Object(object) => {
            let mut table = toml::Table::new();
            for (key, json) in object {
                if let Some(value) = value(json)? {
                    table.insert(key.clone(), value);
                }
            }
            toml::Value::Table(table)
        }
    }))
}
