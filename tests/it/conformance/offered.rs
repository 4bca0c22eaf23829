//! What a kind offers is what its adapter does, and the rest is refused with the very reason that is shown.

use vigie::backend::{BackendError as E, Offer, RunsQuery, offers};
use vigie::model::Deed;
use vigie::wire::{Report, Reported};

use super::subject::{Ask, deeds};
use super::{every_system, well};
use crate::raw::Seen;
use crate::support::{call, log_of};

/// What is not offered is refused in the words of the offer, without a request.
#[tokio::test]
async fn what_a_system_does_not_offer_is_refused_with_its_reason() {
    every_system(async |make| {
        let mut bed = well(make).await;
        let (name, task) = (bed.subject.name(), bed.subject.task());
        let offers = offers(bed.subject.kind());
        bed.prepare(&Ask::Again).await;
        let before = bed.server.seen().len();
        let mut refusals = vec![
            (Ask::Runs(RunsQuery { task: Some(task.clone()), limit: 5 }), offers.reads.runs),
            (Ask::Log(log_of(task.as_raw(), "r1")), offers.reads.log),
            (Ask::Trace(task.clone()), offers.reads.trace),
            (Ask::Audit, offers.reads.audit),
        ];
        for deed in deeds() {
            let target = match deed {
                Deed::Command(command) if command.spec().aim == vigie::model::Aim::Endpoint => None,
                _ => Some(task.as_raw()),
            };
            refusals.push((Ask::Do(call(deed, target)), (offers.acts)(deed)));
        }
        let report = Report {
            rid: "r-1".to_owned(),
            what: Reported::Started,
            at: crate::support::now(),
            output: None,
            machine: None,
        };
        refusals.push((Ask::Report(task.clone(), report), offers.reports));
        for (ask, offer) in refusals {
            let Offer::No(reason) = offer else { continue };
            let error = bed.ask(&ask).await.unwrap_err();
            assert!(matches!(error, E::Unsupported(_)), "{name}: {ask}: {error:?}");
            assert!(!error.may_have_acted());
            assert_eq!(error.to_string(), reason, "{name}: {ask}");
        }
        assert_eq!(bed.server.seen().len(), before, "{name}: nothing was asked for it");
    })
    .await;
}

/// Whatever is offered works against a server that is well, and its preview is the request that is sent.
#[tokio::test]
async fn what_a_system_offers_works_and_is_previewed() {
    every_system(async |make| {
        let subject = make().await;
        let offers = offers(subject.kind());
        for deed in deeds() {
            if let Offer::No(_) = (offers.acts)(deed) {
                continue;
            }
            for call in subject.calls(deed) {
                let mut bed = well(make).await;
                bed.prepare(&Ask::Again).await;
                let before = bed.server.seen().len();
                let done = bed.ask(&Ask::Do(call.clone())).await;
                let name = bed.subject.name();
                assert!(done.is_ok(), "{name}: {deed}: {done:?}");
                let preview = bed.backend.preview(&call);
                let sent: Vec<String> = bed.server.seen()[before..].iter().map(Seen::line).collect();
                // The path of the endpoint's own url is not repeated.
                let mut words = preview.split(' ');
                let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
                let is_sent = |line: &String| line.starts_with(method) && line.ends_with(path);
                let previewed = preview.contains('(') || sent.iter().any(is_sent);
                assert!(previewed, "{name}: {deed}: {preview} is not among {sent:?}");
            }
        }
    })
    .await;
}
