//! Placeholders of binary attachments.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Whether every object of `json` with `"_placeholder": true` has a `num` that is an integer
/// below `attachments`. Other keys of such an object are ignored and of equal keys the last
/// counts, as in the official parser. Depth must have been limited before.
pub(super) fn are_valid(json: &str, attachments: u32) -> bool {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    Check { attachments }.deserialize(&mut deserializer).is_ok()
}

#[derive(Clone, Copy)]
struct Check {
    attachments: u32,
}

/// What the object around a value needs to know about it.
enum Seen {
    True,
    Integer(u64),
    Other,
}

impl<'de> DeserializeSeed<'de> for Check {
    type Value = Seen;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Seen, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Check {
    type Value = Seen;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON with valid placeholders")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Seen, E> {
        Ok(if value { Seen::True } else { Seen::Other })
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Seen, E> {
        Ok(Seen::Integer(value))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_unit<E: Error>(self) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Seen, A::Error> {
        while elements.next_element_seed(self)?.is_some() {}
        Ok(Seen::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Seen, A::Error> {
        let mut is_placeholder = false;
        let mut num = Seen::Other;
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(self)?;
            match key.as_str() {
                "_placeholder" => is_placeholder = matches!(value, Seen::True),
                "num" => num = value,
                _ => {}
            }
        }
        let refers = matches!(num, Seen::Integer(index) if index < u64::from(self.attachments));
        if is_placeholder && !refers {
            return Err(A::Error::custom("placeholder without an attachment"));
        }
        Ok(Seen::Other)
    }
}
