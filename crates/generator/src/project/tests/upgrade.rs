//! From the previous version of a template to this one, over a project that was edited by hand.

use std::fs;

use super::super::{Generated, Project, Request, apply, generate};
use crate::plan::Op;
use crate::render::Template;

/// `rust-axum` 1.0.0: what 1.1.0 changed, as it was. 1.1.0 lets errors be printed, which tests of services want.
const PREVIOUS: &[(&str, &str)] =
    &[("backend/src/core/error.rs", include_str!("../../../templates/previous/rust-axum-1.0.0/error.rs.jinja"))];

fn current() -> Template {
    crate::templates().into_iter().find(|template| template.id == "rust-axum").expect("it is in the binary")
}

fn previous() -> Template {
    let mut template = Template { version: "1.0.0", ..current() };
    for (path, text) in PREVIOUS {
        let file = template.files.iter_mut().find(|file| file.path == *path).expect("the file is still there");
        assert_ne!(file.text, *text, "{path} differs between the versions");
        file.text = text;
    }
    template
}

#[test]
fn an_upgrade_over_edits_changes_only_what_the_template_changed() {
    let place = tempfile::tempdir().expect("a temporary directory can be made");
    let project = Project::at(place.path(), "board").expect("a sound name");
    let run = |template: Template| {
        generate(&project, Request { description: None, template: None, templates: &[template] }).expect("it works")
    };
    assert!(matches!(run(previous()), Generated::Written(..)));
    let error = project.directory().join("backend/src/core/error.rs");
    let edited = fs::read_to_string(&error).expect("it is there").replace("/// Our fault:", "/// Our fault, alas:");
    fs::write(&error, format!("{edited}\n// My own last line.\n")).expect("it can be written");
    let readme = project.directory().join("README.md");
    fs::write(&readme, "# My own\n").expect("it can be written");
    let Generated::Planned(plan) = run(current()) else { panic!("a later run only plans") };
    let written: Vec<_> = plan.actions.iter().filter(|action| action.op != Op::Keep).collect();
    assert_eq!(written.len(), 1, "the diff to review is one file: {written:?}");
    assert_eq!((written[0].op, written[0].path.as_str()), (Op::Merge, "backend/src/core/error.rs"));
    assert_eq!((plan.template.from.as_deref(), plan.template.to.as_str()), (Some("1.0.0"), "1.1.0"));
    apply(&project, &[current()]).expect("it applies");
    let merged = fs::read_to_string(&error).expect("it is there");
    for line in
        ["#[derive(Debug)]", "    /// Our fault, alas: told in the log, not to the caller.", "// My own last line."]
    {
        assert!(merged.lines().any(|one| one == line), "{line:?} is in\n{merged}");
    }
    assert_eq!(fs::read_to_string(&readme).expect("it is there"), "# My own\n");
}

#[test]
fn every_template_renders_for_every_kind_of_field_the_same_each_time() {
    let description = "format = \"tollgate.app/1\"\n[app]\ntitle = \"All\"\n[entities.box_a.fields]\na = \"integer\"\n\
        [entities.item]\nfeature = \"extras\"\n[entities.item.fields]\na = \"string?\"\nb = \"text\"\nc = \"integer?\"\n\
        d = \"boolean?\"\ne = \"timestamp\"\nf = \"ref:box_a?\"\n";
    let files = |template: &Template| {
        let place = tempfile::tempdir().expect("a temporary directory can be made");
        let project = Project::at(place.path(), "kinds").expect("a sound name");
        let request =
            Request { description: Some(description), template: None, templates: std::slice::from_ref(template) };
        generate(&project, request).expect("it is generated");
        let mut files = Vec::new();
        super::collect(project.directory(), "", &mut files);
        files.sort();
        files
    };
    for template in crate::templates() {
        let once = files(&template);
        assert_eq!(once, files(&template));
        for (path, bytes) in once {
            let text = String::from_utf8(bytes).expect("templates are text");
            assert!(!text.contains("{%") && !path.contains("{{"), "{path} is rendered");
        }
    }
}
