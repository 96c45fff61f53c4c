-- Plans and what billing told us: published versions, their prices, customers, subscriptions.
-- Booleans are BIGINT 0/1, times BIGINT µs UTC, ids and JSON TEXT.

CREATE TABLE plans (
  plan_code TEXT NOT NULL PRIMARY KEY,
  version BIGINT NOT NULL,
  position BIGINT NOT NULL,
  archived_at BIGINT,
  updated_at BIGINT NOT NULL
);
COMMENT ON TABLE plans IS 'The plans that are sold, each with its version in force. Global. retention: for ever (a plan that is no longer sold keeps its versions)';

CREATE TABLE plan_versions (
  plan_code TEXT NOT NULL,
  version BIGINT NOT NULL CHECK (version >= 1),
  content_hash TEXT NOT NULL,
  content TEXT NOT NULL,
  published_at BIGINT NOT NULL,
  PRIMARY KEY (plan_code, version)
);
COMMENT ON TABLE plan_versions IS 'What a plan said when it was published, frozen. Global. retention: for ever';

CREATE TABLE plan_prices (
  price_id TEXT NOT NULL PRIMARY KEY,
  plan_code TEXT NOT NULL,
  plan_version BIGINT NOT NULL,
  billing_interval TEXT NOT NULL CHECK (billing_interval IN ('month', 'year')),
  lookup_key TEXT NOT NULL,
  amount_minor BIGINT NOT NULL,
  currency TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
COMMENT ON TABLE plan_prices IS 'Which price at Stripe belongs to which plan version: how a subscription''s plan is found. Global. retention: for ever';
CREATE INDEX plan_prices_by_plan ON plan_prices (plan_code, plan_version, billing_interval);

CREATE TABLE metrics (
  metric TEXT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  unit TEXT NOT NULL
);
COMMENT ON TABLE metrics IS 'What can be counted, as published with the plans. Global. retention: until the catalog drops it';

CREATE TABLE customers (
  org_key BIGINT NOT NULL PRIMARY KEY REFERENCES organizations (org_key),
  customer_id TEXT NOT NULL,
  email TEXT,
  default_payment_method TEXT,
  deleted BIGINT NOT NULL CHECK (deleted IN (0, 1)),
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
COMMENT ON TABLE customers IS 'Each org''s customer at Stripe, as last fetched. retention: for ever';
CREATE INDEX customers_by_id ON customers (customer_id);

CREATE TABLE subscriptions (
  org_key BIGINT NOT NULL REFERENCES organizations (org_key),
  subscription_id TEXT NOT NULL,
  status TEXT NOT NULL,
  price_id TEXT NOT NULL,
  lookup_key TEXT,
  item_id TEXT NOT NULL,
  quantity BIGINT NOT NULL,
  billing_interval TEXT NOT NULL CHECK (billing_interval IN ('month', 'year')),
  anchor BIGINT NOT NULL,
  period_start BIGINT NOT NULL,
  period_end BIGINT NOT NULL,
  trial_start BIGINT,
  trial_end BIGINT,
  cancel_at BIGINT,
  ended_at BIGINT,
  created_at BIGINT NOT NULL,
  default_payment_method TEXT,
  latest_invoice_id TEXT,
  past_due_since BIGINT,
  pending_price_id TEXT,
  pending_at BIGINT,
  plan_code TEXT,
  plan_version BIGINT,
  trial_plan_version BIGINT,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (org_key, subscription_id)
);
COMMENT ON TABLE subscriptions IS 'Our mirror of Stripe''s subscriptions, ended ones too, each with the plan version it was sold. retention: for ever';

CREATE TABLE entitlements (
  org_key BIGINT NOT NULL REFERENCES organizations (org_key),
  entry_no BIGINT NOT NULL,
  known_from BIGINT NOT NULL,
  facts TEXT NOT NULL,
  PRIMARY KEY (org_key, entry_no)
);
COMMENT ON TABLE entitlements IS 'What decided an org''s rights, each time it changed: answers what an org could use at any past moment. retention: for ever';
CREATE INDEX entitlements_by_time ON entitlements (org_key, known_from, entry_no);
