//! Stripe: every request we can make, every sample Stripe publishes.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tollgate_connectors::billing::{
    Anchor, Billing, CancelSettlement, CustomerChange, IdempotencyKey, ItemChange, NewCustomer, NewPrice, NewProduct,
    NewSubscription, NewWebhookEndpoint, ObjectKind, Payment, PaymentBehavior, PriceChange, Proration,
    SubscriptionChange, TaxAddress, TaxIdGiven, TrialChange,
};
use tollgate_connectors::stripe::wire;
use tollgate_rules::ids::{CustomerId, InvoiceId, OrgId, PaymentMethodId, PriceId, SubscriptionId};
use tollgate_rules::money::{Currency, Money};
use tollgate_rules::period::Interval;
use tollgate_rules::time::Timestamp;

use crate::data::contract;
use crate::recorder::{Recorded, Recorder, Reply};
use crate::schema::{Description, Node};

/// Calls whose request is checked; grows with `calls.rs`.
const CALLS: usize = 42;

#[tokio::test]
async fn every_request_to_stripe_is_valid_by_its_official_description() {
    let (Some(description), Some(samples)) =
        (contract("stripe/openapi.billing.json"), contract("stripe/fixtures.json"))
    else {
        return;
    };
    let recorder = Recorder::start(move |_, request| Reply::ok(answer(&samples["resources"], request))).await;
    make_every_call(&recorder.billing()).await;
    let requests = recorder.requests();
    let mut findings = Vec::new();
    for request in &requests {
        findings.extend(request_findings(&description, request));
        assert_eq!(request.headers["authorization"], "Bearer sk_test_contract");
        assert_eq!(request.headers["stripe-version"], "2026-10-28.endive");
        // A preview changes nothing, and so belongs to no operation.
        let changes = request.method == "POST" && !request.path.ends_with("/create_preview");
        assert_eq!(request.headers.contains_key("idempotency-key"), changes, "{}", request.path);
    }
    assert_eq!(findings, Vec::<String>::new());
    assert_eq!(requests.len(), CALLS, "a new call belongs into this test");
    println!("PROOF: connectors: {} requests to Stripe valid against openapi.billing.json", requests.len());
}

fn request_findings(description: &Value, request: &Recorded) -> Vec<String> {
    let checker = Description(description);
    let place = format!("{} {}", request.method, request.path);
    let Some(operation) = operation(&description["paths"], request) else {
        return vec![format!("{place}: no such operation")];
    };
    let body_schema = &operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"];
    // Stripe's description models what DELETE takes as a form; the libraries send it in the query, and so do we.
    if request.method == "GET" {
        let Node::Fields(fields) = Node::parse(&request.query) else { unreachable!() };
        let parameters = operation["parameters"].as_array().unwrap();
        return fields
            .iter()
            .flat_map(|(name, node)| match parameters.iter().find(|known| known["name"] == name.as_str()) {
                Some(known) => {
                    let value = checker.typed(&known["schema"], node);
                    checker.findings(&known["schema"], &value, &format!("{place} {name}"))
                }
                None => vec![format!("{place}: {name} is unknown")],
            })
            .collect();
    }
    let form = Node::parse(if request.method == "POST" { &request.body } else { &request.query });
    checker.findings(body_schema, &checker.typed(body_schema, &form), &place)
}

/// The operation whose path pattern fits; a fixed path comes before one with a placeholder.
fn operation<'a>(paths: &'a Value, request: &Recorded) -> Option<&'a Value> {
    let method = request.method.to_ascii_lowercase();
    let fits = |pattern: &str| {
        let (pattern, path): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), request.path.split('/').collect());
        pattern.len() == path.len()
            && pattern.iter().zip(&path).all(|(part, text)| part.starts_with('{') || part == text)
    };
    let mut fitting: Vec<_> = paths.as_object()?.iter().filter(|(pattern, _)| fits(pattern)).collect();
    fitting.sort_by_key(|(pattern, _)| pattern.matches('{').count());
    fitting.first()?.1.get(method)
}

