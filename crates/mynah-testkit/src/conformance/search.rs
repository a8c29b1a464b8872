//! Finding messages by words.

use std::sync::Arc;

use mynah_domain::account::NewAccount;
use mynah_domain::chat::ChatError;
use mynah_domain::message::{Anchor, Draft, Message, Position};
use mynah_domain::permission::{Actor, Denied, Guard, Operation};
use mynah_domain::ports::StoreError;
use mynah_domain::room::{MembershipChange, Role, RoomKind, Visibility};
use mynah_domain::search::{Feature, Found, Limit, MessageSearch, SearchWish};
use mynah_domain::text::InvalidText;
use mynah_domain::{MessageId, RoomId, TenantId, Timestamp, UserId};

use super::Subject;

impl Subject {
    /// Sends a text with an id.
    async fn tell(&self, actor: &Actor, room: &RoomId, (id, text): (&str, &str)) -> Message {
        let draft = Draft { content: text.to_owned(), ..Draft::default() };
        let sent = self.send(actor, room, (id, draft)).await.expect("sent");
        (*sent.message).clone()
    }

    /// Indexes what there is.
    async fn index(&self) {
        while self.search.unindexed().await.expect("counted") > 0 {
            self.search.index_messages(100).await.expect("indexed");
        }
    }

    async fn find(&self, actor: &Actor, wish: SearchWish) -> Result<Found, ChatError> {
        MessageSearch::new(self.search.clone()).search_messages(actor, wish).await
    }

    /// Ids of what is found, page by page.
    async fn ids(&self, actor: &Actor, mut wish: SearchWish) -> Vec<String> {
        let mut ids = Vec::new();
        loop {
            let found = self.find(actor, wish.clone()).await.expect("searched");
            ids.extend(found.items.iter().map(|item| item.message.id.as_str().to_owned()));
            let Some(next) = found.next else { return ids };
            wish.cursor = Some(next);
        }
    }

    /// Ids of what is found everywhere.
    async fn found(&self, actor: &Actor, text: &str) -> Vec<String> {
        self.ids(actor, words(text)).await
    }
}

fn words(text: &str) -> SearchWish {
    SearchWish { text: text.to_owned(), ..SearchWish::default() }
}

fn in_room(room: &RoomId, text: &str) -> SearchWish {
    SearchWish { room: Some(room.clone()), ..words(text) }
}

/// Case, accents and punctuation do not matter; each message is given whole, with what was found.
pub async fn words_are_found_however_they_are_written(s: Subject) {
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    let sent = s.tell(&ada, &room, ("m1", "Café <b>Straße</b> 12, e-mail me!")).await;
    s.tell(&ada, &room, ("m2", "東京タワー und Ёлка")).await;
    s.index().await;
    for query in ["cafe", "CAFÉ", "cafe\u{301}", "strasse", "\"e mail\"", "12 me", "e-mail"] {
        assert_eq!(s.found(&ada, query).await, ["m1"], "{query}");
    }
    for query in ["東京", "タワー", "елка", "ЁЛК"] {
        assert_eq!(s.found(&ada, query).await, ["m2"], "{query}");
    }
    let found = s.find(&ada, words("stras 12")).await.expect("searched");
    assert!(found.items.is_empty(), "only the last word may go on");
    let found = s.find(&ada, words("12 stras")).await.expect("searched");
    let item = &found.items[0];
    assert_eq!(item.message, sent);
    assert_eq!(item.snippet.text, sent.content, "text, not markup");
    assert_eq!(item.snippet.matches, [8..14, 19..21]);
    assert!(item.score > 0.0 && item.score <= 1.0);
}

