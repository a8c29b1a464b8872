//! Rooms, memberships and what connections have open.

statements! {
    ROOM_BY_ID = room!(
        "FROM mynah.rooms r JOIN mynah.tenants t ON t.id = r.tenant_id \
         JOIN mynah.users c ON c.id = r.created_by WHERE r.ext_id = $1"
    );
    ROOMS_BY_ROW = room!(
        "FROM mynah.rooms r JOIN mynah.tenants t ON t.id = r.tenant_id \
         JOIN mynah.users c ON c.id = r.created_by WHERE r.id = ANY($1)"
    );
    // All that a transaction needs, in one order, so that no two wait for each other.
    ROOMS_LOCK = room!(
        "FROM mynah.rooms r JOIN mynah.tenants t ON t.id = r.tenant_id \
         JOIN mynah.users c ON c.id = r.created_by WHERE r.ext_id = ANY($1) \
         ORDER BY r.id FOR NO KEY UPDATE OF r"
    );
    ROOM_LOCK = room!(
        "FROM mynah.rooms r JOIN mynah.tenants t ON t.id = r.tenant_id \
         JOIN mynah.users c ON c.id = r.created_by WHERE r.id = $1 FOR NO KEY UPDATE OF r"
    );
    ROOMS_OF_MESSAGES = "SELECT r.ext_id FROM mynah.messages m \
                         JOIN mynah.rooms r ON r.id = m.room_id WHERE m.ext_id = ANY($1)";
    ROOM_BY_PAIR = "SELECT ext_id FROM mynah.rooms WHERE direct_low = $1 AND direct_high = $2";
    ROOM_INSERT = "INSERT INTO mynah.rooms (ext_id, tenant_id, kind, visibility, name, topic, \
                   created_by, direct_low, direct_high, member_count, last_seq, last_number, \
                   last_pos, created_at, updated_at) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, 0, 0, $11, $11) RETURNING id";
    ROOM_HEADS_SET = "UPDATE mynah.rooms r SET last_seq = q.seq, last_number = q.number, \
                      last_pos = q.pos FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[], \
                      $4::bigint[]) q (id, seq, number, pos) WHERE r.id = q.id";
    ROOM_HEAD = "SELECT last_seq FROM mynah.rooms WHERE id = $1";
    ROOM_HEADS = "SELECT q.nth, r.last_seq FROM UNNEST($1::text[]) WITH ORDINALITY q (id, nth) \
                  JOIN mynah.rooms r ON r.ext_id = q.id";
    ROOM_CHANGE = "UPDATE mynah.rooms SET visibility = $2, name = $3, topic = $4, \
                   member_count = $5, updated_at = $6, deleted_at = $7 WHERE id = $1";
    ROOMS_OF = "SELECT s.room_id FROM mynah.memberships s JOIN mynah.rooms r ON r.id = s.room_id \
                WHERE s.user_id = $1 AND s.state IN ('joined', 'invited') \
                AND r.deleted_at IS NULL ORDER BY r.last_pos DESC LIMIT $2 OFFSET $3";
    ROOMS_PUBLIC = "SELECT r.id FROM mynah.rooms r WHERE r.tenant_id = $1 \
                    AND r.visibility = 'public' AND r.deleted_at IS NULL \
                    ORDER BY r.last_pos DESC LIMIT $2 OFFSET $3";
    ROOMS_JOINED = room!(
        "FROM mynah.memberships s JOIN mynah.rooms r ON r.id = s.room_id \
         JOIN mynah.tenants t ON t.id = r.tenant_id JOIN mynah.users c ON c.id = r.created_by \
         WHERE s.user_id = $1 AND s.state IN ('joined', 'invited') AND s.state = 'joined' \
         AND r.deleted_at IS NULL ORDER BY r.id"
    );

    MEMBER = member!("FROM mynah.memberships s WHERE s.room_id = $1 AND s.user_id = $2");
    MEMBER_LOCK = member!(
        "FROM mynah.memberships s WHERE s.room_id = $1 AND s.user_id = $2 FOR NO KEY UPDATE"
    );
    MEMBERS_LOCK = member!(
        "FROM mynah.memberships s JOIN UNNEST($1::bigint[], $2::bigint[]) q (room, person) \
         ON q.room = s.room_id AND q.person = s.user_id \
         ORDER BY s.room_id, s.user_id FOR NO KEY UPDATE OF s"
    );
    MEMBERS_OF = member!(
        "FROM mynah.memberships s WHERE s.user_id = $1 AND s.state IN ('joined', 'invited') \
         AND s.room_id = ANY($2)"
    );
    MEMBERS_INSERT = "INSERT INTO mynah.memberships (room_id, user_id, state, role, joined_at, \
                      last_read_seq, last_read_number, marks) \
                      SELECT $1::bigint, q.person, $3::text, q.role, $5::bigint, 0, 0, ''::bytea \
                      FROM UNNEST($2::bigint[], $4::text[]) WITH ORDINALITY q (person, role, nth) \
                      ORDER BY q.nth";
    MEMBER_STANDING = "UPDATE mynah.memberships SET state = $3, role = $4, joined_at = $5 \
                       WHERE room_id = $1 AND user_id = $2";
    MEMBER_CURSORS = "UPDATE mynah.memberships s SET last_read_seq = q.seq, \
                      last_read_number = q.number, last_read_at = q.at, marks = q.marks \
                      FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], \
                      $5::bigint[], $6::bytea[]) q (room, person, seq, number, at, marks) \
                      WHERE s.room_id = q.room AND s.user_id = q.person";
    MEMBER_USERS = "SELECT user_id FROM mynah.memberships WHERE room_id = $1 \
                    AND state IN ('joined', 'invited') ORDER BY joined_at, id";
    MEMBERS_PAGE = "SELECT s.room_id, s.user_id, s.state, s.role, s.joined_at, s.last_read_seq, \
                    s.last_read_number, s.last_read_at, u.ext_id, u.username, u.name \
                    FROM mynah.memberships s JOIN mynah.users u ON u.id = s.user_id \
                    WHERE s.room_id = $1 AND s.state IN ('joined', 'invited') \
                    ORDER BY s.joined_at, s.id LIMIT $2 OFFSET $3";
    MEMBERS_READ = "SELECT u.ext_id, s.last_read_at, s.marks \
                    FROM mynah.memberships s JOIN mynah.users u ON u.id = s.user_id \
                    WHERE s.room_id = $1 AND s.state IN ('joined', 'invited') \
                    AND s.state = 'joined' AND s.last_read_seq >= $2 AND s.user_id <> $3 \
                    ORDER BY s.joined_at, s.id";

    CONNECTION_SEEN = "INSERT INTO mynah.connections (ext_id, user_id, seen_at) \
                       VALUES ($1, $2, $3) ON CONFLICT (ext_id, user_id) DO UPDATE \
                       SET seen_at = greatest(connections.seen_at, excluded.seen_at) RETURNING id";
    CONNECTIONS_KEEP = "UPDATE mynah.connections c SET seen_at = $2 \
                        WHERE c.ext_id = ANY($1) AND c.seen_at < $2";
    CONNECTIONS_UNSEEN = "SELECT id FROM mynah.connections WHERE seen_at < $1 \
                          ORDER BY seen_at LIMIT $2 FOR UPDATE SKIP LOCKED";
    CONNECTION_FORGET = "DELETE FROM mynah.connections WHERE id = $1";
    OPEN_ROOM_REPLACE = "INSERT INTO mynah.open_rooms \
                         (connection_id, room_id, nth, after_seq, shown_pos, shown_nth) \
                         VALUES ($1, $2, (SELECT coalesce(max(nth), 0) + 1 \
                         FROM mynah.open_rooms WHERE connection_id = $1), $3, $4, $5) \
                         ON CONFLICT (connection_id, room_id) DO UPDATE SET nth = excluded.nth, \
                         after_seq = excluded.after_seq, shown_pos = excluded.shown_pos, \
                         shown_nth = excluded.shown_nth";
    OPEN_ROOMS_BOUND = "DELETE FROM mynah.open_rooms WHERE connection_id = $1 AND room_id IN \
                        (SELECT room_id FROM mynah.open_rooms WHERE connection_id = $1 \
                        ORDER BY nth DESC OFFSET $2)";
    OPEN_ROOMS = "SELECT r.ext_id, o.after_seq, o.shown_pos, o.shown_nth \
                  FROM mynah.connections c \
                  JOIN mynah.open_rooms o ON o.connection_id = c.id \
                  JOIN mynah.memberships s ON s.room_id = o.room_id AND s.user_id = c.user_id \
                  JOIN mynah.rooms r ON r.id = o.room_id \
                  WHERE c.ext_id = $1 AND c.user_id = $2 AND s.state = 'joined' \
                  AND r.deleted_at IS NULL ORDER BY o.nth";
    OPEN_ROOMS_FORGET = "DELETE FROM mynah.open_rooms WHERE connection_id = $1";
}
