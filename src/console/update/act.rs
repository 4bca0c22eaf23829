//! Acting: from a key to a draft that is sent, asked about or refused.
//!
//! What is marked is acted on, else what is under the cursor. Each target is
//! checked against what its endpoint allows, and carries the state in which it
//! was seen: what has changed in a way that matters by the time of sending is
//! not sent.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use crate::action::{Action, Key};
use crate::fleet::{Fleet, TaskRow};
use crate::model::{
    Arguments, Clean, Command, Deed, Guard, Kind, Priority, RunId, RunState, Severity, Target, TaskKey,
    TaskState, Verb,
};

use super::super::effect::{Draft, Effect};
use super::super::format;
use super::super::state::{Confirm, ConfirmGroup, DetailTab, Input, Overlay, Planned, RowKey, Screen, State};
use super::super::trace;
use super::{lists, log, message};

/// How long snooze and silence hold where nothing else is said.
const PUT_OFF: TimeDelta = TimeDelta::hours(1);

/// What is acted on here: marked tasks, else what is under the cursor.
struct Subject {
    tasks: Vec<TaskKey>,
    /// One run, where the cursor is on one.
    run: Option<RunId>,
}

fn subject(state: &State) -> Subject {
    if let Some(detail) = &state.detail {
        let on_run = matches!(detail.tab, DetailTab::History | DetailTab::Log);
        let run = detail.run.clone().filter(|_| on_run);
        return Subject { tasks: detail.about.task().cloned().into_iter().collect(), run };
    }
    match state.screen {
        Screen::Tasks if !state.marks.is_empty() => {
            Subject { tasks: state.marks.iter().cloned().collect(), run: None }
        }
        Screen::Journal | Screen::Endpoints => Subject { tasks: Vec::new(), run: None },
        _ => {
            let run = match lists::row(state) {
                Some(RowKey::Run { run, .. }) if state.screen == Screen::Runs => run.clone(),
                _ => None,
            };
            Subject { tasks: lists::task_under_cursor(state).into_iter().collect(), run }
        }
    }
}

/// The commands of the systems that what is chosen here belongs to: in their
/// order, each once. What the journal tells of is chosen too, though nothing is done from there.
pub(in super::super) fn commands(state: &State, fleet: &Fleet) -> Vec<Command> {
    let marked = state.detail.is_none() && state.screen == Screen::Tasks && !state.marks.is_empty();
    let mut endpoints: Vec<_> = if marked {
        state.marks.iter().map(|key| key.endpoint.clone()).collect()
    } else {
        lists::endpoint_under_cursor(state).into_iter().collect()
    };
    endpoints.dedup();
    let kinds = endpoints.iter().filter_map(|name| Some(fleet.endpoint(name)?.spec.kind));
    let kinds: BTreeSet<Kind> = kinds.collect();
    kinds.into_iter().flat_map(Command::of).collect()
}

/// Everything that `deed` would be aimed at here; empty where there is nothing.
pub(super) fn targets(state: &State, fleet: &Fleet, deed: Deed) -> Vec<Target> {
    if deed.is_about_endpoint() {
        let mut endpoints: Vec<_> = if state.detail.is_none() && state.screen == Screen::Tasks {
            state.marks.iter().map(|key| key.endpoint.clone()).collect()
        } else {
            Vec::new()
        };
        endpoints.dedup();
        if endpoints.is_empty() && state.screen != Screen::Journal {
            endpoints.extend(lists::endpoint_under_cursor(state));
        }
        return endpoints.into_iter().map(Target::endpoint).collect();
    }
    let subject = subject(state);
    let about_runs = deed == Verb::Cancel || deed == Verb::Retry;
    let mut targets = Vec::with_capacity(subject.tasks.len());
    for key in &subject.tasks {
        let Some(row) = fleet.task(key) else { continue };
        let target = Target::task(key, row.state);
        match &subject.run {
            Some(run) if about_runs => targets.push(Target { run: Some(run.clone()), ..target }),
            _ if deed == Verb::Cancel => targets.extend(active_runs(row, &target)),
            _ => targets.push(target),
        }
    }
    targets
}

