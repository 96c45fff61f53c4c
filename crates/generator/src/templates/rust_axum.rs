//! `rust-axum`: axum and sqlx; SQLite in tests, PostgreSQL in production.

use super::file;
use crate::render::{Per, Template, TemplateFile};
use crate::tree::Class;

/// The template.
pub(crate) fn template() -> Template {
    Template { id: "rust-axum", version: "1.1.0", migrations: "backend/migrations", files: FILES.to_vec() }
}

macro_rules! text {
    ($path:literal) => {
        include_str!(concat!("../../templates/rust-axum/", $path))
    };
}

const FILES: &[TemplateFile] = &[
    file("README.md", text!("README.md.jinja"), Class::Seeded, Per::App),
    file(".gitignore", text!("gitignore.jinja"), Class::Seeded, Per::App),
    file("plans.toml", text!("plans.toml.jinja"), Class::Seeded, Per::App),
    file(".github/workflows/unit.yml", text!("workflows/unit.yml.jinja"), Class::Owned, Per::App),
    file(".github/workflows/lint.yml", text!("workflows/lint.yml.jinja"), Class::Owned, Per::App),
    file("deploy/Dockerfile", text!("deploy/Dockerfile.jinja"), Class::Seeded, Per::App),
    file("deploy/fly.toml", text!("deploy/fly.toml.jinja"), Class::Seeded, Per::App),
    file("deploy/render.yaml", text!("deploy/render.yaml.jinja"), Class::Seeded, Per::App),
    file("deploy/deploy.sh", text!("deploy/deploy.sh.jinja"), Class::Seeded, Per::Script),
    file("backend/Cargo.toml", text!("backend/Cargo.toml.jinja"), Class::Seeded, Per::App),
    file("backend/src/main.rs", text!("backend/src/main.rs.jinja"), Class::Seeded, Per::App),
    file("backend/src/lib.rs", text!("backend/src/lib.rs.jinja"), Class::Seeded, Per::App),
    file("backend/src/core/mod.rs", text!("backend/src/core/mod.rs.jinja"), Class::Seeded, Per::App),
    file("backend/src/core/billing.rs", text!("backend/src/core/billing.rs.jinja"), Class::Seeded, Per::App),
    file("backend/src/core/config.rs", text!("backend/src/core/config.rs.jinja"), Class::Seeded, Per::App),
    file("backend/src/core/error.rs", text!("backend/src/core/error.rs.jinja"), Class::Seeded, Per::App),
    file("backend/src/core/gate.rs", text!("backend/src/core/gate.rs.jinja"), Class::Seeded, Per::App),
    file("backend/src/core/guard.rs", text!("backend/src/core/guard.rs.jinja"), Class::Seeded, Per::App),
    file("backend/src/core/logging.rs", text!("backend/src/core/logging.rs.jinja"), Class::Seeded, Per::App),
    file("backend/src/core/metrics.rs", text!("backend/src/core/metrics.rs.jinja"), Class::Seeded, Per::App),
    file("backend/src/core/org_rbac.rs", text!("backend/src/core/org_rbac.rs.jinja"), Class::Seeded, Per::App),
    file("backend/src/core/rbac.rs", text!("backend/src/core/rbac.rs.jinja"), Class::Seeded, Per::App),
    file("backend/src/core/security.rs", text!("backend/src/core/security.rs.jinja"), Class::Seeded, Per::App),
    file("backend/src/core/tenancy.rs", text!("backend/src/core/tenancy.rs.jinja"), Class::Seeded, Per::App),
    file("backend/src/models/mod.rs", text!("backend/src/models/mod.rs.jinja"), Class::Region, Per::App),
    file("backend/src/models/check.rs", text!("backend/src/models/check.rs.jinja"), Class::Seeded, Per::App),
    file("backend/src/models/user.rs", text!("backend/src/models/user.rs.jinja"), Class::Seeded, Per::App),
    file(
        "backend/src/models/organization.rs",
        text!("backend/src/models/organization.rs.jinja"),
        Class::Seeded,
        Per::App,
    ),
    file("backend/src/models/membership.rs", text!("backend/src/models/membership.rs.jinja"), Class::Seeded, Per::App),
    file("backend/src/models/invitation.rs", text!("backend/src/models/invitation.rs.jinja"), Class::Seeded, Per::App),
    file("backend/src/models/token.rs", text!("backend/src/models/token.rs.jinja"), Class::Seeded, Per::App),
    file(
        "backend/src/models/{{ entity.name }}.rs",
        text!("backend/src/models/entity.rs.jinja"),
        Class::Seeded,
        Per::Entity,
    ),
    file("backend/src/services/mod.rs", text!("backend/src/services/mod.rs.jinja"), Class::Seeded, Per::App),
    file(
        "backend/src/services/billing_service.rs",
        text!("backend/src/services/billing_service.rs.jinja"),
        Class::Seeded,
        Per::App,
    ),
    file(
        "backend/src/services/email_service.rs",
        text!("backend/src/services/email_service.rs.jinja"),
        Class::Seeded,
        Per::App,
    ),
    file("backend/src/services/jobs.rs", text!("backend/src/services/jobs.rs.jinja"), Class::Seeded, Per::App)
        .only_with("jobs"),
    file(
        "backend/src/services/storage_service.rs",
        text!("backend/src/services/storage_service.rs.jinja"),
        Class::Seeded,
        Per::App,
    )
    .only_with("files"),
    file("backend/src/api/mod.rs", text!("backend/src/api/mod.rs.jinja"), Class::Region, Per::App),
    file("backend/src/api/auth.rs", text!("backend/src/api/auth.rs.jinja"), Class::Seeded, Per::App),
    file("backend/src/api/billing.rs", text!("backend/src/api/billing.rs.jinja"), Class::Seeded, Per::App),
    file("backend/src/api/files.rs", text!("backend/src/api/files.rs.jinja"), Class::Seeded, Per::App)
        .only_with("files"),
    file("backend/src/api/health.rs", text!("backend/src/api/health.rs.jinja"), Class::Seeded, Per::App),
    file("backend/src/api/invitations.rs", text!("backend/src/api/invitations.rs.jinja"), Class::Seeded, Per::App),
    file("backend/src/api/jobs.rs", text!("backend/src/api/jobs.rs.jinja"), Class::Seeded, Per::App).only_with("jobs"),
    file("backend/src/api/organizations.rs", text!("backend/src/api/organizations.rs.jinja"), Class::Seeded, Per::App),
    file("backend/src/api/{{ entity.name }}.rs", text!("backend/src/api/entity.rs.jinja"), Class::Seeded, Per::Entity),
    file(
        "backend/migrations/0001_accounts.sql",
        text!("backend/migrations/0001_accounts.sql.jinja"),
        Class::Seeded,
        Per::FirstMigration,
    ),
    file(
        "backend/migrations/{{ migration.number }}_{{ migration.what }}.sql",
        text!("backend/migrations/entity.sql.jinja"),
        Class::Seeded,
        Per::Migration,
    ),
    file("backend/tests/support/mod.rs", text!("backend/tests/support/mod.rs.jinja"), Class::Seeded, Per::App),
    file("backend/tests/guards.rs", text!("backend/tests/guards.rs.jinja"), Class::Owned, Per::App),
    file("backend/tests/accounts.rs", text!("backend/tests/accounts.rs.jinja"), Class::Seeded, Per::App),
    file("backend/tests/billing.rs", text!("backend/tests/billing.rs.jinja"), Class::Seeded, Per::App),
    file("backend/tests/{{ entity.name }}.rs", text!("backend/tests/entity.rs.jinja"), Class::Seeded, Per::Entity),
];
