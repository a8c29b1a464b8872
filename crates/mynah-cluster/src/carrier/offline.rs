//! Callers and listeners while there is no connection.

use std::future::poll_fn;
use std::task::Poll;

use mynah_hub::BrokerEvent;
use tokio::sync::{mpsc, oneshot};

use super::outbox::Outbox;
use super::{Command, Protocol, Teller};

/// What is told and answered while there is no connection.
pub(super) struct Offline<'a> {
    pub(super) outbox: &'a Outbox,
    pub(super) teller: &'a mut Teller,
    pub(super) commands: &'a mut mpsc::Receiver<Command>,
}

impl Offline<'_> {
    /// Waits for something; commands that must be noted are put aside. `None` if it is to stop.
    pub(super) async fn until<T>(
        &mut self,
        wait: impl Future<Output = T>,
        noted: &mut Vec<Command>,
    ) -> Option<T> {
        let mut wait = std::pin::pin!(wait);
        poll_fn(|context| {
            self.outbox.register(context.waker());
            if self.outbox.take_news() {
                self.teller.tell(BrokerEvent::Unsent);
            }
            self.teller.poll(context);
            while let Poll::Ready(command) = self.commands.poll_recv(context) {
                match command {
                    None | Some(Command::Stop) => return Poll::Ready(None),
                    Some(Command::Subscribe(channels, done)) => {
                        // Who gave up waiting need not know.
                        let _unheard = done.send(false);
                        noted.push(Command::Subscribe(channels, oneshot::channel().0));
                    }
                    Some(command @ Command::Unsubscribe(_)) => noted.push(command),
                }
            }
            if self.teller.is_closed() {
                return Poll::Ready(None);
            }
            wait.as_mut().poll(context).map(Some)
        })
        .await
    }
}

/// Lets the protocol know what was asked for meanwhile.
pub(super) fn note(protocol: &mut dyn Protocol, commands: Vec<Command>) {
    for command in commands {
        match command {
            Command::Subscribe(channels, _) => {
                protocol.subscribe(channels, None);
            }
            Command::Unsubscribe(channels) => {
                protocol.unsubscribe(channels, None);
            }
            Command::Stop => {}
        }
    }
}
