//! `rust-axum`: axum and sqlx; SQLite in tests, PostgreSQL in production.

use super::{owned, region, seeded};
use crate::render::{Commands, Per, Template, TemplateFile};

/// The template.
pub(crate) fn template() -> Template {
    Template {
        id: "rust-axum",
        version: "1.2.0",
        migrations: "backend/migrations",
        commands: Commands {
            tests: &["cargo test"],
            migration_tool: "sqlx",
            migrate: "migrate run --source migrations",
            autogenerate: None,
        },
        files: FILES.to_vec(),
    }
}

const FILES: &[TemplateFile] = &[
    seeded("README.md", include_str!("../../templates/rust-axum/README.md.jinja")),
    seeded(".gitignore", include_str!("../../templates/rust-axum/gitignore.jinja")),
    seeded("plans.toml", include_str!("../../templates/both/plans.toml.jinja")),
    owned(".github/workflows/unit.yml", include_str!("../../templates/rust-axum/workflows/unit.yml.jinja")),
    owned(".github/workflows/lint.yml", include_str!("../../templates/rust-axum/workflows/lint.yml.jinja")),
    seeded("deploy/Dockerfile", include_str!("../../templates/rust-axum/deploy/Dockerfile.jinja")),
    seeded("deploy/fly.toml", include_str!("../../templates/both/deploy/fly.toml.jinja")),
    seeded("deploy/render.yaml", include_str!("../../templates/rust-axum/deploy/render.yaml.jinja")),
    seeded("deploy/deploy.sh", include_str!("../../templates/both/deploy/deploy.sh.jinja")).per(Per::Script),
    seeded("backend/Cargo.toml", include_str!("../../templates/rust-axum/backend/Cargo.toml.jinja")),
    seeded("backend/src/main.rs", include_str!("../../templates/rust-axum/backend/src/main.rs.jinja")),
    seeded("backend/src/lib.rs", include_str!("../../templates/rust-axum/backend/src/lib.rs.jinja")),
    seeded("backend/src/core/mod.rs", include_str!("../../templates/rust-axum/backend/src/core/mod.rs.jinja")),
    seeded("backend/src/core/billing.rs", include_str!("../../templates/rust-axum/backend/src/core/billing.rs.jinja")),
    seeded("backend/src/core/config.rs", include_str!("../../templates/rust-axum/backend/src/core/config.rs.jinja")),
    seeded("backend/src/core/error.rs", include_str!("../../templates/rust-axum/backend/src/core/error.rs.jinja")),
    seeded("backend/src/core/gate.rs", include_str!("../../templates/rust-axum/backend/src/core/gate.rs.jinja")),
    seeded("backend/src/core/guard.rs", include_str!("../../templates/rust-axum/backend/src/core/guard.rs.jinja")),
    seeded("backend/src/core/logging.rs", include_str!("../../templates/rust-axum/backend/src/core/logging.rs.jinja")),
    seeded("backend/src/core/metrics.rs", include_str!("../../templates/rust-axum/backend/src/core/metrics.rs.jinja")),
    seeded(
        "backend/src/core/org_rbac.rs",
        include_str!("../../templates/rust-axum/backend/src/core/org_rbac.rs.jinja"),
    ),
    seeded("backend/src/core/rbac.rs", include_str!("../../templates/rust-axum/backend/src/core/rbac.rs.jinja")),
    seeded(
        "backend/src/core/security.rs",
        include_str!("../../templates/rust-axum/backend/src/core/security.rs.jinja"),
    ),
    seeded("backend/src/core/tenancy.rs", include_str!("../../templates/rust-axum/backend/src/core/tenancy.rs.jinja")),
    region("backend/src/models/mod.rs", include_str!("../../templates/rust-axum/backend/src/models/mod.rs.jinja")),
    seeded("backend/src/models/check.rs", include_str!("../../templates/rust-axum/backend/src/models/check.rs.jinja")),
    seeded("backend/src/models/user.rs", include_str!("../../templates/rust-axum/backend/src/models/user.rs.jinja")),
    seeded(
        "backend/src/models/organization.rs",
        include_str!("../../templates/rust-axum/backend/src/models/organization.rs.jinja"),
    ),
    seeded(
        "backend/src/models/membership.rs",
        include_str!("../../templates/rust-axum/backend/src/models/membership.rs.jinja"),
    ),
    seeded(
        "backend/src/models/invitation.rs",
        include_str!("../../templates/rust-axum/backend/src/models/invitation.rs.jinja"),
    ),
    seeded("backend/src/models/token.rs", include_str!("../../templates/rust-axum/backend/src/models/token.rs.jinja")),
    seeded(
        "backend/src/models/{{ entity.name }}.rs",
        include_str!("../../templates/rust-axum/backend/src/models/entity.rs.jinja"),
    )
    .per(Per::Entity),
    seeded("backend/src/services/mod.rs", include_str!("../../templates/rust-axum/backend/src/services/mod.rs.jinja")),
    seeded(
        "backend/src/services/billing_service.rs",
        include_str!("../../templates/rust-axum/backend/src/services/billing_service.rs.jinja"),
    ),
    seeded(
        "backend/src/services/email_service.rs",
        include_str!("../../templates/rust-axum/backend/src/services/email_service.rs.jinja"),
    ),
    seeded(
        "backend/src/services/jobs.rs",
        include_str!("../../templates/rust-axum/backend/src/services/jobs.rs.jinja"),
    )
    .only_with("jobs"),
    seeded(
        "backend/src/services/storage_service.rs",
        include_str!("../../templates/rust-axum/backend/src/services/storage_service.rs.jinja"),
    )
    .only_with("files"),
    region("backend/src/api/mod.rs", include_str!("../../templates/rust-axum/backend/src/api/mod.rs.jinja")),
    seeded("backend/src/api/auth.rs", include_str!("../../templates/rust-axum/backend/src/api/auth.rs.jinja")),
    seeded("backend/src/api/billing.rs", include_str!("../../templates/rust-axum/backend/src/api/billing.rs.jinja")),
    seeded("backend/src/api/files.rs", include_str!("../../templates/rust-axum/backend/src/api/files.rs.jinja"))
        .only_with("files"),
    seeded("backend/src/api/health.rs", include_str!("../../templates/rust-axum/backend/src/api/health.rs.jinja")),
    seeded(
        "backend/src/api/invitations.rs",
        include_str!("../../templates/rust-axum/backend/src/api/invitations.rs.jinja"),
    ),
    seeded("backend/src/api/jobs.rs", include_str!("../../templates/rust-axum/backend/src/api/jobs.rs.jinja"))
        .only_with("jobs"),
    seeded(
        "backend/src/api/organizations.rs",
        include_str!("../../templates/rust-axum/backend/src/api/organizations.rs.jinja"),
    ),
    seeded(
        "backend/src/api/{{ entity.name }}.rs",
        include_str!("../../templates/rust-axum/backend/src/api/entity.rs.jinja"),
    )
    .per(Per::Entity),
    seeded(
        "backend/migrations/0001_accounts.sql",
        include_str!("../../templates/rust-axum/backend/migrations/0001_accounts.sql.jinja"),
    )
    .per(Per::FirstMigration),
    seeded(
        "backend/migrations/{{ migration.number }}_{{ migration.what }}.sql",
        include_str!("../../templates/rust-axum/backend/migrations/entity.sql.jinja"),
    )
    .per(Per::Migration),
    seeded(
        "backend/tests/support/mod.rs",
        include_str!("../../templates/rust-axum/backend/tests/support/mod.rs.jinja"),
    ),
    owned("backend/tests/guards.rs", include_str!("../../templates/rust-axum/backend/tests/guards.rs.jinja")),
    seeded("backend/tests/accounts.rs", include_str!("../../templates/rust-axum/backend/tests/accounts.rs.jinja")),
    seeded("backend/tests/billing.rs", include_str!("../../templates/rust-axum/backend/tests/billing.rs.jinja")),
    seeded(
        "backend/tests/{{ entity.name }}.rs",
        include_str!("../../templates/rust-axum/backend/tests/entity.rs.jinja"),
    )
    .per(Per::Entity),
];
