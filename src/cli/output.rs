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
/// gives the header, so that an empty table has it too.
///
/// # Errors
/// Never in practice, as for [`json`].
pub fn csv<T: Serialize>(rows: &[T], sample: &T) -> Result<String, Failure> {
    let broken = |error: &dyn std::fmt::Display| {
        Failure::refused(format!("the answer can't be written as CSV: {error}"))
    };
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut names = Vec::new();
    flatten("", &serde_json::to_value(sample).map_err(|e| broken(&e))?, &mut |name, _| {
        names.push(name.to_owned());
    });
    writer.write_record(&names).map_err(|e| broken(&e))?;
    for row in rows {
        let mut cells = Vec::with_capacity(names.len());
        let value = serde_json::to_value(row).map_err(|e| broken(&e))?;
        flatten("", &value, &mut |_, value| cells.push(cell(value)));
        writer.write_record(&cells).map_err(|e| broken(&e))?;
    }
    let bytes = writer.into_inner().map_err(|e| broken(&e))?;
    String::from_utf8(bytes).map_err(|e| broken(&e))
}

/// Walks the leaves of an object; arrays are leaves.
fn flatten(prefix: &str, value: &Value, leaf: &mut dyn FnMut(&str, &Value)) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                flatten(&path, member, leaf);
            }
        }
        other => leaf(prefix, other),
    }
}

/// A value as a cell. A text that a spreadsheet would take for a formula is quoted with `'`.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => format!("'{text}"),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
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
    }

    #[derive(Serialize, Default)]
    struct Nested {
        count: Option<i32>,
    }

    #[test]
    fn csv_has_a_header_and_no_formulas() {
        let rows = [
            Row { name: "=cmd()", nested: Nested { count: Some(-1) }, list: Some([1, 2]) },
            Row { name: "a,\"b\"", ..Row::default() },
        ];
        let text = csv(&rows, &Row::default()).unwrap();
        assert_eq!(text, "name,nested.count,list\n'=cmd(),-1,\"[1,2]\"\n\"a,\"\"b\"\"\",,\n");
        assert_eq!(csv::<Row>(&[], &Row::default()).unwrap(), "name,nested.count,list\n");
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
