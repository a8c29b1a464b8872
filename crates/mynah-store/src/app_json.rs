//! Limits and webhooks of an app as JSON columns.
//!
//! `{"connections_max":100}` and `[{"url":"https://…","kinds":["member_added"],"starts":"presence-"}]`:
//! what is not there is none.

use mynah_domain::app::{AppLimits, WebhookKind, WebhookRule};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct Limits {
    #[serde(skip_serializing_if = "Option::is_none")]
    connections_max: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backend_events_per_s: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_events_per_s: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reads_per_s: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_members_max: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_member_bytes_max: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_name_chars_max: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_channels_max: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_name_chars_max: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_bytes_max: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_max: Option<u32>,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Webhook {
    url: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    headers: Vec<(String, String)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    kinds: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    starts: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends: Option<String>,
}

/// The column `limits`.
pub(crate) fn limits(limits: &AppLimits) -> String {
    let AppLimits {
        connections_max,
        backend_events_per_s,
        client_events_per_s,
        reads_per_s,
        presence_members_max,
        presence_member_bytes_max,
        channel_name_chars_max,
        event_channels_max,
        event_name_chars_max,
        event_bytes_max,
        batch_max,
    } = *limits;
    text(&Limits {
        connections_max,
        backend_events_per_s,
        client_events_per_s,
        reads_per_s,
        presence_members_max,
        presence_member_bytes_max,
        channel_name_chars_max,
        event_channels_max,
        event_name_chars_max,
        event_bytes_max,
        batch_max,
    })
}

/// The column `limits`, read back; `None` when it is not ours.
pub(crate) fn read_limits(column: &str) -> Option<AppLimits> {
    let read: Limits = serde_json::from_str(column).ok()?;
    Some(AppLimits {
        connections_max: read.connections_max,
        backend_events_per_s: read.backend_events_per_s,
        client_events_per_s: read.client_events_per_s,
        reads_per_s: read.reads_per_s,
        presence_members_max: read.presence_members_max,
        presence_member_bytes_max: read.presence_member_bytes_max,
        channel_name_chars_max: read.channel_name_chars_max,
        event_channels_max: read.event_channels_max,
        event_name_chars_max: read.event_name_chars_max,
        event_bytes_max: read.event_bytes_max,
        batch_max: read.batch_max,
    })
}

/// The column `webhooks`.
pub(crate) fn webhooks(rules: &[WebhookRule]) -> String {
    let rules: Vec<Webhook> = rules
        .iter()
        .map(|rule| Webhook {
            url: rule.url.clone(),
            headers: rule.headers.clone(),
            kinds: rule.kinds.iter().map(|kind| kind.as_str().to_owned()).collect(),
            starts: rule.channel_starts_with.clone(),
            ends: rule.channel_ends_with.clone(),
        })
        .collect();
    text(&rules)
}

/// The column `webhooks`, read back; `None` when it is not ours.
pub(crate) fn read_webhooks(column: &str) -> Option<Vec<WebhookRule>> {
    let rules: Vec<Webhook> = serde_json::from_str(column).ok()?;
    let rule = |rule: Webhook| {
        let kinds = rule.kinds.iter().map(|word| WebhookKind::parse(word));
        Some(WebhookRule {
            kinds: kinds.collect::<Option<_>>()?,
            url: rule.url,
            headers: rule.headers,
            channel_starts_with: rule.starts,
            channel_ends_with: rule.ends,
        })
    };
    rules.into_iter().map(rule).collect()
}

fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts and numbers become JSON")
}
