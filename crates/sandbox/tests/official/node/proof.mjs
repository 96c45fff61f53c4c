// The official Stripe client for Node against the sandbox: operations, paging, error classes, signatures both ways.
// Run as: node proof.mjs <sandbox's address> <folder with node_modules>. Prints one line per thing shown.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [, , address, folder] = process.argv;
const Stripe = createRequire(join(folder, 'package.json'))('stripe');
const { hostname, port } = new URL(address);
const stripe = new Stripe('sk_test_official', {
  host: hostname, port, protocol: 'http', telemetry: false, maxNetworkRetries: 0, apiVersion: '2026-10-28.endive',
});
const shown = (what) => console.log(`SHOWN: ${what}`);
const refusal = async (work) => {
  try {
    await work;
  } catch (error) {
    return error;
  }
  throw new assert.AssertionError({ message: 'the call was not refused' });
};

async function catalog() {
  const product = await stripe.products.create({ id: 'tg_node', name: 'Node' });
  const price = await stripe.prices.create({
    product: product.id, unit_amount: 4900, currency: 'usd', recurring: { interval: 'month' }, lookup_key: 'node_m',
  });
  const higher = await stripe.prices.create({
    product: product.id, unit_amount: 39900, currency: 'usd', recurring: { interval: 'month' }, lookup_key: 'node_big_m',
  });
  const found = await stripe.prices.list({ lookup_keys: ['node_m'], active: true, expand: ['data.product'] });
  assert.equal(found.data[0].id, price.id);
  assert.equal(found.data[0].product.name, 'Node');
  shown('products and prices, found by lookup key with an expansion');
  return { price, higher };
}

async function customer(card) {
  const made = await stripe.customers.create(
    { email: 'node@example.com', metadata: { tollgate_org: 'org_node' } }, { idempotencyKey: `node-${card}` });
  const again = await stripe.customers.create(
    { email: 'node@example.com', metadata: { tollgate_org: 'org_node' } }, { idempotencyKey: `node-${card}` });
  assert.equal(again.id, made.id);
  const method = await stripe.paymentMethods.attach(card, { customer: made.id });
  await stripe.customers.update(made.id, { invoice_settings: { default_payment_method: method.id } });
  return made;
}

async function life({ price, higher }) {
  const who = await customer('pm_card_visa');
  const intent = await stripe.setupIntents.create({
    customer: who.id, usage: 'off_session', automatic_payment_methods: { enabled: true },
  });
  assert.match(intent.client_secret, /^seti_/);
  const started = await stripe.subscriptions.create({
    customer: who.id, items: [{ price: price.id }], trial_period_days: 14, billing_mode: { type: 'flexible' },
    trial_settings: { end_behavior: { missing_payment_method: 'cancel' } },
    payment_settings: { save_default_payment_method: 'on_subscription' }, expand: ['pending_setup_intent'],
  });
  assert.equal(started.status, 'trialing');
  const paying = await stripe.subscriptions.update(started.id, { trial_end: 'now', expand: ['latest_invoice'] });
  assert.equal(paying.latest_invoice.total, 4900);
  const item = started.items.data[0].id;
  const at = Math.floor((paying.items.data[0].current_period_start + paying.items.data[0].current_period_end) / 2);
  const details = {
    items: [{ id: item, price: higher.id, quantity: 1 }], proration_behavior: 'always_invoice', proration_date: at,
  };
  const previewed = await stripe.invoices.createPreview({
    customer: who.id, subscription: started.id, subscription_details: details,
  });
  const upgraded = await stripe.subscriptions.update(started.id, {
    ...details, payment_behavior: 'pending_if_incomplete', expand: ['latest_invoice.confirmation_secret'],
  });
  assert.equal(upgraded.pending_update, null);
  assert.equal(upgraded.latest_invoice.total, previewed.total);
  shown('trial, payment, preview and upgrade: the amount charged is the amount shown');
  const ending = await stripe.subscriptions.update(started.id, { cancel_at_period_end: true });
  assert.equal(ending.cancel_at_period_end, true);
  await stripe.subscriptions.update(started.id, { cancel_at_period_end: false });
  const ended = await stripe.subscriptions.cancel(started.id);
  assert.equal(ended.status, 'canceled');
  shown('cancellation at the period\'s end, taken back, and at once');
  return { who, invoice: upgraded.latest_invoice };
}

