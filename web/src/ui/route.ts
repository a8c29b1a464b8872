import { useSyncExternalStore } from "react";

const ROOM = /^#\/r\/([^/]+)$/;

function subscribe(listener: () => void): () => void {
  window.addEventListener("hashchange", listener);
  return () => window.removeEventListener("hashchange", listener);
}

function currentRoom(): string | null {
  const id = ROOM.exec(window.location.hash)?.[1];
  return id === undefined ? null : decodeURIComponent(id);
}

/** The room named by the address: `#/r/<roomId>`. */
export function useRoomId(): string | null {
  return useSyncExternalStore(subscribe, currentRoom);
}

export function roomHref(roomId: string): string {
  return `#/r/${encodeURIComponent(roomId)}`;
}

export function goToRoom(roomId: string): void {
  window.location.hash = roomHref(roomId);
}

export function goHome(): void {
  window.location.hash = "#/";
}
