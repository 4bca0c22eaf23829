//! The question before something that can't be undone: the blast radius,
//! grouped by endpoint, with the exact requests. The default is No.

use std::collections::BTreeSet;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::overlay::{keys, open_box};
use super::{View, footer, journal};
use crate::console::format::{self, count, width};
use crate::console::state::{Confirm, ConfirmGroup, Planned};
use crate::console::theme::Role;
use crate::console::widgets::Pen;
use crate::model::{Clean, Deed, Input, Inputs, Target, Verb};

/// A line of the question.
struct Line {
    name: String,
    number: String,
    text: String,
    role: Role,
}

pub(super) fn draw(
    buffer: &mut Buffer,
    screen: Rect,
    view: &View<'_>,
    question: &Confirm,
) -> Option<Position> {
    let wide = usize::from(screen.width.saturating_sub(2)).min(100);
    let room = usize::from(screen.height).saturating_sub(8);
    let lines = lines(question, room, view);
    let inside = open_box(buffer, screen, wide, lines.len() + 5, &title(question), view);
    if inside.is_empty() {
        return None;
    }
    let name = lines.iter().map(|line| width(&line.name)).max().unwrap_or(0).clamp(6, 16);
    let number = lines.iter().map(|line| width(&line.number)).max().unwrap_or(0).max(3);
    // The keys keep their place at the bottom, however little room there is.
    let shown = inside.height.saturating_sub(2);
    for (line, y) in lines.iter().zip(0..shown) {
        let mut pen = Pen::new(buffer, inside, y);
        if line.number.is_empty() {
            // A request: it may need all the room there is.
            pen.skip(2).put(&line.text, view.style(line.role));
            continue;
        }
        pen.field(&line.name, name, view.style(Role::Title)).skip(1);
        pen.field_right(&line.number, number, view.style(Role::Text)).skip(2);
        pen.put(&line.text, view.style(line.role));
    }
    let last = inside.height - 1;
    let Some((wanted, typed)) = &question.typed else {
        let mut pen = Pen::new(buffer, inside, last);
        let yes = question.yes_key();
        keys(
            &mut pen,
            &[(&yes.to_string(), "does it"), ("Enter, Esc or n", "leaves everything as it is")],
            view,
        );
        return None;
    };
    if last > 0 {
        let mut pen = Pen::new(buffer, inside, last - 1);
        pen.put("Type ", view.style(Role::Text)).put(wanted, view.style(Role::Key));
        pen.put(" and Enter to go on; Esc or n leaves everything as it is.", view.style(Role::Text));
    }
    let mut pen = Pen::new(buffer, inside, last);
    pen.put("> ", view.style(Role::Key));
    let room = pen.left();
    let column = footer::input(&mut pen, typed, room, view);
    Some(Position::new(column, inside.y + last))
}

/// What the verb is done to: runs, tasks or endpoints.
fn things(question: &Confirm, n: usize) -> String {
    let targets = &question.draft.targets;
    let noun = if targets.iter().all(|target| target.task.is_none()) {
        "endpoint"
    } else if targets.iter().all(|target| target.run.is_some()) {
        "run"
    } else {
        "task"
    };
    count(n, noun)
}

fn title(question: &Confirm) -> String {
    let deed = question.draft.deed;
    let endpoints = question.groups.iter().filter(|group| !group.will.is_empty()).count();
    let mut text = format!("{deed} {}", things(question, question.draft.targets.len()));
    if let Some(priority) = question.draft.arguments.priority {
        text = format!("{text} to {priority}");
    }
    if endpoints > 1 {
        text = format!("{text} on {}", count(endpoints, "endpoint"));
    }
    text + "?"
}

/// What becomes of a target, as a sentence goes on: "3 will be cancelled".
fn fate(deed: Deed) -> String {
    let verb = match deed {
        Deed::Verb(verb) => verb,
        Deed::Command(command) => return format!("will be asked to {}", command.spec().title),
    };
    let words = match verb {
        Verb::Trigger => "will be started",
        Verb::Pause => "will be paused",
        Verb::Resume => "will be scheduled again",
        Verb::Retry => "will be run again",
        Verb::Cancel => "will be cancelled",
        Verb::Reprioritise => "will get the new priority",
        Verb::Acknowledge => "will be acknowledged",
        Verb::Snooze => "will be put off",
        Verb::Silence => "will be silenced",
        Verb::ReloadConfig => "will read its configuration again",
        Verb::Archive => "will be put away",
    };
    words.to_owned()
}

