//! Senders: each draft is sent again, with the same client id, until somebody acknowledges it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::http::Http;
use crate::ledger::{Ack, Draft, Ledger};
use crate::socket::Socket;
use crate::token;

/// A try is given up after this time.
const TRY_LIMIT: Duration = Duration::from_millis(2_500);
/// Before the next try after a failure.
const TRY_AGAIN: Duration = Duration::from_millis(40);
/// Every so many drafts a sender tries its own node again.
const GO_HOME_EVERY: u64 = 20;
/// 5 % are sent again although they were acknowledged.
const REPEAT_EVERY: u64 = 20;
/// One in so many is sent on two nodes at the same instant.
const RACE_EVERY: u64 = 23;

/// What a sender sends through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Rest,
    SocketIo,
}

/// Where and as whom a load is sent.
#[derive(Clone)]
pub(crate) struct Course {
    /// Address of each node.
    pub(crate) nodes: Vec<SocketAddr>,
    /// Ids of the rooms; the last ones, one per node, are used by senders of that node alone.
    pub(crate) rooms: Vec<String>,
    /// In front of user names and client ids.
    pub(crate) prefix: String,
    pub(crate) senders: usize,
    /// Between a sender's drafts.
    pub(crate) pace: Duration,
    /// Whether a failing sender tries the next node.
    pub(crate) fails_over: bool,
}

impl Course {
    pub(crate) fn home(&self, index: usize) -> usize {
        index % self.nodes.len().max(1)
    }

    fn room_of(&self, sender: usize, turn: u64) -> usize {
        let mixed = self.mixed_rooms();
        if turn.is_multiple_of(2) { sender / 2 % mixed.max(1) } else { mixed + self.home(sender) }
    }

    /// Rooms used by the senders of all nodes: the first ones.
    pub(crate) fn mixed_rooms(&self) -> usize {
        self.rooms.len().saturating_sub(self.nodes.len())
    }
}

/// Name of a sender.
pub(crate) fn sender_name(prefix: &str, index: usize) -> String {
    format!("{prefix}-s{index}")
}

/// Running senders.
pub(crate) struct Load {
    /// `None` while they run, then until when they may try to finish what they began.
    until: watch::Sender<Option<Instant>>,
    tasks: JoinSet<()>,
}

impl Load {
    pub(crate) fn start(course: &Course, ledger: &Arc<Ledger>) -> Self {
        let until = watch::Sender::new(None);
        let mut tasks = JoinSet::new();
        for index in 0..course.senders {
            let sender = Sender::new(course.clone(), index, Arc::clone(ledger), until.subscribe());
            tasks.spawn(sender.run());
        }
        Self { until, tasks }
    }

    /// Sends nothing new, and waits until everything begun was acknowledged, at most for `limit`.
    pub(crate) async fn finish(mut self, limit: Duration) {
        self.until.send_replace(Some(Instant::now() + limit));
        while self.tasks.join_next().await.is_some() {}
    }
}

struct Sender {
    course: Course,
    index: usize,
    door: Door,
    token: String,
    ledger: Arc<Ledger>,
    until: watch::Receiver<Option<Instant>>,
    lines: Vec<Line>,
    /// The node it sends to now.
    node: usize,
}

/// A way to one node.
struct Line {
    http: Http,
    socket: Option<Socket>,
    address: SocketAddr,
}

impl Line {
    fn new(address: SocketAddr, token: &str) -> Self {
        Self { http: Http::new(address, token), socket: None, address }
    }

    /// Sends a draft once. The error says what was refused or failed.
    async fn send(&mut self, door: Door, token: &str, body: &Value) -> Result<Ack, String> {
        let sent = match door {
            Door::Rest => self.post(body).await,
            Door::SocketIo => self.emit(token, body).await,
        };
        match sent {
            Ok(answer) => answer,
            Err(error) => {
                self.socket = None;
                Err(error.root_cause().to_string())
            }
        }
    }

    async fn post(&mut self, body: &Value) -> Result<Result<Ack, String>> {
        let room = body.get("roomId").and_then(Value::as_str).unwrap_or_default();
        let path = format!("/v1/rooms/{room}/messages");
        let answer = self.http.call("POST", &path, Some(body.to_string()), TRY_LIMIT).await?;
        if !(200..300).contains(&answer.status) {
            let code = answer.body.get("code").and_then(Value::as_str).unwrap_or("no code");
            return Ok(Err(format!("HTTP {} {code}", answer.status)));
        }
        Ok(Ok(Ack::read(&answer.body).context("an acknowledgement without a message")?))
    }

