//! RFC 3339 with exactly three fractional digits and `Z`, as JavaScript's `toISOString()` writes it:
//! `2026-11-21T10:00:00.000Z`.

use mynah_domain::Timestamp;

const DAY_MS: i64 = 86_400_000;

/// Appends the time as a JSON string, quotes included.
pub fn json(at: Timestamp, out: &mut Vec<u8>) {
    out.push(b'"');
    write(at, out);
    out.push(b'"');
}

/// The time as text.
pub fn text(at: Timestamp) -> String {
    let mut out = Vec::with_capacity(24);
    write(at, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// Appends the time's 24 characters.
pub fn write(at: Timestamp, out: &mut Vec<u8>) {
    let days = at.0.div_euclid(DAY_MS);
    let ms = at.0.rem_euclid(DAY_MS);
    let (year, month, day) = civil_from_days(days);
    pair(year / 100, out);
    pair(year % 100, out);
    out.push(b'-');
    pair(month, out);
    out.push(b'-');
    pair(day, out);
    out.push(b'T');
    pair(ms / 3_600_000, out);
    out.push(b':');
    pair(ms / 60_000 % 60, out);
    out.push(b':');
    pair(ms / 1_000 % 60, out);
    out.push(b'.');
    out.push(b'0' + (ms / 100 % 10) as u8);
    pair(ms % 100, out);
    out.push(b'Z');
}

fn pair(value: i64, out: &mut Vec<u8>) {
    let value = value.rem_euclid(100) as u8;
    out.push(b'0' + value / 10);
    out.push(b'0' + value % 10);
}

/// Year, month and day of a day count since 1970-01-01 (proleptic Gregorian calendar, years 0–9999).
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    // Count from 0000-03-01, so that the leap day ends a year and a 400-year era repeats.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_javascript_writes_them() {
        for (ms, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_001, "2024-02-29T23:59:59.001Z"),
            (1_795_255_200_042, "2026-11-21T10:00:00.042Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(text(Timestamp(ms)), expected);
        }
    }
}
