//! Statements that erase. Each takes a subject and a number of rows, and finds nothing more once it is done.

use tollgate_rules::ids::OrgKey;
use tollgate_rules::time::Timestamp;

use crate::db::{Connection, Error, Statement, Tx};

/// Every statement here.
pub(crate) const ALL: &[&Statement] = &[
    &PEOPLE_DUE,
    &ORGS_DUE,
    &MARK_PERSON,
    &MARK_ORG,
    &RECOVERY_CODES,
    &SESSIONS,
    &CODES_OF_PERSON,
    &CODES_OF_ADDRESS,
    &INVITATIONS_OF_ADDRESS,
    &MESSAGES_OF_ADDRESS,
    &CHECKOUTS_OF_ADDRESS,
    &ATTEMPTS,
    &LEDGER_WORDS,
    &REFRESH_TOKENS,
    &FAMILIES,
    &CODES,
    &SITES,
    &INVITATIONS,
    &MEMBERSHIPS,
    &KEYS,
    &CUSTOMERS,
    &INVOICES,
    &OPERATIONS,
    &ADJUSTMENTS,
    &OVERRIDES,
    &GRANTS,
    &INCIDENTS,
    &QUOTES,
    &REPEATS,
    &LETTERS,
    &MESSAGES,
    &JOBS,
    &FLAGS,
    &DELIVERIES_TO_US,
    &CHECKOUTS,
];

/// Whose rows a statement erases.
#[derive(Debug, Clone)]
pub(super) enum Subject {
    /// An org's.
    Org(i64),
    /// A user's id, an address, or the keyed hash of one.
    Text(String),
}

/// Erases at most `rows` rows of the subject; how many there were.
pub(super) async fn run(
    tx: &mut Tx,
    statement: &'static Statement,
    subject: &Subject,
    rows: i64,
) -> Result<u64, Error> {
    match subject {
        Subject::Org(org_key) => tx.execute(statement, &[(*org_key).into(), rows.into()]).await,
        Subject::Text(text) => tx.execute(statement, &[text.as_str().into(), rows.into()]).await,
    }
}

/// A person whose account has been closed for long enough.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) user_id: String,
    pub(super) email: Option<String>,
}

const PEOPLE_DUE: Statement = Statement::new(
    "erasure.people_due",
    "SELECT user_id, email FROM users WHERE status = 'closed' AND closed_at <= $1 ORDER BY closed_at, user_id LIMIT $2",
);

pub(super) async fn people_due(
    connection: &mut Connection,
    before: Timestamp,
    rows: i64,
) -> Result<Vec<Person>, Error> {
    let rows = connection.all(&PEOPLE_DUE, &[before.into(), rows.into()]).await?;
    rows.iter().map(|row| Ok(Person { user_id: row.text("user_id")?, email: row.opt_text("email")? })).collect()
}

const ORGS_DUE: Statement = Statement::new(
    "erasure.orgs_due",
    "SELECT org_key FROM organizations
     WHERE status = 'closed' AND erased_at IS NULL AND closed_at <= $1
     ORDER BY closed_at, org_key
     LIMIT $2",
);

pub(super) async fn orgs_due(connection: &mut Connection, before: Timestamp, rows: i64) -> Result<Vec<OrgKey>, Error> {
    let rows = connection.all(&ORGS_DUE, &[before.into(), rows.into()]).await?;
    rows.iter().map(|row| row.i64("org_key").map(OrgKey)).collect()
}

const MARK_PERSON: Statement = Statement::new(
    "erasure.mark_person",
    "UPDATE users
     SET status = 'erased', email = NULL, name = NULL, password_hash = NULL, totp_sealed = NULL, totp_confirmed_at = NULL,
         totp_last_step = NULL, updated_at = $2
     WHERE user_id = $1 AND status = 'closed'",
);

/// Erases the row itself; false where it was opened again meanwhile.
pub(super) async fn mark_person(tx: &mut Tx, user_id: &str, at: Timestamp) -> Result<bool, Error> {
    Ok(tx.execute(&MARK_PERSON, &[user_id.into(), at.into()]).await? == 1)
}