/// One target per run in progress or pending, so that no later run is taken
/// for it; the task as a whole where its runs have no ids.
fn active_runs(row: &TaskRow, target: &Target) -> Vec<Target> {
    let ids: Option<Vec<_>> = row.task.active_runs.iter().map(|run| run.id.clone()).collect();
    match ids {
        Some(ids) if !ids.is_empty() => {
            ids.into_iter().map(|id| Target { run: Some(id), ..target.clone() }).collect()
        }
        _ => vec![target.clone()],
    }
}

/// Why `deed` can't be done to `target` now; `None`: it can.
pub(super) fn refusal_of(state: &State, fleet: &Fleet, deed: Deed, target: &Target) -> Option<Clean> {
    if state.read_only {
        return Some("this console is read-only".into());
    }
    let Some(endpoint) = fleet.endpoint(&target.endpoint) else {
        return Some(Clean::from(format!("{} is not configured any more", target.endpoint)));
    };
    if endpoint.spec.guard == Guard::ReadOnly {
        return Some(Clean::from(format!("{} is read-only (its guard)", target.endpoint)));
    }
    let Some(key) = target.key() else {
        return endpoint.capabilities.refusal(deed).cloned();
    };
    let Some(row) = fleet.task(&key) else {
        return Some(Clean::from(format!("{key} is gone")));
    };
    if deed == Verb::Cancel
        && let Some(run) = &target.run
        && run_state(fleet, row, run).is_some_and(RunState::is_ended)
    {
        return Some("already finished".into());
    }
    if let Some(reason) = row.task.capabilities.refusal(deed) {
        return Some(reason.clone());
    }
    if deed == Verb::Retry
        && let Some(run) = &target.run
    {
        return match run_state(fleet, row, run)? {
            RunState::Succeeded => Some("that run succeeded; trigger starts another".into()),
            state if !state.is_ended() => Some(Clean::from(format!("that run is still {state}"))),
            _ => None,
        };
    }
    None
}

/// The state of a run, as far as it is known.
fn run_state(fleet: &Fleet, row: &TaskRow, run: &RunId) -> Option<RunState> {
    let told =
        row.task.active_runs.iter().chain(&row.task.last_run).find(|told| told.id.as_ref() == Some(run));
    told.or_else(|| fleet.run(&row.key.endpoint, run)).map(|known| known.state)
}

/// States that are one for the purpose of an intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Active,
    Problem,
    Resting,
    Paused,
    Archived,
}

const fn sort_of(state: TaskState) -> Sort {
    match state {
        TaskState::Running | TaskState::Queued => Sort::Active,
        TaskState::Failing | TaskState::Late | TaskState::Absent => Sort::Problem,
        TaskState::Healthy | TaskState::Due | TaskState::Unknown => Sort::Resting,
        TaskState::Paused => Sort::Paused,
        TaskState::Archived => Sort::Archived,
    }
}

/// Whether a task that was seen in one state and now is in another is not what
/// the operator decided about.
fn matters(deed: Deed, seen: TaskState, now: TaskState) -> bool {
    let (seen, now) = (sort_of(seen), sort_of(now));
    if seen == now {
        return false;
    }
    let Deed::Verb(verb) = deed else { return true };
    match verb {
        // A slot that has come meanwhile is no reason not to start a run: that it runs, or ran, is.
        Verb::Trigger => !(seen == Sort::Resting && now == Sort::Problem),
        Verb::Retry | Verb::Archive => true,
        Verb::Cancel => now != Sort::Active,
        Verb::Pause | Verb::Resume => [seen, now].iter().any(|s| matches!(s, Sort::Paused | Sort::Archived)),
        Verb::Reprioritise => now == Sort::Archived,
        Verb::Acknowledge | Verb::Snooze | Verb::Silence => now == Sort::Resting,
        Verb::ReloadConfig => false,
    }
}

