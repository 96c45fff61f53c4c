//! What a denial says, byte for byte.

use tollgate_rules::catalog::{Catalog, DenyStatus, OveragePolicy};
use tollgate_rules::ids::{Metric, PlanCode};
use tollgate_rules::ledger::{Denial, Numbers, Reason, Rule};
use tollgate_rules::period::{Period, PeriodKey};
use tollgate_rules::time::Timestamp;

use super::{denied, rate_limit};

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

fn denial() -> Denial {
    let period = Period::new(at("2026-01-15T09:00:00Z"), at("2026-02-15T09:00:00Z"));
    Denial {
        reason: Reason::QuotaExceeded,
        rule: Rule::Allowance,
        metric: Metric::parse("api_call").unwrap(),
        requested: 1,
        numbers: Some(Numbers {
            included: Some(10_000),
            granted: 0,
            used: 10_000,
            held: 0,
            overrun: 0,
            overage: 0,
            remaining: Some(0),
            policy: OveragePolicy::HardStop,
            period_key: PeriodKey::parse("2026-01").unwrap(),
            period,
            reset_at: period.end,
            limit_version: 1,
        }),
        deny_status: DenyStatus::TooManyRequests,
        org_name: "Acme".to_owned(),
        plan_code: Some(PlanCode::parse("starter").unwrap()),
        decided_at: at("2026-02-14T09:00:00Z"),
    }
}

fn catalog() -> Catalog {
    Catalog::parse(Catalog::default_text()).unwrap()
}

fn written(denial: &Denial) -> (u16, String, Vec<String>) {
    let answer = denied(denial, &catalog(), "http://t").into_answer("req_1", false);
    let headers = answer.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    (answer.status, String::from_utf8(answer.body.to_vec()).unwrap(), headers)
}

#[test]
fn a_quota_denial_reads_as_the_contract_shows_it() {
    let (status, body, headers) = written(&denial());
    assert_eq!(status, 429);
    let expected = concat!(
        r#"{"ok":false,"data":{"allow":false,"remaining":0,"metric":"api_call","periodKey":"2026-01","resetAt":"2026-02-15T09:00:00Z"},"#,
        r#""error":{"code":"quota_exceeded","message":"Acme used 10000 of 10000 api_call. Resets 2026-02-15T09:00:00Z.","#,
        r#""details":{"included":10000,"granted":0,"used":10000,"held":0,"requested":1,"#,
        r#""options":[{"action":"upgrade","planCode":"growth","amount":39900,"currency":"usd","url":"http://t/docs#post-api-plans-upgrade.now"},"#,
        r#"{"action":"wait","at":"2026-02-15T09:00:00Z"}]},"docUrl":"/docs/errors/quota_exceeded","requestId":"req_1"}}"#,
    );
    assert_eq!(body, expected);
    assert_eq!(
        headers,
        [
            "x-should-retry: false",
            "retry-after: 86400",
            "ratelimit-policy: \"api_call\";q=10000;w=2678400",
            "ratelimit: \"api_call\";r=0;t=86400"
        ]
    );
}

#[test]
fn a_plan_may_deny_with_another_status() {
    let mut denial = denial();
    denial.deny_status = DenyStatus::PaymentRequired;
    let (status, body, _) = written(&denial);
    assert_eq!(status, 402);
    assert!(body.contains(r#""code":"quota_exceeded""#));
}

#[test]
fn waiting_is_not_offered_where_it_cannot_help() {
    let mut denial = denial();
    denial.requested = 10_001;
    let (_, body, headers) = written(&denial);
    assert!(!body.contains(r#""wait""#));
    assert!(headers.iter().all(|header| !header.starts_with("retry-after")), "{headers:?}");
}

#[test]
fn seconds_to_the_reset_are_rounded_up() {
    let mut denial = denial();
    denial.decided_at = Timestamp::from_micros(at("2026-02-15T08:59:58Z").as_micros() + 1);
    let (_, _, headers) = written(&denial);
    assert!(headers.contains(&"retry-after: 2".to_owned()), "{headers:?}");
}

#[test]
fn an_org_without_a_subscription_is_told_to_subscribe() {
    let mut denial = denial();
    denial.reason = Reason::NoSubscription;
    denial.numbers = None;
    denial.plan_code = None;
    let (status, body, headers) = written(&denial);
    assert_eq!(status, 402);
    assert!(body.contains(r#""periodKey":null,"resetAt":null"#), "{body}");
    assert!(body.contains(r#""action":"subscribe""#), "{body}");
    assert_eq!(headers, ["x-should-retry: false"]);
}

#[test]
fn what_is_unlimited_has_no_rate_limit_headers() {
    let denial = denial();
    let numbers = Numbers { included: None, remaining: None, ..denial.numbers.unwrap() };
    assert!(rate_limit(&denial.metric, &numbers, denial.decided_at).is_empty());
}
