//! Checks requests and answers against Stripe's official description, where that is at hand.
//!
//! The description (`stripe/openapi.billing.json` of the contract data) is not shipped: [`load`] finds it beside the
//! repository or where `TOLLGATE_CONTRACTS` points, else there is nothing to check against. Only the part of JSON Schema
//! that it uses is understood: `type`, `enum`, `required`, `properties`, `additionalProperties`, `items`, `anyOf`,
//! `oneOf`, `$ref`, `nullable` and the formats `unix-time` and `decimal`. Members and values it does not name are problems,
//! also where Stripe calls an enumeration open: we neither send nor answer what is not written down.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::form;

/// The official description of Stripe's billing API.
#[derive(Clone, Debug)]
pub struct Contract {
    document: Value,
    /// `object` on the wire → the component that describes it.
    kinds: BTreeMap<String, String>,
}

/// Finds and reads the description; `None` when it is not on this machine.
#[must_use]
pub fn load() -> Option<Contract> {
    let text = std::fs::read_to_string(folder()?.join("stripe/openapi.billing.json")).ok()?;
    let document: Value = serde_json::from_str(&text).ok()?;
    let mut kinds = BTreeMap::new();
    for (name, schema) in document["components"]["schemas"].as_object()? {
        if let Some([Value::String(kind)]) = schema["properties"]["object"]["enum"].as_array().map(Vec::as_slice) {
            // Several components may share a kind (a deleted customer is a `customer` too): the fullest describes it.
            let members =
                |name: &String| document["components"]["schemas"][name]["properties"].as_object().map_or(0, Map::len);
            let known = kinds.entry(kind.clone()).or_insert_with(|| name.clone());
            if members(name) > members(known) {
                *known = name.clone();
            }
        }
    }
    Some(Contract { document, kinds })
}

/// The folder of contract data: `TOLLGATE_CONTRACTS`, else `shared/contracts` beside the repository.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("TOLLGATE_CONTRACTS") {
        return Some(PathBuf::from(folder)).filter(|folder| folder.is_dir());
    }
    let here = std::env::current_dir().ok()?;
    here.ancestors().map(|folder| folder.join("shared/contracts")).find(|folder| folder.is_dir())
}

/// How values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    Json,
    /// Every leaf is text, every list an object with numbers for names.
    Form,
}

impl Contract {
    /// What is wrong with an answer to `method path` (a real path, not a template); empty when nothing is.
    #[must_use]
    pub fn validate_response(&self, method: &str, path: &str, status: u16, body: &Value) -> Vec<String> {
        let Some(operation) = self.operation(method, path) else {
            return vec![format!("{method} {path} is not in the contract")];
        };
        let answer = if status == 200 { &operation["responses"]["200"] } else { &operation["responses"]["default"] };
        self.problems(&answer["content"]["application/json"]["schema"], body, Writing::Json)
    }

    /// What is wrong with a request whose parameters are `form` (a form body, or a query string without `?`).
    #[must_use]
    pub fn validate_request(&self, method: &str, path: &str, form: &str) -> Vec<String> {
        let Some(operation) = self.operation(method, path) else {
            return vec![format!("{method} {path} is not in the contract")];
        };
        let tree = match form::decode(form.as_bytes()) {
            Ok(tree) => Value::Object(tree),
            Err(error) => return vec![error.message().to_owned()],
        };
        let body = &operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"];
        if !body.is_null() {
            return self.problems(body, &tree, Writing::Form);
        }
        let parameters = operation["parameters"].as_array().into_iter().flatten().filter(|one| one["in"] == "query");
        let mut schema = Map::new();
        let mut required = Vec::new();
        for parameter in parameters {
            let name = parameter["name"].as_str().unwrap_or_default();
            schema.insert(name.to_owned(), parameter["schema"].clone());
            if parameter["required"] == true {
                required.push(Value::from(name));
            }
        }
        let schema = serde_json::json!({ "type": "object", "properties": schema, "required": required });
        self.problems(&schema, &tree, Writing::Form)
    }

