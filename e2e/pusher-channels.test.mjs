// Every kind of channel, with pusher-js on one side and the pusher server library on the other.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { AuthProgram } from "./support/pusher-auth.mjs";
import { closing, PusherClient, RawClient } from "./support/pusher-client.mjs";
import { PusherServer } from "./support/pusher-server.mjs";
import { scenarios } from "./support/server.mjs";

let server;
let auth;
let backend;
before(async () => {
  server = await PusherServer.start();
  auth = await AuthProgram.start(server);
  backend = server.backend();
});
after(async () => {
  await auth?.close();
  await server?.close();
});

const scenario = scenarios(() => server);

/** A connected client that closes when the test `t` ends. */
async function client(t, who) {
  const it = await PusherClient.open(server, auth.options(who));
  closing(t, it);
  return it;
}

scenario("public: subscribed, heard, left", async (t) => {
  const ada = await client(t);
  const bo = await client(t);
  const channel = await ada.joined("news");
  await bo.joined("news");
  await backend.trigger("news", "headline", { text: "hello", n: [1, null, "ü🐦"] });
  assert.deepEqual(await channel.got("headline"), { text: "hello", n: [1, null, "ü🐦"] });
  ada.unsubscribe("news");
  await ada.settled();
  await backend.trigger("news", "headline", { text: "later" });
  await bo.channel("news").got("headline", ({ text }) => text === "later");
  await ada.settled();
  assert.equal(channel.all("headline").length, 1, "who left hears nothing");
});

scenario("subscription_succeeded comes before any event of the channel", async (t) => {
  const ada = await client(t);
  const names = Array.from({ length: 20 }, (_, i) => `busy-${i}`);
  const flood = (async () => {
    for (let n = 0; n < 20; n += 1) await backend.trigger(names, "tick", { n });
  })();
  const channels = names.map((name) => ada.channel(name));
  await flood;
  for (const channel of channels) {
    await channel.joined();
    assert.equal(channel.names[0], "pusher:subscription_succeeded");
  }
  await backend.trigger(names, "tick", { n: 20 });
  for (const channel of channels) {
    await channel.got("tick", ({ n }) => n === 20);
    const seen = channel.all("tick").map(({ n }) => n);
    const wanted = Array.from({ length: seen.length }, (_, i) => 21 - seen.length + i);
    assert.deepEqual(seen, wanted, "in order, each once");
  }
});

scenario("data arrives byte for byte, also when it is no JSON", async (t) => {
  const raw = await RawClient.open(server);
  closing(t, raw);
  raw.send({ event: "pusher:subscribe", data: { auth: "", channel: "bytes" } });
  await raw.find("pusher_internal:subscription_succeeded");
  const texts = [
    '{"b": 1,  "a":2}',
    "plain text",
    "",
    "null",
    '"quoted"',
    '{"n":1.10,"big":12345678901234567890}',
    "a\u2028b\u0000c\\d\u{1f426}",
  ];
  for (const [n, text] of texts.entries()) await backend.trigger("bytes", `e${n}`, text);
  for (const [n, text] of texts.entries()) {
    const frame = await raw.find(`e${n}`);
    assert.equal(frame.data, text);
    assert.equal(frame.channel, "bytes");
  }
});

scenario("socket_id leaves the sender out, and nobody else", async (t) => {
  const ada = await client(t);
  const bo = await client(t);
  const [hers, his] = [await ada.joined("board"), await bo.joined("board")];
  await backend.trigger("board", "moved", { to: 1 }, { socket_id: ada.socketId });
  await backend.trigger("board", "moved", { to: 2 });
  await hers.got("moved", ({ to }) => to === 2);
  await his.got("moved", ({ to }) => to === 2);
  assert.deepEqual(
    hers.all("moved").map(({ to }) => to),
    [2],
  );
  assert.deepEqual(
    his.all("moved").map(({ to }) => to),
    [1, 2],
  );
});

scenario("one event to many channels, a batch of events: each where it belongs", async (t) => {
  const ada = await client(t);
  const a = await ada.joined("many-a");
  const b = await ada.joined("many-b");
  await backend.trigger(["many-a", "many-b", "many-c"], "both", { n: 1 });
  await backend.triggerBatch([
    { channel: "many-a", name: "single", data: { n: 2 } },
    { channel: "many-b", name: "single", data: { n: 3 } },
    { channel: "many-b", name: "single", data: { n: 4 } },
  ]);
  await b.got("single", ({ n }) => n === 4);
  assert.deepEqual(a.all("both"), [{ n: 1 }]);
  assert.deepEqual(a.all("single"), [{ n: 2 }]);
  assert.deepEqual(b.all("both"), [{ n: 1 }]);
  assert.deepEqual(b.all("single"), [{ n: 3 }, { n: 4 }]);
});

