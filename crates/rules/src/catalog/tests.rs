//! The catalog's format: what it says, and that every mistake in it is named by line, field and fix.

use crate::catalog::{
    Allowance, Catalog, CatalogError, DenyStatus, Draws, FeatureValue, Included, OnUnavailable, OveragePolicy, Plan,
    Rollover, TopupLasts,
};
use crate::ids::{FeatureCode, Metric};
use crate::money::{Currency, Money};
use crate::period::Interval;

const SMALL: &str = r#"
[[metric]]
code = "api_call"
[[metric]]
code = "tokens"
name = "Tokens"
unit = "token"

[[plan]]
code = "trial"
name = "Trial"
trial_days = 14
[plan.allowance.api_call]
included = 1_000

[[plan]]
code = "starter"
name = "Starter"
deny_status = 402
grace_days = 3
on_unavailable = { allow_bounded = 50 }
contact_url = "https://example.com/talk"
[[plan.price]]
interval = "month"
amount = 4900
currency = "usd"
[[plan.price]]
interval = "year"
amount = 49000
currency = "usd"
lookup_key = "starter_yearly"
stripe_price = "price_1ABC"
[plan.allowance.api_call]
included = 10000
overage = { amount = 300, per = 1000 }
[plan.allowance.tokens]
included = "unlimited"
overage = "hard_stop"
[plan.features]
sso = true
max_projects = 3
support_tier = "email"
"#;

fn metric(code: &str) -> Metric {
    Metric::parse(code).unwrap()
}

#[test]
fn the_built_in_catalog_has_the_five_plans_it_is_known_for() {
    let catalog = Catalog::parse(Catalog::default_text()).unwrap();
    let codes: Vec<&str> = catalog.plans.iter().map(|plan| plan.code.as_str()).collect();
    assert_eq!(codes, ["trial", "starter", "growth", "pro", "scale"]);
    let api_call = metric("api_call");
    let included = |code: &str| catalog.plan(code).unwrap().allowance(&api_call);
    let metered = |amount_minor| OveragePolicy::Metered { amount_minor, per_units: 1_000 };
    let units = |units, policy| Allowance { included: Included::Units(units), policy, rollover: None };
    assert_eq!(included("trial"), units(1_000, OveragePolicy::HardStop));
    assert_eq!(included("starter"), units(10_000, OveragePolicy::HardStop));
    assert_eq!(included("growth"), units(100_000, metered(300)));
    assert_eq!(included("pro"), units(1_000_000, metered(200)));
    assert_eq!(included("scale"), Allowance::NOTHING);
    for (code, minor) in [("starter", 4_900), ("growth", 39_900), ("pro", 199_900)] {
        let plan = catalog.plan(code).unwrap();
        assert_eq!(plan.price(Interval::Month).unwrap().amount, Money::new(minor, Currency::USD));
        assert_eq!(plan.price(Interval::Year).unwrap().amount, Money::new(minor * 10, Currency::USD));
        assert_eq!(plan.price(Interval::Month).unwrap().lookup_key, format!("plan_{code}_m"));
        assert_eq!(plan.price(Interval::Year).unwrap().lookup_key, format!("plan_{code}_y"));
        assert_eq!(catalog.trial_days(plan), 14);
        assert_eq!((plan.grace_days, plan.deny_status.code(), plan.self_service), (7, 429, true));
    }
    let scale = catalog.plan("scale").unwrap();
    assert!(!scale.self_service && scale.prices.is_empty() && scale.contact_url.is_some());
    assert_eq!(scale.features[&FeatureCode::parse("sla").unwrap()], FeatureValue::Bool(true));
    let support = FeatureCode::parse("support_tier").unwrap();
    assert_eq!(scale.features[&support], FeatureValue::Text("dedicated".to_owned()));
}

#[test]
fn every_field_of_a_plan_is_read() {
    let catalog = Catalog::parse(SMALL).unwrap();
    let (plan, price) = catalog.price("starter_yearly").unwrap();
    assert_eq!((plan.code.as_str(), plan.rank, plan.version, plan.grace_days), ("starter", 1, 0, 3));
    assert_eq!(plan.deny_status, DenyStatus::PaymentRequired);
    assert_eq!(plan.on_unavailable, OnUnavailable::AllowBounded { units: 50 });
    assert_eq!(plan.contact_url.as_deref(), Some("https://example.com/talk"));
    assert_eq!(price.stripe_price.as_ref().unwrap().as_str(), "price_1ABC");
    assert_eq!(plan.allowance(&metric("tokens")).included, Included::Unlimited);
    assert_eq!(plan.features.len(), 3);
    assert_eq!(catalog.metrics[&metric("tokens")].unit, "token");
    assert_eq!(catalog.metrics[&metric("api_call")].name, "api_call");
    assert_eq!(catalog.trial().unwrap().allowance(&metric("tokens")), Allowance::NOTHING);
    assert!(catalog.price("plan_starter_y").is_none());
}

