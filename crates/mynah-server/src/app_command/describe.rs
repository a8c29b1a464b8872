//! An app in words and as JSON; never a secret, nor the value of a webhook's header.

use mynah_domain::Timestamp;
use mynah_domain::app::{App, AppKey, WebhookRule};
use serde_json::{Map, Value, json};

use crate::time_text::TimeText;

/// `2026-11-21T10:00:00.000Z`
pub(super) fn moment(at: Timestamp) -> String {
    TimeText::of(at).as_str().to_owned()
}

/// Limits that an app has of its own.
fn limits(app: &App) -> Vec<(&'static str, u64)> {
    let own = &app.limits;
    let small = |limit: Option<u32>| limit.map(u64::from);
    let all = [
        ("connections_max", own.connections_max),
        ("backend_events_per_s", small(own.backend_events_per_s)),
        ("client_events_per_s", small(own.client_events_per_s)),
        ("reads_per_s", small(own.reads_per_s)),
        ("presence_members_max", small(own.presence_members_max)),
        ("presence_member_bytes_max", small(own.presence_member_bytes_max)),
        ("channel_name_chars_max", small(own.channel_name_chars_max)),
        ("event_channels_max", small(own.event_channels_max)),
        ("event_name_chars_max", small(own.event_name_chars_max)),
        ("event_bytes_max", small(own.event_bytes_max)),
        ("batch_max", small(own.batch_max)),
    ];
    all.into_iter().filter_map(|(name, limit)| Some((name, limit?))).collect()
}

/// Lines with two spaces before each.
pub(super) fn describe(app: &App, now: Timestamp) -> String {
    let word = |is_on: bool| if is_on { "on" } else { "off" };
    let mut lines = vec![
        format!("name                 {}", app.name),
        format!("tenant               {}", app.tenant),
        format!("state                {}", if app.is_enabled { "enabled" } else { "disabled" }),
        format!("client events        {}", word(app.client_events)),
        format!("user authentication  {}", word(app.user_authentication)),
        format!("subscription counts  {}", word(app.subscription_counts)),
    ];
    lines.extend(app.keys.iter().map(|own| format!("key                  {}", key(app, own, now))));
    lines.extend(limits(app).iter().map(|(name, limit)| format!("{name} = {limit}")));
    lines.extend(app.webhooks.iter().map(|rule| format!("webhook              {}", webhook(rule))));
    lines.iter().flat_map(|line| ["  ", line, "\n"]).collect()
}

fn key(app: &App, key: &AppKey, now: Timestamp) -> String {
    let signs = app.newest_key(now).is_some_and(|newest| newest.key == key.key);
    match key.expires_at {
        Some(end) if end <= now => format!("{} (expired)", key.key),
        Some(end) => format!("{} (valid until {})", key.key, moment(end)),
        None if signs => format!("{} (signs)", key.key),
        None => key.key.clone(),
    }
}

fn webhook(rule: &WebhookRule) -> String {
    let mut parts = vec![rule.url.clone()];
    if !rule.kinds.is_empty() {
        let kinds: Vec<&str> = rule.kinds.iter().map(|kind| kind.as_str()).collect();
        parts.push(format!(" of {}", kinds.join(", ")));
    }
    if let Some(start) = &rule.channel_starts_with {
        parts.push(format!(", channels that start with {start:?}"));
    }
    if let Some(end) = &rule.channel_ends_with {
        parts.push(format!(", channels that end with {end:?}"));
    }
    if !rule.headers.is_empty() {
        let names: Vec<&str> = rule.headers.iter().map(|(name, _)| name.as_str()).collect();
        parts.push(format!(", with headers {}", names.join(", ")));
    }
    parts.concat()
}

/// `{"id":"shop","tenant":"default","source":"stored","enabled":true,…}`
pub(super) fn to_json(app: &App, source: &str, now: Timestamp) -> Value {
    let keys = app.keys.iter().map(|own| {
        json!({
            "key": own.key,
            "createdAt": moment(own.created_at),
            "expiresAt": own.expires_at.map(moment),
            "valid": own.is_valid(now),
        })
    });
    let webhooks = app.webhooks.iter().map(|rule| {
        let kinds: Vec<&str> = rule.kinds.iter().map(|kind| kind.as_str()).collect();
        let headers: Vec<&str> = rule.headers.iter().map(|(name, _)| name.as_str()).collect();
        json!({
            "url": rule.url,
            "events": kinds,
            "headers": headers,
            "channelStartsWith": rule.channel_starts_with,
            "channelEndsWith": rule.channel_ends_with,
        })
    });
    let limits: Map<String, Value> =
        limits(app).into_iter().map(|(name, limit)| (name.to_owned(), limit.into())).collect();
    json!({
        "id": app.id.as_str(),
        "tenant": app.tenant.as_str(),
        "name": app.name,
        "source": source,
        "enabled": app.is_enabled,
        "clientEvents": app.client_events,
        "userAuthentication": app.user_authentication,
        "subscriptionCounts": app.subscription_counts,
        "keys": keys.collect::<Vec<_>>(),
        "limits": limits,
        "webhooks": webhooks.collect::<Vec<_>>(),
        "createdAt": moment(app.created_at),
        "updatedAt": moment(app.updated_at),
    })
}
