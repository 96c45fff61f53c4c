//! `tollgate generate`, `apply-plan` and `day-one`: starter apps and their regeneration.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ArgMatches;
use serde_json::{Value, json};
use tollgate_generator::plan::{Op, Plan};
use tollgate_generator::project::{self, Error, Generated, Project, Request, Resolution};
use tollgate_generator::{Kind, description, templates};

use super::Done;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};

/// Makes a project, or plans its regeneration.
///
/// # Errors
/// The description is wrong or the directory cannot be worked on.
pub(crate) fn generate(matches: &ArgMatches, format: Format) -> Result<Done, Failure> {
    if matches.get_flag("example") {
        output::data_line(description::EXAMPLE.trim_end());
        return Ok(Done::Ok);
    }
    let name = matches.get_one::<String>("project");
    let name = name.ok_or_else(|| Failure::usage("name the project: tollgate generate PROJECT"))?;
    let project = at(matches, name)?;
    let (made, plan) = run(&project, matches)?;
    let next = if made {
        format!("cd {}/backend && less ../README.md", project.directory().display())
    } else {
        after(&plan, name)
    };
    format.print(&data(&plan, &next), |_| told(&plan, &next));
    if matches.get_flag("autogenerate") {
        output::message(&format!("would run: {}", migrate_command(&plan)));
    }
    Ok(if made { Done::Ok } else { state(&plan) })
}

/// Shows a plan, carries it out, resolves a conflict, or takes the last change back.
///
/// # Errors
/// There is no plan, it is stale, or the disk refuses.
pub(crate) fn apply_plan(matches: &ArgMatches, format: Format) -> Result<Done, Failure> {
    let templates = templates();
    if let Some(("resolve", inner)) = matches.subcommand() {
        let (name, conflict) = (text(inner, "project"), text(inner, "conflict"));
        let plan = project::resolve(&at(matches, &name)?, &templates, &conflict, resolution(inner)).map_err(failure)?;
        let next = after(&plan, &name);
        format.print(&data(&plan, &next), |_| told(&plan, &next));
        return Ok(if plan.summary.conflict > 0 { Done::Conflicts } else { Done::Ok });
    }
    let name = matches.get_one::<String>("project");
    let name = name.ok_or_else(|| Failure::usage("name the project: tollgate apply-plan PROJECT"))?;
    let project = at(matches, name)?;
    if matches.get_flag("undo") {
        let files = project::undo(&project).map_err(failure)?;
        format
            .print(&json!({"undone": files}), |_| format!("{files} files are as they were. The same again redoes it."));
        return Ok(Done::Ok);
    }
    if !matches.get_flag("apply") {
        let plan = project::dry_run(&project, &templates).map_err(failure)?;
        let next = after(&plan, name);
        format.print(&data(&plan, &next), |_| told(&plan, &next));
        return Ok(state(&plan));
    }
    let applied = project::apply(&project, &templates).map_err(failure)?;
    let next = if applied.left.summary.conflict > 0 {
        format!("tollgate apply-plan resolve {name} c1 --ours | --theirs | --markers | --merged")
    } else {
        migrate_command(&applied.plan)
    };
    format.print(&data(&applied.plan, &next), |_| told(&applied.plan, &next));
    Ok(if applied.left.summary.conflict > 0 { Done::Conflicts } else { Done::Ok })
}

/// Generates, runs the app's tests, and shows how it would be deployed.
///
/// # Errors
/// A step failed; the message names it.
pub(crate) fn day_one(matches: &ArgMatches) -> Result<Done, Failure> {
    let project = at(matches, &text(matches, "project"))?;
    let (_, plan) = run(&project, matches)?;
    output::message(&told(&plan, "the app's own tests"));
    let backend = project.directory().join("backend");
    step(&backend, "cargo", &["test"])?;
    step(project.directory(), "sh", &["deploy/deploy.sh", "--dry-run"])?;
    output::data_line("Generated, tested, ready to deploy: deploy/deploy.sh");
    Ok(Done::Ok)
}

