//! Settings resolved and parsed: flag, then variable, then `NAME_FILE`, then `.env.local` (in `dev`), then the default.

mod clerk;
mod dotenv;
mod oidc;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use clap::parser::ValueSource;
use secrecy::SecretString;
use tollgate_rules::catalog::Catalog;
use tollgate_rules::time::Timestamp;
use tollgate_web::{BadNetwork, Proxies};

use crate::failure::Failure;
use crate::settings::{NOT_USED_YET, SETTINGS, Setting, Value, setting};

pub(crate) use clerk::Clerk;
pub(crate) use oidc::Oidc;

/// Which of the two servers reads the settings; operator commands read them as `serve` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// `tollgate dev`.
    Dev,
    /// `tollgate serve` and the operator commands.
    Serve,
}

/// The settings, parsed. Secrets do not print.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) mode: Mode,
    pub(crate) listen: SocketAddr,
    /// Whether `listen` is the default, so that `dev` may take the next free port.
    pub(crate) listen_is_default: bool,
    pub(crate) data: PathBuf,
    pub(crate) catalog: Catalog,
    /// The same as it was written, for a server to read itself.
    pub(crate) catalog_text: String,
    pub(crate) database_url: Option<SecretString>,
    pub(crate) environment: String,
    pub(crate) log: String,
    pub(crate) ready_file: Option<PathBuf>,
    pub(crate) operator_key: Option<SecretString>,
    pub(crate) stripe_secret_key: Option<SecretString>,
    pub(crate) webhook_secrets: Vec<SecretString>,
    pub(crate) stripe_api_base: String,
    pub(crate) allow_sandbox: bool,
    /// Whether Stripe works tax out by where the customer is.
    pub(crate) automatic_tax: bool,
    pub(crate) stigg_api_key: Option<SecretString>,
    pub(crate) stigg_api_base: String,
    /// Clerk, where users are kept there.
    pub(crate) clerk: Option<Clerk>,
    /// Who signs operators in as people.
    pub(crate) oidc: Option<Oidc>,
    pub(crate) app_base_url: Option<String>,
    /// Who is believed about where a call came from.
    pub(crate) trusted_proxies: Proxies,
    /// Whether proofs of possession need a nonce.
    pub(crate) dpop_nonce_required: bool,
    pub(crate) smtp_url: Option<SecretString>,
    pub(crate) mail_from: String,
    /// Who is asked for texts in the DNS; the system's resolvers when left out.
    pub(crate) dns_server: Option<SocketAddr>,
    pub(crate) secret_key: Option<SecretString>,
    pub(crate) migrate: bool,
    pub(crate) sandbox_listen: SocketAddr,
    pub(crate) sandbox_listen_is_default: bool,
    pub(crate) seed: String,
    pub(crate) clock: Option<Timestamp>,
    pub(crate) fresh: bool,
    pub(crate) no_open: bool,
    /// Things to say before starting that stop nothing.
    pub(crate) warnings: Vec<String>,
}

/// What the settings are read from besides the command line; an argument, so that tests need no process environment.
pub(crate) struct Surroundings<'a> {
    /// A variable of the environment.
    pub(crate) variable: &'a dyn Fn(&str) -> Option<String>,
    /// The directory that `.env.local` and `plans.toml` are looked for in.
    pub(crate) directory: &'a Path,
}

