//! Messages of Node servers as captured from `@socket.io/redis-adapter` 8.3.0 and `@socket.io/redis-emitter` 5.1.0, cut and
//! changed in every way.

#![expect(clippy::panic, reason = "a failed step is a failed test")]

#[path = "../../../fuzz/checks/socket_io_bus.rs"]
mod checks;

use mynah_cluster::socket_io::{Format, Heard, read_event, read_request};
use proptest::prelude::*;

/// `io.of("/chat").to("r1").emit("hello", 1)`
const CLASSIC: &[u8] = b"\x93\xa61gZu64\x83\xa4type\x02\xa4data\x92\xa5hello\x01\xa3nsp\xa5/chat\
    \x83\xa5rooms\x91\xa2r1\xa6except\x90\xa5flags\x80";
/// The same of the sharded adapter.
const SHARDED: &[u8] = br#"{"type":3,"data":{"packet":{"type":2,"data":["hello",1],"nsp":"/chat"},"opts":{"rooms":["r1"],"except":[],"flags":{}}},"uid":"0123456789abcdef","nsp":"/chat"}"#;
const REQUESTS: [&str; 8] = [
    r#"{"uid":"a","requestId":"b","type":5,"opts":{"rooms":["r1"],"except":[]}}"#,
    r#"{"uid":"a","type":2,"opts":{"rooms":[],"except":[]},"rooms":["r1",2]}"#,
    r#"{"uid":"a","type":4,"opts":{"rooms":[],"except":[]},"close":true}"#,
    r#"{"sid":"s","room":"r","requestId":"b","type":2}"#,
    r#"{"uid":"emitter","type":6,"data":["news",{"a":1}]}"#,
    r#"{"uid":"a","requestId":"b","type":1}"#,
    r#"{"uid":"a","requestId":"b","type":0,"rooms":["r1"]}"#,
    r#"{"uid":"a","type":99}"#,
];

#[test]
fn captured_events_are_read_in_both_formats() {
    for (format, input) in [(Format::Classic, CLASSIC), (Format::Sharded, SHARDED)] {
        let (_, heard) = read_event(format, input, "/chat").unwrap().unwrap();
        let Heard::Broadcast { target, emission, asker: None, .. } = heard else {
            panic!("{heard:?}")
        };
        assert_eq!((target.rooms, target.except.len()), (vec!["r1".to_owned()], 0));
        assert_eq!((emission.event.as_str(), emission.arguments.json), ("hello", vec!["1".into()]));
        assert_eq!(read_event(format, input, "/other"), Ok(None));
    }
}

#[test]
fn requests_are_read_those_of_later_versions_too() {
    for request in REQUESTS {
        let (_, heard) = read_request(request.as_bytes(), "/chat").unwrap();
        assert_eq!(heard == Heard::Other, request.contains("99"), "{request}");
    }
}

proptest! {
    #[test]
    fn nothing_that_is_cut_or_changed_does_harm(
        which in 0_usize..10,
        end in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let (kind, message) = match which {
            0 => (0, CLASSIC.to_vec()),
            1 => (1, SHARDED.to_vec()),
            other => (2, REQUESTS[other - 2].as_bytes().to_vec()),
        };
        let mut input = [vec![kind], message].concat();
        let length = input.len() - 1;
        input[1 + at.index(length)] = byte;
        checks::check(&input);
        input.truncate(end.index(input.len()));
        checks::check(&input);
    }

    #[test]
    fn nothing_at_all_does_harm(input in proptest::collection::vec(any::<u8>(), 0..200)) {
        checks::check(&input);
    }
}
