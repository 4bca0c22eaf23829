//! The coordinator as a systemd service: it says when it is ready and when it
//! ends, and keeps the watchdog content for as long as its engine answers.
//!
//! Protocol: `sd_notify(3)`. Where nobody listens (`NOTIFY_SOCKET` is not set)
//! all of this does nothing.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::coordinator::engine::Engine;

/// It serves. `what` is shown by `systemctl status`.
pub fn ready(what: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(what)]);
}

/// It reads its tasks and its certificate again; [`reloaded`] comes after it.
pub fn reloading() {
    // Without the time systemd would wait for the end of another reload.
    match NotifyState::monotonic_usec_now() {
        Ok(at) => tell(&[NotifyState::Reloading, at]),
        Err(error) => tracing::warn!(%error, "systemd can't be told"),
    }
}

/// It serves again, as before where nothing could be taken.
pub fn reloaded() {
    tell(&[NotifyState::Ready]);
}

/// It ends.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("ending: runs go on under their supervisors")]);
}

/// Tells the watchdog that all is well, twice in each of its intervals, as
/// long as the engine answers. For ever; never mind, where there is no watchdog.
pub async fn keep_alive(engine: &Engine) {
    let Some(interval) = sd_notify::watchdog_enabled().and_then(half) else {
        return std::future::pending().await;
    };
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // One that hangs is not answered for: systemd starts the coordinator anew.
        engine.answers().await;
        tell(&[NotifyState::Watchdog]);
    }
}

/// Half of the watchdog's interval, which is no interval where it is nothing.
fn half(interval: Duration) -> Option<Duration> {
    Some(interval / 2).filter(|half| !half.is_zero())
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd can't be told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_told_twice_in_its_interval() {
        assert_eq!(half(Duration::from_secs(30)), Some(Duration::from_secs(15)));
        assert_eq!(half(Duration::ZERO), None);
    }
}
