//! The request budget: one call per four seconds on average, in bursts of up to sixty.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// So many calls in one go.
pub const BURST: i64 = 60;
/// One call more after so long.
const PER_CALL: TimeDelta = TimeDelta::seconds(4);

/// A bucket that fills with time. What is drawn by commands may leave it below empty.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// What is in it, in milliseconds of filling.
    level_ms: i64,
    /// When it was that full.
    at: DateTime<Utc>,
}

/// The bucket at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Whole calls left; below zero after commands that could not wait.
    pub left: i64,
    /// Until the next call is in it; zero while there is one.
    pub wait: Duration,
    level_ms: i64,
}

impl Budget {
    /// How long until `calls` calls are in it. More than it ever holds: until it is full.
    pub fn wait_for(&self, calls: u32) -> Duration {
        let needed = i64::from(calls).min(BURST) * PER_CALL.num_milliseconds();
        Duration::from_millis(u64::try_from(needed - self.level_ms).unwrap_or(0))
    }
}

impl Bucket {
    /// A full one.
    pub const fn full(now: DateTime<Utc>) -> Self {
        Self { level_ms: BURST * PER_CALL.num_milliseconds(), at: now }
    }

    /// Takes one call if there is one.
    pub fn take(&mut self, now: DateTime<Utc>) -> bool {
        let there = self.look(now).left >= 1;
        if there {
            self.draw(now);
        }
        there
    }

    /// Counts a call that is made whatever is left.
    pub fn draw(&mut self, now: DateTime<Utc>) {
        self.fill(now);
        // Bounded below too, so that a flood of commands does not silence the polls for hours.
        let floor = -BURST * PER_CALL.num_milliseconds();
        self.level_ms = (self.level_ms - PER_CALL.num_milliseconds()).max(floor);
    }

    /// What is in it.
    pub fn look(&mut self, now: DateTime<Utc>) -> Budget {
        self.fill(now);
        let per_call = PER_CALL.num_milliseconds();
        let mut budget = Budget {
            left: self.level_ms.div_euclid(per_call),
            wait: Duration::ZERO,
            level_ms: self.level_ms,
        };
        budget.wait = budget.wait_for(1);
        budget
    }

    /// A clock that was set back fills nothing.
    fn fill(&mut self, now: DateTime<Utc>) {
        let passed = (now - self.at).num_milliseconds().max(0);
        self.level_ms = self.level_ms.saturating_add(passed).min(BURST * PER_CALL.num_milliseconds());
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_700_000_000_000 + ms).unwrap()
    }

    #[test]
    fn a_burst_of_sixty_then_one_call_per_four_seconds() {
        let mut bucket = Bucket::full(at(0));
        for n in 0..60 {
            assert_eq!(bucket.look(at(0)).left, 60 - n);
            assert!(bucket.take(at(0)));
        }
        assert!(!bucket.take(at(0)));
        assert_eq!(bucket.look(at(0)).wait, Duration::from_secs(4));
        assert!(!bucket.take(at(3_999)));
        assert_eq!(bucket.look(at(3_999)).wait, Duration::from_millis(1));
        assert!(bucket.take(at(4_000)));
        assert!(!bucket.take(at(4_000)));
        assert_eq!(bucket.look(at(4_000)).wait_for(15), Duration::from_mins(1));
        assert_eq!(bucket.look(at(4_000 + 3_600_000)).left, 60, "never more than the burst");
    }

    #[test]
    fn commands_are_counted_and_never_wait() {
        let mut bucket = Bucket::full(at(0));
        for _ in 0..63 {
            bucket.draw(at(0));
        }
        let budget = bucket.look(at(0));
        assert_eq!((budget.left, budget.wait), (-3, Duration::from_secs(16)));
        assert!(!bucket.take(at(12_000)));
        assert!(bucket.take(at(16_000)));
    }

    proptest! {
        #[test]
        fn never_more_than_the_average_and_the_burst(
            steps in proptest::collection::vec((-10_000_i64..60_000, any::<bool>()), 1..300),
        ) {
            let mut bucket = Bucket::full(at(0));
            let (mut clock, mut forward, mut taken, mut drawn) = (0, 0, 0_i64, 0_i64);
            for (step, command) in steps {
                clock += step;
                forward += step.max(0);
                if command {
                    bucket.draw(at(clock));
                    drawn += 1;
                } else if bucket.take(at(clock)) {
                    taken += 1;
                }
                let budget = bucket.look(at(clock));
                prop_assert!(budget.left <= BURST);
                prop_assert_eq!(budget.wait.is_zero(), budget.left >= 1);
                // What polls took is bounded by time, whatever the commands did.
                prop_assert!(taken <= BURST + forward / 4_000, "{taken} in {forward} ms");
                if drawn == 0 {
                    prop_assert!(taken + budget.left <= BURST + forward / 4_000);
                }
                // After the wait that it names there is a call.
                let mut later = bucket.clone();
                let wait = i64::try_from(budget.wait.as_millis()).unwrap();
                prop_assert!(later.take(at(clock + wait)));
            }
        }
    }
}
