//! Whoever does outside what the console asks for: the runtime, or a stand-in.

use crate::backend::RunsQuery;
use crate::console::effect::Draft;
use crate::console::msg::{Event, LogPiece};
use crate::model::{Clean, EndpointName, EndpointSpec, Intent, LogOf, Receipt, TaskId};
use crate::runtime::{Handle, Update};

/// Does what is asked, and answers with updates, later. Every call returns at once.
pub(super) trait Agent {
    /// Journals and sends an intent.
    fn send(&self, intent: Intent);
    /// Polls one endpoint, or all.
    fn refresh(&self, endpoint: Option<EndpointName>);
    /// Fetches runs.
    fn fetch_runs(&self, endpoint: EndpointName, task: Option<TaskId>, limit: usize);
    /// Fetches a piece of a log.
    fn fetch_log(&self, endpoint: EndpointName, of: LogOf, offset: u64);
    /// Fetches a task's trace.
    fn fetch_trace(&self, endpoint: EndpointName, task: TaskId);
    /// Fetches the endpoint's audit log.
    fn fetch_audit(&self, endpoint: EndpointName, limit: usize);
    /// Asks beforehand what an intent would do.
    fn foresee(&self, intent: Intent);
    /// Replaces the endpoints.
    fn configure(&self, endpoints: Vec<EndpointSpec>, read_only: bool);
    /// The request per target of an intent.
    fn preview(&self, intent: &Intent) -> Vec<Clean>;
    /// Writes into the journal what a poll has shown.
    fn record(&self, receipts: Vec<Receipt>);
    /// What quitting would stop.
    fn stops_on_quit(&self) -> Option<EndpointName>;
}

impl Agent for Handle {
    fn send(&self, intent: Intent) {
        Self::send(self, intent);
    }
    fn refresh(&self, endpoint: Option<EndpointName>) {
        Self::refresh(self, endpoint);
    }
    fn fetch_runs(&self, endpoint: EndpointName, task: Option<TaskId>, limit: usize) {
        Self::fetch_runs(self, endpoint, RunsQuery { task, limit });
    }
    fn fetch_log(&self, endpoint: EndpointName, of: LogOf, offset: u64) {
        Self::fetch_log(self, endpoint, of, offset);
    }
    fn fetch_trace(&self, endpoint: EndpointName, task: TaskId) {
        Self::fetch_trace(self, endpoint, task);
    }
    fn fetch_audit(&self, endpoint: EndpointName, limit: usize) {
        Self::fetch_audit(self, endpoint, limit);
    }
    fn foresee(&self, intent: Intent) {
        Self::foresee(self, intent);
    }
    fn configure(&self, endpoints: Vec<EndpointSpec>, read_only: bool) {
        Self::configure(self, endpoints, read_only);
    }
    fn preview(&self, intent: &Intent) -> Vec<Clean> {
        Self::preview(self, intent)
    }
    fn record(&self, receipts: Vec<Receipt>) {
        Self::record(self, receipts);
    }
    fn stops_on_quit(&self) -> Option<EndpointName> {
        Self::stops_on_quit(self)
    }
}

/// The runtime's word for something, in ours.
pub(super) fn event(update: Update) -> Event {
    match update {
        Update::Described { endpoint, url, capabilities } => Event::Described { endpoint, url, capabilities },
        Update::Polled { endpoint, snapshot } => Event::Polled { endpoint, snapshot },
        Update::Failed { endpoint, failure } => Event::Failed { endpoint, failure },
        Update::Receipt(receipt) => Event::Receipt(receipt),
        Update::Runs { endpoint, query, result } => Event::Runs { endpoint, task: query.task, result },
        Update::Log { endpoint, of, offset, result } => {
            let result = result.map(|chunk| LogPiece {
                text: chunk.text,
                next_offset: chunk.next_offset,
                dropped_bytes: chunk.dropped_bytes,
                complete: chunk.complete,
            });
            Event::Log { endpoint, of, offset, result }
        }
        Update::Trace { endpoint, task, result } => Event::Trace { endpoint, task, result },
        Update::Audit { endpoint, kept, result } => Event::Audit { endpoint, kept, result },
        Update::Foreseen { intent, lines } => {
            let Intent { deed, targets, arguments, .. } = *intent;
            Event::Foreseen { draft: Draft { deed, targets, arguments }, lines }
        }
        Update::Unrecorded { reason, .. } => Event::Unrecorded(reason),
        Update::Note(text) => Event::Note(text),
    }
}
