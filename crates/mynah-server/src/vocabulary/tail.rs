//! The end of an event's arguments.

use mynah_domain::recovery::Place;

/// What follows the arguments of an event.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tail<'a> {
    /// Where the event stands, for clients that recover.
    pub spot: Option<Spot<'a>>,
    /// Whether the client takes a last argument that is a string for such a place.
    pub recovers: bool,
}

/// Where an event stands, as it is told.
#[derive(Debug, Clone, Copy)]
pub struct Spot<'a> {
    /// The place.
    pub place: Place,
    /// What else was sent up to there, as [`crate::recovery::sent_text`] spells it.
    pub sent: &'a str,
}

impl From<Place> for Spot<'_> {
    fn from(place: Place) -> Self {
        Self { place, sent: "" }
    }
}

impl Tail<'_> {
    /// Appends what must stand between the last argument, which begins with `first_byte`, and the end.
    ///
    /// The official client keeps the last argument of *any* event if it is a string. So one that has no place
    /// must not end in a string: `null` is put behind it.
    pub fn write(self, first_byte: Option<u8>, out: &mut Vec<u8>) {
        match self.spot {
            _ if !self.recovers => {}
            Some(Spot { place, sent }) => {
                out.extend_from_slice(b",\"");
                out.extend_from_slice(crate::recovery::place_text(place).as_bytes());
                out.extend_from_slice(sent.as_bytes());
                out.push(b'"');
            }
            None if first_byte == Some(b'"') => out.extend_from_slice(b",null"),
            None => {}
        }
    }
}
