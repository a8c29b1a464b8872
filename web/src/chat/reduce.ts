import { applyEvent, created, withoutRoom, withoutTypist, withRoom } from "./events";
import { type Admission, acknowledge, admit, catchUp } from "./sequence";
import type { Action, ChatState } from "./state";
import { emptyTimeline, initialState, roomStateOf } from "./state";
import { merge } from "./timeline";
import type { Member, Message, RoomRow } from "./wire";

/** The one place where chat state changes; pure, so that every rule can be tested without a network. */
export function reduce(state: ChatState, action: Action): ChatState {
  switch (action.type) {
    case "signed-in":
      return { ...initialState(action.me), outbox: action.outbox };
    case "connection":
      return {
        ...state,
        connection: action.connection,
        latencyMs: action.connection === "online" ? state.latencyMs : null,
        typing: action.connection === "online" ? state.typing : {},
      };
    case "latency":
      return { ...state, latencyMs: action.ms };
    case "rooms":
      return rooms(state, action.rows, action.complete);
    case "room-removed":
      return withoutRoom(state, action.roomId);
    case "event":
      return event(state, action.envelope);
    case "caught-up":
      return admitted(state, action.roomId, (room) => catchUp(room, action.seq));
    case "resync":
      return resync(state, action.roomId, action.seq);
    case "another-log":
      return anotherLog(state);
    case "history-loading":
      return historyStatus(state, action.roomId, "loading");
    case "history-failed":
      return historyStatus(state, action.roomId, "failed");
    case "history":
      return history(state, action);
    case "message-known":
      return messageKnown(state, action.message);
    case "draft-added":
      return { ...state, outbox: [...state.outbox, action.draft] };
    case "draft-changed":
      return {
        ...state,
        outbox: state.outbox.map((draft) =>
          draft.clientId === action.clientId
            ? { ...draft, status: action.status, error: action.error }
            : draft,
        ),
      };
    case "draft-dropped":
      return {
        ...state,
        outbox: state.outbox.filter((draft) => draft.clientId !== action.clientId),
      };
    case "members":
      return members(state, action.roomId, action.members);
    case "presence": {
      const changes = action.users.map(({ userId, online }) => [userId, online] as const);
      return { ...state, online: { ...state.online, ...Object.fromEntries(changes) } };
    }
    case "typing":
      return typing(state, action);
    case "typing-expired":
      return typingExpired(state, action.now);
    case "read":
      return read(state, action);
    case "invited": {
      const { room } = action.invitation;
      if (state.rooms[room.id]) return state;
      return { ...state, invitations: { ...state.invitations, [room.id]: action.invitation } };
    }
    case "invitation-closed":
      return { ...state, invitations: withoutKey(state.invitations, action.roomId) };
    case "notice":
      return {
        ...state,
        notice:
          action.text !== null
            ? { id: action.id, text: action.text }
            : state.notice?.id === action.id
              ? null
              : state.notice,
      };
  }
}

function rooms(state: ChatState, rows: readonly RoomRow[], complete: boolean): ChatState {
  const next = Object.fromEntries(
    rows.map((row) => [row.id, roomStateOf(row, state.rooms[row.id])]),
  );
  const open = Object.entries(state.invitations).filter(([roomId]) => !next[roomId]);
  return {
    ...state,
    invitations: Object.fromEntries(open),
    roomsLoaded: state.roomsLoaded || complete,
    rooms: complete ? next : { ...state.rooms, ...next },
  };
}

function withoutKey<T>(entries: Readonly<Record<string, T>>, key: string): Record<string, T> {
  const { [key]: _gone, ...rest } = entries;
  return rest;
}

function event(
  state: ChatState,
  envelope: Extract<Action, { type: "event" }>["envelope"],
): ChatState {
  if (envelope.roomId === null) return state;
  return admitted(state, envelope.roomId, (room) => admit(room, envelope));
}

function admitted(
  state: ChatState,
  roomId: string,
  decide: (room: ChatState["rooms"][string]) => Admission,
): ChatState {
  const room = state.rooms[roomId];
  if (!room) return state;
  const admission = decide(room);
  return admission.ready.reduce(applyEvent, withRoom(state, admission.room));
}

