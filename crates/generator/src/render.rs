//! Rendering: a template and a description become a tree. Pure, and the same bytes every time.

use std::collections::BTreeSet;

use minijinja::{Environment, UndefinedBehavior, context};

use crate::description::Description;
use crate::migrations::{self, Migration};
use crate::path::RelPath;
use crate::state::Schema;
use crate::tree::{Class, Kind, Target, Tree};

/// A template: a name, a version and its files.
#[derive(Clone, Debug)]
pub struct Template {
    /// What `--template` takes.
    pub id: &'static str,
    /// Raised with every change of its files.
    pub version: &'static str,
    /// The directory of its migrations.
    pub migrations: &'static str,
    /// What is run in its `backend` directory.
    pub commands: Commands,
    /// Its files.
    pub files: Vec<TemplateFile>,
}

/// What is run in an app's `backend` directory.
#[derive(Clone, Copy, Debug)]
pub struct Commands {
    /// What its tests take, one line of a shell each.
    pub tests: &'static [&'static str],
    /// The program that runs its migrations.
    pub migration_tool: &'static str,
    /// The words after it that run them.
    pub migrate: &'static str,
    /// The words that let it write a migration from models and database, where it can.
    pub autogenerate: Option<&'static str>,
}

/// A file of a template; path and text are templates themselves.
#[derive(Clone, Copy, Debug)]
pub struct TemplateFile {
    /// Where it goes.
    pub path: &'static str,
    /// What it says.
    pub text: &'static str,
    /// Whose it is afterwards.
    pub class: Class,
    /// How many of it there are.
    pub per: Per,
    /// The feature it belongs to.
    pub feature: Option<&'static str>,
}

/// How many files a template's file becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    /// One.
    App,
    /// One that may be run.
    Script,
    /// One for each entity.
    Entity,
    /// One for each migration that is new.
    Migration,
    /// One migration of the first run.
    FirstMigration,
}

/// The migrations a project has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Migrated {
    pub(crate) names: BTreeSet<String>,
    pub(crate) head: Option<String>,
}

/// Renders every file.
pub(crate) fn tree(
    template: &Template,
    project: &str,
    app: &Description,
    before: &Schema,
    migrated: &Migrated,
) -> Result<Tree, String> {
    let environment = environment();
    let first: Vec<&TemplateFile> = template.files.iter().filter(|file| file.per == Per::FirstMigration).collect();
    let mut names = migrated.names.clone();
    names.extend(first.iter().filter_map(|file| file.path.rsplit('/').next()).map(str::to_owned));
    let head = migrated.head.clone().unwrap_or_else(|| "0001".to_owned());
    let new = migrations::between(before, app, &names, &head)?;
    let mut tree = Tree::new();
    for file in &template.files {
        if file.feature.is_some_and(|feature| !app.features.iter().any(|has| has == feature)) {
            continue;
        }
        for context in contexts(file, template, project, app, &new) {
            let render = |text: &str| {
                environment.render_str(text, &context.values).map_err(|error| format!("{}: {error}", file.path))
            };
            let path = RelPath::parse(&render(file.path)?).map_err(|error| error.to_string())?;
            let target = Target {
                class: file.class,
                kind: context.kind,
                executable: file.per == Per::Script,
                text: render(file.text)?,
                origin: context.origin,
            };
            tree.insert(path, target);
        }
    }
    Ok(tree)
}

struct Context {
    values: minijinja::Value,
    kind: Kind,
    origin: String,
}

fn contexts(
    file: &TemplateFile,
    template: &Template,
    project: &str,
    app: &Description,
    new: &[Migration],
) -> Vec<Context> {
    let version = template.version;
    let package = project.replace('-', "_");
    let has = |feature: &str| app.features.iter().any(|one| one == feature);
    let app_values = context! { project, package, version, app, files => has("files"), jobs => has("jobs") };
    let plain = |kind| Context { values: app_values.clone(), kind, origin: format!("{} {version}", template.id) };
    match file.per {
        Per::App | Per::Script => vec![plain(Kind::File)],
        Per::FirstMigration => vec![plain(Kind::Migration { destructive: false })],
        Per::Entity => {
            let one = |entity: &crate::description::Entity| Context {
                values: context! { entity, ..app_values.clone() },
                kind: Kind::File,
                origin: format!("entity {}", entity.name),
            };
            app.entities.iter().map(one).collect()
        }
        Per::Migration => {
            let one = |migration: &Migration| Context {
                values: context! { migration, ..app_values.clone() },
                kind: Kind::Migration { destructive: migration.destructive },
                origin: format!(
                    "migration {}{}",
                    migration.what,
                    if migration.destructive { ", DESTRUCTIVE: it takes data away" } else { "" }
                ),
            };
            new.iter().map(one).collect()
        }
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_keep_trailing_newline(true);
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment
}
