//! Bodies that are not what the protocol says: never believed, never fatal, never drawn as they came.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use vigie::backend::BackendError as E;
use vigie::model::Health;

use super::bed::{Ail, Bed, Said};
use super::subject::{Ask, Good};
use super::{Case, Expected, every_case, every_route, mutate, well};
use crate::raw::Play;

const fn protocol(error: &E) -> bool {
    matches!(error, E::Protocol { .. })
}

/// The good body of the case's route, as JSON; `None` if it is none.
async fn good_body(case: &Case) -> Option<Value> {
    let kept: Arc<std::sync::Mutex<Option<Value>>> = Arc::default();
    let mut bed = well(case.make).await;
    bed.prepare(&case.ask).await;
    let keep = Arc::clone(&kept);
    bed.falls_ill(
        Some(&case.route),
        Ail::spoiled(move |_, good: Good| {
            let mut kept = keep.lock().unwrap();
            if kept.is_none() {
                *kept = serde_json::from_slice(&good.body).ok().filter(|body: &Value| !body.is_null());
            }
            good.play()
        }),
    );
    bed.ask(&case.ask).await.unwrap();
    kept.lock().unwrap().take()
}

#[tokio::test]
async fn what_is_not_the_protocol_is_never_believed() {
    let deep = "[".repeat(100_000);
    every_route(async |case| {
        if good_body(&case).await.is_none() {
            return;
        }
        for body in ["", "[]", r#""text""#, "{\"", "<!DOCTYPE html><title>Log in</title>", deep.as_str()] {
            let expected = Expected { fits: protocol, may_have_acted: Some(true) };
            let result = case.suffers(&format!("{body:.20}"), Ail::body(body), &expected, well).await;
            if let Err(error) = result
                && body.starts_with('<')
            {
                assert!(error.to_string().contains("HTML instead of JSON: Log in"), "{case}: {error}");
            }
        }
        // Cut, or with something after its end.
        let expected = Expected { fits: protocol, may_have_acted: Some(true) };
        let cut = Ail::spoiled(|_, good: Good| good.with_body(&good.body[..good.body.len() - 1]).play());
        let _ = case.suffers("truncated", cut, &expected, well).await;
        let more =
            Ail::spoiled(|_, good: Good| good.with_body([good.body.as_slice(), b" x"].concat()).play());
        let _ = case.suffers("trailing", more, &expected, well).await;
    })
    .await;
}

#[tokio::test]
async fn text_that_is_no_utf_8_is_an_error_in_words() {
    every_case(async |case| {
        // Of the answer to a call perhaps only numbers are read.
        let has_text = |body: Value| body.to_string().contains(":\"");
        if matches!(case.ask, Ask::Do(_)) || !good_body(&case).await.is_some_and(has_text) {
            return;
        }
        let expected = Expected { fits: protocol, may_have_acted: Some(true) };
        let ail = Ail::spoiled(|_, good: Good| {
            // At the beginning of every text.
            let parts: Vec<&[u8]> = split(&good.body, b":\"");
            good.with_body(parts.join(b":\"\xff\xc3".as_slice())).play()
        });
        if let Err(error) = case.suffers("latin-1", ail, &expected, well).await {
            assert!(error.to_string().contains("UTF-8"), "{case}: {error}");
        }
    })
    .await;
}

fn split<'a>(mut bytes: &'a [u8], by: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    while let Some(at) = bytes.windows(by.len()).position(|window| window == by) {
        parts.push(&bytes[..at]);
        bytes = &bytes[at + by.len()..];
    }
    parts.push(bytes);
    parts
}

/// A gzip file of so many zeros: one block of fixed codes.
fn bomb(mebibytes: usize) -> Vec<u8> {
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    let (mut held, mut count) = (0_u64, 0);
    let mut put = |code: u64, bits: u32, most_first: bool| {
        for i in 0..bits {
            let bit = if most_first { code >> (bits - 1 - i) } else { code >> i } & 1;
            held |= bit << count;
            count += 1;
            if count == 8 {
                bytes.push(u8::try_from(held).unwrap());
                (held, count) = (0, 0);
            }
        }
    };
    put(0b011, 3, false);
    put(0x30, 8, true);
    for _ in 0..(mebibytes << 20) / 258 {
        // The longest repetition, of the byte before.
        put(0b1100_0101, 8, true);
        put(0, 5, true);
    }
    put(0, 7, true);
    put(0, 7, false);
    bytes
}

#[tokio::test]
async fn a_compressed_answer_that_nobody_asked_for_is_not_unpacked() {
    let bomb = bomb(200);
    assert!(bomb.len() < 2 << 20);
    every_route(async |case| {
        let expected = Expected { fits: protocol, may_have_acted: Some(true) };
        let bytes = bomb.clone();
        let ail = Ail::spoiled(move |_, good: Good| {
            let good = Good { status: good.status.min(299), ..good };
            good.with_header("content-encoding", "gzip").with_body(bytes.clone()).play()
        });
        if let Err(error) = case.suffers("gzip", ail, &expected, well).await {
            assert!(error.to_string().contains("compressed (gzip)"), "{case}: {error}");
        }
        let ail = Ail::Fixed(Play::answer(500, &[("content-encoding", "br")], "}x{\u{fffd}"));
        let expected =
            Expected { fits: |error| matches!(error, E::Server { .. } | E::Failed(_)), may_have_acted: None };
        if let Err(error) = case.suffers("brotli", ail, &expected, well).await {
            assert!(!error.to_string().contains("}x{"), "{case}: {error}");
        }
    })
    .await;
}

