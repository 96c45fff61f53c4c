//! From the previous version of a template to this one, over a project that was edited by hand.

use std::fs;

use super::super::{Generated, Project, Request, apply, generate};
use crate::plan::{Op, Plan};
use crate::render::Template;

/// A template as it was: the files that this version changed.
struct Previous {
    id: &'static str,
    version: &'static str,
    files: &'static [(&'static str, &'static str)],
}

/// 1.2.0 makes relations foreign keys, and shows `/metrics` to whoever has its token.
const RUST: Previous = Previous {
    id: "rust-axum",
    version: "1.1.0",
    files: &[
        ("README.md", include_str!("../../../templates/previous/rust-axum-1.1.0/README.md.jinja")),
        ("deploy/render.yaml", include_str!("../../../templates/previous/rust-axum-1.1.0/deploy/render.yaml.jinja")),
        ("backend/src/main.rs", include_str!("../../../templates/previous/rust-axum-1.1.0/backend/src/main.rs.jinja")),
        (
            "backend/src/core/guard.rs",
            include_str!("../../../templates/previous/rust-axum-1.1.0/backend/src/core/guard.rs.jinja"),
        ),
        (
            "backend/src/core/config.rs",
            include_str!("../../../templates/previous/rust-axum-1.1.0/backend/src/core/config.rs.jinja"),
        ),
        (
            "backend/src/core/error.rs",
            include_str!("../../../templates/previous/rust-axum-1.1.0/backend/src/core/error.rs.jinja"),
        ),
        (
            "backend/src/api/health.rs",
            include_str!("../../../templates/previous/rust-axum-1.1.0/backend/src/api/health.rs.jinja"),
        ),
        (
            "backend/src/api/{{ entity.name }}.rs",
            include_str!("../../../templates/previous/rust-axum-1.1.0/backend/src/api/entity.rs.jinja"),
        ),
        (
            "backend/migrations/{{ migration.number }}_{{ migration.what }}.sql",
            include_str!("../../../templates/previous/rust-axum-1.1.0/backend/migrations/entity.sql.jinja"),
        ),
        (
            "backend/tests/guards.rs",
            include_str!("../../../templates/previous/rust-axum-1.1.0/backend/tests/guards.rs.jinja"),
        ),
        (
            "backend/tests/billing.rs",
            include_str!("../../../templates/previous/rust-axum-1.1.0/backend/tests/billing.rs.jinja"),
        ),
        (
            "backend/tests/{{ entity.name }}.rs",
            include_str!("../../../templates/previous/rust-axum-1.1.0/backend/tests/entity.rs.jinja"),
        ),
    ],
};

/// 1.1.0 listens on IPv6 addresses too, and tries routes with parameters of any name.
const PYTHON: Previous = Previous {
    id: "py-fastapi",
    version: "1.0.0",
    files: &[
        (
            "backend/app/__main__.py",
            include_str!("../../../templates/previous/py-fastapi-1.0.0/backend/app/__main__.py.jinja"),
        ),
        (
            "backend/tests/test_guards.py",
            include_str!("../../../templates/previous/py-fastapi-1.0.0/backend/tests/test_guards.py.jinja"),
        ),
    ],
};

impl Previous {
    fn current(&self) -> Template {
        crate::templates().into_iter().find(|template| template.id == self.id).expect("it is in the binary")
    }

    fn template(&self) -> Template {
        let mut template = Template { version: self.version, ..self.current() };
        for (path, text) in self.files {
            let file = template.files.iter_mut().find(|file| file.path == *path).expect("the file is still there");
            assert_ne!(file.text, *text, "{path} differs between the versions");
            file.text = text;
        }
        template
    }
}

/// A project of the previous version.
struct Board {
    _place: tempfile::TempDir,
    project: Project,
    previous: Previous,
}

impl Board {
    fn made(previous: Previous) -> Self {
        let place = tempfile::tempdir().expect("a temporary directory can be made");
        let project = Project::at(place.path(), "board").expect("a sound name");
        let request = Request { description: None, template: Some(previous.id), templates: &[previous.template()] };
        assert!(matches!(generate(&project, request).expect("it works"), Generated::Written(..)));
        Self { _place: place, project, previous }
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.project.directory().join(path)).expect("it is there")
    }

    fn edit(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert!(text.contains(from), "{path} has {from:?}");
        fs::write(self.project.directory().join(path), text.replacen(from, to, 1)).expect("it can be written");
    }

    /// Plans the upgrade; what is done with each file, save what is kept.
    fn upgrade(&self) -> (Plan, Vec<(Op, String)>) {
        let request = Request { description: None, template: None, templates: &[self.previous.current()] };
        let Generated::Planned(plan) = generate(&self.project, request).expect("it works") else {
            panic!("a later run only plans")
        };
        let written = plan.actions.iter().filter(|action| action.op != Op::Keep);
        let written = written.map(|action| (action.op, action.path.to_string())).collect();
        (plan, written)
    }
}

