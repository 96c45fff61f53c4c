-- People: accounts, sessions, memberships, invitations, and the letters they are sent.
-- E-mail addresses are lower case. Sessions and attempts carry wall time, codes and invitations business time.

CREATE TABLE users (
  user_id TEXT NOT NULL PRIMARY KEY,
  source TEXT NOT NULL CHECK (source IN ('builtin', 'clerk')),
  status TEXT NOT NULL CHECK (status IN ('active', 'closed', 'erased')),
  email TEXT UNIQUE,
  name TEXT,
  password_hash TEXT,
  totp_sealed TEXT,
  totp_confirmed_at BIGINT,
  totp_last_step BIGINT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  closed_at BIGINT
);
COMMENT ON TABLE users IS 'People. Rows of unknown owners named by an operator are not here. retention: 30 days after the account is closed, then the personal columns are erased';
CREATE INDEX users_closed ON users (closed_at) WHERE status = 'closed';

CREATE TABLE user_recovery_codes (
  user_id TEXT NOT NULL REFERENCES users (user_id),
  code_hash TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  used_at BIGINT,
  PRIMARY KEY (user_id, code_hash)
);
COMMENT ON TABLE user_recovery_codes IS 'Single-use codes for a lost second factor, hashed. retention: until replaced or the second factor is switched off';

CREATE TABLE account_codes (
  code_hash TEXT NOT NULL PRIMARY KEY,
  purpose TEXT NOT NULL CHECK (purpose IN ('verify', 'reset')),
  email TEXT NOT NULL,
  user_id TEXT,
  name TEXT,
  password_hash TEXT,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at BIGINT
);
COMMENT ON TABLE account_codes IS 'Links of sign-up and password reset, hashed; a sign-up waits here until its address is verified. retention: 7 days';
CREATE INDEX account_codes_by_email ON account_codes (email, purpose);
CREATE INDEX account_codes_old ON account_codes (created_at);

CREATE TABLE sign_in_attempts (
  subject TEXT NOT NULL PRIMARY KEY,
  failures BIGINT NOT NULL,
  blocked_until BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
COMMENT ON TABLE sign_in_attempts IS 'Failed sign-ins by keyed hash of the address, known or not: the soft lock. retention: 2 days';
CREATE INDEX sign_in_attempts_old ON sign_in_attempts (updated_at);

CREATE TABLE user_sessions (
  session_id TEXT NOT NULL PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users (user_id),
  kind TEXT NOT NULL CHECK (kind IN ('cookie', 'token')),
  secret_hash TEXT UNIQUE,
  generation BIGINT NOT NULL,
  rotated_at BIGINT NOT NULL,
  active_org_key BIGINT REFERENCES organizations (org_key),
  device TEXT NOT NULL,
  authenticated_at BIGINT NOT NULL,
  second_factor_at BIGINT,
  created_at BIGINT NOT NULL,
  last_seen_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  ended_at BIGINT
);
COMMENT ON TABLE user_sessions IS 'Signed-in devices: cookie sessions by hash of their id, token sessions by their generation. retention: 30 days after they end';
CREATE INDEX user_sessions_by_user ON user_sessions (user_id, session_id);
CREATE INDEX user_sessions_old ON user_sessions (last_seen_at);

CREATE TABLE memberships (
  org_key BIGINT NOT NULL REFERENCES organizations (org_key),
  user_id TEXT NOT NULL,
  role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'billing', 'member')),
  joined_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  removed_at BIGINT,
  PRIMARY KEY (org_key, user_id)
);
COMMENT ON TABLE memberships IS 'Who belongs to which org as what. retention: as long as the org; a removed member''s row says when they left';
CREATE INDEX memberships_by_user ON memberships (user_id) WHERE removed_at IS NULL;

CREATE TABLE invitations (
  org_key BIGINT NOT NULL REFERENCES organizations (org_key),
  invitation_id TEXT NOT NULL,
  email TEXT NOT NULL,
  role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'billing', 'member')),
  code_hash TEXT NOT NULL UNIQUE,
  invited_by TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  accepted_at BIGINT,
  accepted_by TEXT,
  revoked_at BIGINT,
  PRIMARY KEY (org_key, invitation_id)
);
COMMENT ON TABLE invitations IS 'Invitations to an org; the code is stored as a hash. retention: as long as the org, the address until 90 days after it was answered or ran out';
CREATE UNIQUE INDEX invitations_pending ON invitations (org_key, email) WHERE accepted_at IS NULL AND revoked_at IS NULL;

CREATE TABLE mail_outbox (
  mail_id TEXT NOT NULL PRIMARY KEY,
  org_key BIGINT,
  state TEXT NOT NULL CHECK (state IN ('queued', 'sent', 'refused')),
  sealed TEXT,
  created_at BIGINT NOT NULL,
  finished_at BIGINT
);
COMMENT ON TABLE mail_outbox IS 'Letters that wait to be sent; what they say is sealed, and erased once they are sent or given up. retention: 30 days';
CREATE INDEX mail_outbox_old ON mail_outbox (created_at);

ALTER TABLE organizations ADD COLUMN mfa_required BIGINT NOT NULL DEFAULT 0;
ALTER TABLE organizations ADD COLUMN closed_at BIGINT;
ALTER TABLE organizations ADD COLUMN erased_at BIGINT;

-- Orgs made before members were known have the owner they were made with.
INSERT INTO memberships (org_key, user_id, role, joined_at, updated_at)
SELECT org_key, owner_user_id, 'owner', created_at, created_at FROM organizations;
