//! Vocabularies: each old backend's event names and payloads, as data.
//!
//! A vocabulary file (`vocabularies/*.toml`, built in, or the operator's own) says which inbound event
//! is which command and where its inputs stand, which event a fact becomes and how its payload looks,
//! and how acknowledgements and errors read. Files are validated and compiled at start; an error names
//! file, line and column. Nothing in the domain knows a wire name.

pub mod command;
pub mod field;
pub mod inbound;
pub mod load;
pub mod namespace;
pub mod tail;
pub mod template;

use std::collections::HashMap;

use field::Scope;
use inbound::InboundRule;
use namespace::NamespaceRule;
use tail::Tail;
use template::Template;

/// The vocabulary files built into the binary.
pub const BUILT_IN: [(&str, &str); 3] = [
    ("vocabularies/camel.toml", include_str!("../../../vocabularies/camel.toml")),
    ("vocabularies/native.toml", include_str!("../../../vocabularies/native.toml")),
    ("vocabularies/thread.toml", include_str!("../../../vocabularies/thread.toml")),
];

/// Who hears a typing notice; all other facts reach everybody concerned, the sockets of who caused them
/// included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Everybody in the room.
    Room,
    /// Everybody but the socket it came from.
    Others,
}

/// How a fact is spelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundRule {
    /// Event name.
    pub event: String,
    /// Who hears it.
    pub audience: Audience,
    /// The event's arguments.
    pub arguments: Vec<Template>,
}

/// How a refusal is spelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorRule {
    /// Answer to a client that asked for an acknowledgement.
    pub ack: Template,
    /// Event sent as well, with its argument.
    pub event: Option<(String, Template)>,
}

/// What happens at an event that the vocabulary does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownEvent {
    /// Nothing, as in NestJS; a client that asked for an acknowledgement still gets a refusal.
    Silent,
    /// A refusal with code `UNKNOWN_EVENT`.
    Refuse,
}

/// A compiled vocabulary file.
#[derive(Debug, Clone)]
pub struct Vocabulary {
    /// Its id, as `auth.dialect` names it.
    pub id: String,
    /// Socket.IO namespaces in which it is spoken; none for a vocabulary of Pusher channels.
    pub namespaces: Vec<NamespaceRule>,
    /// Whether a connection hears all rooms of its user at once.
    pub auto_join: bool,
    /// What happens at an unknown event.
    pub unknown_event: UnknownEvent,
    inbound: HashMap<String, InboundRule>,
    outbound: HashMap<&'static str, OutboundRule>,
    /// How refusals read.
    pub error: ErrorRule,
}

impl Vocabulary {
    /// The rule of a namespace, if the vocabulary is spoken there: its own, else that of the first pattern.
    pub fn namespace(&self, name: &str) -> Option<&NamespaceRule> {
        let mut rules = self.namespaces.iter().filter(|rule| rule.name.matches(name));
        let first = rules.next()?;
        if first.name.is_pattern() {
            return Some(rules.find(|rule| !rule.name.is_pattern()).unwrap_or(first));
        }
        Some(first)
    }

    /// The rule of an inbound event.
    pub fn inbound(&self, event: &str) -> Option<&InboundRule> {
        self.inbound.get(event)
    }

    /// Names of all inbound events, for messages to people.
    pub fn inbound_names(&self) -> impl Iterator<Item = &str> {
        self.inbound.keys().map(String::as_str)
    }

    /// The spelling of a fact, if it has one.
    pub fn outbound(&self, fact: &str) -> Option<&OutboundRule> {
        self.outbound.get(fact)
    }

    /// Whether a fact has a spelling.
    pub fn spells(&self, fact: &str) -> bool {
        self.outbound.contains_key(fact)
    }

    /// Appends `["event",arg,…]` for a fact; `false`, with nothing appended, when it has no spelling.
    pub fn write_event(
        &self,
        fact: &str,
        scope: &Scope<'_>,
        tail: Tail<'_>,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(rule) = self.outbound(fact) else { return false };
        write_call((&rule.event, &rule.arguments), scope, tail, out);
        true
    }

    /// Appends `["exception",…]` for a refusal; `false` when the vocabulary has no such event.
    pub fn write_error_event(&self, scope: &Scope<'_>, tail: Tail<'_>, out: &mut Vec<u8>) -> bool {
        let Some((event, template)) = &self.error.event else { return false };
        write_call((event, std::slice::from_ref(template)), scope, tail, out);
        true
    }
}

fn write_call(
    (event, arguments): (&str, &[Template]),
    scope: &Scope<'_>,
    tail: Tail<'_>,
    out: &mut Vec<u8>,
) {
    out.push(b'[');
    field::string(event, out);
    let mut last = None;
    for template in arguments {
        out.push(b',');
        last = Some(out.len());
        template.render(scope, out);
    }
    let first_byte = last.and_then(|at| out.get(at).copied());
    tail.write(first_byte, out);
    out.push(b']');
}

/// All vocabularies of an installation.
#[derive(Debug)]
pub struct Vocabularies {
    all: Vec<Vocabulary>,
    default: usize,
}

impl Vocabularies {
    /// Compiles the built-in files and the operator's own; a file with the id of a built-in one takes
    /// its place.
    ///
    /// # Errors
    /// [`load::VocabularyError`] of the first file that is wrong or has the id of another own file; an
    /// unknown default lists the known ids.
    pub fn load(own: &[(String, String)], default: &str) -> Result<Self, load::VocabularyError> {
        let mut all: Vec<Vocabulary> = Vec::new();
        for (file, text) in BUILT_IN {
            all.push(load::compile(file, text)?);
        }
        let mut taken: Vec<(String, &str)> = Vec::new();
        for (file, text) in own {
            let vocabulary = load::compile(file, text)?;
            if let Some((id, other)) = taken.iter().find(|(id, _)| *id == vocabulary.id) {
                return Err(load::VocabularyError {
                    file: file.clone(),
                    line: 1,
                    column: 1,
                    problem: format!("the id {id:?} is that of {other}, too"),
                });
            }
            taken.push((vocabulary.id.clone(), file));
            // In its place, so that the order, in which namespaces fall back, stays.
            match all.iter_mut().find(|known| known.id == vocabulary.id) {
                Some(known) => *known = vocabulary,
                None => all.push(vocabulary),
            }
        }
        let spoken = |v: &Vocabulary| !v.namespaces.is_empty();
        let Some(index) = all.iter().position(|v| v.id == default && spoken(v)) else {
            let known = all.iter().filter(|v| spoken(v));
            let known: Vec<&str> = known.map(|v| v.id.as_str()).collect();
            return Err(load::VocabularyError {
                file: "configuration".to_owned(),
                line: 0,
                column: 0,
                problem: format!(
                    "socketio.default_dialect is {default:?}, but the vocabularies are {}",
                    known.join(", ")
                ),
            });
        };
        Ok(Self { all, default: index })
    }

    /// The vocabulary with an index.
    pub fn get(&self, index: usize) -> Option<&Vocabulary> {
        self.all.get(index)
    }

    /// The index of the vocabulary with an id.
    pub fn find(&self, id: &str) -> Option<usize> {
        self.all.iter().position(|v| v.id == id)
    }

    /// The index of the default vocabulary.
    pub fn default_index(&self) -> usize {
        self.default
    }

    /// All of them, in order of their indexes.
    pub fn iter(&self) -> impl Iterator<Item = &Vocabulary> {
        self.all.iter()
    }
}

#[cfg(test)]
mod tests;
