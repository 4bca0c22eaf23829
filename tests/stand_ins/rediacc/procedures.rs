//! What the queue of the stand-in does: one function per procedure.

use serde_json::{Value, json};

use super::{Failure, Procedure, Set, World};

/// Every procedure beside those of the sessions.
pub const TABLE: &[(&str, Procedure)] = &[("GetOrganizationTeams", teams)];

/// What the procedures work on.
#[derive(Debug, Clone)]
pub struct Data {
    pub teams: Vec<String>,
}

impl Default for Data {
    fn default() -> Self {
        Self { teams: vec!["prod".to_owned(), "staging".to_owned()] }
    }
}

fn teams(world: &mut World, _: &Value) -> Result<Vec<Set>, Failure> {
    let row = |team: &String| {
        json!({
            "teamName": team, "organizationName": "Example", "isMember": true, "memberCount": 2,
            "machineCount": 1, "repositoryCount": 0, "storageCount": 0,
            "vaultContent": "{\"ssh\":\"v4ult-s3cret\"}", "vaultVersion": 1,
        })
    };
    Ok(vec![world.data.teams.iter().map(row).collect()])
}
