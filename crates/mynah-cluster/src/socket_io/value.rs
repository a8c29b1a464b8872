//! Values that Node servers exchange, as msgpack or JSON, and as the JSON with attachments of Socket.IO.

use bytes::Bytes;
use rmpv::Value;
use serde_json::Value as Json;

/// Values nest at most so deep.
const DEPTH_MAX: usize = 64;
/// Attachments of one event.
const ATTACHMENTS_MAX: usize = 64;
/// Milliseconds of the dates that JavaScript knows, either side of 1970.
const DATE_MS_MAX: i64 = 8_640_000_000_000_000;

/// What cannot be read; no more is said of it, as nobody reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a message of a Socket.IO server")]
pub struct Garbage;

/// Reads JSON if it begins with `{`, as Node does, else msgpack; all of it.
pub(super) fn decode(input: &[u8]) -> Result<Value, Garbage> {
    if input.first() == Some(&b'{') {
        let json: Json = serde_json::from_slice(input).map_err(|_json| Garbage)?;
        return from_json(&json, &[], DEPTH_MAX);
    }
    let mut rest = input;
    let value = rmpv::decode::read_value_with_max_depth(&mut rest, DEPTH_MAX);
    let value = value.map_err(|_msgpack| Garbage)?;
    if rest.is_empty() { Ok(value) } else { Err(Garbage) }
}

/// Writes msgpack.
pub(super) fn encode(value: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    rmpv::encode::write_value(&mut out, value).expect("a vector takes everything");
    out
}

/// The member of a map.
pub(super) fn get<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let members = value.as_map()?;
    members.iter().find(|(key, _)| key.as_str() == Some(name)).map(|(_, member)| member)
}

/// A string, or what JavaScript would make a string of it: rooms may be numbers.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => text.as_str().map(str::to_owned),
        Value::Integer(number) => Some(number.to_string()),
        Value::F64(number) => Some(number.to_string()),
        Value::F32(number) => Some(number.to_string()),
        Value::Boolean(whether) => Some(whether.to_string()),
        Value::Nil | Value::Binary(_) | Value::Array(_) | Value::Map(_) | Value::Ext(..) => None,
    }
}

/// The strings of a list; nothing is an empty list.
pub(super) fn texts(value: Option<&Value>) -> Result<Vec<String>, Garbage> {
    match value {
        None | Some(Value::Nil) => Ok(Vec::new()),
        Some(Value::Array(items)) => items.iter().map(|item| text(item).ok_or(Garbage)).collect(),
        Some(_) => Err(Garbage),
    }
}

/// Whether there is binary data in it.
pub(super) fn has_binary(value: &Value) -> bool {
    match value {
        Value::Binary(_) => true,
        Value::Array(items) => items.iter().any(has_binary),
        Value::Map(members) => members.iter().any(|(_, member)| has_binary(member)),
        Value::Nil
        | Value::Boolean(_)
        | Value::Integer(_)
        | Value::F32(_)
        | Value::F64(_)
        | Value::String(_)
        | Value::Ext(..) => false,
    }
}

/// Takes binary data out of a value, leaving `{"_placeholder":true,"num":n}`.
pub(super) fn into_json(value: Value, attachments: &mut Vec<Bytes>) -> Result<Json, Garbage> {
    Ok(match value {
        Value::Nil => Json::Null,
        Value::Boolean(whether) => whether.into(),
        Value::Integer(number) => number
            .as_i64()
            .map(Json::from)
            .or_else(|| number.as_u64().map(Json::from))
            .unwrap_or_default(),
        Value::F32(number) => Json::from(f64::from(number)),
        Value::F64(number) => Json::from(number),
        Value::String(text) => String::from_utf8_lossy(text.as_bytes()).into(),
        Value::Binary(bytes) => {
            if attachments.len() >= ATTACHMENTS_MAX {
                return Err(Garbage);
            }
            attachments.push(bytes.into());
            serde_json::json!({ "_placeholder": true, "num": attachments.len() - 1 })
        }
        Value::Array(items) => {
            let items = items.into_iter().map(|item| into_json(item, attachments));
            Json::Array(items.collect::<Result<_, _>>()?)
        }
        Value::Map(members) => {
            let members = members.into_iter().map(|(key, member)| {
                Ok((text(&key).ok_or(Garbage)?, into_json(member, attachments)?))
            });
            Json::Object(members.collect::<Result<_, _>>()?)
        }
        // A date becomes what JSON.stringify makes of it; `undefined` and what nobody knows, null.
        Value::Ext(kind, bytes) => date(kind, &bytes).map(Json::from).unwrap_or_default(),
    })
}

