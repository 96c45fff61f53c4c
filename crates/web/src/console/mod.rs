//! Pages for people: the documentation, the error pages and the start page of `tollgate dev`. Rendered on the server, without
//! scripts, from the same engine functions the API calls.

pub(crate) mod demo;
pub(crate) mod device;
pub(crate) mod docs;
mod listing;
pub(crate) mod start;
