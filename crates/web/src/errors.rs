//! Every error code a caller can meet, with its status, its cause, what to do about it and a call that shows it.
//!
//! The pages at `/docs/errors/<code>` and the generated reference are printed from [`CATALOG`]; an [`crate::api_error::ApiError`]
//! can only be made from an entry of it, so no code is without a page.

/// One error code: what `/docs/errors/<code>` says.
#[derive(Clone, Copy, Debug)]
pub struct ErrorDoc {
    /// The stable code in the envelope.
    pub code: &'static str,
    /// The HTTP status it comes with (a quota denial may come with the plan's own deny status instead).
    pub status: u16,
    /// A short title, also the `title` of the problem document.
    pub title: &'static str,
    /// Why it happens.
    pub cause: &'static str,
    /// What the caller can do.
    pub fix: &'static str,
    /// A curl call that shows the error or its cure.
    pub example: &'static str,
}

/// 400: the bytes are not what their content type promises.
pub const MALFORMED: ErrorDoc = ErrorDoc {
    code: "malformed",
    status: 400,
    title: "The request cannot be read",
    cause: "The body is not JSON, is cut short, is nested deeper than 32 levels, or the path or query string is not valid UTF-8.",
    fix: "Send one complete JSON document in UTF-8. The message names the line and column where reading stopped.",
    example: r#"curl -i $API/api/quota/check -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' -d '{"metric":"api_call"'"#,
};

/// 400: a webhook whose signature does not hold.
pub const BAD_SIGNATURE: ErrorDoc = ErrorDoc {
    code: "bad_signature",
    status: 400,
    title: "The webhook signature does not hold",
    cause: "The signature header (Stripe-Signature, svix-signature) is missing, was made with a secret that is not configured, is older than five minutes, or the body was changed on the way. Nothing was stored.",
    fix: "Forward the raw body untouched, check STRIPE_WEBHOOK_SECRET or CLERK_WEBHOOK_SECRET (comma-separated lists while rotating) and the clock of the machine.",
    example: r#"curl -i $API/api/webhooks/stripe.receive -H 'Stripe-Signature: t=1,v1=00' -d '{}'"#,
};

/// 401: no credential, or one that is not known (any more).
pub const UNAUTHORIZED: ErrorDoc = ErrorDoc {
    code: "unauthorized",
    status: 401,
    title: "A valid credential is needed",
    cause: "There is no Authorization header, or its key is unknown, expired or revoked.",
    fix: "Send `Authorization: Bearer <key>` with an operator key (tgo_…) or an org API key (tg_live_…, tg_test_…).",
    example: r#"curl -i $API/api/me/entitlements.read -H "Authorization: Bearer $KEY""#,
};

/// 402: the org has nothing it may use.
pub const NO_SUBSCRIPTION: ErrorDoc = ErrorDoc {
    code: "no_subscription",
    status: 402,
    title: "No active subscription",
    cause: "The org has no subscription that grants access: it never had one, or it is canceled, paused, unpaid or incomplete, or its trial ended without a payment method.",
    fix: "Start a subscription, or pay the open invoice. Usage that already happened can be recorded with `force` and a reason.",
    example: r#"curl -i $API/api/stripe/subscription.create -H "Authorization: Bearer $OPERATOR" -H 'Content-Type: application/json' -d '{"orgId":"org_acme","priceLookup":"plan_starter_m"}'"#,
};

/// 402: payment is late and the grace days are over.
pub const PAST_DUE: ErrorDoc = ErrorDoc {
    code: "past_due",
    status: 402,
    title: "Payment is past due",
    cause: "The latest invoice was not paid and the plan's grace days are over.",
    fix: "Set a working payment method; access returns as soon as Stripe reports the invoice paid.",
    example: r#"curl -i $API/api/payments/default-method.set -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' -d '{"orgId":"org_acme","paymentMethodId":"pm_card_visa"}'"#,
};

/// 402: the card was declined.
pub const PAYMENT_FAILED: ErrorDoc = ErrorDoc {
    code: "payment_failed",
    status: 402,
    title: "The payment was declined",
    cause: "The bank refused the card, or there is no payment method to charge. Nothing was changed: the old plan stays as it was.",
    fix: "Use another payment method and try again. `details.declineCode` holds the bank's reason where Stripe tells it.",
    example: r#"curl -i $API/api/payments/setup-intent.create -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' -d '{"orgId":"org_acme"}'"#,
};

