//! Projects on a real disk: first runs, upgrades, conflicts, crashes, undo; and random histories of all of them.

mod histories;
mod upgrade;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use tempfile::TempDir;

use super::transaction::crash;
use super::{Applied, Error, Generated, Project, Request, Resolution, apply, dry_run, generate, resolve, undo};
use crate::plan::{Op, Plan};
use crate::render::{Commands, Per, Template, TemplateFile};
use crate::tree::Class;

const V1: &str = "# {{ app.title }}\n\none\ntwo\nthree\nfour\n";
const V2: &str = "# {{ app.title }}\n\none\ntwo\nthree\nfour, improved\n";
const ROUTES: &str = "mine\n// tollgate:begin routes\n{% for entity in app.entities %}\nroute {{ entity.plural }}\n{% endfor %}\n// tollgate:end routes\n";
const MODEL: &str =
    "model {{ entity.name }}\n{% for field in entity.fields %}\nfield {{ field.column }}\n{% endfor %}\nend\n";
const MIGRATION: &str = "-- {{ migration.what }} after {{ migration.after }}\n";

/// A small template in two versions.
fn template(second: bool) -> Template {
    let file = |path, text, class, per| TemplateFile { path, text, class, per, feature: None };
    let mut files = vec![
        file("README.md", if second { V2 } else { V1 }, Class::Seeded, Per::App),
        file("src/routes.txt", ROUTES, Class::Region, Per::App),
        file("src/models/{{ entity.name }}.txt", MODEL, Class::Seeded, Per::Entity),
        file("run.sh", if second { "echo 2\n" } else { "echo 1\n" }, Class::Owned, Per::Script),
        file("migrations/0001_accounts.sql", "-- accounts\n", Class::Seeded, Per::FirstMigration),
        file("migrations/{{ migration.number }}_{{ migration.what }}.sql", MIGRATION, Class::Seeded, Per::Migration),
    ];
    if second {
        files.push(file("src/added.txt", "new in 2\n", Class::Seeded, Per::App));
    } else {
        files.push(file("src/removed.txt", "only in 1\n", Class::Seeded, Per::App));
    }
    let commands = Commands { tests: &[], migration_tool: "", migrate: "", autogenerate: None };
    Template { id: "rust-axum", version: if second { "2" } else { "1" }, migrations: "migrations", commands, files }
}

fn description(entities: &[(&str, &[&str])]) -> String {
    let mut text = String::from("format = \"tollgate.app/1\"\n[app]\ntitle = \"Demo\"\n");
    for (name, fields) in entities {
        text.push_str(&format!("[entities.{name}.fields]\n"));
        fields.iter().for_each(|field| text.push_str(&format!("{field} = \"string\"\n")));
    }
    text
}

/// A project in a directory of its own.
struct Demo {
    root: TempDir,
    project: Project,
}

impl Demo {
    fn new() -> Self {
        // In memory where there is such a place: thousands of fsyncs are not what these tests are about.
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
        let root = tempfile::tempdir_in(place).expect("a temporary directory can be made");
        let project = Project::at(root.path(), "demo").expect("a sound name");
        Self { root, project }
    }

    fn started() -> Self {
        let demo = Self::new();
        let made = demo.generate(Some(&description(&[("note", &["title", "body"])])), false).expect("it is generated");
        assert!(matches!(made, Generated::Written(..)));
        demo
    }

    fn generate(&self, description: Option<&str>, second: bool) -> Result<Generated, Error> {
        let templates = [template(second)];
        generate(&self.project, Request { description, template: None, templates: &templates })
    }

    fn planned(&self, description: Option<&str>, second: bool) -> Plan {
        match self.generate(description, second).expect("a plan is made") {
            Generated::Planned(plan) => plan,
            Generated::Written(..) => panic!("a later run writes only a plan"),
        }
    }

