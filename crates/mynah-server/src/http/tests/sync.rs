use mynah_domain::recovery::LogEpoch;

use super::*;

#[tokio::test]
async fn a_cursor_of_another_log_is_told_to_read_anew() {
    let door = Door::new();
    let (_, token) = door.register("ada").await;
    let begin = door.get(&token, "/v1/sync").await.expect(200);
    let cursor = text(&begin["next"]);
    door.channel(&token, "public").await;
    let since = async |cursor: &str| {
        let page = door.get(&token, &format!("/v1/sync?since={cursor}")).await.expect(200);
        (page["events"].as_array().unwrap().len(), page["gap"] == true, text(&page["next"]))
    };
    let (events, gap, next) = since(&cursor).await;
    assert_eq!((events, gap), (2, false));
    // The position alone, as events tell it.
    let (pos, _) = cursor.split_once('-').unwrap();
    assert_eq!(since(pos).await, (events, false, next.clone()));

    // As after a restore.
    let house = House { epoch: Arc::default(), ..door.house.clone() };
    house.epoch.set(LogEpoch(0xbeef)).unwrap();
    let restored = Door::of(Arc::clone(&door.world), house, HttpOptions::default());
    let page = restored.get(&token, &format!("/v1/sync?since={cursor}")).await.expect(200);
    assert_eq!((page["gap"] == true, page["events"].as_array().unwrap().len()), (true, 0));
    let next = text(&page["next"]);
    assert!(next.ends_with("-000000000000beef"), "{next}");
    let page = restored.get(&token, &format!("/v1/sync?since={next}")).await.expect(200);
    assert_eq!(page["gap"], false);
    restored.get(&token, "/v1/sync?since=yesterday").await.expect(400);
}
