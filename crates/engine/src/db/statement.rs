//! Named static SQL texts.

use super::Kind;

/// A statement with a name for logs and tests. Static by type: SQL is never built from values.
#[derive(Debug)]
pub struct Statement {
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

impl Statement {
    /// One text for both databases.
    #[must_use]
    pub const fn new(name: &'static str, sql: &'static str) -> Statement {
        Statement { name, sqlite: sql, postgres: sql }
    }

    /// A text for each database (arrays, locking clauses, plan hints), side by side.
    #[must_use]
    pub const fn split(name: &'static str, sqlite: &'static str, postgres: &'static str) -> Statement {
        Statement { name, sqlite, postgres }
    }

    /// The name, unique among all statements: `noun.meaning`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The text for a database.
    #[must_use]
    pub const fn text(&self, kind: Kind) -> &'static str {
        match kind {
            Kind::Sqlite => self.sqlite,
            Kind::Postgres => self.postgres,
        }
    }
}
