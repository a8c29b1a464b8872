//! A message takes its time: what its client does meanwhile.

use super::leaving::{Client, serve};
use super::*;

/// A client whose first message waits for the gate.
async fn waiting() -> (House, Client) {
    let house = House::new();
    let mut client = Client::connect(serve(&house).await, "EIO=4").await;
    assert!(client.text().await.starts_with("0{"));
    client.send("4wait").await;
    house.until(|heard| heard.begun == 1).await;
    (house, client)
}

impl House {
    /// Waits until whoever works for the session can see that nobody waits for it.
    async fn until_gone(&self) {
        self.until(|heard| heard.peers.iter().all(Peer::is_gone)).await;
    }
}

#[tokio::test]
async fn who_gives_up_is_known_to_be_gone_and_its_message_is_carried_to_its_end() {
    for goodbye in [None, Some("3"), Some("1")] {
        let (house, mut client) = waiting().await;
        if let Some(goodbye) = goodbye {
            client.send(goodbye).await;
        }
        drop(client);
        house.until_gone().await;
        assert_eq!(house.heard.lock().closed, 0);
        house.gate.add_permits(1);
        house.until(|heard| heard.closed == 1).await;
        assert_eq!(house.heard.lock().texts, ["wait"], "{goodbye:?}");
    }
}

#[tokio::test]
async fn what_is_said_meanwhile_is_done_afterwards_although_its_client_has_gone() {
    let (house, mut client) = waiting().await;
    let long = "x".repeat(1_000);
    for n in 0..200 {
        client.send(&format!("4{n} {long}")).await;
    }
    drop(client);
    house.gate.add_permits(1);
    house.until(|heard| heard.closed == 1).await;
    let heard = house.heard.lock();
    assert_eq!(heard.texts.len(), 201);
    let said = heard.texts.iter().skip(1).enumerate();
    assert!(said.into_iter().all(|(n, text)| text.starts_with(&format!("{n} x"))));
}
