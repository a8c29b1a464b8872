//! What the official implementations write, captured by `tests/golden/capture.mjs`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use mynah_protocol::socket_io::{self, BinaryHead, Decoder, Limits, Packet, msgpack};
use mynah_protocol::websocket::deflate::put_compressed;
use mynah_protocol::websocket::{self, Message, OpCode, Role};
use mynah_protocol::{engine_io, engine_io_v3};
use serde_json::{Map, Value, json};

fn vectors(section: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("../golden/vectors.json")).unwrap();
    all[section].clone()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

/// The bytes of `{"$binary": base64}`.
fn binary(value: &Value) -> Option<Bytes> {
    let text = value.get("$binary")?.as_str()?;
    Some(STANDARD.decode(text).unwrap().into())
}

fn shown(bytes: &[u8]) -> Value {
    json!({ "$binary": STANDARD.encode(bytes) })
}

/// An Engine.IO packet as the vectors show it.
fn shown_engine(packet: &engine_io::Packet<'_>) -> Value {
    use engine_io::Packet;
    let (kind, data) = match packet {
        Packet::Open(data) => ("open", json!(data)),
        Packet::Close => ("close", Value::Null),
        Packet::Ping(data) => ("ping", json!(data)),
        Packet::Pong(data) => ("pong", json!(data)),
        Packet::Text(text) => ("message", json!(text)),
        Packet::Binary(bytes) => ("message", shown(bytes)),
        Packet::Upgrade => ("upgrade", Value::Null),
        Packet::Noop => ("noop", Value::Null),
    };
    let mut packet = json!({ "type": kind });
    // The official parser has no data where the text is empty.
    if !data.is_null() && data != json!("") {
        packet["data"] = data;
    }
    packet
}

fn without_empty(packet: &Value) -> Value {
    let mut packet = packet.clone();
    if packet["data"] == json!("") {
        packet.as_object_mut().unwrap().remove("data");
    }
    packet
}

#[test]
fn engine_io_packets() {
    for vector in list(&vectors("engine_io")["packets"]) {
        let expected = without_empty(&vector["packet"]);
        let text = vector["text"].as_str().unwrap();
        let mut packets = engine_io::decode_payload(text.as_bytes(), 1);
        let found = packets.next().unwrap().unwrap();
        assert_eq!(shown_engine(&found), expected);
        if let Some(text) = vector["websocket"].as_str() {
            let found = engine_io::decode_text(text).unwrap();
            assert_eq!(shown_engine(&found), expected);
        } else {
            assert_eq!(vector["websocket"], vector["packet"]["data"], "sent as it is");
        }
        let mut again = Vec::new();
        if let engine_io::Packet::Text(text) = &found {
            engine_io::encode_text(text, &mut again);
        } else if let engine_io::Packet::Binary(bytes) = &found {
            engine_io::encode_binary(bytes, &mut again);
        } else {
            continue;
        }
        assert_eq!(again, text.as_bytes());
    }
}

#[test]
fn engine_io_payloads() {
    for vector in list(&vectors("engine_io")["payloads"]) {
        let body = vector["text"].as_str().unwrap();
        let found: Vec<Value> = engine_io::decode_payload(body.as_bytes(), 100)
            .map(|packet| shown_engine(&packet.unwrap()))
            .collect();
        let expected: Vec<Value> = list(&vector["packets"]).iter().map(without_empty).collect();
        assert_eq!(found, expected);

        let mut again = Vec::new();
        for packet in body.split('\u{1e}') {
            engine_io::append_packet(packet.as_bytes(), &mut again);
        }
        assert_eq!(again, body.as_bytes());
    }
}

#[test]
fn engine_io_packets_of_revision_3() {
    for vector in list(&vectors("engine_io_v3")["packets"]) {
        let expected = without_empty(&vector["packet"]);
        let text = vector["text"].as_str().unwrap();
        assert_eq!(shown_engine(&engine_io_v3::decode_text(text).unwrap()), expected);
        match binary(&vector["websocket"]) {
            Some(bytes) => {
                let found = engine_io_v3::decode_binary(&bytes).unwrap();
                assert_eq!(shown_engine(&found), expected);
            }
            None => assert_eq!(vector["websocket"], vector["text"]),
        }
    }
}

