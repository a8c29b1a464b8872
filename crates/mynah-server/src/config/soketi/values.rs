//! Values as Soketi takes them: numbers and switches may also come as text.

use serde_json::Value;

/// Whether a value counts as not given.
pub(super) fn is_unset(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

/// A text; numbers are written out.
pub(super) fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.trim().to_owned()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            Err(format!("must be a text, not {}", shown(value)))
        }
    }
}

/// True or false, also 1 and 0, also as text.
pub(super) fn flag(value: &Value) -> Result<bool, String> {
    let wrong = || Err(format!("must be true or false, not {}", shown(value)));
    match value {
        Value::Bool(flag) => Ok(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(0) => Ok(false),
            Some(1) => Ok(true),
            Some(_) | None => wrong(),
        },
        Value::String(text) => match text.trim().to_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => wrong(),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => wrong(),
    }
}

/// A number; of a text, what it begins with does not do.
pub(super) fn number(value: &Value) -> Result<f64, String> {
    let found = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    found.ok_or_else(|| format!("must be a number, not {}", shown(value)))
}

/// A whole number from 0 up to `most`, rounded up.
pub(super) fn count(value: &Value, factor: f64, most: u64) -> Result<u64, String> {
    let number = (number(value)? * factor).ceil();
    if number < 0.0 || number > most as f64 {
        return Err(format!(
            "must be between 0 and {}, not {}",
            most as f64 / factor,
            shown(value)
        ));
    }
    Ok(number as u64)
}

/// As [`count`], where a negative number means that there is no limit.
pub(super) fn limit(value: &Value, factor: f64, most: u64) -> Result<Option<u64>, String> {
    if number(value)? < 0.0 { Ok(None) } else { count(value, factor, most).map(Some) }
}

/// A value in a message; long ones are not repeated.
fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::String(text) if text.chars().count() > 40 => "a long text".to_owned(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn switches_are_read_as_databases_and_shells_write_them() {
        for on in [json!(true), json!(1), json!("1"), json!("true"), json!(" TRUE ")] {
            assert_eq!(flag(&on), Ok(true), "{on}");
        }
        for off in [json!(false), json!(0), json!("0"), json!("false")] {
            assert_eq!(flag(&off), Ok(false), "{off}");
        }
        assert_eq!(flag(&json!("maybe")), Err("must be true or false, not \"maybe\"".to_owned()));
    }

    #[test]
    fn numbers_may_be_texts_and_negative_ones_lift_limits() {
        assert_eq!(limit(&json!("100"), 1.0, 1_000), Ok(Some(100)));
        assert_eq!(limit(&json!(-1), 1.0, 1_000), Ok(None));
        assert_eq!(limit(&json!("-1"), 1.0, 1_000), Ok(None));
        assert_eq!(count(&json!(0.5), 1_024.0, 1 << 20), Ok(512));
        assert_eq!(count(&json!(2_500), 0.001, 60), Ok(3));
        assert_eq!(count(&json!(-1), 1.0, 10), Err("must be between 0 and 10, not -1".to_owned()));
        assert_eq!(number(&json!("many")), Err("must be a number, not \"many\"".to_owned()));
        assert_eq!(number(&json!("NaN")), Err("must be a number, not \"NaN\"".to_owned()));
        assert_eq!(number(&json!({})), Err("must be a number, not an object".to_owned()));
    }
}
