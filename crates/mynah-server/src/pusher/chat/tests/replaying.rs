//! What a socket missed that comes back.

use super::*;

impl House {
    /// The peer's library answers what it was asked last.
    fn answer(&self, socket: &Socket) {
        let replays = self.channels.0.replays.as_ref().unwrap();
        let number = replays.last_question(socket.session.id);
        self.channels.ponged(socket.session.id, &number.to_be_bytes());
    }

    /// Waits until a socket is asked something new, and answers.
    async fn answer_next(&self, socket: &Socket) {
        let replays = self.channels.0.replays.as_ref().unwrap();
        let before = replays.last_question(socket.session.id);
        while replays.last_question(socket.session.id) == before {
            later().await;
        }
        self.answer(socket);
    }
}

#[tokio::test(start_paused = true)]
async fn who_was_lost_gets_what_was_said_meanwhile_once() {
    let house = House::new(100).await;
    let room = house.direct("ann", "bob").await;
    let before = house.subscribe("bob", "ann--bob").await;
    house.send("ann", &room, "one").await;
    assert_eq!(house.texts(&before).await, ["succeeded", "one"]);
    house.answer_next(&before).await;
    house.lose(&before).await;
    for text in ["two", "three"] {
        house.send("ann", &room, text).await;
    }
    let after = house.subscribe("bob", "ann--bob").await;
    house.send("ann", &room, "four").await;
    assert_eq!(house.texts(&after).await, ["succeeded", "two", "three", "four"]);
    let another = house.subscribe("bob", "bob--ann").await;
    assert_eq!(house.texts(&another).await, ["succeeded"], "another channel was never lost");
}

#[tokio::test(start_paused = true)]
async fn what_was_not_confirmed_is_said_again() {
    let house = House::new(100).await;
    let room = house.direct("ann", "bob").await;
    let before = house.subscribe("bob", "ann--bob").await;
    house.send("ann", &room, "into the void").await;
    house.lose(&before).await;
    let after = house.subscribe("bob", "ann--bob").await;
    assert_eq!(house.texts(&after).await, ["succeeded", "into the void"]);
}

#[tokio::test(start_paused = true)]
async fn a_second_page_has_missed_nothing() {
    let house = House::new(100).await;
    let room = house.direct("ann", "bob").await;
    let first = house.subscribe("bob", "ann--bob").await;
    house.answer_next(&first).await;
    house.send("ann", &room, "old").await;
    let second = house.begin("bob", "ann--bob").await;
    house.answer_next(&first).await;
    house.settle(&second).await;
    house.send("ann", &room, "new").await;
    assert_eq!(house.texts(&second).await, ["succeeded", "new"]);
    assert_eq!(house.texts(&first).await, ["succeeded", "old", "new"]);
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_does_not_answer_gives_its_place_to_the_next() {
    let house = House::new(100).await;
    let room = house.direct("ann", "bob").await;
    let dead = house.subscribe("bob", "ann--bob").await;
    house.answer_next(&dead).await;
    house.send("ann", &room, "unheard").await;
    let next = house.subscribe("bob", "ann--bob").await;
    assert_eq!(house.texts(&next).await, ["succeeded", "unheard"]);
    house.lose(&dead).await;
    let third = house.begin("bob", "ann--bob").await;
    house.answer_next(&next).await;
    house.settle(&third).await;
    assert_eq!(house.texts(&third).await, ["succeeded"], "the place was given away");
}

#[tokio::test(start_paused = true)]
async fn who_left_or_is_another_user_gets_nothing() {
    let house = House::new(100).await;
    let room = house.direct("ann", "bob").await;
    let left = house.subscribe("bob", "ann--bob").await;
    house.channels.ended(&left.session, &left.claim, Ending::Left).await;
    let lost = house.subscribe("ann", "ann--bob").await;
    house.lose(&lost).await;
    house.send("ann", &room, "meanwhile").await;
    let bob = house.subscribe("bob", "ann--bob").await;
    assert_eq!(house.texts(&bob).await, ["succeeded"]);
}

#[tokio::test(start_paused = true)]
async fn after_too_much_the_client_is_told_to_read_anew() {
    let house = House::new(3).await;
    let room = house.direct("ann", "bob").await;
    let before = house.subscribe("bob", "ann--bob").await;
    house.answer_next(&before).await;
    house.lose(&before).await;
    for n in 0..4 {
        house.send("ann", &room, &n.to_string()).await;
    }
    let after = house.subscribe("bob", "ann--bob").await;
    assert_eq!(house.texts(&after).await, ["succeeded", "tenant-user-messages-resync"]);
}

#[tokio::test(start_paused = true)]
async fn who_is_lost_again_before_confirming_still_gets_everything() {
    let house = House::new(100).await;
    let room = house.direct("ann", "bob").await;
    let first = house.subscribe("bob", "ann--bob").await;
    house.answer_next(&first).await;
    house.lose(&first).await;
    house.send("ann", &room, "one").await;
    let second = house.subscribe("bob", "ann--bob").await;
    house.lose(&second).await;
    house.send("ann", &room, "two").await;
    let third = house.subscribe("bob", "ann--bob").await;
    assert_eq!(house.texts(&third).await, ["succeeded", "one", "two"]);
    house.answer(&third);
    house.lose(&third).await;
    let fourth = house.subscribe("bob", "ann--bob").await;
    assert_eq!(house.texts(&fourth).await, ["succeeded"], "confirmed");
}
