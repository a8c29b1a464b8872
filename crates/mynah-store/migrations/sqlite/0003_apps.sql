-- The Pusher face of a tenant. `limits` and `webhooks` are JSON (apps.rs).
CREATE TABLE apps (
  id INTEGER PRIMARY KEY,
  ext_id TEXT NOT NULL UNIQUE,
  tenant_id INTEGER NOT NULL UNIQUE REFERENCES tenants (id),
  name TEXT NOT NULL,
  is_enabled INTEGER NOT NULL,
  client_events INTEGER NOT NULL,
  user_authentication INTEGER NOT NULL,
  subscription_counts INTEGER NOT NULL,
  limits TEXT NOT NULL,
  webhooks TEXT NOT NULL,
  version INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
);

-- `nth` is the order, newest first; `secret` is as the caller gives it, which is sealed.
CREATE TABLE app_keys (
  app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
  nth INTEGER NOT NULL,
  key TEXT NOT NULL UNIQUE,
  secret TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  PRIMARY KEY (app_id, nth)
) WITHOUT ROWID;
