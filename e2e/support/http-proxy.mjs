// A proxy that understands HTTP and is bad at WebSockets, in one of several known ways.
import { Agent, createServer, request } from "node:http";
import { connect } from "node:net";

/** How long a buffering proxy keeps the bytes of an upgraded connection: for ever, up to this many. */
const BUFFER_BYTES = 64 * 1024;

/** What becomes of an upgrade. Each is given the two sockets and the bytes of the request. */
const UPGRADES = {
  pass,
  /** Waits until `release` is called. */
  hold: ({ client, server, released }) => released.then(() => pass({ client, server })),
  /** 101 reaches the client, nothing after it does. */
  silent: ({ client, server }) => {
    once101(server, (answer) => client.write(answer));
    client.resume();
  },
  /** The probe reaches the server, whose answer does not come back. */
  "cut after the probe": ({ client, server }) => {
    once101(server, (answer) => {
      client.write(answer);
      client.once("data", (probe) => server.write(probe, () => cut(client, server)));
    });
  },
  /** After `release`: the first one has the answer to its probe, and is cut off before it can go on here. */
  "cut after the answer, once": async ({ client, server, released, first }) => {
    await released;
    if (!first) return pass({ client, server });
    once101(server, (answer) => {
      client.write(answer);
      client.once("data", (probe) => server.write(probe));
      server.once("data", (reply) => client.write(reply, () => cut(client, server)));
    });
  },
  /** Frames are kept until there is much to send. */
  buffer: ({ client, server }) => {
    once101(server, (answer) => {
      client.write(answer);
      hoard(client, server);
      hoard(server, client);
    });
  },
};

const REFUSALS = {
  "refuse 400": [400, "Bad Request"],
  "refuse 502": [502, "Bad Gateway"],
};

export const WAYS = [...Object.keys(REFUSALS), ...Object.keys(UPGRADES)];

function pass({ client, server }) {
  client.pipe(server);
  server.pipe(client);
}

function cut(client, server) {
  client.destroy();
  server.destroy();
}

/** The first bytes of the server's answer, and whatever came with them. */
function once101(server, act) {
  server.once("data", act);
}

function hoard(from, to) {
  let kept = [];
  let bytes = 0;
  from.on("data", (chunk) => {
    kept.push(chunk);
    bytes += chunk.length;
    if (bytes < BUFFER_BYTES) return;
    to.write(Buffer.concat(kept));
    kept = [];
    bytes = 0;
  });
}

export class HttpProxy {
  /** How many upgrades were asked for. */
  upgrades = 0;
  #released = new Promise((resolve) => (this.release = resolve));
  #sockets = new Set();
  #agent = new Agent({ keepAlive: true });

  /** In front of `target`; `way` is one of `WAYS`. */
  static start(target, way) {
    if (!WAYS.includes(way)) throw new Error(`no such way: ${way}`);
    const proxy = new HttpProxy();
    proxy.way = way;
    proxy.target = new URL(target);
    proxy.server = createServer((incoming, answer) => proxy.#forward(incoming, answer));
    proxy.server.on("upgrade", (incoming, client) => proxy.#upgrade(incoming, client));
    proxy.server.on("connection", (socket) => proxy.#keep(socket));
    return new Promise((resolve, reject) => {
      proxy.server.once("error", reject);
      proxy.server.listen(0, "127.0.0.1", () => {
        proxy.url = `http://127.0.0.1:${proxy.server.address().port}`;
        resolve(proxy);
      });
    });
  }

  #keep(socket) {
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => this.#sockets.delete(socket));
  }

  /** Request and answer are read whole before they are passed on, as buffering proxies do. */
  #forward(incoming, answer) {
    const { hostname, port } = this.target;
    const { method, url: path, headers } = incoming;
    const outgoing = request({ hostname, port, method, path, headers, agent: this.#agent });
    outgoing.on("error", () => answer.destroy());
    answer.on("close", () => outgoing.destroy());
    outgoing.on("response", async (reply) => {
      const chunks = [];
      try {
        for await (const chunk of reply) chunks.push(chunk);
      } catch {
        return answer.destroy();
      }
      answer.writeHead(reply.statusCode, reply.headers);
      answer.end(Buffer.concat(chunks));
    });
    incoming.pipe(outgoing);
  }

  #upgrade(incoming, client) {
    this.upgrades += 1;
    const refusal = REFUSALS[this.way];
    if (refusal) {
      const [status, text] = refusal;
      client.end(`HTTP/1.1 ${status} ${text}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    const { hostname, port } = this.target;
    const server = connect({ host: hostname, port: Number(port) });
    this.#keep(server);
    for (const [one, other] of [
      [client, server],
      [server, client],
    ])
      one.once("close", () => other.destroy());
    const lines = [`${incoming.method} ${incoming.url} HTTP/1.1`];
    for (let index = 0; index < incoming.rawHeaders.length; index += 2)
      lines.push(`${incoming.rawHeaders[index]}: ${incoming.rawHeaders[index + 1]}`);
    server.write(`${lines.join("\r\n")}\r\n\r\n`);
    UPGRADES[this.way]({ client, server, released: this.#released, first: this.upgrades === 1 });
  }

  close() {
    this.server.close();
    for (const socket of this.#sockets) socket.destroy();
    this.#agent.destroy();
  }
}