/// All words, phrases, what is excluded; nothing to search for is refused.
pub async fn queries_narrow_down(s: Subject) {
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    for (id, text) in [
        ("m1", "New York is big"),
        ("m2", "York has a new bridge"),
        ("m3", "a big new bridge in New York"),
        ("m4", "newer"),
    ] {
        s.tell(&ada, &room, (id, text)).await;
    }
    s.index().await;
    for (query, ids) in [
        ("new", vec!["m4", "m3", "m2", "m1"]),
        ("\"new\"", vec!["m3", "m2", "m1"]),
        ("york new", vec!["m3", "m2", "m1"]),
        ("\"new york\"", vec!["m3", "m1"]),
        ("york -bridge", vec!["m1"]),
        ("-\"new york\" bridge", vec!["m2"]),
        ("-york -bridge newe", vec!["m4"]),
        ("bridge -big", vec!["m2"]),
        ("new -x", vec!["m3", "m2", "m1"]),
        ("nothing", vec![]),
    ] {
        assert_eq!(s.found(&ada, query).await, ids, "{query}");
    }
    let empty = s.find(&ada, words(" ! ")).await;
    assert_eq!(empty, Err(ChatError::Text(InvalidText::Empty { field: "q" })));
}

/// As for history: members only, whatever the room was before; staff by name; nobody in another tenant.
pub async fn only_rooms_that_may_be_read_are_searched(s: Subject) {
    let [ada, bob, eve] = s.users().await;
    let group = s.group(&ada, &[&bob, &eve], "group").await;
    let channel = s.channel(&ada, &[&bob], "channel").await;
    let made = s.try_room((&ada, &[&bob]), RoomKind::Direct, Visibility::Private, "direct").await;
    let direct = made.expect("room").view.room.id.clone();
    let invited = s.group(&ada, &[], "invited").await;
    for room in [&group, &channel, &direct, &invited] {
        s.tell(&ada, room, (&format!("in {}", room.as_str()), "secret word")).await;
    }
    let twin = NewAccount { tenant: TenantId::trusted("other"), ..s.account("u0") };
    let twin = s.accounts.create_account(twin).await.expect("the name is free there");
    let twin = Actor { tenant: twin.tenant, user: twin.id, role: Role::Owner };
    let invitation = MembershipChange::Invite { user: eve.user.clone() };
    s.change(&ada, &invited, invitation).await.expect("invited");
    s.index().await;
    let all = ["in invited", "in direct", "in channel", "in group"];
    assert_eq!(s.found(&ada, "secret").await, all);
    assert_eq!(s.found(&bob, "secret").await, all[1..]);
    assert_eq!(s.found(&eve, "secret").await, ["in group"]);
    assert_eq!(s.found(&twin, "secret").await, [""; 0]);
    let ghost = Actor { user: UserId::trusted("ghost"), ..eve.clone() };
    assert_eq!(s.found(&ghost, "secret").await, [""; 0]);
    assert_eq!(s.ids(&eve, in_room(&group, "word")).await, ["in group"]);
    let refused = async |actor: &Actor, room: &RoomId| {
        s.find(actor, in_room(room, "secret")).await.expect_err("refused")
    };
    assert_eq!(refused(&eve, &channel).await, Denied::NotMember.into());
    assert_eq!(refused(&eve, &direct).await, Denied::Hidden.into());
    assert_eq!(refused(&eve, &invited).await, Denied::NotMember.into());
    assert_eq!(refused(&twin, &group).await, Denied::Hidden.into());
    assert_eq!(refused(&eve, &RoomId::trusted("nowhere")).await, Denied::Hidden.into());
    let admin = Actor { role: Role::Admin, ..eve.clone() };
    assert_eq!(s.ids(&admin, in_room(&channel, "secret")).await, ["in channel"]);
    assert_eq!(s.found(&admin, "secret").await, ["in group"], "others must be named");
    assert_eq!(refused(&admin, &direct).await, Denied::Hidden.into());
    let ban = MembershipChange::Ban { user: eve.user.clone() };
    s.change(&ada, &group, ban).await.expect("banned");
    s.change(&bob, &channel, MembershipChange::Leave).await.expect("left");
    assert_eq!(s.found(&eve, "secret").await, [""; 0]);
    assert_eq!(refused(&eve, &group).await, Denied::Hidden.into());
    assert_eq!(s.found(&bob, "secret").await, ["in direct", "in group"]);
}

