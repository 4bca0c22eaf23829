//! Run ids: UUIDs of version 7, and keys for pings: UUIDs of version 4. Made
//! from a seed, so that the domain stays pure.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use crate::model::RunId;

/// Gives ids that are unique, and in order within a millisecond.
#[derive(Debug, Clone)]
pub struct RunIds {
    state: u64,
    last_ms: u64,
    counter: u16,
}

impl RunIds {
    /// `seed` is random per start.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed, last_ms: 0, counter: 0 }
    }

    /// The next id.
    pub fn next(&mut self, now: DateTime<Utc>) -> RunId {
        let ms = u64::try_from(now.timestamp_millis()).unwrap_or(0);
        self.counter = if ms == self.last_ms { self.counter.wrapping_add(1) & 0x0fff } else { 0 };
        self.last_ms = ms;
        let mut bytes = [0; 10];
        bytes[..2].copy_from_slice(&self.counter.to_be_bytes());
        bytes[2..].copy_from_slice(&self.random().to_be_bytes());
        let id = uuid::Builder::from_unix_timestamp_millis(ms, &bytes).into_uuid();
        RunId::new(&id.to_string())
    }

    /// `SplitMix64` (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
    pub const fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Evenly from 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double")]
    pub const fn share(&mut self) -> f64 {
        (self.random() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Makes keys that nobody can guess who has seen other keys, or run ids.
#[derive(Clone)]
pub struct Keys {
    seed: [u8; 32],
    made: u64,
}

/// Without the seed.
impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("made", &self.made).finish_non_exhaustive()
    }
}

impl Keys {
    /// `seed` is random per start, and known to nobody.
    #[must_use]
    pub const fn new(seed: [u8; 32]) -> Self {
        Self { seed, made: 0 }
    }

    /// A number for what needs no secret: it tells nothing of the seed.
    #[must_use]
    pub fn public_seed(&self) -> u64 {
        let digest = Sha256::new().chain_update(self.seed).chain_update(b"ids").finalize();
        u64::from_le_bytes(std::array::from_fn(|i| digest[i]))
    }

    /// The next key.
    pub fn next(&mut self) -> String {
        self.made += 1;
        let hash = Sha256::new().chain_update(self.seed).chain_update(b"key");
        let digest = hash.chain_update(self.made.to_le_bytes()).finalize();
        uuid::Builder::from_random_bytes(std::array::from_fn(|i| digest[i])).into_uuid().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_in_order() {
        let now = DateTime::from_timestamp_millis(1_790_000_000_000).unwrap();
        let mut ids = RunIds::new(7);
        let made: Vec<RunId> = (0..1000).map(|_| ids.next(now)).collect();
        assert!(made.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(made.iter().all(|id| uuid::Uuid::parse_str(id.as_raw()).unwrap().get_version_num() == 7));
        assert!((0..1000).all(|_| (0.0..1.0).contains(&ids.share())));
    }

    #[test]
    fn keys_are_random_uuids_and_hide_their_seed() {
        let mut keys = Keys::new([7; 32]);
        let made: std::collections::BTreeSet<String> = (0..1000).map(|_| keys.next()).collect();
        assert_eq!(made.len(), 1000);
        assert!(made.iter().all(|key| uuid::Uuid::parse_str(key).unwrap().get_version_num() == 4));
        assert!(!format!("{keys:?}").contains('7'));
        assert_ne!(Keys::new([8; 32]).public_seed(), keys.public_seed());
    }
}
