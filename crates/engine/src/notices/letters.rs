//! What the letters say.

use tollgate_connectors::mail::Letter;
use tollgate_rules::time::Timestamp;

use super::Kind;

/// What a letter is about.
pub(super) struct About<'a> {
    pub(super) kind: Kind,
    pub(super) org_name: &'a str,
    pub(super) plan_name: &'a str,
    /// When the trial ends, or access does.
    pub(super) until: Timestamp,
    /// Whether there is something to charge when a trial ends.
    pub(super) has_method: bool,
    /// Where the open invoice can be paid.
    pub(super) invoice_url: Option<&'a str>,
}

/// The letter about an occasion.
pub(super) fn letter(about: &About<'_>) -> Letter {
    let (org, plan, until) = (about.org_name, about.plan_name, about.until);
    let letter = match about.kind {
        Kind::PaymentFailed => Letter::new(format!("A payment of {org} failed"))
            .line(format!("The payment for {plan} of {org} was declined."))
            .line(format!("{org} can go on until {until}. Please pay the invoice or give another card before then.")),
        Kind::PaymentRecovered => Letter::new(format!("{org} has paid"))
            .line(format!("The open payment for {plan} of {org} has arrived. Everything goes on as before.")),
        Kind::AccessEnded => Letter::new(format!("{org} has no access any more"))
            .line(format!("The payment for {plan} of {org} is still missing, so calls are refused from now on."))
            .line("As soon as it is paid, everything goes on. Nothing that was stored is lost."),
        Kind::TrialWillEnd => {
            let letter = Letter::new(format!("The trial of {org} ends soon"))
                .line(format!("The trial of {plan} ends on {until}."));
            if about.has_method {
                letter.line(format!("{plan} begins then, and the card on file is charged."))
            } else {
                letter.line("There is no card on file: without one, access ends with the trial.")
            }
        }
    };
    match (about.kind, about.invoice_url) {
        (Kind::PaymentFailed | Kind::AccessEnded, Some(url)) => letter.action("Pay the invoice", url),
        _ => letter,
    }
}
