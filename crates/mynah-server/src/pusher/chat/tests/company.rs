//! What is heard of other nodes for channels that are rooms.

use mynah_cluster::{InProcess, Limits};

use super::*;
use crate::apps::Apps;
use crate::cluster::interests::{Interests, Wish};
use crate::cluster::people::Crowd;
use crate::cluster::streams;
use crate::cluster::voice::Voice;
use crate::pusher::Company;

/// Tells other nodes' channels apart that are wanted now and no more; nobody settles them.
fn connect(house: &House) -> Interests {
    let interests = Interests::default();
    let (broker, _events) = InProcess::new().join(Limits::default());
    let voice = Voice::new(broker);
    let ways = (voice.clone(), Crowd::new(voice), interests.clone());
    let apps = Apps::configured([], Arc::clone(&house.world.clock) as _);
    let company = Company::new(ways, apps, Arc::clone(&house.world.store) as _);
    house.threads.0.parts.channels.connect(company);
    interests
}

/// What has been wished since the last time, without the channel of answers, sorted.
async fn wishes(interests: &Interests) -> Vec<String> {
    let wished = interests.wishes().await.into_iter().map(|wish| match wish {
        Wish::Want(topic) => {
            interests.settle([&topic]);
            format!("+{topic}")
        }
        Wish::Unwant(topic) => format!("-{topic}"),
    });
    let mut wished: Vec<_> = wished.filter(|wish| !wish.starts_with("+a:")).collect();
    wished.sort();
    wished
}

fn inbox(user: &str) -> String {
    let stream = Stream::User(UserId::trusted(user));
    streams::channel(&TenantId::single(), &stream).to_string()
}

#[tokio::test(start_paused = true)]
async fn a_rooms_stream_is_heard_as_long_as_its_channel_is_subscribed() {
    let house = House::new(10).await;
    let interests = connect(&house);
    wishes(&interests).await;
    let room = house.direct("ann", "bob").await;
    let (socket, wished) = tokio::join!(house.subscribe("ann", "ann--bob"), wishes(&interests));
    assert_eq!(wished, [format!("+r:{room}")]);
    house.lose(&socket).await;
    drop(socket);
    assert_eq!(wishes(&interests).await, [format!("-r:{room}")]);
}

#[tokio::test(start_paused = true)]
async fn a_conversation_that_begins_on_another_node_is_heard_from_its_begin() {
    let house = House::new(10).await;
    let interests = connect(&house);
    wishes(&interests).await;
    let (socket, wished) = tokio::join!(house.subscribe("ann", "ann--bob"), wishes(&interests));
    assert_eq!(wished, [format!("+{}", inbox("ann")), format!("+{}", inbox("bob"))]);
    house.heard(&socket).await;
    // Of the room's own events none comes here before its stream is heard.
    let made = house.chat.open_direct(&actor("bob"), UserId::trusted("ann")).await.unwrap();
    let room = made.view.room.id.clone();
    let draft = |text: &str| Draft { content: text.to_owned(), ..Draft::default() };
    let say = async |text| {
        house.chat.send_message(&actor("bob"), room.clone(), draft(text)).await.unwrap().message
    };
    say("one").await;
    let page = house.chat.events_of(&actor("ann"), &[], 0, 100).await.unwrap();
    for event in &page.events {
        house.threads.event(event).await;
    }
    let second = say("two").await;
    house.deliver(&actor("bob"), &room, second.seq - 1).await;
    assert_eq!(house.texts(&socket).await, [""; 0], "not before what was said first");
    let wished = wishes(&interests).await;
    assert_eq!(
        wished,
        [format!("+r:{room}"), format!("-{}", inbox("ann")), format!("-{}", inbox("bob"))]
    );
    later().await;
    let third = say("three").await;
    house.deliver(&actor("bob"), &room, third.seq - 1).await;
    let texts = house.texts(&socket).await;
    let of_bob = |text: &&String| ["one", "two", "three"].contains(&text.as_str());
    let said: Vec<_> = texts.iter().filter(of_bob).collect();
    assert_eq!(said, ["one", "two", "three"], "{texts:?}");
}
