//! Every SQL statement of the adapter, so that a test can look at each plan.

/// Columns of a room; see `rows::room`.
macro_rules! room {
    ($rest:literal) => {
        concat!(
            "SELECT r.id, r.ext_id, t.ext_id, r.kind, r.visibility, r.name, r.topic, c.ext_id, \
             r.member_count, r.last_seq, r.last_number, r.last_pos, r.created_at, r.updated_at, \
             r.deleted_at, r.direct_low, r.direct_high ",
            $rest
        )
    };
}

/// Columns of a user; see `rows::user`.
macro_rules! user {
    ($rest:literal) => {
        concat!(
            "SELECT u.id, u.ext_id, t.ext_id, u.username, u.email, u.name, u.role, u.created_at, \
             u.updated_at, u.inbox_seq, u.inbox_pos ",
            $rest
        )
    };
}

/// Columns of a message and its sender; see `rows::message`.
macro_rules! message {
    ($rest:literal) => {
        concat!(
            "SELECT m.id, m.ext_id, m.seq, m.number, m.kind, m.content, m.metadata, m.reply_to, \
             m.client_id, m.edit_count, m.edited_at, m.deleted_at, m.created_at, u.ext_id, \
             u.username, u.name, m.room_id, m.sender_id ",
            $rest
        )
    };
}

/// Columns of an app; see `apps::AppRow`.
macro_rules! app {
    ($rest:literal) => {
        concat!(
            "SELECT a.id, a.ext_id, t.ext_id, a.name, a.is_enabled, a.client_events, \
             a.user_authentication, a.subscription_counts, a.limits, a.webhooks, a.version, \
             a.created_at, a.updated_at ",
            $rest
        )
    };
}

/// Columns of a membership; see `rows::membership`.
macro_rules! member {
    ($rest:literal) => {
        concat!(
            "SELECT s.id, s.state, s.role, s.joined_at, s.last_read_seq, s.last_read_number, \
             s.last_read_at, s.marks ",
            $rest
        )
    };
}

/// Columns of a delivery; see `outbox::delivery`.
macro_rules! delivery {
    ($rest:literal) => {
        concat!(
            "SELECT d.id, e.app, e.url, e.rule, d.order_key, d.event, d.created_at, d.queued_at, \
             d.attempts, d.next_at, d.died_at, d.last_error ",
            $rest
        )
    };
}

macro_rules! statements {
    ($($name:ident = $sql:expr;)+) => {
        $(pub(super) const $name: &str = $sql;)+

        /// Name and text of each.
        #[cfg(test)]
        pub(super) const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),+];
    };
}

