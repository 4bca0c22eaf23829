//! What the footer, the help and the palette offer: derived from the action
//! table, the key map and what is under the cursor.

use crate::action::{Action, Key, Scope};
use crate::fleet::Fleet;
use crate::model::{Aim, Clean, Command};

use super::State;
use super::state::{DetailTab, Overlay, Screen};
use super::update;

/// What is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// An action of the table.
    Action(Action),
    /// A command that only one system has.
    Command(Command),
}

impl Choice {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Action(action) => action.spec().name,
            Self::Command(command) => command.word(),
        }
    }

    /// What it does, in a few words.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Action(action) => action.spec().title,
            Self::Command(command) => command.spec().title,
        }
    }

    /// The action, if it is one.
    #[must_use]
    pub const fn action(self) -> Option<Action> {
        match self {
            Self::Action(action) => Some(action),
            Self::Command(_) => None,
        }
    }
}

/// One action or command as it is offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// What it is.
    pub choice: Choice,
    /// Its keys; empty where it has none.
    pub keys: Vec<Key>,
    /// Why it can't be done here and now; `None`: it can.
    pub refusal: Option<Clean>,
}

impl Hint {
    fn new(state: &State, fleet: &Fleet, action: Action) -> Self {
        let keys = state.keymap.keys(action).to_vec();
        Self { choice: Choice::Action(action), keys, refusal: refusal(state, fleet, action) }
    }

    fn command(state: &State, fleet: &Fleet, command: Command) -> Self {
        let refusal = command_refusal(state, fleet, command);
        Self { choice: Choice::Command(command), keys: Vec::new(), refusal }
    }
}

/// Why an action can't be done here and now; `None`: it can.
#[must_use]
pub fn refusal(state: &State, fleet: &Fleet, action: Action) -> Option<Clean> {
    if let Some(reason) = misplaced(state, action) {
        return Some(Clean::line(reason));
    }
    if let Some(verb) = action.spec().needs {
        return update::deed_refusal(state, fleet, verb.into());
    }
    if action == Action::NewTask {
        return update::takers(state, fleet).err();
    }
    let reason = match action {
        Action::Open | Action::Log if state.detail.is_none() && nothing_to_open(state) => "nothing is chosen",
        Action::Mark | Action::MarkAll if state.tasks.is_empty() => "there is no row",
        _ => return None,
    };
    Some(reason.into())
}

/// Why a command can't be done here and now; `None`: it can.
#[must_use]
pub fn command_refusal(state: &State, fleet: &Fleet, command: Command) -> Option<Clean> {
    let misplaced = misplaced_command(state, command).map(Clean::line);
    misplaced.or_else(|| update::deed_refusal(state, fleet, command.into()))
}

fn nothing_to_open(state: &State) -> bool {
    update::task_under_cursor(state).is_none() && update::endpoint_under_cursor(state).is_none()
}

/// Why an action has no place on this screen; `None`: it has.
fn misplaced(state: &State, action: Action) -> Option<&'static str> {
    let detail = state.detail.as_ref();
    match action {
        Action::Follow if detail.is_none_or(|detail| detail.tab != DetailTab::Log) => Some("no log is open"),
        Action::FindNext | Action::FindPrevious if !is_searched(state) => Some("nothing is looked for"),
        Action::NewTask if detail.is_some_and(|detail| detail.tab == DetailTab::Log) => {
            Some("close the log first")
        }
        Action::Filter if detail.is_some_and(|detail| detail.tab == DetailTab::Log) => None,
        Action::NextTab | Action::PreviousTab if detail.is_none() => Some("no detail is open"),
        Action::Mark | Action::MarkAll | Action::Sort | Action::ReverseSort | Action::Columns
            if state.screen != Screen::Tasks =>
        {
            Some("only the tasks screen has it")
        }
        Action::Mark
        | Action::MarkAll
        | Action::Filter
        | Action::Sort
        | Action::ReverseSort
        | Action::Columns
            if detail.is_some() =>
        {
            Some("close the detail first")
        }
        _ if action.spec().scope == Scope::Task => misplaced_on_task(state),
        _ if detail.is_some() => None,
        Action::ReloadConfig if state.screen == Screen::Journal => {
            Some("the journal only tells; act where the endpoint is listed")
        }
        _ => None,
    }
}

/// Why nothing that is about tasks has a place here.
fn misplaced_on_task(state: &State) -> Option<&'static str> {
    match (&state.detail, state.screen) {
        (Some(detail), _) if detail.about.task().is_some() => None,
        (Some(_), _) | (None, Screen::Endpoints) => Some("an endpoint is chosen, not a task"),
        (None, Screen::Journal) => Some("the journal only tells; act where the task is listed"),
        (None, Screen::Board | Screen::Tasks | Screen::Runs) => None,
    }
}