/// What has changed about `target` since it was seen, in a way that matters.
fn changed(fleet: &Fleet, deed: Deed, target: &Target) -> Option<Clean> {
    let (key, seen) = (target.key()?, target.seen?);
    let now = fleet.task(&key)?.state;
    // A run by its id is checked by itself.
    if target.run.is_some() && deed == Verb::Cancel {
        return None;
    }
    matters(deed, seen, now).then(|| Clean::from(format!("it was {seen} and is {now} now")))
}

/// Why `deed` can't be done here and now; `None`: it can, to one target at least.
pub(in super::super) fn refusal(state: &State, fleet: &Fleet, deed: Deed) -> Option<Clean> {
    let targets = targets(state, fleet, deed);
    let mut first = None;
    for target in &targets {
        match refusal_of(state, fleet, deed, target) {
            None => return None,
            Some(reason) => {
                first.get_or_insert(reason);
            }
        }
    }
    if let ([_, _, ..], Some(reason)) = (&targets[..], &first) {
        return Some(Clean::from(format!("none of {} can be: {reason}", targets.len())));
    }
    Some(first.unwrap_or_else(|| {
        if deed.is_about_endpoint() { "no endpoint is chosen".into() } else { "no task is chosen".into() }
    }))
}

/// Which of several actions on one key is meant: the first that can be done;
/// if none can, the one that fits the state, for its reason.
pub(in super::super) fn choose(state: &State, fleet: &Fleet, actions: &[Action]) -> Option<Action> {
    let possible = |action: &Action| super::super::hints::refusal(state, fleet, *action).is_none();
    if let [_, _, ..] = actions
        && !actions.iter().any(possible)
    {
        let paused =
            subject(state).tasks.first().and_then(|key| fleet.task(key)).is_some_and(|row| row.task.paused);
        let fits = if paused { Action::Resume } else { Action::Pause };
        // In a log a key of two means what is done in logs.
        let meant = if log::shown(state).is_some() { actions.last() } else { actions.first() };
        return actions.iter().copied().find(|action| *action == fits).or_else(|| meant.copied());
    }
    actions.iter().copied().find(possible).or_else(|| actions.first().copied())
}

/// Begins a deed on what is chosen here.
pub(super) fn begin(state: &mut State, fleet: &Fleet, deed: Deed, key: Option<Key>) -> Vec<Effect> {
    let targets = targets(state, fleet, deed);
    let mut arguments = Arguments::default();
    match deed.verb() {
        Some(Verb::Reprioritise) => {
            state.overlay = Some(Overlay::Priority { targets });
            state.dirty = true;
            return Vec::new();
        }
        Some(Verb::Snooze | Verb::Silence) => arguments.until = Some(state.now + PUT_OFF),
        _ => {}
    }
    propose(state, fleet, Draft { deed, targets, arguments }, key)
}

/// The second keystroke of reprioritise.
pub(super) fn reprioritise(
    state: &mut State,
    fleet: &Fleet,
    targets: Vec<Target>,
    priority: Priority,
    key: Key,
) -> Vec<Effect> {
    let arguments = Arguments { priority: Some(priority), ..Arguments::default() };
    propose(state, fleet, Draft { deed: Verb::Reprioritise.into(), targets, arguments }, Some(key))
}

/// Which targets can be acted on now, and which not and why.
struct Split {
    will: Vec<Target>,
    skipped: Vec<(Target, Clean)>,
}

fn split(state: &State, fleet: &Fleet, deed: Deed, targets: Vec<Target>) -> Split {
    let mut split = Split { will: Vec::new(), skipped: Vec::new() };
    for target in targets {
        let reason = refusal_of(state, fleet, deed, &target).or_else(|| changed(fleet, deed, &target));
        match reason {
            Some(reason) => split.skipped.push((target, reason)),
            None => split.will.push(target),
        }
    }
    split
}

