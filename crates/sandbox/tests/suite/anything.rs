//! Whatever is sent, the answer is Stripe's kind of answer: never a 5xx, always a body the contract describes, and
//! nothing is accepted that the contract would not have allowed.

use proptest::prelude::{Strategy, any, prop};
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

use super::harness::{Server, id};

const CALLS: &[(&str, &str)] = &[
    ("POST", "/v1/customers"),
    ("POST", "/v1/customers/{cus}"),
    ("GET", "/v1/customers"),
    ("GET", "/v1/customers/{cus}/payment_methods"),
    ("POST", "/v1/payment_methods/{pm}/attach"),
    ("POST", "/v1/payment_methods/{pm}"),
    ("POST", "/v1/setup_intents"),
    ("POST", "/v1/setup_intents/{seti}/confirm"),
    ("POST", "/v1/products"),
    ("POST", "/v1/prices"),
    ("GET", "/v1/prices"),
    ("POST", "/v1/subscriptions"),
    ("POST", "/v1/subscriptions/{sub}"),
    ("POST", "/v1/subscriptions/{sub}"),
    ("POST", "/v1/subscriptions/{sub}"),
    ("GET", "/v1/subscriptions"),
    ("GET", "/v1/subscriptions/{sub}"),
    ("DELETE", "/v1/subscriptions/{gone}"),
    ("POST", "/v1/invoices/create_preview"),
    ("POST", "/v1/invoices/{in}/pay"),
    ("POST", "/v1/invoices/{in}/void"),
    ("GET", "/v1/invoices/{in}/lines"),
    ("GET", "/v1/invoices"),
    ("GET", "/v1/events"),
    ("POST", "/v1/test_helpers/test_clocks"),
    ("POST", "/v1/webhook_endpoints"),
];

const NAMES: &[&str] = &[
    "customer",
    "email",
    "name",
    "balance",
    "metadata[k]",
    "items[0][price]",
    "items[0][id]",
    "items[0][quantity]",
    "items[1][price]",
    "items[0][deleted]",
    "trial_period_days",
    "trial_end",
    "proration_behavior",
    "proration_date",
    "payment_behavior",
    "billing_cycle_anchor",
    "billing_cycle_anchor[type]",
    "cancel_at",
    "cancel_at_period_end",
    "default_payment_method",
    "payment_method",
    "currency",
    "unit_amount",
    "unit_amount_decimal",
    "product",
    "recurring[interval]",
    "recurring[interval_count]",
    "lookup_key",
    "subscription",
    "subscription_details[items][0][id]",
    "subscription_details[items][0][price]",
    "subscription_details[proration_behavior]",
    "subscription_details[trial_end]",
    "preview_mode",
    "frozen_time",
    "url",
    "enabled_events[]",
    "limit",
    "starting_after",
    "created[gte]",
    "status",
    "expand[]",
    "confirm",
    "usage",
    "address[city]",
    "invoice_settings[default_payment_method]",
    "paid_out_of_band",
    "[",
    "a[b[c",
];

const VALUES: &[&str] = &[
    "",
    "0",
    "1",
    "3",
    "-1",
    "100",
    "now",
    "true",
    "false",
    "none",
    "always_invoice",
    "create_prorations",
    "usd",
    "month",
    "year",
    "pending_if_incomplete",
    "error_if_incomplete",
    "allow_incomplete",
    "default_incomplete",
    "9223372036854775807",
    "-9223372036854775808",
    "99999999",
    "1.5",
    "1e9",
    "%F0%9F%92%A9",
    "%00",
    "%zz",
    "latest_invoice",
    "customer",
    "data.product",
    "http%3A%2F%2F127.0.0.1%3A9%2F",
    "*",
    "unchanged",
    "recurring",
    "all",
    "pm_card_visa",
    "pm_card_chargeCustomerFail",
    "pm_card_authenticationRequired",
    "1769850000",
    "253402300799",
    "{cus}",
    "{price}",
    "{sub}",
    "{item}",
    "{pm}",
    "{in}",
    "{soon}",
];