statements! {
    PROBE_WRITE = "UPDATE probes SET count = count + 1 WHERE id = 1";
    PROBE_READ = "SELECT count FROM probes WHERE id = 1";
    HEAD_POS = "SELECT max(coalesce((SELECT max(pos) FROM events), 0), pos_floor) FROM logs WHERE id = 1";
    NEWEST_EVENT = "SELECT coalesce(max(pos), 0) FROM events";
    LOG_EPOCH = "SELECT epoch FROM logs WHERE id = 1";
    LOG_RENEW = "UPDATE logs SET epoch = random(), pos_floor = ?1 WHERE id = 1";

    TENANT_BY_ID = "SELECT id FROM tenants WHERE ext_id = ?1";
    TENANT_INSERT = "INSERT INTO tenants (ext_id) VALUES (?1)";

    USER_BY_ID = user!(
        "FROM tenants t CROSS JOIN users u ON u.tenant_id = t.id AND u.ext_id = ?2 WHERE t.ext_id = ?1"
    );
    USER_BY_ROW = user!("FROM users u CROSS JOIN tenants t ON t.id = u.tenant_id WHERE u.id = ?1");
    USER_BY_USERNAME = user!(
        "FROM tenants t CROSS JOIN users u ON u.tenant_id = t.id AND u.username_key = ?2 \
         WHERE t.ext_id = ?1"
    );
    USER_BY_EMAIL = user!(
        "FROM tenants t CROSS JOIN users u ON u.tenant_id = t.id AND u.email = ?2 WHERE t.ext_id = ?1"
    );
    USERS_BY_USERNAME_PREFIX = user!(
        "FROM tenants t CROSS JOIN users u \
         ON u.tenant_id = t.id AND u.username_key >= ?2 AND u.username_key < ?3 \
         WHERE t.ext_id = ?1 ORDER BY u.username_key LIMIT ?4"
    );
    USERS_BY_NAME_PREFIX = user!(
        "FROM tenants t CROSS JOIN users u \
         ON u.tenant_id = t.id AND u.name_key >= ?2 AND u.name_key < ?3 \
         WHERE t.ext_id = ?1 ORDER BY u.name_key LIMIT ?4"
    );
    USER_INSERT = "INSERT INTO users (tenant_id, ext_id, username, username_key, name, name_key, \
                   email, role, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9)";
    USER_RENAME = "UPDATE users SET name = ?2, name_key = ?3, updated_at = ?4 WHERE id = ?1";
    USER_INBOX = "UPDATE users SET inbox_seq = ?2, inbox_pos = ?3 WHERE id = ?1";

    CREDENTIAL_INSERT = "INSERT INTO credentials (user_id, password_hash) VALUES (?1, ?2)";
    CREDENTIAL = "SELECT password_hash FROM credentials WHERE user_id = ?1";

    SESSION_INSERT = "INSERT INTO sessions (family, user_id, created_at, expires_at) \
                      VALUES (?1, ?2, ?3, ?4)";
    SESSION_PRUNE = "DELETE FROM sessions WHERE user_id = ?1 AND expires_at <= ?2";
    SESSION_EXTEND = "UPDATE sessions SET expires_at = max(expires_at, ?2) WHERE id = ?1";
    SESSION_REVOKE = "UPDATE sessions SET revoked_at = ?2, revoke_reason = ?3 \
                      WHERE id = ?1 AND revoked_at IS NULL";
    SESSION_ALIVE = "SELECT id FROM sessions \
                     WHERE family = ?1 AND revoked_at IS NULL AND expires_at > ?2";
    SESSIONS_ALIVE_OF = "SELECT id, family FROM sessions \
                         WHERE user_id = ?1 AND revoked_at IS NULL AND expires_at > ?2 ORDER BY id";
    SESSION_BY_FAMILY = "SELECT id FROM sessions WHERE family = ?1";

    TOKEN_INSERT = "INSERT INTO refresh_tokens (session_id, parent_id, fingerprint, expires_at) \
                    VALUES (?1, ?2, ?3, ?4)";
    TOKEN = "SELECT k.id, k.session_id, k.expires_at, k.used_at, s.family, s.user_id, s.revoked_at \
             FROM refresh_tokens k CROSS JOIN sessions s ON s.id = k.session_id \
             WHERE k.fingerprint = ?1";
    TOKEN_USE = "UPDATE refresh_tokens SET used_at = ?2 WHERE id = ?1";
    TOKEN_USED_CHILD = "SELECT id FROM refresh_tokens \
                        WHERE parent_id = ?1 AND used_at IS NOT NULL LIMIT 1";
    TOKEN_PRUNE = "DELETE FROM refresh_tokens WHERE session_id = ?1 AND expires_at <= ?2";
    TOKENS_DROP = "DELETE FROM refresh_tokens WHERE session_id = ?1";

    ROOM_BY_ID = room!(
        "FROM rooms r CROSS JOIN tenants t ON t.id = r.tenant_id \
         CROSS JOIN users c ON c.id = r.created_by WHERE r.ext_id = ?1"
    );
    ROOM_BY_ROW = room!(
        "FROM rooms r CROSS JOIN tenants t ON t.id = r.tenant_id \
         CROSS JOIN users c ON c.id = r.created_by WHERE r.id = ?1"
    );
    ROOM_BY_PAIR = "SELECT ext_id FROM rooms WHERE direct_low = ?1 AND direct_high = ?2";
    ROOM_INSERT = "INSERT INTO rooms (ext_id, tenant_id, kind, visibility, name, topic, created_by, \
                   direct_low, direct_high, member_count, last_seq, last_number, last_pos, \
                   created_at, updated_at) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0, 0, 0, ?11, ?11)";
    ROOM_HEAD = "UPDATE rooms SET last_seq = ?2, last_number = ?3, last_pos = ?4 WHERE id = ?1";
    ROOM_CHANGE = "UPDATE rooms SET visibility = ?2, name = ?3, topic = ?4, member_count = ?5, \
                   updated_at = ?6, deleted_at = ?7 WHERE id = ?1";
    ROOMS_OF = "SELECT s.room_id FROM memberships s CROSS JOIN rooms r ON r.id = s.room_id \
                WHERE s.user_id = ?1 AND s.state IN ('joined', 'invited') \
                AND r.deleted_at IS NULL ORDER BY r.last_pos DESC LIMIT ?2 OFFSET ?3";
    ROOMS_PUBLIC = "SELECT r.id FROM rooms r WHERE r.tenant_id = ?1 AND r.visibility = 'public' \
                    AND r.deleted_at IS NULL ORDER BY r.last_pos DESC LIMIT ?2 OFFSET ?3";
    ROOMS_JOINED = room!(
        "FROM memberships s CROSS JOIN rooms r ON r.id = s.room_id \
         CROSS JOIN tenants t ON t.id = r.tenant_id CROSS JOIN users c ON c.id = r.created_by \
         WHERE s.user_id = ?1 AND s.state IN ('joined', 'invited') AND s.state = 'joined' \
         AND r.deleted_at IS NULL ORDER BY r.id"
    );
    ROOMS_NEWS = "SELECT r.id, r.last_seq FROM memberships s CROSS JOIN rooms r ON r.id = s.room_id \
                  WHERE s.user_id = ?1 AND s.state IN ('joined', 'invited') AND s.state = 'joined' \
                  AND r.deleted_at IS NULL AND r.last_pos > ?2";

    ROOM_NEWS = "SELECT r.id, r.last_seq FROM rooms r \
                 CROSS JOIN memberships s ON s.room_id = r.id AND s.user_id = ?2 \
                 WHERE r.ext_id = ?1 AND s.state = 'joined' \
                 AND r.deleted_at IS NULL AND r.last_pos > ?3";

    MEMBER = member!("FROM memberships s WHERE s.room_id = ?1 AND s.user_id = ?2");
    MEMBER_INSERT = "INSERT INTO memberships (room_id, user_id, state, role, joined_at, \
                     last_read_seq, last_read_number, marks) VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, x'')";
    MEMBER_STANDING = "UPDATE memberships SET state = ?2, role = ?3, joined_at = ?4 WHERE id = ?1";
    MEMBER_CURSOR = "UPDATE memberships SET last_read_seq = ?2, last_read_number = ?3, \
                     last_read_at = ?4, marks = ?5 WHERE id = ?1";
    MEMBER_USERS = "SELECT user_id FROM memberships \
                    WHERE room_id = ?1 AND state IN ('joined', 'invited') ORDER BY joined_at, id";
    MEMBERS_PAGE = "SELECT s.id, s.state, s.role, s.joined_at, s.last_read_seq, \
                    s.last_read_number, s.last_read_at, x'', u.ext_id, u.username, u.name \
                    FROM memberships s CROSS JOIN users u ON u.id = s.user_id \
                    WHERE s.room_id = ?1 AND s.state IN ('joined', 'invited') \
                    ORDER BY s.joined_at, s.id LIMIT ?2 OFFSET ?3";
    MEMBERS_READ = "SELECT u.ext_id, s.last_read_at, s.marks \
                    FROM memberships s CROSS JOIN users u ON u.id = s.user_id \
                    WHERE s.room_id = ?1 AND s.state IN ('joined', 'invited') \
                    AND s.state = 'joined' AND s.last_read_seq >= ?2 AND s.user_id <> ?3 \
                    ORDER BY s.joined_at, s.id";

    MESSAGE_INSERT = "INSERT INTO messages (ext_id, room_id, seq, number, sender_id, kind, content, \
                      metadata, reply_to, client_id, created_at) \
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) \
                      ON CONFLICT (room_id, sender_id, client_id) WHERE client_id IS NOT NULL \
                      DO NOTHING";
    MESSAGE_BY_ID = message!(
        "FROM messages m CROSS JOIN users u ON u.id = m.sender_id WHERE m.ext_id = ?1"
    );
    MESSAGE_BY_CLIENT = message!(
        "FROM messages m CROSS JOIN users u ON u.id = m.sender_id \
         WHERE m.room_id = ?1 AND m.sender_id = ?2 AND m.client_id = ?3"
    );
    MESSAGE_AS_OF = concat!(
        "SELECT m.id, m.ext_id, m.seq, m.number, m.kind, coalesce(v.content, m.content), \
         m.metadata, m.reply_to, m.client_id, coalesce(v.rev, m.edit_count), \
         CASE WHEN v.rev IS NULL THEN m.edited_at WHEN v.rev = 0 THEN NULL ELSE v.at END, \
         m.deleted_at, m.created_at, u.ext_id, u.username, u.name, m.room_id, m.sender_id ",
        "FROM messages m CROSS JOIN users u ON u.id = m.sender_id \
         LEFT JOIN message_revisions v ON v.message_id = m.id AND v.seq = ?2 WHERE m.id = ?1"
    );
    MESSAGE_LAST = message!(
        "FROM messages m CROSS JOIN users u ON u.id = m.sender_id \
         WHERE m.room_id = ?1 AND m.deleted_at IS NULL ORDER BY m.number DESC LIMIT 1"
    );
    MESSAGES_WINDOW = message!(
        "FROM messages m CROSS JOIN users u ON u.id = m.sender_id \
         WHERE m.room_id = ?1 AND m.number BETWEEN ?2 AND ?3 ORDER BY m.number DESC"
    );
    MESSAGE_BY_ROW = message!(
        "FROM messages m CROSS JOIN users u ON u.id = m.sender_id WHERE m.id = ?1"
    );
    MESSAGE_PLACE = "SELECT room_id, seq, number FROM messages WHERE ext_id = ?1";
    MESSAGE_AT = "SELECT ext_id, seq FROM messages WHERE room_id = ?1 AND number = ?2";
    MESSAGE_EDIT = "UPDATE messages SET content = ?2, edit_count = ?3, edited_at = ?4 WHERE id = ?1";
    MESSAGE_ERASE = "UPDATE messages SET content = '', metadata = NULL, deleted_at = ?2 WHERE id = ?1";

    REVISION_INSERT = "INSERT INTO message_revisions (message_id, seq, rev, content, edited_by, at) \
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    REVISIONS = "SELECT v.rev, v.content, u.ext_id, v.at FROM message_revisions v \
                 CROSS JOIN users u ON u.id = v.edited_by WHERE v.message_id = ?1 ORDER BY v.seq";
    REVISIONS_ERASE = "DELETE FROM message_revisions WHERE message_id = ?1";

    EVENT_INSERT = "INSERT INTO events (pos, stream_id, seq, kind, number, actor_id, subject_id, at, \
                    payload) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    EVENT_NUMBER = "SELECT number FROM events WHERE stream_id = ?1 AND seq = ?2";
    EVENTS_AFTER_SEQ = "SELECT pos, stream_id, seq, kind, number, actor_id, subject_id, at, payload \
                        FROM events WHERE stream_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
    EVENT_AT_POS = "SELECT pos, stream_id, seq, kind, number, actor_id, subject_id, at, payload \
                    FROM events WHERE pos = ?1";
    EVENT_POS = "SELECT pos FROM events WHERE stream_id = ?1 AND seq = ?2";
    POSITIONS_FROM = "SELECT pos FROM events WHERE stream_id = ?1 AND seq >= ?2 \
                      ORDER BY seq LIMIT ?3";

    EVENTS_AFTER_POS = "SELECT pos, stream_id, kind, subject_id FROM events WHERE pos > ?1 \
                        ORDER BY pos LIMIT ?2";

    SEARCH = message!(
        ", f.rowid FROM message_search f CROSS JOIN events e ON e.pos = f.rowid \
         CROSS JOIN messages m ON m.id = e.subject_id CROSS JOIN users u ON u.id = m.sender_id \
         WHERE f.message_search MATCH ?1 AND f.rowid < ?2 ORDER BY f.rowid DESC"
    );
    SEARCH_FIRST = "SELECT rowid FROM message_search WHERE message_search MATCH ?1 \
                    ORDER BY rowid LIMIT ?2";
    SEARCH_KEEP = "INSERT OR REPLACE INTO message_search (rowid, marks, words) VALUES (?1, ?2, ?3)";
    SEARCH_FORGET = "DELETE FROM message_search WHERE rowid = ?1";
    SEARCH_PLACE = "SELECT pos FROM search_places WHERE id = 1";
    SEARCH_MOVE = "UPDATE search_places SET pos = ?1 WHERE id = 1";

    CONNECTION_SEEN = "INSERT INTO connections (ext_id, user_id, seen_at) VALUES (?1, ?2, ?3) \
                       ON CONFLICT (ext_id, user_id) \
                       DO UPDATE SET seen_at = max(seen_at, excluded.seen_at) RETURNING id";
    CONNECTION_KEEP = "UPDATE connections SET seen_at = ?2 WHERE ext_id = ?1 AND seen_at < ?2";
    CONNECTIONS_UNSEEN = "SELECT id FROM connections WHERE seen_at < ?1 ORDER BY seen_at LIMIT ?2";
    CONNECTION_FORGET = "DELETE FROM connections WHERE id = ?1";
    OPEN_ROOM_REPLACE = "REPLACE INTO open_rooms \
                         (connection_id, room_id, nth, after_seq, shown_pos, shown_nth) \
                         VALUES (?1, ?2, (SELECT coalesce(max(nth), 0) + 1 FROM open_rooms \
                         WHERE connection_id = ?1), ?3, ?4, ?5)";
    OPEN_ROOMS_BOUND = "DELETE FROM open_rooms WHERE connection_id = ?1 AND room_id IN \
                        (SELECT room_id FROM open_rooms WHERE connection_id = ?1 \
                        ORDER BY nth DESC LIMIT -1 OFFSET ?2)";
    OPEN_ROOMS = "SELECT r.ext_id, o.after_seq, o.shown_pos, o.shown_nth FROM connections c \
                  CROSS JOIN open_rooms o ON o.connection_id = c.id \
                  CROSS JOIN memberships s ON s.room_id = o.room_id AND s.user_id = c.user_id \
                  CROSS JOIN rooms r ON r.id = o.room_id \
                  WHERE c.ext_id = ?1 AND c.user_id = ?2 AND s.state = 'joined' \
                  AND r.deleted_at IS NULL ORDER BY o.nth";
    OPEN_ROOMS_FORGET = "DELETE FROM open_rooms WHERE connection_id = ?1";

    APP_BY_ID = app!(
        "FROM apps a CROSS JOIN tenants t ON t.id = a.tenant_id WHERE a.ext_id = ?1"
    );
    APP_BY_KEY = app!(
        "FROM app_keys k CROSS JOIN apps a ON a.id = k.app_id \
         CROSS JOIN tenants t ON t.id = a.tenant_id WHERE k.key = ?1"
    );
    APP_BY_TENANT = app!(
        "FROM tenants t CROSS JOIN apps a ON a.tenant_id = t.id WHERE t.ext_id = ?1"
    );
    APPS_PAGE = app!(
        "FROM apps a CROSS JOIN tenants t ON t.id = a.tenant_id WHERE a.id > ?1 \
         ORDER BY a.id LIMIT ?2"
    );
    APP_ROW = "SELECT id, version FROM apps WHERE ext_id = ?1";
    APP_ROW_OF_TENANT = "SELECT a.id FROM tenants t CROSS JOIN apps a ON a.tenant_id = t.id \
                         WHERE t.ext_id = ?1";
    APP_ROW_OF_KEY = "SELECT app_id FROM app_keys WHERE key = ?1";
    APP_INSERT = "INSERT INTO apps (ext_id, tenant_id, name, is_enabled, client_events, \
                  user_authentication, subscription_counts, limits, webhooks, version, created_at, \
                  updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    APP_REPLACE = "UPDATE apps SET tenant_id = ?2, name = ?3, is_enabled = ?4, client_events = ?5, \
                   user_authentication = ?6, subscription_counts = ?7, limits = ?8, webhooks = ?9, \
                   version = ?10, updated_at = ?11 WHERE id = ?1";
    APP_KEYS = "SELECT key, secret, created_at, expires_at FROM app_keys WHERE app_id = ?1 \
                ORDER BY nth";
    APP_KEYS_DROP = "DELETE FROM app_keys WHERE app_id = ?1";
    APP_KEY_INSERT = "INSERT INTO app_keys (app_id, nth, key, secret, created_at, expires_at) \
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    OUTBOX_APP = "INSERT INTO outbox_apps (ext_id) VALUES (?1) \
                  ON CONFLICT (ext_id) DO UPDATE SET ext_id = excluded.ext_id RETURNING id";
    OUTBOX_APP_BY_ID = "SELECT id FROM outbox_apps WHERE ext_id = ?1";
    OUTBOX_SIZE = "SELECT pending, pending_bytes, dead, dead_bytes FROM outbox_apps WHERE id = ?1";
    OUTBOX_COUNTS = "SELECT id, ext_id, pending, dead FROM outbox_apps \
                     WHERE id > ?1 ORDER BY id LIMIT ?2";
    OUTBOX_ENDPOINT = "INSERT INTO outbox_endpoints (app, url, rule) VALUES (?1, ?2, ?3) \
                       ON CONFLICT (app, url, rule) DO UPDATE SET app = excluded.app RETURNING id";
    OUTBOX_ENDPOINT_BY_ID = "SELECT id FROM outbox_endpoints \
                             WHERE app = ?1 AND url = ?2 AND rule = ?3";
    OUTBOX_WAITING = "SELECT e.app, e.url, e.rule, (SELECT min(d.next_at) FROM outbox_deliveries d \
                      WHERE d.endpoint_id = e.id AND d.died_at IS NULL) AS first_at \
                      FROM outbox_endpoints e WHERE (e.app, e.url, e.rule) > (?1, ?2, ?3) \
                      AND first_at IS NOT NULL ORDER BY e.app, e.url, e.rule LIMIT ?4";
    OUTBOX_ADD = "INSERT INTO outbox_deliveries (app_id, endpoint_id, order_key, bytes, created_at, \
                  queued_at, next_at, event) VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7)";
    OUTBOX_DUE = delivery!(
        "FROM outbox_deliveries d CROSS JOIN outbox_endpoints e ON e.id = d.endpoint_id \
         WHERE d.endpoint_id = ?1 AND d.died_at IS NULL AND d.next_at <= ?2 \
         ORDER BY d.next_at, d.id LIMIT ?3"
    );
    OUTBOX_LEASE = "UPDATE outbox_deliveries SET next_at = ?2 WHERE id = ?1";
    OUTBOX_NEXT = "SELECT id, next_at FROM outbox_deliveries \
                   WHERE endpoint_id = ?1 AND died_at IS NULL ORDER BY next_at, id LIMIT ?2";
    OUTBOX_REMOVE = "DELETE FROM outbox_deliveries WHERE id = ?1";
    OUTBOX_RELEASE = "UPDATE outbox_deliveries SET next_at = ?2 WHERE id = ?1 AND died_at IS NULL";
    OUTBOX_RETRY = "UPDATE outbox_deliveries SET next_at = ?2, attempts = attempts + 1, \
                    last_error = ?3 WHERE id = ?1 AND died_at IS NULL";
    OUTBOX_BURY = "UPDATE outbox_deliveries SET died_at = ?2, attempts = attempts + 1, \
                   last_error = ?3 WHERE id = ?1 AND died_at IS NULL RETURNING app_id";
    OUTBOX_DISPLACE = "UPDATE outbox_deliveries SET died_at = ?2, last_error = ?3 \
                       WHERE id = (SELECT id FROM outbox_deliveries \
                       WHERE app_id = ?1 AND died_at IS NULL ORDER BY id LIMIT 1)";
    OUTBOX_GIVE_UP = "UPDATE outbox_deliveries SET died_at = ?3, last_error = ?4 \
                      WHERE id IN (SELECT id FROM outbox_deliveries WHERE endpoint_id = ?1 \
                      AND died_at IS NULL AND queued_at < ?2 ORDER BY queued_at LIMIT ?5)";
    OUTBOX_FORGET_OLDEST = "DELETE FROM outbox_deliveries WHERE id = \
                            (SELECT id FROM outbox_deliveries WHERE app_id = ?1 \
                            AND died_at IS NOT NULL ORDER BY id LIMIT 1)";
    OUTBOX_DEAD = delivery!(
        "FROM outbox_deliveries d CROSS JOIN outbox_endpoints e ON e.id = d.endpoint_id \
         WHERE d.died_at IS NOT NULL AND d.id > ?1 ORDER BY d.id LIMIT ?2"
    );
    OUTBOX_DEAD_OF = delivery!(
        "FROM outbox_apps a CROSS JOIN outbox_deliveries d ON d.app_id = a.id \
         CROSS JOIN outbox_endpoints e ON e.id = d.endpoint_id \
         WHERE a.ext_id = ?3 AND d.died_at IS NOT NULL AND d.id > ?1 ORDER BY d.id LIMIT ?2"
    );
    OUTBOX_REVIVE_ONE = "UPDATE outbox_deliveries SET died_at = NULL, next_at = ?1, queued_at = ?1, \
                         attempts = 0 WHERE id = ?2 AND died_at IS NOT NULL";
    OUTBOX_REVIVE_OF = "UPDATE outbox_deliveries SET died_at = NULL, next_at = ?1, queued_at = ?1, \
                        attempts = 0 WHERE id IN (SELECT id FROM outbox_deliveries \
                        WHERE app_id = ?2 AND died_at IS NOT NULL ORDER BY id LIMIT ?3)";
    OUTBOX_REVIVE = "UPDATE outbox_deliveries SET died_at = NULL, next_at = ?1, queued_at = ?1, \
                     attempts = 0 WHERE id IN (SELECT id FROM outbox_deliveries \
                     WHERE died_at IS NOT NULL AND id > 0 ORDER BY id LIMIT ?2)";
    OUTBOX_DISCARD_ONE = "DELETE FROM outbox_deliveries WHERE id = ?1 AND died_at IS NOT NULL";
    OUTBOX_DISCARD_OF = "DELETE FROM outbox_deliveries WHERE id IN (SELECT id \
                         FROM outbox_deliveries WHERE app_id = ?1 AND died_at IS NOT NULL \
                         ORDER BY id LIMIT ?2)";
    OUTBOX_DISCARD = "DELETE FROM outbox_deliveries WHERE id IN (SELECT id \
                      FROM outbox_deliveries WHERE died_at IS NOT NULL AND id > 0 \
                      ORDER BY id LIMIT ?1)";
    OUTBOX_PRUNE = "DELETE FROM outbox_deliveries WHERE id IN (SELECT id FROM outbox_deliveries \
                    WHERE died_at IS NOT NULL AND died_at < ?1 ORDER BY died_at LIMIT ?2)";
    OUTBOX_PRUNE_ENDPOINTS = "DELETE FROM outbox_endpoints WHERE id IN (SELECT e.id \
                              FROM outbox_endpoints e WHERE e.id > 0 AND NOT EXISTS (SELECT 1 \
                              FROM outbox_deliveries d WHERE d.endpoint_id = e.id) LIMIT ?1)";
    OUTBOX_PRUNE_APPS = "DELETE FROM outbox_apps WHERE id IN (SELECT id FROM outbox_apps \
                         WHERE id > 0 AND pending = 0 AND dead = 0 LIMIT ?1)";

    NOW = "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) FROM probes WHERE id = 1";
    NODE_SLOT = "SELECT slot FROM nodes WHERE node_id = ?1";
    NODE_FREE_SLOT = "SELECT slot FROM nodes WHERE slot > 0 AND expires_at <= ?1 \
                      ORDER BY slot LIMIT 1";
    NODE_LAST_SLOT = "SELECT slot FROM nodes WHERE slot > 0 ORDER BY slot DESC LIMIT 1";
    NODE_CLAIM = "INSERT INTO nodes (slot, epoch, node_id, address, expires_at) \
                  VALUES (?1, 1, ?2, ?3, ?4) ON CONFLICT (slot) DO UPDATE SET epoch = epoch + 1, \
                  node_id = excluded.node_id, address = excluded.address, \
                  expires_at = excluded.expires_at RETURNING node_id, slot, epoch, address";
    NODE_RENEW = "UPDATE nodes SET expires_at = ?4 WHERE slot = ?1 AND epoch = ?2 AND node_id = ?3";
    NODE_RELEASE = "UPDATE nodes SET node_id = NULL, expires_at = 0 \
                    WHERE slot = ?1 AND epoch = ?2 AND node_id = ?3";
    NODES = "SELECT node_id, slot, epoch, address FROM nodes \
             WHERE slot > 0 AND expires_at > ?1 ORDER BY slot";

    MIGRATION = "SELECT checksum FROM migrations WHERE version = ?1";
    MIGRATION_INSERT = "INSERT INTO migrations (version, name, checksum, applied_at) \
                        VALUES (?1, ?2, ?3, unixepoch() * 1000)";
}
