//! The arguments of `vigie token`.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args as ClapArgs, Subcommand};

use crate::cli::args::{DATA_HELP, Format};
use crate::model::{Role, parse_duration};

/// `token …`
#[derive(Debug, Clone, Subcommand)]
pub enum TokenCommand {
    /// Make a token: it is printed this once, alone on standard output
    Create(TokenCreate),
    /// The tokens: names, roles, teams and times; never the tokens themselves
    List(TokenList),
    /// End a token at once
    Revoke(TokenRevoke),
    /// Put a new token in the place of one; the old one ends at once, or after a grace
    Rotate(TokenRotate),
}

/// Whose tokens.
#[derive(Debug, Clone, ClapArgs)]
pub struct TokenPlace {
    /// The coordinator of this data directory, whether it runs or not
    #[arg(long, value_name = "DIR", help = DATA_HELP, conflicts_with = "endpoint")]
    pub data: Option<PathBuf>,
    /// The coordinator that is configured as this endpoint, with an admin's token
    #[arg(long, value_name = "NAME")]
    pub endpoint: Option<String>,
}

/// Options of `token create`.
#[derive(Debug, Clone, ClapArgs)]
pub struct TokenCreate {
    /// What people call it: it stands in the audit log
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// What its bearer may do: viewer (read), operator (act, report, submit) or admin (configure)
    #[arg(long, value_name = "ROLE", value_parser = roles())]
    pub role: Role,
    /// Only this team's tasks; may be repeated [default: all tasks]
    #[arg(long, value_name = "TEAM")]
    pub team: Vec<String>,
    /// How long it is good, such as 90d [default: until it is revoked]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub expires: Option<Duration>,
    /// Whose.
    #[command(flatten)]
    pub place: TokenPlace,
}

/// Options of `token list`.
#[derive(Debug, Clone, ClapArgs)]
pub struct TokenList {
    /// How to print
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: Format,
    /// Whose.
    #[command(flatten)]
    pub place: TokenPlace,
}

/// Options of `token revoke`.
#[derive(Debug, Clone, ClapArgs)]
pub struct TokenRevoke {
    /// Which
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Whose.
    #[command(flatten)]
    pub place: TokenPlace,
}

/// Options of `token rotate`.
#[derive(Debug, Clone, ClapArgs)]
pub struct TokenRotate {
    /// Which
    #[arg(value_name = "NAME")]
    pub name: String,
    /// How much longer the old one is good [default: not at all]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub grace: Option<Duration>,
    /// Whose.
    #[command(flatten)]
    pub place: TokenPlace,
}

fn roles() -> impl TypedValueParser<Value = Role> {
    PossibleValuesParser::new(Role::ALL.iter().map(|role| role.word())).try_map(|word| word.parse::<Role>())
}
