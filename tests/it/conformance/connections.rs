//! What becomes of a connection: it never comes about, stalls, drips, breaks, floods, or is given up.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_rustls::TlsAcceptor;
use vigie::backend::BackendError as E;
use vigie::model::{Evidence, Health};

use super::bed::{Ail, Bed};
use super::subject::{Ask, Good};
use super::{Expected, every_case, every_route, every_system, well};
use crate::raw::Play;

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";
/// The limit of a body.
const LIMIT: usize = 64 << 20;
/// What lies on the way between a server and its client's memory: buffers of sockets.
const ON_THE_WAY: usize = 16 << 20;

#[tokio::test]
async fn what_breaks_off_is_told_from_what_never_began() {
    every_case(async |case| {
        let expected = Expected { fits: |error| matches!(error, E::Broken(_)), may_have_acted: Some(true) };
        let mut ails = vec![
            Ail::Fixed(Play::SayAndClose(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n{\"a\":".to_vec())),
            Ail::Fixed(Play::SayAndClose(b"HTTP/1.1 200 OK\r\ncontent-le".to_vec())),
            Ail::Fixed(Play::SayAndClose(Vec::new())),
        ];
        // The server has done it, and the answer is lost in the middle.
        ails.push(Ail::spoiled(|_, good: Good| {
            let good = Good { status: good.status.min(299), ..good };
            let half = good.with_body(&good.body[..good.body.len() / 2]);
            Play::SayAndClose(half.bytes(good.body.len() + 1))
        }));
        for (i, ail) in ails.into_iter().enumerate() {
            let _ = case.suffers(&format!("cut {i}"), ail, &expected, well).await;
        }
        let is_unlike = |error: &E| {
            matches!(error, E::Protocol { .. }) || error.to_string().contains("unexpected answer")
        };
        let expected = Expected { fits: is_unlike, may_have_acted: Some(true) };
        let ail = Ail::Fixed(Play::SayAndClose(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec()));
        let _ = case.suffers("another protocol", ail, &expected, well).await;
    })
    .await;
}

#[tokio::test]
async fn nobody_there_is_told_at_once_and_nothing_was_sent() {
    every_case(async |case| {
        // Nothing listens on the discard port of this machine.
        let subject = (case.make)().await;
        let adjusted = subject.configure("http://127.0.0.1:9");
        let mut bed = Bed::with(subject, None, |spec| *spec = adjusted).await;
        if bed.subject.ends(&case.ask) {
            return;
        }
        let error = bed.ask(&case.ask).await.unwrap_err();
        assert!(matches!(error, E::Unreachable(_)), "{case}: {error:?}");
        assert!(error.to_string().contains("connection refused (127.0.0.1:9)"), "{case}: {error}");
        assert!(!error.may_have_acted(), "{case}: nothing was sent");
        assert_eq!(error.health(), Health::Down);
    })
    .await;
}

/// The class, or the words where an adapter has more to say of it.
fn is_timeout(error: &E) -> bool {
    matches!(error, E::TimedOut { .. }) || error.to_string().contains("no answer within")
}

#[tokio::test]
async fn slow_answers_end_at_the_limit() {
    every_case(async |case| {
        for play in [Play::Hang, Play::Drip(HEAD.to_vec()), Play::Drip(b"HTTP/1.1 ".to_vec())] {
            let mut limit = Duration::from_secs(1);
            loop {
                let mut bed = Bed::patient((case.make)().await, limit).await;
                if bed.subject.may_take_long(&case.route) {
                    return;
                }
                bed.prepare(&case.ask).await;
                bed.falls_ill(Some(&case.route), Ail::Fixed(play.clone()));
                let before = bed.server.seen().len();
                let result = bed.ask(&case.ask).await;
                // On a busy machine the limit may be over before it comes to the
                // slow route, or a part was left out of the poll before.
                if !bed.server.was_asked_for(&case.route, before) && limit < Duration::from_secs(30) {
                    limit *= 2;
                    continue;
                }
                let expected = Expected { fits: is_timeout, may_have_acted: Some(true) };
                case.judge(&bed, "slow", &expected, &result);
                bed.server.left().await;
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_flood_ends_at_the_limit() {
    let expected =
        Expected { fits: |error| matches!(error, E::TooLarge { limit_mib: 64 }), may_have_acted: Some(true) };
    every_route(async |case| {
        let claim = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n".to_vec();
        let _ = case.suffers("a claim", Ail::Fixed(Play::Drip(claim)), &expected, well).await;
        // An error's own flood costs no more than its first words.
        let mut bed = well(case.make).await;
        bed.prepare(&case.ask).await;
        let error = b"HTTP/1.1 500 X\r\nconnection: close\r\n\r\nbad news ".to_vec();
        bed.falls_ill(Some(&case.route), Ail::Fixed(Play::Flood(error, 80 << 20)));
        if let Err(error) = bed.ask(&case.ask).await {
            let text = error.to_string();
            assert!(text.contains("bad news") && text.len() < 300, "{case}: {text}");
        }
        bed.server.left().await;
        assert!(bed.server.written() < ON_THE_WAY, "{case}: {} bytes were taken", bed.server.written());
    })
    .await;
    every_system(async |make| {
        let mut bed = well(make).await;
        let route = bed.routes(&Ask::First).await.remove(0);
        let chunked = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec();
        let mut bed = well(make).await;
        bed.falls_ill(Some(&route), Ail::Fixed(Play::Flood(chunked, 160 << 20)));
        match bed.ask(&Ask::First).await {
            Err(error) => assert_eq!(error, E::TooLarge { limit_mib: 64 }, "{route}"),
            // What the other part of it told is not lost for that.
            Ok(said) => assert!(said.degraded && said.shown.contains("64 MiB"), "{route}: {said:?}"),
        }
        bed.server.left().await;
        assert!(bed.server.written() < LIMIT + ON_THE_WAY, "{route}: {} bytes", bed.server.written());
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_nobody_wants_any_more_is_hung_up() {
    every_case(async |case| {
        let mut bed = well(case.make).await;
        bed.prepare(&case.ask).await;
        let (known, server) = (bed.known(), Arc::clone(&bed.server));
        bed.falls_ill(Some(&case.route), Ail::Fixed(Play::Drip(HEAD.to_vec())));
        let before = server.seen().len();
        tokio::select! {
            early = bed.ask(&case.ask) => panic!("{case}: {early:?}"),
            () = server.asked_for(&case.route, before) => {}
        }
        if bed.subject.sees_through(&case.route) {
            return;
        }
        server.left().await;
        // Whatever was cut off, the next poll is as good as ever.
        bed.is_healed();
        assert!(bed.ask(&Ask::Again).await.is_ok(), "{case}");
        assert!(case.ask.is_poll() || bed.known().len() >= known.len(), "{case}");
    })
    .await;
}

/// A server's side of TLS, with a certificate that has expired, and the authority to trust.
fn expired(folder: &std::path::Path) -> TlsAcceptor {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let certificate = params.signed_by(&key, &authority).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::test]
async fn an_expired_certificate_is_named_and_nothing_is_sent() {
    every_case(async |case| {
        let folder = tempfile::tempdir().unwrap();
        let acceptor = expired(folder.path());
        let mut bed = Bed::with((case.make)().await, Some(acceptor), |spec| {
            spec.tls.ca_file = Some(folder.path().join("ca.pem"));
        })
        .await;
        if bed.subject.ends(&case.ask) {
            return;
        }
        // A machine may be too busy to shake hands within the adapter's limit.
        let mut error = bed.ask(&case.ask).await.unwrap_err();
        while matches!(&error, E::Unreachable(why) if why.contains("no answer")) {
            error = bed.ask(&case.ask).await.unwrap_err();
        }
        assert!(matches!(error, E::Tls(_)), "{case}: {error:?}");
        assert!(error.to_string().contains("certificate has expired"), "{case}: {error}");
        assert!(!error.may_have_acted() && error.health() == Health::Down, "{case}: {error:?}");
        assert!(bed.server.seen().is_empty(), "{case}: not even asked");
    })
    .await;
}

#[tokio::test]
async fn a_clock_that_is_off_is_seen_and_heals() {
    every_system(async |make| {
        let mut bed = well(make).await;
        bed.ask(&Ask::First).await.unwrap();
        let known = bed.known();
        for minutes in [-20, 20] {
            let date = crate::support::now() + chrono::TimeDelta::minutes(minutes);
            let (header, body) = (date.to_rfc2822().replace("+0000", "GMT"), date.to_rfc3339());
            bed.falls_ill(
                None,
                Ail::spoiled(move |_, good| {
                    // The native protocol tells its time in the body.
                    let mut good = good.with_header("date", &header);
                    if let Ok(mut json) = serde_json::from_slice::<serde_json::Value>(&good.body)
                        && let Some(now) = json.get_mut("now")
                    {
                        *now = body.clone().into();
                        good = good.with_body(json.to_string());
                    }
                    good.play()
                }),
            );
            let polled = bed.ask(&Ask::Again).await;
            assert!(polled.is_ok(), "{}: {polled:?}", bed.subject.name());
            assert_eq!(bed.health(), Health::Up, "a clock is no illness");
            assert_eq!(bed.evidence(), Evidence::Skewed, "{}", bed.subject.name());
            assert_eq!(bed.known(), known);
            bed.is_healed();
            bed.falls_ill(None, {
                let right = crate::support::now().to_rfc2822().replace("+0000", "GMT");
                Ail::spoiled(move |_, good| good.with_header("date", &right).play())
            });
            bed.ask(&Ask::Again).await.unwrap();
            assert_eq!(bed.evidence(), Evidence::Fresh, "{}", bed.subject.name());
        }
    })
    .await;
}
