//! What a new data directory of `dev` starts with: orgs that signed up, subscribed, paid and used, through the same verbs
//! as everyone else. The first one is there before the server is ready, the others follow.

mod sign_up;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tollgate_engine::Engine;
use tollgate_web::Demo;

use crate::config::Config;
use crate::data_dir::{DataDir, write_whole};
use crate::failure::Failure;

/// The four orgs of `--seed demo`.
const DEMO: &str = include_str!("../seeds/demo.toml");

/// The orgs to start with.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seed {
    #[serde(default, rename = "org")]
    orgs: Vec<Org>,
}

/// One org of a seed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Org {
    id: String,
    name: String,
    email: String,
    timezone: Option<String>,
    /// The lookup key of the price it subscribes to; without one it has no subscription.
    price: Option<String>,
    /// A payment method of the sandbox's.
    card: Option<String>,
    /// The plan it has paid for, which ended its trial.
    pay: Option<String>,
    /// Units already used, by metric.
    #[serde(default)]
    usage: BTreeMap<String, i64>,
}

/// The org of the start page, remembered in the data directory.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Remembered {
    org_id: String,
    key: String,
}

impl Seed {
    /// What `--seed` asks for, on a new data directory; nothing on a known one.
    ///
    /// # Errors
    /// The file cannot be read or is not a seed.
    pub(crate) fn choose(config: &Config, new: bool) -> Result<Seed, Failure> {
        if !new {
            return Ok(Seed::default());
        }
        match config.seed.as_str() {
            "empty" => Ok(Seed::default()),
            "demo" => parse(DEMO, "the demo seed"),
            path => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    Failure::usage(format!("--seed / TOLLGATE_SEED: {path} cannot be read: {error}"))
                        .remedy("Say demo, empty, or name a TOML file of orgs.")
                })?;
                parse(&text, path)
            }
        }
    }
}

fn parse(text: &str, source: &str) -> Result<Seed, Failure> {
    toml::from_str(text).map_err(|error| Failure::usage(format!("{source} is not a seed: {error}")))
}

/// Signs up the first org, or remembers who that was.
///
/// # Errors
/// Something it needs was refused: the seed asks for what the catalog does not have.
pub(crate) async fn first(engine: &Engine, seed: &Seed, data: &DataDir) -> Result<Option<Demo>, Failure> {
    let Some(org) = seed.orgs.first() else { return Ok(remembered(data)) };
    let key = sign_up::sign_up(engine, org).await?;
    let demo = Remembered { org_id: org.id.clone(), key };
    let text = serde_json::to_string(&demo).map_err(Failure::during("remembering the demo org"))?;
    write_whole(&data.demo(), &text)?;
    Ok(Some(Demo { org_id: demo.org_id, key: demo.key }))
}

fn remembered(data: &DataDir) -> Option<Demo> {
    let text = std::fs::read_to_string(data.demo()).ok()?;
    let demo: Remembered = serde_json::from_str(&text).ok()?;
    Some(Demo { org_id: demo.org_id, key: demo.key })
}

/// Signs up the others, one after the other. One that fails is told and left out: the server is running.
pub(crate) async fn rest(engine: &Engine, seed: &Seed) {
    for org in seed.orgs.iter().skip(1) {
        if let Err(failure) = sign_up::sign_up(engine, org).await {
            tracing::warn!(orgId = org.id, "a demo org was not made: {failure}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DEMO, parse};

    #[test]
    fn the_demo_is_four_orgs_and_the_first_is_three_calls_from_its_limit() {
        let seed = parse(DEMO, "demo").unwrap();
        assert_eq!(seed.orgs.len(), 4);
        assert_eq!((seed.orgs[0].name.as_str(), seed.orgs[0].usage["api_call"]), ("Acme", 997));
    }

    #[test]
    fn a_word_that_a_seed_does_not_know_is_refused() {
        let failure = parse("[[org]]\nid = \"org_a\"\nname = \"A\"\nemail = \"a@a.example\"\ncolour = 1\n", "x.toml")
            .unwrap_err();
        assert!(failure.what.contains("colour"), "{failure}");
    }
}
