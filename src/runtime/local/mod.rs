//! The coordinator of this machine's data directory: found, or started as a
//! child in its own process group, held by a lease, and found or started again
//! when it has gone.
//!
//! Several consoles may do this at once. The operating system's lock on the
//! data directory decides which child lives; the others end, and their
//! consoles attach to the one that does.

mod child;
mod client;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::outbox::Outbox;
use super::pace::Pace;
use super::{LocalPolicy, Places, Update, shell};
use crate::model::{Clean, EndpointSpec};
use crate::wire::Coordinator;
use child::Started;
use client::{Client, Found, Lease};

/// How long a coordinator may take until it announces itself.
const START_LIMIT: Duration = Duration::from_secs(10);
/// How long another's may take whose lock ended ours.
const OTHER_LIMIT: Duration = Duration::from_secs(3);
/// How long one that only answers a command may keep the place.
const ANSWERING_LIMIT: Duration = Duration::from_secs(20);
/// How often the announcement is looked for meanwhile.
const LOOK: Duration = Duration::from_millis(10);
/// How often the coordinator is asked who else holds it.
const ASK: Duration = Duration::from_secs(3);

/// What is known of the local coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalState {
    /// It is looked for, or is being started.
    Starting,
    /// It answers.
    Attached {
        /// It ends when this console goes.
        ends_with_us: bool,
    },
    /// There is none, and none can be started for now.
    Failed(Clean),
}

/// Looks after the local coordinator.
#[derive(Debug)]
pub struct Keeper {
    /// Its endpoint.
    pub spec: Arc<EndpointSpec>,
    /// Files.
    pub places: Places,
    /// What to start.
    pub policy: LocalPolicy,
    /// With which program; `None` if that is not known.
    pub program: Option<std::path::PathBuf>,
    /// For notes.
    pub outbox: Arc<Outbox>,
    /// For whoever wants to know.
    pub state: watch::Sender<LocalState>,
}

impl Keeper {
    /// Keeps a coordinator attached; never ends. Dropping the future gives the lease back.
    pub async fn run(self) {
        let pace = Pace::of(&self.spec);
        let client = match Client::new(&self.places.data) {
            Ok(client) => client,
            Err(reason) => {
                self.state.send_replace(LocalState::Failed(reason));
                return std::future::pending().await;
            }
        };
        let mut lost = false;
        let mut tries = 0;
        loop {
            match self.attach(&client, lost).await {
                Ok((found, lease)) => {
                    (tries, lost) = (0, true);
                    self.hold(&client, &found, lease).await;
                    self.state.send_replace(LocalState::Starting);
                }
                Err(reason) => {
                    tries += 1;
                    tracing::warn!(%reason, "no local coordinator");
                    self.state.send_replace(LocalState::Failed(reason));
                    tokio::time::sleep(pace.after_bad(tries, None, shell::dice()).delay).await;
                }
            }
        }
    }

    /// Finds a coordinator or starts one, and takes a lease. `again`: there was one before.
    async fn attach(&self, client: &Client, again: bool) -> Result<(Found, Lease), Clean> {
        let (found, started) = match self.find(client).await? {
            Some(found) => (found, false),
            None => self.start(client).await?,
        };
        let lease = client.lease(&found).await?;
        let pid = found.about.pid;
        let note = match (self.policy, started, again) {
            (LocalPolicy::AnswerOnly, ..) | (_, false, false) => None,
            (_, true, false) => Some(format!("started a coordinator on this machine (pid {pid})")),
            (_, true, true) => Some(format!("the coordinator had ended: started another (pid {pid})")),
            (_, false, true) => {
                Some(format!("the coordinator had ended: attached to another that runs here (pid {pid})"))
            }
        };
        if let Some(note) = note {
            self.outbox.other(Update::Note(Clean::from(note)));
        }
        Ok((found, lease))
    }

    /// A running coordinator that is good enough. One that only answers a
    /// command is shown, but is no place to stay: it is waited out.
    async fn find(&self, client: &Client) -> Result<Option<Found>, Clean> {
        let wait = async {
            loop {
                let found = client.find().await?;
                if self.suits(&found.about) {
                    return Some(found);
                }
                self.state.send_replace(LocalState::Attached { ends_with_us: false });
                tokio::time::sleep(10 * LOOK).await;
            }
        };
        tokio::time::timeout(ANSWERING_LIMIT, wait).await.map_err(|_| {
            "the coordinator that runs here schedules nothing, and does not end: \
             another vigie command is still waiting for it"
                .into()
        })
    }

    fn suits(&self, about: &Coordinator) -> bool {
        about.scheduling || self.policy == LocalPolicy::AnswerOnly
    }

    /// Starts one and waits until one answers: ours, or another's that was faster (then `false`).
    async fn start(&self, client: &Client) -> Result<(Found, bool), Clean> {
        let program = self.program.as_deref().ok_or("vigie does not know where its own program is")?;
        let mut child = Started::new(program, &self.places, self.policy)?;
        let mut limit = START_LIMIT;
        let mut ended: Option<Clean> = None;
        let mut waited = Duration::ZERO;
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while waited < limit {
            look.tick().await;
            waited += LOOK;
            if let Some(found) = client.find_new().await
                && self.suits(&found.about)
            {
                let ours = child.is(found.about.pid);
                child.let_go();
                return Ok((found, ours));
            }
            if ended.is_none()
                && let Some(reason) = child.ended()
            {
                // Perhaps because another has the lock, and is about to say so.
                ended = Some(reason);
                limit = waited + OTHER_LIMIT;
            }
            // Nobody but us is there: no use in waiting for another.
            if ended.is_some() && !child.lost_a_race() {
                break;
            }
        }
        child.let_go();
        Err(ended.unwrap_or_else(|| {
            let log = self.places.coordinator_log();
            Clean::from(format!(
                "the coordinator did not come up within {} s: see {}",
                START_LIMIT.as_secs(),
                log.display()
            ))
        }))
    }

    /// Holds the lease until it breaks.
    async fn hold(&self, client: &Client, found: &Found, mut lease: Lease) {
        let mut ask = tokio::time::interval(ASK);
        ask.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = lease.broken() => return,
                _ = ask.tick() => {}
            }
            let asked = tokio::select! {
                () = lease.broken() => return,
                about = client.about(found) => about,
            };
            // One that is too busy to answer is still the one that we hold.
            let about = asked.unwrap_or_else(|_| found.about.clone());
            let ends_with_us = about.scheduling && about.ends_with_consoles && about.consoles <= 1;
            self.state.send_if_modified(|state| {
                let next = LocalState::Attached { ends_with_us };
                let changed = *state != next;
                *state = next;
                changed
            });
        }
    }
}

#[cfg(test)]
mod tests;
