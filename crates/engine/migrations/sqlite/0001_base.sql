-- The base: orgs, keys, flags, audit, jobs, operations, idempotency, settings.
-- Booleans are BIGINT 0/1, times BIGINT µs UTC, ids and JSON TEXT.

-- table: organizations — A tenant: the operator's customer. retention: for ever (a closed org keeps its ledger)
CREATE TABLE organizations (
  org_key INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  org_id TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  owner_user_id TEXT NOT NULL,
  email TEXT,
  timezone TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('active', 'suspended', 'closed')),
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);

-- table: api_keys — Keys an org calls with; only the secret's SHA-256 is stored. retention: for ever (audit of who called), secrets never
CREATE TABLE api_keys (
  org_key BIGINT NOT NULL REFERENCES organizations (org_key),
  key_id TEXT NOT NULL,
  name TEXT NOT NULL,
  secret_hash TEXT NOT NULL UNIQUE,
  secret_hint TEXT NOT NULL,
  scopes TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  created_by TEXT NOT NULL,
  expires_at BIGINT,
  revoked_at BIGINT,
  rotated_to TEXT,
  last_used_at BIGINT,
  PRIMARY KEY (org_key, key_id)
);

-- table: operator_keys — Keys of the operator made by command; the configured one is not here. retention: for ever, secrets never
CREATE TABLE operator_keys (
  key_id TEXT NOT NULL PRIMARY KEY,
  label TEXT NOT NULL,
  secret_hash TEXT NOT NULL UNIQUE,
  created_at BIGINT NOT NULL,
  expires_at BIGINT,
  revoked_at BIGINT,
  last_used_at BIGINT
);

-- table: operator_flags — Operator switches: org_key 0 is global, a value is JSON. retention: until removed
CREATE TABLE operator_flags (
  org_key BIGINT NOT NULL,
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (org_key, name)
);

-- table: audit_journal — Every state change: who, what, before, after. org_key 0 is the server itself. Chained per org by the sealer. retention: for ever; personal values can be erased, their digests stay
CREATE TABLE audit_journal (
  seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  org_key BIGINT NOT NULL,
  entry_id TEXT NOT NULL,
  occurred_at BIGINT NOT NULL,
  actor TEXT,
  action TEXT NOT NULL,
  entity TEXT,
  before_json TEXT,
  after_json TEXT,
  corr_id TEXT NOT NULL,
  salts TEXT NOT NULL,
  digests TEXT NOT NULL,
  chain_no BIGINT,
  prev_hash TEXT,
  hash TEXT,
  UNIQUE (org_key, entry_id),
  UNIQUE (org_key, chain_no)
);
CREATE INDEX audit_journal_unsealed ON audit_journal (org_key, seq) WHERE chain_no IS NULL;
CREATE INDEX audit_journal_by_org ON audit_journal (org_key, seq);

-- table: audit_heads — The end of each org's audit chain; locked by the sealer. retention: for ever
CREATE TABLE audit_heads (
  org_key BIGINT NOT NULL PRIMARY KEY,
  chain_no BIGINT NOT NULL,
  hash TEXT NOT NULL
);

-- table: jobs — What must happen later: claimed by a lease with an epoch, safe to run twice. retention: done 7 days, dead 90 days
CREATE TABLE jobs (
  job_id TEXT NOT NULL PRIMARY KEY,
  kind TEXT NOT NULL,
  job_key TEXT NOT NULL,
  org_key BIGINT,
  payload TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'dead')),
  run_at BIGINT NOT NULL,
  attempts BIGINT NOT NULL,
  epoch BIGINT NOT NULL,
  lease_until BIGINT,
  last_error TEXT,
  corr_id TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX jobs_queued_once ON jobs (kind, job_key) WHERE state = 'queued';
CREATE UNIQUE INDEX jobs_running_once ON jobs (kind, job_key) WHERE state = 'running';
CREATE INDEX jobs_due ON jobs (state, run_at);

-- table: operations — Outgoing changes at Stripe or Stigg: stored with key and frozen body before they are sent. retention: 400 days after they ended
CREATE TABLE operations (
  org_key BIGINT NOT NULL,
  operation_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  dedupe_key TEXT NOT NULL,
  body TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed')),
  steps TEXT NOT NULL,
  outcome TEXT,
  error_code TEXT,
  error TEXT,
  attempts BIGINT NOT NULL,
  epoch BIGINT NOT NULL,
  lease_until BIGINT NOT NULL,
  actor TEXT NOT NULL,
  corr_id TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (org_key, operation_id)
);
CREATE UNIQUE INDEX operations_running_once ON operations (org_key, kind, dedupe_key) WHERE state = 'running';
CREATE INDEX operations_open ON operations (state, updated_at);

-- table: idempotency_keys — Answers kept under the caller's Idempotency-Key. org_key 0 is the operator's. retention: 48 hours
CREATE TABLE idempotency_keys (
  org_key BIGINT NOT NULL,
  actor TEXT NOT NULL,
  idempotency_key TEXT NOT NULL,
  request_hash TEXT NOT NULL,
  status BIGINT,
  content_type TEXT,
  body TEXT,
  epoch BIGINT NOT NULL,
  lease_until BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (org_key, actor, idempotency_key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- table: settings — What the server must remember about itself: the receipt secret, the last readiness write. retention: for ever
CREATE TABLE settings (
  name TEXT NOT NULL PRIMARY KEY,
  value TEXT NOT NULL,
  updated_at BIGINT NOT NULL
);
