//! The stand-ins with something of everything in them, as of now.

use chrono::{DateTime, TimeDelta, Utc};

use super::duplistatus::{self, CLEANUP};
use super::duplistatus_web::Web;
use super::rediacc::{self, Data};

/// Both processes of duplistatus: both tasks have run, the clean-up is
/// stopped, and of the backup jobs one has failed, one is overdue, one is new.
pub async fn backups(now: DateTime<Utc>) -> (duplistatus::StandIn, Web) {
    let service = duplistatus::StandIn::start().await;
    let web = Web::start(service.database()).await;
    let shift = {
        let mut inner = service.inner();
        let shift = now - inner.clock;
        inner.clock = now - TimeDelta::seconds(10);
        inner.fire();
        inner.stop(CLEANUP);
        inner.clock = now;
        shift
    };
    for job in &mut web.inner().jobs {
        job.last = job.last.map(|last| last + shift);
    }
    (service, web)
}

/// Rediacc with items in every state.
pub async fn queue(now: DateTime<Utc>) -> rediacc::StandIn {
    let server = rediacc::StandIn::start().await;
    let mut world = server.world();
    world.clock = now;
    world.data = Data::seeded(now);
    drop(world);
    server
}
