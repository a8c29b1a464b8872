//! What must be true when the faults are over.

use std::collections::BTreeMap;

use super::world::{Power, World};

/// The first thing that is not as it must be.
pub(super) fn what_is_wrong(world: &World) -> Option<String> {
    senders(world).or_else(|| listeners(world)).or_else(|| people(world))
}

fn senders(world: &World) -> Option<String> {
    if let Some(sender) = world.senders.iter().find(|sender| sender.waits()) {
        return Some(format!("sender {} waits for an answer for ever", sender.number));
    }
    let mut times = BTreeMap::<_, u32>::new();
    for stored in world.store.rooms.iter().flatten() {
        *times.entry(stored.message).or_default() += 1;
    }
    if let Some((message, times)) = times.iter().find(|(_, times)| **times > 1) {
        return Some(format!("{message:?} is stored {times} times"));
    }
    let mut acked = world.senders.iter().flat_map(|sender| sender.acked.iter());
    let lost = acked.find(|message| !times.contains_key(message))?;
    Some(format!("{lost:?} was acknowledged and is not stored"))
}

fn listeners(world: &World) -> Option<String> {
    world.listeners.iter().find_map(|listener| {
        let (room, last) = listener
            .last
            .iter()
            .map(|(room, last)| (*room, *last))
            .find(|(room, last)| *last != world.store.head(*room))?;
        let (number, head) = (listener.number, world.store.head(room));
        Some(format!("listener {number} has {last} of {head} events of room {room}"))
    })
}

fn people(world: &World) -> Option<String> {
    for (node, place) in world.nodes.iter().enumerate() {
        let Some(process) = &place.process else { return Some(format!("node {node} is down")) };
        for user in world.listeners.iter().map(|listener| listener.number) {
            let is_elsewhere = world.nodes.iter().enumerate().any(|(other, place)| {
                let has = place.process.as_ref().is_some_and(|it| it.users.contains_key(&user));
                other != node && place.power == Power::On && has
            });
            let seen = process.people.is_present_elsewhere(&user);
            if seen != is_elsewhere {
                return Some(format!(
                    "node {node} thinks that {user} is elsewhere: {seen}; it is {is_elsewhere}"
                ));
            }
            if process.seen_elsewhere.contains(&user) != seen {
                return Some(format!("node {node} was told otherwise of {user} than it says"));
            }
        }
    }
    None
}
