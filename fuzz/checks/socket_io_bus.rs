//! Messages of Node Socket.IO servers: no panic, and an event that was read is written and read again alike.
//!
//! Input: the first byte says format and kind, the rest is the message.

use mynah_cluster::socket_io::{Format, Heard, read_event, read_request, write_event};

pub(crate) fn check(data: &[u8]) {
    let Some((kind, input)) = data.split_first() else { return };
    let format = if kind % 3 == 1 { Format::Sharded } else { Format::Classic };
    if kind % 3 == 2 {
        let _read = read_request(input, "/chat");
        return;
    }
    let Ok(Some((uid, Heard::Broadcast { target, flags, emission, asker: None }))) =
        read_event(format, input, "/chat")
    else {
        return;
    };
    let placeholders =
        emission.arguments.json.iter().map(|json| json.matches("_placeholder").count());
    if placeholders.sum::<usize>() != emission.arguments.attachments.len() {
        // Data that looks like a placeholder becomes one, as in every Socket.IO server.
        return;
    }
    let again = write_event((format, &uid, "/chat"), (&target, flags), &emission);
    let Ok(Some((
        from,
        Heard::Broadcast { target: whom, flags: how, emission: what, asker: None },
    ))) = read_event(format, &again, "/chat")
    else {
        panic!("an own event was not read: {emission:?}");
    };
    assert_eq!((from, whom, how), (uid, target, flags));
    assert_eq!(what, emission);
}
