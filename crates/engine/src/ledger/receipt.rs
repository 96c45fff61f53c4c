//! Receipts: a signed, stateless token on every decision, so that it can be explained later without having been stored.
//!
//! Shape: `v1.<base64url payload>.<base64url HMAC-SHA-256>`. The payload is a list of fields parted by `|`; none of them can hold
//! that character (ids, metrics and plan codes have narrow alphabets, the rest are numbers).

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

/// What a receipt says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// For whom it was decided.
    pub(crate) org_id: String,
    /// What was asked.
    pub(crate) verb: String,
    /// `allowed`, `would_deny`, or the reason of a denial.
    pub(crate) result: String,
    /// Of what.
    pub(crate) metric: String,
    /// How many units (signed for a correction).
    pub(crate) units: i64,
    /// When.
    pub(crate) at: Timestamp,
    /// The plan, where a denial knows it.
    pub(crate) plan: String,
    /// Where the org stood; nothing where it had no access.
    pub(crate) numbers: Option<Numbers>,
}

impl Signer {
    pub(crate) fn new(secret: &[u8]) -> Signer {
        Signer(Hmac::new_from_slice(secret).expect("HMAC takes keys of any length"))
    }

    /// Signs what `facts` say.
    pub(crate) fn sign(&self, facts: &Facts) -> String {
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
    pub(crate) fn open(&self, receipt: &str) -> Result<Facts, Error> {
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

impl Facts {
    fn payload(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::with_capacity(200);
        let _ = write!(
            text,
            "{}|{}|{}|{}|{}|{}|{}",
            self.org_id,
            self.verb,
            self.result,
            self.metric,
            self.units,
            self.at.as_micros(),
            self.plan
        );
        if let Some(numbers) = &self.numbers {
            let (minor, per) = match numbers.policy {
                OveragePolicy::HardStop => (-1, 0),
                OveragePolicy::Metered { amount_minor, per_units } => (amount_minor, per_units),
            };
            let included = numbers.included.unwrap_or(-1);
            let (start, end) = (numbers.period.start.as_micros(), numbers.period.end.as_micros());
            let _ = write!(
                text,
                "|{included}|{}|{}|{}|{}|{}|{start}|{end}|{minor}|{per}",
                numbers.granted, numbers.used, numbers.held, numbers.limit_version, numbers.period_key
            );
        }
        text
    }

    fn read(text: &str) -> Option<Facts> {
        let fields: Vec<&str> = text.split('|').collect();
        let [org_id, verb, result, metric, units, at, plan, rest @ ..] = fields.as_slice() else { return None };
        Some(Facts {
            org_id: (*org_id).to_owned(),
            verb: (*verb).to_owned(),
            result: (*result).to_owned(),
            metric: (*metric).to_owned(),
            units: units.parse().ok()?,
            at: Timestamp::from_micros(at.parse().ok()?),
            plan: (*plan).to_owned(),
            numbers: if rest.is_empty() { None } else { Some(read_numbers(rest)?) },
        })
    }
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

/// An answer that a receipt can be made of.
pub(crate) trait Receipted {
    /// What its receipt says; `verb` is what was asked.
    fn facts(&self, org_id: &OrgId, verb: &'static str) -> Facts;
}

impl<T: Receipted> Receipted for Outcome<T> {
    fn facts(&self, org_id: &OrgId, verb: &'static str) -> Facts {
        match self {
            Outcome::Allowed(answer) => answer.facts(org_id, verb),
            Outcome::Denied(denial) => denied(denial, org_id, verb),
        }
    }
}

fn denied(denial: &Denial, org_id: &OrgId, verb: &'static str) -> Facts {
    Facts {
        org_id: org_id.as_str().to_owned(),
        verb: verb.to_owned(),
        result: denial.reason.as_str().to_owned(),
        metric: denial.metric.as_str().to_owned(),
        units: denial.requested,
        at: denial.decided_at,
        plan: denial.plan_code.as_ref().map(|code| code.as_str().to_owned()).unwrap_or_default(),
        numbers: denial.numbers,
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

impl Allowed<'_> {
    fn facts(self, org_id: &OrgId, verb: &'static str) -> Facts {
        Facts {
            org_id: org_id.as_str().to_owned(),
            verb: verb.to_owned(),
            result: if self.would_deny { "would_deny" } else { "allowed" }.to_owned(),
            metric: self.metric.to_owned(),
            units: self.units,
            at: self.at,
            plan: String::new(),
            numbers: Some(self.numbers),
        }
    }
}

impl Receipted for Checked {
    fn facts(&self, org_id: &OrgId, verb: &'static str) -> Facts {
        let Checked { metric, units, numbers, would_deny, decided_at } = self;
        let (metric, at) = (metric.as_str(), *decided_at);
        Allowed { metric, units: *units, at, numbers: *numbers, would_deny: *would_deny }.facts(org_id, verb)
    }
}

impl Receipted for Recorded {
    /// A record of several metrics is receipted by its first item; the others are found by their `request_id`.
    fn facts(&self, org_id: &OrgId, verb: &'static str) -> Facts {
        let first: &Counted = self.items.first().expect("a record has at least one item");
        let would_deny = self.items.iter().any(|item| item.would_deny);
        let metric = first.metric.as_str();
        Allowed { metric, units: first.units, at: self.recorded_at, numbers: first.numbers, would_deny }
            .facts(org_id, verb)
    }
}

impl Receipted for Reserved {
    fn facts(&self, org_id: &OrgId, verb: &'static str) -> Facts {
        let metric = self.metric.as_str();
        let (at, would_deny) = (self.recorded_at, self.would_deny);
        Allowed { metric, units: self.units, at, numbers: self.numbers, would_deny }.facts(org_id, verb)
    }
}

impl Receipted for HoldAnswer {
    fn facts(&self, org_id: &OrgId, verb: &'static str) -> Facts {
        let (metric, at) = (self.metric.as_str(), self.recorded_at);
        Allowed { metric, units: self.units, at, numbers: self.numbers, would_deny: false }.facts(org_id, verb)
    }
}

impl Receipted for Corrected {
    fn facts(&self, org_id: &OrgId, verb: &'static str) -> Facts {
        let (metric, at) = (self.metric.as_str(), self.recorded_at);
        Allowed { metric, units: self.units, at, numbers: self.numbers, would_deny: false }.facts(org_id, verb)
    }
}
