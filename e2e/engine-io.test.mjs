// The 25 Engine.IO (revision 4) cases against the echo program.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { Polling } from "./support/engine.mjs";
import { engineCases, openWire } from "./support/engine-cases.mjs";
import { Conformance, scenarios } from "./support/server.mjs";

const PATH = "/engine.io/";
let program;
before(async () => {
  program = await Conformance.start();
});
after(() => program?.close());

const scenario = scenarios(() => program);
const base = () => program.url;

engineCases(scenario, base, PATH);

scenario("message, polling: one packet is echoed", async () => {
  const session = await Polling.open(base(), PATH);
  assert.deepEqual(await session.send("4mynah"), { status: 200, body: "ok" });
  assert.deepEqual(await session.packets(1), ["4mynah"]);
});

scenario("message, polling: several packets in one body are echoed in order", async () => {
  const session = await Polling.open(base(), PATH);
  const packets = ["4one", "4twö", "4", '4{"three":3}'];
  assert.equal((await session.send(...packets)).status, 200);
  assert.deepEqual(await session.packets(packets.length), packets);
});

scenario("message, polling: text and binary mix", async () => {
  const session = await Polling.open(base(), PATH);
  const binary = `b${Buffer.from([0, 1, 2, 255]).toString("base64")}`;
  assert.equal((await session.send("4text", binary)).status, 200);
  assert.deepEqual(await session.packets(2), ["4text", binary]);
});

scenario("message, polling: an invalid packet closes the session", async () => {
  const session = await Polling.open(base(), PATH);
  // The answer to the POST itself may be a 200 given before the packet was read.
  await session.send("abc");
  assert.equal((await session.get()).status, 400);
});

scenario("message, polling: a second waiting GET closes the session", async () => {
  let session;
  let answers;
  do {
    session = await Polling.open(base(), PATH);
    answers = await Promise.all([session.get(), session.get()]);
    // A ping that came between the two answered the first one.
  } while (answers.some(({ body }) => body === "2"));
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 400]);
  assert.equal(answers.find(({ status }) => status === 200).body, "1");
  assert.equal((await session.get()).status, 400);
});

scenario("message, polling: a cancelled GET closes the session", async () => {
  const session = await Polling.open(base(), PATH);
  const abort = new AbortController();
  const cancelled = session.get({ signal: abort.signal });
  // Nothing tells a client that its GET is waiting; an echo on another session gives it time to arrive.
  const other = await Polling.open(base(), PATH);
  await other.send("4");
  await other.packets(1);
  abort.abort();
  await assert.rejects(cancelled, { name: "AbortError" });
  assert.equal(await session.refused(), 400);
});

scenario("message, websocket: text is echoed", async () => {
  const wire = await openWire(base(), PATH);
  wire.send("4mynah €");
  assert.equal(await wire.next("the echo"), "4mynah €");
  wire.end();
});

scenario("message, websocket: binary is echoed", async () => {
  const wire = await openWire(base(), PATH);
  wire.send(Buffer.from([4, 3, 2, 1]));
  assert.deepEqual(await wire.next("the echo"), Buffer.from([4, 3, 2, 1]));
  wire.end();
});

scenario("message, websocket: an invalid packet closes the socket", async () => {
  const wire = await openWire(base(), PATH);
  wire.send("abc");
  await wire.closed();
});
