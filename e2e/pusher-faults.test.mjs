// Frames that stopped or confused Soketi, Sockudo or Reverb, from clients that know the public key and nothing else:
// each is answered, its own connection goes on, and nobody else notices.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, afterEach, before } from "node:test";
import { closing, RawClient } from "./support/pusher-client.mjs";
import { app, PusherServer } from "./support/pusher-server.mjs";
import { scenarios } from "./support/server.mjs";
import { until } from "./support/wait.mjs";

// Nobody has to sign in: that would end connections after a while.
const FREE = { enableUserAuthentication: false };
const APPS = [app("open", FREE), app("limited", { ...FREE, maxClientEventsPerSecond: 5 })];
const BYSTANDERS = 20;

let server;
let backend;
let pid;
let bystanders;
before(async () => {
  server = await PusherServer.start({ apps: APPS });
  backend = server.backend();
  pid = server.child.process.pid;
  bystanders = [];
  for (let n = 0; n < BYSTANDERS; n += 1) bystanders.push(await subscriber("bystanders"));
});
after(async () => {
  for (const it of bystanders ?? []) it.close();
  await server?.close();
});

let rounds = 0;
/** After each test the same process serves the same connections. */
afterEach(async () => {
  rounds += 1;
  await backend.trigger("bystanders", `round-${rounds}`, { rounds });
  for (const it of bystanders) await it.find(`round-${rounds}`);
  assert.equal(server.child.process.pid, pid);
  assert.ok(!server.child.ended, "the server lives");
});

const scenario = scenarios(() => server);

async function subscriber(channel, auth, options) {
  const it = await RawClient.open(server, options);
  it.send({ event: "pusher:subscribe", data: { channel, auth } });
  await it.find("pusher_internal:subscription_succeeded", (frame) => frame.channel === channel);
  return it;
}

const data = (frame) => (typeof frame.data === "string" ? JSON.parse(frame.data) : frame.data);
const subscribe = (content) => ({ event: "pusher:subscribe", data: content });
const nested = (levels) => "[".repeat(levels) + "]".repeat(levels);

/** Sends the frames on one connection, which must still answer a ping afterwards. */
async function survives(t, frames) {
  const raw = await RawClient.open(server);
  closing(t, raw);
  for (const frame of frames) {
    raw.send(frame);
    await raw.settled();
  }
  const succeeded = raw.frames.items.filter(({ event }) => /succe/.test(event));
  assert.deepEqual(succeeded, [], "none of them was taken for a right one");
  return raw;
}

/** The code a connection was closed with, or null if it still answers. */
async function endOf(raw) {
  raw.send({ event: "pusher:ping", data: {} });
  const pong = raw.find("pusher:pong").then(
    () => null,
    () => raw.closed.then(({ code }) => code),
  );
  return pong;
}

scenario("a subscription without data, or with data that is no object", async (t) => {
  await survives(t, [
    { event: "pusher:subscribe" },
    ...[null, 7, true, "text", "", [], ["a"], "[]", "null", '"{}"', "{"].map(subscribe),
  ]);
});

scenario("a channel that is missing, a number, null, an object or no name", async (t) => {
  const channels = [
    undefined,
    7,
    1.5,
    null,
    {},
    [],
    ["private-a"],
    true,
    "",
    " ",
    "a b",
    "é",
    "a\n",
  ];
  await survives(
    t,
    [...channels, "n".repeat(201), "n".repeat(50_000), "#server-to-user-", "#x"].map((channel) =>
      subscribe({ channel }),
    ),
  );
});

scenario("data encoded twice, as an honest client may send it, is understood", async (t) => {
  const raw = await RawClient.open(server);
  closing(t, raw);
  raw.send({ event: "pusher:subscribe", data: JSON.stringify({ channel: "twice", auth: "" }) });
  await raw.find("pusher_internal:subscription_succeeded", ({ channel }) => channel === "twice");
  const { auth, channel_data } = backend.authorizeChannel(raw.socketId, "presence-twice", {
    user_id: "ada",
  });
  const content = JSON.stringify({ channel: "presence-twice", auth, channel_data });
  raw.send({ event: "pusher:subscribe", data: content });
  await raw.find(
    "pusher_internal:subscription_succeeded",
    ({ channel }) => channel === "presence-twice",
  );
  raw.send({ event: "pusher:unsubscribe", data: JSON.stringify({ channel: "twice" }) });
  await raw.settled();
  await backend.trigger("twice", "e", {});
  await backend.trigger("presence-twice", "e", {});
  const first = await raw.find("e");
  assert.equal(first.channel, "presence-twice");
});