#[tokio::test]
async fn fields_of_a_later_version_change_nothing() {
    every_case(async |case| {
        let mut bed = well(case.make).await;
        bed.prepare(&case.ask).await;
        let maps = bed.subject.maps();
        let extend = move |json: &Value| mutate::extended(json, maps).to_string();
        bed.falls_ill(Some(&case.route), in_json(extend));
        let result = bed.ask(&case.ask).await;
        assert!(result.as_ref().is_ok_and(|said| !said.degraded), "{case}: {result:?}");
    })
    .await;
}

/// Other text for answers that are JSON, and those that are not as they are.
fn in_json(spoil: impl Fn(&Value) -> String + Send + Sync + 'static) -> Ail {
    Ail::spoiled(move |_, good: Good| match serde_json::from_slice(&good.body) {
        Ok(json) => good.with_body(spoil(&json)).play(),
        Err(_) => good.play(),
    })
}

#[tokio::test]
async fn keys_that_come_twice_are_read_or_refused_but_never_half() {
    every_case(async |case| {
        let mut bed = well(case.make).await;
        bed.prepare(&case.ask).await;
        let known = bed.known();
        bed.falls_ill(Some(&case.route), in_json(mutate::twice));
        let result = bed.ask(&case.ask).await;
        let fits = |error: &E| protocol(error) || case.is_unsent(&bed, error);
        assert!(result.as_ref().err().is_none_or(fits), "{case}: {result:?}");
        if case.ask.is_poll() && !matches!(case.ask, Ask::First) {
            assert_eq!(bed.known(), known, "{case}: {result:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn hostile_text_is_clean_wherever_it_comes_out() {
    every_case(async |case| {
        for keys in [false, true] {
            let mut bed = well(case.make).await;
            bed.prepare(&case.ask).await;
            bed.falls_ill(
                Some(&case.route),
                Ail::spoiled(move |_, good: Good| match serde_json::from_slice::<Value>(&good.body) {
                    Ok(json) => good.with_body(mutate::hostile(&json, keys).to_string()).play(),
                    Err(_) => good.with_body(mutate::HOSTILE).play(),
                }),
            );
            // Whatever is brought is looked through for what a terminal acts on.
            let _ = bed.ask(&case.ask).await;
            let page = format!("<pre>{}</pre>", mutate::HOSTILE);
            for (status, content_type, body) in [
                (500, "text/plain", mutate::HOSTILE.to_owned()),
                (404, "text/html", page),
                (409, "application/json", serde_json::json!({"error": mutate::HOSTILE}).to_string()),
            ] {
                let play = Play::answer(status, &[("content-type", content_type)], &body);
                bed.falls_ill(Some(&case.route), Ail::Fixed(play));
                let _ = bed.ask(&case.ask).await;
            }
        }
    })
    .await;
}

/// Every place of the good answer, spoiled: read, or refused by
/// an error that names a place; never a panic, and never a lost row by itself.
#[tokio::test]
async fn each_field_may_be_anything() {
    let tried = AtomicUsize::new(0);
    every_route(async |case| {
        let Some(body) = good_body(&case).await else { return };
        let mut bed = well(case.make).await;
        bed.prepare(&case.ask).await;
        let mut left = bed.subject.budget();
        for (n, place) in mutate::places(&body).into_iter().enumerate() {
            // Nothing at all is tried everywhere, and each other thing in every third place.
            let spoiled = mutate::spoiled(&body, &place).into_iter().enumerate();
            for (_, spoiled) in spoiled.filter(|(i, _)| *i == 0 || (i + n) % 3 == 0) {
                if left < 6 {
                    bed = well(case.make).await;
                    bed.prepare(&case.ask).await;
                    left = bed.subject.budget();
                }
                let before = bed.server.seen().len();
                bed.falls_ill(Some(&case.route), Ail::body(spoiled.to_string()));
                let result = bed.ask(&case.ask).await;
                is_sane(&case, &format!("{place:?}"), &result);
                tried.fetch_add(1, Ordering::Relaxed);
                left = left.saturating_sub(bed.server.seen().len() - before);
            }
        }
        bed.is_healed();
        // Who has a budget may have spent it on logging in again.
        if bed.subject.budget() < usize::MAX {
            return;
        }
        bed.ask(&Ask::Again).await.unwrap();
        assert_eq!(bed.health(), Health::Up, "{case}");
    })
    .await;
    assert!(tried.into_inner() > 1_000, "it has not been idle");
}

fn is_sane(case: &Case, what: &str, result: &Result<Said, E>) {
    if let Err(error) = result {
        let text = error.to_string();
        assert!(!text.trim().is_empty() && text.chars().count() < 1_000, "{case}: {what}: {text}");
        if let E::Protocol { path, .. } = error {
            let is_place = path.starts_with('/') || case.route.contains(path.as_str());
            assert!(is_place, "{case}: {what}: the place is named: {text}");
        }
    }
}

#[tokio::test]
async fn the_place_of_what_is_wrong_is_named() {
    every_route(async |case| {
        let Some(Value::Object(body)) = good_body(&case).await else { return };
        let mut bed = Bed::new((case.make)().await).await;
        bed.prepare(&case.ask).await;
        for (key, value) in &body {
            let wrong =
                if value.is_number() || value.is_null() { Value::from("noon") } else { Value::from(7.5) };
            let mut body = body.clone();
            body.insert(key.clone(), wrong);
            bed.falls_ill(Some(&case.route), Ail::body(Value::from(body).to_string()));
            if let Err(error @ E::Protocol { .. }) = bed.ask(&case.ask).await {
                assert!(error.to_string().contains(key.as_str()), "{case}: {key}: {error}");
            }
        }
    })
    .await;
}