/// 402: the bank wants the customer's confirmation.
pub const PAYMENT_ACTION_REQUIRED: ErrorDoc = ErrorDoc {
    code: "payment_action_required",
    status: 402,
    title: "The payment needs the customer's confirmation",
    cause: "The bank asks for 3-D Secure. The old plan stays until the customer has confirmed.",
    fix: "Hand `details.clientSecret` to Stripe.js and let the customer confirm, then call again.",
    example: r#"curl -i $API/api/plans/upgrade.now -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' -d '{"orgId":"org_acme","newPlanCode":"growth"}'"#,
};

/// 403: the credential lacks the right.
pub const FORBIDDEN: ErrorDoc = ErrorDoc {
    code: "forbidden",
    status: 403,
    title: "This credential may not do that",
    cause: "The key is valid, but lacks the scope this route needs, or the route is for the operator.",
    fix: "Create a key with the scope the message names, or call with an operator key.",
    example: r#"curl -i $API/api/keys.create -H "Authorization: Bearer $OPERATOR" -H 'Content-Type: application/json' -d '{"orgId":"org_acme","name":"ci","scopes":["usage:write"]}'"#,
};

/// 403: the operator stopped the org.
pub const ORG_SUSPENDED: ErrorDoc = ErrorDoc {
    code: "org_suspended",
    status: 403,
    title: "The org is suspended",
    cause: "The operator suspended or closed this org.",
    fix: "Ask the operator; `orgs.update` with status `active` opens it again.",
    example: r#"curl -i $API/api/orgs.update -H "Authorization: Bearer $OPERATOR" -H 'Content-Type: application/json' -d '{"orgId":"org_acme","status":"active"}'"#,
};

/// 401: the password is right, a code is missing.
pub const SECOND_FACTOR_REQUIRED: ErrorDoc = ErrorDoc {
    code: "second_factor_required",
    status: 401,
    title: "A code of the second factor is needed",
    cause: "The account has a second factor, and the sign-in carried no code, a wrong one, or one that was used already.",
    fix: "Sign in again with `code`: six digits of the authenticator, or one of the recovery codes.",
    example: r#"curl -i $API/api/auth/sign-in -H 'Content-Type: application/json' -d '{"email":"ann@example.com","password":"…","code":"123456"}'"#,
};

/// 403: the org wants a second factor.
pub const MFA_REQUIRED: ErrorDoc = ErrorDoc {
    code: "mfa_required",
    status: 403,
    title: "This org asks for a second factor",
    cause: "The org lets in only members who gave a second factor when they signed in.",
    fix: "Set one up with `auth/totp.enroll` and `auth/totp.confirm`, or sign in again with a code.",
    example: r#"curl -i -X POST $API/api/auth/totp.enroll -H "Authorization: Bearer $TOKEN""#,
};

/// 403: the sign-in is too long ago.
pub const STEP_UP_REQUIRED: ErrorDoc = ErrorDoc {
    code: "step_up_required",
    status: 403,
    title: "This needs a fresh sign-in",
    cause: "What was asked for is dangerous, and the password (and the second factor, where there is one) was given more than ten minutes ago.",
    fix: "Sign in again (operators: /auth/operator/sign-in?fresh=true), then repeat the call with the new session.",
    example: r#"curl -i $API/api/auth/sign-in -H 'Content-Type: application/json' -d '{"email":"ann@example.com","password":"…"}'"#,
};

/// 403: a page of another site made the browser call.
pub const CROSS_SITE: ErrorDoc = ErrorDoc {
    code: "cross_site",
    status: 403,
    title: "A page of another site may not do that",
    cause: "The browser says that the call comes from a page of another origin (Sec-Fetch-Site or Origin), and it carries a cookie or would set one.",
    fix: "Call from a page of this server, or use a bearer credential instead of the cookie.",
    example: r#"curl -i $API/api/auth/sign-out -X POST -H 'Origin: https://elsewhere.example' -H "Cookie: $COOKIE""#,
};

/// 404: a code that is good for nothing.
pub const INVALID_CODE: ErrorDoc = ErrorDoc {
    code: "invalid_code",
    status: 404,
    title: "This code is not valid",
    cause: "The code of a link or an invitation is unknown, was used, withdrawn or followed by another, has run out, or is for another e-mail address.",
    fix: "Ask for a new one: sign up again, `auth/password.forgot`, or have the invitation sent again.",
    example: r#"curl -i $API/api/auth/verify-email -H 'Content-Type: application/json' -d '{"code":"tgv_…"}'"#,
};

