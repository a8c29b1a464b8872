use mynah_domain::recovery::LogEpoch;
use mynah_domain::{MessageId, TenantId, UserId};
use serde_json::json;

use super::*;
use crate::vocabulary::command::CommandKind;
use crate::vocabulary::field::{Begun, Thread};

/// Every fact of a vocabulary, in the order of the sample.
fn spoken(vocabulary: &Vocabulary) -> Value {
    let mut said = Vec::new();
    for happened in sample::events() {
        let name = happened.fact.name();
        said.push((name, event(vocabulary, name, Subject::Event(&happened))));
    }
    let (room, presences) = (sample::room_id(), sample::presences());
    let (profile, cursor) = (sample::profile(), sample::cursor());
    let (rooms, history) = ([sample::room()], sample::history());
    let one = sample::room();
    for (name, subject) in [
        ("typing", Subject::Typing(&room, &profile, true)),
        ("presence", Subject::Presence(&presences[0])),
        ("presence", Subject::Presence(&presences[1])),
        ("receipt.read", Subject::Read(&cursor)),
        (
            "connection.ready",
            Subject::Ready(
                "sid",
                &profile,
                &rooms,
                Begun { recovered: false, epoch: LogEpoch(0xa1) },
            ),
        ),
        ("room.opened", Subject::Room(&one)),
        ("room.history", Subject::History(&room, &history)),
        ("room.resync", Subject::Room(&one)),
        ("session.expiring", Subject::Expiring(sample::at(8))),
        ("session.closed", Subject::Closing("signed out")),
    ] {
        said.push((name, event(vocabulary, name, subject)));
    }
    json!(said)
}

/// The answer to every inbound event, by name.
fn answers(vocabulary: &Vocabulary) -> Value {
    let (room, message, edited, deleted) =
        (sample::room(), sample::message(), sample::edited(), sample::deleted());
    let (user, cursor, presences) = (sample::user_id(), sample::cursor(), sample::presences());
    let next = [(sample::room_id(), 17), (sample::room_id(), 18)];
    let (next, gaps) = (&next[..1], [sample::room_id()]);
    let events = sample::events();
    let mut names: Vec<&str> = vocabulary.inbound_names().collect();
    names.sort_unstable();
    let mut answers = Vec::new();
    for name in names {
        let subject = match vocabulary.inbound(name).unwrap().command {
            CommandKind::SendMessage => Subject::Sent(&message, false),
            CommandKind::EditMessage => Subject::Message(&edited),
            CommandKind::DeleteMessage => Subject::Message(&deleted),
            CommandKind::JoinRoom | CommandKind::CreateRoom => Subject::Room(&room),
            CommandKind::LeaveRoom => Subject::InRoom(&room.id),
            CommandKind::InviteMember | CommandKind::KickMember => {
                Subject::Standing(&room.id, &user)
            }
            CommandKind::MarkRead => Subject::Read(&cursor),
            CommandKind::QueryPresence => Subject::Presences(&presences),
            CommandKind::Sync => Subject::Sync(&events[6..9], next, &gaps, LogEpoch(0xa1)),
            CommandKind::Typing | CommandKind::Ping => Subject::Done,
            CommandKind::Authenticate => Subject::Expiring(mynah_domain::Timestamp(9)),
        };
        answers.push((name, ack(vocabulary, name, subject)));
    }
    json!(answers)
}

/// Refusals: the answer and the event, of a limit and of wrong inputs.
fn refusals(vocabulary: &Vocabulary) -> Value {
    let mut said = Vec::new();
    for (failure, data) in [(sample::refusal(), None), (sample::invalid(), Some("{\"a\":1}"))] {
        let scope = scope(vocabulary, Subject::Error(&failure, "sendMessage", data));
        let (mut answer, mut event) = (Vec::new(), Vec::new());
        vocabulary.error.ack.render(&scope, &mut answer);
        assert!(vocabulary.write_error_event(&scope, Tail::default(), &mut event));
        said.push((parsed(&answer), parsed(&event)));
    }
    json!(said)
}

#[test]
fn camel_is_spelled_as_its_clients_know_it() {
    let camel = built_in("camel");
    insta::assert_json_snapshot!("camel_events", spoken(&camel));
    insta::assert_json_snapshot!("camel_answers", answers(&camel));
    insta::assert_json_snapshot!("camel_refusals", refusals(&camel));
}

#[test]
fn native_is_spelled_as_documented() {
    let native = built_in("native");
    insta::assert_json_snapshot!("native_events", spoken(&native));
    insta::assert_json_snapshot!("native_answers", answers(&native));
    insta::assert_json_snapshot!("native_refusals", refusals(&native));
}

/// A message has a recipient in a thread of two, and a read cursor names what it newly covers.
#[test]
fn thread_is_spelled_as_its_clients_know_it() {
    let vocabulary = built_in("thread");
    let (tenant, sender, other) =
        (TenantId::single(), sample::user_id(), UserId::trusted("user-2"));
    let covered = [MessageId::trusted("message-0"), MessageId::trusted("message-1")];
    let pair = Some((&other, &sender));
    let thread = Thread { tenant: &tenant, key: "user-2--user-ann", pair, covered: &covered };
    let say = |fact: &str, subject| {
        let mut out = Vec::new();
        let scope = Scope { thread: Some(thread), ..scope(&vocabulary, subject) };
        let spelled = vocabulary.write_event(fact, &scope, Tail::default(), &mut out);
        spelled.then(|| parsed(&out))
    };
    let (room, profile, cursor) = (sample::room_id(), sample::profile(), sample::cursor());
    let events = sample::events();
    let mut said: Vec<_> = events
        .iter()
        .filter_map(|happened| say(happened.fact.name(), Subject::Event(happened)))
        .collect();
    said.extend(say("typing", Subject::Typing(&room, &profile, true)));
    said.extend(say("receipt.read", Subject::Read(&cursor)));
    insta::assert_json_snapshot!("thread_events", said);
}

/// REST and sockets must not drift apart.
#[test]
fn native_events_are_those_of_the_rest_catch_up() {
    let native = built_in("native");
    for happened in sample::events() {
        let name = happened.fact.name();
        let rest = serde_json::to_value(crate::views::EventView::of(&happened)).unwrap();
        let said = event(&native, name, Subject::Event(&happened)).unwrap();
        assert_eq!(said, json!([name, rest]));
    }
}
