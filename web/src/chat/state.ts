import type { Account, Envelope, Member, Message, Person, Room, RoomRow } from "./wire";

export type Connection = "connecting" | "online" | "offline";

/** A message the user wrote that the server has not confirmed. */
export interface Draft {
  readonly clientId: string;
  readonly roomId: string;
  readonly content: string;
  readonly replyToId: string | null;
  readonly createdAt: string;
  readonly status: "pending" | "failed";
  readonly error: string | null;
}

export interface Timeline {
  /** Ascending by `number`, each number at most once. */
  readonly messages: readonly Message[];
  readonly hasMore: boolean;
  readonly status: "idle" | "loading" | "ready" | "failed";
}

export interface RoomState {
  readonly room: Room;
  readonly role: string | null;
  /** Every event up to this sequence has been applied. */
  readonly head: number;
  /** Sequences above `head` already known from acknowledgements. */
  readonly ahead: readonly number[];
  /** Events above a gap, kept until the missing ones arrive. */
  readonly held: readonly Envelope[];
  readonly unread: number;
  readonly lastMessage: Message | null;
  readonly lastReadSeq: number;
  readonly lastReadNumber: number;
}

export interface Typist {
  readonly user: Person;
  /** Milliseconds since the epoch after which the signal is stale. */
  readonly until: number;
}

export interface Invitation {
  readonly room: Room;
  readonly by: Person | null;
}

export interface ChatState {
  readonly me: Account | null;
  readonly connection: Connection;
  readonly latencyMs: number | null;
  readonly roomsLoaded: boolean;
  readonly rooms: Readonly<Record<string, RoomState>>;
  readonly timelines: Readonly<Record<string, Timeline>>;
  readonly outbox: readonly Draft[];
  readonly members: Readonly<Record<string, readonly Member[]>>;
  readonly online: Readonly<Record<string, boolean>>;
  readonly typing: Readonly<Record<string, Readonly<Record<string, Typist>>>>;
  /** roomId -> userId -> sequence up to which that member has read. */
  readonly reads: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** Rooms the reader may join because somebody asked them to. */
  readonly invitations: Readonly<Record<string, Invitation>>;
  readonly notice: { readonly id: number; readonly text: string } | null;
}

export const emptyTimeline: Timeline = { messages: [], hasMore: true, status: "idle" };

export function initialState(me: Account | null): ChatState {
  return {
    me,
    connection: "connecting",
    latencyMs: null,
    roomsLoaded: false,
    rooms: {},
    timelines: {},
    outbox: [],
    members: {},
    online: {},
    typing: {},
    reads: {},
    invitations: {},
    notice: null,
  };
}

export function roomStateOf(row: RoomRow, before?: RoomState): RoomState {
  const { unread, lastMessage, lastReadSeq, lastReadNumber, role, ...room } = row;
  const fresh = !before || row.lastSeq >= before.head;
  return {
    room,
    role: role ?? before?.role ?? null,
    head: before?.head ?? row.lastSeq,
    ahead: before?.ahead ?? [],
    held: before?.held ?? [],
    unread: fresh ? (unread ?? before?.unread ?? 0) : before.unread,
    lastMessage: fresh ? (lastMessage ?? before?.lastMessage ?? null) : before.lastMessage,
    lastReadSeq: Math.max(lastReadSeq ?? 0, before?.lastReadSeq ?? 0),
    lastReadNumber: Math.max(lastReadNumber ?? 0, before?.lastReadNumber ?? 0),
  };
}

export type Action =
  | { type: "signed-in"; me: Account; outbox: readonly Draft[] }
  | { type: "connection"; connection: Connection }
  | { type: "latency"; ms: number | null }
  | { type: "rooms"; rows: readonly RoomRow[]; complete: boolean }
  | { type: "room-removed"; roomId: string }
  | { type: "event"; envelope: Envelope }
  | { type: "caught-up"; roomId: string; seq: number }
  | { type: "resync"; roomId: string; seq: number }
  | { type: "another-log" }
  | { type: "history-loading"; roomId: string }
  | { type: "history-failed"; roomId: string }
  | { type: "history"; roomId: string; items: readonly Message[]; hasMore: boolean }
  | { type: "message-known"; message: Message }
  | { type: "draft-added"; draft: Draft }
  | { type: "draft-changed"; clientId: string; status: Draft["status"]; error: string | null }
  | { type: "draft-dropped"; clientId: string }
  | { type: "members"; roomId: string; members: readonly Member[] }
  | { type: "presence"; users: readonly { userId: string; online: boolean }[] }
  | { type: "typing"; roomId: string; user: Person; until: number | null }
  | { type: "typing-expired"; now: number }
  | { type: "read"; roomId: string; userId: string; seq: number; number: number }
  | { type: "invited"; invitation: Invitation }
  | { type: "invitation-closed"; roomId: string }
  | { type: "notice"; id: number; text: string | null };
