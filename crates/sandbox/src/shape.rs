//! The parameters a route takes, written down as one line of text, and the check of a call against them.
//!
//! `customer! items!:[{price! quantity:int}] trial_end:now|int expand:[str]`: fields are separated by blanks, `!` marks a
//! required one, and the kind after the colon (text when left out) is one of `str int bool dec map`, `clear` (the empty
//! string, which unsets a value), a list of words `(a,b)`, a single word, an object `{…}`, a list `[…]`, or alternatives
//! joined by `|`. The check also gives values their type, so that resources read integers and booleans, not text.

use serde_json::{Map, Value};

use crate::api_error::ApiError;

/// One parameter.
#[derive(Clone, Debug)]
struct Field {
    name: String,
    required: bool,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Text,
    Integer,
    Boolean,
    Decimal,
    Map,
    Clear,
    Words(Vec<String>),
    Object(Vec<Field>),
    List(Box<Kind>),
    OneOf(Vec<Kind>),
}

/// Checks `tree` against `shape` and gives every value its type.
///
/// # Errors
/// Stripe's 400: `parameter_unknown`, `parameter_missing`, `parameter_invalid_…`, each naming the parameter.
pub(crate) fn check(shape: &str, tree: &Map<String, Value>) -> Result<Value, ApiError> {
    let fields = Parser { rest: shape }.fields();
    object(&fields, tree, "")
}

fn object(fields: &[Field], tree: &Map<String, Value>, path: &str) -> Result<Value, ApiError> {
    for name in tree.keys() {
        if !fields.iter().any(|field| field.name == *name) {
            let param = join(path, name);
            return Err(ApiError::invalid(format!("Received unknown parameter: {param}"))
                .code("parameter_unknown")
                .param(&param));
        }
    }
    let mut typed = Map::new();
    for field in fields {
        let param = join(path, &field.name);
        match tree.get(&field.name) {
            Some(given) => {
                typed.insert(field.name.clone(), value(&field.kind, given, &param)?);
            }
            None if field.required => {
                return Err(ApiError::invalid(format!("Missing required param: {param}."))
                    .code("parameter_missing")
                    .param(&param));
            }
            None => {}
        }
    }
    Ok(Value::Object(typed))
}

fn value(kind: &Kind, given: &Value, param: &str) -> Result<Value, ApiError> {
    match (kind, given) {
        (Kind::OneOf(kinds), _) => {
            let mut last = ApiError::invalid(format!("Invalid {param}")).param(param);
            for kind in kinds {
                match value(kind, given, param) {
                    Ok(typed) => return Ok(typed),
                    Err(error) => last = error,
                }
            }
            Err(last)
        }
        (Kind::Object(fields), Value::Object(tree)) => object(fields, tree, param),
        (Kind::Map, Value::Object(tree)) if tree.values().all(Value::is_string) => Ok(given.clone()),
        (Kind::List(item), Value::Object(tree)) => list(item, tree, param),
        (Kind::Map | Kind::List(_) | Kind::Object(_), Value::String(text)) if text.is_empty() => Ok(given.clone()),
        (Kind::Map | Kind::Object(_), _) => Err(ApiError::invalid("Invalid object").param(param)),
        (Kind::List(_), _) => Err(ApiError::invalid("Invalid array").param(param)),
        (kind, Value::String(text)) => scalar(kind, text, param),
        _ => Err(ApiError::invalid(format!("Invalid string: {given}")).param(param)),
    }
}

fn list(item: &Kind, tree: &Map<String, Value>, param: &str) -> Result<Value, ApiError> {
    let mut numbered = Vec::with_capacity(tree.len());
    for (key, given) in tree {
        let index: usize = key.parse().map_err(|_| ApiError::invalid("Invalid array").param(param))?;
        numbered.push((index, value(item, given, &join(param, key))?));
    }
    numbered.sort_by_key(|(index, _)| *index);
    Ok(numbered.into_iter().map(|(_, typed)| typed).collect())
}

