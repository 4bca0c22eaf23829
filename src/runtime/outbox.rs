//! What waits for the reader: one slot per endpoint, the newest receipt per
//! target, and a bounded queue for the rest. However slow the reader is, this
//! does not grow; what had to be dropped is counted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;
use tokio::sync::Notify;

use super::Update;
use crate::fleet::Failure;
use crate::model::{Capabilities, EndpointName, IntentId, Receipt, Snapshot, Target};

/// How many answers and notes may wait.
const MAX_OTHERS: usize = 256;

/// Updates on their way to the reader.
#[derive(Debug, Default)]
pub struct Outbox {
    inner: Mutex<Inner>,
    ready: Notify,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Inner {
    /// Endpoints with something to say, in the order in which they began to have it.
    slots: IndexMap<EndpointName, Slot>,
    /// Which poller of an endpoint may speak: one that was replaced may not.
    speakers: BTreeMap<EndpointName, u64>,
    receipts: BTreeMap<(IntentId, Target), Receipt>,
    others: VecDeque<Update>,
    closed: bool,
}

#[derive(Debug, Default)]
struct Slot {
    described: Option<(Option<String>, Capabilities)>,
    polled: Option<Box<Snapshot>>,
    /// Came after `polled`.
    failed: Option<Failure>,
}

/// Whoever may speak for an endpoint.
#[derive(Debug, Clone)]
pub struct Speaker {
    /// The endpoint.
    pub endpoint: EndpointName,
    number: u64,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new speaker for `endpoint`; what an earlier one said and nobody took is void.
    pub fn speaker(&self, endpoint: &EndpointName) -> Speaker {
        let mut inner = self.lock();
        inner.slots.shift_remove(endpoint);
        let number = inner.speakers.entry(endpoint.clone()).or_default();
        *number += 1;
        Speaker { endpoint: endpoint.clone(), number: *number }
    }

    /// Nobody speaks for `endpoint` any more.
    pub fn silence(&self, endpoint: &EndpointName) {
        // The number stays, so that a former speaker is never taken for a later one.
        drop(self.speaker(endpoint));
    }

    fn slot(&self, speaker: &Speaker, change: impl FnOnce(&mut Slot)) {
        let mut inner = self.lock();
        if inner.speakers.get(&speaker.endpoint) == Some(&speaker.number) {
            change(inner.slots.entry(speaker.endpoint.clone()).or_default());
            drop(inner);
            self.ready.notify_one();
        }
    }

    /// What a backend says of its endpoint.
    pub fn described(&self, speaker: &Speaker, url: Option<String>, capabilities: Capabilities) {
        self.slot(speaker, |slot| slot.described = Some((url, capabilities)));
    }

    /// A good poll. It makes an earlier failure that nobody saw void, and is
    /// folded into an earlier answer that nobody took.
    pub fn polled(&self, speaker: &Speaker, snapshot: Snapshot) {
        self.slot(speaker, |slot| {
            slot.failed = None;
            match &mut slot.polled {
                Some(earlier) => earlier.absorb(snapshot),
                None => slot.polled = Some(Box::new(snapshot)),
            }
        });
    }

    /// A failed poll.
    pub fn failed(&self, speaker: &Speaker, failure: Failure) {
        self.slot(speaker, |slot| slot.failed = Some(failure));
    }

    /// A receipt; a later one of the same target replaces one that nobody took.
    pub fn receipt(&self, receipt: Receipt) {
        self.lock().receipts.insert((receipt.intent, receipt.target.clone()), receipt);
        self.ready.notify_one();
    }

    /// Anything else. When too much waits, the oldest is dropped and counted.
    pub fn other(&self, update: Update) {
        let mut inner = self.lock();
        if inner.others.len() >= MAX_OTHERS {
            inner.others.pop_front();
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        inner.others.push_back(update);
        drop(inner);
        self.ready.notify_one();
    }

    /// How many updates were dropped so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Nothing more will come: the reader ends once it has taken what is there.
    pub fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_one();
    }

    /// The next update; waits. `None` after the end. For one reader.
    pub async fn next(&self) -> Option<Update> {
        loop {
            {
                let mut inner = self.lock();
                if let Some(update) = inner.take() {
                    return Some(update);
                }
                if inner.closed {
                    return None;
                }
            }
            // A notice from between the look and here is kept for us.
            self.ready.notified().await;
        }
    }
}

impl Inner {
    fn take(&mut self) -> Option<Update> {
        // That the journal can't be written comes before the receipts which that brought about.
        if let Some(update) = self.others.pop_front() {
            return Some(update);
        }
        if let Some((_, receipt)) = self.receipts.pop_first() {
            return Some(Update::Receipt(receipt));
        }
        let (name, slot) = self.slots.first_mut()?;
        let endpoint = name.clone();
        let update = slot.take(endpoint);
        // Whoever has more to say now keeps its turn; whoever comes back later waits for it.
        if slot.is_empty() {
            self.slots.shift_remove_index(0);
        }
        update.or_else(|| self.take())
    }
}

impl Slot {
    /// In the order in which it happened.
    fn take(&mut self, endpoint: EndpointName) -> Option<Update> {
        if let Some((url, capabilities)) = self.described.take() {
            return Some(Update::Described { endpoint, url, capabilities });
        }
        if let Some(snapshot) = self.polled.take() {
            return Some(Update::Polled { endpoint, snapshot });
        }
        self.failed.take().map(|failure| Update::Failed { endpoint, failure })
    }

