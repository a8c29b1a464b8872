//! Password hashing in a pool of fixed size. New hashes are argon2id; bcrypt is checked as well, for hashes
//! that come from elsewhere.
//!
//! One argon2id computation takes some 20 ms and its memory; what bounds both is the number of threads
//! and the length of the queue, not the number of people signing in. What does not fit is refused at once
//! with [`AccountError::Busy`].

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use mynah_domain::account::AccountError;
use mynah_domain::ports::{PasswordHasher, StoreError};
use tokio::sync::Semaphore;

/// Cost of a hash and size of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordRules {
    /// Memory of one computation, in KiB.
    pub memory_kib: u32,
    /// Passes over that memory.
    pub passes: u32,
    /// Computations at once.
    pub threads: usize,
    /// Computations that may wait.
    pub queue_max: usize,
}

impl Default for PasswordRules {
    /// OWASP's first choice for argon2id (19 MiB, 2 passes), 2 threads, 64 waiting.
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, passes: 2, threads: 2, queue_max: 64 }
    }
}

/// Hashes and checks passwords with argon2id (RFC 9106).
pub struct PasswordPool {
    argon2: Argon2<'static>,
    /// Hash of nothing in particular, with the same parameters: what unknown users are checked against.
    dummy: Arc<str>,
    /// Places in the pool and its queue.
    places: Arc<Semaphore>,
    /// Places in the pool.
    running: Arc<Semaphore>,
}

impl PasswordPool {
    /// Starts a pool.
    ///
    /// # Errors
    /// A text naming what argon2 refuses about the parameters.
    pub fn new(rules: PasswordRules) -> Result<Self, String> {
        let params = Params::new(rules.memory_kib, rules.passes, 1, None)
            .map_err(|error| format!("password hashing: {error}"))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let dummy = dummy(&rules);
        let threads = rules.threads.max(1);
        Ok(Self {
            argon2,
            dummy: dummy.into(),
            places: Arc::new(Semaphore::new(threads + rules.queue_max)),
            running: Arc::new(Semaphore::new(threads)),
        })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Argon2<'static>) -> Result<T, AccountError> + Send + 'static,
    ) -> Result<T, AccountError> {
        let place =
            Arc::clone(&self.places).try_acquire_owned().map_err(|_full| AccountError::Busy)?;
        let running = Arc::clone(&self.running)
            .acquire_owned()
            .await
            .map_err(|_closed| AccountError::Busy)?;
        let argon2 = self.argon2.clone();
        // Both places move along: work whose caller went away still counts until it is done.
        let worked = tokio::task::spawn_blocking(move || {
            let result = work(&argon2);
            drop((place, running));
            result
        });
        worked.await.map_err(|error| failed(&error))?
    }
}

#[async_trait]
impl PasswordHasher for PasswordPool {
    async fn hash(&self, password: String) -> Result<String, AccountError> {
        self.run(move |argon2| hash(argon2, &password)).await
    }

    async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, AccountError> {
        let known = hash.is_some();
        let hash = hash.map_or_else(|| Arc::clone(&self.dummy), Arc::from);
        let right = self.run(move |argon2| Ok(matches(argon2, &password, &hash))).await?;
        Ok(right && known)
    }
}

/// Whether a hash was made from the password. bcrypt looks at the first 72 bytes only, as everywhere.
fn matches(argon2: &Argon2<'_>, password: &str, hash: &str) -> bool {
    if hash.starts_with("$2") {
        bcrypt::verify(password, hash).unwrap_or(false)
    } else {
        argon2.verify_password(password.as_bytes(), hash).is_ok()
    }
}

/// Costs of a bcrypt hash that are accepted: below it is guessed, above it keeps a thread for seconds.
const BCRYPT_COSTS: std::ops::RangeInclusive<u32> = 4..=15;
/// Most memory of an argon2id hash, in KiB.
const ARGON2_KIB_MAX: u32 = 1 << 18;
/// Most passes of an argon2id hash.
const ARGON2_PASSES_MAX: u32 = 20;

/// Says why a hash from a configuration cannot be used: a sentence that does not repeat it.
///
/// Accepted are argon2id (`$argon2id$v=19$m=…`) and bcrypt (`$2a$`, `$2b$`, `$2y$`).
///
/// # Errors
/// The sentence.
pub fn check_hash(hash: &str) -> Result<(), &'static str> {
    const WRONG: &str = "is neither an argon2id hash ($argon2id$…) nor a bcrypt hash ($2b$…): quote it \
                         so that no shell replaces its $ signs";
    if hash.starts_with("$2") {
        let parts: bcrypt::HashParts = hash.parse().map_err(|_unread| WRONG)?;
        let known = ["$2a$", "$2b$", "$2y$"].iter().any(|version| hash.starts_with(version));
        return match BCRYPT_COSTS.contains(&parts.get_cost()) {
            true if known => Ok(()),
            true => Err(WRONG),
            false => Err("has a bcrypt cost outside 4 to 15: make a hash of cost 12"),
        };
    }
    let parsed = PasswordHash::new(hash).map_err(|_unread| WRONG)?;
    if parsed.algorithm.as_str() != "argon2id" || parsed.salt.is_none() || parsed.hash.is_none() {
        return Err(WRONG);
    }
    let params = Params::try_from(&parsed).map_err(|_unread| WRONG)?;
    if params.m_cost() > ARGON2_KIB_MAX || params.t_cost() > ARGON2_PASSES_MAX {
        return Err("costs too much: at most 256 MiB and 20 passes");
    }
    Ok(())
}

