import type { RoomState } from "./state";
import type { Envelope } from "./wire";

/** Held events above this number are dropped: `sync` will bring them again. */
const HELD_MAX = 500;

export interface Admission {
  readonly room: RoomState;
  /** Events that may be applied now, in order. */
  readonly ready: readonly Envelope[];
}

/**
 * Decides what a room may do with an event: an old one is dropped, the next one is released together
 * with any that waited for it, a later one is held because something in between is missing.
 */
export function admit(room: RoomState, envelope: Envelope): Admission {
  if (envelope.seq <= room.head) return { room, ready: [] };
  if (room.held.some((held) => held.seq === envelope.seq)) return { room, ready: [] };
  const held = [...room.held, envelope].sort((a, b) => a.seq - b.seq).slice(0, HELD_MAX);
  return drain({ ...room, held });
}

/** Marks a sequence as known from an acknowledgement, so that its event leaves no gap. */
export function acknowledge(room: RoomState, seq: number): Admission {
  if (seq <= room.head || room.ahead.includes(seq)) return { room, ready: [] };
  return drain({ ...room, ahead: [...room.ahead, seq] });
}

/** Moves the head to `seq`, releasing what was held up to and beyond it. */
export function catchUp(room: RoomState, seq: number): Admission {
  if (seq <= room.head) return { room, ready: [] };
  const below = room.held.filter((held) => held.seq <= seq);
  const rest = room.held.filter((held) => held.seq > seq);
  const next = drain({ ...room, head: seq, held: rest });
  return { room: next.room, ready: [...below, ...next.ready] };
}

/** Whether events are known to exist that have not been applied. */
export function isBehind(room: RoomState): boolean {
  return room.held.length > 0 || room.room.lastSeq > room.head;
}

function drain(room: RoomState): Admission {
  const ready: Envelope[] = [];
  let { head, ahead, held } = room;
  for (;;) {
    const next = head + 1;
    const [first] = held;
    if (first && first.seq <= next) {
      ready.push(first);
      held = held.slice(1);
      head = Math.max(head, first.seq);
    } else if (ahead.includes(next)) {
      head = next;
    } else {
      break;
    }
  }
  ahead = ahead.filter((seq) => seq > head);
  return { room: { ...room, head, ahead, held }, ready };
}
