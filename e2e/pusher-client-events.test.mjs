// Client events: who may send them, who hears them, and what is said to those who may not.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { AuthProgram } from "./support/pusher-auth.mjs";
import { closing, PusherClient, RawClient } from "./support/pusher-client.mjs";
import { app, PusherServer } from "./support/pusher-server.mjs";
import { scenarios } from "./support/server.mjs";

const APPS = [
  app("open"),
  app("closed", { enableClientMessages: false }),
  app("slow", { maxClientEventsPerSecond: 3 }),
];

let server;
let backend;
const auths = [];
before(async () => {
  server = await PusherServer.start({ apps: APPS });
  backend = server.backend();
  for (const it of APPS) auths.push(await AuthProgram.start(server, it));
});
after(async () => {
  for (const auth of auths) await auth.close();
  await server?.close();
});

const scenario = scenarios(() => server);

async function client(t, user_id, which = 0) {
  const who = auths[which].options({ member: { user_id } });
  const it = await PusherClient.open(server, { key: APPS[which].key, ...who });
  closing(t, it);
  return it;
}

/** What the server says against an event: `{code, message}`. */
async function complaint(it) {
  const { data } = await it.frames.find(({ event }) => event === "pusher:error", "an error");
  return typeof data === "string" ? JSON.parse(data) : data;
}

scenario("private: heard by the others, not by the sender, without a user_id", async (t) => {
  const ada = await client(t, "ada");
  const bo = await client(t, "bo");
  const hers = await ada.joined("private-board");
  const his = await bo.joined("private-board");
  assert.equal(hers.channel.trigger("client-move", { x: 1, y: [2] }), true);
  assert.deepEqual(await his.got("client-move"), { x: 1, y: [2] });
  const frame = bo.frames.items.find(({ event }) => event === "client-move");
  assert.equal(frame.channel, "private-board");
  assert.ok(!("user_id" in frame));
  await ada.settled();
  assert.deepEqual(hers.all("client-move"), []);
});

scenario("presence: the server says who it was", async (t) => {
  const ada = await client(t, "ada");
  const bo = await client(t, 7);
  const hers = await ada.joined("presence-board");
  const his = await bo.joined("presence-board");
  const metadata = new Promise((resolve) => {
    his.channel.bind("client-typing", (_, about) => resolve(about));
  });
  hers.channel.trigger("client-typing", { user_id: "mallory" });
  assert.deepEqual(await his.got("client-typing"), { user_id: "mallory" });
  assert.deepEqual(await metadata, { user_id: "ada" });
  his.channel.trigger("client-typing", {});
  const { user_id } = await ada.frame(({ event }) => event === "client-typing", "client-typing");
  assert.equal(user_id, "7", "a number is shown as text");
});

scenario("any JSON is passed on as it is", async (t) => {
  const ada = await client(t, "ada");
  const hers = await ada.joined("private-shapes");
  const raw = await RawClient.open(server);
  closing(t, raw);
  const { auth: signature } = backend.authorizeChannel(raw.socketId, "private-shapes");
  raw.send({ event: "pusher:subscribe", data: { channel: "private-shapes", auth: signature } });
  await raw.find("pusher_internal:subscription_succeeded");
  const shapes = [{ a: { b: [1, { c: null }] } }, [1, 2], "text", 7, true, null, {}];
  for (const [n, data] of shapes.entries()) {
    raw.send({ event: `client-${n}`, channel: "private-shapes", data });
  }
  for (const [n, data] of shapes.entries()) assert.deepEqual(await hers.got(`client-${n}`), data);
});

for (const [what, channel, joined] of [
  ["a public channel", "public", true],
  ["an encrypted channel", "private-encrypted-x", true],
  ["a channel without subscription", "private-elsewhere", false],
]) {
  scenario(`not on ${what}`, async (t) => {
    const [ada, bo] = [await client(t, "ada"), await client(t, "bo")];
    await bo.joined(channel);
    if (joined) await ada.joined(channel);
    ada.send("client-move", { n: 1 }, channel);
    await ada.settled();
    await bo.settled();
    assert.ok(bo.frames.items.every(({ event }) => event !== "client-move"));
    assert.equal(ada.state, "connected");
  });
}

scenario("names must begin with client-, those of the server cannot be sent", async (t) => {
  const [ada, bo] = [await client(t, "ada"), await client(t, "bo")];
  const his = await bo.joined("presence-names");
  await ada.joined("presence-names");
  const names = [
    "pusher_internal:client-x",
    "pusher:client-x",
    "pusher_internal:member_added",
    "pusher:error",
    "my-client-x",
    "Client-x",
    "event",
    " client-x",
  ];
  for (const name of names) ada.send(name, { user_id: "ghost" }, "presence-names");
  await ada.settled();
  ada.send("client-last", {}, "presence-names");
  await his.got("client-last");
  const heard = his.names.filter((name) => !name.startsWith("pusher:"));
  assert.deepEqual(heard, ["client-last"]);
  assert.equal(his.channel.members.count, 2);
});

scenario("an app that forbids them says 4301 and keeps the connection", async (t) => {
  const [ada, bo] = [await client(t, "ada", 1), await client(t, "bo", 1)];
  const his = await bo.joined("private-board");
  const hers = await ada.joined("private-board");
  hers.channel.trigger("client-move", {});
  assert.equal((await complaint(ada)).code, 4301);
  await bo.settled();
  assert.deepEqual(his.all("client-move"), []);
  assert.equal(ada.state, "connected");
});

scenario("too many: 4301, dropped, the connection stays", async (t) => {
  const [ada, bo] = [await client(t, "ada", 2), await client(t, "bo", 2)];
  const his = await bo.joined("private-board");
  const hers = await ada.joined("private-board");
  for (let n = 0; n < 50; n += 1) hers.channel.trigger("client-move", { n });
  assert.equal((await complaint(ada)).code, 4301);
  await ada.settled();
  await bo.settled();
  const heard = his.all("client-move").length;
  assert.ok(heard >= 3 && heard < 50, `${heard} were passed on`);
  assert.equal(ada.state, "connected");
});

scenario(
  "too long a name, too much data: refused with 4301 or dropped, never passed on",
  async (t) => {
    const [ada, bo] = [await client(t, "ada"), await client(t, "bo")];
    const his = await bo.joined("private-large");
    await ada.joined("private-large");
    ada.send(`client-${"n".repeat(200)}`, {}, "private-large");
    ada.send("client-large", { text: "x".repeat(110_000) }, "private-large");
    await ada.settled();
    ada.send("client-fits", { text: "x".repeat(10_000) }, "private-large");
    await his.got("client-fits");
    assert.deepEqual(
      his.names.filter((name) => name.startsWith("client-")),
      ["client-fits"],
    );
    assert.equal(ada.state, "connected");
  },
);
