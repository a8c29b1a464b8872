import { createContext, useContext, useSyncExternalStore } from "react";
import type { ChatClient } from "../chat/client";
import type { ChatState } from "../chat/state";
import type { Account, Person, RoomRow } from "../chat/wire";

export interface Page {
  readonly client: ChatClient;
  readonly me: Account;
  searchUsers(text: string): Promise<readonly Person[]>;
  publicRooms(): Promise<readonly RoomRow[]>;
  signOut(): void;
}

const PageContext = createContext<Page | null>(null);

export const PageProvider = PageContext.Provider;

export function usePage(): Page {
  const page = useContext(PageContext);
  if (!page) throw new Error("used outside of PageProvider");
  return page;
}

/** Reads a part of the chat state; `select` must return the same reference while nothing changed. */
export function useChat<T>(select: (state: ChatState) => T): T {
  const { store } = usePage().client;
  return useSyncExternalStore(store.subscribe, () => select(store.get()));
}
