//! Holds a JSON value against a schema of our own OpenAPI document and names every place where they differ.
//!
//! Only the words our generated schemas use are understood; [`faults`] says so loudly when it meets another one, so that
//! a schema can never be looser than it reads.

use serde_json::{Map, Value};

use crate::strict::{Fault, step};

/// Words that describe but do not decide.
const DESCRIPTIVE: &[&str] =
    &["description", "title", "format", "example", "examples", "default", "deprecated", "propertyNames"];

/// Every place where `value` does not fit `schema`; `schemas` are the named ones (`#/components/schemas/…`).
pub fn faults(schema: &Value, schemas: &Map<String, Value>, value: &Value) -> Vec<Fault> {
    let mut found = Vec::new();
    Check { schemas, found: &mut found }.value(schema, value, "");
    found
}

struct Check<'c> {
    schemas: &'c Map<String, Value>,
    found: &'c mut Vec<Fault>,
}

impl Check<'_> {
    fn value(&mut self, schema: &Value, value: &Value, at: &str) {
        let Some(rules) = schema.as_object() else { return };
        for (word, rule) in rules {
            match word.as_str() {
                "$ref" => self.reference(rule, value, at),
                "type" => self.kind(rule, value, at),
                "enum" => self.one_of_values(rule, value, at),
                "const" => self.one_of_values(&Value::Array(vec![rule.clone()]), value, at),
                "properties" => self.properties(rule, value, at),
                "required" => self.required(rule, value, at),
                "additionalProperties" => self.others(rules, rule, value, at),
                "items" => self.items(rule, value, at),
                "oneOf" | "anyOf" => self.any_of(rule, value, at),
                "allOf" => rule.as_array().into_iter().flatten().for_each(|part| self.value(part, value, at)),
                "minimum" | "maximum" | "minLength" | "maxLength" | "minItems" | "maxItems" => {
                    self.bound(word, rule, value, at)
                }
                other if DESCRIPTIVE.contains(&other) || other.starts_with("x-") => {}
                other => self.fault(at, format!("the schema uses `{other}`, which nothing checks")),
            }
        }
    }

    fn fault(&mut self, at: &str, message: impl Into<String>) {
        self.found.push(Fault::new(at, message));
    }

    fn reference(&mut self, rule: &Value, value: &Value, at: &str) {
        let name = rule.as_str().unwrap_or_default().trim_start_matches("#/components/schemas/");
        match self.schemas.get(name) {
            Some(schema) => self.value(schema, value, at),
            None => self.fault(at, format!("the schema `{name}` is missing")),
        }
    }

    fn kind(&mut self, rule: &Value, value: &Value, at: &str) {
        let allowed: Vec<&str> = match rule {
            Value::String(one) => vec![one.as_str()],
            many => many.as_array().into_iter().flatten().filter_map(Value::as_str).collect(),
        };
        let fits = allowed.iter().any(|kind| match *kind {
            "null" => value.is_null(),
            "boolean" => value.is_boolean(),
            // All our integers are 64-bit: what only fits an unsigned one is out of range.
            "integer" => value.is_i64(),
            "number" => value.is_number(),
            "string" => value.is_string(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            _ => false,
        });
        if !fits {
            self.fault(
                at,
                format!("must be {}", allowed.iter().map(|kind| article(kind)).collect::<Vec<_>>().join(" or ")),
            );
        }
    }

    fn one_of_values(&mut self, rule: &Value, value: &Value, at: &str) {
        let allowed = rule.as_array().map(Vec::as_slice).unwrap_or_default();
        if !allowed.contains(value) {
            let words: Vec<String> = allowed.iter().map(ToString::to_string).collect();
            self.fault(at, format!("must be one of {}", words.join(", ")));
        }
    }

    fn properties(&mut self, rule: &Value, value: &Value, at: &str) {
        let (Some(rules), Some(fields)) = (rule.as_object(), value.as_object()) else { return };
        for (name, schema) in rules {
            if let Some(field) = fields.get(name) {
                self.value(schema, field, &step(at, name));
            }
        }
    }

    fn required(&mut self, rule: &Value, value: &Value, at: &str) {
        let Some(fields) = value.as_object() else { return };
        for name in rule.as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                self.fault(&step(at, name), "this field is needed");
            }
        }
    }

    fn others(&mut self, rules: &Map<String, Value>, rule: &Value, value: &Value, at: &str) {
        let Some(fields) = value.as_object() else { return };
        let known = rules.get("properties").and_then(Value::as_object);
        for (name, field) in fields.iter().filter(|(name, _)| known.is_none_or(|known| !known.contains_key(*name))) {
            match rule {
                Value::Bool(true) => {}
                Value::Bool(false) => self.fault(&step(at, name), "this field is not known here"),
                schema => self.value(schema, field, &step(at, name)),
            }
        }
    }

    fn items(&mut self, rule: &Value, value: &Value, at: &str) {
        for (place, item) in value.as_array().into_iter().flatten().enumerate() {
            self.value(rule, item, &step(at, &place.to_string()));
        }
    }

    fn any_of(&mut self, rule: &Value, value: &Value, at: &str) {
        let choices = rule.as_array().map(Vec::as_slice).unwrap_or_default();
        let mut least: Option<Vec<Fault>> = None;
        for choice in choices {
            let mut found = Vec::new();
            Check { schemas: self.schemas, found: &mut found }.value(choice, value, at);
            if found.is_empty() {
                return;
            }
            if least.as_ref().is_none_or(|best| found.len() < best.len()) {
                least = Some(found);
            }
        }
        self.found.extend(least.unwrap_or_default());
    }

    fn bound(&mut self, word: &str, rule: &Value, value: &Value, at: &str) {
        let size = match (word, value) {
            ("minimum" | "maximum", number) => {
                number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
            }
            ("minLength" | "maxLength", Value::String(text)) => i128::try_from(text.len()).ok(),
            ("minItems" | "maxItems", Value::Array(list)) => i128::try_from(list.len()).ok(),
            _ => None,
        };
        let limit = rule.as_i64().map(i128::from);
        if let (Some(size), Some(limit)) = (size, limit) {
            let low = word.starts_with("min");
            if (low && size < limit) || (!low && size > limit) {
                let what = if word.ends_with("Length") {
                    " bytes long"
                } else if word.ends_with("Items") {
                    " items long"
                } else {
                    ""
                };
                self.fault(at, format!("must be at {} {limit}{what}", if low { "least" } else { "most" }));
            }
        }
    }
}

