-- Invoices as billing told them.

-- table: invoice_refs — Each org's invoices with their lines, as last fetched. retention: for ever (books must be kept)
CREATE TABLE invoice_refs (
  org_key BIGINT NOT NULL REFERENCES organizations (org_key),
  invoice_id TEXT NOT NULL,
  customer_id TEXT NOT NULL,
  subscription_id TEXT,
  number TEXT,
  status TEXT NOT NULL CHECK (status IN ('draft', 'open', 'paid', 'uncollectible', 'void')),
  currency TEXT NOT NULL,
  total BIGINT NOT NULL,
  amount_due BIGINT NOT NULL,
  amount_paid BIGINT NOT NULL,
  url TEXT,
  reason TEXT,
  period_start BIGINT NOT NULL,
  period_end BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  lines TEXT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (org_key, invoice_id)
);
CREATE INDEX invoice_refs_newest ON invoice_refs (org_key, created_at, invoice_id);
