//! Every setting of the binary, declared once: its flag, its variable, its default, who reads it and what it is for.
//!
//! The command line, the resolution in `config.rs` and `docs/reference/config.md` are all made from [`SETTINGS`].

use std::fmt::Write as _;

/// Where a setting is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// By `dev`, `serve` and every operator command.
    All,
    /// By `dev` only.
    Dev,
    /// By `serve` only.
    Serve,
}

/// What kind of value it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// One word, shown by this name in the help.
    Text(&'static str),
    /// A value that is never printed; its variable may also be given as `NAME_FILE`.
    Secret(&'static str),
    /// On when the flag is there, or when the variable is `1` or `true`.
    Switch,
}

/// One setting.
#[derive(Debug)]
pub(crate) struct Setting {
    /// The flag without its dashes; empty when there is none (secrets do not belong on a command line).
    pub(crate) flag: &'static str,
    /// The environment variable; empty when there is none.
    pub(crate) variable: &'static str,
    /// What holds when nothing is given; empty when that is nothing at all.
    pub(crate) default: &'static str,
    /// Who reads it.
    pub(crate) reader: Reader,
    /// What it takes.
    pub(crate) value: Value,
    /// One or two sentences.
    pub(crate) help: &'static str,
}

impl Setting {
    /// The name it goes by inside: the flag's, else the variable's.
    pub(crate) const fn id(&self) -> &'static str {
        if self.flag.is_empty() { self.variable } else { self.flag }
    }

    /// Whether it is a secret.
    pub(crate) const fn is_secret(&self) -> bool {
        matches!(self.value, Value::Secret(_))
    }

    /// How a message names it: `--listen / TOLLGATE_LISTEN`.
    pub(crate) fn spelled(&self) -> String {
        match (self.flag, self.variable) {
            (flag, "") => format!("--{flag}"),
            ("", variable) => variable.to_owned(),
            (flag, variable) => format!("--{flag} / {variable}"),
        }
    }
}