/// 429: too many attempts.
pub const RATE_LIMITED: ErrorDoc = ErrorDoc {
    code: "rate_limited",
    status: 429,
    title: "Too many attempts",
    cause: "Too many attempts with wrong credentials for this account, from this network address, or in all.",
    fix: "Wait for `Retry-After`. A password reset opens an account at once.",
    example: r#"curl -i $API/api/auth/password.forgot -H 'Content-Type: application/json' -d '{"email":"ann@example.com"}'"#,
};

/// 404: nothing here that this credential may see.
pub const NOT_FOUND: ErrorDoc = ErrorDoc {
    code: "not_found",
    status: 404,
    title: "Nothing found",
    cause: "There is no such route, or no such object among those this credential may see.",
    fix: "Check the path and the ids against /docs. An id of another org looks exactly like one that does not exist.",
    example: r#"curl -i $API/api/orgs.get?orgId=org_missing -H "Authorization: Bearer $OPERATOR""#,
};

/// 405: right path, wrong method.
pub const METHOD_NOT_ALLOWED: ErrorDoc = ErrorDoc {
    code: "method_not_allowed",
    status: 405,
    title: "The method does not fit the route",
    cause: "The path exists, but not with this HTTP method.",
    fix: "Use one of the methods in the Allow header.",
    example: r#"curl -i -X GET $API/api/quota/check -H "Authorization: Bearer $KEY""#,
};

/// 409: the state does not allow it.
pub const CONFLICT: ErrorDoc = ErrorDoc {
    code: "conflict",
    status: 409,
    title: "The present state does not allow this",
    cause: "The object exists with other content, or is in a state in which this step makes no sense. The message names both.",
    fix: "Read the object again and decide with its present state.",
    example: r#"curl -i $API/api/orgs.get -H "Authorization: Bearer $KEY""#,
};

/// 409: no customer at Stripe yet.
pub const NO_CUSTOMER: ErrorDoc = ErrorDoc {
    code: "no_customer",
    status: 409,
    title: "The org has no customer at Stripe yet",
    cause: "Subscriptions and payment methods belong to a Stripe customer, and none was made for this org.",
    fix: "Call `stripe/customer.ensure` first; it is safe to repeat.",
    example: r#"curl -i $API/api/stripe/customer.ensure -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' -d '{"orgId":"org_acme","email":"billing@example.com"}'"#,
};

/// 409: tax cannot be worked out.
pub const TAX_LOCATION_NEEDED: ErrorDoc = ErrorDoc {
    code: "tax_location_needed",
    status: 409,
    title: "Where the org is has to be known first",
    cause: "This server lets Stripe work tax out by where the customer is (TOLLGATE_AUTOMATIC_TAX), and Stripe does not know that, or not well enough. Nothing was sold or changed.",
    fix: "Set the address with `payments/tax.set`, or sell by `payments/checkout.create`, whose page asks for it.",
    example: r#"curl -i $API/api/payments/tax.set -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' -d '{"orgId":"org_acme","address":{"country":"DE","postalCode":"10115"}}'"#,
};

/// 409: the hold is over.
pub const HOLD_ENDED: ErrorDoc = ErrorDoc {
    code: "hold_ended",
    status: 409,
    title: "The hold has ended",
    cause: "The hold was already settled with other units, released, or has expired in a way this verb cannot follow.",
    fix: "Settling after expiry is allowed and charges. Otherwise record the usage, with `force` if it already happened.",
    example: r#"curl -i "$API/api/usage/holds.list?orgId=org_acme" -H "Authorization: Bearer $KEY""#,
};

/// 409: the period named is not the current one.
pub const OTHER_PERIOD: ErrorDoc = ErrorDoc {
    code: "other_period",
    status: 409,
    title: "Another period is current",
    cause: "`periodKey` names a period that is not this org's current one. Periods are derived by the server; a label never decides anything.",
    fix: "Leave `periodKey` out, or send the one `me/entitlements.read` shows.",
    example: r#"curl -i $API/api/usage/seed -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' -d '{"orgId":"org_acme"}'"#,
};

