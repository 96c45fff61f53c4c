//! Applying a plan: all of it or nothing, and only what it says.

use std::collections::BTreeMap;

use super::survey::{self, Survey};
use super::{After, Change, EXECUTABLE, Error, PLAIN, Project, disk, generate, transaction};
use crate::content::{Hash, Shape};
use crate::path::RelPath;
use crate::plan::{CONFLICTS_FILE, DiskFile, Mode, Op, PLAN_FILE, PROPOSED, Plan, Planned};
use crate::render::Template;
use crate::state::State;
use crate::tree::Target;

/// What applying came to.
#[derive(Debug)]
pub struct Applied {
    /// What was carried out.
    pub plan: Plan,
    /// The plan as it is now: conflicts that are left, and nothing else to do.
    pub left: Plan,
}

/// The plan of a project, checked against what is there. Touches nothing.
///
/// # Errors
/// There is no plan, or something changed since it was made.
pub fn dry_run(project: &Project, templates: &[Template]) -> Result<Plan, Error> {
    Ok(checked(project, templates)?.planned.plan)
}

/// Carries out the plan of a project.
///
/// # Errors
/// There is no plan, or something changed since it was made; then nothing was written.
pub fn apply(project: &Project, templates: &[Template]) -> Result<Applied, Error> {
    let _lock = transaction::lock(project)?;
    transaction::recover(project)?;
    let survey = checked(project, templates)?;
    let left = carry_out(project, &survey)?;
    Ok(Applied { plan: survey.planned.plan, left })
}

/// The project as its plan found it; every precondition of the plan is checked here, by computing it again.
pub(super) fn checked<'a>(project: &Project, templates: &'a [Template]) -> Result<Survey<'a>, Error> {
    let (plan, survey) = read(project, templates)?;
    let now = &survey.planned.plan;
    if now.plan_id == plan.plan_id { Ok(survey) } else { Err(Error::Stale(differences(&plan, now))) }
}

/// The project as it is now, with the description of its plan.
pub(super) fn refreshed<'a>(project: &Project, templates: &'a [Template]) -> Result<Survey<'a>, Error> {
    Ok(read(project, templates)?.1)
}

fn read<'a>(project: &Project, templates: &'a [Template]) -> Result<(Plan, Survey<'a>), Error> {
    let missing = || Error::Missing(format!("{} has no {PLAN_FILE}: run `tollgate generate` first", project.name()));
    let text = disk::text(&project.directory().join(PLAN_FILE))?.ok_or_else(missing)?;
    let plan = Plan::parse(&text).map_err(|error| Error::Refused(error.to_string()))?;
    let template = generate::find(templates, &plan.template.id)?;
    let survey = survey::survey(project, &plan.description, template)?;
    Ok((plan, survey))
}

fn differences(then: &Plan, now: &Plan) -> Vec<String> {
    let by_path = |plan: &Plan| -> BTreeMap<_, _> {
        plan.actions.iter().map(|action| (action.path.clone(), action.clone())).collect()
    };
    let (then_by, now_by) = (by_path(then), by_path(now));
    let mut lines: Vec<String> = Vec::new();
    if then.template != now.template {
        lines.push(format!("the template: {} is now {}", then.template.to, now.template.to));
    }
    for (path, action) in &then_by {
        if now_by.get(path) != Some(action) {
            lines.push(path.to_string());
        }
    }
    lines.extend(now_by.keys().filter(|path| !then_by.contains_key(*path)).map(|path| format!("{path} is new")));
    lines
}

/// Writes what the survey's plan says, with the state, base and plan that belong to it; the plan that is left.
pub(super) fn carry_out(project: &Project, survey: &Survey<'_>) -> Result<Plan, Error> {
    let mut changes = Vec::new();
    let mut base = survey.base.clone();
    let mut disk = survey.disk.clone();
    let mut proposed = BTreeMap::new();
    for action in &survey.planned.plan.actions {
        let path = &action.path;
        let new = survey.tree.get(path);
        match action.op {
            Op::Create | Op::Update | Op::Merge => {
                let bytes = survey.planned.results.get(path).cloned().unwrap_or_default();
                let fresh = if action.mode == Mode::Executable { EXECUTABLE } else { PLAIN };
                let mode = survey.disk.get(path).map_or(fresh, |file| file.mode);
                disk.insert(path.clone(), DiskFile { bytes: bytes.clone(), mode });
                changes.push(Change {
                    path: path.clone(),
                    before: action.disk.clone(),
                    after: Some(After { bytes, mode }),
                });
                advance(&mut base, path, new);
            }
            Op::Delete => {
                disk.remove(path);
                changes.push(Change { path: path.clone(), before: action.disk.clone(), after: None });
                base.remove(path);
            }
            Op::Conflict => propose(project, survey, path, (&mut changes, &mut proposed))?,
            Op::Keep if action.disk.is_some() || new.is_none() => advance(&mut base, path, new),
            Op::Keep => {}
        }
    }
    withdraw(project, survey.state.as_ref(), &proposed, &mut changes)?;
    finish(project, survey, (base, disk, proposed), changes)
}