/// The names of the parameters that lead furthest in a subscription's routes.
const CHANGES: &[&str] = &[
    "items[0][id]",
    "items[0][price]",
    "items[0][quantity]",
    "items[1][price]",
    "trial_end",
    "proration_behavior",
    "proration_date",
    "payment_behavior",
    "billing_cycle_anchor[type]",
    "cancel_at",
    "cancel_at_period_end",
    "default_payment_method",
    "metadata[k]",
    "expand[]",
];
const STARTS: &[&str] = &[
    "trial_period_days",
    "trial_end",
    "payment_behavior",
    "billing_cycle_anchor",
    "items[0][quantity]",
    "proration_behavior",
    "cancel_at",
    "cancel_at_period_end",
    "default_payment_method",
    "currency",
];
/// Most values for these names are of the right kind.
const FITTING: &[(&str, &[&str])] = &[
    ("items[0][id]", &["{item}"]),
    ("items[0][price]", &["{price}", "{year}", "{cheap}"]),
    ("items[1][price]", &["{price}", "{cheap}"]),
    ("items[0][quantity]", &["0", "1", "3", "100"]),
    ("trial_end", &["now", "{soon}", "1769850000"]),
    ("billing_cycle_anchor", &["{soon}", "now"]),
    ("proration_date", &["{soon}", "{now}"]),
    ("proration_behavior", &["none", "always_invoice", "create_prorations"]),
    ("payment_behavior", &["pending_if_incomplete", "error_if_incomplete", "allow_incomplete", "default_incomplete"]),
    ("billing_cycle_anchor[type]", &["now", "unchanged"]),
    ("cancel_at", &["{soon}", ""]),
    ("cancel_at_period_end", &["true", "false"]),
    ("default_payment_method", &["{pm}", ""]),
    ("trial_period_days", &["0", "1", "3", "100"]),
    ("expand[]", &["latest_invoice", "customer"]),
    ("currency", &["usd"]),
];

/// The parameter and value that two numbers stand for; mostly sensible ones, sometimes anything.
fn parameter(path: &str, name: usize, value: usize) -> (&'static str, &'static str) {
    let own = match path {
        "/v1/subscriptions/{sub}" => CHANGES,
        "/v1/subscriptions" => STARTS,
        _ => NAMES,
    };
    let names = if name.is_multiple_of(16) { NAMES } else { own };
    let name = names[name / 16 % names.len()];
    let fitting = FITTING.iter().find(|(fits, _)| *fits == name).filter(|_| !value.is_multiple_of(16));
    let values = fitting.map_or(VALUES, |(_, values)| values);
    (name, values[value / 16 % values.len()])
}

/// A call as numbers: which call, and which values under which names.
type Sketch = (usize, Vec<(usize, usize)>);

fn sketches() -> impl Strategy<Value = Vec<Sketch>> {
    let pair = (any::<usize>(), any::<usize>());
    prop::collection::vec((any::<usize>(), prop::collection::vec(pair, 0..7)), 1..25)
}

/// Objects to name in calls.
struct Known(Vec<(&'static str, String)>);

impl Known {
    async fn prepare(server: &Server) -> Self {
        let (customer, price) = (server.customer(Some("visa")).await, server.price(4900, "month").await);
        let form = format!("customer={customer}&items[0][price]={price}");
        let subscription = server.post("/v1/subscriptions", &form).await;
        let gone = id(&server.post("/v1/subscriptions", &form).await);
        let method = server.find("/v1/payment_methods", &format!("customer={customer}")).await;
        let intent = id(&server.post("/v1/setup_intents", &format!("customer={customer}")).await);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self(vec![
            ("{cus}", customer),
            ("{price}", price),
            ("{sub}", id(&subscription)),
            ("{item}", id(&subscription["items"]["data"][0])),
            ("{in}", text(&subscription["latest_invoice"])),
            ("{pm}", id(&method["data"][0])),
            ("{seti}", intent),
            ("{gone}", gone),
            ("{soon}", (server.now() + 86_400).to_string()),
            ("{now}", server.now().to_string()),
            ("{year}", server.price(49_000, "year").await),
            ("{cheap}", server.price(100, "month").await),
        ])
    }

    fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }
}

#[test]
fn whatever_is_sent_is_answered_as_the_contract_says() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(Server::start());
    let known = runtime.block_on(Known::prepare(&server));
    let mut runner = TestRunner::new(Config { cases: 25, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&sketches(), |calls| {
        runtime.block_on(async {
            for (call, pairs) in calls {
                let (method, path) = CALLS[call % CALLS.len()];
                let mut form: Vec<String> = pairs
                    .iter()
                    .map(|(name, value)| {
                        let (name, value) = parameter(path, *name, *value);
                        format!("{name}={}", known.fill(value))
                    })
                    .collect();
                if (method, path) == ("POST", "/v1/subscriptions") {
                    form.push(known.fill("customer={cus}&items[0][price]={price}"));
                }
                let reply = server.send(method, &known.fill(path), &form.join("&"), &[]).await;
                assert!(reply.status < 500, "{method} {path} {form:?}: {} {:#}", reply.status, reply.body);
            }
        });
        Ok(())
    });
    outcome.unwrap();
    runtime.block_on(async {
        server.move_to_second(server.now() + 400 * 86_400).await;
        server.events().await;
        let raw = reqwest::Client::new();
        for body in [&b"\xff\xfe=\x00"[..], b"&&&==&", b"%", b"a=1&a[b]=2&a[0]=3"] {
            let url = format!("{}/v1/customers", server.sandbox.base_url());
            let answer =
                raw.post(url).header("authorization", "Bearer sk_test_1").body(body.to_vec()).send().await.unwrap();
            assert_eq!(answer.status(), 400);
        }
    });
}
