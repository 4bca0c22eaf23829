//! The sections of the board.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::super::{Standing, View, in_view, stand};
use super::glance::{self, Slotted};
use super::headline;
use crate::console::format::{self, count, percentile, width};
use crate::console::state::{RowKey, Screen};
use crate::console::theme::Role;
use crate::console::widgets::{Grid, Pen, Row, Slot, glyph};
use crate::fleet::{AlertRow, EndpointRow, QueueRow, RunRow};
use crate::model::{AlertKind, Evidence, Health, Priority, RunState, TaskState};

/// Among so many runs, those in progress first, is looked for what the board shows.
const RUNS: usize = 96;
/// From this width on alerts have their full words.
const WIDE: u16 = 100;

/// The bar of endpoints, on up to two lines; gives how many.
pub(super) fn endpoints(buffer: &mut Buffer, area: Rect, view: &View<'_>) -> u16 {
    const TITLE: &str = "ENDPOINTS";
    let mut line = 0;
    let mut pen = Pen::new(buffer, area, line);
    pen.skip(1).put(TITLE, view.style(Role::Heading)).skip(2);
    let all: Vec<&EndpointRow> = view.fleet.endpoints().collect();
    if all.is_empty() {
        pen.put("none", view.style(Role::Muted));
    }
    for (index, row) in all.iter().enumerate() {
        let name = row.spec.name.shown();
        let health = health(row, view);
        let more = format!("+{}", all.len() - index);
        let needed = width(&name) + 1 + width(&health);
        // The last line keeps room for how many are not on it.
        let keep = if line == 1 && index + 1 < all.len() { width(&more) + 2 } else { 0 };
        if pen.left() < needed + keep {
            if line == 1 || area.height < 10 {
                pen.put(&more, view.style(Role::Muted));
                break;
            }
            line += 1;
            pen = Pen::new(buffer, area, line);
            pen.skip(1 + TITLE.len() + 2);
        }
        pen.put(&name, view.style(Role::Text)).skip(1);
        pen.put(&health, view.style(Role::health(row.health))).skip(2);
    }
    (line + 1).min(area.height)
}

/// `✓<10ms`, or since when it is down and when it is tried again: `✗4m, in <1m`.
fn health(row: &EndpointRow, view: &View<'_>) -> String {
    let now = view.state.now;
    let sign = glyph::health(row.health);
    match (row.health, &row.failure) {
        (Health::Up | Health::Degraded, _) => row
            .latency_step()
            .map_or_else(|| sign.to_owned(), |step| format!("{sign}{}", format::latency(step))),
        (Health::Connecting, _) => sign.to_owned(),
        (_, Some(failure)) if failure.next_try > now => {
            format!("{sign}{}, {}", format::age(now, row.since), format::due(now, failure.next_try))
        }
        _ => format!("{sign}{}", format::age(now, row.since)),
    }
}

/// What the board shows, gathered once per frame.
pub(super) struct Board {
    alerts: Vec<AlertRow>,
    queues: Vec<QueueRow>,
    running: Vec<RunRow>,
    next: Vec<Slotted>,
    ended: Vec<RunRow>,
}

impl Board {
    pub fn gather(view: &View<'_>) -> Self {
        let mut running = view.fleet.runs(RUNS);
        let ended = glance::ended(&running);
        running.retain(|row| row.run.state == RunState::Running);
        let mut queues = view.fleet.queues();
        // What waits longest is first; what is empty says nothing.
        queues.retain(|row| row.queue.depth > 0 || row.queue.stale > 0);
        queues.sort_by_key(|row| (row.queue.oldest_pending.is_none(), row.queue.oldest_pending));
        Self { alerts: view.fleet.alerts(), queues, running, next: glance::next(view), ended }
    }

    /// How many lines each section would like.
    pub fn wants(&self) -> [u16; 4] {
        let lines = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
        let alerts = self.alerts.len().max(1);
        [lines(alerts), lines(self.queues.len()), lines(self.running.len()), lines(self.next.len())]
    }

