//! Writing, changing and removing messages.

use std::sync::Arc;

use mynah_domain::chat::ChatError;
use mynah_domain::message::{Anchor, Draft};
use mynah_domain::permission::{Actor, Denied, Guard, Operation};
use mynah_domain::room::{MembershipChange, Role};
use mynah_domain::{MessageId, RoomId};

use super::{Subject, reading};

fn draft(text: &str, client_id: Option<&str>) -> Draft {
    let client_id = client_id.map(ToOwned::to_owned);
    Draft { content: text.to_owned(), client_id, ..Draft::default() }
}

/// Many tasks, several rooms: every `seq` and `number` once, each writer's own order kept.
pub async fn concurrent_writers_leave_no_gaps(s: Subject) {
    let [ada, bob] = s.users().await;
    let mut rooms = Vec::new();
    for id in ["r0", "r1", "r2"] {
        rooms.push(s.group(&ada, &[&bob], id).await);
    }
    let s = Arc::new(s);
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..24 {
        let (s, rooms, actor) =
            (s.clone(), rooms.clone(), if task % 2 == 0 { ada.clone() } else { bob.clone() });
        tasks.spawn(async move {
            for n in 0..10 {
                let room = &rooms[(task + n) % rooms.len()];
                s.say(&actor, room, &format!("{task}-{n}")).await;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("a writer failed");
    }
    let mut total = 0;
    for room in &rooms {
        let events = s.replay(&ada, room).await;
        let seqs: Vec<u64> = events.iter().map(|e| e.seq).collect();
        assert_eq!(seqs, (1..=events.len() as u64).collect::<Vec<_>>());
        let anchor = Anchor::Latest;
        let page = s.messages.history(reading(&ada), room, anchor, 1_000).await.expect("read");
        let numbers: Vec<u64> = page.items.iter().rev().map(|m| m.number).collect();
        assert_eq!(numbers, (1..=page.items.len() as u64).collect::<Vec<_>>());
        let ascending = page.items.windows(2).all(|pair| pair[0].seq > pair[1].seq);
        assert!(ascending, "seq and number agree");
        total += page.items.len();
        let head = s.view(&ada, room).await.room;
        assert_eq!((head.last_seq, head.last_number), (seqs.len() as u64, numbers.len() as u64));
    }
    assert_eq!(total, 240);
    let positions: Vec<u64> = s.heard.events().iter().map(|e| e.pos).collect();
    assert!(positions.windows(2).all(|pair| pair[0] < pair[1]), "the log ascends");
}

/// For ever, also after an edit; another sender's or room's same client id is another message.
pub async fn a_repeat_returns_the_first_result(s: Subject) {
    let [ada, bob] = s.users().await;
    let room = s.group(&ada, &[&bob], "r").await;
    let other = s.group(&ada, &[&bob], "o").await;
    let first = s.send(&ada, &room, ("m1", draft("one", Some("c")))).await.expect("sent");
    assert!(!first.replayed);
    let head = s.journal.head_pos().await;
    let again = s.send(&ada, &room, ("m2", draft("two", Some("c")))).await.expect("repeated");
    assert!(again.replayed);
    assert_eq!(again.message, first.message);
    assert_eq!(s.journal.head_pos().await, head, "no event");
    s.edit(&ada, &first.message.id, "changed").await.expect("edited");
    let again = s.send(&ada, &room, ("m3", draft("one", Some("c")))).await.expect("repeated");
    assert_eq!(again.message.content, "changed", "as it is now");
    let theirs = s.send(&bob, &room, ("m4", draft("x", Some("c")))).await.expect("sent");
    let elsewhere = s.send(&ada, &other, ("m5", draft("x", Some("c")))).await.expect("sent");
    assert!(!theirs.replayed && !elsewhere.replayed);
    assert_eq!(theirs.message.number, 2, "repeats use up no number");
}

/// A hundred at once, one message.
pub async fn concurrent_repeats_store_one_message(s: Subject) {
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    let s = Arc::new(s);
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..100 {
        let (s, ada, room) = (s.clone(), ada.clone(), room.clone());
        tasks.spawn(async move {
            let id = format!("m{n}");
            s.send(&ada, &room, (&id, draft("x", Some("c")))).await.expect("answered")
        });
    }
    let answers = tasks.join_all().await;
    assert_eq!(answers.iter().filter(|a| !a.replayed).count(), 1);
    let ids: std::collections::HashSet<_> = answers.iter().map(|a| &a.message.id).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(s.view(&ada, &room).await.room.last_number, 1);
}

/// The guard is judged inside; what is refused leaves no trace.
pub async fn refusals_write_nothing(s: Subject) {
    let [ada, bob, eve] = s.users().await;
    let room = s.group(&ada, &[&bob], "r").await;
    let open = s.channel(&ada, &[], "open").await;
    let message = s.say(&bob, &room, "m").await;
    let (head, heard) = (s.journal.head_pos().await, s.heard.events().len());
    let before = s.view(&ada, &room).await;
    let hidden = Err(Denied::Hidden.into());
    assert_eq!(s.send(&eve, &room, ("x", draft("x", None))).await, hidden);
    let outside = s.send(&eve, &open, ("x", draft("x", None))).await;
    assert_eq!(outside, Err(Denied::NotMember.into()));
    let nowhere = s.send(&ada, &RoomId::trusted("nowhere"), ("x", draft("x", None))).await;
    assert_eq!(nowhere, Err(Denied::Hidden.into()));
    let ghost = Actor { user: mynah_domain::UserId::trusted("ghost"), ..eve.clone() };
    assert!(s.send(&ghost, &open, ("x", draft("x", None))).await.is_err());
    assert_eq!(s.edit(&ada, &message.id, "x").await, Err(Denied::NotAuthor.into()));
    let silent = MembershipChange::SetRole { user: bob.user.clone(), role: Role::Readonly };
    s.change(&ada, &room, silent).await.expect("set");
    assert_eq!(s.send(&bob, &room, ("x", draft("x", None))).await, Err(Denied::Role.into()));
    assert_eq!(s.delete(&bob, &message.id).await, Err(Denied::Role.into()));
    let told = s.heard.events();
    assert_eq!(told.len(), heard + 1, "only the change of rank");
    assert!(s.journal.head_pos().await.ok() > head.ok());
    assert_eq!(s.journal.head_pos().await.ok(), told.last().map(|e| e.pos));
    let after = s.view(&ada, &room).await;
    assert_eq!(after.room.last_number, before.room.last_number);
    let id = MessageId::trusted("x");
    let read = s.messages.message(reading(&ada), &id).await;
    assert_eq!(read, Err(ChatError::MissingMessage));
}

/// Queued one after the other without waiting, answered in any order, stored in order.
pub async fn calls_of_one_task_keep_their_order(s: Subject) {
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    let names: Vec<String> = (0..64).map(|n| format!("m{n}")).collect();
    let mut calls: Vec<_> =
        names.iter().map(|id| Box::pin(s.send(&ada, &room, (id, draft(id, None))))).collect();
    for call in &mut calls {
        // The first poll queues the write.
        let waker = std::task::Waker::noop();
        let polled = call.as_mut().poll(&mut std::task::Context::from_waker(waker));
        assert!(polled.is_pending() || polled.is_ready());
    }
    drop(calls);
    s.say(&ada, &room, "last").await;
    let page = s.messages.history(reading(&ada), &room, Anchor::Latest, 100).await.expect("read");
    let stored: Vec<_> = page.items.iter().rev().map(|m| m.id.as_str().to_owned()).collect();
    assert_eq!(stored, [names, vec!["last".to_owned()]].concat());
}

/// One that is there; tombstones will do.
pub async fn answers_need_a_target_in_the_room(s: Subject) {
    let ada = s.user("ada").await;
    let (room, other) = (s.group(&ada, &[], "r").await, s.group(&ada, &[], "o").await);
    let target = s.say(&ada, &room, "target").await;
    let answer = |id| Draft { reply_to: Some(id), ..draft("answer", None) };
    let sent = s.send(&ada, &room, ("a1", answer(target.id.clone()))).await.expect("sent");
    assert_eq!(sent.message.reply_to.as_ref(), Some(&target.id));
    let missing = Err(ChatError::MissingMessage);
    assert_eq!(s.send(&ada, &other, ("a2", answer(target.id.clone()))).await, missing);
    let unknown = MessageId::trusted("unknown");
    assert_eq!(s.send(&ada, &room, ("a3", answer(unknown))).await, missing);
    s.delete(&ada, &target.id).await.expect("deleted");
    assert!(s.send(&ada, &room, ("a4", answer(target.id))).await.is_ok());
}

/// Each text with its author and time; the same text again is nothing.
pub async fn edits_keep_the_earlier_texts(s: Subject) {
    let [ada, bob] = s.users().await;
    let room = s.group(&ada, &[&bob], "r").await;
    let full = Draft {
        kind: Some("image".into()),
        metadata: Some(r#"{"a":1}"#.into()),
        ..draft("one", Some("c"))
    };
    let sent = s.send(&ada, &room, ("m", full)).await.expect("sent").message;
    let texts = async || s.messages.revisions(reading(&bob), &sent.id).await.expect("read");
    assert_eq!(texts().await.len(), 1);
    let head = s.heard.events().len();
    s.edit(&ada, &sent.id, "two").await.expect("edited");
    let after = s.edit(&ada, &sent.id, "three").await.expect("edited");
    assert_eq!(s.edit(&ada, &sent.id, "three").await.as_ref(), Ok(&after));
    assert_eq!(s.names_since(head), ["message.updated", "message.updated"]);
    assert_eq!((after.edit_count, after.content.as_str()), (2, "three"));
    assert_eq!((after.seq, after.number), (sent.seq, sent.number));
    assert_eq!((after.kind.as_str(), &after.metadata), ("image", &sent.metadata));
    assert_eq!(s.messages.message(reading(&bob), &sent.id).await, Ok(after.clone()));
    let all = texts().await;
    let said: Vec<_> = all.iter().map(|r| (r.rev, r.content.as_str())).collect();
    assert_eq!(said, [(0, "one"), (1, "two"), (2, "three")]);
    assert!(all.iter().all(|r| r.edited_by == ada.user));
    assert_eq!((all[0].at, Some(all[2].at)), (sent.created_at, after.edited_at));
}

/// Text, metadata and revisions are gone from everywhere; place and number stay.
pub async fn deletion_leaves_a_tombstone_only(s: Subject) {
    let [ada, bob] = s.users().await;
    let room = s.group(&ada, &[&bob], "r").await;
    let full = Draft { metadata: Some("{}".into()), ..draft("secret one", None) };
    let sent = s.send(&bob, &room, ("m", full)).await.expect("sent").message;
    s.say(&ada, &room, "next").await;
    s.edit(&bob, &sent.id, "secret two").await.expect("edited");
    let gone = s.delete(&ada, &sent.id).await.expect("the owner may");
    assert_eq!((gone.content.as_str(), &gone.metadata), ("", &None));
    assert!(gone.deleted_at.is_some());
    let head = s.journal.head_pos().await;
    assert_eq!(s.delete(&bob, &sent.id).await.as_ref(), Ok(&gone), "again is nothing");
    assert_eq!(s.journal.head_pos().await, head);
    assert_eq!(s.edit(&bob, &sent.id, "x").await, Err(ChatError::MissingMessage));
    let page = s.messages.history(reading(&bob), &room, Anchor::Latest, 9).await.expect("read");
    assert_eq!(page.items[1], gone, "it keeps its place");
    assert_eq!(s.messages.revisions(reading(&bob), &sent.id).await, Ok(vec![]));
    let replay = format!("{:?}", s.replay(&bob, &room).await);
    assert!(!replay.contains("secret"), "{replay}");
    let log = s.journal.events_for(&bob, 0, 100).await.expect("read");
    assert!(!format!("{log:?}").contains("secret"));
}

/// Same answer as for an id that was never given out.
pub async fn messages_of_hidden_rooms_do_not_exist(s: Subject) {
    let [ada, eve] = s.users().await;
    let room = s.group(&ada, &[], "r").await;
    let m = s.say(&ada, &room, "m").await;
    let guard = reading(&eve);
    assert_eq!(s.messages.message(guard.clone(), &m.id).await, Err(ChatError::MissingMessage));
    assert_eq!(s.messages.revisions(guard.clone(), &m.id).await, Err(ChatError::MissingMessage));
    assert_eq!(s.messages.readers(guard, &m.id).await, Err(ChatError::MissingMessage));
    assert_eq!(s.edit(&eve, &m.id, "x").await, Err(ChatError::MissingMessage));
    assert_eq!(s.delete(&eve, &m.id).await, Err(ChatError::MissingMessage));
    let guard = Guard::new(&eve, Operation::ReadHistory);
    let history = s.messages.history(guard, &room, Anchor::Latest, 9).await;
    assert_eq!(history, Err(Denied::Hidden.into()));
}
