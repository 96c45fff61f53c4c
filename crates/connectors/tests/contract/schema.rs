//! Checks requests against a description: unknown parameters, missing ones, wrong types and wrong enum values are
//! findings. Written for the two descriptions in the contract data (OpenAPI 3.0 and JSON Schema fragments).

use serde_json::{Map, Value};

/// A description with the `$ref`s that point into it.
pub(crate) struct Description<'a>(pub(crate) &'a Value);

impl<'a> Description<'a> {
    fn resolved(&self, schema: &'a Value) -> &'a Value {
        match schema.get("$ref").and_then(Value::as_str) {
            Some(pointer) => {
                let target = self.0.pointer(pointer.strip_prefix('#').unwrap());
                self.resolved(target.unwrap_or_else(|| panic!("{pointer} is in the description")))
            }
            None => schema,
        }
    }

    /// What is wrong with `value`; empty when nothing is. Unknown fields are wrong: this is for requests.
    pub(crate) fn findings(&self, schema: &'a Value, value: &Value, at: &str) -> Vec<String> {
        let schema = self.resolved(schema);
        if let Some(choices) = schema.get("anyOf").and_then(Value::as_array) {
            let mut tried: Vec<_> = choices.iter().map(|choice| self.findings(choice, value, at)).collect();
            tried.sort_by_key(Vec::len);
            return tried.into_iter().next().unwrap_or_default();
        }
        if let Some(allowed) = schema.get("enum").and_then(Value::as_array) {
            let fits = allowed.contains(value);
            return if fits { Vec::new() } else { vec![format!("{at}: {value} is none of {allowed:?}")] };
        }
        let kinds = match schema.get("type") {
            Some(Value::String(kind)) => vec![kind.as_str()],
            Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
            _ => return Vec::new(),
        };
        let fits = kinds.iter().any(|kind| of_kind(kind, value));
        match value {
            _ if !fits => vec![format!("{at}: {value} is no {kinds:?}")],
            Value::Object(fields) => self.object_findings(schema, fields, at),
            Value::Array(items) => match schema.get("items") {
                Some(schema) => items.iter().flat_map(|item| self.findings(schema, item, at)).collect(),
                None => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    fn object_findings(&self, schema: &'a Value, fields: &Map<String, Value>, at: &str) -> Vec<String> {
        let properties = schema.get("properties").and_then(Value::as_object);
        let mut findings = Vec::new();
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            if !fields.contains_key(name.as_str().unwrap()) {
                findings.push(format!("{at}: {name} is missing"));
            }
        }
        for (name, value) in fields {
            let known = properties.and_then(|known| known.get(name)).or_else(|| schema.get("additionalProperties"));
            match known {
                Some(schema) => findings.extend(self.findings(schema, value, &format!("{at}.{name}"))),
                None if properties.is_none() => {}
                None => findings.push(format!("{at}: {name} is unknown")),
            }
        }
        findings
    }

    /// Form fields as JSON, typed by the schema: a form only carries text.
    pub(crate) fn typed(&self, schema: &'a Value, form: &Node) -> Value {
        let schema = self.resolved(schema);
        if let Some(choices) = schema.get("anyOf").and_then(Value::as_array) {
            let typed: Vec<Value> = choices.iter().map(|choice| self.typed(choice, form)).collect();
            let fitting =
                choices.iter().zip(&typed).position(|(choice, value)| self.findings(choice, value, "").is_empty());
            return typed[fitting.unwrap_or(0)].clone();
        }
        match (schema.get("type").and_then(Value::as_str), form) {
            (Some("integer"), Node::Text(text)) => {
                text.parse::<i64>().map_or_else(|_| text.as_str().into(), Value::from)
            }
            (Some("boolean"), Node::Text(text)) => {
                text.parse::<bool>().map_or_else(|_| text.as_str().into(), Value::from)
            }
            (Some("array"), Node::Fields(fields)) => {
                let item = schema.get("items").unwrap_or(&Value::Null);
                fields.iter().map(|(_, node)| self.typed(item, node)).collect()
            }
            (_, Node::Fields(fields)) => {
                let schema_of = |name: &str| schema.get("properties").and_then(|known| known.get(name));
                let typed = fields.iter().map(|(name, node)| {
                    let schema = schema_of(name).or_else(|| schema.get("additionalProperties")).unwrap_or(&Value::Null);
                    (name.clone(), self.typed(schema, node))
                });
                Value::Object(typed.collect())
            }
            (_, Node::Text(text)) => text.as_str().into(),
        }
    }
}

fn of_kind(kind: &str, value: &Value) -> bool {
    match kind {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "null" => value.is_null(),
        other => panic!("a kind of schema nobody knows: {other}"),
    }
}

/// A form as a tree: `items[0][price]=x` is a text three levels down.
#[derive(Debug)]
pub(crate) enum Node {
    Text(String),
    Fields(Vec<(String, Node)>),
}

impl Node {
    pub(crate) fn parse(encoded: &str) -> Self {
        let mut root = Vec::new();
        for pair in encoded.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap();
            let path: Vec<String> = name.split('[').map(|part| plain(part.strip_suffix(']').unwrap_or(part))).collect();
            insert(&mut root, &path, plain(value));
        }
        Node::Fields(root)
    }
}

fn insert(fields: &mut Vec<(String, Node)>, path: &[String], value: String) {
    let (name, rest) = path.split_first().unwrap();
    if rest.is_empty() {
        assert!(!fields.iter().any(|(known, _)| known == name), "{name} is sent twice");
        return fields.push((name.clone(), Node::Text(value)));
    }
    if !fields.iter().any(|(known, _)| known == name) {
        fields.push((name.clone(), Node::Fields(Vec::new())));
    }
    match fields.iter_mut().find(|(known, _)| known == name) {
        Some((_, Node::Fields(inner))) => insert(inner, rest, value),
        _ => panic!("{name} is a text and a group"),
    }
}

fn plain(escaped: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = escaped.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let pair = [rest.next().unwrap(), rest.next().unwrap()];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&pair).unwrap(), 16).unwrap());
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn the_checker_finds_what_is_wrong() {
    let description = serde_json::json!({"s": {"type": "object", "required": ["a"], "properties": {
        "a": {"type": "integer"}, "b": {"type": "string", "enum": ["x"]}, "c": {"type": "array", "items": {"type": "boolean"}}}}});
    let checker = Description(&description);
    let found = |form: &str| {
        let value = checker.typed(&description["s"], &Node::parse(form));
        checker.findings(&description["s"], &value, "").len()
    };
    assert_eq!(found("a=1&b=x&c[0]=true"), 0);
    for wrong in ["b=x", "a=one", "a=1&b=y", "a=1&d=1", "a=1&c[0]=yes", "a[b]=1"] {
        assert_eq!(found(wrong), 1, "{wrong}");
    }
}
