import type { Draft } from "./state";
import type { KeyValue } from "./storage";

/**
 * Unconfirmed messages of one user, one storage entry per message so that two tabs never overwrite
 * each other: `mynah.outbox.<userId>.<clientId>` -> draft as JSON.
 */
export class Outbox {
  readonly #storage: KeyValue;
  readonly #prefix: string;

  constructor(storage: KeyValue, userId: string) {
    this.#storage = storage;
    this.#prefix = `mynah.outbox.${userId}.`;
  }

  /** All drafts, oldest first. Entries that cannot be read are removed. */
  load(): Draft[] {
    const drafts: Draft[] = [];
    for (const key of this.#keys()) {
      const draft = parse(this.#storage.getItem(key));
      if (draft) drafts.push(draft);
      else this.#storage.removeItem(key);
    }
    return drafts.sort(
      (a, b) => a.createdAt.localeCompare(b.createdAt) || a.clientId.localeCompare(b.clientId),
    );
  }

  /** Keeps a draft. A full or forbidden storage costs only survival of a reload. */
  save(draft: Draft): boolean {
    try {
      this.#storage.setItem(this.#prefix + draft.clientId, JSON.stringify(draft));
      return true;
    } catch {
      return false;
    }
  }

  drop(clientId: string): void {
    this.#storage.removeItem(this.#prefix + clientId);
  }

  /** The client id behind a storage key, if the key is one of this outbox. */
  clientIdOf(key: string | null): string | null {
    return key?.startsWith(this.#prefix) ? key.slice(this.#prefix.length) : null;
  }

  #keys(): string[] {
    const keys: string[] = [];
    for (let index = 0; index < this.#storage.length; index += 1) {
      const key = this.#storage.key(index);
      if (key?.startsWith(this.#prefix)) keys.push(key);
    }
    return keys;
  }
}

function parse(text: string | null): Draft | null {
  if (text === null) return null;
  try {
    const value: unknown = JSON.parse(text);
    return isDraft(value) ? value : null;
  } catch {
    return null;
  }
}

function isDraft(value: unknown): value is Draft {
  if (typeof value !== "object" || value === null) return false;
  const draft = value as Record<string, unknown>;
  return (
    typeof draft.clientId === "string" &&
    typeof draft.roomId === "string" &&
    typeof draft.content === "string" &&
    typeof draft.createdAt === "string" &&
    (draft.status === "pending" || draft.status === "failed")
  );
}
