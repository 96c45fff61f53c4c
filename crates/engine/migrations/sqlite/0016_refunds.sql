-- Refunds go on after they were made: what became of them stands beside the adjustment that made them.

ALTER TABLE adjustments ADD COLUMN refund_id TEXT;
ALTER TABLE adjustments ADD COLUMN refund_status TEXT;
UPDATE adjustments SET refund_id = billing_id, refund_status = json_extract(detail, '$.refund.status') WHERE kind = 'refund';
UPDATE adjustments SET refund_id = json_extract(detail, '$.credit_note.refund_id') WHERE kind = 'credit_note';
CREATE INDEX adjustments_by_refund ON adjustments (refund_id) WHERE refund_id IS NOT NULL;

-- The inbox hears of refunds too.
ALTER TABLE webhook_inbox RENAME TO webhook_inbox_before;
CREATE TABLE webhook_inbox (
  inbox_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  account TEXT NOT NULL,
  event_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  object_kind TEXT NOT NULL CHECK (object_kind IN ('customer', 'subscription', 'invoice', 'payment_method', 'setup_intent', 'checkout', 'refund', 'other')),
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
