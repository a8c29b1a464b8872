//! What an index of messages holds and how it is asked, in the words of each engine.
//!
//! Words come from the domain, the same for texts and queries, so the engines neither split nor change them. Beside
//! its words a message has marks: its room, its sender and its features as words that no text has.

use std::collections::HashMap;
use std::fmt::Write as _;

use mynah_domain::message::Message;
use mynah_domain::search::{Feature, Term, Wanted, indexed_words};

/// Bytes of texts that one step of indexing takes at most; one message more may go beyond.
pub(crate) const STEP_BYTES_MAX: usize = 256 << 10;
/// Rooms named in a question to an index; of more than these whatever is found is looked at.
pub(crate) const ROOMS_ASKED_MAX: usize = 64;
/// Places of one word in a text that PostgreSQL keeps.
const WORD_PLACES_MAX: usize = 255;

/// Events that an index follows, by their kind; see `facts::kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// A message was sent, changed or deleted.
    Message,
    /// A room was deleted.
    RoomGone,
}

impl News {
    /// What an event of a kind means for an index.
    pub(crate) const fn of(kind: i64) -> Option<Self> {
        match kind {
            3 => Some(Self::RoomGone),
            8..=10 => Some(Self::Message),
            _ => None,
        }
    }
}

/// The mark of a room.
pub(crate) fn room_mark(room: i64) -> String {
    format!("r{room}")
}

fn sender_mark(sender: i64) -> String {
    format!("s{sender}")
}

fn feature_mark(feature: Feature) -> String {
    format!("h{}", feature.as_str())
}

/// The marks of a message, given the ids of room and sender within the database.
pub(crate) fn marks(message: &Message, (room, sender): (i64, i64)) -> Vec<String> {
    let has = Feature::ALL.into_iter().filter(|feature| feature.is_in(message));
    [room_mark(room), sender_mark(sender)].into_iter().chain(has.map(feature_mark)).collect()
}

/// What is asked of an index: ids are those within the database.
pub(crate) struct Asked<'a> {
    pub(crate) wanted: &'a Wanted,
    /// Rooms that may be searched.
    pub(crate) rooms: &'a [i64],
    pub(crate) sender: Option<i64>,
}

impl Asked<'_> {
    /// Marks that a message must have: one of each list.
    fn marks(&self) -> Vec<Vec<String>> {
        let mut marks = Vec::new();
        if self.rooms.len() <= ROOMS_ASKED_MAX {
            marks.push(self.rooms.iter().copied().map(room_mark).collect());
        }
        marks.extend(self.sender.map(|sender| vec![sender_mark(sender)]));
        marks.extend(self.wanted.has.iter().map(|feature| vec![feature_mark(*feature)]));
        marks
    }

    /// As FTS5 reads it: <https://www.sqlite.org/fts5.html#full_text_query_syntax>.
    pub(crate) fn fts5(&self) -> String {
        let query = &self.wanted.query;
        let terms = |terms: &[Term], between: &str| joined(terms.iter().map(fts5_term), between);
        let mut parts = Vec::new();
        for marks in self.marks() {
            let marks = joined(marks.iter().map(|mark| format!("\"{mark}\"")), " OR ");
            parts.push(format!("marks : ({marks})"));
        }
        let wanted = terms(query.wanted(), " AND ");
        parts.push(if query.unwanted().is_empty() {
            format!("words : ({wanted})")
        } else {
            format!("words : (({wanted}) NOT ({}))", terms(query.unwanted(), " OR "))
        });
        parts.join(" AND ")
    }

    /// As PostgreSQL reads a `tsquery`: <https://www.postgresql.org/docs/current/datatype-textsearch.html>.
    pub(crate) fn tsquery(&self) -> String {
        let query = &self.wanted.query;
        let marks = self.marks();
        let marks = marks.iter().map(|marks| {
            format!("({})", joined(marks.iter().map(|mark| format!("'@{mark}'")), " | "))
        });
        let wanted = query.wanted().iter().map(ts_term);
        let unwanted = query.unwanted().iter().map(|term| format!("!{}", ts_term(term)));
        joined(marks.chain(wanted).chain(unwanted), " & ")
    }
}

