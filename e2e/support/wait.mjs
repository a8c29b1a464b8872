// Waiting for things to happen, always with a deadline.
import { setTimeout as pause } from "node:timers/promises";

export const DEADLINE_MS = Number(process.env.E2E_DEADLINE_MS ?? 15_000);

/** `promise`, or an error naming `what` after `ms`. */
export async function within(ms, promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms for ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Repeats `check` until it answers something true; for states that announce nothing. */
export async function until(check, what, ms = DEADLINE_MS, everyMs = 20) {
  const end = Date.now() + ms;
  let last;
  for (;;) {
    try {
      const value = await check();
      if (value) return value;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) {
      throw new Error(`waited ${ms} ms for ${what}${last ? `: ${last.message}` : ""}`);
    }
    await pause(everyMs);
  }
}

/** Everything that arrived, in order; what was not read yet is never lost. */
export class Recorder {
  #waiting = new Set();
  #cursor = 0;

  constructor(name = "source") {
    this.name = name;
    this.items = [];
  }

  push(item) {
    this.items.push(item);
    for (const wake of [...this.#waiting]) wake();
  }

  /** Nothing more will come: whoever waits is told so at once. */
  end(reason) {
    this.ended = reason;
    for (const wake of [...this.#waiting]) wake();
  }

  /** Waits until `pick(items)` answers something other than undefined. */
  async when(pick, what, ms = DEADLINE_MS) {
    const now = pick(this.items);
    if (now !== undefined) return now;
    if (this.ended) throw new Error(`${this.ended} before ${what}`);
    let wake;
    const found = new Promise((resolve, reject) => {
      wake = () => {
        const value = pick(this.items);
        if (value !== undefined) resolve(value);
        else if (this.ended) reject(new Error(`${this.ended} before ${what}`));
      };
      this.#waiting.add(wake);
    });
    try {
      return await within(ms, found, what);
    } catch (error) {
      const seen = this.items.slice(-12).map((item) => JSON.stringify(item)?.slice(0, 200));
      error.message += ` from ${this.name}; last seen: ${seen.join(" | ") || "nothing"}`;
      throw error;
    } finally {
      this.#waiting.delete(wake);
    }
  }

  /** The first item, past or future, that matches. */
  find(match, what, ms) {
    return this.when((items) => items.find(match), what, ms);
  }

  /** At least `count` matching items, past or future. */
  atLeast(count, match, what, ms) {
    return this.when(
      (items) => {
        const hits = items.filter(match);
        return hits.length >= count ? hits : undefined;
      },
      `${count} × ${what}`,
      ms,
    );
  }

  /** The next item not yet taken. */
  async next(what, ms) {
    const index = this.#cursor;
    this.#cursor += 1;
    try {
      return (
        await this.when((items) => (items.length > index ? [items[index]] : undefined), what, ms)
      )[0];
    } catch (error) {
      this.#cursor -= 1;
      throw error;
    }
  }
}
