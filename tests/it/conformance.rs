//! One suite that every backend passes: whatever a server does, the answer is
//! a named error, nothing is believed that was not said, no credential leaves
//! its origin, and the next good answer is read as if nothing had been.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use vigie::backend::{Accepted, Backend, BackendError};
use vigie::model::{Health, Kind, Verb};

use crate::raw::{Play, Raw, Seen};
use crate::support::{TOKEN, build, call, spec};

/// A good answer to the poll of each kind.
fn good(kind: Kind) -> &'static str {
    match kind {
        Kind::Vigie => {
            r#"{"cursor":"e1-1","now":"2026-11-20T07:00:00Z","tasks":[],"queues":[],"alerts":[],"runs":[]}"#
        }
        Kind::Duplistatus => {
            r#"{"isRunning":true,"activeTasks":["overdue-backup-check"],"lastRunTimes":{},"errors":{}}"#
        }
        Kind::DutyDuck | Kind::Rediacc => "{}",
    }
}

/// A server that plays `play` until it is told to be good, and a backend for it.
struct Ill {
    kind: Kind,
    server: Raw,
    healed: Arc<AtomicBool>,
    backend: Arc<dyn Backend>,
}

impl Ill {
    async fn new(kind: Kind, play: Play) -> Self {
        Self::patient(kind, play, Duration::from_secs(20)).await
    }

    async fn patient(kind: Kind, play: Play, timeout: Duration) -> Self {
        let healed = Arc::new(AtomicBool::new(false));
        let well = Arc::clone(&healed);
        let server =
            Raw::start(
                move |_: &Seen, _| {
                    if well.load(Ordering::SeqCst) { Play::json(200, good(kind)) } else { play.clone() }
                },
            )
            .await;
        let mut spec = spec(kind, &server.url);
        spec.timeout = timeout;
        Self { kind, backend: build(&spec), server, healed }
    }

    async fn poll(&self) -> BackendError {
        let error = self.backend.poll(None).await.expect_err("it is ill");
        let shown = format!("{error} {error:?} {:?}", self.backend);
        assert!(!shown.contains(TOKEN), "{shown}");
        error
    }

    async fn trigger(&self) -> Result<Accepted, BackendError> {
        self.backend.execute(&call(Verb::Trigger, Some("overdue-backup-check"))).await
    }

    /// Good answers are read again.
    async fn heals(self) {
        self.healed.store(true, Ordering::SeqCst);
        let polled = self.backend.poll(None).await;
        assert!(polled.is_ok(), "{}: {polled:?}", self.kind);
    }
}

