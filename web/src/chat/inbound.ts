import type { Link } from "./link";
import { isBehind } from "./sequence";
import type { Store } from "./store";
import type {
  Envelope,
  Person,
  PresenceSignal,
  ReadSignal,
  Ready,
  Room,
  SyncAck,
  TypingSignal,
} from "./wire";

const TYPING_LIFE_MS = 6_000;
const SYNC_MS = 10_000;
const SYNC_ROUNDS_MAX = 20;

export interface InboundParts {
  readonly store: Store;
  readonly link: Link;
  readonly now: () => number;
  ready(): void;
  reloadRooms(): void;
  reloadHistory(roomId: string): void;
  renewToken(): void;
}

/** Turns what the server says into actions, and closes gaps in a room's sequence. */
export class Inbound {
  readonly #parts: InboundParts;
  readonly #syncing = new Set<string>();
  /** The log that the heads of the rooms belong to. */
  epoch: string | undefined;

  constructor(parts: InboundParts) {
    this.#parts = parts;
  }

  receive(name: string, payload: unknown): void {
    const { store } = this.#parts;
    switch (name) {
      case "connection.ready":
        this.#ready(payload as Ready);
        break;
      case "session.expiring":
        this.#parts.renewToken();
        break;
      case "room.resync": {
        const { roomId, seq } = payload as { roomId: string; seq: number };
        this.#resync(roomId, seq);
        break;
      }
      case "typing": {
        const signal = payload as TypingSignal;
        const user = signal.user ?? { id: signal.userId, username: null, name: null };
        const until = signal.isTyping ? this.#parts.now() + TYPING_LIFE_MS : null;
        store.dispatch({ type: "typing", roomId: signal.roomId, user, until });
        break;
      }
      case "presence": {
        const { userId, status } = payload as PresenceSignal;
        const online = status === "online";
        store.dispatch({ type: "presence", users: [{ userId, online }] });
        break;
      }
      case "receipt.read": {
        const { roomId, userId, seq, number } = payload as ReadSignal;
        store.dispatch({ type: "read", roomId, userId, seq, number });
        break;
      }
      default:
        if (isEnvelope(payload)) this.#event(payload);
    }
  }

  /** Asks for what is missing wherever the room list is ahead of the events that arrived. */
  catchUp(): void {
    for (const room of Object.values(this.#parts.store.get().rooms)) {
      if (isBehind(room)) void this.#closeGap(room.room.id);
    }
  }

  #ready(ready: Ready): void {
    if (this.epoch !== undefined && this.epoch !== ready.epoch)
      this.#parts.store.dispatch({ type: "another-log" });
    this.epoch = ready.epoch;
    const { rooms } = this.#parts.store.get();
    const listed = new Set(ready.rooms.map((room) => room.id));
    const changed =
      ready.rooms.some((room) => !rooms[room.id]) ||
      Object.keys(rooms).some((id) => !listed.has(id));
    this.#parts.ready();
    if (changed) this.#parts.reloadRooms();
    void this.#askPresence();
  }

  #event(envelope: Envelope): void {
    const { store } = this.#parts;
    if (envelope.roomId === null) {
      this.#inbox(envelope);
      return;
    }
    if (!store.get().rooms[envelope.roomId]) {
      if (envelope.type !== "member.left") this.#parts.reloadRooms();
      return;
    }
    store.dispatch({ type: "event", envelope });
    const room = store.get().rooms[envelope.roomId];
    if (room && isBehind(room)) void this.#closeGap(envelope.roomId);
  }

  #inbox(envelope: Envelope): void {
    const { store } = this.#parts;
    if (envelope.type === "room.added") {
      const { room, role } = envelope.data as { room: Room; role: string };
      if (!store.get().rooms[room.id]) {
        store.dispatch({ type: "rooms", rows: [{ ...room, role }], complete: false });
        this.#parts.reloadRooms();
      }
    } else if (envelope.type === "room.invited") {
      const { room, by } = envelope.data as { room: Room; by: Person | string | null };
      const who = typeof by === "object" ? by : null;
      store.dispatch({ type: "invited", invitation: { room, by: who } });
    } else if (envelope.type === "room.removed") {
      const { roomId } = envelope.data as { roomId: string };
      store.dispatch({ type: "room-removed", roomId });
    }
  }

  #resync(roomId: string, seq: number): void {
    const shown = this.#parts.store.get().timelines[roomId];
    this.#parts.store.dispatch({ type: "resync", roomId, seq });
    this.#parts.reloadRooms();
    if (shown && shown.status !== "idle") this.#parts.reloadHistory(roomId);
  }

  /** Fetches what is missing below the held events; gives up into a resync when nothing moves. */
  async #closeGap(roomId: string): Promise<void> {
    if (this.#syncing.has(roomId)) return;
    this.#syncing.add(roomId);
    try {
      for (let round = 0; round < SYNC_ROUNDS_MAX; round += 1) {
        const room = this.#parts.store.get().rooms[roomId];
        if (!room || !isBehind(room)) return;
        const answer = await this.#sync(roomId, room.head);
        if (!answer) return;
        const after = this.#parts.store.get().rooms[roomId];
        if (answer.gap.includes(roomId) || after?.head === room.head) {
          this.#resync(roomId, Math.max(room.room.lastSeq, room.held.at(-1)?.seq ?? 0));
          return;
        }
      }
    } finally {
      this.#syncing.delete(roomId);
    }
  }

  async #sync(roomId: string, head: number): Promise<SyncAck | null> {
    const { link, store } = this.#parts;
    try {
      const asked = { since: { [roomId]: head }, epoch: this.epoch };
      const answer = (await link.ask("sync", asked, SYNC_MS)) as SyncAck;
      if (!answer.success) return null;
      for (const envelope of answer.events) store.dispatch({ type: "event", envelope });
      const seq = answer.next[roomId];
      if (seq !== undefined) store.dispatch({ type: "caught-up", roomId, seq });
      return answer;
    } catch {
      // The next connection starts from the same head and closes the gap itself.
      return null;
    }
  }

  async #askPresence(): Promise<void> {
    const { store, link } = this.#parts;
    const members = Object.values(store.get().members).flat();
    const userIds = [...new Set(members.map((member) => member.userId))].slice(0, 200);
    if (userIds.length === 0) return;
    try {
      const answer = await link.ask("presence.query", { userIds }, SYNC_MS);
      const users = (answer.users ?? []) as PresenceSignal[];
      store.dispatch({
        type: "presence",
        users: users.map(({ userId, status }) => ({ userId, online: status === "online" })),
      });
    } catch {
      // Presence arrives again with the next connection.
    }
  }
}

function isEnvelope(value: unknown): value is Envelope {
  if (typeof value !== "object" || value === null) return false;
  const envelope = value as Record<string, unknown>;
  return (
    typeof envelope.type === "string" && typeof envelope.seq === "number" && "data" in envelope
  );
}
