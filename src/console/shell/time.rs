//! The only place of the console that reads clocks and leaves the async threads.

use std::time::Duration;

use chrono::{DateTime, Local, Offset as _, Utc};
use tokio::time::Instant;

/// Now, by the clock that timers run on.
#[expect(clippy::disallowed_methods, reason = "the console's shell: its one reading of the timers' clock")]
pub(super) fn instant() -> Instant {
    Instant::now()
}

/// Does `work` on a thread that may wait for a disk; its result goes to `then` there.
#[expect(clippy::disallowed_methods, reason = "the console's shell: its one way to a waiting thread")]
pub(super) fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
    then: impl FnOnce(T) + Send + 'static,
) {
    // Ends by itself; nobody waits for it.
    drop(tokio::task::spawn_blocking(move || then(work())));
}

/// How long from `now` to `at`; nothing if it has passed.
pub(super) fn until(now: DateTime<Utc>, at: DateTime<Utc>) -> Duration {
    (at - now).to_std().unwrap_or_default()
}

/// The local zone at `now`: seconds east of UTC, and how to call it.
pub(super) fn local_zone(now: DateTime<Utc>) -> (i32, String) {
    let seconds = now.with_timezone(&Local).offset().fix().local_minus_utc();
    (seconds, zone_name(seconds))
}

/// `UTC`, `UTC+1`, `UTC-3:30`
fn zone_name(seconds: i32) -> String {
    let minutes = seconds.unsigned_abs() / 60;
    let sign = if seconds < 0 { '-' } else { '+' };
    match (minutes / 60, minutes % 60) {
        (0, 0) => "UTC".to_owned(),
        (hours, 0) => format!("UTC{sign}{hours}"),
        (hours, minutes) => format!("UTC{sign}{hours}:{minutes:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_have_names() {
        for (seconds, name) in [(0, "UTC"), (3_600, "UTC+1"), (-12_600, "UTC-3:30"), (20_700, "UTC+5:45")] {
            assert_eq!(zone_name(seconds), name);
        }
    }
}
