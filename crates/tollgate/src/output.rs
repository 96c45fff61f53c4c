//! What a command prints: data on stdout, as lines for people or as one JSON object; messages on stderr.

use std::io::{self, Write};

use serde_json::Value;

/// How data is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Lines for people.
    Text,
    /// One JSON object.
    Json,
}

impl Format {
    /// Prints the data: as JSON, or as the text made from it.
    pub(crate) fn print(self, data: &Value, text: impl FnOnce(&Value) -> String) {
        match self {
            Format::Json => data_line(&data.to_string()),
            Format::Text => data_line(text(data).trim_end_matches('\n')),
        }
    }
}

/// Writes one piece of data to stdout. A reader that went away (`| head`) is no failure of ours.
pub(crate) fn data_line(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Writes one message to stderr.
pub(crate) fn message(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// The text of a field, whatever its type; empty when it is null or missing.
pub(crate) fn field(data: &Value, name: &str) -> String {
    match data.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Rows in aligned columns below their titles.
pub(crate) fn table(titles: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(titles.get(column).map(|title| title.chars().count())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..titles.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(&mut titles.iter().copied())];
    lines.extend(rows.iter().map(|row| line(&mut row.iter().map(String::as_str))));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec![String::from("key_1"), String::from("a")], vec![String::from("k"), String::from("bb")]];
        assert_eq!(super::table(&["KEY", "NAME"], &rows), "KEY    NAME\nkey_1  a\nk      bb");
    }
}