/// A headline per endpoint and per reason, with as many exact requests between
/// them as `room` lines hold.
fn lines(question: &Confirm, room: usize, view: &View<'_>) -> Vec<Line> {
    let deed = question.draft.deed;
    let headlines: usize =
        question.groups.iter().map(|group| usize::from(!group.will.is_empty()) + group.skipped.len()).sum();
    let groups = question.groups.iter().filter(|group| !group.will.is_empty()).count().max(1);
    let mut lines: Vec<Line> = given(&question.draft.arguments.inputs).into_iter().collect();
    // Every endpoint shows its first requests, none crowds out another.
    let each = room.saturating_sub(headlines + lines.len()) / groups;
    for group in &question.groups {
        let mut name = group.endpoint.to_string();
        if !group.will.is_empty() {
            lines.push(Line {
                name: std::mem::take(&mut name),
                number: group.will.len().to_string(),
                text: fate(deed),
                role: if deed.is_destructive() { Role::SeverityWarning } else { Role::Text },
            });
            let cautions = cautions(deed, group, view);
            calls(&mut lines, group, each.saturating_sub(cautions.len()), view);
            lines.extend(cautions.into_iter().map(|text| Line {
                name: String::new(),
                number: String::new(),
                text,
                role: Role::SeverityWarning,
            }));
        }
        for (reason, targets) in &group.skipped {
            lines.push(Line {
                name: std::mem::take(&mut name),
                number: targets.len().to_string(),
                text: format!("skipped: {reason}{}", example(targets, view)),
                role: Role::Muted,
            });
        }
    }
    lines
}

/// What a command is given: of a payload only its length and the beginning of its digest.
fn given(inputs: &Inputs) -> Option<Line> {
    let one = |(name, input): (&Clean, &Input)| match input {
        Input::Text(text) => format!("{name} {text}"),
        Input::Payload(payload) => {
            let digest: String = payload.sha256().chars().take(12).collect();
            format!(
                "{name} of {}, sha256 {digest}…",
                count(usize::try_from(payload.bytes()).unwrap_or(0), "byte")
            )
        }
    };
    let all: Vec<String> = inputs.iter().map(one).collect();
    let text = format!("with {}", all.join(" · "));
    let line = Line { name: String::new(), number: String::new(), text, role: Role::Text };
    (!all.is_empty()).then_some(line)
}

/// Who is skipped, where it is only one.
fn example(targets: &[Target], view: &View<'_>) -> String {
    match targets {
        [target] => format!(" ({})", task_name(target, view)),
        _ => String::new(),
    }
}

/// Targets with their exact requests and what those would do, at most `room` lines.
fn calls(lines: &mut Vec<Line>, group: &ConfirmGroup, room: usize, view: &View<'_>) {
    let told: Vec<Vec<(String, Role)>> = told(group, view);
    let all = group.will.len();
    let fits = |lines: usize| {
        let mut taken = 0;
        told.iter()
            .take_while(|told| {
                taken += told.len();
                taken <= lines
            })
            .count()
    };
    let shown = if fits(room) == all { all } else { fits(room.saturating_sub(1)) };
    let mut line = |text: String, role: Role| {
        lines.push(Line { name: String::new(), number: String::new(), text, role });
    };
    if let ([only], 0) = (told.as_slice(), shown) {
        // Of the only one there is, as much as fits.
        return only.iter().take(room).for_each(|(text, role)| line(text.clone(), *role));
    }
    told.into_iter().take(shown).flatten().for_each(|(text, role)| line(text, role));
    if shown < all && room > 0 {
        line(format!("and {} more", all - shown), Role::Muted);
    }
}

/// The lines of each target. What can't be foreseen for one reason is said once.
fn told(group: &ConfirmGroup, view: &View<'_>) -> Vec<Vec<(String, Role)>> {
    let mut said = BTreeSet::new();
    let mut of = |planned: &Planned| {
        let target = &planned.target;
        let name = match (&planned.call, &target.run) {
            // The request names the run.
            (Some(call), Some(run)) if call.contains(run.as_raw()) => {
                task_name(&Target { run: None, ..target.clone() }, view)
            }
            _ => task_name(target, view),
        };
        let request = planned.call.as_ref().map_or_else(|| name.clone(), |call| format!("{name}  {call}"));
        let mut lines = vec![(request, Role::Muted)];
        match &planned.foreseen {
            Some(Ok(would)) => lines.push((format!("  {would}"), Role::Text)),
            Some(Err(why)) if said.insert(why.clone()) => {
                lines.push((format!("  can't be foreseen: {why}"), Role::Muted));
            }
            _ => {}
        }
        lines
    };
    group.will.iter().map(&mut of).collect()
}

/// What the verb destroys at the targets beyond what it always does.
fn cautions(deed: Deed, group: &ConfirmGroup, view: &View<'_>) -> Vec<String> {
    let rows = group.will.iter().filter_map(|planned| view.fleet.task(&planned.target.key()?));
    let at_risk = rows.filter(|row| row.task.is_destroyed_by(deed));
    at_risk
        .filter_map(|row| row.task.caution.as_ref().map(|caution| format!("{}: {caution}", row.task.name)))
        .collect()
}

/// A target within its endpoint: its task's name, and the run where it is one.
fn task_name(target: &Target, view: &View<'_>) -> String {
    let named = journal::named(target, view);
    let name = named.split_once('/').map_or(named.as_str(), |(_, name)| name).to_owned();
    match &target.run {
        Some(run) if !name.contains('#') => format!("{name} #{}", format::run_id(&run.to_string())),
        _ => name,
    }
}
