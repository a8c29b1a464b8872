/**
 * Shapes that cross the wire: REST under `/v1` and the `native` Socket.IO vocabulary.
 * Times are RFC 3339 strings in UTC; `seq` counts the durable events of one room, `number` its messages.
 */

export interface Person {
  readonly id: string;
  readonly username: string | null;
  readonly name: string | null;
}

export interface Account extends Person {
  readonly email?: string | null;
}

export interface Message {
  readonly id: string;
  readonly roomId: string;
  /** Sequence of the event that created the message. */
  readonly seq: number;
  readonly number: number;
  readonly senderId: string;
  readonly sender: Person | null;
  readonly kind: string;
  readonly content: string;
  readonly replyToId: string | null;
  readonly clientId: string | null;
  readonly editedAt: string | null;
  readonly deletedAt: string | null;
  readonly editCount: number;
  readonly createdAt: string;
  readonly updatedAt: string;
}

export type RoomKind = "direct" | "group" | "channel";
export type Visibility = "public" | "private";

export interface Room {
  readonly id: string;
  readonly kind: RoomKind;
  readonly visibility: Visibility;
  readonly name: string | null;
  readonly topic: string | null;
  readonly createdBy: string | null;
  readonly memberCount: number;
  readonly lastSeq: number;
  readonly lastNumber: number;
  readonly createdAt: string;
  readonly updatedAt: string;
}

/** One row of `GET /v1/rooms`. */
export interface RoomRow extends Room {
  readonly unread?: number;
  readonly lastMessage?: Message | null;
  readonly lastReadSeq?: number;
  readonly lastReadNumber?: number;
  readonly role?: string | null;
}

export interface Member {
  readonly userId: string;
  readonly user: Person;
  readonly role: string;
  readonly state?: string;
  readonly lastReadSeq?: number;
  readonly online?: boolean;
}

export interface Page<T> {
  readonly items: readonly T[];
  readonly page: { readonly next: string | null; readonly hasMore: boolean };
}

/** A durable event: `{"type":"message.created","roomId":"…","seq":17,"data":{…}}`. */
export interface Envelope {
  readonly id: string;
  readonly type: string;
  readonly roomId: string | null;
  readonly seq: number;
  readonly actorId: string | null;
  readonly at: string;
  readonly data: unknown;
}

export interface MessageDeleted {
  readonly messageId: string;
  readonly deletedAt: string;
}

export interface MemberChange {
  readonly roomId: string;
  readonly userId: string;
  readonly user?: Person;
  readonly role?: string;
}

export interface TypingSignal {
  readonly roomId: string;
  readonly userId: string;
  readonly user?: Person;
  readonly isTyping: boolean;
}

export interface PresenceSignal {
  readonly userId: string;
  readonly status: "online" | "offline";
}

export interface ReadSignal {
  readonly roomId: string;
  readonly userId: string;
  readonly seq: number;
  readonly number: number;
}

export interface Ready {
  readonly userId: string;
  readonly user: Person;
  readonly rooms: readonly { readonly id: string; readonly seq: number }[];
  /** Which log every `seq` belongs to; another one after a restored backup. */
  readonly epoch?: string;
}

/** Body of every acknowledgement: `{"success":true,…}` or `{"success":false,"error":"…","code":"…"}`. */
export interface Ack {
  readonly success: boolean;
  readonly error?: string;
  readonly code?: string;
  readonly [key: string]: unknown;
}

export interface SyncAck extends Ack {
  readonly events: readonly Envelope[];
  readonly next: Readonly<Record<string, number>>;
  readonly gap: readonly string[];
}

export interface Tokens {
  readonly accessToken: string;
  readonly refreshToken: string;
  /** Life of the access token in seconds. */
  readonly expiresIn: number;
}
