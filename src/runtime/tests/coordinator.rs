//! The fleet loop with a real coordinator of a data directory.

use super::*;
use crate::coordinator::fake_clock::Standing;
use crate::coordinator::{Options, Server};
use crate::model::{RunState, Stage};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(60);

/// A coordinator in this process, and what ends it.
struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
    url: String,
}

impl Running {
    async fn new(places: &Places) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let options = Options {
            data: places.data.clone(),
            program: std::env::current_exe().unwrap(),
            tasks: places.tasks.clone(),
            vault: places.vault.clone(),
            scheduling: true,
            linger: Some(Duration::from_secs(60)),
            open_on_loopback: false,
            hosts: Vec::new(),
            tls: None,
        };
        let stop = CancellationToken::new();
        let server = Server::open(listener, options, Arc::new(Standing), stop.clone()).await.unwrap();
        let url = server.announced().url.clone();
        let task = tokio::spawn(async move {
            server.run().await;
        });
        Self { stop, task, url }
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

fn local(places: Places) -> Runtime {
    let setup = Setup {
        // Hardly ever polled: what is told in time is told because it happened.
        endpoints: vec![EndpointSpec {
            poll: Duration::from_secs(3_600),
            ..EndpointSpec::new("local".into(), Kind::Vigie, None)
        }],
        read_only: false,
        places,
        local: LocalPolicy::Child,
    };
    // Nothing is started here: the one that runs is found, or none.
    let wiring = Wiring { program: None, ..Wiring::real(&setup.places, None) };
    Runtime::start_with(setup, wiring).unwrap()
}

/// The next update that `pick` wants.
async fn wait<T>(runtime: &mut Runtime, mut pick: impl FnMut(Update) -> Option<T>) -> T {
    let found = async {
        loop {
            let update = runtime.updates.next().await.expect("the loop runs");
            if let Some(found) = pick(update) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, found).await.expect("in time")
}

fn tasks_of(update: Update) -> Option<Vec<String>> {
    match update {
        Update::Polled { snapshot, .. } if !snapshot.tasks.items.is_empty() => {
            Some(snapshot.tasks.items.iter().map(|task| task.id.as_raw().to_owned()).collect())
        }
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_coordinator_of_the_directory_is_found_acted_on_lost_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    let first = Running::new(&places).await;
    let mut runtime = local(places.clone());

    let (mut tasks, mut known) = (None, None);
    while tasks.is_none() || known.is_none() {
        wait(&mut runtime, |update| {
            match update {
                Update::Described { url, .. } => known = url,
                update => {
                    let polled = matches!(update, Update::Polled { .. });
                    assert!(!polled || known.is_some(), "rows came before it was told where they are from");
                    tasks = tasks_of(update).or_else(|| tasks.take());
                }
            }
            Some(())
        })
        .await;
    }
    let mut tasks = tasks.unwrap();
    tasks.sort();
    assert_eq!(tasks, ["audit-log-cleanup", "disk-space", "overdue-check", "self-backup"]);
    assert_eq!(known.unwrap(), first.url, "described again, now that it is known where it is");
    while runtime.handle.stops_on_quit().is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(runtime.handle.stops_on_quit(), Some("local".into()));

    // An action: accepted, recorded, and its effect comes with a poll, without anybody asking.
    let sent = intent(Verb::Trigger, &[("local", "self-backup")]);
    let lines = runtime.handle.preview(&sent);
    assert_eq!(lines, ["POST /api/v1/tasks/self-backup/runs"].map(Clean::from));
    runtime.handle.send(sent.clone());
    let (mut accepted, mut ended) = (None, None);
    while accepted.is_none() || ended.is_none() {
        wait(&mut runtime, |update| {
            match update {
                Update::Receipt(receipt) if receipt.stage != Stage::Sent => {
                    assert_eq!((receipt.intent, receipt.stage), (sent.id, Stage::Accepted));
                    accepted = receipt.run;
                }
                Update::Polled { snapshot, .. } => {
                    let runs = snapshot.runs.items.into_iter();
                    let of_it = |run: &Run| run.task.as_raw() == "self-backup" && run.state.is_ended();
                    ended = runs.filter(of_it).last().or_else(|| ended.take());
                }
                _ => return None,
            }
            Some(())
        })
        .await;
    }
    let run = ended.unwrap();
    assert_eq!((&run.id, run.state), (&accepted, RunState::Succeeded), "{run:?}");
    runtime.handle.fetch_log(
        "local".into(),
        LogOf::Run { task: run.task.clone(), run: accepted.unwrap() },
        0,
    );
    let log = wait(&mut runtime, |update| match update {
        Update::Log { result, .. } => Some(result.unwrap()),
        _ => None,
    })
    .await;
    assert!(log.complete && !log.text.is_empty(), "{log:?}");

    // It ends: told at once, whatever the cadence is.
    first.end().await;
    wait(&mut runtime, |update| matches!(update, Update::Failed { .. }).then_some(())).await;
    // Another takes over, at another port, with another token.
    let second = Running::new(&places).await;
    wait(&mut runtime, |update| matches!(update, Update::Polled { .. }).then_some(())).await;
    runtime.shutdown().await;
    second.end().await;
}
