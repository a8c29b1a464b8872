// Senders that log every acknowledgement and repeat what was not acknowledged.
import { setTimeout as pause } from "node:timers/promises";
import { Client } from "./sockets.mjs";
import { DEADLINE_MS, until } from "./wait.mjs";

/** What all senders of a run were told. */
export class Log {
  acked = new Map(); // key -> {roomId, senderId, clientId, id, seq, number}
  conflicts = []; // acks that contradict an earlier ack
  lastAckAt = 0;
  longestSilenceMs = 0;

  add(entry) {
    const now = Date.now();
    if (this.lastAckAt)
      this.longestSilenceMs = Math.max(this.longestSilenceMs, now - this.lastAckAt);
    this.lastAckAt = now;
    const key = keyOf(entry);
    const earlier = this.acked.get(key);
    if (!earlier) this.acked.set(key, entry);
    else if (earlier.id !== entry.id || earlier.seq !== entry.seq)
      this.conflicts.push([earlier, entry]);
  }
}

export const keyOf = ({ roomId, senderId, clientId }) => `${roomId} ${senderId} ${clientId}`;

/** One connection with `window` messages on the way. */
export class Sender {
  #next = 0;
  #going = false;

  constructor({ base, user, roomId, name, log, window = 4, repeatShare = 0.05 }) {
    Object.assign(this, { user, roomId, name, log, window, repeatShare });
    this.pending = new Set();
    this.refusals = new Map();
    this.client = new Client(base, { token: user.accessToken, dialect: "native", timeout: 2_000 });
    this.client.socket.on("connect", () => {
      for (const clientId of this.pending) this.#emit(clientId);
      this.#fill();
    });
  }

  start() {
    this.#going = true;
    this.#fill();
  }

  /** Sends nothing new and waits until everything on the way was acknowledged. */
  async settle(ms = 30_000) {
    this.#going = false;
    await until(() => this.pending.size === 0, `${this.name} to have all sends acknowledged`, ms);
  }

  close() {
    this.#going = false;
    this.client.close();
  }

  #fill() {
    while (this.#going && this.client.socket.connected && this.pending.size < this.window) {
      const clientId = `${this.name}-${this.#next}`;
      this.#next += 1;
      this.pending.add(clientId);
      this.#emit(clientId);
    }
  }

  async #emit(clientId) {
    const { socket } = this.client;
    const body = { roomId: this.roomId, content: `message ${clientId}`, clientId };
    const engine = socket.io.engine;
    let ack;
    try {
      ack = await socket.timeout(DEADLINE_MS).emitWithAck("message.send", body);
    } catch {
      // Lost with its connection: the next `connect` repeats it. On a living one nobody else would.
      if (socket.connected && socket.io.engine === engine && this.pending.has(clientId))
        this.#emit(clientId);
      return;
    }
    if (ack?.success !== true) return this.#refused(clientId, ack);
    const { id, seq, number } = ack.message;
    const repeat =
      !this.log.acked.has(`${this.roomId} ${this.user.user.id} ${clientId}`) &&
      Math.random() < this.repeatShare;
    this.log.add({ roomId: this.roomId, senderId: this.user.user.id, clientId, id, seq, number });
    this.pending.delete(clientId);
    if (repeat) {
      this.pending.add(clientId);
      this.#emit(clientId);
    }
    this.#fill();
  }

  async #refused(clientId, ack) {
    const code = ack?.code ?? "no code";
    this.refusals.set(code, (this.refusals.get(code) ?? 0) + 1);
    await pause(50);
    if (this.client.socket.connected && this.pending.has(clientId)) this.#emit(clientId);
  }
}
