//! A configuration for the three stand-ins together, secrets in files of their own.

use std::fs::{OpenOptions, create_dir_all};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::stand_ins::{duplistatus_web, duty_duck};

/// Where they are, and the token that was made for vigie.
pub struct Places {
    pub cron: String,
    pub web: String,
    pub duck: String,
    pub queue: String,
    pub token: String,
}

/// The configuration; its secrets are written into `folder`, readable by their owner alone.
pub fn configuration(places: &Places, folder: &Path) -> String {
    create_dir_all(folder).unwrap();
    let secret = |name: &str, value: &str| {
        let path = folder.join(name);
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path).unwrap();
        writeln!(file, "{value}").unwrap();
        format!("{{ file = {:?} }}", path.display().to_string())
    };
    let password = secret("duplistatus", duplistatus_web::PASSWORD);
    let key = secret("duty-duck", duty_duck::SECRET_KEY);
    let token = secret("rediacc", &places.token);
    let (username, token_id) = (duplistatus_web::USERNAME, duty_duck::TOKEN_ID);
    let Places { cron, web, duck, queue, .. } = places;
    format!(
        r#"[[endpoint]]
name = "backups"
kind = "duplistatus"
url = "{cron}"
poll = "2s"
[endpoint.auth]
username = "{username}"
password = {password}
[endpoint.options]
web_url = "{web}"

[[endpoint]]
name = "duck"
kind = "duty-duck"
url = "{duck}"
poll = "2s"
[endpoint.auth]
token_id = "{token_id}"
secret_key = {key}

[[endpoint]]
name = "queue"
kind = "rediacc"
url = "{queue}"
poll = "4s"
[endpoint.auth]
token = {token}
"#
    )
}
