//! Beyond loopback: TLS, names, tokens, and the real adapter as its client.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::{Certificate, Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use vigie::backend::{Backend, BackendError};
use vigie::coordinator::{ServeError, TlsError, TlsFiles};
use vigie::model::{Kind, Verb};

use super::{Home, PATIENCE, Served, StandingClock, client, json, problem, text};
use crate::support::{self, Tokens};

const TASKS: &str = r#"
[[task]]
id = "own-task"
team = "ours"
shell = "true"

[[task]]
id = "foreign-task"
team = "theirs"
shell = "echo 'foreign words' >&2; exit 3"

[[task]]
id = "watched"
ping_key = "a-key-that-nobody-guesses"
every = "10m"
"#;

/// Writes a certificate for `localhost` and 127.0.0.1, its key, and the authority that signed it.
fn certificate(folder: &Path, years: (i32, i32)) -> TlsFiles {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
    params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
    let signed = params.signed_by(&key, &authority).unwrap();
    let files = TlsFiles { certificate: folder.join("cert.pem"), key: folder.join("key.pem") };
    std::fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    std::fs::write(&files.certificate, signed.pem()).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    files
}

/// A client that trusts the authority in `folder`.
fn trusting(folder: &Path) -> Client {
    drop(client());
    let ca = Certificate::from_pem(&std::fs::read(folder.join("ca.pem")).unwrap()).unwrap();
    Client::builder().no_proxy().timeout(PATIENCE).tls_certs_only([ca]).build().unwrap()
}

/// A coordinator that other machines can reach, seen from one.
struct Beyond {
    home: Home,
    served: Served,
    url: String,
    client: Client,
}

impl Beyond {
    async fn start() -> Self {
        let mut home = Home::new(TASKS);
        home.open_on_loopback = true;
        home.tls = Some(certificate(home.dir.path(), (2020, 4000)));
        let client = trusting(home.dir.path());
        let served = home.serve().await;
        let url = format!("https://127.0.0.1:{}", served.beyond.unwrap().port());
        Self { home, served, url, client }
    }

