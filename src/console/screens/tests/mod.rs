//! The screens as they are seen, on one synthetic fleet at one time.

mod fixture;
mod laws;

use std::fmt::Write as _;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

use super::*;
use crate::console::state::{
    About, Column, Confirm, ConfirmGroup, Detail, DetailTab, Field, Form, Input, LogState, Message, Overlay,
    Planned, Search, TraceState,
};
use crate::console::theme::{Level, Theme};
use crate::console::{Draft, State};
use crate::model::{
    Alert, AlertKind, Arguments, Clean, Command, Event, LogOf, Part, Payload, Severity, Snapshot, Target,
    TaskState, Trace, Verb,
};
use fixture::{key, live, name, state};

const SIZES: [(u16, u16); 3] = [(60, 15), (80, 24), (160, 45)];

fn painted(level: Level) -> Painted {
    Theme::built_in(false).unwrap().paint(level)
}

fn frame(state: &State, fleet: &Fleet, theme: &Painted) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(state.width, state.height)).unwrap();
    terminal.draw(|frame| draw(frame, &View { state, fleet, theme })).unwrap();
    terminal.backend().buffer().clone()
}

/// The symbols, a line each, without what a wide character hides.
fn text(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buffer.area.height {
        let mut line = String::new();
        let mut hidden = 0;
        for x in 0..buffer.area.width {
            if hidden > 0 {
                hidden -= 1;
                continue;
            }
            let symbol = buffer[(x, y)].symbol();
            hidden = crate::console::format::width(symbol).saturating_sub(1);
            line.push_str(symbol);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Symbols with their styles: `{fg bg bold}text`, a line each.
fn styled(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buffer.area.height {
        let mut last = None;
        for x in 0..buffer.area.width {
            let cell = &buffer[(x, y)];
            let style = (cell.fg, cell.bg, cell.modifier);
            if last != Some(style) {
                let colour = |colour: Color| match colour {
                    Color::Reset => "-".to_owned(),
                    Color::Indexed(index) => index.to_string(),
                    other => other.to_string(),
                };
                let modifier: Vec<String> =
                    style.2.iter_names().map(|(name, _)| format!(" {}", name.to_lowercase())).collect();
                write!(out, "{{{} {}{}}}", colour(style.0), colour(style.1), modifier.concat()).unwrap();
                last = Some(style);
            }
            out.push_str(cell.symbol());
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
    out
}

/// Snapshots at the three sizes what `make` gives.
fn at_all_sizes(what: &str, fleet: &Fleet, make: impl Fn((u16, u16)) -> State) {
    for size in SIZES {
        let drawn = text(&frame(&make(size), fleet, &painted(Level::True)));
        insta::assert_snapshot!(format!("{what}_{}x{}", size.0, size.1), drawn);
    }
}

#[test]
fn every_screen_of_a_live_fleet() {
    let fleet = live();
    for screen in Screen::ALL {
        at_all_sizes(screen.name(), &fleet, |size| state(&fleet, screen, size));
    }
}

fn detail(fleet: &Fleet, size: (u16, u16), endpoint: &str, task: &str, tab: DetailTab) -> State {
    let mut state = state(fleet, Screen::Tasks, size);
    let key = key(endpoint, task);
    state.tasks.select(&key);
    state.detail = Some(Detail { tab, ..Detail::new(About::Task(key)) });
    state
}

fn log(complete: bool) -> LogState {
    let mut log =
        LogState::new(LogOf::Run { task: "restart-webserver".into(), run: "restart-webserver-now".into() });
    log.lines
        .extend((1..=60).map(|n| format!("step {n:02}: web-{:02} answers again", n % 7).as_str().into()));
    log.complete = complete;
    log.follow = !complete;
    log
}

#[test]
fn the_detail() {
    let fleet = live();
    let of = |endpoint: &'static str, task: &'static str, tab: DetailTab| {
        let fleet = &fleet;
        move |size| detail(fleet, size, endpoint, task, tab)
    };
    at_all_sizes("detail_summary", &fleet, of("fleet", "restart-webserver", DetailTab::Summary));
    at_all_sizes("detail_summary_failing", &fleet, of("backups", "overdue-backup-check", DetailTab::Summary));
    at_all_sizes("detail_summary_stale", &fleet, of("edge", "log-rotate", DetailTab::Summary));
    at_all_sizes("detail_history", &fleet, of("fleet", "restart-webserver", DetailTab::History));
    at_all_sizes("detail_history_empty", &fleet, of("local", "never-ran", DetailTab::History));
    at_all_sizes("detail_log", &fleet, |size| {
        let mut state = detail(&fleet, size, "fleet", "restart-webserver", DetailTab::Log);
        state.detail.as_mut().unwrap().log = Some(log(false));
        state
    });
    at_all_sizes("detail_log_dropped", &fleet, |size| {
        let mut state = detail(&fleet, size, "fleet", "restart-webserver", DetailTab::Log);
        let detail = state.detail.as_mut().unwrap();
        detail.log = Some(LogState { dropped_bytes: 5 << 20, ..log(true) });
        detail.top = 10;
        state
    });
}

fn with(fleet: &Fleet, size: (u16, u16), overlay: Overlay) -> State {
    let mut state = state(fleet, Screen::Tasks, size);
    state.overlay = Some(overlay);
    state
}

fn input(text: &str) -> Input {
    Input { text: text.to_owned(), cursor: text.chars().count() }
}

fn question(typed: Option<&str>) -> Confirm {
    let target = |endpoint: &str, task: &str| Target::task(&key(endpoint, task), TaskState::Running);
    let call = |task: &str| Some(format!("POST /api/v1/tasks/{task}/cancel").as_str().into());
    let will = |endpoint: &str, tasks: &[String]| -> Vec<_> {
        let planned = |task: &String| Planned { call: call(task), ..Planned::from(target(endpoint, task)) };
        tasks.iter().map(planned).collect()
    };
    let many: Vec<String> = (0..40).map(|n| format!("sync-{n:02}")).collect();
    let groups = vec![
        ConfirmGroup {
            endpoint: name("fleet"),
            will: will("fleet", &many),
            skipped: vec![("already finished".into(), vec![target("fleet", "restart-webserver"); 9])],
        },
        ConfirmGroup {
            endpoint: name("duty"),
            will: will("duty", &["nightly-db-dump".to_owned()]),
            skipped: vec![],
        },
        ConfirmGroup {
            endpoint: name("backups"),
            will: vec![],
            skipped: vec![(
                "duplistatus has no such action".into(),
                vec![target("backups", "overdue-backup-check")],
            )],
        },
    ];
    let targets = groups.iter().flat_map(|group| &group.will).map(|planned| planned.target.clone()).collect();
    Confirm {
        draft: Draft { deed: Verb::Cancel.into(), targets, arguments: Arguments::default() },
        groups,
        opened_by: Some(crate::action::Key::char('x')),
        typed: typed.map(|typed| ("cancel 41".to_owned(), input(typed))),
    }
}

#[test]
fn every_overlay() {
    let fleet = live();
    let overlay = |what: &str, overlay: Overlay| {
        at_all_sizes(what, &fleet, |size| with(&fleet, size, overlay.clone()));
    };
    overlay("overlay_help", Overlay::Help { top: 0 });
    overlay("overlay_palette", Overlay::Palette { input: input(""), selected: 5 });
    overlay("overlay_palette_typed", Overlay::Palette { input: input("re"), selected: 1 });
    overlay("overlay_columns", Overlay::Columns { selected: 2 });
    let one = vec![Target::task(&key("fleet", "restart-webserver"), TaskState::Running)];
    overlay("overlay_priority", Overlay::Priority { targets: one });
    overlay("overlay_confirm", Overlay::Confirm(Box::new(question(None))));
    overlay("overlay_confirm_typed", Overlay::Confirm(Box::new(question(Some("canc")))));
    let runs = vec!["local/disk-space, for 12s".into(), "local/self-backup, for 2m 3s".into()];
    overlay("overlay_quit", Overlay::Quit { endpoint: name("local"), runs });
    overlay("overlay_quit_idle", Overlay::Quit { endpoint: name("local"), runs: vec![] });
}

#[test]
fn forms_and_dry_runs() {
    let fleet = live();
    let endpoint = vec![Target::endpoint(name("fleet"))];
    let mut create = Form::new(Command::RediaccCreate, endpoint);
    create.fields[0].input = input("Private Team");
    create.fields[3] =
        Field { input: input("7"), error: Some("must be a whole number from 1 to 5, not \"7\"".into()) };
    create.selected = 4;
    create.fields[4].input = input("~/items/restart.json");
    let one = || vec![Target::task(&key("fleet", "restart-webserver"), TaskState::Running)];
    let mut finish = Form::new(Command::DutyDuckFinish, one());
    finish.fields[0] = Field {
        input: input("won"),
        error: Some("must be one of success, failure, aborted, not \"won\"".into()),
    };
    let mut reading = create.clone();
    reading.files = Some(Vec::new());
    for (what, form) in [("create", create), ("finish", finish), ("reading", reading)] {
        at_all_sizes(&format!("form_{what}"), &fleet, |size| {
            with(&fleet, size, Overlay::Form(Box::new(form.clone())))
        });
    }
    let mut asked = question(None);
    let told = ["would cancel 1 item that waits", "would cancel 1 item and the bridge's call"];
    for (planned, told) in asked.groups[0].will.iter_mut().zip(told) {
        planned.foreseen = Some(Ok(told.into()));
    }
    asked.groups[1].will[0].foreseen = Some(Err("duty did not answer within 10s".into()));
    let inputs = [
        ("outcome", crate::model::Input::Text("failure".into())),
        ("payload", crate::model::Input::Payload(Payload::new(b"hunter2".to_vec(), "0123456789abcdef"))),
    ];
    asked.draft.arguments.inputs = inputs.map(|(name, input)| (name.into(), input)).into();
    at_all_sizes("overlay_foreseen", &fleet, |size| {
        with(&fleet, size, Overlay::Confirm(Box::new(asked.clone())))
    });
}

fn trace() -> TraceState {
    let event = |minutes: i64, what: &str, by: Option<&str>, details: Option<&str>| Event {
        at: fixture::ago(minutes * 60 + 7),
        what: what.into(),
        by: by.map(Into::into),
        details: details.map(Into::into),
    };
    let facts = [
        ("health", "STALE_PENDING"),
        ("team", "Private Team"),
        ("bridge", "Global Bridges"),
        ("retries", "2 of 3"),
        (
            "last failure",
            "Bridge reported failure: ssh: connect to host prod-01 port 22: Connection timed out",
        ),
    ];
    let told = Trace {
        facts: facts.iter().map(|&(name, value)| (name.into(), value.into())).collect(),
        events: vec![
            event(2, "Assigned", Some("bridge-01"), Some("machine prod-01")),
            event(9, "Retried", Some("ana@example.org"), Some("second of three")),
            event(
                31,
                "Failed",
                Some("bridge-01"),
                Some("Bridge reported failure: ssh: connect to host prod-01 port 22"),
            ),
            event(90, "Queued", None, None),
            event(3_000, "Created", Some("ana@example.org"), None),
        ],
    };
    TraceState { told: Some(told), ..TraceState::default() }
}

#[test]
fn traces() {
    let fleet = live();
    let at = |what: &str, trace: TraceState| {
        at_all_sizes(&format!("detail_trace{what}"), &fleet, |size| {
            let mut state = detail(&fleet, size, "fleet", "restart-webserver", DetailTab::Trace);
            state.detail.as_mut().unwrap().trace = Some(trace.clone());
            state
        });
    };
    at("", trace());
    let none = "vigie tells no more of its tasks than their runs".into();
    at("_none", TraceState { error: Some(none), ..TraceState::default() });
    at("_old", TraceState { error: Some("timed out after 10s".into()), ..trace() });
}

#[test]
fn a_log_that_is_searched() {
    let fleet = live();
    at_all_sizes("detail_log_searched", &fleet, |size| {
        let mut state = detail(&fleet, size, "fleet", "restart-webserver", DetailTab::Log);
        let search = Search { editing: true, input: input("WEB-03"), found: Some(16) };
        let detail = state.detail.as_mut().unwrap();
        detail.log = Some(LogState { search: Some(search), follow: false, ..log(true) });
        detail.top = 12;
        state
    });
}

#[test]
fn the_detail_of_an_endpoint() {
    let fleet = fixture::systems();
    let of = |endpoint: &'static str, tab: DetailTab| {
        let fleet = &fleet;
        move |size: (u16, u16)| {
            let mut state = state(fleet, Screen::Endpoints, size);
            state.detail = Some(Detail { tab, ..Detail::new(About::Endpoint(name(endpoint))) });
            state
        }
    };
    at_all_sizes("endpoint_summary", &fleet, of("rediacc", DetailTab::Summary));
    at_all_sizes("endpoint_log", &fleet, |size| {
        let mut state = of("duck", DetailTab::Log)(size);
        let none = "duty-duck has no log of its own".into();
        state.detail.as_mut().unwrap().log =
            Some(LogState { error: Some(none), ..LogState::new(LogOf::Endpoint) });
        state
    });
    at_all_sizes("endpoints_systems", &fleet, |size| {
        let mut state = state(&fleet, Screen::Endpoints, size);
        let rows = state.rows.get_mut(&Screen::Endpoints).unwrap();
        rows.cursor = rows.keys.get(1).cloned();
        state
    });
}

#[test]
fn the_detail_of_an_endpoint_tells_its_own_alerts() {
    let mut fleet = fixture::systems();
    let alert = |task: Option<&str>, summary: &str| Alert {
        task: task.map(Into::into),
        queue: None,
        kind: AlertKind::SchedulerSilent,
        severity: Severity::Critical,
        since: fixture::ago(600),
        summary: Clean::line(summary),
        acknowledged_by: None,
        silenced_until: None,
        handling: None,
    };
    let alerts = vec![
        alert(None, "failcron freezes all detection: archive it"),
        alert(Some("9a10"), "of a task, and told there"),
    ];
    let told = Snapshot { alerts: Part::complete(alerts), ..Snapshot::unchanged(fixture::now(), 42) };
    fleet.apply(&name("duck"), told, fixture::now());
    let mut state = state(&fleet, Screen::Endpoints, (80, 24));
    state.detail = Some(Detail { tab: DetailTab::Summary, ..Detail::new(About::Endpoint(name("duck"))) });
    let drawn = text(&frame(&state, &fleet, &painted(Level::True)));
    assert!(drawn.contains("scheduler-silent for 10m · failcron freezes all detection"), "{drawn}");
    assert!(!drawn.contains("told there"), "{drawn}");
}

#[test]
fn a_run_that_waits_says_for_how_long() {
    let fleet = live();
    let task = "sync-repository-eu-central-with-a-long-name";
    let state = detail(&fleet, (80, 24), "fleet", task, DetailTab::Summary);
    let drawn = text(&frame(&state, &fleet, &painted(Level::True)));
    assert!(drawn.contains("queued · waits 12m"), "{drawn}");
}

#[test]
fn vigies_own_findings_and_classes() {
    let fleet = fixture::systems();
    let mut duck = state(&fleet, Screen::Tasks, (160, 24));
    duck.hidden.clear();
    insta::assert_snapshot!("tasks_classes", text(&frame(&duck, &fleet, &painted(Level::True))));
    at_all_sizes("detail_own_finding", &fleet, |size| {
        detail(&fleet, size, "duck", "5f2c", DetailTab::Summary)
    });
}

#[test]
fn the_journal_beside_the_endpoints_own_logs() {
    let fleet = fixture::systems();
    at_all_sizes("journal_audit", &fleet, |size| {
        let mut state = state(&fleet, Screen::Journal, size);
        fixture::audited(&mut state);
        state
    });
}

fn filtered(fleet: &Fleet, size: (u16, u16), filter: &str, editing: bool) -> State {
    let mut state = state(fleet, Screen::Tasks, size);
    state.filter.input = input(filter);
    state.filter.editing = editing;
    state.filter.error = state.tasks.set_filter(filter, state.now).err();
    state.tasks.select_index(0);
    state
}

#[test]
fn empty_and_broken_in_words() {
    for (what, fleet) in [
        ("connecting", fixture::connecting()),
        ("quiet", fixture::quiet()),
        ("troubled", fixture::troubled()),
    ] {
        for screen in [Screen::Board, Screen::Tasks, Screen::Endpoints] {
            let what = format!("{what}_{}", screen.name());
            at_all_sizes(&what, &fleet, |size| state(&fleet, screen, size));
        }
    }
    let nobody = Fleet::default();
    at_all_sizes("unconfigured_tasks", &nobody, |size| state(&nobody, Screen::Tasks, size));
    at_all_sizes("unconfigured_journal", &nobody, |size| state(&nobody, Screen::Journal, size));
    let fleet = live();
    at_all_sizes("filter_nothing", &fleet, |size| filtered(&fleet, size, "team:dtaa", false));
    at_all_sizes("filter_editing", &fleet, |size| filtered(&fleet, size, "state:late,failing", true));
    at_all_sizes("filter_wrong", &fleet, |size| filtered(&fleet, size, "state:lat", true));
}

#[test]
fn marks_messages_and_read_only() {
    let fleet = live();
    at_all_sizes("marked", &fleet, |size| {
        let mut state = state(&fleet, Screen::Tasks, size);
        state.marks.extend([key("duty", "nightly-db-dump"), key("backups", "overdue-backup-check")]);
        state.read_only = true;
        state
    });
    at_all_sizes("message", &fleet, |size| {
        let mut state = state(&fleet, Screen::Tasks, size);
        let text = "✓ trigger backups/overdue-backup-check observed after 24s".into();
        state.message = Some(Message { text, severity: Severity::Info, until: None });
        state.hidden.extend([Column::Last, Column::Took, Column::Task]);
        state
    });
}

#[test]
fn themes_as_they_are_painted() {
    let fleet = live();
    let mut state = state(&fleet, Screen::Tasks, (80, 24));
    state.marks.insert(key("duty", "nightly-db-dump"));
    for name in Theme::BUILT_IN {
        let theme = Theme::load(name, |_| None).unwrap().paint(Level::True);
        insta::assert_snapshot!(format!("styled_{name}"), styled(&frame(&state, &fleet, &theme)));
    }
    insta::assert_snapshot!("styled_monochrome", styled(&frame(&state, &fleet, &painted(Level::None))));
    insta::assert_snapshot!("styled_sixteen", styled(&frame(&state, &fleet, &painted(Level::Sixteen))));
}

/// Every state of the console that the tests know, at one size.
fn everything(fleet: &Fleet, size: (u16, u16)) -> Vec<State> {
    let mut states: Vec<State> = Screen::ALL.into_iter().map(|screen| state(fleet, screen, size)).collect();
    for tab in DetailTab::OF_TASK {
        let mut state = detail(fleet, size, "fleet", "restart-webserver", tab);
        let search = Search { editing: false, input: input("web-03 übersicht"), found: Some(3) };
        let detail = state.detail.as_mut().unwrap();
        detail.log = Some(LogState { search: Some(search), ..log(false) });
        detail.trace = Some(trace());
        states.push(state);
    }
    for tab in DetailTab::OF_ENDPOINT {
        let mut state = state(fleet, Screen::Endpoints, size);
        state.detail = Some(Detail { tab, ..Detail::new(About::Endpoint(name("local"))) });
        states.push(state);
    }
    let mut told = state(fleet, Screen::Journal, size);
    fixture::audited(&mut told);
    states.push(told);
    let form = Form::new(Command::RediaccCreate, vec![Target::endpoint(name("fleet"))]);
    let mut new = Form::of_several(Command::VigieSubmit, vec![name("local"), name("fleet")]);
    new.selected = 11;
    let runs = vec!["local/disk-space, for 12s".into()];
    let one = vec![Target::task(&key("fleet", "restart-webserver"), TaskState::Running)];
    for overlay in [
        Overlay::Help { top: 3 },
        Overlay::Palette { input: input("übersicht-日本"), selected: 0 },
        Overlay::Columns { selected: 11 },
        Overlay::Priority { targets: one },
        Overlay::Confirm(Box::new(question(None))),
        Overlay::Confirm(Box::new(question(Some("cancel 41")))),
        Overlay::Form(Box::new(form)),
        Overlay::Form(Box::new(new)),
        Overlay::Quit { endpoint: name("local"), runs },
    ] {
        states.push(with(fleet, size, overlay));
    }
    states.push(filtered(fleet, size, "übersicht-日本-レポート state:lat", true));
    states
}

#[test]
fn ascii_is_ascii_in_every_cell() {
    let fleet = live();
    for size in SIZES {
        for mut state in everything(&fleet, size) {
            state.look.ascii = true;
            let drawn = frame(&state, &fleet, &painted(Level::True));
            let odd: Vec<&str> = drawn.content.iter().map(Cell::symbol).filter(|s| !s.is_ascii()).collect();
            assert!(odd.is_empty(), "{odd:?}");
            assert!(drawn.content.iter().all(|cell| cell.symbol().len() == 1));
        }
    }
    let mut board = state(&fleet, Screen::Board, (80, 24));
    board.look.ascii = true;
    insta::assert_snapshot!("ascii_board", text(&frame(&board, &fleet, &painted(Level::True))));
    let mut tasks = state(&fleet, Screen::Tasks, (80, 24));
    tasks.look.ascii = true;
    insta::assert_snapshot!("ascii_tasks", text(&frame(&tasks, &fleet, &painted(Level::True))));

    let fleet = fixture::systems();
    let mut journal = state(&fleet, Screen::Journal, (80, 24));
    fixture::audited(&mut journal);
    let mut endpoints = state(&fleet, Screen::Endpoints, (80, 24));
    let form = Form::new(Command::DutyDuckFinish, vec![Target::endpoint(name("duck"))]);
    let mut typed = state(&fleet, Screen::Tasks, (80, 24));
    typed.overlay = Some(Overlay::Form(Box::new(form)));
    let mut traced = detail(&fleet, (80, 24), "duck", "5f2c", DetailTab::Trace);
    traced.detail.as_mut().unwrap().trace = Some(trace());
    for (what, state) in [
        ("journal", &mut journal),
        ("endpoints", &mut endpoints),
        ("form", &mut typed),
        ("trace", &mut traced),
    ] {
        state.look.ascii = true;
        insta::assert_snapshot!(format!("ascii_{what}"), text(&frame(state, &fleet, &painted(Level::True))));
    }
}

#[test]
fn the_header_gives_up_what_matters_least() {
    let fleet = live();
    let theme = painted(Level::True);
    let header = |fleet: &Fleet, width: u16, read_only: bool| {
        let mut state = state(fleet, Screen::Tasks, (width, 24));
        state.read_only = read_only;
        text(&frame(&state, fleet, &theme)).lines().next().unwrap_or_default().to_owned()
    };
    let quiet = fixture::quiet();
    let mut table = String::new();
    for (fleet, read_only) in [(&fleet, false), (&quiet, true)] {
        for width in [120, 86, 80, 76, 70, 60, 50, 40, 30, 20] {
            writeln!(table, "{width:>4}|{}", header(fleet, width, read_only)).unwrap();
        }
    }
    insta::assert_snapshot!("header", table);

    for width in 20..=140 {
        let line = header(&quiet, width, false);
        let (clock, zeros, words) = (line.contains("09:41"), line.contains('0'), line.contains("failing"));
        // The clock goes first, then zeros; what is left is never cut.
        assert!(!clock || (zeros && words), "{width}: {line}");
        assert!(!line.contains('…') && line.contains("1/1"), "{width}: {line}");
    }
}
