//! Every operation of the OpenAPI document, who may call it as declared there, and a call of it.

use serde_json::Value;
use tollgate_rules::access::{Permission, Role, Scope, role_grants, scopes_grant};

use crate::server::{Reply, Server};

/// One path and method.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) method: String,
    pub(super) path: String,
    /// The path it is an alias of, else its own.
    pub(super) canonical: String,
    pub(super) access: Access,
    /// Names and schemas of what the body and the query take.
    pub(super) body: Option<Value>,
    pub(super) query: Vec<Value>,
}

/// Who may call, as the document says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// No credential is looked at.
    Open,
    /// People, for what is their own.
    Account,
    /// Whoever has the right for some org.
    Org(Permission),
    /// The operator.
    Operator,
}

/// What somebody's credential stands for.
#[derive(Clone, Debug)]
pub(super) enum Standing {
    /// Nothing that is valid.
    Nobody,
    /// A credential of one org, with these scopes.
    Scopes(Vec<Scope>),
    /// A person who belongs to one org with this role.
    Member(Role),
    /// A person who belongs to no org.
    Stranger,
    Operator,
}

/// How a credential is carried.
#[derive(Clone, Debug)]
pub(super) enum Carried {
    Nothing,
    Bearer(String),
    Cookie(String),
}

/// Somebody who calls.
#[derive(Clone, Debug)]
pub(super) struct Who {
    pub(super) name: String,
    pub(super) carried: Carried,
    pub(super) standing: Standing,
}

/// What a call must come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// 401.
    Unknown,
    /// 403.
    Refused,
    /// Anything else: the route itself answers.
    LetIn,
}

/// Without a body, and over for whoever called: everybody else is refused them like any other route.
const ENDS: &[&str] = &["/api/auth/sign-out", "/api/auth/delete"];

/// Every operation that `serve` answers.
pub(super) fn operations() -> Vec<Operation> {
    let document = tollgate_web::openapi_document();
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if operation["x-dev-only"] == true || method == "head" || method == "trace" {
                continue;
            }
            let schema = operation.pointer("/requestBody/content").and_then(Value::as_object);
            let schema =
                schema.and_then(|media| media.values().next()).map(|media| resolved(&document, &media["schema"]));
            operations.push(Operation {
                method: method.to_uppercase(),
                path: path.replace("{orgId}", "ORG").replace("{code}", "not_found").replace("{*path}", "x"),
                canonical: operation["x-alias-of"].as_str().unwrap_or(path).to_owned(),
                access: access(operation),
                body: schema,
                query: operation["parameters"].as_array().cloned().unwrap_or_default(),
            });
        }
    }
    operations
}

fn access(operation: &Value) -> Access {
    let credential = operation["x-credential"].as_str().expect("every route declares its credential");
    match operation["x-permission"].as_str().expect("every route declares its permission") {
        "public" | "signature" | "local" => Access::Open,
        "account" => Access::Account,
        _ if credential.starts_with("operator key") && !credential.contains("API key") => Access::Operator,
        word => Access::Org(Permission::parse(word).expect("a permission of the table")),
    }
}

/// The schema with its first reference followed; of several shapes, the first that is an object.
fn resolved(document: &Value, schema: &Value) -> Value {
    if let Some(name) = schema["$ref"].as_str() {
        return resolved(document, &document["components"]["schemas"][name.rsplit('/').next().unwrap()]);
    }
    let shapes = schema["oneOf"].as_array().into_iter().flatten().map(|shape| resolved(document, shape));
    shapes.into_iter().find(|shape| shape["properties"].is_object()).unwrap_or_else(|| schema.clone())
}

