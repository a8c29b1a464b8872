// The official clients against the echo program, on each transport.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { Socket as EngineClient } from "engine.io-client";
import engineClient3 from "engine.io-client-v3";
import { Conformance, scenarios } from "./support/server.mjs";
import { Client, closing } from "./support/sockets.mjs";
import { DEADLINE_MS, Recorder, within } from "./support/wait.mjs";

let program;
before(async () => {
  program = await Conformance.start();
});
after(() => program?.close());

const scenario = scenarios(() => program);
const TRANSPORTS = {
  websocket: { transports: ["websocket"] },
  polling: { transports: ["polling"] },
  "polling, then websocket": { transports: ["polling", "websocket"] },
};

/** Both generations of engine.io-client, and the event by which each says that its heart beats. */
const ENGINES = {
  "engine.io-client": { Library: EngineClient, beat: "ping" },
  "engine.io-client 3": { Library: engineClient3.Socket, beat: "pong" },
};

/** An open engine.io-client connection with what it received. */
async function engine(Library, options) {
  const client = new Library(program.url, { path: "/engine.io/", ...options });
  client.binaryType = "arraybuffer";
  const received = new Recorder("the echo");
  client.on("message", (data) => received.push(data));
  const opened = new Promise((resolve, reject) => {
    client.once("open", resolve);
    client.once("error", reject);
  });
  await within(DEADLINE_MS, opened, "the connection");
  return { client, received };
}

const CASES = Object.entries(TRANSPORTS).flatMap(([transport, options]) =>
  Object.entries(ENGINES).map(([library, engine]) => ({ transport, options, library, ...engine })),
);

for (const { transport, options, library, Library, beat } of CASES) {
  scenario(`${library} over ${transport}: 300 texts and binaries come back in order`, async (t) => {
    const { client, received } = await engine(Library, options);
    t.after(() => client.close());
    const sent = Array.from({ length: 300 }, (_, index) =>
      index % 3 ? `text ${index} ✓` : Buffer.from([index % 256, 0, 255]),
    );
    for (const data of sent) client.send(data);
    await received.atLeast(sent.length, () => true, "echo");
    const plain = (data) => (typeof data === "string" ? data : [...new Uint8Array(data)]);
    assert.deepEqual(received.items.map(plain), sent.map(plain));
  });

  scenario(
    `${library} over ${transport}: lives through heartbeats and closes on request`,
    async () => {
      const { client } = await engine(Library, options);
      const beats = new Recorder("the server");
      client.on(beat, () => beats.push(beat));
      await beats.atLeast(3, () => true, beat, 5_000);
      const closed = new Promise((resolve) => client.once("close", resolve));
      client.close();
      assert.equal(await within(DEADLINE_MS, closed, "the close"), "forced close");
    },
  );
}

for (const [name, options] of Object.entries(TRANSPORTS)) {
  scenario(`socket.io-client over ${name}: events, acks, binary and namespaces`, async (t) => {
    const client = await Client.open(program.url, { token: "echoed", ...options });
    const custom = await Client.open(program.url, {
      nsp: "/custom",
      token: "of custom",
      ...options,
    });
    closing(t, client, custom);
    assert.deepEqual(await client.got("auth"), { token: "echoed" });
    assert.deepEqual(await custom.got("auth"), { token: "of custom" });
    const args = [1, "two", { three: [null, true, 3.5] }, Buffer.from([7, 8, 9])];
    for (const one of [client, custom]) {
      one.socket.emit("message", ...args);
      const { args: back } = await one.events.find(
        ({ event }) => event === "message-back",
        "message-back",
      );
      assert.deepEqual(back, args);
    }
    const acks = new Recorder("the acks");
    client.socket.emit("message-with-ack", ...args, (...answer) => acks.push(answer));
    assert.deepEqual(await acks.next("the ack"), args);
    const order = Array.from({ length: 200 }, (_, index) => index);
    const answers = await Promise.all(order.map((index) => client.ask("message-with-ack", index)));
    assert.deepEqual(answers, order);
  });
}

scenario(
  "socket.io-client: refused namespace, ten attachments, many namespaces on one connection",
  async (t) => {
    const refused = await Client.refused(program.url, { nsp: "/nowhere" });
    assert.equal(refused.message, "Invalid namespace");
    const client = await Client.open(program.url, {});
    t.after(() => client.close());
    const ten = Array.from({ length: 10 }, (_, index) => Buffer.alloc(1_000, index));
    client.socket.emit("message", ...ten);
    const { args } = await client.events.find(
      ({ event }) => event === "message-back",
      "message-back",
    );
    assert.deepEqual(args, ten);
    const shared = client.socket.io.socket("/custom");
    closing(t, shared);
    const joined = new Promise((resolve) => shared.once("connect", resolve));
    shared.connect();
    await within(DEADLINE_MS, joined, "/custom on the same connection");
    assert.notEqual(shared.id, client.socket.id, "each namespace has its own socket id");
    assert.notEqual(shared.id, client.socket.io.engine.id, "and none is the session id");
  },
);

scenario("socket.io-client: reconnects by itself when the transport dies", async (t) => {
  const client = await Client.open(program.url, { transports: ["websocket"] });
  t.after(() => client.close());
  const first = client.socket.id;
  client.cut();
  await client.state("connect", 1);
  assert.notEqual(client.socket.id, first);
  assert.equal(await client.ask("message-with-ack", "again"), "again");
});

scenario(
  "socket.io-client: a message over the limit costs the sender its connection only",
  async (t) => {
    const sender = await Client.open(program.url, { reconnection: false });
    const other = await Client.open(program.url, { reconnection: false });
    closing(t, sender, other);
    assert.equal((await sender.ask("message-with-ack", "x".repeat(900_000))).length, 900_000);
    sender.socket.emit("message", "x".repeat(1_100_000));
    await sender.state("disconnect");
    assert.equal(await other.ask("message-with-ack", "fine"), "fine");
  },
);
