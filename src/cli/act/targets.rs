//! What is named on the command line, found among what the endpoints tell.

use crate::fleet::{Fleet, TaskRow};
use crate::model::{Clean, Deed, EndpointName, Health, RunId, Target, TaskId, TaskKey};

use super::super::Failure;
use super::Wish;

/// An endpoint, or a task of it by any of its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The endpoint.
    pub endpoint: String,
    /// The task's id, alias or name; `None` for the endpoint as a whole.
    pub task: Option<String>,
}

impl Wanted {
    /// The endpoint as a whole.
    pub fn endpoint(endpoint: &str) -> Self {
        Self { endpoint: endpoint.to_owned(), task: None }
    }

    /// `ENDPOINT/TASK` at the first slash.
    ///
    /// # Errors
    /// It is not of this form.
    pub fn split(target: &str) -> Result<Self, Failure> {
        match target.split_once('/') {
            Some((endpoint, task)) if !endpoint.is_empty() && !task.is_empty() => {
                Ok(Self { endpoint: endpoint.to_owned(), task: Some(task.to_owned()) })
            }
            _ => Err(Failure::usage(format!("{:?} is no target: write ENDPOINT/TASK", Clean::line(target)))),
        }
    }
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", Clean::line(&self.endpoint))?;
        self.task.iter().try_for_each(|task| write!(f, "/{}", Clean::line(task)))
    }
}

/// The targets that are named, with the state that they are in now.
///
/// # Errors
/// All that is refused about them at once.
pub fn resolve(fleet: &Fleet, wish: &Wish) -> Result<Vec<Target>, Failure> {
    let mut targets: Vec<Target> = Vec::new();
    let mut refusals = Vec::new();
    for wanted in &wish.wanted {
        match target(fleet, wish.deed, wanted, wish.run.as_deref()) {
            Ok(target) if targets.contains(&target) => {}
            Ok(target) => targets.push(target),
            Err(reason) => refusals.push(format!("{} {wanted}: {reason}", wish.deed)),
        }
    }
    if refusals.is_empty() { Ok(targets) } else { Err(Failure::refused(refusals.join("\n"))) }
}

fn target(fleet: &Fleet, deed: Deed, wanted: &Wanted, run: Option<&str>) -> Result<Target, Clean> {
    let endpoint = EndpointName::new(&wanted.endpoint);
    readable(fleet, &endpoint)?;
    let Some(task) = &wanted.task else {
        let row = fleet.endpoint(&endpoint);
        return match row.and_then(|row| row.capabilities.refusal(deed)) {
            Some(reason) => Err(reason.clone()),
            None => Ok(Target::endpoint(endpoint)),
        };
    };
    let by_id = fleet.task(&TaskKey::new(&endpoint, &TaskId::new(task)));
    let row = by_id.map_or_else(|| named(fleet, &endpoint, task), Ok)?;
    // What a run may be asked is known only to its endpoint.
    if run.is_none()
        && let Some(reason) = row.task.capabilities.refusal(deed)
    {
        return Err(reason.clone());
    }
    let mut target = Target::task(&row.key, row.state);
    target.run = run.map(RunId::new);
    Ok(target)
}

/// Whether anything can be said of an endpoint.
///
/// # Errors
/// Why not.
pub fn readable(fleet: &Fleet, endpoint: &EndpointName) -> Result<(), Clean> {
    let row = fleet.endpoint(endpoint).ok_or_else(|| Clean::from("no such endpoint"))?;
    match (&row.failure, row.health) {
        (Some(failure), _) => Err(failure.reason.clone()),
        (None, Health::Connecting) => Err("the endpoint has not answered in time".into()),
        (None, _) => Ok(()),
    }
}