/// Replaces one piece of the small catalog and gives the refusal as `line: field: message`.
fn refusal(from: &str, to: &str) -> String {
    assert!(SMALL.contains(from), "{from}");
    let error = Catalog::parse(&SMALL.replacen(from, to, 1)).expect_err(&format!("{from} -> {to}"));
    format!("{}: {}: {}", error.line, error.field, error.message)
}

/// What is replaced in [`SMALL`], by what, and the beginning of the refusal.
const MISTAKES: &[(&str, &str, &str)] = &[
    (
        "grace_days = 3",
        "grace = 3",
        "20: plan.starter.grace: no such key here; known are allowance, anti_arbitrage, code",
    ),
    ("code = \"starter\"", "code = \"trial\"", "17: plan.code: plan trial is there twice; remove one of them"),
    ("code = \"tokens\"", "code = \"api_call\"", "5: metric.code: metric api_call is declared twice"),
    ("amount = 4900\n", "amount = -1\n", "25: plan.starter.price.amount: expected a whole number from 0 to 99999999"),
    (
        "amount = 4900\n",
        "amount = 49.00\n",
        "25: plan.starter.price.amount: expected a whole number: amounts are minor",
    ),
    ("amount = 4900\n", "amount = \"4900\"\n", "25: plan.starter.price.amount: expected a whole number"),
    ("included = 10000", "included = 1e4", "34: plan.starter.allowance.api_call.included: expected a whole number"),
    (
        "included = 10000",
        "included = 9007199254740992",
        "34: plan.starter.allowance.api_call.included: expected a whole",
    ),
    ("included = 10000", "included = \"lots\"", "34: plan.starter.allowance.api_call.included: use a whole number or"),
    ("[plan.allowance.tokens]", "[plan.allowance.seats]", "36: plan.starter.allowance.seats: no metric seats: declare"),
    ("interval = \"year\"", "interval = \"week\"", "28: plan.starter.price.interval: use \"month\" or \"year\""),
    ("interval = \"year\"", "interval = \"month\"", "28: plan.starter.price.interval: plan starter has two prices per"),
    ("currency = \"usd\"", "currency = \"USD\"", "26: plan.starter.price.currency: a currency is three lower case"),
    ("deny_status = 402", "deny_status = 404", "19: plan.starter.deny_status: use 429, 402 or 403"),
    (
        "\"starter_yearly\"",
        "\"plan_starter_m\"",
        "31: plan.starter.price.lookup_key: lookup key plan_starter_m is used",
    ),
    (
        "overage = \"hard_stop\"",
        "overage = { amount = 1, per = 1 }",
        "36: plan.starter.allowance.tokens: unlimited units",
    ),
    ("per = 1000", "per = 0", "35: plan.starter.allowance.api_call.overage.per: expected a whole number from 1"),
    ("{ allow_bounded = 50 }", "\"allow\"", "21: plan.starter.on_unavailable: use \"refuse\" or"),
    ("sso = true", "SSO = true", "40: plan.starter.features.SSO: not a valid feature code"),
    ("sso = true", "sso = 1.5", "40: plan.starter.features.sso: expected a whole number"),
    ("trial_days = 14\n", "", "9: plan.trial: plan trial needs `trial_days`"),
    ("name = \"Starter\"", "", "16: plan.starter: `name` is missing"),
    ("name = \"Starter\"", "name = \"\"", "18: plan.starter.name: write 1 to 200 bytes of text"),
    ("https://example.com/talk", "javascript:alert(1)", "22: plan.starter.contact_url: write a link that starts with"),
    ("[[plan]]\ncode = \"trial\"", "[plan]\ncode = \"trial\"", ": plans.toml: not TOML"),
    ("trial_days = 14", "trial_days = 14\ntrial_days = 15", "13: plans.toml: not TOML: duplicate key"),
];

#[test]
fn every_mistake_is_named_by_line_field_and_fix() {
    for (from, to, expected) in MISTAKES {
        let refusal = refusal(from, to);
        assert!(refusal.contains(expected), "{to}\n  expected {expected}\n  was      {refusal}");
    }
}

#[test]
fn a_catalog_without_plans_or_metrics_is_refused() {
    assert!(Catalog::parse("").unwrap_err().message.contains("no [[metric]]"));
    assert!(Catalog::parse("[[metric]]\ncode=\"api_call\"").unwrap_err().message.contains("no [[plan]]"));
    let stray = Catalog::parse(&format!("color = \"red\"\n{SMALL}")).unwrap_err();
    assert_eq!((stray.line, stray.field.as_str()), (1, "color"));
}

#[test]
fn two_versions_of_a_plan_have_the_same_content_when_only_the_version_differs() {
    let plan = Catalog::parse(SMALL).unwrap().plans.remove(1);
    let mut later = plan.clone();
    later.version = 7;
    assert!(plan.same_content(&later));
    later.grace_days = 4;
    assert!(!plan.same_content(&later));
}

