//! `py-fastapi`: FastAPI, SQLAlchemy, alembic and RQ; SQLite on a laptop, PostgreSQL in production.

use super::{owned, region, seeded};
use crate::render::{Commands, Per, Template, TemplateFile};

/// The template.
pub(crate) fn template() -> Template {
    Template {
        id: "py-fastapi",
        version: "1.1.0",
        migrations: "backend/alembic/versions",
        commands: Commands {
            tests: &[
                // An environment that is active is used; else the app gets one of its own.
                "test -n \"$VIRTUAL_ENV\" || python3 -m venv .venv",
                "\"${VIRTUAL_ENV:-.venv}/bin/python\" -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt",
                "\"${VIRTUAL_ENV:-.venv}/bin/python\" -m pytest --quiet",
            ],
            migration_tool: "alembic",
            migrate: "upgrade head",
            autogenerate: Some("revision --autogenerate -m \"what you changed in the models\""),
        },
        files: FILES.to_vec(),
    }
}

const FILES: &[TemplateFile] = &[
    seeded("README.md", include_str!("../../templates/py-fastapi/README.md.jinja")),
    seeded(".gitignore", include_str!("../../templates/py-fastapi/gitignore.jinja")),
    seeded("plans.toml", include_str!("../../templates/both/plans.toml.jinja")),
    owned(".github/workflows/unit.yml", include_str!("../../templates/py-fastapi/workflows/unit.yml.jinja")),
    owned(".github/workflows/lint.yml", include_str!("../../templates/py-fastapi/workflows/lint.yml.jinja")),
    seeded("deploy/Dockerfile", include_str!("../../templates/py-fastapi/deploy/Dockerfile.jinja")),
    seeded("deploy/fly.toml", include_str!("../../templates/both/deploy/fly.toml.jinja")),
    seeded("deploy/render.yaml", include_str!("../../templates/py-fastapi/deploy/render.yaml.jinja")),
    seeded("deploy/deploy.sh", include_str!("../../templates/both/deploy/deploy.sh.jinja")).per(Per::Script),
    seeded(
        "backend/requirements-dev.txt",
        include_str!("../../templates/py-fastapi/backend/requirements-dev.txt.jinja"),
    ),
    seeded("backend/requirements.txt", include_str!("../../templates/py-fastapi/backend/requirements.txt.jinja")),
    seeded("backend/pyproject.toml", include_str!("../../templates/py-fastapi/backend/pyproject.toml.jinja")),
    seeded("backend/alembic.ini", include_str!("../../templates/py-fastapi/backend/alembic.ini.jinja")),
    seeded("backend/app/__init__.py", include_str!("../../templates/py-fastapi/backend/app/__init__.py.jinja")),
    seeded("backend/app/__main__.py", include_str!("../../templates/py-fastapi/backend/app/__main__.py.jinja")),
    seeded("backend/app/main.py", include_str!("../../templates/py-fastapi/backend/app/main.py.jinja")),
    seeded("backend/app/worker.py", include_str!("../../templates/py-fastapi/backend/app/worker.py.jinja"))
        .only_with("jobs"),
    region("backend/app/api/__init__.py", include_str!("../../templates/py-fastapi/backend/app/api/__init__.py.jinja")),
    seeded("backend/app/api/auth.py", include_str!("../../templates/py-fastapi/backend/app/api/auth.py.jinja")),
    seeded("backend/app/api/billing.py", include_str!("../../templates/py-fastapi/backend/app/api/billing.py.jinja")),
    seeded(
        "backend/app/api/{{ entity.name }}.py",
        include_str!("../../templates/py-fastapi/backend/app/api/entity.py.jinja"),
    )
    .per(Per::Entity),
    seeded("backend/app/api/files.py", include_str!("../../templates/py-fastapi/backend/app/api/files.py.jinja"))
        .only_with("files"),
    seeded("backend/app/api/health.py", include_str!("../../templates/py-fastapi/backend/app/api/health.py.jinja")),
    seeded(
        "backend/app/api/invitations.py",
        include_str!("../../templates/py-fastapi/backend/app/api/invitations.py.jinja"),
    ),
    seeded("backend/app/api/jobs.py", include_str!("../../templates/py-fastapi/backend/app/api/jobs.py.jinja"))
        .only_with("jobs"),
    seeded(
        "backend/app/api/organizations.py",
        include_str!("../../templates/py-fastapi/backend/app/api/organizations.py.jinja"),
    ),
    seeded(
        "backend/app/core/__init__.py",
        include_str!("../../templates/py-fastapi/backend/app/core/__init__.py.jinja"),
    ),
    seeded(
        "backend/app/core/authentication.py",
        include_str!("../../templates/py-fastapi/backend/app/core/authentication.py.jinja"),
    ),
    seeded("backend/app/core/billing.py", include_str!("../../templates/py-fastapi/backend/app/core/billing.py.jinja")),
    seeded("backend/app/core/config.py", include_str!("../../templates/py-fastapi/backend/app/core/config.py.jinja")),
    seeded("backend/app/core/context.py", include_str!("../../templates/py-fastapi/backend/app/core/context.py.jinja")),
    seeded(
        "backend/app/core/database.py",
        include_str!("../../templates/py-fastapi/backend/app/core/database.py.jinja"),
    ),
    seeded("backend/app/core/errors.py", include_str!("../../templates/py-fastapi/backend/app/core/errors.py.jinja")),
    seeded("backend/app/core/fields.py", include_str!("../../templates/py-fastapi/backend/app/core/fields.py.jinja")),
    seeded("backend/app/core/gate.py", include_str!("../../templates/py-fastapi/backend/app/core/gate.py.jinja")),
    seeded("backend/app/core/logging.py", include_str!("../../templates/py-fastapi/backend/app/core/logging.py.jinja")),
    seeded("backend/app/core/metrics.py", include_str!("../../templates/py-fastapi/backend/app/core/metrics.py.jinja")),
    seeded(
        "backend/app/core/org_rbac.py",
        include_str!("../../templates/py-fastapi/backend/app/core/org_rbac.py.jinja"),
    ),
    seeded("backend/app/core/paging.py", include_str!("../../templates/py-fastapi/backend/app/core/paging.py.jinja")),
    seeded("backend/app/core/plans.py", include_str!("../../templates/py-fastapi/backend/app/core/plans.py.jinja")),
    seeded("backend/app/core/rbac.py", include_str!("../../templates/py-fastapi/backend/app/core/rbac.py.jinja")),
    seeded(
        "backend/app/core/security.py",
        include_str!("../../templates/py-fastapi/backend/app/core/security.py.jinja"),
    ),
    seeded("backend/app/core/tenancy.py", include_str!("../../templates/py-fastapi/backend/app/core/tenancy.py.jinja")),
    region(
        "backend/app/models/__init__.py",
        include_str!("../../templates/py-fastapi/backend/app/models/__init__.py.jinja"),
    ),
    seeded(
        "backend/app/models/{{ entity.name }}.py",
        include_str!("../../templates/py-fastapi/backend/app/models/entity.py.jinja"),
    )
    .per(Per::Entity),
    seeded(
        "backend/app/models/invitation.py",
        include_str!("../../templates/py-fastapi/backend/app/models/invitation.py.jinja"),
    ),
    seeded("backend/app/models/job.py", include_str!("../../templates/py-fastapi/backend/app/models/job.py.jinja"))
        .only_with("jobs"),
    seeded(
        "backend/app/models/membership.py",
        include_str!("../../templates/py-fastapi/backend/app/models/membership.py.jinja"),
    ),
    seeded(
        "backend/app/models/organization.py",
        include_str!("../../templates/py-fastapi/backend/app/models/organization.py.jinja"),
    ),
    seeded("backend/app/models/token.py", include_str!("../../templates/py-fastapi/backend/app/models/token.py.jinja")),
    seeded("backend/app/models/user.py", include_str!("../../templates/py-fastapi/backend/app/models/user.py.jinja")),
    seeded(
        "backend/app/models/webhook_event.py",
        include_str!("../../templates/py-fastapi/backend/app/models/webhook_event.py.jinja"),
    ),
    seeded(
        "backend/app/services/__init__.py",
        include_str!("../../templates/py-fastapi/backend/app/services/__init__.py.jinja"),
    ),
    seeded(
        "backend/app/services/billing_service.py",
        include_str!("../../templates/py-fastapi/backend/app/services/billing_service.py.jinja"),
    ),
    seeded(
        "backend/app/services/email_service.py",
        include_str!("../../templates/py-fastapi/backend/app/services/email_service.py.jinja"),
    ),
    seeded(
        "backend/app/services/jobs.py",
        include_str!("../../templates/py-fastapi/backend/app/services/jobs.py.jinja"),
    )
    .only_with("jobs"),
    seeded(
        "backend/app/services/storage_service.py",
        include_str!("../../templates/py-fastapi/backend/app/services/storage_service.py.jinja"),
    )
    .only_with("files"),
    seeded("backend/alembic/env.py", include_str!("../../templates/py-fastapi/backend/alembic/env.py.jinja")),
    seeded(
        "backend/alembic/script.py.mako",
        include_str!("../../templates/py-fastapi/backend/alembic/script.py.mako.jinja"),
    ),
    seeded(
        "backend/alembic/versions/0001_accounts.py",
        include_str!("../../templates/py-fastapi/backend/alembic/versions/0001_accounts.py.jinja"),
    )
    .per(Per::FirstMigration),
    seeded(
        "backend/alembic/versions/{{ migration.number }}_{{ migration.what }}.py",
        include_str!("../../templates/py-fastapi/backend/alembic/versions/entity.py.jinja"),
    )
    .per(Per::Migration),
    seeded("backend/tests/__init__.py", include_str!("../../templates/py-fastapi/backend/tests/__init__.py.jinja")),
    seeded("backend/tests/conftest.py", include_str!("../../templates/py-fastapi/backend/tests/conftest.py.jinja")),
    seeded(
        "backend/tests/entities/__init__.py",
        include_str!("../../templates/py-fastapi/backend/tests/entities/__init__.py.jinja"),
    ),
    seeded(
        "backend/tests/entities/test_{{ entity.name }}.py",
        include_str!("../../templates/py-fastapi/backend/tests/entities/entity.py.jinja"),
    )
    .per(Per::Entity),
    region("backend/tests/samples.py", include_str!("../../templates/py-fastapi/backend/tests/samples.py.jinja")),
    seeded("backend/tests/support.py", include_str!("../../templates/py-fastapi/backend/tests/support.py.jinja")),
    seeded(
        "backend/tests/test_accounts.py",
        include_str!("../../templates/py-fastapi/backend/tests/test_accounts.py.jinja"),
    ),
    seeded(
        "backend/tests/test_billing.py",
        include_str!("../../templates/py-fastapi/backend/tests/test_billing.py.jinja"),
    ),
    seeded("backend/tests/test_files.py", include_str!("../../templates/py-fastapi/backend/tests/test_files.py.jinja"))
        .only_with("files"),
    seeded("backend/tests/test_gate.py", include_str!("../../templates/py-fastapi/backend/tests/test_gate.py.jinja")),
    owned(
        "backend/tests/test_guards.py",
        include_str!("../../templates/py-fastapi/backend/tests/test_guards.py.jinja"),
    ),
    seeded("backend/tests/test_jobs.py", include_str!("../../templates/py-fastapi/backend/tests/test_jobs.py.jinja"))
        .only_with("jobs"),
    seeded(
        "backend/tests/test_logging.py",
        include_str!("../../templates/py-fastapi/backend/tests/test_logging.py.jinja"),
    ),
    seeded(
        "backend/tests/test_migrations.py",
        include_str!("../../templates/py-fastapi/backend/tests/test_migrations.py.jinja"),
    ),
];
