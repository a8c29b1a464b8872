import type { ChatState, RoomState } from "./state";
import { emptyTimeline } from "./state";
import { merge, refresh, remove, tombstone } from "./timeline";
import type { Envelope, MemberChange, Message, MessageDeleted, Room } from "./wire";

/** Applies one durable room event whose turn it is. */
export function applyEvent(state: ChatState, envelope: Envelope): ChatState {
  const roomId = envelope.roomId;
  const room = roomId === null ? undefined : state.rooms[roomId];
  if (roomId === null || !room) return state;
  switch (envelope.type) {
    case "message.created":
      return created(state, room, envelope.data as Message);
    case "message.updated":
      return updated(state, room, envelope.data as Message);
    case "message.deleted":
      return deleted(state, room, envelope.data as MessageDeleted);
    case "room.updated":
      return withRoom(state, { ...room, room: { ...room.room, ...(envelope.data as Room) } });
    case "room.deleted":
      return withoutRoom(state, roomId);
    case "member.joined":
      return joined(state, room, envelope.data as MemberChange);
    case "member.left":
      return left(state, room, envelope.data as MemberChange);
    case "member.role_changed":
      return roleChanged(state, room, envelope.data as MemberChange);
    default:
      return state;
  }
}

/** Takes in a message however it became known: event, acknowledgement or history. */
export function created(state: ChatState, before: RoomState, message: Message): ChatState {
  const own = message.senderId === state.me?.id;
  const isNew = message.number > before.room.lastNumber;
  let room = before;
  if (isNew) {
    room = {
      ...room,
      room: { ...room.room, lastNumber: message.number, updatedAt: message.createdAt },
      lastMessage: message,
      unread: own ? 0 : room.unread + 1,
    };
    if (own) room = { ...room, lastReadSeq: message.seq, lastReadNumber: message.number };
  }
  const timeline = state.timelines[message.roomId] ?? emptyTimeline;
  const shown = timeline.status === "ready" || timeline.status === "loading";
  const next = withRoom(state, room);
  return {
    ...next,
    timelines: shown
      ? {
          ...next.timelines,
          [message.roomId]: { ...timeline, messages: merge(timeline.messages, [message]) },
        }
      : next.timelines,
    outbox: own ? settled(state, message) : state.outbox,
    typing: withoutTypist(state, message.roomId, message.senderId),
  };
}

function settled(state: ChatState, message: Message): ChatState["outbox"] {
  const { clientId } = message;
  if (clientId === null || !state.outbox.some((draft) => draft.clientId === clientId)) {
    return state.outbox;
  }
  return state.outbox.filter((draft) => draft.clientId !== clientId);
}

function updated(state: ChatState, room: RoomState, message: Message): ChatState {
  const isLast = room.lastMessage?.id === message.id;
  const next = isLast ? withRoom(state, { ...room, lastMessage: message }) : state;
  const timeline = next.timelines[message.roomId];
  if (!timeline) return next;
  return {
    ...next,
    timelines: { ...next.timelines, [message.roomId]: refresh(timeline, message) },
  };
}

function deleted(state: ChatState, room: RoomState, data: MessageDeleted): ChatState {
  const last = room.lastMessage;
  const next =
    last?.id === data.messageId
      ? withRoom(state, { ...room, lastMessage: tombstone(last, data.deletedAt) })
      : state;
  const timeline = next.timelines[room.room.id];
  if (!timeline) return next;
  return {
    ...next,
    timelines: {
      ...next.timelines,
      [room.room.id]: remove(timeline, data.messageId, data.deletedAt),
    },
  };
}

function joined(state: ChatState, room: RoomState, change: MemberChange): ChatState {
  const members = state.members[change.roomId];
  const known = members?.some((member) => member.userId === change.userId) ?? false;
  const next = known ? state : resize(state, room, 1);
  if (!members || known || !change.user) return next;
  const member = { userId: change.userId, user: change.user, role: change.role ?? "member" };
  return { ...next, members: { ...next.members, [change.roomId]: [...members, member] } };
}

function left(state: ChatState, room: RoomState, change: MemberChange): ChatState {
  if (change.userId === state.me?.id) return withoutRoom(state, change.roomId);
  const next = resize(state, room, -1);
  const members = state.members[change.roomId];
  if (!members) return next;
  const rest = members.filter((member) => member.userId !== change.userId);
  return {
    ...next,
    members: { ...next.members, [change.roomId]: rest },
    typing: withoutTypist(next, change.roomId, change.userId),
  };
}

function roleChanged(state: ChatState, room: RoomState, change: MemberChange): ChatState {
  const role = change.role ?? "member";
  const next = change.userId === state.me?.id ? withRoom(state, { ...room, role }) : state;
  const members = next.members[change.roomId];
  if (!members) return next;
  const changed = members.map((member) =>
    member.userId === change.userId ? { ...member, role } : member,
  );
  return { ...next, members: { ...next.members, [change.roomId]: changed } };
}

function resize(state: ChatState, room: RoomState, by: number): ChatState {
  const memberCount = Math.max(0, room.room.memberCount + by);
  return withRoom(state, { ...room, room: { ...room.room, memberCount } });
}

export function withRoom(state: ChatState, room: RoomState): ChatState {
  if (state.rooms[room.room.id] === room) return state;
  return { ...state, rooms: { ...state.rooms, [room.room.id]: room } };
}

export function withoutRoom(state: ChatState, roomId: string): ChatState {
  const { [roomId]: _room, ...rooms } = state.rooms;
  const { [roomId]: _timeline, ...timelines } = state.timelines;
  const { [roomId]: _members, ...members } = state.members;
  return { ...state, rooms, timelines, members };
}

export function withoutTypist(
  state: ChatState,
  roomId: string,
  userId: string,
): ChatState["typing"] {
  const typists = state.typing[roomId];
  if (!typists?.[userId]) return state.typing;
  const { [userId]: _gone, ...rest } = typists;
  return { ...state.typing, [roomId]: rest };
}
