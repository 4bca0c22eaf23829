//! `NAME=VALUE` lines, as `.env` files have them: comments, `export`, single
//! quotes (as it stands), double quotes (`\n`, `\t`, `\r`, `\\`, `\"`, `\$`),
//! quoted values over several lines. Nothing is expanded.

use std::collections::BTreeMap;
use std::str::Chars;

use secrecy::{SecretString, zeroize::Zeroizing};

/// Reads them, in their order.
///
/// # Errors
/// Every line that is wrong, by its number; never what stands there.
pub(super) fn parse(text: &str) -> Result<Vec<(String, SecretString)>, Vec<String>> {
    let mut values = Vec::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut problems = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let number = text[..text.len() - rest.len()].matches('\n').count() + 1;
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            rest = after;
            continue;
        }
        match pair(rest) {
            Ok((name, value, left)) => {
                rest = left;
                match seen.insert(name.clone(), number) {
                    Some(first) => problems.push(format!("line {number}: {name} is on line {first} already")),
                    None => values.push((name, value)),
                }
            }
            Err(why) => {
                problems.push(format!("line {number}: {why}"));
                rest = after;
            }
        }
    }
    if problems.is_empty() { Ok(values) } else { Err(problems) }
}

/// The pair that `text` begins with, and what follows its line.
fn pair(text: &str) -> Result<(String, SecretString, &str), &'static str> {
    let start = text.trim_start_matches([' ', '\t']);
    let start = start.strip_prefix("export ").unwrap_or(start).trim_start_matches([' ', '\t']);
    let line_end = start.find('\n').unwrap_or(start.len());
    let (name, _) = start[..line_end].split_once('=').ok_or("it is not NAME=VALUE")?;
    let value = start[name.len() + 1..].trim_start_matches([' ', '\t']);
    let name = name.trim_end();
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name {
        return Err("the name must have letters, digits and `_`, and not begin with a digit");
    }
    let (value, rest) = match value.chars().next() {
        Some('\'') => single(&value[1..])?,
        Some('"') => double(&value[1..])?,
        _ => bare(value),
    };
    Ok((name.to_owned(), SecretString::from(value.as_str()), rest))
}

/// Up to the line's end, or to a comment.
fn bare(text: &str) -> (Zeroizing<String>, &str) {
    let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
    let end = line.find(" #").or_else(|| line.find("\t#")).unwrap_or(line.len());
    (Zeroizing::new(line[..end].trim().to_owned()), rest)
}

fn single(text: &str) -> Result<(Zeroizing<String>, &str), &'static str> {
    let (value, rest) = text.split_once('\'').ok_or(UNENDED)?;
    Ok((Zeroizing::new(value.to_owned()), after(rest)?))
}

fn double(text: &str) -> Result<(Zeroizing<String>, &str), &'static str> {
    let mut value = Zeroizing::new(String::with_capacity(text.len()));
    let mut chars: Chars<'_> = text.chars();
    loop {
        match chars.next().ok_or(UNENDED)? {
            '"' => return Ok((value, after(chars.as_str())?)),
            '\\' => match chars.next().ok_or(UNENDED)? {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                c @ ('\\' | '"' | '$') => value.push(c),
                c => value.extend(['\\', c]),
            },
            c => value.push(c),
        }
    }
}

const UNENDED: &str = "the quote is never closed";

/// What follows the line on which a quote was closed.
fn after(text: &str) -> Result<&str, &'static str> {
    let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        Ok(rest)
    } else {
        Err("something follows the closed quote")
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn lines_are_read_as_env_files_have_them() {
        let text = "# a comment\n\
                    PLAIN=hunter2 # the old one\n\
                    \n  export SPACED = with spaces  \r\n\
                    HASH=a#b\n\
                    SINGLE='as $it \\n \"is\"' # here\n\
                    DOUBLE=\"two\\nlines \\\"q\\\" \\$x \\d\"\n\
                    KEY=\"-----BEGIN\nMIIE\n-----END\n\"\n\
                    EMPTY=\n\
                    LAST=x=y";
        let read: Vec<(String, String)> = parse(text)
            .unwrap()
            .into_iter()
            .map(|(name, value)| (name, value.expose_secret().to_owned()))
            .collect();
        let wanted = [
            ("PLAIN", "hunter2"),
            ("SPACED", "with spaces"),
            ("HASH", "a#b"),
            ("SINGLE", "as $it \\n \"is\""),
            ("DOUBLE", "two\nlines \"q\" $x \\d"),
            ("KEY", "-----BEGIN\nMIIE\n-----END\n"),
            ("EMPTY", ""),
            ("LAST", "x=y"),
        ];
        let wanted: Vec<(String, String)> =
            wanted.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        assert_eq!(read, wanted);
    }

    #[test]
    fn every_wrong_line_is_named_and_none_is_shown() {
        let text = "A=1\nhunter2\n1B=hunter2\nA=hunter2\nC='x' hunter2\nD='hunter2\nE=1";
        let problems = parse(text).unwrap_err();
        let shown = problems.join("\n");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert_eq!(
            problems,
            [
                "line 2: it is not NAME=VALUE",
                "line 3: the name must have letters, digits and `_`, and not begin with a digit",
                "line 4: A is on line 1 already",
                "line 5: something follows the closed quote",
                "line 6: the quote is never closed",
            ]
        );
    }
}
