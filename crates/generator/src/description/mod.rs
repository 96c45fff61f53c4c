//! The description of an app, `tollgate.app.toml`: what it is called, its entities, roles, features and deployment.
//!
//! Every error names the line and what to write instead. Unknown keys are refused: a misspelt key must not be ignored.

mod entity;
mod names;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeMap;

pub use entity::{Entity, Field, FieldType};
use serde::{Deserialize, Serialize};
use toml::Spanned;

/// The working description that `tollgate generate --example` prints.
pub const EXAMPLE: &str = include_str!("example.toml");

/// The same for an app of this template.
#[must_use]
pub fn example(template: &str) -> String {
    EXAMPLE.replace(crate::templates::IDS[0], template)
}

/// Where a project keeps its description.
pub const FILE: &str = "tollgate.app.toml";

/// What `format` must be.
const FORMAT: &str = "tollgate.app/1";

/// Optional parts that a description may ask for.
const FEATURES: &[&str] = &["files", "jobs"];

/// Who may change an entity when it does not say.
const WRITERS: &[&str] = &["owner", "admin", "member"];

/// A described app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Description {
    /// What people call it.
    pub title: String,
    /// The template it is made from, where the description says so.
    pub template: Option<String>,
    /// How its users stay signed in.
    pub auth_mode: AuthMode,
    /// Where it is deployed.
    pub deploy_target: DeployTarget,
    /// The roles of an organization, highest first.
    pub roles: Vec<String>,
    /// The optional parts it has.
    pub features: Vec<String>,
    /// Its entities; what one refers to stands before it.
    pub entities: Vec<Entity>,
}

/// How users stay signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// Bearer tokens.
    Jwt,
    /// Cookies with CSRF protection.
    Cookie,
}

/// Where the app is deployed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeployTarget {
    /// Fly.io.
    Fly,
    /// Render.
    Render,
}

/// What is wrong with a description, where, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{FILE}:{line}: {what}\n  {fix}")]
pub struct Wrong {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub fix: String,
}

impl Description {
    /// Reads a description.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let at = Lines(text);
        let wire: wire::Wire = toml::from_str(text).map_err(|error| at.syntax(&error))?;
        if wire.format.get_ref() != FORMAT {
            let what = format!("this version reads the format {FORMAT:?} only");
            return Err(at.wrong(wire.format.span().start, what, format!("Write: format = {FORMAT:?}")));
        }
        let roles = roles(&wire, &at)?;
        let entities = entity::read(wire.entities, &roles, &at)?;
        Ok(Self {
            title: title(&wire.app.title, &at)?,
            template: wire.app.template.map(|template| one_of(&template, crate::templates::IDS, &at)).transpose()?,
            auth_mode: wire.app.auth_mode.unwrap_or(AuthMode::Jwt),
            deploy_target: wire.app.deploy_target.unwrap_or(DeployTarget::Fly),
            roles,
            features: wire
                .app
                .features
                .iter()
                .map(|feature| one_of(feature, FEATURES, &at))
                .collect::<Result<_, _>>()?,
            entities,
        })
    }

    /// The columns of every entity, as migrations compare them.
    pub(crate) fn schema(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let columns = |entity: &Entity| entity.fields.iter().map(|f| (f.column.clone(), f.declared.clone())).collect();
        self.entities.iter().map(|entity| (entity.name.clone(), columns(entity))).collect()
    }
}

/// Whether a project may be called so: it becomes a directory, a package and a service name.
///
/// # Errors
/// What is wrong with the name.
pub fn check_project_name(name: &str) -> Result<(), String> {
    names::project(name)
}

/// The table of an entity that is no longer described.
pub(crate) fn plural(name: &str) -> String {
    names::plural(name)
}

fn title(title: &Spanned<String>, at: &Lines<'_>) -> Result<String, Wrong> {
    let text = title.get_ref();
    let plain = |c: char| c.is_alphanumeric() || " -_.&'".contains(c);
    if text.trim().is_empty() || text.len() > 80 || !text.chars().all(plain) {
        let fix = "Use up to 80 letters, digits, spaces and - _ . & '";
        return Err(at.wrong(title.span().start, format!("the title {text:?} cannot be used everywhere"), fix));
    }
    Ok(text.clone())
}

fn roles(wire: &wire::Wire, at: &Lines<'_>) -> Result<Vec<String>, Wrong> {
    let Some(given) = &wire.app.roles else {
        return Ok(["owner", "admin", "member", "viewer"].map(str::to_owned).to_vec());
    };
    let roles: Vec<String> = given.get_ref().iter().map(|role| role.get_ref().clone()).collect();
    for role in given.get_ref() {
        names::word(role.get_ref()).map_err(|(what, fix)| at.wrong(role.span().start, what, fix))?;
    }
    for (index, role) in given.get_ref().iter().enumerate() {
        if roles.iter().take(index).any(|earlier| earlier == role.get_ref()) {
            return Err(at.wrong(role.span().start, format!("the role {role} is named twice"), "Name it once"));
        }
    }
    match ["owner", "admin", "member"].into_iter().find(|needed| !roles.iter().any(|role| role == needed)) {
        None => Ok(roles),
        Some(missing) => {
            let fix = "Keep owner, admin and member, and add your own beside them";
            Err(at.wrong(given.span().start, format!("the role {missing} is missing"), fix))
        }
    }
}

fn one_of(given: &Spanned<String>, known: &[&str], at: &Lines<'_>) -> Result<String, Wrong> {
    if known.contains(&given.get_ref().as_str()) {
        return Ok(given.get_ref().clone());
    }
    let what = format!("{:?} is not known", given.get_ref());
    Err(at.wrong(given.span().start, what, format!("Use one of: {}", known.join(", "))))
}

/// Turns places in the text into line numbers.
pub(super) struct Lines<'a>(&'a str);

impl Lines<'_> {
    fn wrong(&self, byte: usize, what: impl Into<String>, fix: impl Into<String>) -> Wrong {
        let before = self.0.as_bytes().get(..byte).unwrap_or(self.0.as_bytes());
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Wrong { line, what: what.into(), fix: fix.into() }
    }

    fn syntax(&self, error: &toml::de::Error) -> Wrong {
        let message = error.message().trim().replace('\n', "; ");
        let fix = if message.contains("unknown field") {
            "Remove the key, or spell it as one of those named above; `tollgate generate --example` shows them all"
        } else {
            "Compare with `tollgate generate --example`"
        };
        self.wrong(error.span().map_or(0, |span| span.start), message, fix)
    }
}
