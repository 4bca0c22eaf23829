//! Where the coordinator's time comes from: the one place in it that reads a clock.

use chrono::{DateTime, SubsecRound, Utc};

/// Gives the time. Everything below `engine` gets it as an argument.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Now.
    fn now(&self) -> DateTime<Utc>;
}

/// The machine's clock, in whole milliseconds, which is what the database keeps.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the coordinator's one reading of the system clock")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now().trunc_subsecs(3)
    }
}