/// 409: the quote no longer holds.
pub const QUOTE_STALE: ErrorDoc = ErrorDoc {
    code: "quote_stale",
    status: 409,
    title: "The quote no longer holds",
    cause: "The quote is unknown, older than fifteen minutes, or the price has changed since: another amount than shown is never charged.",
    fix: "Ask for the change again without `quoteId`, or with a new quote.",
    example: r#"curl -i $API/api/plans/upgrade.now -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' -d '{"orgId":"org_acme","newPlanCode":"growth"}'"#,
};

/// 409: no plan mirror is configured.
pub const MIRROR_OFF: ErrorDoc = ErrorDoc {
    code: "mirror_off",
    status: 409,
    title: "No plan mirror is configured",
    cause: "This server has no Stigg key, so there is nowhere to provision to.",
    fix: "Set STIGG_API_KEY, or leave the call out: Tollgate itself needs no mirror.",
    example: r#"curl -i $API/api/diag/smoke -H "Authorization: Bearer $OPERATOR""#,
};

/// 409: the first call with this key is still running.
pub const IDEMPOTENCY_RUNNING: ErrorDoc = ErrorDoc {
    code: "idempotency_running",
    status: 409,
    title: "The first call with this Idempotency-Key is still running",
    cause: "A call with the same key and body has begun and has not been answered yet.",
    fix: "Wait a moment and send it again: the stored answer comes back with `Idempotent-Replayed: true`.",
    example: r#"curl -i $API/api/orgs.create -H "Authorization: Bearer $OPERATOR" -H 'Idempotency-Key: 7f1c' -H 'Content-Type: application/json' -d '{"name":"Acme","ownerUserId":"user_1"}'"#,
};

/// 413: too much in one request.
pub const TOO_LARGE: ErrorDoc = ErrorDoc {
    code: "too_large",
    status: 413,
    title: "The request is too large",
    cause: "The body is over 1 MiB (batches: 8 MiB), or a batch has more than 10,000 items. Nothing was counted.",
    fix: "Split the batch. Each item keeps its `request_id`, so sending one again is safe.",
    example: r#"curl -i $API/v1/usage -H "Authorization: Bearer $KEY" -H 'Content-Type: application/x-ndjson' --data-binary @events.ndjson"#,
};

/// 415: not a content type this route reads.
pub const UNSUPPORTED_MEDIA_TYPE: ErrorDoc = ErrorDoc {
    code: "unsupported_media_type",
    status: 415,
    title: "The content type is not supported here",
    cause: "The Content-Type header is missing or names something this route does not read. JSON routes read `application/json` in UTF-8.",
    fix: "Set `Content-Type: application/json`. `/v1/usage` also reads CloudEvents and NDJSON.",
    example: r#"curl -i $API/api/quota/check -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' -d '{"metric":"api_call"}'"#,
};

/// 422: readable, but wrong.
pub const VALIDATION_FAILED: ErrorDoc = ErrorDoc {
    code: "validation_failed",
    status: 422,
    title: "Some fields are wrong",
    cause: "The request is well-formed, but fields are missing, unknown, repeated, of the wrong type or out of range.",
    fix: "Each entry of `details.errors` has a JSON pointer to the field and says what was expected.",
    example: r#"curl -i $API/api/quota/check -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' -d '{"metric":"api_call","units":0}'"#,
};

/// 422: the request id was used for something else.
pub const REQUEST_ID_REUSED: ErrorDoc = ErrorDoc {
    code: "request_id_reused",
    status: 422,
    title: "This request_id was used for something else",
    cause: "The org already has an event with this `request_id` and another verb, metric, amount, time or `force`.",
    fix: "Use a new `request_id` for each piece of work. A true repeat must be sent unchanged.",
    example: r#"curl -i "$API/api/usage/events.list?request_id=r-1" -H "Authorization: Bearer $KEY""#,
};

/// 422: the idempotency key was used with another body.
pub const IDEMPOTENCY_KEY_REUSED: ErrorDoc = ErrorDoc {
    code: "idempotency_key_reused",
    status: 422,
    title: "This Idempotency-Key was used with another request",
    cause: "The key was already used by this credential with another route or body.",
    fix: "Use a new key for each distinct request.",
    example: r#"curl -i $API/api/orgs.create -H "Authorization: Bearer $OPERATOR" -H 'Idempotency-Key: 7f1d' -H 'Content-Type: application/json' -d '{"name":"Acme","ownerUserId":"user_1"}'"#,
};

