//! `vigie endpoints test|add`: looking at one endpoint alone, and writing one
//! into the configuration. Exit codes of `test`: 0 up, 1 degraded (a part can't
//! be read), 2 usage or configuration, 3 it could not be read. Of `add`: 0
//! written, 1 nothing written (refused, or it could not be read), 2 usage or
//! configuration.

mod add;
pub mod args;
mod found;
mod probe;
mod wizard;

use crate::model::Health;

use super::args::Global;
use super::{Exit, Failure, complain, print, session};

use args::TestOptions;

pub use add::add;
pub use wizard::source_of;

/// `vigie endpoints test NAME`
///
/// # Errors
/// Usage or configuration.
pub async fn test(global: &Global, options: &TestOptions) -> Result<Exit, Failure> {
    let (paths, settings) = session::configuration(global)?;
    let specs = session::select(&settings, std::slice::from_ref(&options.endpoint), Exit::USAGE)?;
    let Some(spec) = specs.into_iter().next() else { return Ok(Exit::USAGE) };
    let name = spec.name.clone();
    let session = probe::probe(&paths, spec).await?;
    let text = found::describe(&session, &name);
    let row = session.fleet.endpoint(&name);
    let health = row.map_or(Health::Connecting, |row| row.health);
    if let Some(row) = row.filter(|row| !matches!(row.health, Health::Up | Health::Degraded)) {
        complain(&format!("{name} could not be read: {}", super::read::why(row)));
    }
    session.close().await;
    print(&text)?;
    Ok(match health {
        Health::Up => Exit::OK,
        Health::Degraded => Exit::FAILED,
        Health::Connecting | Health::Down | Health::Unauthorised => Exit::UNKNOWN,
    })
}
