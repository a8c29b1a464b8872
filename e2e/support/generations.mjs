// Every client library a front end may have, spoken to in one way. None of them is altered.
import io2 from "socket.io-client-v2";
import { io as io3 } from "socket.io-client-v3";
import msgpack from "socket.io-msgpack-parser";
import { Client } from "./sockets.mjs";
import { DEADLINE_MS, within } from "./wait.mjs";

/** socket.io-client 3: the protocol of 4, without `emitWithAck`, `timeout` and recovery. */
export class Client3 extends Client {
  dial(url, options) {
    return io3(url, options);
  }

  ask(event, ...args) {
    const answered = new Promise((resolve) => this.socket.emit(event, ...args, resolve));
    return within(DEADLINE_MS, answered, `the ack of ${event}`);
  }
}

/**
 * socket.io-client 2: credentials stand in the query, a refusal is the event `error`, and the names of
 * unknown events are seen only in the packets.
 */
export class Client2 extends Client3 {
  dial(url, { auth, ...options }) {
    const { token, dialect } = typeof auth === "function" ? {} : auth;
    const query = { ...(token ? { token } : {}), ...(dialect ? { dialect } : {}) };
    return io2(url, { query, ...options });
  }

  listen() {
    const { socket } = this;
    socket.io.on("packet", ({ type, nsp, data }) => {
      if (type === EVENT && nsp === socket.nsp)
        this.events.push({ event: data[0], args: data.slice(1) });
      if (type === ERROR) {
        const message = typeof data === "string" ? data : data?.message;
        this.states.push({ state: "connect_error", message, data, nsp });
      }
    });
    socket.on("connect", () => this.states.push({ state: "connect" }));
    socket.on("disconnect", (reason) => this.states.push({ state: "disconnect", reason }));
    socket.on("connect_error", (error) => {
      this.states.push({ state: "transport_error", message: String(error?.message ?? error) });
    });
  }

  /** What the next connections of this library introduce themselves with. */
  introduce(token) {
    const { opts } = this.socket.io;
    opts.query = { ...opts.query, token };
  }
}

const EVENT = 2;
const ERROR = 4;

export const WEBSOCKET = { transports: ["websocket"] };
export const POLLING = { transports: ["polling"], upgrade: false };
export const UPGRADING = { transports: ["polling", "websocket"] };

const ALL = {
  "4 over websocket": { Library: Client, options: WEBSOCKET, recovers: true },
  "4 over polling": { Library: Client, options: POLLING, recovers: true },
  "4 upgrading": { Library: Client, options: UPGRADING, recovers: true },
  "4 msgpack over websocket": {
    Library: Client,
    options: { ...WEBSOCKET, parser: msgpack },
    recovers: true,
  },
  "4 msgpack over polling": {
    Library: Client,
    options: { ...POLLING, parser: msgpack },
    recovers: true,
  },
  "3 over websocket": { Library: Client3, options: WEBSOCKET },
  "3 over polling": { Library: Client3, options: POLLING },
  "2 over websocket": { Library: Client2, options: WEBSOCKET },
  "2 over polling": { Library: Client2, options: POLLING },
  "2 upgrading": { Library: Client2, options: UPGRADING },
};

/** `E2E_CLIENTS`, a regular expression, picks some of them. */
const picked = new RegExp(process.env.E2E_CLIENTS ?? "");

/** The kinds of clients: `{name, Library, options, recovers}`, by default all. */
export const KINDS = Object.entries(ALL)
  .map(([name, kind]) => ({ name, recovers: false, ...kind }))
  .filter(({ name }) => picked.test(name));

/** The kind with that name, whether picked or not. */
export function kind(name) {
  if (!(name in ALL)) throw new Error(`no such kind of client: ${name}`);
  return { name, recovers: false, ...ALL[name] };
}

/** Whether a client library has given up coming back by itself. */
export function staysAway({ socket }) {
  return socket.connected === false && socket.io.skipReconnect === true;
}