fn run(project: &Project, matches: &ArgMatches) -> Result<(bool, Plan), Failure> {
    let read = |path: &PathBuf| std::fs::read_to_string(path).map_err(Failure::during(path.display()));
    let given = matches.get_one::<PathBuf>("spec").map(read).transpose()?;
    let request = Request {
        description: given.as_deref(),
        template: matches.get_one::<String>("template").map(String::as_str),
        templates: &templates(),
    };
    match project::generate(project, request).map_err(failure)? {
        Generated::Written(_, plan) => Ok((true, plan)),
        Generated::Planned(plan) => Ok((false, plan)),
    }
}

fn at(matches: &ArgMatches, name: &str) -> Result<Project, Failure> {
    let default = PathBuf::from("production_projects");
    Project::at(matches.get_one::<PathBuf>("root").unwrap_or(&default), name).map_err(failure)
}

fn resolution(inner: &ArgMatches) -> Resolution {
    let choices = [("ours", Resolution::Ours), ("theirs", Resolution::Theirs), ("markers", Resolution::Markers)];
    choices.into_iter().find(|(flag, _)| inner.get_flag(flag)).map_or(Resolution::Merged, |(_, choice)| choice)
}

fn state(plan: &Plan) -> Done {
    match (plan.summary.conflict > 0, plan.changes()) {
        (true, _) => Done::Conflicts,
        (false, true) => Done::ChangesPending,
        (false, false) => Done::Ok,
    }
}

fn failure(error: Error) -> Failure {
    let exit = match &error {
        Error::Name(_) => Exit::Usage,
        Error::Missing(_) => Exit::NotFound,
        Error::Stale(_) => Exit::Stale,
        Error::Description(_) | Error::Refused(_) | Error::Disk(..) => Exit::Failure,
    };
    Failure::new(error.to_string()).exit(exit)
}

fn data(plan: &Plan, next: &str) -> Value {
    json!({"planId": plan.plan_id, "summary": plan.summary, "actions": plan.actions, "next": next})
}

/// A line per file that is written or disputed, the counts, and the next command.
fn told(plan: &Plan, next: &str) -> String {
    let mut lines = Vec::new();
    for action in plan.actions.iter().filter(|action| action.op != Op::Keep) {
        let sign = match action.op {
            Op::Create => "+ create  ",
            Op::Update => "~ update  ",
            Op::Merge => "~ merge   ",
            Op::Conflict => "! conflict",
            Op::Delete => "- delete  ",
            Op::Keep => "  keep    ",
        };
        let danger = if action.kind == (Kind::Migration { destructive: true }) { "  DESTRUCTIVE" } else { "" };
        lines.push(format!("{sign}  {}{danger}  ({})", action.path, action.why));
    }
    let s = plan.summary;
    lines.push(format!(
        "{} create, {} update, {} merge, {} conflict, {} delete, {} keep",
        s.create, s.update, s.merge, s.conflict, s.delete, s.keep
    ));
    if !next.is_empty() {
        lines.push(format!("Next: {next}"));
    }
    lines.join("\n")
}

fn after(plan: &Plan, name: &str) -> String {
    match state(plan) {
        Done::ChangesPending => format!("tollgate apply-plan --apply {name}"),
        Done::Conflicts if plan.changes() => {
            format!("tollgate apply-plan --apply {name}  (conflicts stay as they are)")
        }
        Done::Conflicts => format!("tollgate apply-plan resolve {name} c1 --ours | --theirs | --markers | --merged"),
        Done::Ok => String::new(),
    }
}

/// How the app's new migrations are run with the tool it uses.
fn migrate_command(plan: &Plan) -> String {
    let new = plan.actions.iter().any(|a| a.op == Op::Create && matches!(a.kind, Kind::Migration { .. }));
    if new {
        "cd backend && sqlx migrate run --source migrations  (or start the app: it does)".into()
    } else {
        String::new()
    }
}

fn step(directory: &Path, program: &str, arguments: &[&str]) -> Result<(), Failure> {
    output::message(&format!("== {program} {}", arguments.join(" ")));
    let status = Command::new(program).args(arguments).current_dir(directory).status();
    match status.map_err(Failure::during(program))?.success() {
        true => Ok(()),
        false => Err(Failure::new(format!("{program} {} failed in {}", arguments.join(" "), directory.display()))),
    }
}

fn text(matches: &ArgMatches, name: &str) -> String {
    matches.get_one::<String>(name).cloned().unwrap_or_default()
}