    /// How many lines the runs that have ended would like.
    pub fn wants_ended(&self) -> u16 {
        u16::try_from(self.ended.len()).unwrap_or(u16::MAX)
    }

    pub fn ended(&self, buffer: &mut Buffer, area: Rect, view: &View<'_>) {
        let list = headline(buffer, area, "ENDED", ("", Role::Muted), view);
        glance::draw_ended(buffer, list, &self.ended, view);
    }

    pub fn alerts(&self, buffer: &mut Buffer, area: Rect, view: &View<'_>) {
        let listed = view.state.rows.get(&Screen::Board);
        let keys = listed.map_or(0, |rows| rows.keys.len());
        let fits = usize::from(area.height.saturating_sub(1));
        let note = if keys > fits { format!("{fits} of {keys}") } else { String::new() };
        let list = headline(buffer, area, "ALERTS", (&note, Role::Muted), view);
        let Some(listed) = listed.filter(|rows| !rows.keys.is_empty()) else {
            let (text, role) = quiet(self.next.first(), view);
            Pen::new(buffer, list, 0).skip(1).put(&text, view.style(role));
            return;
        };
        let narrow = list.width < WIDE;
        let find = |key: &RowKey| {
            let RowKey::Alert(endpoint, id) = key else { return None };
            self.alerts.iter().find(|row| row.endpoint == *endpoint && row.alert.key() == *id)
        };
        let found = in_view(listed, list.height).filter_map(|(_, key, _)| find(key));
        let names = found.map(|row| width(&subject(row, view))).max().unwrap_or(0);
        let names = u16::try_from(names).unwrap_or(u16::MAX);
        let kinds = self.alerts.iter().map(|row| word(row.alert.kind, narrow).len()).max().unwrap_or(0);
        // One more for the evidence.
        let kinds = u16::try_from(kinds + 1).unwrap_or(u16::MAX);
        let grid = Grid::fit(
            vec![
                Slot::new("", 1, 1),
                Slot::new("", kinds, kinds),
                // The summary, which says what to do, has a good part of a narrow line.
                Slot::new("", 16, names.min(list.width * 3 / 8).clamp(16, 48)).gap(1),
                Slot::new("", 6, 6).right(),
                Slot::new("", 8, 200).gap(2).drop(1),
            ],
            list.width,
        );
        for (line, key, cursor) in in_view(listed, list.height) {
            if let Some(found) = find(key) {
                alert(&mut grid.row(buffer, list, line), found, narrow, view);
            }
            stand(buffer, list, line, Standing { cursor, marked: false }, view);
        }
    }

    pub fn queues(&self, buffer: &mut Buffer, area: Rect, view: &View<'_>) {
        let waiting: u64 = self.queues.iter().map(|row| row.queue.depth).sum();
        let note = match waiting {
            0 => "nothing waits".to_owned(),
            _ => format!("{waiting} waiting"),
        };
        let list = headline(buffer, area, "QUEUES", (&note, Role::Muted), view);
        let names = self
            .queues
            .iter()
            .take(usize::from(list.height))
            .map(|row| width(&queue_name(row)))
            .max()
            .unwrap_or(0)
            .min(24);
        // The fact that tells most, "oldest 12m", keeps its place.
        let depths = Depths::fit(&self.queues, usize::from(list.width).saturating_sub(names + 3 + 13));
        for (row, line) in self.queues.iter().zip(0..list.height) {
            queue(&mut Pen::new(buffer, list, line), row, names, &depths, view);
        }
    }

    pub fn running(&self, buffer: &mut Buffer, area: Rect, view: &View<'_>) {
        let note = match self.running.len() {
            0 => "nothing".to_owned(),
            n if n > usize::from(area.height.saturating_sub(1)) => n.to_string(),
            _ => String::new(),
        };
        let list = headline(buffer, area, "RUNNING", (&note, Role::Muted), view);
        let names = self
            .running
            .iter()
            .take(usize::from(list.height))
            .map(|row| width(&format!("{}/{}", row.endpoint, row.task_name)));
        let names = names.max().unwrap_or(0).min(usize::from(list.width) / 2);
        for (row, line) in self.running.iter().zip(0..list.height) {
            run(&mut Pen::new(buffer, list, line), row, names, view);
        }
    }

