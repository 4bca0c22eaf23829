//! Real servers on loopback, through the real adapters.

use super::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const HEALTH: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/duplistatus/1.4.2/health-new.json"));

/// How a server treats whoever comes.
#[derive(Debug, Clone, Copy)]
enum Manner {
    Good,
    /// Takes the connection and says nothing.
    Hangs,
    /// Closes it at once.
    Dies,
    /// Says that all is well, in HTML.
    Lies,
    /// Begins an answer and never ends it.
    Stalls,
}

async fn server(manner: Manner) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let (kind, body, length) = match manner {
                    Manner::Dies => return,
                    Manner::Hangs => return std::future::pending().await,
                    Manner::Good => ("application/json", HEALTH, HEALTH.len()),
                    Manner::Lies => ("text/html", "<html>all is well</html>", 24),
                    Manner::Stalls => ("application/json", "{\"status\"", 9_000),
                };
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
                );
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
                if matches!(manner, Manner::Stalls) {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    url
}

#[tokio::test]
async fn bad_company_does_not_slow_down_a_good_endpoint() {
    let mut endpoints = Vec::new();
    let manners = [Manner::Hangs, Manner::Dies, Manner::Lies, Manner::Stalls, Manner::Good];
    for manner in manners {
        let name = format!("{manner:?}").to_lowercase();
        // The good one is given time: a busy machine must not make it look bad.
        let timeout = match manner {
            Manner::Good => Duration::from_secs(60),
            _ => Duration::from_millis(500),
        };
        endpoints.push(EndpointSpec {
            poll: Duration::from_millis(100),
            timeout,
            url: Some(server(manner).await),
            ..spec(&name)
        });
    }
    let folder = tempfile::tempdir().unwrap();
    let setup =
        Setup { endpoints, read_only: false, places: places(folder.path()), local: LocalPolicy::AnswerOnly };
    let mut runtime = Runtime::start(setup).unwrap();
    let mut good = 0;
    let mut failed = std::collections::BTreeMap::<String, Failure>::new();
    while good < 10 || failed.len() < 4 {
        let update = tokio::time::timeout(Duration::from_secs(60), runtime.updates.next()).await;
        match update.unwrap_or_else(|_| panic!("good: {good}, failed: {failed:?}")).unwrap() {
            Update::Polled { endpoint, snapshot } => {
                assert_eq!(endpoint.as_raw(), "good");
                assert_eq!(snapshot.tasks.items.len(), 2);
                good += 1;
            }
            Update::Failed { endpoint, failure } => {
                assert_ne!(endpoint.as_raw(), "good", "{failure:?}");
                failed.insert(endpoint.as_raw().to_owned(), failure);
            }
            _ => {}
        }
    }
    assert!(failed.values().all(|failure| failure.health == Health::Down), "{failed:?}");
    runtime.shutdown().await;
}
