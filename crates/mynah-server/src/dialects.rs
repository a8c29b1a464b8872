//! Dialects: what the hub tells apart. One dialect is one vocabulary in one namespace.

use std::sync::Arc;

use mynah_domain::Timestamp;
use mynah_hub::{Dialect, Frame};

use crate::frames;
use crate::vocabulary::field::{Scope, Subject};
use crate::vocabulary::{Vocabularies, Vocabulary};

/// One dialect.
#[derive(Debug)]
struct Spoken {
    vocabulary: usize,
    namespace: String,
    /// What an event packet starts with: `42`, or `42/chat,`.
    prefix: Vec<u8>,
}

/// All dialects of an installation.
#[derive(Debug)]
pub struct Dialects {
    vocabularies: Vocabularies,
    spoken: Vec<Spoken>,
}

impl Dialects {
    /// Numbers every vocabulary in each of its namespaces.
    ///
    /// # Errors
    /// A sentence when there are more than the hub can tell apart.
    pub fn new(vocabularies: Vocabularies) -> Result<Arc<Self>, String> {
        let mut spoken = Vec::new();
        for (index, vocabulary) in vocabularies.iter().enumerate() {
            for namespace in &vocabulary.namespaces {
                let prefix = if namespace == "/" {
                    b"42".to_vec()
                } else {
                    format!("42{namespace},").into_bytes()
                };
                spoken.push(Spoken { vocabulary: index, namespace: namespace.clone(), prefix });
            }
        }
        if spoken.len() > Dialect::COUNT {
            return Err(format!(
                "{} pairs of vocabulary and namespace are configured, at most {} are possible: \
                 remove vocabulary files or namespaces",
                spoken.len(),
                Dialect::COUNT
            ));
        }
        Ok(Arc::new(Self { vocabularies, spoken }))
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

    /// The dialect of a vocabulary in a namespace.
    pub fn find(&self, vocabulary: usize, namespace: &str) -> Option<Dialect> {
        let at = self
            .spoken
            .iter()
            .position(|s| s.vocabulary == vocabulary && s.namespace == namespace)?;
        u8::try_from(at).ok().map(Dialect)
    }

    /// Whether any vocabulary is spoken in a namespace, and which comes first.
    pub fn first_in(&self, namespace: &str) -> Option<usize> {
        self.spoken.iter().find(|s| s.namespace == namespace).map(|s| s.vocabulary)
    }

    /// All dialects.
    pub fn all(&self) -> impl Iterator<Item = Dialect> {
        (0..self.spoken.len()).filter_map(|at| u8::try_from(at).ok().map(Dialect))
    }

    /// The vocabulary of a dialect.
    pub fn vocabulary(&self, dialect: Dialect) -> Option<&Vocabulary> {
        self.vocabularies.get(self.spoken.get(usize::from(dialect.0))?.vocabulary)
    }

    /// The finished frame of a fact; `None` when the dialect has no word for it.
    pub fn frame(
        &self,
        dialect: Dialect,
        fact: &str,
        subject: Subject<'_>,
        at: Timestamp,
    ) -> Option<Frame> {
        let spoken = self.spoken.get(usize::from(dialect.0))?;
        let vocabulary = self.vocabularies.get(spoken.vocabulary)?;
        let mut packet = Vec::with_capacity(768);
        packet.extend_from_slice(&spoken.prefix);
        let scope = Scope { subject, at, vocabulary };
        vocabulary.write_event(fact, &scope, &mut packet).then(|| frames::text(&packet))
    }

    /// The finished frame of a refusal's event, if the vocabulary has one.
    pub fn error_frame(
        &self,
        dialect: Dialect,
        subject: Subject<'_>,
        at: Timestamp,
    ) -> Option<Frame> {
        let spoken = self.spoken.get(usize::from(dialect.0))?;
        let vocabulary = self.vocabularies.get(spoken.vocabulary)?;
        let mut packet = spoken.prefix.clone();
        let scope = Scope { subject, at, vocabulary };
        vocabulary.write_error_event(&scope, &mut packet).then(|| frames::text(&packet))
    }
}
