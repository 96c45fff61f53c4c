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
///
/// # Errors
/// A relation that rows which exist cannot have.
pub(crate) fn between(
    before: &Schema,
    app: &Description,
    existing: &BTreeSet<String>,
    head: &str,
) -> Result<Vec<Migration>, String> {
    let mut found = Vec::new();
    for entity in &app.entities {
        match before.get(&entity.name) {
            None => found.push(Migration { create: Some(entity.clone()), ..empty("create", &entity.plural) }),
            Some(columns) => {
                let same = |field: &&Field| columns.get(&field.column) == Some(&field.declared);
                let add: Vec<Field> = entity.fields.iter().filter(|field| !same(field)).cloned().collect();
                if let Some(field) = add.iter().find(|field| field.refers_to.is_some() && !field.optional) {
                    return Err(unmet(entity, field));
                }
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
    for name in gone(before, app) {
        let table = crate::description::plural(name);
        found.push(Migration { drop_table: true, destructive: true, ..empty("drop", &table) });
    }
    Ok(numbered(found, existing, head))
}

fn unmet(entity: &Entity, field: &Field) -> String {
    format!(
        "{}.{} is a relation that every row must have, and the rows that exist have none: write \"{}?\"",
        entity.name, field.name, field.declared
    )
}

/// The entities that are no longer described, in an order in which their tables can go: what refers goes first.
fn gone<'a>(before: &'a Schema, app: &Description) -> Vec<&'a String> {
    let described = |name: &String| app.entities.iter().any(|entity| entity.name == *name);
    let refers = |one: &String, to: &String| {
        before[one].values().any(|declared| declared.trim_end_matches('?').strip_prefix("ref:") == Some(to.as_str()))
    };
    let mut left: Vec<&String> = before.keys().filter(|name| !described(name)).collect();
    let mut ordered = Vec::new();
    while !left.is_empty() {
        let free = |name: &&String| !left.iter().any(|other| other != name && refers(other, name));
        let next = left.iter().position(free).unwrap_or(0);
        ordered.push(left.remove(next));
    }
    ordered
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
        last = last.saturating_add(1);
        migration.number = format!("{last:04}");
        migration.after = std::mem::replace(&mut after, migration.number.clone());
    }
    found
}

/// The number a migration's file name begins with: `0004_create_tasks.sql`, `20260131090000_by_hand.sql`.
fn number(name: &str) -> Option<u64> {
    name.split_once('_')?.0.parse().ok()
}

/// The revision that no other follows, of alembic's version files; the newest by name where there are several.
pub(crate) fn head<'a>(files: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut revisions = BTreeSet::new();
    let mut followed = BTreeSet::new();
    for text in files {
        revisions.extend(assigned(text, "revision"));
        followed.extend(assigned(text, "down_revision"));
    }
    revisions.difference(&followed).max().cloned()
}

/// The texts in quotes that a line of Python assigns to a name; several for a merge of revisions.
fn assigned(text: &str, name: &str) -> Vec<String> {
    let names = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', ':', '=']));
    let value = text.lines().find(names).and_then(|line| line.split_once('=')).map_or("", |(_, value)| value);
    value.replace('\'', "\"").split('"').skip(1).step_by(2).map(str::to_owned).collect()
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
        let found = between(&Default::default(), &app, &existing, "0017").expect("sound");
        let numbers: Vec<_> = found.iter().map(|m| (m.number.as_str(), m.after.as_str(), m.what.as_str())).collect();
        assert_eq!(numbers, [("0018", "0017", "create_projects"), ("0019", "0018", "create_tasks")]);
    }

    #[test]
    fn taking_a_field_away_is_destructive_and_adding_one_is_not() {
        let before = Description::parse(EXAMPLE).expect("the example works").schema();
        let wider = EXAMPLE.replace("done = \"boolean\"", "done = \"boolean\"\ncolour = \"string?\"");
        let to = |text: &str| between(&before, &Description::parse(text).expect("sound"), &BTreeSet::new(), "");
        let added = to(&wider).expect("sound");
        assert_eq!((added.len(), added[0].destructive, added[0].add[0].name.as_str()), (1, false, "colour"));
        let narrower = EXAMPLE.replace("done = \"boolean\"\n", "");
        let taken = to(&narrower).expect("sound");
        assert_eq!((taken.len(), taken[0].destructive, taken[0].drop[0].column.as_str()), (1, true, "done"));
        assert!(to(EXAMPLE).expect("sound").is_empty());
    }

    #[test]
    fn a_relation_that_rows_which_exist_cannot_have_is_refused_with_what_to_write() {
        let before = Description::parse(EXAMPLE).expect("the example works").schema();
        let to = |text: &str| between(&before, &Description::parse(text).expect("sound"), &BTreeSet::new(), "");
        let required = EXAMPLE.replace("done = \"boolean\"", "done = \"boolean\"\nsecond = \"ref:project\"");
        let refused = to(&required).expect_err("rows have none");
        assert!(refused.starts_with("task.second ") && refused.ends_with("write \"ref:project?\""), "{refused}");
        let optional = required.replace("second = \"ref:project\"", "second = \"ref:project?\"");
        assert_eq!(to(&optional).expect("sound")[0].add[0].refers_to_table.as_deref(), Some("projects"));
    }

    #[test]
    fn a_table_goes_after_those_that_refer_to_it() {
        let before = Description::parse(EXAMPLE).expect("the example works").schema();
        let (head, _) = EXAMPLE.split_once("[entities").expect("it has entities");
        let none = Description::parse(&head[..head.rfind("\n#").expect("a comment")]).expect("sound");
        let dropped = between(&before, &none, &BTreeSet::new(), "").expect("sound");
        let tables: Vec<_> = dropped.iter().map(|one| (one.what.as_str(), one.destructive)).collect();
        assert_eq!(tables, [("drop_tasks", true), ("drop_projects", true)]);
    }

    #[test]
    fn the_head_is_the_revision_that_nothing_follows() {
        let files = [
            "revision = \"0001\"\ndown_revision = None\n",
            "revision = 'ab12'\ndown_revision = '0001'\n",
            "revision = \"0002\"\ndown_revision = \"ab12\"\n",
        ];
        assert_eq!(head(files.into_iter()), Some("0002".to_owned()));
        let merge = [
            "revision: str = \"f1\"\ndown_revision: tuple = (\"0002\", 'e5')\n",
            "revision = 'e5'\ndown_revision = \"0001\"\n",
        ];
        assert_eq!(head(files.into_iter().chain(merge)), Some("f1".to_owned()));
    }
}