#[test]
fn an_upgrade_of_the_rust_app_over_edits_changes_only_what_the_template_changed() {
    let board = Board::made(RUST);
    board.edit("backend/src/core/error.rs", "/// Our fault:", "/// Our fault, alas:");
    board.edit("backend/src/core/config.rs", "127.0.0.1:8000", "127.0.0.1:9000");
    board.edit("backend/src/api/project.rs", "LIMIT_MAX: i64 = 200", "LIMIT_MAX: i64 = 500");
    board.edit("backend/tests/guards.rs", "/// The routes that", "// Mine.\n/// The routes that");
    fs::remove_file(board.project.directory().join("deploy/render.yaml")).expect("it was there");
    let (plan, written) = board.upgrade();
    let expected = [
        (Op::Update, "README.md"),
        (Op::Update, "backend/src/api/health.rs"),
        (Op::Merge, "backend/src/api/project.rs"),
        (Op::Update, "backend/src/api/task.rs"),
        (Op::Merge, "backend/src/core/config.rs"),
        (Op::Merge, "backend/src/core/error.rs"),
        (Op::Update, "backend/src/core/guard.rs"),
        (Op::Update, "backend/src/main.rs"),
        (Op::Update, "backend/tests/billing.rs"),
        (Op::Conflict, "backend/tests/guards.rs"),
        (Op::Update, "backend/tests/task.rs"),
    ];
    assert_eq!(written, expected.map(|(op, path)| (op, path.to_owned())), "the diff to review is small");
    assert!(plan.actions.iter().all(|action| !action.why.is_empty()), "and each step says why");
    assert_eq!((plan.template.from.as_deref(), plan.template.to.as_str()), (Some("1.1.0"), "1.2.0"));
    apply(&board.project, &[RUST.current()]).expect("it applies");
    let error = board.read("backend/src/core/error.rs");
    assert!(error.contains("/// Our fault, alas:") && error.contains("is_foreign_key_violation"), "{error}");
    assert!(board.read("backend/src/core/config.rs").contains("127.0.0.1:9000"));
    assert!(board.read("backend/src/api/project.rs").contains("= 500"));
    assert!(board.read("backend/tests/guards.rs").contains("// Mine."));
    assert!(!board.project.directory().join("deploy/render.yaml").exists(), "it stays deleted");
}

#[test]
fn an_upgrade_of_the_python_app_over_edits_changes_only_what_the_template_changed() {
    let board = Board::made(PYTHON);
    board.edit("backend/app/__main__.py", "def main() -> None:", "def main() -> None:\n    print(\"ours\")");
    board.edit("backend/tests/test_guards.py", "    \"/health\",", "    \"/health\",\n    \"/prices\",");
    board.edit("backend/app/models/task.py", "class Task", "# Ours.\nclass Task");
    fs::remove_file(board.project.directory().join("deploy/fly.toml")).expect("it was there");
    let (plan, written) = board.upgrade();
    let expected = [(Op::Merge, "backend/app/__main__.py"), (Op::Conflict, "backend/tests/test_guards.py")];
    assert_eq!(written, expected.map(|(op, path)| (op, path.to_owned())), "the diff to review is small");
    assert_eq!((plan.template.from.as_deref(), plan.template.to.as_str()), (Some("1.0.0"), "1.1.0"));
    apply(&board.project, &[PYTHON.current()]).expect("it applies");
    let main = board.read("backend/app/__main__.py");
    assert!(main.contains("print(\"ours\")") && main.contains("host.strip"), "{main}");
    let guards = board.read("backend/tests/test_guards.py");
    assert!(guards.contains("/prices") && !guards.contains("re.sub"), "the edited file is as it was");
    assert!(board.read("backend/tests/test_guards.py.new").contains("re.sub"), "the new one lies beside it");
    assert!(board.read("backend/app/models/task.py").contains("# Ours."));
    assert!(!board.project.directory().join("deploy/fly.toml").exists(), "it stays deleted");
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
