//! What is said in a room is heard in its channels, and the other way round.

use mynah_domain::ports::StoreError;
use mynah_domain::room::MembershipChange;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_message_is_heard_in_every_spelling_of_the_thread() {
    let house = House::new(100).await;
    let room = house.direct("ann", "bob").await;
    let (one, other) =
        (house.subscribe("ann", "ann--bob").await, house.subscribe("bob", "bob--ann").await);
    let sent = house.send("ann", &room, "hi").await;
    for (socket, key) in [(&one, "ann--bob"), (&other, "bob--ann")] {
        let heard = house.heard(socket).await;
        assert_eq!(heard.len(), 2, "{heard:?}");
        let (event, data) = &heard[1];
        assert_eq!(event, "tenant-user-message");
        assert_eq!(data["threadKey"], key);
        assert_eq!((&data["id"], &data["content"]), (&json!(sent.id.as_str()), &json!("hi")));
        assert_eq!((&data["senderId"], &data["recipientId"]), (&json!("ann"), &json!("bob")));
    }
}

#[tokio::test(start_paused = true)]
async fn who_subscribes_before_the_first_word_hears_it() {
    let house = House::new(100).await;
    let socket = house.subscribe("bob", "ann--bob").await;
    let room = house.direct("ann", "bob").await;
    house.send("ann", &room, "first").await;
    assert_eq!(house.texts(&socket).await, ["succeeded", "first"]);
}

