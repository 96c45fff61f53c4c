-- The inbox: what billing told us, stored before it is acted on, and the leases under which it is acted on.

-- table: webhook_inbox — Events stored before they are acted on; the row itself is the queue. retention: 90 days after they were received
CREATE TABLE webhook_inbox (
  inbox_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  account TEXT NOT NULL,
  event_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  object_kind TEXT NOT NULL CHECK (object_kind IN ('customer', 'subscription', 'invoice', 'payment_method', 'setup_intent', 'other')),
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
CREATE INDEX webhook_inbox_due ON webhook_inbox (run_at) WHERE state = 'pending';
CREATE INDEX webhook_inbox_open ON webhook_inbox (object_id) WHERE state = 'pending';
CREATE INDEX webhook_inbox_by_event ON webhook_inbox (event_id);
CREATE INDEX webhook_inbox_by_age ON webhook_inbox (received_at);

-- table: customer_leases — Who may fetch and change one customer's projection now; the epoch fences whoever came before. retention: for ever (one row per customer)
CREATE TABLE customer_leases (
  customer_id TEXT NOT NULL PRIMARY KEY,
  epoch BIGINT NOT NULL,
  lease_until BIGINT NOT NULL
);

-- table: billing_cursors — How far reconciliation has read. retention: for ever
CREATE TABLE billing_cursors (
  name TEXT NOT NULL PRIMARY KEY,
  position BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
