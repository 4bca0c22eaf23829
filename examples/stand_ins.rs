//! Serves stand-ins of Duty Duck, Rediacc and duplistatus on this machine, with
//! something of everything in them, and prints a configuration for them: to try
//! the console on all three without having one.
//!
//! ```sh
//! cargo run --example stand_ins
//! ```

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]
#![expect(clippy::unwrap_used, reason = "it shares the tests' code, and may end as a test does")]
#![expect(clippy::disallowed_methods, reason = "it is a shell: it has a clock and a task of its own")]

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

#[path = "../tests/stand_ins/mod.rs"]
#[expect(dead_code, reason = "the tests turn more of them than a visitor")]
#[expect(clippy::assigning_clones, reason = "written for tests, where nobody counts allocations")]
mod stand_ins;
#[path = "../tests/stand_ins/systems.rs"]
mod systems;

use stand_ins::{duplistatus, duplistatus_web, duty_duck, lively, rediacc};

/// How often something happens there.
const BEAT: Duration = Duration::from_secs(5);

struct Systems {
    cron: duplistatus::StandIn,
    web: duplistatus_web::Web,
    duck: duty_duck::StandIn,
    queue: rediacc::StandIn,
}

impl Systems {
    async fn start(now: DateTime<Utc>) -> Self {
        let (cron, web) = lively::backups(now).await;
        Self { cron, web, duck: duty_duck::StandIn::start().await, queue: lively::queue(now).await }
    }

    /// Time goes on, and something with it.
    fn go_on(&self, now: DateTime<Utc>, beat: u32) {
        self.cron.inner().clock = now;
        if beat.is_multiple_of(12) {
            self.cron.inner().fire();
        }
        let mut duck = self.duck.inner();
        duck.collect();
        match beat % 12 {
            1 => duck.start("nightly-db-dump"),
            // Unless it has ended otherwise: finished from a console, or taken for dead.
            5 if duck.find("nightly-db-dump").is_some_and(|task| task.status == "running") => {
                duck.finish("nightly-db-dump", "finished", Some(0), None);
            }
            _ => {}
        }
        drop(duck);
        let mut world = self.queue.world();
        world.clock = now;
        let of = |status: &str| {
            world.data.items.iter().find(|item| item.status == status).map(|item| item.id.clone())
        };
        let (works, assigned, stops, waits) =
            (of("PROCESSING"), of("ASSIGNED"), of("CANCELLING"), of("PENDING"));
        let data = &mut world.data;
        if let Some(id) = stops {
            data.stopped(&id, now);
        }
        match beat % 6 {
            0 => {
                let machine = usize::try_from(beat / 6).unwrap();
                data.put(machine, 1 + u8::try_from(beat % 5).unwrap(), now);
            }
            2 => works.into_iter().for_each(|id| data.complete(&id, now)),
            3 => assigned.into_iter().for_each(|id| data.process(&id, now)),
            4 => waits.into_iter().for_each(|id| data.assign(&id, now - TimeDelta::seconds(1))),
            _ => {}
        }
    }
}

#[tokio::main]
async fn main() {
    let systems = Systems::start(Utc::now()).await;
    let folder = tempfile::tempdir().unwrap();
    let places = systems::Places {
        cron: systems.cron.url.clone(),
        web: systems.web.url.clone(),
        duck: systems.duck.url.clone(),
        queue: systems.queue.url.clone(),
        token: systems.queue.world().fresh_token(),
    };
    let file = folder.path().join("config.toml");
    std::fs::write(&file, systems::configuration(&places, folder.path())).unwrap();
    println!("{}", std::fs::read_to_string(&file).unwrap());
    println!("# Try it: vigie --config {}", file.display());
    println!("# Ctrl-C ends it, and takes the files away.");
    let mut beats = tokio::time::interval(BEAT);
    let mut beat = 0;
    loop {
        tokio::select! {
            _ = beats.tick() => systems.go_on(Utc::now(), beat),
            _ = tokio::signal::ctrl_c() => return,
        }
        beat += 1;
    }
}
