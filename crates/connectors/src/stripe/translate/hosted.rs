//! What Stripe hosts for customers, in our words.

use tollgate_rules::ids::{CustomerId, SubscriptionId};

use super::{NoWord, no_word, payment_method_id, word};
use crate::billing::{CheckoutFact, CheckoutState, SavedMethod};
use crate::stripe::hosted_calls::CHECKOUT_MARK;
use crate::stripe::wire;

pub(crate) fn checkout(session: &wire::CheckoutSession) -> Result<CheckoutFact, NoWord> {
    let object = session.id.as_str();
    let state = match session.status.as_deref() {
        Some("open") => CheckoutState::Open,
        Some("complete") => CheckoutState::Complete,
        Some("expired") => CheckoutState::Expired,
        other => return Err(no_word(object, "status", other.unwrap_or("null"))),
    };
    let customer = session.customer.as_ref();
    let subscription = session.subscription.as_ref();
    Ok(CheckoutFact {
        session_id: session.id.clone(),
        url: session.url.clone(),
        state,
        customer_id: customer.map(|found| word(object, "customer", found.id(), CustomerId::parse)).transpose()?,
        subscription_id: subscription
            .map(|found| word(object, "subscription", found.id(), SubscriptionId::parse))
            .transpose()?,
        checkout_id: checkout_mark(session.metadata.as_ref()),
    })
}

/// Our own name of the checkout that an object comes from.
pub(crate) fn checkout_mark(metadata: Option<&wire::Metadata>) -> Option<String> {
    metadata?.get(CHECKOUT_MARK).cloned()
}

pub(crate) fn saved_method(method: wire::PaymentMethod) -> Result<SavedMethod, NoWord> {
    let card = method.card;
    Ok(SavedMethod {
        payment_method_id: payment_method_id(&method.id, &method.id)?,
        kind: method.kind.unwrap_or_default(),
        brand: card.as_ref().and_then(|card| card.brand.clone()),
        last4: card.as_ref().and_then(|card| card.last4.clone()),
        exp_month: card.as_ref().and_then(|card| card.exp_month),
        exp_year: card.as_ref().and_then(|card| card.exp_year),
    })
}
