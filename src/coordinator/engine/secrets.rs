//! From a task's definition to what its run is launched with: secrets are read
//! at the start of each attempt, and nowhere kept.

use std::sync::Arc;

use secrecy::ExposeSecret as _;

use crate::coordinator::domain::Definition;
use crate::coordinator::exec::Launch;
use crate::model::Clean;
use crate::vault::{SecretName, Vault};

/// The launch with the secrets that its task names: in its environment, and kept out of its output.
///
/// # Errors
/// A sentence that names the secret that can't be had, never a value.
pub(super) async fn given(
    vault: Vault,
    definition: Arc<Definition>,
    launch: Launch,
) -> Result<Launch, Clean> {
    give(&vault, &definition, launch).await.map_err(|why| Clean::from(format!("not started: {why}")))
}

async fn give(vault: &Vault, definition: &Definition, mut launch: Launch) -> Result<Launch, String> {
    if definition.secrets.is_empty() {
        return Ok(launch);
    }
    let team = definition.team.as_ref().map(Clean::as_str);
    let mut names = Vec::with_capacity(definition.secrets.len());
    for (variable, name) in &definition.secrets {
        let name: SecretName = name.parse().map_err(|why| format!("{variable}: {why}"))?;
        name.check_for(team).map_err(|why| format!("{variable}: {why}"))?;
        names.push(name);
    }
    let values = vault.get_all(&names).await.map_err(|error| error.to_string())?;
    for (variable, value) in definition.secrets.keys().zip(values) {
        launch.env.insert(variable.clone(), value.expose_secret().to_owned());
        launch.redact.push(value.expose_secret().to_owned());
    }
    Ok(launch)
}
