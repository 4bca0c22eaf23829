//! What is known of a task, and what may be done to it.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::super::{View, runs, tasks, words};
use crate::action::Action;
use crate::console::format::{self, moment, wrap, zone_word};
use crate::console::state::Detail;
use crate::console::theme::Role;
use crate::console::widgets::{Pen, glyph};
use crate::fleet::{AlertRow, TaskRow, took_ms};
use crate::model::{Alert, Capabilities, Clean, Deed, Evidence, Receipt, RunState, Timing, duration_text};

/// Cells of the names on the left.
const NAMES: usize = 11;

/// A summary as it is gathered.
pub(super) struct Summary<'v> {
    pub view: &'v View<'v>,
    /// Cells for what stands right of the names.
    room: usize,
    pub lines: Vec<(&'static str, String, Role)>,
}

impl<'v> Summary<'v> {
    /// Nothing yet, in `width` cells.
    pub fn new(view: &'v View<'v>, width: u16) -> Self {
        let room = usize::from(width).saturating_sub(NAMES + 3).max(8);
        Self { view, room, lines: Vec::new() }
    }

    /// Adds `text` under `name`, wrapped.
    pub fn add(&mut self, name: &'static str, text: &str, role: Role) {
        for (index, piece) in wrap(text, self.room).into_iter().enumerate() {
            self.lines.push((if index == 0 { name } else { "" }, piece, role));
        }
    }

    fn gap(&mut self) {
        if self.lines.last().is_some_and(|(_, text, _)| !text.is_empty()) {
            self.lines.push(("", String::new(), Role::Text));
        }
    }

    /// `09:41 (in 9m)`.
    pub fn at(&self, at: DateTime<Utc>) -> String {
        let state = self.view.state;
        let how_far = if at > state.now { format::due(state.now, at) } else { format::ago(state.now, at) };
        format!("{} ({how_far})", moment(at, state.now, &state.look))
    }

    /// Draws from line `top` on, or the end where that is beyond it.
    pub fn draw(&self, buffer: &mut Buffer, area: Rect, top: usize) {
        let height = usize::from(area.height);
        let top = top.min(self.lines.len().saturating_sub(height));
        for ((name, text, role), line) in self.lines.iter().skip(top).take(height).zip(0u16..) {
            let mut pen = Pen::new(buffer, area, line);
            let muted = self.view.style(Role::Muted);
            pen.skip(1).field(name, NAMES, muted).skip(1).put(text, self.view.style(*role));
        }
    }

    /// How far an intent came.
    pub fn receipt(&mut self, receipt: &Receipt) {
        let mut text = vec![format!("{} {} {}", glyph::stage(receipt.stage), receipt.deed, receipt.stage)];
        if let Some(message) = &receipt.message {
            text.push(format!("{message}"));
        }
        self.add("sent", &text.join(" · "), Role::stage(receipt.stage));
    }

