// The Engine.IO revision 3 cases (clients of Socket.IO 2) against the echo program.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { closedWhileWaiting } from "./support/engine-cases.mjs";
import { framed, PollingV3, unframed, wireV3 } from "./support/engine-v3.mjs";
import { Conformance, scenarios } from "./support/server.mjs";
import { within } from "./support/wait.mjs";

const PATH = "/engine.io/";
const OCTETS = { "content-type": "application/octet-stream" };
let program;
before(async () => {
  program = await Conformance.start();
});
after(() => program?.close());

const scenario = scenarios(() => program);
const base = () => program.url;
const open = (options) => PollingV3.open(base(), PATH, options);
const at = (query) => `${base()}${PATH}?${new URLSearchParams(query)}`;

function assertOpen(packet, upgrades) {
  assert.equal(packet[0], "0");
  const opened = JSON.parse(packet.slice(1));
  assert.equal(typeof opened.sid, "string");
  assert.deepEqual(opened.upgrades, upgrades);
  assert.deepEqual([opened.pingInterval, opened.pingTimeout], [300, 2_000]);
  return opened;
}

async function openWire(options) {
  const wire = wireV3(base(), PATH, options);
  assertOpen(await wire.next("the open packet"), []);
  return wire;
}

scenario("handshake, polling: a session is opened", async () => {
  const response = await fetch(at({ EIO: 3, transport: "polling" }));
  assert.equal(response.status, 200);
  assert.match(response.headers.get("content-type"), /^text\/plain; ?charset=utf-8$/i);
  const body = await response.text();
  const [packet, ...more] = unframed(body);
  assert.equal(framed(packet), body);
  assert.deepEqual(more, []);
  assertOpen(packet, ["websocket"]);
});

scenario("handshake, polling: a missing or wrong transport is refused", async () => {
  for (const query of [{ EIO: 3 }, { EIO: 3, transport: "pigeon" }]) {
    const response = await fetch(at(query));
    assert.equal(response.status, 400);
    assert.equal((await response.json()).code, 0);
  }
});

scenario("handshake, polling: only GET opens a session", async () => {
  const response = await fetch(at({ EIO: 3, transport: "polling" }), { method: "POST" });
  assert.equal(response.status, 400);
});

scenario("handshake, websocket: a session is opened", async () => {
  (await openWire()).end();
});

scenario("handshake, websocket: a missing or wrong EIO is refused", async () => {
  for (const EIO of [undefined, "abc"]) {
    const outcome = await wireV3(base(), PATH, { query: { EIO } }).outcome;
    assert.deepEqual([outcome.open, outcome.status], [false, 400]);
  }
});

scenario("handshake, websocket: a missing or wrong transport is refused", async () => {
  for (const transport of [undefined, "pigeon"]) {
    const outcome = await wireV3(base(), PATH, { query: { transport } }).outcome;
    assert.deepEqual([outcome.open, outcome.status], [false, 400]);
  }
});

scenario("message, polling: one packet is echoed", async () => {
  const session = await open();
  assert.deepEqual(await session.post("6:4hello"), { status: 200, body: "ok" });
  assert.equal((await session.get()).body, "6:4hello");
});

scenario("message, polling: several packets in one body are echoed in order", async () => {
  const session = await open();
  const packets = ["4one", "4twö 😀", '4{"three":3}'];
  assert.equal((await session.send(...packets)).status, 200);
  assert.deepEqual(await session.packets(packets.length), packets);
});

scenario("message, polling: text and binary mix as base64", async () => {
  const session = await open();
  const binary = `b4${Buffer.from([0, 1, 2, 255]).toString("base64")}`;
  assert.equal((await session.send("4text", binary)).status, 200);
  assert.deepEqual(await session.packets(2), ["4text", binary]);
});

scenario("message, polling: text and binary mix as raw bytes", async () => {
  const session = await open({ b64: false });
  assert.equal((await session.send("4hello", "b4AQIDBA==")).status, 200);
  const { kind, bytes } = await session.bytes();
  assert.equal(kind, "application/octet-stream");
  const hello = Buffer.from("4hello");
  assert.deepEqual(bytes, Buffer.from([0, 6, 255, ...hello, 1, 5, 255, 4, 1, 2, 3, 4]));
  // What was answered is what may be sent.
  assert.deepEqual(await session.post(bytes, OCTETS), { status: 200, body: "ok" });
  assert.deepEqual((await session.bytes()).bytes, bytes);
});

scenario("message, polling: an invalid body closes the session", async () => {
  for (const [body, headers] of [["abc"], ["9:4hello"], [Buffer.from([1, 9, 255, 4]), OCTETS]]) {
    const session = await open();
    assert.equal((await session.post(body, headers)).status, 400);
    assert.equal((await session.get()).status, 400);
  }
});

