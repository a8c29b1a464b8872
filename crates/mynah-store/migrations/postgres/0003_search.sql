-- Words of messages are indexed beside the writing, not while it waits.
DROP INDEX mynah.messages_search;
ALTER TABLE mynah.messages DROP COLUMN search;

-- `pos` is the place of a message's first event, so that newest first is the order of the key. `search` holds words
-- and marks made by search.rs. No text is kept.
CREATE TABLE mynah.message_search (
  pos bigint PRIMARY KEY,
  room_id bigint NOT NULL,
  number bigint NOT NULL,
  search tsvector NOT NULL
);
CREATE INDEX message_search_room ON mynah.message_search (room_id, pos);
-- A long list of what is not merged yet would be read by every search.
CREATE INDEX message_search_words ON mynah.message_search
  USING gin (search) WITH (gin_pending_list_limit = 1024);

-- How far the log has been read for it.
CREATE TABLE mynah.search_places (id integer PRIMARY KEY, pos bigint NOT NULL);
INSERT INTO mynah.search_places (id, pos) VALUES (1, 0);

-- What the index follows, in the order of the log: messages, and rooms that are deleted (facts.rs).
CREATE INDEX events_of_messages ON mynah.events (pos) WHERE kind IN (3, 8, 9, 10);
