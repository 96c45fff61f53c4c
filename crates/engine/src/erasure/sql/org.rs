//! Statements that erase what an org was called, wrote and was written to, each written where it is listed. `$1`: the org; `$2`: rows.

use crate::db::Statement;

/// What there is of an org, in an order that foreign keys allow.
pub(crate) const OF_ORG: &[&Statement] = &[
    &Statement::new(
        "erasure.usage_events",
        "UPDATE usage_events SET reason = NULL, source = 'erased'
     WHERE org_key = $1 AND seq IN (
       SELECT seq FROM usage_events WHERE org_key = $1 AND (reason IS NOT NULL OR source NOT IN ('api', 'erased')) ORDER BY seq LIMIT $2)",
    ),
    &Statement::new(
        "erasure.refresh_tokens",
        "DELETE FROM refresh_tokens
     WHERE org_key = $1 AND token_hash IN (
       SELECT token_hash FROM refresh_tokens WHERE org_key = $1 ORDER BY token_hash LIMIT $2)",
    ),
    &Statement::new(
        "erasure.token_families",
        "DELETE FROM token_families
     WHERE org_key = $1 AND family_id IN (
       SELECT family_id FROM token_families WHERE org_key = $1 ORDER BY family_id LIMIT $2)",
    ),
    &Statement::new(
        "erasure.activation_codes",
        "DELETE FROM activation_codes
     WHERE org_key = $1 AND code_hash IN (
       SELECT code_hash FROM activation_codes WHERE org_key = $1 ORDER BY code_hash LIMIT $2)",
    ),
    &Statement::new(
        "erasure.sites",
        "DELETE FROM sites
     WHERE org_key = $1 AND site_id IN (
       SELECT site_id FROM sites WHERE org_key = $1 ORDER BY site_id LIMIT $2)",
    ),
    &Statement::new(
        "erasure.invitations",
        "DELETE FROM invitations
     WHERE org_key = $1 AND invitation_id IN (
       SELECT invitation_id FROM invitations WHERE org_key = $1 ORDER BY invitation_id LIMIT $2)",
    ),
    &Statement::new(
        "erasure.memberships",
        "DELETE FROM memberships
     WHERE org_key = $1 AND user_id IN (
       SELECT user_id FROM memberships WHERE org_key = $1 ORDER BY user_id LIMIT $2)",
    ),
    &Statement::new(
        "erasure.api_keys",
        "UPDATE api_keys SET name = 'erased', secret_hint = ''
     WHERE org_key = $1 AND key_id IN (
       SELECT key_id FROM api_keys WHERE org_key = $1 AND (name <> 'erased' OR secret_hint <> '') ORDER BY key_id LIMIT $2)",
    ),
    &Statement::new(
        "erasure.customers",
        "UPDATE customers SET email = NULL, default_payment_method = NULL
     WHERE org_key = $1 AND customer_id IN (
       SELECT customer_id FROM customers WHERE org_key = $1 AND (email IS NOT NULL OR default_payment_method IS NOT NULL) ORDER BY customer_id LIMIT $2)",
    ),
    &Statement::new(
        "erasure.invoice_refs",
        "UPDATE invoice_refs SET url = NULL
     WHERE org_key = $1 AND invoice_id IN (
       SELECT invoice_id FROM invoice_refs WHERE org_key = $1 AND url IS NOT NULL ORDER BY invoice_id LIMIT $2)",
    ),
    &Statement::new(
        "erasure.operations",
        "UPDATE operations SET body = '{}', steps = '{}', outcome = NULL, error = NULL
     WHERE org_key = $1 AND operation_id IN (
       SELECT operation_id FROM operations WHERE org_key = $1 AND state <> 'running' AND (body <> '{}' OR steps <> '{}' OR outcome IS NOT NULL OR error IS NOT NULL) ORDER BY operation_id LIMIT $2)",
    ),
    &Statement::new(
        "erasure.adjustments",
        "UPDATE adjustments SET reason = 'erased'
     WHERE org_key = $1 AND adjustment_id IN (
       SELECT adjustment_id FROM adjustments WHERE org_key = $1 AND reason <> 'erased' ORDER BY adjustment_id LIMIT $2)",
    ),
    // A promotion code is a word that somebody chose, often a name.
    &Statement::split(
        "erasure.promotion_codes",
        "UPDATE adjustments SET detail = json_set(detail, '$.promotion.code', 'erased')
         WHERE org_key = $1 AND adjustment_id IN (
           SELECT adjustment_id FROM adjustments
           WHERE org_key = $1 AND kind = 'promotion' AND json_extract(detail, '$.promotion.code') <> 'erased'
           ORDER BY adjustment_id LIMIT $2)",
        "UPDATE adjustments SET detail = CAST(jsonb_set(CAST(detail AS JSONB), '{promotion,code}', '\"erased\"') AS TEXT)
         WHERE org_key = $1 AND adjustment_id IN (
           SELECT adjustment_id FROM adjustments
           WHERE org_key = $1 AND kind = 'promotion' AND CAST(detail AS JSONB) #>> '{promotion,code}' <> 'erased'
           ORDER BY adjustment_id LIMIT $2)",
    ),
    // What was in force at past moments says why, too.
    &Statement::split(
        "erasure.entitlements",
        "UPDATE entitlements
         SET facts = json_set(facts, '$.overrides',
           (SELECT json_group_array(json_set(one.value, '$.reason', 'erased')) FROM json_each(facts, '$.overrides') one))
         WHERE org_key = $1 AND entry_no IN (
           SELECT e.entry_no FROM entitlements e
           WHERE e.org_key = $1 AND EXISTS (
             SELECT 1 FROM json_each(e.facts, '$.overrides') one WHERE json_extract(one.value, '$.reason') <> 'erased')
           ORDER BY e.entry_no LIMIT $2)",
        "UPDATE entitlements
         SET facts = CAST(jsonb_set(CAST(facts AS JSONB), '{overrides}',
           (SELECT jsonb_agg(jsonb_set(one.value, '{reason}', '\"erased\"') ORDER BY one.place)
            FROM jsonb_array_elements(CAST(facts AS JSONB) -> 'overrides') WITH ORDINALITY AS one (value, place))) AS TEXT)
         WHERE org_key = $1 AND entry_no IN (
           SELECT e.entry_no FROM entitlements e
           WHERE e.org_key = $1 AND EXISTS (
             SELECT 1 FROM jsonb_array_elements(CAST(e.facts AS JSONB) -> 'overrides') one WHERE one ->> 'reason' <> 'erased')
           ORDER BY e.entry_no LIMIT $2)",
    ),
    &Statement::new(
        "erasure.overrides",
        "UPDATE overrides SET reason = 'erased'
     WHERE org_key = $1 AND override_id IN (
       SELECT override_id FROM overrides WHERE org_key = $1 AND reason <> 'erased' ORDER BY override_id LIMIT $2)",
    ),
    &Statement::new(
        "erasure.grants",
        "UPDATE grants SET reason = 'erased'
     WHERE org_key = $1 AND grant_id IN (
       SELECT grant_id FROM grants WHERE org_key = $1 AND reason <> 'erased' ORDER BY grant_id LIMIT $2)",
    ),
    &Statement::new(
        "erasure.incidents",
        "UPDATE incidents SET detail = 'erased'
     WHERE org_key = $1 AND incident_id IN (
       SELECT incident_id FROM incidents WHERE org_key = $1 AND detail <> 'erased' ORDER BY incident_id LIMIT $2)",
    ),
    &Statement::new(
        "erasure.quotes",
        "DELETE FROM quotes
     WHERE org_key = $1 AND quote_id IN (
       SELECT quote_id FROM quotes WHERE org_key = $1 ORDER BY quote_id LIMIT $2)",
    ),
    &Statement::new(
        "erasure.idempotency_keys",
        "DELETE FROM idempotency_keys
     WHERE org_key = $1 AND idempotency_key IN (
       SELECT idempotency_key FROM idempotency_keys WHERE org_key = $1 ORDER BY idempotency_key LIMIT $2)",
    ),
    &Statement::new(
        "erasure.mail_outbox",
        "DELETE FROM mail_outbox
     WHERE org_key = $1 AND mail_id IN (
       SELECT mail_id FROM mail_outbox WHERE org_key = $1 ORDER BY mail_id LIMIT $2)",
    ),
    &Statement::new(
        "erasure.webhook_messages",
        "UPDATE webhook_messages SET data = '{}'
     WHERE org_key = $1 AND message_id IN (
       SELECT message_id FROM webhook_messages WHERE org_key = $1 AND data <> '{}' ORDER BY message_id LIMIT $2)",
    ),
    &Statement::new(
        "erasure.jobs",
        "UPDATE jobs SET payload = 'null', last_error = NULL
     WHERE org_key = $1 AND job_id IN (
       SELECT job_id FROM jobs WHERE org_key = $1 AND state IN ('done', 'dead') AND (payload <> 'null' OR last_error IS NOT NULL) ORDER BY job_id LIMIT $2)",
    ),
    &Statement::new(
        "erasure.operator_flags",
        "DELETE FROM operator_flags
     WHERE org_key = $1 AND name IN (
       SELECT name FROM operator_flags WHERE org_key = $1 ORDER BY name LIMIT $2)",
    ),
    &Statement::new(
        "erasure.webhook_inbox",
        "UPDATE webhook_inbox SET payload = '{}', last_error = NULL
     WHERE inbox_id IN (
       SELECT i.inbox_id FROM webhook_inbox i
       JOIN customers c ON c.customer_id = i.customer_id
       WHERE c.org_key = $1 AND i.state <> 'pending' AND (i.payload <> '{}' OR i.last_error IS NOT NULL)
       ORDER BY i.inbox_id LIMIT $2)",
    ),
    &Statement::new(
        "erasure.checkouts",
        "UPDATE checkouts SET email = 'erased', org_name = NULL
     WHERE org_key = $1 AND checkout_id IN (
       SELECT checkout_id FROM checkouts WHERE org_key = $1 AND (email <> 'erased' OR org_name IS NOT NULL) ORDER BY checkout_id LIMIT $2)",
    ),
];
