//! What went wrong on the way, in short words instead of a chain of causes.

use std::error::Error;
use std::io;

use rustls::CertificateError;
use url::Url;

use super::BackendError;
use crate::model::Clean;

/// An error before the body.
pub fn of(error: &reqwest::Error, url: &Url) -> BackendError {
    let place = place(url);
    if let Some(tls) = find::<rustls::Error>(error) {
        return BackendError::Tls(tls_words(tls, &place));
    }
    if error.is_dns() {
        let host = url.host_str().unwrap_or("?");
        return BackendError::Unreachable(Clean::from(format!("no host is known as {host}")));
    }
    if error.is_connect() {
        if error.is_timeout() {
            return BackendError::Unreachable(Clean::from(format!("no connection to {place}: no answer")));
        }
        let what = find::<io::Error>(error)
            .map_or_else(|| root_cause(error).to_string(), |io| io_words(io).to_owned());
        return BackendError::Unreachable(Clean::from(format!("{what} ({place})")));
    }
    let cause = root_cause(error);
    if cause.contains("HTTP") || cause.contains("header") {
        return BackendError::Protocol {
            path: Clean::line(url.path()),
            detail: Clean::from(format!("not HTTP: {cause}")),
        };
    }
    BackendError::Broken(find::<io::Error>(error).map_or(cause, |io| Clean::line(io_words(io))))
}

/// An error within the body.
pub fn of_body(error: &reqwest::Error) -> BackendError {
    BackendError::Broken(find::<io::Error>(error).map_or_else(
        || Clean::from(format!("the answer breaks off ({})", root_cause(error))),
        |io| Clean::from(format!("the answer breaks off ({})", io_words(io))),
    ))
}

/// The innermost cause, as text: it holds neither URL nor header.
pub fn root_cause(error: &reqwest::Error) -> Clean {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if let Some(error) = cause.downcast_ref::<reqwest::Error>() {
        // `without_url` needs ownership, and the words of the kind are all that is left.
        return if error.is_builder() { "it can't be built".into() } else { "the request failed".into() };
    }
    Clean::from(cause.to_string())
}

/// The first error of a type in the chain, also where an I/O error wraps it.
fn find<T: Error + 'static>(error: &reqwest::Error) -> Option<&T> {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        // An I/O error hides its own inner error from `source`.
        cause = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    url.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn io_words(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::ConnectionReset => "connection reset",
        io::ErrorKind::ConnectionAborted => "connection aborted",
        io::ErrorKind::BrokenPipe => "connection closed",
        io::ErrorKind::UnexpectedEof => "closed too early",
        io::ErrorKind::HostUnreachable => "no route to the host",
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => "the network is unreachable",
        io::ErrorKind::AddrNotAvailable => "the address is not available",
        io::ErrorKind::PermissionDenied => "connecting is not permitted here",
        io::ErrorKind::TimedOut => "no answer",
        _ => "no connection",
    }
}

fn tls_words(error: &rustls::Error, place: &str) -> Clean {
    let words = match error {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::UnknownIssuer => {
                "nobody trusted here has signed its certificate: set tls.ca_file".to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is for another name: correct the url, or set tls.server_name".to_owned()
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet".to_owned()
            }
            other => format!("its certificate is invalid: {other}"),
        },
        rustls::Error::InvalidMessage(_) => "it does not speak TLS: is the url http?".to_owned(),
        rustls::Error::AlertReceived(alert) => {
            format!("it refuses: {alert:?} (does it want tls.client_cert?)")
        }
        other => other.to_string(),
    };
    Clean::from(format!("{words} ({place})"))
}