    fn call(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// A token, made through the door of this machine.
    async fn token(&self, name: &str, role: &str, teams: &[&str]) -> String {
        let wish = json!({"name": name, "role": role, "teams": teams});
        let response = self.served.post("/api/v1/tokens").json(&wish).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
        text(&json(response).await["token"])
    }

    fn backend(&self, token: &Arc<Tokens>, ca: &str) -> Arc<dyn Backend> {
        let mut spec = support::spec(Kind::Vigie, &self.url);
        spec.tls.ca_file = Some(self.home.dir.path().join(ca));
        support::build_with(&spec, token, None)
    }
}

#[tokio::test]
async fn beyond_loopback_it_starts_only_with_tls() {
    let home = Home::new("");
    let listener = vigie::coordinator::bind(Some("0.0.0.0:0"), None, true).await.unwrap();
    let refused = home.open_at(listener, &CancellationToken::new()).await.unwrap_err();
    assert!(matches!(refused, ServeError::NotLoopback(_)), "{refused}");
    assert!(refused.to_string().contains("--tls-cert"), "{refused}");
    assert!(!home.data().join("coordinator.json").exists());
}

#[tokio::test]
async fn a_certificate_that_cannot_be_shown_is_named() {
    let mut home = Home::new("");
    let folder = home.dir.path().to_owned();
    // The clock of these tests stands in January 2026.
    for (years, part) in
        [((2020, 2021), "expired at 2021-01-01"), ((3000, 4000), "good only from 3000-01-01")]
    {
        home.tls = Some(certificate(&folder, years));
        let refused = home.open(&CancellationToken::new()).await.unwrap_err().to_string();
        assert!(refused.contains(part) && refused.contains("cert.pem"), "{refused}");
    }
    let files = certificate(&folder, (2020, 4000));
    let other = tempfile::tempdir().unwrap();
    home.tls = Some(TlsFiles { key: certificate(other.path(), (2020, 4000)).key, ..files.clone() });
    let refused = home.open(&CancellationToken::new()).await.unwrap_err();
    assert!(matches!(refused, ServeError::Tls(TlsError::Mismatch { .. })), "{refused}");
    std::fs::write(&files.key, "no key").unwrap();
    home.tls = Some(files.clone());
    let refused = home.open(&CancellationToken::new()).await.unwrap_err().to_string();
    assert!(refused.ends_with("key.pem holds no PEM private key"), "{refused}");
    std::fs::remove_file(&files.certificate).unwrap();
    let refused = home.open(&CancellationToken::new()).await.unwrap_err().to_string();
    assert!(refused.contains("cert.pem can't be read"), "{refused}");
    assert!(!home.data().join("coordinator.json").exists(), "nothing is left behind");
}

#[tokio::test]
async fn the_real_adapter_follows_it_over_tls_with_a_token() {
    let beyond = Beyond::start().await;
    let token = beyond.token("console", "operator", &[]).await;
    let tokens = Arc::new(Tokens::default());
    *tokens.token.lock().unwrap() = Ok(Some(token));
    let backend = beyond.backend(&tokens, "ca.pem");
    let polled = backend.poll(None).await.unwrap();
    assert!(polled.snapshot.tasks.items.iter().any(|task| task.id.as_raw() == "own-task"));
    backend.execute(&support::call(Verb::Trigger, Some("own-task"))).await.unwrap();
    // What its role may not do is greyed, with the reason.
    let capabilities = backend.endpoint_capabilities();
    assert_eq!(capabilities.refusal(Verb::ReloadConfig).unwrap().as_str(), "needs the role admin");

    // Another authority's word is not taken.
    let other = tempfile::tempdir().unwrap();
    certificate(other.path(), (2020, 4000));
    std::fs::copy(other.path().join("ca.pem"), beyond.home.dir.path().join("other.pem")).unwrap();
    let error = beyond.backend(&tokens, "other.pem").poll(None).await.unwrap_err();
    assert!(matches!(error, BackendError::Tls(_)), "{error}");

    // A revoked token is told so, and the console says it.
    let revoked = beyond
        .served
        .bare(Method::DELETE, "/api/v1/tokens/console")
        .bearer_auth(&beyond.served.file.token)
        .send();
    assert_eq!(revoked.await.unwrap().status(), StatusCode::OK);
    let error = backend.poll(None).await.unwrap_err();
    assert!(matches!(error, BackendError::Unauthorised(_)), "{error}");
    assert!(error.to_string().contains("console is revoked"), "{error}");
    beyond.served.stop().await;
}

#[tokio::test]
async fn an_expired_certificate_is_not_trusted_by_the_real_adapter() {
    let mut home = Home::new("");
    // Good by the coordinator's clock, which stands in January 2026, and over by that of the client.
    home.tls = Some(certificate(home.dir.path(), (2020, 2026)));
    home.clock = Arc::new(StandingClock("2025-06-01T00:00:00Z".parse().unwrap()));
    let served = home.serve().await;
    let mut spec =
        support::spec(Kind::Vigie, &format!("https://localhost:{}", served.beyond.unwrap().port()));
    spec.tls.ca_file = Some(home.dir.path().join("ca.pem"));
    let error = support::try_build(&spec).unwrap().poll(None).await.unwrap_err();
    assert!(matches!(error, BackendError::Tls(_)), "{error}");
    served.stop().await;
}

#[tokio::test]
async fn a_new_certificate_is_shown_once_it_is_read_again() {
    let mut home = Home::new("");
    home.tls = Some(certificate(home.dir.path(), (2020, 4000)));
    let shutdown = CancellationToken::new();
    let server = home.open(&shutdown).await.unwrap();
    let (address, reload) = (server.beyond().unwrap(), server.certificate());
    let running = tokio::spawn(server.run());
    let health = format!("https://localhost:{}/health", address.port());
    let before = trusting(home.dir.path());
    assert!(before.get(&health).send().await.is_ok());

    certificate(home.dir.path(), (2020, 4000));
    reload.now();
    let after = trusting(home.dir.path());
    assert!(after.get(&health).send().await.is_ok());
    // One that can't be used changes nothing.
    std::fs::write(home.dir.path().join("cert.pem"), "no certificate").unwrap();
    reload.now();
    assert!(trusting(home.dir.path()).get(&health).send().await.is_ok());
    shutdown.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn tls_is_at_least_of_version_1_2_and_nothing_else_is_spoken() {
    let beyond = Beyond::start().await;
    let port = beyond.served.beyond.unwrap().port();
    // HTTP without TLS gets no answer of HTTP.
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{:?}", String::from_utf8_lossy(&answer));
    // The hello of a client that knows TLS 1.1 at most is answered by an alert.
    let mut hello = vec![0x16, 3, 1, 0, 45, 1, 0, 0, 41, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0, 0x2f, 1, 0]);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(&hello).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert_eq!(answer.first(), Some(&0x15), "an alert, not a hello: {answer:?}");
    beyond.served.stop().await;
}

#[tokio::test]
async fn from_elsewhere_nothing_is_open_but_pings_and_a_sign_of_life() {
    let beyond = Beyond::start().await;
    let run = beyond.served.start_run("foreign-task").await;
    beyond.served.until_run(&run, "failed").await;
    let health: Value = json(beyond.call(Method::GET, "/health").send().await.unwrap()).await;
    assert_eq!(health, json!({"isRunning": true, "activeTasks": [], "lastRunTimes": {}, "errors": {}}));
    // `open_on_loopback` is on, and never applies here.
    for path in ["/trigger/own-task", "/start/own-task", "/reload-config"] {
        let status = beyond.call(Method::POST, path).send().await.unwrap().status();
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
        assert_ne!(beyond.served.bare(Method::POST, path).send().await.unwrap().status(), 401, "{path}");
    }
    let ping = beyond.call(Method::GET, "/ping/a-key-that-nobody-guesses").send().await.unwrap();
    assert_eq!(ping.status(), StatusCode::OK);
    // With a token, of its teams.
    let token = beyond.token("theirs", "viewer", &["theirs"]).await;
    let health: Value =
        json(beyond.call(Method::GET, "/health").bearer_auth(&token).send().await.unwrap()).await;
    assert_eq!(health["errors"].as_object().unwrap().len(), 1, "{health}");
    // By a name that is not its own, nothing at all.
    for (name, expected) in [("localhost", 401), ("evil.example", 403), ("10.9.8.7", 403)] {
        let asked = beyond.call(Method::GET, "/api/v1/tasks").header("host", name).send().await.unwrap();
        assert_eq!(asked.status(), expected, "{name}");
    }
    let asked = beyond.call(Method::GET, "/api/v1/tasks").bearer_auth(&token);
    let (status, kind, _) = problem(asked.header("origin", "https://evil.example")).await;
    assert_eq!((status, kind.as_str()), (403, "foreign-origin"));
    beyond.served.stop().await;
}

#[tokio::test]
async fn wrong_tokens_are_held_up_and_a_right_one_from_there_is_not() {
    let beyond = Beyond::start().await;
    let token = beyond.token("right", "viewer", &[]).await;
    let wrong = || beyond.call(Method::GET, "/api/v1/tasks").bearer_auth("vigie_0000");
    let mut statuses = Vec::new();
    for _ in 0..11 {
        statuses.push(wrong().send().await.unwrap().status().as_u16());
    }
    assert_eq!(statuses, [401, 401, 401, 401, 401, 401, 401, 401, 401, 401, 429]);
    let held_up = wrong().send().await.unwrap();
    let after: u64 = held_up.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=61).contains(&after), "{after}");
    assert_eq!(json(held_up).await["type"], "too-many-failures");
    let right = beyond.call(Method::GET, "/api/v1/tasks").bearer_auth(&token).send().await.unwrap();
    assert_eq!(right.status(), StatusCode::OK);
    beyond.served.stop().await;
}

