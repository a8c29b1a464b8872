// The cases that every Engine.IO endpoint must pass, whatever is spoken on top.
import assert from "node:assert/strict";
import { Polling, Wire } from "./engine.mjs";
import { within } from "./wait.mjs";

const OPEN_KEYS = ["maxPayload", "pingInterval", "pingTimeout", "sid", "upgrades"];

function assertOpenPacket(text, upgrades) {
  assert.equal(text[0], "0");
  const open = JSON.parse(text.slice(1));
  assert.deepEqual(Object.keys(open).sort(), OPEN_KEYS);
  assert.equal(typeof open.sid, "string");
  assert.ok(open.sid.length >= 16, "a sid is long enough not to be guessed");
  assert.deepEqual(open.upgrades, upgrades);
  assert.deepEqual([open.pingInterval, open.pingTimeout, open.maxPayload], [300, 2_000, 1_000_000]);
  return open;
}

/** Opens a WebSocket session and reads the open packet. */
export async function openWire(base, path, options) {
  const wire = await Wire.open(base, path, options);
  assertOpenPacket(await wire.next("the open packet"), []);
  return wire;
}

async function statusOf(url, options) {
  const response = await fetch(url, options);
  return { status: response.status, body: await response.text(), headers: response.headers };
}

/** Registers handshake, heartbeat, close and upgrade cases (16). */
export function engineCases(scenario, base, path) {
  handshakeCases(scenario, base, path);
  heartbeatCases(scenario, base, path);
  closeCases(scenario, base, path);
  upgradeCases(scenario, base, path);
}

function handshakeCases(scenario, base, path) {
  const at = (query) => `${base()}${path}?${new URLSearchParams(query)}`;

  scenario("handshake, polling: a session is opened", async () => {
    const { status, body, headers } = await statusOf(at({ EIO: 4, transport: "polling" }));
    assert.equal(status, 200);
    assert.match(headers.get("content-type"), /^text\/plain; ?charset=utf-8$/i);
    assertOpenPacket(body, ["websocket"]);
  });

  scenario("handshake, polling: a missing or wrong EIO is refused", async () => {
    for (const query of [{ transport: "polling" }, { EIO: "abc", transport: "polling" }]) {
      const { status, body } = await statusOf(at(query));
      assert.equal(status, 400);
      assert.equal(JSON.parse(body).code, 5);
    }
  });

  scenario("handshake, polling: a missing or wrong transport is refused", async () => {
    for (const query of [{ EIO: 4 }, { EIO: 4, transport: "pigeon" }]) {
      const { status, body } = await statusOf(at(query));
      assert.equal(status, 400);
      assert.deepEqual(JSON.parse(body), { code: 0, message: "Transport unknown" });
    }
  });

  scenario("handshake, polling: only GET opens a session", async () => {
    for (const method of ["POST", "PUT"]) {
      const { status } = await statusOf(at({ EIO: 4, transport: "polling" }), { method });
      assert.equal(status, 400, method);
    }
  });

  scenario("handshake, websocket: a session is opened", async () => {
    const wire = await openWire(base(), path);
    wire.end();
  });

  scenario("handshake, websocket: a missing or wrong EIO is refused", async () => {
    for (const EIO of [undefined, "abc"]) {
      const wire = Wire.to(base(), path, { query: { EIO } });
      const outcome = await wire.outcome;
      // A refusal may come before or after the upgrade; no session may come of it.
      if (outcome.open) await wire.closed();
      else assert.equal(outcome.status, 400);
      assert.equal(wire.received, 0);
    }
  });

  scenario("handshake, websocket: a missing or wrong transport is refused", async () => {
    for (const transport of [undefined, "pigeon"]) {
      const outcome = await within(
        3_000,
        Wire.to(base(), path, { query: { transport } }).outcome,
        "a refusal",
      );
      assert.equal(outcome.open, false);
      assert.equal(outcome.status, 400);
    }
  });
}

/** Where namespaces are spoken, who joins none within a second is closed. */
async function joinedIfAsked(path, send, read) {
  if (path !== "/socket.io/") return;
  await send("40");
  await read();
}

