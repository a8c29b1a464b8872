// Stock socket.io-client connections that remember what they received.
import { io } from "socket.io-client";
import { DEADLINE_MS, Recorder, within } from "./wait.mjs";

export class Client {
  /**
   * `dialect: 'native'` or none (the room vocabulary of the root namespace);
   * `since` = `{roomId: seq}`, `epoch` = in which log; anything else goes to socket.io-client as it is.
   */
  constructor(base, { token, dialect, since, epoch, nsp = "/", ...options }) {
    const auth = {
      token,
      ...(dialect ? { dialect } : {}),
      ...(since ? { since } : {}),
      ...(epoch ? { epoch } : {}),
    };
    this.events = new Recorder(`${dialect ?? "room"} client`);
    this.states = new Recorder(`${dialect ?? "room"} client's connection`);
    this.socket = this.dial(base + nsp, {
      auth,
      transports: ["websocket"],
      forceNew: true,
      reconnectionDelay: 20,
      reconnectionDelayMax: 200,
      ...options,
    });
    this.listen();
  }

  /** The library's own call; other generations have another library. */
  dial(url, options) {
    return io(url, options);
  }

  /** Remembers what the library tells. */
  listen() {
    this.socket.onAny((event, ...args) => this.events.push({ event, args }));
    this.socket.on("connect", () => {
      this.states.push({ state: "connect", recovered: this.socket.recovered });
    });
    this.socket.on("disconnect", (reason) => this.states.push({ state: "disconnect", reason }));
    this.socket.on("connect_error", (error) => {
      this.states.push({ state: "connect_error", message: error.message, data: error.data });
    });
  }

  /** Connects and waits for it. */
  static async open(base, options) {
    const client = new this(base, options);
    await client.states.find(({ state }) => state === "connect", "the connection");
    return client;
  }

  /** Connects and expects a refusal: `{message, data}`. */
  static async refused(base, options) {
    const client = new this(base, { reconnection: false, ...options });
    try {
      return await client.states.find(({ state }) => state === "connect_error", "a refusal");
    } finally {
      client.close();
    }
  }

  /** Emits and answers the ack's first argument. */
  ask(event, ...args) {
    const asked = this.socket.timeout(DEADLINE_MS).emitWithAck(event, ...args);
    return within(DEADLINE_MS + 1_000, asked, `the ack of ${event}`);
  }

  /** Emits, and fails unless the ack says success. */
  async ok(event, ...args) {
    const ack = await this.ask(event, ...args);
    if (ack?.success !== true) throw new Error(`${event} was refused: ${JSON.stringify(ack)}`);
    return ack;
  }

  /** First argument of the first `event` that matches, past or future. */
  async got(event, match = () => true, ms = DEADLINE_MS) {
    const hit = await this.events.find(
      (item) => item.event === event && match(item.args[0]),
      event,
      ms,
    );
    return hit.args[0];
  }

  /** First arguments of all `event`s so far. */
  all(event) {
    return this.events.items.filter((item) => item.event === event).map(({ args }) => args[0]);
  }

  /** Waits for the next state named `state` after the first `from` ones. */
  state(state, from = 0, ms = DEADLINE_MS) {
    return this.states.when(
      (items) => items.slice(from).find((item) => item.state === state),
      state,
      ms,
    );
  }

  /** Cuts the transport as a network failure would; the client reconnects by itself. */
  cut() {
    this.socket.io.engine.close();
  }

  close() {
    this.socket.close();
  }
}

/** A native client that is ready: subscribed to all rooms of its user. */
export async function native(base, user, options = {}) {
  const client = await Client.open(base, {
    token: user.accessToken,
    dialect: "native",
    ...options,
  });
  client.ready = await client.got("connection.ready");
  return client;
}

/** A client of the room vocabulary; joins nothing by itself. */
export function camel(base, user, options = {}) {
  return Client.open(base, { token: user.accessToken, ...options });
}

/** What two clients must agree on about a message. */
export const facts = ({ id, seq, content }) => ({ id, seq, content });

/** Closes the clients when the test `t` ends. */
export function closing(t, ...clients) {
  t.after(() => {
    for (const client of clients) client.close();
  });
}
