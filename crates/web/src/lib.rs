//! HTTP and pages in front of the engine. No decisions are made here, no SQL is spoken, no provider is known.
//!
//! A request meets three things: the table of routes ([`routes`]), the one layer around every handler ([`call`]), and a handler in
//! `api/<noun>.rs` (JSON) or `console/<page>.rs` (HTML): extract, build the engine's input, call one engine function, render.
//! Every route declares its permission in the table; the OpenAPI document and the API browser are printed from the same table.

mod answer;
mod api;
mod api_error;
mod body;
mod call;
mod caller;
mod console;
mod decision;
mod decode;
mod denials;
pub mod errors;
mod failures;
mod fields;
mod openapi;
mod paging;
mod proxies;
mod repeats;
mod request_id;
mod routes;
pub mod schema;
mod serve;
mod state;
mod strict;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State as Extract};

use crate::api_error::Shape;
use crate::call::Handler;
use crate::routes::{Access, Route, Spec};
use crate::state::App;

pub use proxies::{BadNetwork, Proxies};
pub use serve::serve;
pub use state::{Advance, AdvanceError, Advanced, Advancing, Demo, Happened, Mode, State, TimeMachine};
pub use strict::Fault;

/// The router of every route.
pub fn router(state: State) -> Router {
    let dev = state.mode == Mode::Dev;
    let routes: Vec<Route> = all_routes().into_iter().filter(|route| dev || !route.in_dev_only).collect();
    let app = App::new(state, openapi::document(&routes));
    let mut router = Router::new();
    for route in routes {
        for path in std::iter::once(&route.path).chain(&route.aliases) {
            router = router.route(path, route.handler.clone());
        }
    }
    let unmatched = |handler: Handler| {
        move |Extract(app): Extract<App>, request: Request| {
            let spec = unmatched(&request);
            call::run(app, spec, request, Arc::clone(&handler))
        }
    };
    let (no_route, no_method) = (unmatched(routes::boxed(call::no_route)), unmatched(routes::boxed(call::no_method)));
    router.fallback(no_route).method_not_allowed_fallback(no_method).with_state(app)
}

/// What no route answers: enveloped, save below the gate, where every refusal is a bare problem document.
fn unmatched(request: &Request) -> Spec {
    let path = request.uri().path();
    let shape = if path.starts_with("/v1/gate/") || path == "/v1/gate" { Shape::Problem } else { Shape::Envelope };
    Spec { shape, ..Spec::new(Access::Public) }
}

/// The OpenAPI 3.1 document of every route, those of `tollgate dev` included.
pub fn openapi_document() -> serde_json::Value {
    openapi::document(&all_routes())
}

fn all_routes() -> Vec<Route> {
    let pages = [console::demo::routes(), console::device::routes(), console::docs::routes(), console::start::routes()];
    let parts = std::iter::once(api::routes()).chain(pages);
    parts.flatten().collect()
}
