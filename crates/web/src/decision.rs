//! How a decision is told: the denial's body, field by field as the contract shows it, and the headers that go with every
//! answer about a quota.

use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use serde::Serialize;
use tollgate_rules::catalog::{Catalog, Included, OveragePolicy, Plan};
use tollgate_rules::ids::Metric;
use tollgate_rules::ledger::{Denial, Numbers, Reason, Rule, Slice};
use tollgate_rules::period::Interval;
use tollgate_rules::time::Timestamp;

use crate::api_error::ApiError;
use crate::errors::{self, ErrorDoc};

/// The signed receipt of a decision.
pub(crate) const RECEIPT: HeaderName = HeaderName::from_static("tollgate-receipt");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// What the caller can do about a denial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(tag = "action", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub(crate) enum Way {
    /// Take this plan.
    Upgrade {
        /// Its code.
        plan_code: String,
        /// Its price per month in minor units.
        amount: i64,
        /// The price's currency.
        currency: String,
        /// Where to read how.
        url: String,
    },
    /// Wait for the next period.
    Wait {
        /// When it begins.
        at: String,
    },
    /// Let overage cost more.
    RaiseCap {
        /// Where to read how.
        url: String,
    },
    /// Start a subscription.
    Subscribe {
        /// Where to read how.
        url: String,
    },
    /// Pay what is open.
    Pay {
        /// Where to read how.
        url: String,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeniedData<'a> {
    allow: bool,
    remaining: i64,
    metric: &'a str,
    period_key: Option<String>,
    reset_at: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeniedDetails<'a> {
    included: Option<i64>,
    granted: i64,
    used: i64,
    held: i64,
    requested: i64,
    /// Which rule says no, where it is not the allowance itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'static str>,
    /// What drew on the pool that is used up.
    #[serde(skip_serializing_if = "Option::is_none")]
    drawn_by: Option<&'a str>,
    /// The cap on what overage may cost, and what it costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    spend_cap: Option<CapDetails>,
    /// The slice of the key that asked, where it was in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    slice: Option<SliceDetails<'a>>,
    options: Vec<Way>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SliceDetails<'a> {
    key_id: &'a str,
    units: i64,
    used: i64,
    held: i64,
}

