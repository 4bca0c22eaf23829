//! How `vigie serve` is reached: what command line and configuration say
//! together, and the check of it.

use std::path::Path;

use crate::config::ServeAccess;
use crate::coordinator::{self, BindError, Certificate, ServeError, TlsFiles};

use super::super::{Exit, Failure, complain, print, session};
use super::args::ServeOptions;

/// What the command line says.
#[derive(Debug, Clone)]
pub struct Line {
    listen: Option<String>,
    tls: Option<TlsFiles>,
}

impl Line {
    /// Of these options. Paths hold wherever the program goes.
    pub fn of(options: &ServeOptions) -> Self {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let tls = options
            .tls_cert
            .as_deref()
            .zip(options.tls_key.as_deref())
            .map(|(certificate, key)| TlsFiles { certificate: absolute(certificate), key: absolute(key) });
        Self { listen: options.listen.clone(), tls }
    }
}

/// What both say together.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Where to listen.
    pub listen: Option<String>,
    /// The names by which it may be called beyond loopback.
    pub hosts: Vec<String>,
    /// Its certificate.
    pub tls: Option<TlsFiles>,
}

/// The command line goes before the configuration.
pub fn wanted(line: &Line, configured: &ServeAccess) -> Wanted {
    let files = configured.tls.as_ref();
    let files =
        files.map(|(certificate, key)| TlsFiles { certificate: certificate.clone(), key: key.clone() });
    Wanted {
        listen: line.listen.clone().or_else(|| configured.listen.clone()),
        hosts: configured.hosts.clone(),
        tls: line.tls.clone().or(files),
    }
}

/// Says how it would be reached, and everything that is wrong with that. Needs no network.
///
/// # Errors
/// An address that is none or needs a certificate, or a certificate that can't be shown.
pub fn check(wanted: &Wanted) -> Result<Exit, Failure> {
    let cron_port = session::variable("CRON_PORT").map(|port| port.to_string_lossy().into_owned());
    let address = coordinator::address(wanted.listen.as_deref(), cron_port.as_deref())
        .map_err(|error| Failure::usage(error.to_string()))?;
    let Some(files) = &wanted.tls else {
        if !address.ip().is_loopback() {
            let error = BindError::NotLoopback(ServeError::NotLoopback(address));
            return Err(Failure::usage(error.to_string()));
        }
        print(&format!("it would listen on http://{address}\n"))?;
        return Ok(Exit::OK);
    };
    let certificate =
        Certificate::read(files, session::now()).map_err(|error| Failure::usage(error.to_string()))?;
    let until =
        certificate.expires.map_or_else(String::new, |at| format!(", good until {}", at.format("%Y-%m-%d")));
    print(&format!(
        "it would listen on https://{address}\n{} is right{until}\n",
        files.certificate.display()
    ))?;
    for host in certificate.is_not_for(&wanted.hosts) {
        complain(&format!("the certificate is not for {host}: who calls by that name will not trust it"));
    }
    Ok(Exit::OK)
}
