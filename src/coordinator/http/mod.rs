//! Connections: accepts them, bounds them, and brings them to an end.
//!
//! There are two doors. The one on loopback is for this machine, and always
//! there. The other is for everybody, speaks TLS alone, and has room of its
//! own: whoever fills it keeps nobody out at the first.

mod paced;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::tls::Tls;
use paced::{Paced, Progress};

/// So many connections at once through one door; more wait to be accepted.
const MAX_CONNECTIONS: usize = 1_024;
/// So many connections at once from one address elsewhere; more are closed at once.
const MAX_OF_ONE: usize = 128;
/// So many headers in a request.
const MAX_HEADERS: usize = 64;
/// The size of a request's head, in bytes.
const MAX_HEAD: usize = 32 * 1024;
/// How long a TLS handshake may take.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// How long a connection may rest between two calls.
const IDLE_TIME: Duration = Duration::from_secs(60);
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

/// Where connections come in.
#[derive(Debug)]
pub(super) struct Door {
    listener: TcpListener,
    /// What is spoken there; without it, only this machine can come.
    tls: Option<Tls>,
    room: Arc<Semaphore>,
}

impl Door {
    /// For this machine.
    pub(super) fn on_loopback(listener: TcpListener) -> Self {
        Self { listener, tls: None, room: Arc::new(Semaphore::new(MAX_CONNECTIONS)) }
    }

    /// For everybody.
    pub(super) fn with_tls(listener: TcpListener, tls: Tls) -> Self {
        Self { listener, tls: Some(tls), room: Arc::new(Semaphore::new(MAX_CONNECTIONS)) }
    }

    /// What is spoken there.
    pub(super) const fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// The next connection that there is room for.
    async fn next(&self) -> Option<Came> {
        let room = Arc::clone(&self.room).acquire_owned().await.ok()?;
        match self.listener.accept().await {
            Ok((stream, peer)) => {
                // A connection without an address of its own has gone already.
                let local = stream.local_addr().ok()?;
                let entrance = Entrance { peer, local, beyond: self.tls.is_some() };
                Some(Came { stream, entrance, tls: self.tls.clone(), room })
            }
            // Theirs, not ours: it went away before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => None,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                None
            }
        }
    }
}

/// A connection that has come.
struct Came {
    stream: TcpStream,
    entrance: Entrance,
    tls: Option<Tls>,
    room: OwnedSemaphorePermit,
}

/// The open connections. Dropping it cuts them.
#[derive(Debug)]
pub(super) struct Connections {
    open: JoinSet<()>,
    clients: Clients,
    closing: CancellationToken,
}

impl Connections {
    /// None yet. From `closing` on, each ends with the call that is in flight.
    pub(super) fn new(closing: CancellationToken) -> Self {
        Self { open: JoinSet::new(), clients: Clients::default(), closing }
    }

    /// Accepts until it is dropped.
    pub(super) async fn accept(&mut self, doors: &[Door], router: &Router) {
        loop {
            let came = match doors {
                [] => return,
                [door] => door.next().await,
                [first, second, ..] => tokio::select! {
                    came = first.next() => came,
                    came = second.next() => came,
                },
            };
            if let Some(came) = came
                && let Some(place) = self.clients.place(&came.entrance)
            {
                self.open.spawn(connection(came, place, router.clone(), self.closing.clone()));
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

/// How many connections there are from each address elsewhere.
#[derive(Debug, Clone, Default)]
struct Clients(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A connection that counts, until it is dropped. This machine's own don't.
#[derive(Debug)]
struct ClientPlace {
    clients: Clients,
    address: Option<IpAddr>,
}

impl Clients {
    /// A place for one more; `None` if that address has enough.
    fn place(&self, entrance: &Entrance) -> Option<ClientPlace> {
        let address = (entrance.beyond && !entrance.peer.ip().to_canonical().is_loopback())
            .then(|| neighbourhood(entrance.peer.ip()));
        if let Some(address) = address {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let count = known.entry(address).or_insert(0);
            if *count >= MAX_OF_ONE {
                tracing::debug!(%address, "it has {MAX_OF_ONE} connections already");
                return None;
            }
            *count += 1;
        }
        Some(ClientPlace { clients: self.clone(), address })
    }
}

impl Drop for ClientPlace {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut known = self.clients.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = known.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                known.remove(&address);
            }
        }
    }
}

/// What one customer of a network has: an IPv4 address, or 64 bits of an IPv6 one.
pub(super) fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
    }
}

/// One connection, until its client goes or the coordinator closes.
async fn connection(came: Came, _place: ClientPlace, router: Router, closing: CancellationToken) {
    let Came { stream, entrance, tls, room: _room } = came;
    // Answers are small and waited for; the option is a wish.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return talk(stream, entrance, router, closing).await };
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(HANDSHAKE_TIME, tls.acceptor().accept(stream)) => shaken,
        () = closing.cancelled() => return,
    };
    match shaken {
        Ok(Ok(stream)) => talk(stream, entrance, router, closing).await,
        Ok(Err(error)) => tracing::debug!(peer = %entrance.peer, %error, "no TLS came about"),
        Err(_) => tracing::debug!(peer = %entrance.peer, "its TLS took too long"),
    }
}

/// HTTP over a connection.
async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    entrance: Entrance,
    router: Router,
    closing: CancellationToken,
) {
    let asked = Arc::new(AtomicBool::new(false));
    let progress = Arc::new(Progress::default());
    let service = {
        let (asked, router) = (Arc::clone(&asked), TowerToHyperService::new(router));
        let progress = Arc::clone(&progress);
        service_fn(move |mut request: hyper::Request<Incoming>| {
            asked.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(entrance);
            let (call, answering) = (router.call(request), progress.begin());
            async move {
                let answer = call.await;
                drop(answering);
                answer
            }
        })
    };
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIME)
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_HEAD)
        .serve_connection(TokioIo::new(Paced::new(stream, progress)), service);
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
