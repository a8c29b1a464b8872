//! The outbox.

statements! {
    OUTBOX_APP = "INSERT INTO mynah.outbox_apps (ext_id) VALUES ($1) \
                  ON CONFLICT (ext_id) DO UPDATE SET ext_id = excluded.ext_id RETURNING id";
    OUTBOX_APP_BY_ID = "SELECT id FROM mynah.outbox_apps WHERE ext_id = $1";
    OUTBOX_SIZE = "SELECT pending, pending_bytes, dead, dead_bytes FROM mynah.outbox_apps \
                   WHERE id = $1";
    OUTBOX_COUNTS = "SELECT id, ext_id, pending, dead FROM mynah.outbox_apps \
                     WHERE id > $1 ORDER BY id LIMIT $2";
    OUTBOX_ENDPOINT = "INSERT INTO mynah.outbox_endpoints (app, url, rule) VALUES ($1, $2, $3) \
                       ON CONFLICT (app, url, rule) DO UPDATE SET app = excluded.app RETURNING id";
    OUTBOX_ENDPOINT_BY_ID = "SELECT id FROM mynah.outbox_endpoints \
                             WHERE app = $1 AND url = $2 AND rule = $3";
    OUTBOX_WAITING = "SELECT e.app, e.url, e.rule, f.first_at FROM mynah.outbox_endpoints e \
                      CROSS JOIN LATERAL (SELECT d.next_at AS first_at \
                      FROM mynah.outbox_deliveries d WHERE d.endpoint_id = e.id \
                      AND d.died_at IS NULL ORDER BY d.next_at LIMIT 1) f \
                      WHERE (e.app, e.url, e.rule) > ($1, $2, $3) \
                      ORDER BY e.app, e.url, e.rule LIMIT $4";
    OUTBOX_ADD = "INSERT INTO mynah.outbox_deliveries (app_id, endpoint_id, order_key, bytes, \
                  created_at, queued_at, next_at, event) \
                  SELECT app, endpoint, order_key, bytes, created_at, created_at, due_at, event \
                  FROM UNNEST($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], \
                  $5::bigint[], $6::bigint[], $7::text[]) WITH ORDINALITY \
                  q (app, endpoint, order_key, bytes, created_at, due_at, event, nth) \
                  ORDER BY q.nth";
    OUTBOX_DUE = delivery!(
        "FROM mynah.outbox_deliveries d JOIN mynah.outbox_endpoints e ON e.id = d.endpoint_id \
         WHERE d.endpoint_id = $1 AND d.died_at IS NULL AND d.next_at <= $2 \
         ORDER BY d.next_at, d.id LIMIT $3 FOR UPDATE OF d SKIP LOCKED"
    );
    OUTBOX_LEASE = "UPDATE mynah.outbox_deliveries SET next_at = $2 WHERE id = ANY($1)";
    OUTBOX_NEXT = "SELECT id, next_at FROM mynah.outbox_deliveries \
                   WHERE endpoint_id = $1 AND died_at IS NULL ORDER BY next_at, id LIMIT $2";
    OUTBOX_REMOVE = "DELETE FROM mynah.outbox_deliveries WHERE id = ANY($1)";
    OUTBOX_RELEASE = "UPDATE mynah.outbox_deliveries SET next_at = $2 \
                      WHERE id = $1 AND died_at IS NULL";
    OUTBOX_RETRY = "UPDATE mynah.outbox_deliveries SET next_at = $2, attempts = attempts + 1, \
                    last_error = $3 WHERE id = $1 AND died_at IS NULL";
    OUTBOX_BURY = "UPDATE mynah.outbox_deliveries SET died_at = $2, attempts = attempts + 1, \
                   last_error = $3 WHERE id = $1 AND died_at IS NULL RETURNING app_id";
    OUTBOX_DISPLACE = "UPDATE mynah.outbox_deliveries SET died_at = $2, last_error = $3 \
                       WHERE id = (SELECT id FROM mynah.outbox_deliveries \
                       WHERE app_id = $1 AND died_at IS NULL ORDER BY id LIMIT 1)";
    OUTBOX_GIVE_UP = "UPDATE mynah.outbox_deliveries SET died_at = $3, last_error = $4 \
                      WHERE id IN (SELECT id FROM mynah.outbox_deliveries WHERE endpoint_id = $1 \
                      AND died_at IS NULL AND queued_at < $2 ORDER BY queued_at LIMIT $5)";
    OUTBOX_FORGET_OLDEST = "DELETE FROM mynah.outbox_deliveries WHERE id = \
                            (SELECT id FROM mynah.outbox_deliveries WHERE app_id = $1 \
                            AND died_at IS NOT NULL ORDER BY id LIMIT 1)";
    OUTBOX_DEAD = delivery!(
        "FROM mynah.outbox_deliveries d JOIN mynah.outbox_endpoints e ON e.id = d.endpoint_id \
         WHERE d.died_at IS NOT NULL AND d.id > $1 ORDER BY d.id LIMIT $2"
    );
    OUTBOX_DEAD_OF = delivery!(
        "FROM mynah.outbox_apps a JOIN mynah.outbox_deliveries d ON d.app_id = a.id \
         JOIN mynah.outbox_endpoints e ON e.id = d.endpoint_id \
         WHERE a.ext_id = $3 AND d.died_at IS NOT NULL AND d.id > $1 ORDER BY d.id LIMIT $2"
    );
    OUTBOX_REVIVE_ONE = "UPDATE mynah.outbox_deliveries SET died_at = NULL, next_at = $1, \
                         queued_at = $1, attempts = 0 WHERE id = $2 AND died_at IS NOT NULL";
    OUTBOX_REVIVE_OF = "UPDATE mynah.outbox_deliveries SET died_at = NULL, next_at = $1, \
                        queued_at = $1, attempts = 0 WHERE id IN \
                        (SELECT id FROM mynah.outbox_deliveries \
                        WHERE app_id = $2 AND died_at IS NOT NULL ORDER BY id LIMIT $3)";
    OUTBOX_REVIVE = "UPDATE mynah.outbox_deliveries SET died_at = NULL, next_at = $1, \
                     queued_at = $1, attempts = 0 WHERE id IN \
                     (SELECT id FROM mynah.outbox_deliveries \
                     WHERE died_at IS NOT NULL ORDER BY id LIMIT $2)";
    OUTBOX_DISCARD_ONE = "DELETE FROM mynah.outbox_deliveries \
                          WHERE id = $1 AND died_at IS NOT NULL";
    OUTBOX_DISCARD_OF = "DELETE FROM mynah.outbox_deliveries WHERE id IN (SELECT id \
                         FROM mynah.outbox_deliveries WHERE app_id = $1 AND died_at IS NOT NULL \
                         ORDER BY id LIMIT $2)";
    OUTBOX_DISCARD = "DELETE FROM mynah.outbox_deliveries WHERE id IN (SELECT id \
                      FROM mynah.outbox_deliveries WHERE died_at IS NOT NULL \
                      ORDER BY id LIMIT $1)";
    OUTBOX_PRUNE = "DELETE FROM mynah.outbox_deliveries WHERE id IN \
                    (SELECT id FROM mynah.outbox_deliveries \
                    WHERE died_at IS NOT NULL AND died_at < $1 ORDER BY died_at LIMIT $2)";
    OUTBOX_PRUNE_ENDPOINTS = "DELETE FROM mynah.outbox_endpoints WHERE id IN (SELECT e.id \
                              FROM mynah.outbox_endpoints e WHERE NOT EXISTS (SELECT 1 \
                              FROM mynah.outbox_deliveries d WHERE d.endpoint_id = e.id) LIMIT $1)";
    OUTBOX_PRUNE_APPS = "DELETE FROM mynah.outbox_apps WHERE id IN (SELECT id \
                         FROM mynah.outbox_apps WHERE id > 0 AND pending = 0 AND dead = 0 \
                         ORDER BY id LIMIT $1)";
}
