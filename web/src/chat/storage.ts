/** The part of `localStorage` this page needs; tests hand in a map. */
export type KeyValue = Pick<Storage, "getItem" | "setItem" | "removeItem" | "key" | "length">;
