//! `/`, the start page of `tollgate dev`: the demo org's usage, its plan, its last denials, lines to copy, and buttons that
//! move the clock.
//!
//! It shows a key without asking for one, so it is only for a browser on this machine ([`Access::Local`]); its buttons are
//! plain forms, taken only from this page itself.

use askama::Template;
use http::header::{HeaderValue, LOCATION, ORIGIN};
use tollgate_engine::orgs;
use tollgate_engine::subscriptions::{self, Entitlements};
use tollgate_rules::access::Permission;

use super::docs::render;
use crate::answer::Answer;
use crate::api::{clock, usage};
use crate::api_error::ApiError;
use crate::call::Call;
use crate::denials::Denied;
use crate::routes::{Access, Route, Spec};
use crate::state::{Advance, Demo};
use crate::{caller, errors, failures};

/// Path and label of each button.
const BUTTONS: &[(&str, &str)] =
    &[("1h", "1 hour"), ("1d", "1 day"), ("14d", "14 days"), ("1mo", "1 month"), ("next", "To the next event")];

pub(crate) fn routes() -> Vec<Route> {
    let press = Spec { body_bytes_max: 0, ..Spec::new(Access::Local) };
    vec![
        Route::new::<__path_start, _, _>(Access::Local, start).in_dev_only(),
        Route::with::<__path_press, _, _>(press, self::press).in_dev_only().refuses(&[errors::CONFLICT]),
    ]
}

#[derive(Template)]
#[template(path = "start.html")]
struct StartPage {
    name: String,
    org_id: String,
    key: String,
    base_url: String,
    now: String,
    plan: String,
    status: String,
    period: Option<String>,
    usage: Option<Bar>,
    denials: Vec<Denied>,
    clock: bool,
    buttons: &'static [(&'static str, &'static str)],
    told: Option<String>,
}

struct Bar {
    metric: &'static str,
    used: i64,
    total: i64,
    high: i64,
    used_text: String,
    total_text: String,
    remaining_text: String,
}

/// The start page
#[utoipa::path(get, path = "/", tag = "pages", responses((status = 200, description = "A page", content_type = "text/html", body = String)))]
async fn start(call: Call) -> Result<Answer, ApiError> {
    match call.app.state().demo.clone() {
        Some(demo) => render(&page(&call, demo).await?),
        None => Ok(Answer::bytes(crate::answer::HTML, bytes::Bytes::new())
            .with_status(303)
            .with_header(LOCATION, HeaderValue::from_static("/docs"))),
    }
}

async fn page(call: &Call, demo: Demo) -> Result<StartPage, ApiError> {
    let scope = call.org_for(Permission::EntitlementsRead, Some(&demo.org_id)).await?;
    let org = orgs::get(call.app.engine(), &scope).await.map_err(|error| {
        tracing::warn!(%error, "the demo org could not be read");
        ApiError::unavailable()
    })?;
    let found = subscriptions::entitlements(call.app.engine(), &scope, None).await;
    let entitlements = found.map_err(|error| failures::database(&error))?;
    let state = call.app.state();
    Ok(StartPage {
        denials: call.app.denials().of(&org.name),
        name: org.name,
        org_id: demo.org_id,
        key: demo.key,
        base_url: state.base_url.clone(),
        now: call.app.now().to_string(),
        plan: plan(&entitlements),
        status: entitlements.status.map_or("none", |status| status.as_str()).to_owned(),
        period: entitlements.period.map(|period| format!("{} to {}", period.start, period.end)),
        usage: bar(&entitlements),
        clock: state.time_machine.is_some(),
        buttons: BUTTONS,
        told: None,
    })
}

fn plan(entitlements: &Entitlements) -> String {
    match (&entitlements.plan_code, &entitlements.trial_of) {
        (Some(plan), Some(tried)) => format!("{plan} of {tried}"),
        (Some(plan), None) => plan.to_string(),
        (None, _) => "none".to_owned(),
    }
}

fn bar(entitlements: &Entitlements) -> Option<Bar> {
    let numbers = entitlements.metric(usage::MAIN_METRIC)?;
    let total = numbers.included?.saturating_add(numbers.granted);
    Some(Bar {
        metric: usage::MAIN_METRIC,
        used: numbers.used,
        total,
        high: total.saturating_mul(9) / 10,
        used_text: grouped(numbers.used),
        total_text: grouped(total),
        remaining_text: grouped(numbers.remaining.unwrap_or(0)),
    })
}

/// A whole number with a comma between thousands.
fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = if number < 0 { "-".to_owned() } else { String::new() };
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A button of the start page: moves the clock, then shows the page again
#[utoipa::path(post, path = "/clock/{by}", tag = "pages", params(("by" = String, Path, description = "How far, or `next`")),
    responses((status = 303, description = "Back to the start page")))]
async fn press(call: Call) -> Result<Answer, ApiError> {
    if !from_this_page(&call) {
        return Err(ApiError::new(&errors::FORBIDDEN, "This button is pressed on the start page."));
    }
    let by = call.path_after("/clock/")?;
    let advance = match BUTTONS.iter().find(|(path, _)| *path == by) {
        Some(("next", _)) => Advance::ToNext,
        Some((path, _)) => Advance::By((*path).to_owned()),
        None => return Err(ApiError::not_found()),
    };
    caller::require_operator(&call.caller, Permission::ClockAdvance)?;
    let machine = call.app.state().time_machine.clone().ok_or_else(ApiError::not_found)?;
    (machine.advance)(advance).await.map_err(clock::refused)?;
    Ok(Answer::bytes(crate::answer::HTML, bytes::Bytes::new())
        .with_status(303)
        .with_header(LOCATION, HeaderValue::from_static("/")))
}

/// A browser names where a form was sent from; a page of another origin cannot press our buttons.
fn from_this_page(call: &Call) -> bool {
    let host = call.header("host").unwrap_or_default();
    match (call.header("sec-fetch-site"), call.header(ORIGIN.as_str())) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => origin.split_once("://").is_some_and(|(_, from)| from == host),
        (None, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(
            ["0", "997", "1,000", "1,234,567"],
            [0, 997, 1000, 1_234_567].map(grouped).each_ref().map(String::as_str)
        );
    }
}
