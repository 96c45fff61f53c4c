//! The second fence between orgs, on PostgreSQL: row-level security.
//!
//! The first fence is that every statement of a tenant table names the org of its scope. Should one forget it, the database
//! still shows and changes nothing of another org: what a use case does for one org runs as the role `tollgate_request`, for
//! which every table with an `org_key` has a policy. The tables are found in the schema after migrating, so a new one is fenced
//! by being there. Everything else (the ledger's writer, workers, authentication) runs as the role that connects, which owns
//! the tables and is not slowed down.
//!
//! Rows without an org, and those of `org_key` 0, belong to the server and are seen by all. See ADR 0013.

use super::{Connection, Db, Error, Kind, Lane, Migrate, OpenError, Statement, Tx, migrations};

/// The role that statements for one org run as. It cannot sign in; the role that connects is a member of it.
pub(super) const ROLE: &str = "tollgate_request";

/// Every statement here.
pub(crate) const STATEMENTS: &[&Statement] = &[&ENTER, &ENTER_TX, &STANDS, &WHO];

/// Makes the role where it may, gives it its rights, and puts the policy on every table that has an org. Changes nothing where
/// nothing is missing. A user that may not make roles, or not grant this one, leaves that to a person; opening the database then
/// fails with the statements to type.
///
/// From PostgreSQL 16 on whoever makes a role administers it, but does not thereby act as it: that is granted apart (`SET`), and
/// older servers do not know the words.
const RAISE: &str = "
DO $fence$
DECLARE
  here CONSTANT name := current_schema();
  rule CONSTANT text := 'current_user <> ''tollgate_request'' OR org_key IS NULL OR org_key = 0
                         OR org_key = NULLIF(current_setting(''tollgate.org_key'', true), '''')::bigint';
  one record;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tollgate_request') THEN
    BEGIN
      CREATE ROLE tollgate_request NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION;
    EXCEPTION WHEN duplicate_object OR unique_violation OR insufficient_privilege THEN NULL;
    END;
  END IF;
  FOR one IN
    SELECT c.oid, c.relname FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'org_key' AND NOT a.attisdropped
    WHERE n.nspname = here AND c.relkind IN ('r', 'p')
      AND NOT (c.relrowsecurity AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'tollgate_org'))
  LOOP
    IF NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = one.oid AND p.polname = 'tollgate_org') THEN
      EXECUTE format('CREATE POLICY tollgate_org ON %I USING (%s) WITH CHECK (%s)', one.relname, rule, rule);
    END IF;
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', one.relname);
  END LOOP;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tollgate_request') THEN
    RETURN;
  END IF;
  IF NOT has_schema_privilege('tollgate_request', here, 'USAGE') THEN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO tollgate_request', here);
  END IF;
  FOR one IN
    SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = here AND c.relkind IN ('r', 'p') AND NOT has_table_privilege('tollgate_request', c.oid, 'DELETE')
      AND c.relname NOT IN ('operator_keys', 'schema_migrations', 'settings', 'signing_keys')
  LOOP
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO tollgate_request', one.relname);
  END LOOP;
  BEGIN
    IF current_setting('server_version_num')::int < 160000 THEN
      IF NOT pg_has_role(current_user, 'tollgate_request', 'MEMBER') THEN
        GRANT tollgate_request TO CURRENT_USER;
      END IF;
    ELSIF NOT pg_has_role(current_user, 'tollgate_request', 'SET') THEN
      EXECUTE 'GRANT tollgate_request TO CURRENT_USER WITH INHERIT FALSE, SET TRUE';
    END IF;
  EXCEPTION WHEN insufficient_privilege THEN NULL;
  END;
END
$fence$";

/// Which org the connection works for from now on.
const ENTER: Statement = Statement::split(
    "db.enter_org",
    "SELECT CAST($1 AS TEXT) AS org_key",
    "SELECT set_config('tollgate.org_key', $1, false) AS org_key",
);
/// The same until the transaction ends.
const ENTER_TX: Statement = Statement::split(
    "db.enter_org_in_transaction",
    "SELECT CAST($1 AS TEXT) AS org_key",
    "SELECT set_config('tollgate.org_key', $1, true) AS org_key",
);

const STANDS: Statement = Statement::split(
    "db.fence",
    "SELECT 0 AS fenced, 0 AS open, 0 AS without_rights, 0 AS superuser",
    "WITH tenants AS (
       SELECT c.relrowsecurity AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'tollgate_org') AS policed,
              COALESCE((SELECT has_table_privilege(r.oid, c.oid, 'DELETE') FROM pg_roles r WHERE r.rolname = 'tollgate_request'), false) AS granted
       FROM pg_class c
       JOIN pg_namespace n ON n.oid = c.relnamespace
       JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'org_key' AND NOT a.attisdropped
       WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p')
     )
     SELECT COUNT(*) FILTER (WHERE policed) AS fenced,
            COUNT(*) FILTER (WHERE NOT policed) AS open,
            COUNT(*) FILTER (WHERE NOT granted) AS without_rights,
            (SELECT CAST(CASE WHEN rolsuper OR rolbypassrls THEN 1 ELSE 0 END AS BIGINT)
             FROM pg_roles WHERE rolname = current_user) AS superuser
     FROM tenants",
);

const WHO: Statement = Statement::split(
    "db.fence_user",
    "SELECT '' AS name, 0 AS has_role, 0 AS version",
    "SELECT CAST(quote_ident(current_user) AS TEXT) AS name,
            CAST(CASE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = 'tollgate_request') THEN 1 ELSE 0 END AS BIGINT) AS has_role,
            CAST(current_setting('server_version_num') AS BIGINT) AS version",
);

/// How the second fence stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// Tables of tenants with a policy.
    pub fenced: i64,
    /// Tables of tenants without one.
    pub open: i64,
    /// Tables of tenants that the request role has no rights on.
    pub without_rights: i64,
    /// Whether what is done for one org runs behind it.
    pub in_use: bool,
    /// Whether the user that connects is a superuser, or one whom no policy binds.
    pub superuser: bool,
}

impl Fence {
    fn complete(self) -> bool {
        self.open == 0 && self.without_rights == 0
    }
}

/// Puts the fence up after the migrations, and uses it.
///
/// # Errors
/// [`OpenError::Fence`] where the user that connects may not: what a person types then stands in it.
pub(super) async fn raise(db: &Db, migrate: Migrate) -> Result<(), OpenError> {
    if db.kind() == Kind::Sqlite {
        return Ok(());
    }
    let mut found = look(db).await?;
    if migrate == Migrate::Apply {
        // Also where all tables are fenced: another owner of this server's roles may not act as the request role yet.
        if !found.complete() || db.use_fence().await.is_err() {
            if let Err(error) = put_up(db).await {
                return Err(missing(db, format!("setting it up failed: {error}")).await?);
            }
            found = look(db).await?;
        }
    }
    if !found.complete() {
        let (open, bare) = (found.open, found.without_rights);
        let reason = format!("{open} tables have no policy, and the request role has no rights on {bare}");
        return Err(missing(db, reason).await?);
    }
    match db.use_fence().await {
        Ok(()) => Ok(()),
        Err(error) => Err(missing(db, format!("this user may not act as {ROLE}: {error}")).await?),
    }
}

/// What is wrong, and what a person does about it.
async fn missing(db: &Db, reason: String) -> Result<OpenError, Error> {
    let row = db.read().await?.one(&WHO, &[]).await?;
    let known = (row.bool("has_role")?, row.i64("version")?);
    Ok(OpenError::Fence { reason, statements: statements(&row.text("name")?, known) })
}

/// What somebody who may make roles runs for the user that connects.
fn statements(user: &str, (has_role, version): (bool, i64)) -> String {
    let make = format!("CREATE ROLE {ROLE} NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION; ");
    let how = if version >= 160_000 { " WITH INHERIT FALSE, SET TRUE" } else { "" };
    format!("{}GRANT {ROLE} TO {user}{how};", if has_role { "" } else { &make })
}

async fn put_up(db: &Db) -> Result<(), Error> {
    let mut tx = db.begin(Lane::Control).await?;
    tx.execute(&migrations::LOCK_TABLE, &[]).await?;
    tx.execute_script(RAISE).await?;
    tx.commit().await
}

/// How it stands; `in_use` is for [`Db::fence`] to say.
pub(super) async fn look(db: &Db) -> Result<Fence, Error> {
    let row = db.read().await?.one(&STANDS, &[]).await?;
    Ok(Fence {
        fenced: row.i64("fenced")?,
        open: row.i64("open")?,
        without_rights: row.i64("without_rights")?,
        in_use: false,
        superuser: row.bool("superuser")?,
    })
}

/// From now on the connection sees this org.
pub(super) async fn enter(connection: &mut Connection, org_key: i64) -> Result<(), Error> {
    connection.one(&ENTER, &[org_key.to_string().into()]).await.map(|_| ())
}

/// Until it ends the transaction sees this org.
pub(super) async fn enter_tx(tx: &mut Tx, org_key: i64) -> Result<(), Error> {
    tx.one(&ENTER_TX, &[org_key.to_string().into()]).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::statements;

    #[test]
    fn a_person_is_told_the_statements_of_their_server() {
        assert_eq!(statements("app", (true, 150_004)), "GRANT tollgate_request TO app;");
        assert_eq!(
            statements("\"App\"", (false, 170_000)),
            "CREATE ROLE tollgate_request NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION; \
             GRANT tollgate_request TO \"App\" WITH INHERIT FALSE, SET TRUE;"
        );
    }
}