#[test]
fn engine_io_payloads_of_revision_3() {
    for vector in list(&vectors("engine_io_v3")["payloads"]) {
        let expected: Vec<Value> = list(&vector["packets"]).iter().map(without_empty).collect();
        let text = vector["text"].as_str().unwrap();
        let raw = binary(&vector["binary"]).unwrap();
        let of_text: Vec<_> = engine_io_v3::decode_payload(text.as_bytes(), 100).collect();
        let of_raw: Vec<_> = engine_io_v3::decode_binary_payload(&raw, 100).collect();
        for packets in [&of_text, &of_raw] {
            let found: Vec<Value> =
                packets.iter().map(|packet| shown_engine(packet.as_ref().unwrap())).collect();
            assert_eq!(found, expected);
        }

        // Ours begin as packets of revision 4.
        let packets: Vec<Vec<u8>> = of_text.iter().flatten().map(revision_4).collect();
        let encode = |raw| engine_io_v3::encode_payload(packets.iter().map(Vec::as_slice), raw);
        assert_eq!(encode(false), engine_io_v3::Body::Text(text.to_owned()));
        if packets.iter().any(|packet| packet.starts_with(b"b")) {
            assert_eq!(encode(true), engine_io_v3::Body::Binary(raw.to_vec()));
        }
    }
}

fn revision_4(packet: &engine_io::Packet<'_>) -> Vec<u8> {
    use engine_io::Packet;
    let mut out = Vec::new();
    match packet {
        Packet::Text(text) => engine_io::encode_text(text, &mut out),
        Packet::Binary(bytes) => engine_io::encode_binary(bytes, &mut out),
        Packet::Open(text) | Packet::Ping(text) | Packet::Pong(text) => {
            out.push(b'0' + packet.kind() as u8);
            out.extend_from_slice(text.as_bytes());
        }
        Packet::Close | Packet::Upgrade | Packet::Noop => out.push(b'0' + packet.kind() as u8),
    }
    out
}

#[test]
fn messages_compressed_by_zlib() {
    for vector in list(&vectors("deflate")) {
        let mut frame = Vec::new();
        put_compressed(OpCode::Text, &binary(&vector["payload"]).unwrap(), &mut frame);
        let limits = websocket::Limits::default();
        let mut decoder = websocket::Decoder::new(Role::Client, limits).with_deflate();
        let mut messages = Vec::new();
        decoder.feed(&mut frame, &mut |message| messages.push(message)).unwrap();
        let text = vector["text"].as_str().unwrap().to_owned();
        assert_eq!(messages, [Message::Text(text)]);
    }
}