/// At once, before the index has heard of it, and afterwards.
pub async fn deleted_and_edited_texts_are_not_found(s: Subject) {
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    let gone = s.tell(&ada, &room, ("gone", "one word")).await;
    let changed = s.tell(&ada, &room, ("changed", "one word")).await;
    s.tell(&ada, &room, ("stays", "one word")).await;
    s.index().await;
    s.delete(&ada, &gone.id).await.expect("deleted");
    s.edit(&ada, &changed.id, "another word").await.expect("edited");
    assert_eq!(s.found(&ada, "one").await, ["stays"]);
    assert_eq!(s.found(&ada, "word").await, ["stays", "changed"]);
    s.index().await;
    assert_eq!(s.found(&ada, "one").await, ["stays"]);
    assert_eq!(s.found(&ada, "another").await, ["changed"]);
    let found = s.find(&ada, words("word")).await.expect("searched");
    let texts: Vec<&str> = found.items.iter().map(|i| i.message.content.as_str()).collect();
    assert_eq!(texts, ["one word", "another word"], "newest first by sending");
    s.edit(&ada, &changed.id, "one more").await.expect("edited");
    s.delete(&ada, &changed.id).await.expect("deleted");
    s.index().await;
    assert_eq!(s.found(&ada, "one").await, ["stays"]);
}

/// Whoever was in it; other rooms stay.
pub async fn deleted_rooms_leave_the_index(s: Subject) {
    let ada = s.user("ada").await;
    let (gone, stays) = (s.group(&ada, &[], "gone").await, s.group(&ada, &[], "stays").await);
    for n in 0..25 {
        s.tell(&ada, &gone, (&format!("g{n}"), "word")).await;
    }
    s.tell(&ada, &stays, ("m", "word")).await;
    s.index().await;
    assert_eq!(s.found(&ada, "word").await.len(), 26);
    let guard = Guard::new(&ada, Operation::DeleteRoom);
    s.rooms.delete_room(guard, &gone, s.tick()).await.expect("deleted");
    assert_eq!(s.found(&ada, "word").await, ["m"]);
    while s.search.unindexed().await.expect("counted") > 0 {
        s.search.index_messages(10).await.expect("indexed");
    }
    assert_eq!(s.found(&ada, "word").await, ["m"]);
    let refused = s.find(&ada, in_room(&gone, "word")).await;
    assert_eq!(refused, Err(Denied::Hidden.into()));
}

/// The index is behind, and knows by how much.
pub async fn what_is_not_indexed_is_not_found(s: Subject) {
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    s.index().await;
    assert_eq!(s.search.unindexed().await, Ok(0));
    s.tell(&ada, &room, ("m1", "word")).await;
    s.tell(&ada, &room, ("m2", "word")).await;
    assert!(s.search.unindexed().await.expect("counted") >= 2);
    assert_eq!(s.found(&ada, "word").await, [""; 0]);
    s.index().await;
    assert_eq!(s.found(&ada, "word").await, ["m2", "m1"]);
    let again = s.search.index_messages(10).await.expect("indexed");
    assert_eq!((again.events, again.more), (0, false));
}

/// Across rooms in the order of the log, without overlap or hole, also while more is said.
pub async fn pages_run_from_the_newest_and_meet(s: Subject) {
    let ada = s.user("ada").await;
    let mut rooms = Vec::new();
    for id in ["r0", "r1", "r2"] {
        rooms.push(s.group(&ada, &[], id).await);
    }
    let mut expected = Vec::new();
    for n in 0..45 {
        let text = if n % 5 == 0 { "other" } else { "word" };
        s.tell(&ada, &rooms[n * 7 % 3], (&format!("m{n}"), text)).await;
        expected.extend((n % 5 != 0).then(|| format!("m{n}")));
    }
    expected.reverse();
    s.index().await;
    let (mut ids, mut wish) = (Vec::new(), SearchWish { limit: Some(10), ..words("word") });
    loop {
        let found = s.find(&ada, wish.clone()).await.expect("searched");
        assert!(found.items.len() <= 10);
        ids.extend(found.items.iter().map(|item| item.message.id.as_str().to_owned()));
        s.tell(&ada, &rooms[0], (&format!("later {}", ids.len()), "word")).await;
        s.index().await;
        let Some(next) = found.next else { break };
        assert_eq!(found.items.len(), 10, "a page before the last is full");
        wish.cursor = Some(next);
    }
    assert_eq!(ids, expected);
    assert_eq!(s.ids(&ada, in_room(&rooms[1], "other")).await.len(), 3);
    let many = SearchWish { limit: Some(1_000), ..words("word") };
    assert_eq!(s.find(&ada, many).await.expect("searched").items.len(), 36 + 4);
}

