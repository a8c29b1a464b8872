//! History and read cursors.

use mynah_domain::RoomId;
use mynah_domain::chat::ChatError;
use mynah_domain::message::{
    Anchor, History, MoveReadCursor, Position, RECEIPT_MARKS_MAX, ReadCursor,
};
use mynah_domain::permission::{Actor, Denied, Guard, Operation};

use super::{Subject, reading};

async fn page(s: &Subject, actor: &Actor, room: &RoomId, anchor: Anchor, limit: u32) -> History {
    s.messages.history(reading(actor), room, anchor, limit).await.expect("read")
}

fn numbers(page: &History) -> Vec<u64> {
    page.items.iter().map(|m| m.number).collect()
}

async fn read(
    s: &Subject,
    actor: &Actor,
    room: &RoomId,
    to: Option<Position>,
) -> Result<ReadCursor, ChatError> {
    let guard = Guard::new(actor, Operation::MoveReadCursor);
    let wish = MoveReadCursor { room: room.clone(), to, at: s.tick() };
    s.messages.move_read_cursor(guard, wish).await
}

/// Newest first, each message once, and the ends are known.
pub async fn history_pages_meet_without_overlap(s: Subject) {
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    let empty = page(&s, &ada, &room, Anchor::Latest, 3).await;
    assert_eq!((empty.items.len(), empty.has_older, empty.has_newer), (0, false, false));
    for n in 1..=8 {
        s.say(&ada, &room, &format!("m{n}")).await;
    }
    let mut anchor = Anchor::Latest;
    let mut seen = Vec::new();
    loop {
        let found = page(&s, &ada, &room, anchor, 3).await;
        seen.extend(numbers(&found));
        assert_eq!(found.head_seq, 10);
        if !found.has_older {
            break;
        }
        anchor = Anchor::Before(Position::Number(*seen.last().expect("not empty")));
    }
    assert_eq!(seen, [8, 7, 6, 5, 4, 3, 2, 1]);
    let after = page(&s, &ada, &room, Anchor::After(Position::Number(2)), 3).await;
    assert_eq!((numbers(&after), after.has_older, after.has_newer), (vec![5, 4, 3], true, true));
    let end = page(&s, &ada, &room, Anchor::After(Position::Number(8)), 3).await;
    assert_eq!((end.items.len(), end.has_older, end.has_newer), (0, true, false));
    let start = page(&s, &ada, &room, Anchor::Before(Position::Number(1)), 3).await;
    assert_eq!((start.items.len(), start.has_older, start.has_newer), (0, false, true));
    for (centre, expected) in [(1, [3, 2, 1]), (4, [5, 4, 3]), (8, [8, 7, 6]), (99, [8, 7, 6])] {
        let around = page(&s, &ada, &room, Anchor::Around(Position::Number(centre)), 3).await;
        assert_eq!(numbers(&around), expected, "around {centre}");
    }
}

/// Events that are not messages have a `seq` too; an unknown message is an error.
pub async fn anchors_may_be_seq_number_or_id(s: Subject) {
    let ada = s.user("ada").await;
    let (room, other) = (s.group(&ada, &[], "r").await, s.group(&ada, &[], "o").await);
    let m1 = s.say(&ada, &room, "m1").await;
    s.edit(&ada, &m1.id, "changed").await.expect("edited");
    let m2 = s.say(&ada, &room, "m2").await;
    let m3 = s.say(&ada, &room, "m3").await;
    let at = async |anchor| numbers(&page(&s, &ada, &room, anchor, 2).await);
    let seq = |seq| Position::Seq(seq);
    assert_eq!(at(Anchor::Before(seq(m2.seq))).await, [1]);
    assert_eq!(at(Anchor::Before(seq(m2.seq - 1))).await, [1], "the edit lies between");
    assert_eq!(at(Anchor::After(seq(m2.seq - 1))).await, [3, 2]);
    assert_eq!(at(Anchor::After(seq(m1.seq))).await, [3, 2]);
    assert_eq!(at(Anchor::Around(seq(m2.seq))).await, [2, 1]);
    assert_eq!(at(Anchor::Before(seq(999))).await, [3, 2]);
    assert_eq!(at(Anchor::After(seq(0))).await, [2, 1]);
    assert_eq!(at(Anchor::Before(Position::Message(m3.id.clone()))).await, [2, 1]);
    assert_eq!(at(Anchor::After(Position::Message(m3.id))).await, [0_u64; 0]);
    let foreign = Anchor::Around(Position::Message(m1.id));
    let refused = s.messages.history(reading(&ada), &other, foreign, 2).await;
    assert_eq!(refused, Err(ChatError::MissingMessage));
}

