-- Changes of plan: what was shown to a customer.

-- table: quotes — Previews of plan changes with the amount that was shown; confirming one charges exactly that. retention: 30 days
CREATE TABLE quotes (
  org_key BIGINT NOT NULL REFERENCES organizations (org_key),
  quote_id TEXT NOT NULL,
  body TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  confirmed_at BIGINT,
  PRIMARY KEY (org_key, quote_id)
);
CREATE INDEX quotes_by_age ON quotes (created_at);
