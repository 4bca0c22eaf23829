//! Intents on their way: guard, journal, calls, receipts.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, stream};
use indexmap::IndexMap;
use tokio::sync::mpsc;

use super::handle::{CALLS, Endpoint, Shared, no_such};
use super::journal::JournalEntry;
use super::{Update, shell};
use crate::backend::{Accepted, BackendError, Call};
use crate::model::{Arguments, Clean, Deed, EndpointName, Guard, Intent, Receipt, Stage, Target};

/// Adapters have their own limits; this is for one that has forgotten it.
const LIMIT: Duration = Duration::from_secs(15 * 60);
/// After an action the endpoint is polled at once, and once more after this.
const SECOND_LOOK: Duration = Duration::from_secs(1);
/// How many intents that were refused for want of a journal are remembered.
const MAX_REFUSED: usize = 256;

/// What makes two intents the same wish: sent again, it is meant.
type Wish = (Deed, Vec<Target>, Arguments);

/// Takes intents one after the other until the end.
pub async fn run(shared: Arc<Shared>, mut intents: mpsc::Receiver<Intent>) {
    let mut unrecorded = Vec::new();
    while let Some(Some(intent)) = shared.stop.run_until_cancelled(intents.recv()).await {
        let Sifted { admitted, refused } = sift(&shared, &intent);
        for (target, reason) in refused {
            shared.outbox.receipt(receipt(&intent, &target, Stage::Failed, Some(reason), shell::now()));
        }
        if admitted.is_empty() {
            continue;
        }
        let targets = admitted.iter().map(|(target, _)| target.clone()).collect();
        let intent = Intent { targets, ..intent };
        let recorded = match record(&shared, &intent, &mut unrecorded).await {
            Record::Refused => continue,
            Record::Unrecorded => false,
            Record::Written => true,
        };
        send(&shared, &Arc::new(Ordered { intent, recorded }), admitted);
    }
}

/// What the journal made of an intent.
enum Record {
    /// It is on disk.
    Written,
    /// It can't be, and goes all the same.
    Unrecorded,
    /// It can't be, and was refused for that.
    Refused,
}

/// An intent that goes.
struct Ordered {
    intent: Intent,
    /// Whether the journal has it.
    recorded: bool,
}

/// Writes the intent to the journal. Where that can't be done, it is refused
/// once, and may go when the same is wished again. `unrecorded`: wishes that
/// were refused so.
async fn record(shared: &Shared, intent: &Intent, unrecorded: &mut Vec<Wish>) -> Record {
    let Err(reason) = shared.journal.write(&[JournalEntry::Intent(intent.clone())]).await else {
        unrecorded.clear();
        return Record::Written;
    };
    if intent.by.is_some() {
        // Nobody could be asked whether it may go unrecorded.
        let said = Clean::from(format!("not sent, since it can't be recorded ({reason})"));
        shared.outbox.other(Update::Unrecorded { reason, refused: Some(intent.id) });
        refuse(shared, intent, &said);
        return Record::Refused;
    }
    let wish = wish(intent);
    if let Some(known) = unrecorded.iter().position(|known| *known == wish) {
        unrecorded.swap_remove(known);
        return Record::Unrecorded;
    }
    let said = format!("not sent, since it can't be recorded: send it again to act unrecorded ({reason})");
    shared.outbox.other(Update::Unrecorded { reason, refused: Some(intent.id) });
    refuse(shared, intent, &Clean::from(said));
    if unrecorded.len() == MAX_REFUSED {
        unrecorded.remove(0);
    }
    unrecorded.push(wish);
    Record::Refused
}

fn wish(intent: &Intent) -> Wish {
    // Neither when it was decided nor what was seen then.
    let mut targets: Vec<Target> =
        intent.targets.iter().map(|target| Target { seen: None, ..target.clone() }).collect();
    targets.sort();
    (intent.deed, targets, Arguments { until: None, ..intent.arguments.clone() })
}

/// The targets of an intent: those that may be acted on, with their endpoint,
/// and those that may not, with the reason.
struct Sifted {
    admitted: Vec<(Target, Endpoint)>,
    refused: Vec<(Target, Clean)>,
}

fn sift(shared: &Shared, intent: &Intent) -> Sifted {
    let (mut admitted, mut refused) = (Vec::new(), Vec::new());
    let mut once = HashSet::new();
    let read_only = shared.read_only.load(Ordering::Relaxed);
    for target in &intent.targets {
        if !once.insert((target.endpoint.clone(), target.task.clone(), target.run.clone())) {
            continue;
        }
        match shared.endpoint(&target.endpoint) {
            None => refused.push((target.clone(), no_such(&target.endpoint))),
            Some(_) if read_only => {
                refused.push((target.clone(), "read-only: nothing is sent to any endpoint".into()));
            }
            Some(endpoint) if endpoint.spec.guard == Guard::ReadOnly => {
                let reason = format!("read-only: the guard of {} forbids it", target.endpoint);
                refused.push((target.clone(), Clean::from(reason)));
            }
            Some(endpoint) => admitted.push((target.clone(), endpoint)),
        }
    }
    Sifted { admitted, refused }
}

/// Says of every target that nothing was sent.
pub fn refuse(shared: &Shared, intent: &Intent, reason: &Clean) {
    let now = shell::now();
    for target in &intent.targets {
        shared.outbox.receipt(receipt(intent, target, Stage::Failed, Some(reason.clone()), now));
    }
}