#[test]
fn units_are_carried_over_for_one_period_unless_it_says_otherwise() {
    let text = |allowance: &str| {
        format!(
            "[[metric]]\ncode = \"api_call\"\n[[plan]]\ncode = \"starter\"\nname = \"Starter\"\n[plan.allowance.api_call]\n{allowance}\n"
        )
    };
    let read = |allowance: &str| {
        let catalog = Catalog::parse(&text(allowance))?;
        Ok::<_, CatalogError>(catalog.plans[0].allowance(&Metric::parse("api_call").unwrap()).rollover)
    };
    assert_eq!(read("included = 5"), Ok(None));
    assert_eq!(read("included = 5\nrollover = { max = 3 }"), Ok(Some(Rollover { max: 3, periods: 1 })));
    assert_eq!(read("included = 5\nrollover = { max = 3, periods = 12 }"), Ok(Some(Rollover { max: 3, periods: 12 })));
    for bad in ["rollover = { max = 0 }", "rollover = { max = 3, periods = 0 }", "rollover = 3"] {
        let error = read(&format!("included = 5\n{bad}")).unwrap_err();
        assert_eq!(error.line, 8, "{error}");
    }
    assert!(read("included = \"unlimited\"\nrollover = { max = 3 }").is_err());
}

const POOLED: &str = r#"
[[metric]]
code = "credit"
[[metric]]
code = "image"
[[metric]]
code = "token"
[[plan]]
code = "starter"
name = "Starter"
[plan.allowance.credit]
included = 1000
[plan.allowance.token]
included = 50
[plan.pool.credit]
image = 25
token = 2
[[topup]]
code = "credits_500"
name = "500 credits"
metric = "credit"
units = 500
amount = 900
currency = "usd"
lasts = { days = 30 }
plans = ["starter"]
"#;

#[test]
fn metrics_draw_on_a_pool_at_fixed_rates_and_packs_are_sold_beside_plans() {
    let catalog = Catalog::parse(POOLED).unwrap();
    let plan = &catalog.plans[0];
    assert_eq!(plan.draws(&metric("image")), Some(Draws { pool: metric("credit"), rate: 25 }));
    assert_eq!(plan.draws(&metric("credit")), None);
    assert_eq!(plan.allowance(&metric("image")).included, Included::Unlimited, "the pool is its only limit");
    assert_eq!(plan.allowance(&metric("token")).included, Included::Units(50), "a limit of its own beside the pool");
    let pack = catalog.topup("credits_500").unwrap();
    assert_eq!((pack.units, pack.price, pack.lasts), (500, Money::new(900, Currency::USD), TopupLasts::Days(30)));
    assert!(pack.is_for(&plan.code));
    let frozen = serde_json::to_string(plan).unwrap();
    assert_eq!(&serde_json::from_str::<Plan>(&frozen).unwrap(), plan);
}

#[test]
fn every_mistake_about_pools_and_top_ups_is_named() {
    let mistakes = [
        ("[plan.pool.credit]", "[plan.pool.image]", "plan.starter.pool.image: a pool needs an allowance"),
        ("image = 25", "credit = 25", "plan.starter.pool.credit.credit: a pool does not draw on itself"),
        ("image = 25", "image = 0", "plan.starter.pool.credit.image: expected a whole number from 1"),
        ("image = 25", "video = 25", "plan.starter.pool.credit.video: no metric video"),
        ("metric = \"credit\"", "metric = \"gold\"", "topup.credits_500.metric: no metric gold"),
        ("plans = [\"starter\"]", "plans = [\"pro\"]", "topup.credits_500.plans: there is no plan pro"),
        ("lasts = { days = 30 }", "lasts = \"week\"", "topup.credits_500.lasts: use \"period\""),
        ("amount = 900", "amount = 0", "topup.credits_500.amount: expected a whole number from 50"),
    ];
    for (from, to, expected) in mistakes {
        let refusal = Catalog::parse(&POOLED.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(refusal.contains(expected), "{to}\n  expected {expected}\n  was      {refusal}");
    }
}

#[test]
fn a_catalog_that_is_written_reads_as_the_same_catalog() {
    for text in [Catalog::default_text(), SMALL, POOLED] {
        let catalog = Catalog::parse(text).unwrap();
        let written = catalog.to_toml();
        assert_eq!(Catalog::parse(&written).unwrap_or_else(|error| panic!("{error}\n{written}")), catalog);
    }
    let odd = POOLED.replacen("name = \"Starter\"", "name = \"St\\\"ar\\\\ter\"", 1);
    let catalog = Catalog::parse(&odd).unwrap();
    assert_eq!(Catalog::parse(&catalog.to_toml()).unwrap(), catalog);
}
