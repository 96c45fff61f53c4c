//! The first run writes the app; every later one writes only `plan.json` and `conflicts.json`.

use super::survey::{self, Survey};
use super::{Error, PLAIN, Project, apply, disk, transaction};
use crate::description::{self, Description};
use crate::path::RelPath;
use crate::plan::{CONFLICTS_FILE, Op, PLAN_FILE, Plan};
use crate::render::Template;

/// What to generate from.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The description; without one that of the project, or the example for a project that is new.
    pub description: Option<&'a str>,
    /// The template; without one that of the project or of the description.
    pub template: Option<&'a str>,
    /// The templates there are, the default first.
    pub templates: &'a [Template],
}

/// What came of it.
#[derive(Debug)]
pub enum Generated {
    /// The app is there, so many files of it.
    Written(usize, Plan),
    /// A plan is there; nothing else was touched.
    Planned(Plan),
}

/// Makes a project, or plans its regeneration.
///
/// # Errors
/// The description is wrong, the directory cannot be worked on, or the disk refuses; nothing is half written.
pub fn generate(project: &Project, request: Request<'_>) -> Result<Generated, Error> {
    // A wrong description is told before anything is touched.
    Description::parse(&description(project, request)?)?;
    let _lock = transaction::lock(project)?;
    transaction::recover(project)?;
    let text = description(project, request)?;
    let state = survey::state(project)?;
    let made_from = state.as_ref().map(|state| state.template.as_str());
    let template = choose(request, made_from, &Description::parse(&text)?)?;
    let survey = survey::survey(project, &text, template)?;
    let in_the_way = survey.planned.plan.actions.iter().any(|action| action.op == Op::Conflict);
    if survey.state.is_none() && !in_the_way {
        let written = survey.planned.plan.summary.create;
        let plan = apply::carry_out(project, &survey)?;
        return Ok(Generated::Written(written, plan));
    }
    write_plan(project, &survey)?;
    Ok(Generated::Planned(survey.planned.plan))
}

/// What a run would plan. Touches nothing.
///
/// # Errors
/// The description is wrong, or the directory cannot be worked on.
pub fn preview(project: &Project, request: Request<'_>) -> Result<Plan, Error> {
    if transaction::is_interrupted(project) {
        let what = format!("a change of {} was interrupted: `tollgate generate` finishes it first", project.name());
        return Err(Error::Refused(what));
    }
    let text = description(project, request)?;
    let state = survey::state(project)?;
    let made_from = state.as_ref().map(|state| state.template.as_str());
    let template = choose(request, made_from, &Description::parse(&text)?)?;
    Ok(survey::survey(project, &text, template)?.planned.plan)
}

/// The description to work with, in one spelling, so that the same one gives the same bytes.
fn description(project: &Project, request: Request<'_>) -> Result<String, Error> {
    let own = disk::text(&project.directory().join(description::FILE))?;
    let text = match (request.description, own) {
        (Some(given), _) => given.replace("\r\n", "\n"),
        (None, Some(own)) => own.replace("\r\n", "\n"),
        (None, None) => request.template.map_or_else(|| description::EXAMPLE.to_owned(), description::example),
    };
    Ok(if text.ends_with('\n') { text } else { format!("{text}\n") })
}

fn choose<'a>(request: Request<'a>, made_from: Option<&str>, app: &Description) -> Result<&'a Template, Error> {
    let asked = request.template.or(made_from).or(app.template.as_deref());
    let id = asked.or(request.templates.first().map(|template| template.id)).unwrap_or_default();
    if let Some(made_from) = made_from
        && made_from != id
    {
        let what = format!("this project is made from {made_from} and stays so; generate {id} under another name");
        return Err(Error::Refused(what));
    }
    find(request.templates, id)
}

/// The template of this name.
pub(super) fn find<'a>(templates: &'a [Template], id: &str) -> Result<&'a Template, Error> {
    let known: Vec<&str> = templates.iter().map(|template| template.id).collect();
    let found = templates.iter().find(|template| template.id == id);
    found.ok_or_else(|| Error::Refused(format!("no template {id:?}; there are: {}", known.join(", "))))
}

fn write_plan(project: &Project, survey: &Survey<'_>) -> Result<(), Error> {
    let files = [(CONFLICTS_FILE, survey.planned.conflicts.render()), (PLAN_FILE, survey.planned.plan.render())];
    for (name, text) in files {
        disk::read_one(project, &RelPath::parse(name)?)?;
        let path = project.directory().join(name);
        disk::write(&path, text.as_bytes(), PLAIN).map_err(|error| Error::Disk(path.display().to_string(), error))?;
    }
    Ok(())
}
