//! Good JSON, spoiled in one place at a time.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

/// What a terminal would act on, with something readable at its end.
pub const HOSTILE: &str = "\u{1b}]0;owned\u{7}\u{1b}[31m\u{202e}\u{9b}2J\u{0}\u{1b}P1;2q\u{1b}\\=1+1\r\nend";

/// A place in a JSON value. A number stands for an item of a list.
pub type Place = Vec<Step>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Key(String),
    Item(usize),
}

/// One place for each thing that is told: of the items of a list, the first that has it.
pub fn places(value: &Value) -> Vec<Place> {
    let (mut found, mut shapes) = (Vec::new(), Vec::new());
    walk(value, &mut Vec::new(), &mut |place| {
        let shape: Vec<Option<String>> = place
            .iter()
            .map(|step| match step {
                Step::Key(key) => Some(key.clone()),
                Step::Item(_) => None,
            })
            .collect();
        if !shapes.contains(&shape) {
            shapes.push(shape);
            found.push(place.clone());
        }
    });
    found
}

fn walk(value: &Value, place: &mut Place, visit: &mut impl FnMut(&Place)) {
    visit(place);
    let mut inner = |step: Step, value: &Value| {
        place.push(step);
        walk(value, place, visit);
        place.pop();
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| inner(Step::Key(key.clone()), value)),
        Value::Array(items) => items.iter().enumerate().for_each(|(i, value)| inner(Step::Item(i), value)),
        _ => {}
    }
}

fn at<'a>(value: &'a mut Value, place: &Place) -> &'a mut Value {
    place.iter().fold(value, |value, step| match step {
        Step::Key(key) => &mut value[key.as_str()],
        Step::Item(i) => &mut value[i],
    })
}

/// `value` with something else at `place`: everything that it should not be.
pub fn spoiled(value: &Value, place: &Place) -> Vec<Value> {
    let was = at(&mut value.clone(), place).clone();
    let mut others =
        vec![Value::Null, json!({}), json!([null]), json!(true), json!(-1), json!(1e300), json!("")];
    if was.is_string() {
        // Words that nobody has heard of, and times beyond all calendars.
        others.extend(
            ["invented", "9999-12-31T23:59:59Z", "-262143-01-01T00:00:00Z", "1-1-1"].map(Value::from),
        );
        others.push(HOSTILE.into());
        others.push("x".repeat(100_000).into());
    } else {
        others.push("invented".into());
    }
    let with = |other: Value| {
        let mut whole = value.clone();
        *at(&mut whole, place) = other;
        whole
    };
    others.into_iter().filter(|other| *other != was).map(with).collect()
}

/// `value` with every string hostile, the names of things included.
pub fn hostile(value: &Value, keys: bool) -> Value {
    match value {
        Value::String(text) => format!("{HOSTILE}{text}").into(),
        Value::Array(items) => items.iter().map(|item| hostile(item, keys)).collect(),
        Value::Object(map) => {
            let rename = |key: &String| if keys { format!("{key}{HOSTILE}") } else { key.clone() };
            map.iter().map(|(key, value)| (rename(key), hostile(value, keys))).collect::<Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

/// `value` with fields in every object that nobody asked for, but for those under the names in `maps`.
pub fn extended(value: &Value, maps: &[&str]) -> Value {
    match value {
        Value::Array(items) => items.iter().map(|item| extended(item, maps)).collect(),
        Value::Object(map) => {
            let inner = |(key, value): (&String, &Value)| {
                let as_is = maps.contains(&key.as_str());
                (key.clone(), if as_is { value.clone() } else { extended(value, maps) })
            };
            let mut map: Map<String, Value> = map.iter().map(inner).collect();
            map.insert("aNewField".to_owned(), json!({"of": ["a", "later"], "version": 2}));
            map.into()
        }
        other => other.clone(),
    }
}

/// `value` as text, with every key of every object twice: first with nonsense, then as it is.
pub fn twice(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { "," });
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push('{');
            for (i, (key, value)) in map.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { "," });
                write!(out, "{}:[[7]],{}:", json!(key), json!(key)).unwrap();
                write(value, out);
            }
            out.push('}');
        }
        other => write!(out, "{other}").unwrap(),
    }
}

#[test]
fn every_thing_that_is_told_has_one_place() {
    let value = json!({"a": [{"b": 1}, {"b": 2, "c": "x"}]});
    assert_eq!(places(&value).len(), 5, "the whole, a, an item, b, c");
    let all: usize = places(&value).iter().map(|place| spoiled(&value, place).len()).sum();
    assert!(all > 30);
    assert_eq!(twice(&json!({"a": 1})), r#"{"a":[[7]],"a":1}"#);
    let hostile = hostile(&json!({"a": "b"}), true).to_string();
    assert!(hostile.contains("\\u001b") && !hostile.contains("\"a\":"));
}
