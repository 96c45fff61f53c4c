//! A person's decision on one conflict.

use super::survey::Survey;
use super::{After, Change, Error, Project, apply, transaction};
use crate::content::{Hash, Shape};
use crate::plan::{self, Conflict, DiskFile, Plan};
use crate::render::Template;

/// How a conflict is resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Your file stays; the new text counts as seen.
    Ours,
    /// The new text takes its place.
    Theirs,
    /// Both go into the file between markers; the conflict stays until `merged`.
    Markers,
    /// The file is right as it is now: you have merged it by hand.
    Merged,
}

/// Resolves the conflict of this id or path; the plan that is left.
///
/// # Errors
/// There is no such conflict, the plan is stale, or markers are still in the file.
pub fn resolve(project: &Project, templates: &[Template], which: &str, how: Resolution) -> Result<Plan, Error> {
    let _lock = transaction::lock(project)?;
    transaction::recover(project)?;
    let survey = current(project, templates)?;
    let conflicts = &survey.planned.conflicts.conflicts;
    let known = || conflicts.iter().map(|one| format!("{} {}", one.id, one.path)).collect::<Vec<_>>().join(", ");
    let named = |one: &&Conflict| one.id == which || one.path.as_str() == which;
    let missing = || Error::Missing(format!("no conflict {which:?}; open: {}", known()));
    let path = conflicts.iter().find(named).ok_or_else(missing)?.path.clone();
    let (Some(file), Some(new)) = (survey.disk.get(&path), survey.tree.get(&path)) else { return Err(missing()) };
    let yours = String::from_utf8_lossy(&file.bytes).into_owned();
    let shape = Shape::of(&yours);
    let base_text = survey.base.get(&path).map(|target| target.text.as_str()).unwrap_or_default();
    let result = match how {
        Resolution::Ours => None,
        Resolution::Merged if plan::has_markers(&yours) => {
            return Err(Error::Refused(format!("{path} still has markers: edit it first")));
        }
        Resolution::Merged => None,
        Resolution::Theirs => Some(shape.dress(&new.text)),
        Resolution::Markers => Some(shape.dress(&plan::with_markers(base_text, &shape.strip(&yours), &new.text))),
    };
    let (mut base, mut disk) = (survey.base.clone(), survey.disk.clone());
    let mut proposed = survey.state.as_ref().map(|state| state.proposed.clone()).unwrap_or_default();
    let mut changes = Vec::new();
    if let Some(text) = result {
        let after = After { bytes: text.into_bytes(), mode: file.mode };
        disk.insert(path.clone(), DiskFile { bytes: after.bytes.clone(), mode: file.mode });
        changes.push(Change { path: path.clone(), before: Some(Hash::of(&file.bytes)), after: Some(after) });
    }
    if how != Resolution::Markers {
        base.insert(path.clone(), new.clone());
        proposed.remove(&path);
        apply::withdraw(project, survey.state.as_ref(), &proposed, &mut changes)?;
    }
    apply::finish(project, &survey, (base, disk, proposed), changes)
}

/// The project with its plan. Files may have been edited since the plan was made, which resolving is for; nothing
/// but conflicts may be left to do.
fn current<'a>(project: &Project, templates: &'a [Template]) -> Result<Survey<'a>, Error> {
    let survey = apply::refreshed(project, templates)?;
    if survey.planned.plan.changes() {
        return Err(Error::Refused("apply the plan first: it has more than conflicts".to_owned()));
    }
    Ok(survey)
}
