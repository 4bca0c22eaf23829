//! From what was decided to what is done: runs are started and stopped, other machines asked.

use std::sync::Arc;
use std::time::Duration;

use crate::coordinator::domain::{BuiltIn, Definition, Effect, Work};
use crate::coordinator::exec::{Attempt, Event, Launch};
use crate::coordinator::{builtin, shell};
use crate::model::{RunId, TaskId};

use super::actor::{Actor, bad};
use super::secrets;

impl Actor {
    /// Does what was decided, now that it is on disk.
    pub(super) fn carry_out(&self, effect: Effect) {
        match effect {
            Effect::Stop(run) => self.executor.stop(&run),
            Effect::Start { run, attempt, definition } => self.start(run, attempt, &definition),
            Effect::Probe(machine) => self.probe(machine),
            Effect::Ask { run, attempt, machine } => self.ask(run, attempt, machine),
            Effect::EndThere { run, attempt, machine, grace } => self.end_there(run, attempt, machine, grace),
        }
    }

    fn start(&self, run: RunId, number: u32, definition: &Arc<Definition>) {
        let task = definition.id.clone();
        match &definition.work {
            Work::Command(command) => {
                let here = Launch::here(command, &task, &run, number);
                let here = secrets::given(self.vault.clone(), definition.clone(), here);
                let machine = definition.machine.as_ref().map(|name| self.domain.machine_spec(name.as_str()));
                let (ssh, of) = (self.ssh.clone(), run.clone());
                let launch = async move {
                    let here = here.await?;
                    match machine {
                        Some(machine) => ssh.launch(&machine, here, &of, number),
                        None => Ok(here),
                    }
                };
                let kill_grace = definition.kill_grace;
                let max_runtime = definition.policy.max_runtime_s.map(|s| Duration::from_secs(s.into()));
                self.executor.start(Attempt { run, task, number, kill_grace, max_runtime }, launch);
            }
            Work::BuiltIn(which) => self.start_built_in(run, task, *which),
            Work::Watched => {
                let events = self.events_in.clone();
                shell::spawn(async move {
                    let outcome = bad("it has no command here: it is only watched");
                    let _ = events.send(Event::Ended(run, outcome)).await;
                });
            }
        }
    }

    fn start_built_in(&self, run: RunId, task: TaskId, which: BuiltIn) {
        let (context, logs, events) =
            (self.context.clone(), self.context.logs.clone(), self.events_in.clone());
        shell::spawn(async move {
            let outcome = match logs.append(&task, &run) {
                Ok(mut log) => builtin::carry_out(which, &context, &mut log).await,
                Err(error) => bad(&format!("its log can't be written: {error}")),
            };
            drop(context);
            let _ = events.send(Event::Ended(run, outcome)).await;
            if let Err(error) = logs.prune(&task) {
                tracing::warn!(%task, %error, "old logs can't be deleted");
            }
        });
    }
}