/// By sender and by what a message has.
pub async fn filters_narrow_down(s: Subject) {
    let [ada, bob] = s.users().await;
    let room = s.group(&ada, &[&bob], "r").await;
    let first = s.tell(&ada, &room, ("plain", "word")).await;
    s.tell(&bob, &room, ("link", "word https://example.org")).await;
    let drafts = [
        ("image", Draft { kind: Some("image".into()), ..Draft::default() }),
        ("reply", Draft { reply_to: Some(first.id.clone()), ..Draft::default() }),
    ];
    for (id, draft) in drafts {
        let draft = Draft { content: "word".into(), ..draft };
        s.send(&ada, &room, (id, draft)).await.expect("sent");
    }
    s.index().await;
    let from = |actor: &Actor| SearchWish { from: Some(actor.user.clone()), ..words("word") };
    assert_eq!(s.ids(&ada, from(&bob)).await, ["link"]);
    assert_eq!(s.ids(&bob, from(&ada)).await, ["reply", "image", "plain"]);
    let nobody = SearchWish { from: Some(UserId::trusted("nobody")), ..words("word") };
    assert_eq!(s.ids(&bob, nobody).await, [""; 0]);
    for (feature, id) in
        [(Feature::Link, "link"), (Feature::Attachment, "image"), (Feature::Reply, "reply")]
    {
        let wish = SearchWish { has: vec![feature], ..words("word") };
        assert_eq!(s.ids(&ada, wish).await, [id]);
    }
    let both = SearchWish { has: vec![Feature::Link, Feature::Reply], ..words("word") };
    assert_eq!(s.ids(&ada, both).await, [""; 0]);
    s.edit(&bob, &MessageId::trusted("link"), "word without").await.expect("edited");
    let wish = SearchWish { has: vec![Feature::Link], ..words("word") };
    assert_eq!(s.ids(&ada, wish).await, [""; 0], "as it is now");
}

/// `before` and `after`, by place in the room and by time.
pub async fn places_and_times_are_ends(s: Subject) {
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    let other = s.group(&ada, &[], "o").await;
    let mut sent = Vec::new();
    for n in 1..=5 {
        sent.push(s.tell(&ada, &room, (&format!("m{n}"), "word")).await);
        s.edit(&ada, &sent[0].id, &format!("word {n}")).await.expect("edited");
    }
    s.tell(&ada, &other, ("elsewhere", "word")).await;
    s.index().await;
    let third = &sent[2];
    for place in [
        Position::Seq(third.seq),
        Position::Number(third.number),
        Position::Message(third.id.clone()),
    ] {
        let before = SearchWish { before: Some(Limit::Place(place.clone())), ..words("word") };
        let before = SearchWish { room: Some(room.clone()), ..before };
        assert_eq!(s.ids(&ada, before).await, ["m2", "m1"], "{place:?}");
        let after = SearchWish { after: Some(Limit::Place(place.clone())), ..words("word") };
        let after = SearchWish { room: Some(room.clone()), ..after };
        assert_eq!(s.ids(&ada, after).await, ["m5", "m4"], "{place:?}");
    }
    let at = Limit::Time(third.created_at);
    let before = SearchWish { before: Some(at.clone()), ..words("word") };
    assert_eq!(s.ids(&ada, before).await, ["m2", "m1"]);
    let after = SearchWish { after: Some(at.clone()), ..words("word") };
    assert_eq!(s.ids(&ada, after).await, ["elsewhere", "m5", "m4", "m3"]);
    let before = Some(Limit::Time(Timestamp(third.created_at.0 + 1)));
    let one = SearchWish { after: Some(at), before, ..words("word") };
    assert_eq!(s.ids(&ada, one).await, ["m3"]);
    let strange = Some(Limit::Place(Position::Message(MessageId::trusted("elsewhere"))));
    let refused = SearchWish { before: strange, ..in_room(&room, "word") };
    assert_eq!(s.find(&ada, refused).await, Err(ChatError::MissingMessage));
}