/// All settings, in the order of the documentation.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        flag: "listen",
        variable: "TOLLGATE_LISTEN",
        default: "127.0.0.1:8787",
        reader: Reader::All,
        value: Value::Text("ADDRESS"),
        help: "Where the HTTP API listens; port 0 picks a free one. `dev` takes the next free port when the default is taken.",
    },
    Setting {
        flag: "data",
        variable: "TOLLGATE_DATA",
        default: "./.tollgate",
        reader: Reader::All,
        value: Value::Text("DIR"),
        help: "The data directory: the embedded database, the sandbox's file, backups, the admin socket. Made with mode 0700.",
    },
    Setting {
        flag: "plans",
        variable: "TOLLGATE_PLANS",
        default: "",
        reader: Reader::All,
        value: Value::Text("FILE"),
        help: "The plan catalog; without it ./plans.toml, else the catalog in the binary.",
    },
    Setting {
        flag: "database-url",
        variable: "DATABASE_URL",
        default: "",
        reader: Reader::All,
        value: Value::Secret("URL"),
        help: "PostgreSQL (15 or later), as postgres://user:password@host:port/name; without it the embedded database.",
    },
    Setting {
        flag: "",
        variable: "TOLLGATE_ENV",
        default: "",
        reader: Reader::All,
        value: Value::Text("local|dev|prod"),
        help: "A tag on every log line; `local` in `dev` and `prod` in `serve` when left out.",
    },
    Setting {
        flag: "",
        variable: "TOLLGATE_LOG",
        default: "",
        reader: Reader::All,
        value: Value::Text("FILTER"),
        help: "What is logged (`warn` in `dev`, `info` else): error, warn, info, debug, or a filter per module such as info,tollgate_engine=debug.",
    },
    Setting {
        flag: "ready-file",
        variable: "TOLLGATE_READY_FILE",
        default: "",
        reader: Reader::All,
        value: Value::Text("PATH"),
        help: "Written atomically (mode 0600) when the server is ready: {\"api\", \"sandbox\", \"operatorKey\", \"pid\"}.",
    },
    Setting {
        flag: "",
        variable: "TOLLGATE_OPERATOR_KEY",
        default: "",
        reader: Reader::All,
        value: Value::Secret("tgo_…"),
        help: "The operator's key: tgo_ and at least 32 of [A-Za-z0-9_-]. `dev` makes one when it is left out; `serve` then knows only those of `tollgate keys create --operator`.",
    },
    Setting {
        flag: "",
        variable: "STRIPE_SECRET_KEY",
        default: "",
        reader: Reader::Serve,
        value: Value::Secret("sk_…|rk_…"),
        help: "The key for Stripe, restricted keys too. `dev` never uses it: it has its own sandbox.",
    },
    Setting {
        flag: "",
        variable: "STRIPE_WEBHOOK_SECRET",
        default: "",
        reader: Reader::All,
        value: Value::Secret("whsec_…[,whsec_…]"),
        help: "The signing secrets that webhooks may carry: one, or a comma-separated list while rotating.",
    },
    Setting {
        flag: "",
        variable: "STRIPE_API_BASE",
        default: "https://api.stripe.com",
        reader: Reader::Serve,
        value: Value::Text("URL"),
        help: "Where Stripe's API is. A loopback address is refused unless --allow-sandbox is given.",
    },
    Setting {
        flag: "allow-sandbox",
        variable: "TOLLGATE_ALLOW_SANDBOX",
        default: "",
        reader: Reader::Serve,
        value: Value::Switch,
        help: "Lets `serve` talk to a Stripe on a loopback address, such as the sandbox of a `tollgate dev`.",
    },
    Setting {
        flag: "",
        variable: "TOLLGATE_AUTOMATIC_TAX",
        default: "",
        reader: Reader::All,
        value: Value::Switch,
        help: "Lets Stripe work tax out by where the customer is (VAT, GST, sales tax) on everything that is sold from then on; checkout asks for the address and tax ids, other customers are told by `payments/tax.set` first. Switch Stripe Tax on at Stripe before.",
    },
    Setting {
        flag: "",
        variable: "STIGG_API_KEY",
        default: "",
        reader: Reader::Serve,
        value: Value::Secret("KEY"),
        help: "The key for Stigg; without it there is no plan mirror. `dev` uses its stand-in.",
    },
    Setting {
        flag: "",
        variable: "STIGG_API_BASE",
        default: "https://api.stigg.io",
        reader: Reader::Serve,
        value: Value::Text("URL"),
        help: "Where Stigg's API is.",
    },
    Setting {
        flag: "",
        variable: "CLERK_SECRET_KEY",
        default: "",
        reader: Reader::All,
        value: Value::Secret("sk_…"),
        help: "Clerk's secret key: users, organizations and memberships are then kept at Clerk. Needs CLERK_PUBLISHABLE_KEY.",
    },
    Setting {
        flag: "",
        variable: "CLERK_PUBLISHABLE_KEY",
        default: "",
        reader: Reader::All,
        value: Value::Text("pk_…"),
        help: "Clerk's publishable key; it names the issuer of the session tokens.",
    },
    Setting {
        flag: "",
        variable: "CLERK_API_BASE",
        default: "https://api.clerk.com",
        reader: Reader::All,
        value: Value::Text("URL"),
        help: "Where Clerk's Backend API is.",
    },
    Setting {
        flag: "",
        variable: "CLERK_WEBHOOK_SECRET",
        default: "",
        reader: Reader::All,
        value: Value::Secret("whsec_…"),
        help: "Signing secrets of Clerk's webhooks, separated by commas while one is rotated.",
    },
    Setting {
        flag: "",
        variable: "CLERK_AUTHORIZED_PARTIES",
        default: "",
        reader: Reader::All,
        value: Value::Text("ORIGINS"),
        help: "Origins whose session tokens are taken, separated by commas; APP_BASE_URL when left out.",
    },
    Setting {
        flag: "",
        variable: "CLERK_ALLOW_MISSING_PARTY",
        default: "",
        reader: Reader::All,
        value: Value::Switch,
        help: "Take session tokens that name no origin, as native apps send them.",
    },
    Setting {
        flag: "",
        variable: "CLERK_OPERATOR_CLAIM",
        default: "metadata.tollgate_operator",
        reader: Reader::All,
        value: Value::Text("PATH"),
        help: "The claim that must be true in an operator's session token.",
    },
    Setting {
        flag: "",
        variable: "CLERK_OPERATOR_USERS",
        default: "",
        reader: Reader::All,
        value: Value::Text("USERS"),
        help: "Ids of the users who are operators when the claim says so too, separated by commas.",
    },
    Setting {
        flag: "",
        variable: "TOLLGATE_OIDC_ISSUER",
        default: "",
        reader: Reader::All,
        value: Value::Text("URL"),
        help: "The OpenID Connect provider that signs operators in as people, exactly as its identity tokens name it. The redirect address to register there is APP_BASE_URL/auth/operator/callback.",
    },
    Setting {
        flag: "",
        variable: "TOLLGATE_OIDC_CLIENT_ID",
        default: "",
        reader: Reader::All,
        value: Value::Text("ID"),
        help: "Who this server is at that provider; needed beside TOLLGATE_OIDC_ISSUER.",
    },
    Setting {
        flag: "",
        variable: "TOLLGATE_OIDC_CLIENT_SECRET",
        default: "",
        reader: Reader::All,
        value: Value::Secret("SECRET"),
        help: "Its secret there; a public client has none.",
    },
    Setting {
        flag: "",
        variable: "TOLLGATE_OIDC_OPERATOR_EMAILS",
        default: "",
        reader: Reader::All,
        value: Value::Text("ADDRESSES"),
        help: "Verified e-mail addresses of those who are operators, separated by commas.",
    },
    Setting {
        flag: "",
        variable: "TOLLGATE_OIDC_OPERATOR_CLAIM",
        default: "",
        reader: Reader::All,
        value: Value::Text("PATH"),
        help: "A claim of the identity token that must be true for whoever is an operator without being listed, such as roles.tollgate.",
    },
    Setting {
        flag: "",
        variable: "APP_BASE_URL",
        default: "",
        reader: Reader::All,
        value: Value::Text("URL"),
        help: "The address customers see, for links in answers; without it the address listened on.",
    },
    Setting {
        flag: "",
        variable: "TOLLGATE_TRUSTED_PROXIES",
        default: "",
        reader: Reader::All,
        value: Value::Text("NETWORKS"),
        help: "Proxies that are believed about where a call came from (X-Forwarded-For): addresses and networks, separated by commas. Nobody when left out.",
    },
    Setting {
        flag: "",
        variable: "TOLLGATE_DPOP_NONCE_REQUIRED",
        default: "",
        reader: Reader::All,
        value: Value::Switch,
        help: "Every proof of possession (DPoP) needs the nonce of the answer before; without it a nonce is offered and checked where it comes.",
    },
    Setting {
        flag: "",
        variable: "TOLLGATE_SMTP_URL",
        default: "",
        reader: Reader::All,
        value: Value::Secret("smtps://…"),
        help: "The mail server, as smtps://user:password@host or smtp://user:password@host:587?tls=required; without it letters are files in <data>/mail.",
    },
    Setting {
        flag: "",
        variable: "TOLLGATE_MAIL_FROM",
        default: "Tollgate <no-reply@localhost>",
        reader: Reader::All,
        value: Value::Text("ADDRESS"),
        help: "Who letters come from, as `Acme <billing@example.com>`.",
    },
    Setting {
        flag: "",
        variable: "TOLLGATE_DNS_SERVER",
        default: "",
        reader: Reader::All,
        value: Value::Text("ADDRESS"),
        help: "The resolver that is asked for TXT records when a site's domain is verified, as 192.0.2.53:53; those of the system (/etc/resolv.conf) when left out.",
    },
    Setting {
        flag: "",
        variable: "TOLLGATE_SECRET_KEY",
        default: "",
        reader: Reader::All,
        value: Value::Secret("TEXT"),
        help: "Seals second factors, waiting letters and signing keys in the database: at least 32 characters, the same on every node. Without it one is made and kept in the database itself.",
    },
    Setting {
        flag: "migrate",
        variable: "TOLLGATE_MIGRATE",
        default: "",
        reader: Reader::Serve,
        value: Value::Switch,
        help: "Migrates the database at start; without it `serve` refuses a database that `tollgate migrate` has not brought up to date. `dev` always migrates.",
    },
    Setting {
        flag: "sandbox-listen",
        variable: "TOLLGATE_SANDBOX_LISTEN",
        default: "127.0.0.1:8788",
        reader: Reader::Dev,
        value: Value::Text("ADDRESS"),
        help: "Where the Stripe sandbox listens; it speaks Stripe's HTTP API at /v1/… with any sk_test_… key.",
    },
    Setting {
        flag: "seed",
        variable: "TOLLGATE_SEED",
        default: "demo",
        reader: Reader::Dev,
        value: Value::Text("demo|empty|FILE"),
        help: "What a new data directory starts with: four orgs with usage and keys, nothing, or the orgs of a TOML file.",
    },
    Setting {
        flag: "clock",
        variable: "TOLLGATE_CLOCK",
        default: "",
        reader: Reader::Dev,
        value: Value::Text("TIME"),
        help: "Where the sandbox's clock starts on a new data directory (RFC 3339); without it the real time.",
    },
    Setting {
        flag: "fresh",
        variable: "",
        default: "",
        reader: Reader::Dev,
        value: Value::Switch,
        help: "Deletes what an earlier `dev` left in the data directory before starting.",
    },
    Setting {
        flag: "no-open",
        variable: "TOLLGATE_NO_OPEN",
        default: "",
        reader: Reader::Dev,
        value: Value::Switch,
        help: "Does not open the start page in a browser. Nothing is opened without a terminal and a display.",
    },
];

