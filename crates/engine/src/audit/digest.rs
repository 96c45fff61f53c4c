//! Salted digests of an entry's fields, and the hash that chains entries.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::clock::{Entropy, hex};

/// The fields that may carry personal values and can be erased one by one. An absent value has a digest too.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    pub(super) actor: Option<String>,
    pub(super) entity: Option<String>,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
}

impl Fields {
    pub(super) fn named(&self) -> [(&'static str, Option<&str>); 4] {
        [
            ("actor", self.actor.as_deref()),
            ("after", self.after.as_deref()),
            ("before", self.before.as_deref()),
            ("entity", self.entity.as_deref()),
        ]
    }
}

/// One random salt per field. Erasing a field erases its salt, so that the value cannot be guessed from its digest.
#[derive(Debug)]
pub(super) struct Salts(Map<String, Value>);

impl Salts {
    pub(super) fn new(entropy: &Entropy) -> Salts {
        let salts =
            Fields::default().named().map(|(name, _)| (name.to_owned(), Value::from(hex(&entropy.bytes::<16>()))));
        Salts(salts.into_iter().collect())
    }

    pub(super) fn parse(json: &str) -> Option<Salts> {
        serde_json::from_str(json).ok().map(Salts)
    }

    pub(super) fn to_json(&self) -> String {
        Value::from(self.0.clone()).to_string()
    }

    /// The same without a field's salt: the field is erased.
    pub(super) fn without(mut self, field: &str) -> Salts {
        self.0.remove(field);
        self
    }

    /// The salt of a field; none when the field was erased.
    pub(super) fn of(&self, field: &str) -> Option<&str> {
        self.0.get(field).and_then(Value::as_str)
    }
}

/// The digests of all fields as JSON text, in a fixed order.
pub(super) fn of(fields: &Fields, salts: &Salts) -> String {
    let digests = fields.named().map(|(name, value)| {
        let salt = salts.of(name).unwrap_or_default();
        (name.to_owned(), Value::from(field(salt, name, value)))
    });
    Value::from(digests.into_iter().collect::<Map<_, _>>()).to_string()
}

/// The digest of one field.
pub(super) fn field(salt: &str, name: &str, value: Option<&str>) -> String {
    let mut hash = Sha256::new();
    add(&mut hash, salt);
    add(&mut hash, name);
    add(&mut hash, if value.is_some() { "1" } else { "0" });
    add(&mut hash, value.unwrap_or_default());
    hex(&hash.finalize())
}

/// What the chain's hash covers, besides the hash before it.
#[derive(Debug)]
pub(super) struct Link<'a> {
    pub(super) org_key: i64,
    pub(super) chain_no: i64,
    pub(super) entry_id: &'a str,
    pub(super) occurred_at: i64,
    pub(super) action: &'a str,
    pub(super) corr_id: &'a str,
    pub(super) digests: &'a str,
}

/// The hash of an entry in its chain.
pub(super) fn chained(prev_hash: &str, link: &Link<'_>) -> String {
    let mut hash = Sha256::new();
    add(&mut hash, prev_hash);
    for number in [link.org_key, link.chain_no, link.occurred_at] {
        hash.update(number.to_be_bytes());
    }
    for text in [link.entry_id, link.action, link.corr_id, link.digests] {
        add(&mut hash, text);
    }
    hex(&hash.finalize())
}

/// Length first, so that no two different lists of texts hash the same bytes.
fn add(hash: &mut Sha256, text: &str) {
    let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
    hash.update(length.to_be_bytes());
    hash.update(text.as_bytes());
}
