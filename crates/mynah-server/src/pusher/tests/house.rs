//! Channels without sockets: members of the house, and time.

use mynah_protocol::pusher::presence::Member;

use super::*;

fn channels() -> (Channels, Arc<Notes>) {
    let channels = Channels::new(Hub::new(HubConfig::default()), &PusherConfig::default());
    let notes = Arc::new(Notes::default());
    channels.observe(Arc::clone(&notes) as _);
    (channels, notes)
}

fn member(id: &str) -> Member {
    Member { user_id: id.to_owned(), user_info: None }
}

/// Time passes, and what is due is done.
async fn pass(seconds: u64) {
    for _ in 0..seconds * 10 {
        tokio::time::advance(Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn members_of_the_house_count_like_one_socket_each() {
    let (channels, notes) = channels();
    let app = Arc::new(app("shop"));
    for _ in 0..3 {
        channels.house_member(&app, "presence-x", member("ada"), true).await;
    }
    channels.house_member(&app, "presence-x", member("bo"), true).await;
    channels.house_member(&app, "news", member("bo"), true).await;
    let info = channels.channel(&app.id, "presence-x").unwrap();
    assert_eq!((info.subscriptions, info.users), (2, Some(2)));
    for _ in 0..3 {
        channels.house_member(&app, "presence-x", member("ada"), false).await;
    }
    assert_eq!(channels.members(&app.id, "presence-x").unwrap().len(), 2, "may come back");
    pass(4).await;
    assert_eq!(channels.members(&app.id, "presence-x").unwrap().len(), 1);
    channels.house_member(&app, "presence-x", member("bo"), false).await;
    pass(4).await;
    assert_eq!(channels.channel(&app.id, "presence-x"), None);
    let channel: Arc<str> = "presence-x".into();
    let added = |id: &str| Happening::MemberAdded { channel: channel.clone(), user_id: id.into() };
    let removed =
        |id: &str| Happening::MemberRemoved { channel: channel.clone(), user_id: id.into() };
    assert_eq!(
        notes.take(),
        [
            Happening::ChannelOccupied { channel: channel.clone() },
            added("ada"),
            added("bo"),
            removed("ada"),
            Happening::ChannelVacated { channel: channel.clone() },
            removed("bo"),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_short_absence_is_none() {
    let (channels, notes) = channels();
    let app = Arc::new(app("shop"));
    channels.house_member(&app, "presence-x", member("ada"), true).await;
    notes.take();
    for _ in 0..3 {
        channels.house_member(&app, "presence-x", member("ada"), false).await;
        pass(2).await;
        channels.house_member(&app, "presence-x", member("ada"), true).await;
    }
    pass(10).await;
    let told = notes.take();
    let of_members = told.iter().filter(|what| {
        matches!(what, Happening::MemberAdded { .. } | Happening::MemberRemoved { .. })
    });
    assert_eq!(of_members.count(), 0, "{told:?}");
    assert_eq!(channels.members(&app.id, "presence-x").unwrap().len(), 1);
}
