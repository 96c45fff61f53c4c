//! A TOML table that knows its place: every refusal names the line, the field and the fix, and no key goes unread.

use super::CatalogError;
use std::collections::BTreeSet;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Turns a byte offset into a line.
pub(super) struct Source<'a> {
    text: &'a str,
}

impl<'a> Source<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text }
    }

    fn line(&self, offset: usize) -> usize {
        let upto = self.text.len().min(offset);
        self.text.as_bytes()[..upto].iter().filter(|byte| **byte == b'\n').count() + 1
    }

    /// Reads the whole text as a table.
    pub(super) fn parse(&self) -> Result<Spanned<DeTable<'a>>, CatalogError> {
        DeTable::parse(self.text).map_err(|error| CatalogError {
            line: self.line(error.span().map_or(0, |span| span.start)),
            field: "plans.toml".to_owned(),
            message: format!("not TOML: {}", error.message()),
        })
    }
}

/// A value and where it stands.
#[derive(Clone)]
pub(super) struct Value<'a> {
    source: &'a Source<'a>,
    path: String,
    offset: usize,
    value: &'a DeValue<'a>,
}

impl<'a> Value<'a> {
    /// A refusal of this value.
    pub(super) fn refuse(&self, message: impl Into<String>) -> CatalogError {
        CatalogError { line: self.source.line(self.offset), field: self.path.clone(), message: message.into() }
    }

    pub(super) fn table(&self) -> Result<Table<'a>, CatalogError> {
        match self.value {
            DeValue::Table(table) => Ok(Table::new(self.source, self.path.clone(), self.offset, table)),
            _ => Err(self.refuse("expected a table")),
        }
    }

    /// The tables of an array of tables (`[[plan]]`).
    pub(super) fn tables(&self) -> Result<Vec<Table<'a>>, CatalogError> {
        let DeValue::Array(array) = self.value else {
            return Err(
                self.refuse("expected an array of tables; write the header with two brackets, such as [[plan]]")
            );
        };
        array
            .iter()
            .map(|item| Value {
                source: self.source,
                path: self.path.clone(),
                offset: item.span().start,
                value: item.get_ref(),
            })
            .map(|item| item.table())
            .collect()
    }

    /// The texts of an array (`["starter", "growth"]`).
    pub(super) fn texts(&self) -> Result<Vec<Value<'a>>, CatalogError> {
        let DeValue::Array(array) = self.value else { return Err(self.refuse("expected a list of texts")) };
        let place = |item: &'a Spanned<DeValue<'a>>| Value {
            source: self.source,
            path: self.path.clone(),
            offset: item.span().start,
            value: item.get_ref(),
        };
        Ok(array.iter().map(place).collect())
    }

    pub(super) fn text(&self) -> Result<&'a str, CatalogError> {
        match self.value {
            DeValue::String(text) if !text.trim().is_empty() && text.len() <= 200 => Ok(text),
            DeValue::String(_) => Err(self.refuse("write 1 to 200 bytes of text")),
            _ => Err(self.refuse("expected text in quotes")),
        }
    }

    pub(super) fn boolean(&self) -> Result<bool, CatalogError> {
        match self.value {
            DeValue::Boolean(value) => Ok(*value),
            _ => Err(self.refuse("expected true or false")),
        }
    }

    /// A whole number from `least` to `most`.
    pub(super) fn number(&self, least: i64, most: i64) -> Result<i64, CatalogError> {
        let number = match self.value {
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix()).ok(),
            DeValue::Float(_) => {
                return Err(self.refuse("expected a whole number: amounts are minor units, never fractions"));
            }
            _ => return Err(self.refuse("expected a whole number")),
        };
        number
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| self.refuse(format!("expected a whole number from {least} to {most}")))
    }

    /// Whether it is text, so that a field can be a word or a number.
    pub(super) const fn is_text(&self) -> bool {
        matches!(self.value, DeValue::String(_))
    }

    /// Whether it is true or false.
    pub(super) const fn is_boolean(&self) -> bool {
        matches!(self.value, DeValue::Boolean(_))
    }
}

/// A table whose keys are taken one by one; [`Table::finish`] refuses what nobody took.
pub(super) struct Table<'a> {
    source: &'a Source<'a>,
    path: String,
    offset: usize,
    table: &'a DeTable<'a>,
    known: BTreeSet<&'static str>,
}

impl<'a> Table<'a> {
    pub(super) const fn new(source: &'a Source<'a>, path: String, offset: usize, table: &'a DeTable<'a>) -> Self {
        Self { source, path, offset, table, known: BTreeSet::new() }
    }

    /// A refusal of the table as a whole.
    pub(super) fn refuse(&self, message: impl Into<String>) -> CatalogError {
        CatalogError { line: self.source.line(self.offset), field: self.path.clone(), message: message.into() }
    }

    /// Names the table by what it holds, once that is known (`plan` becomes `plan.starter`).
    pub(super) fn rename(&mut self, path: String) {
        self.path = path;
    }

    /// Takes the value of a key, if it is there.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.known.insert(key);
        self.entries().into_iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// Takes the value of a key that must be there.
    pub(super) fn need(&mut self, key: &'static str) -> Result<Value<'a>, CatalogError> {
        self.take(key).ok_or_else(|| self.refuse(format!("`{key}` is missing")))
    }

    /// Every key with its value: for tables whose keys are the operator's own.
    pub(super) fn entries(&self) -> Vec<(&'a str, Value<'a>)> {
        let mut entries: Vec<_> = self
            .table
            .iter()
            .map(|(key, value)| {
                let name: &'a str = key.get_ref();
                let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
                (name, Value { source: self.source, path, offset: key.span().start, value: value.get_ref() })
            })
            .collect();
        entries.sort_by_key(|(_, value)| value.offset);
        entries
    }

    /// Refuses the first key that nobody took.
    pub(super) fn finish(self) -> Result<(), CatalogError> {
        let stranger = self.entries().into_iter().find(|(name, _)| !self.known.contains(name));
        match stranger {
            None => Ok(()),
            Some((_, value)) => {
                let known: Vec<&str> = self.known.iter().copied().collect();
                Err(value.refuse(format!("no such key here; known are {}", known.join(", "))))
            }
        }
    }
}
