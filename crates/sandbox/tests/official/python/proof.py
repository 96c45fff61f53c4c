"""The official Stripe client for Python against the sandbox: operations, paging, error classes, signatures.

Run as: python3 proof.py <sandbox's address> <folder with the client>. Prints one line per thing shown.
"""

import http.server
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request

ADDRESS, FOLDER = sys.argv[1:3]
sys.path.insert(0, FOLDER)

import stripe  # noqa: E402  (only there after the line above)
from stripe._http_client import UrllibClient  # noqa: E402

VERSION = "2026-10-28.endive"


def client(key="sk_test_official"):
    return stripe.StripeClient(
        key, base_addresses={"api": ADDRESS}, max_network_retries=0, http_client=UrllibClient(), stripe_version=VERSION
    )


V1 = client().v1


def shown(what):
    print("SHOWN: " + what, flush=True)


def refused(kind, work):
    try:
        work()
    except kind as error:
        return error
    raise AssertionError("the call was not refused as " + kind.__name__)


def customer(card):
    made = V1.customers.create({"email": "python@example.com"}, {"idempotency_key": "python-" + card})
    again = V1.customers.create({"email": "python@example.com"}, {"idempotency_key": "python-" + card})
    assert made.id == again.id
    method = V1.payment_methods.attach(card, {"customer": made.id})
    V1.customers.update(made.id, {"invoice_settings": {"default_payment_method": method.id}})
    return made


def catalog():
    product = V1.products.create({"id": "tg_python", "name": "Python"})
    recurring = {"product": product.id, "currency": "usd", "recurring": {"interval": "month"}}
    low = V1.prices.create({**recurring, "unit_amount": 4900, "lookup_key": "python_m"})
    high = V1.prices.create({**recurring, "unit_amount": 39900})
    found = V1.prices.list({"lookup_keys": ["python_m"], "active": True})
    assert [price.id for price in found.data] == [low.id]
    return low, high


def life(low, high):
    who = customer("pm_card_visa")
    trial = V1.subscriptions.create({"customer": who.id, "items": [{"price": low.id}], "trial_period_days": 14})
    assert trial.status == "trialing"
    paying = V1.subscriptions.update(trial.id, {"trial_end": "now", "expand": ["latest_invoice"]})
    assert paying.latest_invoice.total == 4900
    item = paying["items"].data[0]
    details = {
        "items": [{"id": item.id, "price": high.id, "quantity": 1}],
        "proration_behavior": "always_invoice",
        "proration_date": (item.current_period_start + item.current_period_end) // 2,
    }
    preview = V1.invoices.create_preview({"subscription": trial.id, "subscription_details": details})
    upgraded = V1.subscriptions.update(
        trial.id, {**details, "payment_behavior": "pending_if_incomplete", "expand": ["latest_invoice"]}
    )
    assert upgraded.latest_invoice.total == preview.total
    shown("trial, payment, preview and upgrade: the amount charged is the amount shown")
    assert V1.subscriptions.cancel(trial.id).status == "canceled"
    return who, upgraded.latest_invoice


def money(who, invoice, low):
    coupon = V1.coupons.create({"amount_off": 900, "currency": "usd", "duration": "once"})
    code = V1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}})
    V1.customers.balance_transactions.create(who.id, {"amount": -1000, "currency": "usd"})
    rate = V1.tax_rates.create({"display_name": "GST", "inclusive": False, "percentage": 5})
    made = V1.subscriptions.create(
        {
            "customer": who.id,
            "items": [{"price": low.id}],
            "discounts": [{"promotion_code": code.id}],
            "default_tax_rates": [rate.id],
            "expand": ["latest_invoice"],
        }
    )
    assert made.latest_invoice.total == 4200, made.latest_invoice.total
    assert made.latest_invoice.amount_due == 3200
    V1.customers.tax_ids.create(who.id, {"type": "eu_vat", "value": "FR12345678901"})
    payments = V1.invoice_payments.list({"invoice": invoice.id})
    refund = V1.refunds.create({"payment_intent": payments.data[0].payment.payment_intent, "amount": 100})
    assert refund.amount == 100
    note = V1.credit_notes.create({"invoice": invoice.id, "amount": 300, "credit_amount": 300})
    assert note.total == 300
    shown("coupon, tax, credit, refund and credit note")


def paging():
    for _ in range(23):
        V1.customers.create({"email": "pages@example.com"})
    seen = list(V1.customers.list({"email": "pages@example.com", "limit": 5}).auto_paging_iter())
    assert len(seen) == 23 and len({one.id for one in seen}) == 23
    shown("23 customers by automatic paging in pages of 5")


def refusals(low):
    refused(stripe.AuthenticationError, lambda: client("nonsense").v1.customers.list())
    missing = refused(stripe.InvalidRequestError, lambda: V1.customers.retrieve("cus_none"))
    assert missing.code == "resource_missing"
    who = customer("pm_card_chargeCustomerFail")
    order = {"customer": who.id, "items": [{"price": low.id}], "payment_behavior": "error_if_incomplete"}
    declined = refused(stripe.CardError, lambda: V1.subscriptions.create(order))
    assert declined.code == "card_declined"
    V1.customers.create({"email": "one@example.com"}, {"idempotency_key": "python-same"})
    other = {"email": "two@example.com"}
    refused(stripe.IdempotencyError, lambda: V1.customers.create(other, {"idempotency_key": "python-same"}))
    shown("authentication, request, card and idempotency errors have their classes")


def webhooks():
    heard, came = {}, threading.Event()

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            heard["body"] = self.rfile.read(int(self.headers["content-length"]))
            heard["signature"] = self.headers["stripe-signature"]
            self.send_response(200)
            self.end_headers()
            came.set()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = V1.webhook_endpoints.create(
        {"url": "http://127.0.0.1:%d/hook" % server.server_port, "enabled_events": ["customer.created"]}
    )
    made = V1.customers.create({"email": "hook@example.com"})
    assert came.wait(20), "no webhook came"
    server.shutdown()
    event = stripe.Webhook.construct_event(heard["body"], heard["signature"], endpoint.secret, tolerance=None)
    assert event.data.object.id == made.id
    forged = lambda: stripe.Webhook.construct_event(heard["body"], heard["signature"], "whsec_other", tolerance=None)
    refused(stripe.SignatureVerificationError, forged)
    V1.webhook_endpoints.delete(endpoint.id)
    shown("the sandbox's signature is believed, with the right secret only")


def hosted(low):
    session = V1.checkout.sessions.create({
        "mode": "subscription", "line_items": [{"price": low.id, "quantity": 1}],
        "success_url": "https://app.test/done", "subscription_data": {"metadata": {"order": "9"}},
    })
    form = urllib.parse.urlencode({"card": "visa", "email": "shop@example.com"}).encode()
    try:
        urllib.request.build_opener(Stay).open(session.url, form)
    except urllib.error.HTTPError as answer:
        assert (answer.code, answer.headers["location"]) == (303, "https://app.test/done")
    done = V1.checkout.sessions.retrieve(session.id, {"expand": ["subscription"]})
    assert done.payment_status == "paid" and done.subscription.metadata["order"] == "9"
    portal = V1.billing_portal.sessions.create({"customer": done.customer})
    assert b"Next invoice" in urllib.request.urlopen(portal.url).read()
    shown("hosted checkout and portal")


class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


LOW, HIGH = catalog()
WHO, INVOICE = life(LOW, HIGH)
money(WHO, INVOICE, LOW)
hosted(LOW)
paging()
refusals(LOW)
webhooks()
