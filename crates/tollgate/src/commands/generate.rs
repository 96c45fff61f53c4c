//! `tollgate generate`, `apply-plan` and `day-one`: starter apps and their regeneration.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ArgMatches;
use serde_json::{Value, json};
use tollgate_generator::plan::{Action, Op, Plan};
use tollgate_generator::project::{self, Error, Generated, Project, Request, Resolution};
use tollgate_generator::{Commands, Kind, Template, description, templates};

use super::Done;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};

/// Makes a project, or plans its regeneration.
///
/// # Errors
/// The description is wrong or the directory cannot be worked on.
pub(crate) fn generate(matches: &ArgMatches, format: Format) -> Result<Done, Failure> {
    if matches.get_flag("example") {
        let template = matches.get_one::<String>("template");
        let example = template.map_or_else(|| description::EXAMPLE.to_owned(), |id| description::example(id));
        output::data_line(example.trim_end());
        return Ok(Done::Ok);
    }
    let name = matches.get_one::<String>("project");
    let name = name.ok_or_else(|| Failure::usage("name the project: tollgate generate PROJECT"))?;
    let project = at(matches, name)?;
    if matches.get_flag("autogenerate") {
        return autogenerate(&project, matches, format);
    }
    let (made, plan) = run(&project, matches)?;
    let next = if made {
        format!("cd {}/backend && less ../README.md", project.directory().display())
    } else {
        after(&plan, name)
    };
    format.print(&data(&plan, &next), |_| match made {
        true => format!("{}: {} files\nNext: {next}", project.directory().display(), plan.summary.keep),
        false => told(&plan, &next),
    });
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
        migrate_command(&project, &applied.plan)
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
    for line in commands(&plan).map_or(&[][..], |commands| commands.tests) {
        step(&backend, "sh", &["-c", line])?;
    }
    step(project.directory(), "sh", &["deploy/deploy.sh", "--dry-run"])?;
    output::data_line("Generated, tested, ready to deploy: deploy/deploy.sh");
    Ok(Done::Ok)
}

fn run(project: &Project, matches: &ArgMatches) -> Result<(bool, Plan), Failure> {
    let given = spec(matches)?;
    match project::generate(project, request(matches, given.as_deref(), &templates())).map_err(failure)? {
        Generated::Written(_, plan) => Ok((true, plan)),
        Generated::Planned(plan) => Ok((false, plan)),
    }
}

/// The description that was named.
fn spec(matches: &ArgMatches) -> Result<Option<String>, Failure> {
    let read = |path: &PathBuf| std::fs::read_to_string(path).map_err(Failure::during(path.display()));
    matches.get_one::<PathBuf>("spec").map(read).transpose()
}

fn request<'a>(matches: &'a ArgMatches, description: Option<&'a str>, templates: &'a [Template]) -> Request<'a> {
    Request { description, template: matches.get_one::<String>("template").map(String::as_str), templates }
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

/// Says what new migrations and the app's own tool for them would come to; touches nothing.
fn autogenerate(project: &Project, matches: &ArgMatches, format: Format) -> Result<Done, Failure> {
    let given = spec(matches)?;
    let plan = project::preview(project, request(matches, given.as_deref(), &templates())).map_err(failure)?;
    let new = |action: &&Action| action.op == Op::Create && matches!(action.kind, Kind::Migration { .. });
    let files: Vec<&str> = plan.actions.iter().filter(new).map(|action| action.path.as_str()).collect();
    let run: Vec<String> = commands(&plan)
        .into_iter()
        .flat_map(|commands| [Some(commands.migrate), commands.autogenerate].into_iter().flatten())
        .map(|words| in_backend(project, &plan, words))
        .collect();
    format.print(&json!({"wouldWrite": files, "wouldRun": run}), |_| {
        let written = files.iter().map(|file| format!("would write: {file}"));
        written.chain(run.iter().map(|line| format!("would run: {line}"))).collect::<Vec<_>>().join("\n")
    });
    Ok(Done::Ok)
}

/// How the app's new migrations are run with the tool it uses.
fn migrate_command(project: &Project, plan: &Plan) -> String {
    let new = plan.actions.iter().any(|a| a.op == Op::Create && matches!(a.kind, Kind::Migration { .. }));
    match commands(plan) {
        Some(commands) if new => {
            format!("{}  (or start the app: it does)", in_backend(project, plan, commands.migrate))
        }
        _ => String::new(),
    }
}

/// A command of the migration tool, as it is typed: that of the app's own environment where it has one.
fn in_backend(project: &Project, plan: &Plan, words: &str) -> String {
    let backend = project.directory().join("backend");
    let tool = commands(plan).map_or("", |commands| commands.migration_tool);
    let own = format!(".venv/bin/{tool}");
    let tool = if backend.join(&own).is_file() { own.as_str() } else { tool };
    format!("cd {} && {tool} {words}", backend.display())
}

fn commands(plan: &Plan) -> Option<Commands> {
    templates().into_iter().find(|template| template.id == plan.template.id).map(|template| template.commands)
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
