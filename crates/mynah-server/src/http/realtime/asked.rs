//! What a client asks for: a form, as the official libraries send it, or JSON.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use mynah_protocol::pusher::SocketId;
use serde::Deserialize;

use crate::bodies;
use crate::engine_io::query_pairs;
use crate::realtime::Refused;

const BODY_BYTES_MAX: usize = 64 * 1024;
/// Channels of one call.
const CHANNELS_MAX: usize = 200;

/// A call, read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) socket_id: SocketId,
    pub(super) wanted: Wanted,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    SignIn,
    Channel(String),
    Channels(BTreeSet<String>),
}

#[derive(Deserialize)]
struct Json {
    socket_id: Option<String>,
    channel_name: Option<OneOrMany>,
    #[serde(rename = "channel_name[]")]
    channel_names: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// The fields of either.
#[derive(Default)]
struct Fields {
    socket_id: Option<String>,
    channel: Option<String>,
    channels: Option<Vec<String>>,
    is_form: bool,
}

impl Asked {
    /// Reads a body. What it is is told by its first character where the client does not say it. Where clients
    /// only sign in no channel is looked for.
    ///
    /// # Errors
    /// [`Refused::Input`].
    pub(super) async fn read(
        headers: &HeaderMap,
        body: Body,
        only_signs_in: bool,
    ) -> Result<Self, Refused> {
        let body = bodies::whole(headers, body, BODY_BYTES_MAX)
            .await
            .map_err(|_broken| input("The body is broken or too large."))?;
        let text = std::str::from_utf8(&body).map_err(|_no| input("The body is not UTF-8."))?;
        let kind = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        let is_form = kind.eq_ignore_ascii_case("application/x-www-form-urlencoded");
        let fields = if is_form || !text.trim_start().starts_with(['{', '[']) {
            form(text)
        } else {
            json(text)?
        };
        fields.read(only_signs_in)
    }
}

fn form(text: &str) -> Fields {
    let mut fields = Fields { is_form: true, ..Fields::default() };
    for (name, value) in query_pairs(text) {
        match name.as_str() {
            "socket_id" => fields.socket_id = Some(value),
            "channel_name" => fields.channel = Some(value),
            _ if is_list(&name) => fields.channels.get_or_insert_default().push(value),
            _ => {}
        }
    }
    fields
}

/// `channel_name[]`, or `channel_name[7]` as some libraries write lists.
fn is_list(name: &str) -> bool {
    let index = name.strip_prefix("channel_name[").and_then(|rest| rest.strip_suffix(']'));
    index.is_some_and(|index| index.bytes().all(|b| b.is_ascii_digit()))
}

fn json(text: &str) -> Result<Fields, Refused> {
    let json: Json = serde_json::from_str(text)
        .map_err(|_no| input("The body is not JSON with socket_id and channel_name as texts."))?;
    let (channel, channels) = match json.channel_name {
        Some(OneOrMany::One(channel)) => (Some(channel), json.channel_names),
        Some(OneOrMany::Many(channels)) => (None, Some(channels)),
        None => (None, json.channel_names),
    };
    Ok(Fields { socket_id: json.socket_id, channel, channels, is_form: false })
}

impl Fields {
    fn read(self, only_signs_in: bool) -> Result<Asked, Refused> {
        let socket_id = self.socket_id.filter(|id| !id.is_empty());
        let socket_id = socket_id.ok_or_else(|| input("socket_id is missing."))?;
        let socket_id = socket_id
            .parse()
            .map_err(|_no| input("socket_id must be two numbers with a dot between."))?;
        let wanted = match (self.channels, self.channel) {
            _ if only_signs_in => Wanted::SignIn,
            (Some(channels), channel) => {
                let all: BTreeSet<String> = channels.into_iter().chain(channel).collect();
                if all.is_empty() || all.len() > CHANNELS_MAX {
                    return Err(input("channel_name[] must name 1 to 200 channels."));
                }
                Wanted::Channels(all)
            }
            (None, Some(channel)) if !channel.is_empty() => Wanted::Channel(channel),
            // What pusher-js sends to sign in is a form, always.
            (None, None) if self.is_form => Wanted::SignIn,
            (None, _) => return Err(input("channel_name is missing.")),
        };
        Ok(Asked { socket_id, wanted })
    }
}

fn input(text: &str) -> Refused {
    Refused::Input(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(kind: &str, body: &str) -> Result<Wanted, String> {
        let mut headers = HeaderMap::new();
        if !kind.is_empty() {
            headers.insert(CONTENT_TYPE, kind.parse().unwrap());
        }
        let asked = Asked::read(&headers, Body::from(body.to_owned()), false).await;
        let asked = asked.map_err(|refused| refused.to_string())?;
        assert_eq!(asked.socket_id.to_string(), "123.456");
        Ok(asked.wanted)
    }

    const FORM: &str = "application/x-www-form-urlencoded";
    const JSON: &str = "application/json; charset=utf-8";

    #[tokio::test]
    async fn forms_and_json_are_read_alike() {
        let one = Ok(Wanted::Channel("private-a".to_owned()));
        let many = ["private-a", "private-b"].map(str::to_owned).into();
        let many = Ok(Wanted::Channels(many));
        for (kind, body, wanted) in [
            (FORM, "socket_id=123.456&channel_name=private-a", &one),
            (FORM, "socket_id=123%2E456&channel_name=private%2Da&x=y", &one),
            ("", "socket_id=123.456&channel_name=private-a", &one),
            ("text/plain", "socket_id=123.456&channel_name=private-a", &one),
            (JSON, r#"{"socket_id":"123.456","channel_name":"private-a","x":[{}]}"#, &one),
            ("", r#" {"socket_id":"123.456","channel_name":"private-a"}"#, &one),
            (
                FORM,
                "socket_id=123.456&channel_name[]=private-b&channel_name%5B%5D=private-a",
                &many,
            ),
            (FORM, "socket_id=123.456&channel_name[0]=private-b&channel_name[1]=private-a", &many),
            (JSON, r#"{"socket_id":"123.456","channel_name":["private-a","private-b"]}"#, &many),
            (JSON, r#"{"socket_id":"123.456","channel_name[]":["private-a","private-b"]}"#, &many),
            (FORM, "socket_id=123.456", &Ok(Wanted::SignIn)),
        ] {
            assert_eq!(&read(kind, body).await, wanted, "{body}");
        }
    }

    #[tokio::test]
    async fn what_is_missing_or_wrong_is_named() {
        let many: Vec<String> = (0..201).map(|n| format!("channel_name[]={n}")).collect();
        let many = format!("socket_id=123.456&{}", many.join("&"));
        let deep = format!("{{\"socket_id\":{}", "[".repeat(1_000));
        for (kind, body, text) in [
            (FORM, "", "socket_id is missing."),
            (FORM, "channel_name=private-a", "socket_id is missing."),
            (FORM, "socket_id=&channel_name=a", "socket_id is missing."),
            (FORM, "socket_id=1&channel_name=a", "socket_id must be"),
            (FORM, "socket_id=1.2x&channel_name=a", "socket_id must be"),
            (FORM, "socket_id=1.2&channel_name=", "channel_name is missing."),
            (JSON, r#"{"socket_id":"1.2"}"#, "channel_name is missing."),
            (JSON, "{}", "socket_id is missing."),
            (JSON, "", "socket_id is missing."),
            (JSON, r#"{"socket_id":1.2,"channel_name":"a"}"#, "The body is not JSON with"),
            (JSON, r#"{"socket_id":"1.2","channel_name":{}}"#, "The body is not JSON with"),
            (JSON, &deep, "The body is not JSON with"),
            (JSON, r#"{"socket_id":"1.2","channel_name":[]}"#, "channel_name[] must name"),
            (FORM, &many, "channel_name[] must name"),
            (FORM, &"x".repeat(70_000), "The body is broken or too large."),
        ] {
            let error = read(kind, body).await.unwrap_err();
            assert!(error.starts_with(text), "{error}");
        }
    }
}