/// A value with attachments in place of their placeholders.
fn filled(value: Value, attachments: &[Bytes]) -> Value {
    match value {
        Value::Object(entries) if entries.get("_placeholder") == Some(&json!(true)) => {
            let num = entries["num"].as_u64().unwrap() as usize;
            attachments.get(num).map_or(Value::Object(entries), |bytes| shown(bytes))
        }
        Value::Object(entries) => Value::Object(
            entries.into_iter().map(|(key, inner)| (key, filled(inner, attachments))).collect(),
        ),
        Value::Array(inner) => inner.into_iter().map(|value| filled(value, attachments)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

/// A Socket.IO packet as the vectors show it.
fn shown_socket(packet: &Packet) -> Value {
    let parse = |json: &str| serde_json::from_str::<Value>(json).unwrap();
    let mut shown = Map::new();
    shown.insert("nsp".to_owned(), json!(packet.nsp()));
    let mut put = |key: &str, value: Value| drop(shown.insert(key.to_owned(), value));
    match packet {
        Packet::Connect { auth, .. } => {
            put("type", json!(0));
            if let Some(auth) = auth {
                put("data", parse(auth));
            }
        }
        Packet::Disconnect { .. } => put("type", json!(1)),
        Packet::Event { id, event, args, attachments, .. } => {
            let name = match event {
                socket_io::EventName::Text(name) => json!(name),
                socket_io::EventName::Number(number) => parse(number),
            };
            let values = args.iter().map(|arg| filled(parse(arg), attachments));
            put("type", json!(2));
            put("data", std::iter::once(name).chain(values).collect());
            if let Some(id) = id {
                put("id", json!(id));
            }
        }
        Packet::Ack { id, args, attachments, .. } => {
            put("type", json!(3));
            put("data", args.iter().map(|arg| filled(parse(arg), attachments)).collect());
            put("id", json!(id));
        }
        Packet::ConnectError { data, .. } => {
            put("type", json!(4));
            put("data", parse(data));
        }
    }
    Value::Object(shown)
}

/// The packet of a text message and the attachments after it.
fn decode_text(messages: &[Value]) -> Packet {
    let mut decoder = Decoder::new(Limits::default());
    let mut packet = None;
    for message in messages {
        assert_eq!(packet, None, "complete before its last message");
        packet = match binary(message) {
            Some(bytes) => decoder.binary(bytes).unwrap(),
            None => decoder.text(message.as_str().unwrap()).unwrap(),
        };
    }
    packet.expect("complete")
}

/// Whether `encode` of the packet gives the text again; `None` where our encoders never do.
fn encode(packet: &Packet) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match packet {
        Packet::Connect { nsp, auth } => socket_io::connect_request(nsp, auth.as_deref(), &mut out),
        Packet::Disconnect { nsp } => socket_io::disconnect(nsp, &mut out),
        Packet::Event { event: socket_io::EventName::Number(_), .. } => return None,
        Packet::Event { nsp, id, event, args, attachments } => {
            let (name, args) = (event.as_str(), [args.joined()]);
            match attachments.len() {
                0 => socket_io::event(nsp, *id, name, &args, &mut out),
                attachments => {
                    let head = BinaryHead { nsp, id: *id, attachments };
                    socket_io::binary_event(head, name, &args, &mut out);
                }
            }
        }
        Packet::Ack { nsp, id, args, attachments } => {
            let args = [args.joined()];
            match attachments.len() {
                0 => socket_io::ack(nsp, *id, &args, &mut out),
                attachments => {
                    let head = BinaryHead { nsp, id: Some(*id), attachments };
                    socket_io::binary_ack(head, &args, &mut out);
                }
            }
        }
        Packet::ConnectError { nsp, data } => {
            let error: Value = serde_json::from_str(data).unwrap();
            let message = error.get("message")?.as_str()?;
            let data = error.get("data").map(Value::to_string);
            socket_io::connect_error(nsp, message, data.as_deref(), &mut out);
        }
    }
    Some(out)
}

#[test]
fn socket_io_packets_of_both_revisions() {
    let mut written = 0;
    for section in ["socket_io", "socket_io_v4"] {
        for vector in list(&vectors(section)) {
            let messages = list(&vector["messages"]);
            let packet = decode_text(messages);
            assert_eq!(shown_socket(&packet), vector["packet"]);
            if let Some(out) = encode(&packet) {
                let expected = format!("4{}", messages[0].as_str().unwrap());
                assert_eq!(String::from_utf8(out).unwrap(), expected);
                written += 1;
            }
        }
    }
    assert!(written > 60);
}

/// Numbers as JavaScript sees them.
fn plain(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::from(number.as_f64()),
        Value::Array(inner) => inner.into_iter().map(plain).collect(),
        Value::Object(entries) => {
            entries.into_iter().map(|(key, value)| (key, plain(value))).collect()
        }
        Value::Null | Value::Bool(_) | Value::String(_) => value,
    }
}

#[test]
fn msgpack_packets_of_server_and_client() {
    let mut exact = 0;
    for vector in list(&vectors("socket_io_msgpack")) {
        let message = binary(&vector["msgpack"]).unwrap();
        let packet = msgpack::decode(&message, &Limits::default()).unwrap();
        assert_eq!(plain(shown_socket(&packet)), plain(vector["packet"].clone()));

        let messages = list(&vector["messages"]);
        let text = format!("4{}", messages[0].as_str().unwrap());
        let attachments: Vec<Bytes> = messages.iter().filter_map(binary).collect();
        let again = msgpack::transcode_with(text.as_bytes(), &attachments).unwrap();
        if vector["exact"] == json!(true) {
            assert_eq!(Bytes::from(again), message, "{text}");
            exact += 1;
        } else {
            // The same content without `options`, `undefined`, dates and with all digits.
            let again = msgpack::decode(&again, &Limits::default()).unwrap();
            assert_eq!(plain(shown_socket(&again)), plain(shown_socket(&decode_text(messages))));
        }
    }
    assert!(exact > 20);
}
