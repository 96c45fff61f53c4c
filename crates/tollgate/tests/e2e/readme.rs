//! The transcript of the README, run from its own text: every `$ line` of its console blocks in one shell, and what it prints
//! compared with the lines below it, where `…` stands for anything.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::database::Database;
use crate::server::{Options, Server};

/// What stands between the outputs of two commands.
const MARK: &str = "-- end of command --";

/// One command with what the README says it prints.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    command: String,
    expected: Vec<String>,
}

#[tokio::test]
async fn the_transcript_of_the_readme_is_true() {
    for program in ["bash", "curl", "jq"] {
        let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !found.is_ok_and(|status| status.success()) {
            println!("SKIPPED: the README's transcript needs {program}");
            return;
        }
    }
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let text = std::fs::read_to_string(readme).expect("the README is there");
    let steps = transcript(&text);
    assert!(steps.iter().any(|step| step.command.contains("upgrade.now")), "the transcript was found: {steps:?}");
    let place = tempfile::tempdir().unwrap();
    let options = Options::dev(&place.path().join("data"), &Database::Embedded);
    let server = Server::start(options.arguments(&["--seed", "demo", "--clock", "2026-01-15T09:00:00Z"])).await;
    // Invoices are listed by the second they were made in: a reader is not as fast as this test, which may upgrade in the seeds' second.
    server.operator().ok("/sandbox/clock.advance", &serde_json::json!({"by": "2s"})).await;
    let printed = run(&server, &steps);
    assert_eq!(printed.len(), steps.len(), "every command was reached: {printed:?}");
    for (step, printed) in steps.iter().zip(&printed) {
        matches(step, printed);
    }
}

/// The steps of every console block after the first one, which builds and starts the server.
fn transcript(text: &str) -> Vec<Step> {
    let section = text.split("<!-- transcript -->").nth(1).expect("the README marks its transcript");
    let section = section.split("<!-- end of transcript -->").next().unwrap_or_default();
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for line in section.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
            continue;
        }
        if !inside {
            continue;
        }
        match (line.strip_prefix("$ "), line.strip_prefix("> "), steps.last_mut()) {
            (Some(command), _, _) => steps.push(Step { command: command.to_owned(), expected: Vec::new() }),
            (None, Some(more), Some(step)) if step.expected.is_empty() => {
                step.command.push('\n');
                step.command.push_str(more);
            }
            (None, _, Some(step)) => step.expected.push(line.to_owned()),
            (None, _, None) => panic!("output before the first command: {line}"),
        }
    }
    steps
}

/// Runs all commands in one shell, at the ports of this server; what each printed.
fn run(server: &Server, steps: &[Step]) -> Vec<String> {
    let mut script = String::new();
    for step in steps {
        script.push_str(&step.command);
        script.push_str(&format!("\nprintf '\\n{MARK}\\n'\n"));
    }
    // The README shows the default address, and no key; this server has a free port, and one.
    let address = server.api.trim_start_matches("http://");
    let demo = std::fs::read_to_string(server.data().join("demo.json")).expect("the demo org is remembered");
    let demo: serde_json::Value = serde_json::from_str(&demo).expect("in JSON");
    let key = demo["key"].as_str().expect("a key");
    let script = script.replace("127.0.0.1:8787", address).replace("tg_test_…", key);
    let script = script.replace("target/release/tollgate", "tollgate");
    let binary = Path::new(env!("CARGO_BIN_EXE_tollgate")).parent().expect("the binary lies in a folder");
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("bash")
        .env("PATH", path)
        .env("TOLLGATE_DATA", server.data())
        .current_dir(server.data().parent().expect("the data directory has a parent"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("bash starts");
    let mut input = shell.stdin.take().expect("the input is piped");
    input.write_all(script.as_bytes()).expect("the shell reads");
    drop(input);
    let output = shell.wait_with_output().expect("the shell ends");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(errors.trim(), "", "the transcript's commands print no errors:\n{printed}");
    let mut parts: Vec<String> = printed.split(&format!("{MARK}\n")).map(str::to_owned).collect();
    let _after_the_last_mark = parts.pop();
    parts
}

fn matches(step: &Step, printed: &str) {
    let printed: Vec<&str> = printed.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let expected: Vec<&str> =
        step.expected.iter().map(|line| line.trim_end()).filter(|line| !line.is_empty()).collect();
    let mut rest = printed.as_slice();
    for (at, pattern) in expected.iter().enumerate() {
        // A line of its own with only `…` stands for any number of lines.
        if *pattern == "…" {
            let next = expected.get(at + 1);
            let skipped = next
                .map_or(rest.len(), |next| rest.iter().position(|line| line_matches(next, line)).unwrap_or(rest.len()));
            rest = &rest[skipped..];
            continue;
        }
        let Some((first, after)) = rest.split_first() else {
            panic!("$ {}\nprinted too little, expected `{pattern}`:\n{}", step.command, printed.join("\n"));
        };
        assert!(line_matches(pattern, first), "$ {}\nexpected {pattern}\nprinted  {first}", step.command);
        rest = after;
    }
    assert!(rest.is_empty(), "$ {}\nprinted more than the README shows:\n{}", step.command, rest.join("\n"));
}

/// Whether a line is the pattern, with `…` for any run of characters.
fn line_matches(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split('…');
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[test]
fn a_pattern_stands_for_itself_with_anything_in_its_gaps() {
    assert!(line_matches("RateLimit: \"api_call\";r=2;t=…", "RateLimit: \"api_call\";r=2;t=1436400"));
    assert!(line_matches("a…c…e", "abcde"));
    assert!(!line_matches("a…c", "abcd"));
    assert!(!line_matches("HTTP/1.1 200 OK", "HTTP/1.1 429 Too Many Requests"));
}

#[test]
fn commands_and_their_output_are_told_apart() {
    let steps = transcript(
        "<!-- transcript -->\n```console\n$ one \\\n>   two\nprinted\n$ three\n```\nprose\n<!-- end of transcript -->\n",
    );
    assert_eq!(
        steps,
        [
            Step { command: "one \\\n  two".into(), expected: vec!["printed".into()] },
            Step { command: "three".into(), expected: vec![] }
        ]
    );
}
