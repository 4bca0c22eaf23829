use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use super::*;

/// Longer than anything here takes: only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

/// `/quick` answers at once; `/slow` says that it has begun and waits for `go`.
struct Calls {
    begun: Arc<Notify>,
    go: Arc<Notify>,
    connections: Connections,
    closing: CancellationToken,
    doors: Vec<Door>,
    address: SocketAddr,
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
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self {
            begun,
            go,
            connections: Connections::new(closing.clone()),
            closing,
            address: listener.local_addr().unwrap(),
            doors: vec![Door::on_loopback(listener)],
            router: Router::new().route("/quick", get(async || "quick")).route("/slow", get(slow)),
        }
    }

    /// Serves while `story` is told; the story gets an open connection that has sent `request`.
    async fn serve(&mut self, request: &str, story: impl AsyncFnOnce(&mut TcpStream)) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        tokio::select! {
            () = self.connections.accept(&self.doors, &self.router) => unreachable!("it accepts for ever"),
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
        let mut silent = TcpStream::connect(calls.address).await.unwrap();
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

#[test]
fn one_address_elsewhere_does_not_take_all_the_room() {
    let clients = Clients::default();
    let from = |address: [u8; 4], beyond| Entrance {
        peer: (address, 40_000).into(),
        local: ([192, 0, 2, 1], 8667).into(),
        beyond,
    };
    let held: Vec<_> = (0..MAX_OF_ONE).map(|_| clients.place(&from([192, 0, 2, 9], true)).unwrap()).collect();
    assert!(clients.place(&from([192, 0, 2, 9], true)).is_none());
    assert!(clients.place(&from([192, 0, 2, 8], true)).is_some(), "another has its own");
    for own in [from([127, 0, 0, 1], false), from([127, 0, 0, 1], true)] {
        let all: Vec<_> = (0..=MAX_OF_ONE).map(|_| clients.place(&own)).collect();
        assert!(all.iter().all(Option::is_some), "this machine's own are not counted");
    }
    drop(held);
    assert!(clients.place(&from([192, 0, 2, 9], true)).is_some());
    assert!(clients.0.lock().unwrap().is_empty());
}
