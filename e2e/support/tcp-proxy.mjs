// A line between client and server that can be cut, frozen or made deaf in one direction.
import { connect, createServer } from "node:net";

/** One proxied connection. */
class Line {
  constructor(client, server) {
    Object.assign(this, { client, server, up: true, down: true });
    client.on("data", (chunk) => this.up && this.#pass(client, server, chunk));
    server.on("data", (chunk) => this.down && this.#pass(server, client, chunk));
    client.on("end", () => this.up && server.end());
    server.on("end", () => this.down && client.end());
    for (const socket of [client, server]) socket.on("error", () => {});
    client.on("close", () => (this.up ? server.destroy() : this.#forget(client)));
    server.on("close", () => (this.down ? client.destroy() : this.#forget(server)));
  }

  #pass(from, to, chunk) {
    if (to.write(chunk)) return;
    from.pause();
    to.once("drain", () => from.resume());
  }

  #forget(socket) {
    socket.unref();
  }

  /** Both ends see a reset. */
  cut() {
    this.client.resetAndDestroy();
    this.server.resetAndDestroy();
  }

  /** Takes nothing from the server until `flow`; nothing is lost. */
  stall() {
    this.server.pause();
  }

  flow() {
    this.server.resume();
  }

  /** Nothing passes any more, and nobody is told: `up`, `down`, or both. */
  freeze(direction = "both") {
    if (direction !== "down") this.up = false;
    if (direction !== "up") this.down = false;
  }
}

export class TcpProxy {
  lines = new Set();
  refusing = false;
  #waiting = null;

  /** In front of `target`, an address `http://host:port`. */
  static start(target) {
    const proxy = new TcpProxy();
    const { hostname, port } = new URL(target);
    proxy.target = { host: hostname, port: Number(port) };
    proxy.server = createServer((client) => proxy.#accept(client));
    return new Promise((resolve, reject) => {
      proxy.server.once("error", reject);
      proxy.server.listen(0, "127.0.0.1", () => {
        proxy.url = `http://127.0.0.1:${proxy.server.address().port}`;
        resolve(proxy);
      });
    });
  }

  #accept(client) {
    if (this.refusing) return client.resetAndDestroy();
    if (this.#waiting) return this.#waiting.push(client);
    client.setNoDelay(true);
    const server = connect(this.target);
    server.setNoDelay(true);
    const line = new Line(client, server);
    this.lines.add(line);
    let open = 2;
    for (const socket of [client, server])
      socket.once("close", () => {
        open -= 1;
        if (open === 0) this.lines.delete(line);
      });
  }

  /** New connections wait until `admit`. */
  hold() {
    this.#waiting ??= [];
  }

  admit() {
    const waiting = this.#waiting ?? [];
    this.#waiting = null;
    for (const client of waiting) if (!client.destroyed) this.#accept(client);
  }

  /** Cuts what is open; new connections pass. */
  cut() {
    for (const line of this.lines) line.cut();
  }

  /** Freezes what is open; new connections pass. */
  freeze(direction) {
    for (const line of this.lines) line.freeze(direction);
  }

  /** What is open takes nothing from the server until `flow`; nothing is lost. */
  stall() {
    for (const line of this.lines) line.stall();
  }

  flow() {
    for (const line of this.lines) line.flow();
  }

  close() {
    this.server.close();
    this.admit();
    this.cut();
  }
}
