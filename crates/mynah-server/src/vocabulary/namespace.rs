//! Where a vocabulary is spoken, and who may come in.

use std::time::Duration;

/// The name of one namespace or of many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamespaceName {
    /// `/chat`
    Fixed(Box<str>),
    /// `/tenant-*`: each `*` stands for one or more characters but `/`.
    Pattern(Box<str>),
}

impl NamespaceName {
    /// Reads a name; `None` when it is none. A name has a leading `/` and neither `,` nor `?` nor white space.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |c: char| !(c.is_control() || c.is_whitespace() || matches!(c, ',' | '?'));
        if !text.starts_with('/') || !text.chars().all(plain) || text.contains("**") {
            return None;
        }
        Some(if text.contains('*') { Self::Pattern(text.into()) } else { Self::Fixed(text.into()) })
    }

    /// Whether it stands for many.
    pub fn is_pattern(&self) -> bool {
        matches!(self, Self::Pattern(_))
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Fixed(text) | Self::Pattern(text) => text,
        }
    }

    /// Whether a client's namespace is meant.
    pub fn matches(&self, namespace: &str) -> bool {
        match self {
            Self::Fixed(name) => **name == *namespace,
            Self::Pattern(pattern) => namespace.len() <= NAME_BYTES_MAX && fits(pattern, namespace),
        }
    }
}

/// Longest name that a pattern accepts, in bytes: each is kept while it is in use.
const NAME_BYTES_MAX: usize = 128;

/// Tries every end of what the first `*` stands for; names are short and patterns the operator's own.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((fixed, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(tail) = text.strip_prefix(fixed) else { return false };
    let widest = tail.find('/').unwrap_or(tail.len());
    (1..=widest)
        .filter(|end| tail.is_char_boundary(*end))
        .any(|end| fits(rest, tail.get(end..).unwrap_or_default()))
}

/// Who may come into a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthPolicy {
    /// Who shows good credentials with CONNECT; others get CONNECT_ERROR.
    Connect,
    /// Anybody, who must authenticate with an event within the time.
    Lazy(Duration),
    /// Anybody; what needs an identity is refused until the client authenticates with an event.
    Anonymous,
}

/// How the server ends a connection that shall come back: when it stops, or when credentials end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndBy {
    /// The transport ends; stock clients come back by themselves.
    Transport,
    /// A DISCONNECT packet first, for clients that come back only then.
    Disconnect,
}

/// One namespace of a vocabulary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceRule {
    /// Which.
    pub name: NamespaceName,
    /// Who may come in.
    pub auth: AuthPolicy,
    /// How it ends.
    pub end_by: EndBy,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stand_for_parts_of_names() {
        let matches =
            |pattern: &str, name: &str| NamespaceName::parse(pattern).unwrap().matches(name);
        assert!(matches("/tenant-*", "/tenant-a"));
        assert!(!matches("/tenant-*", "/tenant-"));
        assert!(!matches("/tenant-*", "/tenant-a/b"));
        assert!(matches("/*/chat", "/acme/chat"));
        assert!(!matches("/*/chat", "/acme/chats"));
        assert!(matches("/a*a*a", "/aaaaa"));
        assert!(!matches("/tenant-*", &format!("/tenant-{}", "x".repeat(200))));
        assert!(matches("/chat", "/chat") && !matches("/chat", "/chats"));
    }

    #[test]
    fn names_have_a_form() {
        for text in ["", "chat", "/a b", "/a,b", "/a?b", "/**"] {
            assert_eq!(NamespaceName::parse(text), None, "{text}");
        }
    }
}
