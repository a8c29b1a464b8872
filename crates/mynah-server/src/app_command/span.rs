//! Spans of time as people type them.

use std::str::FromStr;

/// `90s`, `30m`, `24h`, `7d`; a number alone is seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    ms: u64,
}

impl Span {
    /// Its length, in milliseconds.
    pub fn ms(self) -> u64 {
        self.ms
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || "must be a number with s, m, h or d behind it, e.g. 24h".to_owned();
        let text = text.trim();
        let (number, factor) = match text.char_indices().last() {
            Some((at, 's')) => (text.split_at(at).0, 1),
            Some((at, 'm')) => (text.split_at(at).0, 60),
            Some((at, 'h')) => (text.split_at(at).0, 3_600),
            Some((at, 'd')) => (text.split_at(at).0, 86_400),
            Some(_) | None => (text, 1),
        };
        let number: u32 = number.trim().parse().map_err(|_number| wrong())?;
        Ok(Self { ms: u64::from(number) * factor * 1_000 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_people_type_them() {
        for (text, s) in [("0", 0), ("0s", 0), ("90s", 90), ("30m", 1_800), ("24h", 86_400)] {
            assert_eq!(text.parse::<Span>().unwrap().ms(), s * 1_000, "{text}");
        }
        assert_eq!(" 7 d ".parse::<Span>().unwrap().ms(), 7 * 86_400_000);
        for bad in ["", "h", "-1h", "1w", "1.5h", "24 hours", "9999999999d", "1ü"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }
}
