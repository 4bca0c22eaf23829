//! Who may do what: roles and teams, as the coordinator's tokens carry them.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::words::words;

words! {
    /// What a caller may do; each role may do what those before it may.
    Role {
        /// Reads.
        Viewer = "viewer",
        /// Acts on tasks and runs, reports and submits.
        Operator = "operator",
        /// Configures: reloads, defines tasks, makes tokens.
        Admin = "admin",
    }
}

impl Role {
    /// Whether this role may do what needs `needed`.
    #[must_use]
    pub fn covers(self, needed: Self) -> bool {
        self >= needed
    }
}

/// Whose tasks a caller sees and acts on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Scope {
    /// Everybody's.
    #[default]
    All,
    /// Those of these teams only; a task without a team is of none of them.
    Teams(BTreeSet<String>),
}

impl Scope {
    /// Whether what belongs to `team` is in it.
    #[must_use]
    pub fn holds(&self, team: Option<&str>) -> bool {
        match self {
            Self::All => true,
            Self::Teams(teams) => team.is_some_and(|team| teams.contains(team)),
        }
    }

    /// Whether all that is in `other` is in it too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Teams(_), Self::All) => false,
            (Self::Teams(own), Self::Teams(others)) => others.is_subset(own),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_in_order_and_scopes_hold_their_teams() {
        assert!(Role::Admin.covers(Role::Operator) && Role::Operator.covers(Role::Operator));
        assert!(!Role::Viewer.covers(Role::Operator) && !Role::Operator.covers(Role::Admin));
        let data = Scope::Teams(BTreeSet::from(["data".to_owned()]));
        assert!(data.holds(Some("data")) && !data.holds(Some("ops")) && !data.holds(None));
        assert!(Scope::All.holds(None) && Scope::All.holds(Some("ops")));
        let both = Scope::Teams(BTreeSet::from(["data".to_owned(), "ops".to_owned()]));
        assert!(both.covers(&data) && !data.covers(&both) && data.covers(&data));
        assert!(Scope::All.covers(&both) && !both.covers(&Scope::All));
    }
}
