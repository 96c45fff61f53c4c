-- What customers are asked to pay for on a hosted page, and what they were told about their payments. Times are BIGINT µs UTC.

CREATE TABLE checkouts (
  org_key BIGINT NOT NULL,
  checkout_id TEXT NOT NULL,
  org_id TEXT NOT NULL,
  org_name TEXT,
  email TEXT NOT NULL,
  price_lookup TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('asked', 'open', 'completed', 'expired')),
  session_id TEXT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (org_key, checkout_id)
);
COMMENT ON TABLE checkouts IS 'Checkouts that were asked for, under names of our own; org_key is 0 until the org that it makes is there. retention: 400 days after the last change';
CREATE INDEX checkouts_by_name ON checkouts (checkout_id);
CREATE INDEX checkouts_old ON checkouts (updated_at);

CREATE TABLE billing_notices (
  org_key BIGINT NOT NULL REFERENCES organizations (org_key),
  kind TEXT NOT NULL CHECK (kind IN ('payment_failed', 'payment_recovered', 'access_ended', 'trial_will_end')),
  occasion TEXT NOT NULL,
  told_at BIGINT NOT NULL,
  PRIMARY KEY (org_key, kind, occasion)
);
COMMENT ON TABLE billing_notices IS 'What an org was told about its payments, so that each occasion is told once. retention: 400 days';
CREATE INDEX billing_notices_old ON billing_notices (told_at);

-- The inbox hears of checkouts too.
ALTER TABLE webhook_inbox DROP CONSTRAINT webhook_inbox_object_kind_check;
ALTER TABLE webhook_inbox ADD CONSTRAINT webhook_inbox_object_kind_check CHECK (object_kind IN ('customer', 'subscription', 'invoice', 'payment_method', 'setup_intent', 'checkout', 'other'));
