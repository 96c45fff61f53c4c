-- Money and its messengers: what operators give back, incidents, and webhooks to the operator's own systems.

-- table: adjustments — What operators gave or gave back at billing: coupons, promotion codes, credit, refunds, credit notes. retention: for ever (books must be kept)
CREATE TABLE adjustments (
  org_key BIGINT NOT NULL REFERENCES organizations (org_key),
  adjustment_id TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('coupon', 'promotion', 'credit', 'refund', 'credit_note')),
  billing_id TEXT NOT NULL,
  detail TEXT NOT NULL,
  reason TEXT NOT NULL,
  actor TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (org_key, adjustment_id)
);
CREATE INDEX adjustments_newest ON adjustments (kind, created_at, adjustment_id);
CREATE INDEX adjustments_of_org ON adjustments (org_key, kind, created_at, adjustment_id);

-- table: incidents — What a person should look at; one open row per subject, org_key 0 for the server. retention: 400 days after it was closed
CREATE TABLE incidents (
  org_key BIGINT NOT NULL,
  incident_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'closed')),
  seen BIGINT NOT NULL,
  opened_at BIGINT NOT NULL,
  last_seen_at BIGINT NOT NULL,
  closed_at BIGINT,
  PRIMARY KEY (org_key, incident_id)
);
CREATE UNIQUE INDEX incidents_open ON incidents (org_key, kind, subject) WHERE state = 'open';
CREATE INDEX incidents_newest ON incidents (opened_at, incident_id);

-- table: webhook_endpoints — The operator's own systems that are told of events; secrets are sealed. retention: until deleted
CREATE TABLE webhook_endpoints (
  endpoint_id TEXT NOT NULL PRIMARY KEY,
  url TEXT NOT NULL,
  description TEXT,
  kinds TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('enabled', 'disabled')),
  secret_sealed TEXT NOT NULL,
  former_secret_sealed TEXT,
  former_until BIGINT,
  failing_since BIGINT,
  held_until BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);

-- table: webhook_messages — Events for the operator's systems. The sequence is given after the commit, in one order without gaps. retention: 30 days
CREATE TABLE webhook_messages (
  message_id TEXT NOT NULL PRIMARY KEY,
  sequence BIGINT UNIQUE,
  kind TEXT NOT NULL,
  org_key BIGINT NOT NULL,
  data TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX webhook_messages_new ON webhook_messages (created_at, message_id) WHERE sequence IS NULL;
CREATE INDEX webhook_messages_by_age ON webhook_messages (created_at);

-- table: webhook_sequence — The last sequence given; the row that the sequencer locks. retention: for ever (one row)
CREATE TABLE webhook_sequence (
  name TEXT NOT NULL PRIMARY KEY,
  last BIGINT NOT NULL
);

-- table: webhook_deliveries — One message on its way to one endpoint. retention: with its message
CREATE TABLE webhook_deliveries (
  endpoint_id TEXT NOT NULL REFERENCES webhook_endpoints (endpoint_id),
  sequence BIGINT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'done', 'dead')),
  attempts BIGINT NOT NULL,
  run_at BIGINT NOT NULL,
  last_status BIGINT,
  last_error TEXT,
  ended_at BIGINT,
  PRIMARY KEY (endpoint_id, sequence)
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, run_at) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_by_sequence ON webhook_deliveries (sequence);