/// Variables of the product that this version does not use yet: set, they are named aloud instead of ignored in silence.
pub(crate) const NOT_USED_YET: &[&str] = &["REDIS_URL", "SENTRY_DSN"];

/// The setting with this id.
pub(crate) fn setting(id: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.id() == id)
}

/// `docs/reference/config.md`.
pub(crate) fn reference() -> String {
    let mut page = String::from(
        "# Configuration\n\nGenerated by `cargo xtask docs` from the table in `crates/tollgate/src/settings.rs`.\n\n\
         A flag wins over its variable, a variable over `NAME_FILE` (for secrets: a file that holds the value), and that over \
         `.env.local` (read by `dev` only, from the current directory) and the default. Giving both `NAME` and `NAME_FILE` is an error.\n",
    );
    for (reader, title) in [
        (Reader::All, "Read by every command"),
        (Reader::Dev, "Read by `tollgate dev`"),
        (Reader::Serve, "Read by `tollgate serve`"),
    ] {
        let _ = write!(
            page,
            "\n## {title}\n\n| flag | variable | value | default | what it does |\n|---|---|---|---|---|\n"
        );
        for setting in SETTINGS.iter().filter(|setting| setting.reader == reader) {
            let _ = writeln!(
                page,
                "| {} | {} | {} | {} | {} |",
                code(setting.flag, "--"),
                variable_cell(setting),
                value_cell(setting.value),
                code(setting.default, ""),
                setting.help.replace('|', "\\|"),
            );
        }
    }
    page.push_str("\n## Not used yet\n\nThese belong to the product and are named in a warning when they are set: ");
    let names: Vec<String> = NOT_USED_YET.iter().map(|name| format!("`{name}`")).collect();
    let _ = writeln!(page, "{}.", names.join(", "));
    page
}

