//! What a token looks like, and what is kept of it.

use sha2::{Digest as _, Sha256};

use crate::coordinator::announce::hex;

/// By which a token is known for one, by people and by scanners of leaked secrets.
pub(super) const PREFIX: &str = "vigie_";

/// A new token: 256 random bits in hexadecimal behind [`PREFIX`].
pub(super) fn new_token() -> String {
    format!("{PREFIX}{}", hex(&rand::random::<[u8; 32]>()))
}

/// What is kept and looked up. 256 random bits need no salt and no slow hash.
pub(in crate::coordinator) fn digest_of(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}
