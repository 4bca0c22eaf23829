//! What a frame costs: everything from state and fleet to cells.

mod synthetic;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use vigie::console::screens::{View, draw};
use vigie::console::state::{Look, Screen, State};
use vigie::console::theme::{Level, Painted, Theme};
use vigie::console::{Keymap, update};
use vigie::fleet::Fleet;

const SIZE: (u16, u16) = (160, 45);

fn state(screen: Screen, fleet: &Fleet) -> State {
    let look = Look { ascii: false, utc: true, local_offset_s: 0, local_zone: "UTC".into() };
    let mut state = State::new(Keymap::new(&[]), look, screen, SIZE, synthetic::now());
    state.tasks.rebuild(fleet, synthetic::now());
    state.tasks.select_index(0);
    state
}

fn frame(terminal: &mut Terminal<TestBackend>, state: &State, fleet: &Fleet, theme: &Painted) {
    match terminal.draw(|frame| draw(frame, &View { state, fleet, theme })) {
        Ok(drawn) => drop(black_box(drawn)),
        Err(never) => match never {},
    }
}

fn frames(criterion: &mut Criterion) {
    let Ok(theme) = Theme::built_in(false) else { return };
    let theme = theme.paint(Level::Indexed);
    let Ok(mut terminal) = Terminal::new(TestBackend::new(SIZE.0, SIZE.1));
    let mut group = criterion.benchmark_group("frame");
    for tasks in [10_000, 100_000] {
        let fleet = synthetic::fleet(tasks);
        for screen in [Screen::Tasks, Screen::Board] {
            let state = state(screen, &fleet);
            group.bench_function(BenchmarkId::new(screen.name(), tasks), |bench| {
                bench.iter(|| frame(&mut terminal, &state, &fleet, &theme));
            });
            group.bench_function(BenchmarkId::new(format!("next-tick-{}", screen.name()), tasks), |bench| {
                bench.iter(|| update::next_tick(black_box(&state), &fleet));
            });
        }
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    frames(&mut criterion);
    criterion.final_summary();
}