fn article(kind: &str) -> String {
    match kind {
        "null" => "null".to_owned(),
        "integer" | "array" | "object" => format!("an {kind}"),
        other => format!("a {other}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::faults;

    #[test]
    fn every_wrong_field_is_named_at_once() {
        let schema = json!({"type":"object","additionalProperties":false,"required":["metric","units"],
            "properties":{"metric":{"type":"string"},"units":{"type":"integer","minimum":1},"tags":{"type":"array","items":{"type":"string"}}}});
        let value = json!({"units":1.5,"extra":true,"tags":["a",2]});
        let mut found: Vec<_> = faults(&schema, &Map::new(), &value).into_iter().map(|fault| fault.pointer).collect();
        found.sort();
        assert_eq!(found, ["/extra", "/metric", "/tags/1", "/units"]);
    }

    #[test]
    fn a_value_of_the_right_shape_has_no_faults() {
        let schema = json!({"oneOf":[{"type":"null"},{"$ref":"#/components/schemas/Name"}]});
        let named = json!({"Name":{"type":"string","maxLength":3}});
        assert!(faults(&schema, named.as_object().unwrap(), &json!("abc")).is_empty());
        assert_eq!(faults(&schema, named.as_object().unwrap(), &json!("abcd")).len(), 1);
    }

    #[test]
    fn a_word_that_nothing_checks_is_a_fault_itself() {
        assert_eq!(faults(&json!({"pattern":"^a"}), &Map::new(), &json!("a")).len(), 1);
    }
}
