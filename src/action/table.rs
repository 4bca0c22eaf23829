//! The table itself.

use std::fmt;
use std::str::FromStr;

use crate::model::{Clean, Risk, Verb};

/// Where an action applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everywhere.
    Global,
    /// Wherever there is a list with a cursor.
    List,
    /// Wherever a task, or a row that belongs to one, is under the cursor.
    Task,
    /// Wherever an endpoint, or a row that belongs to one, is under the cursor.
    Endpoint,
    /// In an open detail.
    Detail,
}

/// Everything that is fixed about an action.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// Its name: in `[keys]`, in the palette, on the command line.
    pub name: &'static str,
    /// What it does, in a few words.
    pub title: &'static str,
    /// Where it applies.
    pub scope: Scope,
    /// What it may cost.
    pub risk: Risk,
    /// The capability that its target must have.
    pub needs: Option<Verb>,
    /// The keys that it has by default.
    pub keys: &'static [&'static str],
}

/// Makes the enum and its table, so that neither can be without the other.
macro_rules! actions {
    ($($variant:ident { $name:literal, $title:literal, $scope:ident, $risk:ident, $needs:expr, [$($key:literal),*] })+) => {
        /// Everything that an operator can do from the keyboard.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action { $(#[doc = $title] $variant,)+ }

        impl Action {
            /// Every action, in the order of help and palette.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its row in the table.
            #[must_use]
            pub const fn spec(self) -> Spec {
                match self {
                    $(Self::$variant => Spec {
                        name: $name, title: $title, scope: Scope::$scope, risk: Risk::$risk,
                        needs: $needs, keys: &[$($key),*],
                    },)+
                }
            }
        }
    };
}

// One row an action: keeping the table a table is worth more than the line width.
#[rustfmt::skip]
actions! {
    Trigger { "trigger", "start a run now", Task, Write, Some(Verb::Trigger), ["t"] }
    Reprioritise { "reprioritise", "set the priority, 1 (highest) to 5", Task, Write, Some(Verb::Reprioritise), ["p"] }
    Pause { "pause", "stop scheduling", Task, Write, Some(Verb::Pause), ["P"] }
    Resume { "resume", "schedule again", Task, Write, Some(Verb::Resume), ["P"] }
    Retry { "retry", "run again what failed", Task, Write, Some(Verb::Retry), ["r"] }
    Cancel { "cancel", "stop the run, or unqueue it", Task, Destructive, Some(Verb::Cancel), ["x"] }
    Acknowledge { "acknowledge", "take the alert", Task, Write, Some(Verb::Acknowledge), ["a"] }
    Snooze { "snooze", "put the alert off", Task, Write, Some(Verb::Snooze), ["s"] }
    Silence { "silence", "silence alerts by a matcher", Task, Write, Some(Verb::Silence), ["S"] }
    Archive { "archive", "put the task away", Task, Destructive, Some(Verb::Archive), [] }
    ReloadConfig { "reload-config", "have the endpoint read its configuration", Endpoint, Write, Some(Verb::ReloadConfig), ["C"] }

    NewTask { "new-task", "have a coordinator run a command once", Global, Write, None, ["n"] }

    MoveDown { "move-down", "move down", List, Safe, None, ["j", "down"] }
    MoveUp { "move-up", "move up", List, Safe, None, ["k", "up"] }
    PageDown { "page-down", "a page down", List, Safe, None, ["pagedown", "ctrl-f"] }
    PageUp { "page-up", "a page up", List, Safe, None, ["pageup", "ctrl-b"] }
    First { "first", "to the first row", List, Safe, None, ["g", "home"] }
    Last { "last", "to the last row", List, Safe, None, ["G", "end"] }
    Open { "open", "open the detail", List, Safe, None, ["enter"] }
    Back { "back", "back, close, clear", Global, Safe, None, ["esc"] }
    Mark { "mark", "mark the row", List, Safe, None, ["space"] }
    MarkAll { "mark-all", "mark all that match, or none", List, Safe, None, ["*"] }
    Filter { "filter", "filter as you type; in a log, search", List, Safe, None, ["/"] }
    Sort { "sort", "sort by the next column", List, Safe, None, ["o"] }
    ReverseSort { "reverse-sort", "turn the order round", List, Safe, None, ["O"] }
    Columns { "columns", "choose columns", List, Safe, None, ["w"] }
    NextTab { "next-tab", "next tab of the detail", Detail, Safe, None, ["right", "l"] }
    PreviousTab { "previous-tab", "previous tab of the detail", Detail, Safe, None, ["left", "h"] }
    Log { "log", "open the log of the run, or of the endpoint", List, Safe, None, ["L"] }
    Follow { "follow", "follow the log's end", Detail, Safe, None, ["f"] }
    FindNext { "find-next", "the next line that has what / looks for", Detail, Safe, None, ["n"] }
    FindPrevious { "find-previous", "the line before that has it", Detail, Safe, None, ["N"] }
    Copy { "copy", "copy the row's name, or the log", List, Safe, None, ["y"] }

    Board { "board", "screen: board", Global, Safe, None, ["1"] }
    Tasks { "tasks", "screen: tasks", Global, Safe, None, ["2"] }
    Runs { "runs", "screen: runs", Global, Safe, None, ["4"] }
    Endpoints { "endpoints", "screen: endpoints", Global, Safe, None, ["7"] }
    Journal { "journal", "screen: journal", Global, Safe, None, ["8"] }
    NextScreen { "next-screen", "next screen", Global, Safe, None, ["tab"] }
    PreviousScreen { "previous-screen", "previous screen", Global, Safe, None, ["backtab"] }
    Refresh { "refresh", "poll now", Global, Safe, None, ["R"] }
    Zone { "zone", "times in UTC or the local zone", Global, Safe, None, ["Z"] }
    Palette { "palette", "all actions by name", Global, Safe, None, [":"] }
    Help { "help", "the keys of this screen", Global, Safe, None, ["?"] }
    Redraw { "redraw", "draw the screen anew", Global, Safe, None, ["ctrl-l"] }
    Suspend { "suspend", "back to the shell for a while", Global, Safe, None, ["ctrl-z"] }
    Quit { "quit", "quit", Global, Safe, None, ["q", "ctrl-c"] }
}

