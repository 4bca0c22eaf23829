//! A coordinator from start to end: address, lock, engine, announcement, API,
//! and the same way back.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::model::Clean;
use crate::wire::CoordinatorFile;

use super::announce::{AnnounceError, Announced};
use super::api::{self, Api};
use super::engine::{Engine, StartError};
use super::http::{Connections, Door};
use super::lease::Leases;
use super::lock::{self, DataLock, LockError};
use super::tls::{Tls, TlsError};
use super::tokens::{TokenRefusal, Tokens};
use super::{Options, SharedClock};

/// Where a coordinator listens when nobody says: the port of duplistatus' cron service in development.
pub const DEFAULT_PORT: u16 = 8667;

/// How long calls in flight may take once the coordinator closes.
const DRAIN: Duration = Duration::from_secs(3);
/// How long the answers may take that the engine's own end brings about.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// How often it is noted on disk when tokens were used.
const NOTE_USES: Duration = Duration::from_secs(300);

/// How often the files of the certificate are looked at.
const LOOK_AT_CERTIFICATE: Duration = Duration::from_secs(30);

/// Why a coordinator came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Asked,
    /// Its last console has gone.
    LastConsoleGone,
}

/// A coordinator can't start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address can be reached from other machines.
    #[error(
        "{0} is not a loopback address: beyond loopback a coordinator speaks TLS only; name a certificate with \
         --tls-cert and --tls-key (or tls = {{ cert = \"…\", key = \"…\" }} under [coordinator] in the \
         configuration), or listen on 127.0.0.1 or [::1]"
    )]
    NotLoopback(SocketAddr),
    /// The certificate can't be shown.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// There is no port on loopback for this machine itself.
    #[error("can't listen on loopback: {0}")]
    Loopback(io::Error),
    /// The listener has no address.
    #[error("the listener is of no use: {0}")]
    Listener(io::Error),
    /// The data directory can't be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The engine can't start.
    #[error(transparent)]
    Engine(#[from] StartError),
    /// It can't be known who may call.
    #[error("the tokens can't be read: {0}")]
    Tokens(TokenRefusal),
    /// Nobody can be told.
    #[error(transparent)]
    Announce(#[from] AnnounceError),
}

/// An address can't be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// It is no address.
    #[error(
        "{source_name} = {text:?} is not an address: write 127.0.0.1:{DEFAULT_PORT}, [::1]:{DEFAULT_PORT} or a port"
    )]
    Unreadable {
        /// Where it was said: `--listen` or `CRON_PORT`.
        source_name: &'static str,
        /// What was said.
        text: Clean,
    },
    /// Something else listens there.
    #[error("{address} is taken by another program: choose another with --listen or CRON_PORT")]
    Taken {
        /// The address.
        address: SocketAddr,
    },
    /// The system refuses it.
    #[error("can't listen on {address}: {cause}")]
    Refused {
        /// The address.
        address: SocketAddr,
        /// The system's word.
        cause: io::Error,
    },
    /// See [`ServeError::NotLoopback`].
    #[error(transparent)]
    NotLoopback(ServeError),
}

/// Where to listen: `--listen` (an address, `localhost:PORT` or a port), else
/// loopback at `CRON_PORT`, else at [`DEFAULT_PORT`].
///
/// # Errors
/// [`BindError::Unreadable`] with the one that is no address.
pub fn address(listen: Option<&str>, cron_port: Option<&str>) -> Result<SocketAddr, BindError> {
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let unreadable = |source_name, text: &str| BindError::Unreadable { source_name, text: Clean::line(text) };
    if let Some(text) = listen {
        let port = text.strip_prefix("localhost:").unwrap_or(text);
        return (port.parse().map(loopback).ok())
            .or_else(|| text.parse().ok())
            .ok_or_else(|| unreadable("--listen", text));
    }
    match cron_port.map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) => text.parse().map(loopback).map_err(|_| unreadable("CRON_PORT", text)),
        None => Ok(loopback(DEFAULT_PORT)),
    }
}

/// Listens where [`address`] says. Port 0 takes any free one. Beyond loopback
/// only `with_tls`: see [`Options::tls`].
///
/// # Errors
/// A [`BindError`] that names the address and what to do.
pub async fn bind(
    listen: Option<&str>,
    cron_port: Option<&str>,
    with_tls: bool,
) -> Result<TcpListener, BindError> {
    let address = address(listen, cron_port)?;
    if !address.ip().is_loopback() && !with_tls {
        return Err(BindError::NotLoopback(ServeError::NotLoopback(address)));
    }
    TcpListener::bind(address).await.map_err(|cause| match cause.kind() {
        io::ErrorKind::AddrInUse => BindError::Taken { address },
        _ => BindError::Refused { address, cause },
    })
}