    pub fn next(&self, buffer: &mut Buffer, area: Rect, view: &View<'_>) {
        let note = match self.next.first() {
            None => "nothing is known".to_owned(),
            Some(first) if area.height < 2 => first.text(view),
            Some(_) => String::new(),
        };
        let list = headline(buffer, area, "NEXT", (&note, Role::Muted), view);
        if list.height > 1 {
            for (slot, line) in self.next.iter().zip(0..list.height) {
                slot.draw(&mut Pen::new(buffer, list, line), view);
            }
            return;
        }
        let mut pen = Pen::new(buffer, list, 0);
        pen.skip(1);
        for (index, slot) in self.next.iter().enumerate() {
            let text = slot.text(view);
            let separator = if index == 0 { "" } else { " · " };
            if index > 0 && width(separator) + width(&text) > pen.left() {
                break;
            }
            pen.put(separator, view.style(Role::Muted));
            let (time, rest) = text.split_once(' ').unwrap_or((&text, ""));
            pen.put(time, view.style(Role::Muted)).skip(1).put(rest, view.style(Role::Text));
        }
    }
}

/// What the board says where no alert is open: only what is known counts as well.
fn quiet(first: Option<&Slotted>, view: &View<'_>) -> (String, Role) {
    let counts = view.fleet.counts();
    let unread = view.fleet.endpoints().filter(|row| row.evidence != Evidence::Fresh).count();
    let endpoints = view.fleet.endpoints().count();
    if endpoints == 0 {
        return ("no endpoint is configured".to_owned(), Role::Muted);
    }
    if view.fleet.endpoints().all(|row| row.health == Health::Connecting) {
        return ("connecting …".to_owned(), Role::Muted);
    }
    if unread > 0 {
        let text =
            format!("no alert is known, but {unread} of {} can't be read", count(endpoints, "endpoint"));
        return (text, Role::Muted);
    }
    let healthy = counts.of(TaskState::Healthy);
    let mut text = if healthy == counts.tasks {
        format!("nothing is wrong: {} healthy", count(healthy, "task"))
    } else {
        format!("nothing is wrong: {healthy} of {} healthy", count(counts.tasks, "task"))
    };
    if let Some(first) = first {
        text = format!("{text}, next {}", first.text(view));
    }
    (text, Role::Notice)
}

/// What an alert is about, as the command line names it.
fn subject(row: &AlertRow, view: &View<'_>) -> String {
    match (row.key(), &row.alert.queue) {
        (Some(key), _) => {
            let name = view.fleet.task(&key).map_or_else(|| key.task.shown(), |task| task.task.name.clone());
            format!("{}/{name}", key.endpoint)
        }
        (None, Some(queue)) => format!("{}/{queue}", row.endpoint),
        (None, None) => row.endpoint.to_string(),
    }
}

/// The glyph of an alert's kind: that of the state it leads to, where there is one.
const fn sign(kind: AlertKind) -> &'static str {
    match kind {
        AlertKind::Late => glyph::task(TaskState::Late),
        AlertKind::Absent | AlertKind::SchedulerSilent => glyph::task(TaskState::Absent),
        AlertKind::Failed | AlertKind::RetriesExhausted => glyph::task(TaskState::Failing),
        AlertKind::Overrun => glyph::task(TaskState::Running),
        AlertKind::Dead => glyph::run(RunState::Dead),
        AlertKind::TooOften => "▲",
        AlertKind::QueueStalled => glyph::task(TaskState::Queued),
        AlertKind::EndpointDown => glyph::health(Health::Down),
        AlertKind::ClockSkew => "≠",
    }
}

/// The word of an alert's kind, shorter where it is narrow.
const fn word(kind: AlertKind, narrow: bool) -> &'static str {
    match kind {
        AlertKind::RetriesExhausted if narrow => "retries",
        AlertKind::QueueStalled if narrow => "stalled",
        AlertKind::SchedulerSilent if narrow => "silent",
        AlertKind::EndpointDown if narrow => "down",
        AlertKind::ClockSkew if narrow => "skew",
        kind => kind.word(),
    }
}

