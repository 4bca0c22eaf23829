//! Durations as text, the same everywhere.

/// Seconds in the shortest exact form: `90` → `1m30s`, `3600` → `1h`, `0` → `0s`.
#[must_use]
pub fn duration_text(seconds: u64) -> String {
    let mut out = String::new();
    let mut rest = seconds;
    for (unit, size) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
        let count = rest / size;
        rest %= size;
        if count > 0 {
            out.push_str(&count.to_string());
            out.push_str(unit);
        }
    }
    if out.is_empty() { "0s".to_owned() } else { out }
}

/// Reads `90s`, `10m`, `1h30m`, `2d`, `1500ms`; a bare number has no unit and is refused.
///
/// # Errors
/// A sentence that says what is wrong with the text.
pub fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    let problem = || format!("{text:?} is not a duration: write 90s, 10m, 1h30m, 2d or 500ms");
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(problem());
    }
    let mut total_ms: u64 = 0;
    let mut last_size = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(problem)?;
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let size = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return Err(problem()),
        };
        if size >= last_size {
            return Err(problem());
        }
        last_size = size;
        let number: u64 = number.parse().map_err(|_| problem())?;
        total_ms = number.checked_mul(size).and_then(|ms| total_ms.checked_add(ms)).ok_or_else(problem)?;
        rest = tail.trim_start();
    }
    Ok(std::time::Duration::from_millis(total_ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_read_and_refused() {
        for (text, ms) in [
            ("90s", 90_000),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("500ms", 500),
            ("2d", 172_800_000),
        ] {
            assert_eq!(parse_duration(text).unwrap().as_millis(), ms, "{text}");
        }
        for text in ["", "10", "s", "10x", "1m1h", "-5s", "1.5h", "99999999999999999999s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_reads_back(seconds in 0u64..10_000_000) {
            prop_assert_eq!(parse_duration(&duration_text(seconds)).unwrap().as_secs(), seconds);
        }
    }
}
