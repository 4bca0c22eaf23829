use super::*;
use std::time::Duration;

/// Asks for a value only to have its problem recorded.
fn ask<T>(_: T) {}

/// What reading `text` as `read` does finds wrong.
fn problems(text: &str, read: impl Fn(Table<'_>)) -> Vec<String> {
    match Document::parse(text) {
        Ok(document) => {
            read(document.root());
            document.into_problems().iter().map(ToString::to_string).collect()
        }
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn every_syntax_error_names_its_line() {
    let found = problems("a = 1\nb = \nc = 3\nd = [1,\n", |_| ());
    assert!(found.len() >= 2, "{found:?}");
    assert!(found[0].starts_with("line 2: "), "{found:?}");
    let found = problems("a = 1\nb = 2\n\na = 3\n", |_| ());
    assert_eq!(found, ["line 4: duplicate key"]);
}

#[test]
fn values_are_read() {
    let text = r#"
word = "confirm"
yes = true
count = 0x10
ratio = 2
wait = "1h30m"
list = ["a", "b"]
labels = { env = "prod", "a b" = "x" }
[[row]]
id = 1
[[row]]
id = 2
[row.sub]
x = 1
"#;
    let document = Document::parse(text).unwrap();
    let root = document.root();
    assert_eq!(
        root.word::<crate::model::Guard>("word", ["none", "confirm"]),
        Some(crate::model::Guard::Confirm)
    );
    assert_eq!(root.bool("yes"), Some(true));
    assert_eq!(root.integer("count", 0..=16), Some(16));
    assert_eq!(root.number("ratio", 1.0..=3.0), Some(2.0));
    assert_eq!(root.duration("wait"), Some(Duration::from_secs(5400)));
    assert_eq!(root.strings("list"), Some(vec!["a".into(), "b".into()]));
    let labels = root.string_map("labels").unwrap();
    assert_eq!(labels, [("a b".into(), "x".into()), ("env".into(), "prod".into())]);
    let rows = root.tables("row");
    assert_eq!(rows.iter().map(Table::line).collect::<Vec<_>>(), [9, 11]);
    assert_eq!(rows[1].path(), "row[1]");
    assert_eq!(rows[1].integer("id", 1..=9), Some(2));
    assert_eq!(rows[1].table("sub").unwrap().get("x").unwrap().path(), "row[1].sub.x");
    assert_eq!(rows[0].need("id").unwrap().line(), 10);
    assert_eq!(root.string("absent"), None);
    root.finish();
    assert_eq!(document.into_problems(), []);
}

/// One wrong line of a document, and what is said of it.
#[test]
fn what_is_wrong_is_said_where_it_is() {
    type Read = fn(Table<'_>);
    let table: &[(&str, Read, &str)] = &[
        ("x = 1", |t| ask(t.string("x")), "line 1: x: must be a string, not a whole number"),
        ("\nx = 'no'", |t| ask(t.bool("x")), "line 2: x: must be true or false, not a string"),
        ("x = 9", |t| ask(t.integer("x", 1..=5)), "line 1: x: must be a whole number from 1 to 5, not 9"),
        (
            "x = 99999999999999999999",
            |t| ask(t.integer("x", 1..=5)),
            "line 1: x: must be a whole number from 1 to 5, not 99999999999999999999",
        ),
        ("x = nan", |t| ask(t.number("x", 0.0..=1.0)), "line 1: x: must be a number from 0 to 1, not nan"),
        (
            "x = '10'",
            |t| ask(t.duration("x")),
            "line 1: x: \"10\" is not a duration: write 90s, 10m, 1h30m, 2d or 500ms",
        ),
        (
            "x = 10",
            |t| ask(t.duration("x")),
            "line 1: x: must be a duration such as \"10m\", not a whole number",
        ),
        (
            "x = '50ms'",
            |t| {
                let range = Duration::from_millis(100)..=Duration::from_secs(60);
                ask(t.get("x").unwrap().duration_within(range));
            },
            "line 1: x: must be from 100ms to 1m",
        ),
        ("x = [\n'a',\n2]", |t| ask(t.strings("x")), "line 3: x[1]: must be a string, not a whole number"),
        ("x = 'a'", |t| ask(t.strings("x")), "line 1: x: must be a list of strings, not a string"),
        (
            "x = 'confrm'",
            |t| ask(t.word::<crate::model::Guard>("x", ["none", "confirm"])),
            "line 1: x: \"confrm\" is not one of none, confirm; did you mean \"confirm\"?",
        ),
        ("x = 1", |t| ask(t.table("x")), "line 1: x: must be a table, not a whole number"),
        ("[x]", |t| ask(t.tables("x")), "line 1: x: must be a list of tables: write [[x]], not [x]"),
        ("x = [{}, 3]", |t| ask(t.tables("x")), "line 1: x[1]: must be a table, not a whole number"),
        ("", |t| ask(t.need("name")), "line 1: \"name\" is missing"),
        (
            "a = 1\ntheem = 'x'",
            |t| {
                t.know(&["theme", "a"]);
                t.finish();
            },
            "line 2: theem: unknown key; did you mean \"theme\"?",
        ),
        (
            "[[r]]\n'a b' = 1",
            |t| t.tables("r").into_iter().for_each(Table::finish),
            "line 2: r[0].\"a b\": unknown key",
        ),
    ];
    for (text, read, said) in table {
        assert_eq!(problems(text, read), [*said], "{text:?}");
    }
}

#[test]
fn problems_come_in_the_order_of_lines() {
    let found = problems("z = 1\ny = 2\nx = 3", |t| {
        ask(t.string("x"));
        ask(t.string("z"));
        t.finish();
    });
    let lines: Vec<&str> = found.iter().map(|said| &said[..6]).collect();
    assert_eq!(lines, ["line 1", "line 2", "line 3"]);
}

#[test]
fn the_nearest_name() {
    let names = ["theme", "endpoint", "read_only", "priority", "ascii", "k"];
    for (word, near) in [
        ("theem", Some("theme")),
        ("Theme", Some("theme")),
        ("endpoints", Some("endpoint")),
        ("read-only", Some("read_only")),
        ("prio", Some("priority")),
        ("x", None),
        ("colour", None),
        ("", None),
    ] {
        assert_eq!(nearest(word, names), near, "{word}");
    }
}
