//! Receipts: a signed, stateless token on every decision, so that it can be explained later without having been stored.
//!
//! Shape: `v1.<base64url payload>.<base64url HMAC-SHA-256>`. The payload is a list of fields parted by `|`; none of them can hold
//! that character (ids, metrics and plan codes have narrow alphabets, the rest are numbers).

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use tollgate_rules::catalog::OveragePolicy;
use tollgate_rules::ids::OrgId;
use tollgate_rules::ledger::{Checked, Corrected, Counted, Denial, HoldAnswer, Numbers, Outcome, Recorded, Reserved};
use tollgate_rules::period::{Period, PeriodKey};
use tollgate_rules::time::Timestamp;

use super::Error;

/// An answer with the receipt that proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed<T> {
    /// The answer.
    pub answer: T,
    /// Its receipt.
    pub receipt: String,
}

/// The key that signs, ready to use.
#[derive(Clone)]
pub(crate) struct Signer(Hmac<Sha256>);

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

/// What a receipt says; borrowed from the answer when it is signed, owned when it was read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts<'a> {
    /// For whom it was decided.
    pub(crate) org_id: Cow<'a, str>,
    /// What was asked.
    pub(crate) verb: Cow<'a, str>,
    /// `allowed`, `would_deny`, or the reason of a denial.
    pub(crate) result: Cow<'a, str>,
    /// Of what.
    pub(crate) metric: Cow<'a, str>,
    /// How many units (signed for a correction).
    pub(crate) units: i64,
    /// When.
    pub(crate) at: Timestamp,
    /// The plan, where a denial knows it.
    pub(crate) plan: Cow<'a, str>,
    /// Where the org stood; nothing where it had no access.
    pub(crate) numbers: Option<Numbers>,
    /// The key's slice, where it and not the org's limit was in the way.
    pub(crate) slice: Option<SliceFacts<'a>>,
}

/// What a receipt says of a key's slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SliceFacts<'a> {
    /// Which key's.
    pub(crate) key_id: Cow<'a, str>,
    /// Units it may use in a period, units it used, units it held.
    pub(crate) numbers: [i64; 3],
}

impl Signer {
    pub(crate) fn new(secret: &[u8]) -> Signer {
        Signer(Hmac::new_from_slice(secret).expect("HMAC takes keys of any length"))
    }

    /// Signs what `facts` say.
    pub(crate) fn sign(&self, facts: &Facts<'_>) -> String {
        let mut text = String::with_capacity(320);
        text.push_str("v1.");
        URL_SAFE_NO_PAD.encode_string(facts.payload(), &mut text);
        let mut mac = self.0.clone();
        mac.update(text.as_bytes());
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(mac.finalize().into_bytes(), &mut text);
        text
    }

    /// Reads a receipt back.
    ///
    /// # Errors
    /// [`Error::BadReceipt`] for anything this key did not sign.
    pub(crate) fn open(&self, receipt: &str) -> Result<Facts<'static>, Error> {
        let (signed, mac_text) = receipt.rsplit_once('.').ok_or(Error::BadReceipt)?;
        let payload = signed.strip_prefix("v1.").ok_or(Error::BadReceipt)?;
        let claimed = URL_SAFE_NO_PAD.decode(mac_text).map_err(|_| Error::BadReceipt)?;
        let mut mac = self.0.clone();
        mac.update(signed.as_bytes());
        mac.verify_slice(&claimed).map_err(|_| Error::BadReceipt)?;
        let bytes = URL_SAFE_NO_PAD.decode(payload).map_err(|_| Error::BadReceipt)?;
        let text = String::from_utf8(bytes).map_err(|_| Error::BadReceipt)?;
        Facts::read(&text).ok_or(Error::BadReceipt)
    }
}

/// Whether a text has the shape of a receipt, whoever signed it.
pub(super) fn is_whole(receipt: &str) -> bool {
    let parts = receipt.strip_prefix("v1.").and_then(|rest| rest.split_once('.'));
    parts.is_some_and(|(payload, mac)| {
        !payload.is_empty() && URL_SAFE_NO_PAD.decode(mac).is_ok_and(|mac| mac.len() == 32)
    })
}

