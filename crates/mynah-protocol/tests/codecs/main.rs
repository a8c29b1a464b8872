//! The codecs as their users see them: golden vectors, hostile input, round trips.

#[cfg(test)]
mod autobahn;
#[cfg(test)]
mod deflate;
#[cfg(test)]
mod engine_io;
#[cfg(test)]
mod engine_io_v3;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod handshake;
#[cfg(test)]
mod msgpack;
#[cfg(test)]
mod pusher;
#[cfg(test)]
mod pusher_golden;
#[cfg(test)]
mod pusher_http;
#[cfg(test)]
mod socket_io;
#[cfg(test)]
mod websocket;