impl Config {
    /// Resolves and parses everything.
    ///
    /// # Errors
    /// A setting is wrong: the message names it and says what it should be.
    pub(crate) fn load(mode: Mode, flags: &[&ArgMatches], around: &Surroundings<'_>) -> Result<Config, Failure> {
        let values = Values::resolve(mode, flags, around)?;
        let data = PathBuf::from(values.required("data"));
        let (catalog, catalog_text) = catalog(values.path("plans"), around.directory)?;
        Ok(Config {
            mode,
            listen: values.address("listen")?,
            listen_is_default: values.is_default("listen"),
            catalog,
            catalog_text,
            database_url: values.database_url()?,
            environment: values.environment(mode)?,
            log: values
                .text("TOLLGATE_LOG")
                .unwrap_or_else(|| String::from(if mode == Mode::Dev { "warn" } else { "info" })),
            ready_file: values.path("ready-file"),
            operator_key: values.operator_key()?,
            stripe_secret_key: values.secret_with_prefix("STRIPE_SECRET_KEY", &["sk_", "rk_"])?,
            webhook_secrets: values.webhook_secrets()?,
            stripe_api_base: values.url("STRIPE_API_BASE")?.unwrap_or_default(),
            allow_sandbox: values.switch("allow-sandbox")?,
            automatic_tax: values.switch("TOLLGATE_AUTOMATIC_TAX")?,
            stigg_api_key: values.text("STIGG_API_KEY").map(SecretString::from),
            stigg_api_base: values.url("STIGG_API_BASE")?.unwrap_or_default(),
            clerk: clerk::of(&values)?,
            oidc: oidc::of(&values)?,
            app_base_url: values.url("APP_BASE_URL")?,
            trusted_proxies: values.proxies()?,
            dpop_nonce_required: values.switch("TOLLGATE_DPOP_NONCE_REQUIRED")?,
            smtp_url: values.text("TOLLGATE_SMTP_URL").map(SecretString::from),
            mail_from: values.required("TOLLGATE_MAIL_FROM"),
            dns_server: values.server("TOLLGATE_DNS_SERVER")?,
            secret_key: values.secret_key()?,
            migrate: values.switch("migrate")?,
            sandbox_listen: values.address("sandbox-listen")?,
            sandbox_listen_is_default: values.is_default("sandbox-listen"),
            seed: values.required("seed"),
            clock: values.time("clock")?,
            fresh: values.switch("fresh")?,
            no_open: values.switch("no-open")?,
            warnings: values.warnings,
            data,
        })
    }
}

/// `--plans`, else `plans.toml` in the current directory, else the catalog in the binary.
fn catalog(named: Option<PathBuf>, directory: &Path) -> Result<(Catalog, String), Failure> {
    let beside = directory.join("plans.toml");
    let path = named.or_else(|| beside.is_file().then_some(beside));
    let (text, source) = match path {
        None => (Catalog::default_text().to_owned(), String::from("the catalog in the binary")),
        Some(path) => {
            let text = std::fs::read_to_string(&path).map_err(|error| {
                Failure::usage(format!("--plans / TOLLGATE_PLANS: {} cannot be read: {error}", path.display()))
                    .remedy("Name a file that exists, or leave the setting out to use the catalog in the binary.")
            })?;
            (text, path.display().to_string())
        }
    };
    let catalog = Catalog::parse(&text).map_err(|error| {
        Failure::usage(format!("{source} is not a catalog: {error}"))
            .remedy("Correct that line; `tollgate plans plan` shows what a change would do.")
    })?;
    Ok((catalog, text))
}

/// The resolved text of every setting that has one.
struct Values {
    texts: BTreeMap<&'static str, String>,
    defaults: BTreeMap<&'static str, String>,
    warnings: Vec<String>,
}

impl Values {
    fn resolve(mode: Mode, flags: &[&ArgMatches], around: &Surroundings<'_>) -> Result<Values, Failure> {
        let file = match mode {
            Mode::Dev => dotenv::read(&around.directory.join(".env.local"))?,
            Mode::Serve => BTreeMap::new(),
        };
        let mut values = Values { texts: BTreeMap::new(), defaults: BTreeMap::new(), warnings: Vec::new() };
        for setting in SETTINGS {
            if let Some(text) = given(setting, flags, around, &file)? {
                values.texts.insert(setting.id(), text);
            } else if !setting.default.is_empty() {
                values.defaults.insert(setting.id(), setting.default.to_owned());
            }
        }
        for name in NOT_USED_YET {
            if (around.variable)(name).is_some_and(|value| !value.is_empty()) {
                values.warnings.push(format!("{name} is set, but this version does not use it yet"));
            }
        }
        Ok(values)
    }

