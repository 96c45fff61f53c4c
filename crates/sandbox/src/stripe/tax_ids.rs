//! Tax ids of customers, with a verification that comes a little later.
//!
//! Values for tests, as Stripe documents them: `…000000000` is verified, `…111111111` is not, `…222222222` stays pending.
//! Only kinds that Stripe verifies (`eu_vat`, `gb_vat`, `au_abn`) get one; others are `unavailable`.

use serde_json::json;

use super::lists::list;
use super::{Call, Route};
use crate::api_error::ApiError;
use crate::desk::{Desk, Done, clock_of, id_in, text};
use crate::store::Keys;

/// Task: the register answers.
pub(super) const VERIFY: &str = "tax_id.verify";

const CREATE: &str = "type!:(au_abn,br_cnpj,ca_bn,ca_gst_hst,ch_vat,eu_vat,gb_vat,in_gst,jp_cn,mx_rfc,no_vat,nz_gst,sg_gst,us_ein,za_vat) value!";

pub(super) const ROUTES: &[Route] = &[
    Route::new("POST", "/v1/customers/{id}/tax_ids", CREATE, create),
    Route::list("/v1/customers/{id}/tax_ids", "", index),
    Route::new("GET", "/v1/customers/{id}/tax_ids/{id}", "", retrieve),
    Route::new("DELETE", "/v1/customers/{id}/tax_ids/{id}", "", delete),
];

/// How long a register takes to answer.
const VERIFY_SECONDS: i64 = 30;

fn create(call: &mut Call<'_, '_>) -> Done {
    let id = call.id().to_owned();
    let customer = call.desk.need("customer", &id)?;
    let (kind, value) = (text(&call.params, "type").to_owned(), text(&call.params, "value").to_owned());
    if !well_formed(&kind, &value) {
        let message = format!("Invalid value for {kind}.");
        return Err(ApiError::invalid(message).code("tax_id_invalid").param("value"));
    }
    let created = call.desk.now_of(&customer)?;
    let verifiable = matches!(kind.as_str(), "eu_vat" | "gb_vat" | "au_abn");
    let tax_id = call.desk.id("txi_", 24)?;
    let tax_id = json!({
        "id": tax_id, "object": "tax_id", "country": country(&kind, &value), "created": created, "customer": customer["id"],
        "customer_account": null, "livemode": false,
        "owner": { "customer": customer["id"], "customer_account": null, "type": "customer" }, "type": kind, "value": value,
        "verification": {
            "status": if verifiable { "pending" } else { "unavailable" }, "verified_address": null, "verified_name": null,
        },
        "_clock": clock_of(&customer),
    });
    if verifiable {
        call.desk.appoint(&tax_id, VERIFY, created + VERIFY_SECONDS)?;
    }
    call.desk.create(tax_id, "customer.tax_id.created")
}

fn well_formed(kind: &str, value: &str) -> bool {
    let plain = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" .-/".contains(&byte));
    let (head, tail) = value.split_at_checked(2).unwrap_or(("", ""));
    match kind {
        "eu_vat" | "gb_vat" => {
            head.bytes().all(|byte| byte.is_ascii_uppercase())
                && (8..=12).contains(&tail.len())
                && tail.bytes().all(|byte| byte.is_ascii_alphanumeric())
        }
        "au_abn" => value.len() == 11 && value.bytes().all(|byte| byte.is_ascii_digit()),
        _ => plain && (4..=40).contains(&value.len()),
    }
}

fn country(kind: &str, value: &str) -> String {
    let from = if kind == "eu_vat" { value } else { kind };
    from.get(..2).unwrap_or_default().to_uppercase()
}

/// The register answers.
pub(super) fn verify(desk: &mut Desk<'_>, id: &str) -> Done<()> {
    let before = desk.need("tax_id", id)?;
    let value = text(&before, "value");
    let status = if value.contains("222222222") {
        return Ok(());
    } else if value.contains("111111111") {
        "unverified"
    } else {
        "verified"
    };
    let mut after = before.clone();
    after["verification"]["status"] = status.into();
    if status == "verified" {
        after["verification"]["verified_name"] = "Sandbox Verified".into();
    }
    desk.change(&before, after, "customer.tax_id.updated").map(drop)
}

fn retrieve(call: &mut Call<'_, '_>) -> Done {
    let id = call.ids.get(1).cloned().unwrap_or_default();
    let tax_id = call.desk.need("tax_id", &id)?;
    if id_in(&tax_id["customer"]) == Some(call.id()) { Ok(tax_id) } else { Err(ApiError::missing("tax_id", &id)) }
}

fn index(call: &mut Call<'_, '_>) -> Done {
    let customer = call.id().to_owned();
    call.desk.need("customer", &customer)?;
    let keys = Keys { kind: "tax_id", customer: Some(&customer), ..Keys::default() };
    list(call, &keys, &format!("/v1/customers/{customer}/tax_ids"), |_| true)
}

fn delete(call: &mut Call<'_, '_>) -> Done {
    let tax_id = retrieve(call)?;
    let id = text(&tax_id, "id").to_owned();
    call.desk.emit("customer.tax_id.deleted", &tax_id, None)?;
    call.desk.tx.clear_agenda(&id)?;
    call.desk.tx.delete_object(&id)?;
    Ok(json!({ "id": id, "object": "tax_id", "deleted": true }))
}
