//! The table of routes. There is no way into the router but [`Route`], and no [`Route`] without an [`Access`]: who may call
//! it is declared beside the handler, enforced before it, and printed into the OpenAPI document.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, on};
use tollgate_rules::access::Permission;
use utoipa::__dev::{SchemaReferences, Tags};
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::{HttpMethod, RefOr};

use crate::answer::Answer;
use crate::api_error::{ApiError, Shape};
use crate::body;
use crate::call::{self, Call, Handler};
use crate::state::App;

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anyone, without a credential.
    Public,
    /// Whoever signed the body.
    Signature,
    /// A signed-in user, for what is their own.
    Account,
    /// A credential with this right for the org concerned; the operator for any.
    Org(Permission),
    /// The operator.
    Operator(Permission),
    /// The operator; in `dev`, anyone on this machine.
    OperatorOrLocal(Permission),
    /// A page for people on this machine (`dev` only; elsewhere it does not exist).
    Local,
}

impl Access {
    /// Whether its calls are told in the log one by one. Checks and counts are metrics instead: they are too many.
    pub(crate) fn is_logged(self) -> bool {
        match self {
            Access::Public | Access::Local | Access::OperatorOrLocal(_) => false,
            Access::Signature | Access::Account | Access::Operator(_) => true,
            Access::Org(permission) => {
                !matches!(permission, Permission::UsageWrite | Permission::QuotaCheck | Permission::GatePass)
            }
        }
    }

    /// As printed in the document's `x-permission`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Access::Public => "public",
            Access::Signature => "signature",
            Access::Local => "local",
            Access::Account => "account",
            Access::Org(permission) | Access::Operator(permission) | Access::OperatorOrLocal(permission) => {
                permission.as_str()
            }
        }
    }

    /// As printed in the document's `x-credential`.
    pub(crate) fn credential(self) -> &'static str {
        match self {
            Access::Public => "none",
            Access::Signature => "signature",
            Access::Local => "loopback in dev",
            Access::Account => "session cookie or session token of a signed-in user",
            Access::Org(_) => "operator key, org API key or session",
            Access::Operator(_) => "operator key",
            Access::OperatorOrLocal(_) => "operator key (none needed on loopback in dev)",
        }
    }
}

/// What happens to `Idempotency-Key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeats {
    /// Calling again changes nothing, or repeats go by another id.
    Harmless,
    /// The first answer is kept under the key.
    Kept,
    /// The same, sealed: it holds a secret.
    KeptSealed,
}

/// Everything about a route that its calls need; small enough to copy into each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec {
    pub(crate) access: Access,
    pub(crate) body_bytes_max: usize,
    pub(crate) repeats: Repeats,
    pub(crate) shape: Shape,
}

/// One route: path, methods, who may, what it says in the document, and its handler.
pub(crate) struct Route {
    pub(crate) path: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) methods: Vec<HttpMethod>,
    pub(crate) access: Access,
    pub(crate) operation: Operation,
    pub(crate) schemas: Vec<(String, RefOr<Schema>)>,
    pub(crate) refusals: Vec<&'static str>,
    pub(crate) handler: MethodRouter<App>,
    pub(crate) in_dev_only: bool,
}

impl Route {
    /// A route as its `#[utoipa::path]` describes it.
    pub(crate) fn new<P, H, F>(access: Access, handler: H) -> Self
    where
        P: utoipa::Path + SchemaReferences + Tags<'static>,
        H: Fn(Call) -> F + Copy + Send + Sync + 'static,
        F: Future<Output = Result<Answer, ApiError>> + Send + 'static,
    {
        Self::with::<P, H, F>(Spec::new(access), handler)
    }