/// From the beginning, however small the steps, and from where it stood.
pub async fn the_index_catches_up_in_steps(s: Subject) {
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    for n in 0..20 {
        let sent = s.tell(&ada, &room, (&format!("m{n}"), "word")).await;
        if n % 3 == 0 {
            s.edit(&ada, &sent.id, "word again").await.expect("edited");
        }
        if n % 5 == 0 {
            s.delete(&ada, &sent.id).await.expect("deleted");
        }
    }
    let mut left = s.search.unindexed().await.expect("counted");
    while left > 0 {
        let step = s.search.index_messages(3).await.expect("indexed");
        assert!(step.events <= 3);
        let now = s.search.unindexed().await.expect("counted");
        assert!(now < left, "each step brings it further");
        assert_eq!(step.more, now > 0);
        left = now;
    }
    assert_eq!(s.found(&ada, "word").await.len(), 16);
    assert_eq!(s.found(&ada, "again").await.len(), 5);
}

/// More than an index is asked about by name: other people's are passed over all the same.
pub async fn many_rooms_are_searched(s: Subject) {
    let [ada, bob] = s.users().await;
    for n in 0..70 {
        let (own, others) = (format!("a{n}"), format!("b{n}"));
        for (user, id) in [(&ada, &own), (&bob, &others)] {
            let room = s.group(user, &[], id).await;
            s.tell(user, &room, (&format!("in {id}"), "word")).await;
        }
    }
    s.index().await;
    let expected: Vec<String> = (0..70).rev().map(|n| format!("in a{n}")).collect();
    assert_eq!(s.found(&ada, "word").await, expected);
    let from = SearchWish { from: Some(bob.user.clone()), ..words("word") };
    assert_eq!(s.ids(&ada, from).await, [""; 0]);
}

/// Several index at once while others write: each message is found once in the end.
pub async fn concurrent_indexing_misses_nothing(s: Subject) {
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    let s = Arc::new(s);
    let mut tasks = tokio::task::JoinSet::<Result<(), StoreError>>::new();
    for task in 0..4 {
        let (s, ada, room) = (s.clone(), ada.clone(), room.clone());
        tasks.spawn(async move {
            for n in 0..25 {
                s.tell(&ada, &room, (&format!("{task}-{n}"), "word")).await;
            }
            Ok(())
        });
    }
    for _ in 0..3 {
        let search = s.search.clone();
        tasks.spawn(async move {
            for _ in 0..20 {
                search.index_messages(10).await?;
            }
            Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        assert_eq!(done.expect("no panic"), Ok(()));
    }
    s.index().await;
    let mut ids = s.found(&ada, "word").await;
    let page = s.messages.history(super::reading(&ada), &room, Anchor::Latest, 200);
    let sent: Vec<String> =
        page.await.expect("read").items.iter().map(|m| m.id.as_str().to_owned()).collect();
    assert_eq!(ids, sent, "in the order of the log");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 100);
}

/// Whatever an engine's own language means, it is text.
pub async fn odd_texts_are_indexed(s: Subject) {
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    let many: Vec<String> = (0..9_000).map(|n| format!("w{n}")).collect();
    let odd = [
        ("quotes", "it's \"quoted\" \\'; DROP TABLE messages; --"),
        ("operators", "a & b | !c <-> d:* AND OR NOT NEAR words:x marks:y r1 s1"),
        ("nothing", "😀 … !"),
        ("zero", "zero\u{0}sign"),
        ("endless", &"x".repeat(60_000)),
        ("many", &many.join(" ")),
        ("often", &"often ".repeat(5_000)),
    ];
    for (id, text) in odd {
        s.tell(&ada, &room, (id, text)).await;
    }
    s.index().await;
    for (query, ids) in [
        ("it's drop", vec!["quotes"]),
        ("\"AND OR NOT\"", vec!["operators"]),
        ("near -not", vec![]),
        ("\"d and\"", vec!["operators"]),
        ("words:x", vec!["operators"]),
        ("r1", vec!["operators"]),
        ("sign", vec!["zero"]),
        (&"x".repeat(64), vec!["endless"]),
        ("\"w8998 w8999\"", vec!["many"]),
        ("w0 w1 w2 \"w5000\"", vec!["many"]),
        ("\"often often\"", vec!["often"]),
        ("'; SELECT", vec![]),
        ("a* OR w1", vec![]),
    ] {
        assert_eq!(s.found(&ada, query).await, ids, "{query}");
    }
}
