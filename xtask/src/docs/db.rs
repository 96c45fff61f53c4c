//! `db.md`: tables, columns and retention, from the migrations.
//!
//! Read from the PostgreSQL files, whose comments stand in the database as well; a test of the engine holds both
//! databases to one schema.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use super::cell;
use crate::failure::{Failure, Outcome};
use crate::workspace;

const MIGRATIONS: &str = "crates/engine/migrations/postgres/";

/// What a comment says about how long rows are kept.
const RETENTION: &str = "retention:";

#[derive(Debug, Default)]
struct Table {
    comment: String,
    columns: Vec<(String, String)>,
    /// Keys and checks over several columns.
    rules: Vec<String>,
    indexes: Vec<String>,
    column_comments: BTreeMap<String, String>,
}

pub(super) fn render() -> Outcome<String> {
    let files = workspace::files()?.into_iter().filter(|file| file.starts_with(MIGRATIONS));
    let mut tables = BTreeMap::new();
    let mut names = Vec::new();
    for file in files {
        names.push(format!("`{}`", file.file_name().unwrap_or_default().to_string_lossy()));
        read(&workspace::read(Path::new(&file))?, &mut tables);
    }
    let mut text = format!(
        "# Database\n\nThe same tables on SQLite and PostgreSQL, from {}. Times are microseconds since 1970 in UTC, money and units \
         whole numbers, booleans 0 or 1, ids and JSON text. `org_key` is the internal key of an org.\n\n\
         | table | what it holds | kept |\n|---|---|---|\n",
        names.join(", ")
    );
    for (name, table) in &tables {
        let (holds, kept) = table.comment.split_once(RETENTION).ok_or_else(|| {
            Failure::new(format!(
                "table {name} needs a COMMENT that ends in `{RETENTION} …`: how long are its rows kept?"
            ))
        })?;
        writeln!(text, "| [`{name}`](#{name}) | {} | {} |", cell(holds), cell(kept)).expect("a string takes text");
    }
    tables.iter().for_each(|(name, table)| render_table(&mut text, name, table));
    Ok(text)
}

fn render_table(text: &mut String, name: &str, table: &Table) {
    let commented = !table.column_comments.is_empty();
    let (head, line) = if commented { (" |", "---|") } else { ("", "") };
    write!(text, "\n## {name}\n\n| column | type and rules |{head}\n|---|---|{line}\n").expect("a string takes text");
    for (column, definition) in &table.columns {
        let comment = table.column_comments.get(column).map(|comment| cell(comment)).unwrap_or_default();
        let comment = if commented { format!(" {comment} |") } else { String::new() };
        writeln!(text, "| `{column}` | {} |{comment}", cell(definition)).expect("a string takes text");
    }
    let rules = table.rules.iter().chain(&table.indexes);
    let rules: Vec<String> = rules.map(|rule| format!("- `{}`", cell(rule))).collect();
    if !rules.is_empty() {
        write!(text, "\n{}\n", rules.join("\n")).expect("a string takes text");
    }
}

/// Reads the statements of one file into the tables.
fn read(sql: &str, tables: &mut BTreeMap<String, Table>) {
    let uncommented: Vec<&str> = sql.lines().map(|line| line.split_once("--").map_or(line, |(code, _)| code)).collect();
    for statement in split(&uncommented.join("\n"), ';') {
        let words: Vec<&str> = statement.split_whitespace().collect();
        match words.as_slice() {
            ["CREATE", "TABLE", "IF", "NOT", "EXISTS", name, ..] | ["CREATE", "TABLE", name, ..] => {
                let name = name.split('(').next().unwrap_or(name);
                create(tables.entry(name.to_owned()).or_default(), &statement);
            }
            ["ALTER", "TABLE", name, "ADD", "COLUMN", column, definition @ ..] => {
                let table = tables.entry((*name).to_owned()).or_default();
                table.columns.push(((*column).to_owned(), definition.join(" ")));
            }
            ["COMMENT", "ON", "TABLE", name, "IS", ..] => {
                tables.entry((*name).to_owned()).or_default().comment = quoted(&statement);
            }
            ["COMMENT", "ON", "COLUMN", place, "IS", ..] => {
                if let Some((table, column)) = place.split_once('.') {
                    let table = tables.entry(table.to_owned()).or_default();
                    table.column_comments.insert(column.to_owned(), quoted(&statement));
                }
            }
            ["CREATE", "INDEX" | "UNIQUE", ..] => {
                let on = words.iter().position(|word| *word == "ON").and_then(|at| words.get(at + 1));
                if let Some(table) = on.map(|name| name.split('(').next().unwrap_or(name)) {
                    tables.entry(table.to_owned()).or_default().indexes.push(words[1..].join(" "));
                }
            }
            ["DROP", "TABLE", name] => drop(tables.remove(*name)),
            _ => {}
        }
    }
}

fn create(table: &mut Table, statement: &str) {
    const RULES: [&str; 5] = ["PRIMARY", "UNIQUE", "CHECK", "FOREIGN", "CONSTRAINT"];
    let inside = statement.split_once('(').map_or("", |(_, rest)| rest);
    let inside = inside.rsplit_once(')').map_or(inside, |(inside, _)| inside);
    for part in split(inside, ',') {
        let part = part.split_whitespace().collect::<Vec<_>>().join(" ");
        match part.split_once(' ') {
            Some((first, _)) if RULES.iter().any(|rule| first.starts_with(rule)) => table.rules.push(part),
            Some((column, definition)) => table.columns.push((column.to_owned(), definition.to_owned())),
            None => {}
        }
    }
}

/// Splits where the separator stands outside parentheses and quotes.
fn split(text: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut depth, mut quoted) = (0_u32, false);
    for character in text.chars() {
        match character {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        if character == separator && depth == 0 && !quoted {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(character);
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// The text between the first and the last quote, with doubled quotes undone.
fn quoted(statement: &str) -> String {
    let inside = statement.split_once('\'').map_or("", |(_, rest)| rest);
    inside.rsplit_once('\'').map_or(inside, |(inside, _)| inside).replace("''", "'")
}

#[cfg(test)]
mod tests {
    use super::{Table, read};
    use std::collections::BTreeMap;

    #[test]
    fn tables_columns_rules_and_comments_are_read_from_the_migrations() {
        let sql = "-- a note; with a semicolon\nCREATE TABLE jobs (\n  id TEXT NOT NULL, -- inline\n  state TEXT CHECK (state IN ('a,b', 'c')),\n  PRIMARY KEY (id, state)\n);\nCREATE INDEX jobs_due ON jobs (state) WHERE state = 'c';\nALTER TABLE jobs ADD COLUMN run_at BIGINT NOT NULL;\nCOMMENT ON TABLE jobs IS 'What''s due; later. retention: 30 days';\nCOMMENT ON COLUMN jobs.id IS 'A name';";
        let mut tables: BTreeMap<String, Table> = BTreeMap::new();
        read(sql, &mut tables);
        let jobs = &tables["jobs"];
        let columns: Vec<&str> = jobs.columns.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(columns, ["id", "state", "run_at"]);
        assert_eq!(jobs.columns[1].1, "TEXT CHECK (state IN ('a,b', 'c'))");
        assert_eq!(jobs.rules, ["PRIMARY KEY (id, state)"]);
        assert_eq!(jobs.indexes, ["INDEX jobs_due ON jobs (state) WHERE state = 'c'"]);
        assert_eq!(jobs.comment, "What's due; later. retention: 30 days");
        assert_eq!(jobs.column_comments["id"], "A name");
    }
}
