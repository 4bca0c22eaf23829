//! Finding a coordinator by the file that it leaves in its data directory, and
//! holding a lease on it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Response;

use crate::model::Clean;
use crate::wire::{COORDINATOR_FILE, Coordinator, CoordinatorFile};

/// It is on this machine: one that does not answer in this time is stuck.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// Talks to whichever coordinator runs on one data directory.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    file: PathBuf,
    /// The announcement that turned out to be of one that is no more.
    dead: Mutex<Option<(String, u32)>>,
}

/// A coordinator that answers.
#[derive(Debug)]
pub struct Found {
    file: CoordinatorFile,
    /// What it says of itself.
    pub about: Coordinator,
}

/// While this is held, the coordinator knows that a console is there.
#[derive(Debug)]
pub struct Lease(Response);

impl Lease {
    /// Returns when the coordinator has gone.
    pub async fn broken(&mut self) {
        while let Ok(Some(_)) = self.0.chunk().await {}
    }
}

impl Client {
    /// For the coordinator of `data`.
    ///
    /// # Errors
    /// There is no HTTP client to be had.
    pub fn new(data: &Path) -> Result<Self, Clean> {
        let failed = |error: &dyn std::error::Error| Clean::from(format!("no HTTP client: {error}"));
        // It speaks plain HTTP on loopback: this spares reading the system's roots.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(&error))?
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(ANSWER_LIMIT)
            .build()
            .map_err(|error| failed(&error))?;
        Ok(Self { http, file: data.join(COORDINATOR_FILE), dead: Mutex::default() })
    }

    /// The coordinator that has announced itself, if it answers.
    pub async fn find(&self) -> Option<Found> {
        let file = self.announced().await?;
        let id = (file.url.clone(), file.pid);
        let found = match self.ask(&file).await {
            // Another program may have got the port of one that was killed.
            Ok(about) if about.pid == file.pid => Some(Found { file, about }),
            _ => None,
        };
        let dead = found.is_none().then_some(id);
        *self.dead.lock().unwrap_or_else(PoisonError::into_inner) = dead;
        found
    }

    /// Like [`Client::find`], but does not ask again where nobody answered before.
    pub async fn find_new(&self) -> Option<Found> {
        let file = self.announced().await?;
        let known = (file.url, file.pid);
        if self.dead.lock().unwrap_or_else(PoisonError::into_inner).as_ref() == Some(&known) {
            return None;
        }
        self.find().await
    }

    async fn announced(&self) -> Option<CoordinatorFile> {
        let bytes = tokio::fs::read(&self.file).await.ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// What `found` says of itself now.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn about(&self, found: &Found) -> Result<Coordinator, Clean> {
        self.ask(&found.file).await
    }

    async fn ask(&self, file: &CoordinatorFile) -> Result<Coordinator, Clean> {
        let request = self.get(file, "coordinator").timeout(ANSWER_LIMIT).send();
        let response = request.await.and_then(Response::error_for_status).map_err(|e| said(&e))?;
        response.json().await.map_err(|e| said(&e))
    }

    /// Tells the coordinator that a console is there, for as long as the lease is held.
    ///
    /// # Errors
    /// It has gone, or has too many consoles.
    pub async fn lease(&self, found: &Found) -> Result<Lease, Clean> {
        let request = self.get(&found.file, "lease").send();
        match tokio::time::timeout(ANSWER_LIMIT, request).await {
            Ok(Ok(response)) if response.status().is_success() => Ok(Lease(response)),
            Ok(Ok(response)) => {
                let status = response.status().as_u16();
                Err(Clean::from(format!("the coordinator takes no more consoles (status {status})")))
            }
            Ok(Err(error)) => Err(said(&error)),
            Err(_) => Err("the coordinator does not answer".into()),
        }
    }

    fn get(&self, file: &CoordinatorFile, what: &str) -> reqwest::RequestBuilder {
        self.http.get(format!("{}/api/v1/{what}", file.url)).bearer_auth(&file.token)
    }
}

/// Without the URL, which says nothing to anybody here.
fn said(error: &reqwest::Error) -> Clean {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Clean::from(format!("the coordinator does not answer: {cause}"))
}
