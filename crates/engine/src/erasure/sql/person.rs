//! Statements that erase what is about a person, each written where it is listed. `$1`: the person's id or address; `$2`: rows.

use crate::db::Statement;

/// What there is by a person's id.
pub(crate) const OF_PERSON: &[&Statement] = &[
    &Statement::new(
        "erasure.recovery_codes",
        "DELETE FROM user_recovery_codes WHERE user_id = $1 AND code_hash IN (
       SELECT code_hash FROM user_recovery_codes WHERE user_id = $1 ORDER BY code_hash LIMIT $2)",
    ),
    &Statement::new(
        "erasure.sessions",
        "DELETE FROM user_sessions WHERE session_id IN (
       SELECT session_id FROM user_sessions WHERE user_id = $1 ORDER BY session_id LIMIT $2)",
    ),
    &Statement::new(
        "erasure.codes_of_person",
        "DELETE FROM account_codes WHERE code_hash IN (
       SELECT code_hash FROM account_codes WHERE user_id = $1 ORDER BY code_hash LIMIT $2)",
    ),
];

/// What there is by a person's address, in every org: what it stands in alone, and the texts that mention it. What an org wrote beside
/// its usage is not looked through: it is the org's, and the ledger is long.
pub(crate) const OF_ADDRESS: &[&Statement] = &[
    &Statement::new(
        "erasure.codes_of_address",
        "DELETE FROM account_codes WHERE code_hash IN (
       SELECT code_hash FROM account_codes WHERE email = $1 ORDER BY code_hash LIMIT $2)",
    ),
    &Statement::new(
        "erasure.invitations_of_address",
        "UPDATE invitations SET email = '', revoked_at = COALESCE(revoked_at, accepted_at, created_at)
     WHERE code_hash IN (SELECT code_hash FROM invitations WHERE email = $1 ORDER BY code_hash LIMIT $2)",
    ),
    &Statement::new(
        "erasure.messages_of_address",
        "UPDATE webhook_messages SET data = REPLACE(data, $1, 'erased')
     WHERE message_id IN (
       SELECT message_id FROM webhook_messages WHERE REPLACE(data, $1, '') <> data ORDER BY message_id LIMIT $2)",
    ),
    &Statement::new(
        "erasure.checkouts_of_address",
        "UPDATE checkouts SET email = 'erased'
     WHERE checkout_id IN (SELECT checkout_id FROM checkouts WHERE email = $1 ORDER BY checkout_id LIMIT $2)",
    ),
    &Statement::new(
        "erasure.organizations_of_address",
        "UPDATE organizations SET email = NULL
         WHERE org_key IN (SELECT org_key FROM organizations WHERE LOWER(email) = $1 ORDER BY org_key LIMIT $2)",
    ),
    &Statement::new(
        "erasure.customers_of_address",
        "UPDATE customers SET email = NULL
         WHERE org_key IN (SELECT org_key FROM customers WHERE LOWER(email) = $1 ORDER BY org_key LIMIT $2)",
    ),
    &Statement::new(
        "erasure.idempotency_keys_of_address",
        "DELETE FROM idempotency_keys
         WHERE REPLACE(body, $1, '') <> body AND idempotency_key IN (
           SELECT idempotency_key FROM idempotency_keys WHERE REPLACE(body, $1, '') <> body ORDER BY idempotency_key LIMIT $2)",
    ),
    &Statement::new(
        "erasure.operations_of_address",
        "UPDATE operations SET body = REPLACE(body, $1, 'erased'), steps = REPLACE(steps, $1, 'erased'), outcome = REPLACE(outcome, $1, 'erased'), error = REPLACE(error, $1, 'erased')
         WHERE operation_id IN (
           SELECT operation_id FROM operations WHERE state <> 'running' AND (REPLACE(body, $1, '') <> body OR REPLACE(steps, $1, '') <> steps OR REPLACE(outcome, $1, '') <> outcome OR REPLACE(error, $1, '') <> error) ORDER BY operation_id LIMIT $2)",
    ),
    &Statement::new(
        "erasure.webhook_inbox_of_address",
        "UPDATE webhook_inbox SET payload = REPLACE(payload, $1, 'erased'), last_error = REPLACE(last_error, $1, 'erased')
         WHERE inbox_id IN (
           SELECT inbox_id FROM webhook_inbox WHERE state <> 'pending' AND (REPLACE(payload, $1, '') <> payload OR REPLACE(last_error, $1, '') <> last_error) ORDER BY inbox_id LIMIT $2)",
    ),
    &Statement::new(
        "erasure.jobs_of_address",
        "UPDATE jobs SET payload = REPLACE(payload, $1, 'erased'), last_error = REPLACE(last_error, $1, 'erased')
         WHERE job_id IN (
           SELECT job_id FROM jobs WHERE state IN ('done', 'dead') AND (REPLACE(payload, $1, '') <> payload OR REPLACE(last_error, $1, '') <> last_error) ORDER BY job_id LIMIT $2)",
    ),
    &Statement::new(
        "erasure.adjustments_of_address",
        "UPDATE adjustments SET reason = REPLACE(reason, $1, 'erased'), detail = REPLACE(detail, $1, 'erased')
         WHERE adjustment_id IN (
           SELECT adjustment_id FROM adjustments WHERE REPLACE(reason, $1, '') <> reason OR REPLACE(detail, $1, '') <> detail ORDER BY adjustment_id LIMIT $2)",
    ),
    &Statement::new(
        "erasure.entitlements_of_address",
        "UPDATE entitlements SET facts = REPLACE(facts, $1, 'erased')
         WHERE REPLACE(facts, $1, '') <> facts AND entry_no IN (
           SELECT entry_no FROM entitlements WHERE REPLACE(facts, $1, '') <> facts ORDER BY entry_no LIMIT $2)",
    ),
    &Statement::new(
        "erasure.overrides_of_address",
        "UPDATE overrides SET reason = REPLACE(reason, $1, 'erased')
         WHERE override_id IN (
           SELECT override_id FROM overrides WHERE REPLACE(reason, $1, '') <> reason ORDER BY override_id LIMIT $2)",
    ),
    &Statement::new(
        "erasure.grants_of_address",
        "UPDATE grants SET reason = REPLACE(reason, $1, 'erased')
         WHERE grant_id IN (
           SELECT grant_id FROM grants WHERE REPLACE(reason, $1, '') <> reason ORDER BY grant_id LIMIT $2)",
    ),
    &Statement::new(
        "erasure.incidents_of_address",
        "UPDATE incidents SET detail = REPLACE(detail, $1, 'erased')
         WHERE incident_id IN (
           SELECT incident_id FROM incidents WHERE REPLACE(detail, $1, '') <> detail ORDER BY incident_id LIMIT $2)",
    ),
    &Statement::new(
        "erasure.api_keys_of_address",
        "UPDATE api_keys SET name = REPLACE(name, $1, 'erased')
         WHERE key_id IN (
           SELECT key_id FROM api_keys WHERE REPLACE(name, $1, '') <> name ORDER BY key_id LIMIT $2)",
    ),
];
