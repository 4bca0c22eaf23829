//! Origins: nothing goes to another one, and everything goes where it belongs.

use vigie::backend::BackendError as E;
use vigie::model::Kind;

use super::bed::{Ail, route};
use super::subject::Ask;
use super::{Expected, every_case, every_system, subjects, well};
use crate::raw::{Play, Raw};

#[tokio::test]
async fn no_redirect_carries_anything_to_another_origin() {
    every_case(async |case| {
        for status in [302, 307] {
            let thief = Raw::start(|_, _| Play::json(200, "{}")).await;
            let target = format!("{}/health?x", thief.url);
            let ail = Ail::Fixed(Play::answer(status, &[("location", &target)], ""));
            let expected =
                Expected { fits: |error| matches!(error, E::Redirected(_)), may_have_acted: Some(false) };
            if let Err(error) = case.suffers(&format!("redirect {status}"), ail, &expected, well).await {
                assert_eq!(error, E::Redirected(thief.url.as_str().into()), "{case}");
            }
            assert_eq!(thief.seen().len(), 0, "{case}: not even asked");
        }
    })
    .await;
}

#[tokio::test]
async fn redirects_within_the_origin_are_bounded_and_never_repeat_a_call_as_a_read() {
    every_case(async |case| {
        let mut bed = well(case.make).await;
        bed.prepare(&case.ask).await;
        bed.falls_ill(None, Ail::spoiled(|_, _| Play::answer(302, &[("location", "/again")], "")));
        let before = bed.server.seen().len();
        let result = bed.ask(&case.ask).await;
        let lines: Vec<String> = bed.server.seen()[before..].iter().map(route).collect();
        assert!(lines.len() <= 8, "{case}: {lines:?}");
        let Err(error) = result else { panic!("{case}: {result:?}") };
        if lines.first().is_some_and(|line| line.starts_with("GET ")) {
            assert!(error.to_string().contains("redirected more than 3 times"), "{case}: {error}");
        } else {
            assert!(matches!(error, E::Refused { status: 302, .. }), "{case}: {error:?}");
            assert!(!error.may_have_acted());
            assert!(!lines.iter().any(|line| line.ends_with("/again")), "{case}: {lines:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn redirects_within_the_origin_are_followed_for_reads() {
    every_system(async |make| {
        let mut bed = well(make).await;
        let routes = bed.routes(&Ask::First).await;
        let Some(read) = routes.into_iter().find(|route| route.starts_with("GET ")) else { return };
        let mut bed = well(make).await;
        let once = std::sync::atomic::AtomicBool::new(false);
        bed.falls_ill(
            Some(&read),
            Ail::spoiled(move |seen, good| {
                if once.swap(true, std::sync::atomic::Ordering::SeqCst) {
                    return good.play();
                }
                Play::answer(302, &[("location", &seen.target)], "")
            }),
        );
        let polled = bed.ask(&Ask::First).await;
        assert!(polled.is_ok(), "{read}: {polled:?}");
    })
    .await;
}

#[tokio::test]
async fn every_request_says_who_asks_and_no_credential_is_in_a_url() {
    every_case(async |case| {
        let mut bed = well(case.make).await;
        bed.prepare(&case.ask).await;
        bed.ask(&case.ask).await.unwrap();
        let seen = bed.server.seen().clone();
        for seen in &seen {
            assert!(seen.header("user-agent").is_some_and(|agent| agent.starts_with("vigie/")), "{case}");
            bed.is_discreet(&seen.target);
        }
        assert!(bed.backend.url().is_some_and(|url| url.starts_with(&bed.server.url)), "{case}");
        assert_eq!(bed.backend.kind(), bed.subject.kind());
    })
    .await;
}

#[tokio::test]
async fn an_endpoint_that_can_not_work_is_refused_when_it_is_built() {
    for &kind in Kind::ALL {
        for make in subjects::of(kind) {
            let subject = make().await;
            assert_eq!(subject.kind(), kind);
            for (url, reason) in [
                ("ftp://h", "not an http"),
                ("no url", "invalid"),
                ("http://user:pw@h", "under auth"),
                ("data:x", "not an http"),
            ] {
                let spec = subject.configure(url);
                let error = crate::support::try_build(&spec).unwrap_err().to_string();
                assert!(error.contains(reason) && !error.contains("pw"), "{url}: {error}");
            }
            let mut bare = subject.configure("http://h");
            bare.url = None;
            assert_eq!(crate::support::try_build(&bare).unwrap_err().to_string(), "a url is needed");
        }
    }
}
