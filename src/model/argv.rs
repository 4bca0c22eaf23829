//! A command as one line, for people who type and read it: words as a shell
//! splits them, with its quotes, and nothing else of a shell.

use std::fmt::Write as _;

/// What a shell would not take as it stands. Refused unquoted: whoever types it means a shell.
const FOR_A_SHELL: &str = "|&;<>()$`*?";

/// Splits a line into words. Blanks part them; `'…'` is taken as it stands,
/// `"…"` too but for `\"`, `\\`, `\$` and `` \` ``; `\` takes the next character
/// as it stands; in `$'…'` there are `\n`, `\t`, `\r`, `\e`, `\\`, `\'`, `\"`,
/// `\uXXXX` and `\UXXXXXXXX`. Nothing is expanded.
///
/// # Errors
/// A quote that is never closed, an escape that is none, or what only a shell
/// can do, in words.
pub fn split_words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '\'' => quoted(&mut rest, word.get_or_insert_default())?,
            '"' => double_quoted(&mut rest, word.get_or_insert_default())?,
            '$' if rest.peek() == Some(&'\'') => {
                rest.next();
                escaped(&mut rest, word.get_or_insert_default())?;
            }
            '\\' => {
                let next = rest.next().ok_or("it ends with a backslash")?;
                word.get_or_insert_default().push(next);
            }
            c if FOR_A_SHELL.contains(c) || (c == '~' && word.is_none()) => {
                return Err(format!("{c} is for a shell: quote it, or have a shell run the line"));
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    match words.iter().find(|word| word.contains('\0')) {
        Some(_) => Err("a word can't hold a NUL character".to_owned()),
        None => Ok(words),
    }
}

type Rest<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn never_closed(quote: &str) -> String {
    format!("the quote {quote} is never closed")
}

fn quoted(rest: &mut Rest<'_>, word: &mut String) -> Result<(), String> {
    loop {
        match rest.next().ok_or_else(|| never_closed("'"))? {
            '\'' => return Ok(()),
            c => word.push(c),
        }
    }
}

fn double_quoted(rest: &mut Rest<'_>, word: &mut String) -> Result<(), String> {
    loop {
        match rest.next().ok_or_else(|| never_closed("\""))? {
            '"' => return Ok(()),
            '\\' => match rest.next().ok_or_else(|| never_closed("\""))? {
                c @ ('"' | '\\' | '$' | '`') => word.push(c),
                c => word.extend(['\\', c]),
            },
            c => word.push(c),
        }
    }
}

fn escaped(rest: &mut Rest<'_>, word: &mut String) -> Result<(), String> {
    loop {
        let c = match rest.next().ok_or_else(|| never_closed("$'"))? {
            '\'' => return Ok(()),
            '\\' => match rest.next().ok_or_else(|| never_closed("$'"))? {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                'e' => '\u{1b}',
                c @ ('\\' | '\'' | '"') => c,
                'u' => code_point(rest, 4)?,
                'U' => code_point(rest, 8)?,
                c => return Err(format!("\\{c} is no escape that is known here")),
            },
            c => c,
        };
        word.push(c);
    }
}

/// A character by so many hexadecimal digits.
fn code_point(rest: &mut Rest<'_>, digits: usize) -> Result<char, String> {
    let text: String = std::iter::from_fn(|| rest.next_if(char::is_ascii_hexdigit)).take(digits).collect();
    let code = u32::from_str_radix(&text, 16).ok().filter(|_| text.len() == digits);
    code.and_then(char::from_u32).ok_or_else(|| format!("\\u{text} is no character: it has {digits} digits"))
}

/// The line that [`split_words`] splits into `words`; shells do too.
#[must_use]
pub fn join_words<S: AsRef<str>>(words: &[S]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| quote(word.as_ref())).collect();
    quoted.join(" ")
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=,@%+^".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    // What does not survive a screen is spelled out.
    let spelled = |c: char| !(' '..='~').contains(&c) && !c.is_alphanumeric();
    if !word.chars().any(spelled) {
        return format!("'{}'", word.replace('\'', r"'\''"));
    }
    let mut text = "$'".to_owned();
    for c in word.chars() {
        match c {
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\\' | '\'' => text.extend(['\\', c]),
            c if spelled(c) => {
                let code = u32::from(c);
                // Writing to a text can't fail.
                let _ =
                    if code > 0xffff { write!(text, "\\U{code:08x}") } else { write!(text, "\\u{code:04x}") };
            }
            c => text.push(c),
        }
    }
    text.push('\'');
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Clean, MAX_LINE};

    #[test]
    fn words_are_split_as_a_shell_splits_them() {
        for (line, words) in [
            ("", vec![]),
            ("  pg_dump  -Fc\tshop ", vec!["pg_dump", "-Fc", "shop"]),
            ("a 'b c' \"d 'e'\" f\\ g", vec!["a", "b c", "d 'e'", "f g"]),
            ("x='1 2'3 ''", vec!["x=1 23", ""]),
            (r#""\$A \` \" \\ \n""#, vec!["$A ` \" \\ \\n"]),
            (r"$'a\tb\n\u00e9\'' '$HOME' a~", vec!["a\tb\né'", "$HOME", "a~"]),
        ] {
            assert_eq!(split_words(line).unwrap(), words, "{line}");
        }
        for (line, why) in [
            ("'a", "' is never closed"),
            ("\"a\\", "\" is never closed"),
            ("$'a", "$' is never closed"),
            ("a\\", "ends with a backslash"),
            ("dump | gzip", "| is for a shell"),
            ("echo $HOME", "$ is for a shell"),
            ("ls *.sql", "* is for a shell"),
            ("~/bin/x", "~ is for a shell"),
            (r"$'\q'", "no escape"),
            (r"$'\u12'", "4 digits"),
            (r"$'\u0000'", "NUL"),
        ] {
            let said = split_words(line).unwrap_err();
            assert!(said.contains(why), "{line}: {said}");
        }
    }

    proptest! {
        #[test]
        fn what_is_joined_is_split_again_and_can_be_shown(words in prop::collection::vec("[^\0]{0,12}", 0..6)) {
            let line = join_words(&words);
            prop_assert_eq!(split_words(&line).unwrap(), words);
            prop_assert!(line.chars().count() > MAX_LINE || Clean::line(&line).as_str() == line);
        }
    }
}
