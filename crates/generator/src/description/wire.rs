//! The description as it is spelled in the file.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::{AuthMode, DeployTarget};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wire {
    pub(super) format: Spanned<String>,
    pub(super) app: App,
    #[serde(default)]
    pub(super) entities: BTreeMap<Spanned<String>, Entity>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct App {
    pub(super) title: Spanned<String>,
    pub(super) template: Option<Spanned<String>>,
    pub(super) auth_mode: Option<AuthMode>,
    pub(super) deploy_target: Option<DeployTarget>,
    pub(super) roles: Option<Spanned<Vec<Spanned<String>>>>,
    #[serde(default)]
    pub(super) features: Vec<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entity {
    pub(super) write: Option<Vec<Spanned<String>>>,
    pub(super) feature: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) fields: BTreeMap<Spanned<String>, Spanned<String>>,
}
