//! Text to terms.

use super::FilterError;
use super::term::{Compare, Field, Flag, Pattern, Term, Test, TextValue, Word};
use crate::model::{
    AlertKind, Clean, Evidence, Health, Kind, Priority, RunState, Severity, TaskState, parse_duration,
};

/// Every key that there is.
const KEYS: [&str; 16] = [
    "state", "name", "id", "alias", "class", "endpoint", "team", "machine", "label", "p", "age", "late",
    "evidence", "kind", "severity", "is",
];

/// A character, and whether quotes or a backslash took its special meaning.
type Char = (char, bool);

/// A term as text.
struct Token {
    /// Where it begins, in characters.
    position: usize,
    chars: Vec<Char>,
}

/// Reads a filter.
pub(super) fn filter(text: &str) -> Result<Vec<Term>, FilterError> {
    tokens(text)?
        .into_iter()
        .map(|token| {
            let position = token.position;
            term(&token.chars).map_err(|message| error(position, message))
        })
        .collect()
}

fn error(position: usize, message: String) -> FilterError {
    FilterError { position, message: Clean::from(message) }
}

/// Splits at spaces outside quotes and patterns.
fn tokens(text: &str) -> Result<Vec<Token>, FilterError> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        if chars[at].is_whitespace() {
            at += 1;
            continue;
        }
        let position = at;
        let mut token = Vec::new();
        if matches!(chars[at], '-' | '!') {
            token.push((chars[at], false));
            at += 1;
        }
        if chars.get(at) == Some(&'/') {
            at = pattern(&chars, at, &mut token).ok_or_else(|| {
                error(
                    position,
                    "a pattern ends with a slash, as /^db-/ does; \"/\" in quotes is a plain one".into(),
                )
            })?;
        } else {
            at = plain(&chars, at, &mut token)
                .ok_or_else(|| error(position, "the quotation mark is never closed".into()))?;
        }
        tokens.push(Token { position, chars: token });
    }
    Ok(tokens)
}

/// From slash to slash; `\/` is a slash within. Everything between is literal for us.
fn pattern(chars: &[char], mut at: usize, token: &mut Vec<Char>) -> Option<usize> {
    token.push(('/', false));
    at += 1;
    loop {
        match (*chars.get(at)?, chars.get(at + 1)) {
            ('\\', Some('/')) => {
                token.push(('/', true));
                at += 2;
            }
            ('\\', Some(&next)) => {
                token.extend([('\\', true), (next, true)]);
                at += 2;
            }
            ('/', next) if next.is_none_or(|next| next.is_whitespace()) => {
                token.push(('/', false));
                return Some(at + 1);
            }
            (c, _) => {
                token.push((c, true));
                at += 1;
            }
        }
    }
}

/// Up to the next space outside quotes.
fn plain(chars: &[char], mut at: usize, token: &mut Vec<Char>) -> Option<usize> {
    let mut quoted = false;
    while let Some(&c) = chars.get(at) {
        match c {
            '"' => {
                quoted = !quoted;
                // Even empty quotes make a term.
                token.push(('"', false));
            }
            '\\' if quoted => {
                at += 1;
                token.push((*chars.get(at)?, true));
            }
            c if c.is_whitespace() && !quoted => break,
            c => token.push((c, quoted)),
        }
        at += 1;
    }
    (!quoted).then_some(at)
}

fn term(chars: &[Char]) -> Result<Term, String> {
    let negated = matches!(chars.first(), Some(('-' | '!', false)));
    let chars = &chars[usize::from(negated)..];
    if chars.is_empty() {
        return Err("- turns a term round, as -team:data does: put one behind it".into());
    }
    Ok(Term { negated, test: test(chars)? })
}

fn test(chars: &[Char]) -> Result<Test, String> {
    if let [('/', false), inner @ .., ('/', false)] = chars {
        let text = text(inner);
        return Pattern::new(&text)
            .map(Test::Pattern)
            .map_err(|why| format!("/{text}/ can't be read: {why}"));
    }
    if let Some(colon) = chars.iter().position(|c| *c == (':', false)) {
        return keyed(&text(&chars[..colon]), &chars[colon + 1..]);
    }
    let word = text(chars);
    if word.is_empty() {
        return Err("there is nothing between the quotation marks".into());
    }
    Ok(Test::Word(Box::new(Word::new(&word))))
}

/// Without the quotation marks.
fn text(chars: &[Char]) -> String {
    chars.iter().filter(|c| **c != ('"', false)).map(|(c, _)| *c).collect()
}

fn keyed(key: &str, value: &[Char]) -> Result<Test, String> {
    if !KEYS.contains(&key) {
        let nearest = nearest(key, KEYS.into_iter());
        let hint = nearest.map_or_else(
            || format!("there are {}", KEYS.join(", ")),
            |near| format!("did you mean {near}:? Quotes make it a plain word"),
        );
        return Err(format!("there is no {key}: to filter by; {hint}"));
    }
    if value.is_empty() {
        return Err(format!("{key}: needs a value, such as {}", example(key)));
    }
    if let Some(&field) = Field::ALL.iter().find(|field| field.word() == key) {
        return texts(key, value).map(|values| Test::Text(field, values));
    }
    match key {
        "state" => words(key, value, states).map(Test::State),
        "kind" => words(key, value, kinds).map(Test::Kind),
        "severity" => words(key, value, || Severity::ALL.iter().map(|it| (it.word(), *it)).collect())
            .map(Test::Severity),
        "evidence" => words(key, value, || Evidence::ALL.iter().map(|it| (it.word(), *it)).collect())
            .map(Test::Evidence),
        "is" => words(key, value, || Flag::ALL.iter().map(|it| (it.word(), *it)).collect()).map(Test::Is),
        "label" => label(value),
        "p" => priority(&text(value)),
        "age" => span(key, &text(value)).map(|(compare, seconds)| Test::Age(compare, seconds)),
        _ => span(key, &text(value)).map(|(compare, seconds)| Test::Late(compare, seconds)),
    }
}

