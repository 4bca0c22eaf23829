//! A scripted HTTP server over bare sockets: says exactly the bytes that a
//! test wants, can stall, drip, flood and break off, and notes what it was asked.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

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

type Script = dyn Fn(&Seen, usize) -> Play + Send + Sync;

struct Shared {
    script: Box<Script>,
    seen: Mutex<Vec<Seen>>,
    /// Requests seen, and connections that their client has left in the middle of an answer.
    counts: watch::Sender<(usize, usize)>,
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
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            script: Box::new(script),
            seen: Mutex::default(),
            counts: watch::Sender::new((0, 0)),
        });
        let mut connections = JoinSet::new();
        let server = Arc::clone(&shared);
        connections.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.spawn(serve(stream, Arc::clone(&server)));
            }
        });
        Self { url, shared, _connections: connections }
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

    async fn wait(&self, enough: impl Fn((usize, usize)) -> bool) {
        let mut counts = self.shared.counts.subscribe();
        tokio::time::timeout(Duration::from_secs(20), counts.wait_for(|counts| enough(*counts)))
            .await
            .expect("in time")
            .unwrap();
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    while let Some(seen) = read(&mut stream).await {
        let number = {
            let mut all = shared.seen.lock().unwrap();
            all.push(seen.clone());
            all.len() - 1
        };
        let play = (shared.script)(&seen, number);
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
            Play::Flood(bytes, count) => flood(&mut stream, &bytes, count).await,
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

async fn drip(stream: &mut TcpStream, head: &[u8]) -> bool {
    let _ = stream.write_all(head).await;
    let (mut reader, mut writer) = stream.split();
    let mut end = [0];
    let mut pause = tokio::time::interval(Duration::from_millis(20));
    loop {
        tokio::select! {
            _ = reader.read(&mut end) => return true,
            _ = pause.tick() => if writer.write_all(b" ").await.is_err() { return true },
        }
    }
}

async fn flood(stream: &mut TcpStream, head: &[u8], count: usize) -> bool {
    let _ = stream.write_all(head).await;
    let block = vec![b' '; 1 << 16];
    for _ in 0..count.div_ceil(block.len()) {
        if stream.write_all(&block).await.is_err() {
            return true;
        }
    }
    false
}

async fn read(stream: &mut TcpStream) -> Option<Seen> {
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
