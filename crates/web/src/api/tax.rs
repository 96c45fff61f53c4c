//! Where an org is taxed, and by which tax ids.

use serde::{Deserialize, Serialize};
use tollgate_engine::subscriptions::{self, NewTaxDetails, TaxAddress, TaxDetails, TaxIdFact, TaxIdGiven};
use tollgate_rules::access::Permission;
use utoipa::{IntoParams, ToSchema};

use super::billing::refused;
use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::errors;
use crate::routes::{Access, Route, Spec};

pub(crate) fn routes() -> Vec<Route> {
    let (read, write) = (Access::Org(Permission::BillingRead), Access::Org(Permission::BillingWrite));
    vec![
        Route::with::<__path_set_tax, _, _>(Spec::change(write), set_tax).refuses(&[
            errors::BILLING_UNAVAILABLE,
            errors::CONFLICT,
            errors::NO_CUSTOMER,
            errors::TAX_LOCATION_NEEDED,
        ]),
        Route::new::<__path_get_tax, _, _>(read, get_tax).refuses(&[errors::BILLING_UNAVAILABLE, errors::NO_CUSTOMER]),
    ]
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TaxBody {
    /// The org; may be left out with a key of one org.
    org_id: Option<String>,
    /// Where it is, in place of what was known; as it was when left out.
    address: Option<TaxPlace>,
    /// Its tax ids, at most five, in place of all there were; as they were when left out.
    tax_ids: Option<Vec<TaxNumber>>,
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TaxPlace {
    /// ISO 3166, two capital letters (`DE`).
    country: String,
    /// State, province or region, where tax depends on it.
    state: Option<String>,
    /// Postal code.
    postal_code: Option<String>,
    /// City.
    city: Option<String>,
    /// Street and number.
    line1: Option<String>,
    /// What goes below them.
    line2: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TaxNumber {
    /// Which kind, in Stripe's words (`eu_vat`, `gb_vat`, `au_abn`).
    r#type: String,
    /// As the authority wrote it.
    value: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TaxAnswer {
    /// Where the org is, as far as Stripe knows.
    address: Option<TaxPlace>,
    /// Its tax ids.
    tax_ids: Vec<KnownTaxNumber>,
}

#[derive(Serialize, ToSchema)]
struct KnownTaxNumber {
    /// Stripe's id of it.
    id: String,
    /// Which kind.
    r#type: String,
    /// As it was given.
    value: String,
    /// What the register said: `pending`, `verified`, `unverified` or `unavailable`.
    verification: Option<String>,
}

impl From<TaxPlace> for TaxAddress {
    fn from(place: TaxPlace) -> TaxAddress {
        let TaxPlace { country, state, postal_code, city, line1, line2 } = place;
        TaxAddress { country, state, postal_code, city, line1, line2 }
    }
}

impl From<TaxAddress> for TaxPlace {
    fn from(address: TaxAddress) -> TaxPlace {
        let TaxAddress { country, state, postal_code, city, line1, line2 } = address;
        TaxPlace { country, state, postal_code, city, line1, line2 }
    }
}

impl From<TaxIdFact> for KnownTaxNumber {
    fn from(fact: TaxIdFact) -> KnownTaxNumber {
        let TaxIdFact { tax_id, given, status } = fact;
        KnownTaxNumber { id: tax_id, r#type: given.kind, value: given.value, verification: status }
    }
}

impl From<TaxDetails> for TaxAnswer {
    fn from(details: TaxDetails) -> TaxAnswer {
        TaxAnswer {
            address: details.address.map(TaxPlace::from),
            tax_ids: details.tax_ids.into_iter().map(KnownTaxNumber::from).collect(),
        }
    }
}

/// Sets where the org is taxed and its tax ids (VAT, GST)
///
/// What Stripe checks at a register stays `pending` for a while. Customers set the same in the portal, and at checkout.
#[utoipa::path(post, path = "/api/payments/tax.set", tag = "billing", request_body = TaxBody,
    responses((status = 200, description = "What Stripe knows now", body = TaxAnswer)))]
async fn set_tax(call: Call) -> Result<Answer, ApiError> {
    let body: TaxBody = call.json()?;
    let scope = call.org(body.org_id.as_deref()).await?;
    let given = |id: TaxNumber| TaxIdGiven { kind: id.r#type, value: id.value };
    let wanted = NewTaxDetails {
        address: body.address.map(TaxAddress::from),
        tax_ids: body.tax_ids.map(|ids| ids.into_iter().map(given).collect()),
    };
    let details = subscriptions::set_tax_details(call.app.engine(), &scope, &wanted).await.map_err(refused)?;
    Ok(Answer::data(&TaxAnswer::from(details)))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TaxQuery {
    /// The org; may be left out with a key of one org.
    org_id: Option<String>,
}

/// Tells where the org is taxed, and its tax ids
#[utoipa::path(get, path = "/api/payments/tax.get", tag = "billing", params(TaxQuery),
    responses((status = 200, description = "What Stripe knows", body = TaxAnswer)))]
async fn get_tax(call: Call) -> Result<Answer, ApiError> {
    let query: TaxQuery = call.query()?;
    let scope = call.org(query.org_id.as_deref()).await?;
    let details = subscriptions::tax_details(call.app.engine(), &scope).await.map_err(refused)?;
    Ok(Answer::data(&TaxAnswer::from(details)))
}
