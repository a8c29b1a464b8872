//! Bodies and query strings of Pusher's HTTP API: no panic, limits kept, a batch is its events,
//! and what was read is read again alike.

use mynah_protocol::pusher::http::{
    Event, EventLimits, Info, decode_batch, decode_event, error_body,
};
use mynah_protocol::pusher::{ChannelKind, ChannelName, Query, encode, protocol_version};
use serde_json::{Value, json};

const LIMITS: EventLimits = EventLimits {
    channel_name_chars_max: 40,
    event_channels_max: 4,
    event_name_chars_max: 20,
    event_bytes_max: 100,
    batch_max: 3,
};

/// Judges one input.
pub(crate) fn check(body: &[u8]) {
    match decode_event(body, &LIMITS) {
        Ok(event) => {
            check_event(&event);
            let text = str::from_utf8(body).expect("JSON");
            let batch = format!(r#"{{"batch":[{text},{text}]}}"#);
            let batch = decode_batch(batch.as_bytes(), &LIMITS).expect("twice the event");
            assert_eq!(batch, [event.clone(), event]);
        }
        Err(error) => {
            assert!(matches!(error.status(), 400 | 413));
            let body = error_body(&error.to_string(), error.status());
            let body: Value = serde_json::from_str(&body).expect("JSON");
            assert_eq!(body["code"], error.status());
        }
    }
    if let Ok(batch) = decode_batch(body, &LIMITS) {
        assert!(batch.len() <= LIMITS.batch_max);
        batch.iter().for_each(check_event);
    }
    if let Ok(text) = str::from_utf8(body) {
        check_query(text);
    }
}

fn check_event(event: &Event) {
    assert!((1..=LIMITS.event_name_chars_max).contains(&event.name.chars().count()));
    assert!((1..=LIMITS.event_channels_max).contains(&event.channels.len()));
    assert!(event.data.len() <= LIMITS.event_bytes_max);
    let is_encrypted = |kind| kind == ChannelKind::Encrypted;
    let has_encrypted = event.channels.iter().any(|name| is_encrypted(name.kind()));
    assert!(!has_encrypted || event.channels.len() == 1);
    let names: Vec<&str> = event.channels.iter().map(ChannelName::as_str).collect();
    let Info { user_count, subscription_count, cache } = event.info;
    let info: Vec<&str> =
        [(user_count, "user_count"), (subscription_count, "subscription_count"), (cache, "cache")]
            .iter()
            .filter_map(|(is_wanted, name)| is_wanted.then_some(*name))
            .collect();
    let again = json!({
        "name": event.name, "data": event.data, "channels": names, "info": info,
        "socket_id": event.socket_id.map(|id| id.to_string()),
    });
    let again = decode_event(again.to_string().as_bytes(), &LIMITS).expect("an event");
    assert_eq!(again, *event);

    let mut out = Vec::new();
    encode::event(names.first().copied(), &event.name, &event.data, None, &mut out);
    let frame: Value = serde_json::from_slice(&out).expect("JSON");
    assert_eq!(frame["data"], event.data.as_str());
}

fn check_query(text: &str) {
    let query = Query::parse(text);
    assert_eq!(query.raw(), text);
    assert!(query.pairs().count() <= Query::PAIRS_MAX);
    for (key, value) in query.pairs() {
        assert!(query.all(key).any(|other| other == value));
        assert!(Info::parse(value).is_empty() || value.contains('c'));
    }
    if let Ok(version) = protocol_version(&query) {
        assert!((1..=7).contains(&version));
    }
}
