//! One endpoint's poller: one request in flight, at its pace, for ever.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::local::LocalState;
use super::outbox::{Outbox, Speaker};
use super::pace::{Pace, Pause};
use super::shell;
use crate::backend::{Backend, BackendError, Cursor, Polled};
use crate::fleet::Failure;
use crate::model::{Capabilities, Clean, EndpointSpec, Health};

/// What an adapter is given beyond its own time limit, so that its own, more exact words are heard first.
const GRACE: Duration = Duration::from_secs(1);

/// Polls one endpoint.
#[derive(Debug)]
pub struct Poller {
    /// How it is polled.
    pub spec: Arc<EndpointSpec>,
    /// What polls it.
    pub backend: Arc<dyn Backend>,
    /// Where answers go.
    pub outbox: Arc<Outbox>,
    /// In whose name.
    pub speaker: Speaker,
    /// Ends a pause.
    pub wake: Arc<Notify>,
    /// For a coordinator that is started here: polled once it is there.
    pub gate: Option<watch::Receiver<LocalState>>,
}

/// A poll that brought nothing.
struct Miss {
    health: Health,
    reason: Clean,
    retry_after: Option<Duration>,
}

impl Miss {
    fn of(error: &BackendError) -> Self {
        Self {
            health: error.health(),
            reason: Clean::from(error.to_string()),
            retry_after: error.retry_after(),
        }
    }

    const fn down(reason: Clean) -> Self {
        Self { health: Health::Down, reason, retry_after: None }
    }
}

impl Poller {
    /// Polls until `stop`; a poll in flight is cancelled then.
    pub async fn run(mut self, stop: CancellationToken) {
        let pace = Pace::of(&self.spec);
        let mut cursor: Option<Cursor> = None;
        let mut tries: u32 = 0;
        let mut described = None;
        self.describe(&mut described);
        loop {
            let polled = tokio::select! {
                polled = self.poll(cursor.as_ref()) => polled,
                () = stop.cancelled() => return,
            };
            // A poll may have found where it is: told first, so that no row comes without.
            self.describe(&mut described);
            let pause = match polled {
                Ok(polled) => {
                    tries = 0;
                    cursor = polled.cursor;
                    let asked = polled.snapshot.next_poll;
                    self.outbox.polled(&self.speaker, polled.snapshot);
                    pace.after_good(self.backend.pushes(), asked, shell::dice())
                }
                Err(miss) => {
                    tries = tries.saturating_add(1);
                    let pause = pace.after_bad(tries, miss.retry_after, shell::dice());
                    self.missed(miss, tries, pause);
                    pause
                }
            };
            tokio::select! {
                () = self.pause(pause) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// One poll, once there is somebody to ask.
    async fn poll(&mut self, cursor: Option<&Cursor>) -> Result<Polled, Miss> {
        if let Some(gate) = &mut self.gate {
            let state = gate.wait_for(|state| !matches!(state, LocalState::Starting)).await;
            match state.as_deref() {
                Ok(LocalState::Failed(reason)) => return Err(Miss::down(reason.clone())),
                Ok(_) => {}
                Err(_) => return Err(Miss::down("the local coordinator is no longer looked after".into())),
            }
        }
        // An adapter that waits for changes waits one cadence, at least a second.
        let waits = if self.backend.pushes() { self.spec.poll.max(GRACE) } else { Duration::ZERO };
        let limit = waits + self.spec.timeout + GRACE;
        match shell::contained(tokio::time::timeout(limit, self.backend.poll(cursor))).await {
            Ok(Ok(Ok(polled))) => Ok(polled),
            Ok(Ok(Err(error))) => Err(Miss::of(&error)),
            Ok(Err(_)) => Err(Miss::of(&BackendError::TimedOut { after: self.spec.timeout })),
            Err(panic) => Err(Miss::down(panic)),
        }
    }

    fn missed(&self, miss: Miss, tries: u32, pause: Pause) {
        let delay = chrono::TimeDelta::from_std(pause.delay).unwrap_or_default();
        let next_try = shell::now() + delay;
        tracing::debug!(endpoint = %self.speaker.endpoint, reason = %miss.reason, tries, "poll failed");
        let failure = Failure { health: miss.health, reason: miss.reason, tries, next_try };
        self.outbox.failed(&self.speaker, failure);
    }

    /// Tells what the adapter says of its endpoint, if that is new.
    fn describe(&self, last: &mut Option<(Option<String>, Capabilities)>) {
        let described = (self.backend.url(), self.backend.endpoint_capabilities());
        if last.as_ref() != Some(&described) {
            self.outbox.described(&self.speaker, described.0.clone(), described.1.clone());
            *last = Some(described);
        }
    }

    /// Waits until the next poll is due, or somebody wants it sooner.
    async fn pause(&mut self, pause: Pause) {
        // A coordinator that has been found again is asked at once.
        let found_again = async {
            match &mut self.gate {
                Some(gate) => {
                    gate.mark_unchanged();
                    if gate.wait_for(|state| !matches!(state, LocalState::Attached { .. })).await.is_ok() {
                        gate.wait_for(|state| matches!(state, LocalState::Attached { .. })).await.is_ok()
                    } else {
                        std::future::pending().await
                    }
                }
                None => std::future::pending().await,
            }
        };
        tokio::time::sleep(pause.at_least).await;
        tokio::select! {
            () = tokio::time::sleep(pause.delay.saturating_sub(pause.at_least)) => {}
            () = self.wake.notified() => {}
            _ = found_again => {}
        }
    }
}
