use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::coordinator::domain::{Batch, Domain};
use crate::coordinator::engine::shared::Shared;
use crate::model::{AlertKind, Capabilities, RunState, Severity};

use super::*;

const TEAMS: [&str; 3] = ["data", "ops", "web"];

/// A step of a story: what becomes of one of five tasks.
#[derive(Debug, Clone)]
enum Step {
    /// It is there, of this team (none, if beyond [`TEAMS`]).
    Is(u8, u8),
    /// It goes, and its alert with it.
    Goes(u8),
    /// An alert of it opens.
    Opens(u8),
    /// It closes.
    Closes(u8),
    /// A run of it changes.
    Runs(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..5_u8, 0..4_u8).prop_map(|(task, team)| Step::Is(task, team)),
        1 => (0..5_u8).prop_map(Step::Goes),
        2 => (0..5_u8).prop_map(Step::Opens),
        1 => (0..5_u8).prop_map(Step::Closes),
        2 => (0..5_u8).prop_map(Step::Runs),
    ];
    proptest::collection::vec(step, 1..40)
}

fn id(task: u8) -> TaskId {
    TaskId::new(&format!("task-{task}"))
}

fn alert(task: u8) -> Alert {
    Alert {
        task: Some(id(task)),
        queue: None,
        kind: AlertKind::Failed,
        severity: Severity::Critical,
        since: DateTime::UNIX_EPOCH,
        summary: Clean::from(format!("of task {task}")),
        acknowledged_by: None,
        silenced_until: None,
        handling: None,
    }
}

/// What there is, by the story alone.
#[derive(Debug, Clone, Default)]
struct World {
    tasks: BTreeMap<u8, Option<&'static str>>,
    alerts: BTreeSet<u8>,
}

impl World {
    fn take(&mut self, step: &Step) -> Batch {
        let mut batch = Batch::default();
        match *step {
            Step::Is(task, team) => {
                let team = TEAMS.get(usize::from(team)).copied();
                self.tasks.insert(task, team);
                let name = Clean::from(format!("task {task}"));
                let bare = Task::bare(id(task), name, Capabilities::by(|_| None));
                batch.tasks.insert(id(task), Arc::new(Task { team: team.map(Clean::line), ..bare }));
            }
            Step::Goes(task) if self.tasks.remove(&task).is_some() => {
                batch.tasks_gone.push(id(task));
                if self.alerts.remove(&task) {
                    batch.alerts_gone.push(alert(task).key());
                }
            }
            Step::Opens(task) if self.tasks.contains_key(&task) && self.alerts.insert(task) => {
                batch.alerts.insert(alert(task).key(), alert(task));
            }
            Step::Closes(task) if self.alerts.remove(&task) => batch.alerts_gone.push(alert(task).key()),
            Step::Runs(task) if self.tasks.contains_key(&task) => {
                let run = RunId::new(&format!("run-of-{task}"));
                let told = Run { id: Some(run.clone()), ..Run::bare(id(task), RunState::Running) };
                batch.runs.insert(run, told);
            }
            _ => {}
        }
        batch
    }

    fn theirs(&self, scope: &Scope) -> BTreeSet<u8> {
        self.tasks.iter().filter(|(_, team)| scope.holds(**team)).map(|(task, _)| *task).collect()
    }
}

/// What a reader of a scope has gathered from answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Reader {
    tasks: BTreeSet<TaskId>,
    alerts: BTreeSet<String>,
}

impl Reader {
    fn of(world: &World, scope: &Scope) -> Self {
        let theirs = world.theirs(scope);
        let alerts = world.alerts.intersection(&theirs).map(|task| format!("{:?}", alert(*task).key()));
        Self { alerts: alerts.collect(), tasks: theirs.into_iter().map(id).collect() }
    }

    fn take(&mut self, changes: &ChangesSince) {
        for task in &changes.tasks_gone {
            self.tasks.remove(task);
        }
        self.tasks.extend(changes.tasks.iter().map(|task| task.id.clone()));
        for key in &changes.alerts_gone {
            self.alerts.remove(&format!("{key:?}"));
        }
        self.alerts.extend(changes.alerts.iter().map(|alert| format!("{:?}", alert.key())));
    }
}

proptest! {
    /// From whatever revision on a reader of some teams follows, it comes to what there is of them, and
    /// is told of nothing that was never theirs.
    #[test]
    fn changes_of_a_scope_lead_to_what_it_holds_and_tell_of_nothing_else(
        story in steps(),
        team in 0..3_usize,
    ) {
        let scope = Scope::Teams(BTreeSet::from([TEAMS[team].to_owned()]));
        let shared = Shared::new(1, DateTime::UNIX_EPOCH);
        let domain = Domain::new([1; 32], true);
        let mut world = World::default();
        // Before the first view nobody knew anything.
        shared.publish(world.take(&Step::Is(0, 0)), &domain, &[], DateTime::UNIX_EPOCH);
        let mut worlds = vec![(shared.view().revision, world.clone())];
        for step in &story {
            let batch = world.take(step);
            shared.publish(batch, &domain, &[], DateTime::UNIX_EPOCH);
            worlds.push((shared.view().revision, world.clone()));
        }
        for (at, (revision, then)) in worlds.iter().enumerate() {
            let changes = shared.since(*revision, &scope).unwrap();
            let ever: BTreeSet<TaskId> =
                worlds[at..].iter().flat_map(|(_, world)| world.theirs(&scope)).map(id).collect();
            let told = changes.tasks.iter().map(|task| &task.id).chain(&changes.tasks_gone);
            let told = told.chain(changes.runs.iter().map(|run| &run.task));
            let told = told.chain(changes.alerts.iter().filter_map(|alert| alert.task.as_ref()));
            for task in told.chain(changes.alerts_gone.iter().filter_map(|key| key.task.as_ref())) {
                prop_assert!(ever.contains(task), "{task} was never of {scope:?}: {changes:?}");
            }
            let mut reader = Reader::of(then, &scope);
            reader.take(&changes);
            prop_assert_eq!(reader, Reader::of(&world, &scope), "from revision {}", revision);
        }
    }
}
