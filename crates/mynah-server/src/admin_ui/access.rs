//! Who may look.

use std::net::IpAddr;
use std::sync::Arc;

use mynah_domain::account::AccountError;
use mynah_domain::ports::{Clock, PasswordHasher};
use parking_lot::Mutex;
use serde::Deserialize;

use super::sessions::Sessions;
use crate::metrics::Metrics;
use crate::rate::{Bucket, RateLimits, RetryAfter};
use crate::socket_io::ConnectRefused;

/// The one account of the Admin UI.
#[derive(Clone)]
pub struct Credentials {
    /// Its name.
    pub username: String,
    /// argon2id or bcrypt hash of its password.
    pub password_hash: String,
}

/// The text that the official UI looks for.
const REFUSED: &str = "invalid credentials";
/// Longest password that is looked at, in bytes.
const PASSWORD_BYTES_MAX: usize = 1_024;
/// Most characters of a name that tell accounts apart.
const NAME_CHARS_MAX: usize = 64;

/// Decides on sign-ins.
pub(super) struct Access {
    pub(super) credentials: Option<Credentials>,
    pub(super) hasher: Arc<dyn PasswordHasher>,
    pub(super) limits: Arc<RateLimits>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) sessions: Mutex<Sessions>,
}

/// What the UI sends: a name and a password, or the id of an earlier sign-in.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Auth {
    username: Option<String>,
    password: Option<String>,
    session_id: Option<String>,
}

impl Access {
    /// Admits somebody; gives the id of the new sign-in if there was one.
    ///
    /// # Errors
    /// `invalid credentials` whatever was wrong with them; other texts when they were not looked at.
    pub(super) async fn admit(
        &self,
        address: IpAddr,
        auth: Option<&str>,
    ) -> Result<Option<String>, ConnectRefused> {
        let auth: Auth = auth.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
        let now = self.clock.now();
        if auth.session_id.is_some_and(|id| self.sessions.lock().knows(&id, now)) {
            return Ok(None);
        }
        let Some(credentials) = &self.credentials else {
            // Without credentials, which production forbids, this machine's own people may look.
            let here = address.to_canonical().is_loopback();
            return if here { Ok(None) } else { Err(refused()) };
        };
        let (Some(username), Some(password)) = (auth.username, auth.password) else {
            return Err(refused());
        };
        self.limit(address, &username)?;
        if self.is_right(credentials, &username, password).await? {
            self.metrics.login("admin_ui_ok");
            tracing::info!(%address, "somebody signed in to the Admin UI");
            return Ok(Some(self.sessions.lock().open(self.clock.now())));
        }
        self.metrics.login("admin_ui_wrong_credentials");
        tracing::warn!(%address, "wrong credentials for the Admin UI");
        Err(refused())
    }

    fn limit(&self, address: IpAddr, username: &str) -> Result<(), ConnectRefused> {
        let name: String = username.trim().to_lowercase().chars().take(NAME_CHARS_MAX).collect();
        let checked = self
            .limits
            .check(Bucket::LoginAddress, &address.to_canonical().to_string())
            .and_then(|()| {
                let key = format!("{} admin-ui {name}", address.to_canonical());
                self.limits.check(Bucket::LoginAccount, &key)
            });
        checked.map_err(|retry| {
            self.metrics.limited(retry.bucket.as_str());
            too_many(retry)
        })
    }

    /// The password is checked whatever the name, so that both refusals take the same time.
    async fn is_right(
        &self,
        credentials: &Credentials,
        username: &str,
        password: String,
    ) -> Result<bool, ConnectRefused> {
        let (given, known) = (username.as_bytes(), credentials.username.as_bytes());
        let known_name = aws_lc_rs::constant_time::verify_slices_are_equal(given, known).is_ok();
        if password.len() > PASSWORD_BYTES_MAX {
            return Ok(false);
        }
        let hash = Some(credentials.password_hash.clone());
        match self.hasher.verify(password, hash).await {
            Ok(right) => Ok(right && known_name),
            Err(error) => {
                if error != AccountError::Busy {
                    tracing::error!(%error, "checking a password failed");
                }
                Err(busy())
            }
        }
    }
}

