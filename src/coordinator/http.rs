//! Connections: accepts them, bounds them, and brings them to an end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
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

/// Where a call came in. Every request carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entrance {
    /// Who is at the other end.
    pub(super) peer: SocketAddr,
    /// Where they were answered.
    pub(super) local: SocketAddr,
    /// Whether other machines can come in there too.
    pub(super) beyond: bool,
}

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
                Ok((stream, peer)) => {
                    // A connection without an address of its own has gone already.
                    let Ok(local) = stream.local_addr() else { continue };
                    let entrance = Entrance { peer, local, beyond: false };
                    self.open.spawn(connection(
                        stream,
                        entrance,
                        router.clone(),
                        self.closing.clone(),
                        permit,
                    ));
                }
                // Theirs, not ours: it went away before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
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
    entrance: Entrance,
    router: Router,
    closing: CancellationToken,
    _room: OwnedSemaphorePermit,
) {
    // Answers are small and waited for; the option is a wish.
    let _ = stream.set_nodelay(true);
    let asked = Arc::new(AtomicBool::new(false));
    let service = {
        let (asked, router) = (Arc::clone(&asked), TowerToHyperService::new(router));
        service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            asked.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(entrance);
            router.call(request)
        })
    };
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = std::pin::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = closing.cancelled() => {
            if !asked.load(Ordering::Relaxed) {
                // Nothing is in flight, but hyper would wait for its first question.
                return;
            }
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Notify;

    use super::*;

    /// Longer than anything here takes: only a hang reaches it.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// `/quick` answers at once; `/slow` says that it has begun and waits for `go`.
    struct Calls {
        begun: Arc<Notify>,
        go: Arc<Notify>,
        connections: Connections,
        closing: CancellationToken,
        listener: TcpListener,
        router: Router,
    }

    impl Calls {
        async fn new() -> Self {
            let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
            let slow = {
                let (begun, go) = (Arc::clone(&begun), Arc::clone(&go));
                move || async move {
                    begun.notify_one();
                    go.notified().await;
                    "slow"
                }
            };
            let closing = CancellationToken::new();
            Self {
                begun,
                go,
                connections: Connections::new(closing.clone()),
                closing,
                listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
                router: Router::new().route("/quick", get(async || "quick")).route("/slow", get(slow)),
            }
        }

        /// Serves while `story` is told; the story gets an open connection that has sent `request`.
        async fn serve(&mut self, request: &str, story: impl AsyncFnOnce(&mut TcpStream)) -> TcpStream {
            let mut stream = TcpStream::connect(self.listener.local_addr().unwrap()).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            tokio::select! {
                () = self.connections.accept(&self.listener, &self.router) => unreachable!("it accepts for ever"),
                () = story(&mut stream) => {}
            }
            stream
        }

        /// Closes, and returns how long the connections took.
        #[expect(clippy::disallowed_methods, reason = "a test measures")]
        async fn close(&mut self, limit: Duration) -> Duration {
            self.closing.cancel();
            let begin = std::time::Instant::now();
            self.connections.drained(limit).await;
            begin.elapsed()
        }
    }

    fn request(path: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
    }

    async fn rest(mut stream: TcpStream) -> String {
        let mut text = Vec::new();
        // A connection that is cut may end with an error: what came before counts.
        let _ = stream.read_to_end(&mut text).await;
        String::from_utf8(text).unwrap()
    }

    #[tokio::test]
    async fn a_call_in_flight_is_answered_at_the_end() {
        let mut calls = Calls::new().await;
        let begun = Arc::clone(&calls.begun);
        let stream = calls.serve(&request("/slow"), async |_| begun.notified().await).await;
        calls.go.notify_one();
        assert!(calls.close(PATIENCE).await < PATIENCE);
        let answer = rest(stream).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("slow"), "{answer}");
    }

    #[tokio::test]
    async fn a_call_that_never_ends_is_cut() {
        let mut calls = Calls::new().await;
        let begun = Arc::clone(&calls.begun);
        let stream = calls.serve(&request("/slow"), async |_| begun.notified().await).await;
        assert!(calls.close(Duration::from_millis(10)).await < PATIENCE);
        calls.connections.cut().await;
        assert_eq!(rest(stream).await, "");
    }

    #[tokio::test]
    async fn who_asks_nothing_delays_nothing() {
        let mut calls = Calls::new().await;
        let answered = async |stream: &mut TcpStream| {
            let mut text = [0; 256];
            assert!(stream.read(&mut text).await.unwrap() > 0);
        };
        let _kept_alive = calls.serve(&request("/quick"), answered).await;
        assert!(calls.close(PATIENCE).await < PATIENCE);

        for sent in ["", "GET /quick HT"] {
            let mut calls = Calls::new().await;
            // The second connection is answered, so the first has been accepted.
            let mut silent = TcpStream::connect(calls.listener.local_addr().unwrap()).await.unwrap();
            silent.write_all(sent.as_bytes()).await.unwrap();
            let _kept_alive = calls.serve(&request("/quick"), answered).await;
            assert!(calls.close(PATIENCE).await < PATIENCE, "{sent:?}");
        }
    }

    #[tokio::test]
    async fn heads_are_bounded() {
        for head in ["X: y\r\n".repeat(MAX_HEADERS), format!("X: {}\r\n", "y".repeat(MAX_HEAD))] {
            let mut calls = Calls::new().await;
            let request = format!("GET /quick HTTP/1.1\r\nHost: localhost\r\n{head}\r\n");
            let answered = async |stream: &mut TcpStream| {
                let mut text = [0; 64];
                let read = stream.read(&mut text).await.unwrap();
                assert!(text[..read].starts_with(b"HTTP/1.1 431"), "{:?}", String::from_utf8_lossy(&text));
            };
            calls.serve(&request, answered).await;
        }
    }
}