impl Operation {
    /// What a call of this one must come to.
    pub(super) fn verdict(&self, standing: &Standing) -> Verdict {
        let may = |right: bool| if right { Verdict::LetIn } else { Verdict::Refused };
        match (self.access, standing) {
            (Access::Open, _) => Verdict::LetIn,
            (_, Standing::Nobody) => Verdict::Unknown,
            (Access::Account, Standing::Member(_) | Standing::Stranger) => Verdict::LetIn,
            (Access::Account, Standing::Scopes(_) | Standing::Operator) => Verdict::Refused,
            (Access::Org(_) | Access::Operator, Standing::Operator) => Verdict::LetIn,
            (Access::Operator, Standing::Scopes(_) | Standing::Member(_) | Standing::Stranger) => Verdict::Refused,
            (Access::Org(permission), Standing::Scopes(scopes)) => may(scopes_grant(scopes, permission)),
            (Access::Org(permission), Standing::Member(role)) => may(role_grants(*role, permission)),
            (Access::Org(_), Standing::Stranger) => Verdict::Refused,
        }
    }

    pub(super) async fn call(&self, server: &Server, carried: &Carried, query: &str, body: &Value) -> Reply {
        let request =
            server.client.request(self.method.parse().unwrap(), format!("{}{}{query}", server.base, self.path));
        let request = match carried {
            Carried::Nothing => request,
            Carried::Bearer(secret) => request.header("authorization", format!("Bearer {secret}")),
            Carried::Cookie(pair) => request.header("cookie", pair),
        };
        server.send(request.header("content-type", "application/json").body(body.to_string())).await
    }

    /// Whether this is its own name, and not another one for the same handler.
    pub(super) fn is_canonical(&self) -> bool {
        let plain = |path: &str| path.replace("{orgId}", "ORG").replace("{code}", "not_found").replace("{*path}", "x");
        plain(&self.canonical) == self.path
    }

    /// Whether the body or the query takes this.
    pub(super) fn takes(&self, name: &str) -> bool {
        self.body_names().iter().chain(&self.query_names()).any(|own| own == name)
    }

    /// The names of what stands in the path.
    pub(super) fn path_names(&self) -> Vec<String> {
        let named = self.query.iter().filter(|parameter| parameter["in"] == "path");
        named.filter_map(|parameter| parameter["name"].as_str().map(str::to_owned)).collect()
    }

    /// The names of what the body takes.
    pub(super) fn body_names(&self) -> Vec<String> {
        let properties = self.body.as_ref().and_then(|schema| schema["properties"].as_object());
        properties.into_iter().flat_map(|names| names.keys().cloned()).collect()
    }

    /// The names of what the query takes.
    pub(super) fn query_names(&self) -> Vec<String> {
        let named = self.query.iter().filter(|parameter| parameter["in"] == "query");
        named.filter_map(|parameter| parameter["name"].as_str().map(str::to_owned)).collect()
    }
}

impl Who {
    pub(super) fn bearer(name: impl Into<String>, secret: impl Into<String>, standing: Standing) -> Who {
        Who { name: name.into(), carried: Carried::Bearer(secret.into()), standing }
    }

    pub(super) fn cookie(name: impl Into<String>, pair: impl Into<String>, standing: Standing) -> Who {
        Who { name: name.into(), carried: Carried::Cookie(pair.into()), standing }
    }

    /// Calls every operation with a body that fits none: whoever has the right is told so, whoever has not is refused before
    /// it is read. How many answers were as declared, and which were not.
    pub(super) async fn walk(&self, server: &Server, operations: &[Operation]) -> (u64, Vec<String>) {
        let (mut right, mut wrong) = (0, Vec::new());
        for operation in operations {
            let ends = ENDS.contains(&operation.canonical.as_str());
            if ends && operation.verdict(&self.standing) == Verdict::LetIn {
                continue;
            }
            let reply = operation.call(server, &self.carried, "", &serde_json::json!({"nothing": 1})).await;
            let found = match (reply.status, operation.access) {
                (401, _) => Verdict::Unknown,
                // A public route may refuse what it is asked, not who asks.
                (403, Access::Account | Access::Org(_) | Access::Operator) => Verdict::Refused,
                _ => Verdict::LetIn,
            };
            let expected = operation.verdict(&self.standing);
            if found == expected && reply.status < 500 {
                right += 1;
            } else {
                let about = format!("{} {} as {}", operation.method, operation.path, self.name);
                wrong.push(format!("{about}: {expected:?} declared, {} answered: {}", reply.status, reply.text));
            }
        }
        (right, wrong)
    }
}
