//! What the coordinator shows to whoever calls from elsewhere: a certificate,
//! read at the start and again whenever its files change, over TLS 1.2 or 1.3.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, Error, RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use crate::model::Clean;

use super::TlsFiles;

/// The protocol that is spoken inside.
const HTTP: &[u8] = b"http/1.1";

/// A certificate that can't be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read.
    #[error("{0} can't be read: {1}")]
    Unreadable(String, Clean),
    /// A file holds something else.
    #[error("{0} holds no PEM {1}")]
    NoPem(String, &'static str),
    /// The key is another one's.
    #[error("the key in {key} is not that of the certificate in {certificate}")]
    Mismatch {
        /// The certificate's file.
        certificate: String,
        /// The key's file.
        key: String,
    },
    /// It is over.
    #[error("the certificate in {0} expired at {1}: renew it")]
    Expired(String, Clean),
    /// It has not begun.
    #[error("the certificate in {0} is good only from {1} on: look at the clock")]
    NotYet(String, Clean),
    /// TLS itself can't be had.
    #[error("the certificate in {0} can't be used: {1}")]
    Unusable(String, Clean),
}

/// A certificate as read, and what is to be known of it.
#[derive(Debug, Clone)]
pub struct Certificate {
    key: Arc<CertifiedKey>,
    /// When it is over, where that can be told.
    pub expires: Option<DateTime<Utc>>,
}

impl Certificate {
    /// Reads certificate and key: they belong together, and are good at `now`.
    ///
    /// # Errors
    /// What is wrong, with the file and what to do.
    pub fn read(files: &TlsFiles, now: DateTime<Utc>) -> Result<Self, TlsError> {
        let named = files.certificate.display().to_string();
        let chain = CertificateDer::pem_slice_iter(&bytes(&files.certificate)?)
            .collect::<Result<Vec<_>, _>>()
            .ok()
            .filter(|chain| !chain.is_empty())
            .ok_or_else(|| TlsError::NoPem(named.clone(), "certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(&bytes(&files.key)?)
            .map_err(|_| TlsError::NoPem(files.key.display().to_string(), "private key"))?;
        let expires = dates(chain.first(), &named, now)?;
        let key = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
            Error::InconsistentKeys(_) => {
                TlsError::Mismatch { certificate: named.clone(), key: files.key.display().to_string() }
            }
            error => TlsError::Unusable(named.clone(), error.to_string().into()),
        })?;
        Ok(Self { key: Arc::new(key), expires })
    }

    /// Those of `hosts` that it is not for: who calls by one of them will not trust it.
    #[must_use]
    pub fn is_not_for<'a>(&self, hosts: &'a [String]) -> Vec<&'a str> {
        let Some(parsed) = self.key.cert.first().and_then(|der| ParsedCertificate::try_from(der).ok()) else {
            return Vec::new();
        };
        let named = |host: &str| {
            ServerName::try_from(host.to_owned())
                .is_ok_and(|name| rustls::client::verify_server_name(&parsed, &name).is_ok())
        };
        hosts.iter().map(String::as_str).filter(|host| !named(host)).collect()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn bytes(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path)
        .map_err(|error| TlsError::Unreadable(path.display().to_string(), error.to_string().into()))
}

/// Whether a certificate is good at `now`, and until when.
///
/// The verifier looks at the dates of a certificate before it looks for its
/// issuer; every other complaint is of an issuer that it was not given.
fn dates(
    certificate: Option<&CertificateDer<'_>>,
    named: &str,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, TlsError> {
    let unusable =
        |error: &dyn std::fmt::Display| TlsError::Unusable(named.to_owned(), Clean::from(error.to_string()));
    let certificate = certificate.ok_or_else(|| TlsError::NoPem(named.to_owned(), "certificate"))?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone().into_owned()).map_err(|error| unusable(&error))?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| unusable(&error))?;
    let name = ServerName::try_from("localhost").map_err(|error| unusable(&error))?;
    let judged = |at: u64| {
        let at = UnixTime::since_unix_epoch(Duration::from_secs(at));
        verifier.verify_server_cert(certificate, &[], &name, &[], at).err()
    };
    let said = |time: UnixTime| {
        let at = i64::try_from(time.as_secs()).ok().and_then(|secs| DateTime::from_timestamp(secs, 0));
        at.unwrap_or_default()
    };
    let shown = |time: UnixTime| Clean::from(said(time).format("%Y-%m-%dT%H:%M:%SZ").to_string());
    match judged(u64::try_from(now.timestamp()).unwrap_or(0)) {
        Some(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            return Err(TlsError::Expired(named.to_owned(), shown(not_after)));
        }
        Some(Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })) => {
            return Err(TlsError::NotYet(named.to_owned(), shown(not_before)));
        }
        Some(Error::InvalidCertificate(CertificateError::BadEncoding)) => {
            return Err(unusable(&"it can't be read"));
        }
        _ => {}
    }
    // Far away every certificate is over, and the verifier says since when.
    Ok(match judged(u64::from(u32::MAX) * 100) {
        Some(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            Some(said(not_after))
        }
        _ => None,
    })
}

/// The certificate that is shown now.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _client: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Accepts TLS with the certificate of some files, as they are now.
#[derive(Clone)]
pub(super) struct Tls {
    files: TlsFiles,
    shown: Arc<Shown>,
    acceptor: TlsAcceptor,
}

/// Only the files: nothing that could hold a key.
impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Tls {
    /// With the certificate of `files`.
    ///
    /// # Errors
    /// See [`Certificate::read`].
    pub(super) fn new(files: TlsFiles, now: DateTime<Utc>) -> Result<Self, TlsError> {
        let certificate = Certificate::read(&files, now)?;
        let shown = Arc::new(Shown(RwLock::new(certificate.key)));
        let resolver = Arc::clone(&shown);
        // The safe versions are 1.2 and 1.3.
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| {
                TlsError::Unusable(files.certificate.display().to_string(), error.to_string().into())
            })?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![HTTP.to_vec()];
        Ok(Self { files, shown, acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    /// For connections.
    pub(super) const fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// What the files look like from outside: another print, another content.
    pub(super) fn print(&self) -> [Option<Print>; 2] {
        [&self.files.certificate, &self.files.key]
            .map(|path| std::fs::metadata(path).ok().as_ref().map(Print::of))
    }

    /// Reads the files again: connections from now on see the new certificate.
    /// What can't be used is logged, and the one of before goes on.
    pub(super) fn reload(&self, now: DateTime<Utc>) {
        match Certificate::read(&self.files, now) {
            Ok(certificate) => {
                let expires = certificate.expires.map(|at| at.to_rfc3339()).unwrap_or_default();
                *self.shown.0.write().unwrap_or_else(PoisonError::into_inner) = certificate.key;
                tracing::info!(%expires, "the certificate was read again");
            }
            Err(error) => tracing::error!("the certificate of before is still shown: {error}"),
        }
    }
}

/// A file as its folder knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Print(u64, u64, i64, i64);

impl Print {
    fn of(file: &Metadata) -> Self {
        Self(file.ino(), file.len(), file.mtime(), file.mtime_nsec())
    }
}