scenario("auth and channel_data of any type on every kind of channel", async (t) => {
  const odd = [undefined, null, 7, "", ":", "a", "a:", ":b", "a:b:c", {}, [], "open-key:", "é:é"];
  const kinds = ["private-a", "private-encrypted-a", "presence-a", "private-cache-a"];
  kinds.push("private-encrypted-cache-a", "presence-cache-a", "#server-to-user-ada");
  const frames = kinds.flatMap((channel) => [
    ...odd.map((auth) => subscribe({ channel, auth })),
    ...odd.map((value) => subscribe({ channel, auth: "open-key:00", channel_data: value })),
    subscribe({ channel, auth: "open-key:00", channel_data: "[".repeat(10_000) }),
    subscribe({ channel, auth: `open-key:${"0".repeat(64)}`, channel_data: '{"user_id":"a"}' }),
  ]);
  await survives(t, frames);
});

scenario("a sign-in without data or with data of another shape", async (t) => {
  const contents = [undefined, null, 7, "x", [], {}, { auth: "open-key:00" }, { user_data: "{}" }];
  contents.push({ auth: 7, user_data: 7 }, { auth: "open-key:00", user_data: { id: "ada" } });
  contents.push({ auth: "open-key:00", user_data: "[".repeat(10_000) });
  for (const content of contents) {
    const raw = await RawClient.open(server);
    closing(t, raw);
    raw.send({ event: "pusher:signin", data: content });
    const end = await endOf(raw);
    assert.ok(end === null || end === 4009, `${JSON.stringify(content)}: ${end}`);
    assert.ok(raw.frames.items.every(({ event }) => event !== "pusher:signin_success"));
  }
});

scenario("an event name that is missing or no text", async (t) => {
  const names = [undefined, null, 7, {}, [], true, "", " ", "pusher:", "pusher:nothing"];
  await survives(
    t,
    names.map((event) => ({ event, channel: "open", data: {} })),
  );
});

scenario("texts that are no object, and no JSON", async (t) => {
  await survives(t, ["", " ", "null", "7", '"text"', "[]", "[1,2", "{", "}", "{}{}", "\u0000"]);
  await survives(t, ['{"event":"pusher:subscribe","event":"pusher:subscribe"}', "{'event':1}"]);
  await survives(t, ['{"event":"\\ud800"}', '{"event":"pusher:subscribe","data":"\\udfff"}']);
  await survives(t, ['{"event":1e999}', `{"event":${"9".repeat(10_000)}}`, '{"__proto__":null}']);
});

scenario("JSON nested without end, open and closed", async (t) => {
  await survives(t, [
    "[".repeat(50_000),
    '{"a":'.repeat(15_000),
    nested(20_000),
    `{"event":"client-a","channel":"private-a","data":${nested(20_000)}}`,
    `{"event":"pusher:subscribe","data":${nested(20_000)}}`,
    `{"event":"pusher:subscribe","data":{"channel":${nested(20_000)}}}`,
    { event: "pusher:subscribe", data: nested(20_000) },
    { event: "pusher:subscribe", data: "[".repeat(50_000) },
    `{${Array.from({ length: 9_000 }, (_, n) => `"${n}":0`).join()}}`,
  ]);
});

scenario("names that mean something inside a program are names like others", async (t) => {
  const raw = await RawClient.open(server);
  closing(t, raw);
  for (const channel of ["__proto__", "constructor", "toString", "hasOwnProperty", "prototype"]) {
    raw.send(subscribe({ channel }));
    await raw.find("pusher_internal:subscription_succeeded", (frame) => frame.channel === channel);
    await backend.trigger(channel, "constructor", {});
    await raw.find("constructor", (frame) => frame.channel === channel);
  }
  const { auth, channel_data } = backend.authorizeChannel(raw.socketId, "presence-proto", {
    user_id: "__proto__",
    user_info: { constructor: 1 },
  });
  raw.send(subscribe({ channel: "presence-proto", auth, channel_data }));
  const here = await raw.find(
    "pusher_internal:subscription_succeeded",
    ({ channel }) => channel === "presence-proto",
  );
  assert.deepEqual(data(here).presence.ids, ["__proto__"]);
});

scenario("leaving what was never joined, and with data of any shape", async (t) => {
  const leave = (content) => ({ event: "pusher:unsubscribe", data: content });
  const contents = [undefined, null, 7, "x", [], {}, { channel: 7 }, { channel: null }];
  await survives(t, [...contents, { channel: "nothing" }, { channel: "bystanders" }].map(leave));
});

