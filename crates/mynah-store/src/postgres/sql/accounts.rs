//! Tenants, users and sign-ins.

statements! {
    TENANT_BY_ID = "SELECT id FROM mynah.tenants WHERE ext_id = $1";
    TENANT_MADE = "INSERT INTO mynah.tenants (ext_id) VALUES ($1) \
                   ON CONFLICT (ext_id) DO UPDATE SET ext_id = excluded.ext_id RETURNING id";

    USER_BY_ID = user!(
        "FROM mynah.tenants t JOIN mynah.users u ON u.tenant_id = t.id \
         WHERE t.ext_id = $1 AND u.ext_id = $2"
    );
    USERS_BY_ID = user!(
        "FROM UNNEST($1::text[], $2::text[]) q (tenant, id) \
         JOIN mynah.tenants t ON t.ext_id = q.tenant \
         JOIN mynah.users u ON u.tenant_id = t.id AND u.ext_id = q.id"
    );
    USERS_BY_ROW = user!(
        "FROM mynah.users u JOIN mynah.tenants t ON t.id = u.tenant_id WHERE u.id = ANY($1)"
    );
    USER_BY_USERNAME = user!(
        "FROM mynah.tenants t JOIN mynah.users u ON u.tenant_id = t.id \
         WHERE t.ext_id = $1 AND u.username_key = $2"
    );
    USER_BY_EMAIL = user!(
        "FROM mynah.tenants t JOIN mynah.users u ON u.tenant_id = t.id \
         WHERE t.ext_id = $1 AND u.email = $2"
    );
    USERS_BY_USERNAME_PREFIX = user!(
        "FROM mynah.tenants t JOIN mynah.users u ON u.tenant_id = t.id \
         WHERE t.ext_id = $1 AND u.username_key >= $2 AND u.username_key < $3 \
         ORDER BY u.username_key LIMIT $4"
    );
    USERS_BY_NAME_PREFIX = user!(
        "FROM mynah.tenants t JOIN mynah.users u ON u.tenant_id = t.id \
         WHERE t.ext_id = $1 AND u.name_key >= $2 AND u.name_key < $3 \
         ORDER BY u.name_key LIMIT $4"
    );
    USERS_INSERT = "INSERT INTO mynah.users AS u (tenant_id, ext_id, username, username_key, name, \
                    name_key, email, role, created_at, updated_at) \
                    SELECT t.id, q.id, q.username, q.username_key, q.name, q.name_key, q.email, $9, q.at, q.at \
                    FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], \
                    $7::text[], $8::bigint[]) WITH ORDINALITY \
                    q (tenant, id, username, username_key, name, name_key, email, at, nth) \
                    JOIN mynah.tenants t ON t.ext_id = q.tenant ORDER BY q.nth ON CONFLICT DO NOTHING \
                    RETURNING u.id, (SELECT t.ext_id FROM mynah.tenants t WHERE t.id = u.tenant_id), \
                    u.ext_id, u.username_key";
    USER_RENAME = "UPDATE mynah.users SET name = $2, name_key = $3, updated_at = $4 WHERE id = $1";
    INBOXES_LOCK = "SELECT u.id, u.ext_id, t.ext_id, u.inbox_seq, u.inbox_pos \
                    FROM mynah.users u JOIN mynah.tenants t ON t.id = u.tenant_id \
                    WHERE u.id = ANY($1) ORDER BY u.id FOR NO KEY UPDATE OF u";
    INBOXES_SET = "UPDATE mynah.users u SET inbox_seq = q.seq, inbox_pos = q.pos \
                   FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[]) q (id, seq, pos) \
                   WHERE u.id = q.id";
    INBOX_HEADS = "SELECT q.nth, u.inbox_seq \
                   FROM UNNEST($1::text[], $2::text[]) WITH ORDINALITY q (tenant, id, nth) \
                   JOIN mynah.tenants t ON t.ext_id = q.tenant \
                   JOIN mynah.users u ON u.tenant_id = t.id AND u.ext_id = q.id";

    CREDENTIAL_INSERT = "INSERT INTO mynah.credentials (user_id, password_hash) VALUES ($1, $2)";
    CREDENTIAL = "SELECT password_hash FROM mynah.credentials WHERE user_id = $1";

    SESSION_INSERT = "INSERT INTO mynah.sessions (family, user_id, created_at, expires_at) \
                      VALUES ($1, $2, $3, $4) RETURNING id";
    SESSION_PRUNE = "DELETE FROM mynah.sessions WHERE user_id = $1 AND expires_at <= $2";
    SESSION_EXTEND = "UPDATE mynah.sessions SET expires_at = greatest(expires_at, $2) WHERE id = $1";
    SESSION_REVOKE = "UPDATE mynah.sessions SET revoked_at = $2, revoke_reason = $3 \
                      WHERE id = $1 AND revoked_at IS NULL";
    SESSIONS_ALIVE = "SELECT family FROM mynah.sessions \
                      WHERE family = ANY($1) AND revoked_at IS NULL AND expires_at > $2";
    SESSIONS_ALIVE_OF = "SELECT id, family FROM mynah.sessions WHERE user_id = $1 \
                         AND revoked_at IS NULL AND expires_at > $2 ORDER BY id FOR NO KEY UPDATE";
    SESSION_BY_FAMILY = "SELECT id FROM mynah.sessions WHERE family = $1 FOR NO KEY UPDATE";

    TOKEN = "SELECT k.id, k.session_id, k.expires_at, k.used_at, s.family, s.user_id, s.revoked_at \
             FROM mynah.refresh_tokens k JOIN mynah.sessions s ON s.id = k.session_id \
             WHERE k.fingerprint = $1";
    SESSION_LOCK_OF_TOKEN = "SELECT s.id FROM mynah.sessions s \
                             JOIN mynah.refresh_tokens k ON k.session_id = s.id \
                             WHERE k.fingerprint = $1 FOR NO KEY UPDATE OF s";
    TOKEN_INSERT = "INSERT INTO mynah.refresh_tokens (session_id, parent_id, fingerprint, \
                    expires_at) VALUES ($1, $2, $3, $4)";
    TOKEN_USE = "UPDATE mynah.refresh_tokens SET used_at = $2 WHERE id = $1";
    TOKEN_USED_CHILD = "SELECT id FROM mynah.refresh_tokens \
                        WHERE parent_id = $1 AND used_at IS NOT NULL LIMIT 1";
    TOKEN_PRUNE = "DELETE FROM mynah.refresh_tokens WHERE session_id = $1 AND expires_at <= $2";
    TOKENS_DROP = "DELETE FROM mynah.refresh_tokens WHERE session_id = $1";
}
