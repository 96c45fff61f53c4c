//! What belongs to orgs, by the name of the field that routes take it in: real ones of another org, and fresh ones of one's own.
//!
//! Every field of every route stands in one of two lists here. A new one that stands in none fails the test that compares them with the
//! OpenAPI document; it is either taught to [`Theirs::make`], or put beside others with a reason why it names nothing of an org.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use secrecy::SecretString;
use serde_json::{Value, json};
use tollgate_connectors::billing::Billing;
use tollgate_connectors::plan_mirror::PlanMirror;
use tollgate_connectors::{Pacing, stigg, stripe};
use tollgate_engine::clock::BusinessClock;
use tollgate_engine::testing::{OPERATOR_KEY, START};
use tollgate_rules::access::{Role, Scope};
use tollgate_sandbox::{Config, Faults, Sandbox};
use tollgate_web::Mode;

use super::key;
use crate::people;
use crate::server::Server;

/// Fields that name something of an org, or of a person.
pub(super) const OBJECTS: &[&str] = &[
    "keyId",
    "siteId",
    "token",
    "invitationId",
    "userId",
    "sessionId",
    "holdId",
    "request_id",
    "corrects",
    "quoteId",
    "operationId",
    "invoiceId",
    "paymentMethodId",
    "receipt",
    "stripeCustomerId",
    "stripeSubscriptionId",
    "userCode",
    "overrideId",
    "grantId",
    "couponId",
];

/// Fields that name nothing of an org, with the reason.
pub(super) const OTHERS: &[(&str, &[&str])] = &[
    ("orgs have a test of their own", &["orgId", "orgIds", "newOrgId", "ownerUserId"]),
    (
        "secrets that open by themselves, whoever brings them, and what such a secret is typed or found with",
        &[
            "code",
            "device_code",
            "refresh_token",
            "refreshToken",
            "password",
            "user_code",
            "client_id",
            "client_secret",
            "state",
        ],
    ),
    (
        "what belongs to the server, and is named by the operator only",
        &[
            "endpointId",
            "eventId",
            "eventIds",
            "incidentId",
            "jobId",
            "customerId",
            "corrId",
            "entity",
            "actor",
            "filter",
            "sequence",
        ],
    ),
    ("a place in one's own list", &["cursor", "after", "limit"]),
    (
        "the catalog's words",
        &["planCode", "newPlanCode", "priceLookup", "topup", "coupon", "metric", "feature", "interval", "periodKey"],
    ),
    (
        "values",
        &[
            "action",
            "address",
            "taxIds",
            "amount",
            "amountOff",
            "apply",
            "approve",
            "at",
            "by",
            "cancelUrl",
            "creditAmount",
            "currency",
            "description",
            "dryRun",
            "duration",
            "durationInMonths",
            "email",
            "enabled",
            "error",
            "expiresAt",
            "firstTimeOnly",
            "flags",
            "forEveryone",
            "force",
            "fresh",
            "from",
            "grant_type",
            "included",
            "items",
            "kind",
            "kinds",
            "maxRedemptions",
            "memo",
            "mfaRequired",
            "mode",
            "name",
            "next",
            "occurredAt",
            "orgName",
            "outOfBandAmount",
            "overage",
            "path",
            "percentOff",
            "permanent",
            "policy",
            "priority",
            "proof",
            "quantity",
            "quota",
            "reason",
            "redeemBy",
            "refundAmount",
            "repair",
            "returnUrl",
            "role",
            "scope",
            "scopes",
            "search",
            "siteDomain",
            "site_url",
            "source",
            "startsAt",
            "status",
            "successUrl",
            "thisPeriodOnly",
            "timezone",
            "to",
            "toNext",
            "token_type_hint",
            "ttlSeconds",
            "units",
            "unlimited",
            "url",
            "value",
            "zero",
            "endsAt",
            "lasts",
            "subject",
            "plans",
        ],
    ),
];

