//! Tax rates: what is configured by hand, and what automatic tax picks from by the customer's country and state.

use serde_json::{Value, json};

use super::lists::{created_fits, equals, list};
use super::{Call, Route, coupons, proration};
use crate::api_error::ApiError;
use crate::desk::{Desk, Done, merge_metadata, text, text_or_null};
use crate::store::Keys;

const CREATE: &str = "display_name! inclusive!:bool percentage!:dec active:bool country state jurisdiction description \
    tax_type:(gst,hst,igst,jct,pst,qst,rst,sales_tax,service_tax,vat) metadata:map";
const UPDATE: &str = "display_name active:bool country state jurisdiction description \
    tax_type:(gst,hst,igst,jct,pst,qst,rst,sales_tax,service_tax,vat) metadata:map";

pub(super) const ROUTES: &[Route] = &[
    Route::new("POST", "/v1/tax_rates", CREATE, create),
    Route::list("/v1/tax_rates", "active:bool inclusive:bool created:int|{gt:int gte:int lt:int lte:int}", index),
    Route::new("GET", "/v1/tax_rates/{id}", "", retrieve),
    Route::new("POST", "/v1/tax_rates/{id}", UPDATE, update),
];

fn create(call: &mut Call<'_, '_>) -> Done {
    let params = call.params.clone();
    let percentage = proration::scaled(text(&params, "percentage"));
    if !(0..=proration::scaled("100")).contains(&percentage) {
        return Err(ApiError::invalid("Invalid percentage: must be between 0 and 100.").param("percentage"));
    }
    let created = call.desk.now(None)?;
    let id = call.desk.id("txr_", 24)?;
    let mut rate = json!({
        "id": id, "object": "tax_rate", "active": true, "country": null, "created": created, "description": null,
        "display_name": "", "effective_percentage": null, "flat_amount": null, "inclusive": params["inclusive"],
        "jurisdiction": null, "jurisdiction_level": null, "livemode": false, "metadata": {},
        "percentage": coupons::number(&params["percentage"])?, "rate_type": "percentage", "state": null, "tax_type": null,
    });
    apply(&mut rate, &params);
    call.desk.create(rate, "tax_rate.created")
}

fn apply(rate: &mut Value, params: &Value) {
    for member in ["display_name", "country", "state", "jurisdiction", "description", "tax_type"] {
        if params.get(member).is_some() {
            rate[member] = text_or_null(params, member);
        }
    }
    if let Some(active) = params.get("active") {
        rate["active"] = active.clone();
    }
    if let Some(metadata) = params.get("metadata") {
        rate["metadata"] = merge_metadata(&rate["metadata"], metadata);
    }
}

/// The rates that a list of ids in a parameter names; nothing for the empty string.
pub(super) fn named(desk: &mut Desk<'_>, given: &Value, param: &str) -> Done<Vec<Value>> {
    let mut rates = Vec::new();
    for id in given.as_array().into_iter().flatten().filter_map(Value::as_str) {
        let rate = desk.need_param("tax_rate", id, param)?;
        if rate["active"] != true {
            return Err(ApiError::invalid(format!("Tax rate '{id}' is archived.")).param(param));
        }
        rates.push(rate);
    }
    Ok(rates)
}

/// What automatic tax charges in a place: the active rates of its country, and of its state where a rate names one.
pub(super) fn in_place(desk: &mut Desk<'_>, country: &str, state: Option<&str>) -> Done<Vec<Value>> {
    let mut rates = desk.all("tax_rate", None, None)?;
    rates.retain(|rate| {
        rate["active"] == true
            && rate["country"].as_str() == Some(country)
            && rate["state"].as_str().is_none_or(|wanted| Some(wanted) == state)
    });
    Ok(rates)
}

fn retrieve(call: &mut Call<'_, '_>) -> Done {
    let id = call.id().to_owned();
    call.desk.need("tax_rate", &id)
}

fn index(call: &mut Call<'_, '_>) -> Done {
    let params = call.params.clone();
    let keys = Keys { kind: "tax_rate", ..Keys::default() };
    list(call, &keys, "/v1/tax_rates", |rate| {
        equals(rate, "active", &params) && equals(rate, "inclusive", &params) && created_fits(rate, &params["created"])
    })
}

fn update(call: &mut Call<'_, '_>) -> Done {
    let before = retrieve(call)?;
    let mut after = before.clone();
    apply(&mut after, &call.params);
    call.desk.change(&before, after, "tax_rate.updated")
}
