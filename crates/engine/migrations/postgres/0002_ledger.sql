-- The ledger: events that are only appended, and what is derived from them.
-- Booleans are BIGINT 0/1, times BIGINT µs UTC, ids TEXT, units BIGINT. A limit is metered where metered_units is not NULL.

CREATE TABLE ledger_heads (
  org_key BIGINT NOT NULL PRIMARY KEY REFERENCES organizations (org_key),
  access TEXT NOT NULL CHECK (access IN ('allowed', 'no_subscription', 'past_due', 'org_suspended')),
  plan_code TEXT,
  plan_version BIGINT,
  trial_of TEXT,
  deny_status BIGINT NOT NULL,
  strict BIGINT NOT NULL CHECK (strict IN (0, 1)),
  subscription_id TEXT,
  period_no BIGINT,
  period_key TEXT,
  period_start BIGINT,
  period_end BIGINT,
  valid_until BIGINT NOT NULL,
  generation BIGINT NOT NULL
);
CREATE INDEX ledger_heads_due ON ledger_heads (valid_until);

CREATE TABLE usage_periods (
  org_key BIGINT NOT NULL REFERENCES organizations (org_key),
  period_no BIGINT NOT NULL,
  subscription_id TEXT NOT NULL,
  period_key TEXT NOT NULL,
  period_start BIGINT NOT NULL,
  period_end BIGINT NOT NULL CHECK (period_end > period_start),
  plan_code TEXT NOT NULL,
  plan_version BIGINT NOT NULL,
  opened_at BIGINT NOT NULL,
  PRIMARY KEY (org_key, period_no),
  UNIQUE (org_key, subscription_id, period_start),
  UNIQUE (org_key, period_key)
);

CREATE TABLE usage_counters (
  org_key BIGINT NOT NULL REFERENCES organizations (org_key),
  period_no BIGINT NOT NULL,
  metric TEXT NOT NULL,
  included BIGINT,
  granted BIGINT NOT NULL,
  metered_minor BIGINT,
  metered_units BIGINT,
  limit_version BIGINT NOT NULL,
  used BIGINT NOT NULL CHECK (used >= 0),
  held BIGINT NOT NULL CHECK (held >= 0),
  PRIMARY KEY (org_key, period_no, metric)
);

CREATE TABLE usage_limits (
  org_key BIGINT NOT NULL REFERENCES organizations (org_key),
  period_no BIGINT NOT NULL,
  metric TEXT NOT NULL,
  limit_version BIGINT NOT NULL,
  included BIGINT,
  granted BIGINT NOT NULL,
  metered_minor BIGINT,
  metered_units BIGINT,
  plan_code TEXT NOT NULL,
  plan_version BIGINT NOT NULL,
  set_at BIGINT NOT NULL,
  PRIMARY KEY (org_key, period_no, metric, limit_version)
);

CREATE TABLE usage_events (
  seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  org_key BIGINT NOT NULL,
  request_id TEXT NOT NULL,
  item_no BIGINT NOT NULL,
  period_no BIGINT NOT NULL,
  metric TEXT NOT NULL,
  verb TEXT NOT NULL DEFAULT 'record' CHECK (verb IN ('record', 'force', 'reserve', 'settle', 'correct')),
  delta BIGINT NOT NULL,
  units BIGINT NOT NULL,
  forced BIGINT NOT NULL DEFAULT 0,
  occurred_at BIGINT,
  recorded_at BIGINT NOT NULL,
  actor TEXT NOT NULL,
  source TEXT NOT NULL,
  reason TEXT,
  corrects TEXT,
  hold_id TEXT,
  expires_at BIGINT,
  would_deny BIGINT NOT NULL DEFAULT 0 CHECK (would_deny IN (0, 1)),
  answer_version BIGINT NOT NULL DEFAULT 1,
  answer_used BIGINT NOT NULL,
  answer_held BIGINT NOT NULL,
  answer_limit BIGINT NOT NULL
);
CREATE UNIQUE INDEX usage_events_once ON usage_events (org_key, request_id, item_no);
CREATE INDEX usage_events_by_org ON usage_events (org_key, seq);

CREATE TABLE usage_holds (
  org_key BIGINT NOT NULL REFERENCES organizations (org_key),
  hold_id TEXT NOT NULL,
  request_id TEXT NOT NULL,
  period_no BIGINT NOT NULL,
  metric TEXT NOT NULL,
  units BIGINT NOT NULL CHECK (units > 0),
  would_deny BIGINT NOT NULL CHECK (would_deny IN (0, 1)),
  state TEXT NOT NULL CHECK (state IN ('open', 'expired', 'settled', 'released')),
  charged BIGINT,
  taken_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  closed_at BIGINT,
  answer_used BIGINT,
  answer_held BIGINT,
  answer_limit BIGINT,
  PRIMARY KEY (org_key, hold_id)
);
CREATE INDEX usage_holds_open ON usage_holds (org_key, expires_at) WHERE state = 'open';
CREATE INDEX usage_holds_due ON usage_holds (expires_at) WHERE state = 'open';
CREATE INDEX usage_holds_by_id ON usage_holds (hold_id);

CREATE TABLE usage_rollups_hourly (
  org_key BIGINT NOT NULL REFERENCES organizations (org_key),
  hour BIGINT NOT NULL,
  metric TEXT NOT NULL,
  period_no BIGINT NOT NULL,
  actor TEXT NOT NULL,
  units BIGINT NOT NULL,
  events BIGINT NOT NULL,
  PRIMARY KEY (org_key, hour, metric, period_no, actor)
);

COMMENT ON TABLE ledger_heads IS 'One row per org, locked by every group that counts for it: access, plan and open period as resolved. retention: for ever';
COMMENT ON TABLE usage_periods IS 'Every quota period an org ever had, once each. retention: for ever';
COMMENT ON TABLE usage_counters IS 'What is used and held of each metric in each period, with the limit in force. Derived from events and holds. retention: for ever';
COMMENT ON TABLE usage_limits IS 'Every limit that was ever in force, so that an old answer can be given again and explained. retention: for ever';
COMMENT ON TABLE usage_events IS 'The ledger: append-only. An event is also the record of its request_id, with the first answer. retention: 13 months at least';
COMMENT ON TABLE usage_holds IS 'Units that wait to be charged or freed; belongs to the period it was taken in. retention: 13 months after it ended';
COMMENT ON TABLE usage_rollups_hourly IS 'Usage per hour, metric and caller, for series. Derived from events. retention: for ever';
