//! mynah-store.
