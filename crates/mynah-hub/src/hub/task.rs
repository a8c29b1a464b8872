//! The tokio task around a shard: it waits for commands, writable sockets and the clock.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::{AttachError, UpgradeError};
use crate::stats::ShardCounters;
use crate::{
    Class, Close, CloseEach, CloseReason, Dialect, DrainedReply, Frame, NewSession, PollReply,
    Publication, SessionId, Shard, TcpSocket, Topic,
};

/// Commands taken before sockets are written; what coalesces under load.
const COMMANDS_MAX: usize = 256;
/// Frames queued before sockets are written, so that one round stays short.
const FRAMES_MAX: usize = 1 << 16;
/// Sockets written before other tasks get a turn.
const SOCKETS_MAX: usize = 128;

type Reply<T, E> = oneshot::Sender<Result<T, E>>;

pub(super) enum Command {
    Attach {
        new: NewSession<TcpSocket>,
        reply: Reply<SessionId, AttachError>,
    },
    Send {
        id: SessionId,
        frame: Frame,
        class: Class,
    },
    SendMark {
        id: SessionId,
        frame: Frame,
        reply: oneshot::Sender<u64>,
    },
    WhenDrained {
        id: SessionId,
        reply: DrainedReply,
    },
    Subscribe {
        id: SessionId,
        dialect: Dialect,
        topic: Topic,
    },
    Welcome {
        id: SessionId,
        dialect: Dialect,
        topic: Topic,
        words: (Frame, Option<Frame>),
    },
    SubscribeMany {
        id: SessionId,
        dialect: Dialect,
        topics: Vec<Topic>,
    },
    /// Everything before is done.
    Barrier {
        reply: oneshot::Sender<()>,
    },
    StartPos {
        pos: u64,
    },
    Hold {
        id: SessionId,
        dialect: Dialect,
        reply: oneshot::Sender<u64>,
    },
    Resume {
        id: SessionId,
        dialect: Dialect,
        after: Vec<(Topic, u64)>,
    },
    Unsubscribe {
        id: SessionId,
        dialect: Dialect,
        topics: Vec<Topic>,
    },
    UnsubscribeAll {
        id: SessionId,
        dialect: Dialect,
    },
    SubscribeMembers {
        of: Topic,
        topic: Topic,
    },
    UnsubscribeMembers {
        of: Topic,
        topic: Topic,
    },
    Publish(Publication),
    Poll {
        id: SessionId,
        reply: PollReply,
    },
    Upgrade {
        id: SessionId,
        stream: (TcpSocket, bool),
        noop: Frame,
        reply: Reply<(), UpgradeError>,
    },
    Close {
        id: SessionId,
        close: Close,
    },
    Detach {
        id: SessionId,
        reason: CloseReason,
    },
    CloseTopic {
        topic: Topic,
        close: CloseEach,
        except: Option<SessionId>,
    },
    AskToLeave {
        sessions_max: usize,
        reply: oneshot::Sender<usize>,
    },
    CloseSome {
        sessions_max: usize,
        close: CloseEach,
        reply: oneshot::Sender<usize>,
    },
    Members {
        topic: Topic,
        reply: oneshot::Sender<usize>,
    },
    Subscribers {
        topic: Topic,
        reply: oneshot::Sender<Vec<(SessionId, Dialect)>>,
    },
    Subscriptions {
        id: SessionId,
        dialect: Dialect,
        reply: oneshot::Sender<Vec<Topic>>,
    },
}

pub(super) async fn run(
    mut shard: Shard<TcpSocket>,
    mut inbox: mpsc::Receiver<Command>,
    stats: Arc<ShardCounters>,
) {
    let start = Instant::now();
    let writable = shard.writable_list();
    let mut commands = Vec::with_capacity(COMMANDS_MAX);
    let alarm = sleep_until(start);
    tokio::pin!(alarm);
    let mut open = true;
    while open || shard.stats().sessions > 0 {
        let deadline = shard.next_deadline().map(|tick| start + Duration::from_millis(tick));
        if let Some(deadline) = deadline
            && deadline != alarm.deadline()
        {
            alarm.as_mut().reset(deadline);
        }
        tokio::select! {
            taken = inbox.recv_many(&mut commands, COMMANDS_MAX), if open => {
                open = taken > 0;
                gather(&mut inbox, &mut commands).await;
            }
            () = writable.changed() => {}
            () = &mut alarm, if deadline.is_some() => {}
        }
        shard.advance(start.elapsed().as_millis() as u64);
        shard.take_writable();
        for command in commands.drain(..) {
            apply(&mut shard, command);
            if shard.unflushed_frames() >= FRAMES_MAX {
                flush(&mut shard).await;
            }
        }
        if !open {
            shard.end_all(CloseReason::HubStopped);
        }
        flush(&mut shard).await;
        stats.store(&shard.stats());
    }
}

