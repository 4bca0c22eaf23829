//! The only place of the runtime that reads a clock, throws dice and leaves the async threads.

use std::any::Any;
use std::cell::Cell;
use std::future::{Future, poll_fn};
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

thread_local! {
    /// This thread is inside an adapter.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic on this thread would end nothing but one call of an
/// adapter. A panic hook asks, so that it does not give the terminal back for
/// what the console survives.
#[must_use]
pub fn panic_is_contained() -> bool {
    INSIDE.get()
}

/// Runs what an adapter gave us. A panic in it ends nothing but this call.
///
/// # Errors
/// What the adapter said when it broke.
pub(super) async fn contained<T>(work: impl Future<Output = T>) -> Result<T, Clean> {
    let mut work = Box::pin(AssertUnwindSafe(work).catch_unwind());
    let outcome = poll_fn(|context| {
        let outside = INSIDE.replace(true);
        let polled = work.as_mut().poll(context);
        INSIDE.set(outside);
        polled
    });
    outcome.await.map_err(|panic| {
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
    async fn a_panic_is_contained_and_known_to_be() {
        assert!(!panic_is_contained());
        let inside = contained(async {
            tokio::task::yield_now().await;
            panic_is_contained()
        });
        assert_eq!(inside.await, Ok(true));
        assert!(!panic_is_contained());
        let said = contained(async { panic!("{} is broken", "it") }).await.unwrap_err();
        assert_eq!(said, "the adapter broke, which is a defect of vigie: it is broken");
        assert!(!panic_is_contained());
    }
}