    fn apply(&self, second: bool) -> Result<Applied, Error> {
        apply(&self.project, &[template(second)])
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap_or_default()
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.at(path), text).expect("the file can be written");
    }

    fn at(&self, path: &str) -> std::path::PathBuf {
        self.project.directory().join(path)
    }

    /// Every file with its bytes, save what a transaction leaves for the next one.
    fn all(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        collect(self.project.directory(), "", &mut files);
        files.retain(|(name, _)| !name.starts_with(".tollgate/undo") && name != ".tollgate/lock");
        files.sort();
        files
    }
}

fn collect(directory: &Path, below: &str, files: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = format!("{below}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{name}/"), files);
        } else {
            files.push((name, fs::read(entry.path()).expect("a readable file")));
        }
    }
}

fn op(plan: &Plan, path: &str) -> Option<Op> {
    plan.actions.iter().find(|action| action.path.as_str() == path).map(|action| action.op)
}

#[test]
fn the_first_run_writes_the_app_and_a_later_one_only_a_plan() {
    let demo = Demo::started();
    assert_eq!(demo.read("src/models/note.txt"), "model note\nfield title\nfield body\nend\n");
    assert_eq!(demo.read("migrations/0002_create_notes.sql"), "-- create_notes after 0001\n");
    let mode = fs::metadata(demo.at("run.sh")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
    let before = demo.all();
    let plan = demo.planned(Some(&description(&[("note", &["title", "body"]), ("tag", &["name"])])), true);
    let changed: Vec<String> =
        demo.all().into_iter().filter(|file| !before.contains(file)).map(|(name, _)| name).collect();
    assert_eq!(changed, ["conflicts.json", "plan.json"]);
    assert_eq!(op(&plan, "src/models/tag.txt"), Some(Op::Create));
    assert_eq!(op(&plan, "src/removed.txt"), Some(Op::Delete));
    assert_eq!(op(&plan, "run.sh"), Some(Op::Update));
    assert_eq!(op(&plan, "migrations/0003_create_tags.sql"), Some(Op::Create));
    let before = demo.all();
    assert!(dry_run(&demo.project, &[template(true)]).expect("it is current").changes());
    assert_eq!(demo.all(), before, "a dry run touches nothing");
}

#[test]
fn a_conflict_stays_with_the_new_text_beside_it_until_it_is_resolved() {
    let demo = Demo::started();
    demo.write("README.md", "# Demo\n\nMINE\none\ntwo\nthree\nfour, by me\n");
    demo.write("src/models/note.txt", "my own head\nmodel note\nfield title\nfield body\nend\n");
    demo.planned(Some(&description(&[("note", &["title", "body", "colour"])])), true);
    let applied = demo.apply(true).expect("it applies");
    assert_eq!(applied.left.summary.conflict, 1);
    assert_eq!(demo.read("README.md"), "# Demo\n\nMINE\none\ntwo\nthree\nfour, by me\n");
    assert_eq!(demo.read("README.md.new"), "# Demo\n\none\ntwo\nthree\nfour, improved\n");
    assert!(demo.read("src/models/note.txt").starts_with("my own head\n"));
    assert!(demo.read("src/models/note.txt").contains("field colour\n"));
    let again = demo.all();
    assert_eq!(demo.apply(true).expect("it applies").left.summary.conflict, 1);
    assert_eq!(demo.all(), again, "a second apply changes nothing");
    resolve(&demo.project, &[template(true)], "c1", Resolution::Markers).expect("markers are put");
    assert!(demo.read("README.md").contains("<<<<<<<"));
    let error = resolve(&demo.project, &[template(true)], "README.md", Resolution::Merged).expect_err("markers");
    assert!(error.to_string().contains("markers"), "{error}");
    demo.write("README.md", "# Demo\n\nMINE\none\ntwo\nthree\nfour, improved by me\n");
    let left = resolve(&demo.project, &[template(true)], "c1", Resolution::Merged).expect("it is resolved");
    assert_eq!(left.summary.conflict, 0);
    assert!(!demo.at("README.md.new").exists());
    assert_eq!(demo.planned(None, true).summary.conflict, 0);
}

#[test]
fn an_edit_after_the_plan_makes_it_stale_and_nothing_is_written() {
    let demo = Demo::started();
    demo.planned(None, true);
    demo.write("run.sh", "echo mine\n");
    let before = demo.all();
    match demo.apply(true) {
        Err(Error::Stale(changed)) => assert_eq!(changed, ["run.sh"]),
        other => panic!("{other:?}"),
    }
    assert_eq!(demo.all(), before);
    demo.write("run.sh", "echo 1\n");
    demo.apply(true).expect("the plan fits again");
}

#[test]
fn undo_brings_every_byte_back_and_twice_brings_the_change_back() {
    let demo = Demo::started();
    demo.planned(None, true);
    let before = demo.all();
    demo.apply(true).expect("it applies");
    let after = demo.all();
    undo(&demo.project).expect("it is undone");
    assert_eq!(demo.all(), before);
    undo(&demo.project).expect("and redone");
    assert_eq!(demo.all(), after);
    demo.write("README.md", "edited\n");
    assert!(matches!(undo(&demo.project), Err(Error::Stale(_))));
    assert_eq!(demo.read("README.md"), "edited\n");
}

#[test]
fn a_process_killed_at_any_step_leaves_the_old_or_comes_to_the_new() {
    let finished = {
        let demo = Demo::started();
        demo.planned(None, true);
        demo.apply(true).expect("it applies");
        demo.all()
    };
    for steps in 0..60 {
        let demo = Demo::started();
        demo.planned(None, true);
        let before = demo.all();
        crash::after(Some(steps));
        let ended = demo.apply(true);
        crash::after(None);
        if ended.is_ok() {
            return;
        }
        match demo.apply(true) {
            Ok(applied) => assert!(!applied.left.changes(), "killed after {steps} steps"),
            Err(error) => panic!("killed after {steps} steps: {error}"),
        }
        assert_eq!(demo.all(), finished, "killed after {steps} steps");
        assert_ne!(before, finished);
    }
    panic!("the transaction never ran through");
}

#[test]
fn links_and_names_that_differ_in_case_are_refused() {
    let demo = Demo::started();
    let outside = demo.root.path().join("outside.txt");
    fs::write(&outside, "not yours").expect("written");
    fs::remove_file(demo.at("README.md")).expect("removed");
    symlink(&outside, demo.at("README.md")).expect("linked");
    assert!(matches!(demo.generate(None, true), Err(Error::Refused(_))));
    fs::remove_file(demo.at("README.md")).expect("removed");
    demo.write("readme.md", "other case\n");
    assert!(matches!(demo.generate(None, true), Err(Error::Refused(_))));
    assert_eq!(fs::read_to_string(&outside).expect("there"), "not yours");
    for name in ["../x", "a/b", "/tmp", ""] {
        assert!(Project::at(demo.root.path(), name).is_err(), "{name}");
    }
}

#[test]
fn modes_line_endings_and_deletions_of_the_user_stay() {
    let demo = Demo::started();
    demo.write("README.md", &demo.read("README.md").replace('\n', "\r\n"));
    fs::set_permissions(demo.at("README.md"), fs::Permissions::from_mode(0o600)).expect("mode set");
    fs::remove_file(demo.at("src/models/note.txt")).expect("removed");
    demo.planned(Some(&description(&[("note", &["title", "colour"])])), true);
    demo.apply(true).expect("it applies");
    assert_eq!(demo.read("README.md"), "# Demo\r\n\r\none\r\ntwo\r\nthree\r\nfour, improved\r\n");
    assert_eq!(fs::metadata(demo.at("README.md")).expect("there").permissions().mode() & 0o777, 0o600);
    assert!(!demo.at("src/models/note.txt").exists());
}

#[test]
fn a_directory_with_files_of_its_user_is_planned_and_not_written() {
    let demo = Demo::new();
    fs::create_dir_all(demo.project.directory()).expect("made");
    demo.write("README.md", "my own\n");
    let plan = demo.planned(Some(&description(&[("note", &["title"])])), false);
    assert_eq!(op(&plan, "README.md"), Some(Op::Conflict));
    assert_eq!(demo.read("README.md"), "my own\n");
    assert!(!demo.at("run.sh").exists());
}
