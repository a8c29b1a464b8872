//! What a client hears that cannot come in.

use std::time::Duration;

use crate::socket_io::ConnectRefused;
use crate::system::random;
use crate::vocabulary::field::Failure;

/// A CONNECT that cannot be accepted, for people and programs.
pub(super) fn connect_refused(failure: &Failure) -> ConnectRefused {
    let code = serde_json::Value::from(failure.code);
    let text = serde_json::Value::from(failure.text.as_str());
    let retry = failure.retry_after_ms.map(|ms| format!(",\"retryAfterMs\":{ms}"));
    let retry = retry.unwrap_or_default();
    let status = failure.status;
    let data = format!("{{\"statusCode\":{status},\"code\":{code},\"message\":{text}{retry}}}");
    let message =
        if failure.status == 401 { "Unauthorized".to_owned() } else { failure.text.clone() };
    let come_again = failure.passes_within().map(spread);
    ConnectRefused { message, data: Some(data), come_again }
}

/// A time between this and three times this: those who were refused together do not come back together.
fn spread(shortest: Duration) -> Duration {
    let share = u32::from(u16::from_le_bytes(random()));
    shortest + shortest * 2 * share / u32::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use mynah_domain::ports::StoreError;

    use super::*;
    use crate::failure;
    use crate::identity::IdentityError;

    #[test]
    fn who_could_come_in_later_is_made_to_come_again_and_nobody_else() {
        let second = Duration::from_secs(1);
        let passing: [(Failure, Duration); 5] = [
            (StoreError::Unavailable("secret".into()).into(), second),
            (StoreError::Full.into(), 5 * second),
            (IdentityError::Unavailable.into(), second),
            (failure::too_many_at_once(), second),
            (failure::not_heard_yet(), second),
        ];
        for (failure, shortest) in passing {
            let pause = connect_refused(&failure).come_again.expect(failure.code);
            assert!((shortest..=3 * shortest).contains(&pause), "{}: {pause:?}", failure.code);
        }
        for failure in [IdentityError::Expired.into(), failure::not_authenticated_in_time()] {
            assert_eq!(connect_refused(&failure).come_again, None, "{}", failure.code);
        }
    }
}
