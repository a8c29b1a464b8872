//! The log.

statements! {
    EVENTS_INSERT = "INSERT INTO mynah.events (stream_id, seq, pos, kind, origin, number, \
                     actor_id, subject_id, at, payload) SELECT stream, seq, pos, kind, \
                     $10::smallint, number, actor, subject, at, payload \
                     FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[], $4::smallint[], \
                     $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::text[]) \
                     q (stream, seq, pos, kind, number, actor, subject, at, payload)";
    // Only by the holder of its slot, or by whoever takes no part in a cluster.
    LOG_HEAD_INSERT = "INSERT INTO mynah.log_heads (pos) SELECT $1::bigint WHERE $2::int = 0 \
                       OR EXISTS (SELECT FROM mynah.nodes WHERE slot = $2 AND epoch = $3::bigint)";
    // What a running transaction has stored, or may still store, lies above.
    LOG_HEAD = "SELECT pos FROM mynah.log_heads \
                WHERE xid < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY pos DESC LIMIT 1";
    LOG_EPOCH = "SELECT epoch FROM mynah.logs WHERE id = 1";
    LOG_HEADS_PRUNE = "DELETE FROM mynah.log_heads WHERE pos < $1";
    EVENT_NUMBER = "SELECT number FROM mynah.events WHERE stream_id = $1 AND seq = $2";
    EVENTS_AFTER_SEQ = event!(
        "FROM mynah.events e WHERE e.stream_id = $1 AND e.seq > $2 ORDER BY e.seq LIMIT $3"
    );
    EVENTS_FOR = event!(
        "FROM (SELECT r.id * 2 AS id FROM mynah.memberships s \
         JOIN mynah.rooms r ON r.id = s.room_id WHERE s.user_id = $1 \
         AND s.state IN ('joined', 'invited') AND s.state = 'joined' AND r.deleted_at IS NULL \
         AND r.last_pos > $2 UNION ALL SELECT $1::bigint * 2 + 1) stream \
         CROSS JOIN LATERAL (SELECT * FROM mynah.events l WHERE l.stream_id = stream.id \
         AND l.pos > $2 AND l.pos <= $3 ORDER BY l.pos LIMIT $4) e ORDER BY e.pos LIMIT $4"
    );
    EVENTS_OF = event!(
        "FROM (SELECT r.id * 2 AS id FROM mynah.memberships s \
         JOIN mynah.rooms r ON r.id = s.room_id WHERE s.user_id = $1 \
         AND s.state IN ('joined', 'invited') AND s.state = 'joined' AND r.deleted_at IS NULL \
         AND r.last_pos > $2 AND r.ext_id = ANY($5) UNION ALL SELECT $1::bigint * 2 + 1) stream \
         CROSS JOIN LATERAL (SELECT * FROM mynah.events l WHERE l.stream_id = stream.id \
         AND l.pos > $2 AND l.pos <= $3 ORDER BY l.pos LIMIT $4) e ORDER BY e.pos LIMIT $4"
    );
}
