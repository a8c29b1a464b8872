import type { ChatState, RoomState, Timeline } from "./state";
import { emptyTimeline } from "./state";
import type { Message, Person } from "./wire";

export function personName(person: Person | null | undefined): string {
  return person?.name || person?.username || "Someone";
}

/** The other side of a direct room, once known. */
export function peerOf(state: ChatState, room: RoomState): Person | null {
  if (room.room.kind !== "direct") return null;
  const member = state.members[room.room.id]?.find((known) => known.userId !== state.me?.id);
  if (member) return member.user;
  const sender = room.lastMessage?.sender;
  return sender && sender.id !== state.me?.id ? sender : null;
}

export function roomTitle(state: ChatState, room: RoomState): string {
  if (room.room.kind !== "direct") return room.room.name || "Untitled room";
  const peer = peerOf(state, room);
  return peer ? personName(peer) : room.room.name || "Direct chat";
}

/** Rooms by latest activity, newest first. */
export function sortedRooms(rooms: ChatState["rooms"]): RoomState[] {
  return Object.values(rooms).sort((a, b) => activity(b).localeCompare(activity(a)));
}

function activity(room: RoomState): string {
  return room.lastMessage?.createdAt ?? room.room.createdAt;
}

export function totalUnread(rooms: ChatState["rooms"]): number {
  return Object.values(rooms).reduce((sum, room) => sum + room.unread, 0);
}

export function timelineOf(state: ChatState, roomId: string): Timeline {
  return state.timelines[roomId] ?? emptyTimeline;
}

/** `Ada is typing`, `Ada and Grace are typing`, `Ada, Grace and 2 others are typing`, or nothing. */
export function typingText(typists: ChatState["typing"][string] | undefined): string {
  const names = Object.values(typists ?? {}).map((typist) => personName(typist.user));
  const [first, second] = names;
  if (!first) return "";
  if (!second) return `${first} is typing`;
  if (names.length === 2) return `${first} and ${second} are typing`;
  const others = names.length - 2;
  return `${first}, ${second} and ${others} other${others === 1 ? "" : "s"} are typing`;
}

/** The one-line text of a message in the room list. */
export function preview(message: Message, meId: string | undefined, direct: boolean): string {
  const text =
    message.deletedAt === null ? message.content.replaceAll(/\s+/g, " ") : "Message deleted";
  if (message.senderId === meId) return `You: ${text}`;
  return direct ? text : `${personName(message.sender)}: ${text}`;
}

/** Sequence up to which at least one other member has read. */
export function readByOthers(state: ChatState, roomId: string): number {
  const reads = Object.entries(state.reads[roomId] ?? {});
  return Math.max(0, ...reads.filter(([userId]) => userId !== state.me?.id).map(([, seq]) => seq));
}
