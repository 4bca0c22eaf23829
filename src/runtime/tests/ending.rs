//! Exchanges that may not be cut off, and the end.

use std::fmt;

use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use super::super::handle::seen_through;
use super::*;
use crate::backend::Spawn;

const SECOND: Duration = Duration::from_secs(1);

/// An exchange that an adapter has seen through, and what the test knows of it.
pub struct Exchange {
    spawn: Spawn,
    began: Arc<Notify>,
    may_end: Arc<Notify>,
    ended: Arc<Notify>,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").finish_non_exhaustive()
    }
}

impl Exchange {
    /// Hands the exchange over, and waits for its end.
    pub async fn go(&self) {
        let (began, may_end) = (Arc::clone(&self.began), Arc::clone(&self.may_end));
        let (ended, (done, answer)) = (Arc::clone(&self.ended), tokio::sync::oneshot::channel());
        (self.spawn)(Box::pin(async move {
            began.notify_one();
            may_end.notified().await;
            ended.notify_one();
            let _ = done.send(());
        }));
        let _ = answer.await;
    }
}

/// A running loop over one adapter whose first poll is in the middle of an exchange.
async fn in_the_middle(folder: &TempDir) -> (Runtime, Arc<Exchange>) {
    let tracker = TaskTracker::new();
    let exchange = Arc::new(Exchange {
        spawn: seen_through(&tracker),
        began: Arc::default(),
        may_end: Arc::default(),
        ended: Arc::default(),
    });
    let fake = Fake::polling([Step::Through(Arc::clone(&exchange))]);
    let factory: Factory = Arc::new(move |_: &EndpointSpec| Ok(Arc::clone(&fake) as Arc<dyn Backend>));
    let setup = Setup {
        endpoints: vec![spec("a")],
        read_only: false,
        places: places(folder.path()),
        local: LocalPolicy::Child,
    };
    let runtime = Runtime::start_with(setup, Wiring { factory, program: None, tracker }).unwrap();
    exchange.began.notified().await;
    (runtime, exchange)
}

#[tokio::test(start_paused = true)]
async fn the_end_sees_an_exchange_through() {
    let folder = tempfile::tempdir().unwrap();
    let (runtime, exchange) = in_the_middle(&folder).await;
    let begin = Instant::now();
    let ((), ()) = tokio::join!(runtime.shutdown(), async {
        tokio::time::sleep(2 * SECOND).await;
        exchange.may_end.notify_one();
    });
    assert!(begin.elapsed() < 2 * SECOND + SECOND / 10, "{:?}", begin.elapsed());
    tokio::time::timeout(SECOND, exchange.ended.notified()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_end_does_not_wait_for_ever_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let (runtime, _exchange) = in_the_middle(&folder).await;
    let begin = Instant::now();
    runtime.shutdown().await;
    let took = begin.elapsed();
    assert!(took >= 3 * SECOND && took <= 4 * SECOND + SECOND / 10, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_removed_or_changed_endpoint_cuts_no_exchange_off() {
    for endpoints in [vec![], vec![EndpointSpec { poll: 60 * SECOND, ..spec("a") }]] {
        let folder = tempfile::tempdir().unwrap();
        let (runtime, exchange) = in_the_middle(&folder).await;
        runtime.handle.configure(endpoints, false);
        tokio::time::sleep(30 * SECOND).await;
        exchange.may_end.notify_one();
        tokio::time::timeout(SECOND, exchange.ended.notified()).await.unwrap();
        runtime.shutdown().await;
    }
}
