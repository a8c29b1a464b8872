//! The cookie of the handshake.

use axum::http::HeaderValue;

use crate::config::{CookieConfig, SameSite};

/// Names a session to balancers that keep a client at its node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cookie {
    name: String,
    attributes: String,
}

impl From<&CookieConfig> for Cookie {
    fn from(config: &CookieConfig) -> Self {
        let max_age = config.max_age_s.map_or_else(String::new, |s| format!("; Max-Age={s}"));
        let http_only = if config.http_only { "; HttpOnly" } else { "" };
        let secure = if config.secure { "; Secure" } else { "" };
        let same_site = match config.same_site {
            SameSite::Strict => "Strict",
            SameSite::Lax => "Lax",
            SameSite::None => "None",
        };
        let path = &config.path;
        let attributes = format!("{max_age}; Path={path}{http_only}{secure}; SameSite={same_site}");
        Self { name: config.name.clone(), attributes }
    }
}

impl Cookie {
    /// Value for `Set-Cookie`: `io=lv_VI97HAXpY6yYWAAAC; Path=/; HttpOnly; SameSite=Lax`.
    pub(super) fn value(&self, sid: &str) -> Option<HeaderValue> {
        let Self { name, attributes } = self;
        HeaderValue::from_str(&format!("{name}={sid}{attributes}")).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_those_of_the_configuration() {
        let value = |config: &CookieConfig| Cookie::from(config).value("abc").unwrap();
        assert_eq!(value(&CookieConfig::default()), "io=abc; Path=/; HttpOnly; SameSite=Lax");
        let other = CookieConfig {
            name: "node".to_owned(),
            path: "/realtime/".to_owned(),
            http_only: false,
            same_site: SameSite::None,
            secure: true,
            max_age_s: Some(60),
        };
        let expected = "node=abc; Max-Age=60; Path=/realtime/; Secure; SameSite=None";
        assert_eq!(value(&other), expected);
    }
}
