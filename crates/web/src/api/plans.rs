//! The catalog, and an org's invoices.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tollgate_engine::invoices::{self, Invoice};
use tollgate_engine::plans;
use tollgate_rules::access::Permission;
use tollgate_rules::catalog::{OveragePolicy, Plan, PlanPrice, Topup, TopupLasts};
use tollgate_rules::ids::Metric;
use utoipa::{IntoParams, ToSchema};

use super::entitlements::{FeatureBody, PoolBody};
use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::routes::{Access, Route};
use crate::{failures, paging};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::new::<__path_catalog, _, _>(Access::Public, catalog).also("/plans"),
        Route::new::<__path_invoice_list, _, _>(Access::Org(Permission::BillingRead), invoice_list),
    ]
}

#[derive(Serialize, ToSchema)]
struct CatalogBody {
    /// The plans, cheapest first.
    plans: Vec<PlanBody>,
    /// What is counted.
    metrics: Vec<CatalogMetric>,
    /// What can be bought once, beside a plan: `topups.buy` takes its code.
    topups: Vec<TopupOffer>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TopupOffer {
    /// Its code.
    topup: String,
    /// What people call it.
    name: String,
    /// What it adds to.
    metric: String,
    /// How many units.
    units: i64,
    /// In minor units.
    amount: i64,
    /// Lower case ISO 4217.
    currency: String,
    /// `period`, `for_good`, or a number of days (`90d`).
    lasts: String,
    /// Only orgs on one of these plans may buy it; empty: all.
    plans: Vec<String>,
}

impl From<&Topup> for TopupOffer {
    fn from(topup: &Topup) -> Self {
        Self {
            topup: topup.code.to_string(),
            name: topup.name.clone(),
            metric: topup.metric.to_string(),
            units: topup.units,
            amount: topup.price.minor,
            currency: topup.price.currency.to_string(),
            lasts: match topup.lasts {
                TopupLasts::Period => "period".to_owned(),
                TopupLasts::ForGood => "for_good".to_owned(),
                TopupLasts::Days(days) => format!("{days}d"),
            },
            plans: topup.plans.iter().map(ToString::to_string).collect(),
        }
    }
}

#[derive(Serialize, ToSchema)]
struct CatalogMetric {
    /// Its code.
    metric: String,
    /// What people call it.
    name: String,
    /// What one of it is called.
    unit: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PlanBody {
    /// Its code.
    plan_code: String,
    /// Its version in force.
    version: u32,
    /// What people call it.
    name: String,
    /// Whether anyone may take it.
    self_service: bool,
    /// Where to ask for it otherwise.
    contact_url: Option<String>,
    /// What it costs.
    prices: Vec<PriceBody>,
    /// What it includes, per metric.
    allowances: Vec<AllowanceBody>,
    /// Its features.
    #[schema(value_type = Object)]
    features: BTreeMap<String, FeatureBody>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PriceBody {
    /// `month` or `year`.
    interval: &'static str,
    /// In minor units.
    amount: i64,
    /// Lower case ISO 4217.
    currency: String,
    /// What `stripe/subscription.create` takes.
    lookup_key: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AllowanceBody {
    /// The metric.
    metric: String,
    /// Included units per quota period; null where there is no limit.
    included: Option<i64>,
    /// `HARD_STOP` or `METERED`.
    overage_policy: &'static str,
    /// The price of a block above it, in minor units.
    #[serde(skip_serializing_if = "Option::is_none")]
    overage_amount: Option<i64>,
    /// The size of a block in units.
    #[serde(skip_serializing_if = "Option::is_none")]
    overage_per_units: Option<i64>,
    /// The pool its units are taken from as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<PoolBody>,
}

impl AllowanceBody {
    fn of(plan: &Plan, metric: &Metric) -> Self {
        let allowance = plan.allowance(metric);
        let (overage_amount, overage_per_units) = match allowance.policy {
            OveragePolicy::HardStop => (None, None),
            OveragePolicy::Metered { amount_minor, per_units } => (Some(amount_minor), Some(per_units)),
        };
        Self {
            metric: metric.to_string(),
            included: allowance.included.units(),
            overage_policy: allowance.policy.as_str(),
            overage_amount,
            overage_per_units,
            pool: plan.draws(metric).as_ref().map(PoolBody::from),
        }
    }
}

impl From<&PlanPrice> for PriceBody {
    fn from(price: &PlanPrice) -> Self {
        Self {
            interval: price.interval.as_str(),
            amount: price.amount.minor,
            currency: price.amount.currency.to_string(),
            lookup_key: price.lookup_key.clone(),
        }
    }
}

impl From<&Plan> for PlanBody {
    fn from(plan: &Plan) -> Self {
        let drawing = plan.pools.values().flat_map(|rates| rates.keys());
        let metrics: BTreeSet<&Metric> = plan.allowances.keys().chain(drawing).collect();
        Self {
            plan_code: plan.code.to_string(),
            version: plan.version,
            name: plan.name.clone(),
            self_service: plan.self_service,
            contact_url: plan.contact_url.clone(),
            prices: plan.prices.iter().map(PriceBody::from).collect(),
            allowances: metrics.into_iter().map(|metric| AllowanceBody::of(plan, metric)).collect(),
            features: plan.features.iter().map(|(code, value)| (code.to_string(), value.into())).collect(),
        }
    }
}

/// The catalog: what is sold, for how much, with what
#[utoipa::path(get, path = "/api/plans", tag = "plans",
    responses((status = 200, description = "The catalog", body = CatalogBody)))]
async fn catalog(call: Call) -> Result<Answer, ApiError> {
    let catalog = plans::catalog(call.app.engine());
    let mut ranked: Vec<&Plan> = catalog.plans.iter().collect();
    ranked.sort_by_key(|plan| plan.rank);
    let metrics = catalog.metrics.iter().map(|(metric, about)| CatalogMetric {
        metric: metric.to_string(),
        name: about.name.clone(),
        unit: about.unit.clone(),
    });
    Ok(Answer::data(&CatalogBody {
        plans: ranked.into_iter().map(PlanBody::from).collect(),
        metrics: metrics.collect(),
        topups: catalog.topups.iter().map(TopupOffer::from).collect(),
    }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct InvoiceQuery {
    /// The org; may be left out with a key of one org.
    org_id: Option<String>,
    /// How many, 1 to 200; 20 when left out.
    limit: Option<i64>,
    /// `meta.nextCursor` of the page before.
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct InvoiceBody {
    /// Stripe's id of the invoice.
    id: String,
    /// The total in minor units.
    total: i64,
    /// Lower case ISO 4217.
    currency: String,
    /// `draft`, `open`, `paid`, `uncollectible` or `void`.
    status: &'static str,
    /// Its page at Stripe.
    url: Option<String>,
    /// When it was made.
    created: String,
}

impl From<&Invoice> for InvoiceBody {
    fn from(invoice: &Invoice) -> Self {
        Self {
            id: invoice.invoice_id.to_string(),
            total: invoice.total.minor,
            currency: invoice.total.currency.to_string(),
            status: invoice.status.as_str(),
            url: invoice.url.clone(),
            created: invoice.created.to_string(),
        }
    }
}

/// An org's invoices, newest first
#[utoipa::path(get, path = "/api/invoices.list", tag = "billing", params(InvoiceQuery),
    responses((status = 200, description = "A page of invoices", body = Vec<InvoiceBody>)))]
async fn invoice_list(call: Call) -> Result<Answer, ApiError> {
    let query: InvoiceQuery = call.query()?;
    let paging = paging::asked(query.limit, query.cursor.as_deref())?;
    let scope = call.org(query.org_id.as_deref()).await?;
    let page = invoices::list(call.app.engine(), &scope, &paging).await.map_err(refused)?;
    Ok(paging::told::<_, InvoiceBody>(&page))
}

fn refused(error: invoices::Error) -> ApiError {
    match error {
        invoices::Error::BadCursor(error) => ApiError::field("/cursor", error.to_string()),
        invoices::Error::Database(error) => failures::database(&error),
    }
}