fn refusal(message: String, status: u16, code: &str, retry_ms: Option<u64>) -> ConnectRefused {
    let retry = retry_ms.map_or(String::new(), |ms| format!(",\"retryAfterMs\":{ms}"));
    let data = format!("{{\"statusCode\":{status},\"code\":\"{code}\"{retry}}}");
    ConnectRefused::told(message, Some(data))
}

fn refused() -> ConnectRefused {
    refusal(REFUSED.to_owned(), 401, "UNAUTHORIZED", None)
}

fn too_many(retry: RetryAfter) -> ConnectRefused {
    let message = format!("too many sign-ins: try again in {} s", retry.seconds());
    refusal(message, 429, "RATE_LIMITED", Some(retry.ms))
}

fn busy() -> ConnectRefused {
    refusal("too busy: try again in a moment".to_owned(), 503, "BUSY", Some(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passwords::{PasswordPool, PasswordRules};
    use crate::test_world::World;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const RIGHT: &str = r#"{"username":"ada","password":"correct horse"}"#;

    async fn access(limits: RateLimits) -> Access {
        let rules = PasswordRules { memory_kib: 64, passes: 1, threads: 1, queue_max: 4 };
        let pool = PasswordPool::new(rules).unwrap();
        let password_hash = pool.hash("correct horse".to_owned()).await.unwrap();
        Access {
            credentials: Some(Credentials { username: "ada".to_owned(), password_hash }),
            hasher: Arc::new(pool),
            limits: Arc::new(limits),
            metrics: Arc::default(),
            clock: Arc::clone(&World::new().clock) as _,
            sessions: Mutex::default(),
        }
    }

    #[tokio::test]
    async fn a_password_opens_a_session_and_a_session_opens_the_door() {
        let access = access(RateLimits::off()).await;
        let id = access.admit(THERE, Some(RIGHT)).await.unwrap().unwrap();
        let resume = format!(r#"{{"sessionId":"{id}"}}"#);
        assert_eq!(access.admit(THERE, Some(&resume)).await, Ok(None));
    }

    #[tokio::test]
    async fn every_wrong_credential_is_refused_with_the_same_words() {
        let access = access(RateLimits::off()).await;
        let long = format!(r#"{{"username":"ada","password":"{}"}}"#, "x".repeat(2_000));
        for auth in [
            None,
            Some("null"),
            Some("[]"),
            Some("{}"),
            Some(r#"{"sessionId":"no-such-session"}"#),
            Some(r#"{"sessionId":null,"username":null,"password":null}"#),
            Some(r#"{"username":"ada","password":"wrong"}"#),
            Some(r#"{"username":"Ada","password":"correct horse"}"#),
            Some(r#"{"username":["ada"],"password":{"$ne":""}}"#),
            Some(&long),
        ] {
            let refused = access.admit(HERE, auth).await.unwrap_err();
            assert_eq!(refused.message, "invalid credentials", "{auth:?}");
        }
    }

    #[tokio::test]
    async fn guessing_is_limited_per_address_and_sessions_are_not() {
        let access = access(RateLimits::standard()).await;
        let id = access.admit(THERE, Some(RIGHT)).await.unwrap().unwrap();
        let wrong = r#"{"username":"ada","password":"wrong"}"#;
        for _ in 0..4 {
            assert_eq!(access.admit(THERE, Some(wrong)).await, Err(refused()));
        }
        let limited = access.admit(THERE, Some(RIGHT)).await.unwrap_err();
        assert!(limited.message.starts_with("too many sign-ins"), "{limited:?}");
        assert!(access.admit(HERE, Some(RIGHT)).await.is_ok());
        let resume = format!(r#"{{"sessionId":"{id}"}}"#);
        assert_eq!(access.admit(THERE, Some(&resume)).await, Ok(None));
    }

    #[tokio::test]
    async fn without_credentials_only_this_machine_may_look() {
        let open = Access { credentials: None, ..access(RateLimits::off()).await };
        assert_eq!(open.admit(HERE, None).await, Ok(None));
        assert_eq!(open.admit("::ffff:127.0.0.1".parse().unwrap(), Some("{}")).await, Ok(None));
        assert_eq!(open.admit(THERE, Some(RIGHT)).await, Err(refused()));
    }
}
