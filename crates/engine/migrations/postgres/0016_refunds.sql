-- Refunds go on after they were made: what became of them stands beside the adjustment that made them.

ALTER TABLE adjustments ADD COLUMN refund_id TEXT;
ALTER TABLE adjustments ADD COLUMN refund_status TEXT;
UPDATE adjustments SET refund_id = billing_id, refund_status = CAST(detail AS jsonb) #>> '{refund,status}' WHERE kind = 'refund';
UPDATE adjustments SET refund_id = CAST(detail AS jsonb) #>> '{credit_note,refund_id}' WHERE kind = 'credit_note';
CREATE INDEX adjustments_by_refund ON adjustments (refund_id) WHERE refund_id IS NOT NULL;

-- The inbox hears of refunds too.
ALTER TABLE webhook_inbox DROP CONSTRAINT webhook_inbox_object_kind_check;
ALTER TABLE webhook_inbox ADD CONSTRAINT webhook_inbox_object_kind_check CHECK (object_kind IN ('customer', 'subscription', 'invoice', 'payment_method', 'setup_intent', 'checkout', 'refund', 'other'));
