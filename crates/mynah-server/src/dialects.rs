//! Dialects: what the hub tells apart. One dialect is one vocabulary in one namespace, spelled on one wire.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mynah_domain::Timestamp;
use mynah_hub::{Dialect, Frame};
use parking_lot::RwLock;

use crate::vocabulary::field::{Scope, Subject};
use crate::vocabulary::namespace::NamespaceRule;
use crate::vocabulary::tail::{Spot, Tail};
use crate::vocabulary::{Vocabularies, Vocabulary};
use crate::wire::Wire;

/// How long the number of a dialect that nobody speaks any more is left alone: what was published before
/// has long been delivered then.
const NUMBER_REST: Duration = Duration::from_mins(1);

/// From here on dialects are given to no vocabulary: one for each wire, for what is no chat, and the two of
/// Pusher clients.
pub const RESERVED_DIALECTS_FROM: usize = Dialect::COUNT - Wire::ALL.len() - 2;

/// In which Pusher clients hear channels.
pub const PUSHER: Dialect = Dialect((Dialect::COUNT - 1) as u8);

/// In which Pusher clients hear what is said to users and of users; held apart from channels.
pub const PUSHER_PEOPLE: Dialect = Dialect((Dialect::COUNT - 2) as u8);

/// One dialect.
#[derive(Debug)]
struct Spoken {
    vocabulary: usize,
    namespace: Box<str>,
    wire: Wire,
    /// What an event packet starts with: `42`, or `42/chat,`.
    prefix: Box<[u8]>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    vocabulary: usize,
    namespace: Box<str>,
    wire: Wire,
}

/// The numbers given out.
#[derive(Debug, Default)]
struct Numbers {
    spoken: Vec<Option<Arc<Spoken>>>,
    speakers: Vec<usize>,
    known: HashMap<Key, u8>,
    resting: VecDeque<(Instant, u8)>,
}

/// All dialects of an installation.
#[derive(Debug)]
pub struct Dialects {
    vocabularies: Vocabularies,
    /// Whether events tell connections where they are in the log.
    with_places: bool,
    numbers: RwLock<Numbers>,
}

/// A dialect in use by one connection; its number may be given to another when nobody uses it.
#[derive(Debug)]
pub struct Speaking {
    dialects: Arc<Dialects>,
    dialect: Dialect,
    wire: Wire,
}

impl Speaking {
    /// Its number.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// How it is spelled.
    pub fn wire(&self) -> Wire {
        self.wire
    }
}

impl Drop for Speaking {
    fn drop(&mut self) {
        self.dialects.numbers.write().leave(self.dialect);
    }
}

/// More dialects at once than the hub can tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many namespaces are in use at once")]
pub struct TooManyDialects;

impl Dialects {
    /// Prepares the words of an installation; `with_places` appends to each event where it stands in the log,
    /// for clients that can ask for what they missed.
    ///
    /// # Errors
    /// A sentence when the fixed namespaces alone are more than the hub can tell apart.
    pub fn new(vocabularies: Vocabularies, with_places: bool) -> Result<Arc<Self>, String> {
        let rules = vocabularies.iter().flat_map(|v| &v.namespaces);
        let fixed = rules.filter(|rule| !rule.name.is_pattern()).count();
        if fixed * Wire::ALL.len() > RESERVED_DIALECTS_FROM {
            return Err(format!(
                "{fixed} pairs of vocabulary and namespace are configured, at most {} are possible: \
                 remove vocabulary files or namespaces",
                RESERVED_DIALECTS_FROM / Wire::ALL.len()
            ));
        }
        Ok(Arc::new(Self { vocabularies, with_places, numbers: RwLock::default() }))
    }

    /// All vocabularies.
    pub fn vocabularies(&self) -> &Vocabularies {
        &self.vocabularies
    }

    /// The vocabulary of those that chose none.
    pub fn default_vocabulary(&self) -> &Vocabulary {
        let index = self.vocabularies.default_index();
        self.vocabularies.get(index).expect("the default is one of them")
    }

    /// The rule of a vocabulary for a namespace, if it is spoken there.
    pub fn rule(&self, vocabulary: usize, namespace: &str) -> Option<&NamespaceRule> {
        self.vocabularies.get(vocabulary)?.namespace(namespace)
    }

    /// The first vocabulary that is spoken in a namespace.
    pub fn first_in(&self, namespace: &str) -> Option<usize> {
        self.vocabularies.iter().position(|v| v.namespace(namespace).is_some())
    }

    /// Begins to speak a vocabulary in a namespace where it is spoken.
    ///
    /// # Errors
    /// [`TooManyDialects`]
    pub fn speak(
        self: &Arc<Self>,
        vocabulary: usize,
        namespace: &str,
        wire: Wire,
    ) -> Result<Speaking, TooManyDialects> {
        let key = Key { vocabulary, namespace: namespace.into(), wire };
        let dialect = self.numbers.write().enter(key, Instant::now()).ok_or(TooManyDialects)?;
        Ok(Speaking { dialects: Arc::clone(self), dialect, wire })
    }

    fn spoken(&self, dialect: Dialect) -> Option<Arc<Spoken>> {
        self.numbers.read().spoken.get(usize::from(dialect.0))?.clone()
    }

