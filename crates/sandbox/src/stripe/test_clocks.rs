//! Test clocks: frozen times of their own, moved only by `advance`. The main clock is not one of them.

use serde_json::{Value, json};

use super::lists::list;
use super::{Call, Route};
use crate::api_error::ApiError;
use crate::calendar::{DAY, TIME_MAX};
use crate::desk::{Desk, Done, int, text};
use crate::store::Keys;

pub(super) const ROUTES: &[Route] = &[
    Route::new("POST", "/v1/test_helpers/test_clocks", "frozen_time!:int name", create),
    Route::list("/v1/test_helpers/test_clocks", "", index),
    Route::new("GET", "/v1/test_helpers/test_clocks/{id}", "", retrieve),
    Route::new("DELETE", "/v1/test_helpers/test_clocks/{id}", "", delete),
    Route::new("POST", "/v1/test_helpers/test_clocks/{id}/advance", "frozen_time!:int", advance),
];

/// How long Stripe keeps a test clock.
const KEPT_DAYS: i64 = 30;

fn create(call: &mut Call<'_, '_>) -> Done {
    let frozen = int(&call.params, "frozen_time");
    if !(0..=TIME_MAX).contains(&frozen) {
        return Err(ApiError::invalid("Invalid timestamp").param("frozen_time"));
    }
    let created = call.desk.now(None)?;
    let id = call.desk.id("clock_", 24)?;
    let clock = json!({
        "id": id, "object": "test_helpers.test_clock", "created": created, "deletes_after": created + KEPT_DAYS * DAY,
        "frozen_time": frozen, "livemode": false, "name": call.params.get("name").cloned().unwrap_or_default(),
        "status": "ready", "status_details": {}, "_clock": id,
    });
    // An event about a clock carries that clock's time, so the clock is stored first.
    call.desk.insert(&clock)?;
    call.desk.emit("test_helpers.test_clock.created", &clock, None)?;
    Ok(clock)
}

fn advance(call: &mut Call<'_, '_>) -> Done {
    let mut clock = retrieve(call)?;
    let target = int(&call.params, "frozen_time");
    if clock["status"] != "ready" {
        return Err(ApiError::invalid("This test clock is already advancing.").code("test_clock_advancing"));
    }
    if target <= int(&clock, "frozen_time") || target > TIME_MAX {
        let message = "You can only advance a test clock to a time later than its current frozen time.";
        return Err(ApiError::invalid(message).param("frozen_time"));
    }
    clock["status"] = "advancing".into();
    clock["status_details"] = json!({ "advancing": { "target_frozen_time": target } });
    clock["_target"] = target.into();
    call.desk.save(&clock)?;
    call.desk.emit("test_helpers.test_clock.advancing", &clock, None)?;
    Ok(clock)
}

/// Sets an advancing clock to `at` seconds; at its target it is ready again.
pub(crate) fn set(desk: &mut Desk<'_>, id: &str, at: i64) -> Done<()> {
    let mut clock = desk.need("test clock", id)?;
    clock["frozen_time"] = at.into();
    desk.save(&clock)
}

/// Ends an advance that has carried out everything due.
pub(crate) fn arrived(desk: &mut Desk<'_>, id: &str) -> Done<()> {
    let mut clock = desk.need("test clock", id)?;
    clock["frozen_time"] = clock["_target"].clone();
    clock["status"] = "ready".into();
    clock["status_details"] = json!({});
    desk.save(&clock)?;
    desk.emit("test_helpers.test_clock.ready", &clock, None)
}

/// A clock that is on its way, and where to.
pub(crate) fn advancing(desk: &mut Desk<'_>) -> Done<Option<(String, i64)>> {
    let clocks = desk.all("test_helpers.test_clock", None, Some("advancing"))?;
    Ok(clocks.first().map(|clock| (text(clock, "id").to_owned(), int(clock, "_target"))))
}

fn retrieve(call: &mut Call<'_, '_>) -> Done {
    let id = call.id().to_owned();
    call.desk.need("test clock", &id)
}

fn index(call: &mut Call<'_, '_>) -> Done {
    list(call, &Keys { kind: "test_helpers.test_clock", ..Keys::default() }, "/v1/test_helpers/test_clocks", |_| true)
}

/// Removes the clock with every customer on it.
fn delete(call: &mut Call<'_, '_>) -> Done {
    let clock = retrieve(call)?;
    let id = text(&clock, "id").to_owned();
    call.desk.emit("test_helpers.test_clock.deleted", &clock, None)?;
    call.desk.tx.delete_clock(&id)?;
    Ok(Value::from_iter([
        ("id", Value::from(id)),
        ("object", "test_helpers.test_clock".into()),
        ("deleted", true.into()),
    ]))
}
