//! mynah-testkit.
