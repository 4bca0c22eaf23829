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
use super::pace::{GAP, Pace};
use super::{LocalPolicy, Places, Update, shell};
use crate::model::{Clean, EndpointSpec};
use crate::wire::Coordinator;
use child::{End, Started};
use client::{Client, Found, Lease};

/// How long a coordinator may take until it announces itself.
const START_LIMIT: Duration = Duration::from_secs(10);
/// How long the one that ended ours by its lock is given to announce itself
/// before ours is started again: it may be on its way out instead.
const OTHER_LIMIT: Duration = Duration::from_millis(500);
/// How long one that only answers a command may keep the place.
const ANSWERING_LIMIT: Duration = Duration::from_secs(20);
/// How often the announcement is looked for meanwhile.
const LOOK: Duration = Duration::from_millis(10);
/// How often the coordinator is asked who else holds it.
pub const ASK: Duration = Duration::from_secs(3);

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
    /// How often the coordinator is asked who else holds it: [`ASK`].
    pub ask: Duration,
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
        let mut former = None;
        let mut tries = 0;
        loop {
            match self.attach(&client, former).await {
                Ok((found, lease)) => {
                    (tries, former) = (0, Some(found.about.pid));
                    self.hold(&client, &found, lease).await;
                    self.state.send_replace(LocalState::Starting);
                    // One that is about to end may take a lease and give it back at once.
                    tokio::time::sleep(GAP).await;
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

    /// Finds a coordinator or starts one, and takes a lease. `former`: the
    /// process of the one that there was before.
    async fn attach(&self, client: &Client, former: Option<u32>) -> Result<(Found, Lease), Clean> {
        let (found, started) = match self.find(client).await? {
            Some(found) => (found, false),
            None => self.start(client).await?,
        };
        let lease = client.lease(&found).await?;
        // Known from the first moment on: quitting must never go unasked.
        let others = found.about.consoles;
        self.state
            .send_replace(LocalState::Attached { ends_with_us: ends_with_last(&found.about) && others == 0 });
        let pid = found.about.pid;
        let note = match (self.policy, started, former) {
            (LocalPolicy::AnswerOnly, ..) | (_, false, None) => None,
            (_, _, Some(former)) if former == pid => None,
            (_, true, None) => Some(format!("started a coordinator on this machine (pid {pid})")),
            (_, true, Some(_)) => Some(format!("the coordinator had ended: started another (pid {pid})")),
            (_, false, Some(_)) => {
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
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut waited, mut since_lost) = (Duration::ZERO, None);
        while waited < START_LIMIT {
            look.tick().await;
            waited += LOOK;
            if let Some(found) = client.find_new().await
                && self.suits(&found.about)
            {
                let ours = child.is(found.about.pid);
                return Ok((found, ours));
            }
            match (child.ended(), since_lost) {
                (Some(End { lost_a_race: false, reason }), _) => return Err(reason),
                (Some(End { lost_a_race: true, .. }), _) => since_lost = Some(waited),
                (None, Some(lost)) if waited >= lost + OTHER_LIMIT => {
                    child = Started::new(program, &self.places, self.policy)?;
                    since_lost = None;
                }
                (None, _) => {}
            }
        }
        let log = self.places.coordinator_log();
        Err(Clean::from(match since_lost {
            Some(_) => {
                "another coordinator has the data directory, and does not say where it listens".to_owned()
            }
            None => format!(
                "the coordinator did not come up within {} s: see {}",
                START_LIMIT.as_secs(),
                log.display()
            ),
        }))
    }

    /// Holds the lease until it breaks.
    async fn hold(&self, client: &Client, found: &Found, mut lease: Lease) {
        let mut ask = tokio::time::interval(self.ask);
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
            let Ok(about) = asked else { continue };
            let ends_with_us = ends_with_last(&about) && about.consoles <= 1;
            self.state.send_if_modified(|state| {
                let next = LocalState::Attached { ends_with_us };
                let changed = *state != next;
                *state = next;
                changed
            });
        }
    }
}

/// Whether scheduling stops when the last console goes.
const fn ends_with_last(about: &Coordinator) -> bool {
    about.scheduling && about.ends_with_consoles
}

#[cfg(test)]
mod tests;
