-- Times are milliseconds since the Unix epoch. `ext_id` is the id the outside sees; joins use rowids.
CREATE TABLE migrations (
  version INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  checksum TEXT NOT NULL,
  applied_at INTEGER NOT NULL
);

CREATE TABLE probes (id INTEGER PRIMARY KEY, count INTEGER NOT NULL);
INSERT INTO probes (id, count) VALUES (1, 0);

CREATE TABLE tenants (id INTEGER PRIMARY KEY, ext_id TEXT NOT NULL UNIQUE);
INSERT INTO tenants (id, ext_id) VALUES (1, 'default');

-- `username_key` and `name_key` are lower case, for look-ups in any case.
-- `inbox_seq` and `inbox_pos` are the head of the user's inbox stream (stream id = 2 * id + 1).
CREATE TABLE users (
  id INTEGER PRIMARY KEY,
  tenant_id INTEGER NOT NULL REFERENCES tenants (id),
  ext_id TEXT NOT NULL,
  username TEXT NOT NULL,
  username_key TEXT NOT NULL,
  name TEXT NOT NULL,
  name_key TEXT NOT NULL,
  email TEXT,
  role TEXT NOT NULL,
  inbox_seq INTEGER NOT NULL DEFAULT 0,
  inbox_pos INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  UNIQUE (tenant_id, ext_id),
  UNIQUE (tenant_id, username_key),
  UNIQUE (tenant_id, email)
);
CREATE INDEX users_name ON users (tenant_id, name_key);

CREATE TABLE credentials (
  user_id INTEGER PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
  password_hash TEXT NOT NULL
);

CREATE TABLE sessions (
  id INTEGER PRIMARY KEY,
  family TEXT NOT NULL UNIQUE,
  user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  revoked_at INTEGER,
  revoke_reason TEXT
);
CREATE INDEX sessions_user ON sessions (user_id);

-- One row per refresh token of a living sign-in. `used_at` dates the first exchange; `parent_id` is the
-- token it was given for, so that two exchanges of one token give siblings that are both good.
CREATE TABLE refresh_tokens (
  id INTEGER PRIMARY KEY,
  session_id INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
  parent_id INTEGER,
  fingerprint TEXT NOT NULL UNIQUE,
  expires_at INTEGER NOT NULL,
  used_at INTEGER
);
CREATE INDEX refresh_tokens_session ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_parent ON refresh_tokens (parent_id) WHERE parent_id IS NOT NULL;

-- `last_seq`, `last_number` and `last_pos` are the head of the room's stream (stream id = 2 * id).
CREATE TABLE rooms (
  id INTEGER PRIMARY KEY,
  ext_id TEXT NOT NULL UNIQUE,
  tenant_id INTEGER NOT NULL REFERENCES tenants (id),
  kind TEXT NOT NULL,
  visibility TEXT NOT NULL,
  name TEXT,
  topic TEXT,
  created_by INTEGER NOT NULL REFERENCES users (id),
  direct_low INTEGER,
  direct_high INTEGER,
  member_count INTEGER NOT NULL,
  last_seq INTEGER NOT NULL,
  last_number INTEGER NOT NULL,
  last_pos INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  deleted_at INTEGER
);
CREATE UNIQUE INDEX rooms_direct ON rooms (direct_low, direct_high) WHERE direct_low IS NOT NULL;
CREATE INDEX rooms_public ON rooms (tenant_id, last_pos)
  WHERE visibility = 'public' AND deleted_at IS NULL;

-- `marks` holds the dated moves of the read cursor, newest last (at most 64; see marks.rs).
CREATE TABLE memberships (
  id INTEGER PRIMARY KEY,
  room_id INTEGER NOT NULL REFERENCES rooms (id),
  user_id INTEGER NOT NULL REFERENCES users (id),
  state TEXT NOT NULL,
  role TEXT NOT NULL,
  joined_at INTEGER NOT NULL,
  last_read_seq INTEGER NOT NULL,
  last_read_number INTEGER NOT NULL,
  last_read_at INTEGER,
  marks BLOB NOT NULL,
  UNIQUE (room_id, user_id)
);
CREATE INDEX memberships_order ON memberships (room_id, joined_at)
  WHERE state IN ('joined', 'invited');
CREATE INDEX memberships_user ON memberships (user_id) WHERE state IN ('joined', 'invited');

CREATE TABLE messages (
  id INTEGER PRIMARY KEY,
  ext_id TEXT NOT NULL UNIQUE,
  room_id INTEGER NOT NULL REFERENCES rooms (id),
  seq INTEGER NOT NULL,
  number INTEGER NOT NULL,
  sender_id INTEGER NOT NULL REFERENCES users (id),
  kind TEXT NOT NULL,
  content TEXT NOT NULL,
  metadata TEXT,
  reply_to TEXT,
  client_id TEXT,
  edit_count INTEGER NOT NULL DEFAULT 0,
  edited_at INTEGER,
  deleted_at INTEGER,
  created_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX messages_number ON messages (room_id, number);
CREATE UNIQUE INDEX messages_client ON messages (room_id, sender_id, client_id)
  WHERE client_id IS NOT NULL;

-- Every text of a message that was edited, the original included; `seq` is the event that brought it.
CREATE TABLE message_revisions (
  message_id INTEGER NOT NULL REFERENCES messages (id),
  seq INTEGER NOT NULL,
  rev INTEGER NOT NULL,
  content TEXT NOT NULL,
  edited_by INTEGER NOT NULL REFERENCES users (id),
  at INTEGER NOT NULL,
  PRIMARY KEY (message_id, seq)
) WITHOUT ROWID;

-- The journal. `number` is the room's last message number after the event, so that a seq becomes a
-- number by one look-up. The subject is a message, user or room by kind (facts.rs).
CREATE TABLE events (
  pos INTEGER PRIMARY KEY,
  stream_id INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  number INTEGER NOT NULL,
  actor_id INTEGER,
  subject_id INTEGER NOT NULL,
  at INTEGER NOT NULL,
  payload TEXT
);
CREATE UNIQUE INDEX events_seq ON events (stream_id, seq);
