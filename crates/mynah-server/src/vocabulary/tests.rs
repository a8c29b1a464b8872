//! Vocabulary files from their text to the bytes on the wire.

mod golden;
mod loading;
mod reading;
mod rendering;
mod sample;

use serde_json::Value;

use super::field::{Scope, Subject};
use super::tail::Tail;
use super::{Vocabularies, Vocabulary, load};

/// The least that is a vocabulary; four lines.
const LEAST: &str = "id = \"least\"\nnamespaces = [\"/\"]\n[error]\nack = { success = false }\n";

/// A vocabulary of [`LEAST`] and more, which begins in line 5.
#[track_caller]
fn vocabulary(more: &str) -> Vocabulary {
    load::compile("own.toml", &format!("{LEAST}{more}")).unwrap_or_else(|e| panic!("{e}"))
}

fn built_in(id: &str) -> Vocabulary {
    let all = Vocabularies::load(&[], "native").unwrap();
    all.get(all.find(id).unwrap()).unwrap().clone()
}

fn scope<'a>(vocabulary: &'a Vocabulary, subject: Subject<'a>) -> Scope<'a> {
    Scope::new(subject, sample::at(9), vocabulary)
}

/// What is sent for a fact: `["event",argument…]`.
fn event(vocabulary: &Vocabulary, fact: &str, subject: Subject<'_>) -> Option<Value> {
    let mut out = Vec::new();
    let spelled =
        vocabulary.write_event(fact, &scope(vocabulary, subject), Tail::default(), &mut out);
    spelled.then(|| parsed(&out))
}

/// The answer to an inbound event.
fn ack(vocabulary: &Vocabulary, inbound: &str, subject: Subject<'_>) -> Value {
    let mut out = Vec::new();
    let rule = vocabulary.inbound(inbound).unwrap();
    rule.ack.render(&scope(vocabulary, subject), &mut out);
    parsed(&out)
}

fn parsed(json: &[u8]) -> Value {
    serde_json::from_slice(json)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(json)))
}