/// Runs `check` for every kind.
macro_rules! every_kind {
    ($kind:ident, $body:block) => {
        for &$kind in Kind::ALL {
            $body
        }
    };
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let html = "<html><title>Error</title><pre>no &amp; never</pre></html>";
    let problem = r#"{"type":"x","title":"T","status":409,"detail":"a detail"}"#;
    every_kind!(kind, {
        for (status, content_type, body, said) in [
            (401, "application/json", r#"{"error":"an error"}"#, "an error"),
            (403, "application/problem+json", problem, "a detail"),
            (404, "text/html", html, "no & never"),
            (409, "application/problem+json", problem, "a detail"),
            (410, "text/plain", "gone away", "gone away"),
            (422, "application/json", "{}", "Unprocessable Entity"),
            (500, "text/html", html, "no & never"),
            (503, "application/json", r#"{"error":"down","message":"start it"}"#, "down"),
        ] {
            let ill = Ill::new(kind, Play::answer(status, &[("content-type", content_type)], body)).await;
            let error = ill.poll().await;
            assert!(error.to_string().contains(said), "{kind} {status}: {error}");
            assert!(!error.to_string().contains('<'), "{error}");
            let named = match status {
                401 => matches!(error, BackendError::Unauthorised(_)),
                403 => matches!(error, BackendError::Forbidden(_)),
                404 => matches!(error, BackendError::NotFound(_)),
                409 => matches!(error, BackendError::Conflict(_)),
                410 | 422 => matches!(error, BackendError::Refused { status: code, .. } if code == status),
                _ => matches!(error, BackendError::Server { status: code, .. } if code == status),
            };
            assert!(named, "{kind} {status}: {error:?}");
            let health = if matches!(status, 401 | 403) { Health::Unauthorised } else { Health::Down };
            assert_eq!(error.health(), health);
            // The same to a call that changes something: sure to be undone, or not.
            let acted = ill.trigger().await.unwrap_err();
            assert_eq!(acted.may_have_acted(), status >= 500, "{kind} {status}: {acted:?}");
            ill.heals().await;
        }
    });
}

#[tokio::test]
async fn who_asks_for_patience_gets_it() {
    every_kind!(kind, {
        for (status, wait) in [(429, "7"), (503, "7"), (429, "Fri, 20 Nov 2099 07:00:00 GMT")] {
            let play = Play::answer(status, &[("retry-after", wait)], r#"{"error":"slow down"}"#);
            let ill = Ill::new(kind, play).await;
            let error = ill.poll().await;
            let after = error.retry_after().unwrap();
            assert!(after == Duration::from_secs(7) || after > Duration::from_secs(86_400), "{error:?}");
            assert!(!ill.trigger().await.unwrap_err().may_have_acted());
            ill.heals().await;
        }
        let ill = Ill::new(kind, Play::answer(429, &[], "")).await;
        assert!(matches!(ill.poll().await, BackendError::RateLimited { after: None, .. }));
    });
}

#[tokio::test]
async fn what_is_not_the_protocol_is_never_believed() {
    every_kind!(kind, {
        let twice = good(kind).replacen('{', r#"{"isRunning":true,"cursor":"x","#, 1);
        for body in [
            "",
            "null",
            "[]",
            "{}",
            r#""text""#,
            "{\"",
            "<!DOCTYPE html><title>Log in</title>",
            r#"{"isRunning":"yes","activeTasks":{},"cursor":1,"now":"noon","tasks":"none"}"#,
            r#"{"isRunning":true,"activeTasks":[1,2],"cursor":"c","now":"2026-11-20T07:00:00Z","tasks":{}}"#,
            twice.as_str(),
            &good(kind)[..good(kind).len() - 4],
            &format!("{} trailing", good(kind)),
            &"[".repeat(100_000),
        ] {
            let ill = Ill::new(kind, Play::json(200, body)).await;
            let error = ill.poll().await;
            assert!(matches!(error, BackendError::Protocol { .. }), "{kind} {body:.80}: {error:?}");
            if body.starts_with('<') {
                assert!(error.to_string().contains("HTML instead of JSON: Log in"), "{error}");
            }
            if body.contains("noon") {
                let place = if kind == Kind::Vigie { "/api/v1/tasks cursor:" } else { "/health isRunning:" };
                assert!(error.to_string().contains(place), "the place is named: {error}");
            }
            let acted = ill.trigger().await.unwrap_err();
            assert!(acted.may_have_acted(), "{kind} {body:.80}: it may have run ({acted:?})");
            ill.heals().await;
        }
        let ill = Ill::new(kind, Play::answer(204, &[], "")).await;
        assert!(matches!(ill.poll().await, BackendError::Protocol { .. }));
        let ill = Ill::new(kind, Play::answer(304, &[], "")).await;
        assert!(matches!(ill.poll().await, BackendError::Protocol { .. }), "nobody asked for a 304");
    });
}

#[tokio::test]
async fn what_breaks_off_is_told_from_what_never_began() {
    every_kind!(kind, {
        let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n{\"isRunning\":".to_vec();
        for bytes in [cut, b"HTTP/1.1 200 OK\r\ncontent-le".to_vec(), Vec::new()] {
            let ill = Ill::new(kind, Play::SayAndClose(bytes.clone())).await;
            let error = ill.poll().await;
            assert!(matches!(error, BackendError::Broken(_)), "{kind} {bytes:?}: {error:?}");
            let acted = ill.trigger().await.unwrap_err();
            assert!(acted.may_have_acted(), "{acted:?}");
            ill.heals().await;
        }
        let ill = Ill::new(kind, Play::SayAndClose(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec())).await;
        assert!(matches!(ill.poll().await, BackendError::Protocol { .. }));
        ill.heals().await;
        // Nothing listens on the discard port of this machine.
        let backend = build(&spec(kind, "http://127.0.0.1:9"));
        let error = backend.poll(None).await.unwrap_err();
        assert_eq!(error, BackendError::Unreachable("connection refused (127.0.0.1:9)".into()));
        let acted = backend.execute(&call(Verb::Trigger, Some("t"))).await.unwrap_err();
        assert!(!acted.may_have_acted(), "nothing was sent: {acted:?}");
    });
}

#[tokio::test]
async fn slow_answers_end_at_the_limit() {
    every_kind!(kind, {
        let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n".to_vec();
        let limit = Duration::from_millis(300);
        for play in [Play::Hang, Play::Drip(head), Play::Drip(b"HTTP/1.1 ".to_vec())] {
            let ill = Ill::patient(kind, play, limit).await;
            let error = ill.poll().await;
            assert_eq!(error, BackendError::TimedOut { after: limit }, "{kind}");
            ill.server.left().await;
        }
    });
}

#[tokio::test]
async fn a_flood_ends_at_the_limit() {
    every_kind!(kind, {
        let claim = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n".to_vec();
        let chunked = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec();
        for play in [Play::Drip(claim), Play::Flood(chunked, 80 << 20)] {
            let ill = Ill::new(kind, play).await;
            assert_eq!(ill.poll().await, BackendError::TooLarge { limit_mib: 64 }, "{kind}");
            ill.server.left().await;
            ill.heals().await;
        }
        // An error's own flood costs no more than its first words.
        let error = b"HTTP/1.1 500 X\r\nconnection: close\r\n\r\nbad news ".to_vec();
        let ill = Ill::new(kind, Play::Flood(error, 80 << 20)).await;
        let error = ill.poll().await.to_string();
        assert!(
            error.starts_with("the endpoint failed with status 500: bad news") && error.len() < 100,
            "{error}"
        );
    });
}

#[tokio::test]
async fn a_poll_that_nobody_wants_any_more_is_hung_up() {
    every_kind!(kind, {
        let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n".to_vec();
        let ill = Ill::new(kind, Play::Drip(head)).await;
        tokio::select! {
            early = ill.backend.poll(None) => panic!("{early:?}"),
            () = ill.server.asked(1) => {}
        }
        ill.server.left().await;
        ill.heals().await;
    });
}

#[tokio::test]
async fn no_redirect_carries_anything_to_another_origin() {
    every_kind!(kind, {
        for status in [301, 302, 303, 307, 308] {
            let thief = Raw::start(move |_, _| Play::json(200, good(kind))).await;
            let target = format!("{}/health?x", thief.url);
            let ill = Ill::new(kind, Play::answer(status, &[("location", &target)], "")).await;
            let error = ill.poll().await;
            assert_eq!(error, BackendError::Redirected(thief.url.as_str().into()), "{kind} {status}");
            let acted = ill.trigger().await.unwrap_err();
            assert!(matches!(acted, BackendError::Redirected(_)) && !acted.may_have_acted(), "{acted:?}");
            assert_eq!(thief.seen().len(), 0, "not even asked");
            ill.heals().await;
        }
    });
}

#[tokio::test]
async fn redirects_within_the_origin_are_followed_for_reads_and_bounded() {
    every_kind!(kind, {
        let server = Raw::start(move |seen, _| {
            if seen.target.starts_with("/moved") {
                Play::json(200, good(kind))
            } else {
                Play::answer(302, &[("location", "/moved")], "")
            }
        })
        .await;
        let backend = build(&spec(kind, &server.url));
        assert!(backend.poll(None).await.is_ok());
        let before = server.seen().len();
        let refused = backend.execute(&call(Verb::Trigger, Some("t"))).await.unwrap_err();
        assert!(matches!(refused, BackendError::Refused { status: 302, .. }), "{refused:?}");
        assert!(!refused.may_have_acted());
        assert_eq!(server.seen().len(), before + 1, "a POST is not turned into a GET");
        let ill = Ill::new(kind, Play::answer(302, &[("location", "/again")], "")).await;
        assert!(ill.poll().await.to_string().contains("redirected more than 3 times"));
        assert_eq!(ill.server.seen().len(), 4);
    });
}

#[tokio::test]
async fn every_request_says_who_asks_and_a_token_is_sent_where_it_belongs() {
    every_kind!(kind, {
        let ill = Ill::new(kind, Play::json(200, good(kind))).await;
        ill.backend.poll(None).await.unwrap();
        let seen = ill.server.seen()[0].clone();
        assert!(seen.header("user-agent").unwrap().starts_with("vigie/"));
        let token = format!("Bearer {TOKEN}");
        let expected = (kind == Kind::Vigie).then_some(token.as_str());
        assert_eq!(seen.header("authorization"), expected);
        assert_eq!(ill.backend.url().as_deref(), Some(ill.server.url.as_str()));
        assert_eq!(ill.backend.kind(), kind);
    });
}

#[test]
fn an_endpoint_that_can_not_work_is_refused_when_it_is_built() {
    every_kind!(kind, {
        for (url, reason) in [
            ("ftp://h", "not an http"),
            ("no url", "invalid"),
            ("http://user:pw@h", "under auth"),
            ("data:x", "not an http"),
        ] {
            let error = crate::support::try_build(&spec(kind, url)).unwrap_err().to_string();
            assert!(error.contains(reason) && !error.contains("pw"), "{url}: {error}");
        }
        let mut bare = spec(kind, "http://h");
        bare.url = None;
        assert_eq!(crate::support::try_build(&bare).unwrap_err().to_string(), "a url is needed");
    });
}
