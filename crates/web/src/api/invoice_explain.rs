//! An invoice line by line, with the usage behind it.

use serde::{Deserialize, Serialize};
use tollgate_engine::invoices::{self, Explained, ExplainedLine, LineUsage};
use tollgate_rules::access::Permission;
use tollgate_rules::ids::InvoiceId;
use utoipa::{IntoParams, ToSchema};

use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::failures;
use crate::routes::{Access, Route};

pub(crate) fn routes() -> Vec<Route> {
    vec![Route::new::<__path_explain, _, _>(Access::Org(Permission::BillingRead), explain)]
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ExplainQuery {
    /// The org; may be left out with a key of one org.
    org_id: Option<String>,
    /// Stripe's id of the invoice.
    invoice_id: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ExplainedInvoice {
    /// Stripe's id of the invoice.
    id: String,
    /// The number printed on it; null of a draft.
    number: Option<String>,
    /// `draft`, `open`, `paid`, `uncollectible` or `void`.
    status: &'static str,
    /// Lower case ISO 4217.
    currency: String,
    /// The total in minor units: always the sum of the lines' totals.
    total: i64,
    /// What is to be paid of it: the customer's balance is taken into account.
    amount_due: i64,
    /// What was paid of it.
    amount_paid: i64,
    /// When it was made.
    created: String,
    /// Its lines.
    lines: Vec<ExplainedInvoiceLine>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ExplainedInvoiceLine {
    /// What it is for, in Stripe's words.
    description: Option<String>,
    /// Its amount in minor units; negative for a credit.
    amount: i64,
    /// What discounts take off it.
    discount: i64,
    /// The tax that is added to it.
    tax: i64,
    /// What it adds to the invoice: amount less discount plus tax.
    total: i64,
    /// How many.
    quantity: Option<i64>,
    /// Whether it makes up for a change within a period.
    proration: bool,
    /// The span it is for.
    period_start: String,
    /// The span's end, exclusive.
    period_end: String,
    /// The plan its price belongs to; null for anything else.
    plan_code: Option<String>,
    /// What was used in the quota periods it is for.
    usage: Vec<InvoiceLineUsage>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct InvoiceLineUsage {
    /// Which metric.
    metric: String,
    /// The quota period.
    period_key: String,
    /// When it began.
    period_start: String,
    /// When it ends, exclusive.
    period_end: String,
    /// Units included; null: unlimited.
    included: Option<i64>,
    /// Units granted.
    granted: i64,
    /// Units used.
    used: i64,
    /// Metered units beyond what was included and granted.
    overage: i64,
    /// What a block of metered units costs in minor units; null where the plan stops hard.
    overage_amount: Option<i64>,
    /// How many units are a block.
    overage_units: Option<i64>,
    /// How many events were counted.
    events: i64,
}

impl From<&Explained> for ExplainedInvoice {
    fn from(explained: &Explained) -> Self {
        let invoice = &explained.invoice;
        Self {
            id: invoice.invoice_id.to_string(),
            number: invoice.number.clone(),
            status: invoice.status.as_str(),
            currency: invoice.total.currency.to_string(),
            total: invoice.total.minor,
            amount_due: invoice.amount_due,
            amount_paid: invoice.amount_paid,
            created: invoice.created.to_string(),
            lines: explained.lines.iter().map(ExplainedInvoiceLine::from).collect(),
        }
    }
}

impl From<&ExplainedLine> for ExplainedInvoiceLine {
    fn from(explained: &ExplainedLine) -> Self {
        let line = &explained.line;
        Self {
            description: line.description.clone(),
            amount: line.amount.minor,
            discount: line.discount,
            tax: line.tax_added,
            total: line.total(),
            quantity: line.quantity,
            proration: line.proration,
            period_start: line.period.start.to_string(),
            period_end: line.period.end.to_string(),
            plan_code: explained.plan_code.clone(),
            usage: explained.usage.iter().map(InvoiceLineUsage::from).collect(),
        }
    }
}

impl From<&LineUsage> for InvoiceLineUsage {
    fn from(usage: &LineUsage) -> Self {
        Self {
            metric: usage.metric.clone(),
            period_key: usage.period_key.clone(),
            period_start: usage.period.start.to_string(),
            period_end: usage.period.end.to_string(),
            included: usage.included,
            granted: usage.granted,
            used: usage.used,
            overage: usage.overage,
            overage_amount: usage.metered.map(|(amount, _)| amount),
            overage_units: usage.metered.map(|(_, units)| units),
            events: usage.events,
        }
    }
}

/// What each line of an invoice is for, and the usage behind it
#[utoipa::path(get, path = "/api/invoices.explain", tag = "billing", params(ExplainQuery),
    responses((status = 200, description = "The invoice line by line", body = ExplainedInvoice)))]
async fn explain(call: Call) -> Result<Answer, ApiError> {
    let query: ExplainQuery = call.query()?;
    let scope = call.org(query.org_id.as_deref()).await?;
    let invoice_id = InvoiceId::parse(&query.invoice_id).map_err(|_| ApiError::not_found())?;
    let found = invoices::explain(call.app.engine(), &scope, &invoice_id).await;
    let explained = found.map_err(|error| failures::database(&error))?.ok_or_else(ApiError::not_found)?;
    Ok(Answer::data(&ExplainedInvoice::from(&explained)))
}