/// Runs a coordinator until `shutdown`, or until its last console has gone
/// where `options.linger` says so.
///
/// # Errors
/// A [`ServeError`]: it has not started, and has left nothing behind.
pub async fn serve(
    listener: TcpListener,
    options: Options,
    clock: SharedClock,
    shutdown: CancellationToken,
) -> Result<Ended, ServeError> {
    Ok(Server::open(listener, options, clock, shutdown).await?.run().await)
}

/// A coordinator that has started and is announced; it answers once [`Server::run`] is polled.
#[derive(Debug)]
pub struct Server {
    doors: Doors,
    router: axum::Router,
    engine: Engine,
    clock: SharedClock,
    tokens: Tokens,
    leases: Leases,
    linger: Option<Duration>,
    shutdown: CancellationToken,
    closing: CancellationToken,
    // Dropped in this order: the announcement goes while the directory is still ours.
    announced: Announced,
    _lock: DataLock,
}

impl Server {
    /// Locks the data directory, starts the engine and announces the coordinator.
    ///
    /// # Errors
    /// A [`ServeError`]: it has not started, and has left nothing behind.
    pub async fn open(
        listener: TcpListener,
        options: Options,
        clock: SharedClock,
        shutdown: CancellationToken,
    ) -> Result<Self, ServeError> {
        let address = listener.local_addr().map_err(ServeError::Listener)?;
        let doors = doors(listener, address, &options, clock.now()).await?;
        let lock = lock::acquire(&options.data)?;
        let engine = Engine::start(options.clone(), SharedClock::clone(&clock)).await?;
        let tokens = match Tokens::load(&engine).await {
            Ok(tokens) => tokens,
            Err(error) => {
                engine.shutdown().await;
                return Err(ServeError::Tokens(error));
            }
        };
        let announced = match Announced::write(&options.data, format!("http://{}", doors.local)) {
            Ok(announced) => announced,
            Err(error) => {
                engine.shutdown().await;
                return Err(error.into());
            }
        };
        let leases = Leases::new();
        let closing = shutdown.child_token();
        let router = api::router(Api::new(
            engine.clone(),
            SharedClock::clone(&clock),
            leases.clone(),
            closing.clone(),
            &options,
            tokens.clone(),
            &announced.file().token,
        ));
        let address = doors.beyond.unwrap_or(doors.local);
        tracing::info!(%address, data = %options.data.display(), scheduling = options.scheduling, "coordinator started");
        let linger = options.linger;
        Ok(Self {
            doors,
            router,
            engine,
            clock,
            tokens,
            leases,
            linger,
            shutdown,
            closing,
            announced,
            _lock: lock,
        })
    }

    /// Where it listens, with its token.
    #[must_use]
    pub const fn announced(&self) -> &CoordinatorFile {
        self.announced.file()
    }

    /// Where other machines find it, if they may.
    #[must_use]
    pub const fn beyond(&self) -> Option<SocketAddr> {
        self.doors.beyond
    }

    /// Reads the certificate again, whenever it is asked to.
    #[must_use]
    pub fn certificate(&self) -> CertificateReload {
        CertificateReload { tls: self.doors.tls().cloned(), clock: SharedClock::clone(&self.clock) }
    }

    /// The engine behind it, for a reload on SIGHUP.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Answers until the end: then nothing new is accepted, calls in flight
    /// have a moment, the engine ends, and the announcement and lock go.
    pub async fn run(self) -> Ended {
        let mut connections = Connections::new(self.closing.clone());
        let certificate = self.certificate();
        let ended = tokio::select! {
            () = self.shutdown.cancelled() => Ended::Asked,
            () = self.leases.deserted(self.linger) => Ended::LastConsoleGone,
            () = connections.accept(&self.doors.all, &self.router) => Ended::Asked,
            () = note_uses(&self.tokens) => Ended::Asked,
            () = certificate.follow() => Ended::Asked,
        };
        drop(self.doors);
        self.closing.cancel();
        connections.drained(DRAIN).await;
        note_uses_now(&self.tokens).await;
        // Whoever still waits for a run hears how it ended.
        self.engine.shutdown().await;
        connections.drained(LAST_ANSWERS).await;
        connections.cut().await;
        tracing::info!(?ended, "coordinator ended");
        ended
    }
}

