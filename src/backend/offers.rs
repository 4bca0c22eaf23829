//! What each system offers an operator, as fixed by its kind: for the README's table and for reasons.

use super::BackendError;
use crate::model::Deed;

/// Whether a system can do something at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// It can.
    Yes,
    /// It can, with something that has to be known.
    With(&'static str),
    /// It can't; the reason is a sentence for the operator.
    No(&'static str),
}

impl Offer {
    /// Why not; `None` if it can.
    #[must_use]
    pub const fn refusal(self) -> Option<&'static str> {
        match self {
            Self::Yes | Self::With(_) => None,
            Self::No(reason) => Some(reason),
        }
    }
}

/// What a system can be read for beyond its tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reads {
    /// Runs of the past.
    pub runs: Offer,
    /// Logs of runs, or of the endpoint.
    pub log: Offer,
    /// Queues with depths.
    pub queues: Offer,
    /// Alerts that the system itself raises.
    pub alerts: Offer,
    /// A trace of a task.
    pub trace: Offer,
    /// An audit log.
    pub audit: Offer,
}

/// What one kind offers.
#[derive(Debug, Clone, Copy)]
pub struct Offers {
    /// What it can be read for.
    pub reads: Reads,
    /// Whether it takes reports of runs that are carried out elsewhere, as `vigie run` sends them.
    pub reports: Offer,
    /// What it can be asked to do.
    pub acts: fn(Deed) -> Offer,
}

/// The refusal of a deed that the kind does not offer.
pub fn refused(offer: Offer) -> BackendError {
    let reason = offer.refusal().unwrap_or("this can't be asked in this form");
    BackendError::Unsupported(reason.into())
}
