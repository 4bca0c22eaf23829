//! Secrets: resolving every form of secret reference.
//!
//! Owns [`resolve`]; nothing of a secret goes into errors, logs or `Debug`.
//! May import: `model`.

use secrecy::SecretString;

use crate::model::SecretRef;

/// Reads the secret that `reference` names.
///
/// # Errors
/// A sentence that names the source and what is wrong, never the secret.
pub async fn resolve(reference: &SecretRef) -> Result<SecretString, String> {
    todo!()
}
