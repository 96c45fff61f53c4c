-- Tokens: the keys that sign them, what ends them early, and how a plugin on a customer's site gets them.

-- table: signing_keys — Keys of the built-in issuer; the private half is sealed with the server's secret, the next one is published before it signs. retention: 30 days after its successor signs
CREATE TABLE signing_keys (
  generation BIGINT NOT NULL PRIMARY KEY,
  kid TEXT NOT NULL UNIQUE,
  public_key TEXT NOT NULL,
  sealed_private TEXT NOT NULL,
  signs_from BIGINT NOT NULL,
  created_at BIGINT NOT NULL
);

-- table: token_revocations — Subjects (site families, keys, sessions, orgs) whose earlier tokens are refused; small, every node holds it in memory. retention: 1 day
CREATE TABLE token_revocations (
  subject TEXT NOT NULL PRIMARY KEY,
  revoked_at BIGINT NOT NULL
);
CREATE INDEX token_revocations_newest ON token_revocations (revoked_at);

-- table: sites — Sites of an org's customers that a plugin was activated on. retention: as long as the org
CREATE TABLE sites (
  org_key BIGINT NOT NULL REFERENCES organizations (org_key),
  site_id TEXT NOT NULL,
  domain TEXT NOT NULL,
  challenge TEXT NOT NULL,
  verified_at BIGINT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (org_key, site_id),
  UNIQUE (org_key, domain)
);

-- table: activation_codes — Short single-use codes; only a keyed hash is stored. retention: 1 day after they ended
CREATE TABLE activation_codes (
  code_hash TEXT NOT NULL PRIMARY KEY,
  org_key BIGINT NOT NULL REFERENCES organizations (org_key),
  domain TEXT NOT NULL,
  scopes TEXT NOT NULL,
  created_by TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at BIGINT
);
CREATE UNIQUE INDEX activation_codes_one_live ON activation_codes (org_key, domain) WHERE used_at IS NULL;
CREATE INDEX activation_codes_by_end ON activation_codes (expires_at);

-- table: token_families — One line of refresh tokens that follow each other, bound to a site. retention: 90 days after they ended
CREATE TABLE token_families (
  org_key BIGINT NOT NULL REFERENCES organizations (org_key),
  family_id TEXT NOT NULL,
  site_id TEXT NOT NULL,
  scopes TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  ends_at BIGINT NOT NULL,
  revoked_at BIGINT,
  revoked_for TEXT,
  PRIMARY KEY (org_key, family_id),
  FOREIGN KEY (org_key, site_id) REFERENCES sites (org_key, site_id)
);
CREATE INDEX token_families_by_end ON token_families (ends_at);
CREATE INDEX token_families_by_site ON token_families (org_key, site_id);

-- table: refresh_tokens — Refresh tokens as SHA-256; the successor of a just used one is sealed under that token itself. retention: with their family
CREATE TABLE refresh_tokens (
  org_key BIGINT NOT NULL,
  family_id TEXT NOT NULL,
  generation BIGINT NOT NULL,
  token_hash TEXT NOT NULL UNIQUE,
  created_at BIGINT NOT NULL,
  idle_until BIGINT NOT NULL,
  used_at BIGINT,
  sealed_successor TEXT,
  PRIMARY KEY (org_key, family_id, generation),
  FOREIGN KEY (org_key, family_id) REFERENCES token_families (org_key, family_id)
);

-- table: identity_marks — How new what we know of each object kept elsewhere is; a deleted one stays marked, so that a late message revives nothing. retention: for ever (ids only)
CREATE TABLE identity_marks (
  kind TEXT NOT NULL CHECK (kind IN ('user', 'org', 'membership', 'invitation')),
  object_id TEXT NOT NULL,
  about TEXT NOT NULL,
  updated_at BIGINT NOT NULL,
  gone BIGINT NOT NULL CHECK (gone IN (0, 1)),
  PRIMARY KEY (kind, object_id)
);
CREATE INDEX identity_marks_about ON identity_marks (kind, about) WHERE gone = 0;