    /// What is wrong with an object of the API, such as the one in an event; `object` names its kind.
    #[must_use]
    pub fn validate_object(&self, object: &Value) -> Vec<String> {
        let kind = object["object"].as_str().unwrap_or_default();
        match self.kinds.get(kind) {
            Some(name) => self.problems(&self.document["components"]["schemas"][name], object, Writing::Json),
            None => vec![format!("no component describes the kind {kind:?}")],
        }
    }

    /// Whether Stripe knows this type of event.
    #[must_use]
    pub fn knows_event_type(kind: &str) -> bool {
        let text = folder().and_then(|folder| std::fs::read_to_string(folder.join("stripe/event_types.json")).ok());
        text.is_some_and(|text| text.contains(&format!("\"{kind}\"")))
    }

    fn operation(&self, method: &str, path: &str) -> Option<&Value> {
        let paths = self.document["paths"].as_object()?;
        let fits = |template: &str| {
            let (mut pattern, mut given) = (template.split('/'), path.split('/'));
            loop {
                match (pattern.next(), given.next()) {
                    (None, None) => return true,
                    (Some(pattern), Some(given)) if pattern == given || pattern.starts_with('{') => {}
                    _ => return false,
                }
            }
        };
        // A template without parameters wins: `create_preview` is not an invoice's id.
        let templates = paths.keys().filter(|template| fits(template));
        let template = templates.min_by_key(|template| template.matches('{').count())?;
        paths.get(template)?.get(method.to_lowercase())
    }

    fn problems(&self, schema: &Value, value: &Value, writing: Writing) -> Vec<String> {
        let mut problems = Vec::new();
        self.check(schema, value, "", writing, &mut problems);
        problems
    }

    fn check(&self, schema: &Value, value: &Value, at: &str, writing: Writing, problems: &mut Vec<String>) {
        if value.is_null() && schema["nullable"] == true {
            return;
        }
        if let Some(reference) = schema["$ref"].as_str() {
            let name = reference.rsplit('/').next().unwrap_or_default();
            return self.check(&self.document["components"]["schemas"][name], value, at, writing, problems);
        }
        for alternatives in ["anyOf", "oneOf"] {
            if let Some(schemas) = schema[alternatives].as_array() {
                return self.check_any(schemas, value, at, writing, problems);
            }
        }
        if let Some(allowed) = schema["enum"].as_array()
            && !allowed.contains(value)
        {
            return problems.push(format!("{at}: {value} is not one of the known values"));
        }
        match schema["type"].as_str() {
            Some("object") => self.check_object(schema, value, at, writing, problems),
            Some("array") => self.check_array(schema, value, at, writing, problems),
            Some(kind) if !scalar_fits(kind, schema["format"].as_str(), value, writing) => {
                problems.push(format!("{at}: {value} is not {kind}"));
            }
            _ => {}
        }
    }

    /// One of the alternatives has to fit; of those that do not, the closest is reported.
    fn check_any(&self, schemas: &[Value], value: &Value, at: &str, writing: Writing, problems: &mut Vec<String>) {
        let mut closest: Option<Vec<String>> = None;
        for schema in schemas {
            let mut found = Vec::new();
            self.check(schema, value, at, writing, &mut found);
            if found.is_empty() {
                return;
            }
            let deeper =
                |found: &[String]| found.iter().map(|problem| problem.find(':').unwrap_or(0)).max().unwrap_or(0);
            if closest.as_ref().is_none_or(|closest| deeper(&found) > deeper(closest)) {
                closest = Some(found);
            }
        }
        problems.extend(closest.unwrap_or_default());
    }

