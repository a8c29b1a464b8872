use std::sync::Arc;

use mynah_domain::event::{Event, Fact};
use mynah_domain::message::Message;
use mynah_domain::recovery::LogEpoch;
use mynah_domain::room::{Profile, RoomKind};
use proptest::prelude::*;
use serde_json::json;

use super::*;

/// The arguments of a fact in a vocabulary that has this one template for it.
fn rendered(fact: &str, template: &str, subject: Subject<'_>) -> Value {
    let rule = format!("[out.\"{fact}\"]\nevent = \"e\"\nargs = [{template}]\n{SHAPES}");
    let said = event(&vocabulary(&rule), fact, subject).unwrap();
    said[1].clone()
}

const SHAPES: &str = "[shapes]\n\
    author = { id = \"$message.sender.id\", \"extra?\" = \"$message.reply_to_id\" }\n\
    base = { a = 1, b = \"$message.id\" }\n\
    more = { \"$with\" = \"@base\", c = 3 }\n";

fn created(message: Message) -> Event {
    sample::event(Fact::MessageCreated { message: Arc::new(message) })
}

#[test]
fn literals_of_every_kind_are_kept() {
    let template = r#"{ text = "a\"b", int = -5, float = 1.5, yes = true, list = [1, "x", []], nested = { a = { b = {} } } }"#;
    assert_eq!(
        rendered("typing", template, Subject::Done),
        json!({"text": "a\"b", "int": -5, "float": 1.5, "yes": true, "list": [1, "x", []],
            "nested": {"a": {"b": {}}}})
    );
}

#[test]
fn dollars_and_ats_can_be_written() {
    let template = r#"{ price = "$$5", at = "@@me", "$$each" = 1, "a?b" = 2, plain = "5$ @me" }"#;
    assert_eq!(
        rendered("typing", template, Subject::Done),
        json!({"price": "$5", "at": "@me", "$each": 1, "a?b": 2, "plain": "5$ @me"})
    );
}

#[test]
fn a_field_without_value_is_null_or_left_out() {
    let template = r#"{ reply = "$message.reply_to_id", "maybe?" = "$message.reply_to_id", "author?" = "@author" }"#;
    let event = created(sample::message());
    assert_eq!(
        rendered("message.created", template, Subject::Event(&event)),
        json!({"reply": null, "author": {"id": "user-ann"}})
    );
    let event = created(sample::edited());
    assert_eq!(
        rendered("message.created", template, Subject::Event(&event)),
        json!({"reply": "message-0", "maybe": "message-0",
            "author": {"id": "user-ann", "extra": "message-0"}})
    );
}

#[test]
fn an_optional_object_goes_with_its_first_field() {
    let template = r#"{ at = "$now", "user?" = { id = "$user.id", name = "$user.name" } }"#;
    let nobody = sample::event(Fact::RoomAdded {
        room: sample::room(),
        role: mynah_domain::room::Role::Member,
        peer: None,
    });
    assert_eq!(
        rendered("room.added", template, Subject::Event(&nobody)),
        json!({"at": "2026-11-21T10:00:09.000Z"})
    );
}

#[test]
fn a_shape_can_be_grown_and_changed() {
    let event = created(sample::message());
    let render = |template: &str| rendered("message.created", template, Subject::Event(&event));
    assert_eq!(render("\"@more\""), json!({"a": 1, "b": "message-1", "c": 3}));
    assert_eq!(
        render("{ \"$with\" = \"@more\", b = \"mine\", d = 4 }").to_string(),
        r#"{"a":1,"b":"mine","c":3,"d":4}"#,
        "each member once"
    );
    assert_eq!(
        render("{ \"$with\" = \"@base\", \"b?\" = \"$message.reply_to_id\" }"),
        json!({"a": 1})
    );
}

#[test]
fn words_are_translated_where_there_is_another() {
    let kind = |kind: RoomKind, template: &str| {
        let room = mynah_domain::room::Room { kind, ..(*sample::room()).clone() };
        rendered("room.opened", template, Subject::Room(&room))
    };
    let map = r#"{ "$map" = "room.kind", direct = "DIRECT", channel = "öffentlich \"1\"" }"#;
    assert_eq!(kind(RoomKind::Direct, map), json!("DIRECT"));
    assert_eq!(kind(RoomKind::Channel, map), json!("öffentlich \"1\""));
    assert_eq!(kind(RoomKind::Group, map), json!("group"), "no other word");
    let absent = r#"{ "$map" = "$room.topic", a = "b" }"#;
    assert_eq!(kind(RoomKind::Group, absent), Value::Null);
    let left_out = format!("{{ a = 1, \"b?\" = {absent} }}");
    assert_eq!(kind(RoomKind::Group, &left_out), json!({"a": 1}));
}