/// Lets the other tasks that are ready go first, once, and takes what they commanded: the frames of
/// one commit, publications and acknowledgements alike, then leave in one write for each socket.
async fn gather(inbox: &mut mpsc::Receiver<Command>, commands: &mut Vec<Command>) {
    tokio::task::yield_now().await;
    while commands.len() < COMMANDS_MAX {
        let Ok(command) = inbox.try_recv() else { return };
        commands.push(command);
    }
}

async fn flush(shard: &mut Shard<TcpSocket>) {
    while shard.flush(SOCKETS_MAX) {
        tokio::task::yield_now().await;
    }
}

fn apply(shard: &mut Shard<TcpSocket>, command: Command) {
    match command {
        Command::Attach { new, reply } => attach(shard, new, reply),
        Command::Send { id, frame, class } => shard.send(id, frame, class),
        Command::SendMark { id, frame, reply } => {
            if let Some(pos) = shard.send_mark(id, frame) {
                // Who gave up forgoes the number; the frame is harmless.
                reply.send(pos).ok();
            }
        }
        Command::WhenDrained { id, reply } => shard.when_drained(id, reply),
        Command::Subscribe { id, dialect, topic } => shard.subscribe(id, dialect, &topic),
        Command::Welcome { id, dialect, topic, words: (first, second) } => {
            for frame in std::iter::once(first).chain(second) {
                shard.send(id, frame, Class::Durable);
            }
            shard.subscribe(id, dialect, &topic);
        }
        Command::SubscribeMany { id, dialect, topics } => {
            for topic in &topics {
                shard.subscribe(id, dialect, topic);
            }
        }
        Command::Barrier { reply } => {
            // Who gave up does not wait.
            reply.send(()).ok();
        }
        Command::StartPos { pos } => shard.start_pos(pos),
        Command::Hold { id, dialect, reply } => hold(shard, id, dialect, reply),
        Command::Resume { id, dialect, after } => shard.resume(id, dialect, &after),
        Command::Unsubscribe { id, dialect, topics } => {
            for topic in &topics {
                shard.unsubscribe(id, dialect, topic);
            }
        }
        Command::UnsubscribeAll { id, dialect } => shard.unsubscribe_all(id, dialect),
        Command::SubscribeMembers { of, topic } => shard.subscribe_members(&of, &topic),
        Command::UnsubscribeMembers { of, topic } => shard.unsubscribe_members(&of, &topic),
        Command::Publish(publication) => shard.publish(&publication),
        Command::Poll { id, reply } => shard.poll(id, reply),
        Command::Upgrade { id, stream, noop, reply } => {
            let done = shard.upgrade(id, stream, &noop).map_err(|_socket| UpgradeError::NotPolling);
            if reply.send(done).is_err() {
                shard.detach(id, CloseReason::PeerGone);
            }
        }
        Command::Close { id, close } => shard.close(id, close),
        Command::Detach { id, reason } => shard.detach(id, reason),
        Command::CloseTopic { topic, close, except } => shard.close_topic(&topic, &close, except),
        Command::AskToLeave { sessions_max, reply } => {
            // Nobody waits for the number any more if this fails.
            reply.send(shard.ask_to_leave(sessions_max)).ok();
        }
        Command::CloseSome { sessions_max, close, reply } => {
            // As above.
            reply.send(shard.close_some(sessions_max, &close)).ok();
        }
        Command::Members { topic, reply } => {
            // As above.
            reply.send(shard.members(&topic)).ok();
        }
        Command::Subscribers { topic, reply } => {
            // As above.
            reply.send(shard.subscribers(&topic)).ok();
        }
        Command::Subscriptions { id, dialect, reply } => {
            // As above.
            reply.send(shard.subscriptions(id, dialect)).ok();
        }
    }
}

fn attach(
    shard: &mut Shard<TcpSocket>,
    new: NewSession<TcpSocket>,
    reply: Reply<SessionId, AttachError>,
) {
    match shard.attach(new) {
        Ok(id) => {
            // A caller that gave up would leave a session that nobody reads.
            if reply.send(Ok(id)).is_err() {
                shard.detach(id, CloseReason::PeerGone);
            }
        }
        Err(_refused) => {
            // A caller that gave up has nothing to clean up.
            reply.send(Err(AttachError::Full)).ok();
        }
    }
}

fn hold(
    shard: &mut Shard<TcpSocket>,
    id: SessionId,
    dialect: Dialect,
    reply: oneshot::Sender<u64>,
) {
    if let Some(pos) = shard.hold(id, dialect) {
        // Who gave up ends or resumes the session, or holds again.
        reply.send(pos).ok();
    }
}
