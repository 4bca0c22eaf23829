//! Whom to trust, and as whom to be known.

use std::path::Path;
use std::sync::Arc;

use reqwest::{Certificate, ClientBuilder, Identity};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use url::Url;

use super::BuildError;
use crate::model::TlsSpec;

/// Gives the client its TLS settings.
pub fn configure(builder: ClientBuilder, url: &Url, spec: &TlsSpec) -> Result<ClientBuilder, BuildError> {
    if url.scheme() == "http" {
        if *spec != TlsSpec::default() {
            return Err(BuildError::new("tls is configured, but the url is http".to_owned()));
        }
        // Never used, since another scheme is another origin; spares reading the system's roots.
        let config = config_builder()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        return Ok(builder.tls_backend_preconfigured(config));
    }
    if let Some(name) = &spec.server_name {
        return Ok(builder.tls_backend_preconfigured(renamed(name, spec)?));
    }
    // Whoever was first has installed the same one.
    let _ = ring::default_provider().install_default();
    let mut builder = builder;
    if let Some(file) = &spec.ca_file {
        let roots = Certificate::from_pem_bundle(&read(file, "tls.ca_file")?)
            .ok()
            .filter(|roots| !roots.is_empty())
            .ok_or_else(|| no_pem(file, "tls.ca_file", "certificate"))?;
        builder = builder.tls_certs_only(roots);
    }
    if let Some((certificate, key)) = client_files(spec)? {
        let mut pem = read(certificate, "tls.client_cert")?;
        pem.push(b'\n');
        pem.extend(read(key, "tls.client_key")?);
        let identity = Identity::from_pem(&pem)
            .map_err(|_| BuildError::new("tls.client_cert and tls.client_key are no PEM pair".to_owned()))?;
        builder = builder.identity(identity);
    }
    Ok(builder)
}

/// A configuration that expects `name` in the certificate, whatever the URL says.
fn renamed(name: &str, spec: &TlsSpec) -> Result<ClientConfig, BuildError> {
    let Some(file) = &spec.ca_file else {
        return Err(BuildError::new("tls.server_name needs tls.ca_file too".to_owned()));
    };
    let name = ServerName::try_from(name.to_owned())
        .map_err(|_| BuildError::new(format!("tls.server_name {name:?} is no host name")))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file, "tls.ca_file")? {
        roots.add(certificate).map_err(|_| no_pem(file, "tls.ca_file", "certificate"))?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|e| BuildError::new(format!("tls.ca_file {}: {e}", file.display())))?;
    let config =
        config_builder()?.dangerous().with_custom_certificate_verifier(Arc::new(Renamed { verifier, name }));
    let mut config = match client_files(spec)? {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates(certificate, "tls.client_cert")?;
            let key = PrivateKeyDer::from_pem_slice(&read(key, "tls.client_key")?)
                .map_err(|_| no_pem(key, "tls.client_key", "private key"))?;
            config
                .with_client_auth_cert(chain, key)
                .map_err(|e| BuildError::new(format!("tls.client_cert and tls.client_key: {e}")))?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn config_builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, BuildError> {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|e| BuildError::new(format!("TLS: {e}")))
}

fn client_files(spec: &TlsSpec) -> Result<Option<(&Path, &Path)>, BuildError> {
    match (&spec.client_cert, &spec.client_key) {
        (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
        (None, None) => Ok(None),
        _ => Err(BuildError::new("tls.client_cert and tls.client_key need each other".to_owned())),
    }
}

fn certificates(file: &Path, what: &str) -> Result<Vec<CertificateDer<'static>>, BuildError> {
    CertificateDer::pem_slice_iter(&read(file, what)?)
        .collect::<Result<Vec<_>, _>>()
        .ok()
        .filter(|found| !found.is_empty())
        .ok_or_else(|| no_pem(file, what, "certificate"))
}

fn read(file: &Path, what: &str) -> Result<Vec<u8>, BuildError> {
    std::fs::read(file).map_err(|e| BuildError::new(format!("{what}: {} can't be read: {e}", file.display())))
}

fn no_pem(file: &Path, what: &str, thing: &str) -> BuildError {
    BuildError::new(format!("{what}: {} holds no usable PEM {thing}", file.display()))
}

/// Verifies as ever, for a name of its own.
#[derive(Debug)]
struct Renamed {
    verifier: Arc<WebPkiServerVerifier>,
    name: ServerName<'static>,
}

impl ServerCertVerifier for Renamed {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verifier.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
