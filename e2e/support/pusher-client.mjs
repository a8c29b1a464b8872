// Stock pusher-js connections, and plain WebSockets, that remember what they received.
import Pusher from "pusher-js";
import { WebSocket } from "ws";
import { DEADLINE_MS, Recorder } from "./wait.mjs";

/** A channel of pusher-js, and everything it told. */
class Subscription {
  constructor(channel) {
    this.channel = channel;
    this.events = new Recorder(`channel ${channel.name}`);
    channel.bind_global((event, data) => this.events.push({ event, data }));
  }

  /** The data of the first `event` that matches, past or future. */
  async got(event, match = () => true, ms = DEADLINE_MS) {
    const hit = await this.events.find(
      (item) => item.event === event && match(item.data),
      event,
      ms,
    );
    return hit.data;
  }

  /** Data of all `event`s so far. */
  all(event) {
    return this.events.items.filter((item) => item.event === event).map(({ data }) => data);
  }

  /** Names of all events so far. */
  get names() {
    return this.events.items.map(({ event }) => event);
  }

  joined(count = 1) {
    const { events } = this;
    return events.atLeast(
      count,
      ({ event }) => event === "pusher:subscription_succeeded",
      "subscription_succeeded",
    );
  }
}

export class PusherClient {
  /** `key` and what else is given go to pusher-js as they are. */
  constructor(server, { key = server.apps[0].key, ...options } = {}) {
    this.frames = new Recorder("pusher-js");
    this.states = new Recorder("pusher-js's connection");
    this.errors = new Recorder("pusher-js's errors");
    this.channels = new Map();
    this.pusher = new Pusher(key, { ...server.clientOptions, ...options });
    const { connection } = this.pusher;
    connection.bind("message", (frame) => this.frames.push(frame));
    connection.bind("state_change", ({ current }) => this.states.push(current));
    connection.bind("error", (error) => this.errors.push(error.error ?? error));
    this.states.push(connection.state);
    this.user = new Recorder("the signed-in user");
    this.pusher.user.bind_global((event, data) => this.user.push({ event, data }));
  }

  static async open(server, options) {
    const client = new this(server, options);
    await client.connected();
    return client;
  }

  get socketId() {
    return this.pusher.connection.socket_id;
  }

  get state() {
    return this.pusher.connection.state;
  }

  /** Waits until the library was connected `count` times. */
  connected(count = 1, ms = DEADLINE_MS) {
    return this.states.atLeast(count, (state) => state === "connected", "the connection", ms);
  }

  /** Subscribes; what the channel tells is kept from its first event on. */
  channel(name) {
    const known = this.channels.get(name);
    if (known && known.channel === this.pusher.channel(name)) return known;
    const subscription = new Subscription(this.pusher.subscribe(name));
    this.channels.set(name, subscription);
    return subscription;
  }

  /** Subscribes and waits for it. */
  async joined(name) {
    const subscription = this.channel(name);
    await subscription.joined();
    return subscription;
  }

  /** Subscribes and expects a refusal: its data. */
  refused(name) {
    return this.channel(name).got("pusher:subscription_error");
  }

  unsubscribe(name) {
    this.pusher.unsubscribe(name);
    this.channels.delete(name);
  }

  /** Sends any frame, also such that the library would not. */
  send(event, data, channel) {
    return this.pusher.send_event(event, data, channel);
  }

  /** All frames sent so far were handled, and their answers have arrived. */
  async settled() {
    const pong = ({ event }) => event === "pusher:pong";
    const before = this.frames.items.filter(pong).length;
    this.send("pusher:ping", {});
    await this.frames.atLeast(before + 1, pong, "pong");
  }

  /** The first whole frame that matches, past or future. */
  frame(match, what) {
    return this.frames.find(match, what);
  }

  /** Signs in, waits until the user's own channel is heard, and answers the data of `pusher:signin_success`. */
  async signIn() {
    this.pusher.signin();
    const { data } = await this.frames.find(
      ({ event }) => event === "pusher:signin_success",
      "signin_success",
    );
    await this.frames.find(
      ({ event, channel }) =>
        event === "pusher_internal:subscription_succeeded" &&
        channel?.startsWith("#server-to-user-"),
      "the user's own channel",
    );
    return data;
  }

  close() {
    this.pusher.disconnect();
  }
}

/** A WebSocket without a library: whole frames as text, and the close code. */
export class RawClient {
  constructor(server, { key = server.apps[0].key, query = QUERY, path = "", port } = {}) {
    const url = `ws://127.0.0.1:${port ?? server.pusherPort}${path}/app/${key}${query}`;
    this.frames = new Recorder("the socket");
    this.socket = new WebSocket(url, { perMessageDeflate: false });
    this.closed = new Promise((resolve) => {
      this.socket.on("close", (code, reason) => {
        this.frames.end(`closed with ${code}`);
        resolve({ code, reason: reason.toString() });
      });
    });
    this.socket.on("error", () => {});
    this.socket.on("unexpected-response", (_, response) => {
      this.status = response.statusCode;
      this.socket.terminate();
    });
    this.socket.on("message", (data, isBinary) => {
      this.frames.push(isBinary ? { binary: data } : JSON.parse(data.toString()));
    });
  }

  static async open(server, options) {
    const client = new RawClient(server, options);
    const first = await client.frames.next("connection_established");
    client.established = first;
    client.socketId = JSON.parse(first.data).socket_id;
    return client;
  }

  send(frame) {
    this.socket.send(typeof frame === "string" ? frame : JSON.stringify(frame));
  }

  find(event, match = () => true) {
    return this.frames.find((frame) => frame.event === event && match(frame), event);
  }

  /** All frames sent so far were handled, and their answers have arrived. */
  async settled() {
    const pong = ({ event }) => event === "pusher:pong";
    const before = this.frames.items.filter(pong).length;
    this.send({ event: "pusher:ping", data: {} });
    await this.frames.atLeast(before + 1, pong, "pong");
  }

  close() {
    this.socket.terminate();
  }
}

export const QUERY = "?protocol=7&client=js&version=8.6.0&flash=false";

/** Closes what is given when the test `t` ends. */
export function closing(t, ...clients) {
  t.after(() => {
    for (const client of clients) client.close();
  });
}
