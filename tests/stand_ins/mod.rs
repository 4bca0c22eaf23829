//! Stand-ins of the systems that vigie speaks to: real HTTP servers on port 0
//! of this machine that answer as the contracts say, with the traps of the
//! real ones as switches. Shared by the binaries of tests and by the example
//! that serves them; one file or folder per system. `leftovers` is what such
//! tests tidy up.

pub mod duplistatus;
pub mod duplistatus_web;
pub mod duty_duck;
pub mod leftovers;
pub mod lively;
pub mod rediacc;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Serves until it is dropped: then every connection breaks too, as when a process is killed.
pub fn serve(listener: TcpListener, router: Router) -> JoinSet<()> {
    let mut server = JoinSet::new();
    server.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(router.clone());
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            connections.spawn(async move { drop(connection.await) });
        }
    });
    server
}