scenario("message, polling: a second waiting GET closes the session", async () => {
  const session = await open();
  const answers = await Promise.all([session.get(), session.get()]);
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 400]);
  assert.equal(answers.find(({ status }) => status === 200).body, "1:1");
  assert.equal((await session.get()).status, 400);
});

scenario("message, websocket: text is echoed", async () => {
  const wire = await openWire();
  wire.send("4mynah €");
  assert.equal(await wire.next("the echo"), "4mynah €");
  wire.end();
});

scenario("message, websocket: binary carries its type in front", async () => {
  const wire = await openWire();
  wire.send(Buffer.from([4, 1, 2, 3, 4]));
  assert.deepEqual(await wire.next("the echo"), Buffer.from([4, 1, 2, 3, 4]));
  wire.end();
});

scenario("message, websocket: an invalid packet closes the socket", async () => {
  for (const packet of ["abc", "3", Buffer.from([2, 1]), Buffer.alloc(0)]) {
    const wire = await openWire();
    wire.send(packet);
    await wire.closed();
  }
});

scenario("heartbeat, polling: three pings are answered", async () => {
  const session = await open();
  for (let round = 0; round < 3; round += 1) {
    assert.deepEqual(await session.post("1:2"), { status: 200, body: "ok" });
    assert.deepEqual(await session.get(), { status: 200, body: "1:3" });
  }
});

scenario("heartbeat, polling: a silent client is closed", async () => {
  const began = Date.now();
  const session = await open();
  // The waiting poll ends with the session.
  await session.get();
  const took = Date.now() - began;
  assert.ok(took >= 2_000, `${took} ms`);
  assert.equal((await session.post("1:2")).status, 400);
});

scenario("heartbeat, websocket: pings are answered and keep the session alive", async () => {
  const wire = await openWire();
  for (let round = 0; round < 3; round += 1) {
    wire.send("2");
    assert.equal(await wire.next("a pong"), "3");
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  assert.ok(wire.isOpen);
  assert.equal(wire.received, 4, "the server does not ping");
  wire.end();
});

scenario("heartbeat, websocket: a silent client is closed", async () => {
  const wire = await openWire();
  await wire.closed("the silent client to be closed");
});

scenario("close, polling: the waiting poll ends and the session is gone", async () => {
  const session = await closedWhileWaiting(open, (it) => it.send("1"), {
    status: 200,
    body: "1:6",
  });
  assert.equal((await session.get()).status, 400);
});

scenario("close, websocket: the socket is closed", async () => {
  const wire = await openWire();
  wire.send("1");
  await wire.closed();
});

/** Moves a polling session to WebSocket. */
async function upgrade() {
  const session = await open();
  const waiting = session.get();
  const wire = wireV3(base(), PATH, { sid: session.sid });
  assert.ok((await wire.outcome).open);
  wire.send("2probe");
  assert.equal(await wire.next("the probe answer"), "3probe");
  assert.deepEqual(await within(3_000, waiting, "the waiting poll to end"), {
    status: 200,
    body: "1:6",
  });
  wire.send("5");
  wire.send("4hello");
  assert.equal(await wire.next("the first answer after the upgrade"), "4hello");
  return { session, wire };
}

scenario("upgrade: the session goes on over the websocket", async () => {
  const { wire } = await upgrade();
  wire.send("2");
  assert.equal(await wire.next("a pong"), "3");
  wire.end();
});

scenario("upgrade: polling requests of an upgraded session are refused", async () => {
  const { session, wire } = await upgrade();
  assert.equal((await session.get()).status, 400);
  wire.end();
});

scenario("upgrade: a second websocket of an upgraded session is closed", async () => {
  const { session, wire } = await upgrade();
  const second = wireV3(base(), PATH, { sid: session.sid });
  await second.closed("the second socket to be closed");
  assert.ok(wire.isOpen, "the first socket is not disturbed");
  wire.end();
});

scenario("script polling: answers are scripts, bodies are forms", async () => {
  const session = await open();
  const first = await fetch(at({ EIO: 3, transport: "polling", b64: 1, j: "7" }));
  assert.match(first.headers.get("content-type"), /^text\/javascript; ?charset=utf-8$/i);
  const read = (script) => {
    const [, body] = script.match(/^___eio\[7\]\((".*")\);$/);
    return unframed(JSON.parse(body));
  };
  session.sid = assertOpen(read(await first.text())[0], ["websocket"]).sid;
  const message = '4["line\nfeed","\\\\n","\u2028"]';
  const d = framed(message).replaceAll("\\n", "\\\\n").replaceAll("\n", "\\n");
  const form = { "content-type": "application/x-www-form-urlencoded" };
  const sent = await session.post(new URLSearchParams({ d }).toString(), form);
  assert.deepEqual(sent, { status: 200, body: "ok" });
  const { body } = await session.get();
  assert.ok(!body.includes("\u2028"), "a line separator would end the script's line");
  assert.deepEqual(read(body), [message]);
});