    fn check_object(&self, schema: &Value, value: &Value, at: &str, writing: Writing, problems: &mut Vec<String>) {
        let Some(members) = value.as_object() else {
            return problems.push(format!("{at}: {value} is not an object"));
        };
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !members.contains_key(name) {
                problems.push(format!("{at}/{name}: required and missing"));
            }
        }
        let open = !schema["additionalProperties"].is_null() && schema["additionalProperties"] != false;
        for (name, member) in members {
            let at = format!("{at}/{name}");
            match schema["properties"].get(name) {
                Some(schema) => self.check(schema, member, &at, writing, problems),
                None if open => self.check(&schema["additionalProperties"], member, &at, writing, problems),
                None if schema["properties"].is_null() => {}
                None => problems.push(format!("{at}: not in the contract")),
            }
        }
    }

    fn check_array(&self, schema: &Value, value: &Value, at: &str, writing: Writing, problems: &mut Vec<String>) {
        let items: Vec<(String, &Value)> = match (value, writing) {
            (Value::Array(items), _) => {
                items.iter().enumerate().map(|(index, item)| (index.to_string(), item)).collect()
            }
            (Value::Object(items), Writing::Form) if items.keys().all(|key| key.parse::<usize>().is_ok()) => {
                items.iter().map(|(index, item)| (index.clone(), item)).collect()
            }
            _ => return problems.push(format!("{at}: {value} is not a list")),
        };
        for (index, item) in items {
            self.check(&schema["items"], item, &format!("{at}/{index}"), writing, problems);
        }
    }
}

fn scalar_fits(kind: &str, format: Option<&str>, value: &Value, writing: Writing) -> bool {
    let text = value.as_str();
    match (kind, writing) {
        ("string", _) if format == Some("decimal") => text.is_some_and(|text| text.parse::<f64>().is_ok()),
        ("string", _) => text.is_some(),
        ("integer", Writing::Json) => value.is_i64() || value.is_u64(),
        ("integer", Writing::Form) => text.is_some_and(|text| text.parse::<i64>().is_ok()),
        ("number", Writing::Json) => value.is_number(),
        ("number", Writing::Form) => text.is_some_and(|text| text.parse::<f64>().is_ok()),
        ("boolean", Writing::Json) => value.is_boolean(),
        ("boolean", Writing::Form) => matches!(text, Some("true" | "false")),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::{Contract, load};
    use serde_json::json;

    fn contract() -> Option<Contract> {
        let contract = load();
        if contract.is_none() {
            println!("skipped: no contract data beside the repository");
        }
        contract
    }

    #[test]
    fn wrong_requests_are_named() {
        let Some(contract) = contract() else { return };
        let subscriptions = |form| contract.validate_request("POST", "/v1/subscriptions", form);
        assert_eq!(subscriptions("customer=cus_1&items[0][price]=price_1&items[0][quantity]=2&trial_end=now"), [""; 0]);
        assert_eq!(subscriptions("items[0][prize]=p"), ["/items/0/prize: not in the contract"]);
        assert_eq!(subscriptions("items[0][quantity]=two"), ["/items/0/quantity: \"two\" is not integer"]);
        assert_eq!(contract.validate_request("GET", "/v1/prices", "lookup_keys[]=a&active=true"), [""; 0]);
        assert_eq!(contract.validate_request("GET", "/v1/prices", "active=yes").len(), 1);
        assert_eq!(contract.validate_request("POST", "/v1/nothing", "").len(), 1);
    }

    #[test]
    fn wrong_answers_are_named() {
        let Some(contract) = contract() else { return };
        let clock = json!({
            "id": "clock_1", "object": "test_helpers.test_clock", "created": 1, "deletes_after": 2, "frozen_time": "3",
            "livemode": false, "name": null, "status": "ready", "extra": 1,
        });
        let problems = contract.validate_response("GET", "/v1/test_helpers/test_clocks/clock_1", 200, &clock);
        assert_eq!(
            problems,
            [
                "/status_details: required and missing",
                "/extra: not in the contract",
                "/frozen_time: \"3\" is not integer",
            ]
        );
        assert_eq!(contract.validate_object(&clock).len(), 3);
    }
}