const fn example(key: &str) -> &'static str {
    match key.as_bytes() {
        b"state" => "state:late,failing",
        b"label" => "label:env=prod",
        b"p" => "p:<=2",
        b"age" => "age:>2h",
        b"late" => "late:>5m",
        b"evidence" => "evidence:stale",
        b"kind" => "kind:absent",
        b"severity" => "severity:critical",
        b"is" => "is:paused",
        b"endpoint" => "endpoint:local",
        _ => "team:data",
    }
}

/// Splits at commas outside quotes.
fn parts(value: &[Char]) -> impl Iterator<Item = &[Char]> {
    value.split(|c| *c == (',', false))
}

fn texts(key: &str, value: &[Char]) -> Result<Vec<TextValue>, String> {
    parts(value)
        .map(|part| {
            let exact = part.first() == Some(&('=', false));
            let text = text(&part[usize::from(exact)..]);
            if text.is_empty() && !exact {
                return Err(format!("{key}: has an empty value between its commas"));
            }
            Ok(TextValue::new(&text, exact))
        })
        .collect()
}

fn words<T: Copy>(
    key: &str,
    value: &[Char],
    known: impl Fn() -> Vec<(&'static str, T)>,
) -> Result<Vec<T>, String> {
    let known = known();
    parts(value)
        .map(|part| {
            let word = text(part);
            if let Some((_, value)) = known.iter().find(|(known, _)| *known == word) {
                return Ok(*value);
            }
            let hint = nearest(&word, known.iter().map(|(word, _)| *word)).map_or_else(
                || {
                    let all: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
                    format!("there are {}", all.join(", "))
                },
                |near| format!("did you mean {near}?"),
            );
            Err(format!("{word:?} is no {key}; {hint}"))
        })
        .collect()
}

/// States of tasks, then of runs and endpoints, and the kinds of alerts: each word once.
fn states() -> Vec<(&'static str, &'static str)> {
    let words = TaskState::ALL
        .iter()
        .map(|it| it.word())
        .chain(RunState::ALL.iter().map(|it| it.word()))
        .chain(Health::ALL.iter().map(|it| it.word()))
        .chain(AlertKind::ALL.iter().map(|it| it.word()));
    unique(words)
}

/// Kinds of alerts and of endpoints.
fn kinds() -> Vec<(&'static str, &'static str)> {
    unique(AlertKind::ALL.iter().map(|it| it.word()).chain(Kind::ALL.iter().map(|it| it.word())))
}

fn unique(words: impl Iterator<Item = &'static str>) -> Vec<(&'static str, &'static str)> {
    let mut unique: Vec<(&str, &str)> = Vec::new();
    for word in words {
        if !unique.contains(&(word, word)) {
            unique.push((word, word));
        }
    }
    unique
}

fn label(value: &[Char]) -> Result<Test, String> {
    let (name, value) = match value.iter().position(|c| *c == ('=', false)) {
        Some(equals) => (text(&value[..equals]), Some(text(&value[equals + 1..]))),
        None => (text(value), None),
    };
    if name.is_empty() {
        return Err("label: needs a name, such as label:env or label:env=prod".into());
    }
    Ok(Test::Label(name, value))
}

fn priority(value: &str) -> Result<Test, String> {
    let problem = || format!("p:{value} can't be read: write p:1, p:1,2 or p:<=2, with priorities 1 to 5");
    let level = |text: &str| text.parse::<Priority>().map(Priority::level).map_err(|_| problem());
    if let Some((compare, rest)) = comparison(value) {
        return Ok(Test::Priority(compare, level(rest)?));
    }
    value.split(',').map(level).collect::<Result<_, _>>().map(Test::Priorities)
}

fn span(key: &str, value: &str) -> Result<(Compare, u64), String> {
    let Some((compare, rest)) = comparison(value) else {
        return Err(format!("{key}:{value} lacks a comparison: write {key}:>{value} or {key}:<{value}"));
    };
    let duration = parse_duration(rest)?;
    Ok((compare, duration.as_secs()))
}

fn comparison(value: &str) -> Option<(Compare, &str)> {
    Compare::ALL.iter().find_map(|(compare, sign)| Some((*compare, value.strip_prefix(sign)?)))
}

/// The known word that is most like `word`, if one is like it at all.
fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let limit = (word.chars().count() / 3).clamp(1, 3);
    known
        .map(|known| {
            let folded = known.to_lowercase();
            let distance = if word.chars().count() >= 3 && folded.starts_with(&word) {
                0
            } else {
                strsim::osa_distance(&word, &folded)
            };
            (distance, known)
        })
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}
