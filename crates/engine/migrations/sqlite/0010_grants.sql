-- Exceptions and extra units: what an operator or a purchase adds to a plan. Times are BIGINT µs UTC, units BIGINT.

-- table: overrides — An operator's exceptions for one org: a limit, a policy or a feature instead of the plan's, dated or explicitly permanent. retention: for ever
CREATE TABLE overrides (
  org_key BIGINT NOT NULL REFERENCES organizations (org_key),
  override_id TEXT NOT NULL,
  metric TEXT,
  limit_kind TEXT CHECK (limit_kind IN ('units', 'unlimited')),
  included BIGINT CHECK (included >= 0),
  policy TEXT CHECK (policy IN ('HARD_STOP', 'METERED')),
  metered_minor BIGINT,
  metered_units BIGINT,
  feature TEXT,
  value TEXT,
  starts_at BIGINT NOT NULL,
  ends_at BIGINT,
  reason TEXT NOT NULL,
  actor TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  cleared_at BIGINT,
  PRIMARY KEY (org_key, override_id),
  CHECK ((metric IS NULL) <> (feature IS NULL)),
  CHECK (ends_at IS NULL OR ends_at > starts_at)
);
CREATE INDEX overrides_newest ON overrides (org_key, created_at, override_id);

-- table: grants — Extra units of a metric for one org, with priority and expiry: top-ups, credits, rollover. retention: for ever
CREATE TABLE grants (
  org_key BIGINT NOT NULL REFERENCES organizations (org_key),
  grant_id TEXT NOT NULL,
  metric TEXT NOT NULL,
  units BIGINT NOT NULL CHECK (units > 0),
  priority BIGINT NOT NULL,
  starts_at BIGINT NOT NULL,
  ends_at BIGINT,
  only_period_no BIGINT,
  source TEXT NOT NULL CHECK (source IN ('operator', 'rollover', 'topup')),
  source_id TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'closed')),
  counted_in BIGINT,
  reason TEXT NOT NULL,
  actor TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (org_key, grant_id),
  UNIQUE (org_key, source, source_id)
);
CREATE INDEX grants_open ON grants (org_key) WHERE state = 'open';
CREATE INDEX grants_newest ON grants (org_key, created_at, grant_id);

-- table: grant_draws — How many units of a grant each period used up. retention: for ever
CREATE TABLE grant_draws (
  org_key BIGINT NOT NULL,
  grant_id TEXT NOT NULL,
  period_no BIGINT NOT NULL,
  units BIGINT NOT NULL CHECK (units >= 0),
  PRIMARY KEY (org_key, grant_id, period_no),
  FOREIGN KEY (org_key, grant_id) REFERENCES grants (org_key, grant_id)
);

-- table: meter_reports — What billing is told about metered usage: frozen with its identifier before it is sent. retention: for ever (books must be kept)
CREATE TABLE meter_reports (
  org_key BIGINT NOT NULL REFERENCES organizations (org_key),
  report_id TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('event', 'cancel', 'item')),
  period_no BIGINT NOT NULL,
  metric TEXT NOT NULL,
  units BIGINT NOT NULL,
  amount_minor BIGINT NOT NULL,
  currency TEXT NOT NULL,
  block_minor BIGINT NOT NULL,
  block_units BIGINT NOT NULL,
  about TEXT,
  customer_id TEXT NOT NULL,
  subscription_id TEXT NOT NULL,
  plan_code TEXT NOT NULL,
  plan_version BIGINT NOT NULL,
  occurred_at BIGINT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('frozen', 'sent', 'cancelled', 'late', 'dead')),
  created_at BIGINT NOT NULL,
  sent_at BIGINT,
  PRIMARY KEY (org_key, report_id)
);
CREATE INDEX meter_reports_of_period ON meter_reports (org_key, period_no, metric);
CREATE INDEX meter_reports_frozen ON meter_reports (created_at) WHERE state = 'frozen';
CREATE INDEX usage_counters_metered ON usage_counters (org_key, period_no) WHERE metered_units IS NOT NULL;

-- table: usage_alerts — Which limits an org came near to in which period; each is told once. retention: for ever
CREATE TABLE usage_alerts (
  org_key BIGINT NOT NULL REFERENCES organizations (org_key),
  period_no BIGINT NOT NULL,
  metric TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('50', '80', '100', 'forecast')),
  period_key TEXT NOT NULL,
  used BIGINT NOT NULL,
  unit_limit BIGINT NOT NULL,
  raised_at BIGINT NOT NULL,
  PRIMARY KEY (org_key, period_no, metric, kind)
);
CREATE INDEX usage_alerts_newest ON usage_alerts (org_key, raised_at);

-- table: usage_summaries — What each org used of each metric on each day. Derived from the hourly rollups. retention: for ever
CREATE TABLE usage_summaries (
  org_key BIGINT NOT NULL REFERENCES organizations (org_key),
  day BIGINT NOT NULL,
  metric TEXT NOT NULL,
  units BIGINT NOT NULL,
  events BIGINT NOT NULL,
  made_at BIGINT NOT NULL,
  PRIMARY KEY (org_key, day, metric)
);
CREATE INDEX usage_summaries_days ON usage_summaries (day);
