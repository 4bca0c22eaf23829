//! Trust, proxies and exact limits; what every backend owes is in the conformance suite.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::*;

const LIMIT: Duration = Duration::from_secs(60);

fn now() -> chrono::DateTime<chrono::Utc> {
    "2026-11-20T07:00:00Z".parse().unwrap()
}

fn client(url: &str, tls: &TlsSpec) -> Result<Http, BuildError> {
    Http::new(url, LIMIT, tls, now)
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) {
    let mut request = Vec::new();
    // What begins like TLS is no request, and is answered like any other nonsense.
    while !request.starts_with(&[0x16])
        && !request.ends_with(b"\r\n\r\n")
        && stream.read_buf(&mut request).await.is_ok_and(|n| n > 0)
    {}
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
}

/// Answers every request with `bytes`, inside TLS where there is a configuration for it.
async fn server(tls: Option<ServerConfig>, bytes: &'static [u8]) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
    let mut running = JoinSet::new();
    running.spawn(async move {
        let mut open = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            open.spawn(async move {
                match acceptor {
                    None => answer(stream, bytes).await,
                    Some(acceptor) => {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            answer(stream, bytes).await;
                        }
                    }
                }
            });
        }
    });
    (address, running)
}

const EMPTY_OK: &[u8] = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// An authority, a server's certificate for `ops.internal`, and a client's.
struct Authority {
    files: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join("ca.pem"), issuer.pem()).unwrap();
        let me = Self { files, issuer };
        let (certificate, key) = me.issue("operator");
        std::fs::write(me.file("client.pem"), certificate.pem()).unwrap();
        std::fs::write(me.file("client.key"), key.serialize_pem()).unwrap();
        std::fs::write(me.file("empty.pem"), "nothing").unwrap();
        me
    }

    fn issue(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// The server's side; `known` asks for a client's certificate too.
    fn server(&self, known: bool) -> ServerConfig {
        let (certificate, key) = self.issue("ops.internal");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if known {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(self.issuer.der().clone()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        builder.with_single_cert(vec![certificate.der().clone()], key).unwrap()
    }

    fn trust(&self) -> TlsSpec {
        TlsSpec { ca_file: Some(self.file("ca.pem")), ..TlsSpec::default() }
    }

    fn renamed(&self) -> TlsSpec {
        TlsSpec { server_name: Some("ops.internal".to_owned()), ..self.trust() }
    }

    fn with_client(&self, tls: TlsSpec) -> TlsSpec {
        TlsSpec {
            client_cert: Some(self.file("client.pem")),
            client_key: Some(self.file("client.key")),
            ..tls
        }
    }
}

async fn get(url: &str, tls: &TlsSpec) -> Result<Answer, BackendError> {
    client(url, tls).unwrap().get(&["x"]).send().await
}

#[tokio::test]
async fn only_whom_the_configuration_trusts_by_the_name_that_it_expects() {
    let authority = Authority::new();
    let (address, _running) = server(Some(authority.server(false)), EMPTY_OK).await;
    let url = format!("https://{address}");
    let error = get(&url, &TlsSpec::default()).await.unwrap_err();
    assert!(matches!(&error, BackendError::Tls(why) if why.contains("tls.ca_file")), "{error:?}");
    let error = get(&url, &authority.trust()).await.unwrap_err();
    assert!(matches!(&error, BackendError::Tls(why) if why.contains("tls.server_name")), "{error:?}");
    get(&url, &authority.renamed()).await.unwrap();
    let other = TlsSpec { server_name: Some("other.internal".to_owned()), ..authority.trust() };
    assert!(matches!(get(&url, &other).await, Err(BackendError::Tls(_))));
    let stranger = Authority::new();
    assert!(matches!(get(&url, &stranger.renamed()).await, Err(BackendError::Tls(_))));
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_it_is_asked_for() {
    let authority = Authority::new();
    let (address, _running) = server(Some(authority.server(true)), EMPTY_OK).await;
    let url = format!("https://{address}");
    get(&url, &authority.with_client(authority.renamed())).await.unwrap();
    let error = get(&url, &authority.renamed()).await.unwrap_err();
    assert!(error.to_string().contains("tls.client_cert"), "{error:?}");
    // The other way of setting it up, without a name of its own: it fails for the name alone.
    let error = get(&url, &authority.with_client(authority.trust())).await.unwrap_err();
    assert!(error.to_string().contains("another name"), "{error:?}");
}

#[tokio::test]
async fn plain_http_behind_https_is_guessed_at() {
    let (address, _running) = server(None, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let error = get(&format!("https://{address}"), &TlsSpec::default()).await.unwrap_err();
    assert!(matches!(&error, BackendError::Tls(why) if why.contains("is the url http?")), "{error:?}");
}

#[test]
fn tls_settings_that_can_not_work_are_named() {
    let authority = Authority::new();
    let file = |name: &str| Some(authority.file(name));
    let none = TlsSpec::default;
    for (url, tls, reason) in [
        ("http://h", authority.trust(), "the url is http"),
        ("https://h", TlsSpec { server_name: Some("h".to_owned()), ..none() }, "needs tls.ca_file"),
        (
            "https://h",
            TlsSpec { server_name: Some("not a name".to_owned()), ..authority.trust() },
            "no host name",
        ),
        ("https://h", TlsSpec { ca_file: file("missing.pem"), ..none() }, "can't be read"),
        ("https://h", TlsSpec { ca_file: file("empty.pem"), ..none() }, "no usable PEM certificate"),
        (
            "https://h",
            TlsSpec { ca_file: file("empty.pem"), ..authority.renamed() },
            "no usable PEM certificate",
        ),
        ("https://h", TlsSpec { client_cert: file("client.pem"), ..none() }, "need each other"),
        (
            "https://h",
            TlsSpec { client_key: file("empty.pem"), ..authority.with_client(none()) },
            "no PEM pair",
        ),
        (
            "https://h",
            TlsSpec { client_key: file("empty.pem"), ..authority.with_client(authority.renamed()) },
            "no usable PEM private key",
        ),
    ] {
        let error = client(url, &tls).unwrap_err().to_string();
        assert!(error.contains(reason), "{reason}: {error}");
    }
}

#[tokio::test]
async fn the_body_limit_is_exact() {
    let (address, _running) = server(
        None,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\n1234\r\n4\r\n5678\r\n0\r\n\r\n",
    )
    .await;
    let mut http = client(&format!("http://{address}"), &TlsSpec::default()).unwrap();
    http.body_limit = 8;
    assert_eq!(http.get(&["x"]).send().await.unwrap().body, b"12345678");
    http.body_limit = 7;
    assert_eq!(http.get(&["x"]).send().await.unwrap_err(), BackendError::TooLarge { limit_mib: 1 });
}

#[test]
fn a_path_below_a_prefix_keeps_it() {
    for (base, path) in
        [("http://h", "/a%2Fb/c%3F"), ("http://h/", "/a%2Fb/c%3F"), ("http://h/p/", "/p/a%2Fb/c%3F")]
    {
        let url = address(&Url::parse(base).unwrap(), &["a/b", "c?"]).unwrap();
        assert_eq!(url.path(), path, "{base}");
    }
    assert_eq!(client("http://h/p/", &TlsSpec::default()).unwrap().url(), "http://h/p");
}

#[test]
fn this_machine_by_its_very_name() {
    for (url, here) in [
        ("http://127.0.0.1:1", true),
        ("http://127.9.9.9", true),
        ("http://[::1]:1", true),
        ("http://localhost", true),
        ("http://db.localhost", true),
        ("http://localhost.example.com", false),
        ("http://10.0.0.1", false),
        ("http://ops-1", false),
    ] {
        assert_eq!(is_loopback(&Url::parse(url).unwrap()), here, "{url}");
    }
}

const PROXY: &str = "HTTP_PROXY";

/// Also run by [`loopback_goes_past_the_systems_proxy`], with a proxy that nobody runs.
#[tokio::test]
async fn a_request_to_this_machine_arrives() {
    let (address, _running) = server(None, EMPTY_OK).await;
    get(&format!("http://{address}"), &TlsSpec::default()).await.unwrap();
    if std::env::var_os(PROXY).is_some_and(|proxy| proxy == "http://127.0.0.1:9") {
        let error = get("http://ops.invalid", &TlsSpec::default()).await.unwrap_err();
        assert!(error.to_string().contains("refused"), "others go through the proxy: {error:?}");
    }
}

#[test]
fn loopback_goes_past_the_systems_proxy() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "backend::http::tests::a_request_to_this_machine_arrives"])
        .env(PROXY, "http://127.0.0.1:9")
        .env("http_proxy", "http://127.0.0.1:9")
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