/// 429 (or the plan's deny status): the hard stop.
pub const QUOTA_EXCEEDED: ErrorDoc = ErrorDoc {
    code: "quota_exceeded",
    status: 429,
    title: "The quota of this period is used up",
    cause: "Included plus granted units of the metric are used or held, and the plan stops hard. Nothing was counted.",
    fix: "Wait for `resetAt` (also in `Retry-After`), or take one of `details.options`. Plans may answer 402 or 403 instead of 429; the code stays.",
    example: r#"curl -i -X POST $API/api/quota/deny-envelope.example"#,
};

/// 500: a bug of ours.
pub const INTERNAL: ErrorDoc = ErrorDoc {
    code: "internal",
    status: 500,
    title: "Something broke on our side",
    cause: "A bug. The log has an entry with the `requestId` of this answer.",
    fix: "Report the `requestId` to whoever runs this server.",
    example: r#"curl -i $API/api/diag/smoke -H "Authorization: Bearer $OPERATOR""#,
};

/// 503: the database cannot answer.
pub const STORE_UNAVAILABLE: ErrorDoc = ErrorDoc {
    code: "store_unavailable",
    status: 503,
    title: "The store cannot answer",
    cause: "The database did not answer, so the decision cannot be known. It is never guessed.",
    fix: "Try again after `Retry-After` with the same `request_id`: what was counted is not counted twice.",
    example: r#"curl -i $API/readyz"#,
};

/// 503: refused at the door.
pub const OVERLOADED: ErrorDoc = ErrorDoc {
    code: "overloaded",
    status: 503,
    title: "Too much at once",
    cause: "The queue of this org, or of the server, is full. The request was refused at the door and nothing was counted.",
    fix: "Try again after `Retry-After`; send batches to `/v1/usage` instead of single calls.",
    example: r#"curl -i $API/metrics -H "Authorization: Bearer $OPERATOR""#,
};

/// 503: Stripe (or Stigg) cannot be reached.
pub const BILLING_UNAVAILABLE: ErrorDoc = ErrorDoc {
    code: "billing_unavailable",
    status: 503,
    title: "Billing cannot be reached",
    cause: "The payment provider (or the plan mirror) did not answer. Where `details.operationId` is given, the change is stored and completes by itself.",
    fix: "Follow `operations.get`, or repeat the call later with the same `Idempotency-Key`.",
    example: r#"curl -i "$API/api/operations.get?operationId=op_1" -H "Authorization: Bearer $KEY""#,
};

/// Every code, by status.
pub const CATALOG: &[ErrorDoc] = &[
    MALFORMED,
    BAD_SIGNATURE,
    UNAUTHORIZED,
    NO_SUBSCRIPTION,
    PAST_DUE,
    PAYMENT_FAILED,
    PAYMENT_ACTION_REQUIRED,
    FORBIDDEN,
    ORG_SUSPENDED,
    SECOND_FACTOR_REQUIRED,
    MFA_REQUIRED,
    STEP_UP_REQUIRED,
    CROSS_SITE,
    INVALID_CODE,
    RATE_LIMITED,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    CONFLICT,
    NO_CUSTOMER,
    TAX_LOCATION_NEEDED,
    HOLD_ENDED,
    OTHER_PERIOD,
    QUOTE_STALE,
    MIRROR_OFF,
    IDEMPOTENCY_RUNNING,
    TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    VALIDATION_FAILED,
    REQUEST_ID_REUSED,
    IDEMPOTENCY_KEY_REUSED,
    QUOTA_EXCEEDED,
    INTERNAL,
    STORE_UNAVAILABLE,
    OVERLOADED,
    BILLING_UNAVAILABLE,
];

/// The entry of a code, if there is one.
pub fn find(code: &str) -> Option<&'static ErrorDoc> {
    CATALOG.iter().find(|doc| doc.code == code)
}

#[cfg(test)]
mod tests {
    use super::CATALOG;

    #[test]
    fn every_code_is_listed_once_and_says_what_to_do() {
        let source = include_str!("errors.rs");
        let declared = source.matches(": ErrorDoc = ErrorDoc {").count() - 1;
        assert_eq!(declared, CATALOG.len(), "a code that is declared must stand in CATALOG, so that it has a page");
        for (place, doc) in CATALOG.iter().enumerate() {
            assert!(CATALOG[..place].iter().all(|other| other.code != doc.code), "{} is listed twice", doc.code);
            assert!((400..600).contains(&doc.status), "{}", doc.code);
            assert!(doc.cause.len() > 20 && doc.fix.len() > 20 && doc.example.starts_with("curl "), "{}", doc.code);
        }
    }
}
