//! An invoice line by line: what each adds to the total, and the usage behind it.

use tollgate_rules::billing::InvoiceLine;
use tollgate_rules::ids::{InvoiceId, PriceId};
use tollgate_rules::period::Period;

use super::{Invoice, sql};
use crate::access::OrgScope;
use crate::db::{Connection, Error};
use crate::engine::Engine;
use crate::plans;

/// An invoice that is explained.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// The invoice.
    pub invoice: Invoice,
    /// Its lines; what they add sums up to its total.
    pub lines: Vec<ExplainedLine>,
}

/// One line that is explained.
#[derive(Debug, Clone, PartialEq)]
pub struct ExplainedLine {
    /// The line.
    pub line: InvoiceLine,
    /// The plan its price belongs to.
    pub plan_code: Option<String>,
    /// What was used in the quota periods that the line is for, metric by metric. Nothing for a line that is of one moment.
    pub usage: Vec<LineUsage>,
}

/// The use of one metric in one quota period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineUsage {
    /// Which metric.
    pub metric: String,
    /// The period's label.
    pub period_key: String,
    /// The period.
    pub period: Period,
    /// Units that were included; none: unlimited.
    pub included: Option<i64>,
    /// Units that were granted.
    pub granted: i64,
    /// Units that were used.
    pub used: i64,
    /// Units over what was included and granted, where the plan meters them.
    pub overage: i64,
    /// What a block of metered units costs: minor units and units; none where the plan stops.
    pub metered: Option<(i64, i64)>,
    /// How many events were counted.
    pub events: i64,
}

/// Explains one of the org's invoices.
///
/// # Errors
/// The database's; `None` for an invoice that is not this org's.
pub async fn explain(engine: &Engine, scope: &OrgScope, invoice_id: &InvoiceId) -> Result<Option<Explained>, Error> {
    let mut connection = engine.read_for(scope).await?;
    let Some(invoice) = sql::stored(&mut connection, scope.org_key(), invoice_id).await? else { return Ok(None) };
    let mut lines = Vec::with_capacity(invoice.lines.len());
    for line in &invoice.lines {
        lines.push(explained(&mut connection, scope, &invoice, line).await?);
    }
    Ok(Some(Explained { invoice, lines }))
}

async fn explained(
    connection: &mut Connection,
    scope: &OrgScope,
    invoice: &Invoice,
    line: &InvoiceLine,
) -> Result<ExplainedLine, Error> {
    let price = line.price_id.as_deref().and_then(|price| PriceId::parse(price).ok());
    let plan_code = match price {
        Some(price) => plans::sql::plan_of_price(connection, &price).await?.map(|(code, _)| code),
        None => None,
    };
    let usage = match &invoice.subscription_id {
        Some(subscription) => sql::usage_in(connection, scope, subscription, line.period).await?,
        None => Vec::new(),
    };
    Ok(ExplainedLine { line: line.clone(), plan_code, usage })
}