/// A sample of the kind the path asks for.
fn answer(samples: &Value, request: &Recorded) -> String {
    let parts: Vec<&str> = request.path.trim_start_matches("/v1/").split('/').collect();
    let kind = match parts[0] {
        "invoices" if parts.last() == Some(&"lines") => "line_item",
        "customers" if parts.contains(&"tax_ids") => "tax_id",
        plural => plural.trim_end_matches('s'),
    };
    let mut sample = samples[kind].clone();
    if kind == "subscription" {
        // The change without an item stays open, so that the payment intent is asked for.
        if request.body.contains("items") || request.method != "POST" {
            sample["pending_update"] = Value::Null;
        }
        sample["latest_invoice"] = samples["invoice"].clone();
        sample["latest_invoice"]["confirmation_secret"] = json!({"client_secret": "pi_1_secret_x"});
    }
    if kind == "invoice" {
        sample["lines"]["has_more"] = json!(true);
    }
    if request.method == "GET" && (parts.len() == 1 || kind == "line_item" || kind == "tax_id") {
        return json!({"object": "list", "data": [sample], "has_more": false}).to_string();
    }
    sample.to_string()
}

async fn make_every_call(billing: &Billing) {
    let key = IdempotencyKey::of_step("op_contract", "step").unwrap();
    customer_calls(billing, &key).await;
    catalog_calls(billing, &key).await;
    subscription_calls(billing, &key).await;
    payment_calls(billing, &key).await;
    event_calls(billing, &key).await;
}

fn customer_id() -> CustomerId {
    CustomerId::parse("cus_1").unwrap()
}

async fn customer_calls(billing: &Billing, key: &IdempotencyKey) {
    let org_id = OrgId::parse("org_contract").unwrap();
    let email = Some("billing@example.com".to_owned());
    let new = NewCustomer { org_id: org_id.clone(), email: email.clone(), name: Some("Acme & Söhne".to_owned()) };
    billing.create_customer(key, &new).await.unwrap();
    billing.create_customer(key, &NewCustomer { email: None, name: None, ..new }).await.unwrap();
    assert!(billing.customer(&customer_id()).await.unwrap().is_some());
    assert!(billing.find_customer("billing+x@example.com", &org_id).await.unwrap().is_none(), "the sample is unmarked");
    let method = Some(PaymentMethodId::parse("pm_1").unwrap());
    let change =
        CustomerChange { email, name: Some("A".to_owned()), default_payment_method: method, org_id: Some(org_id) };
    billing.update_customer(key, &customer_id(), &change).await.unwrap();
    let country = "DE".to_owned();
    let address = TaxAddress { country, postal_code: Some("10115".to_owned()), ..TaxAddress::default() };
    billing.set_tax_address(key, &customer_id(), &address).await.unwrap();
    billing.tax_address(&customer_id()).await.unwrap();
    let given = TaxIdGiven { kind: "eu_vat".to_owned(), value: "DE123456789".to_owned() };
    billing.create_tax_id(key, &customer_id(), &given).await.unwrap();
    assert_eq!(billing.tax_ids(&customer_id()).await.unwrap().len(), 1);
    billing.delete_tax_id(&customer_id(), "txi_1").await.unwrap();
}

async fn catalog_calls(billing: &Billing, key: &IdempotencyKey) {
    let metadata = BTreeMap::from([("tollgate_hash".to_owned(), "abc".to_owned())]);
    assert!(billing.product("tg_starter").await.unwrap().is_some());
    let product =
        NewProduct { product_id: "tg_starter".to_owned(), name: "Starter".to_owned(), metadata: metadata.clone() };
    billing.create_product(key, &product).await.unwrap();
    let eleven: Vec<String> = (0..11).map(|index| format!("plan_{index}_m")).collect();
    assert_eq!(billing.prices(&eleven).await.unwrap().len(), 2, "two requests of at most ten keys");
    let price = NewPrice {
        product_id: "tg_starter".to_owned(),
        amount: Money::new(4_900, Currency::USD),
        interval: Interval::Year,
        lookup_key: "plan_starter_y".to_owned(),
        metadata: metadata.clone(),
    };
    billing.create_price(key, &price).await.unwrap();
    let change = PriceChange { active: Some(false), lookup_key: Some("plan_old".to_owned()), metadata };
    billing.update_price(key, "price_1", &change).await.unwrap();
}

