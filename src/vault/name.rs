//! What secrets are called.

use std::fmt;
use std::str::FromStr;

/// The team whose secrets every task may use.
pub const SHARED: &str = "shared";
/// The team of tasks that have none.
pub const NO_TEAM: &str = "default";
/// The longest part of a name, in bytes.
const MAX_PART: usize = 128;

/// A secret's name: its team and its own name, `data/pg`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretName {
    team: String,
    name: String,
}

impl SecretName {
    /// The team that it belongs to.
    #[must_use]
    pub fn team(&self) -> &str {
        &self.team
    }

    /// Whether a task of `team` may use it: its own team's, and what is [`SHARED`].
    #[must_use]
    pub fn is_for(&self, team: Option<&str>) -> bool {
        self.team == SHARED || self.team == team.unwrap_or(NO_TEAM)
    }

    /// Why a task of `team` may not use it, if so.
    ///
    /// # Errors
    /// A sentence that names both teams.
    pub fn check_for(&self, team: Option<&str>) -> Result<(), String> {
        if self.is_for(team) {
            return Ok(());
        }
        let own = team.map_or_else(|| "a task without a team".to_owned(), |team| format!("team {team:?}"));
        Err(format!(
            "the secret {self} is of team {:?}, and {own} may use only {}/… and {SHARED}/…",
            self.team,
            team.unwrap_or(NO_TEAM)
        ))
    }
}

impl FromStr for SecretName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is not a secret's name: write TEAM/NAME, such as data/pg; the name has letters, digits, \
                 `.`, `_` and `-`"
            )
        };
        let (team, name) = text.split_once('/').ok_or_else(wrong)?;
        let is_team = (1..=MAX_PART).contains(&team.len())
            && team.trim() == team
            && !team.chars().any(char::is_control)
            && !team.starts_with('-');
        let is_name = (1..=MAX_PART).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        if !is_team || !is_name {
            return Err(wrong());
        }
        Ok(Self { team: team.to_owned(), name: name.to_owned() })
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.team, self.name)
    }
}