/// Puts attachments back where their placeholders are.
pub(super) fn from_json(
    json: &Json,
    attachments: &[Bytes],
    depth_left: usize,
) -> Result<Value, Garbage> {
    let depth_left = depth_left.checked_sub(1).ok_or(Garbage)?;
    Ok(match json {
        Json::Null => Value::Nil,
        Json::Bool(whether) => (*whether).into(),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => number.into(),
            (None, Some(number)) => number.into(),
            (None, None) => number.as_f64().unwrap_or_default().into(),
        },
        Json::String(text) => text.as_str().into(),
        Json::Array(items) => {
            let items = items.iter().map(|item| from_json(item, attachments, depth_left));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        Json::Object(members) => {
            if let Some(bytes) = placeholder(members).and_then(|number| attachments.get(number)) {
                return Ok(Value::Binary(bytes.to_vec()));
            }
            let members = members.iter().map(|(key, member)| {
                Ok((key.as_str().into(), from_json(member, attachments, depth_left)?))
            });
            Value::Map(members.collect::<Result<_, _>>()?)
        }
    })
}

fn placeholder(members: &serde_json::Map<String, Json>) -> Option<usize> {
    let is_placeholder = members.get("_placeholder") == Some(&Json::Bool(true));
    let number = members.get("num").filter(|_| is_placeholder)?;
    usize::try_from(number.as_u64()?).ok()
}

/// The text of a date, `2026-11-21T10:00:00.000Z`: extension -1 with seconds, or nanoseconds and seconds.
fn date(kind: i8, bytes: &[u8]) -> Option<String> {
    if kind != -1 {
        return None;
    }
    let (seconds, nanos) = match bytes.len() {
        4 => (i64::from(u32::from_be_bytes(bytes.try_into().ok()?)), 0),
        8 => {
            let both = u64::from_be_bytes(bytes.try_into().ok()?);
            (i64::try_from(both & 0x3_FFFF_FFFF).ok()?, both >> 34)
        }
        12 => {
            let (nanos, seconds) = bytes.split_at_checked(4)?;
            let nanos = u32::from_be_bytes(nanos.try_into().ok()?);
            (i64::from_be_bytes(seconds.try_into().ok()?), u64::from(nanos))
        }
        _ => return None,
    };
    let millis = i64::try_from(nanos / 1_000_000).ok()?;
    let at = seconds.checked_mul(1000)?.checked_add(millis)?;
    if at.abs() > DATE_MS_MAX {
        return None;
    }
    Some(iso(at))
}

/// A time in milliseconds since 1970 as JavaScript writes it.
fn iso(at: i64) -> String {
    let (days, within) = (at.div_euclid(86_400_000), at.rem_euclid(86_400_000));
    let (year, month, day) = civil(days);
    let (hours, minutes) = (within / 3_600_000, within / 60_000 % 60);
    let (seconds, millis) = (within / 1000 % 60, within % 1000);
    let year = match year {
        0..=9999 => format!("{year:04}"),
        10_000.. => format!("+{year:06}"),
        _ => format!("-{:06}", -year),
    };
    format!("{year}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z")
}

/// Year, month and day of a day counted from 1970, in the Gregorian calendar: counted from the first of March of
/// year 0, so that the leap day is a year's last, in eras of 400 years.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_become_texts() {
        let at = |at: i64| iso(at);
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_400_123), "2000-02-29T00:00:00.123Z");
        assert_eq!(at(1_795_255_200_000), "2026-11-21T10:00:00.000Z");
        assert_eq!(at(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(at(DATE_MS_MAX), "+275760-09-13T00:00:00.000Z");
        assert_eq!(date(-1, &[0xFF; 12]).as_deref(), Some("1970-01-01T00:00:03.294Z"));
        assert_eq!(date(-1, &[0x7F; 12]), None);
        assert_eq!(date(0, &[0]), None);
    }

    #[test]
    fn attachments_go_out_and_in() {
        let value = Value::Map(vec![
            ("a".into(), Value::Binary(vec![1, 2])),
            ("b".into(), Value::Array(vec![Value::Binary(vec![3]), Value::Nil])),
        ]);
        let mut attachments = Vec::new();
        let json = into_json(value.clone(), &mut attachments).unwrap();
        assert_eq!(
            json.to_string(),
            r#"{"a":{"_placeholder":true,"num":0},"b":[{"_placeholder":true,"num":1},null]}"#
        );
        assert_eq!(from_json(&json, &attachments, DEPTH_MAX), Ok(value));
        assert!(!has_binary(&from_json(&json, &[], DEPTH_MAX).unwrap()), "no such attachments");
    }

    #[test]
    fn depth_is_bounded_in_both_spellings() {
        let deep =
            |open: &str, close: &str| format!("{{\"a\":{}{}}}", open.repeat(90), close.repeat(90));
        assert_eq!(decode(deep("[", "]").as_bytes()), Err(Garbage));
        assert_eq!(decode(&[0x91; 90]), Err(Garbage));
        let many = [[0xDD, 0, 0, 0, 65].as_slice(), &[0xC4, 0].repeat(65)].concat();
        assert_eq!(into_json(decode(&many).unwrap(), &mut Vec::new()), Err(Garbage));
    }

    proptest! {
        #[test]
        fn takes_any_bytes(input in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(value) = decode(&input) {
                let _json = into_json(value, &mut Vec::new());
            }
        }
    }
}
