// A cluster of Socket.IO servers: Redis, Node servers with the official adapters, and what plays Mynah's side.
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { connect } from "node:net";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server as SocketIo } from "socket.io";
import { io } from "socket.io-client";
import { Child, freePort } from "./process.mjs";
import { Recorder, until } from "./wait.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const side = process.env.MYNAH_SOCKET_IO_SIDE_BIN ?? "target/debug/examples/socket_io_side";
export const SIDE_BIN = path.resolve(root, side);

/** A Redis of its own, without a disk. */
export class Redis {
  static async start() {
    const redis = new Redis();
    redis.port = await freePort();
    redis.spawn();
    await redis.ready();
    return redis;
  }

  get url() {
    return `redis://127.0.0.1:${this.port}`;
  }

  spawn() {
    const args = ["--port", `${this.port}`, "--bind", "127.0.0.1", "--save", ""];
    this.child = new Child("redis-server", [...args, "--appendonly", "no"]);
  }

  ready() {
    return until(() => answers(this.port), "Redis to listen");
  }

  async client() {
    const client = createClient({ url: this.url });
    client.on("error", () => {});
    await client.connect();
    return client;
  }

  kill() {
    return this.child.kill();
  }
}

function answers(port) {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.end(() => resolve(true)));
    socket.on("error", () => resolve(false));
  });
}

/** A Node server of the cluster. */
export class NodeServer {
  static async start(redis, { format = "classic", namespace = "/chat", options = {} } = {}) {
    const server = new NodeServer();
    server.namespace = namespace;
    server.clients = [await redis.client(), await redis.client()];
    const make = format === "sharded" ? createShardedAdapter : createAdapter;
    server.http = createServer();
    server.io = new SocketIo(server.http, { adapter: make(...server.clients, options) });
    server.nsp = server.io.of(namespace);
    server.sockets = new Recorder("Node's sockets");
    server.nsp.on("connection", (socket) => {
      const { rooms = [] } = socket.handshake.auth;
      socket.join(rooms);
      server.sockets.push(socket);
    });
    await new Promise((resolve) => server.http.listen(0, "127.0.0.1", resolve));
    server.port = server.http.address().port;
    // The adapter does not tell when it is subscribed.
    const kind = format === "sharded" ? "SHARDNUMSUB" : "NUMSUB";
    const channel =
      format === "sharded" ? `socket.io#${namespace}#` : `socket.io-request#${namespace}#`;
    server.count = async () => (await server.clients[0].sendCommand(["PUBSUB", kind, channel]))[1];
    return server;
  }

  /** A client in some rooms; its events are recorded as `[name, ...arguments]`. */
  async client(rooms = []) {
    const client = io(`http://127.0.0.1:${this.port}${this.namespace}`, {
      transports: ["websocket"],
      auth: { rooms },
      forceNew: true,
    });
    client.heard = new Recorder("a client of Node");
    client.onAny((...event) => client.heard.push(event));
    await new Promise((resolve) => client.once("connect", resolve));
    await this.sockets.find((socket) => socket.id === client.id, "the connection");
    return client;
  }

  async stop() {
    this.io.disconnectSockets(true);
    await new Promise((resolve) => this.io.close(resolve));
    for (const client of this.clients) await client.close();
  }
}

/** Mynah's side, with sockets that exist only there. */
export class Side {
  static async start(redis, { format = "classic", namespace = "/chat" } = {}) {
    const side = new Side();
    side.process = spawn(SIDE_BIN, [redis.url, namespace, format], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    side.heard = new Recorder("Mynah's side");
    side.process.on("error", (error) => side.heard.end(error.message));
    createInterface({ input: side.process.stdout }).on("line", (line) =>
      side.heard.push(JSON.parse(line)),
    );
    await until(async () => (await side.ask()).up, "Mynah's side to be connected");
    return side;
  }

  tell(command) {
    this.process.stdin.write(`${JSON.stringify(command)}\n`);
  }

  async add(socket, rooms = []) {
    this.tell({ do: "add", socket, rooms });
    await this.heard.find((line) => line.added === socket, `${socket} to be added`);
  }

  /** Counters. */
  async ask() {
    const before = this.heard.items.length;
    this.tell({ do: "stats" });
    return this.heard.when(
      (items) => items.slice(before).find((line) => "garbage" in line),
      "counters",
    );
  }

  /** What its sockets heard as `kind`. */
  next(kind, what = kind) {
    const seen = (this.seen ??= new Set());
    const match = (line) => line.heard === kind && !seen.has(line);
    return this.heard.find(match, what).then((line) => (seen.add(line), line));
  }

  stop() {
    this.process.stdin.end();
    return new Promise((resolve) => this.process.once("exit", resolve));
  }
}
