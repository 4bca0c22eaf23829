//! The thread that reports a run: reads the configuration, sends, spools.
//! Nobody waits for it, except a little at the end.

use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use crate::cli::args::{Global, WrapOptions};
use crate::cli::session;
use crate::model::{Clean, EndpointName, TaskId};
use crate::runtime::courier::{Courier, Fate, Undelivered};
use crate::runtime::spool::{Spool, Ticket, Waiting};
use crate::wire::{Report, Reported};

/// What happened to the command.
#[derive(Debug)]
pub enum Told {
    /// It was started, or was to be.
    Started {
        /// When.
        at: DateTime<Utc>,
    },
    /// It ended.
    Ended {
        /// When.
        at: DateTime<Utc>,
        /// As shells tell it.
        exit_code: i32,
        /// The end of what it wrote.
        output: Option<String>,
    },
}

/// Where to tell what happens to the command.
#[derive(Debug)]
pub struct Reporter {
    told: mpsc::UnboundedSender<Told>,
}

impl Reporter {
    /// Starts the thread. What it gives at its end is what people should know.
    pub fn begin(global: &Global, options: &WrapOptions) -> (Self, std_mpsc::Receiver<Vec<String>>) {
        // Twice at most: a start and an end.
        let (sender, told) = mpsc::unbounded_channel();
        let (done, complaints) = std_mpsc::channel();
        let thread_done = done.clone();
        let (global, options) = (global.clone(), options.clone());
        let thread = std::thread::Builder::new().name("reports".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let complaints = match runtime {
                Ok(runtime) => runtime.block_on(Run::new(global, &options).follow(told)),
                Err(error) => vec![format!("this run is not reported: {error}")],
            };
            let _ = thread_done.send(complaints);
        });
        if let Err(error) = thread {
            let _ = done.send(vec![format!("this run is not reported: {error}")]);
        }
        (Self { told: sender }, complaints)
    }

    /// Tells it.
    pub fn tell(&self, told: Told) {
        // Whoever has ended has said why.
        let _ = self.told.send(told);
    }
}

/// A run, as it is reported.
struct Run {
    global: Global,
    endpoint: Option<EndpointName>,
    task: TaskId,
    rid: String,
    machine: Option<Clean>,
    heartbeat: Duration,
    /// What is not delivered yet, in order; with where it is on disk.
    undelivered: Vec<(Waiting, Option<Ticket>)>,
    complaints: Vec<String>,
}

/// What is needed to deliver: it may be missing.
struct Means {
    courier: Courier,
    spool: Spool,
}

impl Run {
    fn new(global: Global, options: &WrapOptions) -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self {
            global,
            endpoint: options.endpoint.as_deref().map(EndpointName::new),
            task: TaskId::new(&options.task),
            // Its beginning is the time: the order of names is that of runs.
            rid: Uuid::now_v7().to_string(),
            machine: Some(Clean::line(&host)).filter(|host| !host.is_empty()),
            heartbeat: options.heartbeat,
            undelivered: Vec::new(),
            complaints: Vec::new(),
        }
    }

    /// Reports until the end of the command, and what waits from earlier.
    async fn follow(mut self, mut told: mpsc::UnboundedReceiver<Told>) -> Vec<String> {
        let spool = match session::paths(&self.global) {
            Ok(paths) => Some(Spool::new(&paths.state)),
            Err(failure) => {
                self.complain(failure.message);
                None
            }
        };
        let mut means = None;
        let mut beat = tokio::time::interval(self.heartbeat);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first is at once, and is no beat.
        beat.tick().await;
        let mut beats = false;
        loop {
            let work = async {
                if beats {
                    self.beat(means.as_mut()).await;
                } else {
                    self.deliver(means.as_mut()).await;
                }
                beat.tick().await;
            };
            let next = tokio::select! {
                biased;
                next = told.recv() => next,
                () = work => {
                    beats = true;
                    continue;
                }
            };
            match next {
                Some(Told::Started { at }) => {
                    self.keep(spool.as_ref(), self.report(Reported::Started, at, None));
                    means = self.means(spool.as_ref());
                }
                Some(Told::Ended { at, exit_code, output }) => {
                    self.keep(spool.as_ref(), self.report(Reported::Ended { exit_code }, at, output));
                    self.deliver(means.as_mut()).await;
                    break;
                }
                None => break,
            }
            beats = false;
        }
        self.conclude(spool.as_ref())
    }

    fn report(&self, what: Reported, at: DateTime<Utc>, output: Option<String>) -> Waiting {
        let report = Report { rid: self.rid.clone(), what, at, output, machine: self.machine.clone() };
        Waiting { endpoint: self.endpoint.clone(), task: self.task.clone(), report }
    }

    /// On disk before anything is sent.
    fn keep(&mut self, spool: Option<&Spool>, waiting: Waiting) {
        let ticket = spool.and_then(|spool| spool.put(&waiting).ok());
        self.undelivered.push((waiting, ticket));
    }

    /// The configuration and what follows from it.
    fn means(&mut self, spool: Option<&Spool>) -> Option<Means> {
        match session::configuration(&self.global) {
            Ok((paths, settings)) => {
                let courier = Courier::new(settings.endpoints, session::places(&paths));
                Some(Means { courier, spool: spool?.clone() })
            }
            Err(failure) => {
                self.complain(failure.message);
                None
            }
        }
    }

    /// Delivers what there is of this run, then what waits from earlier ones.
    async fn deliver(&mut self, means: Option<&mut Means>) {
        let Some(Means { courier, spool }) = means else { return };
        while let Some((waiting, ticket)) = self.undelivered.first().cloned() {
            match courier.deliver(&waiting).await {
                Ok(()) => {}
                Err(Undelivered { reason, fate: Fate::Refused }) => {
                    self.complain(format!("not reported: {reason}"));
                }
                Err(Undelivered { reason, fate }) => {
                    if fate != Fate::Away {
                        self.complain(format!("not reported yet: {reason}"));
                    }
                    return;
                }
            }
            self.undelivered.remove(0);
            if let Some(ticket) = ticket {
                spool.remove(&ticket);
            }
        }
        if !self.undelivered.is_empty() {
            return;
        }
        let round = courier.deliver_all(spool).await;
        if round.refused > 0 {
            self.complain(format!("{} earlier reports were refused for good", round.refused));
        }
    }

    /// Says that it goes on; what is older goes first.
    async fn beat(&mut self, mut means: Option<&mut Means>) {
        self.deliver(means.as_deref_mut()).await;
        let Some(Means { courier, .. }) = means.filter(|_| self.undelivered.is_empty()) else { return };
        let beat = self.report(Reported::Beat, session::now(), None);
        // One that does not get there is not sent later: the next one says more.
        let _ = courier.deliver(&beat).await;
    }

    fn complain(&mut self, complaint: String) {
        if !self.complaints.contains(&complaint) {
            self.complaints.push(complaint);
        }
    }

    fn conclude(mut self, spool: Option<&Spool>) -> Vec<String> {
        if self.undelivered.iter().any(|(_, ticket)| ticket.is_none()) {
            self.complain(
                "this run is lost to its endpoint: it is away, and nothing can be kept here".to_owned(),
            );
        }
        match spool.map_or(0, Spool::take_dropped) {
            0 => {}
            dropped => {
                self.complain(format!("{dropped} earlier reports were dropped, since too many waited"));
            }
        }
        self.complaints
    }
}
