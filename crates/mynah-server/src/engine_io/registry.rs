//! Sessions that began with polling, by their secret id.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use mynah_hub::{CloseReason, SessionEvents, SessionId};
use parking_lot::Mutex;

use super::line::{Line, leave};
use super::poll_style::PollStyle;
use super::{Application, Edge, Traffic};

/// One session that began with polling.
pub(super) struct PollSession<A: Application> {
    pub(super) sid: String,
    pub(super) line: Line,
    pub(super) style: PollStyle,
    /// The application's state; taken by the WebSocket at the upgrade, or at the end.
    pub(super) state: tokio::sync::Mutex<Option<A::Session>>,
    /// A POST is being worked on.
    pub(super) posting: AtomicBool,
    /// A WebSocket is probing, or has taken over.
    pub(super) probing: AtomicBool,
    upgraded: AtomicBool,
    /// It polls no more: upgraded or ended.
    polled_out: AtomicBool,
}

impl<A: Application> PollSession<A> {
    pub(super) fn new(sid: String, line: Line, style: PollStyle, state: A::Session) -> Self {
        Self {
            sid,
            line,
            style,
            state: tokio::sync::Mutex::new(Some(state)),
            posting: AtomicBool::new(false),
            probing: AtomicBool::new(false),
            upgraded: AtomicBool::new(false),
            polled_out: AtomicBool::new(false),
        }
    }

    pub(super) fn is_upgraded(&self) -> bool {
        self.upgraded.load(Ordering::Acquire)
    }

    /// A WebSocket has taken over.
    pub(super) fn set_upgraded(&self, traffic: &Traffic) {
        self.upgraded.store(true, Ordering::Release);
        self.leave_polling(traffic);
    }

    /// It polls no more, because it was upgraded or ended; whether this was the first to say so.
    pub(super) fn leave_polling(&self, traffic: &Traffic) -> bool {
        let first = !self.polled_out.swap(true, Ordering::AcqRel);
        if first {
            traffic.stopped_polling();
        }
        first
    }
}

struct Maps<A: Application> {
    /// Those whose clients may ask for them.
    by_sid: HashMap<String, Arc<PollSession<A>>>,
    /// Those that the hub knows.
    by_id: HashMap<SessionId, Arc<PollSession<A>>>,
}

/// All sessions that began with polling; hears of their end from the hub.
pub(super) struct Registry<A: Application> {
    edge: Weak<Edge<A>>,
    maps: Mutex<Maps<A>>,
}

impl<A: Application> Registry<A> {
    pub(super) fn new(edge: Weak<Edge<A>>) -> Self {
        let maps = Maps { by_sid: HashMap::new(), by_id: HashMap::new() };
        Self { edge, maps: Mutex::new(maps) }
    }

    pub(super) fn find(&self, sid: &str) -> Option<Arc<PollSession<A>>> {
        self.maps.lock().by_sid.get(sid).cloned()
    }

    fn known(&self, id: SessionId) -> Option<Arc<PollSession<A>>> {
        self.maps.lock().by_id.get(&id).cloned()
    }

    /// Enters a session; `false` when it has ended already. The caller says goodbye to its state then.
    ///
    /// The pulse is over before the hub calls `closed`, and `closed` takes the same lock: either it is
    /// seen here, or `closed` finds the entry.
    pub(super) fn enter(&self, session: &Arc<PollSession<A>>) -> bool {
        let mut maps = self.maps.lock();
        if session.line.pulse.is_over() {
            return false;
        }
        maps.by_id.insert(session.line.id, Arc::clone(session));
        maps.by_sid.insert(session.sid.clone(), Arc::clone(session));
        true
    }

    /// Forgets a session whose client broke a rule or said goodbye: it has nothing more to fetch.
    pub(super) fn forget(&self, session: &PollSession<A>) {
        self.maps.lock().by_sid.remove(&session.sid);
    }
}

/// What was said last can be fetched after `closed`, up to `ended`.
impl<A: Application> SessionEvents for Registry<A> {
    fn closed(&self, id: SessionId, reason: CloseReason) {
        let edge = self.edge.upgrade();
        if let Some(edge) = &edge {
            edge.options.traffic.ended(reason);
        }
        let session = self.known(id);
        let (Some(session), Some(edge)) = (session, edge) else { return };
        // After an upgrade the WebSocket's reader owns the state and says goodbye itself.
        if !session.leave_polling(&edge.options.traffic) {
            return;
        }
        tokio::spawn(async move {
            if let Some(state) = session.state.lock().await.take() {
                edge.app.closed(state).await;
            }
        });
    }

    fn ended(&self, id: SessionId) {
        let mut maps = self.maps.lock();
        if let Some(session) = maps.by_id.remove(&id) {
            maps.by_sid.remove(&session.sid);
        }
    }

    fn leaving(&self, id: SessionId) {
        let (Some(session), Some(edge)) = (self.known(id), self.edge.upgrade()) else { return };
        tokio::spawn(async move {
            // After an upgrade the WebSocket's reader owns the state, and hears of it from the pulse.
            let mut state = session.state.lock().await;
            if let Some(state) = state.as_mut() {
                edge.app.leaving(state).await;
                edge.hub.close(id, leave()).await;
            }
        });
    }
}