#[tokio::test(start_paused = true)]
async fn another_room_is_a_thread_by_its_id() {
    let house = House::new(100).await;
    let wish = mynah_domain::chat::RoomWish {
        kind: mynah_domain::room::RoomKind::Group,
        visibility: None,
        name: "team".to_owned(),
        topic: None,
        members: vec![UserId::trusted("bob")],
    };
    let room = house.chat.create_room(&actor("ann"), wish).await.unwrap().view.room.id.clone();
    let socket = house.subscribe("bob", room.as_str()).await;
    house.send("ann", &room, "all").await;
    assert_eq!(house.texts(&socket).await, ["succeeded", "all"]);
    let refused = house.channels.claim(&house.app, &channel(room.as_str()), Some("eve")).await;
    assert!(matches!(refused.unwrap_err(), SubscribeRefused::Forbidden(_)));
    let ann = house.subscribe("ann", room.as_str()).await;
    let kick = MembershipChange::Kick { user: UserId::trusted("bob") };
    let before = house.chat.room(&actor("ann"), &room).await.unwrap().room.last_seq;
    house.chat.change_membership(&actor("ann"), &room, kick).await.unwrap();
    house.deliver(&actor("ann"), &room, before).await;
    assert_eq!(house.hub.members(&ann.session.topic).await, 1, "who was removed hears no more");
    let refused = house.channels.claim(&house.app, &channel(room.as_str()), Some("bob")).await;
    assert!(matches!(refused.unwrap_err(), SubscribeRefused::Forbidden(_)));
    house.chat.delete_room(&actor("ann"), &room).await.unwrap();
    house.threads.part(&room, None).await;
    assert_eq!(house.hub.members(&ann.session.topic).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_conversation_is_for_its_two_users_and_staff() {
    let house = House::new(100).await;
    house.direct("ann", "bob").await;
    let claim = |who: Option<&'static str>, name: ChannelName| {
        let house = &house;
        async move { house.channels.claim(&house.app, &name, who).await }
    };
    for key in ["ann--bob", "bob--ann"] {
        let refused = claim(Some("eve"), channel(key)).await.unwrap_err();
        assert!(matches!(refused, SubscribeRefused::Forbidden(_)), "{refused}");
    }
    assert!(claim(Some("ann"), channel("ann--bob")).await.unwrap().is_some());
    assert!(claim(Some("unknown"), channel("ann--bob")).await.unwrap().is_none(), "a plain one");
    assert!(claim(None, channel("ann--bob")).await.unwrap().is_none());
    let elsewhere = ChannelName::parse("presence-tenant.other.thread.ann--bob", 200).unwrap();
    assert!(claim(Some("ann"), elsewhere).await.unwrap().is_none());
    assert!(house.threads.is_empty(), "nothing is kept of a claim that was given up");
}

#[tokio::test(start_paused = true)]
async fn typing_goes_both_ways_and_is_never_echoed() {
    let house = House::new(100).await;
    let room = house.direct("ann", "bob").await;
    let (ann, bob) =
        (house.subscribe("ann", "ann--bob").await, house.subscribe("bob", "ann--bob").await);
    let said = raw(r#"{"userId":"somebody else","isTyping":true}"#);
    let fate = house.channels.client_event(&ann.session, &ann.claim, "client-typing", &said).await;
    assert_eq!(fate, Fate::Swallow, "it comes back from the room");
    assert_eq!(house.texts(&ann).await, ["succeeded"]);
    let heard = house.heard(&bob).await;
    let expected = json!({ "userId": "ann", "isTyping": true, "threadKey": "ann--bob" });
    assert_eq!(heard[1], ("client-typing".to_owned(), expected));
    let who =
        Profile { id: UserId::trusted("bob"), username: "bob".to_owned(), name: "bob".to_owned() };
    house.live.typing(&Arc::new(who), &room, true).await;
    assert_eq!(house.heard(&ann).await.len(), 1);
    let wrong = raw("{}");
    let fate = house.channels.client_event(&ann.session, &ann.claim, "client-typing", &wrong).await;
    assert!(matches!(fate, Fate::Refuse(_)), "{fate:?}");
    let other = raw("[1, 2]");
    let fate = house.channels.client_event(&ann.session, &ann.claim, "client-wave", &other).await;
    assert_eq!(fate, Fate::Relay("[1, 2]".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn typing_before_the_first_word_is_relayed_with_the_true_user() {
    let house = House::new(100).await;
    let ann = house.subscribe("ann", "ann--bob").await;
    let said = raw(r#"{"isTyping":true,"userId":"eve"}"#);
    let fate = house.channels.client_event(&ann.session, &ann.claim, "client-typing", &said).await;
    assert_eq!(fate, Fate::Relay(r#"{"isTyping":true,"userId":"ann"}"#.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_receipt_names_the_messages_it_newly_covers() {
    let house = House::new(100).await;
    let room = house.direct("ann", "bob").await;
    let mut ids = Vec::new();
    for n in 0..130 {
        ids.push(house.send("ann", &room, &n.to_string()).await.id.as_str().to_owned());
    }
    let socket = house.subscribe("ann", "ann--bob").await;
    for (to, covered) in [(3_u64, &ids[..3]), (130, &ids[3..])] {
        let to = Some(Position::Number(to));
        let cursor = house.chat.mark_read(&actor("bob"), room.clone(), to).await.unwrap();
        house.live.read_moved(&cursor).await;
        let heard = house.heard(&socket).await;
        let (event, data) = heard.last().unwrap();
        assert_eq!(event, "tenant-user-message-read");
        assert_eq!((&data["readerId"], &data["messageIds"]), (&json!("bob"), &json!(covered)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_refuses_nobody() {
    let house = House::new(100).await;
    house.direct("ann", "bob").await;
    let fails = async |error| {
        house.world.store.fail(error);
        let claim = house.channels.claim(&house.app, &channel("ann--bob"), Some("ann")).await;
        house.world.store.mend();
        claim.unwrap_err()
    };
    let away = StoreError::Unavailable("away".to_owned());
    assert_eq!(fails(away).await, SubscribeRefused::Undecided);
    let (table, id) = ("rooms", "7".to_owned());
    let wrong = StoreError::Inconsistent { table, id };
    assert_eq!(fails(wrong).await, SubscribeRefused::Broken, "asking again is no use");
}
