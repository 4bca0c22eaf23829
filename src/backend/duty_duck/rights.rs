//! What the token may do: told by the server where it tells, learnt from what it refuses otherwise.

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};

use super::wire::{Context, Me, Token};
use crate::model::Clean;

/// So long what was read of the token is relied on.
const KEPT: TimeDelta = TimeDelta::minutes(10);
/// From here on the end of the token is near.
const SOON: TimeDelta = TimeDelta::days(7);

/// A right that a token may be restricted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Whatever the token: it reads about itself.
    Own,
    /// Tasks.
    ReadTasks,
    /// Archiving tasks.
    WriteTasks,
    /// Runs and their logs.
    ReadTaskRuns,
    /// Recording runs.
    WriteTaskRuns,
    /// Incidents and their events.
    ReadIncidents,
    /// Acknowledging.
    EditIncidents,
    /// Commenting.
    CommentIncidents,
    /// Monitors.
    ReadHttpMonitors,
    /// Toggling and archiving monitors.
    WriteHttpMonitors,
}

impl Scope {
    /// Duty Duck's word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Own => "a valid token",
            Self::ReadTasks => "readTasks",
            Self::WriteTasks => "writeTasks",
            Self::ReadTaskRuns => "readTaskRuns",
            Self::WriteTaskRuns => "writeTaskRuns",
            Self::ReadIncidents => "readIncidents",
            Self::EditIncidents => "editIncidents",
            Self::CommentIncidents => "commentIncidents",
            Self::ReadHttpMonitors => "readHttpMonitors",
            Self::WriteHttpMonitors => "writeHttpMonitors",
        }
    }

    /// Whether a mere Reporter has it.
    const fn is_reading(self) -> bool {
        matches!(
            self,
            Self::Own
                | Self::ReadTasks
                | Self::ReadTaskRuns
                | Self::ReadIncidents
                | Self::ReadHttpMonitors
                | Self::CommentIncidents
        )
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// What is known of the token.
#[derive(Debug, Default)]
pub struct Rights {
    /// `None`: not told. Empty: all of the user's.
    scopes: Option<Vec<Clean>>,
    roles: Vec<Clean>,
    who: Option<Clean>,
    label: Option<Clean>,
    expires: Option<DateTime<Utc>>,
    /// Scopes for want of which something was refused.
    lacking: BTreeSet<Scope>,
    read: Option<DateTime<Utc>>,
    /// A refusal was news: what is known may be out of date.
    doubted: bool,
}

impl Rights {
    /// Whether they should be read: at the start, every ten minutes, after a refusal that was news.
    pub fn are_due(&self, now: DateTime<Utc>) -> bool {
        self.doubted || self.read.is_none_or(|read| now - read >= KEPT || now < read)
    }

    /// Takes what was read. Parts that could not be read are `None`.
    pub fn learn(
        &mut self,
        context: Option<Context>,
        token: Option<Token>,
        me: Option<&Me>,
        now: DateTime<Utc>,
    ) {
        if !self.doubted {
            // Refusals are tried again now and then: a role may have been given.
            self.lacking.clear();
        }
        self.doubted = false;
        self.read = Some(now);
        self.who = me.and_then(|me| {
            let names: Vec<&str> =
                [&me.first_name, &me.last_name].into_iter().flatten().map(Clean::as_str).collect();
            let name = names.join(" ");
            if name.trim().is_empty() { me.email.clone() } else { Some(Clean::from(name)) }
        });
        let (label, expires, listed) = match token {
            Some(token) => (token.label, token.expires_at, Some(token.scopes)),
            None => (None, None, None),
        };
        (self.label, self.expires) = (label, expires);
        let (roles, restricted) = match context {
            Some(context) => {
                (context.active_organization_roles.unwrap_or_default(), Some(context.restricted_to_scopes))
            }
            None => (Vec::new(), None),
        };
        self.roles = roles;
        self.scopes = restricted.or(listed);
    }

    /// Something was refused for want of `scope`.
    pub fn refused(&mut self, scope: Scope) {
        self.doubted |= self.lacking.insert(scope);
    }

    /// The token itself was refused.
    pub fn lost(&mut self) {
        self.doubted = true;
    }

    /// Something for which `scope` is needed was granted.
    pub fn granted(&mut self, scope: Scope) {
        self.lacking.remove(&scope);
    }

    /// Why something that needs `scope` can't be done; `None` where nothing is known against it.
    pub fn lacks(&self, scope: Scope) -> Option<Clean> {
        if let Some(reason) = self.are_told_to_lack(scope) {
            return Some(reason);
        }
        if self.lacking.contains(&scope) {
            return Some(Clean::from(format!(
                "the token, or its user, lacks {scope}: Duty Duck has refused it"
            )));
        }
        let reporter = |role: &Clean| role.eq_ignore_ascii_case("reporter");
        if !scope.is_reading() && !self.roles.is_empty() && self.roles.iter().all(reporter) {
            return Some("the token's user is a Reporter, who may only read".into());
        }
        None
    }

    /// Whether the server tells that the token lacks `scope`: then there is no use in asking.
    pub fn are_told_to_lack(&self, scope: Scope) -> Option<Clean> {
        let listed = |scopes: &Vec<Clean>| {
            scopes.is_empty() || scopes.iter().any(|known| known.eq_ignore_ascii_case(scope.word()))
        };
        let lacks = scope != Scope::Own && self.scopes.as_ref().is_some_and(|scopes| !listed(scopes));
        lacks.then(|| Clean::from(format!("the token lacks the scope {scope}")))
    }

    /// When the token ends, where that is known.
    pub const fn expires(&self) -> Option<DateTime<Utc>> {
        self.expires
    }

    /// What an operator should know.
    pub fn remarks(&self, now: DateTime<Utc>) -> Vec<Clean> {
        let mut remarks = Vec::new();
        if self.read.is_none() {
            return remarks;
        }
        remarks.push(match &self.scopes {
            Some(scopes) if scopes.is_empty() => "scopes: all rights of the token's user".into(),
            Some(scopes) => {
                let words: Vec<&str> = scopes.iter().map(Clean::as_str).collect();
                Clean::from(format!("scopes: {}", words.join(", ")))
            }
            None => "scopes: not told by this Duty Duck; what is refused is remembered".into(),
        });
        if !self.lacking.is_empty() {
            let words: Vec<&str> = self.lacking.iter().map(|scope| scope.word()).collect();
            remarks.push(Clean::from(format!("refused so far: {}", words.join(", "))));
        }
        if !self.roles.is_empty() {
            let words: Vec<&str> = self.roles.iter().map(Clean::as_str).collect();
            remarks.push(Clean::from(format!("roles: {}", words.join(", "))));
        }
        if let Some(who) = &self.who {
            remarks.push(Clean::from(format!("acts as {who}")));
        }
        if let Some(expires) = self.expires {
            let label = self.label.as_ref().map(|label| format!(" {label}")).unwrap_or_default();
            let day = expires.format("%Y-%m-%d");
            remarks.push(Clean::from(if expires <= now {
                format!("token{label} expired {day}")
            } else if expires - now < SOON {
                format!("token{label} expires {day}: make a new one soon")
            } else {
                format!("token{label} expires {day}")
            }));
        }
        remarks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn token() -> Token {
        let text = include_str!("../../../tests/fixtures/duty-duck/api-tokens.json");
        serde_json::from_str::<super::super::wire::Tokens>(text).unwrap().api_tokens.remove(0)
    }

    fn context(roles: &[&str], scopes: &[&str]) -> Context {
        let words = |words: &[&str]| words.iter().map(|word| Clean::line(word)).collect();
        Context { active_organization_roles: Some(words(roles)), restricted_to_scopes: words(scopes) }
    }

    #[test]
    fn scopes_are_shown_and_what_they_lack_is_named() {
        let now = at("2026-11-20T07:00:00Z");
        let mut rights = Rights::default();
        assert!(rights.are_due(now) && rights.remarks(now).is_empty());
        rights.learn(None, Some(token()), None, now);
        let remarks = rights.remarks(now);
        assert!(remarks[0].starts_with("scopes: readTasks, writeTasks"), "{remarks:?}");
        assert_eq!(remarks[1], "token tui expires 2027-06-01");
        assert_eq!(rights.lacks(Scope::WriteTaskRuns), None);
        rights.learn(Some(context(&["Administrator"], &["readTasks"])), Some(token()), None, now);
        assert_eq!(rights.lacks(Scope::WriteTaskRuns).unwrap(), "the token lacks the scope writeTaskRuns");
        assert_eq!(rights.lacks(Scope::ReadTasks), None);
        assert_eq!(rights.remarks(now)[1], "roles: Administrator");
        let near = at("2027-05-30T07:00:00Z");
        assert!(rights.remarks(near).last().unwrap().ends_with("make a new one soon"));
        assert_eq!(
            rights.remarks(at("2027-06-02T07:00:00Z")).last().unwrap(),
            "token tui expired 2027-06-01"
        );
    }

    #[test]
    fn an_empty_list_of_scopes_is_all_of_the_users_rights() {
        let real: Context =
            serde_json::from_str(include_str!("../../../tests/fixtures/duty-duck/auth-context.json"))
                .unwrap();
        let mut rights = Rights::default();
        rights.learn(Some(real), None, None, at("2026-11-20T07:00:00Z"));
        assert_eq!(rights.lacks(Scope::WriteHttpMonitors), None);
        let me: Me = serde_json::from_str(r#"{"firstName":"Ada","lastName":"Op","email":"a@b"}"#).unwrap();
        rights.learn(None, None, Some(&me), at("2026-11-20T07:00:00Z"));
        assert!(rights.remarks(at("2026-11-20T07:00:00Z")).iter().any(|remark| *remark == "acts as Ada Op"));
        rights.learn(Some(context(&["Reporter"], &[])), None, None, at("2026-11-20T07:00:00Z"));
        assert!(rights.lacks(Scope::WriteTasks).unwrap().contains("Reporter"));
        assert_eq!((rights.lacks(Scope::ReadTasks), rights.lacks(Scope::CommentIncidents)), (None, None));
    }

    #[test]
    fn what_is_refused_is_learnt_and_tried_again_later() {
        let (now, later) = (at("2026-11-20T07:00:00Z"), at("2026-11-20T07:10:00Z"));
        let mut rights = Rights::default();
        rights.learn(None, None, None, now);
        assert!(rights.remarks(now)[0].contains("not told"));
        rights.refused(Scope::ReadIncidents);
        assert!(rights.are_due(now), "a refusal that is news");
        assert!(rights.lacks(Scope::ReadIncidents).is_some());
        rights.learn(None, None, None, now);
        rights.refused(Scope::ReadIncidents);
        assert!(!rights.are_due(now), "the same refusal is no news");
        assert!(rights.lacks(Scope::ReadIncidents).is_some());
        assert!(rights.remarks(now)[1].contains("refused so far: readIncidents"));
        assert!(rights.are_due(later));
        rights.learn(None, None, None, later);
        assert_eq!(rights.lacks(Scope::ReadIncidents), None, "tried again");
        rights.refused(Scope::WriteTasks);
        rights.granted(Scope::WriteTasks);
        assert_eq!(rights.lacks(Scope::WriteTasks), None);
    }
}
