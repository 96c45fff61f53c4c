//! What is done with each file: the one table of decisions.

use std::collections::{BTreeMap, BTreeSet};

use super::merge::{Merged, merge};
use super::region::{self, Replaced};
use super::{Action, Conflicts, Mode, Op, PLAN_FORMAT, Plan, Step, Summary};
use crate::content::{Hash, Shape};
use crate::path::RelPath;
use crate::tree::{Class, Kind, Target, Tree};

/// A file as it is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskFile {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its mode bits.
    pub mode: u32,
}

/// What a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The description, as text.
    pub description: &'a str,
    /// The template and its version.
    pub template: (&'a str, &'a str),
    /// The version of the last run.
    pub previous: Option<&'a str>,
    /// What the last run generated: class, kind and text.
    pub base: &'a BTreeMap<RelPath, Target>,
    /// What is there now, of the paths in base and tree.
    pub disk: &'a BTreeMap<RelPath, DiskFile>,
    /// What should be there.
    pub tree: &'a Tree,
}

/// A plan with what it would write.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// What needs a person.
    pub conflicts: Conflicts,
    /// The bytes of every file that is created, updated or merged.
    pub results: BTreeMap<RelPath, Vec<u8>>,
}

/// Decides on every file.
#[must_use]
pub fn make(input: Input<'_>) -> Planned {
    let paths: BTreeSet<&RelPath> = input.base.keys().chain(input.tree.keys()).collect();
    let mut actions = Vec::new();
    let mut results = BTreeMap::new();
    let mut places = BTreeMap::new();
    for path in paths {
        let (base, disk, new) = (input.base.get(path), input.disk.get(path), input.tree.get(path));
        let Some(known) = new.or(base) else { continue };
        let Verdict { op, why, result, disputed } = decide(base, disk, new);
        actions.push(Action {
            op,
            path: path.clone(),
            class: known.class,
            kind: known.kind,
            mode: if known.executable { Mode::Executable } else { Mode::Plain },
            base: base.map(|target| Hash::of(target.text.as_bytes())),
            disk: disk.map(|file| Hash::of(&file.bytes)),
            new: new.map(|target| Hash::of(target.text.as_bytes())),
            result: result.as_deref().map(Hash::of).or_else(|| match op {
                Op::Delete => None,
                _ => disk.map(|file| Hash::of(&file.bytes)),
            }),
            why,
        });
        if let Some(bytes) = result {
            results.insert(path.clone(), bytes);
        }
        places.insert(path.clone(), disputed);
    }
    let plan = Plan {
        format: PLAN_FORMAT.to_owned(),
        plan_id: String::new(),
        template: Step {
            id: input.template.0.to_owned(),
            from: input.previous.map(str::to_owned),
            to: input.template.1.to_owned(),
        },
        description: input.description.to_owned(),
        summary: Summary::of(&actions),
        actions,
    }
    .named();
    Planned { conflicts: Conflicts::of(&plan, &places), plan, results }
}

struct Verdict {
    op: Op,
    why: String,
    result: Option<Vec<u8>>,
    disputed: usize,
}

impl Verdict {
    fn keep(why: impl Into<String>) -> Self {
        Self { op: Op::Keep, why: why.into(), result: None, disputed: 0 }
    }

    fn write(op: Op, why: impl Into<String>, text: String) -> Self {
        Self { op, why: why.into(), result: Some(text.into_bytes()), disputed: 0 }
    }

    fn conflict(why: impl Into<String>, disputed: usize) -> Self {
        Self { op: Op::Conflict, why: why.into(), result: None, disputed }
    }
}

fn decide(base: Option<&Target>, disk: Option<&DiskFile>, new: Option<&Target>) -> Verdict {
    match (base, disk, new) {
        (None, None, Some(new)) => Verdict::write(Op::Create, format!("new: {}", new.origin), new.text.clone()),
        (Some(_), None, Some(_)) => Verdict::keep("you deleted it; it stays deleted"),
        (Some(_), None, None) => Verdict::keep("gone on both sides"),
        (None, Some(disk), Some(new)) if disk.bytes == new.text.as_bytes() => Verdict::keep("already as generated"),
        (None, Some(_), Some(new)) => {
            Verdict::conflict(format!("you have a file where this is now generated ({})", new.origin), 0)
        }
        (Some(base), Some(disk), None) => no_longer_generated(base, disk),
        (Some(base), Some(disk), Some(new)) => all_three(base, disk, new),
        (None, _, None) => Verdict::keep("not generated"),
    }
}

fn no_longer_generated(base: &Target, disk: &DiskFile) -> Verdict {
    if matches!(base.kind, Kind::Migration { .. }) {
        return Verdict::keep("a migration is never taken back");
    }
    let untouched = std::str::from_utf8(&disk.bytes).is_ok_and(|text| Shape::of(text).strip(text) == base.text);
    if untouched {
        let why = "no longer generated, and you did not change it";
        return Verdict { op: Op::Delete, why: why.into(), result: None, disputed: 0 };
    }
    Verdict::keep("no longer generated, but you changed it: it is yours now")
}

fn all_three(base: &Target, disk: &DiskFile, new: &Target) -> Verdict {
    if new.text == base.text {
        return Verdict::keep("the generated text has not changed");
    }
    let Ok(text) = std::str::from_utf8(&disk.bytes) else {
        return Verdict::conflict("it is no longer text", 0);
    };
    let shape = Shape::of(text);
    let yours = shape.strip(text);
    if yours == new.text {
        return Verdict::keep("already as generated");
    }
    if yours == base.text {
        let why = format!("generated anew ({}), and you did not change it", new.origin);
        return Verdict::write(Op::Update, why, shape.dress(&new.text));
    }
    match new.class {
        Class::Owned => Verdict::conflict("you changed a file that is generated whole, and it is generated anew", 0),
        Class::Region => match region::replace(&base.text, &yours, &new.text) {
            Replaced::Text(text) if text == yours => Verdict::keep("the generated parts are as they should be"),
            Replaced::Text(text) => {
                Verdict::write(Op::Merge, "the generated parts between the markers are new", shape.dress(&text))
            }
            Replaced::Edited(name) => {
                Verdict::conflict(format!("you changed the generated part {name:?}, and it is generated anew"), 1)
            }
            Replaced::Missing(name) => {
                Verdict::conflict(format!("the generated part {name:?} has no place in your file"), 1)
            }
            Replaced::Broken => Verdict::conflict("the markers of the generated parts do not pair", 1),
        },
        Class::Seeded => match merge(&base.text, &yours, &new.text) {
            Merged::Clean(text) => {
                Verdict::write(Op::Merge, "your changes and the new ones do not touch", shape.dress(&text))
            }
            Merged::Conflict(places) => {
                Verdict::conflict(format!("you and the template changed the same lines ({})", new.origin), places)
            }
        },
    }
}
