-- Connections that have opened rooms; `seen_at` dates the last opening or keeping.
CREATE TABLE connections (
  id INTEGER PRIMARY KEY,
  ext_id TEXT NOT NULL,
  user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  seen_at INTEGER NOT NULL,
  UNIQUE (ext_id, user_id)
);
CREATE INDEX connections_seen ON connections (seen_at);

-- What each has open; `nth` is the order of opening.
CREATE TABLE open_rooms (
  connection_id INTEGER NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
  room_id INTEGER NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
  nth INTEGER NOT NULL,
  after_seq INTEGER NOT NULL,
  shown_pos INTEGER NOT NULL,
  shown_nth INTEGER NOT NULL,
  PRIMARY KEY (connection_id, room_id)
) WITHOUT ROWID;