/// A hash of the given cost that no password is known for. It is written down rather than computed, so
/// that a start costs neither its time nor its memory.
fn dummy(rules: &PasswordRules) -> String {
    let (salt, output) = (STANDARD_NO_PAD.encode([0x5a; 16]), STANDARD_NO_PAD.encode([0x3c; 32]));
    let PasswordRules { memory_kib, passes, .. } = rules;
    format!("$argon2id$v=19$m={memory_kib},t={passes},p=1${salt}${output}")
}

fn hash(argon2: &Argon2<'_>, password: &str) -> Result<String, AccountError> {
    let hash = argon2.hash_password(password.as_bytes()).map_err(|error| failed(&error))?;
    Ok(hash.to_string())
}

fn failed(error: &dyn std::fmt::Display) -> AccountError {
    AccountError::Store(StoreError::Unavailable(format!("password hashing: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(queue_max: usize) -> PasswordPool {
        let rules = PasswordRules { memory_kib: 64, passes: 1, threads: 1, queue_max };
        PasswordPool::new(rules).unwrap()
    }

    #[tokio::test]
    async fn only_the_right_password_of_a_known_user_passes() {
        let pool = pool(4);
        let hash = pool.hash("correct horse".to_owned()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{hash}");
        assert_ne!(hash, pool.hash("correct horse".to_owned()).await.unwrap());
        assert!(pool.verify("correct horse".to_owned(), Some(hash.clone())).await.unwrap());
        assert!(!pool.verify("correct  horse".to_owned(), Some(hash)).await.unwrap());
        assert!(!pool.verify("x".to_owned(), Some("not a hash".to_owned())).await.unwrap());
    }

    /// Made by bcryptjs, as the official Admin UI's `instrument()` takes them.
    const BCRYPT: &str = "$2b$04$lz0tWNMJvUKxbwR.zTFyquFI1znJcceYQPSbUtlpelvW2j95hhte2";

    #[tokio::test]
    async fn hashes_from_elsewhere_are_checked() {
        let pool = pool(4);
        for version in ["$2a$", "$2b$", "$2y$"] {
            let hash = BCRYPT.replacen("$2b$", version, 1);
            assert!(pool.verify("changeit".to_owned(), Some(hash.clone())).await.unwrap());
            assert!(!pool.verify("changeit2".to_owned(), Some(hash)).await.unwrap());
        }
    }

    #[tokio::test]
    async fn only_bounded_hashes_are_accepted_from_a_configuration() {
        let argon2id = pool(1).hash("x".to_owned()).await.unwrap();
        assert_eq!(check_hash(&argon2id), Ok(()));
        assert_eq!(check_hash(BCRYPT), Ok(()));
        for bad in [
            "secret".to_owned(),
            String::new(),
            BCRYPT.replacen("$2b$", "$2x$", 1),
            BCRYPT.replacen("$04$", "$31$", 1),
            BCRYPT[..40].to_owned(),
            argon2id.replacen("argon2id", "argon2i", 1),
            argon2id.replacen("m=64", "m=4000000", 1),
            argon2id.rsplit_once('$').unwrap().0.to_owned(),
        ] {
            assert!(check_hash(&bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn an_unknown_user_is_refused_after_the_same_work() {
        let pool = pool(4);
        assert!(!pool.verify("no such user".to_owned(), None).await.unwrap());
        let parsed = PasswordHash::new(&pool.dummy).unwrap();
        let real = pool.hash("x".to_owned()).await.unwrap();
        let real = PasswordHash::new(&real).unwrap();
        assert_eq!((&parsed.algorithm, &parsed.params), (&real.algorithm, &real.params));
        assert_eq!(parsed.hash.map(|h| h.len()), real.hash.map(|h| h.len()));
    }

    #[tokio::test]
    async fn what_does_not_fit_the_queue_is_refused_at_once() {
        let pool = pool(1);
        let running = Arc::clone(&pool.running).acquire_owned().await.unwrap();
        let waiting = pool.hash("first".to_owned());
        tokio::pin!(waiting);
        assert!(futures_util::future::poll_immediate(&mut waiting).await.is_none());
        let also_waiting = pool.hash("second".to_owned());
        tokio::pin!(also_waiting);
        assert!(futures_util::future::poll_immediate(&mut also_waiting).await.is_none());
        assert_eq!(pool.hash("third".to_owned()).await, Err(AccountError::Busy));
        drop(running);
        assert!(waiting.await.is_ok());
        assert!(also_waiting.await.is_ok());
    }
}
