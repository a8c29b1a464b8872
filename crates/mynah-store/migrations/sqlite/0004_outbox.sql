-- What is to be told to endpoints outside. Apps are named by their id, wherever they are configured.

-- What each app has here; kept by the triggers below.
CREATE TABLE outbox_apps (
  id INTEGER PRIMARY KEY,
  ext_id TEXT NOT NULL UNIQUE,
  pending INTEGER NOT NULL DEFAULT 0,
  pending_bytes INTEGER NOT NULL DEFAULT 0,
  dead INTEGER NOT NULL DEFAULT 0,
  dead_bytes INTEGER NOT NULL DEFAULT 0
);

-- `rule`: which of the app's webhooks with this url.
CREATE TABLE outbox_endpoints (
  id INTEGER PRIMARY KEY,
  app TEXT NOT NULL,
  url TEXT NOT NULL,
  rule INTEGER NOT NULL,
  UNIQUE (app, url, rule)
);

-- A delivery waits until `next_at`, or is dead since `died_at`. Numbers are never used again. `app_id` is
-- a row of `outbox_apps`, which goes only when its counters stand at 0: a constraint would need an index.
CREATE TABLE outbox_deliveries (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  app_id INTEGER NOT NULL,
  endpoint_id INTEGER NOT NULL REFERENCES outbox_endpoints (id),
  order_key TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  queued_at INTEGER NOT NULL,
  next_at INTEGER NOT NULL,
  died_at INTEGER,
  attempts INTEGER NOT NULL DEFAULT 0,
  last_error TEXT,
  event TEXT NOT NULL
);
CREATE INDEX outbox_due ON outbox_deliveries (endpoint_id, next_at, id) WHERE died_at IS NULL;
CREATE INDEX outbox_old ON outbox_deliveries (endpoint_id, queued_at) WHERE died_at IS NULL;
CREATE INDEX outbox_oldest ON outbox_deliveries (app_id, id) WHERE died_at IS NULL;
CREATE INDEX outbox_dead ON outbox_deliveries (id) WHERE died_at IS NOT NULL;
CREATE INDEX outbox_dead_of ON outbox_deliveries (app_id, id) WHERE died_at IS NOT NULL;
CREATE INDEX outbox_died ON outbox_deliveries (died_at) WHERE died_at IS NOT NULL;
CREATE INDEX outbox_endpoint ON outbox_deliveries (endpoint_id);

CREATE TRIGGER outbox_added AFTER INSERT ON outbox_deliveries BEGIN
  UPDATE outbox_apps SET pending = pending + 1, pending_bytes = pending_bytes + NEW.bytes
    WHERE id = NEW.app_id;
END;
CREATE TRIGGER outbox_removed AFTER DELETE ON outbox_deliveries BEGIN
  UPDATE outbox_apps SET
    pending = pending - iif(OLD.died_at IS NULL, 1, 0),
    pending_bytes = pending_bytes - iif(OLD.died_at IS NULL, OLD.bytes, 0),
    dead = dead - iif(OLD.died_at IS NULL, 0, 1),
    dead_bytes = dead_bytes - iif(OLD.died_at IS NULL, 0, OLD.bytes)
    WHERE id = OLD.app_id;
END;
CREATE TRIGGER outbox_died AFTER UPDATE OF died_at ON outbox_deliveries
  WHEN OLD.died_at IS NULL AND NEW.died_at IS NOT NULL BEGIN
  UPDATE outbox_apps SET pending = pending - 1, pending_bytes = pending_bytes - NEW.bytes,
    dead = dead + 1, dead_bytes = dead_bytes + NEW.bytes WHERE id = NEW.app_id;
END;
CREATE TRIGGER outbox_revived AFTER UPDATE OF died_at ON outbox_deliveries
  WHEN OLD.died_at IS NOT NULL AND NEW.died_at IS NULL BEGIN
  UPDATE outbox_apps SET pending = pending + 1, pending_bytes = pending_bytes + NEW.bytes,
    dead = dead - 1, dead_bytes = dead_bytes - NEW.bytes WHERE id = NEW.app_id;
END;
