//! What the footer, the help and the palette offer: derived from the action
//! table, the key map and what is under the cursor.

use crate::action::{Action, Key, Scope};
use crate::fleet::Fleet;
use crate::model::Clean;

use super::State;
use super::state::{DetailTab, Overlay, Screen};
use super::update;

/// One action as it is offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// The action.
    pub action: Action,
    /// Its keys; empty where it has none.
    pub keys: Vec<Key>,
    /// Why it can't be done here and now; `None`: it can.
    pub refusal: Option<Clean>,
}

impl Hint {
    fn new(state: &State, fleet: &Fleet, action: Action) -> Self {
        Self { action, keys: state.keymap.keys(action).to_vec(), refusal: refusal(state, fleet, action) }
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
    let reason = match action {
        Action::Open if state.detail.is_none() && nothing_to_open(state) => "nothing is chosen",
        Action::Log if state.detail.is_none() && update::task_under_cursor(state).is_none() => {
            "no task is chosen"
        }
        Action::Mark | Action::MarkAll if state.tasks.is_empty() => "there is no row",
        _ => return None,
    };
    Some(reason.into())
}

fn nothing_to_open(state: &State) -> bool {
    update::task_under_cursor(state).is_none() && update::endpoint_under_cursor(state).is_none()
}

/// Why an action has no place on this screen; `None`: it has.
fn misplaced(state: &State, action: Action) -> Option<&'static str> {
    let detail = state.detail.as_ref();
    match action {
        Action::Follow if detail.is_none_or(|detail| detail.tab != DetailTab::Log) => Some("no log is open"),
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
        _ if detail.is_some() => None,
        _ if action.spec().scope == Scope::Task => match state.screen {
            Screen::Endpoints => Some("an endpoint is chosen, not a task"),
            Screen::Journal => Some("the journal only tells; act where the task is listed"),
            Screen::Board | Screen::Tasks | Screen::Runs => None,
        },
        Action::ReloadConfig if state.screen == Screen::Journal => {
            Some("the journal only tells; act where the endpoint is listed")
        }
        _ => None,
    }
}

/// What is worth a place in the footer of each screen, most useful first.
const fn footer_of(screen: Screen) -> &'static [Action] {
    match screen {
        Screen::Board => &[
            Action::Open,
            Action::Trigger,
            Action::Cancel,
            Action::Retry,
            Action::Tasks,
            Action::Palette,
            Action::Help,
            Action::Quit,
            Action::Log,
            Action::Refresh,
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
            Action::ReloadConfig,
            Action::Refresh,
            Action::Copy,
            Action::Palette,
            Action::Help,
            Action::Quit,
        ],
        Screen::Journal => &[Action::Open, Action::Copy, Action::Palette, Action::Help, Action::Quit],
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

const LOG_FOOTER: &[Action] = &[
    Action::Follow,
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
        _ if matches!(state.overlay, Some(Overlay::Confirm(_) | Overlay::Quit { .. })) => return Vec::new(),
        Some(detail) if detail.tab == DetailTab::Log => LOG_FOOTER,
        Some(_) => DETAIL_FOOTER,
        None => footer_of(state.screen),
    };
    let chosen = actions.iter().map(|&action| match state.keymap.keys(action).first() {
        Some(&key) => update::chosen(state, fleet, state.keymap.actions(key)).unwrap_or(action),
        None => action,
    });
    chosen.map(|action| Hint::new(state, fleet, action)).collect()
}

/// Every action of this screen, for the help, in the table's order: each action once.
#[must_use]
pub fn help(state: &State, fleet: &Fleet) -> Vec<Hint> {
    let here = Action::ALL.iter().filter(|&&action| misplaced(state, action).is_none());
    here.map(|&action| Hint::new(state, fleet, action)).collect()
}

/// The actions that match what is typed, best first, for the palette.
#[must_use]
pub fn palette(state: &State, fleet: &Fleet, input: &str) -> Vec<Hint> {
    let wanted: String = input.to_lowercase().chars().filter(|c| !c.is_whitespace()).collect();
    let mut found: Vec<(u32, Action)> =
        Action::ALL.iter().filter_map(|&action| Some((rank(&wanted, action)?, action))).collect();
    found.sort_by_key(|&(rank, _)| rank);
    found.into_iter().map(|(_, action)| Hint::new(state, fleet, action)).collect()
}

/// How far `wanted` is from the action's name or title: 0 is the name itself. `None`: no match.
fn rank(wanted: &str, action: Action) -> Option<u32> {
    let spec = action.spec();
    let name: String = spec.name.replace('-', "");
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
    if spec.name.split('-').chain(spec.title.split(' ')).any(|word| word.starts_with(wanted.as_str())) {
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
    let by_title = spread(spec.title).map(|gaps| 100 + gaps);
    by_name.or(by_title)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_match_comes_first() {
        let best = |typed: &str| {
            let mut found: Vec<_> = Action::ALL.iter().filter_map(|&a| Some((rank(typed, a)?, a))).collect();
            found.sort_by_key(|&(rank, _)| rank);
            found.first().map(|&(_, action)| action)
        };
        for (typed, action) in [
            ("trigger", Action::Trigger),
            ("q", Action::Quit),
            ("can", Action::Cancel),
            ("reload", Action::ReloadConfig),
            ("rlcf", Action::ReloadConfig),
            ("utc", Action::Zone),
            ("endpo", Action::Endpoints),
            ("highest", Action::Reprioritise),
        ] {
            assert_eq!(best(typed), Some(action), "{typed}");
        }
        assert_eq!(best("zzzz"), None);
    }
}
