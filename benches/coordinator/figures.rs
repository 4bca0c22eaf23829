//! Clocks, and what many measurements come to.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Measures from its start on.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn seconds(self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}

/// Since 1970, as `date +%s%N` says it.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures")]
pub fn nanoseconds_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "a figure")]
pub fn seconds(nanoseconds: i64) -> f64 {
    nanoseconds as f64 / 1e9
}

#[expect(clippy::cast_precision_loss, reason = "a figure")]
pub fn per_second(count: usize, seconds: f64) -> f64 {
    count as f64 / seconds
}

pub fn wait(time: Duration) {
    std::thread::sleep(time);
}

/// Median, 99th percentile and maximum of durations in seconds.
pub fn spread(times: &mut [f64]) -> String {
    times.sort_by(f64::total_cmp);
    let at = |hundredths: usize| times.get((times.len().saturating_sub(1)) * hundredths / 100).copied();
    let ms = |hundredths| at(hundredths).unwrap_or(f64::NAN) * 1e3;
    format!("p50 {:.2} ms, p99 {:.2} ms, at most {:.2} ms ({} times)", ms(50), ms(99), ms(100), times.len())
}

/// How busy the machine is.
pub fn load() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned()
}
