-- Erasure: what was closed before its time was noted began to wait when it changed last.

UPDATE organizations SET closed_at = updated_at WHERE status = 'closed' AND closed_at IS NULL;
UPDATE users SET closed_at = updated_at WHERE status = 'closed' AND closed_at IS NULL;
CREATE INDEX organizations_closed ON organizations (closed_at) WHERE erased_at IS NULL AND closed_at IS NOT NULL;