impl Facts<'_> {
    fn payload(&self) -> String {
        let mut text = String::with_capacity(240);
        for word in [&self.org_id, &self.verb, &self.result, &self.metric] {
            text.push_str(word);
            text.push('|');
        }
        push_number(&mut text, self.units);
        text.push('|');
        push_number(&mut text, self.at.as_micros());
        text.push('|');
        text.push_str(&self.plan);
        if let Some(numbers) = &self.numbers {
            push_numbers(&mut text, numbers);
        }
        if let Some(slice) = &self.slice {
            text.push('|');
            text.push_str(&slice.key_id);
            for number in slice.numbers {
                text.push('|');
                push_number(&mut text, number);
            }
        }
        text
    }

    fn read(text: &str) -> Option<Facts<'static>> {
        let fields: Vec<&str> = text.split('|').collect();
        let [org_id, verb, result, metric, units, at, plan, rest @ ..] = fields.as_slice() else { return None };
        let owned = |field: &str| Cow::Owned(field.to_owned());
        let (numbers, slice) = rest.split_at(rest.len().min(NUMBER_FIELDS));
        Some(Facts {
            org_id: owned(org_id),
            verb: owned(verb),
            result: owned(result),
            metric: owned(metric),
            units: units.parse().ok()?,
            at: Timestamp::from_micros(at.parse().ok()?),
            plan: owned(plan),
            numbers: if numbers.is_empty() { None } else { Some(read_numbers(numbers)?) },
            slice: if slice.is_empty() { None } else { Some(read_slice(slice)?) },
        })
    }
}

/// The fields of a receipt's numbers.
const NUMBER_FIELDS: usize = 10;

fn push_numbers(text: &mut String, numbers: &Numbers) {
    use std::fmt::Write as _;
    let (minor, per) = match numbers.policy {
        OveragePolicy::HardStop => (-1, 0),
        OveragePolicy::Metered { amount_minor, per_units } => (amount_minor, per_units),
    };
    let included = numbers.included.unwrap_or(-1);
    for number in [included, numbers.granted, numbers.used, numbers.held, numbers.limit_version] {
        text.push('|');
        push_number(text, number);
    }
    let written = write!(text, "|{}", numbers.period_key);
    debug_assert!(written.is_ok(), "writing to a String cannot fail");
    for number in [numbers.period.start.as_micros(), numbers.period.end.as_micros(), minor, per] {
        text.push('|');
        push_number(text, number);
    }
}

/// A receipt has up to eleven numbers and stands on every answer: without the formatting machinery they cost a third.
fn push_number(text: &mut String, number: i64) {
    text.push_str(itoa::Buffer::new().format(number));
}

fn read_numbers(fields: &[&str]) -> Option<Numbers> {
    use tollgate_rules::ledger::{Limit, OpenPeriod};
    let [included, granted, used, held, version, key, start, end, minor, per] = fields else { return None };
    let number = |text: &str| text.parse::<i64>().ok();
    let included = number(included)?;
    let (amount_minor, per_units) = (number(minor)?, number(per)?);
    let limit = Limit {
        included: (included >= 0).then_some(included),
        granted: number(granted)?,
        policy: if amount_minor < 0 {
            OveragePolicy::HardStop
        } else {
            OveragePolicy::Metered { amount_minor, per_units }
        },
        version: number(version)?,
    };
    let period = Period::new(Timestamp::from_micros(number(start)?), Timestamp::from_micros(number(end)?));
    let open = OpenPeriod { no: 0, key: PeriodKey::parse(key).ok()?, period };
    Some(Numbers::of(&limit, number(used)?, number(held)?, &open))
}

fn read_slice(fields: &[&str]) -> Option<SliceFacts<'static>> {
    let [key_id, units, used, held] = fields else { return None };
    let numbers = [units.parse().ok()?, used.parse().ok()?, held.parse().ok()?];
    Some(SliceFacts { key_id: Cow::Owned((*key_id).to_owned()), numbers })
}

