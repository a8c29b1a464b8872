import { reduce } from "./reduce";
import type { Action, ChatState, Draft } from "./state";
import { initialState } from "./state";
import type { KeyValue } from "./storage";
import type { Envelope, Message, Person, RoomRow } from "./wire";

export const ada: Person = { id: "ada", username: "ada", name: "Ada" };
export const noor: Person = { id: "noor", username: "noor", name: "Noor" };

export const START = Date.parse("2026-11-21T10:00:00.000Z");

export function message(number: number, more: Partial<Message> = {}): Message {
  const at = new Date(START + number * 1000).toISOString();
  return {
    id: `m${number}`,
    roomId: "r1",
    seq: number,
    number,
    senderId: noor.id,
    sender: more.senderId === ada.id ? ada : noor,
    kind: "text",
    content: `text ${number}`,
    replyToId: null,
    clientId: null,
    editedAt: null,
    deletedAt: null,
    editCount: 0,
    createdAt: at,
    updatedAt: at,
    ...more,
  };
}

export function envelope(seq: number, type: string, data: unknown): Envelope {
  const at = new Date(START + seq * 1000).toISOString();
  return { id: `evt_${seq}`, type, roomId: "r1", seq, actorId: noor.id, at, data };
}

export function createdEvent(number: number, more: Partial<Message> = {}): Envelope {
  const data = message(number, more);
  return envelope(data.seq, "message.created", data);
}

export function row(more: Partial<RoomRow> = {}): RoomRow {
  return {
    id: "r1",
    kind: "group",
    visibility: "private",
    name: "Room",
    topic: null,
    createdBy: ada.id,
    memberCount: 2,
    lastSeq: 0,
    lastNumber: 0,
    createdAt: "2026-11-01T00:00:00.000Z",
    updatedAt: "2026-11-01T00:00:00.000Z",
    unread: 0,
    lastMessage: null,
    lastReadSeq: 0,
    lastReadNumber: 0,
    role: "member",
    ...more,
  };
}

export function draft(clientId: string, more: Partial<Draft> = {}): Draft {
  return {
    clientId,
    roomId: "r1",
    content: `draft ${clientId}`,
    replyToId: null,
    createdAt: "2026-11-21T10:00:00.000Z",
    status: "pending",
    error: null,
    ...more,
  };
}

/** A signed-in state with the room `r1`, its timeline loaded and empty, after the actions given. */
export function stateAfter(...actions: Action[]): ChatState {
  const start: Action[] = [
    { type: "rooms", rows: [row()], complete: true },
    { type: "history", roomId: "r1", items: [], hasMore: false },
  ];
  return [...start, ...actions].reduce(reduce, initialState(ada));
}

export function memoryStorage(): KeyValue {
  const entries = new Map<string, string>();
  return {
    get length() {
      return entries.size;
    },
    key: (index) => [...entries.keys()][index] ?? null,
    getItem: (key) => entries.get(key) ?? null,
    setItem: (key, value) => void entries.set(key, value),
    removeItem: (key) => void entries.delete(key),
  };
}
