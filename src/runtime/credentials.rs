//! Credentials of an endpoint: read from their sources whenever they are asked for.

use async_trait::async_trait;
use secrecy::SecretString;

use crate::backend::CredentialSource;
use crate::model::{EndpointSpec, SecretRef};
use crate::vault;

/// The names under `[endpoint.auth]` of one endpoint.
#[derive(Debug)]
pub struct Credentials(std::collections::BTreeMap<String, SecretRef>);

impl Credentials {
    /// Those of `spec`.
    pub fn of(spec: &EndpointSpec) -> Self {
        Self(spec.auth.clone())
    }
}

#[async_trait]
impl CredentialSource for Credentials {
    async fn credential(&self, name: &str) -> Result<Option<SecretString>, String> {
        match self.0.get(name) {
            Some(reference) => {
                vault::resolve(reference).await.map(Some).map_err(|error| format!("{name}: {error}"))
            }
            None => Ok(None),
        }
    }
}
