//! Mynah beside Node Socket.IO servers: conversations that have clients on both sides.
//!
//! What is committed here is told to the Node servers in the words of the vocabulary of each joined namespace, to the
//! Socket.IO room that stands for the conversation ([`Names`]). What they emit is passed on to our sockets as it is.
//! They may ask for our sockets, make them enter and leave Socket.IO rooms, and disconnect them. Such rooms are beside the
//! chat: entering one makes nobody a member of anything, and shows nobody what is said in a conversation.
//!
//! Not passed on, for they are state that each side knows of its own people: presence and read receipts.

mod directory;
mod local;
mod names;
mod relay;
mod rooms;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use mynah_cluster::redis::RedisError;
use mynah_cluster::socket_io::{
    Answers, Arguments, Format, LocalSockets, SocketIoBus, SocketIoOptions, SocketIoStats,
};
use mynah_hub::{Dialect, Hub, SessionId};
use parking_lot::Mutex;

use crate::cluster::directory::Directory;
use crate::config::interop::{InteropConfig, InteropFormat};
use crate::dialects::{Dialects, Speaking};
use crate::engine_io::Revision;
use crate::socket_io::Acknowledged;
use crate::wire::{Parser, Wire};

use directory::Sockets;
pub use directory::{Arrived, Heard};
pub use names::Names;
pub use relay::Relays;
pub use rooms::interest;

/// The place among Node servers; clones share it.
#[derive(Clone)]
pub struct Interop(Arc<Parts>);

struct Parts {
    hub: Hub,
    dialects: Arc<Dialects>,
    names: Names,
    /// The words of each joined namespace, as a v4 client reads them.
    spoken: Vec<(String, Speaking)>,
    sockets: Mutex<Sockets>,
    /// Events that clients are to answer, by id.
    asked: Mutex<HashMap<u64, Asked>>,
    last_id: AtomicU64,
    /// Which node this is, if there may be others.
    nodes: Option<Directory>,
    bus: OnceLock<SocketIoBus>,
}

/// An event that clients are to answer.
struct Asked {
    answers: Answers,
    waiting: HashSet<(SessionId, Dialect)>,
}

/// How the Node servers spell, for the bus.
fn format(format: InteropFormat) -> Format {
    match format {
        InteropFormat::Classic => Format::Classic,
        InteropFormat::Sharded => Format::Sharded,
    }
}

impl Interop {
    /// Prepares to join.
    ///
    /// # Errors
    /// A sentence that names the entry that is wrong.
    pub fn new(
        config: &InteropConfig,
        (hub, dialects): (&Hub, &Arc<Dialects>),
        nodes: Option<Directory>,
    ) -> anyhow::Result<Self> {
        let wire = Wire { revision: Revision::V4, parser: Parser::Json };
        let mut spoken = Vec::new();
        for namespace in &config.namespaces {
            let default = dialects.vocabularies().default_index();
            let is_default = dialects.rule(default, namespace).is_some();
            let vocabulary = is_default.then_some(default).or_else(|| dialects.first_in(namespace));
            let vocabulary = vocabulary.ok_or_else(|| {
                anyhow::anyhow!("interop.namespaces: no vocabulary is spoken in {namespace}")
            })?;
            let speaking = dialects.speak(vocabulary, namespace, wire)?;
            spoken.push((namespace.clone(), speaking));
        }
        let parts = Parts {
            hub: hub.clone(),
            dialects: Arc::clone(dialects),
            names: Names::new(&config.room, &config.user),
            spoken,
            sockets: Mutex::default(),
            asked: Mutex::default(),
            last_id: AtomicU64::new(0),
            nodes,
            bus: OnceLock::new(),
        };
        Ok(Self(Arc::new(parts)))
    }

    /// Joins, on the current runtime.
    ///
    /// # Errors
    /// The url cannot be used.
    pub fn join(&self, config: &InteropConfig) -> Result<(), RedisError> {
        let options = SocketIoOptions {
            key: config.key.clone(),
            format: format(config.format),
            answers_apart: config.answers_apart,
            ..SocketIoOptions::new(config.redis(), config.namespaces.clone())
        };
        let local: Arc<dyn LocalSockets> = Arc::new(self.clone());
        let bus = SocketIoBus::join(&options, local)?;
        // It joins once.
        drop(self.0.bus.set(bus));
        Ok(())
    }

    /// Sends what is queued, and leaves.
    pub async fn stop(&self) {
        if let Some(bus) = self.0.bus.get() {
            bus.stop().await;
        }
    }

    /// Counters.
    pub fn stats(&self) -> SocketIoStats {
        self.0.bus.get().map(SocketIoBus::stats).unwrap_or_default()
    }

    fn has(&self, namespace: &str) -> bool {
        self.0.spoken.iter().any(|(joined, _)| joined == namespace)
    }

    /// A socket has come, or is somebody's now.
    pub async fn came(&self, arrived: Arrived) {
        if !self.has(&arrived.namespace) {
            return;
        }
        let Some(bus) = self.0.bus.get() else { return };
        let (namespace, sid) = (arrived.namespace.clone(), arrived.sid.clone());
        let is_first = self.0.sockets.lock().add(arrived);
        if is_first {
            bus.room_opened(&namespace, &sid).await;
        }
    }

    /// A socket has gone.
    pub async fn went(&self, namespace: &str, sid: &str) {
        let closed = self.0.sockets.lock().remove(namespace, sid);
        self.forget(namespace, closed).await;
    }

    /// A client answers an event.
    pub fn acknowledged(&self, from: (SessionId, Dialect), answer: Acknowledged) {
        let mut asked = self.0.asked.lock();
        let Some(waits) = asked.get_mut(&answer.id) else { return };
        if !waits.waiting.remove(&from) {
            return;
        }
        let json = answer.arguments.iter().map(str::to_owned).collect();
        let arguments = Arguments { json, attachments: answer.attachments };
        // Who asked may have given up.
        drop(waits.answers.try_send(arguments));
        if waits.waiting.is_empty() {
            asked.remove(&answer.id);
        }
    }

    /// A new id, and who is to answer the event that has it.
    fn expect(&self, waiting: HashSet<(SessionId, Dialect)>, answers: Answers) -> u64 {
        let id = self.0.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let given_up = answers.clone();
        self.0.asked.lock().insert(id, Asked { answers, waiting });
        let parts = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            given_up.closed().await;
            if let Some(parts) = parts.upgrade() {
                parts.asked.lock().remove(&id);
            }
        });
        id
    }
}

/// Marks a socket as sent away; `false` if it was already.
fn send_away(is_over: &AtomicBool) -> bool {
    !is_over.swap(true, Ordering::AcqRel)
}