    const fn is_empty(&self) -> bool {
        self.described.is_none() && self.polled.is_none() && self.failed.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{failure, snapshot, task};
    use super::*;
    use crate::model::{Clean, Coverage, Part, Stage, Verb};

    fn taken(outbox: &Outbox) -> Vec<Update> {
        std::iter::from_fn(|| outbox.lock().take()).collect()
    }

    #[test]
    fn answers_that_nobody_took_are_folded_into_one() {
        let outbox = Outbox::default();
        let speaker = outbox.speaker(&"a".into());
        outbox.polled(&speaker, snapshot(&["one", "two"]));
        outbox.failed(&speaker, failure("down"));
        let mut newer = snapshot(&[]);
        newer.tasks = Part::listed(vec![task("three")], vec!["one".into()]);
        outbox.polled(&speaker, newer);
        let updates = taken(&outbox);
        let [Update::Polled { snapshot, .. }] = updates.as_slice() else { panic!("{updates:?}") };
        let ids: Vec<&str> = snapshot.tasks.items.iter().map(|task| task.id.as_raw()).collect();
        assert_eq!((ids.as_slice(), snapshot.tasks.coverage), (&["two", "three"][..], Coverage::Complete));
    }

    #[test]
    fn a_failure_after_an_answer_comes_after_it() {
        let outbox = Outbox::default();
        let speaker = outbox.speaker(&"a".into());
        outbox.polled(&speaker, snapshot(&["one"]));
        outbox.failed(&speaker, failure("down"));
        outbox.described(&speaker, None, Capabilities::none("no"));
        let updates = taken(&outbox);
        assert!(
            matches!(
                updates.as_slice(),
                [Update::Described { .. }, Update::Polled { .. }, Update::Failed { .. }]
            ),
            "{updates:?}"
        );
    }

    #[test]
    fn a_busy_endpoint_does_not_keep_another_waiting() {
        let outbox = Outbox::default();
        let (busy, quiet) = (outbox.speaker(&"busy".into()), outbox.speaker(&"quiet".into()));
        outbox.polled(&busy, snapshot(&["one"]));
        outbox.polled(&quiet, snapshot(&["one"]));
        assert!(
            matches!(outbox.lock().take(), Some(Update::Polled { endpoint, .. }) if endpoint == busy.endpoint)
        );
        outbox.polled(&busy, snapshot(&["two"]));
        assert!(
            matches!(outbox.lock().take(), Some(Update::Polled { endpoint, .. }) if endpoint == quiet.endpoint)
        );
    }

    #[test]
    fn a_replaced_speaker_is_not_heard() {
        let outbox = Outbox::default();
        let old = outbox.speaker(&"a".into());
        outbox.polled(&old, snapshot(&["one"]));
        let new = outbox.speaker(&"a".into());
        outbox.failed(&old, failure("late"));
        assert!(taken(&outbox).is_empty());
        outbox.silence(&"a".into());
        outbox.failed(&new, failure("late"));
        assert!(taken(&outbox).is_empty());
    }

    #[test]
    fn what_is_dropped_is_counted_and_receipts_are_not() {
        let outbox = Outbox::default();
        for i in 0..MAX_OTHERS + 3 {
            outbox.other(Update::Note(Clean::from(i.to_string())));
        }
        assert_eq!(outbox.dropped(), 3);
        let intent = IntentId(uuid::Uuid::now_v7());
        for stage in [Stage::Sent, Stage::Accepted] {
            for target in ["x", "y"] {
                let at = chrono::DateTime::UNIX_EPOCH;
                outbox.receipt(Receipt {
                    intent,
                    deed: Verb::Trigger.into(),
                    target: Target::endpoint(target.into()),
                    stage,
                    at,
                    sent: at,
                    message: None,
                    run: None,
                    priority: None,
                });
            }
        }
        let updates = taken(&outbox);
        assert_eq!(updates.len(), MAX_OTHERS + 2);
        for update in &updates[MAX_OTHERS..] {
            assert!(matches!(update, Update::Receipt(receipt) if receipt.stage == Stage::Accepted));
        }
    }

    #[tokio::test]
    async fn the_reader_waits_and_ends() {
        let outbox = Outbox::default();
        let (first, ()) = tokio::join!(outbox.next(), async {
            tokio::task::yield_now().await;
            outbox.other(Update::Note("x".into()));
        });
        assert!(matches!(first, Some(Update::Note(_))));
        outbox.other(Update::Note("y".into()));
        outbox.close();
        assert!(outbox.next().await.is_some());
        assert!(outbox.next().await.is_none());
    }
}
