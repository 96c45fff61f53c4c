//! Stripe's resources: one file each, tied together by a table of routes.
//!
//! A route is a method, a path, the shape of its parameters and a plain function. A new resource is one file with a
//! `ROUTES` constant and one line in [`TABLES`].

mod balance_transactions;
mod charges;
pub(crate) mod checkout_completion;
pub(crate) mod checkout_sessions;
mod collection;
pub(crate) mod coupons;
mod credit_note_lines;
mod credit_notes;
mod customers;
pub(crate) mod discounts;
mod events;
mod invoice_drafts;
mod invoice_items;
mod invoice_payments;
mod invoice_stages;
mod invoices;
mod life;
mod lists;
mod metered;
mod meters;
mod one_off_invoices;
mod payment_intents;
pub(crate) mod payment_methods;
pub(crate) mod portal_configurations;
pub(crate) mod portal_sessions;
pub(crate) mod prices;
mod products;
mod promotion_codes;
pub(crate) mod proration;
mod refunds;
mod setup_intents;
mod subscription_changes;
mod subscription_pauses;
mod subscription_schedules;
mod subscription_starts;
mod subscriptions;
mod tax_ids;
mod tax_rates;
mod taxes;
pub(crate) mod test_clocks;
pub(crate) mod webhook_endpoints;

use serde_json::Value;

pub(crate) use payment_intents::authenticated;
pub(crate) use proration::printed as printed_amount;

use crate::api_error::ApiError;
use crate::desk::{Desk, Done};

/// One call being answered.
pub(crate) struct Call<'a, 'd> {
    pub(crate) desk: &'a mut Desk<'d>,
    /// The checked parameters.
    pub(crate) params: Value,
    /// What stood in the path's `{…}`.
    pub(crate) ids: Vec<String>,
}

impl Call<'_, '_> {
    /// The path's first id.
    pub(crate) fn id(&self) -> &str {
        self.ids.first().map_or("", String::as_str)
    }

    /// Whether a parameter was given.
    pub(crate) fn has(&self, param: &str) -> bool {
        self.params.get(param).is_some()
    }
}

/// One route of the API.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    /// See `shape.rs`; `expand` is understood everywhere.
    params: &'static str,
    /// What every route of its sort takes.
    standard: &'static str,
    pub(crate) run: fn(&mut Call<'_, '_>) -> Done,
}

impl Route {
    pub(crate) const fn new(
        method: &'static str,
        path: &'static str,
        params: &'static str,
        run: fn(&mut Call<'_, '_>) -> Done,
    ) -> Self {
        Self { method, path, params, standard: "expand:[str]", run }
    }

    /// A `GET` that answers a cursor list.
    pub(crate) const fn list(path: &'static str, params: &'static str, run: fn(&mut Call<'_, '_>) -> Done) -> Self {
        Self { method: "GET", path, params, standard: "limit:int starting_after ending_before expand:[str]", run }
    }

    /// The shape of its parameters.
    pub(crate) fn shape(&self) -> String {
        format!("{} {}", self.params, self.standard)
    }
}

/// Every route there is.
const TABLES: &[&[Route]] = &[
    balance_transactions::ROUTES,
    charges::ROUTES,
    checkout_sessions::ROUTES,
    coupons::ROUTES,
    credit_notes::ROUTES,
    customers::ROUTES,
    events::ROUTES,
    invoice_items::ROUTES,
    invoice_payments::ROUTES,
    invoices::ROUTES,
    metered::ROUTES,
    meters::ROUTES,
    one_off_invoices::ROUTES,
    payment_intents::ROUTES,
    payment_methods::ROUTES,
    portal_configurations::ROUTES,
    portal_sessions::ROUTES,
    prices::ROUTES,
    products::ROUTES,
    promotion_codes::ROUTES,
    refunds::ROUTES,
    setup_intents::ROUTES,
    subscription_pauses::ROUTES,
    subscription_schedules::ROUTES,
    subscriptions::ROUTES,
    tax_ids::ROUTES,
    tax_rates::ROUTES,
    test_clocks::ROUTES,
    webhook_endpoints::ROUTES,
];

/// Does what a call with these parameters would, inside the transaction at hand: for pages, and for what one resource asks of another.
///
/// # Errors
/// The route's.
pub(crate) fn ask(desk: &mut Desk<'_>, method: &str, path: &str, params: Value) -> Done {
    let (route, ids) = route(method, path).ok_or_else(|| ApiError::no_route(method, path))?;
    (route.run)(&mut Call { desk, params, ids })
}

/// Finds the route of a call and the ids in its path; fixed segments win over `{…}`.
pub(crate) fn route(method: &str, path: &str) -> Option<(&'static Route, Vec<String>)> {
    let matches = |route: &'static Route| Some((route, ids(route.path, path)?));
    let routes = TABLES.iter().flat_map(|table| table.iter()).filter(|route| route.method == method);
    routes.filter_map(matches).min_by_key(|(_, ids)| ids.len())
}

fn ids(pattern: &str, path: &str) -> Option<Vec<String>> {
    let (mut patterns, mut segments) = (pattern.split('/'), path.split('/'));
    let mut ids = Vec::new();
    loop {
        match (patterns.next(), segments.next()) {
            (None, None) => return Some(ids),
            (Some(pattern), Some(segment)) if pattern.starts_with('{') && !segment.is_empty() => {
                ids.push(segment.to_owned())
            }
            (Some(pattern), Some(segment)) if pattern == segment => {}
            _ => return None,
        }
    }
}

/// Carries out something that was on the agenda.
pub(crate) fn perform(desk: &mut Desk<'_>, task: &str, object: &str) -> Done<()> {
    match task {
        life::CYCLE => life::period_ends(desk, object),
        life::TRIAL_WILL_END => life::trial_will_end(desk, object),
        life::CANCEL => life::cancellation_falls_due(desk, object),
        life::EXPIRE => life::first_payment_never_came(desk, object),
        subscription_changes::EXPIRE => subscription_changes::pending_update_expires(desk, object),
        collection::FINALIZE => collection::finalize_and_collect(desk, object),
        collection::RETRY => collection::retry(desk, object),
        tax_ids::VERIFY => tax_ids::verify(desk, object),
        refunds::FAIL => refunds::fail(desk, object),
        checkout_sessions::EXPIRE => checkout_sessions::expires(desk, object),
        task => {
            tracing::error!(task, object, "an unknown task stood on the sandbox's agenda");
            Ok(())
        }
    }
}
