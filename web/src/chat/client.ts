import type { Api, NewRoom } from "./api";
import { Inbound } from "./inbound";
import type { Link, OpenLink } from "./link";
import { Outbox } from "./outbox";
import { explain } from "./problem";
import { Sender } from "./sender";
import type { Session } from "./session";
import { emptyTimeline } from "./state";
import type { KeyValue } from "./storage";
import { Store } from "./store";
import type { Account, Ack, Message, Room } from "./wire";

const ANSWER_MS = 10_000;
const PING_EVERY_MS = 5_000;
const TYPING_EVERY_MS = 3_000;
const TICK_MS = 1_000;
const REOPEN_MIN_MS = 500;
const REOPEN_MAX_MS = 15_000;
const NOTICE_MS = 5_000;

export interface ClientParts {
  readonly session: Session;
  readonly api: Api;
  readonly openLink: OpenLink;
  readonly storage: KeyValue;
  readonly newId: () => string;
  readonly now: () => number;
  readonly visible: () => boolean;
}

/** One signed-in visit: the live connection, the commands of the page and the state they change. */
export class ChatClient {
  readonly store = new Store();
  readonly #parts: ClientParts;
  readonly #link: Link;
  readonly #sender: Sender;
  readonly #inbound: Inbound;
  readonly #outbox: Outbox;
  readonly #me: Account;
  readonly #unsentReads = new Map<string, number>();
  /** How often each room's timeline was loaded from its newest page. */
  readonly #starts = new Map<string, number>();
  readonly #typingAt = new Map<string, number>();
  #timers: ReturnType<typeof setInterval>[] = [];
  #reopen: ReturnType<typeof setTimeout> | undefined;
  #reopenMs = REOPEN_MIN_MS;
  #noticeId = 0;
  #stopped = false;

