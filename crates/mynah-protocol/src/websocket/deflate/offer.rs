//! Offers of permessage-deflate and our answer, RFC 7692 sections 5 and 7.1.

/// Largest window, 32 KiB, and what holds where none is named.
pub const WINDOW_BITS_MAX: u8 = 15;

/// Smallest window that our compressor can keep to; the RFC's smallest is 8.
const WINDOW_BITS_MIN: u8 = 9;

/// An accepted offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreement {
    window_bits: Option<u8>,
}

impl Agreement {
    /// What our compressor has to keep to, 9 to [`WINDOW_BITS_MAX`]; see [`super::compact`].
    pub fn window_bits(&self) -> u8 {
        self.window_bits.unwrap_or(WINDOW_BITS_MAX)
    }

    /// Value of `Sec-WebSocket-Extensions` in the answer, e.g.
    /// `permessage-deflate; server_no_context_takeover; client_no_context_takeover`.
    pub fn header(&self) -> String {
        let mut header =
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover".to_owned();
        if let Some(bits) = self.window_bits {
            header.push_str("; server_max_window_bits=");
            header.push_str(&bits.to_string());
        }
        header
    }
}

/// Picks the first offer we can keep, out of all `Sec-WebSocket-Extensions` lines of a request in
/// their order; `None` means no compression. Other extensions, offers with unknown, repeated or
/// malformed parameters and those with a window of 2^8 bytes are passed over; a line that breaks
/// the grammar of RFC 6455 section 9.1 ends the search. Linear in the length of the lines.
pub fn negotiate<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Option<Agreement> {
    for line in lines {
        let mut rest = std::str::from_utf8(line).ok()?;
        loop {
            rest = skip_blank(rest);
            // Empty elements of a list are allowed.
            if let Some(after) = rest.strip_prefix(',') {
                rest = after;
                continue;
            }
            if rest.is_empty() {
                break;
            }
            let (agreement, after) = parse_offer(rest)?;
            if agreement.is_some() {
                return agreement;
            }
            rest = after;
        }
    }
    None
}

/// Parameters of one offer of permessage-deflate.
#[derive(Default)]
struct Offer {
    is_invalid: bool,
    seen: [bool; 4],
    window_bits: Option<u8>,
}

/// Reads one extension up to the comma or end; the outer `None` is broken grammar.
fn parse_offer(text: &str) -> Option<(Option<Agreement>, &str)> {
    let (name, mut rest) = token(text)?;
    let mut offer = Offer::default();
    loop {
        rest = skip_blank(rest);
        let Some(after) = rest.strip_prefix(';') else { break };
        let (parameter, after) = token(skip_blank(after))?;
        rest = skip_blank(after);
        let mut value = None;
        if let Some(after) = rest.strip_prefix('=') {
            let (text, after) = parameter_value(skip_blank(after))?;
            value = Some(text);
            rest = after;
        }
        offer.take(parameter, value.as_deref());
    }
    if !rest.is_empty() && !rest.starts_with(',') {
        return None;
    }
    let is_ours = name.eq_ignore_ascii_case("permessage-deflate") && !offer.is_invalid;
    Some((is_ours.then_some(Agreement { window_bits: offer.window_bits }), rest))
}

impl Offer {
    fn take(&mut self, name: &str, value: Option<&str>) {
        const NAMES: [&str; 4] = [
            "server_no_context_takeover",
            "client_no_context_takeover",
            "server_max_window_bits",
            "client_max_window_bits",
        ];
        let index = NAMES.iter().position(|known| known.eq_ignore_ascii_case(name));
        let is_fresh = index
            .and_then(|index| self.seen.get_mut(index))
            .is_some_and(|seen| !std::mem::replace(seen, true));
        let is_valid = match (index, value.map(window_bits)) {
            (Some(0 | 1), None) | (Some(3), None | Some(Some(_))) => true,
            (Some(2), Some(Some(bits))) => {
                self.window_bits = Some(bits);
                bits >= WINDOW_BITS_MIN
            }
            _ => false,
        };
        self.is_invalid |= !is_fresh || !is_valid;
    }
}

/// A decimal number from 8 to 15 without leading zeros.
fn window_bits(text: &str) -> Option<u8> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|bits| is_plain && (8..=WINDOW_BITS_MAX).contains(bits))
}

fn skip_blank(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

/// A token of RFC 9110 section 5.6.2 and what follows it.
fn token(text: &str) -> Option<(&str, &str)> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let end = text.bytes().position(|byte| !is_part(byte)).unwrap_or(text.len());
    if end == 0 { None } else { text.split_at_checked(end) }
}

/// A token, bare or between quotes, and what follows it.
fn parameter_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        return token(text).map(|(value, rest)| (value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => break,
            '\\' => value.push(characters.next()?),
            other => value.push(other),
        }
    }
    // What the quotes hold must be a token too, RFC 6455 section 9.1.
    let (_, rest) = token(&value)?;
    if rest.is_empty() { Some((value, characters.as_str())) } else { None }
}
