//! Run ids: UUIDs of version 7, made from a seed, so that the domain stays pure.

use chrono::{DateTime, Utc};

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
}
