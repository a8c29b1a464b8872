-- Words of messages, for searching. A message's rowid here is the `pos` of its first event, so that newest first
-- is the order of the index. Both columns hold words made by search.rs, to be told apart by blanks alone, which
-- is what `ascii` does with them. No text is kept.
CREATE VIRTUAL TABLE message_search USING fts5 (
  marks, words, content = '', contentless_delete = 1, tokenize = 'ascii'
);

-- How far the log has been read for it.
CREATE TABLE search_places (id INTEGER PRIMARY KEY, pos INTEGER NOT NULL);
INSERT INTO search_places (id, pos) VALUES (1, 0);
