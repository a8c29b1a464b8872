//! The table of Soketi's options: environment name, place in its JSON file, and what each means here.

/// What an option means here.
#[derive(Debug, Clone, Copy)]
pub(super) enum Means {
    /// The text of an entry.
    Text(&'static str),
    /// An entry that stands before paths: `/ws`.
    Prefix(&'static str),
    /// True or false.
    Flag(&'static str),
    /// A whole number, as it is.
    Number(&'static str),
    /// An entry in seconds, from milliseconds; a part of a second counts whole.
    Seconds(&'static str),
    /// An entry in bytes, from KiB.
    Bytes(&'static str),
    /// An entry in seconds where -1 means for ever.
    Lifetime(&'static str),
    /// Logs everything.
    LogAll,
    /// Opens the port of metrics.
    Metrics,
    /// One field of the first app.
    App,
    /// Nothing, for a reason.
    Nothing(&'static str),
    /// Nothing, and nothing is missing with one of these values.
    NothingBeyond(&'static [&'static str], &'static str),
}

/// One option.
pub(super) struct Known {
    /// Environment name without `SOKETI_`; empty: only in the file.
    pub(super) name: &'static str,
    /// Dotted path in the file, itself or a part of it; empty: only in the environment.
    pub(super) path: &'static str,
    pub(super) means: Means,
}

const fn known(name: &'static str, path: &'static str, means: Means) -> Known {
    Known { name, path, means }
}

const ONE_NODE: &str = "this version runs on one node";
const ONE_ROLE: &str = "one process does everything";
const TLS: &str = "TLS belongs into the proxy in front";
const IN_STORE: &str = "apps are taken over once, with `mynah app import --database URL`";
const IN_MEMORY: &str = "cache channels are kept in memory";
const OUTBOX: &str = "webhooks wait in Mynah's own store, durably";
const COUNTED_HERE: &str = "rates are counted in memory";
const PROMETHEUS: &str = "metrics are in Prometheus's format";
const CACHED: &str = "looked-up apps are always remembered, for pusher.app_cache_ttl_s";
const ORIGINS: &str = "which pages may call is said by http.allowed_origins";
const OF_PROCESS: &str = "it names Soketi's process";
const REQUEST: &str = "requests are bounded by the limits of events and batches";

use Means::{
    App, Bytes, Flag, Lifetime, LogAll, Metrics, Nothing, NothingBeyond, Number, Prefix, Seconds,
    Text,
};

/// All of them.
#[rustfmt::skip]
pub(super) const OPTIONS: &[Known] = &[
    known("PUBLIC_HOST", "", Text("pusher.public.host")),
    known("PUBLIC_PORT", "", Number("pusher.public.port")),
    known("PUSHER_CLUSTER", "", Text("pusher.public.cluster")),

    known("HOST", "host", Text("server.host")),
    known("PORT", "port", Number("pusher.port")),
    known("PATH_PREFIX", "pathPrefix", Prefix("pusher.path_prefix")),
    known("MODE", "mode", NothingBeyond(&["full"], ONE_ROLE)),
    known("DEBUG", "debug", LogAll),
    known("SHUTDOWN_GRACE_PERIOD", "shutdownGracePeriod", Seconds("server.drain_s")),
    known("USER_AUTHENTICATION_TIMEOUT", "userAuthenticationTimeout", Seconds("pusher.user_authentication_timeout_s")),
    known("SSL_CERT", "ssl.certPath", Nothing(TLS)),
    known("SSL_KEY", "ssl.keyPath", Nothing(TLS)),
    known("SSL_PASS", "ssl.passphrase", Nothing(TLS)),
    known("SSL_CA", "ssl.caPath", Nothing(TLS)),

    known("DEFAULT_APP_ID", "appManager.array.apps.0.id", App),
    known("DEFAULT_APP_KEY", "appManager.array.apps.0.key", App),
    known("DEFAULT_APP_SECRET", "appManager.array.apps.0.secret", App),
    known("DEFAULT_APP_ENABLED", "appManager.array.apps.0.enabled", App),
    known("DEFAULT_APP_MAX_CONNS", "appManager.array.apps.0.maxConnections", App),
    known("DEFAULT_APP_ENABLE_CLIENT_MESSAGES", "appManager.array.apps.0.enableClientMessages", App),
    known("DEFAULT_APP_MAX_BACKEND_EVENTS_PER_SEC", "appManager.array.apps.0.maxBackendEventsPerSecond", App),
    known("DEFAULT_APP_MAX_CLIENT_EVENTS_PER_SEC", "appManager.array.apps.0.maxClientEventsPerSecond", App),
    known("DEFAULT_APP_MAX_READ_REQ_PER_SEC", "appManager.array.apps.0.maxReadRequestsPerSecond", App),
    known("DEFAULT_APP_USER_AUTHENTICATION", "appManager.array.apps.0.enableUserAuthentication", App),
    known("DEFAULT_APP_WEBHOOKS", "appManager.array.apps.0.webhooks", App),
    known("", "appManager.array.apps", App),

    known("APP_MANAGER_DRIVER", "appManager.driver", NothingBeyond(&["array"], IN_STORE)),
    known("APP_MANAGER_CACHE_ENABLED", "appManager.cache.enabled", NothingBeyond(&["true", "1"], CACHED)),
    known("APP_MANAGER_CACHE_TTL", "appManager.cache.ttl", Lifetime("pusher.app_cache_ttl_s")),
    known("APP_MANAGER_MYSQL_TABLE", "appManager.mysql.table", Nothing(IN_STORE)),
    known("APP_MANAGER_MYSQL_VERSION", "appManager.mysql.version", Nothing(IN_STORE)),
    known("APP_MANAGER_MYSQL_USE_V2", "appManager.mysql.useMysql2", Nothing(IN_STORE)),
    known("APP_MANAGER_POSTGRES_TABLE", "appManager.postgres.table", Nothing(IN_STORE)),
    known("APP_MANAGER_POSTGRES_VERSION", "appManager.postgres.version", Nothing(IN_STORE)),
    known("APP_MANAGER_DYNAMODB_TABLE", "appManager.dynamodb.table", Nothing(IN_STORE)),
    known("APP_MANAGER_DYNAMODB_REGION", "appManager.dynamodb.region", Nothing(IN_STORE)),
    known("APP_MANAGER_DYNAMODB_ENDPOINT", "appManager.dynamodb.endpoint", Nothing(IN_STORE)),
    known("DB_MYSQL_HOST", "database.mysql.host", Nothing(IN_STORE)),
    known("DB_MYSQL_PORT", "database.mysql.port", Nothing(IN_STORE)),
    known("DB_MYSQL_USERNAME", "database.mysql.user", Nothing(IN_STORE)),
    known("DB_MYSQL_PASSWORD", "database.mysql.password", Nothing(IN_STORE)),
    known("DB_MYSQL_DATABASE", "database.mysql.database", Nothing(IN_STORE)),
    known("DB_POSTGRES_HOST", "database.postgres.host", Nothing(IN_STORE)),
    known("DB_POSTGRES_PORT", "database.postgres.port", Nothing(IN_STORE)),
    known("DB_POSTGRES_USERNAME", "database.postgres.user", Nothing(IN_STORE)),
    known("DB_POSTGRES_PASSWORD", "database.postgres.password", Nothing(IN_STORE)),
    known("DB_POSTGRES_DATABASE", "database.postgres.database", Nothing(IN_STORE)),
    known("DB_POOLING_ENABLED", "databasePooling.enabled", NothingBeyond(&["false", "0"], IN_STORE)),
    known("DB_POOLING_MIN", "databasePooling.min", Nothing(IN_STORE)),
    known("DB_POOLING_MAX", "databasePooling.max", Nothing(IN_STORE)),

    known("ADAPTER_DRIVER", "adapter.driver", NothingBeyond(&["local"], ONE_NODE)),
    known("ADAPTER_CLUSTER_REQUESTS_TIMEOUT", "adapter.cluster.requestsTimeout", Nothing(ONE_NODE)),
    known("ADAPTER_REDIS_PREFIX", "adapter.redis.prefix", Nothing(ONE_NODE)),
    known("ADAPTER_REDIS_CLUSTER_MODE", "adapter.redis.clusterMode", Nothing(ONE_NODE)),
    known("ADAPTER_REDIS_REQUESTS_TIMEOUT", "adapter.redis.requestsTimeout", Nothing(ONE_NODE)),
    known("ADAPTER_REDIS_PUB_OPTIONS", "adapter.redis.redisPubOptions", Nothing(ONE_NODE)),
    known("ADAPTER_REDIS_SUB_OPTIONS", "adapter.redis.redisSubOptions", Nothing(ONE_NODE)),
    known("ADAPTER_NATS_SERVERS", "adapter.nats.servers", Nothing(ONE_NODE)),
    known("ADAPTER_NATS_PREFIX", "adapter.nats.prefix", Nothing(ONE_NODE)),
    known("ADAPTER_NATS_USER", "adapter.nats.user", Nothing(ONE_NODE)),
    known("ADAPTER_NATS_PASSWORD", "adapter.nats.pass", Nothing(ONE_NODE)),
    known("ADAPTER_NATS_TOKEN", "adapter.nats.token", Nothing(ONE_NODE)),
    known("ADAPTER_NATS_TIMEOUT", "adapter.nats.timeout", Nothing(ONE_NODE)),
    known("ADAPTER_NATS_REQUESTS_TIMEOUT", "adapter.nats.requestsTimeout", Nothing(ONE_NODE)),
    known("ADAPTER_NATS_NODES_NUMBER", "adapter.nats.nodesNumber", Nothing(ONE_NODE)),
    known("CLUSTER_CHECK_INTERVAL", "cluster.checkInterval", Nothing(ONE_NODE)),
    known("CLUSTER_HOST", "cluster.hostname", Nothing(ONE_NODE)),
    known("CLUSTER_IGNORE_PROCESS", "cluster.ignoreProcess", Nothing(ONE_NODE)),
    known("CLUSTER_BROADCAST_ADDRESS", "cluster.broadcast", Nothing(ONE_NODE)),
    known("CLUSTER_KEEPALIVE_INTERVAL", "cluster.helloInterval", Nothing(ONE_NODE)),
    known("CLUSTER_MASTER_TIMEOUT", "cluster.masterTimeout", Nothing(ONE_NODE)),
    known("CLUSTER_MULTICAST_ADDRESS", "cluster.multicast", Nothing(ONE_NODE)),
    known("CLUSTER_NODE_TIMEOUT", "cluster.nodeTimeout", Nothing(ONE_NODE)),
    known("CLUSTER_PORT", "cluster.port", Nothing(ONE_NODE)),
    known("CLUSTER_PREFIX", "cluster.prefix", Nothing(ONE_NODE)),
    known("CLUSTER_UNICAST_ADDRESSES", "cluster.unicast", Nothing(ONE_NODE)),
    known("DB_REDIS_HOST", "database.redis.host", Nothing(ONE_NODE)),
    known("DB_REDIS_PORT", "database.redis.port", Nothing(ONE_NODE)),
    known("DB_REDIS_DB", "database.redis.db", Nothing(ONE_NODE)),
    known("DB_REDIS_USERNAME", "database.redis.username", Nothing(ONE_NODE)),
    known("DB_REDIS_PASSWORD", "database.redis.password", Nothing(ONE_NODE)),
    known("DB_REDIS_KEY_PREFIX", "database.redis.keyPrefix", Nothing(ONE_NODE)),
    known("DB_REDIS_SENTINELS", "database.redis.sentinels", Nothing(ONE_NODE)),
    known("DB_REDIS_SENTINEL_PASSWORD", "database.redis.sentinelPassword", Nothing(ONE_NODE)),
    known("DB_REDIS_CLUSTER_NODES", "database.redis.clusterNodes", Nothing(ONE_NODE)),
    known("DB_REDIS_INSTANCE_NAME", "database.redis.name", Nothing(ONE_NODE)),

    known("CACHE_DRIVER", "cache.driver", NothingBeyond(&["memory"], IN_MEMORY)),
    known("CACHE_REDIS_CLUSTER_MODE", "cache.redis.clusterMode", Nothing(IN_MEMORY)),
    known("CACHE_REDIS_OPTIONS", "cache.redis.redisOptions", Nothing(IN_MEMORY)),
    known("QUEUE_DRIVER", "queue.driver", NothingBeyond(&["sync"], OUTBOX)),
    known("QUEUE_REDIS_CONCURRENCY", "queue.redis.concurrency", Nothing(OUTBOX)),
    known("QUEUE_REDIS_OPTIONS", "queue.redis.redisOptions", Nothing(OUTBOX)),
    known("QUEUE_REDIS_CLUSTER_MODE", "queue.redis.clusterMode", Nothing(OUTBOX)),
    known("QUEUE_SQS_REGION", "queue.sqs.region", Nothing(OUTBOX)),
    known("QUEUE_SQS_CLIENT_OPTIONS", "queue.sqs.clientOptions", Nothing(OUTBOX)),
    known("QUEUE_SQS_URL", "queue.sqs.queueUrl", Nothing(OUTBOX)),
    known("QUEUE_SQS_ENDPOINT", "queue.sqs.endpoint", Nothing(OUTBOX)),
    known("QUEUE_SQS_PROCESS_BATCH", "queue.sqs.processBatch", Nothing(OUTBOX)),
    known("QUEUE_SQS_BATCH_SIZE", "queue.sqs.batchSize", Nothing(OUTBOX)),
    known("QUEUE_SQS_POLLING_WAIT_TIME_MS", "queue.sqs.pollingWaitTimeMs", Nothing(OUTBOX)),
    known("", "queue.sqs.consumerOptions", Nothing(OUTBOX)),
    known("RATE_LIMITER_DRIVER", "rateLimiter.driver", NothingBeyond(&["local"], COUNTED_HERE)),
    known("RATE_LIMITER_REDIS_OPTIONS", "rateLimiter.redis.redisOptions", Nothing(COUNTED_HERE)),
    known("RATE_LIMITER_REDIS_CLUSTER_MODE", "rateLimiter.redis.clusterMode", Nothing(COUNTED_HERE)),

    known("CHANNEL_LIMITS_MAX_NAME_LENGTH", "channelLimits.maxNameLength", Number("pusher.channel_name_chars_max")),
    known("CHANNEL_CACHE_TTL", "channelLimits.cacheTtl", Number("pusher.cache_ttl_s")),
    known("EVENT_MAX_BATCH_SIZE", "eventLimits.maxBatchSize", Number("pusher.batch_max")),
    known("EVENT_MAX_CHANNELS_AT_ONCE", "eventLimits.maxChannelsAtOnce", Number("pusher.event_channels_max")),
    known("EVENT_MAX_NAME_LENGTH", "eventLimits.maxNameLength", Number("pusher.event_name_chars_max")),
    known("EVENT_MAX_SIZE_IN_KB", "eventLimits.maxPayloadInKb", Bytes("pusher.event_bytes_max")),
    known("PRESENCE_MAX_MEMBERS", "presence.maxMembersPerChannel", Number("pusher.presence_members_max")),
    known("PRESENCE_MAX_MEMBER_SIZE", "presence.maxMemberSizeInKb", Bytes("pusher.presence_member_bytes_max")),
    known("HTTP_ACCEPT_TRAFFIC_MEMORY_THRESHOLD", "httpApi.acceptTraffic.memoryThreshold", Number("pusher.memory_threshold_percent")),
    known("", "httpApi.requestLimitInMb", Nothing(REQUEST)),

    known("METRICS_ENABLED", "metrics.enabled", Metrics),
    known("METRICS_DRIVER", "metrics.driver", NothingBeyond(&["prometheus"], PROMETHEUS)),
    known("METRICS_HOST", "metrics.host", Text("pusher.metrics_host")),
    known("METRICS_PROMETHEUS_PREFIX", "metrics.prometheus.prefix", Text("pusher.metrics_prefix")),
    known("METRICS_SERVER_PORT", "metrics.port", Number("pusher.metrics_port")),

    known("WEBHOOKS_BATCHING", "webhooks.batching.enabled", Flag("pusher.webhooks.batching")),
    known("WEBHOOKS_BATCHING_DURATION", "webhooks.batching.duration", Number("pusher.webhooks.batching_ms")),

    known("", "cors", Nothing(ORIGINS)),
    known("", "instance", Nothing(OF_PROCESS)),
];
