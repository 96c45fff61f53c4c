-- Credits: top-ups that are sold and bought, spend caps, pools that several metrics draw on. Times are BIGINT µs UTC, money and units BIGINT.

-- table: catalog_topups — Top-ups as the plans file sells them, in its order. retention: for ever
CREATE TABLE catalog_topups (
  topup TEXT NOT NULL PRIMARY KEY,
  position BIGINT NOT NULL,
  content TEXT NOT NULL
);

-- table: topups — Top-ups that orgs bought: one row per purchase, from its invoice to its units. retention: for ever (books must be kept)
CREATE TABLE topups (
  org_key BIGINT NOT NULL REFERENCES organizations (org_key),
  topup_id TEXT NOT NULL,
  topup TEXT NOT NULL,
  name TEXT NOT NULL,
  metric TEXT NOT NULL,
  units BIGINT NOT NULL CHECK (units > 0),
  amount_minor BIGINT NOT NULL,
  currency TEXT NOT NULL,
  lasts TEXT NOT NULL CHECK (lasts IN ('period', 'days', 'for_good')),
  lasts_days BIGINT,
  customer_id TEXT NOT NULL,
  invoice_id TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('charging', 'waiting', 'paid', 'declined')),
  grant_id TEXT,
  actor TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  paid_at BIGINT,
  PRIMARY KEY (org_key, topup_id),
  UNIQUE (org_key, invoice_id)
);
CREATE INDEX topups_newest ON topups (org_key, created_at, topup_id);

-- table: spend_caps — The most that an org lets overage cost in a quota period. retention: for ever
CREATE TABLE spend_caps (
  org_key BIGINT NOT NULL PRIMARY KEY REFERENCES organizations (org_key),
  amount_minor BIGINT NOT NULL CHECK (amount_minor >= 0),
  currency TEXT NOT NULL,
  actor TEXT NOT NULL,
  set_at BIGINT NOT NULL
);

-- table: unit_debts — Units that an org had used and not paid for when it went to a lower plan: taken off the periods that follow. retention: for ever
CREATE TABLE unit_debts (
  org_key BIGINT NOT NULL REFERENCES organizations (org_key),
  metric TEXT NOT NULL,
  since BIGINT NOT NULL,
  units BIGINT NOT NULL CHECK (units >= 0),
  PRIMARY KEY (org_key, metric, since)
);

ALTER TABLE ledger_heads ADD COLUMN spend_cap BIGINT;
ALTER TABLE usage_counters ADD COLUMN pool TEXT;
ALTER TABLE usage_counters ADD COLUMN pool_rate BIGINT;
ALTER TABLE plan_prices ADD COLUMN archived_at BIGINT;
