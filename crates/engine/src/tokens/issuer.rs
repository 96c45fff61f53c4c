//! An issuer whose tokens are believed: its exact name, its one algorithm, its keys, and what only it demands.

use serde_json::{Map, Value};

use super::foreign::Keys;

/// A foreign issuer.
#[derive(Debug)]
pub(crate) struct Issuer {
    /// The exact `iss`.
    pub(crate) name: String,
    /// Its keys.
    pub(crate) keys: Keys,
    /// Pages whose tokens are taken.
    pub(crate) parties: Parties,
    /// Who of its users may be the operator.
    pub(crate) operators: Operators,
}

/// Origins that may have asked for a token (`azp`).
#[derive(Debug, Clone, Default)]
pub struct Parties {
    /// The origins; empty takes any.
    pub origins: Vec<String>,
    /// Whether a token without an origin (a native app's) is taken.
    pub missing_is_fine: bool,
}

impl Parties {
    /// Whether a token with this origin is taken.
    pub(crate) fn admit(&self, party: Option<&str>) -> bool {
        match party {
            _ if self.origins.is_empty() => true,
            Some(party) => self.origins.iter().any(|origin| origin == party),
            None => self.missing_is_fine,
        }
    }
}

/// Who is the operator: a claim of the token and a list of users; both must agree.
#[derive(Debug, Clone, Default)]
pub struct Operators {
    /// Path of the claim (`metadata.tollgate_operator`), which must be `true`.
    pub claim: String,
    /// Users who may be the operator.
    pub users: Vec<String>,
}

impl Operators {
    /// Whether these claims are an operator's.
    pub(crate) fn admit(&self, user_id: &str, claims: &Map<String, Value>) -> bool {
        let mut steps = self.claim.split('.');
        let first = steps.next().and_then(|step| claims.get(step));
        let claimed = steps.fold(first, |value, step| value.and_then(|value| value.get(step)));
        claimed == Some(&Value::Bool(true)) && self.users.iter().any(|listed| listed == user_id)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Operators, Parties};

    #[test]
    fn an_operator_has_the_claim_and_is_listed() {
        let operators = Operators { claim: "metadata.tollgate_operator".to_owned(), users: vec!["user_1".to_owned()] };
        let claims = |value: serde_json::Value| json!({ "metadata": { "tollgate_operator": value } });
        let admits = |user: &str, claims: serde_json::Value| operators.admit(user, claims.as_object().unwrap());
        assert!(admits("user_1", claims(json!(true))));
        assert!(!admits("user_2", claims(json!(true))));
        for value in [json!(false), json!("true"), json!(1), json!(null)] {
            assert!(!admits("user_1", claims(value)));
        }
        assert!(!admits("user_1", json!({ "metadata": true })));
        assert!(!Operators::default().admit("user_1", json!({ "": true }).as_object().unwrap()));
    }

    #[test]
    fn a_token_from_a_foreign_page_is_not_taken() {
        let parties = Parties { origins: vec!["https://app.example".to_owned()], missing_is_fine: false };
        assert!(parties.admit(Some("https://app.example")));
        assert!(!parties.admit(Some("https://app.example.evil")) && !parties.admit(None));
        assert!(Parties { missing_is_fine: true, ..parties }.admit(None));
        assert!(Parties::default().admit(Some("https://any.example")));
    }
}
