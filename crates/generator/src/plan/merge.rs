//! Three-way merge of lines.

use diffy::{ConflictStyle, MergeOptions};

/// What came of a merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Merged {
    /// Both sides' changes, side by side.
    Clean(String),
    /// Both sides changed the same lines, in so many places.
    Conflict(usize),
}

/// Merges what both sides made of the base.
///
/// Lines that are the user's own are in the result of every clean merge; where the library would take one side's
/// view of a line that the user added, this is a conflict instead.
pub(super) fn merge(base: &str, ours: &str, theirs: &str) -> Merged {
    match diffy::merge(base, ours, theirs) {
        Ok(text) if keeps_added_lines(base, ours, &text) => Merged::Clean(text),
        Ok(_) => Merged::Conflict(1),
        Err(marked) => Merged::Conflict(marked.lines().filter(|line| line.starts_with("<<<<<<<")).count().max(1)),
    }
}

/// The text with both sides between markers where they disagree.
#[must_use]
pub fn with_markers(base: &str, ours: &str, theirs: &str) -> String {
    let mut options = MergeOptions::new();
    options.set_conflict_style(ConflictStyle::Diff3);
    options.merge(base, ours, theirs).unwrap_or_else(|marked| marked)
}

/// Whether a text still has markers of a merge in it.
#[must_use]
pub fn has_markers(text: &str) -> bool {
    text.lines()
        .any(|line| line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ") || line.starts_with("||||||| "))
}

/// Every line the user added beyond the base stands in the result at least as often as they added it.
fn keeps_added_lines(base: &str, ours: &str, result: &str) -> bool {
    let count = |text: &str, line: &str| text.lines().filter(|other| *other == line).count();
    let mut added: Vec<&str> = ours.lines().collect();
    added.sort_unstable();
    added.dedup();
    added.into_iter().all(|line| {
        let more = count(ours, line).saturating_sub(count(base, line));
        more == 0 || count(result, line) >= more
    })
}
