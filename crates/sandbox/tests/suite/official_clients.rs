//! Stripe's own clients against the sandbox: what nobody here wrote agrees with what was written here.
//!
//! `cargo xtask test` installs them where `TOLLGATE_OFFICIAL_CLIENTS` points (`node/node_modules`, `python/site`); where they
//! are not there, the test says so and passes. Their versions are pinned in `tests/official`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use super::harness::Server;

/// Longest run of one client.
const RUN_MAX: Duration = Duration::from_secs(120);

/// A client that is installed.
struct Installed {
    program: &'static str,
    script: &'static str,
    folder: PathBuf,
}

fn installed(program: &'static str, script: &'static str, inside: (&str, &str)) -> Option<Installed> {
    let found = std::env::var_os("TOLLGATE_OFFICIAL_CLIENTS").map(|root| Path::new(&root).join(inside.0));
    let there = found.filter(|folder| folder.join(inside.1).is_dir());
    if there.is_none() {
        println!("SKIPPED: the official Stripe client for {program} is not installed (cargo xtask test does that)");
    }
    there.map(|folder| Installed { program, script, folder })
}

async fn prove(client: Installed) {
    let server = Server::start().await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/official").join(client.script);
    let run = tokio::process::Command::new(client.program)
        .arg(script)
        .args([server.sandbox.base_url().into(), client.folder.into_os_string()])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(RUN_MAX, run).await.expect("the client ends in time").unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{errors}");
    let shown = said.lines().filter(|line| line.starts_with("SHOWN: ")).count();
    assert!(shown >= 5, "{said}");
    println!("PROOF: official clients: {}: {shown} groups of calls, none refused or misread", client.program);
}

#[tokio::test]
async fn the_official_client_for_node_finds_stripe_here() {
    let Some(client) = installed("node", "node/proof.mjs", ("node", "node_modules")) else { return };
    prove(client).await;
}

#[tokio::test]
async fn the_official_client_for_python_finds_stripe_here() {
    let Some(mut client) = installed("python3", "python/proof.py", ("python", "site")) else { return };
    client.folder = client.folder.join("site");
    prove(client).await;
}
