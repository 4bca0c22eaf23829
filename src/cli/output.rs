//! The three forms of output: aligned text for people, JSON, CSV.

use serde::Serialize;
use serde_json::Value;
use unicode_width::UnicodeWidthStr as _;

use super::Failure;

/// Pretty JSON with a final line break.
///
/// # Errors
/// Never in practice: the reports have string keys only.
pub fn json<T: Serialize>(value: &T) -> Result<String, Failure> {
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::refused(format!("the answer can't be written as JSON: {error}")))?;
    text.push('\n');
    Ok(text)
}

/// CSV of the values that the JSON has, nested names joined by dots. `sample`
/// alone decides on the columns; a value whose shape it leaves open is JSON in
/// its cell.
///
/// # Errors
/// Never in practice, as for [`json`].
pub fn csv<T: Serialize>(rows: &[T], sample: &T) -> Result<String, Failure> {
    let broken = |error: &dyn std::fmt::Display| {
        Failure::refused(format!("the answer can't be written as CSV: {error}"))
    };
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut columns = Vec::new();
    columns_of(&[], &serde_json::to_value(sample).map_err(|e| broken(&e))?, &mut columns);
    writer.write_record(columns.iter().map(|path| path.join("."))).map_err(|e| broken(&e))?;
    for row in rows {
        let row = serde_json::to_value(row).map_err(|e| broken(&e))?;
        let at = |path: &Vec<String>| path.iter().try_fold(&row, |value, name| value.get(name));
        let cells = columns.iter().map(|path| at(path).map_or_else(String::new, cell));
        writer.write_record(cells).map_err(|e| broken(&e))?;
    }
    let bytes = writer.into_inner().map_err(|e| broken(&e))?;
    String::from_utf8(bytes).map_err(|e| broken(&e))
}

/// The ways to the leaves of an object; arrays and empty objects are leaves.
fn columns_of(path: &[String], value: &Value, columns: &mut Vec<Vec<String>>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, member) in members {
                columns_of(&[path, std::slice::from_ref(name)].concat(), member, columns);
            }
        }
        _ => columns.push(path.to_vec()),
    }
}

/// A value as a cell.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => csv_text(text),
        other => other.to_string(),
    }
}

/// A text as a cell of a CSV: one that a spreadsheet would take for a formula is quoted with `'`.
#[must_use]
pub fn csv_text(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

/// How a column of a text table is aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers and durations.
    Right,
}

/// Columns aligned by display width, two spaces between, no trailing space.
#[must_use]
pub fn table(header: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = header.iter().map(|(title, _)| title.width()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    let mut out = String::new();
    let titles: Vec<String> = header.iter().map(|(title, _)| (*title).to_owned()).collect();
    for row in std::iter::once(&titles).chain(rows) {
        let mut line = String::new();
        for ((cell, width), (_, align)) in row.iter().zip(&widths).zip(header) {
            let pad = " ".repeat(width - cell.width());
            match align {
                Align::Left => line.extend([cell.as_str(), &pad]),
                Align::Right => line.extend([pad.as_str(), cell]),
            }
            line.push_str("  ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Default)]
    struct Row {
        name: &'static str,
        nested: Nested,
        list: Option<[u8; 2]>,
        free: std::collections::BTreeMap<&'static str, u8>,
    }

    #[derive(Serialize, Default)]
    struct Nested {
        count: Option<i32>,
    }

    #[test]
    fn csv_has_a_header_and_no_formulas() {
        let rows = [
            Row { name: "=cmd()", nested: Nested { count: Some(-1) }, list: Some([1, 2]), ..Row::default() },
            Row { name: "a,\"b\"", free: [("x", 1)].into(), ..Row::default() },
        ];
        let text = csv(&rows, &Row::default()).unwrap();
        let lines =
            ["name,nested.count,list,free", "'=cmd(),-1,\"[1,2]\",{}", r#""a,""b""",,,"{""x"":1}""#, ""];
        assert_eq!(text, lines.join("\n"));
        assert_eq!(csv::<Row>(&[], &Row::default()).unwrap(), "name,nested.count,list,free\n");
    }

    #[test]
    fn what_the_sample_does_not_have_moves_no_column() {
        let rows = [serde_json::json!({"a": 1, "x": {"new": 2, "known": 3}, "b": 4})];
        let sample = serde_json::json!({"a": null, "x": {"known": null}, "b": null});
        assert_eq!(csv(&rows, &sample).unwrap(), "a,x.known,b\n1,3,4\n");
    }

    #[test]
    fn tables_align_by_width() {
        let text = table(
            &[("NAME", Align::Left), ("N", Align::Right)],
            &[vec!["é".into(), "1".into()], vec!["long name".into(), "100".into()]],
        );
        assert_eq!(text, "NAME         N\né            1\nlong name  100\n");
    }
}