async function money({ who, invoice }, { price }) {
  const coupon = await stripe.coupons.create({ percent_off: 25.5, duration: 'repeating', duration_in_months: 3 });
  assert.equal(coupon.percent_off, 25.5);
  const promotion = await stripe.promotionCodes.create({ promotion: { type: 'coupon', coupon: coupon.id }, code: 'NODE' });
  const credit = await stripe.customers.createBalanceTransaction(who.id, { amount: -100, currency: 'usd' });
  assert.equal(credit.ending_balance, -100);
  const rate = await stripe.taxRates.create({ display_name: 'VAT', inclusive: false, percentage: 19, country: 'DE' });
  const id = await stripe.customers.createTaxId(who.id, { type: 'eu_vat', value: 'DE123456789' });
  assert.equal(id.verification.status, 'pending');
  const discounted = await stripe.subscriptions.create({
    customer: who.id, items: [{ price: price.id }], discounts: [{ promotion_code: promotion.id }],
    default_tax_rates: [rate.id], expand: ['latest_invoice', 'discounts'],
  });
  const total = Math.round(4900 * 0.745) + Math.round(Math.round(4900 * 0.745) * 0.19);
  assert.ok(Math.abs(discounted.latest_invoice.total - total) <= 1, `${discounted.latest_invoice.total} of ${total}`);
  assert.equal(discounted.latest_invoice.amount_due, discounted.latest_invoice.total - 100);
  assert.equal(discounted.discounts[0].promotion_code, promotion.id);
  shown('coupon, promotion code, tax and credit work on one invoice');
  await stripe.invoiceItems.create({ customer: who.id, amount: 700, currency: 'usd', description: 'Help' });
  const draft = await stripe.invoices.create({ customer: who.id, pending_invoice_items_behavior: 'include' });
  const paid = await stripe.invoices.pay((await stripe.invoices.finalizeInvoice(draft.id)).id);
  assert.equal(paid.status, 'paid');
  const payments = await stripe.invoicePayments.list({ invoice: invoice.id });
  const refund = await stripe.refunds.create({ payment_intent: payments.data[0].payment.payment_intent, amount: 500 });
  assert.equal(refund.status, 'succeeded');
  const preview = await stripe.creditNotes.preview({ invoice: paid.id, amount: 200, credit_amount: 200 });
  const note = await stripe.creditNotes.create({ invoice: paid.id, amount: 200, credit_amount: 200 });
  assert.equal(note.total, preview.total);
  shown('invoice items, one-off invoices, refunds and credit notes');
}

async function paging() {
  for (let n = 0; n < 23; n += 1) await stripe.customers.create({ email: 'many@example.com' });
  let seen = 0;
  for await (const one of stripe.customers.list({ email: 'many@example.com', limit: 5 })) {
    assert.equal(one.object, 'customer');
    seen += 1;
  }
  assert.equal(seen, 23);
  shown('23 customers by automatic paging in pages of 5');
}

async function refusals({ price }) {
  const bad = new Stripe('nonsense', { host: hostname, port, protocol: 'http', telemetry: false, maxNetworkRetries: 0 });
  assert.equal((await refusal(bad.customers.list())).type, 'StripeAuthenticationError');
  assert.equal((await refusal(stripe.customers.retrieve('cus_none'))).code, 'resource_missing');
  const unknown = await refusal(stripe.customers.create({ emale: 'x' }));
  assert.equal(unknown.type, 'StripeInvalidRequestError');
  assert.equal(unknown.param, 'emale');
  const who = await customer('pm_card_chargeCustomerFail');
  const declined = await refusal(stripe.subscriptions.create({
    customer: who.id, items: [{ price: price.id }], payment_behavior: 'error_if_incomplete',
  }));
  assert.equal(declined.type, 'StripeCardError');
  assert.equal(declined.code, 'card_declined');
  await stripe.customers.create({ email: 'one@example.com' }, { idempotencyKey: 'node-same' });
  const reused = await refusal(stripe.customers.create({ email: 'two@example.com' }, { idempotencyKey: 'node-same' }));
  assert.equal(reused.type, 'StripeIdempotencyError');
  shown('authentication, request, card and idempotency errors have their classes');
}

