//! `.env.local`: one `NAME=value` per line, `#` for comments, an optional `export`, values plain or in quotes.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use crate::failure::Failure;

/// Reads the file; one that is not there is empty.
///
/// # Errors
/// It cannot be read, or a line is not an assignment.
pub(super) fn read(path: &Path) -> Result<BTreeMap<String, String>, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(Failure::usage(format!(".env.local cannot be read: {error}"))),
    }
}

fn parse(text: &str) -> Result<BTreeMap<String, String>, Failure> {
    let mut values = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let assignment = line.strip_prefix("export ").unwrap_or(line);
        let Some((name, value)) = assignment.split_once('=') else {
            return Err(Failure::usage(format!(".env.local, line {}: not of the form NAME=value", number + 1))
                .remedy("Write one assignment per line; put # before a comment."));
        };
        values.insert(name.trim().to_owned(), unquoted(value.trim()).to_owned());
    }
    Ok(values)
}

fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return inner;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn assignments_may_be_quoted_exported_and_commented() {
        let values = parse("# keys\nA=1\n export B = \"two words\"\nC='x=y'\n\nD=\n").unwrap();
        let pairs: Vec<(&str, &str)> = values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("A", "1"), ("B", "two words"), ("C", "x=y"), ("D", "")]);
    }

    #[test]
    fn a_line_that_is_no_assignment_is_named() {
        let failure = parse("A=1\nnonsense\n").unwrap_err();
        assert!(failure.what.contains("line 2"), "{failure}");
    }
}
