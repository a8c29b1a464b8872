//! mynah-protocol.
