//! `/docs`: the API browser, printed from the OpenAPI document, and a page for each error code. Nothing is loaded from
//! elsewhere and no script is needed, so it works offline.

use askama::Template;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, HeaderValue};

use super::listing::{Group, groups};
use crate::answer::Answer;
use crate::api_error::ApiError;
use crate::call::Call;
use crate::errors::{self, ErrorDoc};
use crate::routes::{Access, Route};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::new::<__path_openapi, _, _>(Access::Public, openapi),
        Route::new::<__path_browser, _, _>(Access::Public, browser),
        Route::new::<__path_error_list, _, _>(Access::Public, error_list),
        Route::new::<__path_error_page, _, _>(Access::Public, error_page),
        Route::new::<__path_style, _, _>(Access::Public, style),
        Route::new::<__path_icon, _, _>(Access::Public, icon),
    ]
}

#[derive(Template)]
#[template(path = "docs.html")]
struct DocsPage {
    version: String,
    groups: Vec<Group>,
}

#[derive(Template)]
#[template(path = "errors.html")]
struct ErrorsPage {
    docs: &'static [ErrorDoc],
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    doc: &'static ErrorDoc,
}

/// The OpenAPI 3.1 document
#[utoipa::path(get, path = "/openapi.json", tag = "docs",
    responses((status = 200, description = "The document, bare", content_type = "application/openapi+json", body = String)))]
async fn openapi(call: Call) -> Result<Answer, ApiError> {
    Ok(Answer::bytes(crate::answer::JSON, call.app.document_text()))
}

/// The API browser
#[utoipa::path(get, path = "/docs", tag = "docs",
    responses((status = 200, description = "A page", content_type = "text/html", body = String)))]
async fn browser(call: Call) -> Result<Answer, ApiError> {
    let page = DocsPage { version: call.app.state().version.clone(), groups: groups(call.app.document()) };
    render(&page)
}

/// All error codes
#[utoipa::path(get, path = "/docs/errors", tag = "docs",
    responses((status = 200, description = "A page", content_type = "text/html", body = String)))]
async fn error_list(_: Call) -> Result<Answer, ApiError> {
    render(&ErrorsPage { docs: errors::CATALOG })
}

/// One error code: cause, fix, curl
#[utoipa::path(get, path = "/docs/errors/{code}", tag = "docs", params(("code" = String, Path, description = "The code")),
    responses((status = 200, description = "A page", content_type = "text/html", body = String)))]
async fn error_page(call: Call) -> Result<Answer, ApiError> {
    let code = call.path_after("/docs/errors/")?;
    let doc = errors::find(&code).ok_or_else(ApiError::not_found)?;
    render(&ErrorPage { doc })
}

/// The style sheet of all pages
#[utoipa::path(get, path = "/assets/tollgate.css", tag = "docs",
    responses((status = 200, description = "CSS", content_type = "text/css", body = String)))]
async fn style(_: Call) -> Result<Answer, ApiError> {
    Ok(asset("text/css; charset=utf-8", include_bytes!("../../assets/tollgate.css")))
}

/// The icon of all pages
#[utoipa::path(get, path = "/assets/icon.svg", tag = "docs",
    responses((status = 200, description = "SVG", content_type = "image/svg+xml", body = String)))]
async fn icon(_: Call) -> Result<Answer, ApiError> {
    Ok(asset("image/svg+xml", include_bytes!("../../assets/icon.svg")))
}

/// A rendered page.
///
/// # Errors
/// 500 when the template fails, which only a bug makes it do.
pub(crate) fn render(page: &impl Template) -> Result<Answer, ApiError> {
    page.render().map(Answer::html).map_err(|error| {
        tracing::error!(%error, "a page could not be rendered");
        ApiError::internal()
    })
}

fn asset(content_type: &'static str, bytes: &'static [u8]) -> Answer {
    Answer::bytes(HeaderValue::from_static(content_type), Bytes::from_static(bytes))
        .with_header(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"))
}