impl<'a> From<&'a Slice> for SliceDetails<'a> {
    fn from(slice: &'a Slice) -> Self {
        Self { key_id: slice.key_id.as_str(), units: slice.units, used: slice.used, held: slice.held }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CapDetails {
    amount: i64,
    spent: i64,
}

/// The denial as an error, with what the org's owner can do about it.
pub(crate) fn denied(denial: &Denial, catalog: &Catalog, base_url: &str) -> ApiError {
    let ways = ways(denial, catalog, base_url);
    told(denial, ways)
}

/// The denial with these ways out.
pub(crate) fn told(denial: &Denial, options: Vec<Way>) -> ApiError {
    let numbers = denial.numbers.as_ref();
    let data = DeniedData {
        allow: false,
        remaining: remaining(denial),
        metric: denial.metric.as_str(),
        period_key: numbers.map(|numbers| numbers.period_key.to_string()),
        reset_at: numbers.map(|numbers| numbers.reset_at.to_string()),
    };
    let details = DeniedDetails {
        included: numbers.and_then(|numbers| numbers.included),
        granted: numbers.map_or(0, |numbers| numbers.granted),
        used: numbers.map_or(0, |numbers| numbers.used),
        held: numbers.map_or(0, |numbers| numbers.held),
        requested: denial.requested,
        rule: Some(denial.rule.as_str()).filter(|_| denial.rule != Rule::Allowance),
        drawn_by: match &denial.rule {
            Rule::Pool { drawn_by } => Some(drawn_by.as_str()),
            Rule::Allowance | Rule::SpendCap { .. } | Rule::KeySlice(_) => None,
        },
        spend_cap: match denial.rule {
            Rule::SpendCap { cap_minor, spent_minor } => Some(CapDetails { amount: cap_minor, spent: spent_minor }),
            Rule::Allowance | Rule::Pool { .. } | Rule::KeySlice(_) => None,
        },
        slice: denial.rule.slice().map(SliceDetails::from),
        options,
    };
    let (doc, status) = kind(denial);
    let mut error = ApiError::new(doc, message(denial))
        .with_status(status)
        .with_data(&data)
        .with_details(&details)
        .with_header(SHOULD_RETRY, HeaderValue::from_static("false"));
    if let Some(numbers) = numbers {
        if waiting_helps(denial, numbers) {
            error = error.retry_after(seconds_until(numbers.reset_at, denial.decided_at));
        }
        let limits = match denial.rule.slice() {
            Some(slice) => limit_headers(&denial.metric, (slice.units, slice.remaining()), numbers, denial.decided_at),
            None => rate_limit(&denial.metric, numbers, denial.decided_at),
        };
        for (name, value) in limits {
            error = error.with_header(name, value);
        }
    }
    error
}

/// `RateLimit-Policy` and `RateLimit`; none where there is no limit.
pub(crate) fn rate_limit(metric: &Metric, numbers: &Numbers, now: Timestamp) -> Vec<(HeaderName, HeaderValue)> {
    let (Some(included), Some(remaining)) = (numbers.included, numbers.remaining) else { return Vec::new() };
    limit_headers(metric, (included.saturating_add(numbers.granted), remaining), numbers, now)
}

fn limit_headers(
    metric: &Metric,
    (quota, remaining): (i64, i64),
    numbers: &Numbers,
    now: Timestamp,
) -> Vec<(HeaderName, HeaderValue)> {
    let window = numbers.period.end.since(numbers.period.start).as_secs();
    let reset = seconds_until(numbers.reset_at, now);
    [
        (RATE_LIMIT_POLICY, format!("\"{metric}\";q={quota};w={window}")),
        (RATE_LIMIT, format!("\"{metric}\";r={remaining};t={reset}")),
    ]
    .into_iter()
    .filter_map(|(name, text)| HeaderValue::try_from(text).ok().map(|value| (name, value)))
    .collect()
}

/// The receipt's header.
pub(crate) fn receipt(text: &str) -> Option<(HeaderName, HeaderValue)> {
    HeaderValue::try_from(text).ok().map(|value| (RECEIPT, value))
}

/// Whole seconds from `now` until `at`, rounded up.
pub(crate) fn seconds_until(at: Timestamp, now: Timestamp) -> u64 {
    let left: Duration = at.since(now);
    left.as_secs() + u64::from(left.subsec_nanos() > 0)
}

/// Where the documentation of a route stands.
pub(crate) fn guide(base_url: &str, method: &str, path: &str) -> String {
    format!("{base_url}/docs#{method}-{}", path.trim_start_matches('/').replace('/', "-"))
}

fn kind(denial: &Denial) -> (&'static ErrorDoc, u16) {
    match denial.reason {
        Reason::QuotaExceeded => (&errors::QUOTA_EXCEEDED, denial.deny_status.code()),
        Reason::NoSubscription => (&errors::NO_SUBSCRIPTION, errors::NO_SUBSCRIPTION.status),
        Reason::PastDue => (&errors::PAST_DUE, errors::PAST_DUE.status),
        Reason::OrgSuspended => (&errors::ORG_SUSPENDED, errors::ORG_SUSPENDED.status),
    }
}

/// What is truly left to whoever asked.
fn remaining(denial: &Denial) -> i64 {
    let of_org = denial.numbers.as_ref().and_then(|numbers| numbers.remaining);
    match denial.rule.slice() {
        Some(slice) => slice.remaining().min(of_org.unwrap_or(i64::MAX)),
        None => of_org.unwrap_or(0),
    }
}

fn message(denial: &Denial) -> String {
    let org = &denial.org_name;
    let metric = &denial.metric;
    if let (Some(slice), Some(numbers)) = (denial.rule.slice(), &denial.numbers) {
        let Slice { key_id, units, used, held, .. } = slice;
        let held = if *held > 0 { format!(" and holds {held}") } else { String::new() };
        return format!(
            "Key {key_id} used {used} of its slice of {units} {metric}{held}. Resets {}.",
            numbers.reset_at
        );
    }
    match (denial.reason, &denial.numbers) {
        (Reason::QuotaExceeded, Some(numbers)) => {
            let total = numbers.included.unwrap_or(0).saturating_add(numbers.granted);
            let used = numbers.used;
            let held = if numbers.held > 0 { format!(" and holds {}", numbers.held) } else { String::new() };
            if let Rule::SpendCap { .. } = denial.rule {
                return format!(
                    "{org} reached its spend cap: {used} of {total} {metric} are used{held}, and more overage would cost more than the cap. \
                     Resets {}.",
                    numbers.reset_at
                );
            }
            format!("{org} used {used} of {total} {metric}{held}. Resets {}.", numbers.reset_at)
        }
        (Reason::QuotaExceeded, None) => format!("{org} has no {metric} left."),
        (Reason::NoSubscription, _) => format!("{org} has no active subscription."),
        (Reason::PastDue, _) => format!("{org} has not paid its last invoice, and the days of grace are over."),
        (Reason::OrgSuspended, _) => format!("{org} is suspended."),
    }
}

/// Waiting helps when the next period will have room for what was asked.
fn waiting_helps(denial: &Denial, numbers: &Numbers) -> bool {
    if let Rule::SpendCap { .. } = denial.rule {
        // The next period starts at 0 with what it costs, too.
        return true;
    }
    let room = denial.rule.slice().map_or(numbers.included, |slice| Some(slice.units));
    denial.reason == Reason::QuotaExceeded && room.is_none_or(|units| units >= denial.requested)
}

fn ways(denial: &Denial, catalog: &Catalog, base_url: &str) -> Vec<Way> {
    match (denial.reason, &denial.numbers) {
        (Reason::QuotaExceeded, Some(numbers)) => {
            let capped = matches!(denial.rule, Rule::SpendCap { .. });
            let raise = capped.then(|| Way::RaiseCap { url: guide(base_url, "post", "/api/spend-cap.set") });
            // A larger plan widens no slice.
            let larger = next_plan(denial, numbers, catalog).filter(|_| denial.rule.slice().is_none());
            let upgrade = larger.and_then(|plan| upgrade_to(plan, base_url));
            let wait = waiting_helps(denial, numbers).then(|| Way::Wait { at: numbers.reset_at.to_string() });
            raise.into_iter().chain(upgrade).chain(wait).collect()
        }
        (Reason::QuotaExceeded, None) | (Reason::OrgSuspended, _) => Vec::new(),
        (Reason::NoSubscription, _) => {
            vec![Way::Subscribe { url: guide(base_url, "post", "/api/stripe/subscription.create") }]
        }
        (Reason::PastDue, _) => vec![Way::Pay { url: guide(base_url, "post", "/api/payments/default-method.set") }],
    }
}

/// The next plan up that anyone may take and that has room for what was asked.
fn next_plan<'a>(denial: &Denial, numbers: &Numbers, catalog: &'a Catalog) -> Option<&'a Plan> {
    let rank = denial.plan_code.as_ref().and_then(|code| catalog.plan(code.as_str())).map_or(0, |plan| plan.rank);
    let needed = numbers.used.saturating_add(numbers.held).saturating_add(denial.requested);
    let roomy = |plan: &&Plan| {
        let allowance = plan.allowance(&denial.metric);
        let metered = matches!(allowance.policy, OveragePolicy::Metered { .. });
        match allowance.included {
            Included::Unlimited => true,
            Included::Units(units) => metered || units.saturating_add(numbers.granted) >= needed,
        }
    };
    let mut above: Vec<&Plan> = catalog.plans.iter().filter(|plan| plan.self_service && plan.rank > rank).collect();
    above.sort_by_key(|plan| plan.rank);
    above.into_iter().find(roomy)
}

fn upgrade_to(plan: &Plan, base_url: &str) -> Option<Way> {
    let price = plan.price(Interval::Month).or_else(|| plan.price(Interval::Year))?;
    Some(Way::Upgrade {
        plan_code: plan.code.to_string(),
        amount: price.amount.minor,
        currency: price.amount.currency.to_string(),
        url: guide(base_url, "post", "/api/plans/upgrade.now"),
    })
}

#[cfg(test)]
#[path = "decision_tests.rs"]
mod tests;