impl Action {
    /// Actions that may share a key, since only one of them can be done at a time.
    pub const SHARED: &'static [[Self; 2]] = &[[Self::Pause, Self::Resume], [Self::NewTask, Self::FindNext]];

    /// The action that asks for `verb`.
    #[must_use]
    pub fn for_verb(verb: Verb) -> Option<Self> {
        Self::ALL.iter().copied().find(|action| action.spec().needs == Some(verb))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.spec().name)
    }
}

/// A text that names no action.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no action")]
pub struct UnknownAction(pub Clean);

impl FromStr for Action {
    type Err = UnknownAction;
    fn from_str(name: &str) -> Result<Self, UnknownAction> {
        Self::ALL
            .iter()
            .copied()
            .find(|action| action.spec().name == name)
            .ok_or_else(|| UnknownAction(Clean::line(name)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::action::Key;

    #[test]
    fn names_are_unique_and_every_verb_has_an_action() {
        let mut names = BTreeMap::new();
        for &action in Action::ALL {
            assert_eq!(names.insert(action.spec().name, action), None, "{action} twice");
            assert_eq!(action.spec().name.parse(), Ok(action));
        }
        for &verb in Verb::ALL {
            let action = Action::for_verb(verb).unwrap();
            assert_eq!(action.spec().name, verb.word());
            assert_eq!(action.spec().risk == Risk::Destructive, verb.is_destructive());
        }
    }

    #[test]
    fn default_keys_parse_and_only_those_that_exclude_each_other_share_one() {
        let mut taken: BTreeMap<Key, Action> = BTreeMap::new();
        for &action in Action::ALL {
            for key in action.spec().keys {
                let clash = taken.insert(key.parse().unwrap(), action);
                assert!(
                    clash.is_none_or(|other| Action::SHARED.contains(&[other, action])),
                    "{key}: {clash:?} and {action}"
                );
            }
        }
    }
}