async function webhooks() {
  const server = createServer();
  const heard = new Promise((resolve) => {
    server.on('request', (request, response) => {
      const pieces = [];
      request.on('data', (piece) => pieces.push(piece));
      request.on('end', () => {
        response.end();
        resolve({ body: Buffer.concat(pieces), signature: request.headers['stripe-signature'] });
      });
    });
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const endpoint = await stripe.webhookEndpoints.create({
    url: `http://127.0.0.1:${server.address().port}/hook`, enabled_events: ['customer.created'],
    api_version: '2026-10-28.endive',
  });
  const made = await stripe.customers.create({ email: 'hook@example.com' });
  const { body, signature } = await heard;
  server.close();
  server.closeAllConnections();
  // The sandbox's clock may have been moved: the signature is what is shown here.
  const event = stripe.webhooks.constructEvent(body, signature, endpoint.secret, Number.MAX_SAFE_INTEGER);
  assert.equal(event.data.object.id, made.id);
  assert.throws(() => stripe.webhooks.constructEvent(body, signature, 'whsec_other', Number.MAX_SAFE_INTEGER));
  await stripe.webhookEndpoints.del(endpoint.id);
  shown('the sandbox\'s signature is believed, with the right secret only');
}

async function hosted({ price }) {
  const session = await stripe.checkout.sessions.create({
    mode: 'subscription', line_items: [{ price: price.id, quantity: 2 }], customer_email: 'shop@example.com',
    success_url: 'https://app.test/done?s={CHECKOUT_SESSION_ID}', cancel_url: 'https://app.test/back',
    metadata: { order: '7' }, subscription_data: { metadata: { order: '7' }, trial_period_days: 7 },
  });
  assert.equal(session.status, 'open');
  const paid = await fetch(session.url, {
    method: 'POST', redirect: 'manual', body: new URLSearchParams({ card: 'visa', name: 'Ann' }),
  });
  assert.equal(paid.headers.get('location'), `https://app.test/done?s=${session.id}`);
  const done = await stripe.checkout.sessions.retrieve(session.id, { expand: ['subscription', 'customer'] });
  assert.equal(done.status, 'complete');
  assert.equal(done.subscription.metadata.order, '7');
  assert.equal(done.customer.email, 'shop@example.com');
  const items = await stripe.checkout.sessions.listLineItems(session.id);
  assert.equal(items.data[0].quantity, 2);
  const other = await stripe.checkout.sessions.create({
    mode: 'subscription', line_items: [{ price: price.id, quantity: 1 }], success_url: 'https://app.test/',
  });
  assert.equal((await stripe.checkout.sessions.expire(other.id)).status, 'expired');
  const portal = await stripe.billingPortal.sessions.create({ customer: done.customer.id, return_url: 'https://app.test/' });
  assert.match(await (await fetch(portal.url)).text(), /Cancel at the end of the period/);
  const configurations = await stripe.billingPortal.configurations.list({ is_default: true });
  assert.equal(configurations.data.length, 1);
  const methods = await stripe.customers.listPaymentMethods(done.customer.id);
  assert.equal((await stripe.paymentMethods.detach(methods.data[0].id)).customer, null);
  shown('hosted checkout and portal: completed, expired, listed, opened; a card detached');
}

const prices = await catalog();
const lived = await life(prices);
await money(lived, prices);
await hosted(prices);
await paging();
await refusals(prices);
await webhooks();
