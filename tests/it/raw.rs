//! A scripted HTTP server over bare sockets: says exactly the bytes that a
//! test wants, can stall, drip, flood and break off, and notes what it was asked.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _, ready};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `GET`, `POST`, …
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// `POST /path`.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

/// What to do with a request.
#[derive(Debug, Clone)]
pub enum Play {
    /// These bytes, then the next request.
    Say(Vec<u8>),
    /// These bytes, then the connection closes.
    SayAndClose(Vec<u8>),
    /// These bytes, then one byte now and then for ever.
    Drip(Vec<u8>),
    /// These bytes, then so many spaces.
    Flood(Vec<u8>, usize),
    /// Nothing, for ever.
    Hang,
}

impl Play {
    /// A whole answer.
    pub fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let mut text = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            write!(text, "{name}: {value}\r\n").unwrap();
        }
        Self::Say(format!("{text}\r\n{body}").into_bytes())
    }

    pub fn json(status: u16, body: &str) -> Self {
        Self::answer(status, &[("content-type", "application/json")], body)
    }
}

type Script = dyn Fn(Seen, usize) -> BoxFuture<'static, Play> + Send + Sync;

struct Shared {
    script: Box<Script>,
    seen: Mutex<Vec<Seen>>,
    /// Requests seen, and connections that their client has left in the middle of an answer.
    counts: watch::Sender<(usize, usize)>,
    /// Bytes of floods that were taken.
    written: AtomicUsize,
}

/// The server; ends when dropped.
pub struct Raw {
    pub url: String,
    shared: Arc<Shared>,
    _connections: JoinSet<()>,
}

impl Raw {
    /// Plays what `script` says for each request, given with its number from 0.
    pub async fn start(script: impl Fn(&Seen, usize) -> Play + Send + Sync + 'static) -> Self {
        Self::start_with(None, move |seen, number| ready(script(&seen, number)).boxed()).await
    }

    /// As [`Raw::start`], with a script that may have to wait, and inside TLS if there is a way to accept it.
    pub async fn start_with(
        tls: Option<TlsAcceptor>,
        script: impl Fn(Seen, usize) -> BoxFuture<'static, Play> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            script: Box::new(script),
            seen: Mutex::default(),
            counts: watch::Sender::new((0, 0)),
            written: AtomicUsize::new(0),
        });
        let mut connections = JoinSet::new();
        let server = Arc::clone(&shared);
        connections.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, server) = (tls.clone(), Arc::clone(&server));
                open.spawn(async move {
                    match tls {
                        None => serve(stream, server).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, server).await;
                            }
                        }
                    }
                });
            }
        });
        Self { url, shared, _connections: connections }
    }

    /// How many bytes of floods were taken, by the client or on the way to it.
    pub fn written(&self) -> usize {
        self.shared.written.load(Ordering::SeqCst)
    }

    pub fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.shared.seen.lock().unwrap()
    }

    /// `GET /a`, `POST /b`, … in order.
    pub fn lines(&self) -> Vec<String> {
        self.seen().iter().map(Seen::line).collect()
    }

    /// Waits until `n` requests have come.
    pub async fn asked(&self, n: usize) {
        self.wait(|(asked, _)| asked >= n).await;
    }

    /// Waits until a client has left in the middle of an answer.
    pub async fn left(&self) {
        self.wait(|(_, left)| left > 0).await;
    }

    /// Waits until a request for `route` has come after the first `before`.
    pub async fn asked_for(&self, route: &str, before: usize) {
        self.wait(|_| self.was_asked_for(route, before)).await;
    }

    /// Whether a request for `route` has come after the first `before`.
    pub fn was_asked_for(&self, route: &str, before: usize) -> bool {
        let seen = self.seen();
        seen.iter().skip(before).any(|seen| seen.line().split('?').next() == Some(route))
    }

    async fn wait(&self, enough: impl Fn((usize, usize)) -> bool) {
        let mut counts = self.shared.counts.subscribe();
        tokio::time::timeout(Duration::from_secs(300), counts.wait_for(|counts| enough(*counts)))
            .await
            .expect("in time")
            .unwrap();
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, shared: Arc<Shared>) {
    while let Some(seen) = read(&mut stream).await {
        let number = {
            let mut all = shared.seen.lock().unwrap();
            all.push(seen.clone());
            all.len() - 1
        };
        let play = (shared.script)(seen, number).await;
        shared.counts.send_modify(|(asked, _)| *asked += 1);
        let gone = match play {
            Play::Say(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
                continue;
            }
            Play::SayAndClose(bytes) => {
                let _ = stream.write_all(&bytes).await;
                return;
            }
            Play::Drip(bytes) => drip(&mut stream, &bytes).await,
            Play::Flood(bytes, count) => flood(&mut stream, &bytes, count, &shared.written).await,
            Play::Hang => true,
        };
        // Whoever is still there sends nothing more: the next thing to come is the end.
        if gone {
            let _ = stream.read(&mut [0]).await;
            shared.counts.send_modify(|(_, left)| *left += 1);
        }
        return;
    }
}

async fn drip(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), head: &[u8]) -> bool {
    let _ = stream.write_all(head).await;
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut end = [0];
    let mut pause = tokio::time::interval(Duration::from_millis(20));
    loop {
        tokio::select! {
            _ = reader.read(&mut end) => return true,
            _ = pause.tick() => if writer.write_all(b" ").await.is_err() { return true },
        }
    }
}

async fn flood(
    stream: &mut (impl AsyncWrite + Unpin),
    head: &[u8],
    count: usize,
    written: &AtomicUsize,
) -> bool {
    let _ = stream.write_all(head).await;
    let block = vec![b' '; 1 << 16];
    for _ in 0..count.div_ceil(block.len()) {
        if stream.write_all(&block).await.is_err() {
            return true;
        }
        written.fetch_add(block.len(), Ordering::SeqCst);
    }
    false
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Seen> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(n, _)| n == "content-length").map_or(0, |(_, v)| v.parse().unwrap());
    let mut body = bytes.split_off(end);
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Seen { method, target, headers, body: String::from_utf8(body).unwrap() })
}
