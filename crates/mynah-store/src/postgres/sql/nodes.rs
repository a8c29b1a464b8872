//! Nodes, whether the database answers, and how its tables grow.

statements! {
    PROBE_WRITE = "UPDATE mynah.probes SET count = count + 1 WHERE id = 1";
    PROBE_READ = "SELECT count FROM mynah.probes WHERE id = 1";
    NOW = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    // Whoever asks for a slot waits for those who asked before.
    NODES_LOCK = "SELECT 1 FROM (SELECT pg_advisory_xact_lock(5570193308531705)) l";
    NODE_SLOT = "SELECT slot FROM mynah.nodes WHERE node_id = $1";
    NODE_FREE_SLOT = "SELECT slot FROM mynah.nodes WHERE expires_at <= $1 ORDER BY slot LIMIT 1";
    NODE_LAST_SLOT = "SELECT slot FROM mynah.nodes ORDER BY slot DESC LIMIT 1";
    NODE_CLAIM = "INSERT INTO mynah.nodes AS n (slot, epoch, node_id, address, expires_at) \
                  VALUES ($1, 1, $2, $3, $4) ON CONFLICT (slot) DO UPDATE SET \
                  epoch = n.epoch + 1, node_id = excluded.node_id, address = excluded.address, \
                  expires_at = excluded.expires_at RETURNING node_id, slot, epoch, address";
    NODE_RENEW = "UPDATE mynah.nodes \
                  SET expires_at = (extract(epoch FROM clock_timestamp()) * 1000)::bigint + $4 \
                  WHERE slot = $1 AND epoch = $2 AND node_id = $3";
    NODE_RELEASE = "UPDATE mynah.nodes SET node_id = NULL, expires_at = 0 \
                    WHERE slot = $1 AND epoch = $2 AND node_id = $3";
    NODES = "SELECT node_id, slot, epoch, address FROM mynah.nodes \
             WHERE expires_at > (extract(epoch FROM clock_timestamp()) * 1000)::bigint \
             ORDER BY slot";
    // `relpages` is the size when it was last looked at, 0 when never.
    TABLES_GROWN = "SELECT c.oid::regclass::text FROM pg_catalog.pg_class c \
                    WHERE c.relnamespace = 'mynah'::regnamespace AND c.relkind = 'r' \
                    AND pg_relation_size(c.oid) > 3 * c.relpages::bigint * \
                    current_setting('block_size')::bigint";
}