    async fn emit(&mut self, token: &str, body: &Value) -> Result<Result<Ack, String>> {
        let socket = match &mut self.socket {
            Some(socket) => socket,
            empty => {
                let opened = Socket::open(self.address, token, &json!({}), TRY_LIMIT).await?;
                empty.insert(opened.0)
            }
        };
        let answer = socket.ask("message.send", body, TRY_LIMIT).await?;
        if answer.get("success") != Some(&Value::Bool(true)) {
            let code = answer.get("code").and_then(Value::as_str).unwrap_or("no code");
            return Ok(Err(format!("ack {code}")));
        }
        let message = answer.get("message").and_then(Ack::read);
        Ok(Ok(message.context("an acknowledgement without a message")?))
    }
}

impl Sender {
    fn new(
        course: Course,
        index: usize,
        ledger: Arc<Ledger>,
        until: watch::Receiver<Option<Instant>>,
    ) -> Self {
        let token = token::sign(&sender_name(&course.prefix, index));
        let lines = course.nodes.iter().map(|address| Line::new(*address, &token)).collect();
        let per_node = index / course.nodes.len().max(1);
        let door = if per_node.is_multiple_of(2) { Door::Rest } else { Door::SocketIo };
        let node = course.home(index);
        Self { course, index, door, token, ledger, until, lines, node }
    }

    async fn run(mut self) {
        for turn in 0.. {
            if self.until.borrow().is_some() {
                return;
            }
            let room = self.course.room_of(self.index, turn);
            let client_id = format!("{}-{}-{turn}", self.course.prefix, self.index);
            let draft = Draft { client_id, room, sender: self.index, turn };
            if turn.is_multiple_of(GO_HOME_EVERY) {
                self.node = self.course.home(self.index);
            }
            if turn % RACE_EVERY == RACE_EVERY - 1 {
                self.race(&draft).await;
            }
            self.deliver(&draft).await;
            if turn % REPEAT_EVERY == REPEAT_EVERY - 1 {
                if self.course.fails_over {
                    self.go_on();
                }
                self.deliver(&draft).await;
            }
            sleep(self.course.pace).await;
        }
    }

    fn go_on(&mut self) {
        self.node = (self.node + 1) % self.lines.len().max(1);
    }

    fn body(&self, draft: &Draft) -> Value {
        let room = self.course.rooms.get(draft.room).map_or("", String::as_str);
        let content = format!("message {}", draft.client_id);
        json!({ "roomId": room, "content": content, "clientId": draft.client_id })
    }

    /// Tries until it is acknowledged, or time is up.
    async fn deliver(&mut self, draft: &Draft) {
        let body = self.body(draft);
        loop {
            let node = self.node;
            let Some(line) = self.lines.get_mut(node) else { return };
            let asked = Instant::now();
            match line.send(self.door, &self.token, &body).await {
                Ok(ack) => return self.ledger.note(draft, ack, (node, asked)),
                Err(reason) => self.ledger.refused(&reason),
            }
            if self.course.fails_over {
                self.go_on();
            }
            let until = *self.until.borrow();
            if until.is_some_and(|until| Instant::now() > until) {
                return self.ledger.gave_up();
            }
            sleep(TRY_AGAIN).await;
        }
    }

    /// Sends one draft on two nodes (or twice on the only one) at the same instant.
    async fn race(&mut self, draft: &Draft) {
        let body = self.body(draft);
        let course = &self.course;
        let nodes = [self.node, (self.node + 1) % course.nodes.len().max(1)];
        let token = &self.token;
        let deadline = Instant::now() + 2 * TRY_LIMIT;
        let run = async |node: usize| {
            let Some(address) = course.nodes.get(node) else { return };
            let mut line = Line::new(*address, token);
            let asked = Instant::now();
            let sent = timeout_at(deadline, line.send(Door::Rest, token, &body)).await;
            match sent {
                Ok(Ok(ack)) => self.ledger.note(draft, ack, (node, asked)),
                Ok(Err(reason)) => self.ledger.refused(&reason),
                Err(_) => self.ledger.refused("no answer in time"),
            }
        };
        let [first, second] = nodes;
        tokio::join!(run(first), run(second));
    }
}