    /// The same, where the body, its repeats or its errors are special.
    pub(crate) fn with<P, H, F>(spec: Spec, handler: H) -> Self
    where
        P: utoipa::Path + SchemaReferences + Tags<'static>,
        H: Fn(Call) -> F + Copy + Send + Sync + 'static,
        F: Future<Output = Result<Answer, ApiError>> + Send + 'static,
    {
        let methods = P::methods();
        let filter = methods.iter().map(filter_of).reduce(MethodFilter::or).unwrap_or(MethodFilter::GET);
        let mut schemas = Vec::new();
        P::schemas(&mut schemas);
        let path = P::path();
        let mut operation = P::operation();
        operation.tags = Some(P::tags().into_iter().map(str::to_owned).collect());
        Self {
            aliases: slashed(&path).into_iter().collect(),
            path,
            methods,
            access: spec.access,
            operation,
            schemas,
            refusals: Vec::new(),
            handler: on(filter, serving(spec, boxed(handler))),
            in_dev_only: false,
        }
    }

    /// Another path with the same handler.
    pub(crate) fn also(mut self, path: &str) -> Self {
        self.aliases.push(path.to_owned());
        self
    }

    /// Codes this route answers with beside the usual ones.
    pub(crate) fn refuses(mut self, docs: &[crate::errors::ErrorDoc]) -> Self {
        self.refusals.extend(docs.iter().map(|doc| doc.code));
        self
    }

    /// Only served by `tollgate dev`.
    pub(crate) fn in_dev_only(mut self) -> Self {
        self.in_dev_only = true;
        self
    }
}

/// A handler of any type as the one type of all.
pub(crate) fn boxed<H, F>(handler: H) -> Handler
where
    H: Fn(Call) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Answer, ApiError>> + Send + 'static,
{
    Arc::new(move |call| Box::pin(handler(call)))
}

/// What the router calls for a handler. It does not depend on the handler's type, nor does anything around it.
fn serving(
    spec: Spec,
    handler: Handler,
) -> impl Fn(State<App>, Request) -> Pin<Box<dyn Future<Output = Response> + Send>> + Clone + Send + Sync + 'static {
    move |State(app), request| Box::pin(call::run(app, spec, request, Arc::clone(&handler)))
}

impl Spec {
    /// JSON of up to 1 MiB, errors in the envelope, repeats of no consequence.
    pub(crate) fn new(access: Access) -> Self {
        Self { access, body_bytes_max: body::BODY_MAX, repeats: Repeats::Harmless, shape: Shape::Envelope }
    }

    /// A change that `Idempotency-Key` protects.
    pub(crate) fn change(access: Access) -> Self {
        Self { repeats: Repeats::Kept, ..Self::new(access) }
    }

    /// The same, where the answer holds a secret.
    pub(crate) fn secret(access: Access) -> Self {
        Self { repeats: Repeats::KeptSealed, ..Self::new(access) }
    }

    /// Batches: up to 8 MiB.
    pub(crate) fn batch(access: Access) -> Self {
        Self { body_bytes_max: body::READ_MAX, ..Self::new(access) }
    }
}

/// A dotted last segment answers with the dot as a slash too.
fn slashed(path: &str) -> Option<String> {
    let (head, last) = path.rsplit_once('/')?;
    let dotted = path.starts_with("/api/") || path.starts_with("/sandbox/");
    (dotted && last.contains('.')).then(|| format!("{head}/{}", last.replace('.', "/")))
}

fn filter_of(method: &HttpMethod) -> MethodFilter {
    match method {
        HttpMethod::Get => MethodFilter::GET,
        HttpMethod::Post => MethodFilter::POST,
        HttpMethod::Put => MethodFilter::PUT,
        HttpMethod::Delete => MethodFilter::DELETE,
        HttpMethod::Options => MethodFilter::OPTIONS,
        HttpMethod::Head => MethodFilter::HEAD,
        HttpMethod::Patch => MethodFilter::PATCH,
        HttpMethod::Trace => MethodFilter::TRACE,
    }
}

#[cfg(test)]
mod tests {
    use super::slashed;

    #[test]
    fn a_dot_may_be_written_as_a_slash() {
        assert_eq!(slashed("/api/orgs.create").as_deref(), Some("/api/orgs/create"));
        assert_eq!(slashed("/api/admin/webhooks.list").as_deref(), Some("/api/admin/webhooks/list"));
        assert_eq!(slashed("/openapi.json"), None);
        assert_eq!(slashed("/api/quota/check"), None);
    }
}
