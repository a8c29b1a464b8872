//! Reading JSON that nobody has checked yet: bounded before anything is built from it.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::{JsonError, Scanner};

/// Checks a whole text: JSON, not nested deeper than `depth_max`, with at most `keys_max` keys.
pub(super) fn check(text: &str, depth_max: u32, keys_max: u32) -> Result<(), JsonError> {
    let mut scanner = Scanner::new(text, depth_max, keys_max);
    scanner.skip_whitespace();
    scanner.value()?;
    scanner.end()
}

/// Reads the outermost object of a checked text. `None` if it is none, names a key twice or has
/// a value of another type.
pub(super) fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    // Derived shapes would take an array for an object.
    if !text.trim_start().starts_with('{') {
        return None;
    }
    serde_json::from_str(text).ok()
}

/// The text of a JSON string; `None` for other values and for lone surrogates.
pub(super) fn string(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

/// A value that may be missing, null or empty, but if it is there must be a string.
pub(super) fn optional_string(raw: Option<&RawValue>) -> Result<Option<String>, NotAString> {
    let Some(raw) = raw else { return Ok(None) };
    Ok(Some(string(raw).ok_or(NotAString)?).filter(|text| !text.is_empty()))
}

/// The value is no string.
#[derive(Debug)]
pub(super) struct NotAString;