function heartbeatCases(scenario, base, path) {
  scenario("heartbeat, polling: three pings are answered and the session lives", async () => {
    const session = await Polling.open(base(), path);
    await joinedIfAsked(
      path,
      (packet) => session.send(packet),
      () => session.packets(2),
    );
    for (let round = 0; round < 3; round += 1) {
      assert.equal((await session.get()).body, "2");
      assert.deepEqual(await session.send("3"), { status: 200, body: "ok" });
    }
  });

  scenario("heartbeat, polling: a client without a pong is closed", async () => {
    const session = await Polling.open(base(), path);
    assert.equal((await session.get()).body, "2");
    assert.equal(await session.refused(), 400);
  });

  scenario("heartbeat, websocket: three pings are answered and the session lives", async () => {
    const start = Date.now();
    const wire = await openWire(base(), path, { pong: false });
    await joinedIfAsked(
      path,
      (packet) => wire.send(packet),
      async () => {
        await wire.next("the connect answer");
        await wire.next("the auth event");
      },
    );
    for (let round = 0; round < 3; round += 1) {
      assert.equal(await wire.next("a ping", 3_000), "2");
      wire.send("3");
    }
    assert.ok(
      Date.now() - start >= 800,
      "pings come once per interval, the first after one interval",
    );
    assert.ok(wire.isOpen);
    wire.end();
  });

  scenario("heartbeat, websocket: a client without a pong is closed", async () => {
    const wire = await openWire(base(), path, { pong: false });
    assert.equal(await wire.next("a ping", 3_000), "2");
    await wire.closed("the silent client to be closed");
  });
}

/**
 * A session that was closed while its poll waited.
 *
 * The poll and the close travel on connections of their own, and nothing orders them: if the close is
 * read first, the session is gone for the poll. Then another session is tried.
 *
 * @param open gives a polling session
 * @param close says that the client leaves
 * @param last what the waiting poll must get
 */
export async function closedWhileWaiting(open, close, last) {
  for (let tries = 0; tries < 50; tries += 1) {
    const session = await open();
    const [waiting, sent] = await Promise.all([session.get(), close(session)]);
    assert.deepEqual(sent, { status: 200, body: "ok" });
    // A ping may have been just in time.
    if (waiting.status === 200 && waiting.body !== "2") {
      assert.deepEqual(waiting, last);
      return session;
    }
    if (waiting.status !== 200)
      assert.deepEqual(waiting, {
        status: 400,
        body: '{"code":1,"message":"Session ID unknown"}',
      });
  }
  assert.fail("the close was read before the poll fifty times");
}

function closeCases(scenario, base, path) {
  scenario("close, polling: the waiting poll ends and the session is gone", async () => {
    const session = await closedWhileWaiting(
      () => Polling.open(base(), path),
      (it) => it.send("1"),
      { status: 200, body: "6" },
    );
    assert.equal((await session.get()).status, 400);
  });

  scenario("close, websocket: the socket is closed", async () => {
    const wire = await openWire(base(), path, { pong: false });
    wire.send("1");
    await wire.closed();
  });
}

/** Moves a polling session to WebSocket. */
async function upgrade(base, path) {
  const session = await Polling.open(base, path);
  const waiting = session.packets(1);
  const wire = await Wire.open(base, path, { sid: session.sid });
  wire.send("2probe");
  assert.equal(await wire.next("the probe answer"), "3probe");
  assert.deepEqual(await within(10_000, waiting, "the waiting poll to end"), ["6"]);
  wire.send("5");
  // A round trip shows that the upgrade packet was handled before anything else is tried.
  const echo = path === "/engine.io/";
  wire.send(echo ? "4hello" : "40");
  assert.match(
    await wire.next("the first answer after the upgrade"),
    echo ? /^4hello$/ : /^40\{"sid":/,
  );
  return { session, wire };
}

function upgradeCases(scenario, base, path) {
  scenario("upgrade: the session goes on over the websocket", async () => {
    const { wire } = await upgrade(base(), path);
    wire.end();
  });

  scenario("upgrade: polling requests of an upgraded session are refused", async () => {
    const { session, wire } = await upgrade(base(), path);
    assert.equal((await session.get()).status, 400);
    wire.end();
  });

  scenario("upgrade: a second websocket of an upgraded session is closed", async () => {
    const { session, wire } = await upgrade(base(), path);
    const second = Wire.to(base(), path, { sid: session.sid });
    await second.closed("the second socket to be closed");
    assert.ok(wire.isOpen, "the first socket is not disturbed");
    wire.end();
  });
}
