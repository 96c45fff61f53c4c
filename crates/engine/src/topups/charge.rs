//! The steps of the operation: draft, item, our row, the charge, the units.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use tollgate_connectors::billing::{self, NewInvoiceItem, NewOneOff, Payment};
use tollgate_rules::ids::InvoiceId;

use super::{Frozen, State, paid, sql};
use crate::db::{self, Lane};
use crate::fault::point;
use crate::invoices;
use crate::operations::{Code, Refusal, Run, Stop};
use crate::subscriptions::{keys_are_forgotten, stop};

/// Runs the steps.
pub(crate) async fn advance(run: &mut Run<'_>) -> Result<Value, Stop> {
    let frozen: Frozen = run.body()?;
    point(run.engine(), "topup.begun").map_err(db::Error::from)?;
    let invoice_id = draft(run, &frozen).await?;
    item(run, &frozen, &invoice_id).await?;
    point(run.engine(), "topup.drafted").map_err(db::Error::from)?;
    note(run, &frozen, &invoice_id).await?;
    point(run.engine(), "topup.noted").map_err(db::Error::from)?;
    let charged = charge(run, &invoice_id).await;
    match charged {
        Ok(Charged::Paid) => {
            point(run.engine(), "topup.paid").map_err(db::Error::from)?;
            give(run, &invoice_id).await?;
            point(run.engine(), "topup.given").map_err(db::Error::from)?;
            Ok(json!({ "topupId": run.id() }))
        }
        Ok(Charged::Declined { message, reason }) => {
            void(run, &invoice_id).await?;
            point(run.engine(), "topup.voided").map_err(db::Error::from)?;
            mark(run, State::Declined).await?;
            Err(refused(Code::PaymentFailed, message, reason, None))
        }
        Err(Stop::Refused(refusal)) if refusal.code == Code::PaymentActionRequired => {
            mark(run, State::Waiting).await?;
            Err(Stop::Refused(refusal))
        }
        Err(stopped) => Err(stopped),
    }
}

async fn draft(run: &mut Run<'_>, frozen: &Frozen) -> Result<InvoiceId, Stop> {
    let (engine, operation) = (run.engine().clone(), run.id().to_owned());
    let forgotten = keys_are_forgotten(run);
    let new = NewOneOff {
        customer_id: frozen.customer_id.clone(),
        currency: frozen.pack.price.currency,
        payment_method_id: frozen.payment_method_id.clone(),
        description: frozen.pack.name.clone(),
        automatic_tax: frozen.automatic_tax,
    };
    run.step("invoice", |key| async move {
        if forgotten
            && let Some(made) = engine.billing().find_one_off(&operation, &new.customer_id).await.map_err(stop)?
        {
            return Ok(made);
        }
        let made = engine.billing().create_one_off(&key, &operation, &new).await.map_err(stop)?;
        point(&engine, "topup.before_draft_stored").map_err(db::Error::from)?;
        Ok(made)
    })
    .await
}

async fn item(run: &mut Run<'_>, frozen: &Frozen, invoice_id: &InvoiceId) -> Result<(), Stop> {
    let engine = run.engine().clone();
    let forgotten = keys_are_forgotten(run);
    let new = NewInvoiceItem {
        customer_id: frozen.customer_id.clone(),
        subscription_id: None,
        invoice_id: Some(invoice_id.clone()),
        amount: frozen.pack.price,
        description: frozen.pack.name.clone(),
        mark: run.id().to_owned(),
    };
    run.step("item", |key| async move {
        if forgotten && engine.billing().has_invoice_item(&new.customer_id, &new.mark).await.map_err(stop)? {
            return Ok(());
        }
        engine.billing().create_invoice_item(&key, &new).await.map_err(stop)?;
        point(&engine, "topup.before_item_stored").map_err(db::Error::from)?;
        Ok(())
    })
    .await
}

/// Our row is there before anything is charged: whoever hears of the payment finds what it is for.
async fn note(run: &Run<'_>, frozen: &Frozen, invoice_id: &InvoiceId) -> Result<(), db::Error> {
    let (engine, scope, frozen) = (run.engine().clone(), run.scope().clone(), frozen.clone());
    let (topup_id, invoice_id) = (run.id().to_owned(), invoice_id.clone());
    let write = async move {
        let mut tx = engine.db().begin(Lane::Control).await?;
        sql::insert(&mut tx, &scope, (&topup_id, &invoice_id), &frozen).await?;
        tx.commit().await
    };
    run.engine().db().detached(write).await
}

/// What became of the charge.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Charged {
    Paid,
    Declined { message: String, reason: Option<String> },
}

async fn charge(run: &mut Run<'_>, invoice_id: &InvoiceId) -> Result<Charged, Stop> {
    let (engine, invoice_id) = (run.engine().clone(), invoice_id.clone());
    run.step("pay", |key| async move {
        let answer = engine.billing().pay_one_off(&key, &invoice_id).await;
        point(&engine, "topup.before_pay_stored").map_err(db::Error::from)?;
        match answer {
            Ok(Payment::Settled) => Ok(Charged::Paid),
            Ok(Payment::ActionRequired { client_secret }) => {
                let message = "The payment must be confirmed.".to_owned();
                Err(refused(Code::PaymentActionRequired, message, None, Some(client_secret)))
            }
            Ok(Payment::Declined) => {
                Ok(Charged::Declined { message: "The card was declined.".to_owned(), reason: None })
            }
            Err(billing::Error::Declined { message, reason, .. }) => Ok(Charged::Declined { message, reason }),
            Err(error) => Err(stop(error)),
        }
    })
    .await
}

async fn void(run: &mut Run<'_>, invoice_id: &InvoiceId) -> Result<(), Stop> {
    let (engine, invoice_id) = (run.engine().clone(), invoice_id.clone());
    run.step("void", |key| async move { engine.billing().void_invoice(&key, &invoice_id).await.map_err(stop) }).await
}

/// The units, once; a webhook may have been faster. Whoever just paid finds the invoice in the list; where it cannot be fetched now,
/// its webhook brings it.
async fn give(run: &Run<'_>, invoice_id: &InvoiceId) -> Result<(), db::Error> {
    let (engine, org_key, invoice_id) = (run.engine().clone(), run.scope().org_key(), invoice_id.clone());
    let invoice = engine.billing().invoice(&invoice_id).await.ok().flatten();
    let write = async move {
        let mut tx = engine.db().begin(Lane::Control).await?;
        if let Some(invoice) = &invoice {
            invoices::apply_fact(&engine, &mut tx, org_key, invoice).await?;
        }
        paid::paid(&engine, &mut tx, org_key, &invoice_id).await?;
        tx.commit().await
    };
    run.engine().db().detached(write).await?;
    run.engine().ledger().forget(org_key);
    Ok(())
}

async fn mark(run: &Run<'_>, state: State) -> Result<(), db::Error> {
    let (engine, org_key, topup_id) = (run.engine().clone(), run.scope().org_key(), run.id().to_owned());
    let write = async move {
        let mut tx = engine.db().begin(Lane::Control).await?;
        sql::mark(&mut tx, org_key, &topup_id, state).await?;
        tx.commit().await
    };
    run.engine().db().detached(write).await
}

fn refused(code: Code, message: String, reason: Option<String>, client_secret: Option<SecretString>) -> Stop {
    Stop::Refused(Refusal { code, message, reason, client_secret })
}
