//! How long a task's good runs took: a bounded ring per task.

use chrono::{DateTime, Utc};

use crate::model::{Run, RunState};

/// Most durations that are kept of one task.
pub const MAX_SERIES: usize = 60;

/// One good run, in eight bytes: there may be a hundred thousand tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Point {
    /// Unix seconds; saturates in 2106.
    ended: u32,
    /// Milliseconds; saturates at 49 days.
    took: u32,
}

/// Durations of one task, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Series(Vec<Point>);

impl Series {
    /// Learns a run, if it was good and its times are known; one that is known already counts once.
    pub fn learn(&mut self, run: &Run) {
        let (RunState::Succeeded, Some(ended), Some(took)) = (run.state, run.ended, took_ms(run)) else {
            return;
        };
        let point = Point {
            ended: u32::try_from(ended.timestamp().max(0)).unwrap_or(u32::MAX),
            took: u32::try_from(took).unwrap_or(u32::MAX),
        };
        let Err(position) = self.0.binary_search(&point) else { return };
        if self.0.len() < MAX_SERIES {
            self.0.insert(position, point);
        } else if let Some(position) = position.checked_sub(1) {
            self.0.remove(0);
            self.0.insert(position, point);
        }
    }

    /// In milliseconds, oldest first.
    pub fn durations(&self) -> Vec<u64> {
        self.0.iter().map(|point| u64::from(point.took)).collect()
    }
}

/// How long a run took, in milliseconds: as told, else from its times.
#[must_use]
pub fn took_ms(run: &Run) -> Option<u64> {
    run.duration_ms.or_else(|| u64::try_from(span_ms(run.started?, run.ended?)).ok())
}

fn span_ms(from: DateTime<Utc>, to: DateTime<Utc>) -> i64 {
    (to - from).num_milliseconds()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TaskId;
    use proptest::prelude::*;

    fn good(ended: i64, took: u64) -> Run {
        let mut run = Run::bare(TaskId::new("t"), RunState::Succeeded);
        run.ended = DateTime::from_timestamp(ended, 0);
        run.duration_ms = Some(took);
        run
    }

    #[test]
    fn only_good_dated_runs_count_and_once() {
        let mut series = Series::default();
        series.learn(&good(20, 7));
        series.learn(&good(10, 5));
        series.learn(&good(20, 7));
        series.learn(&Run { state: RunState::Failed, ..good(30, 9) });
        series.learn(&Run { ended: None, ..good(40, 9) });
        series.learn(&Run { duration_ms: None, ..good(50, 9) });
        assert_eq!(series.durations(), [5, 7]);
        let timed = Run { duration_ms: None, started: DateTime::from_timestamp(58, 0), ..good(60, 0) };
        series.learn(&timed);
        assert_eq!(series.durations(), [5, 7, 2_000]);
    }

    proptest! {
        #[test]
        fn it_keeps_the_newest_in_any_order(ends in proptest::collection::vec(0i64..500, 0..200)) {
            let mut series = Series::default();
            for &end in &ends {
                series.learn(&good(end, u64::try_from(end).unwrap()));
            }
            let mut sorted = ends;
            sorted.sort_unstable();
            sorted.dedup();
            let newest: Vec<u64> =
                sorted.iter().rev().take(MAX_SERIES).rev().map(|&end| u64::try_from(end).unwrap()).collect();
            prop_assert_eq!(series.durations(), newest);
        }
    }
}
