//! The end of an event's arguments.

use mynah_domain::recovery::Place;

/// What follows the arguments of an event.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tail {
    /// Where the event stands, for clients that recover.
    pub place: Option<Place>,
    /// Whether the client takes a last argument that is a string for such a place.
    pub recovers: bool,
}

impl Tail {
    /// Appends what must stand between the last argument, which begins with `first_byte`, and the end.
    ///
    /// The official client keeps the last argument of *any* event if it is a string. So one that has no place
    /// must not end in a string: `null` is put behind it.
    pub fn write(self, first_byte: Option<u8>, out: &mut Vec<u8>) {
        match self.place {
            _ if !self.recovers => {}
            Some(place) => {
                out.extend_from_slice(b",\"");
                out.extend_from_slice(crate::recovery::place_text(place).as_bytes());
                out.push(b'"');
            }
            None if first_byte == Some(b'"') => out.extend_from_slice(b",null"),
            None => {}
        }
    }
}
