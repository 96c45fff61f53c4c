//! What a project is now and what it should be: everything a plan is made from.

use std::collections::{BTreeMap, BTreeSet};

use super::{Error, Project, disk};
use crate::content::Hash;
use crate::description::{self, Description};
use crate::path::RelPath;
use crate::plan::{self, DiskFile, Planned};
use crate::render::{self, Migrated, Template};
use crate::state::{Remembered, Schema, State};
use crate::tree::{Class, Kind, Target, Tree};

/// A project, its last run and the tree it should become.
pub(super) struct Survey<'a> {
    pub(super) template: &'a Template,
    pub(super) text: String,
    pub(super) state: Option<State>,
    pub(super) base: BTreeMap<RelPath, Target>,
    pub(super) disk: BTreeMap<RelPath, DiskFile>,
    pub(super) tree: Tree,
    pub(super) schema: Schema,
    pub(super) planned: Planned,
}

/// Looks at a project with a description in hand.
pub(super) fn survey<'a>(project: &Project, text: &str, template: &'a Template) -> Result<Survey<'a>, Error> {
    let app = Description::parse(text)?;
    let state = state(project)?;
    let base = base(project, state.as_ref())?;
    let migrated = migrated(project, template)?;
    let before = state.as_ref().map(|state| state.schema.clone()).unwrap_or_default();
    let tree = tree(project, template, &app, text, (&before, &base, &migrated))?;
    let disk = disk::read(project, base.keys().chain(tree.keys()))?;
    let planned = plan::make(plan::Input {
        description: text,
        template: (template.id, template.version),
        previous: state.as_ref().map(|state| state.version.as_str()),
        base: &base,
        disk: &disk,
        tree: &tree,
    });
    let schema = app.schema();
    Ok(Survey { template, text: text.to_owned(), state, base, disk, tree, schema, planned })
}

impl Survey<'_> {
    /// The plan again, after a transaction that leaves this base and this disk behind.
    pub(super) fn afterwards(
        &self,
        project: &Project,
        base: &BTreeMap<RelPath, Target>,
        disk: &BTreeMap<RelPath, DiskFile>,
    ) -> Result<Planned, Error> {
        let app = Description::parse(&self.text)?;
        let tree = tree(project, self.template, &app, &self.text, (&self.schema, base, &Migrated::default()))?;
        Ok(plan::make(plan::Input {
            description: &self.text,
            template: (self.template.id, self.template.version),
            previous: Some(self.template.version),
            base,
            disk,
            tree: &tree,
        }))
    }

    /// What the project will remember.
    pub(super) fn state_with(
        &self,
        project: &Project,
        base: &BTreeMap<RelPath, Target>,
        proposed: BTreeMap<RelPath, Hash>,
    ) -> State {
        let remembered = |target: &Target| Remembered {
            class: target.class,
            kind: target.kind,
            executable: target.executable,
            base: Hash::of(target.text.as_bytes()),
        };
        State {
            format: crate::state::FORMAT.to_owned(),
            project: project.name().to_owned(),
            template: self.template.id.to_owned(),
            version: self.template.version.to_owned(),
            schema: self.schema.clone(),
            files: base.iter().map(|(path, target)| (path.clone(), remembered(target))).collect(),
            proposed,
        }
    }
}

/// What the project remembers of its last run.
pub(super) fn state(project: &Project) -> Result<Option<State>, Error> {
    let Some(text) = disk::text(&project.inner("app.json"))? else { return Ok(None) };
    let read = State::parse(&text);
    read.map(Some)
        .map_err(|why| Error::Refused(format!(".tollgate/app.json cannot be read: {why}; restore it from git")))
}

fn base(project: &Project, state: Option<&State>) -> Result<BTreeMap<RelPath, Target>, Error> {
    let mut base = BTreeMap::new();
    for (path, remembered) in state.iter().flat_map(|state| &state.files) {
        let text = disk::text(&project.inner("base").join(path.as_str()))?.unwrap_or_default();
        if Hash::of(text.as_bytes()) != remembered.base {
            let what = format!(".tollgate/base/{path} is not what was generated; restore it from git");
            return Err(Error::Refused(what));
        }
        let Remembered { class, kind, executable, .. } = *remembered;
        base.insert(path.clone(), Target { class, kind, executable, text, origin: "the last run".to_owned() });
    }
    Ok(base)
}

fn tree(
    project: &Project,
    template: &Template,
    app: &Description,
    text: &str,
    (before, base, migrated): (&Schema, &BTreeMap<RelPath, Target>, &Migrated),
) -> Result<Tree, Error> {
    let mut tree = render::tree(template, project.name(), app, before, migrated).map_err(Error::Refused)?;
    for (path, target) in base.iter().filter(|(_, target)| matches!(target.kind, Kind::Migration { .. })) {
        tree.insert(path.clone(), target.clone());
    }
    let own = Target {
        class: Class::Owned,
        kind: Kind::File,
        executable: false,
        text: text.to_owned(),
        origin: "the description".to_owned(),
    };
    tree.insert(RelPath::parse(description::FILE)?, own);
    match crate::tree::case_collision(tree.keys()) {
        None => Ok(tree),
        Some((one, other)) => Err(Error::Refused(format!("{one} and {other} differ only in case"))),
    }
}

/// The migrations there are, ours and the user's.
fn migrated(project: &Project, template: &Template) -> Result<Migrated, Error> {
    let directory = project.directory().join(template.migrations);
    let mut texts = Vec::new();
    let mut names = BTreeSet::new();
    for name in disk::names(&directory)? {
        if name.ends_with(".py")
            && let Some(text) = disk::text(&directory.join(&name))?
        {
            texts.push(text);
        }
        names.insert(name);
    }
    Ok(Migrated { names, head: crate::migrations::head(texts.iter().map(String::as_str)) })
}
