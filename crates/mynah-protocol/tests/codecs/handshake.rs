use mynah_protocol::websocket::{Handshake, HandshakeError, accept_key, check_handshake, tokens};

const GOOD: [(&str, &str); 4] = [
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

fn check(
    method: &str,
    version: (u8, u8),
    headers: &[(&str, &str)],
) -> Result<String, HandshakeError> {
    let mut handshake = Handshake::new(method, version);
    for (name, value) in headers {
        handshake.header(name, value.as_bytes());
    }
    check_handshake(&handshake)
}

/// The good request with one header replaced, or removed if `value` is `None`.
fn with(name: &str, value: Option<&str>) -> Result<String, HandshakeError> {
    let mut headers = GOOD.to_vec();
    headers.retain(|(known, _)| *known != name);
    headers.extend(value.map(|value| (name, value)));
    check("GET", (1, 1), &headers)
}

#[test]
fn the_example_of_rfc_6455_section_1_3() {
    let accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), accept);
    assert_eq!(check("GET", (1, 1), &GOOD).as_deref(), Ok(accept));
}

#[test]
fn names_and_tokens_ignore_case_and_may_be_listed() {
    assert!(with("Connection", Some("keep-alive, UPGRADE")).is_ok());
    assert!(with("Upgrade", Some("h2c ,\tWebSocket")).is_ok());
    assert!(with("Sec-WebSocket-Version", Some(" 13 ")).is_ok());
    let mut split = GOOD.to_vec();
    split.insert(0, ("connection", "keep-alive"));
    split.insert(0, ("UPGRADE", "h2c"));
    assert!(check("GET", (1, 1), &split).is_ok());
}

#[test]
fn wrong_requests_are_refused() {
    use HandshakeError::{HttpVersion, Key, Method, NotUpgrade, Version};
    assert_eq!(check("POST", (1, 1), &GOOD), Err(Method));
    for version in [(1, 0), (0, 9), (2, 0)] {
        assert_eq!(check("GET", version, &GOOD), Err(HttpVersion));
    }
    for (name, value, error) in [
        ("Upgrade", None, NotUpgrade),
        ("Upgrade", Some("h2c"), NotUpgrade),
        ("Upgrade", Some("websocketx"), NotUpgrade),
        ("Connection", None, NotUpgrade),
        ("Connection", Some("keep-alive"), NotUpgrade),
        ("Connection", Some("notupgrade"), NotUpgrade),
        ("Sec-WebSocket-Version", None, Version),
        ("Sec-WebSocket-Version", Some("8"), Version),
        ("Sec-WebSocket-Version", Some("13, 8"), Version),
        ("Sec-WebSocket-Version", Some("013"), Version),
        ("Sec-WebSocket-Key", None, Key),
        ("Sec-WebSocket-Key", Some(""), Key),
        ("Sec-WebSocket-Key", Some("dGhlIHNhbXBsZSBub25jZ==="), Key),
        ("Sec-WebSocket-Key", Some("dGhlIHNhbXBsZSBub25jZQ"), Key),
        ("Sec-WebSocket-Key", Some("dGhlIHNhbXBsZSBub25jZVg="), Key),
        ("Sec-WebSocket-Key", Some("dGhlIHNhbXBsZSBub25j_Q=="), Key),
        ("Sec-WebSocket-Key", Some("dGhlIHNhbXBsZSBub25jZé=="), Key),
    ] {
        let result = with(name, value);
        assert_eq!(result, Err(error), "{name}: {value:?}");
    }
    let mut twice = GOOD.to_vec();
    twice.push(GOOD[3]);
    assert_eq!(check("GET", (1, 1), &twice), Err(Key));
    let mut bad_bytes = Handshake::new("GET", (1, 1));
    bad_bytes.header("Upgrade", b"websocket\xFF");
    assert_eq!(check_handshake(&bad_bytes), Err(NotUpgrade));
    assert_eq!([Method, Key, Version, NotUpgrade].map(|e| e.status()), [405, 400, 426, 426]);
}

#[test]
fn huge_and_odd_headers_cost_little() {
    // hs/subproto-32k-spaces, hs/header-1m, hs/ext-proto-names, hs/headers-3000
    let spaces = format!("a{}b", " ".repeat(1_000_000));
    let commas = format!("{}upgrade", " ,".repeat(500_000));
    assert_eq!(tokens(&spaces).count(), 1);
    assert_eq!(tokens(" chat ,, superchat\t,").collect::<Vec<_>>(), ["chat", "superchat"]);
    let mut headers = GOOD.to_vec();
    headers.push(("Sec-WebSocket-Protocol", &spaces));
    headers.push(("Sec-WebSocket-Extensions", "constructor, __proto__; toString"));
    headers.push(("Connection", &commas));
    headers.extend(std::iter::repeat_n(("X-Filler", "x"), 3000));
    assert!(check("GET", (1, 1), &headers).is_ok());
}
