//! What a project remembers of its last run: `.tollgate/app.json`, committed with it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::content::Hash;
use crate::path::RelPath;
use crate::tree::{Class, Kind};

pub(crate) const FORMAT: &str = "tollgate.state/1";

/// The columns of every entity.
pub(crate) type Schema = BTreeMap<String, BTreeMap<String, String>>;

/// What a project remembers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    pub(crate) format: String,
    pub(crate) project: String,
    pub(crate) template: String,
    pub(crate) version: String,
    /// The schema that the migrations written so far lead to.
    pub(crate) schema: Schema,
    /// Every file we generated. Its base lies under `.tollgate/base/`.
    pub(crate) files: BTreeMap<RelPath, Remembered>,
    /// What was laid beside files in conflict, so that it is only removed while it is ours.
    pub(crate) proposed: BTreeMap<RelPath, Hash>,
}

/// A generated file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Remembered {
    pub(crate) class: Class,
    pub(crate) kind: Kind,
    pub(crate) executable: bool,
    pub(crate) base: Hash,
}

impl State {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let state: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if state.format == FORMAT { Ok(state) } else { Err(format!("its format is {:?}", state.format)) }
    }

    pub(crate) fn render(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("plain data can be written as JSON");
        text.push('\n');
        text
    }
}