/** Too much was missed: forget what was shown, start again from the head the server names. */
function resync(state: ChatState, roomId: string, seq: number): ChatState {
  const room = state.rooms[roomId];
  if (!room) return state;
  const head = Math.max(room.head, seq);
  const held = room.held.filter((later) => later.seq > head);
  return {
    ...withRoom(state, { ...room, head, held, ahead: [] }),
    timelines: { ...state.timelines, [roomId]: emptyTimeline },
  };
}

/** The server's log was taken back: no place in it that was known means anything; a resync of each room follows. */
function anotherLog(state: ChatState): ChatState {
  const rooms = Object.entries(state.rooms).map(([id, room]) => [
    id,
    { ...room, head: 0, ahead: [], held: [], lastReadSeq: 0, lastReadNumber: 0 },
  ]);
  return { ...state, rooms: Object.fromEntries(rooms) };
}

function historyStatus(state: ChatState, roomId: string, status: "loading" | "failed"): ChatState {
  const timeline = state.timelines[roomId] ?? emptyTimeline;
  return { ...state, timelines: { ...state.timelines, [roomId]: { ...timeline, status } } };
}

function history(state: ChatState, page: Extract<Action, { type: "history" }>): ChatState {
  const before = state.timelines[page.roomId] ?? emptyTimeline;
  const shown = {
    messages: merge(before.messages, page.items),
    hasMore: page.hasMore,
    status: "ready" as const,
  };
  const stored = new Set(page.items.map((message) => message.clientId));
  return {
    ...state,
    timelines: { ...state.timelines, [page.roomId]: shown },
    outbox: state.outbox.filter((draft) => !stored.has(draft.clientId)),
  };
}

function messageKnown(state: ChatState, message: Message): ChatState {
  const room = state.rooms[message.roomId];
  if (!room) return state;
  const next = created(state, room, message);
  return admitted(next, message.roomId, (current) => acknowledge(current, message.seq));
}

function members(state: ChatState, roomId: string, list: readonly Member[]): ChatState {
  const online: Record<string, boolean> = { ...state.online };
  const reads: Record<string, number> = { ...state.reads[roomId] };
  for (const member of list) {
    if (member.online !== undefined) online[member.userId] = member.online;
    reads[member.userId] = Math.max(reads[member.userId] ?? 0, member.lastReadSeq ?? 0);
  }
  return {
    ...state,
    online,
    reads: { ...state.reads, [roomId]: reads },
    members: { ...state.members, [roomId]: list },
  };
}

function typing(state: ChatState, signal: Extract<Action, { type: "typing" }>): ChatState {
  const { roomId, user, until } = signal;
  if (user.id === state.me?.id) return state;
  if (until === null) return { ...state, typing: withoutTypist(state, roomId, user.id) };
  const typists = { ...state.typing[roomId], [user.id]: { user, until } };
  return { ...state, typing: { ...state.typing, [roomId]: typists } };
}

function typingExpired(state: ChatState, now: number): ChatState {
  const expired = Object.values(state.typing).some((typists) =>
    Object.values(typists).some((typist) => typist.until <= now),
  );
  if (!expired) return state;
  const fresh = Object.entries(state.typing).map(([roomId, typists]) => [
    roomId,
    Object.fromEntries(Object.entries(typists).filter(([, typist]) => typist.until > now)),
  ]);
  return { ...state, typing: Object.fromEntries(fresh) };
}

function read(state: ChatState, receipt: Extract<Action, { type: "read" }>): ChatState {
  const { roomId, userId, seq, number } = receipt;
  const roomReads = state.reads[roomId] ?? {};
  const reads =
    seq > (roomReads[userId] ?? 0)
      ? { ...state.reads, [roomId]: { ...roomReads, [userId]: seq } }
      : state.reads;
  const next = { ...state, reads };
  const room = state.rooms[roomId];
  if (!room || userId !== state.me?.id || seq < room.lastReadSeq) return next;
  const unread = Math.min(room.unread, Math.max(0, room.room.lastNumber - number));
  return withRoom(next, { ...room, lastReadSeq: seq, lastReadNumber: number, unread });
}
