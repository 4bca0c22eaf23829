//! `vigie token create|list|revoke|rotate`: who may call a coordinator from
//! elsewhere. Of this machine's data directory, whether a coordinator runs on
//! it or not, or of one that is configured (`--endpoint`), with an admin's
//! token. A new token is all that standard output gets, once. Exit codes: 0
//! done, 1 refused or failed, 2 usage or configuration, 3 outcome unknown.

pub mod args;

use std::path::PathBuf;
use std::sync::Arc;

use crate::backend::{BackendError, TokenCalls};
use crate::coordinator::LockError;
use crate::coordinator::engine::Actor;
use crate::coordinator::tokens::{self, OpenError, TokenRefusal, Tokens};
use crate::model::{Clean, EndpointName, EndpointSpec, Kind};
use crate::runtime::Credentials;
use crate::vault::Vault;
use crate::wire::{NewToken, RotateToken, TokenInfo, TokenIssued};

use super::args::{Format, Global};
use super::read::Form;
use super::{Exit, Failure, complain, print, session, table};

use args::{TokenCommand, TokenCreate, TokenPlace};

/// Runs it.
///
/// # Errors
/// Why it was not done.
pub async fn run(global: &Global, command: TokenCommand) -> Result<Exit, Failure> {
    match command {
        TokenCommand::Create(options) => {
            let place = open(global, &options.place).await?;
            issued(&place.create(wish(options)).await?)
        }
        TokenCommand::Rotate(options) => {
            let place = open(global, &options.place).await?;
            issued(&place.rotate(&options.name, options.grace.map(|grace| grace.as_secs())).await?)
        }
        TokenCommand::Revoke(options) => {
            let said = open(global, &options.place).await?.revoke(&options.name).await?;
            print(&format!("{said}\n"))?;
            Ok(Exit::OK)
        }
        TokenCommand::List(options) => {
            let list = open(global, &options.place).await?.list().await?;
            let now = session::now();
            let text = match options.output {
                Format::Table => table::tokens(&list, now),
                of => Form { of, now }.write("tokens", list.into_iter(), &sample())?,
            };
            print(&text)?;
            Ok(Exit::OK)
        }
    }
}

fn wish(options: TokenCreate) -> NewToken {
    NewToken {
        name: options.name,
        role: options.role,
        teams: options.team.into_iter().collect(),
        expires_in_s: options.expires.map(|life| life.as_secs()),
    }
}

/// The token alone to standard output, for a file or a pipe; what it is, beside it.
fn issued(issued: &TokenIssued) -> Result<Exit, Failure> {
    print(&format!("{}\n", issued.token))?;
    complain(&told(&issued.info));
    Ok(Exit::OK)
}

fn told(info: &TokenInfo) -> String {
    let teams = info.teams.as_ref().map_or_else(
        || "all teams".to_owned(),
        |teams| format!("teams {}", teams.iter().map(String::as_str).collect::<Vec<_>>().join(", ")),
    );
    let until = info
        .expires
        .map_or_else(|| "for ever".to_owned(), |at| format!("until {}", at.format("%Y-%m-%d %H:%M UTC")));
    format!("token {}: {}, {teams}, {until}; it is shown this once", info.name, info.role)
}

/// For the header of a CSV.
fn sample() -> TokenInfo {
    TokenInfo {
        name: Clean::line(""),
        role: crate::model::Role::Viewer,
        teams: None,
        created: chrono::DateTime::UNIX_EPOCH,
        expires: None,
        last_used: None,
        replaced: None,
        revoked: None,
    }
}

/// Where tokens are kept.
enum Place {
    /// A coordinator runs: it is asked.
    Running(TokenCalls),
    /// None does: its database is ours until the command ends.
    AtRest(Tokens),
}

/// Opens the place that the options name.
async fn open(global: &Global, place: &TokenPlace) -> Result<Place, Failure> {
    if let Some(name) = &place.endpoint {
        let (paths, settings) = session::configuration(global)?;
        let spec = session::coordinator(&settings, name, "tokens")?;
        if spec.url.is_some() {
            return calls(&spec, None, session::places(&paths).vault);
        }
        let places = session::places(&paths);
        return of_directory(places.data, places.vault).await;
    }
    let places = session::places(&session::paths(global)?);
    of_directory(place.data.clone().unwrap_or(places.data), places.vault).await
}

async fn of_directory(data: PathBuf, vault: Vault) -> Result<Place, Failure> {
    match tokens::at_rest(&data).await {
        Ok(tokens) => Ok(Place::AtRest(tokens)),
        Err(OpenError::Lock(LockError::Taken { by: Some(_), .. })) => {
            let local = EndpointName::new(crate::config::LOCAL);
            calls(&EndpointSpec::new(local, Kind::Vigie, None), Some(data), vault)
        }
        Err(error) => Err(Failure::refused(error.to_string())),
    }
}

fn calls(spec: &EndpointSpec, data: Option<PathBuf>, vault: Vault) -> Result<Place, Failure> {
    let credentials = Arc::new(Credentials::of(spec, vault, None));
    TokenCalls::new(spec, credentials, data, session::now)
        .map(Place::Running)
        .map_err(|error| Failure::usage(error.to_string()))
}

impl Place {
    async fn list(&self) -> Result<Vec<TokenInfo>, Failure> {
        match self {
            Self::Running(calls) => calls.list().await.map_err(failed),
            Self::AtRest(tokens) => Ok(tokens.list(&here())),
        }
    }

    async fn create(&self, wish: NewToken) -> Result<TokenIssued, Failure> {
        match self {
            Self::Running(calls) => calls.create(&wish).await.map_err(failed),
            Self::AtRest(tokens) => tokens.create(wish, &here(), session::now()).await.map_err(refused),
        }
    }

    async fn rotate(&self, name: &str, grace_s: Option<u64>) -> Result<TokenIssued, Failure> {
        match self {
            Self::Running(calls) => calls.rotate(name, &RotateToken { grace_s }).await.map_err(failed),
            Self::AtRest(tokens) => {
                tokens.rotate(name, grace_s.unwrap_or(0), &here(), session::now()).await.map_err(refused)
            }
        }
    }

    async fn revoke(&self, name: &str) -> Result<Clean, Failure> {
        match self {
            Self::Running(calls) => calls.revoke(name).await.map_err(failed),
            Self::AtRest(tokens) => {
                tokens.revoke(name, &here(), session::now()).await.map_err(refused)?;
                Ok(Clean::from(format!("the token {name} is revoked")))
            }
        }
    }
}

/// As who the audit log knows what is done without a coordinator.
fn here() -> Actor {
    Actor::here("local")
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
fn refused(error: TokenRefusal) -> Failure {
    Failure::refused(error.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
fn failed(error: BackendError) -> Failure {
    let exit = if error.may_have_acted() { Exit::UNKNOWN } else { Exit::FAILED };
    Failure { message: error.to_string(), exit }
}