/// Why a command has no place on this screen; `None`: it has.
fn misplaced_command(state: &State, command: Command) -> Option<&'static str> {
    match command.spec().aim {
        Aim::Task => misplaced_on_task(state),
        Aim::Endpoint if state.screen == Screen::Journal && state.detail.is_none() => {
            Some("the journal only tells; act where the endpoint is listed")
        }
        Aim::Endpoint => None,
    }
}

/// Whether something is looked for in the log that is open.
fn is_searched(state: &State) -> bool {
    let detail = state.detail.as_ref().filter(|detail| detail.tab == DetailTab::Log);
    detail.and_then(|detail| detail.log.as_ref()?.search.as_ref()).is_some()
}

/// What is worth a place in the footer of each screen, most useful first.
const fn footer_of(screen: Screen) -> &'static [Action] {
    match screen {
        Screen::Board => &[
            Action::Open,
            Action::Trigger,
            Action::Acknowledge,
            Action::Retry,
            Action::Cancel,
            Action::Palette,
            Action::Help,
            Action::Quit,
            Action::Tasks,
            Action::Snooze,
            Action::Log,
            Action::Refresh,
            Action::NewTask,
        ],
        Screen::Tasks => &[
            Action::Trigger,
            Action::Reprioritise,
            Action::Cancel,
            Action::Mark,
            Action::Filter,
            Action::Palette,
            Action::Help,
            Action::Quit,
            Action::Open,
            Action::Pause,
            Action::Retry,
            Action::Log,
            Action::Sort,
            Action::Columns,
            Action::NewTask,
            Action::Copy,
        ],
        Screen::Runs => &[
            Action::Log,
            Action::Cancel,
            Action::Retry,
            Action::Open,
            Action::Trigger,
            Action::Palette,
            Action::Help,
            Action::Quit,
        ],
        Screen::Endpoints => &[
            Action::Open,
            Action::Log,
            Action::ReloadConfig,
            Action::Refresh,
            Action::Copy,
            Action::Palette,
            Action::Help,
            Action::Quit,
        ],
        Screen::Journal => {
            &[Action::Open, Action::Refresh, Action::Copy, Action::Palette, Action::Help, Action::Quit]
        }
    }
}

const DETAIL_FOOTER: &[Action] = &[
    Action::NextTab,
    Action::Trigger,
    Action::Cancel,
    Action::Retry,
    Action::Log,
    Action::Back,
    Action::Palette,
    Action::Help,
    Action::Quit,
    Action::Reprioritise,
    Action::Pause,
];

const TRACE_FOOTER: &[Action] = &[
    Action::NextTab,
    Action::Refresh,
    Action::Copy,
    Action::Log,
    Action::Back,
    Action::Palette,
    Action::Help,
    Action::Quit,
];

const ENDPOINT_FOOTER: &[Action] = &[
    Action::Open,
    Action::Log,
    Action::ReloadConfig,
    Action::Refresh,
    Action::Back,
    Action::Palette,
    Action::Help,
    Action::Quit,
];

const SEARCH_FOOTER: &[Action] = &[
    Action::FindNext,
    Action::FindPrevious,
    Action::Filter,
    Action::Back,
    Action::Follow,
    Action::Copy,
    Action::Help,
    Action::Quit,
];

const LOG_FOOTER: &[Action] = &[
    Action::Follow,
    Action::Filter,
    Action::Copy,
    Action::Last,
    Action::NextTab,
    Action::Cancel,
    Action::Back,
    Action::Palette,
    Action::Help,
    Action::Quit,
];

/// The most useful actions of this screen, for the footer, most useful first.
/// Empty while an overlay, which tells its own keys, lies over it. Where
/// several actions share a key, the one that it would do now.
#[must_use]
pub fn footer(state: &State, fleet: &Fleet) -> Vec<Hint> {
    let actions = match &state.detail {
        _ if matches!(state.overlay, Some(Overlay::Confirm(_) | Overlay::Form(_) | Overlay::Quit { .. })) => {
            return Vec::new();
        }
        Some(_) if is_searched(state) => SEARCH_FOOTER,
        Some(detail) if detail.tab == DetailTab::Log => LOG_FOOTER,
        Some(detail) if detail.tab == DetailTab::Trace => TRACE_FOOTER,
        Some(detail) if detail.about.task().is_none() => ENDPOINT_FOOTER,
        Some(_) => DETAIL_FOOTER,
        None => footer_of(state.screen),
    };
    let of_endpoint = state.detail.as_ref().is_some_and(|detail| detail.about.task().is_none());
    let here = actions.iter().filter(|action| !(of_endpoint && action.spec().scope == Scope::Task));
    let chosen = here.map(|&action| match state.keymap.keys(action).first() {
        Some(&key) => update::chosen(state, fleet, state.keymap.actions(key)).unwrap_or(action),
        None => action,
    });
    chosen.map(|action| Hint::new(state, fleet, action)).collect()
}

