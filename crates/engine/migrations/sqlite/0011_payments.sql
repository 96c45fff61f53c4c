-- What customers are asked to pay for on a hosted page, and what they were told about their payments. Times are BIGINT µs UTC.

-- table: checkouts — Checkouts that were asked for, under names of our own; org_key is 0 until the org that it makes is there. retention: 400 days after the last change
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
CREATE INDEX checkouts_by_name ON checkouts (checkout_id);
CREATE INDEX checkouts_old ON checkouts (updated_at);

-- table: billing_notices — What an org was told about its payments, so that each occasion is told once. retention: 400 days
CREATE TABLE billing_notices (
  org_key BIGINT NOT NULL REFERENCES organizations (org_key),
  kind TEXT NOT NULL CHECK (kind IN ('payment_failed', 'payment_recovered', 'access_ended', 'trial_will_end')),
  occasion TEXT NOT NULL,
  told_at BIGINT NOT NULL,
  PRIMARY KEY (org_key, kind, occasion)
);
CREATE INDEX billing_notices_old ON billing_notices (told_at);

-- The inbox hears of checkouts too.
ALTER TABLE webhook_inbox RENAME TO webhook_inbox_before;
CREATE TABLE webhook_inbox (
  inbox_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  account TEXT NOT NULL,
  event_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  object_kind TEXT NOT NULL CHECK (object_kind IN ('customer', 'subscription', 'invoice', 'payment_method', 'setup_intent', 'checkout', 'other')),
  object_id TEXT NOT NULL,
  customer_id TEXT,
  source TEXT NOT NULL CHECK (source IN ('webhook', 'events', 'sweep')),
  payload TEXT NOT NULL,
  happened_at BIGINT NOT NULL,
  received_at BIGINT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'done', 'dead')),
  outcome TEXT CHECK (outcome IN ('applied', 'unchanged', 'gone', 'foreign', 'ignored')),
  attempts BIGINT NOT NULL,
  run_at BIGINT NOT NULL,
  last_error TEXT,
  processed_at BIGINT,
  UNIQUE (account, event_id)
);
INSERT INTO webhook_inbox SELECT * FROM webhook_inbox_before;
DROP TABLE webhook_inbox_before;
CREATE INDEX webhook_inbox_due ON webhook_inbox (run_at) WHERE state = 'pending';
CREATE INDEX webhook_inbox_open ON webhook_inbox (object_id) WHERE state = 'pending';
CREATE INDEX webhook_inbox_by_event ON webhook_inbox (event_id);
CREATE INDEX webhook_inbox_by_age ON webhook_inbox (received_at);