/// The one task of this alias; else of this name.
fn named<'a>(fleet: &'a Fleet, endpoint: &EndpointName, word: &str) -> Result<&'a TaskRow, Clean> {
    let here: Vec<&TaskRow> = fleet.tasks().filter(|row| row.key.endpoint == *endpoint).collect();
    let by_alias = |row: &&TaskRow| row.task.alias.as_ref().is_some_and(|alias| alias.as_str() == word);
    let by_name = |row: &&TaskRow| row.task.name.as_str() == word;
    let here_are = || here.iter().copied();
    for (form, mut found) in [
        ("alias", here_are().filter(by_alias).collect::<Vec<_>>()),
        ("name", here_are().filter(by_name).collect()),
    ] {
        // What was put away keeps its name beside what took it over.
        if found.len() > 1 {
            found.retain(|row| !row.task.archived);
        }
        match found.as_slice() {
            [row] => return Ok(row),
            [] => {}
            _ => return Err(Clean::from(format!("several tasks have this {form}: give the id"))),
        }
    }
    let words: Vec<String> = here
        .iter()
        .flat_map(|row| {
            [
                Some(row.key.task.to_string()),
                row.task.alias.as_ref().map(Clean::to_string),
                Some(row.task.name.to_string()),
            ]
        })
        .flatten()
        .collect();
    let near = crate::document::did_you_mean(word, words.iter().map(String::as_str));
    Err(Clean::from(format!("no such task{near}")))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::cli::Exit;
    use crate::model::{Capabilities, Command, EndpointSpec, Kind, Part, Snapshot, Task, Verb};

    /// An endpoint with tasks, each by id, alias, name and whether it was put away.
    fn fleet(tasks: &[(&str, Option<&str>, &str, bool)]) -> Fleet {
        let at = DateTime::UNIX_EPOCH;
        let spec = EndpointSpec::new("duck".into(), Kind::DutyDuck, Some("http://duck".to_owned()));
        let mut fleet = Fleet::default();
        fleet.configure(std::slice::from_ref(&spec), at);
        let can = Capabilities::none("its own wrapper starts it").with([(Command::DutyDuckFinish, None)]);
        let task = |&(id, alias, name, archived): &(&str, Option<&str>, &str, bool)| Task {
            alias: alias.map(Clean::line),
            archived,
            ..Task::bare(TaskId::new(id), Clean::line(name), can.clone())
        };
        let tasks = Part::complete(tasks.iter().map(task).collect());
        fleet.apply(&spec.name, Snapshot { tasks, ..Snapshot::unchanged(at, 1) }, at);
        fleet
    }

    #[test]
    fn a_task_is_found_by_id_then_alias_then_name_where_unique() {
        let fleet = fleet(&[
            ("id-1", Some("dump"), "Nightly dump", false),
            ("id-2", Some("dump"), "Nightly dump", true),
            ("id-3", Some("id-1"), "backup", false),
            ("id-4", None, "backup", false),
            ("id-5", Some("backup"), "other", false),
            ("id-6", None, "twin", false),
            ("id-7", None, "twin", false),
        ]);
        let find = |word: &str| {
            let wanted = Wanted { endpoint: "duck".to_owned(), task: Some(word.to_owned()) };
            target(&fleet, Command::DutyDuckFinish.into(), &wanted, None)
                .map(|target| target.task.unwrap().to_string())
                .map_err(|reason| reason.to_string())
        };
        for (word, found) in [
            ("id-2", Ok("id-2")),
            ("id-1", Ok("id-1")),
            ("dump", Ok("id-1")),
            ("Nightly dump", Ok("id-1")),
            ("backup", Ok("id-5")),
            ("twin", Err("several tasks have this name: give the id")),
            ("dmup", Err("no such task; did you mean \"dump\"?")),
        ] {
            assert_eq!(find(word).as_deref().map_err(String::as_str), found, "{word}");
        }
    }

    #[test]
    fn all_that_is_refused_is_said_at_once() {
        let fleet = fleet(&[("a", None, "a", false)]);
        let wanted = ["duck/a", "duck/b", "nowhere/a"].map(|target| Wanted::split(target).unwrap());
        let wish = Wish {
            deed: Verb::Trigger.into(),
            wanted: wanted.to_vec(),
            run: None,
            arguments: crate::model::Arguments::default(),
            how: crate::cli::args::How::default(),
            wait: false,
        };
        let failure = resolve(&fleet, &wish).unwrap_err();
        assert_eq!(
            failure.message,
            "trigger duck/a: its own wrapper starts it\ntrigger duck/b: no such task\n\
             trigger nowhere/a: no such endpoint"
        );
        assert_eq!(failure.exit, Exit::FAILED);
    }

    #[test]
    fn a_target_splits_at_the_first_slash() {
        let wanted = Wanted::split("ops/a/b").unwrap();
        assert_eq!((wanted.endpoint.as_str(), wanted.task.as_deref()), ("ops", Some("a/b")));
        for bad in ["ops", "/a", "ops/", ""] {
            assert_eq!(Wanted::split(bad).unwrap_err().exit, Exit::USAGE, "{bad}");
        }
    }
}
