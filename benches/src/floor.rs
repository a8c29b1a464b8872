//! The raw floor: an epoll loop that answers each publish by one `write(2)` of one prepared frame per receiver.
//!
//! It checks nothing, stores nothing and acknowledges nothing; what a server costs beyond it is the server's doing.
//! Only the sequence number and the sender's stamp are patched into the frame, so that its receivers can be checked
//! by the same code as Mynah's.

use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd as _, OwnedFd};

use anyhow::Result;
use memchr::memmem;
use rustix::event::epoll;
use rustix::io::{Errno, read, write};

use crate::wire;

const LISTENER: u64 = u64::MAX;
const SEQ_DIGITS: usize = 10;

struct Peer {
    stream: TcpStream,
    room: usize,
    receives: bool,
    upgraded: bool,
    input: Vec<u8>,
    unsent: Vec<u8>,
}

struct Floor {
    epoll: OwnedFd,
    peers: Vec<Option<Peer>>,
    rooms: Vec<Vec<usize>>,
    seqs: Vec<u64>,
    frame: Vec<u8>,
    seq_at: usize,
    stamp_at: usize,
}

/// Serves until killed; every delivered frame is `frame_bytes` long (at least 160).
pub(crate) fn serve(listener: &TcpListener, frame_bytes: usize) -> Result<()> {
    rustix::net::listen(listener, 4096)?;
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let interest = epoll::EventFlags::IN;
    epoll::add(&epoll, listener, epoll::EventData::new_u64(LISTENER), interest)?;
    let (frame, seq_at, stamp_at) = template(frame_bytes);
    let (peers, rooms, seqs) = (Vec::new(), Vec::new(), Vec::new());
    let mut floor = Floor { epoll, peers, rooms, seqs, frame, seq_at, stamp_at };
    let mut events = Vec::with_capacity(1024);
    let mut buffer = vec![0; 65_536];
    loop {
        events.clear();
        match epoll::wait(&floor.epoll, rustix::buffer::spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            let data = event.data;
            if data.u64() == LISTENER {
                floor.accept(listener)?;
            } else {
                let flags = event.flags;
                floor.serve_peer(data.u64() as usize, flags, &mut buffer);
            }
        }
    }
}