/// The call that `intent` makes at `target`.
pub fn call(intent: &Intent, target: &Target) -> Call {
    Call {
        intent: intent.id,
        deed: intent.deed,
        task: target.task.clone(),
        run: target.run.clone(),
        arguments: intent.arguments.clone(),
    }
}

/// Starts the calls: endpoints beside each other, so that a slow one keeps no other waiting.
fn send(shared: &Arc<Shared>, order: &Arc<Ordered>, admitted: Vec<(Target, Endpoint)>) {
    let mut by_endpoint: IndexMap<EndpointName, (Endpoint, Vec<Target>)> = IndexMap::new();
    for (target, endpoint) in admitted {
        let entry = by_endpoint.entry(target.endpoint.clone());
        entry.or_insert_with(|| (endpoint, Vec::new())).1.push(target);
    }
    for (endpoint, targets) in by_endpoint.into_values() {
        let (shared, order) = (Arc::clone(shared), Arc::clone(order));
        Arc::clone(&shared).spawn(async move {
            stream::iter(targets)
                .for_each_concurrent(CALLS, |target| deliver(&shared, &order, target, &endpoint))
                .await;
        });
    }
}

/// One call, from its place in the queue to its last receipt from here.
async fn deliver(shared: &Arc<Shared>, order: &Ordered, target: Target, endpoint: &Endpoint) {
    let Ordered { intent, recorded } = order;
    let place = shared.stop.run_until_cancelled(endpoint.calls.acquire()).await;
    let sent = shell::now();
    let mut said = receipt(intent, &target, Stage::Sent, None, sent);
    if place.is_none() {
        said = Receipt {
            stage: Stage::Failed,
            message: Some("not sent: vigie was about to end".into()),
            ..said
        };
        note(shared, vec![said], *recorded).await;
        return;
    }
    shared.outbox.receipt(said.clone());
    let call = call(intent, &target);
    let work = shell::contained(tokio::time::timeout(LIMIT, endpoint.backend.execute(&call)));
    let outcome = match shared.abort.run_until_cancelled(work).await {
        Some(Ok(Ok(outcome))) => Ok(outcome),
        Some(Ok(Err(_))) => Err(Clean::from(BackendError::TimedOut { after: LIMIT }.to_string())),
        Some(Err(panic)) => Err(panic),
        None => Err("vigie ended before the answer came".into()),
    };
    drop(place);
    said.at = shell::now();
    let receipts = match outcome {
        Ok(Ok(Accepted { message, run, observed })) => {
            let accepted = Receipt { stage: Stage::Accepted, message, run, ..said };
            let observed = observed.then(|| Receipt { stage: Stage::Observed, ..accepted.clone() });
            std::iter::once(accepted).chain(observed).collect()
        }
        Ok(Err(error)) => {
            let stage = if error.may_have_acted() { Stage::Unknown } else { Stage::Failed };
            vec![Receipt { stage, message: Some(Clean::from(error.to_string())), ..said }]
        }
        Err(reason) => vec![Receipt { stage: Stage::Unknown, message: Some(reason), ..said }],
    };
    let look = receipts.iter().any(|receipt| receipt.stage != Stage::Failed);
    note(shared, receipts, *recorded).await;
    if look {
        look_twice(shared, endpoint);
    }
}

/// Tells receipts, and records them where their intent is.
async fn note(shared: &Shared, receipts: Vec<Receipt>, recorded: bool) {
    for receipt in &receipts {
        let mut receipt = receipt.clone();
        if !recorded {
            let said = receipt.message.map_or_else(String::new, |message| format!("{message} "));
            receipt.message = Some(Clean::from(format!("{said}(unrecorded)")));
        }
        shared.outbox.receipt(receipt);
    }
    if recorded {
        record_receipts(shared, receipts).await;
    }
}

/// Records receipts. That they can't be recorded is told.
pub async fn record_receipts(shared: &Shared, receipts: Vec<Receipt>) {
    let entries: Vec<JournalEntry> = receipts.into_iter().map(JournalEntry::Receipt).collect();
    if let Err(reason) = shared.journal.write(&entries).await {
        shared.outbox.other(Update::Unrecorded { reason, refused: None });
    }
}

/// Polls the endpoint now, and again a moment later, when what was started has had the time to show.
fn look_twice(shared: &Arc<Shared>, endpoint: &Endpoint) {
    endpoint.wake.notify_one();
    if endpoint.second_look.swap(true, Ordering::Relaxed) {
        return;
    }
    let (wake, pending) = (Arc::clone(&endpoint.wake), Arc::clone(&endpoint.second_look));
    let stop = shared.stop.clone();
    shared.spawn(async move {
        if stop.run_until_cancelled(tokio::time::sleep(SECOND_LOOK)).await.is_some() {
            pending.store(false, Ordering::Relaxed);
            wake.notify_one();
        }
    });
}

fn receipt(
    intent: &Intent,
    target: &Target,
    stage: Stage,
    message: Option<Clean>,
    sent: DateTime<Utc>,
) -> Receipt {
    Receipt {
        intent: intent.id,
        deed: intent.deed,
        target: target.clone(),
        stage,
        at: sent,
        sent,
        message,
        run: None,
        priority: intent.arguments.priority,
    }
}