/// Sends a draft, or asks first, as the strictest guard among its endpoints wants.
pub(super) fn propose(state: &mut State, fleet: &Fleet, draft: Draft, key: Option<Key>) -> Vec<Effect> {
    let Draft { deed, targets, arguments } = draft;
    // What is not seen is not acted on unasked.
    let unseen = |target: &Target| target.key().is_some_and(|key| state.tasks.index_of(&key).is_none());
    let by_marks = state.detail.is_none() && state.screen == Screen::Tasks && !state.marks.is_empty();
    let bulk = targets.len() > 1 || (by_marks && targets.iter().any(unseen));
    let split = split(state, fleet, deed, targets);
    if split.will.is_empty() {
        refuse(state, fleet, deed, &split.skipped);
        return Vec::new();
    }
    let guard = strictest(fleet, &split.will);
    let draft = Draft { deed, targets: split.will, arguments };
    let asks = match guard {
        Guard::None => bulk,
        Guard::Confirm | Guard::Typed | Guard::ReadOnly => {
            bulk || is_destructive(fleet, deed, &draft.targets)
        }
    };
    if !asks {
        return send(state, fleet, draft);
    }
    let typed =
        (guard == Guard::Typed).then(|| (format!("{deed} {}", draft.targets.len()), Input::default()));
    state.overlay = Some(Overlay::Confirm(Box::new(Confirm {
        groups: groups(&draft.targets, split.skipped),
        draft: draft.clone(),
        opened_by: key,
        typed,
    })));
    state.dirty = true;
    vec![Effect::Preview(draft.clone()), Effect::Foresee(draft)]
}

/// Whether the deed loses something: everywhere, or at one of the targets.
fn is_destructive(fleet: &Fleet, deed: Deed, targets: &[Target]) -> bool {
    let row = |target: &Target| target.key().and_then(|key| fleet.task(&key));
    deed.is_destructive() || targets.iter().filter_map(row).any(|row| row.task.is_destroyed_by(deed))
}

/// The strictest guard among the endpoints of `targets`.
fn strictest(fleet: &Fleet, targets: &[Target]) -> Guard {
    let guards =
        targets.iter().filter_map(|target| fleet.endpoint(&target.endpoint)).map(|row| row.spec.guard);
    guards.max().unwrap_or(Guard::Confirm)
}

/// The blast radius by endpoint, in the order of the targets.
fn groups(will: &[Target], skipped: Vec<(Target, Clean)>) -> Vec<ConfirmGroup> {
    let mut order = Vec::new();
    let mut by_endpoint = BTreeMap::new();
    let mut group = |endpoint: &crate::model::EndpointName, put: &mut dyn FnMut(&mut ConfirmGroup)| {
        let group = by_endpoint.entry(endpoint.clone()).or_insert_with(|| {
            order.push(endpoint.clone());
            ConfirmGroup { endpoint: endpoint.clone(), will: Vec::new(), skipped: Vec::new() }
        });
        put(group);
    };
    for target in will {
        group(&target.endpoint, &mut |group| group.will.push(Planned::from(target.clone())));
    }
    for (target, reason) in skipped {
        group(&target.endpoint, &mut |group| match group
            .skipped
            .iter_mut()
            .find(|(known, _)| *known == reason)
        {
            Some((_, targets)) => targets.push(target.clone()),
            None => group.skipped.push((reason.clone(), vec![target.clone()])),
        });
    }
    order.iter().filter_map(|endpoint| by_endpoint.remove(endpoint)).collect()
}

/// Fills in the exact requests, once they are known.
pub(super) fn preview(state: &mut State, draft: &Draft, calls: Vec<Clean>) {
    let Some(Overlay::Confirm(confirm)) = &mut state.overlay else { return };
    if confirm.draft != *draft {
        return;
    }
    let mut calls: BTreeMap<&Target, Clean> = draft.targets.iter().zip(calls).collect();
    for planned in confirm.groups.iter_mut().flat_map(|group| &mut group.will) {
        planned.call = calls.remove(&planned.target);
    }
    state.dirty = true;
}