    fn text(&self, id: &'static str) -> Option<String> {
        debug_assert!(setting(id).is_some(), "{id} stands in the table of settings");
        self.texts.get(id).or_else(|| self.defaults.get(id)).cloned()
    }

    /// A setting whose default is never empty.
    fn required(&self, id: &'static str) -> String {
        self.text(id).unwrap_or_default()
    }

    fn is_default(&self, id: &str) -> bool {
        !self.texts.contains_key(id)
    }

    fn path(&self, id: &'static str) -> Option<PathBuf> {
        self.text(id).map(PathBuf::from)
    }

    fn switch(&self, id: &'static str) -> Result<bool, Failure> {
        match self.text(id).as_deref() {
            None | Some("" | "0" | "false") => Ok(false),
            Some("1" | "true") => Ok(true),
            Some(_) => Err(wrong(id, "is neither 1 nor 0", "Set it to 1 to switch it on, or leave it out.")),
        }
    }

    fn address(&self, id: &'static str) -> Result<SocketAddr, Failure> {
        let text = self.required(id);
        text.parse().map_err(|_| {
            wrong(
                id,
                &format!("`{text}` is not an address with a port"),
                "Write it as 127.0.0.1:8787, or with port 0 for a free one.",
            )
        })
    }

    /// The address of a server that may be left out.
    fn server(&self, id: &'static str) -> Result<Option<SocketAddr>, Failure> {
        let Some(text) = self.text(id) else { return Ok(None) };
        let read = text
            .parse()
            .map_err(|_| wrong(id, &format!("`{text}` is not an address with a port"), "Write it as 192.0.2.53:53."));
        read.map(Some)
    }

    fn url(&self, id: &'static str) -> Result<Option<String>, Failure> {
        let Some(text) = self.text(id) else { return Ok(None) };
        let is_url = text.parse::<http::Uri>().is_ok_and(|uri| uri.scheme().is_some() && uri.host().is_some());
        if is_url && text.starts_with("http") {
            Ok(Some(text.trim_end_matches('/').to_owned()))
        } else {
            Err(wrong(id, "is not an http or https address", "Write it in full, as https://example.com."))
        }
    }

    fn time(&self, id: &'static str) -> Result<Option<Timestamp>, Failure> {
        let Some(text) = self.text(id) else { return Ok(None) };
        Timestamp::parse_rfc3339(&text)
            .map(Some)
            .map_err(|_| wrong(id, &format!("`{text}` is not a time"), "Write it as 2026-01-15T09:00:00Z."))
    }

    fn secret_with_prefix(&self, id: &'static str, prefixes: &[&str]) -> Result<Option<SecretString>, Failure> {
        let Some(text) = self.text(id) else { return Ok(None) };
        if prefixes.iter().any(|prefix| text.starts_with(prefix)) {
            return Ok(Some(SecretString::from(text)));
        }
        let expected = prefixes.join(" or ");
        Err(wrong(id, &format!("does not start with {expected}"), "Copy the whole key from the provider's dashboard."))
    }

    fn secret_key(&self) -> Result<Option<SecretString>, Failure> {
        let id = "TOLLGATE_SECRET_KEY";
        match self.text(id) {
            Some(text) if text.len() < 32 => {
                Err(wrong(id, "is shorter than 32 characters", "Make one with: head -c 32 /dev/urandom | base64"))
            }
            other => Ok(other.map(SecretString::from)),
        }
    }

