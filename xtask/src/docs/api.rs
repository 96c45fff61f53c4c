//! `api.md`: every route, from the OpenAPI document that the binary serves.

use std::fmt::Write;

use serde_json::Value;

use super::cell;

/// One method of one path.
pub(super) struct Operation<'a> {
    pub(super) method: String,
    pub(super) path: &'a str,
    value: &'a Value,
}

impl Operation<'_> {
    /// What the caller must be allowed to do.
    pub(super) fn permission(&self) -> &str {
        text(&self.value["x-permission"])
    }

    /// Another spelling of a route that is listed under its own name.
    pub(super) fn is_alias(&self) -> bool {
        self.value.get("x-alias-of").is_some()
    }

    fn tag(&self) -> &str {
        self.value["tags"].get(0).map_or("other", text)
    }
}

/// All operations in the document's order of paths.
pub(super) fn operations(openapi: &Value) -> Vec<Operation<'_>> {
    let paths = openapi["paths"].as_object().into_iter().flatten();
    let mut found = Vec::new();
    for (path, methods) in paths {
        let methods = methods.as_object().into_iter().flatten().filter(|(_, value)| value.get("responses").is_some());
        found.extend(methods.map(|(method, value)| Operation { method: method.to_uppercase(), path, value }));
    }
    found
}

pub(super) fn render(openapi: &Value) -> String {
    let mut text = "# HTTP API\n\nThe same as `/openapi.json` and `/docs` of a running Tollgate, for reading. Successes are enveloped as \
         `{\"ok\":true,\"data\":…}`, refusals as `{\"ok\":false,\"error\":{…}}` ([errors](errors.md)); who may call what: \
         [permissions](permissions.md). A dotted route also answers with a slash in place of the dot.\n"
        .to_owned();
    let operations = operations(openapi);
    let mut tags: Vec<&str> = operations.iter().map(Operation::tag).collect();
    tags.sort_unstable();
    tags.dedup();
    for tag in tags {
        write!(text, "\n## {tag}\n").expect("a string takes text");
        for operation in operations.iter().filter(|operation| operation.tag() == tag && !operation.is_alias()) {
            render_operation(&mut text, openapi, operation);
        }
    }
    text
}

fn render_operation(out: &mut String, openapi: &Value, operation: &Operation<'_>) {
    let value = operation.value;
    write!(out, "\n### {} {}\n\n", operation.method, operation.path).expect("a string takes text");
    for prose in [text(&value["summary"]), text(&value["description"])] {
        if !prose.is_empty() {
            write!(out, "{}\n\n", prose.trim()).expect("a string takes text");
        }
    }
    let dev = if value["x-dev-only"] == true { " Only in `dev`." } else { "" };
    writeln!(out, "Permission: `{}`.{dev}", operation.permission()).expect("a string takes text");
    let parameters = value["parameters"].as_array().map_or(&[][..], Vec::as_slice);
    let body = schema_of(&value["requestBody"]["content"]);
    let mut rows: Vec<String> = parameters.iter().map(|parameter| parameter_row(openapi, parameter)).collect();
    rows.extend(body.into_iter().flat_map(|schema| field_rows(openapi, schema)));
    if !rows.is_empty() {
        write!(out, "\n| field | in | type | |\n|---|---|---|---|\n{}\n", rows.join("\n"))
            .expect("a string takes text");
    }
    out.push_str("\n| answer | |\n|---|---|\n");
    for (status, response) in value["responses"].as_object().into_iter().flatten() {
        let answered = schema_of(&response["content"]).map(|schema| data_fields(openapi, schema)).unwrap_or_default();
        let said = cell(text(&response["description"]));
        let separator = if said.is_empty() || answered.is_empty() { "" } else { ": " };
        writeln!(out, "| {status} | {said}{separator}{answered} |").expect("a string takes text");
    }
}

fn parameter_row(openapi: &Value, parameter: &Value) -> String {
    let required = if parameter["required"] == true { "" } else { "?" };
    let kind = type_of(openapi, &parameter["schema"]);
    let said = cell(text(&parameter["description"]));
    format!("| `{}`{required} | {} | {kind} | {said} |", text(&parameter["name"]), text(&parameter["in"]))
}

fn field_rows(openapi: &Value, schema: &Value) -> Vec<String> {
    let schema = resolve(openapi, schema);
    let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
    let fields = schema["properties"].as_object().into_iter().flatten();
    fields
        .map(|(name, field)| {
            let mark = if required.iter().any(|needed| needed == name) { "" } else { "?" };
            format!("| `{name}`{mark} | body | {} | {} |", type_of(openapi, field), cell(text(&field["description"])))
        })
        .collect()
}

/// The names of the fields of `data` (of the whole body where there is no envelope).
fn data_fields(openapi: &Value, schema: &Value) -> String {
    let schema = resolve(openapi, schema);
    if schema["properties"]["ok"]["const"] == false {
        return String::new();
    }
    let data = schema["properties"].get("data").unwrap_or(schema);
    let data = resolve(openapi, data);
    let listed = data.get("items").map(|items| resolve(openapi, items));
    let fields = listed.unwrap_or(data)["properties"].as_object().into_iter().flatten();
    let names: Vec<String> = fields.map(|(name, _)| format!("`{name}`")).collect();
    let list = if listed.is_some() { "list of " } else { "" };
    if names.is_empty() { String::new() } else { format!("{list}{}", names.join(", ")) }
}

/// The schema of the JSON form of a content, else of its first form.
fn schema_of(content: &Value) -> Option<&Value> {
    let forms = content.as_object()?;
    let form = forms.get("application/json").or_else(|| forms.values().next())?;
    form.get("schema")
}

fn type_of(openapi: &Value, schema: &Value) -> String {
    let schema = resolve(openapi, schema);
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().map(|word| format!("`{}`", text(word))).collect::<Vec<_>>().join(" ");
    }
    let alternatives = schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array);
    if let Some(alternatives) = alternatives {
        return alternatives.iter().map(|one| type_of(openapi, one)).collect::<Vec<_>>().join(" or ");
    }
    match &schema["type"] {
        Value::String(name) if name == "array" => format!("list of {}", type_of(openapi, &schema["items"])),
        Value::String(name) => name.clone(),
        Value::Array(names) => names.iter().map(text).collect::<Vec<_>>().join(" or "),
        _ => "any".to_owned(),
    }
}

/// Follows a reference to where the schema stands.
fn resolve<'a>(openapi: &'a Value, schema: &'a Value) -> &'a Value {
    let target = schema.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix('#'));
    target.and_then(|pointer| openapi.pointer(pointer)).unwrap_or(schema)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
