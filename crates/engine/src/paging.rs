//! Pages of lists: newest first, an opaque cursor, a bounded size.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// What part of a list is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paging {
    limit: i64,
    after: Option<String>,
}

/// A cursor that is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this cursor was not given by this list")]
pub struct BadCursor;

/// Why a list cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The cursor was not given by this list.
    #[error(transparent)]
    BadCursor(#[from] BadCursor),
    /// The database does not answer, or a bug.
    #[error(transparent)]
    Database(#[from] crate::db::Error),
}

impl Default for Paging {
    fn default() -> Paging {
        Paging { limit: 20, after: None }
    }
}

impl Paging {
    /// A page of `limit` rows (1 to 200; outside is clamped) after an opaque cursor.
    ///
    /// # Errors
    /// [`BadCursor`] when the cursor was not made by a list of ours.
    pub fn new(limit: Option<i64>, cursor: Option<&str>) -> Result<Paging, BadCursor> {
        let after = cursor.map(decode).transpose()?;
        Ok(Paging { limit: limit.unwrap_or(20).clamp(1, 200), after })
    }

    /// Rows to read: one more than the page, to know whether there is a next one.
    #[must_use]
    pub fn fetch(&self) -> i64 {
        self.limit + 1
    }

    /// Where the last page ended, as text.
    #[must_use]
    pub fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// Where the last page ended, as a number.
    ///
    /// # Errors
    /// [`BadCursor`] when it is not a number.
    pub fn after_number(&self) -> Result<Option<i64>, BadCursor> {
        self.after.as_deref().map(|text| text.parse().map_err(|_| BadCursor)).transpose()
    }

    /// Makes the page from up to [`Paging::fetch`] rows; `key` is what the next page starts after.
    pub fn page<T>(&self, mut rows: Vec<T>, key: impl Fn(&T) -> String) -> Page<T> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = if more { rows.last().map(|row| URL_SAFE_NO_PAD.encode(key(row))) } else { None };
        Page { items: rows, next }
    }
}

/// One page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows, newest first.
    pub items: Vec<T>,
    /// The cursor of the next page; none on the last.
    pub next: Option<String>,
}

fn decode(cursor: &str) -> Result<String, BadCursor> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| BadCursor)?;
    String::from_utf8(bytes).map_err(|_| BadCursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_carries_a_cursor_only_when_more_follows() {
        let paging = Paging::new(Some(2), None).unwrap();
        let first = paging.page(vec![9, 8, 7], |row| row.to_string());
        assert_eq!(first.items, [9, 8]);
        let second = Paging::new(Some(2), first.next.as_deref()).unwrap();
        assert_eq!(second.after_number(), Ok(Some(8)));
        assert_eq!(second.page(vec![7], |row: &i32| row.to_string()).next, None);
    }

    #[test]
    fn a_foreign_cursor_is_refused() {
        assert_eq!(Paging::new(None, Some("%%")), Err(BadCursor));
    }
}