    /// What may be done, by its keys; what may not, with its reason. Only what is `told`.
    pub fn actions(&mut self, capabilities: &Capabilities, told: impl Fn(Deed) -> bool) {
        let keymap = &self.view.state.keymap;
        let key = |deed: Deed| {
            let action = deed.verb().and_then(Action::for_verb);
            action.and_then(|action| keymap.keys(action).first()).map(ToString::to_string)
        };
        let deeds: Vec<_> = capabilities.iter().filter(|(deed, _)| told(*deed)).collect();
        let allowed: Vec<String> = deeds
            .iter()
            .filter(|(_, refusal)| refusal.is_none())
            .map(|(deed, _)| key(*deed).map_or_else(|| format!(":{deed}"), |key| format!("{key} {deed}")))
            .collect();
        if !allowed.is_empty() {
            let packed = format::pack(allowed.iter().map(String::as_str), "   ", self.room);
            for (index, text) in packed.into_iter().enumerate() {
                self.lines.push((if index == 0 { "actions" } else { "" }, text, Role::Text));
            }
        }
        // One line per reason, not per deed: many are often refused for the same one.
        let mut reasons: Vec<(&Clean, Vec<&'static str>)> = Vec::new();
        for (deed, refusal) in &deeds {
            let Some(reason) = refusal else { continue };
            match reasons.iter_mut().find(|(known, _)| known == reason) {
                Some((_, deeds)) => deeds.push(deed.word()),
                None => reasons.push((reason, vec![deed.word()])),
            }
        }
        let mut name = if allowed.is_empty() { "actions" } else { "" };
        for (reason, deeds) in reasons {
            self.add(name, &format!("not {}: {reason}", deeds.join(", ")), Role::Disabled);
            name = "";
        }
    }
}

pub(super) fn draw(buffer: &mut Buffer, area: Rect, view: &View<'_>, detail: &Detail, row: &TaskRow) {
    let mut lines = Summary::new(view, area.width);
    state(&mut lines, row);
    alerts(&mut lines, |found| found.key().as_ref() == Some(&row.key));
    schedule(&mut lines, row);
    last_run(&mut lines, row);
    lines.gap();
    grouping(&mut lines, row);
    lines.gap();
    lines.actions(&row.task.capabilities, |deed| !deed.is_about_endpoint());
    lines.draw(buffer, area, detail.top);
}

fn state(lines: &mut Summary<'_>, row: &TaskRow) {
    let shown = tasks::StateWord::of(row);
    let told = shown.is(row.state);
    let mut text = vec![match row.since {
        Some(since) if told => format!("{} since {}", shown.text(), lines.at(since)),
        _ => shown.text(),
    }];
    if !told {
        text.push(format!("{} when it was last read", row.state));
    }
    if let Some(word) = row.task.remote_state.as_deref().filter(|word| *word != row.state.word()) {
        text.push(format!("its system says {word:?}"));
    }
    lines.add("state", &text.join(" · "), shown.role);
    if row.own_finding {
        let text = "* by vigie's own reckoning: its system judges lateness itself, but has not here";
        lines.add("", text, Role::EvidenceUnverified);
    }
    if let Some(since) = row.unverified_late_since {
        let text = format!("would be late since {}, unverified: nothing was read since", lines.at(since));
        lines.add("", &text, Role::EvidenceUnverified);
    } else if let Some(since) = row.late_since {
        lines.add("", &format!("late: its slot was {}", lines.at(since)), Role::Text);
    }
    if row.evidence != Evidence::Fresh {
        let endpoint = lines.view.fleet.endpoint(&row.key.endpoint);
        let (word, role) = tasks::evidence(row, lines.view);
        let why = endpoint.and_then(|endpoint| words::trouble(endpoint, lines.view));
        lines.add("evidence", &why.map_or_else(|| word.clone(), |why| format!("{word} · {why}")), role);
    }
    for receipt in &row.receipts {
        lines.receipt(receipt);
    }
}

/// The open alerts that are `about` what is looked at.
pub(super) fn alerts(lines: &mut Summary<'_>, about: impl Fn(&AlertRow) -> bool) {
    let now = lines.view.state.now;
    let open = lines.view.fleet.alerts();
    let mut name = "alerts";
    for found in open.iter().filter(|found| about(found)) {
        let alert = &found.alert;
        let mut text = vec![format!("{} for {}", alert.kind, format::age(now, alert.since))];
        if !alert.summary.is_empty() {
            text.push(alert.summary.to_string());
        }
        text.extend(taken(alert, now));
        text.extend(quiet(alert, lines));
        lines.add(name, &text.join(" · "), Role::severity(alert.severity));
        name = "";
    }
}

/// Who has taken an alert, how long ago, and with what words.
fn taken(alert: &Alert, now: DateTime<Utc>) -> Option<String> {
    let mut text = format!("taken by {}", alert.acknowledged_by.as_ref()?);
    let handling = alert.handling.as_deref();
    if let Some(at) = handling.and_then(|handling| handling.acknowledged_at) {
        let _ = write!(text, " {} ago", format::age(now, at));
    }
    if let Some(note) = handling.and_then(|handling| handling.note.as_ref()) {
        let _ = write!(text, ": {note}");
    }
    Some(text)
}

/// Until when an alert is quiet, by whom, and with what words.
fn quiet(alert: &Alert, lines: &Summary<'_>) -> Option<String> {
    let until = alert.silenced_until.filter(|until| *until > lines.view.state.now)?;
    let handling = alert.handling.as_deref();
    let snoozed = handling.is_some_and(|handling| handling.snoozed);
    let mut text = if snoozed { "snoozed".to_owned() } else { "silenced".to_owned() };
    if let Some(who) = handling.and_then(|handling| handling.silenced_by.as_ref()) {
        let _ = write!(text, " by {who}");
    }
    let _ = write!(text, " until {}", lines.at(until));
    if snoozed {
        text.push_str(" or the next good run");
    }
    if let Some(comment) = handling.and_then(|handling| handling.comment.as_ref()) {
        let _ = write!(text, ": {comment}");
    }
    Some(text)
}

fn schedule(lines: &mut Summary<'_>, row: &TaskRow) {
    lines.gap();
    let task = &row.task;
    match &task.schedule {
        None if row.next_due.is_some() => {
            lines.add("schedule", "its system tells only when next", Role::Muted);
        }
        None => lines.add("schedule", "on demand only", Role::Muted),
        Some(schedule) => {
            let mut text = vec![schedule.text().to_string()];
            if let Timing::Cron { dialect, .. } = &schedule.timing {
                text.push(format!("{} · {dialect} cron", schedule.zone));
            }
            if schedule.assumed {
                text.push("assumed from its defaults, not told".to_owned());
            }
            lines.add("schedule", &text.join(" · "), Role::Text);
        }
    }
    if let Some(error) = &row.schedule_error {
        lines.add("", error, Role::Error);
    }
    if let Some(at) = row.next_due {
        let zone = zone_word(&lines.view.state.look);
        let text = format!("{} {zone}", lines.at(at));
        lines.add("next due", &text, Role::Text);
    }
    let policy = &task.policy;
    let seconds = |s: u32| duration_text(u64::from(s));
    let mut limits = vec![
        format!("late after {}", seconds(policy.start_window_s)),
        format!("absent after {} more", seconds(policy.lateness_window_s)),
    ];
    limits.extend(policy.max_runtime_s.map(|s| format!("may run {}", seconds(s))));
    limits.extend(policy.heartbeat_timeout_s.map(|s| format!("heartbeat within {}", seconds(s))));
    limits.extend(policy.min_gap_s.map(|s| format!("not again within {}", seconds(s))));
    if policy.failure_threshold > 1 {
        limits.push(format!("failing after {} bad runs", policy.failure_threshold));
    }
    if task.schedule.is_some() || limits.len() > 2 {
        lines.add("limits", &limits.join(" · "), Role::Muted);
    }
}

fn last_run(lines: &mut Summary<'_>, row: &TaskRow) {
    lines.gap();
    let task = &row.task;
    for run in &task.active_runs {
        let waits = run.queued.filter(|_| run.state == RunState::Queued);
        let lasts = match waits {
            Some(since) => format!("waits {}", format::age(lines.view.state.now, since)),
            None => runs::took(run, lines.view),
        };
        let mut text = vec![runs::state_word(run.state), lasts];
        if let Some(machine) = &run.machine {
            text.push(format!("on {machine}"));
        }
        if let Some(next) = run.next_at {
            text.push(format!("next attempt {}", lines.at(next)));
        }
        lines.add("now", &text.join(" · "), Role::run(run.state));
    }
    match &task.last_run {
        None => lines.add("last run", "none is known", Role::Muted),
        Some(run) => {
            let mut text = vec![runs::state_word(run.state)];
            if let Some(ended) = run.ended {
                text.push(lines.at(ended));
            }
            if let Some(took) = took_ms(run) {
                text.push(format!("took {}", format::duration(took)));
            }
            if let Some(code) = run.exit_code {
                text.push(format!("exit {code}"));
            }
            lines.add("last run", &text.join(" · "), Role::run(run.state));
            if let Some(message) = run.message.as_deref().filter(|message| !message.is_empty()) {
                lines.add("", message, Role::Text);
            }
        }
    }
    let retry = &task.retry;
    if retry.max > 0 {
        let mut text = vec![format!("{} of {}", retry.attempt, retry.max)];
        if let Some(next) = retry.next_at {
            text.push(format!("next {}", lines.at(next)));
        }
        lines.add("retries", &text.join(" · "), Role::Text);
    }
}

fn grouping(lines: &mut Summary<'_>, row: &TaskRow) {
    if let Some(text) = &row.task.description {
        lines.add("for", text, Role::Text);
    }
    if let Some(class) = &row.task.class {
        lines.add("class", class, Role::Text);
    }
    let mut ids = Vec::new();
    if row.task.id.as_raw() != row.task.name.as_str() {
        ids.push(row.task.id.shown().to_string());
    }
    ids.extend(row.task.alias.as_ref().map(|alias| format!("also {alias}")));
    if !ids.is_empty() {
        lines.add("id", &ids.join(" · "), Role::Muted);
    }
    if let Some(key) = &row.task.ping_key {
        lines.add("pings", &format!("/ping/{key}"), Role::Muted);
    }
    let team = row.team().map(|team| format!("team {team}"));
    let machine = row.machine().map(|machine| format!("machine {machine}"));
    let known = |name: &Clean| matches!(name.as_str(), "team" | "machine");
    let labels =
        row.labels.iter().filter(|(name, _)| !known(name)).map(|(name, value)| format!("{name}={value}"));
    let all: Vec<String> = team.into_iter().chain(machine).chain(labels).collect();
    if !all.is_empty() {
        lines.add("belongs to", &all.join(" · "), Role::Text);
    }
    let mut name = "remarks";
    for remark in row.task.remarks.iter().chain(&row.task.caution) {
        lines.add(name, remark, Role::Text);
        name = "";
    }
}
