//! Words of messages.

statements! {
    SEARCH = "SELECT s.pos, s.room_id, s.number FROM mynah.message_search s \
              WHERE s.search @@ $1::text::tsquery AND s.room_id = ANY($2) AND s.pos < $3 \
              AND s.number BETWEEN $4 AND $5 ORDER BY s.pos DESC LIMIT $6";
    SEARCH_MESSAGES = message!(
        "FROM UNNEST($1::bigint[], $2::bigint[]) q (room, number) \
         JOIN mynah.messages m ON m.room_id = q.room AND m.number = q.number \
         JOIN mynah.users u ON u.id = m.sender_id"
    );
    // Who has it indexes until the end of the transaction.
    SEARCH_LOCK = "SELECT pg_try_advisory_xact_lock(5570193308531705)";
    SEARCH_PLACE = "SELECT pos FROM mynah.search_places WHERE id = 1";
    SEARCH_MOVE = "UPDATE mynah.search_places SET pos = $1 WHERE id = 1";
    SEARCH_NEWS = "SELECT e.pos, e.stream_id, e.kind, e.subject_id FROM mynah.events e \
                   WHERE e.pos > $1 AND e.pos <= $2 AND e.kind IN (3, 8, 9, 10) \
                   ORDER BY e.pos LIMIT $3";
    SEARCH_BEHIND = "SELECT count(*) FROM (SELECT 1 FROM mynah.events e WHERE e.pos > $1 \
                     AND e.pos <= $2 AND e.kind IN (3, 8, 9, 10) LIMIT $3) n";
    SEARCH_SOURCES = message!(
        ", e.pos FROM UNNEST($1::bigint[], $2::bigint[]) q (room, number) \
         JOIN mynah.messages m ON m.room_id = q.room AND m.number = q.number \
         JOIN mynah.users u ON u.id = m.sender_id \
         JOIN mynah.events e ON e.stream_id = m.room_id * 2 AND e.seq = m.seq"
    );
    SEARCH_KEEP = "INSERT INTO mynah.message_search (pos, room_id, number, search) \
                   SELECT q.pos, q.room, q.number, q.words::tsvector FROM UNNEST($1::bigint[], \
                   $2::bigint[], $3::bigint[], $4::text[]) q (pos, room, number, words) \
                   ON CONFLICT (pos) DO UPDATE SET search = excluded.search";
    SEARCH_FORGET = "DELETE FROM mynah.message_search WHERE pos = ANY($1)";
    SEARCH_FORGET_ROOM = "DELETE FROM mynah.message_search WHERE pos IN (SELECT s.pos \
                          FROM mynah.message_search s WHERE s.room_id = $1 \
                          ORDER BY s.pos LIMIT $2)";
}