async fn subscription_calls(billing: &Billing, key: &IdempotencyKey) {
    let id = SubscriptionId::parse("sub_1").unwrap();
    let price_id = PriceId::parse("price_1").unwrap();
    let method = Some(PaymentMethodId::parse("pm_1").unwrap());
    let new = NewSubscription {
        customer_id: customer_id(),
        org_id: OrgId::parse("org_contract").unwrap(),
        price_id: price_id.clone(),
        quantity: 2,
        trial_days: Some(14),
        payment: PaymentBehavior::AllowIncomplete,
        default_payment_method: None,
        automatic_tax: true,
    };
    billing.create_subscription(key, &new).await.unwrap();
    let paid = PaymentBehavior::DefaultIncomplete;
    let new = NewSubscription { trial_days: None, payment: paid, default_payment_method: method.clone(), ..new };
    billing.create_subscription(key, &new).await.unwrap();
    assert!(billing.subscription(&id).await.unwrap().is_some());
    assert_eq!(billing.subscriptions_of(&customer_id()).await.unwrap().len(), 1);
    billing.subscriptions_page(None, Some("sub_0")).await.unwrap();
    let item = Some(ItemChange { item_id: "si_1".to_owned(), price_id, quantity: 3 });
    let upgrade = SubscriptionChange {
        item: item.clone(),
        proration: Some(Proration::InvoiceNow),
        proration_at: Some(Timestamp::from_seconds(1_800_000_000)),
        payment: Some(PaymentBehavior::PendingIfIncomplete),
        automatic_tax: true,
        ..SubscriptionChange::default()
    };
    billing.update_subscription(key, &id, &upgrade).await.unwrap();
    billing.preview_change(&customer_id(), &id, &upgrade).await.unwrap();
    billing.has_automatic_tax(&id).await.unwrap();
    billing.switch_on_tax(key, &id).await.unwrap();
    let end_trial = SubscriptionChange {
        item,
        trial: TrialChange::EndNow,
        anchor: Some(Anchor::Now),
        proration: Some(Proration::Nothing),
        payment: Some(PaymentBehavior::ErrorIfIncomplete),
        ..SubscriptionChange::default()
    };
    billing.update_subscription(key, &id, &end_trial).await.unwrap();
    let cancel = SubscriptionChange {
        cancel_at_period_end: Some(true),
        anchor: Some(Anchor::Unchanged),
        proration: Some(Proration::NextInvoice),
        default_payment_method: method,
        ..SubscriptionChange::default()
    };
    let open = billing.update_subscription(key, &id, &cancel).await.unwrap();
    assert!(matches!(open.payment, Payment::Declined), "the sample intent still wants a payment method");
    billing.cancel_subscription(&id, CancelSettlement::Nothing).await.unwrap();
    billing.cancel_subscription(&id, CancelSettlement::Prorate).await.unwrap();
}

async fn payment_calls(billing: &Billing, key: &IdempotencyKey) {
    let method = PaymentMethodId::parse("pm_1").unwrap();
    billing.create_setup_intent(key, &customer_id()).await.unwrap();
    assert!(billing.payment_method(&method).await.unwrap().is_some());
    billing.attach_payment_method(key, &method, &customer_id()).await.unwrap();
    let invoice = billing.invoice(&InvoiceId::parse("in_1").unwrap()).await.unwrap().unwrap();
    assert_eq!(invoice.lines.len(), 2, "the lines that did not come along are fetched");
    billing.invoices_page(&customer_id(), Some("in_0")).await.unwrap();
}

