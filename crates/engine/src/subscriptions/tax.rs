//! Where an org is taxed and by which tax ids, and switching tax on for what is subscribed to already.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use tollgate_connectors::billing::{TaxAddress, TaxIdFact, TaxIdGiven};
use tollgate_rules::ids::{CustomerId, SubscriptionId};

use super::Error;
use super::create::standing;
use super::sync::stop;
use crate::access::OrgScope;
use crate::audit;
use crate::db;
use crate::engine::Engine;
use crate::operations::{self, Kind, NewOperation, Run, Stop};

/// Tax ids of one org: billing keeps no more.
const TAX_IDS_MAX: usize = 5;
/// Bytes of one part of an address, or of a tax id.
const PART_BYTES_MAX: usize = 200;

/// What billing knows about an org for taxing it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaxDetails {
    /// Where it is.
    pub address: Option<TaxAddress>,
    /// Its tax ids.
    pub tax_ids: Vec<TaxIdFact>,
}

/// What is to be known; what is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewTaxDetails {
    /// Where the org is, in place of what was known.
    pub address: Option<TaxAddress>,
    /// Its tax ids, in place of all there were.
    pub tax_ids: Option<Vec<TaxIdGiven>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Frozen {
    customer_id: CustomerId,
    wanted: NewTaxDetails,
}

/// What billing knows, as it has it now.
///
/// # Errors
/// [`Error::NoCustomer`], [`Error::BillingUnavailable`].
pub async fn tax_details(engine: &Engine, scope: &OrgScope) -> Result<TaxDetails, Error> {
    let customer = standing(engine, scope).await?.customer.filter(|customer| !customer.deleted);
    let id = customer.ok_or(Error::NoCustomer)?.customer_id;
    let (address, tax_ids) = tokio::try_join!(engine.billing().tax_address(&id), engine.billing().tax_ids(&id))?;
    Ok(TaxDetails { address, tax_ids })
}

/// Tells billing where an org is and by which tax ids it is taxed; what billing knows then.
///
/// # Errors
/// [`Error::BadTaxDetails`] names the part that is wrong, also where billing says so: parts before it may be in force then.
/// [`Error::NoCustomer`]; [`Error::NoPlace`] where tax cannot be worked out at this address; [`Error::BillingUnavailable`]: it will
/// be set by itself.
pub async fn set_tax_details(engine: &Engine, scope: &OrgScope, wanted: &NewTaxDetails) -> Result<TaxDetails, Error> {
    check(wanted)?;
    let customer = standing(engine, scope).await?.customer.filter(|customer| !customer.deleted);
    let frozen = Frozen { customer_id: customer.ok_or(Error::NoCustomer)?.customer_id, wanted: wanted.clone() };
    let body = serde_json::to_value(&frozen).map_err(|error| db::Error::Bug(error.to_string()))?;
    let operation = NewOperation { kind: Kind::TaxSet, dedupe_key: "tax".to_owned(), body: body.clone() };
    let (inner, by) = (engine.clone(), scope.clone());
    // The journal says that it was set, and by whom; the address itself stays at billing.
    let after = json!({ "address": wanted.address.is_some(), "taxIds": wanted.tax_ids.as_ref().map(Vec::len) });
    let begin = async move {
        let mut tx = inner.begin_for(&by).await?;
        let begun = operations::begin(&inner, &mut tx, &by, operation).await?;
        if matches!(begun, operations::Begun::New(_)) {
            let entry = audit::Entry::of(&by, "payments.tax.set", frozen.customer_id.as_str()).after(after);
            audit::append(&inner, &mut tx, entry).await?;
        }
        tx.commit().await?;
        Ok::<_, db::Error>(begun)
    };
    let begun = engine.db().detached(begin).await?;
    if let operations::Begun::Running(other) = &begun
        && other.body != body
    {
        return Err(Error::Busy(other.operation_id.clone()));
    }
    operations::drive(engine, begun).await?;
    tax_details(engine, scope).await
}

fn check(wanted: &NewTaxDetails) -> Result<(), Error> {
    let written = |text: &str| !text.is_empty() && text.len() <= PART_BYTES_MAX && !text.chars().any(char::is_control);
    if let Some(address) = &wanted.address {
        let country = &address.country;
        if country.len() != 2 || !country.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(Error::BadTaxDetails("address/country"));
        }
        let parts = [
            ("address/state", &address.state),
            ("address/postalCode", &address.postal_code),
            ("address/city", &address.city),
            ("address/line1", &address.line1),
            ("address/line2", &address.line2),
        ];
        if let Some((name, _)) = parts.into_iter().find(|(_, part)| part.as_deref().is_some_and(|text| !written(text)))
        {
            return Err(Error::BadTaxDetails(name));
        }
    }
    let ids = wanted.tax_ids.as_deref().unwrap_or_default();
    let word = |kind: &str| written(kind) && kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if ids.len() > TAX_IDS_MAX || ids.iter().any(|id| !word(&id.kind) || !written(&id.value)) {
        return Err(Error::BadTaxDetails("taxIds"));
    }
    Ok(())
}

/// The steps of the operation.
pub(crate) async fn advance(run: &mut Run<'_>) -> Result<Value, Stop> {
    let frozen: Frozen = run.body()?;
    let customer_id = frozen.customer_id;
    if let Some(address) = frozen.wanted.address {
        let (engine, customer_id) = (run.engine().clone(), customer_id.clone());
        run.step("address", |key| async move {
            engine.billing().set_tax_address(&key, &customer_id, &address).await.map_err(stop)
        })
        .await?;
    }
    let Some(wanted) = frozen.wanted.tax_ids else { return Ok(Value::Null) };
    let (engine, of) = (run.engine().clone(), customer_id.clone());
    let known: Vec<(String, TaxIdGiven)> = run
        .step("known", |_| async move {
            let known = engine.billing().tax_ids(&of).await.map_err(stop)?;
            Ok(known.into_iter().map(|fact| (fact.tax_id, fact.given)).collect())
        })
        .await?;
    // New ones first: one that is refused leaves the org with those it had.
    let looks_first = super::keys_are_forgotten(run);
    for (place, new) in wanted.iter().enumerate().filter(|(_, new)| !known.iter().any(|(_, given)| given == *new)) {
        let (engine, of, new) = (run.engine().clone(), customer_id.clone(), new.clone());
        run.step(&format!("create:{place}"), |key| async move {
            let there =
                looks_first && engine.billing().tax_ids(&of).await.map_err(stop)?.iter().any(|fact| fact.given == new);
            if there { Ok(()) } else { engine.billing().create_tax_id(&key, &of, &new).await.map_err(stop) }
        })
        .await?;
    }
    for (tax_id, _) in known.into_iter().filter(|(_, given)| !wanted.contains(given)) {
        let (engine, of) = (run.engine().clone(), customer_id.clone());
        run.step(&format!("delete:{tax_id}"), |_| async move {
            engine.billing().delete_tax_id(&of, &tax_id).await.map_err(stop)
        })
        .await?;
    }
    Ok(Value::Null)
}

/// Lets a subscription be taxed by where its customer is, where it is not yet: what is sold from now on is taxed, also to those who
/// subscribed before tax was switched on.
pub(super) async fn switch_on(run: &mut Run<'_>, subscription_id: &SubscriptionId) -> Result<(), Stop> {
    let (engine, id) = (run.engine().clone(), subscription_id.clone());
    run.step("tax", |key| async move {
        if engine.billing().has_automatic_tax(&id).await.map_err(stop)? {
            return Ok(());
        }
        engine.billing().switch_on_tax(&key, &id).await.map_err(stop)
    })
    .await
}
