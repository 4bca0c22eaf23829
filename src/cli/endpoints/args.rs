//! The arguments of `vigie endpoints`.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args as ClapArgs, Subcommand};

use crate::cli::args::ReadOptions;
use crate::model::Kind;

const AUTH_HELP: &str = "Where a credential comes from: NAME=env:VARIABLE, file:PATH, command:PROGRAM or vault:TEAM/NAME; \
                         plain:TEXT for what is no secret";

/// `endpoints [test|add]`
#[derive(Debug, Clone, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
pub struct EndpointsArgs {
    /// What to do with one of them.
    #[command(subcommand)]
    pub command: Option<EndpointsCommand>,
    /// The list, without.
    #[command(flatten)]
    pub read: ReadOptions,
}

/// `endpoints …`
#[derive(Debug, Clone, Subcommand)]
pub enum EndpointsCommand {
    /// Look at one endpoint alone: what it is, what can be done, what is missing (exit code: 0 up, 1 degraded, 3 it could not be read)
    Test(TestOptions),
    /// Attach a system: asks what it has to know, looks at the system, and writes the configuration
    Add(AddOptions),
}

/// Options of `endpoints test`.
#[derive(Debug, Clone, ClapArgs)]
pub struct TestOptions {
    /// The endpoint
    #[arg(value_name = "NAME")]
    pub endpoint: String,
}

/// Options of `endpoints add`.
#[derive(Debug, Clone, ClapArgs)]
pub struct AddOptions {
    /// Its name, shown in every row
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// The system that it speaks
    #[arg(long, value_name = "KIND", value_parser = kinds())]
    pub kind: Option<Kind>,
    /// Where it is; for kind vigie without it: the coordinator of this machine
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Where a credential comes from
    #[arg(long, value_name = "NAME=SOURCE", help = AUTH_HELP)]
    pub auth: Vec<String>,
    /// An option of its kind
    #[arg(long, value_name = "NAME=VALUE")]
    pub option: Vec<String>,
    /// Ask nothing, and answer every confirmation with yes
    #[arg(long)]
    pub yes: bool,
    /// Write it without looking at the system
    #[arg(long)]
    pub no_probe: bool,
}

fn kinds() -> impl TypedValueParser<Value = Kind> {
    PossibleValuesParser::new(Kind::ALL.iter().map(|kind| kind.word())).try_map(|word| word.parse::<Kind>())
}
