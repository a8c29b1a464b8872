// Engine.IO revision 4 by hand: requests and frames as they are, nothing repaired.
import WebSocket from "ws";
import { DEADLINE_MS, Recorder, within } from "./wait.mjs";

const SEPARATOR = "\x1e";

/** A polling session: one request at a time, unless the caller wants otherwise. */
export class Polling {
  constructor(base, path = "/engine.io/") {
    this.base = base;
    this.path = path;
  }

  /** Opens a session; `handshake` then holds the open packet's object. */
  static async open(base, path) {
    const session = new Polling(base, path);
    const response = await fetch(session.url());
    const text = await response.text();
    if (response.status !== 200) throw new Error(`handshake answered ${response.status}: ${text}`);
    session.handshake = JSON.parse(text.slice(1));
    session.sid = session.handshake.sid;
    return session;
  }

  url(query = {}) {
    const all = { EIO: 4, transport: "polling", ...(this.sid ? { sid: this.sid } : {}), ...query };
    return `${this.base}${this.path}?${new URLSearchParams(all)}`;
  }

  /** `{status, body}` of one GET. */
  async get(options = {}) {
    const response = await fetch(this.url(), {
      signal: AbortSignal.timeout(DEADLINE_MS),
      ...options,
    });
    return { status: response.status, body: await response.text() };
  }

  /** `{status, body}` of one POST. */
  async post(body, headers = { "content-type": "text/plain;charset=UTF-8" }) {
    const signal = AbortSignal.timeout(DEADLINE_MS);
    const response = await fetch(this.url(), { method: "POST", body, headers, signal });
    return { status: response.status, body: await response.text() };
  }

  send(...packets) {
    return this.post(packets.join(SEPARATOR));
  }

  /** Reads until `count` packets other than pings came; pings are answered. */
  async packets(count) {
    const got = [];
    while (got.length < count) {
      const { status, body } = await this.get();
      if (status !== 200)
        throw new Error(`poll answered ${status} after ${JSON.stringify(got)}: ${body}`);
      for (const packet of body.split(SEPARATOR)) {
        if (packet === "2") await this.send("3");
        else got.push(packet);
      }
    }
    return got;
  }

  /** Polls until the session is refused; the status that said so. */
  async refused(ms = DEADLINE_MS) {
    const end = Date.now() + ms;
    while (Date.now() < end) {
      const { status } = await this.get();
      if (status !== 200) return status;
    }
    throw new Error(`session ${this.sid} still answers after ${ms} ms`);
  }
}

/** A WebSocket that keeps every message until it is read. */
export class Wire {
  #received;

  /** `pong: true` answers Engine.IO pings and keeps them out of `next`. */
  constructor(url, { pong = true, ...options } = {}) {
    this.#received = new Recorder("the socket");
    this.ws = new WebSocket(url, { perMessageDeflate: false, ...options });
    this.ws.on("message", (data, isBinary) => {
      if (isBinary) return this.#received.push(data);
      const text = data.toString();
      if (pong && text === "2") return this.ws.send("3");
      return this.#received.push(text);
    });
    this.outcome = new Promise((resolve) => {
      this.ws.once("open", () => resolve({ open: true }));
      this.ws.once("unexpected-response", (request, response) => {
        response.resume();
        request.destroy();
        resolve({ open: false, status: response.statusCode });
      });
      this.ws.once("error", (error) => resolve({ open: false, error }));
    });
    this.ws.on("error", () => {});
    this.whenClosed = new Promise((resolve) => {
      this.ws.once("close", (code) => {
        this.#received.end(`the socket was closed (${code})`);
        resolve(code);
      });
    });
  }

  /** Connects; `sid` joins an existing session. */
  static to(base, path, { sid, query = {}, ...options } = {}) {
    const all = { EIO: 4, transport: "websocket", ...(sid ? { sid } : {}), ...query };
    const clean = Object.entries(all).filter(([, value]) => value !== undefined);
    const url = `${base.replace("http", "ws")}${path}?${new URLSearchParams(clean)}`;
    return new Wire(url, options);
  }

  /** Connects and waits for the connection. */
  static async open(base, path, options) {
    const wire = Wire.to(base, path, options);
    const outcome = await within(DEADLINE_MS, wire.outcome, "the socket to open");
    if (!outcome.open)
      throw new Error(`socket refused: ${outcome.status ?? outcome.error?.message}`);
    return wire;
  }

  next(what = "a packet", ms) {
    return this.#received.next(what, ms);
  }

  send(data) {
    this.ws.send(data);
  }

  /** How many messages came, read or not. */
  get received() {
    return this.#received.items.length;
  }

  /** The close code; waits for the other side to close. */
  closed(what = "the socket to be closed", ms = DEADLINE_MS) {
    return within(ms, this.whenClosed, what);
  }

  get isOpen() {
    return this.ws.readyState === WebSocket.OPEN;
  }

  end() {
    this.ws.terminate();
  }
}
