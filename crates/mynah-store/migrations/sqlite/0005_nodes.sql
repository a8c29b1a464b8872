-- Slots of nodes. Rows stay, so that `epoch` goes on; a free slot has no node and has run out.
CREATE TABLE nodes (
  slot INTEGER PRIMARY KEY,
  epoch INTEGER NOT NULL,
  node_id TEXT UNIQUE,
  address TEXT NOT NULL,
  expires_at INTEGER NOT NULL
);
