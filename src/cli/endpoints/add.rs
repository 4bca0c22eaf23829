//! `vigie endpoints add`: asks, probes, says what it found, and writes.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

use crate::config::{AddError, Addition, NewEndpoint, Paths};
use crate::model::{EndpointSpec, Health, Kind};

use super::super::{Exit, Failure, print, session, tty};
use super::args::AddOptions;
use super::wizard::Draft;
use super::{found, probe};
use crate::cli::args::Global;

/// Runs it.
///
/// # Errors
/// Usage or configuration; what was refused. Nothing was written then.
pub async fn add(global: &Global, options: &AddOptions) -> Result<Exit, Failure> {
    let paths = session::paths(global)?;
    let folder = paths.config.parent().unwrap_or_else(|| Path::new("")).to_path_buf();
    let asks = tty::is_attended() && !options.yes;
    let mut draft = Draft::of(options)?;
    if asks {
        draft.complete(&folder, &session::places(&paths).vault, &taken(&paths)?).await?;
    }
    let endpoint = draft.finish()?;
    let alone = Addition::prepare(&paths, std::slice::from_ref(&endpoint))?;
    let Some(spec) = alone.specs().first().cloned() else {
        return Err(Failure::usage("the endpoint can't be read back"));
    };
    caution(&spec, options, asks)?;
    let kept = Kept::write(&folder, std::mem::take(&mut draft.pasted))?;
    if !options.no_probe {
        look(&paths, spec.clone(), asks).await?;
    }
    let addition = with_local(&paths, &endpoint, alone, options.yes, asks)?;
    if asks {
        tty::say(&format!("\nThis goes to the end of {}:\n\n{}\n", paths.config.display(), addition.text()));
        if !tty::yes("Write it?")? {
            return Err(nothing());
        }
    }
    addition.write()?;
    kept.stay();
    print(&format!("wrote {}: {} is an endpoint now\n", paths.config.display(), spec.name))?;
    Ok(Exit::OK)
}

fn nothing() -> Failure {
    Failure::refused("nothing was written")
}

impl From<AddError> for Failure {
    fn from(error: AddError) -> Self {
        match error {
            AddError::Broken(_) | AddError::Wrong(_) => Self::usage(error.to_string()),
            AddError::Changed(_) | AddError::Unwritable { .. } => Self::refused(error.to_string()),
        }
    }
}

/// The names that are written in the file.
fn taken(paths: &Paths) -> Result<Vec<String>, Failure> {
    // Read before anything is asked, so that a broken file is told first.
    let addition = Addition::prepare(paths, &[])?;
    Ok(addition.names().to_vec())
}

/// Says what using the credentials costs, before they are used.
fn caution(spec: &EndpointSpec, options: &AddOptions, asks: bool) -> Result<(), Failure> {
    // It is about a token; a login spends none.
    let Some(caution) = spec.kind.spec().caution.filter(|_| spec.auth.contains_key("token")) else {
        return Ok(());
    };
    tty::say(&format!("Note: {caution}.\n"));
    if options.no_probe || options.yes {
        return Ok(());
    }
    if !asks {
        return Err(Failure::refused(
            "nothing was written: give --yes to use the token now, or --no-probe to write it unused",
        ));
    }
    if tty::yes("Use it now?")? { Ok(()) } else { Err(nothing()) }
}

/// Probes it and prints what was found.
///
/// # Errors
/// It could not be read, and is not to be written for that.
async fn look(paths: &Paths, spec: EndpointSpec, asks: bool) -> Result<(), Failure> {
    let name = spec.name.clone();
    let session = probe::probe(paths, spec).await?;
    let text = found::describe(&session, &name);
    let row = session.fleet.endpoint(&name);
    let is_read = row.is_some_and(|row| matches!(row.health, Health::Up | Health::Degraded));
    session.close().await;
    print(&text)?;
    if is_read {
        return Ok(());
    }
    if !asks {
        return Err(Failure::refused(format!(
            "{name} could not be read, so nothing was written: give --no-probe to write it all the same"
        )));
    }
    if tty::yes("\nIt could not be read. Go on all the same?")? { Ok(()) } else { Err(nothing()) }
}

/// With the coordinator of this machine beside it, where that was there only by default.
fn with_local(
    paths: &Paths,
    endpoint: &NewEndpoint,
    alone: Addition,
    yes: bool,
    asks: bool,
) -> Result<Addition, Failure> {
    let is_local = endpoint.kind == Kind::Vigie && endpoint.url.is_none();
    if !alone.names().is_empty() || is_local {
        return Ok(alone);
    }
    let local = NewEndpoint::local();
    if endpoint.name == local.name {
        return Ok(alone);
    }
    let keeps = yes
        || (asks
            && {
                tty::say(
                    "\nSo far there was no endpoint in the configuration, so vigie showed the coordinator of this \
             machine.\nFrom now on it shows what is written.\n",
                );
                tty::yes("Keep the coordinator of this machine too?")?
            });
    if keeps {
        return Ok(Addition::prepare(paths, &[local, endpoint.clone()])?);
    }
    if !asks {
        tty::say(
            "Note: the coordinator of this machine was shown because no endpoint was written; to keep it: \
             vigie endpoints add local --kind vigie\n",
        );
    }
    Ok(alone)
}

/// Secrets that were given to be kept: gone again, if nothing comes of it.
#[derive(Debug, Default)]
struct Kept(Vec<PathBuf>);

impl Kept {
    /// Writes each to its path below `folder`, for the owner's eyes only.
    fn write(folder: &Path, secrets: Vec<(PathBuf, SecretString)>) -> Result<Self, Failure> {
        use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
        let mut kept = Self::default();
        for (below, secret) in secrets {
            let path = folder.join(below);
            let refused = |error| Failure::refused(format!("{} can't be written: {error}", path.display()));
            if let Some(parent) = path.parent() {
                std::fs::DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(refused)?;
            }
            let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
            let mut file = file.map_err(refused)?;
            kept.0.push(path.clone());
            file.write_all(secret.expose_secret().as_bytes())
                .and_then(|()| file.write_all(b"\n"))
                .and_then(|()| file.sync_all())
                .map_err(refused)?;
        }
        Ok(kept)
    }

    /// The configuration names them now.
    fn stay(mut self) {
        self.0.clear();
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        for path in &self.0 {
            // Nothing better can be done where even this fails.
            let _ = std::fs::remove_file(path);
        }
    }
}
