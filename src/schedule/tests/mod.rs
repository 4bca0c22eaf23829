//! Tables of the schedule's rules.

mod cron;
mod lateness;
mod properties;

use chrono::{DateTime, Utc};

use super::Plan;
use crate::model::{Clean, Dialect, Schedule, Timing};

/// An instant from its RFC 3339 text.
fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap_or_else(|error| panic!("{text}: {error}")).to_utc()
}

fn schedule(expression: &str, dialect: Dialect, zone: &str) -> Schedule {
    Schedule {
        timing: Timing::Cron { expression: Clean::line(expression), dialect },
        zone: Clean::line(zone),
        assumed: false,
    }
}

fn cron(expression: &str, dialect: Dialect, zone: &str) -> Plan {
    Plan::new(&schedule(expression, dialect, zone)).unwrap_or_else(|error| panic!("{expression}: {error}"))
}

fn every(seconds: u32) -> Plan {
    let timing = Timing::Every { seconds };
    Plan::new(&Schedule { timing, zone: Clean::line("UTC"), assumed: false }).unwrap()
}