#[tokio::test]
async fn a_task_that_changes_teams_is_gone_for_the_one_and_new_for_the_other() {
    let beyond = Beyond::start().await;
    let (ours, theirs) = (
        beyond.token("ours", "viewer", &["ours"]).await,
        beyond.token("theirs", "viewer", &["theirs"]).await,
    );
    let read = async |token: &str, path: &str| -> Value {
        let response = beyond.call(Method::GET, path).bearer_auth(token).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        json(response).await
    };
    let before = read(&ours, "/api/v1/tasks").await;
    assert_eq!(before["tasks"].as_array().unwrap().len(), 1, "{before}");
    let cursor = text(&before["cursor"]);
    beyond.home.write_tasks(&TASKS.replace("team = \"ours\"", "team = \"theirs\""));
    let path = format!("/api/v1/changes?since={cursor}&wait_s=30");
    // Whichever comes first: the watch on the file, or this.
    beyond.served.post("/api/v1/reload").send().await.unwrap();
    let (left, came) = (read(&ours, &path).await, read(&theirs, &path).await);
    assert_eq!((&left["gone"], &left["tasks"]), (&json!(["own-task"]), &json!([])), "{left}");
    assert_eq!(came["tasks"][0]["id"], "own-task", "{came}");
    assert_eq!(came["gone"], json!([]));
    beyond.served.stop().await;
}

/// What a raw connection answers to `sent`, until it closes.
async fn raw(address: SocketAddr, sent: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // Whoever is refused in the middle may be cut off.
    let _ = stream.write_all(sent).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn bodies_and_heads_are_bounded_on_the_wire() {
    let home = Home::new("");
    let served = home.serve().await;
    let address: SocketAddr = served.file.url.strip_prefix("http://").unwrap().parse().unwrap();
    let head = format!(
        "POST /api/v1/reload HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {}\r\n",
        served.file.token
    );
    let large = vec![b'x'; (1 << 20) + 1];
    let mut told = format!("{head}Content-Length: {}\r\n\r\n", large.len()).into_bytes();
    told.extend(&large);
    assert!(raw(address, &told).await.starts_with("HTTP/1.1 413"));
    let mut chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", large.len()).into_bytes();
    chunked.extend(&large);
    chunked.extend(b"\r\n0\r\n\r\n");
    assert!(raw(address, &chunked).await.starts_with("HTTP/1.1 413"));
    // Who announces too much, and asks first, is not asked to send it.
    let announced = format!("{head}Content-Length: 99999999\r\nExpect: 100-continue\r\n\r\n");
    let answer = raw(address, announced.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413") && !answer.contains("100 Continue"), "{answer}");
    let many = format!("{head}{}\r\n", "X-More: y\r\n".repeat(100));
    assert!(raw(address, many.as_bytes()).await.starts_with("HTTP/1.1 431"));
    let long = format!("{head}X-Long: {}\r\n\r\n", "y".repeat(64 << 10));
    assert!(raw(address, long.as_bytes()).await.starts_with("HTTP/1.1 431"));
    served.stop().await;
}
