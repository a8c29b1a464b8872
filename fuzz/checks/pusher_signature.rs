//! Signed requests of Pusher's HTTP API. Lines of the input: method, path, query string; the rest
//! is the body. No panic, a request is accepted with the secret's signature and with no other.

use mynah_protocol::pusher::signature::{
    Auth, Request, RequestRefused, body_md5, channel, check_request, of_request, request, user,
};
use mynah_protocol::pusher::{ChannelName, Query, SocketId};

const KEY: &str = "app-key";
const SECRET: &str = "a secret: é";
const NOW_S: i64 = 1_769_862_896;

/// Judges one input.
pub(crate) fn check(data: &[u8]) {
    let mut lines = data.splitn(4, |byte| *byte == b'\n');
    let mut line = || str::from_utf8(lines.next().unwrap_or_default()).ok();
    let (Some(method), Some(path), Some(raw)) = (line(), line(), line()) else { return };
    let body = lines.next().unwrap_or_default();
    check_as_is(method, path, raw, body);
    check_signed(method, path, raw, body);
    check_auth(path, raw);
}

fn judge(
    method: &str,
    path: &str,
    raw: &str,
    body: &[u8],
    secret: &str,
) -> Result<(), RequestRefused> {
    let query = Query::parse(raw);
    check_request(&Request { method, path, query: &query, body }, KEY, secret, NOW_S)
}

/// Whatever it is, another secret does not sign it as well.
fn check_as_is(method: &str, path: &str, raw: &str, body: &[u8]) {
    let judged = judge(method, path, raw, body, SECRET);
    if judged.is_ok() {
        let other = judge(method, path, raw, body, "other");
        assert_eq!(other, Err(RequestRefused::Signature));
    }
}

/// With the parameters of an honest library added, it is accepted; changed, it is not.
fn check_signed(method: &str, path: &str, raw: &str, body: &[u8]) {
    let is_own = |part: &&str| !Query::parse(part).pairs().any(|(key, _)| is_reserved(key));
    let own: Vec<&str> = raw.split('&').filter(is_own).take(Query::PAIRS_MAX - 8).collect();
    let own = own.join("&");
    let md5 = body_md5(body);
    let unsigned =
        format!("{own}&auth_key={KEY}&auth_timestamp={NOW_S}&auth_version=1.0&body_md5={md5}");
    let text = request(method, path, Query::parse(&unsigned).pairs());
    let signature = of_request(SECRET, &text);
    let signed = format!("{unsigned}&auth_signature={signature}");
    assert_eq!(judge(method, path, &signed, body, SECRET), Ok(()));

    let more = format!("{signed}&more=1");
    assert_eq!(judge(method, path, &more, body, SECRET), Err(RequestRefused::Signature));
    let other = format!("{path}/");
    assert_eq!(judge(method, &other, &signed, body, SECRET), Err(RequestRefused::Signature));
    let longer = [body, b"x"].concat();
    assert_eq!(judge(method, path, &signed, &longer, SECRET), Err(RequestRefused::BodyMd5));
    let cut = &signed[..signed.len() - 1];
    assert_eq!(judge(method, path, cut, body, SECRET), Err(RequestRefused::Signature));
}

fn is_reserved(key: &str) -> bool {
    let name = key.split_once('[').map_or(key, |(name, _)| name).to_ascii_lowercase();
    matches!(
        name.as_str(),
        "auth_key" | "auth_timestamp" | "auth_version" | "auth_signature" | "body_md5" | "more"
    )
}

fn check_auth(name: &str, data: &str) {
    let id = SocketId::new(7, 8);
    if let Ok(name) = ChannelName::parse(name, 200) {
        let signed = format!("{KEY}:{}", channel(SECRET, id, &name, Some(data)));
        let auth = Auth::split(&signed).expect("a colon");
        assert!(auth.signs_channel(SECRET, id, &name, Some(data)));
        assert!(!auth.signs_channel(SECRET, SocketId::new(7, 9), &name, Some(data)));
        assert!(!auth.signs_channel(SECRET, id, &name, None));
        // No subscription is a sign-in.
        let as_user = data.split_once("user::").map_or(data, |(_, data)| data);
        assert!(!auth.signs_user(SECRET, id, as_user));
    }
    let signed = format!("{KEY}:{}", user(SECRET, id, data));
    let auth = Auth::split(&signed).expect("a colon");
    assert!(auth.signs_user(SECRET, id, data));
    if let Some(foreign) = Auth::split(data) {
        assert!(!foreign.signs_user(SECRET, id, data));
    }
}
