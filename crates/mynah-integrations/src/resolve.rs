//! From names to addresses.

use std::io;
use std::net::IpAddr;

use async_trait::async_trait;

/// Asks what addresses a name has.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// The addresses of a name, in the order in which to try them.
    ///
    /// # Errors
    /// The name has none, or nobody answers.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The operating system's resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((host, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}
