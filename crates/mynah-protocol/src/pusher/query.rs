//! Query strings.

use std::borrow::Cow;

/// The parameters of a query string, decoded (`%2C` is a comma, `+` a space), in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query<'a> {
    raw: &'a str,
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Query<'a> {
    /// Most parameters that are read; what follows is ignored, and no signature covers it.
    pub const PAIRS_MAX: usize = 256;

    /// Splits and decodes a query string, without its `?`. Octets that are not UTF-8 become
    /// U+FFFD, and a `%` without two digits stands for itself.
    pub fn parse(raw: &'a str) -> Self {
        let parts = raw.split('&').filter(|part| !part.is_empty()).take(Self::PAIRS_MAX);
        let pairs = parts.map(|part| {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            (decode(key), decode(value))
        });
        Self { raw, pairs: pairs.collect() }
    }

    /// What was parsed.
    pub fn raw(&self) -> &'a str {
        self.raw
    }

    /// The first value of a parameter.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.all(key).next()
    }

    /// All values of a parameter.
    pub fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.pairs.iter().filter(move |(name, _)| name == key).map(|(_, value)| &**value)
    }

    /// All parameters, decoded.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(key, value)| (&**key, &**value))
    }
}

fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('+') {
        return unescape(text, |_| true);
    }
    Cow::Owned(unescape(&text.replace('+', " "), |_| true).into_owned())
}

/// Undoes what a URL parser escapes by itself, and leaves what the caller had escaped: `%20` and
/// `%C3%A9` are decoded, `%2C` and `%41` are not.
///
/// Source: percent-encode sets of the URL standard.
pub(super) fn as_typed(text: &str) -> Cow<'_, str> {
    unescape(text, |byte| byte >= 0x80 || b" \"'<>`{}^".contains(&byte))
}

/// Decodes the `%XX` of the bytes that `is_wanted` names.
fn unescape(text: &str, is_wanted: impl Fn(u8) -> bool) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let escaped = match (byte, tail) {
            (b'%', [high, low, after @ ..]) => {
                let byte = hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low);
                byte.filter(|byte| is_wanted(*byte)).zip(Some(after))
            }
            _ => None,
        };
        out.push(escaped.map_or(byte, |(byte, _)| byte));
        rest = escaped.map_or(tail, |(_, after)| after);
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

/// The value of a hexadecimal digit.
pub(super) fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
