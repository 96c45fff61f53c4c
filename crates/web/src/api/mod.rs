//! The JSON routes, one file per noun. Each file opens with its part of the route table.

mod quota;
mod system;

use crate::routes::Route;

/// Every JSON route, in the order of the documentation.
pub(crate) fn routes() -> Vec<Route> {
    [quota::routes(), system::routes()].into_iter().flatten().collect()
}
