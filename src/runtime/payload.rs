//! Reading what a command sends as a whole: a file's content, or standard input's.

use std::fmt::Write as _;
use std::io::Read;

use sha2::{Digest as _, Sha256};

use crate::model::Payload;

/// The largest content that is sent, in bytes.
pub const MAX_PAYLOAD: u64 = 1024 * 1024;

/// Reads `source` to its end. May wait for it.
///
/// # Errors
/// What is wrong, as a sentence goes on: `is empty`, `is over the limit of 1 MiB`.
pub fn read(source: impl Read) -> Result<Payload, String> {
    let mut bytes = Vec::new();
    source
        .take(MAX_PAYLOAD + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("can't be read: {error}"))?;
    if bytes.is_empty() {
        return Err("is empty".to_owned());
    }
    if bytes.len() as u64 > MAX_PAYLOAD {
        return Err(format!("is over the limit of {} MiB", MAX_PAYLOAD / (1024 * 1024)));
    }
    let mut digest = String::with_capacity(64);
    for byte in Sha256::digest(&bytes) {
        let _ = write!(digest, "{byte:02x}");
    }
    Ok(Payload::new(bytes, &digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_bounded_and_known_by_its_digest() {
        let payload = read(&b"abc"[..]).unwrap();
        assert_eq!(payload.content(), Some(b"abc".as_slice()));
        assert_eq!(
            payload.sha256().as_str(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(read(&b""[..]).unwrap_err(), "is empty");
        assert_eq!(read(std::io::repeat(b'x')).unwrap_err(), "is over the limit of 1 MiB");
        assert!(read(std::io::repeat(b'x').take(MAX_PAYLOAD)).is_ok());
    }
}