scenario("a refused subscription names its channel and leaves the connection open", async (t) => {
  const raw = await RawClient.open(server);
  closing(t, raw);
  const refused = ["private-a", "presence-a", "private-cache-a", "presence-cache-a"];
  refused.push("private-encrypted-a", "private-encrypted-cache-a", "#server-to-user-ada");
  for (const channel of refused) {
    raw.send(subscribe({ channel }));
    const frame = await raw.find("pusher:subscription_error", (it) => it.channel === channel);
    assert.equal(data(frame).type, "AuthError");
    assert.ok(data(frame).status >= 400);
  }
  await raw.settled();
});

scenario("client events of any shape stay where they are", async (t) => {
  const it = await RawClient.open(server);
  closing(t, it);
  const { auth } = backend.authorizeChannel(it.socketId, "private-shapes");
  it.send(subscribe({ channel: "private-shapes", auth }));
  await it.find("pusher_internal:subscription_succeeded");
  const other = await RawClient.open(server);
  closing(t, other);
  const signed = backend.authorizeChannel(other.socketId, "private-shapes");
  other.send(subscribe({ channel: "private-shapes", ...signed }));
  await other.find("pusher_internal:subscription_succeeded");
  for (const channel of [undefined, null, 7, {}, "", "private-none", "bystanders", "a b"]) {
    it.send({ event: "client-stray", channel, data: {} });
  }
  for (const event of ["pusher:client-x", "pusher_internal:client-x", "a-client-x", "CLIENT-x"]) {
    it.send({ event, channel: "private-shapes", data: {} });
  }
  it.send('{"event":"client-last","channel":"private-shapes"}');
  await other.find("client-last");
  const heard = other.frames.items.filter(({ event }) => !event.startsWith("pusher"));
  assert.deepEqual(
    heard.map(({ event }) => event),
    ["client-last"],
  );
  await it.settled();
});

scenario("binary, empty and enormous messages end at most their own connection", async (t) => {
  for (const message of [Buffer.alloc(0), Buffer.from([0xff, 0xfe]), Buffer.alloc(70_000)]) {
    const raw = await RawClient.open(server);
    closing(t, raw);
    raw.socket.send(message);
    const end = await endOf(raw);
    assert.ok(end === null || end >= 1_000, String(end));
  }
  const raw = await RawClient.open(server);
  closing(t, raw);
  raw.send(`{"event":"client-a","data":"${"x".repeat(20_000_000)}"}`);
  const { code } = await raw.closed;
  assert.ok([1006, 1009].includes(code), String(code));
});

/** Resident memory of the server in MB. */
function memory() {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)[1]) / 1024;
}

scenario(
  "thousands of malformed frames leave no trace in memory",
  async (t) => {
    const raw = await RawClient.open(server);
    closing(t, raw);
    const flood = async () => {
      for (let n = 0; n < 4_000; n += 1) {
        raw.send("[".repeat(5_000));
        raw.send({ event: "pusher:subscribe", data: `${n}` });
        raw.send(subscribe({ channel: `private-${n}`, auth: `open-key:${n}` }));
        raw.send(
          subscribe({ channel: `presence-${n}`, auth: "open-key:0", channel_data: `{"n":${n}}` }),
        );
        raw.send({ event: `client-${n}`, channel: `private-${n}`, data: {} });
        if (n % 100 === 0) await raw.settled();
      }
      await raw.settled();
      raw.frames.items.length = 0;
    };
    await flood();
    const before = memory();
    await flood();
    const grown = memory() - before;
    assert.ok(grown < 8, `grew by ${grown.toFixed(1)} MB`);
  },
  120_000,
);

scenario(
  "connections that came and went leave no trace in memory",
  async () => {
    const round = async (n) => {
      const crowd = await Promise.all(
        Array.from({ length: 150 }, () => RawClient.open(server, { key: "limited-key" })),
      );
      for (const [i, it] of crowd.entries()) {
        const channel = `private-crowd-${n}-${i}`;
        const signed = server.backend(APPS[1]).authorizeChannel(it.socketId, channel);
        it.send(subscribe({ channel, ...signed }));
        it.send(subscribe({ channel: `crowd-${n}` }));
        it.send({ event: "client-a", channel, data: { n } });
      }
      await Promise.all(crowd.map((it) => it.settled()));
      for (const it of crowd) it.close();
      await Promise.all(crowd.map((it) => it.closed));
      // The server sees a cut connection a moment later than its client.
      await until(async () => {
        const response = await server.backend(APPS[1]).get({ path: "/channels" });
        const { channels } = await response.json();
        return Object.keys(channels).length === 0;
      }, "every channel to end with its subscribers");
    };
    for (let n = 0; n < 4; n += 1) await round(n);
    const before = memory();
    for (let n = 4; n < 12; n += 1) await round(n);
    const grown = memory() - before;
    assert.ok(grown < 8, `grew by ${grown.toFixed(1)} MB over 1200 connections`);
  },
  120_000,
);