/// Every action of this screen, for the help, in the table's order: each
/// action once. Then the commands of the system that is under the cursor.
#[must_use]
pub fn help(state: &State, fleet: &Fleet) -> Vec<Hint> {
    let here = Action::ALL.iter().filter(|&&action| misplaced(state, action).is_none());
    let mut hints: Vec<Hint> = here.map(|&action| Hint::new(state, fleet, action)).collect();
    let commands = update::commands(state, fleet).into_iter();
    let commands = commands.filter(|&command| misplaced_command(state, command).is_none());
    hints.extend(commands.map(|command| Hint::command(state, fleet, command)));
    hints
}

/// What matches what is typed, best first, for the palette: what is done to
/// what is under the cursor, the commands of its system, then the rest.
#[must_use]
pub fn palette(state: &State, fleet: &Fleet, input: &str) -> Vec<Hint> {
    let wanted: String = input.to_lowercase().chars().filter(|c| !c.is_whitespace()).collect();
    let (deeds, others): (Vec<Action>, Vec<Action>) =
        Action::ALL.iter().partition(|action| action.spec().needs.is_some());
    let commands = update::commands(state, fleet).into_iter().map(Choice::Command);
    let all = deeds.into_iter().map(Choice::Action).chain(commands);
    let all = all.chain(others.into_iter().map(Choice::Action));
    let mut found: Vec<(u32, Choice)> =
        all.filter_map(|choice| Some((rank(&wanted, choice)?, choice))).collect();
    found.sort_by_key(|&(rank, _)| rank);
    let hint = |(_, choice): (u32, Choice)| match choice {
        Choice::Action(action) => Hint::new(state, fleet, action),
        Choice::Command(command) => Hint::command(state, fleet, command),
    };
    found.into_iter().map(hint).collect()
}

/// How far `wanted` is from a name or title: 0 is the name itself. `None`: no match.
fn rank(wanted: &str, choice: Choice) -> Option<u32> {
    let (name, title) = (choice.name().replace('-', ""), choice.title());
    if wanted.is_empty() {
        return Some(0);
    }
    let wanted = wanted.replace('-', "");
    if name == wanted {
        return Some(0);
    }
    if name.starts_with(&wanted) {
        return Some(1);
    }
    let folded = title.to_lowercase();
    let mut words = choice.name().split(['-', ':']).chain(folded.split(' '));
    if words.any(|word| word.starts_with(wanted.as_str())) {
        return Some(2);
    }
    // Letters in their order, the closer together the better.
    let spread = |text: &str| {
        let mut wanted = wanted.chars().peekable();
        let mut gaps = 0;
        let mut begun = false;
        for c in text.to_lowercase().chars().filter(|c| !c.is_whitespace()) {
            if wanted.next_if_eq(&c).is_some() {
                begun = true;
            } else if begun && wanted.peek().is_some() {
                gaps += 1;
            }
        }
        wanted.peek().is_none().then_some(gaps)
    };
    let by_name = spread(&name).map(|gaps| 10 + gaps);
    let by_title = spread(title).map(|gaps| 100 + gaps);
    by_name.or(by_title)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_match_comes_first() {
        let best = |typed: &str| {
            let all = Action::ALL.iter().map(|&action| Choice::Action(action));
            let all = all.chain(Command::ALL.iter().map(|&command| Choice::Command(command)));
            let mut found: Vec<_> = all.filter_map(|choice| Some((rank(typed, choice)?, choice))).collect();
            found.sort_by_key(|&(rank, _)| rank);
            found.first().map(|&(_, choice)| choice.name())
        };
        for (typed, action) in [
            ("trigger", "trigger"),
            ("q", "quit"),
            ("can", "cancel"),
            ("reload", "reload-config"),
            ("rlcf", "reload-config"),
            ("utc", "zone"),
            ("endpo", "endpoints"),
            ("highest", "reprioritise"),
            ("comment", "duty-duck:comment"),
            ("rediacc:del", "rediacc:delete"),
            ("checknow", "duplistatus:check-now"),
        ] {
            assert_eq!(best(typed), Some(action), "{typed}");
        }
        assert_eq!(best("zzzz"), None);
    }
}
