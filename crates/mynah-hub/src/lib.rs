//! mynah-hub.
