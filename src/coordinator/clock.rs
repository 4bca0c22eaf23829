//! Where the coordinator's time comes from: the one place in it that reads a clock.

use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};

use super::domain::Steady;

/// Gives the time. Everything below `engine` gets it as an argument.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Now.
    fn now(&self) -> DateTime<Utc>;

    /// How long the machine has been up; `None` where there is no telling.
    fn steady(&self) -> Option<Steady> {
        None
    }
}

/// The machine's clock, in whole milliseconds, which is what the database keeps.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the coordinator's one reading of the system clock")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now().trunc_subsecs(3)
    }

    /// On Linux alone both clocks can be told apart (`clock_gettime(2)`).
    #[cfg(target_os = "linux")]
    fn steady(&self) -> Option<Steady> {
        use rustix::time::{ClockId, clock_gettime};
        let read = |clock| Duration::try_from(clock_gettime(clock)).ok();
        Some(Steady { up: read(ClockId::Boottime)?, awake: read(ClockId::Monotonic)? })
    }
}

/// Clocks for tests: no built-in task comes due by them while a test is at something else.
#[cfg(test)]
pub mod fake {
    use std::time::Instant;

    use super::{Clock, DateTime, SubsecRound as _, Utc};

    /// A time at which no built-in task is due for minutes.
    const QUIET: &str = "2026-01-20T09:00:30Z";

    fn quiet() -> DateTime<Utc> {
        QUIET.parse().unwrap()
    }

    /// Stands still.
    #[derive(Debug, Clone, Copy, Default)]
    pub struct Standing;

    impl Clock for Standing {
        fn now(&self) -> DateTime<Utc> {
            quiet()
        }
    }

    /// Goes at the pace of the real one, from a quiet time on.
    #[derive(Debug, Clone, Copy)]
    pub struct Going(Instant);

    /// From now on.
    impl Default for Going {
        #[expect(clippy::disallowed_methods, reason = "the pace is that of the real clock")]
        fn default() -> Self {
            Self(Instant::now())
        }
    }

    impl Clock for Going {
        fn now(&self) -> DateTime<Utc> {
            (quiet() + self.0.elapsed()).trunc_subsecs(3)
        }
    }
}
