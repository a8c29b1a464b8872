//! Messages and their revisions.

statements! {
    MESSAGES_INSERT = "INSERT INTO mynah.messages (ext_id, room_id, seq, number, sender_id, kind, \
                       content, metadata, reply_to, client_id, created_at) \
                       SELECT * FROM UNNEST($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], \
                       $5::bigint[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], \
                       $11::bigint[])";
    MESSAGE_BY_ID = message!(
        "FROM mynah.messages m JOIN mynah.users u ON u.id = m.sender_id WHERE m.ext_id = $1"
    );
    MESSAGES_BY_CLIENT = message!(
        "FROM UNNEST($1::bigint[], $2::bigint[], $3::text[]) q (room, sender, client) \
         JOIN mynah.messages m ON m.room_id = q.room AND m.sender_id = q.sender \
         AND m.client_id = q.client AND m.client_id IS NOT NULL \
         JOIN mynah.users u ON u.id = m.sender_id"
    );
    MESSAGES_AS_OF = concat!(
        "SELECT m.room_id, m.ext_id, m.seq, m.number, m.kind, coalesce(v.content, m.content), \
         m.metadata, m.reply_to, m.client_id, coalesce(v.rev, m.edit_count), \
         CASE WHEN v.rev IS NULL THEN m.edited_at WHEN v.rev = 0 THEN NULL ELSE v.at END, \
         m.deleted_at, m.created_at, u.ext_id, u.username, u.name, m.sender_id, q.seq ",
        "FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[]) q (room, number, seq) \
         JOIN mynah.messages m ON m.room_id = q.room AND m.number = q.number \
         JOIN mynah.users u ON u.id = m.sender_id \
         LEFT JOIN mynah.message_revisions v \
         ON v.room_id = m.room_id AND v.number = m.number AND v.seq = q.seq"
    );
    MESSAGES_LAST = message!(
        "FROM UNNEST($1::bigint[]) q (room) CROSS JOIN LATERAL (SELECT * FROM mynah.messages l \
         WHERE l.room_id = q.room AND l.deleted_at IS NULL ORDER BY l.number DESC LIMIT 1) m \
         JOIN mynah.users u ON u.id = m.sender_id"
    );
    MESSAGES_WINDOW = message!(
        "FROM mynah.messages m JOIN mynah.users u ON u.id = m.sender_id \
         WHERE m.room_id = $1 AND m.number BETWEEN $2 AND $3 ORDER BY m.number DESC"
    );
    MESSAGE_PLACES = "SELECT ext_id, room_id, seq, number FROM mynah.messages \
                      WHERE ext_id = ANY($1)";
    MESSAGE_AT = "SELECT ext_id, seq FROM mynah.messages WHERE room_id = $1 AND number = $2";
    MESSAGE_EDIT = "UPDATE mynah.messages SET content = $3, edit_count = $4, edited_at = $5 \
                    WHERE room_id = $1 AND number = $2";
    MESSAGE_ERASE = "UPDATE mynah.messages SET content = '', metadata = NULL, deleted_at = $3 \
                     WHERE room_id = $1 AND number = $2";

    REVISION_INSERT = "INSERT INTO mynah.message_revisions (room_id, number, seq, rev, content, \
                       edited_by, at) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    REVISIONS = "SELECT v.rev, v.content, u.ext_id, v.at FROM mynah.message_revisions v \
                 JOIN mynah.users u ON u.id = v.edited_by \
                 WHERE v.room_id = $1 AND v.number = $2 ORDER BY v.seq";
    REVISIONS_ERASE = "DELETE FROM mynah.message_revisions WHERE room_id = $1 AND number = $2";
}
