//! Wrong tokens, counted by where they come from.
//!
//! Who guesses is slowed down and seen in the log. It is no lock-out: a right
//! token is let in from the same address at the same moment, since somebody
//! behind the same address may be guessing, and 256 random bits are not
//! guessed. Only a token that nobody knows counts: one that is revoked, expired
//! or missing is a mistake, and is told so each time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::coordinator::http::neighbourhood;

/// So many wrong tokens from one address in a window are answered one by one.
const ALLOWED: u32 = 10;
/// How long a window is.
const WINDOW: TimeDelta = TimeDelta::seconds(60);
/// So many addresses are remembered; then those whose windows are over go, or all.
const REMEMBERED: usize = 4_096;

/// See the module's text. Only touched where a token is wrong.
#[derive(Debug, Default)]
pub(super) struct Failed(Mutex<HashMap<IpAddr, Window>>);

#[derive(Debug, Clone, Copy)]
struct Window {
    since: DateTime<Utc>,
    count: u32,
}

/// What becomes of a wrong token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is told.
    Told,
    /// It is told, and it is the first of its window that the log is to know of.
    Noted,
    /// Too many: not before so many seconds.
    Wait(u32),
}

impl Failed {
    /// Counts a wrong token from `address`.
    pub(super) fn count(&self, address: IpAddr, now: DateTime<Utc>) -> Verdict {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.retain(|_, window| is_open(window, now));
            if known.len() >= REMEMBERED {
                known.clear();
            }
        }
        let window = known.entry(neighbourhood(address)).or_insert(Window { since: now, count: 0 });
        if !is_open(window, now) {
            *window = Window { since: now, count: 0 };
        }
        window.count = window.count.saturating_add(1);
        if window.count > ALLOWED {
            let left = (window.since + WINDOW - now).num_seconds().clamp(0, WINDOW.num_seconds());
            return Verdict::Wait(u32::try_from(left).unwrap_or(0) + 1);
        }
        if window.count == 1 { Verdict::Noted } else { Verdict::Told }
    }
}

/// Whether a window goes on. One that begins in the future is of a clock that was set back.
fn is_open(window: &Window, now: DateTime<Utc>) -> bool {
    window.since <= now && now < window.since + WINDOW
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_tokens_are_counted_by_address_and_window() {
        let failed = Failed::default();
        let at = |s: i64| DateTime::UNIX_EPOCH + TimeDelta::seconds(1_000_000 + s);
        let (one, other): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        assert_eq!(failed.count(one, at(0)), Verdict::Noted);
        for _ in 1..ALLOWED {
            assert_eq!(failed.count(one, at(5)), Verdict::Told);
        }
        assert_eq!(failed.count(one, at(20)), Verdict::Wait(41));
        assert_eq!(failed.count(other, at(20)), Verdict::Noted, "another address is another matter");
        assert_eq!(failed.count(one, at(60)), Verdict::Noted, "a new window");
        assert_eq!(failed.count(one, at(-500)), Verdict::Noted, "a clock that was set back");
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let of = |text: &str| neighbourhood(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }

    #[test]
    fn memory_is_bounded() {
        let failed = Failed::default();
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(1);
        for i in 0..u32::try_from(3 * REMEMBERED).unwrap() {
            failed.count(std::net::Ipv4Addr::from(i).into(), now);
        }
        assert!(failed.0.lock().unwrap().len() <= REMEMBERED);
    }
}