fn scalar(kind: &Kind, text: &str, param: &str) -> Result<Value, ApiError> {
    match kind {
        Kind::Text => Ok(text.into()),
        Kind::Integer => text.parse::<i64>().map(Value::from).map_err(|_| {
            ApiError::invalid(format!("Invalid integer: {text}")).code("parameter_invalid_integer").param(param)
        }),
        Kind::Boolean => match text {
            "true" => Ok(true.into()),
            "false" => Ok(false.into()),
            _ => Err(ApiError::invalid(format!("Invalid boolean: {text}")).param(param)),
        },
        Kind::Decimal if is_decimal(text) => Ok(text.into()),
        Kind::Decimal => Err(ApiError::invalid(format!("Invalid decimal: {text}")).param(param)),
        Kind::Clear if text.is_empty() => Ok("".into()),
        Kind::Words(words) if words.iter().any(|word| word == text) => Ok(text.into()),
        Kind::Words(_) if text.is_empty() => {
            let message = format!(
                "You passed an empty string for '{param}'. We assume empty values are an attempt to unset a parameter; however '{param}' cannot be unset."
            );
            Err(ApiError::invalid(message).code("parameter_invalid_empty").param(param))
        }
        Kind::Words(words) => {
            Err(ApiError::invalid(format!("Invalid {param}: must be one of {}", words.join(", "))).param(param))
        }
        _ => Err(ApiError::invalid(format!("Invalid {param}")).param(param)),
    }
}

fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let numeric = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    numeric(whole) && numeric(fraction) && fraction.len() <= 12
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}[{name}]") }
}

/// Reads the notation above; shapes are constants of this crate, so a mistake in one shows in every test of its route.
struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn fields(&mut self) -> Vec<Field> {
        let mut fields = Vec::new();
        loop {
            self.rest = self.rest.trim_start();
            let name = self.word();
            if name.is_empty() {
                return fields;
            }
            let required = self.eat('!');
            let kind = if self.eat(':') { self.kind() } else { Kind::Text };
            fields.push(Field { name, required, kind });
        }
    }

    fn kind(&mut self) -> Kind {
        let mut kinds = vec![self.single()];
        while self.eat('|') {
            kinds.push(self.single());
        }
        if kinds.len() == 1 { kinds.remove(0) } else { Kind::OneOf(kinds) }
    }

    fn single(&mut self) -> Kind {
        if self.eat('{') {
            let fields = self.fields();
            self.eat('}');
            return Kind::Object(fields);
        }
        if self.eat('[') {
            let item = self.kind();
            self.eat(']');
            return Kind::List(Box::new(item));
        }
        if self.eat('(') {
            let mut words = vec![self.word()];
            while self.eat(',') {
                words.push(self.word());
            }
            self.eat(')');
            return Kind::Words(words);
        }
        match self.word().as_str() {
            "str" => Kind::Text,
            "int" => Kind::Integer,
            "bool" => Kind::Boolean,
            "dec" => Kind::Decimal,
            "map" => Kind::Map,
            "clear" => Kind::Clear,
            word => Kind::Words(vec![word.to_owned()]),
        }
    }

    fn word(&mut self) -> String {
        let end =
            self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.').unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.to_owned()
    }

    fn eat(&mut self, sign: char) -> bool {
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::form::decode;
    use serde_json::json;

    const SHAPE: &str = "customer! items:[{price! quantity:int}] trial_end:now|int off:bool metadata:map mode:(a,b)";

    #[test]
    fn values_get_their_types() {
        let tree =
            decode(b"customer=c&items[1][price]=q&items[0][price]=p&items[0][quantity]=2&trial_end=now&off=true")
                .unwrap();
        let expected = json!({
            "customer": "c", "items": [{"price": "p", "quantity": 2}, {"price": "q"}], "trial_end": "now", "off": true,
        });
        assert_eq!(check(SHAPE, &tree).unwrap(), expected);
    }

    #[test]
    fn wrong_parameters_are_named() {
        let cases = [
            ("x=1&customer=c", "x", "parameter_unknown"),
            ("off=true", "customer", "parameter_missing"),
            ("customer=c&items[0][quantity]=2", "items[0][price]", "parameter_missing"),
            ("customer=c&items[0][price]=p&items[0][quantity]=two", "items[0][quantity]", "parameter_invalid_integer"),
            ("customer=c&mode=", "mode", "parameter_invalid_empty"),
        ];
        for (body, param, code) in cases {
            let error = check(SHAPE, &decode(body.as_bytes()).unwrap()).unwrap_err().json();
            assert_eq!((&error["error"]["param"], &error["error"]["code"]), (&json!(param), &json!(code)), "{body}");
        }
        let error = check(SHAPE, &decode(b"customer=c&mode=z").unwrap()).unwrap_err().json();
        assert_eq!(error["error"]["param"], "mode");
    }
}
