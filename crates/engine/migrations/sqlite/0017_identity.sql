-- Identity: proofs of possession that no node takes twice; when operators proved who they are.
-- Times are BIGINT µs UTC.

-- table: dpop_proofs — Proofs of possession that were used (RFC 9449), by SHA-256 of their key and id, on the wall clock. retention: 10 minutes, swept hourly
CREATE TABLE dpop_proofs (
  proof_hash TEXT NOT NULL PRIMARY KEY,
  used_at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX dpop_proofs_by_age ON dpop_proofs (used_at);

-- When the provider last asked the operator for a proof, as far as it says so; 0 where it does not.
ALTER TABLE operator_sessions ADD COLUMN authenticated_at BIGINT NOT NULL DEFAULT 0;
