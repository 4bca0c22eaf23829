//! Connections: accepts them, bounds them, and brings them to an end.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// So many connections at once; more wait to be accepted.
const MAX_CONNECTIONS: usize = 1_024;
/// So many headers in a request.
const MAX_HEADERS: usize = 64;
/// The size of a request's head, in bytes.
const MAX_HEAD: usize = 32 * 1024;
/// How long a connection may take to send a head, and so how long it may rest.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// How long to rest when the system has no room for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// The open connections. Dropping it cuts them.
#[derive(Debug)]
pub(super) struct Connections {
    open: JoinSet<()>,
    room: Arc<Semaphore>,
    closing: CancellationToken,
}

impl Connections {
    /// None yet. From `closing` on, each ends with the call that is in flight.
    pub(super) fn new(closing: CancellationToken) -> Self {
        Self { open: JoinSet::new(), room: Arc::new(Semaphore::new(MAX_CONNECTIONS)), closing }
    }

    /// Accepts until it is dropped.
    pub(super) async fn accept(&mut self, listener: &TcpListener, router: &Router) {
        // The semaphore is never closed.
        while let Ok(permit) = Arc::clone(&self.room).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, _)) => {
                    self.open.spawn(connection(stream, router.clone(), self.closing.clone(), permit));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
            while self.open.try_join_next().is_some() {}
        }
    }

    /// Waits until all have ended, at most for `limit`.
    pub(super) async fn drained(&mut self, limit: Duration) {
        let all = async { while self.open.join_next().await.is_some() {} };
        if tokio::time::timeout(limit, all).await.is_err() {
            tracing::info!(left = self.open.len(), "calls were still in flight");
        }
    }

    /// Cuts what is left.
    pub(super) async fn cut(mut self) {
        self.open.shutdown().await;
    }
}

/// One connection, until its client goes or the coordinator closes.
async fn connection(
    stream: TcpStream,
    router: Router,
    closing: CancellationToken,
    _room: OwnedSemaphorePermit,
) {
    // Answers are small and waited for; the option is a wish.
    let _ = stream.set_nodelay(true);
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut served = std::pin::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = closing.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}