    /// The vocabulary of a dialect.
    pub fn vocabulary(&self, dialect: Dialect) -> Option<&Vocabulary> {
        self.vocabularies.get(self.spoken(dialect)?.vocabulary)
    }

    /// The wire and the namespace of a dialect.
    pub fn link(&self, dialect: Dialect) -> Option<(Wire, Box<str>)> {
        self.spoken(dialect).map(|spoken| (spoken.wire, spoken.namespace.clone()))
    }

    /// The finished frame of a fact; `None` when the dialect has no word for it. With a `spot`, a client that
    /// can recover learns where in the log it is.
    pub fn frame(
        &self,
        dialect: Dialect,
        fact: &str,
        (subject, spot): (Subject<'_>, Option<Spot<'_>>),
        at: Timestamp,
    ) -> Option<Frame> {
        let spot = if self.with_places { spot } else { None };
        self.event(dialect, |vocabulary, wire, packet| {
            let scope = Scope::new(subject, at, vocabulary);
            let tail = Tail { spot, recovers: self.with_places && wire.recovers() };
            vocabulary.write_event(fact, &scope, tail, packet)
        })
    }

    /// The finished frame of a refusal's event, if the vocabulary has one.
    pub fn error_frame(
        &self,
        dialect: Dialect,
        subject: Subject<'_>,
        at: Timestamp,
    ) -> Option<Frame> {
        self.event(dialect, |vocabulary, wire, packet| {
            let scope = Scope::new(subject, at, vocabulary);
            let tail = Tail { spot: None, recovers: self.with_places && wire.recovers() };
            vocabulary.write_error_event(&scope, tail, packet)
        })
    }

    fn event(
        &self,
        dialect: Dialect,
        write: impl FnOnce(&Vocabulary, Wire, &mut Vec<u8>) -> bool,
    ) -> Option<Frame> {
        let spoken = self.spoken(dialect)?;
        let vocabulary = self.vocabularies.get(spoken.vocabulary)?;
        let mut packet = Vec::with_capacity(768);
        packet.extend_from_slice(&spoken.prefix);
        write(vocabulary, spoken.wire, &mut packet).then(|| spoken.wire.frame(&packet))
    }
}

impl Numbers {
    fn enter(&mut self, key: Key, now: Instant) -> Option<Dialect> {
        let number = if let Some(number) = self.known.get(&key) {
            *number
        } else {
            let number = self.free(now)?;
            let prefix = match &*key.namespace {
                "/" => b"42".to_vec(),
                named => format!("42{named},").into_bytes(),
            };
            let spoken = Spoken {
                vocabulary: key.vocabulary,
                namespace: key.namespace.clone(),
                wire: key.wire,
                prefix: prefix.into(),
            };
            *self.spoken.get_mut(usize::from(number))? = Some(Arc::new(spoken));
            self.known.insert(key, number);
            number
        };
        *self.speakers.get_mut(usize::from(number))? += 1;
        // A name that came back is not given away.
        self.resting.retain(|(_, resting)| *resting != number);
        Some(Dialect(number))
    }

    /// A number that nobody has, else the one that has rested longest.
    fn free(&mut self, now: Instant) -> Option<u8> {
        if self.spoken.len() < RESERVED_DIALECTS_FROM {
            let number = u8::try_from(self.spoken.len()).ok()?;
            self.spoken.push(None);
            self.speakers.push(0);
            return Some(number);
        }
        let (since, number) = *self.resting.front()?;
        if now.duration_since(since) < NUMBER_REST {
            return None;
        }
        self.resting.pop_front();
        self.known.retain(|_, known| *known != number);
        Some(number)
    }

    fn leave(&mut self, dialect: Dialect) {
        let Some(speakers) = self.speakers.get_mut(usize::from(dialect.0)) else { return };
        *speakers = speakers.saturating_sub(1);
        if *speakers == 0 {
            self.resting.push_back((Instant::now(), dialect.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(namespace: &str) -> Key {
        let [wire, ..] = Wire::ALL;
        Key { vocabulary: 0, namespace: namespace.into(), wire }
    }

    #[test]
    fn numbers_are_given_again_only_after_a_rest() {
        let mut numbers = Numbers::default();
        let now = Instant::now();
        for n in 0..RESERVED_DIALECTS_FROM {
            assert!(numbers.enter(key(&format!("/{n}")), now).is_some());
        }
        assert_eq!(numbers.enter(key("/more"), now), None, "all are taken");
        numbers.leave(Dialect(7));
        assert_eq!(numbers.enter(key("/more"), Instant::now()), None, "still resting");
        let rested = Instant::now() + NUMBER_REST;
        assert_eq!(numbers.enter(key("/more"), rested), Some(Dialect(7)));
        assert_eq!(numbers.enter(key("/7"), rested), None, "its number is gone");
    }

    #[test]
    fn a_dialect_that_comes_back_keeps_its_number() {
        let mut numbers = Numbers::default();
        let now = Instant::now();
        let first = numbers.enter(key("/a"), now);
        numbers.leave(Dialect(0));
        assert_eq!(numbers.enter(key("/a"), now), first);
        assert!(numbers.resting.is_empty());
    }
}
