//! Whether something can be done now, over many targets: told in a line.

use std::collections::BTreeMap;
use std::fmt;

use crate::model::{Capabilities, Clean, Deed};

/// How many reasons are told.
const REASONS: usize = 3;

/// How many of the targets allow a deed, and why the others do not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    allowed: usize,
    all: usize,
    /// With how many each, most first.
    reasons: Vec<(Clean, usize)>,
    /// What the targets are, in the singular; `None` where there is only ever one.
    noun: Option<&'static str>,
}

impl Standing {
    /// Of an endpoint as a whole.
    pub fn of_endpoint(capabilities: &Capabilities, deed: impl Into<Deed>) -> Self {
        Self::count(None, std::iter::once(capabilities), deed.into())
    }

    /// Of tasks.
    pub fn of_tasks<'a>(tasks: impl IntoIterator<Item = &'a Capabilities>, deed: impl Into<Deed>) -> Self {
        Self::count(Some("task"), tasks, deed.into())
    }

    fn count<'a>(
        noun: Option<&'static str>,
        targets: impl IntoIterator<Item = &'a Capabilities>,
        deed: Deed,
    ) -> Self {
        let (mut allowed, mut all) = (0, 0);
        let mut reasons: BTreeMap<&Clean, usize> = BTreeMap::new();
        for capabilities in targets {
            all += 1;
            match capabilities.refusal(deed) {
                None => allowed += 1,
                Some(reason) => *reasons.entry(reason).or_default() += 1,
            }
        }
        let mut reasons: Vec<(Clean, usize)> = reasons.into_iter().map(|(why, n)| (why.clone(), n)).collect();
        reasons.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        Self { allowed, all, reasons, noun }
    }
}

/// `yes`, `no: …`, or `3 of 31 tasks; the others: … (20), … (8)`.
impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = self.noun.unwrap_or("target");
        match (self.allowed, self.all) {
            (_, 0) => return write!(f, "there is no {noun}"),
            (allowed, all) if allowed == all => return f.write_str("yes"),
            (0, _) => f.write_str("no: ")?,
            (allowed, all) => write!(f, "{allowed} of {all} {noun}s; the others: ")?,
        }
        let alone = self.reasons.len() == 1;
        for (i, (reason, n)) in self.reasons.iter().take(REASONS).enumerate() {
            let between = if i == 0 { "" } else { "; " };
            write!(f, "{between}{reason}")?;
            if !alone {
                write!(f, " ({n})")?;
            }
        }
        match self.reasons.len().saturating_sub(REASONS) {
            0 => Ok(()),
            more => write!(f, "; and for {more} more reasons"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Verb;

    #[test]
    fn many_targets_are_told_in_a_line() {
        let yes = Capabilities::by(|_| None);
        let no = |why: &str| Capabilities::none(why);
        let of = |tasks: &[Capabilities]| Standing::of_tasks(tasks, Verb::Retry).to_string();
        assert_eq!(of(&[]), "there is no task");
        assert_eq!(of(&[yes.clone(), yes.clone()]), "yes");
        assert_eq!(of(&[no("it runs"), no("it runs")]), "no: it runs");
        assert_eq!(of(&[no("a"), no("b"), no("b")]), "no: b (2); a (1)");
        assert_eq!(of(&[yes.clone(), no("a")]), "1 of 2 tasks; the others: a");
        let many = [no("a"), no("b"), no("c"), no("d"), no("e")];
        assert_eq!(of(&many), "no: a (1); b (1); c (1); and for 2 more reasons");
        assert_eq!(Standing::of_endpoint(&yes, Verb::ReloadConfig).to_string(), "yes");
    }
}
