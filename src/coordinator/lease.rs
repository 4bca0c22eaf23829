//! Leases: a console is there while its stream is open. The last one to go may
//! end the coordinator.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// The shortest time that the first console is waited for.
const FIRST_CONSOLE: Duration = Duration::from_secs(10);

/// How many consoles there are. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Leases {
    open: Arc<watch::Sender<usize>>,
}

/// One console is there; dropping this lets it go.
#[derive(Debug)]
pub(super) struct Lease {
    open: Arc<watch::Sender<usize>>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.open.send_modify(|open| *open = open.saturating_sub(1));
    }
}

impl Leases {
    /// Nobody yet.
    pub(super) fn new() -> Self {
        Self { open: Arc::new(watch::Sender::new(0)) }
    }

    /// A console has come.
    pub(super) fn take(&self) -> Lease {
        self.open.send_modify(|open| *open += 1);
        Lease { open: Arc::clone(&self.open) }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        *self.open.borrow()
    }

    /// Returns when the last console has gone for `linger`, or none has come
    /// for ten times that (at least [`FIRST_CONSOLE`]); never, if it is `None`.
    pub(super) async fn deserted(&self, linger: Option<Duration>) {
        let Some(linger) = linger else { return std::future::pending().await };
        let mut watcher = self.open.subscribe();
        let mut patience = (linger * 10).max(FIRST_CONSOLE);
        loop {
            let came = tokio::time::timeout(patience, watcher.wait_for(|open| *open > 0)).await.is_ok();
            // The sender lives in `self`, so this waits until the last one has gone.
            if !came || watcher.wait_for(|open| *open == 0).await.is_err() {
                return;
            }
            patience = linger;
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests read tokio's paused clock")]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const LINGER: Duration = Duration::from_secs(3);

    #[tokio::test(start_paused = true)]
    async fn the_first_console_is_waited_for_longer() {
        for (linger, waited) in [(LINGER, LINGER * 10), (Duration::from_millis(1), FIRST_CONSOLE)] {
            let begin = Instant::now();
            Leases::new().deserted(Some(linger)).await;
            assert_eq!(begin.elapsed().as_secs(), waited.as_secs());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_when_the_last_one_has_gone_for_long_enough() {
        let leases = Leases::new();
        let first = leases.take();
        let second = leases.take();
        assert_eq!(leases.count(), 2);
        let begin = Instant::now();
        let story = async {
            tokio::time::sleep(LINGER * 100).await;
            drop(first);
            tokio::time::sleep(LINGER * 100).await;
            drop(second);
            tokio::time::sleep(LINGER / 2).await;
            let back = leases.take();
            tokio::time::sleep(LINGER * 100).await;
            drop(back);
        };
        tokio::join!(story, leases.deserted(Some(LINGER)));
        assert_eq!(begin.elapsed().as_secs(), (LINGER * 301 + LINGER / 2).as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn without_linger_it_never_ends() {
        let waited = tokio::time::timeout(Duration::from_secs(1 << 20), Leases::new().deserted(None)).await;
        assert!(waited.is_err());
    }
}
