//! The plan: an action and a reason for every file, computed from base, disk and tree, and nothing else.
//!
//! `plan.json` holds hashes, not contents: each is a precondition. Applying computes the plan again; when its id
//! differs, something it relied on has changed, and nothing is written.

mod decide;
mod merge;
mod region;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use decide::{DiskFile, Input, Planned, make};
pub use merge::{has_markers, with_markers};
use serde::{Deserialize, Serialize};

use crate::content::Hash;
use crate::path::RelPath;
use crate::tree::{Class, Kind};

/// Where a project keeps its plan.
pub const PLAN_FILE: &str = "plan.json";

/// Where a project keeps what needs a person.
pub const CONFLICTS_FILE: &str = "conflicts.json";

/// What stands behind a conflict's path for the file as the template would have it.
pub const PROPOSED: &str = ".new";

const PLAN_FORMAT: &str = "tollgate.plan/1";
const CONFLICTS_FORMAT: &str = "tollgate.conflicts/1";

/// More actions than any app has files; a plan beyond it is not ours.
const ACTIONS_MAX: usize = 10_000;

/// What is to be done with each file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The version of this format.
    pub format: String,
    /// The hash of everything below it.
    pub plan_id: String,
    /// From which template version to which.
    pub template: Step,
    /// The description the new tree was made from, whole, so that applying needs nothing else.
    pub description: String,
    /// How many actions of each kind.
    pub summary: Summary,
    /// One per file, by path.
    pub actions: Vec<Action>,
}

/// From which template version to which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The template.
    pub id: String,
    /// The version the project was last made from.
    pub from: Option<String>,
    /// The version of this binary.
    pub to: String,
}

/// How many actions of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is the count of the operation it is named for")]
pub struct Summary {
    pub create: usize,
    pub update: usize,
    pub merge: usize,
    pub conflict: usize,
    pub delete: usize,
    pub keep: usize,
}

/// What is done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// It is not there and will be.
    Create,
    /// It is as we left it and becomes the new text.
    Update,
    /// Both sides changed different parts.
    Merge,
    /// Both sides changed the same: it stays, the new text is laid beside it.
    Conflict,
    /// It is as we left it and no longer needed.
    Delete,
    /// Nothing is written.
    Keep,
}

/// What is done with one file, why, and what must still be so then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// What is done.
    pub op: Op,
    /// With which file.
    pub path: RelPath,
    /// Whose it is.
    pub class: Class,
    /// What it is for.
    pub kind: Kind,
    /// The mode a created file gets.
    pub mode: Mode,
    /// What the last run generated.
    pub base: Option<Hash>,
    /// What is there; null: it must not exist.
    pub disk: Option<Hash>,
    /// What the template has now.
    pub new: Option<Hash>,
    /// What will be there.
    pub result: Option<Hash>,
    /// Why, for the person who reads the plan.
    pub why: String,
}

/// Whether a file may be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the two modes a template may ask for")]
pub enum Mode {
    #[serde(rename = "0644")]
    Plain,
    #[serde(rename = "0755")]
    Executable,
}

/// What needs a person, by path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conflicts {
    /// The version of this format.
    pub format: String,
    /// The plan these belong to.
    pub plan_id: String,
    /// One per file.
    pub conflicts: Vec<Conflict>,
}

/// One file that both sides changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conflict {
    /// `c1`, `c2`, … in the order of the paths.
    pub id: String,
    /// The file.
    pub path: RelPath,
    /// Why it is one.
    pub why: String,
    /// How many places both sides changed; 0 when the whole file is in question.
    pub places: usize,
    /// Where applying lays the new text.
    pub proposed: RelPath,
    /// What `apply-plan resolve` takes.
    pub choices: Vec<String>,
}

/// Why a text is no plan.
#[derive(Debug, thiserror::Error)]
#[error("{PLAN_FILE} cannot be used: {0}")]
pub struct Unreadable(String);

impl Plan {
    /// Reads a plan. Needs no file system.
    ///
    /// # Errors
    /// It is not JSON of this format, was edited, or contradicts itself.
    pub fn parse(text: &str) -> Result<Self, Unreadable> {
        let refuse = |why: &str| Err(Unreadable(format!("{why}; run `tollgate generate` again")));
        let plan: Self = serde_json::from_str(text).map_err(|error| Unreadable(error.to_string()))?;
        if plan.format != PLAN_FORMAT {
            return refuse(&format!("its format is {:?}, this version reads {PLAN_FORMAT}", plan.format));
        }
        if plan.actions.len() > ACTIONS_MAX {
            return refuse("it has too many actions");
        }
        if plan.actions.windows(2).any(|pair| pair[0].path >= pair[1].path) {
            return refuse("its actions are not in the order of their paths");
        }
        if plan.summary != Summary::of(&plan.actions) {
            return refuse("its summary does not count its actions");
        }
        if plan.plan_id != plan.computed_id() {
            return refuse("it was edited after it was made");
        }
        Ok(plan)
    }

    /// The plan as the bytes of its file.
    #[must_use]
    pub fn render(&self) -> String {
        pretty(self)
    }

    /// Whether applying it would write anything but what is already proposed.
    #[must_use]
    pub fn changes(&self) -> bool {
        let s = self.summary;
        s.create + s.update + s.merge + s.delete > 0
    }

    fn computed_id(&self) -> String {
        let nameless = Self { plan_id: String::new(), ..self.clone() };
        let text = serde_json::to_string(&nameless).expect("a plan is plain data");
        Hash::of(text.as_bytes()).to_string()
    }

    fn named(mut self) -> Self {
        self.plan_id = self.computed_id();
        self
    }
}

impl Conflicts {
    /// Reads the conflicts.
    ///
    /// # Errors
    /// It is not JSON of this format.
    pub fn parse(text: &str) -> Result<Self, Unreadable> {
        let read: Self = serde_json::from_str(text).map_err(|error| Unreadable(error.to_string()))?;
        if read.format == CONFLICTS_FORMAT { Ok(read) } else { Err(Unreadable(format!("format {:?}", read.format))) }
    }

    /// The conflicts as the bytes of their file.
    #[must_use]
    pub fn render(&self) -> String {
        pretty(self)
    }

    fn of(plan: &Plan, places: &BTreeMap<RelPath, usize>) -> Self {
        let conflicts = plan.actions.iter().filter(|action| action.op == Op::Conflict);
        let conflicts = conflicts.zip(1..).map(|(action, number)| Conflict {
            id: format!("c{number}"),
            path: action.path.clone(),
            why: action.why.clone(),
            places: places.get(&action.path).copied().unwrap_or_default(),
            proposed: action.path.with_suffix(PROPOSED),
            choices: ["ours", "theirs", "markers", "merged"].map(str::to_owned).to_vec(),
        });
        Self { format: CONFLICTS_FORMAT.to_owned(), plan_id: plan.plan_id.clone(), conflicts: conflicts.collect() }
    }
}

impl Summary {
    fn of(actions: &[Action]) -> Self {
        let mut summary = Self::default();
        for action in actions {
            let count = match action.op {
                Op::Create => &mut summary.create,
                Op::Update => &mut summary.update,
                Op::Merge => &mut summary.merge,
                Op::Conflict => &mut summary.conflict,
                Op::Delete => &mut summary.delete,
                Op::Keep => &mut summary.keep,
            };
            *count += 1;
        }
        summary
    }
}

fn pretty(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("plain data can be written as JSON");
    text.push('\n');
    text
}
