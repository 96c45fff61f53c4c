//! Files that are ours only between markers: `tollgate:begin NAME` … `tollgate:end NAME`, in comments of any language.

use std::collections::BTreeMap;

const BEGIN: &str = "tollgate:begin ";
const END: &str = "tollgate:end ";

/// What came of new regions in a user's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Replaced {
    /// The user's file with the new regions.
    Text(String),
    /// A region was edited by hand and is new in the template too.
    Edited(String),
    /// The template has a region that the file has no place for.
    Missing(String),
    /// Markers do not pair.
    Broken,
}

/// Puts the template's regions into the user's file. A region that the user took out stays out.
pub(super) fn replace(base: &str, disk: &str, new: &str) -> Replaced {
    let (Some(before), Some(there), Some(after)) = (regions(base), regions(disk), regions(new)) else {
        return Replaced::Broken;
    };
    for (name, body) in &after {
        match (before.get(name), there.get(name)) {
            (None, None) => return Replaced::Missing((*name).to_owned()),
            (Some(old), Some(found)) if found != old && body != old && found != body => {
                return Replaced::Edited((*name).to_owned());
            }
            (None, Some(found)) if found != body => return Replaced::Edited((*name).to_owned()),
            _ => {}
        }
    }
    let mut text = String::new();
    let mut inside: Option<&str> = None;
    for line in disk.split_inclusive('\n') {
        if let Some(name) = marker(line, END) {
            inside = None;
            text.push_str(line);
            debug_assert!(!name.is_empty(), "a marker has a name");
        } else if inside.is_none() {
            text.push_str(line);
            // A region the template left unchanged is the user's to edit.
            if let Some(name) = marker(line, BEGIN)
                && let Some(body) = after.get(name)
                && before.get(name) != Some(body)
            {
                text.push_str(body);
                inside = Some(name);
            }
        }
    }
    Replaced::Text(text)
}

/// The text between the markers by name; nothing when they do not pair.
fn regions(text: &str) -> Option<BTreeMap<&str, String>> {
    let mut found = BTreeMap::new();
    let mut open: Option<(&str, String)> = None;
    for line in text.split_inclusive('\n') {
        if let Some(name) = marker(line, BEGIN) {
            if open.is_some() || found.contains_key(name) {
                return None;
            }
            open = Some((name, String::new()));
        } else if let Some(name) = marker(line, END) {
            let (begun, body) = open.take()?;
            if begun != name {
                return None;
            }
            found.insert(name, body);
        } else if let Some((_, body)) = &mut open {
            body.push_str(line);
        }
    }
    open.is_none().then_some(found)
}

fn marker<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(word)?;
    rest.split_whitespace().next()
}