scenario("private: with a signature; the auth endpoint is asked as a form", async (t) => {
  const ada = await client(t);
  const channel = await ada.joined("private-orders");
  const { path, headers, asked } = auth.requests.at(-1);
  assert.equal(path, "/pusher/auth");
  assert.match(headers["content-type"], /^application\/x-www-form-urlencoded/);
  assert.deepEqual({ ...asked }, { socket_id: ada.socketId, channel_name: "private-orders" });
  await backend.trigger("private-orders", "paid", { id: 1 });
  assert.deepEqual(await channel.got("paid"), { id: 1 });
});

scenario("private: refused by the application, the library says so", async (t) => {
  const ada = await client(t);
  const error = await ada.refused("private-forbidden");
  assert.equal(error.type, "AuthError");
  assert.equal(error.status, 403);
});

for (const [what, channel, sign] of [
  ["another channel's signature", "private-a", (it, id) => it.authorizeChannel(id, "private-b")],
  ["another socket's signature", "private-a", (it) => it.authorizeChannel("1.2", "private-a")],
  ["no signature", "private-a", () => ({})],
  ["an empty signature", "private-a", () => ({ auth: "" })],
  ["a key without signature", "private-a", () => ({ auth: "shop-key:" })],
  ["another key", "private-a", otherKey],
  ["a private signature for a presence channel", "presence-a", presenceByPrivate],
  ["a signature over other channel data", "presence-a", otherData],
  ["a signature of nothing, cached", "private-cache-a", () => ({ auth: "x" })],
  ["a signature of nothing, encrypted", "private-encrypted-a", () => ({ auth: "x" })],
  [
    "a signature of nothing, encrypted and cached",
    "private-encrypted-cache-a",
    () => ({ auth: "x" }),
  ],
  ["a signature of nothing, presence and cached", "presence-cache-a", () => ({ auth: "x" })],
]) {
  scenario(`refused by the server: ${what}`, async (t) => {
    const raw = await RawClient.open(server);
    closing(t, raw);
    const signed = sign(backend, raw.socketId);
    raw.send({ event: "pusher:subscribe", data: { channel, ...signed } });
    const error = await raw.find("pusher:subscription_error");
    assert.equal(error.channel, channel);
    const data = typeof error.data === "string" ? JSON.parse(error.data) : error.data;
    assert.equal(data.type, "AuthError");
    assert.equal(data.status, 401);
    assert.equal(typeof data.error, "string");
    await backend.trigger(channel.includes("encrypted") ? "private-x" : channel, "secret", {});
    await raw.settled();
    assert.ok(raw.frames.items.every(({ event }) => event !== "secret"));
    assert.equal(raw.socket.readyState, 1, "the connection stays");
  });
}

function otherKey(it, id) {
  const [, signature] = it.authorizeChannel(id, "private-a").auth.split(":");
  return { auth: `other-key:${signature}` };
}

function presenceByPrivate(it, id) {
  const { auth: signature } = it.authorizeChannel(id, "presence-a");
  return { auth: signature, channel_data: '{"user_id":"mallory"}' };
}

function otherData(it, id) {
  const { auth: signature } = it.authorizeChannel(id, "presence-a", { user_id: "ada" });
  return { auth: signature, channel_data: '{"user_id":"mallory"}' };
}

scenario("a refused subscription reaches the channel of pusher-js", async (t) => {
  const wrong = { customHandler: (_, answer) => answer(null, { auth: "shop-key:00" }) };
  const ada = await PusherClient.open(server, { channelAuthorization: wrong });
  closing(t, ada);
  const error = await ada.refused("private-orders");
  assert.equal(error.type, "AuthError");
  assert.equal(error.status, 401);
  await ada.joined("still-here");
});