fn alert(cells: &mut Row<'_>, row: &AlertRow, narrow: bool, view: &View<'_>) {
    let now = view.state.now;
    let alert = &row.alert;
    let taken = alert.acknowledged_by.is_some() || row.is_silenced(now);
    let role = if taken { Role::Muted } else { Role::severity(alert.severity) };
    let text = view.style(if taken { Role::Muted } else { Role::Text });
    cells.put(0, sign(alert.kind), view.style(role));
    // That an endpoint is down is known at first hand.
    let told = alert.kind != AlertKind::EndpointDown;
    let suffix = if told { glyph::evidence(row.evidence, false) } else { "" };
    cells.put(1, &format!("{}{suffix}", word(alert.kind, narrow)), view.style(role));
    cells.put(2, &subject(row, view), text);
    cells.put(3, &format::age(now, alert.since), text);
    cells.put(4, &summary(row, view), view.style(Role::Muted));
}

/// What an alert says, who has taken it, and what hides behind it.
fn summary(row: &AlertRow, view: &View<'_>) -> String {
    let alert = &row.alert;
    let mut parts = Vec::new();
    parts.extend(alert.acknowledged_by.as_ref().map(|who| format!("taken by {who}")));
    let silenced = alert.silenced_until.filter(|until| *until > view.state.now);
    let snoozed = alert.handling.as_deref().is_some_and(|handling| handling.snoozed);
    let word = if snoozed { "snoozed" } else { "silenced" };
    parts
        .extend(silenced.map(|until| {
            format!("{word} until {}", format::moment(until, view.state.now, &view.state.look))
        }));
    if !alert.summary.is_empty() {
        parts.push(alert.summary.to_string());
    }
    if alert.kind == AlertKind::EndpointDown {
        let counts = view.fleet.counts_of(&row.endpoint);
        parts.extend((counts.unverified > 0).then(|| format!("{} late, unverified", counts.unverified)));
    }
    parts.join(" · ")
}

fn queue_name(row: &QueueRow) -> String {
    format!("{}/{}", row.endpoint, row.queue.name)
}

/// How wide the depths of all queues are drawn: cells for bar and number, per priority.
struct Depths {
    most: u64,
    bar: usize,
    bars: [usize; Priority::COUNT],
    digits: [usize; Priority::COUNT],
}

impl Depths {
    /// The widest bars that leave every priority its place in `room` cells.
    fn fit(queues: &[QueueRow], room: usize) -> Self {
        let depths = || queues.iter().filter_map(|row| row.queue.by_priority);
        let highest: [u64; Priority::COUNT] =
            std::array::from_fn(|i| depths().map(|depths| depths[i]).max().unwrap_or(0));
        let most = highest.into_iter().max().unwrap_or(0);
        let digits = highest.map(|depth| width(&depth.to_string()));
        let at = |bar: usize| Self { most, bar, bars: highest.map(|depth| scaled(depth, most, bar)), digits };
        (0..=8)
            .rev()
            .map(at)
            .find(|depths| depths.bar == 0 || depths.cells() <= room)
            .unwrap_or_else(|| at(0))
    }

    /// Cells for `1 ▇▇▇ 3  ` of every priority.
    fn cells(&self) -> usize {
        let of = |i: usize| 2 + self.bars[i] + usize::from(self.bars[i] > 0) + self.digits[i] + 2;
        (0..Priority::COUNT).map(of).sum()
    }

