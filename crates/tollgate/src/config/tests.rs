//! Which source of a setting wins, and what a wrong one is told.

use std::collections::BTreeMap;
use std::path::Path;

use secrecy::ExposeSecret;

use super::{Config, Mode, Surroundings};
use crate::cli;
use crate::failure::{Exit, Failure};

fn load(mode: Mode, line: &[&str], variables: &[(&str, &str)], directory: &Path) -> Result<Config, Failure> {
    let variables: BTreeMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let words = std::iter::once("tollgate").chain(line.iter().copied());
    let matches = cli::command().try_get_matches_from(words).expect("the line parses");
    let inner = matches.subcommand().map(|(_, inner)| inner);
    let flags: Vec<_> = inner.into_iter().chain(std::iter::once(&matches)).collect();
    Config::load(mode, &flags, &Surroundings { variable: &|name| variables.get(name).cloned(), directory })
}

#[test]
fn a_flag_wins_over_its_variable_which_wins_over_the_env_file_and_the_default() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join(".env.local"), "TOLLGATE_LISTEN=127.0.0.1:3\nTOLLGATE_DATA=from-file\n").unwrap();
    let variables = [("TOLLGATE_LISTEN", "127.0.0.1:2")];
    let config = load(Mode::Dev, &["--listen", "127.0.0.1:1"], &variables, place.path()).unwrap();
    assert_eq!(config.listen.port(), 1);
    let config = load(Mode::Dev, &[], &variables, place.path()).unwrap();
    assert_eq!(config.listen.port(), 2);
    let config = load(Mode::Dev, &[], &[], place.path()).unwrap();
    assert_eq!((config.listen.port(), config.data.to_str()), (3, Some("from-file")));
    let config = load(Mode::Serve, &["serve"], &[], place.path()).unwrap();
    assert_eq!((config.listen.port(), config.data.to_str()), (8787, Some("./.tollgate")));
}

#[test]
fn flags_of_dev_work_with_and_without_its_name() {
    let place = tempfile::tempdir().unwrap();
    for line in [&["--seed", "empty", "--fresh"][..], &["dev", "--seed", "empty", "--fresh"][..]] {
        let config = load(Mode::Dev, line, &[], place.path()).unwrap();
        assert!(config.fresh);
        assert_eq!(config.seed, "empty");
    }
}

#[test]
fn a_secret_is_read_from_its_file_and_never_printed() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("key");
    let key = format!("tgo_{}", "k".repeat(40));
    std::fs::write(&file, format!("{key}\n")).unwrap();
    let name = file.to_str().unwrap();
    let config = load(Mode::Serve, &["serve"], &[("TOLLGATE_OPERATOR_KEY_FILE", name)], place.path()).unwrap();
    assert_eq!(config.operator_key.as_ref().map(ExposeSecret::expose_secret), Some(key.as_str()));
    assert!(!format!("{config:?}").contains(&key));
    let both = [("TOLLGATE_OPERATOR_KEY_FILE", name), ("TOLLGATE_OPERATOR_KEY", key.as_str())];
    let failure = load(Mode::Serve, &["serve"], &both, place.path()).unwrap_err();
    assert!(failure.what.contains("both set"), "{failure}");
}

#[test]
fn a_wrong_setting_is_named_with_a_way_out_and_its_secret_stays_hidden() {
    let place = tempfile::tempdir().unwrap();
    for (variable, value) in [
        ("TOLLGATE_LISTEN", "8787"),
        ("TOLLGATE_OPERATOR_KEY", "tgo_short-and-secret"),
        ("STRIPE_SECRET_KEY", "pk_live_secret"),
        ("STRIPE_WEBHOOK_SECRET", "secret"),
        ("STRIPE_API_BASE", "secret"),
        ("DATABASE_URL", "mysql://secret"),
        ("TOLLGATE_ENV", "staging"),
        ("TOLLGATE_CLOCK", "tomorrow"),
        ("TOLLGATE_MIGRATE", "perhaps"),
        ("TOLLGATE_PLANS", "nowhere.toml"),
    ] {
        let failure = load(Mode::Serve, &["serve"], &[(variable, value)], place.path()).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.what.contains(variable), "{failure}");
        assert!(!failure.to_string().contains("secret_") && !failure.what.ends_with(value), "{failure}");
        assert!(failure.remedy.is_some(), "{failure}");
    }
}

#[test]
fn a_variable_of_a_later_version_is_named_in_a_warning() {
    let place = tempfile::tempdir().unwrap();
    let config = load(Mode::Serve, &["serve"], &[("REDIS_URL", "redis://x")], place.path()).unwrap();
    assert!(config.warnings.iter().any(|warning| warning.contains("REDIS_URL")));
}