fn joined(parts: impl Iterator<Item = String>, between: &str) -> String {
    parts.collect::<Vec<_>>().join(between)
}

fn fts5_term(term: &Term) -> String {
    format!("\"{}\"{}", term.words().join(" "), if term.is_beginning() { " *" } else { "" })
}

fn ts_term(term: &Term) -> String {
    let words = joined(term.words().iter().map(|word| format!("'{word}'")), " <-> ");
    format!("({words}{})", if term.is_beginning() { ":*" } else { "" })
}

/// The columns of a message in FTS5: marks and words.
pub(crate) fn fts5_row(message: &Message, ids: (i64, i64)) -> (String, String) {
    (marks(message, ids).join(" "), joined(indexed_words(&message.content), " "))
}

/// A message as text of a `tsvector`.
pub(crate) fn tsvector(message: &Message, ids: (i64, i64)) -> String {
    let mut places: HashMap<String, Vec<usize>> = HashMap::new();
    for (word, place) in indexed_words(&message.content).zip(1..) {
        let places = places.entry(word).or_default();
        if places.len() < WORD_PLACES_MAX {
            places.push(place);
        }
    }
    let mut text = joined(marks(message, ids).iter().map(|mark| format!("'@{mark}'")), " ");
    for (word, places) in places {
        let places = joined(places.iter().map(usize::to_string), ",");
        write!(text, " '{word}':{places}").expect("a text takes whatever is written");
    }
    text
}

#[cfg(test)]
mod tests {
    use mynah_domain::event::{Departure, Fact};
    use mynah_domain::search::Query;
    use mynah_domain::{RoomId, UserId};

    use super::*;

    fn wanted(text: &str, has: Vec<Feature>) -> Wanted {
        let query = Query::parse(text).expect(text);
        let (room, from, before, after, below) = (None, None, None, None, None);
        Wanted { query, room, from, has, before, after, below, limit: 20 }
    }

    #[test]
    fn queries_are_put_in_the_words_of_each_engine() {
        let wanted = wanted("a \"new york\" -x -\"y z\" wor", vec![Feature::Link]);
        let asked = Asked { wanted: &wanted, rooms: &[7, 9], sender: Some(3) };
        assert_eq!(
            asked.fts5(),
            "marks : (\"r7\" OR \"r9\") AND marks : (\"s3\") AND marks : (\"hlink\") AND \
             words : ((\"a\" AND \"new york\" AND \"wor\" *) NOT (\"x\" OR \"y z\"))"
        );
        assert_eq!(
            asked.tsquery(),
            "('@r7' | '@r9') & ('@s3') & ('@hlink') & ('a') & ('new' <-> 'york') & ('wor':*) & \
             !('x') & !('y' <-> 'z')"
        );
        let many: Vec<i64> = (0..65).collect();
        let asked = Asked { rooms: &many, sender: None, ..asked };
        assert!(asked.fts5().starts_with("marks : (\"hlink\")"), "{}", asked.fts5());
    }

    #[test]
    fn events_of_messages_and_deleted_rooms_are_news() {
        let room = RoomId::trusted("r");
        let gone = Fact::RoomDeleted { room: room.clone() };
        assert_eq!(News::of(crate::facts::kind(&gone)), Some(News::RoomGone));
        let message = mynah_domain::MessageId::trusted("m");
        let deleted =
            Fact::MessageDeleted { room: room.clone(), message, number: 1, created_seq: 1 };
        assert_eq!(News::of(crate::facts::kind(&deleted)), Some(News::Message));
        let user = UserId::trusted("u");
        let left = Fact::MemberLeft { room, user, departure: Departure::Left };
        assert_eq!(News::of(crate::facts::kind(&left)), None);
    }
}
