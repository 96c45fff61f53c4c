//! Arguments of statements, typed so that a NULL has a type too.

use serde_json::Value;
use sqlx::Arguments;
use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;

use tollgate_rules::time::Timestamp;

use super::{Error, Kind};

/// One argument. Built with `into()`: `&[org_key.into(), name.into()]`.
///
/// Lists become a JSON array (read with `json_each($n)`) on SQLite and an array (read with `UNNEST($n)`) on PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arg {
    /// A whole number, a time in µs, a boolean as 0 or 1; or NULL.
    I64(Option<i64>),
    /// A text or NULL.
    Text(Option<String>),
    /// A list of whole numbers.
    I64s(Vec<Option<i64>>),
    /// A list of texts.
    Texts(Vec<Option<String>>),
}

impl From<i64> for Arg {
    fn from(value: i64) -> Arg {
        Arg::I64(Some(value))
    }
}

impl From<Option<i64>> for Arg {
    fn from(value: Option<i64>) -> Arg {
        Arg::I64(value)
    }
}

impl From<u32> for Arg {
    fn from(value: u32) -> Arg {
        Arg::I64(Some(i64::from(value)))
    }
}

impl From<bool> for Arg {
    fn from(value: bool) -> Arg {
        Arg::I64(Some(i64::from(value)))
    }
}

impl From<Timestamp> for Arg {
    fn from(value: Timestamp) -> Arg {
        Arg::I64(Some(value.as_micros()))
    }
}

impl From<Option<Timestamp>> for Arg {
    fn from(value: Option<Timestamp>) -> Arg {
        Arg::I64(value.map(|at| at.as_micros()))
    }
}

impl From<&str> for Arg {
    fn from(value: &str) -> Arg {
        Arg::Text(Some(value.to_owned()))
    }
}

impl From<String> for Arg {
    fn from(value: String) -> Arg {
        Arg::Text(Some(value))
    }
}

impl From<&String> for Arg {
    fn from(value: &String) -> Arg {
        Arg::Text(Some(value.clone()))
    }
}

impl From<Option<&str>> for Arg {
    fn from(value: Option<&str>) -> Arg {
        Arg::Text(value.map(str::to_owned))
    }
}

impl From<Option<String>> for Arg {
    fn from(value: Option<String>) -> Arg {
        Arg::Text(value)
    }
}

impl From<Vec<i64>> for Arg {
    fn from(values: Vec<i64>) -> Arg {
        Arg::I64s(values.into_iter().map(Some).collect())
    }
}

impl From<Vec<Option<i64>>> for Arg {
    fn from(values: Vec<Option<i64>>) -> Arg {
        Arg::I64s(values)
    }
}

impl From<Vec<String>> for Arg {
    fn from(values: Vec<String>) -> Arg {
        Arg::Texts(values.into_iter().map(Some).collect())
    }
}

impl From<Vec<Option<String>>> for Arg {
    fn from(values: Vec<Option<String>>) -> Arg {
        Arg::Texts(values)
    }
}

/// Many rows as columns, for one multi-row statement.
///
/// On SQLite they become *one* argument `$1`, a JSON array of arrays in row order (`json_each($1)`, then `value->>0`, `value->>1` …);
/// on PostgreSQL one array per column, `UNNEST($1, $2, …)`. All columns must be equally long.
#[derive(Debug, Clone, Default)]
pub struct Columns(Vec<Arg>);

impl Columns {
    /// No columns yet.
    #[must_use]
    pub fn new() -> Columns {
        Columns::default()
    }

    /// Adds a column of whole numbers.
    #[must_use]
    pub fn numbers(mut self, values: Vec<Option<i64>>) -> Columns {
        self.0.push(Arg::I64s(values));
        self
    }

    /// Adds a column of texts.
    #[must_use]
    pub fn texts(mut self, values: Vec<Option<String>>) -> Columns {
        self.0.push(Arg::Texts(values));
        self
    }

    /// The arguments for a database: one on SQLite, one per column on PostgreSQL.
    #[must_use]
    pub fn into_args(self, kind: Kind) -> Vec<Arg> {
        match kind {
            Kind::Postgres => self.0,
            Kind::Sqlite => vec![Arg::Text(Some(self.json_rows()))],
        }
    }