scenario("encrypted: the server passes on what it cannot read", async (t) => {
  const ada = await client(t);
  const raw = await RawClient.open(server);
  closing(t, raw);
  const channel = await ada.joined("private-encrypted-notes");
  const { auth: signature } = backend.authorizeChannel(raw.socketId, "private-encrypted-notes");
  raw.send({
    event: "pusher:subscribe",
    data: { channel: "private-encrypted-notes", auth: signature },
  });
  await raw.find("pusher_internal:subscription_succeeded");
  await backend.trigger("private-encrypted-notes", "note", { secret: "wolf 🐺" });
  assert.deepEqual(await channel.got("note"), { secret: "wolf 🐺" });
  const { data } = await raw.find("note");
  assert.deepEqual(Object.keys(JSON.parse(data)).sort(), ["ciphertext", "nonce"]);
  assert.ok(!data.includes("wolf"));
});

scenario("prefixes count at the start of a name only", async (t) => {
  const ada = await client(t);
  for (const name of [
    "my-private-room",
    "my-presence-room",
    "x-private-encrypted-y",
    "Private-a",
  ]) {
    await ada.joined(name);
  }
  await backend.trigger("my-cache-x", "old", {});
  const channel = await ada.joined("my-cache-x");
  await ada.settled();
  assert.deepEqual(channel.names, ["pusher:subscription_succeeded"], "nothing is cached there");
});

scenario("names: 200 of the allowed characters, no more and no others", async (t) => {
  const raw = await RawClient.open(server);
  closing(t, raw);
  const good = ["a", "A-z_0=9@x,y.z;", "n".repeat(200)];
  for (const channel of good) raw.send({ event: "pusher:subscribe", data: { auth: "", channel } });
  for (const channel of good) {
    await raw.find("pusher_internal:subscription_succeeded", (it) => it.channel === channel);
  }
  const bad = [
    "",
    "n".repeat(201),
    "with space",
    "ümlaut",
    "a/b",
    "a:b",
    "#x",
    "a\nb",
    "a#b",
    "a{b",
  ];
  for (const channel of bad) raw.send({ event: "pusher:subscribe", data: { auth: "", channel } });
  await raw.settled();
  const joined = raw.frames.items
    .filter(({ event }) => event === "pusher_internal:subscription_succeeded")
    .map(({ channel }) => channel);
  assert.deepEqual(joined, good);
});

scenario("subscribing twice is no second subscription", async (t) => {
  const raw = await RawClient.open(server);
  closing(t, raw);
  const subscribe = { event: "pusher:subscribe", data: { auth: "", channel: "twice" } };
  raw.send(subscribe);
  raw.send(subscribe);
  await raw.settled();
  await backend.trigger("twice", "once", {});
  await backend.trigger("twice", "fence", {});
  await raw.find("fence");
  assert.equal(raw.frames.items.filter(({ event }) => event === "once").length, 1);
  raw.send({ event: "pusher:unsubscribe", data: { channel: "twice" } });
  raw.send({ event: "pusher:unsubscribe", data: { channel: "never" } });
  await raw.settled();
  await backend.trigger("twice", "late", {});
  await raw.settled();
  assert.ok(raw.frames.items.every(({ event }) => event !== "late"));
});

scenario("apart from pusher:error every event carries its data as a string", async (t) => {
  const raw = await RawClient.open(server);
  closing(t, raw);
  const member = { user_id: "ada", user_info: { name: "Ada" } };
  const { auth: signature, channel_data: data } = backend.authorizeChannel(
    raw.socketId,
    "presence-strings",
    member,
  );
  raw.send({
    event: "pusher:subscribe",
    data: { channel: "presence-strings", auth: signature, channel_data: data },
  });
  const joined = await raw.find("pusher_internal:subscription_succeeded");
  assert.deepEqual(JSON.parse(joined.data), {
    presence: { ids: ["ada"], hash: { ada: { name: "Ada" } }, count: 1 },
  });
  raw.send({ event: "pusher:subscribe", data: { auth: "", channel: "plain" } });
  const plain = await raw.find(
    "pusher_internal:subscription_succeeded",
    ({ channel }) => channel === "plain",
  );
  assert.equal(typeof plain.data, "string");
  assert.deepEqual(JSON.parse(plain.data), {});
});

scenario("after a lost connection pusher-js subscribes again and hears again", async (t) => {
  const ada = await client(t);
  const channel = await ada.joined("private-orders");
  const before = ada.socketId;
  ada.pusher.connection.connection.close();
  await ada.connected(2);
  await channel.joined(2);
  assert.notEqual(ada.socketId, before);
  await backend.trigger("private-orders", "paid", { id: 9 });
  assert.deepEqual(await channel.got("paid"), { id: 9 });
});
