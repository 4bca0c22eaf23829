//! The only place of the runtime that reads a clock, throws dice and leaves the async threads.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;

use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;

use crate::model::Clean;

/// Now, by the system's clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the runtime is a shell: its one reading of the clock")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// A number from 0 up to, but not, 1.
pub(super) fn dice() -> f64 {
    rand::random()
}

/// Does `work` on a thread that may wait for a disk. `None` if it panicked or the process ends.
#[expect(clippy::disallowed_methods, reason = "the runtime is a shell: its one way to a waiting thread")]
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

/// Runs what an adapter gave us. A panic in it ends nothing but this call.
///
/// # Errors
/// What the adapter said when it broke.
pub(super) async fn contained<T>(work: impl Future<Output = T>) -> Result<T, Clean> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|panic| {
        let said = said(panic.as_ref());
        tracing::error!(panic = said, "an adapter broke");
        Clean::from(format!("the adapter broke, which is a defect of vigie: {said}"))
    })
}

fn said(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no reason given")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_contained_and_its_words_are_kept() {
        let good = contained(async {
            tokio::task::yield_now().await;
            1
        });
        assert_eq!(good.await, Ok(1));
        let said = contained(async { panic!("{} is broken", "it") }).await.unwrap_err();
        assert_eq!(said, "the adapter broke, which is a defect of vigie: it is broken");
    }
}
