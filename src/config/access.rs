//! `[coordinator]`: how `vigie serve` is reached.

use super::ServeAccess;
use super::endpoint::Base;
use crate::document::Table;

/// The longest name of a host.
const MAX_HOST: usize = 253;

/// Reads everything but `open_on_loopback`.
pub(super) fn read(table: &Table<'_>, base: &Base<'_>) -> ServeAccess {
    let listen = table.string("listen").filter(|text| !text.is_empty());
    let hosts = table.strings("hosts").unwrap_or_default();
    for host in hosts.iter().filter(|host| !is_host(host)) {
        table.problem(&format!(
            "hosts: {host:?} is not a host's name or address: write it without scheme and port"
        ));
    }
    let tls = table.table("tls").and_then(|tls| {
        let path = |key: &'static str| tls.need(key).and_then(|value| base.path(value));
        let files = path("cert").zip(path("key"));
        tls.finish();
        files
    });
    ServeAccess { listen, hosts, tls }
}

/// A name, or an address; an IPv6 address stands in brackets, as in a URL.
fn is_host(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            (1..=MAX_HOST).contains(&host.len())
                && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::Settings;

    use super::*;

    fn parse(text: &str) -> Result<ServeAccess, String> {
        Settings::parse(text, Path::new("/etc/vigie"), None)
            .map(|settings| settings.access)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn how_it_is_reached() {
        let text = "[coordinator]\nlisten = \"0.0.0.0:8667\"\nhosts = [\"ops-1.example\", \"[2001:db8::1]\"]\n\
                    tls = { cert = \"cert.pem\", key = \"/keys/key.pem\" }\n";
        let access = parse(text).unwrap();
        assert_eq!(access.listen.as_deref(), Some("0.0.0.0:8667"));
        assert_eq!(access.hosts, ["ops-1.example", "[2001:db8::1]"]);
        assert_eq!(access.tls, Some(("/etc/vigie/cert.pem".into(), "/keys/key.pem".into())));
        assert_eq!(parse("[coordinator]\nlisten = \"\"\nhosts = []").unwrap(), ServeAccess::default());
    }

    #[test]
    fn mistakes_are_named() {
        for (text, part) in [
            ("hosts = [\"https://ops-1\"]", "without scheme and port"),
            ("hosts = [\"ops-1:8667\"]", "without scheme and port"),
            ("tls = { cert = \"c\" }", "key"),
            ("tls = { cert = \"c\", key = \"k\", ca = \"x\" }", "ca"),
            ("listen = 8667", "listen"),
        ] {
            let problems = parse(&format!("[coordinator]\n{text}\n")).unwrap_err();
            assert!(problems.contains(part), "{text}: {problems}");
        }
    }
}
