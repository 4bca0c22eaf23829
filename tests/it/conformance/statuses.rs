//! Refusals: told apart, in the server's own words, and certain where they can be.

use std::time::Duration;

use vigie::backend::BackendError as E;
use vigie::model::Health;

use super::bed::{Ail, Bed};
use super::subject::Ask;
use super::{Expected, every_case, well};
use crate::raw::Play;

const HTML: &str = "<html><title>Error</title><pre>no &amp; never</pre></html>";
const PROBLEM: &str = r#"{"type":"x","title":"T","status":409,"detail":"a detail"}"#;

const fn unauthorised(error: &E) -> bool {
    matches!(error.health(), Health::Unauthorised)
}

const fn missing(error: &E) -> bool {
    matches!(error, E::NotFound(_) | E::Conflict(_) | E::Unsupported(_))
}

const fn conflict(error: &E) -> bool {
    matches!(error, E::Conflict(_))
}

const fn refused(error: &E) -> bool {
    matches!(error, E::Refused { .. })
}

const fn failed(error: &E) -> bool {
    matches!(error, E::Server { .. } | E::Failed(_))
}

#[tokio::test]
async fn every_status_is_told_from_the_others() {
    type Row = (u16, &'static str, &'static str, &'static str, fn(&E) -> bool);
    let table: [Row; 8] = [
        (401, "application/json", r#"{"error":"an error"}"#, "an error", unauthorised),
        (403, "application/problem+json", PROBLEM, "a detail", unauthorised),
        (404, "text/html", HTML, "no & never", missing),
        (409, "application/problem+json", PROBLEM, "a detail", conflict),
        (410, "text/plain", "gone away", "gone away", refused),
        (422, "application/json", "{}", "Unprocessable Entity", refused),
        (500, "text/html", HTML, "no & never", failed),
        (503, "application/json", r#"{"error":"down","message":"start it"}"#, "down", failed),
    ];
    every_case(async |case| {
        for (status, content_type, body, said, fits) in table {
            let ail = Ail::Fixed(Play::answer(status, &[("content-type", content_type)], body));
            let sure = (case.make)().await.surely_undone(&case.route, status);
            let expected = Expected { fits, may_have_acted: Some(status >= 500 && !sure) };
            let result = case.suffers(&format!("status {status}"), ail, &expected, well).await;
            // What is missing or refused may mean something that only the system knows, and tells better.
            if let Err(error) = result
                && !(matches!(status, 404 | 409) && matches!(case.ask, Ask::Do(_)))
            {
                assert!(error.to_string().contains(said), "{case}: {status}: in its own words: {error}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn who_asks_for_patience_gets_it() {
    every_case(async |case| {
        for (status, wait) in [(429, "7"), (503, "7"), (429, "Fri, 20 Nov 2099 07:00:00 GMT")] {
            let play = Play::answer(status, &[("retry-after", wait)], r#"{"error":"slow down"}"#);
            let expected =
                Expected { fits: |error| error.retry_after().is_some(), may_have_acted: Some(false) };
            let result = case.suffers(&format!("{status} {wait}"), Ail::Fixed(play), &expected, well).await;
            if let Some(after) = result.err().and_then(|error| error.retry_after()) {
                assert!(after == Duration::from_secs(7) || after > Duration::from_secs(86_400), "{after:?}");
            }
        }
        let expected = Expected {
            fits: |error| matches!(error, E::RateLimited { after: None, .. }),
            may_have_acted: Some(false),
        };
        let _ = case.suffers("429", Ail::Fixed(Play::answer(429, &[], "")), &expected, well).await;
    })
    .await;
}

#[tokio::test]
async fn a_status_that_answers_nothing_is_no_answer() {
    every_case(async |case| {
        for status in [204, 304] {
            let expected =
                Expected { fits: |error| matches!(error, E::Protocol { .. }), may_have_acted: Some(true) };
            let mut bed = Bed::new((case.make)().await).await;
            bed.prepare(&case.ask).await;
            bed.falls_ill(Some(&case.route), Ail::Fixed(Play::answer(status, &[], "")));
            match bed.ask(&case.ask).await {
                // An empty body is as good as a word where only the status counts.
                Ok(said) => assert!(!said.shown.is_empty()),
                result => case.judge(&bed, &status.to_string(), &expected, &result),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_server_that_repeats_the_credentials_in_its_error_does_not_get_them_shown() {
    every_case(async |case| {
        for status in [400, 401, 403, 500] {
            let mut bed = Bed::new((case.make)().await).await;
            bed.prepare(&case.ask).await;
            // Headers and body, as a debug page shows them.
            let ail = Ail::spoiled(move |seen, _| {
                let headers: Vec<String> =
                    seen.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
                Play::answer(
                    status,
                    &[("content-type", "text/plain")],
                    &format!("{} {}", seen.body, headers.join(" ")),
                )
            });
            bed.falls_ill(Some(&case.route), ail);
            // Whatever is brought is looked through for credentials.
            let _ = bed.ask(&case.ask).await;
        }
    })
    .await;
}