    /// How many rows these are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.0.first().map_or(0, |column| match column {
            Arg::I64s(values) => values.len(),
            Arg::Texts(values) => values.len(),
            Arg::I64(_) | Arg::Text(_) => 0,
        })
    }

    /// The first rows as the arguments of a `VALUES` list of `chunk_rows` rows, as often as they fill one, and the rows that are left.
    #[must_use]
    pub fn into_chunks(self, chunk_rows: usize) -> (Vec<Vec<Arg>>, Columns) {
        let count = self.rows().checked_div(chunk_rows).unwrap_or(0);
        let width = self.0.len();
        let (mut cells, mut rest) = (Vec::with_capacity(width), Vec::with_capacity(width));
        for column in self.0 {
            let (whole, left) = cut(column, count * chunk_rows);
            cells.push(whole);
            rest.push(left);
        }
        let mut row = || cells.iter_mut().filter_map(Iterator::next).collect::<Vec<Arg>>();
        let chunk = |_| (0..chunk_rows).flat_map(|_| row()).collect();
        ((0..count).map(chunk).collect(), Columns(rest))
    }

    fn json_rows(&self) -> String {
        let rows = self.rows();
        let mut json = String::with_capacity(rows.saturating_mul(self.0.len()).saturating_mul(12));
        json.push('[');
        for row in 0..rows {
            json.push_str(if row == 0 { "[" } else { ",[" });
            for (position, column) in self.0.iter().enumerate() {
                if position > 0 {
                    json.push(',');
                }
                push_json(&mut json, column, row);
            }
            json.push(']');
        }
        json.push(']');
        json
    }
}

/// The cells of a column before `at` one by one, and the column from there on.
fn cut(column: Arg, at: usize) -> (Box<dyn Iterator<Item = Arg> + Send>, Arg) {
    match column {
        Arg::I64s(mut values) => {
            let left = values.split_off(at.min(values.len()));
            (Box::new(values.into_iter().map(Arg::I64)), Arg::I64s(left))
        }
        Arg::Texts(mut values) => {
            let left = values.split_off(at.min(values.len()));
            (Box::new(values.into_iter().map(Arg::Text)), Arg::Texts(left))
        }
        one @ (Arg::I64(_) | Arg::Text(_)) => (Box::new(std::iter::empty()), one),
    }
}

fn push_json(json: &mut String, column: &Arg, row: usize) {
    use std::fmt::Write as _;
    match column {
        Arg::I64s(values) => match values.get(row).copied().flatten() {
            Some(value) => {
                let _ = write!(json, "{value}");
            }
            None => json.push_str("null"),
        },
        Arg::Texts(values) => match values.get(row).and_then(Option::as_deref) {
            Some(text) => push_text(json, text),
            None => json.push_str("null"),
        },
        Arg::I64(_) | Arg::Text(_) => json.push_str("null"),
    }
}

/// Most texts (ids, codes) need no escape: this runs for every column of every event.
fn push_text(json: &mut String, text: &str) {
    if text.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        json.push_str(&Value::from(text).to_string());
    } else {
        json.push('"');
        json.push_str(text);
        json.push('"');
    }
}

pub(super) fn sqlite(args: &[Arg]) -> Result<SqliteArguments, Error> {
    let mut bound = SqliteArguments::default();
    for arg in args {
        match arg {
            Arg::I64(value) => bound.add(*value),
            Arg::Text(value) => bound.add(value.as_deref()),
            Arg::I64s(values) => bound.add(Value::from_iter(values.iter().copied()).to_string()),
            Arg::Texts(values) => bound.add(Value::from_iter(values.iter().cloned()).to_string()),
        }
        .map_err(|cause| Error::Bug(format!("binding an argument: {cause}")))?;
    }
    Ok(bound)
}

pub(super) fn postgres(args: &[Arg]) -> Result<PgArguments, Error> {
    let mut bound = PgArguments::default();
    for arg in args {
        match arg {
            Arg::I64(value) => bound.add(*value),
            Arg::Text(value) => bound.add(value.as_deref()),
            Arg::I64s(values) => bound.add(values),
            Arg::Texts(values) => bound.add(values),
        }
        .map_err(|cause| Error::Bug(format!("binding an argument: {cause}")))?;
    }
    Ok(bound)
}

#[cfg(test)]
mod tests {
    use super::{Arg, Columns};

    #[test]
    fn rows_are_cut_into_whole_chunks_and_the_rest() {
        let columns = Columns::new()
            .numbers((0..5).map(Some).collect())
            .texts(["a", "b", "c", "d", "e"].map(|text| Some(text.to_owned())).into());
        let (chunks, rest) = columns.into_chunks(2);
        let row = |number: i64, text: &str| [Arg::from(number), Arg::from(text)];
        assert_eq!(chunks, [[row(0, "a"), row(1, "b")].concat(), [row(2, "c"), row(3, "d")].concat()]);
        assert_eq!((rest.rows(), rest.json_rows().as_str()), (1, "[[4,\"e\"]]"));
    }
}
