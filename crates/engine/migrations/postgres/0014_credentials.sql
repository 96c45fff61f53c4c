-- Credentials: keys with a slice of the org's allowance, plugins that wait for approval.
-- Times are BIGINT µs UTC, units BIGINT, booleans BIGINT 0/1.

-- Keys that follow each other by rotation are one line, named by the first of them; alone, a key is a line of its own.
ALTER TABLE api_keys ADD COLUMN line TEXT;
CREATE INDEX api_keys_by_line ON api_keys (org_key, line) WHERE line IS NOT NULL;

CREATE TABLE key_quotas (
  org_key BIGINT NOT NULL REFERENCES organizations (org_key),
  key_id TEXT NOT NULL,
  metric TEXT NOT NULL,
  units BIGINT NOT NULL CHECK (units >= 0),
  PRIMARY KEY (org_key, key_id, metric)
);
COMMENT ON TABLE key_quotas IS 'Units of a metric that a line of keys may use in a quota period, whatever the org has left. retention: as long as the org';

CREATE TABLE key_usage (
  org_key BIGINT NOT NULL REFERENCES organizations (org_key),
  period_no BIGINT NOT NULL,
  key_id TEXT NOT NULL,
  metric TEXT NOT NULL,
  used BIGINT NOT NULL CHECK (used >= 0),
  held BIGINT NOT NULL CHECK (held >= 0),
  PRIMARY KEY (org_key, period_no, key_id, metric)
);
COMMENT ON TABLE key_usage IS 'What a line of keys used and holds of its slice in a period; written with the counters, under the same lock. retention: as long as the org';

-- The key whose slice a hold was taken from.
ALTER TABLE usage_holds ADD COLUMN slice TEXT;

CREATE TABLE device_codes (
  device_hash TEXT NOT NULL PRIMARY KEY,
  user_hash TEXT NOT NULL UNIQUE,
  domain TEXT NOT NULL,
  scopes TEXT NOT NULL,
  asked_from TEXT,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  interval_seconds BIGINT NOT NULL,
  polled_at BIGINT,
  state TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'denied', 'used')),
  org_key BIGINT REFERENCES organizations (org_key),
  decided_at BIGINT
);
COMMENT ON TABLE device_codes IS 'Plugins that wait for a member''s approval (RFC 8628): their own code as SHA-256, the one that is typed as keyed hash. retention: 1 day after they ended';
CREATE INDEX device_codes_by_end ON device_codes (expires_at);

-- The thumbprint of the key that a line of refresh tokens is bound to (RFC 9449).
ALTER TABLE token_families ADD COLUMN jkt TEXT;

CREATE TABLE operator_sessions (
  session_id TEXT NOT NULL PRIMARY KEY,
  secret_hash TEXT NOT NULL UNIQUE,
  label TEXT NOT NULL,
  email TEXT,
  created_at BIGINT NOT NULL,
  last_seen_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  ended_at BIGINT
);
COMMENT ON TABLE operator_sessions IS 'Operators who signed in at the provider of the settings; the cookie as SHA-256, times on the wall clock. retention: 30 days after they ended';
CREATE INDEX operator_sessions_by_end ON operator_sessions (expires_at);
