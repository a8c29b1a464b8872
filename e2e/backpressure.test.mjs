// Whoever does not read costs the server a bounded amount of memory, and nobody else anything.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { roomOf } from "./support/api.mjs";
import { Polling } from "./support/engine.mjs";
import { closedSlow, frame, metrics, RawSocket, residentBytes } from "./support/floods.mjs";
import { Member } from "./support/members.mjs";
import { Server, scenarios } from "./support/server.mjs";
import { closing } from "./support/sockets.mjs";
import { until } from "./support/wait.mjs";

const MIB = 1 << 20;
const QUEUE_BYTES = 256 * 1_024;
/** More than the buffers of any kernel between two sockets of one machine. */
const FLOOD_BYTES = 96 * MIB;
/** What the server may grow by while it holds a flood off: its own work, not the flood. */
const GROWTH_MAX = 48 * MIB;

let server;
before(async () => {
  server = await Server.start({ env: { MYNAH_LIMITS__QUEUE_BYTES_MAX: `${QUEUE_BYTES}` } });
});
after(() => server?.close());

const scenario = scenarios(() => server);
const memory = () => residentBytes(server.child.process.pid);

/** Fills a room through `writer` until `enough()`, at most `FLOOD_BYTES`. */
async function fill(writer, enough) {
  const text = "x".repeat(7_900);
  let sent = 0;
  while (sent < FLOOD_BYTES && !(await enough())) {
    const batch = Array.from({ length: 32 }, (_, index) =>
      writer.client.ok("message.send", {
        roomId: writer.roomId,
        content: `${sent} ${index} ${text}`,
      }),
    );
    await Promise.all(batch);
    sent += 32 * text.length;
  }
  return sent;
}

scenario(
  "a WebSocket that never reads is ended as slow; the others hear everything",
  async (t) => {
    const { room, users } = await roomOf(server.url, "ada", "bo", "cy");
    const writer = await Member.open(server.url, users[0], room);
    const other = await Member.open(server.url, users[2], room);
    closing(t, writer, other);
    const deaf = await RawSocket.open(server.url, "/socket.io/?EIO=4&transport=websocket");
    t.after(() => deaf.end());
    deaf.text(`40${JSON.stringify({ token: users[1].accessToken, dialect: "native" })}`);
    await deaf.until((text) => text.includes("connection.ready"), "connection.ready");
    deaf.deaf();
    await fill(writer, () => warmed(writer));
    const before = memory();
    const slow = await closedSlow(server.adminUrl);
    await fill(writer, async () => (await closedSlow(server.adminUrl)) > slow);
    assert.equal((await closedSlow(server.adminUrl)) - slow, 1, "one was ended for being slow");
    const grown = memory() - before;
    assert.ok(grown < GROWTH_MAX, `the server has grown by ${Math.round(grown / MIB)} MiB`);
    const last = await writer.say("last");
    await other.hears(last.id);
    const seqs = other.heard().map(({ seq }) => seq);
    assert.deepEqual(
      seqs,
      seqs.map((_, index) => seqs[0] + index),
      "the other one heard all, in order",
    );
    assert.equal(other.client.states.items.length, 1);
    const queued = (await metrics(server.adminUrl)).get("mynah_queued_bytes");
    assert.ok(queued <= QUEUE_BYTES, `${queued} bytes are queued`);
  },
  120_000,
);

/** Caches and arenas have their size once some traffic has passed. */
const warmed = (writer) => writer.heard().length >= 256;

scenario(
  "a poller that never polls is ended as slow",
  async (t) => {
    const { room, users } = await roomOf(server.url, "ada", "bo");
    const writer = await Member.open(server.url, users[0], room);
    t.after(() => writer.close());
    const session = await Polling.open(server.url, "/socket.io/");
    await session.send(`40${JSON.stringify({ token: users[1].accessToken, dialect: "native" })}`);
    const slow = await closedSlow(server.adminUrl);
    const before = memory();
    await fill(writer, async () => (await closedSlow(server.adminUrl)) > slow);
    assert.equal((await closedSlow(server.adminUrl)) - slow, 1);
    assert.ok(memory() - before < GROWTH_MAX);
    const { status } = await session.post("3");
    assert.equal(status, 400, "the session is over");
  },
  120_000,
);

scenario(
  "WebSocket pings whose answers nobody reads",
  async (t) => {
    const { room, users } = await roomOf(server.url, "ada", "bo");
    const writer = await Member.open(server.url, users[0], room);
    t.after(() => writer.close());
    const deaf = await RawSocket.open(server.url, "/socket.io/?EIO=4&transport=websocket");
    t.after(() => deaf.end());
    deaf.text(`40${JSON.stringify({ token: users[1].accessToken, dialect: "native" })}`);
    await deaf.until((text) => text.includes("connection.ready"), "connection.ready");
    deaf.deaf();
    const pings = Buffer.concat(
      Array.from({ length: 500 }, () => frame(0x9, Buffer.alloc(125, 1))),
    );
    const before = memory();
    const flooding = deaf.flood(pings, FLOOD_BYTES);
    await flooding;
    const grown = memory() - before;
    assert.ok(grown < GROWTH_MAX, `the server has grown by ${Math.round(grown / MIB)} MiB`);
    assert.equal((await writer.say("meanwhile")).content, "meanwhile");
  },
  60_000,
);

scenario(
  "Engine.IO packets of a client that reads no answer",
  async (t) => {
    const { room, users } = await roomOf(server.url, "ada", "bo");
    const writer = await Member.open(server.url, users[0], room);
    t.after(() => writer.close());
    const deaf = await RawSocket.open(server.url, "/socket.io/?EIO=4&transport=websocket");
    t.after(() => deaf.end());
    deaf.text(`40${JSON.stringify({ token: users[1].accessToken, dialect: "native" })}`);
    await deaf.until((text) => text.includes("connection.ready"), "connection.ready");
    deaf.deaf();
    // Each asks for an acknowledgement, which piles up somewhere.
    const asks = Buffer.concat(
      Array.from({ length: 200 }, (_, id) => frame(0x1, Buffer.from(`42${id}["ping",{}]`))),
    );
    const before = memory();
    await deaf.flood(asks, FLOOD_BYTES / 4);
    const grown = memory() - before;
    assert.ok(grown < GROWTH_MAX, `the server has grown by ${Math.round(grown / MIB)} MiB`);
    assert.equal((await writer.say("meanwhile")).content, "meanwhile");
    const queued = (await metrics(server.adminUrl)).get("mynah_queued_bytes");
    assert.ok(queued <= QUEUE_BYTES, `${queued} bytes are queued`);
  },
  60_000,
);

scenario("deaf connections that end are forgotten", async () => {
  const sessions = async () => (await metrics(server.adminUrl)).get("mynah_sessions");
  await until(async () => (await sessions()) === 0, "no sessions to be left", 30_000);
});
