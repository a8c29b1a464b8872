//! An app as Soketi writes it down: in its JSON file, its environment, or a row of its `apps` table.
//!
//! Fields come in camelCase, PascalCase or snake_case; null and empty mean the default. What cannot be
//! taken over is said field by field, never with a secret in it.

use serde_json::{Map, Value};

use super::super::Hidden;
use super::super::pusher::{AppConfig, SOKETI_DEFAULTS, WebhookConfig, WebhookEvent};
use super::values::{count, flag, is_unset, limit, text};

/// An app that was read, and what was not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SoketiApp {
    /// What it says; defaults where it says nothing.
    pub app: AppConfig,
    /// Fields whose value is wrong, each a sentence: `max_connections must be a number, not "many"`.
    pub problems: Vec<String>,
    /// What it says that has no meaning here, each a sentence.
    pub remarks: Vec<String>,
    /// Whether it says if clients may send events.
    pub says_client_events: bool,
}

/// Reads an app's fields; id, key and secret that are not there are Soketi's defaults.
pub fn read_app(fields: &Map<String, Value>) -> SoketiApp {
    let (id, key, secret) = SOKETI_DEFAULTS;
    let app = AppConfig {
        id: id.to_owned(),
        key: key.to_owned(),
        secret: Hidden::new(secret),
        ..AppConfig::default()
    };
    let mut read = SoketiApp { app, ..SoketiApp::default() };
    for (name, value) in fields {
        if is_unset(value) {
            continue;
        }
        if let Err(problem) = read.take(name, value) {
            read.problems.push(format!("{name} {problem}"));
        }
    }
    read
}

/// Which of id, key and secret an app does not have.
pub fn missing(fields: &Map<String, Value>) -> Vec<&'static str> {
    let has = |wanted: &str| {
        let named = |name: &str| {
            let name = plain(name);
            name == wanted || name.strip_prefix("app") == Some(wanted)
        };
        fields.iter().any(|(name, value)| named(name) && !is_unset(value))
    };
    ["id", "key", "secret"].into_iter().filter(|field| !has(field)).collect()
}

/// `maxConnections`, `MaxConnections` and `max_connections` are one name.
pub(super) fn plain(name: &str) -> String {
    name.chars().filter(|c| *c != '_').flat_map(char::to_lowercase).collect()
}

impl SoketiApp {
    fn take(&mut self, name: &str, value: &Value) -> Result<(), String> {
        let app = &mut self.app;
        let small = |value: &Value| -> Result<Option<u32>, String> {
            Ok(limit(value, 1.0, u64::from(u32::MAX))?.map(|number| number as u32))
        };
        let bound = |factor: f64| -> Result<Option<u32>, String> {
            Ok(Some(count(value, factor, u64::from(u32::MAX))? as u32))
        };
        match plain(name).as_str() {
            "id" | "appid" => app.id = text(value)?,
            "key" | "appkey" => app.key = text(value)?,
            "secret" | "appsecret" => {
                let secret = text(value).map_err(|_shown| "must be a text".to_owned())?;
                app.secret = Hidden::new(&secret);
            }
            "name" | "appname" => app.name = Some(text(value)?),
            "enabled" => app.enabled = flag(value)?,
            "enableclientmessages" => {
                app.client_events = flag(value)?;
                self.says_client_events = true;
            }
            "enableuserauthentication" => app.user_authentication = flag(value)?,
            "maxconnections" => app.connections_max = limit(value, 1.0, i64::MAX as u64)?,
            "maxbackendeventspersecond" | "maxbackendeventspersec" => {
                app.backend_events_per_s = small(value)?;
            }
            "maxclienteventspersecond" | "maxclienteventspersec" => {
                app.client_events_per_s = small(value)?;
            }
            "maxreadrequestspersecond" | "maxreadreqpersec" => app.reads_per_s = small(value)?,
            "maxpresencemembersperchannel" => {
                app.presence_members_max = bound(1.0)?;
            }
            "maxpresencemembersizeinkb" => app.presence_member_bytes_max = bound(1_024.0)?,
            "maxchannelnamelength" => app.channel_name_chars_max = bound(1.0)?,
            "maxeventchannelsatonce" => app.event_channels_max = bound(1.0)?,
            "maxeventnamelength" => app.event_name_chars_max = bound(1.0)?,
            "maxeventpayloadinkb" => app.event_bytes_max = bound(1_024.0)?,
            "maxeventbatchsize" => app.batch_max = bound(1.0)?,
            "webhooks" => return self.webhooks(value),
            "createdat" | "updatedat" => {}
            _ => self.remarks.push(format!("{name} is no field that Soketi reads")),
        }
        Ok(())
    }