const MARK_ORG: Statement = Statement::new(
    "erasure.mark_org",
    "UPDATE organizations
     SET name = 'erased', email = NULL, owner_user_id = 'user_erased', timezone = 'UTC', erased_at = $2, updated_at = $2
     WHERE org_key = $1 AND status = 'closed' AND erased_at IS NULL",
);

/// Erases the row itself, and notes when; false where it was opened again meanwhile.
pub(super) async fn mark_org(tx: &mut Tx, org_key: OrgKey, at: Timestamp) -> Result<bool, Error> {
    Ok(tx.execute(&MARK_ORG, &[org_key.0.into(), at.into()]).await? == 1)
}

/// What there is by a person's id.
pub(super) const OF_PERSON: &[&Statement] = &[&RECOVERY_CODES, &SESSIONS, &CODES_OF_PERSON];

const RECOVERY_CODES: Statement = Statement::new(
    "erasure.recovery_codes",
    "DELETE FROM user_recovery_codes WHERE user_id = $1 AND code_hash IN (
       SELECT code_hash FROM user_recovery_codes WHERE user_id = $1 ORDER BY code_hash LIMIT $2)",
);
const SESSIONS: Statement = Statement::new(
    "erasure.sessions",
    "DELETE FROM user_sessions WHERE session_id IN (
       SELECT session_id FROM user_sessions WHERE user_id = $1 ORDER BY session_id LIMIT $2)",
);
const CODES_OF_PERSON: Statement = Statement::new(
    "erasure.codes_of_person",
    "DELETE FROM account_codes WHERE code_hash IN (
       SELECT code_hash FROM account_codes WHERE user_id = $1 ORDER BY code_hash LIMIT $2)",
);

/// What there is by a person's address, in every org.
pub(super) const OF_ADDRESS: &[&Statement] =
    &[&CODES_OF_ADDRESS, &INVITATIONS_OF_ADDRESS, &MESSAGES_OF_ADDRESS, &CHECKOUTS_OF_ADDRESS];

const CODES_OF_ADDRESS: Statement = Statement::new(
    "erasure.codes_of_address",
    "DELETE FROM account_codes WHERE code_hash IN (
       SELECT code_hash FROM account_codes WHERE email = $1 ORDER BY code_hash LIMIT $2)",
);
const INVITATIONS_OF_ADDRESS: Statement = Statement::new(
    "erasure.invitations_of_address",
    "UPDATE invitations SET email = '', revoked_at = COALESCE(revoked_at, accepted_at, created_at)
     WHERE code_hash IN (SELECT code_hash FROM invitations WHERE email = $1 ORDER BY code_hash LIMIT $2)",
);
const MESSAGES_OF_ADDRESS: Statement = Statement::new(
    "erasure.messages_of_address",
    "UPDATE webhook_messages SET data = REPLACE(data, $1, 'erased')
     WHERE message_id IN (
       SELECT message_id FROM webhook_messages WHERE REPLACE(data, $1, '') <> data ORDER BY message_id LIMIT $2)",
);
/// Failed sign-ins, by the keyed hash of the address.
pub(super) const ATTEMPTS: Statement = Statement::new(
    "erasure.attempts",
    "DELETE FROM sign_in_attempts WHERE subject IN (
       SELECT subject FROM sign_in_attempts WHERE subject = $1 ORDER BY subject LIMIT $2)",
);

/// What there is of an org, in an order that foreign keys allow.
pub(super) const OF_ORG: &[&Statement] = &[
    &LEDGER_WORDS,
    &REFRESH_TOKENS,
    &FAMILIES,
    &CODES,
    &SITES,
    &INVITATIONS,
    &MEMBERSHIPS,
    &KEYS,
    &CUSTOMERS,
    &INVOICES,
    &OPERATIONS,
    &ADJUSTMENTS,
    &OVERRIDES,
    &GRANTS,
    &INCIDENTS,
    &QUOTES,
    &REPEATS,
    &LETTERS,
    &MESSAGES,
    &JOBS,
    &FLAGS,
    &DELIVERIES_TO_US,
    &CHECKOUTS,
];

