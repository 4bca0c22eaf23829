//! The only list of adapters.

use std::path::PathBuf;
use std::sync::Arc;

use super::duplistatus::Duplistatus;
use super::vigie::Vigie;
use super::{Backend, BuildError, CredentialSource, Now};
use crate::model::{EndpointSpec, Kind};

/// The adapter for an endpoint.
///
/// `locator` is the data directory in which a `vigie` endpoint without url
/// finds its coordinator; `now` is the shell's clock.
///
/// # Errors
/// [`BuildError`] if the endpoint's configuration can't work.
pub fn build(
    spec: &EndpointSpec,
    credentials: Arc<dyn CredentialSource>,
    locator: Option<PathBuf>,
    now: Now,
) -> Result<Arc<dyn Backend>, BuildError> {
    Ok(match spec.kind {
        Kind::Vigie => Arc::new(Vigie::new(spec, credentials, locator, now)?),
        Kind::Duplistatus => Arc::new(Duplistatus::new(spec, now)?),
    })
}