    fn webhooks(&mut self, value: &Value) -> Result<(), String> {
        let parsed: Value;
        let list = match value {
            Value::String(text) => {
                parsed =
                    serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))?;
                &parsed
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => value,
        };
        let Some(list) = list.as_array() else { return Err("must be a list".to_owned()) };
        for (rule, number) in list.iter().zip(1..) {
            let place = format!("webhooks[{number}]");
            let Some(rule) = rule.as_object() else {
                self.problems.push(format!("{place} must be an object"));
                continue;
            };
            if let Some(rule) = self.webhook(&place, rule) {
                self.app.webhooks.push(rule);
            }
        }
        Ok(())
    }

    fn webhook(&mut self, place: &str, rule: &Map<String, Value>) -> Option<WebhookConfig> {
        let given = |name: &str| rule.get(name).filter(|value| !is_unset(value));
        if given("lambda_function").is_some() {
            self.remarks.push(format!("{place} calls AWS Lambda, which Mynah does not: left out"));
            return None;
        }
        let url = given("url").and_then(|url| url.as_str().map(|url| url.trim().to_owned()));
        let Some(url) = url else {
            self.problems.push(format!("{place} has no url"));
            return None;
        };
        let events = self.event_types(place, given("event_types"))?;
        let mut read = WebhookConfig { url, events, ..WebhookConfig::default() };
        for (name, value) in given("headers").and_then(Value::as_object).into_iter().flatten() {
            match text(value) {
                Ok(value) => drop(read.headers.insert(name.clone(), Hidden::new(&value))),
                Err(_shown) => self.problems.push(format!("{place}: header {name} must be a text")),
            }
        }
        let filter = |name: &str| {
            let word = given("filter")?.get(name)?.as_str()?;
            (!word.is_empty()).then(|| word.to_owned())
        };
        read.channel_starts_with = filter("channel_name_starts_with");
        read.channel_ends_with = filter("channel_name_ends_with");
        Some(read)
    }

    /// What a rule is told of; `None` when that is nothing.
    fn event_types(&mut self, place: &str, types: Option<&Value>) -> Option<Vec<WebhookEvent>> {
        let types = types.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut events = Vec::new();
        for word in types {
            match serde_json::from_value(word.clone()) {
                Ok(event) => events.push(event),
                Err(_unknown) => {
                    self.problems.push(format!("{place}: {word} is no type of event"));
                }
            }
        }
        if events.is_empty() {
            self.remarks
                .push(format!("{place} names no event_types, so it is never told: left out"));
            return None;
        }
        Some(events)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(fields: Value) -> SoketiApp {
        let Value::Object(fields) = fields else { panic!("an object") };
        read_app(&fields)
    }

    #[test]
    fn all_three_spellings_say_the_same() {
        let camel = read(json!({
            "id": "1", "key": "k", "secret": "s", "maxConnections": 200, "enabled": true,
            "enableClientMessages": false, "maxBackendEventsPerSecond": "10",
            "maxClientEventsPerSecond": 20, "maxReadRequestsPerSecond": -1,
            "maxPresenceMembersPerChannel": 5, "maxPresenceMemberSizeInKb": 0.5,
            "maxChannelNameLength": 50, "maxEventChannelsAtOnce": 6, "maxEventNameLength": 60,
            "maxEventPayloadInKb": 10, "maxEventBatchSize": 7, "enableUserAuthentication": true,
        }));
        let pascal = read(json!({
            "AppId": "1", "AppKey": "k", "AppSecret": "s", "MaxConnections": "200", "Enabled": 1,
            "EnableClientMessages": 0, "MaxBackendEventsPerSecond": 10,
            "MaxClientEventsPerSecond": "20", "MaxReadRequestsPerSecond": "-1",
            "MaxPresenceMembersPerChannel": "5", "MaxPresenceMemberSizeInKb": "0.5",
            "MaxChannelNameLength": "50", "MaxEventChannelsAtOnce": "6", "MaxEventNameLength": "60",
            "MaxEventPayloadInKb": "10", "MaxEventBatchSize": "7", "EnableUserAuthentication": "1",
        }));
        let snake = read(json!({
            "id": 1, "key": "k", "secret": "s", "max_connections": 200, "enabled": 1,
            "enable_client_messages": 0, "max_backend_events_per_sec": 10,
            "max_client_events_per_sec": 20, "max_read_req_per_sec": -1,
            "max_presence_members_per_channel": 5, "max_presence_member_size_in_kb": 0.5,
            "max_channel_name_length": 50, "max_event_channels_at_once": 6,
            "max_event_name_length": 60, "max_event_payload_in_kb": 10, "max_event_batch_size": 7,
            "enable_user_authentication": 1, "webhooks": null,
        }));
        assert_eq!(camel, pascal);
        assert_eq!(camel, snake);
        assert_eq!((camel.problems.len(), camel.remarks.len()), (0, 0), "{camel:?}");
        let app = camel.app;
        assert_eq!((app.id.as_str(), app.key.as_str(), app.secret.expose()), ("1", "k", "s"));
        assert!(app.enabled && !app.client_events && app.user_authentication);
        assert_eq!((app.connections_max, app.reads_per_s), (Some(200), None));
        assert_eq!((app.backend_events_per_s, app.client_events_per_s), (Some(10), Some(20)));
        assert_eq!((app.presence_members_max, app.presence_member_bytes_max), (Some(5), Some(512)));
        assert_eq!((app.channel_name_chars_max, app.event_channels_max), (Some(50), Some(6)));
        assert_eq!((app.event_name_chars_max, app.event_bytes_max), (Some(60), Some(10_240)));
        assert_eq!(app.batch_max, Some(7));
    }

    #[test]
    fn null_and_empty_mean_the_default() {
        let bare = read(json!({"id": null, "key": "", "maxConnections": null, "webhooks": ""}));
        assert_eq!(bare.app.id, "app-id");
        assert_eq!((bare.app.key.as_str(), bare.app.secret.expose()), ("app-key", "app-secret"));
        assert!(bare.app.enabled && bare.app.client_events && !bare.says_client_events);
    }

    #[test]
    fn webhooks_come_as_list_or_text() {
        let rules = json!([
            {"url": " https://a.example.org/h ", "event_types": ["channel_occupied", "client_event"],
             "headers": {"X-Own": "1", "X-Number": 2},
             "filter": {"channel_name_starts_with": "presence-", "channel_name_ends_with": ""}},
            {"url": "https://b.example.org", "event_types": ["cache_miss"]},
        ]);
        let list = read(json!({"webhooks": rules}));
        assert_eq!(list, read(json!({"webhooks": rules.to_string()})));
        assert_eq!((list.problems.len(), list.remarks.len()), (0, 0), "{list:?}");
        let [first, second] = &list.app.webhooks[..] else { panic!("{list:?}") };
        assert_eq!(first.url, "https://a.example.org/h");
        assert_eq!(first.events, [WebhookEvent::ChannelOccupied, WebhookEvent::ClientEvent]);
        assert_eq!(first.headers["X-Number"].expose(), "2");
        assert_eq!(first.channel_starts_with.as_deref(), Some("presence-"));
        assert_eq!(first.channel_ends_with, None);
        assert_eq!(second.events, [WebhookEvent::CacheMiss]);
    }

    #[test]
    fn what_cannot_be_taken_is_said_field_by_field_without_secrets() {
        let odd = read(json!({
            "secret": {"a": "hush"}, "maxConnections": "many", "enabled": "maybe", "colour": "red",
            "webhooks": [
                {"lambda_function": "f", "event_types": ["client_event"]},
                {"url": "https://a", "event_types": []},
                {"url": "https://a", "event_types": ["client_event", "door_opened"],
                 "headers": {"Authorization": ["hush"]}},
                {"event_types": ["client_event"]},
                "hush",
            ],
        }));
        let said = |list: &[String]| {
            let mut list = list.to_vec();
            list.sort();
            list
        };
        assert_eq!(
            said(&odd.problems),
            [
                "enabled must be true or false, not \"maybe\"",
                "maxConnections must be a number, not \"many\"",
                "secret must be a text",
                "webhooks[3]: \"door_opened\" is no type of event",
                "webhooks[3]: header Authorization must be a text",
                "webhooks[4] has no url",
                "webhooks[5] must be an object",
            ]
        );
        assert_eq!(
            said(&odd.remarks),
            [
                "colour is no field that Soketi reads",
                "webhooks[1] calls AWS Lambda, which Mynah does not: left out",
                "webhooks[2] names no event_types, so it is never told: left out",
            ]
        );
        assert_eq!(odd.app.webhooks.len(), 1);
        let not_json = read(json!({"webhooks": "{"}));
        assert!(not_json.problems[0].starts_with("webhooks is not JSON"), "{not_json:?}");
    }
}
