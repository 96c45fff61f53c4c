-- The plan mirror follows what it was told of.

CREATE TABLE mirrored_subscriptions (
  org_key BIGINT NOT NULL,
  subscription_id TEXT NOT NULL,
  told TEXT NOT NULL,
  told_at BIGINT NOT NULL,
  PRIMARY KEY (org_key, subscription_id)
);
COMMENT ON TABLE mirrored_subscriptions IS 'Which subscriptions the plan mirror was told of, and what it was told last. retention: as long as the org';
