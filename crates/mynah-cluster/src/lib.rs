//! How nodes hear of each other: adapters of [`mynah_hub::Broker`] for Redis and NATS.
//!
//! What this crate deliberately lacks: rules, the meaning of what it carries, and any promise that a
//! message arrives. The store is the truth; a broker only hastens.
