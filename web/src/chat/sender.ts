import type { Link } from "./link";
import type { Draft } from "./state";
import type { Store } from "./store";
import type { Message } from "./wire";

const ANSWER_MS = 10_000;
const ATTEMPTS_MAX = 3;
const RATE_PAUSE_MS = 2_000;

type Verdict = "next" | "stop";

/**
 * Sends drafts in the order they were written, one at a time per room. A draft keeps its client id over
 * every attempt, so that the server stores it once; without a connection it waits.
 */
export class Sender {
  readonly #store: Store;
  readonly #link: Link;
  readonly #busy = new Set<string>();
  readonly #attempts = new Map<string, number>();

  constructor(store: Store, link: Link) {
    this.#store = store;
    this.#link = link;
  }

  add(draft: Draft): void {
    this.#store.dispatch({ type: "draft-added", draft });
    void this.#pump(draft.roomId);
  }

  retry(clientId: string): void {
    const draft = this.#store.get().outbox.find((known) => known.clientId === clientId);
    if (!draft) return;
    this.#attempts.delete(clientId);
    this.#store.dispatch({ type: "draft-changed", clientId, status: "pending", error: null });
    void this.#pump(draft.roomId);
  }

  discard(clientId: string): void {
    this.#store.dispatch({ type: "draft-dropped", clientId });
  }

  /** Starts sending everything that waited; called when the connection is ready. */
  flush(): void {
    this.#attempts.clear();
    for (const roomId of new Set(this.#store.get().outbox.map((draft) => draft.roomId))) {
      void this.#pump(roomId);
    }
  }

  async #pump(roomId: string): Promise<void> {
    if (this.#busy.has(roomId)) return;
    this.#busy.add(roomId);
    try {
      for (;;) {
        const draft = this.#next(roomId);
        if (!draft || (await this.#attempt(draft)) === "stop") break;
      }
    } finally {
      this.#busy.delete(roomId);
    }
  }

  #next(roomId: string): Draft | undefined {
    const { connection, outbox } = this.#store.get();
    if (connection !== "online") return undefined;
    return outbox.find((draft) => draft.roomId === roomId && draft.status === "pending");
  }

  async #attempt(draft: Draft): Promise<Verdict> {
    const { clientId, roomId, content, replyToId } = draft;
    try {
      const payload = { roomId, content, clientId, ...(replyToId === null ? {} : { replyToId }) };
      const answer = await this.#link.ask("message.send", payload, ANSWER_MS);
      if (answer.success) {
        this.#attempts.delete(clientId);
        this.#store.dispatch({ type: "message-known", message: answer.message as Message });
        this.#store.dispatch({ type: "draft-dropped", clientId });
        return "next";
      }
      if (answer.code === "RATE_LIMITED" && !this.#exhausted(clientId)) {
        await new Promise((resolve) => setTimeout(resolve, RATE_PAUSE_MS));
        return "next";
      }
      this.#fail(clientId, answer.error ?? "The server refused this message.");
      return "next";
    } catch {
      if (this.#store.get().connection !== "online") return "stop";
      if (!this.#exhausted(clientId)) return "next";
      this.#fail(clientId, "The server did not answer.");
      return "next";
    }
  }

  #exhausted(clientId: string): boolean {
    const count = (this.#attempts.get(clientId) ?? 0) + 1;
    this.#attempts.set(clientId, count);
    return count >= ATTEMPTS_MAX;
  }

  #fail(clientId: string, error: string): void {
    this.#attempts.delete(clientId);
    this.#store.dispatch({ type: "draft-changed", clientId, status: "failed", error });
  }
}
