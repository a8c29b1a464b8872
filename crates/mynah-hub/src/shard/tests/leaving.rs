//! Sessions that are asked to leave.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake};

use super::*;

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Asked(Mutex<Vec<SessionId>>);

impl SessionEvents for Asked {
    fn closed(&self, _: SessionId, _: CloseReason) {}

    fn leaving(&self, id: SessionId) {
        self.0.lock().push(id);
    }
}

#[test]
fn the_reader_that_waits_is_woken_and_told_ever_after() {
    let woken = Arc::<Woken>::default();
    let waker = Arc::clone(&woken).into();
    let cx = Context::from_waker(&waker);
    let pulse = Pulse::default();
    assert_eq!(pulse.poll_leaving(&cx), Poll::Pending);
    pulse.beat();
    assert_eq!((pulse.is_leaving(), woken.0.load(Ordering::Relaxed)), (false, 0));
    pulse.clone().leave();
    assert_eq!((pulse.is_leaving(), woken.0.load(Ordering::Relaxed)), (true, 1));
    for _ in 0..2 {
        assert_eq!(pulse.poll_leaving(&cx), Poll::Ready(()));
    }
    assert!(!pulse.is_over(), "it is asked, not closed");
}

#[test]
fn each_session_is_asked_once_some_at_a_time_and_closing_ones_never() {
    let mut house = House::plain();
    let asked = Arc::<Asked>::default();
    let attach = |house: &mut House| {
        let (events, pulse) = (Arc::clone(&asked) as Arc<dyn SessionEvents>, Pulse::default());
        let new = NewSession { dialect: Dialect(0), link: Link::Polling, events, pulse };
        house.shard.attach(new).ok().expect("the shard has room")
    };
    let ids: Vec<SessionId> = (0..6).map(|_| attach(&mut house)).collect();
    house.send(ids[1], "so that it stays while it closes");
    house.close(ids[1], None);
    assert_eq!(house.shard.ask_to_leave(2), 2);
    assert_eq!(house.shard.ask_to_leave(0), 0);
    // One that was asked goes, another takes its place behind those asked already.
    house.shard.detach(ids[0], CloseReason::PeerGone);
    let late = attach(&mut house);
    assert_eq!(late.slot, ids[0].slot);
    let rounds: Vec<usize> = (0..4).map(|_| house.shard.ask_to_leave(2)).collect();
    assert_eq!(rounds, [2, 2, 0, 0]);
    assert_eq!(*asked.0.lock(), [ids[0], ids[2], ids[3], ids[4], ids[5], late]);
    assert_eq!(house.stats().closed, 2, "asking closes nothing");
}
