use mynah_domain::message::Position;
use mynah_domain::room::{RoomKind, Visibility};
use mynah_domain::{MessageId, RoomId, UserId};

use super::*;
use crate::vocabulary::command::{Command, Violation};
use crate::vocabulary::inbound::{SYNC_ROOMS_MAX, USERS_MAX};

#[track_caller]
fn read(vocabulary: &Vocabulary, event: &str, arguments: &[&str]) -> Command {
    let rule = vocabulary.inbound(event).unwrap();
    rule.read(arguments).unwrap_or_else(|violations| panic!("{arguments:?}: {violations:?}"))
}

/// What is wrong, as the client reads it.
#[track_caller]
fn wrong(vocabulary: &Vocabulary, event: &str, arguments: &[&str]) -> Vec<String> {
    match vocabulary.inbound(event).unwrap().read(arguments) {
        Ok(command) => panic!("{arguments:?} was taken: {command:?}"),
        Err(violations) => violations.into_iter().map(|v| v.message).collect(),
    }
}

fn room(id: &str) -> RoomId {
    RoomId::trusted(id)
}

#[test]
fn a_room_is_joined_by_object_or_bare_string() {
    let camel = built_in("camel");
    let joined = Command::JoinRoom { room: room("r1") };
    for argument in [
        r#"{"roomId":"r1"}"#,
        r#"{"room_id":"r1"}"#,
        r#"{"room":"r1"}"#,
        r#""r1""#,
        r#" { "x" : [1,{"roomId":"no"}], "roomId" : "r1" } "#,
        r#"{"roomId":null,"room":"r1"}"#,
        r#"{"roomId":"first","roomId":"r1"}"#,
        r#"{"room\u0049d":"\u0072\u0031"}"#,
    ] {
        assert_eq!(read(&camel, "joinRoom", &[argument]), joined, "{argument}");
    }
    for (arguments, said) in [
        (&[][..], "roomId should not be empty"),
        (&["null"], "roomId should not be empty"),
        (&["5"], "roomId must be a string"),
        (&[r#"{"roomId":5}"#], "roomId must be a string"),
        (&[r#"{"room":["r1"]}"#], "room must be a string"),
        (&[r#"{"roomId":""}"#], "roomId must be an id"),
        (&[r#"{"roomId":"a b"}"#], "roomId must be an id"),
        (&[r#""\ud800""#], "roomId must be a string"),
    ] {
        assert_eq!(wrong(&camel, "joinRoom", arguments), [said], "{arguments:?}");
    }
}

#[test]
fn a_message_is_read_with_everything_beside_it() {
    let camel = built_in("camel");
    let all = r#"{"room_id":"r1","text":"hi","message_type":"image",
        "metadata": {"b": 1.0, "a":"\ud83d\ude00\ud800"} ,"replyToId":"m0","tempId":"t"}"#;
    let Command::SendMessage { room, draft } = read(&camel, "sendMessage", &[all]) else {
        panic!("another command")
    };
    assert_eq!((room.as_str(), draft.content.as_str()), ("r1", "hi"));
    assert_eq!(draft.kind.as_deref(), Some("image"));
    let verbatim = r#"{"b": 1.0, "a":"\ud83d\ude00\ud800"}"#;
    assert_eq!(draft.metadata.as_deref(), Some(verbatim));
    assert_eq!(draft.reply_to, Some(MessageId::trusted("m0")));
    assert_eq!(draft.client_id.as_deref(), Some("t"));
    let least = r#"{"roomId":"r1","content":"","metadata":null,"clientId":null}"#;
    let Command::SendMessage { draft, .. } = read(&camel, "sendMessage", &[least]) else {
        panic!("another command")
    };
    let beside = (draft.kind, draft.metadata, draft.reply_to, draft.client_id);
    assert_eq!((draft.content.as_str(), beside), ("", (None, None, None, None)));
}

#[test]
fn a_client_id_may_be_a_number() {
    let native = built_in("native");
    for (given, kept) in [("17", "17"), ("1795255200000.123", "1795255200000.123"), ("-1", "-1")] {
        let event = format!(r#"{{"roomId":"r","content":"x","clientId":{given}}}"#);
        let Command::SendMessage { draft, .. } = read(&native, "message.send", &[&event]) else {
            panic!("another command")
        };
        assert_eq!(draft.client_id.as_deref(), Some(kept));
    }
    let event = r#"{"roomId":"r","content":"x","nonce":[1]}"#;
    assert_eq!(wrong(&native, "message.send", &[event]), ["nonce must be a string"]);
}

#[test]
fn all_that_is_wrong_is_said_in_the_words_of_the_client() {
    let camel = built_in("camel");
    let event = r#"{"room_id":1,"message":{},"messageType":2,"reply_to_id":"","tempId":true}"#;
    assert_eq!(
        wrong(&camel, "sendMessage", &[event]),
        [
            "room_id must be a string",
            "message must be a string",
            "messageType must be a string",
            "reply_to_id must be an id",
            "tempId must be a string",
        ]
    );
    for not_an_object in [&["[]"][..], &["\"text\""], &["1"], &[], &["{}"]] {
        assert_eq!(
            wrong(&camel, "sendMessage", not_an_object),
            ["roomId should not be empty", "content should not be empty"]
        );
    }
    let violations = camel.inbound("sendMessage").unwrap().read(&["{\"roomId\":\"r\"}"]);
    let empty = Violation {
        path: "content".to_owned(),
        code: "required",
        message: "content should not be empty".to_owned(),
    };
    assert_eq!(violations, Err(vec![empty]));
}

#[test]
fn half_an_emoji_is_refused_and_not_repaired() {
    let camel = built_in("camel");
    let event = |text: &str| format!(r#"{{"roomId":"r","content":"{text}"}}"#);
    for broken in [r"\ud800", r"\udc00", r"a\ud83dz", r"\ud800\u0041"] {
        let said = wrong(&camel, "sendMessage", &[&event(broken)]);
        assert_eq!(said, ["content must be a string"], "{broken}");
    }
    let whole = event(r"\ud83d\ude00");
    let Command::SendMessage { draft, .. } = read(&camel, "sendMessage", &[&whole]) else {
        panic!("another command")
    };
    assert_eq!(draft.content, "😀");
    let key = r#"{"\ud800":1,"roomId":"r"}"#;
    assert_eq!(wrong(&camel, "joinRoom", &[key]), ["roomId must be a string"]);
}

#[test]
fn paths_reach_into_objects_and_other_arguments() {
    let own = vocabulary(
        "[in.say]\ncommand = \"message.send\"\nack = {}\n\
         room = \"$0.to.room.id\"\ncontent = [\"$1.text\", \"$1\"]\n\
         [in.hush]\ncommand = \"typing\"\nack = {}\nroom = \"$0\"\nis_typing = false\n",
    );
    let to = r#"{"to":{"room":{"id":"r1"}}}"#;
    for second in [r#"{"text":"hi"}"#, r#""hi""#] {
        let Command::SendMessage { room, draft } = read(&own, "say", &[to, second]) else {
            panic!("another command")
        };
        assert_eq!((room.as_str(), draft.content.as_str()), ("r1", "hi"));
    }
    let said = wrong(&own, "say", &[r#"{"to":{"room":"r1"}}"#]);
    assert_eq!(said, ["to.room.id should not be empty", "text should not be empty"]);
    let constant = Command::Typing { room: room("r1"), is_typing: false };
    assert_eq!(read(&own, "hush", &["\"r1\""]), constant);
}

#[test]
fn marking_as_read_needs_a_room_or_a_message() {
    let native = built_in("native");
    let mark = |event: &str| read(&native, "room.read", &[event]);
    let here = || Some(room("r"));
    for (event, room, to) in [
        (r#"{"roomId":"r"}"#, here(), None),
        (r#"{"roomId":"r","seq":7}"#, here(), Some(Position::Seq(7))),
        (r#"{"roomId":"r","number":3,"seq":7}"#, here(), Some(Position::Number(3))),
        (r#"{"messageId":"m"}"#, None, Some(Position::Message(MessageId::trusted("m")))),
    ] {
        assert_eq!(mark(event), Command::MarkRead { room, to }, "{event}");
    }
    for (event, said) in [
        ("{}", "roomId should not be empty"),
        (r#"{"seq":7}"#, "roomId should not be empty"),
        (r#"{"roomId":7}"#, "roomId must be a string"),
        (r#"{"messageId":7}"#, "messageId must be a string"),
        (r#"{"roomId":"r","seq":-1}"#, "seq must be a whole number not below 0"),
        (r#"{"roomId":"r","seq":1.5}"#, "seq must be a whole number not below 0"),
        (r#"{"roomId":"r","number":"3"}"#, "number must be a whole number not below 0"),
    ] {
        assert_eq!(wrong(&native, "room.read", &[event]), [said], "{event}");
    }
}

#[test]
fn rooms_are_made_with_words_in_any_case() {
    let camel = built_in("camel");
    let event = r#"{"name":"Den","type":"CHANNEL","visibility":"Private","description":"d",
        "participants":["u1","u2"]}"#;
    let made = Command::CreateRoom {
        name: "Den".to_owned(),
        kind: RoomKind::Channel,
        visibility: Some(Visibility::Private),
        topic: Some("d".to_owned()),
        members: vec![UserId::trusted("u1"), UserId::trusted("u2")],
    };
    assert_eq!(read(&camel, "createRoom", &[event]), made);
    let event = r#"{"type":"cave","visibility":"dark","memberIds":[1]}"#;
    assert_eq!(
        wrong(&camel, "createRoom", &[event]),
        [
            "name should not be empty",
            "type must be one of the known words",
            "visibility must be one of the known words",
            "memberIds must be an array of ids",
        ]
    );
}

#[test]
fn typing_needs_a_truth_value() {
    let camel = built_in("camel");
    let typing = Command::Typing { room: room("r"), is_typing: true };
    assert_eq!(read(&camel, "typing", &[r#"{"roomId":"r","isTyping":true}"#]), typing);
    let said = wrong(&camel, "typing", &[r#"{"roomId":"r","is_typing":"true"}"#]);
    assert_eq!(said, ["is_typing must be a boolean value"]);
    assert_eq!(wrong(&camel, "typing", &[r#"{"roomId":"r"}"#]), ["isTyping should not be empty"]);
}

#[test]
fn lists_are_bounded_before_they_are_used() {
    let native = built_in("native");
    let users = |n: usize| format!(r#"{{"userIds":[{}]}}"#, vec!["\"u\""; n].join(","));
    assert!(matches!(
        read(&native, "presence.query", &[&users(USERS_MAX)]),
        Command::QueryPresence { users, room: None } if users.len() == USERS_MAX
    ));
    let said = wrong(&native, "presence.query", &[&users(USERS_MAX + 1)]);
    assert_eq!(said, ["userIds must have at most 500 entries"]);
    let rooms = |n: usize| {
        let rooms: Vec<String> = (0..n).map(|i| format!("\"r{i}\":{i}")).collect();
        format!(r#"{{"since":{{{}}}}}"#, rooms.join(","))
    };
    assert!(matches!(
        read(&native, "sync", &[&rooms(SYNC_ROOMS_MAX)]),
        Command::Sync { since, .. } if since.len() == SYNC_ROOMS_MAX
    ));
    let said = wrong(&native, "sync", &[&rooms(SYNC_ROOMS_MAX + 1)]);
    assert_eq!(said, ["since must have at most 500 rooms"]);
}

#[test]
fn a_room_is_caught_up_on_once() {
    let native = built_in("native");
    let since = vec![(room("b"), 2), (room("a"), 3)];
    let twice = r#"{"since":{"b":1,"a":3,"b":2}}"#;
    assert_eq!(read(&native, "sync", &[twice]), Command::Sync { since, epoch: None });
    for (event, said) in [
        ("{}", "since should not be empty"),
        (r#"{"since":5}"#, "since must be an object of last seq by room id"),
        (r#"{"since":["a"]}"#, "since must be an object of last seq by room id"),
        (r#"{"since":{"a":"5"}}"#, "since must hold a whole number for each room id"),
        (r#"{"since":{"a":null}}"#, "since must hold a whole number for each room id"),
        (r#"{"since":{"":5}}"#, "since must hold a whole number for each room id"),
    ] {
        assert_eq!(wrong(&native, "sync", &[event]), [said], "{event}");
    }
}

#[test]
fn a_command_without_inputs_takes_anything() {
    let native = built_in("native");
    for arguments in [&[][..], &["null"], &["{\"a\":1}", "2"]] {
        assert_eq!(read(&native, "ping", arguments), Command::Ping);
    }
}