    fn operator_key(&self) -> Result<Option<SecretString>, Failure> {
        let id = "TOLLGATE_OPERATOR_KEY";
        let Some(text) = self.text(id) else { return Ok(None) };
        let tail = text.strip_prefix("tgo_").unwrap_or_default();
        if tail.len() >= 32 && tail.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
            return Ok(Some(SecretString::from(text)));
        }
        let remedy = "Make one with: echo \"tgo_$(head -c 32 /dev/urandom | base64 | tr -d '/+=\\n')\"";
        Err(wrong(id, "is not tgo_ followed by at least 32 of [A-Za-z0-9_-]", remedy))
    }

    fn database_url(&self) -> Result<Option<SecretString>, Failure> {
        let id = "database-url";
        let Some(text) = self.text(id) else { return Ok(None) };
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Some(SecretString::from(text)));
        }
        let remedy = "Write it as postgres://user:password@host:5432/name, or leave it out for the embedded database.";
        Err(wrong(id, "is not a PostgreSQL address", remedy))
    }

    fn webhook_secrets(&self) -> Result<Vec<SecretString>, Failure> {
        let id = "STRIPE_WEBHOOK_SECRET";
        let text = self.text(id).unwrap_or_default();
        let secrets: Vec<&str> = text.split(',').map(str::trim).filter(|secret| !secret.is_empty()).collect();
        if secrets.iter().any(|secret| !secret.starts_with("whsec_")) {
            return Err(wrong(
                id,
                "holds a secret that does not start with whsec_",
                "Copy it from the webhook endpoint's page at Stripe.",
            ));
        }
        Ok(secrets.into_iter().map(SecretString::from).collect())
    }

    fn proxies(&self) -> Result<Proxies, Failure> {
        let id = "TOLLGATE_TRUSTED_PROXIES";
        let parsed: Result<Proxies, BadNetwork> = self.text(id).unwrap_or_default().parse();
        parsed.map_err(|error| wrong(id, &error.to_string(), "Write it as 10.0.0.0/8,192.0.2.7."))
    }

    fn environment(&self, mode: Mode) -> Result<String, Failure> {
        let id = "TOLLGATE_ENV";
        match self.text(id).as_deref() {
            None => Ok(String::from(if mode == Mode::Dev { "local" } else { "prod" })),
            Some(known @ ("local" | "dev" | "prod")) => Ok(known.to_owned()),
            Some(other) => {
                Err(wrong(id, &format!("`{other}` is not one of local, dev, prod"), "Choose one of the three."))
            }
        }
    }
}

fn wrong(id: &str, what: &str, remedy: &str) -> Failure {
    let name = setting(id).map_or_else(|| id.to_owned(), Setting::spelled);
    Failure::usage(format!("{name}: {what}")).remedy(remedy)
}

/// What was given for one setting, by the order of precedence.
fn given(
    setting: &Setting,
    flags: &[&ArgMatches],
    around: &Surroundings<'_>,
    file: &BTreeMap<String, String>,
) -> Result<Option<String>, Failure> {
    if let Some(text) = flags.iter().find_map(|matches| on_the_command_line(setting, matches)) {
        return Ok(Some(text));
    }
    if setting.variable.is_empty() {
        return Ok(None);
    }
    let name_file = format!("{}_FILE", setting.variable);
    let variable = |name: &str| (around.variable)(name).filter(|value| !value.is_empty());
    let from_file = if setting.is_secret() { variable(&name_file) } else { None };
    match (variable(setting.variable), from_file) {
        (Some(_), Some(_)) => {
            Err(Failure::usage(format!("{0} and {name_file} are both set", setting.variable))
                .remedy("Keep one of them."))
        }
        (Some(text), None) => Ok(Some(text)),
        (None, Some(path)) => secret_file(&name_file, &path).map(Some),
        (None, None) => Ok(file.get(setting.variable).filter(|value| !value.is_empty()).cloned()),
    }
}

fn on_the_command_line(setting: &Setting, matches: &ArgMatches) -> Option<String> {
    if setting.flag.is_empty() || !matches.try_contains_id(setting.flag).unwrap_or(false) {
        return None;
    }
    if matches.value_source(setting.flag) != Some(ValueSource::CommandLine) {
        return None;
    }
    match setting.value {
        Value::Switch => matches.get_flag(setting.flag).then(|| String::from("1")),
        Value::Text(_) | Value::Secret(_) => matches.get_one::<String>(setting.flag).cloned(),
    }
}

fn secret_file(name: &str, path: &str) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::usage(format!("{name}: {path} cannot be read: {error}"))
            .remedy("Name a file that this user may read and that holds nothing but the secret.")
    })?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests;
