//! Where the coordinator starts what runs beside it. Whoever starts a task
//! here sees to its end.

use std::future::Future;

use tokio::task::JoinHandle;

/// Runs a future beside the others.
#[expect(clippy::disallowed_methods, reason = "the coordinator's one place that starts tasks")]
pub(super) fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    tokio::spawn(future)
}

/// Runs what waits for a disk, off the async threads. `None`: it panicked, or the runtime is ending.
#[expect(clippy::disallowed_methods, reason = "the coordinator's one place that leaves the async threads")]
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}