#[test]
fn lists_are_walked_oldest_first() {
    let (room, history) = (sample::room_id(), sample::history());
    let template =
        r#"{ "$each" = "history.messages", "$as" = { n = "$message.number", in = "$room_id" } }"#;
    assert_eq!(
        rendered("room.history", template, Subject::History(&room, &history)),
        json!([{"n": 11, "in": "room-1"}, {"n": 12, "in": "room-1"}])
    );
    let none = mynah_domain::message::History { items: Vec::new(), ..history };
    assert_eq!(rendered("room.history", template, Subject::History(&room, &none)), json!([]));
}

#[test]
fn what_was_missed_is_spelled_as_it_would_have_been() {
    let own = vocabulary(
        "[in.sync]\ncommand = \"sync\"\nsince = \"$0\"\n\
         ack = { \"$each\" = \"sync.events\", \"$as\" = [\"$event.name\", \"$event\"] }\n\
         [out.\"room.deleted\"]\nevent = \"gone\"\nargs = [\"$room_id\", 2]\n\
         [out.\"room.removed\"]\nevent = \"out\"\nargs = []\n",
    );
    let events = sample::events();
    let said = ack(&own, "sync", Subject::Sync(&events, &[], &[], LogEpoch::default()));
    assert_eq!(said, json!([["gone", "room-1"], ["out", null]]), "nothing without a spelling");
}

#[test]
fn stored_metadata_that_is_no_json_breaks_no_frame() {
    for (stored, shown) in [
        ("{\"a\":1", json!("{\"a\":1")),
        ("", json!("")),
        ("1,2", json!("1,2")),
        (" [1] ", json!([1])),
        ("{\"a\":\"\\ud83d\\ude00\"}", json!({"a": "😀"})),
    ] {
        let message = Message { metadata: Some(stored.to_owned()), ..sample::message() };
        let event = created(message);
        let said = rendered("message.created", "\"$message.metadata\"", Subject::Event(&event));
        assert_eq!(said, shown, "{stored}");
    }
}

#[test]
fn numbers_beyond_the_range_of_javascript_are_texts() {
    let event = created(sample::message());
    let said = rendered("message.created", "\"$event.pos\"", Subject::Event(&event));
    assert_eq!(said, json!("9007199254740993"));
}

#[test]
fn awkward_texts_are_escaped() {
    for text in [
        "\u{0}\u{1}\u{1f}\u{7f}\u{80}",
        "\"\\/\u{8}\u{c}\n\r\t",
        "</script>",
        "\u{2028}\u{2029}\u{feff}\u{202e}",
        "😀👩‍👩‍👧‍👦 é e\u{301} \u{10ffff}",
        "$message.id @author \u{1e}",
    ] {
        let message = Message { content: text.to_owned(), ..sample::message() };
        let event = created(message);
        let said = rendered("message.created", "\"$message.content\"", Subject::Event(&event));
        assert_eq!(said, json!(text));
    }
}

proptest! {
    #[test]
    fn any_texts_are_rendered_as_they_are(
        content in any::<String>(),
        name in any::<String>(),
        kind in any::<String>(),
        client_id in proptest::option::of(any::<String>()),
        numbers in any::<(u64, u64, u32)>(),
    ) {
        let (seq, number, edit_count) = numbers;
        let sender = Profile { name: name.clone(), ..(*sample::profile()).clone() };
        let message = Message {
            content: content.clone(),
            kind: kind.clone(),
            client_id: client_id.clone(),
            sender: Arc::new(sender),
            seq,
            number,
            edit_count,
            ..sample::message()
        };
        let happened = created(message);
        let subject = Subject::Event(&happened);
        let native = event(&built_in("native"), "message.created", subject).unwrap();
        let data = &native[1]["data"];
        prop_assert_eq!(&data["content"], &json!(content));
        prop_assert_eq!(&data["sender"]["name"], &json!(name));
        prop_assert_eq!(&data["kind"], &json!(kind));
        prop_assert_eq!(&data["clientId"], &json!(client_id));
        prop_assert_eq!(&data["seq"], &json!(seq));
        prop_assert_eq!(&data["number"], &json!(number));
        prop_assert_eq!(&data["editCount"], &json!(edit_count));
        let camel = event(&built_in("camel"), "message.created", subject).unwrap();
        prop_assert_eq!(&camel[1]["content"], &json!(content));
        prop_assert_eq!(camel[1].get("clientId").cloned(), client_id.map(Value::from));
    }

    #[test]
    fn any_refused_event_is_named_as_it_was(name in any::<String>(), text in any::<String>()) {
        let camel = built_in("camel");
        let mut failure = sample::refusal();
        failure.text.clone_from(&text);
        let scope = scope(&camel, Subject::Error(&failure, &name, None));
        let mut out = Vec::new();
        camel.write_error_event(&scope, Tail::default(), &mut out);
        let said = parsed(&out);
        prop_assert_eq!(&said[1]["cause"]["pattern"], &json!(name));
        prop_assert_eq!(&said[1]["message"], &json!(text));
    }
}