/// By any position; never back, never beyond the head, and no event.
pub async fn cursors_only_move_forward(s: Subject) {
    let [ada, bob, eve] = s.users().await;
    let room = s.group(&ada, &[&bob], "r").await;
    let m1 = s.say(&ada, &room, "m1").await;
    s.say(&ada, &room, "m2").await;
    let m3 = s.say(&ada, &room, "m3").await;
    let head = s.journal.head_pos().await;
    let first = read(&s, &bob, &room, Some(Position::Message(m1.id.clone()))).await.expect("moved");
    assert_eq!((first.seq, first.number, first.moved), (m1.seq, 1, true));
    assert_eq!(first.from_seq, 0);
    assert_eq!(first.message.as_ref(), Some(&m1.id));
    let back = read(&s, &bob, &room, Some(Position::Number(0))).await.expect("stands");
    assert_eq!((back.number, back.moved, back.at), (1, false, first.at));
    let by_seq = read(&s, &bob, &room, Some(Position::Seq(m3.seq - 1))).await.expect("moved");
    assert_eq!((by_seq.number, by_seq.moved, by_seq.from_seq), (2, true, m1.seq));
    let list = s.rooms.rooms_of(&bob, 0, 1).await.expect("read");
    assert_eq!(list.items[0].unread(), 1);
    let end = read(&s, &bob, &room, Some(Position::Seq(9_999))).await.expect("moved");
    assert_eq!((end.seq, end.number, end.message), (m3.seq, 3, Some(m3.id)));
    assert!(!read(&s, &bob, &room, None).await.expect("stands").moved);
    let list = s.rooms.rooms_of(&bob, 0, 1).await.expect("read");
    assert_eq!(list.items[0].unread(), 0);
    assert_eq!(s.journal.head_pos().await, head);
    assert_eq!(read(&s, &eve, &room, None).await, Err(Denied::Hidden.into()));
    let unknown = Position::Message(mynah_domain::MessageId::trusted("unknown"));
    assert_eq!(read(&s, &bob, &room, Some(unknown)).await, Err(ChatError::MissingMessage));
}

/// Who writes has seen what stands above.
pub async fn sending_reads_what_came_before(s: Subject) {
    let [ada, bob] = s.users().await;
    let room = s.group(&ada, &[&bob], "r").await;
    let m1 = s.say(&ada, &room, "m1").await;
    let m2 = s.say(&bob, &room, "m2").await;
    let own = s.view(&bob, &room).await.membership.expect("in");
    assert_eq!((own.last_read_number, own.last_read_seq), (2, m2.seq));
    assert_eq!(own.last_read_at, Some(m2.created_at));
    let readers = s.messages.readers(reading(&ada), &m1.id).await.expect("read");
    assert_eq!(
        readers.iter().map(|r| (&r.user, r.at)).collect::<Vec<_>>(),
        [(&bob.user, m2.created_at)]
    );
    let ada_cursor = s.view(&ada, &room).await.membership.expect("in");
    assert_eq!(ada_cursor.last_read_number, 1);
}

/// Later moves do not change when a message was first covered; the author is no reader.
pub async fn readers_are_dated_by_their_first_cover(s: Subject) {
    let [ada, bob, eve] = s.users().await;
    let room = s.group(&ada, &[&bob, &eve], "r").await;
    let m1 = s.say(&ada, &room, "m1").await;
    let m2 = s.say(&ada, &room, "m2").await;
    let first = read(&s, &bob, &room, Some(Position::Number(1))).await.expect("moved");
    let second = read(&s, &bob, &room, None).await.expect("moved");
    let late = read(&s, &eve, &room, None).await.expect("moved");
    let readers = async |id| {
        let found = s.messages.readers(reading(&ada), id).await.expect("read");
        found.into_iter().map(|r| (r.user, r.at)).collect::<Vec<_>>()
    };
    let expected = [(bob.user.clone(), first.at), (eve.user.clone(), late.at)];
    assert_eq!(readers(&m1.id).await, expected);
    assert_eq!(readers(&m2.id).await, [(bob.user, second.at), (eve.user, late.at)]);
}

/// Old marks merge into later ones, so an old message is dated no earlier than it was read.
pub async fn marks_stay_bounded(s: Subject) {
    let [ada, bob] = s.users().await;
    let room = s.group(&ada, &[&bob], "r").await;
    let mut moves = Vec::new();
    let mut ids = Vec::new();
    for n in 0..RECEIPT_MARKS_MAX + 10 {
        ids.push(s.say(&ada, &room, &format!("m{n}")).await.id);
        moves.push(read(&s, &bob, &room, None).await.expect("moved").at);
    }
    let first = s.messages.readers(reading(&ada), &ids[0]).await.expect("read");
    assert_eq!(first[0].at, moves[10], "merged into the oldest mark kept");
    let kept = s.messages.readers(reading(&ada), &ids[20]).await.expect("read");
    assert_eq!(kept[0].at, moves[20]);
}
