//! What the engine learns from other machines: asked beside it, told in its mailbox.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::coordinator::domain::MachineSpec;
use crate::coordinator::shell;
use crate::model::RunId;

use super::actor::Actor;
use super::message::{Message, News};

impl Actor {
    /// Whether a machine is there.
    pub(super) fn probe(&self, machine: Arc<MachineSpec>) {
        let ssh = self.ssh.clone();
        self.learn(async move {
            let answer = ssh.probe(&machine).await;
            News::Probed(machine.name.clone(), answer)
        });
    }

    /// What became of a run whose connection was cut.
    pub(super) fn ask(&self, run: RunId, attempt: u32, machine: Arc<MachineSpec>) {
        let ssh = self.ssh.clone();
        self.learn(async move {
            let told = ssh.ask(&machine, &run, attempt).await;
            News::Told(run, told)
        });
    }

    /// Ends a run that nothing here is connected to any more. Whether it did shows when it is asked about.
    pub(super) fn end_there(&self, run: RunId, attempt: u32, machine: Arc<MachineSpec>, grace: Duration) {
        let ssh = self.ssh.clone();
        shell::spawn(async move {
            for kill in [false, true] {
                if let Err(error) = ssh.end(&machine, &run, attempt, kill).await {
                    tracing::warn!(%run, machine = %machine.name, %error, "a run can't be ended there");
                }
                tokio::time::sleep(grace).await;
            }
        });
    }

    /// Has the engine hear what is being found out.
    fn learn(&self, finding: impl Future<Output = News> + Send + 'static) {
        let mailbox = self.context.engine.0.clone();
        shell::spawn(async move {
            let news = finding.await;
            if let Some(mailbox) = mailbox.upgrade() {
                let _ = mailbox.send(Message::News(news)).await;
            }
        });
    }

    /// Takes what was found out. Gives the attempt whose end is known by that.
    pub(super) fn hear(&mut self, news: News, now: DateTime<Utc>) -> Option<(RunId, u32)> {
        match news {
            News::Probed(machine, answer) => {
                self.domain.machine_answered(machine.as_str(), answer, now);
                None
            }
            News::Told(run, told) => {
                let attempt = self.domain.active(&run)?.row.run.attempt;
                self.domain.told_of(&run, told, now);
                (!self.domain.is_adrift(&run)).then_some((run, attempt))
            }
        }
    }
}
