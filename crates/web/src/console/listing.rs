//! The OpenAPI document as lists that a page can print.

use serde_json::Value;

/// How deep the fields of a body are listed.
const FIELD_DEPTH_MAX: usize = 3;

/// The operations of one noun.
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) operations: Vec<Operation>,
}

pub(crate) struct Operation {
    pub(crate) anchor: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) summary: String,
    pub(crate) description: Vec<String>,
    pub(crate) permission: String,
    pub(crate) credential: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) dev_only: bool,
    pub(crate) inputs: Vec<Field>,
    pub(crate) answers: Vec<Told>,
}

/// One status it answers with.
pub(crate) struct Told {
    pub(crate) status: String,
    pub(crate) meaning: String,
    pub(crate) codes: Vec<String>,
    pub(crate) fields: Vec<Field>,
}

pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) needed: bool,
    pub(crate) meaning: String,
}

/// Every operation but aliases, by tag, in the document's order.
pub(crate) fn groups(document: &Value) -> Vec<Group> {
    let tags = document["tags"].as_array().into_iter().flatten();
    let mut groups: Vec<Group> = tags.map(|tag| Group { name: text(&tag["name"]), operations: Vec::new() }).collect();
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let tag = text(&operation["tags"][0]);
            let group = groups.iter_mut().find(|group| group.name == tag);
            if let Some(group) = group.filter(|_| operation.get("x-alias-of").is_none()) {
                group.operations.push(listed(document, path, method, operation));
            }
        }
    }
    groups
}

fn listed(document: &Value, path: &str, method: &str, operation: &Value) -> Operation {
    let description = text(&operation["description"]);
    let responses = operation["responses"].as_object().into_iter().flatten();
    Operation {
        anchor: format!("{method}-{}", path.trim_start_matches('/').replace('/', "-")),
        method: method.to_owned(),
        path: path.to_owned(),
        summary: text(&operation["summary"]),
        description: description.split("\n\n").filter(|part| !part.is_empty()).map(str::to_owned).collect(),
        permission: text(&operation["x-permission"]),
        credential: text(&operation["x-credential"]),
        aliases: aliases(document, path, method),
        dev_only: operation["x-dev-only"] == Value::Bool(true),
        inputs: inputs(document, operation),
        answers: responses.map(|(status, response)| told(document, status, response)).collect(),
    }
}

fn aliases(document: &Value, path: &str, method: &str) -> Vec<String> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.filter(|(_, methods)| methods[method]["x-alias-of"] == *path).map(|(alias, _)| alias.clone()).collect()
}

fn inputs(document: &Value, operation: &Value) -> Vec<Field> {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let mut fields: Vec<Field> = parameters.map(parameter).collect();
    fields.extend(fields_of(document, &operation["requestBody"]["content"]["application/json"]["schema"]));
    fields
}

fn parameter(parameter: &Value) -> Field {
    let mark = if parameter["in"] == "query" { "?" } else { "" };
    Field {
        name: format!("{mark}{}", text(&parameter["name"])),
        kind: kind(&parameter["schema"]),
        needed: parameter["required"] == Value::Bool(true),
        meaning: text(&parameter["description"]),
    }
}

fn told(document: &Value, status: &str, response: &Value) -> Told {
    let codes: Vec<String> = response["x-codes"].as_array().into_iter().flatten().map(text).collect();
    let schema = &response["content"]["application/json"]["schema"]["properties"]["data"];
    Told {
        status: status.to_owned(),
        meaning: if codes.is_empty() { text(&response["description"]) } else { String::new() },
        fields: if codes.is_empty() { fields_of(document, schema) } else { Vec::new() },
        codes,
    }
}

fn fields_of(document: &Value, schema: &Value) -> Vec<Field> {
    let mut fields = Vec::new();
    list_fields(document, schema, "", FIELD_DEPTH_MAX, &mut fields);
    fields
}

fn list_fields(document: &Value, schema: &Value, prefix: &str, depth: usize, fields: &mut Vec<Field>) {
    let schema = resolved(document, schema);
    if depth == 0 {
        return;
    }
    if schema.get("items").is_some() {
        return list_fields(
            document,
            &schema["items"],
            &format!("{}[].", prefix.trim_end_matches('.')),
            depth - 1,
            fields,
        );
    }
    for choice in ["oneOf", "anyOf", "allOf"] {
        for part in schema[choice].as_array().into_iter().flatten() {
            list_fields(document, part, prefix, depth - 1, fields);
        }
    }
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        let needed = schema["required"].as_array().is_some_and(|names| names.iter().any(|one| one == name));
        let full = format!("{prefix}{name}");
        fields.push(Field { name: full.clone(), kind: kind(inner), needed, meaning: text(&inner["description"]) });
        list_fields(document, inner, &format!("{full}."), depth - 1, fields);
    }
}

fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/components/schemas/")) {
        Some(name) => &document["components"]["schemas"][name],
        None => schema,
    }
}

fn kind(schema: &Value) -> String {
    let word = match &schema["type"] {
        Value::String(one) => one.clone(),
        Value::Array(many) => many.iter().map(text).collect::<Vec<_>>().join(" or "),
        _ => "object".to_owned(),
    };
    match schema["enum"].as_array() {
        Some(values) => values.iter().map(text).collect::<Vec<_>>().join(", "),
        None => word,
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(String::new, str::to_owned)
}
