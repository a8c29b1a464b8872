//! Pages and cursors.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mynah_domain::MessageId;
use mynah_domain::message::{Anchor, History, Position};
use mynah_domain::page::{Page, page_limit};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::error::ApiError;
use super::extract::{Params, invalid};

/// Every cursor starts with this before encoding, so that none is taken for an id.
const MARK: &str = "mynah1:";

/// Where the neighbours of a page are.
#[derive(Serialize, ToSchema, Default)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PageInfo {
    /// Cursor of the next page.
    #[schema(required = true)]
    next: Option<String>,
    /// Cursor of the page before.
    #[schema(required = true)]
    prev: Option<String>,
    /// Whether there is a next page.
    has_more: bool,
}

/// One page of a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct Listing<T> {
    pub(crate) items: Vec<T>,
    pub(crate) page: PageInfo,
}

/// How to ask for a page.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents what `offset` and `Params::limit` read")]
pub(crate) struct PageParams {
    /// Entries wanted: 1 to 100, 50 if absent.
    limit: Option<u32>,
    /// `page.next` or `page.prev` of another answer.
    cursor: Option<String>,
}

/// Reads `cursor` as the place in a list.
///
/// # Errors
/// A validation error.
pub(crate) fn offset(params: &Params) -> Result<u64, ApiError> {
    let Some(cursor) = params.text("cursor") else { return Ok(0) };
    decode(cursor)
        .and_then(|text| text.strip_prefix("o.")?.parse().ok())
        .ok_or_else(|| invalid("cursor", "must be a cursor of this list"))
}

/// Reads `cursor` as the place in the log below which a list goes on.
///
/// # Errors
/// A validation error.
pub(crate) fn below(params: &Params) -> Result<Option<u64>, ApiError> {
    let Some(cursor) = params.text("cursor") else { return Ok(None) };
    decode(cursor)
        .and_then(|text| text.strip_prefix("p.")?.parse().ok())
        .map(Some)
        .ok_or_else(|| invalid("cursor", "must be a cursor of this list"))
}

impl PageInfo {
    /// The neighbour in a list that runs from the newest place in the log back.
    pub(crate) fn by_place(next: Option<u64>) -> Self {
        let has_more = next.is_some();
        Self { next: next.map(|pos| encode(&format!("p.{pos}"))), prev: None, has_more }
    }

    /// Neighbours in a list read by offset.
    pub(crate) fn by_offset<T>(page: &Page<T>, offset: u64, limit: Option<u32>) -> Self {
        let before = offset.saturating_sub(u64::from(page_limit(limit)));
        Self {
            next: page.next.map(|next| encode(&format!("o.{next}"))),
            prev: (offset > 0).then(|| encode(&format!("o.{before}"))),
            has_more: page.next.is_some(),
        }
    }

    /// Neighbours in a room's history: `next` is older, `prev` is newer.
    pub(crate) fn of_history(history: &History) -> Self {
        let oldest = history.items.last().filter(|_| history.has_older).map(|m| m.seq);
        let newest = history.items.first().filter(|_| history.has_newer).map(|m| m.seq);
        Self {
            next: oldest.map(|seq| encode(&format!("b.{seq}"))),
            prev: newest.map(|seq| encode(&format!("a.{seq}"))),
            has_more: history.has_older,
        }
    }
}

/// Reads which messages are wanted: `before`, `after` or `around` a place, or a `cursor`.
///
/// # Errors
/// A validation error.
pub(crate) fn anchor(params: &Params) -> Result<Anchor, ApiError> {
    let place = |name: &str| {
        let read = |text| position(text).ok_or_else(|| invalid(name, "must be a place"));
        params.text(name).map(read).transpose()
    };
    if let Some(cursor) = params.text("cursor") {
        return directed(cursor).ok_or_else(|| invalid("cursor", "must be a cursor of this list"));
    }
    Ok(match (place("before")?, place("after")?, place("around")?) {
        (Some(place), _, _) => Anchor::Before(place),
        (None, Some(place), _) => Anchor::After(place),
        (None, None, Some(place)) => Anchor::Around(place),
        (None, None, None) => Anchor::Latest,
    })
}

/// Reads a place in a history: digits = `seq`, `number:N`, a cursor, or a message id.
pub(crate) fn position(text: &str) -> Option<Position> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok().map(Position::Seq);
    }
    if let Some(number) = text.strip_prefix("number:") {
        return number.parse().ok().map(Position::Number);
    }
    if let Some(text) = decode(text) {
        let (_, seq) = text.split_once('.')?;
        return seq.parse().ok().map(Position::Seq);
    }
    MessageId::parse(text).ok().map(Position::Message)
}

fn directed(cursor: &str) -> Option<Anchor> {
    let text = decode(cursor)?;
    let (direction, seq) = text.split_once('.')?;
    let place = Position::Seq(seq.parse().ok()?);
    match direction {
        "b" => Some(Anchor::Before(place)),
        "a" => Some(Anchor::After(place)),
        _ => None,
    }
}

fn encode(place: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{MARK}{place}"))
}

fn decode(cursor: &str) -> Option<String> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    text.strip_prefix(MARK).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_in_all_their_spellings() {
        assert_eq!(position("17"), Some(Position::Seq(17)));
        assert_eq!(position("number:3"), Some(Position::Number(3)));
        assert_eq!(position(&encode("b.17")), Some(Position::Seq(17)));
        let id = "018f3e2a-7c1b-4d5e-9f00-1a2b3c4d5e6f";
        assert_eq!(position(id), Some(Position::Message(MessageId::trusted(id))));
        for bad in ["number:x", "number:", "99999999999999999999", "a b"] {
            assert_eq!(position(bad), None, "{bad}");
        }
    }

    #[test]
    fn cursors_say_in_which_direction_they_lead() {
        assert_eq!(directed(&encode("b.7")), Some(Anchor::Before(Position::Seq(7))));
        assert_eq!(directed(&encode("a.7")), Some(Anchor::After(Position::Seq(7))));
        assert_eq!(directed(&encode("o.7")), None);
        assert_eq!(directed("b.7"), None);
    }
}
