//! mynah-domain.
