//! Ids and short codes as types that cannot be mixed up.
//!
//! Each is parsed once at the edge (`parse`) and then passed as a type that cannot be wrong. Ids of our own carry a prefix;
//! ids of Stripe are passed through as they are. Making an id needs randomness, so it happens in the engine.

use serde::{Deserialize, Serialize};

/// A text that is not a valid id or code of the kind that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {kind}: {rule}")]
pub struct InvalidId {
    /// What was expected, in the product's words (`org id`).
    pub kind: &'static str,
    /// The rule that was broken, in words for the caller.
    pub rule: &'static str,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            #[doc = concat!("Reads a ", $kind, " (", $rule, ").\n\n# Errors\n[`InvalidId`] when the text breaks that rule.")]
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidId { kind: $kind, rule: $rule })
                }
            }

            /// The text as it is written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

text_id!(
    /// The public name of an org (`org_…`; the Clerk organization id where Clerk is used).
    OrgId, "org id", "org_ followed by letters, digits, _ or -, at most 200 bytes", |t| prefixed(t, "org_")
);
text_id!(
    /// A user, as the caller names them: Tollgate stores unknown ids as given.
    UserId, "user id", "1 to 200 printable characters without spaces", |t| printable(t, 200)
);
text_id!(
    /// An API key's public id (`key_…`), never its secret.
    KeyId, "key id", "key_ followed by letters, digits, _ or -, at most 200 bytes", |t| prefixed(t, "key_")
);
text_id!(
    /// A hold of reserved units (`hold_…`).
    HoldId, "hold id", "hold_ followed by letters, digits, _ or -, at most 200 bytes", |t| prefixed(t, "hold_")
);
text_id!(
    /// An outgoing change at Stripe, Stigg or Clerk (`op_…`).
    OperationId, "operation id", "op_ followed by letters, digits, _ or -, at most 200 bytes", |t| prefixed(t, "op_")
);
text_id!(
    /// Stripe's customer (`cus_…`).
    CustomerId, "customer id", "1 to 255 printable characters without spaces", |t| printable(t, 255)
);
text_id!(
    /// Stripe's subscription (`sub_…`).
    SubscriptionId, "subscription id", "1 to 255 printable characters without spaces", |t| printable(t, 255)
);
text_id!(
    /// Stripe's price (`price_…`; old accounts have other shapes).
    PriceId, "price id", "1 to 255 printable characters without spaces", |t| printable(t, 255)
);
text_id!(
    /// Stripe's invoice (`in_…`).
    InvoiceId, "invoice id", "1 to 255 printable characters without spaces", |t| printable(t, 255)
);
text_id!(
    /// Stripe's payment method (`pm_…`, `card_…`, `src_…`).
    PaymentMethodId, "payment method id", "1 to 255 printable characters without spaces", |t| printable(t, 255)
);
text_id!(
    /// The code of a plan in the catalog (`starter`).
    PlanCode, "plan code", "a lower case letter, then lower case letters, digits or _, at most 64", word
);
text_id!(
    /// What is counted (`api_call`).
    Metric, "metric", "a lower case letter, then lower case letters, digits or _, at most 64", word
);
text_id!(
    /// A capability of a plan (`sso`).
    FeatureCode, "feature code", "a lower case letter, then lower case letters, digits or _, at most 64", word
);
text_id!(
    /// The code of a top-up in the catalog (`api_calls_10k`).
    TopupCode, "top-up code", "a lower case letter, then lower case letters, digits or _, at most 64", word
);
text_id!(
    /// The caller's own name of one usage event: unique per org across verbs and metrics.
    RequestId, "request_id", "1 to 255 bytes without control characters", |t| {
        !t.is_empty() && t.len() <= 255 && !t.chars().any(char::is_control)
    }
);

/// The internal key of an org. Rows are keyed by it, so that its public [`OrgId`] can change without touching the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OrgKey(pub i64);

impl std::fmt::Display for OrgKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl PlanCode {
    /// The plan whose limits hold during every trial.
    pub const TRIAL: &'static str = "trial";

    /// Whether this is the plan whose limits hold during every trial.
    pub fn is_trial(&self) -> bool {
        self.0 == Self::TRIAL
    }
}

fn prefixed(text: &str, prefix: &str) -> bool {
    text.len() <= 200
        && text.strip_prefix(prefix).is_some_and(|rest| {
            !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        })
}

fn printable(text: &str, bytes_max: usize) -> bool {
    !text.is_empty() && text.len() <= bytes_max && !text.chars().any(|c| c.is_control() || c.is_whitespace())
}

fn word(text: &str) -> bool {
    text.len() <= 64
        && text.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_org_id_keeps_its_prefix_and_its_alphabet() {
        assert!(OrgId::parse("org_2abcXYZ-_9").is_ok());
        for wrong in ["", "org_", "Org_a", "user_a", "org_a b", "org_é", &format!("org_{}", "a".repeat(197))] {
            assert!(OrgId::parse(wrong).is_err(), "{wrong}");
        }
        assert!(OrgId::parse(&format!("org_{}", "a".repeat(196))).is_ok());
    }

    #[test]
    fn a_metric_is_one_lower_case_word() {
        assert!(Metric::parse("api_call2").is_ok());
        for wrong in ["", "Api", "2api", "_api", "api call", "api-call", &"a".repeat(65)] {
            assert!(Metric::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_request_id_is_any_text_without_control_characters_up_to_255_bytes() {
        assert!(RequestId::parse("job 7 / größe").is_ok());
        assert!(RequestId::parse(&"x".repeat(255)).is_ok());
        for wrong in ["", "a\nb", "\u{7f}", &"x".repeat(256)] {
            assert!(RequestId::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
