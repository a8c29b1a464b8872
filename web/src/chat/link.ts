import { io, type Socket } from "socket.io-client";
import type { Ack } from "./wire";

export interface LinkEvents {
  /** Values for the CONNECT packet, asked for anew at every attempt. */
  auth(): Promise<Record<string, unknown>>;
  event(name: string, payload: unknown): void;
  down(): void;
  /** The server refused or ended the session; the link stays down until it is opened again. */
  refused(code: string): void;
}

/** The live connection as the chat client sees it; tests hand in their own. */
export interface Link {
  open(): void;
  close(): void;
  /** Rejects when the connection is down or no answer came in time. */
  ask(name: string, payload: unknown, timeoutMs: number): Promise<Ack>;
  /** Sends without waiting; dropped when the connection is down. */
  tell(name: string, payload: unknown): void;
}

export type OpenLink = (events: LinkEvents) => Link;

/** A link over the stock Socket.IO client. */
export const socketLink: OpenLink = (events) => {
  const socket: Socket = io({
    autoConnect: false,
    transports: ["websocket", "polling"],
    tryAllTransports: true,
    reconnectionDelay: 500,
    reconnectionDelayMax: 8_000,
    auth: (done) => {
      events.auth().then(done, () => done({}));
    },
  });
  socket.onAny((name: string, payload: unknown) => events.event(name, payload));
  socket.on("disconnect", (reason) => {
    events.down();
    // After a close by the server the client library does not reconnect on its own.
    if (reason === "io server disconnect") events.refused("CLOSED");
  });
  socket.on("connect_error", (error: Error & { data?: { code?: string } }) => {
    events.down();
    if (!socket.active) events.refused(error.data?.code ?? "UNKNOWN");
  });
  return {
    open: () => socket.connect(),
    close: () => socket.disconnect(),
    async ask(name, payload, timeoutMs) {
      if (!socket.connected) throw new Error("offline");
      return (await socket.timeout(timeoutMs).emitWithAck(name, payload)) as Ack;
    },
    tell(name, payload) {
      if (socket.connected) socket.volatile.emit(name, payload);
    },
  };
};