/// Fills in what the requests would do, once that is known. Nobody has waited for it.
pub(super) fn foreseen(state: &mut State, draft: &Draft, lines: Vec<Result<Option<Clean>, Clean>>) {
    let Some(Overlay::Confirm(confirm)) = &mut state.overlay else { return };
    if confirm.draft != *draft {
        return;
    }
    let mut told: BTreeMap<&Target, _> = draft
        .targets
        .iter()
        .zip(lines)
        .filter_map(|(target, line)| Some((target, line.transpose()?)))
        .collect();
    for planned in confirm.groups.iter_mut().flat_map(|group| &mut group.will) {
        let line = told.remove(&planned.target);
        state.dirty |= planned.foreseen != line;
        planned.foreseen = line;
    }
}

/// Yes: sends what is still as it was seen.
pub(super) fn confirmed(state: &mut State, fleet: &Fleet, confirm: Confirm) -> Vec<Effect> {
    let Draft { deed, targets, arguments } = confirm.draft;
    let split = split(state, fleet, deed, targets);
    if split.will.is_empty() {
        refuse(state, fleet, deed, &split.skipped);
        return Vec::new();
    }
    let effects = send(state, fleet, Draft { deed, targets: split.will, arguments });
    if let Some((target, reason)) = split.skipped.first() {
        let others = match split.skipped.len() - 1 {
            0 => String::new(),
            others => format!(", and {others} more"),
        };
        let target = format::target(target, fleet);
        message::say(state, Severity::Warning, format!("{deed}: left out {target}: {reason}{others}"));
    }
    effects
}

fn send(state: &mut State, fleet: &Fleet, draft: Draft) -> Vec<Effect> {
    let text = match draft.targets.as_slice() {
        [one] => format!("{} {} …", draft.deed, format::target(one, fleet)),
        many => format!("{} {} targets …", draft.deed, many.len()),
    };
    message::say(state, Severity::Info, text);
    if state.detail.is_none() && state.screen == Screen::Tasks {
        state.marks.clear();
    }
    state.memory.sending = draft.targets.len();
    vec![Effect::Send(draft)]
}

/// Says why nothing is sent.
fn refuse(state: &mut State, fleet: &Fleet, deed: Deed, skipped: &[(Target, Clean)]) {
    let text = match skipped {
        [] => format!("{deed}: nothing is chosen"),
        [(target, reason)] => format!("{deed} {}: {reason}", format::target(target, fleet)),
        [(target, reason), others @ ..] => {
            let (all, target) = (others.len() + 1, format::target(target, fleet));
            format!("{deed}: none of {all} can be: {target}: {reason}")
        }
    };
    message::say(state, Severity::Warning, text);
}

/// What `y` copies: the log that is open, else names, one per line.
pub(super) fn copied(state: &State) -> Option<String> {
    if let Some(log) = log::shown(state) {
        return Some(log.lines.iter().fold(String::new(), |text, line| text + line + "\n"));
    }
    if let Some(detail) = state.detail.as_ref().filter(|detail| detail.tab == DetailTab::Trace) {
        return detail.trace.as_ref()?.told.as_ref().map(trace::text);
    }
    if state.screen == Screen::Endpoints || state.detail.as_ref().is_some_and(|d| d.about.task().is_none()) {
        return lists::endpoint_under_cursor(state).map(|endpoint| endpoint.to_string());
    }
    if state.detail.is_none() && state.screen == Screen::Journal {
        return match lists::row(state)? {
            RowKey::Entry(_, target) => Some(target.to_string()),
            RowKey::Told(endpoint, key) => {
                let entry = state.audit.get(endpoint)?.lines.get(key)?;
                Some(entry.target.as_ref().map_or_else(|| endpoint.to_string(), ToString::to_string))
            }
            _ => None,
        };
    }
    let names: Vec<_> = subject(state).tasks.iter().map(ToString::to_string).collect();
    (!names.is_empty()).then(|| names.join("\n"))
}