/// The base follows what was applied or was so already.
fn advance(base: &mut BTreeMap<RelPath, Target>, path: &RelPath, new: Option<&Target>) {
    match new {
        Some(new) => base.insert(path.clone(), new.clone()),
        None => base.remove(path),
    };
}

/// Lays the new text beside a file in conflict.
fn propose(
    project: &Project,
    survey: &Survey<'_>,
    path: &RelPath,
    (changes, proposed): (&mut Vec<Change>, &mut BTreeMap<RelPath, Hash>),
) -> Result<(), Error> {
    let beside = path.with_suffix(PROPOSED);
    let shape = survey.disk.get(path).and_then(|file| std::str::from_utf8(&file.bytes).ok()).map(Shape::of);
    let text = survey.tree.get(path).map(|target| target.text.as_str()).unwrap_or_default();
    let bytes = shape.map_or_else(|| text.to_owned(), |shape| shape.dress(text)).into_bytes();
    let there = disk::read_one(project, &beside)?.map(|file| Hash::of(&file.bytes));
    let hash = Hash::of(&bytes);
    let ours = survey.state.as_ref().and_then(|state| state.proposed.get(path));
    if there.is_some() && there.as_ref() != ours && there.as_ref() != Some(&hash) {
        return Err(Error::Refused(format!("{beside} is yours, and the new text would go there: rename it first")));
    }
    proposed.insert(path.clone(), hash.clone());
    if there.as_ref() != Some(&hash) {
        changes.push(Change { path: beside, before: there, after: Some(After { bytes, mode: PLAIN }) });
    }
    Ok(())
}

/// Takes back what was proposed for a conflict that is no more, unless somebody edited it.
pub(super) fn withdraw(
    project: &Project,
    state: Option<&State>,
    proposed: &BTreeMap<RelPath, Hash>,
    changes: &mut Vec<Change>,
) -> Result<(), Error> {
    for (path, hash) in state.iter().flat_map(|state| &state.proposed) {
        let beside = path.with_suffix(PROPOSED);
        let there = disk::read_one(project, &beside)?.map(|file| Hash::of(&file.bytes));
        if !proposed.contains_key(path) && there.as_ref() == Some(hash) {
            changes.push(Change { path: beside, before: there, after: None });
        }
    }
    Ok(())
}

/// Adds base, state and the plan that is left to the changes, and commits them all.
pub(super) fn finish(
    project: &Project,
    survey: &Survey<'_>,
    (base, disk, proposed): (BTreeMap<RelPath, Target>, BTreeMap<RelPath, DiskFile>, BTreeMap<RelPath, Hash>),
    mut changes: Vec<Change>,
) -> Result<Plan, Error> {
    let Planned { plan, conflicts, .. } = survey.afterwards(project, &base, &disk)?;
    let mut ours: Vec<(RelPath, Option<Vec<u8>>)> = Vec::new();
    for path in survey.base.keys().chain(base.keys()) {
        let (old, new) = (survey.base.get(path), base.get(path));
        if old.map(|target| &target.text) != new.map(|target| &target.text) {
            ours.push((path.below(".tollgate/base"), new.map(|target| target.text.clone().into_bytes())));
        }
    }
    ours.sort();
    ours.dedup();
    let state = survey.state_with(project, &base, proposed);
    ours.push((RelPath::parse(".tollgate/app.json")?, Some(state.render().into_bytes())));
    for (name, text) in MARKS {
        ours.push((RelPath::parse(name)?, Some(text.as_bytes().to_vec())));
    }
    ours.push((RelPath::parse(CONFLICTS_FILE)?, Some(conflicts.render().into_bytes())));
    ours.push((RelPath::parse(PLAN_FILE)?, Some(plan.render().into_bytes())));
    for (path, bytes) in ours {
        let before = disk::read_one(project, &path)?.map(|file| Hash::of(&file.bytes));
        if before != bytes.as_deref().map(Hash::of) {
            changes.push(Change { path, before, after: bytes.map(|bytes| After { bytes, mode: PLAIN }) });
        }
    }
    transaction::commit(project, changes)?;
    Ok(plan)
}

/// What tells git and search tools which of our files nobody reads.
const MARKS: [(&str, &str); 3] = [
    (".tollgate/.gitattributes", "base/** linguist-generated\nbase/** -diff\n"),
    (".tollgate/.gitignore", "/journal\n/journal.tmp\n/undo\n/lock\n"),
    (".tollgate/.ignore", "base/\n"),
];