    fn draw(&self, pen: &mut Pen<'_>, depths: [u64; Priority::COUNT], view: &View<'_>) {
        for priority in Priority::all() {
            let i = priority.index();
            let depth = depths[i];
            let gap = usize::from(self.bars[i] > 0);
            pen.put(&priority.to_string(), view.style(Role::Muted)).skip(1);
            let number = if depth == 0 { "·".to_owned() } else { depth.to_string() };
            let role = if depth == 0 { Role::Muted } else { Role::Text };
            // The number follows its bar.
            let filled = scaled(depth, self.most, self.bar);
            pen.put(&glyph::FULL.repeat(filled), view.style(Role::Gauge)).skip(gap.min(filled));
            let rest = self.bars[i] + gap - filled - gap.min(filled) + self.digits[i];
            pen.field(&number, rest, view.style(role)).skip(2);
        }
    }
}

/// ` fleet/prod   1 ▇ 1   2 ▇▇▇ 3   3 ▇▇▇▇▇▇▇▇ 8   4 ·   5 ·   oldest 12m`
fn queue(pen: &mut Pen<'_>, row: &QueueRow, names: usize, depths: &Depths, view: &View<'_>) {
    let (text, muted) = (view.style(Role::Text), view.style(Role::Muted));
    let queue = &row.queue;
    pen.skip(1).field(&queue_name(row), names, text).skip(2);
    match queue.by_priority {
        Some(by_priority) => depths.draw(pen, by_priority, view),
        None => {
            pen.field(&format!("{} waiting", queue.depth), depths.cells().min(pen.left() / 2), text);
        }
    }
    let mut facts = Vec::new();
    facts.extend((row.evidence != Evidence::Fresh).then(|| row.evidence.to_string()));
    facts.extend(queue.oldest_pending.map(|since| format!("oldest {}", format::age(view.state.now, since))));
    facts.extend((queue.stale > 0).then(|| format!("{} stale", queue.stale)));
    facts.extend((queue.running > 0).then(|| format!("{} running", queue.running)));
    for (index, fact) in facts.iter().enumerate() {
        let fact = if index == 0 { fact.clone() } else { format!(" · {fact}") };
        if !pen.put_whole(&fact, muted) {
            break;
        }
    }
}

/// `value` of `most` in `cells`: at least one where there is something.
fn scaled(value: u64, most: u64, cells: usize) -> usize {
    if value == 0 || most == 0 {
        return 0;
    }
    let share = u128::from(value) * cells as u128 / u128::from(most);
    usize::try_from(share).unwrap_or(cells).max(1).min(cells)
}

/// ` ► fleet/restart-webserver   12s of ~40s  ▇▇▇▇░░░░░░░░  prod-01  try 2`
fn run(pen: &mut Pen<'_>, row: &RunRow, names: usize, view: &View<'_>) {
    const GAUGE: usize = 12;
    let now = view.state.now;
    let (text, muted) = (view.style(Role::Text), view.style(Role::Muted));
    pen.skip(1).put(glyph::run(row.run.state), view.style(Role::run(row.run.state))).skip(1);
    pen.field(&format!("{}/{}", row.endpoint, row.task_name), names, text).skip(2);
    let usual = percentile(&view.fleet.durations(&row.key()), 50);
    let started = row.run.started;
    let elapsed = started.map_or_else(|| format::NONE.to_owned(), |started| format::elapsed(now, started));
    pen.field_right(&elapsed, 7, text);
    match (usual, started) {
        (Some(usual), Some(started)) if usual > 0 => {
            pen.put(" of ", muted).field(&format!("~{}", format::duration(usual)), 8, muted);
            let done = u64::try_from((now - started).num_milliseconds()).unwrap_or(0);
            if pen.left() > GAUGE {
                let filled = scaled(done.min(usual), usual, GAUGE);
                let role = if done > usual { Role::SeverityWarning } else { Role::Gauge };
                pen.put(&glyph::FULL.repeat(filled), view.style(role));
                pen.put(&glyph::REST.repeat(GAUGE - filled), view.style(Role::GaugeRest));
            }
        }
        _ => {
            pen.skip(12 + GAUGE);
        }
    }
    pen.skip(2);
    if let Some(machine) = &row.run.machine
        && pen.put_whole(machine, muted)
    {
        pen.skip(2);
    }
    if row.run.attempt > 0 {
        pen.put_whole(&format!("try {}", row.run.attempt), muted);
    }
}
