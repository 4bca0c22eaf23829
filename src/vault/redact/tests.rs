use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use proptest::prelude::*;

use super::*;

fn pieces(redactor: &mut Redactor, pieces: &[&str]) -> String {
    let mut out = Vec::new();
    for piece in pieces {
        redactor.push(piece.as_bytes(), &mut out);
    }
    redactor.finish(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn values_are_masked_also_when_they_come_in_pieces() {
    for (values, text, wanted) in [
        (&["hunter2"][..], &["pass hun", "ter2 ok"][..], "pass [redacted] ok"),
        (&["hunter2"], &["h", "u", "n", "t", "e", "r", "2"], "[redacted]"),
        (&["hunter2"], &["hunter", "3 hunhunter2"], "hunter3 hun[redacted]"),
        // Touching and overlapping ones become one: nothing of either shows.
        (&["abcdef", "defghi"], &["xabcdefghix"], "x[redacted]x"),
        (&["abcdef", "defghi"], &["xabcd", "efghix"], "x[redacted]x"),
        (&["hunter2"], &["hunter2hunter2"], "[redacted]"),
        // One inside the beginning of another, which does not come.
        (&["abcdefgh", "cdef"], &["abcdef", "!"], "ab[redacted]!"),
        (&["abcdefgh", "cdef"], &["abcdef", "gh!"], "[redacted]!"),
        (&["aaaa"], &["aaaaaaaaa", "aa", "b"], "[redacted]b"),
        // Too short, or nothing at all.
        (&["abc", "", "    "], &["abc    "], "abc    "),
        (&[], &["any", "thing"], "anything"),
        // Cut off at the end: the first byte may be seen, no more.
        (&["hunter2"], &["see h"], "see h"),
        (&["hunter2"], &["see hunte"], "see [redacted]"),
        // As a variable it may end with a line break, in the output not.
        (&["hunter2\n"], &["hunter2!"], "[redacted]!"),
    ] {
        assert_eq!(pieces(&mut Redactor::new(values), text), wanted, "{values:?} {text:?}");
        if text.len() == 1 {
            assert_eq!(Redactor::new(values).redact(text[0]), wanted);
        }
    }
}

#[test]
fn every_line_of_a_value_is_masked_by_itself() {
    let key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\r\nhkiG9w0BAQEFAASC\nshort\n-----END KEY-----\n";
    let mut redactor = Redactor::new([key]);
    assert_eq!(pieces(&mut redactor, &[&format!("<{key}>")]), "<[redacted]\n>");
    let indented = "  MIIEvQIBADANBgkq\n  hkiG9w0BAQEFAASC\n  short\n";
    assert_eq!(pieces(&mut redactor, &[indented]), "  [redacted]\n  [redacted]\n  short\n");
}

#[test]
fn encoded_forms_are_masked_too() {
    let value = "p@ss w/rd?é\"x\\y>>>";
    let redactor = Redactor::new([value]);
    let plus = "p%40ss+w%2Frd%3F%C3%A9%22x%5Cy%3E%3E%3E";
    for text in [
        value.to_owned(),
        STANDARD.encode(value),
        URL_SAFE.encode(value),
        STANDARD.encode(value).trim_end_matches('=').to_owned(),
        STANDARD.encode(format!("{value}\n")),
        plus.to_owned(),
        plus.replace('+', "%20"),
        plus.replace('+', "%20").to_lowercase(),
        plus.replace('+', "%20").replace("%2F", "/"),
        "p@ss w/rd?é\\\"x\\\\y>>>".to_owned(),
    ] {
        assert_eq!(redactor.redact(&format!("<{text}>")), "<[redacted]>", "{text}");
    }
    // Inside more that is encoded as a whole: `user:value`, at every place.
    for before in ["", "u", "us", "usr", "user:"] {
        for after in ["", "a", "ab", "abc"] {
            let text = STANDARD.encode(format!("{before}{value}{after}"));
            let shown = redactor.redact(&text).replace(MASK, "");
            // What is left of the value are six bits at either end at most.
            assert!(shown.len() <= (before.len() + after.len() + 4).div_ceil(3) * 4, "{text}: {shown}");
            assert!(!text.is_empty() && !shown.contains(&STANDARD.encode(value)[4..12]), "{shown}");
        }
    }
}

#[test]
fn long_encoded_values_are_masked_in_their_lines() {
    let value: String = (0..200_u32).map(|i| char::from(b'!' + u8::try_from(i * 7 % 90).unwrap())).collect();
    let text = STANDARD.encode(&value);
    for wrap in [64, 76] {
        let wrapped: Vec<&str> =
            text.as_bytes().chunks(wrap).map(|line| std::str::from_utf8(line).unwrap()).collect();
        let shown = Redactor::new([&value]).redact(&wrapped.join("\n"));
        assert_eq!(shown.replace(MASK, "").trim(), "", "{shown}");
    }
}

#[test]
fn a_prompt_is_not_held_back_for_ever_and_a_value_is() {
    let mut redactor = Redactor::new(["s3cr3t-value"]);
    let mut out = Vec::new();
    redactor.push(b"Name's", &mut out);
    assert_eq!((out.as_slice(), redactor.is_holding()), (&b"Name'"[..], true));
    redactor.flush(&mut out);
    assert_eq!((out.as_slice(), redactor.is_holding()), (&b"Name's"[..], false));
    // It was the beginning of one after all: the rest is masked.
    redactor.push(b"3cr3t-value.", &mut out);
    assert_eq!(out, b"Name's[redacted].");

    // However slowly it comes, no more than its first bytes are seen.
    out.clear();
    for byte in b"s3cr3t-value" {
        redactor.push(&[*byte], &mut out);
        redactor.flush(&mut out);
    }
    assert_eq!(out, b"s3c[redacted]");
    // What is masked already is not held.
    assert!(!redactor.is_holding());
    redactor.push(b"s3cr3t-value", &mut out);
    redactor.finish(&mut out);
    assert_eq!(out, b"s3c[redacted]");
    out.clear();
    // A new text begins.
    redactor.push(b"-value", &mut out);
    redactor.finish(&mut out);
    assert_eq!(out, b"-value");
}

#[test]
fn what_is_not_text_passes_through() {
    let mut redactor = Redactor::new(["hunter2"]);
    let mut out = Vec::new();
    redactor.push(b"\xff\xfe\x00hunter2\xc3", &mut out);
    redactor.finish(&mut out);
    assert_eq!(out, b"\xff\xfe\x00[redacted]\xc3");
}

#[test]
fn nothing_of_a_value_is_in_its_debug_form() {
    let mut redactor = Redactor::new(["hunter2"]);
    redactor.push(b"hunt", &mut Vec::new());
    assert_eq!(format!("{redactor:?}"), "Redactor { held: 4, .. }");
}

#[test]
fn memory_is_bounded_however_long_the_output_is() {
    let mut redactor = Redactor::new(["aaaaaaaab", "aaaaaaaa"]);
    let mut out = Vec::new();
    let block = vec![b'a'; 1024 * 1024];
    for _ in 0..8 {
        redactor.push(&block, &mut out);
    }
    assert!(redactor.held.capacity() <= 4 * STEP && redactor.spans.len() == 1);
    redactor.finish(&mut out);
    assert_eq!(out, MASK.as_bytes());
}

/// By looking at every place for every form.
fn by_hand(redactor: &Redactor, patterns: &[Vec<u8>], text: &[u8]) -> Vec<u8> {
    let mut covered = vec![false; text.len()];
    for pattern in patterns {
        for at in 0..text.len() {
            if text[at..].starts_with(pattern) {
                covered[at..at + pattern.len()].fill(true);
            }
        }
        for cut in redactor.shown + 1..pattern.len().min(text.len() + 1) {
            if text.ends_with(&pattern[..cut]) {
                covered[text.len() - cut..].fill(true);
            }
        }
    }
    let mut out = Vec::new();
    for (at, byte) in text.iter().enumerate() {
        if !covered[at] {
            out.push(*byte);
        } else if at == 0 || !covered[at - 1] {
            out.extend_from_slice(MASK.as_bytes());
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// A small alphabet, so that values overlap, repeat and begin like each other; none of it is in the mask.
    #[test]
    fn no_value_is_seen_however_the_text_is_split(
        values in prop::collection::vec("[xyz]{4,9}", 1..4),
        parts in prop::collection::vec((prop::option::of(0..4_usize), "[xyzw\n]{0,6}"), 0..12),
        splits in prop::collection::vec(0..80_usize, 0..10),
        flushes in any::<bool>(),
    ) {
        let mut text = String::new();
        for (value, other) in &parts {
            if let Some(value) = value.and_then(|index| values.get(index)) {
                text.push_str(value);
            }
            text.push_str(other);
        }
        let mut forms = forms::Forms::default();
        for value in &values {
            forms.add(value);
        }
        let patterns: Vec<Vec<u8>> = forms.patterns.iter().map(|pattern| pattern.to_vec()).collect();
        let mut redactor = Redactor::new(&values);
        let wanted = String::from_utf8(by_hand(&redactor, &patterns, text.as_bytes())).unwrap();
        prop_assert_eq!(redactor.redact(&text), wanted.clone());

        let mut places: Vec<usize> = splits.iter().map(|place| place % (text.len() + 1)).collect();
        places.extend([0, text.len()]);
        places.sort_unstable();
        let mut out = Vec::new();
        for pair in places.windows(2) {
            redactor.push(&text.as_bytes()[pair[0]..pair[1]], &mut out);
            if flushes {
                redactor.flush(&mut out);
            }
        }
        redactor.finish(&mut out);
        prop_assert!(!redactor.is_holding());
        let seen = String::from_utf8(out).unwrap();
        if !flushes {
            prop_assert_eq!(&seen, &wanted);
        }
        for value in &values {
            prop_assert!(!seen.contains(value.as_str()), "{} in {}", value, seen);
        }
    }
}
