//! Apps and their keys.

statements! {
    APP_BY_ID = app!(
        "FROM mynah.apps a JOIN mynah.tenants t ON t.id = a.tenant_id WHERE a.ext_id = $1"
    );
    APP_BY_KEY = app!(
        "FROM mynah.app_keys k JOIN mynah.apps a ON a.id = k.app_id \
         JOIN mynah.tenants t ON t.id = a.tenant_id WHERE k.key = $1"
    );
    APP_BY_TENANT = app!(
        "FROM mynah.tenants t JOIN mynah.apps a ON a.tenant_id = t.id WHERE t.ext_id = $1"
    );
    APPS_PAGE = app!(
        "FROM mynah.apps a JOIN mynah.tenants t ON t.id = a.tenant_id WHERE a.id > $1 \
         ORDER BY a.id LIMIT $2"
    );
    APP_ROW = "SELECT id, version FROM mynah.apps WHERE ext_id = $1 FOR UPDATE";
    APP_ROW_OF_TENANT = "SELECT a.id FROM mynah.tenants t \
                         JOIN mynah.apps a ON a.tenant_id = t.id WHERE t.ext_id = $1";
    APP_ROW_OF_KEY = "SELECT app_id FROM mynah.app_keys WHERE key = $1";
    APP_INSERT = "INSERT INTO mynah.apps (ext_id, tenant_id, name, is_enabled, client_events, \
                  user_authentication, subscription_counts, limits, webhooks, version, \
                  created_at, updated_at) \
                  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, $10, $11) RETURNING id";
    APP_REPLACE = "UPDATE mynah.apps SET tenant_id = $2, name = $3, is_enabled = $4, \
                   client_events = $5, user_authentication = $6, subscription_counts = $7, \
                   limits = $8, webhooks = $9, version = $10, updated_at = $11 WHERE id = $1";
    APP_KEYS = "SELECT key, secret, created_at, expires_at FROM mynah.app_keys WHERE app_id = $1 \
                ORDER BY nth";
    APP_KEYS_DROP = "DELETE FROM mynah.app_keys WHERE app_id = $1";
    APP_KEY_INSERT = "INSERT INTO mynah.app_keys (app_id, nth, key, secret, created_at, \
                      expires_at) VALUES ($1, $2, $3, $4, $5, $6)";
}