/// The ways in.
#[derive(Debug)]
struct Doors {
    all: Vec<Door>,
    /// The one on loopback, without TLS.
    local: SocketAddr,
    /// The one for other machines.
    beyond: Option<SocketAddr>,
}

impl Doors {
    fn tls(&self) -> Option<&Tls> {
        self.all.iter().find_map(Door::tls)
    }
}

/// With a certificate, `listener` speaks TLS, and this machine itself has a port of its own on loopback:
/// local consoles and commands neither know the certificate nor need it.
async fn doors(
    listener: TcpListener,
    address: SocketAddr,
    options: &Options,
    now: DateTime<Utc>,
) -> Result<Doors, ServeError> {
    let Some(files) = &options.tls else {
        if !address.ip().is_loopback() {
            return Err(ServeError::NotLoopback(address));
        }
        return Ok(Doors { all: vec![Door::on_loopback(listener)], local: address, beyond: None });
    };
    let tls = Tls::new(files.clone(), now)?;
    let inner = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(ServeError::Loopback)?;
    let local = inner.local_addr().map_err(ServeError::Loopback)?;
    let all = vec![Door::on_loopback(inner), Door::with_tls(listener, tls)];
    Ok(Doors { all, local, beyond: Some(address) })
}

/// Reads the certificate's files again.
#[derive(Debug, Clone)]
pub struct CertificateReload {
    tls: Option<Tls>,
    clock: SharedClock,
}

impl CertificateReload {
    /// Now: connections from now on see the new certificate. One that can't be used is logged, and the old one stays.
    pub fn now(&self) {
        if let Some(tls) = &self.tls {
            tls.reload(self.clock.now());
        }
    }

    /// Whenever the files have changed, for ever.
    async fn follow(&self) {
        let Some(tls) = &self.tls else { return std::future::pending().await };
        let mut seen = tls.print();
        loop {
            tokio::time::sleep(LOOK_AT_CERTIFICATE).await;
            let print = tls.print();
            if print != seen {
                seen = print;
                self.now();
            }
        }
    }
}

/// Notes now and then when tokens were used, for ever.
async fn note_uses(tokens: &Tokens) {
    loop {
        tokio::time::sleep(NOTE_USES).await;
        note_uses_now(tokens).await;
    }
}

async fn note_uses_now(tokens: &Tokens) {
    if let Err(error) = tokens.note_uses().await {
        tracing::warn!(%error, "when tokens were used could not be noted");
    }
}

/// Whether `host`, a name or an address without port, is this machine as seen from itself.
pub(super) fn is_local(host: &str, listen: IpAddr) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip == listen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_to_listen() {
        for (listen, cron_port, expected) in [
            (None, None, "127.0.0.1:8667"),
            (None, Some(""), "127.0.0.1:8667"),
            (None, Some("9667"), "127.0.0.1:9667"),
            (Some("0"), Some("9667"), "127.0.0.1:0"),
            (Some("localhost:80"), None, "127.0.0.1:80"),
            (Some("[::1]:81"), None, "[::1]:81"),
            (Some("0.0.0.0:82"), None, "0.0.0.0:82"),
        ] {
            assert_eq!(address(listen, cron_port).unwrap().to_string(), expected);
        }
        let error = address(Some("ops-1"), None).unwrap_err().to_string();
        assert!(error.starts_with("--listen = \"ops-1\" is not an address"), "{error}");
        let error = address(None, Some("99999")).unwrap_err().to_string();
        assert!(error.starts_with("CRON_PORT = \"99999\""), "{error}");
    }

    #[tokio::test]
    async fn a_taken_or_open_address_is_named() {
        let first = bind(Some("127.0.0.1:0"), None, false).await.unwrap();
        let taken = first.local_addr().unwrap();
        let error = bind(Some(&taken.to_string()), None, false).await.unwrap_err();
        assert!(error.to_string().starts_with(&format!("{taken} is taken")), "{error}");
        let error = bind(Some("0.0.0.0:0"), None, false).await.unwrap_err();
        assert!(error.to_string().contains("TLS only; name a certificate with --tls-cert"), "{error}");
        bind(Some("0.0.0.0:0"), None, true).await.unwrap();
    }

    #[test]
    fn local_names() {
        let listen = IpAddr::from([127, 0, 0, 1]);
        for host in ["localhost", "LOCALHOST", "localhost.", "127.0.0.1", "127.1.2.3", "[::1]", "::1"] {
            assert!(is_local(host, listen), "{host}");
        }
        for host in ["", "evil.example", "localhost.evil.example", "10.0.0.1", "127.0.0.1.evil.example"] {
            assert!(!is_local(host, listen), "{host}");
        }
    }
}
