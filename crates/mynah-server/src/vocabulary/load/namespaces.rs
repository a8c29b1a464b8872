//! `namespaces = ["/", { name = "/ws", auth = "lazy", timeout_s = 10, end_by = "disconnect" }]`

use std::time::Duration;

use toml_edit::Value;

use super::super::namespace::{AuthPolicy, EndBy, NamespaceName, NamespaceRule};
use super::{Reader, Result, Section};

/// How long a client of a `lazy` namespace has to authenticate, unless said otherwise.
const LAZY_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest such time.
const LAZY_TIMEOUT_S_MAX: i64 = 300;

const NAME: &str =
    "a namespace is a string such as \"/chat\" or \"/tenant-*\", without , ? ** and spaces";

impl<'a> Reader<'a> {
    pub(super) fn namespaces(&self, file: &Section<'a>) -> Result<Vec<NamespaceRule>> {
        let item = self.required(file, "namespaces")?;
        let Some(array) = item.as_array() else {
            return self.error(item.span(), "namespaces must be an array such as [\"/\"]");
        };
        let mut rules: Vec<NamespaceRule> = Vec::new();
        for value in array {
            let rule = self.namespace(value)?;
            if rules.iter().any(|known| known.name == rule.name) {
                let problem = format!("{:?} is there twice", rule.name.as_str());
                return self.error(value.span(), problem);
            }
            rules.push(rule);
        }
        if rules.is_empty() {
            return self.error(item.span(), "at least one namespace is needed");
        }
        Ok(rules)
    }

    fn namespace(&self, value: &'a Value) -> Result<NamespaceRule> {
        let Some(table) = value.as_inline_table() else {
            let Some(name) = value.as_str().and_then(NamespaceName::parse) else {
                return self.error(value.span(), NAME);
            };
            return Ok(NamespaceRule { name, auth: AuthPolicy::Connect, end_by: EndBy::Transport });
        };
        self.known_keys(table, &["name", "auth", "timeout_s", "end_by"])?;
        let name = match table.get("name").map(|name| name.as_str().and_then(NamespaceName::parse))
        {
            Some(Some(name)) => name,
            Some(None) => return self.error(table.get("name").and_then(Value::span), NAME),
            None => return self.error(value.span(), "\"name\" is missing"),
        };
        let auth = self.auth_policy(table)?;
        let end_by = match table.get("end_by") {
            None => EndBy::Transport,
            Some(word) => match word.as_str() {
                Some("transport") => EndBy::Transport,
                Some("disconnect") => EndBy::Disconnect,
                _ => return self.error(word.span(), "end_by must be transport or disconnect"),
            },
        };
        Ok(NamespaceRule { name, auth, end_by })
    }

    fn auth_policy(&self, table: &'a toml_edit::InlineTable) -> Result<AuthPolicy> {
        let timeout = match table.get("timeout_s") {
            None => None,
            Some(value) => {
                let Some(seconds @ 1..=LAZY_TIMEOUT_S_MAX) = value.as_integer() else {
                    let problem = format!("timeout_s must be 1 to {LAZY_TIMEOUT_S_MAX} seconds");
                    return self.error(value.span(), problem);
                };
                Some((value, Duration::from_secs(seconds.unsigned_abs())))
            }
        };
        let word = table.get("auth");
        match (word.map(|word| word.as_str()), timeout) {
            (Some(Some("lazy")), timeout) => {
                Ok(AuthPolicy::Lazy(timeout.map_or(LAZY_TIMEOUT, |(_, time)| time)))
            }
            (_, Some((value, _))) => {
                self.error(value.span(), "timeout_s goes with auth = \"lazy\"")
            }
            (None | Some(Some("connect")), None) => Ok(AuthPolicy::Connect),
            (Some(Some("anonymous")), None) => Ok(AuthPolicy::Anonymous),
            (Some(_), None) => {
                self.error(word.and_then(Value::span), "auth must be connect, lazy or anonymous")
            }
        }
    }
}
