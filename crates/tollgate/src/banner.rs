//! What `dev` prints when it is ready, and the start page it opens.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::process::Stdio;
use std::time::Duration;

use tollgate_rules::time::Timestamp;
use tollgate_web::Demo;

use crate::config::Config;
use crate::output;

/// What there is to tell.
pub(crate) struct Told<'a> {
    /// The settings.
    pub(crate) config: &'a Config,
    /// Where the API is.
    pub(crate) api: &'a str,
    /// Where the sandbox is.
    pub(crate) sandbox: &'a str,
    /// The business clock.
    pub(crate) now: Timestamp,
    /// The demo org, when it was seeded.
    pub(crate) demo: Option<&'a Demo>,
    /// The operator's key.
    pub(crate) operator_key: &'a str,
    /// From starting until ready.
    pub(crate) took: Duration,
}

/// Prints the addresses, one line each, and the first commands to try.
pub(crate) fn print(told: &Told<'_>) {
    output::data_line(&text(told));
}

fn text(told: &Told<'_>) -> String {
    let mut lines = format!(
        "Tollgate {} · dev mode · data in {} (delete it, or start with --fresh, to begin anew)\n",
        env!("CARGO_PKG_VERSION"),
        told.config.data.display()
    );
    let api = told.api;
    let _ = writeln!(lines, "  Start page  {api}/");
    let _ = writeln!(lines, "  API         {api}      Docs  {api}/docs");
    let _ = writeln!(
        lines,
        "  Sandbox     {} · a Stripe of its own, no account needed · clock {} (tollgate sandbox advance 1mo)",
        told.sandbox, told.now
    );
    let _ = writeln!(lines, "  Operator    export OPERATOR={}", told.operator_key);
    if let Some(demo) = told.demo {
        let _ = writeln!(
            lines,
            "  Try it      export KEY={}   # an API key of \"Acme\", three calls from its limit",
            demo.key
        );
        let _ = writeln!(lines, "              curl -i {api}/demo/quote -H \"Authorization: Bearer $KEY\"");
    }
    let tenths = told.took.as_millis() / 10;
    let _ = write!(lines, "Ready in {}.{:02} s. Ctrl-C to stop.   Help: tollgate --help", tenths / 100, tenths % 100);
    lines
}

/// Opens the start page in a browser, where a person sits at a terminal with a display and did not say no.
pub(crate) async fn open(config: &Config, api: &str) {
    let display =
        cfg!(target_os = "macos") || ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    if config.no_open || !display || !std::io::stdout().is_terminal() {
        return;
    }
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let opened =
        tokio::process::Command::new(program).arg(api).stdout(Stdio::null()).stderr(Stdio::null()).status().await;
    if !opened.is_ok_and(|status| status.success()) {
        output::message(&format!("tollgate: no browser could be opened; the start page is {api}/"));
    }
}