  constructor(me: Account, parts: ClientParts) {
    this.#me = me;
    this.#parts = parts;
    this.#outbox = new Outbox(parts.storage, me.id);
    this.#link = parts.openLink({
      auth: async () => ({
        token: await parts.session.token(),
        dialect: "native",
        since: this.#since(),
        epoch: this.#inbound.epoch,
      }),
      event: (name, payload) => this.#inbound.receive(name, payload),
      down: () => this.#setConnection("offline"),
      refused: (code) => void this.#refused(code),
    });
    this.#sender = new Sender(this.store, this.#link);
    this.#inbound = new Inbound({
      store: this.store,
      link: this.#link,
      now: parts.now,
      ready: () => this.#ready(),
      reloadRooms: () => void this.reloadRooms(),
      reloadHistory: (roomId) => void this.loadNewest(roomId),
      renewToken: () => void parts.session.refresh().catch(() => undefined),
    });
  }

  /** Loads what is needed to show the page, then connects. */
  async start(): Promise<void> {
    this.store.dispatch({ type: "signed-in", me: this.#me, outbox: this.#outbox.load() });
    this.#persistOutbox();
    await this.reloadRooms();
    if (this.#stopped) return;
    this.#link.open();
    this.#timers = [
      setInterval(() => void this.#ping(), PING_EVERY_MS),
      setInterval(() => {
        this.store.dispatch({ type: "typing-expired", now: this.#parts.now() });
      }, TICK_MS),
    ];
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#reopen);
    for (const timer of this.#timers) clearInterval(timer);
    this.#link.close();
  }

  /** Another tab changed storage: a draft that it has settled is settled here too. */
  storageChanged(key: string | null, value: string | null): void {
    const clientId = this.#outbox.clientIdOf(key);
    if (clientId !== null && value === null) this.#sender.discard(clientId);
  }

  async reloadRooms(): Promise<void> {
    try {
      const rows = await this.#parts.api.joinedRooms();
      this.store.dispatch({ type: "rooms", rows, complete: true });
      if (this.store.get().connection === "online") this.#inbound.catchUp();
      const directs = rows.filter((row) => row.kind === "direct");
      await Promise.all(directs.map((row) => this.#ensureMembers(row.id)));
    } catch (error) {
      this.notify(explain(error));
    }
  }

  /** Prepares a room for being looked at. */
  open(roomId: string): void {
    const timeline = this.store.get().timelines[roomId] ?? emptyTimeline;
    if (timeline.status === "idle" || timeline.status === "failed") void this.loadNewest(roomId);
    void this.loadMembers(roomId);
  }

  async loadNewest(roomId: string): Promise<void> {
    await this.#loadHistory(roomId, null);
  }

  async loadOlder(roomId: string): Promise<void> {
    const timeline = this.store.get().timelines[roomId];
    if (timeline?.status === "loading" || !timeline?.hasMore) return;
    await this.#loadHistory(roomId, timeline.messages[0]?.seq ?? null);
  }

  async loadMembers(roomId: string): Promise<void> {
    try {
      const members = await this.#parts.api.members(roomId);
      this.store.dispatch({ type: "members", roomId, members });
    } catch {
      // The list of members is an extra; the panel offers what is known.
    }
  }

  send(roomId: string, content: string, replyToId: string | null): void {
    this.#typingAt.delete(roomId);
    this.#sender.add({
      clientId: this.#parts.newId(),
      roomId,
      content,
      replyToId,
      createdAt: new Date(this.#parts.now()).toISOString(),
      status: "pending",
      error: null,
    });
  }

  retry(clientId: string): void {
    this.#sender.retry(clientId);
  }

  discard(clientId: string): void {
    this.#sender.discard(clientId);
  }

  /** Whether the server took the edit; a refusal is shown to the user. */
  async edit(message: Message, content: string): Promise<boolean> {
    return this.#command(
      "message.edit",
      { messageId: message.id, content },
      "The message was not changed",
    );
  }

  async remove(message: Message): Promise<boolean> {
    return this.#command(
      "message.delete",
      { messageId: message.id },
      "The message was not deleted",
    );
  }

  setTyping(roomId: string, isTyping: boolean): void {
    const now = this.#parts.now();
    const last = this.#typingAt.get(roomId);
    if (isTyping) {
      if (last !== undefined && now - last < TYPING_EVERY_MS) return;
      this.#typingAt.set(roomId, now);
    } else {
      if (last === undefined) return;
      this.#typingAt.delete(roomId);
    }
    this.#link.tell("typing", { roomId, isTyping });
  }

  /** Moves the read cursor to the newest message; without a connection it is told later. */
  markRead(roomId: string): void {
    const room = this.store.get().rooms[roomId];
    const last = room?.lastMessage;
    if (!room || !last || (last.seq <= room.lastReadSeq && room.unread === 0)) return;
    this.store.dispatch({
      type: "read",
      roomId,
      userId: this.#me.id,
      seq: last.seq,
      number: Math.max(last.number, room.room.lastNumber),
    });
    this.#unsentReads.set(roomId, last.seq);
    void this.#sendReads();
  }

  async createRoom(form: NewRoom): Promise<string | null> {
    return this.#enter(() => this.#parts.api.createRoom(form));
  }

  async openDirect(userId: string): Promise<string | null> {
    return this.#enter(() => this.#parts.api.openDirect(userId));
  }

  dismissInvitation(roomId: string): void {
    this.store.dispatch({ type: "invitation-closed", roomId });
  }

  async join(row: Room): Promise<string | null> {
    return this.#enter(async () => {
      await this.#parts.api.join(row.id);
      return row;
    });
  }

  async leave(roomId: string): Promise<boolean> {
    try {
      await this.#parts.api.leave(roomId);
      this.store.dispatch({ type: "room-removed", roomId });
      return true;
    } catch (error) {
      this.notify(explain(error));
      return false;
    }
  }

  async invite(roomId: string, userId: string): Promise<boolean> {
    try {
      await this.#parts.api.addMember(roomId, userId);
      await this.loadMembers(roomId);
      return true;
    } catch (error) {
      this.notify(explain(error));
      return false;
    }
  }

  notify(text: string): void {
    this.#noticeId += 1;
    const id = this.#noticeId;
    this.store.dispatch({ type: "notice", id, text });
    setTimeout(() => this.store.dispatch({ type: "notice", id, text: null }), NOTICE_MS);
  }

  async #enter(act: () => Promise<Room>): Promise<string | null> {
    try {
      const room = await act();
      await this.reloadRooms();
      return room.id;
    } catch (error) {
      this.notify(explain(error));
      return null;
    }
  }

  async #command(name: string, payload: unknown, failure: string): Promise<boolean> {
    let answer: Ack;
    try {
      answer = await this.#link.ask(name, payload, ANSWER_MS);
    } catch {
      this.notify(`${failure}: there is no connection.`);
      return false;
    }
    if (!answer.success) this.notify(`${failure}: ${answer.error ?? "the server refused."}`);
    return answer.success;
  }

  async #loadHistory(roomId: string, before: number | null): Promise<void> {
    // A page asked for before the timeline was started afresh would leave a hole in it.
    if (before === null) this.#starts.set(roomId, (this.#starts.get(roomId) ?? 0) + 1);
    const start = this.#starts.get(roomId);
    const outdated = () => this.#starts.get(roomId) !== start;
    this.store.dispatch({ type: "history-loading", roomId });
    try {
      const page = await this.#parts.api.history(roomId, before);
      if (outdated()) return;
      const { hasMore } = page.page;
      this.store.dispatch({ type: "history", roomId, items: page.items, hasMore });
    } catch {
      if (outdated()) return;
      this.store.dispatch({ type: "history-failed", roomId });
    }
  }

  async #ensureMembers(roomId: string): Promise<void> {
    if (!this.store.get().members[roomId]) await this.loadMembers(roomId);
  }

  #since(): Record<string, number> {
    const rooms = Object.values(this.store.get().rooms);
    return Object.fromEntries(rooms.map((room) => [room.room.id, room.head]));
  }

  #ready(): void {
    this.#reopenMs = REOPEN_MIN_MS;
    this.#setConnection("online");
    this.#sender.flush();
    void this.#sendReads();
    void this.#ping();
  }

  #setConnection(connection: "online" | "offline"): void {
    if (this.store.get().connection === connection) return;
    this.store.dispatch({ type: "connection", connection });
  }

  async #refused(code: string): Promise<void> {
    if (code === "TOKEN_EXPIRED" || code === "UNAUTHORIZED" || code === "CLOSED") {
      // Tells apart a session that is over (refresh refused, the page signs out) from a passing fault.
      await this.#parts.session.refresh().catch(() => undefined);
    }
    if (this.#stopped) return;
    clearTimeout(this.#reopen);
    this.#reopen = setTimeout(() => this.#link.open(), this.#reopenMs);
    this.#reopenMs = Math.min(this.#reopenMs * 2, REOPEN_MAX_MS);
  }

  async #sendReads(): Promise<void> {
    for (const [roomId, seq] of [...this.#unsentReads]) {
      try {
        await this.#link.ask("room.read", { roomId, seq }, ANSWER_MS);
        if (this.#unsentReads.get(roomId) === seq) this.#unsentReads.delete(roomId);
      } catch {
        return;
      }
    }
  }

  async #ping(): Promise<void> {
    if (this.store.get().connection !== "online" || !this.#parts.visible()) return;
    const start = performance.now();
    try {
      await this.#link.ask("ping", {}, PING_EVERY_MS);
      this.store.dispatch({ type: "latency", ms: Math.round(performance.now() - start) });
    } catch {
      this.store.dispatch({ type: "latency", ms: null });
    }
  }

  /** Storage follows the state: whatever leaves the outbox leaves storage, the rest is kept. */
  #persistOutbox(): void {
    let before = this.store.get().outbox;
    this.store.subscribe(() => {
      const { outbox } = this.store.get();
      if (outbox === before) return;
      const kept = new Set(outbox.map((draft) => draft.clientId));
      for (const draft of before) if (!kept.has(draft.clientId)) this.#outbox.drop(draft.clientId);
      for (const draft of outbox) if (!before.includes(draft)) this.#outbox.save(draft);
      before = outbox;
    });
  }
}
