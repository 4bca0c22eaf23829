//! When the next poll is: cadence with jitter, backoff with full jitter and a
//! cap, `Retry-After`. Pure: the dice are an argument, from 0 up to 1.

use std::time::Duration;

use crate::model::{EndpointSpec, Kind};

/// Between two polls there is at least this much, whatever asks for the second.
pub const GAP: Duration = Duration::from_millis(100);
/// The longest pause of a backoff, unless the endpoint is polled more seldom anyway.
const CAP: Duration = Duration::from_secs(60);
/// A coordinator on this machine is back soon, or started anew.
const LOCAL_BASE: Duration = Duration::from_millis(250);
/// See [`LOCAL_BASE`].
const LOCAL_CAP: Duration = Duration::from_secs(5);
/// An endpoint that asks for more than this is asked again all the same.
const LONGEST_ASKED: Duration = Duration::from_secs(3600);
/// Jitter of the cadence, to each side.
const JITTER: f64 = 0.1;

/// The pace of one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    cadence: Duration,
    base: Duration,
    cap: Duration,
}

/// A pause before the next poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// How long, if nothing wakes the poller.
    pub delay: Duration,
    /// How long even if something does.
    pub at_least: Duration,
}

impl Pace {
    /// What `spec` asks for.
    pub fn of(spec: &EndpointSpec) -> Self {
        let cadence = spec.poll.max(GAP);
        if spec.kind == Kind::Vigie && spec.url.is_none() {
            Self { cadence, base: LOCAL_BASE, cap: LOCAL_CAP }
        } else {
            Self { cadence, base: cadence, cap: CAP.max(cadence) }
        }
    }

    /// After a good poll. An endpoint that pushes is waited on again at once.
    /// `asked` is the pause that its adapter asks for: never sooner.
    pub fn after_good(self, pushes: bool, asked: Option<Duration>, dice: f64) -> Pause {
        let delay = if pushes { GAP } else { self.cadence.mul_f64(1.0 - JITTER + 2.0 * JITTER * dice) };
        let at_least = asked.map_or(GAP, |asked| asked.clamp(GAP, LONGEST_ASKED));
        Pause { delay: delay.max(at_least), at_least }
    }

    /// After the failed poll number `tries` in a row, from 1. `asked` is what
    /// `Retry-After` says: never sooner, and up to a tenth later, so that all
    /// who were told the same don't come back together.
    pub fn after_bad(self, tries: u32, asked: Option<Duration>, dice: f64) -> Pause {
        if let Some(asked) = asked {
            let asked = asked.clamp(GAP, LONGEST_ASKED);
            return Pause { delay: asked.mul_f64(1.0 + JITTER * dice), at_least: asked };
        }
        let doublings = tries.saturating_sub(1).min(20);
        let ceiling = self.base.saturating_mul(1 << doublings).min(self.cap);
        Pause { delay: ceiling.mul_f64(dice).max(GAP), at_least: GAP }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pace(url: Option<&str>, poll_s: u64) -> Pace {
        let mut spec = EndpointSpec::new("x".into(), Kind::Vigie, url.map(str::to_owned));
        spec.poll = Duration::from_secs(poll_s);
        Pace::of(&spec)
    }

    #[test]
    fn the_cadence_has_a_tenth_of_jitter_to_each_side() {
        let pace = pace(Some("http://x"), 5);
        assert_eq!(pace.after_good(false, None, 0.0).delay, Duration::from_millis(4_500));
        assert_eq!(pace.after_good(false, None, 0.5).delay, Duration::from_secs(5));
        assert!(pace.after_good(false, None, 0.999).delay < Duration::from_millis(5_500));
        assert_eq!(pace.after_good(true, None, 0.7), Pause { delay: GAP, at_least: GAP });
    }

    #[test]
    fn a_longer_pause_is_kept_and_a_shorter_one_changes_no_cadence() {
        let pace = pace(Some("http://x"), 5);
        let seconds = Duration::from_secs;
        for (asked, delay, at_least) in [
            (20, seconds(20), seconds(20)),
            (1, seconds(5), seconds(1)),
            (9_999, seconds(3_600), seconds(3_600)),
        ] {
            let pause = pace.after_good(false, Some(seconds(asked)), 0.5);
            assert_eq!(pause, Pause { delay, at_least }, "{asked}");
        }
    }

    #[test]
    fn backoff_doubles_up_to_its_cap() {
        let table = [(1, 5), (2, 10), (3, 20), (4, 40), (5, 60), (6, 60), (u32::MAX, 60)];
        for (tries, ceiling_s) in table {
            let pause = pace(Some("http://x"), 5).after_bad(tries, None, 1.0);
            assert_eq!(pause.delay, Duration::from_secs(ceiling_s), "{tries}");
        }
        assert_eq!(pace(Some("http://x"), 900).after_bad(3, None, 1.0).delay, Duration::from_secs(900));
        let local: Vec<u128> =
            (1..=7).map(|tries| pace(None, 5).after_bad(tries, None, 1.0).delay.as_millis()).collect();
        assert_eq!(local, [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);
    }

    #[test]
    fn what_the_endpoint_asks_for_is_obeyed_within_reason() {
        let pace = pace(Some("http://x"), 5);
        for (asked_s, at_least_s) in [(30, 30), (7_200, 3_600)] {
            let pause = pace.after_bad(1, Some(Duration::from_secs(asked_s)), 0.5);
            assert_eq!(pause.at_least, Duration::from_secs(at_least_s));
            assert_eq!(pause.delay, pause.at_least.mul_f64(1.05));
        }
    }

    proptest! {
        #[test]
        fn full_jitter_is_between_the_gap_and_the_ceiling(tries in 1u32..100, dice in 0.0..1.0f64, poll in 1u64..100) {
            let pause = pace(Some("http://x"), poll).after_bad(tries, None, dice);
            prop_assert!(pause.delay >= GAP && pause.delay <= Duration::from_secs(poll.max(60)));
            prop_assert!(pause.at_least <= pause.delay);
        }
    }
}