/// An answer that a receipt can be made of.
pub(crate) trait Receipted {
    /// What its receipt says; `verb` is what was asked.
    fn facts<'a>(&'a self, org_id: &'a OrgId, verb: &'static str) -> Facts<'a>;
}

impl<T: Receipted> Receipted for Outcome<T> {
    fn facts<'a>(&'a self, org_id: &'a OrgId, verb: &'static str) -> Facts<'a> {
        match self {
            Outcome::Allowed(answer) => answer.facts(org_id, verb),
            Outcome::Denied(denial) => denied(denial, org_id, verb),
        }
    }
}

fn denied<'a>(denial: &'a Denial, org_id: &'a OrgId, verb: &'static str) -> Facts<'a> {
    Facts {
        org_id: Cow::Borrowed(org_id.as_str()),
        verb: Cow::Borrowed(verb),
        result: Cow::Borrowed(denial.reason.as_str()),
        metric: Cow::Borrowed(denial.metric.as_str()),
        units: denial.requested,
        at: denial.decided_at,
        plan: Cow::Borrowed(denial.plan_code.as_ref().map_or("", |code| code.as_str())),
        numbers: denial.numbers,
        slice: denial.rule.slice().map(|slice| SliceFacts {
            key_id: Cow::Borrowed(slice.key_id.as_str()),
            numbers: [slice.units, slice.used, slice.held],
        }),
    }
}

/// What every allowed answer has.
struct Allowed<'a> {
    metric: &'a str,
    units: i64,
    at: Timestamp,
    numbers: Numbers,
    would_deny: bool,
}

impl<'a> Allowed<'a> {
    fn facts(self, org_id: &'a OrgId, verb: &'static str) -> Facts<'a> {
        Facts {
            org_id: Cow::Borrowed(org_id.as_str()),
            verb: Cow::Borrowed(verb),
            result: Cow::Borrowed(if self.would_deny { "would_deny" } else { "allowed" }),
            metric: Cow::Borrowed(self.metric),
            units: self.units,
            at: self.at,
            plan: Cow::Borrowed(""),
            numbers: Some(self.numbers),
            slice: None,
        }
    }
}

impl Receipted for Checked {
    fn facts<'a>(&'a self, org_id: &'a OrgId, verb: &'static str) -> Facts<'a> {
        let Checked { metric, units, numbers, would_deny, decided_at } = self;
        let (metric, at) = (metric.as_str(), *decided_at);
        Allowed { metric, units: *units, at, numbers: *numbers, would_deny: *would_deny }.facts(org_id, verb)
    }
}

impl Receipted for Recorded {
    /// A record of several metrics is receipted by its first item; the others are found by their `request_id`.
    fn facts<'a>(&'a self, org_id: &'a OrgId, verb: &'static str) -> Facts<'a> {
        let first: &Counted = self.items.first().expect("a record has at least one item");
        let would_deny = self.items.iter().any(|item| item.would_deny);
        let metric = first.metric.as_str();
        Allowed { metric, units: first.units, at: self.recorded_at, numbers: first.numbers, would_deny }
            .facts(org_id, verb)
    }
}

impl Receipted for Reserved {
    fn facts<'a>(&'a self, org_id: &'a OrgId, verb: &'static str) -> Facts<'a> {
        let metric = self.metric.as_str();
        let (at, would_deny) = (self.recorded_at, self.would_deny);
        Allowed { metric, units: self.units, at, numbers: self.numbers, would_deny }.facts(org_id, verb)
    }
}

impl Receipted for HoldAnswer {
    fn facts<'a>(&'a self, org_id: &'a OrgId, verb: &'static str) -> Facts<'a> {
        let (metric, at) = (self.metric.as_str(), self.recorded_at);
        Allowed { metric, units: self.units, at, numbers: self.numbers, would_deny: false }.facts(org_id, verb)
    }
}

impl Receipted for Corrected {
    fn facts<'a>(&'a self, org_id: &'a OrgId, verb: &'static str) -> Facts<'a> {
        let (metric, at) = (self.metric.as_str(), self.recorded_at);
        Allowed { metric, units: self.units, at, numbers: self.numbers, would_deny: false }.facts(org_id, verb)
    }
}
