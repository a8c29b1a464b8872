//! The judge finds each kind of fault, and nothing where there is none.

use tokio::time::Instant;

use super::*;
use crate::ledger::Draft;
use crate::listen::{Hearing, Item};

fn ack(room: u64, seq: u64) -> Ack {
    let number = seq - 1;
    Ack { id: format!("m{room}-{seq}"), seq, number, created_at: String::new() }
}

/// Rooms with `room.created` and then messages up to the heads.
fn log(heads: &[u64]) -> Log {
    let room = |(room, head): (usize, &u64)| {
        let event = |seq| Stored {
            seq,
            message: (seq > 1).then(|| (ack(room as u64, seq), format!("c{room}-{seq}"))),
        };
        (1..=*head).map(event).collect()
    };
    heads.iter().enumerate().map(room).collect()
}

fn draft(room: usize, seq: u64) -> Draft {
    Draft { client_id: format!("c{room}-{seq}"), room, sender: 0, turn: seq }
}

fn ledger(heads: &[u64]) -> Ledger {
    let ledger = Ledger::default();
    for (room, head) in heads.iter().enumerate() {
        (2..=*head).for_each(|seq| {
            ledger.note(&draft(room, seq), ack(room as u64, seq), (0, Instant::now()));
        });
    }
    ledger
}

fn notes(heads: &[u64]) -> Notes {
    let hear = |(room, head): (usize, &u64)| {
        let item = |seq| Item { seq, message: Some(format!("m{room}-{seq}")) };
        Hearing {
            base: 1,
            last: *head,
            items: (2..=*head).map(item).collect(),
            ..Hearing::default()
        }
    };
    let rooms = heads.iter().enumerate().map(hear).collect();
    Notes { rooms, connections: 1, is_connected: true, ..Notes::default() }
}

fn counts(findings: &Findings) -> (u64, u64, u64) {
    (findings.lost, findings.doubled, findings.out_of_order)
}

fn heard(log: &Log, notes: &Notes, is_over: bool) -> (u64, u64, u64) {
    let mut findings = Findings::default();
    hearing(log, ("a", notes, is_over), &mut findings);
    counts(&findings)
}

#[test]
fn what_is_right_is_not_complained_about() {
    let ledger = ledger(&[5, 3]);
    let again = ack(0, 4);
    ledger.note(&draft(0, 4), again, (1, Instant::now()));
    let findings = compare(&log(&[5, 3]), &ledger, &[]);
    assert!(findings.is_clean(), "{findings:?}");
    assert_eq!((findings.acked, findings.stored, ledger.repeats()), (6, 6, 1));
    assert_eq!(heard(&log(&[5, 3]), &notes(&[5, 3]), false), (0, 0, 0));
}

#[test]
fn what_was_acknowledged_and_is_not_stored_so_is_lost() {
    assert_eq!(counts(&compare(&log(&[4]), &ledger(&[5]), &[])), (1, 0, 0));
    let ledger = Ledger::default();
    ledger.note(&draft(0, 3), ack(0, 4), (0, Instant::now()));
    assert_eq!(counts(&compare(&log(&[5]), &ledger, &[])), (1, 0, 0));
}

#[test]
fn one_client_id_twice_and_two_answers_are_doubles() {
    let mut stored = log(&[4]);
    stored[0][3].message = Some((ack(0, 4), "c0-3".to_owned()));
    assert_eq!(counts(&compare(&stored, &Ledger::default(), &[])), (0, 1, 0));
    let ledger = ledger(&[4]);
    ledger.note(&draft(0, 3), ack(0, 4), (1, Instant::now()));
    assert_eq!(counts(&compare(&log(&[4]), &ledger, &[])), (0, 1, 0));
}

#[test]
fn gaps_and_turned_sends_are_out_of_order() {
    let mut gap = log(&[5]);
    gap[0].remove(2);
    // The hole itself, and all after it stand in another place and have another number.
    assert!(compare(&gap, &Ledger::default(), &[]).out_of_order >= 1);
    let ledger = Ledger::default();
    for (turn, seq) in [(1, 3), (2, 2)] {
        ledger.note(&Draft { turn, ..draft(0, seq) }, ack(0, seq), (0, Instant::now()));
    }
    assert_eq!(counts(&compare(&log(&[3]), &ledger, &[])), (0, 0, 1));
}

#[test]
fn a_listener_has_what_is_stored() {
    let mut deaf = notes(&[5]);
    deaf.rooms[0].items.remove(1);
    assert_eq!(heard(&log(&[5]), &deaf, false), (1, 0, 0));
    let mut other = notes(&[5]);
    other.rooms[0].items[0].message = Some("another".to_owned());
    assert_eq!(heard(&log(&[5]), &other, false), (1, 0, 0));
    assert_eq!(heard(&log(&[4]), &notes(&[5]), false), (1, 0, 0));
    let doubled = Notes { doubled: 2, misplaced: 1, ..notes(&[5]) };
    assert_eq!(heard(&log(&[5]), &doubled, false), (0, 2, 1));
}

#[test]
fn who_was_told_to_read_or_has_left_need_not_have_heard_all() {
    let mut told = notes(&[5]);
    told.rooms[0].items.drain(1..3);
    assert_eq!(heard(&log(&[5]), &told, false), (2, 0, 0));
    told.rooms[0].told_to_read.push((2, 4));
    assert_eq!(heard(&log(&[5]), &told, false), (0, 0, 0));
    assert_eq!(heard(&log(&[9]), &notes(&[5]), true), (0, 0, 0));
    assert_eq!(heard(&log(&[9]), &notes(&[5]), false), (4, 0, 0));
}
