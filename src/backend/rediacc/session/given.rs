//! What the configuration gives to begin a session with.

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use crate::backend::{BackendError, CredentialSource};
use crate::model::Clean;

/// What every client of Rediacc appends to a password before it is hashed: a
/// public constant of the protocol, `PASSWORD_SALT` in `src/cli/core/api_client.py`
/// of rediacc/cli 0.2.59.
const PASSWORD_SALT: &str = "Rd!@cc111$ecur3P@$w0rd$@lt#H@$h";

/// A credential to begin with.
pub enum Given {
    /// A token of a session that was made for vigie.
    Token(SecretString),
    /// To log in with.
    Login {
        /// Who.
        email: SecretString,
        /// Their password.
        password: SecretString,
    },
}

impl Given {
    /// Reads it from its source.
    ///
    /// # Errors
    /// [`BackendError::Credential`] if it can't be read or is not configured.
    pub async fn read(credentials: &dyn CredentialSource) -> Result<Self, BackendError> {
        if let Some(token) = credential(credentials, "token").await? {
            return Ok(Self::Token(token));
        }
        match (credential(credentials, "email").await?, credential(credentials, "password").await?) {
            (Some(email), Some(password)) => Ok(Self::Login { email, password }),
            _ => Err(BackendError::Credential(
                "nothing to begin a session with: set auth.token, or auth.email and auth.password".into(),
            )),
        }
    }

    /// Names the session of this credential at `url`: a digest that tells neither.
    /// A fresh token starts anew; a new password goes on with the session.
    pub fn key(&self, url: &str) -> String {
        match self {
            Self::Token(token) => digest(&["token", url, token.expose_secret()]),
            Self::Login { email, .. } => digest(&["login", url, &email.expose_secret().to_lowercase()]),
        }
    }

    /// Tells one credential from another.
    pub fn digest(&self) -> String {
        match self {
            Self::Token(token) => digest(&["token", token.expose_secret()]),
            Self::Login { email, password } => {
                digest(&["login", email.expose_secret(), password.expose_secret()])
            }
        }
    }
}

/// One value of the configuration.
///
/// # Errors
/// [`BackendError::Credential`] if its source fails.
pub async fn credential(
    credentials: &dyn CredentialSource,
    name: &str,
) -> Result<Option<SecretString>, BackendError> {
    credentials.credential(name).await.map_err(|reason| BackendError::Credential(Clean::from(reason)))
}

/// The digest of a password as `Rediacc-UserHash` carries it.
pub fn user_hash(password: &SecretString) -> SecretString {
    let mut hash = Sha256::new();
    hash.update(password.expose_secret());
    hash.update(PASSWORD_SALT);
    SecretString::from(format!("0x{}", hex(&hash.finalize())))
}

/// SHA-256 of texts in lower-case hexadecimal; where one ends matters.
pub fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
        hash.update([0]);
    }
    hex(&hash.finalize())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_password_is_what_the_clients_send() {
        // printf '%s' 'hunter2Rd!@cc111$ecur3P@$w0rd$@lt#H@$h' | sha256sum
        let expected = "0xc94141b6b5cb62ad75c16b4aed703d6c63a8e087dfcef49be7f3ab2085a54b50";
        assert_eq!(user_hash(&SecretString::from("hunter2")).expose_secret(), expected);
    }

    #[test]
    fn a_session_is_keyed_by_what_was_configured_and_tells_nothing_of_it() {
        let token = |text: &str| Given::Token(SecretString::from(text));
        let login = |email: &str, password: &str| Given::Login {
            email: SecretString::from(email),
            password: SecretString::from(password),
        };
        let key = token("t-1").key("http://a");
        assert_eq!(key.len(), 64);
        assert_eq!(key, token("t-1").key("http://a"));
        for other in
            [token("t-2").key("http://a"), token("t-1").key("http://b"), login("t-1", "x").key("http://a")]
        {
            assert_ne!(key, other);
        }
        assert_eq!(login("Ana@x.org", "1").key("u"), login("ana@x.org", "2").key("u"));
    }
}
