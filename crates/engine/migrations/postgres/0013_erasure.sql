-- Erasure: what was closed before its time was noted began to wait when it changed last.

UPDATE organizations SET closed_at = updated_at WHERE status = 'closed' AND closed_at IS NULL;
UPDATE users SET closed_at = updated_at WHERE status = 'closed' AND closed_at IS NULL;
CREATE INDEX organizations_closed ON organizations (closed_at) WHERE erased_at IS NULL AND closed_at IS NOT NULL;
COMMENT ON TABLE organizations IS 'A tenant: the operator''s customer. retention: name and address until 30 days after it is closed; the row, its public id and its ledger for ever';
COMMENT ON TABLE memberships IS 'Who belongs to which org as what. retention: until 30 days after the org is closed; a removed member''s row says when they left';
COMMENT ON TABLE invitations IS 'Invitations to an org; the code is stored as a hash. retention: until 30 days after the org is closed, the address until 90 days after it was answered or ran out, or its person is erased';
