//! A session is ended while its client moves from polling to a WebSocket: what was said last arrives,
//! whichever of the two is read then.

use mynah_hub::Frame;
use mynah_protocol::websocket::{self, Message};

use super::leaving::{Client, serve};
use super::*;

const LAST: &str = "41";

/// Says `41`, then the end; over polling the end is not said.
fn last() -> Frame {
    let mut stream = frames::text(LAST.as_bytes()).stream().to_vec();
    websocket::encode_close(1000, "", &mut stream);
    Frame::new(stream.into(), Bytes::from_static(LAST.as_bytes()))
}

/// A polling session whose client has begun to move.
struct Moving {
    house: House,
    sid: String,
    id: SessionId,
    socket: Client,
}

impl Moving {
    /// The server has answered the probe.
    async fn probed() -> Self {
        let house = House::new();
        let address = serve(&house).await;
        let sid = house.open().await;
        let id = house.edge.registry.find(&sid[5..]).unwrap().line.id;
        let mut socket = Client::connect(address, &format!("EIO=4{sid}")).await;
        socket.send("2probe").await;
        assert_eq!(socket.text().await, "3probe");
        Self { house, sid, id, socket }
    }

    async fn send(&self, packet: &str) {
        let frame = frames::text(packet.as_bytes());
        self.house.edge.hub.send(self.id, frame, mynah_hub::Class::Durable).await;
    }

    /// Ends the session, and waits until the hub has done so.
    async fn end(&self) {
        let (hub, reason) = (&self.house.edge.hub, CloseReason::Named("signed out"));
        hub.close(self.id, Close { reason, last: Some(last()) }).await;
        hub.members(&Topic::new("barrier")).await;
    }

    async fn poll(&self) -> Response {
        self.house.call("GET", &self.sid, "").await
    }

    /// The text of the next poll that says more than a noop.
    async fn polled(&self) -> String {
        loop {
            let answer = text(self.poll().await).await;
            let said: Vec<&str> = answer.split('\u{1e}').filter(|packet| *packet != "6").collect();
            if !said.is_empty() {
                return said.join(" ");
            }
        }
    }

    /// The last words come over the WebSocket, which then ends; nothing is left behind.
    async fn ends_on_the_socket(mut self) {
        assert_eq!(self.socket.text().await, LAST);
        let message = self.socket.next().await;
        assert!(matches!(message, Message::Close { code: Some(1000), .. }), "{message:?}");
        drop(self.socket);
        self.house.is_empty_of(&self.sid).await;
    }
}

impl House {
    /// Waits until a session has left nothing behind.
    async fn is_empty_of(&self, sid: &str) {
        self.until(|heard| heard.closed == 1).await;
        while self.edge.registry.find(&sid[5..]).is_some() {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn ended_between_the_probe_and_the_upgrade_while_nobody_polls() {
    let mut moving = Moving::probed().await;
    moving.end().await;
    // Its state has been said goodbye to before the client goes on.
    moving.house.until(|heard| heard.closed == 1).await;
    moving.socket.send("5").await;
    moving.ends_on_the_socket().await;
}

#[tokio::test]
async fn ended_between_the_probe_and_the_upgrade_with_more_to_say() {
    let mut moving = Moving::probed().await;
    moving.send("4more").await;
    moving.end().await;
    // The answer that the client waited for before it moves on; the end is not in it.
    assert_eq!(moving.polled().await, "4more");
    moving.socket.send("5").await;
    moving.ends_on_the_socket().await;
}

#[tokio::test]
async fn ended_between_the_probe_and_the_upgrade_but_the_client_polls_on() {
    let moving = Moving::probed().await;
    moving.end().await;
    assert_eq!(moving.polled().await, LAST);
    assert_eq!(moving.poll().await.status(), StatusCode::BAD_REQUEST);
    moving.house.is_empty_of(&moving.sid).await;
}

#[tokio::test]
async fn ended_while_a_poll_waits_and_the_upgrade_comes_too_late() {
    let mut moving = Moving::probed().await;
    let (polled, ()) = tokio::join!(moving.polled(), async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        moving.end().await;
    });
    assert_eq!(polled, LAST);
    moving.house.is_empty_of(&moving.sid).await;
    moving.socket.send("5").await;
    // There is nothing more to say: the connection ends.
    moving.socket.ended().await;
}

#[tokio::test]
async fn ended_when_the_upgrade_is_on_its_way() {
    // Either side may be first; the client hears the same.
    for _ in 0..20 {
        let mut moving = Moving::probed().await;
        moving.socket.send("5").await;
        moving.end().await;
        moving.ends_on_the_socket().await;
    }
}

#[tokio::test]
async fn ended_after_the_upgrade() {
    let mut moving = Moving::probed().await;
    moving.socket.send("5").await;
    moving.socket.send("4echo").await;
    assert_eq!(moving.socket.text().await, "4back");
    assert_eq!(moving.socket.next().await, Message::Binary(BYTES.into()));
    moving.end().await;
    moving.ends_on_the_socket().await;
}

#[tokio::test]
async fn ended_before_the_probe() {
    let house = House::new();
    let address = serve(&house).await;
    let sid = house.open().await;
    let id = house.edge.registry.find(&sid[5..]).unwrap().line.id;
    let close = Close { reason: CloseReason::Named("signed out"), last: Some(last()) };
    house.edge.hub.close(id, close).await;
    house.until(|heard| heard.closed == 1).await;
    let mut socket = Client::connect(address, &format!("EIO=4{sid}")).await;
    socket.send("2probe").await;
    assert_eq!(socket.text().await, "3probe");
    socket.send("5").await;
    Moving { house, sid, id, socket }.ends_on_the_socket().await;
}

#[tokio::test]
async fn between_two_polls_the_end_waits_for_the_next() {
    let house = House::new();
    let sid = house.open().await;
    let id = house.edge.registry.find(&sid[5..]).unwrap().line.id;
    let close = Close { reason: CloseReason::Named("signed out"), last: Some(last()) };
    house.edge.hub.close(id, close).await;
    house.until(|heard| heard.closed == 1).await;
    assert_eq!(text(house.call("GET", &sid, "").await).await, LAST);
    house.is_empty_of(&sid).await;
    assert_eq!(house.call("GET", &sid, "").await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn who_broke_a_rule_has_nothing_to_fetch() {
    let house = House::new();
    let sid = house.open().await;
    assert_eq!(house.call("POST", &sid, "nonsense").await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(house.call("GET", &sid, "").await.status(), StatusCode::BAD_REQUEST);
    house.until(|heard| heard.closed == 1).await;
}