fn code(text: &str, prefix: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{prefix}{text}`") }
}

fn variable_cell(setting: &Setting) -> String {
    if setting.is_secret() { format!("`{0}`, `{0}_FILE`", setting.variable) } else { code(setting.variable, "") }
}

fn value_cell(value: Value) -> String {
    match value {
        Value::Text(name) | Value::Secret(name) => format!("`{}`", name.replace('|', "\\|")),
        Value::Switch => String::from("switch"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{SETTINGS, reference};

    #[test]
    fn every_setting_has_a_name_of_its_own_and_an_explanation() {
        let ids: BTreeSet<&str> = SETTINGS.iter().map(super::Setting::id).collect();
        assert_eq!(ids.len(), SETTINGS.len());
        for setting in SETTINGS {
            assert!(setting.help.ends_with('.') || setting.help.ends_with('}'), "{} needs a sentence", setting.id());
        }
    }

    #[test]
    fn no_secret_but_the_database_url_can_be_given_on_the_command_line() {
        let on_the_line: Vec<&str> =
            SETTINGS.iter().filter(|setting| setting.is_secret() && !setting.flag.is_empty()).map(|s| s.flag).collect();
        assert_eq!(on_the_line, ["database-url"]);
    }

    #[test]
    fn the_reference_page_names_every_setting() {
        let page = reference();
        for setting in SETTINGS {
            assert!(page.contains(setting.id()), "{} is missing", setting.id());
        }
    }

    #[test]
    fn the_committed_reference_page_is_fresh() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/config.md");
        let committed = std::fs::read_to_string(path).expect("docs/reference/config.md is there");
        assert!(committed == reference(), "run `cargo xtask docs` and commit the result");
    }
}
