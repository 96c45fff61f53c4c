//! Migrations assist: what changed between two schemas becomes new numbered files; existing ones are never edited.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::description::{Description, Entity, Field};
use crate::state::Schema;

/// One new migration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Migration {
    /// `0004`.
    pub(crate) number: String,
    /// The revision before it, as alembic names it.
    pub(crate) after: String,
    /// `create_tasks`.
    pub(crate) what: String,
    pub(crate) destructive: bool,
    pub(crate) table: String,
    /// The entity as it is now, when the table is made.
    pub(crate) create: Option<Entity>,
    pub(crate) add: Vec<Field>,
    /// Columns that go, and whether they had an index.
    pub(crate) drop: Vec<Dropped>,
    pub(crate) drop_table: bool,
}

/// A column that goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Dropped {
    pub(crate) column: String,
    pub(crate) declared: String,
    pub(crate) indexed: bool,
}

/// The migrations from one schema to the described one, numbered after those that exist.
pub(crate) fn between(before: &Schema, app: &Description, existing: &BTreeSet<String>, head: &str) -> Vec<Migration> {
    let mut found = Vec::new();
    for entity in &app.entities {
        match before.get(&entity.name) {
            None => found.push(Migration { create: Some(entity.clone()), ..empty("create", &entity.plural) }),
            Some(columns) => {
                let same = |field: &&Field| columns.get(&field.column) == Some(&field.declared);
                let add: Vec<Field> = entity.fields.iter().filter(|field| !same(field)).cloned().collect();
                let kept = |name: &String| entity.fields.iter().any(|field| field.column == *name && same(&field));
                let gone = columns.iter().filter(|(name, _)| !kept(name));
                let drop: Vec<Dropped> = gone.map(|(name, declared)| dropped(name, declared)).collect();
                if !add.is_empty() || !drop.is_empty() {
                    let destructive = !drop.is_empty();
                    found.push(Migration { add, drop, destructive, ..empty("change", &entity.plural) });
                }
            }
        }
    }
    for name in before.keys().filter(|name| !app.entities.iter().any(|entity| entity.name == **name)) {
        let table = crate::description::plural(name);
        found.push(Migration { drop_table: true, destructive: true, ..empty("drop", &table) });
    }
    numbered(found, existing, head)
}

fn empty(verb: &str, table: &str) -> Migration {
    Migration {
        number: String::new(),
        after: String::new(),
        what: format!("{verb}_{table}"),
        destructive: false,
        table: table.to_owned(),
        create: None,
        add: Vec::new(),
        drop: Vec::new(),
        drop_table: false,
    }
}

fn dropped(column: &str, declared: &str) -> Dropped {
    Dropped { column: column.to_owned(), declared: declared.to_owned(), indexed: declared.starts_with("ref:") }
}

fn numbered(mut found: Vec<Migration>, existing: &BTreeSet<String>, head: &str) -> Vec<Migration> {
    let mut last = existing.iter().filter_map(|name| number(name)).max().unwrap_or(0);
    let mut after = head.to_owned();
    for migration in &mut found {
        last += 1;
        migration.number = format!("{last:04}");
        migration.after = std::mem::replace(&mut after, migration.number.clone());
    }
    found
}

/// The number a migration's file name begins with.
fn number(name: &str) -> Option<u32> {
    let digits: String = name.chars().take_while(char::is_ascii_digit).take(6).collect();
    digits.parse().ok()
}

/// The revision that no other follows, of alembic's version files; the newest by name where there are several.
pub(crate) fn head<'a>(files: impl Iterator<Item = &'a str>) -> Option<String> {
    let assigned = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name) && line.contains('='))?;
        let value = line.split_once('=')?.1.trim().trim_matches(['"', '\'']);
        (value != "None").then(|| value.to_owned())
    };
    let pairs: Vec<(Option<String>, Option<String>)> =
        files.map(|text| (assigned(text, "revision"), assigned(text, "down_revision"))).collect();
    let followed: BTreeSet<&String> = pairs.iter().filter_map(|(_, down)| down.as_ref()).collect();
    pairs.iter().filter_map(|(revision, _)| revision.as_ref()).filter(|one| !followed.contains(one)).max().cloned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{between, head};
    use crate::description::{Description, EXAMPLE};

    #[test]
    fn new_migrations_are_numbered_after_those_that_exist() {
        let app = Description::parse(EXAMPLE).expect("the example works");
        let existing = BTreeSet::from(["0001_accounts.sql".to_owned(), "0017_by_hand.sql".to_owned()]);
        let found = between(&Default::default(), &app, &existing, "0017");
        let numbers: Vec<_> = found.iter().map(|m| (m.number.as_str(), m.after.as_str(), m.what.as_str())).collect();
        assert_eq!(numbers, [("0018", "0017", "create_projects"), ("0019", "0018", "create_tasks")]);
    }

    #[test]
    fn taking_a_field_away_is_destructive_and_adding_one_is_not() {
        let before = Description::parse(EXAMPLE).expect("the example works").schema();
        let wider = EXAMPLE.replace("done = \"boolean\"", "done = \"boolean\"\ncolour = \"string?\"");
        let added = between(&before, &Description::parse(&wider).expect("sound"), &BTreeSet::new(), "");
        assert_eq!((added.len(), added[0].destructive, added[0].add[0].name.as_str()), (1, false, "colour"));
        let narrower = EXAMPLE.replace("done = \"boolean\"\n", "");
        let taken = between(&before, &Description::parse(&narrower).expect("sound"), &BTreeSet::new(), "");
        assert_eq!((taken.len(), taken[0].destructive, taken[0].drop[0].column.as_str()), (1, true, "done"));
        assert!(between(&before, &Description::parse(EXAMPLE).expect("sound"), &BTreeSet::new(), "").is_empty());
    }

    #[test]
    fn the_head_is_the_revision_that_nothing_follows() {
        let files = [
            "revision = \"0001\"\ndown_revision = None\n",
            "revision = 'ab12'\ndown_revision = '0001'\n",
            "revision = \"0002\"\ndown_revision = \"ab12\"\n",
        ];
        assert_eq!(head(files.into_iter()), Some("0002".to_owned()));
    }
}