/// A server beside a Stripe and a Stigg of its own.
pub(super) struct Billed {
    pub(super) server: Server,
    _sandbox: Sandbox,
    _folder: tempfile::TempDir,
}

pub(super) async fn billed(test: &str) -> Billed {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        listen: ([127, 0, 0, 1], 0).into(),
        database: folder.path().join("sandbox.db"),
        start_at_micros: Some(START.as_micros()),
        faults: Faults::none(),
    };
    let sandbox = Sandbox::start(config).await.unwrap();
    let (base_url, offset) = (sandbox.base_url(), sandbox.offset());
    let pacing = || Pacing::with_random(Arc::new(|| 1));
    let mirror = stigg::Settings {
        base_url: format!("{base_url}/stigg"),
        api_key: SecretString::from("server-tests"),
        pacing: pacing(),
    };
    let billing = stripe::Settings { base_url, secret_key: SecretString::from("sk_test_matrix"), pacing: pacing() };
    let settings = |settings: &mut tollgate_engine::Settings| {
        settings.billing = Billing::Stripe(stripe::Client::new(billing).unwrap());
        settings.plan_mirror = PlanMirror::Stigg(stigg::Client::new(mirror).unwrap());
        settings.clock.business = BusinessClock::offset(offset);
        // Every id that there is not is a guess.
        settings.limits.people.address_failures_max = 100_000;
        settings.limits.people.global_failures_max = 100_000;
        settings.limits.guesses_per_address_max = 100_000;
    };
    let server = Server::start_on(test, settings, (Mode::Serve, |_, _| {})).await;
    Billed { server, _sandbox: sandbox, _folder: folder }
}

/// An org that pays: what of it stays the same, by field.
pub(super) struct Org<'s> {
    server: &'s Server,
    name: &'static str,
    /// A person of it, whose sessions `sessionId` means.
    email: String,
    /// What calls do not use up.
    pub(super) lasting: BTreeMap<&'static str, String>,
    made: AtomicU32,
}

