//! `/demo/quote`: a metered API behind the product's own gate, so that the first call a newcomer makes is a customer's.

use serde::Serialize;
use tollgate_rules::access::Permission;

use crate::answer::{Answer, JSON};
use crate::api::gate;
use crate::api_error::{ApiError, Shape, bytes_of};
use crate::call::Call;
use crate::routes::{Access, Route, Spec};

const QUOTES: &[&str] = &[
    "Measure twice, bill once.",
    "What gets counted once, counts.",
    "A limit is a promise kept on time.",
    "Trust the ledger, not the memory.",
    "Stop at the line, not near it.",
];

pub(crate) fn routes() -> Vec<Route> {
    let spec = Spec { shape: Shape::Problem, ..Spec::new(Access::Org(Permission::GatePass)) };
    vec![Route::with::<__path_quote, _, _>(spec, quote).refuses(crate::api::DENIALS).in_dev_only()]
}

#[derive(Serialize)]
struct Quote {
    quote: &'static str,
}

/// A quote, for one `api_call`
#[utoipa::path(get, path = "/demo/quote", tag = "gate",
    responses((status = 200, description = "A quote, bare: `{\"quote\":\"…\"}`", content_type = "text/plain", body = String)))]
async fn quote(call: Call) -> Result<Answer, ApiError> {
    let (_, counted, headers) = gate::count_one(&call, "demo").await?;
    let turn = usize::try_from(counted.numbers.used).unwrap_or(0) % QUOTES.len();
    let body = bytes_of(&Quote { quote: QUOTES.get(turn).copied().unwrap_or("Measure twice, bill once.") });
    let mut answer = Answer::bytes(JSON, bytes::Bytes::from(body));
    answer.headers = headers;
    Ok(answer)
}
