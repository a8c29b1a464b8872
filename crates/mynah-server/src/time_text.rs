//! Moments as text: `2026-11-21T10:00:00.000Z`, exactly as JavaScript's `toISOString()` writes them.

use mynah_domain::Timestamp;
use serde::{Serialize, Serializer};

/// Characters of a written moment.
pub const LENGTH: usize = 24;
/// First moment that can be written: year 0000.
const FIRST_MS: i64 = -62_167_219_200_000;
/// Last moment that can be written: end of year 9999.
const LAST_MS: i64 = 253_402_300_799_999;
const DAY_MS: i64 = 86_400_000;

/// A moment written on the stack.
///
/// ```
/// use mynah_domain::Timestamp;
/// use mynah_server::time_text::TimeText;
/// assert_eq!(TimeText::of(Timestamp(0)).as_str(), "1970-01-01T00:00:00.000Z");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TimeText([u8; LENGTH]);

impl TimeText {
    /// Writes a moment; those outside the years 0000 to 9999 are moved to the nearest one inside.
    pub fn of(at: Timestamp) -> Self {
        let ms = at.0.clamp(FIRST_MS, LAST_MS);
        let (year, month, day) = civil(ms.div_euclid(DAY_MS));
        let rest = ms.rem_euclid(DAY_MS);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let [
            y0,
            y1,
            y2,
            y3,
            _,
            m0,
            m1,
            _,
            d0,
            d1,
            _,
            h0,
            h1,
            _,
            n0,
            n1,
            _,
            s0,
            s1,
            _,
            f0,
            f1,
            f2,
            _,
        ] = &mut text;
        [*y0, *y1] = pair(year / 100);
        [*y2, *y3] = pair(year % 100);
        [*m0, *m1] = pair(month);
        [*d0, *d1] = pair(day);
        [*h0, *h1] = pair(rest / 3_600_000);
        [*n0, *n1] = pair(rest / 60_000 % 60);
        [*s0, *s1] = pair(rest / 1_000 % 60);
        [*f0, *f1] = pair(rest % 1_000 / 10);
        [_, *f2] = pair(rest % 10);
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Serialize for TimeText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

fn pair(n: i64) -> [u8; 2] {
    [b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8]
}

/// Year, month and day of a day count since 1970-01-01, proleptic Gregorian calendar. Years are counted
/// from March so that the leap day comes last.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// Reads a moment with its offset (`2026-11-21T10:00:00Z`, fractions or not), or a day (`2026-11-21`: its beginning,
/// UTC).
pub fn read(text: &str) -> Option<Timestamp> {
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return Some(Timestamp(moment.as_millisecond()));
    }
    let is_day = text.len() == "2026-11-21".len();
    let day: jiff::civil::Date = text.parse().ok().filter(|_| is_day)?;
    let begin = day.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(Timestamp(begin.timestamp().as_millisecond()))
}

/// Appends a moment as a JSON string, quotes included.
pub fn json(at: Timestamp, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(TimeText::of(at).as_str().as_bytes());
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_read_as_javascript_writes_them() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_255_200_007, "2026-11-21T10:00:00.007Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (4_107_542_399_120, "2100-02-28T23:59:59.120Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (i64::MAX, "9999-12-31T23:59:59.999Z"),
            (i64::MIN, "0000-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(TimeText::of(Timestamp(ms)).as_str(), text, "{ms}");
        }
    }

    #[test]
    fn moments_and_days_are_read() {
        for (text, ms) in [
            ("2026-11-21T10:00:00.007Z", 1_795_255_200_007),
            ("2026-11-21T11:00:00+01:00", 1_795_255_200_000),
            ("2026-11-21", 1_795_255_200_000 - 36_000_000),
        ] {
            assert_eq!(read(text), Some(Timestamp(ms)), "{text}");
        }
        let id = "018f3e2a-7c1b-4d5e-9f00-1a2b3c4d5e6f";
        for other in ["", "17", "20261121", "number:3", "2026-11-31", "2026-11-21T10:00:00", id] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    proptest::proptest! {
        #[test]
        fn moments_agree_with_a_calendar_library(ms in FIRST_MS..LAST_MS) {
            let known = jiff::Timestamp::from_millisecond(ms).unwrap();
            let text = TimeText::of(Timestamp(ms));
            proptest::prop_assert_eq!(text.as_str(), format!("{known:.3}"));
        }
    }
}
