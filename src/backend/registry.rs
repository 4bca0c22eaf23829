//! The only list of adapters.

use std::sync::Arc;

use super::duplistatus::Duplistatus;
use super::duty_duck::DutyDuck;
use super::rediacc::Rediacc;
use super::vigie::Vigie;
use super::{Backend, BuildError, Offers, Surroundings, duplistatus, duty_duck, rediacc, vigie};
use crate::model::{EndpointSpec, Kind};

/// The adapter for an endpoint.
///
///
/// # Errors
/// [`BuildError`] if the endpoint's configuration can't work.
pub fn build(spec: &EndpointSpec, around: &Surroundings) -> Result<Arc<dyn Backend>, BuildError> {
    Ok(match spec.kind {
        Kind::Vigie => Arc::new(Vigie::new(spec, around)?),
        Kind::Duplistatus => Arc::new(Duplistatus::new(spec, around)?),
        Kind::DutyDuck => Arc::new(DutyDuck::new(spec, around)?),
        Kind::Rediacc => Arc::new(Rediacc::new(spec, around)?),
    })
}

/// What a kind offers, whichever endpoint it is.
#[must_use]
pub const fn offers(kind: Kind) -> Offers {
    match kind {
        Kind::Vigie => vigie::OFFERS,
        Kind::Duplistatus => duplistatus::OFFERS,
        Kind::DutyDuck => duty_duck::OFFERS,
        Kind::Rediacc => rediacc::OFFERS,
    }
}