async fn event_calls(billing: &Billing, key: &IdempotencyKey) {
    assert!(billing.event("evt_1").await.unwrap().is_some());
    let page = billing.events_page(Timestamp::from_seconds(1_800_000_000), Some("evt_0")).await.unwrap();
    assert_eq!(page.items[0].0.kind, "plan.created");
    assert_eq!(page.items[0].0.object.kind, ObjectKind::Other);
    assert!(page.items[0].1.contains("\"plan.created\""));
    assert_eq!(billing.webhook_endpoints().await.unwrap().len(), 1);
    let url = "https://api.example.com/api/webhooks/stripe".to_owned();
    billing.create_webhook_endpoint(key, &NewWebhookEndpoint { url: url.clone(), events: Vec::new() }).await.unwrap();
    let events = vec!["invoice.paid".to_owned()];
    billing.create_webhook_endpoint(key, &NewWebhookEndpoint { url, events }).await.unwrap();
}

#[test]
fn the_events_we_ask_for_exist() {
    let Some(types) = contract("stripe/event_types.json") else { return };
    let known = types.to_string();
    for event in tollgate_connectors::billing::EVENTS {
        assert!(known.contains(&format!("\"{event}\"")), "{event}");
    }
}

#[test]
fn every_sample_of_an_object_we_read_is_decoded() {
    let Some(samples) = contract("stripe/fixtures.json") else { return };
    let samples = samples["resources"].as_object().unwrap();
    let decoders: [(&str, Decoder); 14] = [
        ("customer", decoded::<wire::Customer>),
        ("deleted_customer", decoded::<wire::Customer>),
        ("product", decoded::<wire::Product>),
        ("deleted_product", decoded::<wire::Product>),
        ("price", decoded::<wire::Price>),
        ("subscription", decoded::<wire::Subscription>),
        ("subscription_item", decoded::<wire::SubscriptionItem>),
        ("invoice", decoded::<wire::Invoice>),
        ("line_item", decoded::<wire::InvoiceLine>),
        ("setup_intent", decoded::<wire::SetupIntent>),
        ("payment_method", decoded::<wire::PaymentMethod>),
        ("payment_intent", decoded::<wire::PaymentIntent>),
        ("webhook_endpoint", decoded::<wire::WebhookEndpoint>),
        ("event", decoded::<wire::Event>),
    ];
    for (name, decode) in decoders {
        decode(&samples[name]).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    // Whatever else Stripe may send as the object of an event is read far enough to be stored.
    for (name, sample) in samples {
        let event = json!({"id": "evt_1", "type": format!("{name}.updated"), "created": 1, "data": {"object": sample}});
        let hint = Billing::read_event(event.to_string().as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(hint.object.id, sample["id"].as_str().unwrap_or_default(), "{name}");
    }
    println!("PROOF: connectors: {} Stripe samples decoded, {} as objects of events", 14, samples.len());
}

type Decoder = fn(&Value) -> Result<(), String>;

fn decoded<T: DeserializeOwned>(sample: &Value) -> Result<(), String> {
    T::deserialize(sample).map(drop).map_err(|error| error.to_string())
}

#[test]
fn values_newer_than_this_version_are_read_and_kept() {
    let other = wire::SubscriptionStatus::Other("hibernating".to_owned());
    assert_eq!(serde_json::from_value::<wire::SubscriptionStatus>(json!("hibernating")).unwrap(), other);
    assert_eq!(
        serde_json::from_value::<wire::SubscriptionStatus>(json!("past_due")).unwrap(),
        wire::SubscriptionStatus::PastDue
    );
    let expanded: wire::Expandable<wire::Reference> = serde_json::from_value(json!({"id": "cus_1", "new": 1})).unwrap();
    assert_eq!(expanded.id(), "cus_1");
}