/// A finished frame of the wanted length and where its changing digits are.
fn template(frame_bytes: usize) -> (Vec<u8>, usize, usize) {
    let mut payload = br#"42["message.created",{"seq":"#.to_vec();
    let seq_in_payload = payload.len();
    payload.extend([b'0'; SEQ_DIGITS]);
    payload.extend_from_slice(br#","content":""#);
    let stamp_in_payload = payload.len();
    wire::push_text(0, 0, &mut payload);
    let header = if frame_bytes < 128 { 2 } else { 4 };
    let wanted = frame_bytes.saturating_sub(header + 3);
    if payload.len() < wanted {
        payload.resize(wanted, b'x');
    }
    payload.extend_from_slice(br#""}]"#);
    let mut frame = Vec::new();
    wire::encode_plain(wire::TEXT, &payload, &mut frame);
    let header = frame.len() - payload.len();
    (frame, header + seq_in_payload, header + stamp_in_payload)
}

impl Floor {
    fn accept(&mut self, listener: &TcpListener) -> Result<()> {
        while let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let index = self.peers.len();
            let data = epoll::EventData::new_u64(index as u64);
            epoll::add(&self.epoll, &stream, data, epoll::EventFlags::IN)?;
            self.peers.push(Some(Peer {
                stream,
                room: 0,
                receives: false,
                upgraded: false,
                input: Vec::new(),
                unsent: Vec::new(),
            }));
        }
        Ok(())
    }

    fn serve_peer(&mut self, index: usize, flags: epoll::EventFlags, buffer: &mut [u8]) {
        let Some(peer) = self.peers.get_mut(index).and_then(Option::as_mut) else { return };
        if flags.contains(epoll::EventFlags::OUT) {
            peer.flush(&self.epoll, index);
        }
        if !flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::HUP) {
            return;
        }
        let count = match read(&peer.stream, &mut *buffer) {
            Ok(count) if count > 0 => count,
            Err(Errno::AGAIN) => return,
            Ok(_) | Err(_) => return self.forget(index),
        };
        peer.input.extend(buffer.iter().take(count));
        let mut input = std::mem::take(&mut peer.input);
        let mut used = 0;
        if !peer.upgraded {
            let Some(end) = memmem::find(&input, b"\r\n\r\n") else {
                peer.input = input;
                return;
            };
            used = end + 4;
            self.upgrade(index, &input);
        }
        while let Some(frame) = wire::frame(input.get(used..).unwrap_or_default()) {
            used += frame.bytes;
            let mut payload = frame.payload.to_vec();
            if let Some(mask) = frame.mask {
                wire::unmask(&mut payload, mask);
            }
            self.on_payload(index, &payload);
        }
        input.drain(..used);
        if let Some(peer) = self.peers.get_mut(index).and_then(Option::as_mut) {
            // An empty buffer is given back: the floor holds nothing for an idle connection.
            peer.input = if input.is_empty() { Vec::new() } else { input };
        }
    }

    fn upgrade(&mut self, index: usize, request: &[u8]) {
        let room = wire::number_after(request, b"room=").unwrap_or(0) as usize;
        let receives = memmem::find(request, b"receives=1").is_some();
        if self.rooms.len() <= room {
            self.rooms.resize(room + 1, Vec::new());
            self.seqs.resize(room + 1, 0);
        }
        if let Some(members) = self.rooms.get_mut(room).filter(|_| receives) {
            members.push(index);
        }
        let Some(peer) = self.peers.get_mut(index).and_then(Option::as_mut) else { return };
        (peer.room, peer.receives, peer.upgraded) = (room, receives, true);
        let mut answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
            wire::ACCEPT
        )
        .into_bytes();
        let open = br#"0{"sid":"floor","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
        wire::encode_plain(wire::TEXT, open, &mut answer);
        peer.send(&answer, &self.epoll, index);
    }

    fn on_payload(&mut self, index: usize, payload: &[u8]) {
        if payload.starts_with(b"42") {
            self.publish(index, payload);
        } else if payload.starts_with(b"40") {
            let Some(peer) = self.peers.get_mut(index).and_then(Option::as_mut) else { return };
            let seq = self.seqs.get(peer.room).copied().unwrap_or(0);
            let ready =
                format!(r#"42["connection.ready",{{"rooms":[{{"id":"floor","seq":{seq}}}]}}]"#);
            let mut answer = Vec::new();
            wire::encode_plain(wire::TEXT, br#"40{"sid":"floor"}"#, &mut answer);
            wire::encode_plain(wire::TEXT, ready.as_bytes(), &mut answer);
            peer.send(&answer, &self.epoll, index);
        }
    }

    fn publish(&mut self, sender: usize, payload: &[u8]) {
        let Some(room) = self.peers.get(sender).and_then(Option::as_ref).map(|peer| peer.room)
        else {
            return;
        };
        let (Some(seq), Some(stamp)) = (self.seqs.get_mut(room), wire::stamp_bytes(payload)) else {
            return;
        };
        *seq += 1;
        let digits = format!("{seq:>SEQ_DIGITS$}").replace(' ', "0");
        for (at, bytes) in [(self.seq_at, digits.as_bytes()), (self.stamp_at, stamp)] {
            if let Some(place) = self.frame.get_mut(at..at + bytes.len()) {
                place.copy_from_slice(bytes);
            }
        }
        for &member in self.rooms.get(room).into_iter().flatten() {
            if let Some(peer) = self.peers.get_mut(member).and_then(Option::as_mut) {
                peer.send(&self.frame, &self.epoll, member);
            }
        }
    }

    fn forget(&mut self, index: usize) {
        let Some(peer) = self.peers.get_mut(index).and_then(Option::take) else { return };
        if let Some(members) = self.rooms.get_mut(peer.room).filter(|_| peer.receives) {
            members.retain(|&member| member != index);
        }
    }
}

impl Peer {
    fn send(&mut self, bytes: &[u8], epoll: &OwnedFd, index: usize) {
        let sent = if self.unsent.is_empty() { write(&self.stream, bytes).unwrap_or(0) } else { 0 };
        let rest = bytes.get(sent..).unwrap_or_default();
        if rest.is_empty() {
            return;
        }
        if self.unsent.is_empty() {
            self.watch(epoll, index, epoll::EventFlags::IN | epoll::EventFlags::OUT);
        }
        self.unsent.extend_from_slice(rest);
    }

    fn flush(&mut self, epoll: &OwnedFd, index: usize) {
        let sent = write(&self.stream, &self.unsent).unwrap_or(0);
        self.unsent.drain(..sent);
        if self.unsent.is_empty() {
            self.unsent = Vec::new();
            self.watch(epoll, index, epoll::EventFlags::IN);
        }
    }

    fn watch(&self, epoll: &OwnedFd, index: usize, interest: epoll::EventFlags) {
        let data = epoll::EventData::new_u64(index as u64);
        if let Err(error) = epoll::modify(epoll, self.stream.as_fd(), data, interest) {
            eprintln!("floor: cannot change interest: {error}");
        }
    }
}
