import { reduce } from "./reduce";
import type { Action, ChatState } from "./state";
import { initialState } from "./state";

/** Holds the state, applies actions to it and tells its listeners. */
export class Store {
  #state: ChatState = initialState(null);
  readonly #listeners = new Set<() => void>();

  readonly get = (): ChatState => this.#state;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  dispatch(action: Action): void {
    const next = reduce(this.#state, action);
    if (next === this.#state) return;
    this.#state = next;
    for (const listener of this.#listeners) listener();
  }
}