impl<'s> Org<'s> {
    /// Signs the org up, subscribes it, and charges it once.
    pub(super) async fn paying(server: &'s Server, name: &'static str, email: &str) -> Org<'s> {
        let org = |more: Value| {
            let mut body = more;
            body["orgId"] = json!(name);
            body
        };
        let customer = server.operate("/api/stripe/customer.ensure", &org(json!({"email": email}))).await;
        let wanted = org(json!({"priceLookup": "plan_starter_m"}));
        let subscription = server.operate("/api/stripe/subscription.create", &wanted).await;
        server.operate("/api/payments/default-method.set", &org(json!({"paymentMethodId": "pm_card_visa"}))).await;
        server.operate("/api/plans/upgrade.now", &org(json!({"newPlanCode": "starter"}))).await;
        let list = async |path: &str| {
            let reply = server.get(&format!("{path}?orgId={name}"), Some(OPERATOR_KEY)).await;
            assert_eq!(reply.status, 200, "{path}: {}", reply.text);
            reply.json()["data"].clone()
        };
        let invoices = list("/api/invoices.list").await;
        let paid =
            invoices.as_array().unwrap().iter().find(|invoice| invoice["total"] == 4_900).expect("it was charged");
        let methods = list("/api/payments/methods.list").await;
        let method = methods.pointer("/0/id").or(methods.pointer("/0/paymentMethodId")).expect("it has a card").clone();
        let wanted = org(json!({"amountOff": 100, "currency": "usd", "reason": "matrix"}));
        let coupon = server.operate("/api/admin/coupons.create", &wanted).await;
        let quote = server.operate("/api/plans/preview", &org(json!({"newPlanCode": "growth"}))).await;
        let check = server.post("/api/quota/check", Some(OPERATOR_KEY), &org(json!({"metric": "api_call"}))).await;
        let text = |value: &Value| value.as_str().expect("an id").to_owned();
        let lasting = BTreeMap::from([
            ("stripeCustomerId", text(&customer["stripeCustomerId"])),
            ("stripeSubscriptionId", text(&subscription["subscriptionId"])),
            ("invoiceId", text(&paid["id"])),
            ("paymentMethodId", text(&method)),
            ("couponId", text(&coupon["couponId"])),
            ("operationId", text(&coupon["operationId"])),
            ("quoteId", text(&quote["quoteId"])),
            ("receipt", check.header("tollgate-receipt").expect("a receipt").to_owned()),
        ]);
        Org { server, name, email: email.to_owned(), lasting, made: AtomicU32::new(0) }
    }

    /// One of this org's; a new one where calls use it up.
    pub(super) async fn make(&self, field: &str) -> String {
        if let Some(lasting) = self.lasting.get(field) {
            return lasting.clone();
        }
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}", self.name.replace('_', "-"));
        let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("no {field}: {value}")).to_owned();
        match field {
            "keyId" => key(self.server, self.name, &[Scope::QuotaCheck]).await.1,
            "siteId" => text(&self.site(&name).await["site_id"]),
            "token" => text(&self.site(&name).await["access_token"]),
            "invitationId" => {
                let wanted = json!({"email": format!("{name}@example.com"), "role": "member"});
                text(&self.operate("/api/invitations", wanted).await["invitationId"])
            }
            "userId" => {
                let user_id = format!("user_{name}");
                self.server.engine.member(self.name, &user_id, Role::Member).await;
                user_id
            }
            "sessionId" => text(&people::sign_in(self.server, &self.email, "token").await.json()["data"]["sessionId"]),
            "holdId" => {
                let wanted = json!({"metric": "api_call", "units": 1, "ttlSeconds": 3_600, "request_id": name});
                text(&self.operate("/api/usage/reserve", wanted).await["holdId"])
            }
            "request_id" | "corrects" => {
                self.operate("/api/usage/record", json!({"metric": "api_call", "value": 2, "request_id": name})).await;
                name
            }
            "userCode" => self.device(&name).await,
            "overrideId" => {
                let wanted = json!({"feature": "sso", "value": true, "permanent": true, "reason": "matrix"});
                text(&self.operate("/api/admin/overrides.set", wanted).await["overrideId"])
            }
            "grantId" => {
                let wanted = json!({"metric": "api_call", "units": 5, "reason": "matrix"});
                text(&self.operate("/api/admin/grants.create", wanted).await["grantId"])
            }
            other => panic!("teach the matrix to make a `{other}`"),
        }
    }

    async fn operate(&self, path: &str, mut body: Value) -> Value {
        body["orgId"] = json!(self.name);
        self.server.operate(path, &body).await
    }

    async fn site(&self, name: &str) -> Value {
        let domain = format!("{name}.example");
        let code = self.operate("/api/activation/codes.create", json!({"siteDomain": domain})).await["code"].clone();
        let grant = "urn:tollgate:oauth:grant-type:activation-code";
        let body = json!({"grant_type": grant, "code": code, "site_url": domain});
        let reply = self.server.post("/oauth/token", None, &body).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.json()
    }

    /// The code of a plugin that waits for approval; of another org's, one that it approved already.
    async fn device(&self, name: &str) -> String {
        let asked = json!({"site_url": format!("{name}.example")});
        let begun = self.server.post("/oauth/device_authorization", None, &asked).await.json();
        let code = begun["user_code"].as_str().unwrap_or_else(|| panic!("{begun}")).to_owned();
        if self.name == "org_foreign" {
            self.operate("/api/activation/devices.decide", json!({"userCode": code, "approve": true})).await;
        }
        code
    }
}

/// The same id with another end: of the same shape, and of nobody.
pub(super) fn twin(id: &str) -> String {
    // The last letter of a signature's text may stand for bits that nobody reads; the one before does not.
    let place = id.len() - 2;
    let other = if id.as_bytes()[place] == b'B' { 'C' } else { 'B' };
    format!("{}{other}{}", &id[..place], &id[place + 1..])
}
