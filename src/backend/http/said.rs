//! What an endpoint says in an error's body, whatever the form: JSON, problem
//! details, an HTML page, plain text. Always one bounded line.

use serde_json::Value;

use crate::model::Clean;

/// The longest message that is kept, in characters.
const LONGEST: usize = 300;

/// Whether a body is a page for people.
pub fn is_html(content_type: Option<&str>, body: &[u8]) -> bool {
    content_type.is_some_and(|t| t.trim_start().to_ascii_lowercase().starts_with("text/html"))
        || body.trim_ascii_start().first() == Some(&b'<')
}

/// One line of `body` that says what is wrong; `None` if it says nothing.
pub fn message(content_type: Option<&str>, body: &[u8]) -> Option<Clean> {
    let text = String::from_utf8_lossy(body);
    let found = if is_html(content_type, body) {
        element(&text, "pre").or_else(|| element(&text, "title")).or_else(|| element(&text, "h1"))
    } else if let Ok(json) = serde_json::from_str::<Value>(&text) {
        from_json(&json)
    } else {
        Some(text.into_owned())
    };
    let line = short(&found?);
    (!line.is_empty()).then_some(line)
}

/// `text` as one line that is not too long for a message.
pub fn short(text: &str) -> Clean {
    let line = Clean::line(text).split_whitespace().collect::<Vec<_>>().join(" ");
    let mut short: String = line.chars().take(LONGEST).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    Clean::from(short)
}

/// `detail` of problem details, then the usual names.
fn from_json(json: &Value) -> Option<String> {
    match json {
        Value::String(text) => Some(text.clone()),
        Value::Object(map) => ["detail", "error", "message", "title", "reason"].iter().find_map(|name| {
            let value = map.get(*name)?;
            match value {
                Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
                Value::Object(_) => from_json(value),
                _ => None,
            }
        }),
        _ => None,
    }
}

/// The text of the first `<name>` up to its end or its first line break, tags
/// and entities resolved.
fn element(html: &str, name: &str) -> Option<String> {
    let lower = html.to_ascii_lowercase();
    let open = lower.find(&format!("<{name}"))?;
    let start = open + lower[open..].find('>')? + 1;
    let end = lower[start..].find(&format!("</{name}")).map_or(html.len(), |at| start + at);
    // Express prints a stack trace after the message: `message<br> &nbsp; at …`.
    let end = lower[start..end].find("<br").map_or(end, |at| start + at);
    let mut text = String::new();
    let mut in_tag = false;
    for c in html[start..end].chars() {
        match c {
            '<' => in_tag = true,
            '>' if in_tag => in_tag = false,
            c if !in_tag => text.push(c),
            _ => {}
        }
    }
    for (entity, plain) in
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&nbsp;", " "), ("&amp;", "&")]
    {
        text = text.replace(entity, plain);
    }
    let text = text.trim().to_owned();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_form_of_message_is_understood() {
        for (content_type, body, expected) in [
            ("application/json", r#"{"error":"Task nope not found"}"#, Some("Task nope not found")),
            ("application/problem+json", r#"{"type":"x","title":"t","detail":"d","status":404}"#, Some("d")),
            ("application/json", r#"{"error":{"code":3,"message":"deep"}}"#, Some("deep")),
            ("application/json", r#"{"error":"","message":"m"}"#, Some("m")),
            ("application/json", r#"{"n":1}"#, None),
            (
                "text/html; charset=utf-8",
                "<html><title>Error</title><pre>Cannot GET /x</pre>",
                Some("Cannot GET /x"),
            ),
            ("text/html", "<TITLE>503 Service &amp; all</TITLE><h1>x</h1>", Some("503 Service & all")),
            (
                "text/html",
                "<pre>Error: a &lt;b&gt;<br> &nbsp; &nbsp;at f (/srv/x.js:1)</pre>",
                Some("Error: a <b>"),
            ),
            ("text/html", "<html><body></body></html>", None),
            ("text/html", "<pre>never ends", Some("never ends")),
            (
                "application/json",
                "<!DOCTYPE html><pre>Internal Server Error</pre>",
                Some("Internal Server Error"),
            ),
            ("text/plain", "two\nlines \u{1b}[31mred", Some("two lines red")),
            ("text/plain", "", None),
        ] {
            let said = message(Some(content_type), body.as_bytes());
            assert_eq!(said.as_deref(), expected, "{body}");
        }
    }

    #[test]
    fn a_message_is_bounded() {
        let said = message(None, &vec![b'x'; 100_000]).unwrap();
        assert_eq!(said.chars().count(), LONGEST + 1);
    }

    proptest! {
        #[test]
        fn no_body_breaks_it(body in proptest::collection::vec(any::<u8>(), 0..200), html in any::<bool>()) {
            let mut body = body;
            if html {
                body.splice(0..0, *b"<pre>");
            }
            let said = message(None, &body);
            prop_assert!(said.is_none_or(|s| !s.is_empty() && s.chars().count() <= LONGEST + 1));
        }
    }
}