const LEDGER_WORDS: Statement = Statement::new(
    "erasure.usage_events",
    "UPDATE usage_events SET reason = NULL, source = 'erased'
     WHERE org_key = $1 AND seq IN (
       SELECT seq FROM usage_events WHERE org_key = $1 AND (reason IS NOT NULL OR source NOT IN ('api', 'erased')) ORDER BY seq LIMIT $2)",
);
const REFRESH_TOKENS: Statement = Statement::new(
    "erasure.refresh_tokens",
    "DELETE FROM refresh_tokens
     WHERE org_key = $1 AND token_hash IN (
       SELECT token_hash FROM refresh_tokens WHERE org_key = $1 ORDER BY token_hash LIMIT $2)",
);
const FAMILIES: Statement = Statement::new(
    "erasure.token_families",
    "DELETE FROM token_families
     WHERE org_key = $1 AND family_id IN (
       SELECT family_id FROM token_families WHERE org_key = $1 ORDER BY family_id LIMIT $2)",
);
const CODES: Statement = Statement::new(
    "erasure.activation_codes",
    "DELETE FROM activation_codes
     WHERE org_key = $1 AND code_hash IN (
       SELECT code_hash FROM activation_codes WHERE org_key = $1 ORDER BY code_hash LIMIT $2)",
);
const SITES: Statement = Statement::new(
    "erasure.sites",
    "DELETE FROM sites
     WHERE org_key = $1 AND site_id IN (
       SELECT site_id FROM sites WHERE org_key = $1 ORDER BY site_id LIMIT $2)",
);
const INVITATIONS: Statement = Statement::new(
    "erasure.invitations",
    "DELETE FROM invitations
     WHERE org_key = $1 AND invitation_id IN (
       SELECT invitation_id FROM invitations WHERE org_key = $1 ORDER BY invitation_id LIMIT $2)",
);
const MEMBERSHIPS: Statement = Statement::new(
    "erasure.memberships",
    "DELETE FROM memberships
     WHERE org_key = $1 AND user_id IN (
       SELECT user_id FROM memberships WHERE org_key = $1 ORDER BY user_id LIMIT $2)",
);
const KEYS: Statement = Statement::new(
    "erasure.api_keys",
    "UPDATE api_keys SET name = 'erased', secret_hint = ''
     WHERE org_key = $1 AND key_id IN (
       SELECT key_id FROM api_keys WHERE org_key = $1 AND (name <> 'erased' OR secret_hint <> '') ORDER BY key_id LIMIT $2)",
);
const CUSTOMERS: Statement = Statement::new(
    "erasure.customers",
    "UPDATE customers SET email = NULL, default_payment_method = NULL
     WHERE org_key = $1 AND customer_id IN (
       SELECT customer_id FROM customers WHERE org_key = $1 AND (email IS NOT NULL OR default_payment_method IS NOT NULL) ORDER BY customer_id LIMIT $2)",
);
const INVOICES: Statement = Statement::new(
    "erasure.invoice_refs",
    "UPDATE invoice_refs SET url = NULL
     WHERE org_key = $1 AND invoice_id IN (
       SELECT invoice_id FROM invoice_refs WHERE org_key = $1 AND url IS NOT NULL ORDER BY invoice_id LIMIT $2)",
);
const OPERATIONS: Statement = Statement::new(
    "erasure.operations",
    "UPDATE operations SET body = '{}', outcome = NULL, error = NULL
     WHERE org_key = $1 AND operation_id IN (
       SELECT operation_id FROM operations WHERE org_key = $1 AND state <> 'running' AND (body <> '{}' OR outcome IS NOT NULL OR error IS NOT NULL) ORDER BY operation_id LIMIT $2)",
);
const ADJUSTMENTS: Statement = Statement::new(
    "erasure.adjustments",
    "UPDATE adjustments SET reason = 'erased'
     WHERE org_key = $1 AND adjustment_id IN (
       SELECT adjustment_id FROM adjustments WHERE org_key = $1 AND reason <> 'erased' ORDER BY adjustment_id LIMIT $2)",
);
const OVERRIDES: Statement = Statement::new(
    "erasure.overrides",
    "UPDATE overrides SET reason = 'erased'
     WHERE org_key = $1 AND override_id IN (
       SELECT override_id FROM overrides WHERE org_key = $1 AND reason <> 'erased' ORDER BY override_id LIMIT $2)",
);
const GRANTS: Statement = Statement::new(
    "erasure.grants",
    "UPDATE grants SET reason = 'erased'
     WHERE org_key = $1 AND grant_id IN (
       SELECT grant_id FROM grants WHERE org_key = $1 AND reason <> 'erased' ORDER BY grant_id LIMIT $2)",
);
const INCIDENTS: Statement = Statement::new(
    "erasure.incidents",
    "UPDATE incidents SET detail = 'erased'
     WHERE org_key = $1 AND incident_id IN (
       SELECT incident_id FROM incidents WHERE org_key = $1 AND detail <> 'erased' ORDER BY incident_id LIMIT $2)",
);
const QUOTES: Statement = Statement::new(
    "erasure.quotes",
    "DELETE FROM quotes
     WHERE org_key = $1 AND quote_id IN (
       SELECT quote_id FROM quotes WHERE org_key = $1 ORDER BY quote_id LIMIT $2)",
);
const REPEATS: Statement = Statement::new(
    "erasure.idempotency_keys",
    "DELETE FROM idempotency_keys
     WHERE org_key = $1 AND idempotency_key IN (
       SELECT idempotency_key FROM idempotency_keys WHERE org_key = $1 ORDER BY idempotency_key LIMIT $2)",
);
const LETTERS: Statement = Statement::new(
    "erasure.mail_outbox",
    "DELETE FROM mail_outbox
     WHERE org_key = $1 AND mail_id IN (
       SELECT mail_id FROM mail_outbox WHERE org_key = $1 ORDER BY mail_id LIMIT $2)",
);
const MESSAGES: Statement = Statement::new(
    "erasure.webhook_messages",
    "UPDATE webhook_messages SET data = '{}'
     WHERE org_key = $1 AND message_id IN (
       SELECT message_id FROM webhook_messages WHERE org_key = $1 AND data <> '{}' ORDER BY message_id LIMIT $2)",
);
const JOBS: Statement = Statement::new(
    "erasure.jobs",
    "UPDATE jobs SET payload = 'null', last_error = NULL
     WHERE org_key = $1 AND job_id IN (
       SELECT job_id FROM jobs WHERE org_key = $1 AND state IN ('done', 'dead') AND (payload <> 'null' OR last_error IS NOT NULL) ORDER BY job_id LIMIT $2)",
);
const FLAGS: Statement = Statement::new(
    "erasure.operator_flags",
    "DELETE FROM operator_flags
     WHERE org_key = $1 AND name IN (
       SELECT name FROM operator_flags WHERE org_key = $1 ORDER BY name LIMIT $2)",
);
const DELIVERIES_TO_US: Statement = Statement::new(
    "erasure.webhook_inbox",
    "UPDATE webhook_inbox SET payload = '{}', last_error = NULL
     WHERE inbox_id IN (
       SELECT i.inbox_id FROM webhook_inbox i
       JOIN customers c ON c.customer_id = i.customer_id
       WHERE c.org_key = $1 AND i.state <> 'pending' AND (i.payload <> '{}' OR i.last_error IS NOT NULL)
       ORDER BY i.inbox_id LIMIT $2)",
);
const CHECKOUTS: Statement = Statement::new(
    "erasure.checkouts",
    "UPDATE checkouts SET email = 'erased', org_name = NULL
     WHERE org_key = $1 AND checkout_id IN (
       SELECT checkout_id FROM checkouts WHERE org_key = $1 AND (email <> 'erased' OR org_name IS NOT NULL) ORDER BY checkout_id LIMIT $2)",
);
const CHECKOUTS_OF_ADDRESS: Statement = Statement::new(
    "erasure.checkouts_of_address",
    "UPDATE checkouts SET email = 'erased'
     WHERE checkout_id IN (SELECT checkout_id FROM checkouts WHERE email = $1 ORDER BY checkout_id LIMIT $2)",
);
