//! Reports of `vigie run` that wait in the state directory, delivered while a
//! coordinator runs for its own sake: nobody need run a command for it.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::config::{Overrides, Paths, Settings};
use crate::runtime::Places;
use crate::runtime::courier::Courier;
use crate::runtime::spool::Spool;

/// How often it is looked whether something waits.
const LOOK: Duration = Duration::from_secs(30);

/// Delivers what waits, now and then, until `stop`.
pub async fn deliver(paths: &Paths, overrides: &Overrides, places: Places, stop: CancellationToken) {
    let spool = Spool::new(&places.state);
    loop {
        if !spool.tickets().is_empty() {
            // As it is configured by now; what is wrong with it is told elsewhere.
            let settings = Settings::load(paths, overrides).unwrap_or_default();
            let mut courier = Courier::new(settings.endpoints, places.clone());
            tokio::select! {
                round = courier.deliver_all(&spool) => {
                    if round.delivered > 0 {
                        tracing::info!("{} reports that waited are delivered", round.delivered);
                    }
                }
                () = stop.cancelled() => return,
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}
