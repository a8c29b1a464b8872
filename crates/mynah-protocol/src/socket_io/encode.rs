//! Packet builders. Each appends one whole Engine.IO text packet, `4` included.
//!
//! `args` are JSON values; an element may also hold several values separated by commas (see
//! [`super::Args::joined`]), and empty elements are skipped. Nothing is validated: the callers
//! pass what a JSON serialiser or the decoder produced.

use super::MAIN_NAMESPACE;
use crate::json::write_string;

/// Accepts a client: `40{"sid":"…"}`, with `pid` for connection state recovery.
pub fn connect(nsp: &str, sid: &str, pid: Option<&str>, out: &mut Vec<u8>) {
    put_head(b'0', nsp, out);
    out.extend_from_slice(b"{\"sid\":");
    write_string(sid, out);
    if let Some(pid) = pid {
        out.extend_from_slice(b",\"pid\":");
        write_string(pid, out);
    }
    out.push(b'}');
}

/// Asks to join a namespace: `40/chat,{"token":"…"}`; `auth` is a JSON object. For clients.
pub fn connect_request(nsp: &str, auth: Option<&str>, out: &mut Vec<u8>) {
    put_head(b'0', nsp, out);
    out.extend_from_slice(auth.unwrap_or_default().as_bytes());
}

/// Refuses a client: `44/chat,{"message":"…","data":…}`; `data` is JSON.
pub fn connect_error(nsp: &str, message: &str, data: Option<&str>, out: &mut Vec<u8>) {
    put_head(b'4', nsp, out);
    out.extend_from_slice(b"{\"message\":");
    write_string(message, out);
    if let Some(data) = data {
        out.extend_from_slice(b",\"data\":");
        out.extend_from_slice(data.as_bytes());
    }
    out.push(b'}');
}

/// Refuses a client of revision 4: `44/chat,{"message":"…"}` or `44"…"`; `data` is any JSON.
pub fn error_v4(nsp: &str, data: &str, out: &mut Vec<u8>) {
    put_head(b'4', nsp, out);
    out.extend_from_slice(data.as_bytes());
}

/// Leaves a namespace, or removes a client from it: `41/chat,`.
pub fn disconnect(nsp: &str, out: &mut Vec<u8>) {
    put_head(b'1', nsp, out);
}

/// An event: `42/chat,7["name",1,{}]`.
pub fn event(nsp: &str, id: Option<u64>, name: &str, args: &[&str], out: &mut Vec<u8>) {
    put_head(b'2', nsp, out);
    put_id(id, out);
    put_event_body(name, args, out);
}

/// The start of an event packet without id, up to the name: `42/chat,["name"`. The packet is
/// complete after `,` and an argument, any number of times, and `]`.
pub fn event_prefix(nsp: &str, name: &str) -> String {
    let mut out = Vec::new();
    put_head(b'2', nsp, &mut out);
    out.push(b'[');
    write_string(name, &mut out);
    String::from_utf8(out).expect("made of strings")
}

/// Answers the event of that id: `43/chat,7[1,{}]`.
pub fn ack(nsp: &str, id: u64, args: &[&str], out: &mut Vec<u8>) {
    put_head(b'3', nsp, out);
    put_id(Some(id), out);
    put_array(args, out);
}

/// Start of a packet with attachments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BinaryHead<'a> {
    /// Namespace.
    pub nsp: &'a str,
    /// Acknowledgement id; an acknowledgement needs one.
    pub id: Option<u64>,
    /// Number of binary messages the caller sends right after this packet, at least 1.
    pub attachments: usize,
}

/// An event with attachments: `451-/chat,7["name",{"_placeholder":true,"num":0}]`.
pub fn binary_event(head: BinaryHead<'_>, name: &str, args: &[&str], out: &mut Vec<u8>) {
    put_binary_head(b'5', head, out);
    put_event_body(name, args, out);
}

/// An acknowledgement with attachments: `461-/chat,7[{"_placeholder":true,"num":0}]`.
pub fn binary_ack(head: BinaryHead<'_>, args: &[&str], out: &mut Vec<u8>) {
    put_binary_head(b'6', head, out);
    put_array(args, out);
}

/// The JSON that stands for attachment `num`: `{"_placeholder":true,"num":0}`.
pub fn placeholder(num: usize) -> String {
    format!("{{\"_placeholder\":true,\"num\":{num}}}")
}

fn put_head(kind: u8, nsp: &str, out: &mut Vec<u8>) {
    out.push(crate::engine_io::MESSAGE);
    out.push(kind);
    put_namespace(nsp, out);
}

fn put_binary_head(kind: u8, head: BinaryHead<'_>, out: &mut Vec<u8>) {
    out.push(crate::engine_io::MESSAGE);
    out.push(kind);
    put_number(head.attachments as u64, out);
    out.push(b'-');
    put_namespace(head.nsp, out);
    put_id(head.id, out);
}

fn put_namespace(nsp: &str, out: &mut Vec<u8>) {
    if nsp != MAIN_NAMESPACE {
        out.extend_from_slice(nsp.as_bytes());
        out.push(b',');
    }
}

fn put_id(id: Option<u64>, out: &mut Vec<u8>) {
    if let Some(id) = id {
        put_number(id, out);
    }
}

fn put_number(number: u64, out: &mut Vec<u8>) {
    serde_json::to_writer(out, &number).expect("writing a number to a Vec cannot fail");
}

fn put_event_body(name: &str, args: &[&str], out: &mut Vec<u8>) {
    out.push(b'[');
    write_string(name, out);
    for arg in args.iter().filter(|arg| !arg.is_empty()) {
        out.push(b',');
        out.extend_from_slice(arg.as_bytes());
    }
    out.push(b']');
}

fn put_array(args: &[&str], out: &mut Vec<u8>) {
    out.push(b'[');
    let mut is_first = true;
    for arg in args.iter().filter(|arg| !arg.is_empty()) {
        if !is_first {
            out.push(b',');
        }
        is_first = false;
        out.extend_from_slice(arg.as_bytes());
    }
    out.push(b']');
}
