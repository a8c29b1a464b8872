// How pusher-js is let in, kept, and turned away: what each refusal makes the library do.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { closing, PusherClient, RawClient } from "./support/pusher-client.mjs";
import { app, PusherServer } from "./support/pusher-server.mjs";
import { scenarios } from "./support/server.mjs";
import { until } from "./support/wait.mjs";

const APPS = [
  app("open"),
  app("disabled", { enabled: false }),
  // One for each scenario: a place is free only when the server has seen the last one's socket end.
  app("small", { maxConnections: 1 }),
  app("full", { maxConnections: 1 }),
];

let server;
before(async () => {
  server = await PusherServer.start({ apps: APPS });
});
after(() => server?.close());

const scenario = scenarios(() => server);

scenario("the first frame names the socket and the activity timeout", async (t) => {
  const raw = await RawClient.open(server);
  closing(t, raw);
  assert.equal(raw.established.event, "pusher:connection_established");
  assert.equal(typeof raw.established.data, "string", "the data is a string that holds JSON");
  const data = JSON.parse(raw.established.data);
  assert.match(data.socket_id, /^\d+\.\d+$/);
  assert.ok(data.activity_timeout > 0);
  assert.deepEqual(Object.keys(data).sort(), ["activity_timeout", "socket_id"]);
});

scenario("pusher-js connects, and every connection has a socket id of its own", async (t) => {
  const clients = [await PusherClient.open(server), await PusherClient.open(server)];
  closing(t, ...clients);
  for (const { socketId } of clients) assert.match(socketId, /^\d+\.\d+$/);
  assert.notEqual(clients[0].socketId, clients[1].socketId);
});

scenario("client and version in the address are free text", async (t) => {
  for (const query of [
    "?protocol=7&client=pusher-websocket-swift&version=10.1.5",
    "?client=%F0%9F%90%A6&version=&protocol=7&flash=true&x=1",
    "?protocol=5",
    "?protocol=6",
  ]) {
    const raw = await RawClient.open(server, { query });
    closing(t, raw);
    assert.equal(raw.established.event, "pusher:connection_established", query);
  }
});

scenario(
  "silent clients are asked: who answers stays, who does not is closed with 4201",
  async (t) => {
    const quick = await PusherServer.start({
      soketi: { DEFAULT_APP_USER_AUTHENTICATION: "false" },
      env: { MYNAH_PUSHER__ACTIVITY_TIMEOUT_S: "1" },
    });
    t.after(() => quick.close());
    const [answers, silent] = [await RawClient.open(quick), await RawClient.open(quick)];
    const pinged = await PusherClient.open(quick, { activityTimeout: 60_000 });
    closing(t, answers, silent, pinged);
    answers.socket.on("message", (data) => {
      if (JSON.parse(data).event === "pusher:ping") answers.send({ event: "pusher:pong" });
    });
    await silent.find("pusher:ping");
    await answers.frames.atLeast(3, ({ event }) => event === "pusher:ping", "pings");
    assert.equal((await silent.closed).code, 4201);
    await answers.settled();
    await pinged.settled();
    assert.deepEqual(pinged.states.items, ["connecting", "connected"]);
  },
  90_000,
);

scenario("a ping is answered with a pong", async (t) => {
  const raw = await RawClient.open(server);
  closing(t, raw);
  raw.send({ event: "pusher:ping", data: {} });
  assert.equal((await raw.find("pusher:pong")).event, "pusher:pong");
});

scenario("pusher-js asks in silence, hears the answer and stays", async (t) => {
  const client = await PusherClient.open(server, { activityTimeout: 60 });
  closing(t, client);
  await client.frames.atLeast(3, ({ event }) => event === "pusher:pong", "pong");
  assert.deepEqual(client.states.items, ["connecting", "connected"]);
});

/** pusher-js was refused for good: its error, and that it does not try again. */
async function refusedForGood(t, key) {
  const client = new PusherClient(server, { key });
  closing(t, client);
  await client.states.find((state) => state === "disconnected", "the end");
  const { data } = await client.errors.find(({ type }) => type === "PusherError", "the reason");
  assert.deepEqual(client.states.items, ["connecting", "disconnected"]);
  assert.ok(!client.pusher.connection.retryTimer, "no further try is planned");
  return data;
}

scenario("an unknown key: 4001, pusher-js does not come back", async (t) => {
  const { code, message } = await refusedForGood(t, "no-such-key");
  assert.equal(code, 4001);
  assert.match(message, /no-such-key|exist/);
});

scenario("a disabled app: 4003, pusher-js does not come back", async (t) => {
  assert.equal((await refusedForGood(t, "disabled-key")).code, 4003);
});

scenario("over the connections of the app: 4004, until one is free", async (t) => {
  const first = await PusherClient.open(server, { key: "small-key" });
  closing(t, first);
  assert.equal((await refusedForGood(t, "small-key")).code, 4004);
  first.close();
  const later = await until(async () => {
    const client = new PusherClient(server, { key: "small-key" });
    closing(t, client);
    const state = await client.states.find((it) => it !== "connecting", "an end or a beginning");
    return state === "connected" ? client : null;
  }, "the place that became free");
  assert.match(later.socketId, /^\d+\.\d+$/);
});

scenario(
  "a refused key completes the handshake, tells why and closes with that code",
  async (t) => {
    const first = await PusherClient.open(server, { key: "full-key" });
    closing(t, first);
    for (const [key, code] of [
      ["no-such-key", 4001],
      ["disabled-key", 4003],
      ["full-key", 4004],
    ]) {
      const raw = new RawClient(server, { key });
      closing(t, raw);
      const frame = await raw.find("pusher:error");
      const data = typeof frame.data === "string" ? JSON.parse(frame.data) : frame.data;
      assert.equal(data.code, code);
      assert.equal((await raw.closed).code, code, key);
      assert.equal(raw.status, undefined, "no HTTP status, which a page could not read");
    }
  },
);

scenario("keys are compared whole, and not looked for in paths", async (t) => {
  for (const key of ["open-ke", "open-key2", "OPEN-KEY", "open-key%00", "a".repeat(3_000)]) {
    const raw = new RawClient(server, { key });
    closing(t, raw);
    const { code } = await raw.closed;
    assert.ok(code === 4001 || raw.status >= 400, `${key.slice(0, 20)}: ${code} ${raw.status}`);
  }
});

for (const [query, code, what] of [
  ["?protocol=99", 4007, "a version that is not spoken"],
  ["?protocol=seven", 4006, "a version that is no number"],
  ["?client=js", 4008, "no version"],
]) {
  scenario(`${what}: ${code}`, async (t) => {
    const raw = new RawClient(server, { query });
    closing(t, raw);
    assert.equal((await raw.closed).code, code);
  });
}

scenario("a binary message is no part of the protocol and stops nothing", async (t) => {
  const raw = await RawClient.open(server);
  closing(t, raw);
  raw.socket.send(Buffer.from([0, 1, 2, 255]));
  const other = await PusherClient.open(server);
  closing(t, other);
  await other.settled();
});
