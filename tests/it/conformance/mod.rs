//! One suite that every backend passes, with every call that it has: whatever
//! a server does, the answer is a named error or a poll that says what it
//! lacks; no row is lost, nothing is believed that was not said, no credential
//! leaves its origin or is shown, memory is bounded, and the next good answer
//! is read as if nothing had been.
//!
//! A system is a [`subject::Subject`]: how it is configured, and what a server
//! of it says when it is well. All else is derived: what it can be asked comes
//! from what its kind offers, the routes that a question takes from watching
//! it, and each illness is tried on each route.

mod bed;
mod bodies;
mod connections;
mod mutate;
mod offered;
mod origins;
mod statuses;
mod subject;
mod subjects;

use std::fmt;

use futures_util::StreamExt as _;
use tokio::sync::OnceCell;
use vigie::backend::BackendError;
use vigie::model::{Evidence, Health, Kind};

use bed::{Ail, Bed, Said};
use subject::{Ask, asks};
use subjects::Make;

/// How many patients there are at a time.
const BEDS: usize = 16;

/// A question to one system, and one of the routes that it takes.
#[derive(Clone)]
struct Case {
    make: Make,
    name: &'static str,
    ask: Ask,
    route: String,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.name, self.ask, self.route)
    }
}

/// All of them, found out once for all tests.
async fn cases() -> Vec<Case> {
    static CASES: OnceCell<Vec<Case>> = OnceCell::const_new();
    CASES.get_or_init(find_cases).await.clone()
}

async fn find_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for make in Kind::ALL.iter().flat_map(|&kind| subjects::of(kind)) {
        let subject = make().await;
        for ask in asks(&*subject) {
            let routes = Bed::new(make().await).await.routes(&ask).await;
            assert!(!ask.is_poll() || !routes.is_empty(), "{} polls nothing", subject.name());
            let name = subject.name();
            let mut shapes = Vec::new();
            for route in routes {
                if !shapes.contains(&shape(&route)) {
                    shapes.push(shape(&route));
                    cases.push(Case { make, name, ask: ask.clone(), route });
                }
            }
        }
    }
    cases
}

/// A route without the ids in it: what is asked of one thing is asked of another in the same way.
fn shape(route: &str) -> String {
    const LONGEST_WORD: usize = 30;
    let parts = route.split('/').map(|part| if part.len() > LONGEST_WORD { "…" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// As [`every_case`], but each route once, whatever takes it.
async fn every_route<F: Future<Output = ()>>(check: impl Fn(Case) -> F) {
    let mut known = Vec::new();
    let mut cases = cases().await;
    // A poll that goes on is the one that brings most.
    cases.sort_by_key(|case| !matches!(case.ask, Ask::Again));
    cases.retain(|case| {
        let key = (case.name, shape(&case.route));
        let new = !known.contains(&key);
        known.push(key);
        new
    });
    futures_util::stream::iter(cases).map(check).buffer_unordered(BEDS).collect::<()>().await;
}

/// Runs `check` on every case, some at a time.
async fn every_case<F: Future<Output = ()>>(check: impl Fn(Case) -> F) {
    let cases = cases().await;
    futures_util::stream::iter(cases).map(check).buffer_unordered(BEDS).collect::<()>().await;
}

/// Runs `check` on every way to configure a system.
async fn every_system<F: Future<Output = ()>>(check: impl Fn(Make) -> F) {
    let systems = Kind::ALL.iter().flat_map(|&kind| subjects::of(kind));
    futures_util::stream::iter(systems).map(check).buffer_unordered(BEDS).collect::<()>().await;
}

/// What an illness must come to.
struct Expected {
    /// Whether an error is of the right class.
    fits: fn(&BackendError) -> bool,
    /// Whether a call that changes something may have had its effect; `None`: either.
    may_have_acted: Option<bool>,
}

impl Case {
    /// Puts `ail` on the route, asks, judges what comes, and heals. Gives what came.
    async fn suffers(
        &self,
        what: &str,
        ail: Ail,
        expected: &Expected,
        put: impl AsyncFnOnce(Make) -> Bed,
    ) -> Result<Said, BackendError> {
        let mut bed = put(self.make).await;
        bed.prepare(&self.ask).await;
        let known = bed.known();
        bed.falls_ill(Some(&self.route), ail);
        let result = bed.ask(&self.ask).await;
        self.judge(&bed, what, expected, &result);
        if self.ask.is_poll() {
            // What another part of it told may be new.
            let now = bed.known();
            assert!(known.iter().all(|row| now.contains(row)), "{self}: {what}: rows are lost");
            match &result {
                Err(error) => {
                    assert_eq!(bed.health(), error.health(), "{self}: {what}");
                    let evidence =
                        if matches!(self.ask, Ask::First) { Evidence::Unknown } else { Evidence::Stale };
                    assert_eq!(bed.evidence(), evidence, "{self}: {what}");
                    assert!(bed.fleet.tasks().all(|row| row.evidence == Evidence::Stale), "{self}: {what}");
                }
                Ok(said) => assert!(
                    said.degraded || bed.subject.spares(&self.ask, &self.route),
                    "{self}: {what}: it polls as if nothing were: {}",
                    said.shown
                ),
            }
        }
        let known = if matches!(self.ask, Ask::First) { self.known().await } else { known };
        let refused = matches!(&result, Err(error) if error.health() == Health::Unauthorised);
        if refused && bed.subject.remembers_refusals(&self.route) {
            return result;
        }
        if self.ask.is_poll() {
            bed.recovers(&known).await;
        }
        result
    }

    /// Whether a call was surely not sent, since what is looked at before it could not be read.
    fn is_unsent(&self, bed: &Bed, error: &BackendError) -> bool {
        let reading = matches!(self.ask, Ask::Do(_)) && !bed.subject.acts(&self.route);
        reading && matches!(error, BackendError::Failed(words) if words.starts_with("nothing was sent"))
    }

    /// What a good first poll brings.
    async fn known(&self) -> Vec<String> {
        let mut bed = Bed::new((self.make)().await).await;
        bed.ask(&Ask::First).await.unwrap();
        bed.known()
    }

    fn judge(&self, bed: &Bed, what: &str, expected: &Expected, result: &Result<Said, BackendError>) {
        // Whoever is not known there any more has nothing left to end.
        let ended = bed.subject.ends(&self.ask) && what == "status 401";
        match result {
            Ok(said) => assert!(
                said.degraded || ended || bed.subject.spares(&self.ask, &self.route),
                "{self}: {what}: it goes on as if nothing were: {}",
                said.shown
            ),
            Err(error) => {
                assert!((expected.fits)(error) || self.is_unsent(bed, error), "{self}: {what}: {error:?}");
                let text = error.to_string();
                let acts = matches!(self.ask, Ask::Do(_)) && bed.subject.acts(&self.route);
                assert!(
                    !text.is_empty() && !text.contains('<') && text.len() < 600,
                    "{self}: {what}: {text}"
                );
                if let Some(expected) = expected.may_have_acted
                    && acts
                {
                    assert_eq!(error.may_have_acted(), expected, "{self}: {what}: {error:?}");
                }
            }
        }
    }
}

async fn well(make: Make) -> Bed {
    Bed::new(make().await).await
}
