//! Entities with their fields and relations.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use toml::Spanned;

use super::{Lines, WRITERS, Wrong, names, wire};

/// A thing that organizations keep: a table, a model, routes and tests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entity {
    /// Its name: `time_entry`.
    pub name: String,
    /// Of many: `time_entries`. The table and the route.
    pub plural: String,
    /// As a type: `TimeEntry`.
    pub type_name: String,
    /// Who may create, change and delete it.
    pub write: Vec<String>,
    /// The capability a plan must have for it.
    pub feature: Option<String>,
    /// What it holds, in the order of the file.
    pub fields: Vec<Field>,
}

/// Something an entity holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Field {
    /// Its name in the description.
    pub name: String,
    /// Its column: the name, with `_id` behind it for a relation.
    pub column: String,
    /// What it holds.
    #[serde(rename = "kind")]
    pub field_type: FieldType,
    /// Whether it may be missing.
    pub optional: bool,
    /// The entity it refers to.
    pub refers_to: Option<String>,
    /// Its table.
    pub refers_to_table: Option<String>,
    /// The type as it was written.
    pub declared: String,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldType {
    /// Up to 255 characters.
    String,
    /// Any length.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// Yes or no.
    Boolean,
    /// A moment, RFC 3339 in UTC.
    Timestamp,
    /// The id of another entity of the same organization.
    Ref,
}

pub(super) fn read(
    given: BTreeMap<Spanned<String>, wire::Entity>,
    roles: &[String],
    at: &Lines<'_>,
) -> Result<Vec<Entity>, Wrong> {
    let places: BTreeMap<String, usize> =
        given.keys().map(|name| (name.get_ref().clone(), name.span().start)).collect();
    let mut entities = Vec::new();
    for (name, entity) in in_order(given) {
        entities.push(one(&name, entity, roles, at)?);
    }
    let place = |entity: &Entity| places.get(&entity.name).copied().unwrap_or_default();
    for (index, entity) in entities.iter().enumerate() {
        if entities.iter().take(index).any(|earlier| earlier.plural == entity.plural) {
            let what = format!("the plural {} is that of another entity", entity.plural);
            return Err(at.wrong(place(entity), what, "Rename one of them"));
        }
        for field in &entity.fields {
            if let Some(other) = &field.refers_to
                && !places.contains_key(other)
            {
                let fix = format!("Add [entities.{other}], or refer to one of: {}", known(&places));
                return Err(at.wrong(
                    place(entity),
                    format!("{}.{} refers to {other:?}", entity.name, field.name),
                    fix,
                ));
            }
        }
    }
    by_reference(entities, |entity| {
        let fix = "Entities may not refer to each other in a circle: leave one relation out";
        at.wrong(place(entity), format!("{} takes part in a circle of relations", entity.name), fix)
    })
}

fn one(name: &Spanned<String>, given: wire::Entity, roles: &[String], at: &Lines<'_>) -> Result<Entity, Wrong> {
    let wrong = |place: &Spanned<String>| {
        let byte = place.span().start;
        move |(what, fix): (String, String)| at.wrong(byte, what, fix)
    };
    names::entity(name.get_ref()).map_err(wrong(name))?;
    let write = match given.write {
        None => WRITERS.iter().map(|role| (*role).to_owned()).collect(),
        Some(named) => {
            if let Some(role) = named.iter().find(|role| !roles.contains(role.get_ref())) {
                return Err(wrong(role)((format!("{:?} is no role", role.get_ref()), one_of(roles))));
            }
            named.into_iter().map(Spanned::into_inner).collect()
        }
    };
    if let Some(feature) = &given.feature {
        names::word(feature.get_ref()).map_err(wrong(feature))?;
    }
    let mut fields: Vec<Field> = Vec::new();
    for (field, declared) in in_order(given.fields) {
        names::field(field.get_ref()).map_err(wrong(&field))?;
        let read = read_field(field.get_ref(), declared.get_ref()).map_err(wrong(&declared))?;
        names::field(&read.column).map_err(wrong(&field))?;
        if fields.iter().any(|earlier| earlier.column == read.column) {
            return Err(wrong(&field)((format!("the column {} is there twice", read.column), "Rename it".into())));
        }
        fields.push(read);
    }
    if fields.is_empty() {
        let fix = format!("Add [entities.{0}.fields] with, say, title = \"string\"", name.get_ref());
        return Err(wrong(name)((format!("{} has no fields", name.get_ref()), fix)));
    }
    Ok(Entity {
        plural: names::plural(name.get_ref()),
        type_name: pascal(name.get_ref()),
        name: name.get_ref().clone(),
        write,
        feature: given.feature.map(Spanned::into_inner),
        fields,
    })
}

fn read_field(name: &str, declared: &str) -> Result<Field, (String, String)> {
    let optional = declared.ends_with('?');
    let plain = declared.strip_suffix('?').unwrap_or(declared);
    let refers_to = plain.strip_prefix("ref:").map(str::to_owned);
    let field_type = match plain {
        "string" => FieldType::String,
        "text" => FieldType::Text,
        "integer" => FieldType::Integer,
        "boolean" => FieldType::Boolean,
        "timestamp" => FieldType::Timestamp,
        _ if refers_to.is_some() => FieldType::Ref,
        _ => {
            let fix =
                "Use string, text, integer, boolean, timestamp or ref:ENTITY, with ? behind it when it may be missing";
            return Err((format!("{declared:?} is no type"), fix.into()));
        }
    };
    let column = if refers_to.is_some() { format!("{name}_id") } else { name.to_owned() };
    let refers_to_table = refers_to.as_deref().map(names::plural);
    let (name, declared) = (name.to_owned(), declared.to_owned());
    Ok(Field { name, column, field_type, optional, refers_to, refers_to_table, declared })
}

/// In the order of the file: a map forgets it, the places do not.
fn in_order<T>(given: BTreeMap<Spanned<String>, T>) -> Vec<(Spanned<String>, T)> {
    let mut entries: Vec<_> = given.into_iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
}

/// What an entity refers to stands before it, so that tables are made in an order that works.
fn by_reference(mut waiting: Vec<Entity>, circle: impl Fn(&Entity) -> Wrong) -> Result<Vec<Entity>, Wrong> {
    let mut placed: BTreeSet<String> = BTreeSet::new();
    let mut ordered = Vec::new();
    while let Some(first) = waiting.first() {
        let free =
            |entity: &Entity| entity.fields.iter().filter_map(|f| f.refers_to.as_ref()).all(|r| placed.contains(r));
        let Some(next) = waiting.iter().position(free) else { return Err(circle(first)) };
        let entity = waiting.remove(next);
        placed.insert(entity.name.clone());
        ordered.push(entity);
    }
    Ok(ordered)
}

fn pascal(name: &str) -> String {
    let capital = |part: &str| {
        let mut letters = part.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default()
    };
    name.split('_').map(capital).collect()
}

fn one_of(roles: &[String]) -> String {
    format!("Use one of: {}", roles.join(", "))
}

fn known(places: &BTreeMap<String, usize>) -> String {
    places.keys().cloned().collect::<Vec<_>>().join(", ")
}
