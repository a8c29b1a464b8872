// Presence channels: who is there, who comes, who goes, as pusher-js counts it.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { AuthProgram } from "./support/pusher-auth.mjs";
import { closing, PusherClient, RawClient } from "./support/pusher-client.mjs";
import { answer, PusherServer } from "./support/pusher-server.mjs";
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

/** A client that subscribes to presence channels as the member `user_id`; `null` for no `user_info`. */
async function as(t, user_id, info = { name: String(user_id) }) {
  const user_info = info ?? undefined;
  const it = await PusherClient.open(server, auth.options({ member: { user_id, user_info } }));
  closing(t, it);
  return it;
}

/** Ids of the members that pusher-js counts. */
const ids = ({ channel }) => Object.keys(channel.members.members).sort();
const is = (id) => (member) => member.id === id;

scenario("members are told to the newcomer, and the newcomer to the members", async (t) => {
  const ada = await as(t, "ada", { name: "Ada" });
  const bo = await as(t, "bo", { name: "Bo" });
  const hers = await ada.joined("presence-tea");
  assert.deepEqual(ids(hers), ["ada"]);
  assert.deepEqual(hers.channel.members.me, { id: "ada", info: { name: "Ada" } });
  const his = await bo.joined("presence-tea");
  assert.deepEqual(ids(his), ["ada", "bo"]);
  assert.equal(his.channel.members.count, 2);
  assert.deepEqual(await hers.got("pusher:member_added"), { id: "bo", info: { name: "Bo" } });
  bo.unsubscribe("presence-tea");
  assert.deepEqual(await hers.got("pusher:member_removed"), { id: "bo", info: { name: "Bo" } });
  assert.deepEqual(ids(hers), ["ada"]);
  assert.equal(hers.channel.members.count, 1);
  assert.deepEqual(hers.all("pusher:member_added").length, 1, "nobody is told of oneself");
});

scenario("a number is an id, shown as text; a member without user_info is listed", async (t) => {
  const watcher = await as(t, "watcher");
  const watched = await watcher.joined("presence-numbers");
  const seven = await as(t, 7, null);
  const channel = await seven.joined("presence-numbers");
  const { data } = seven.frames.items.find(({ event }) => event.endsWith("subscription_succeeded"));
  assert.deepEqual([...data.presence.ids].sort(), ["7", "watcher"]);
  assert.deepEqual(Object.keys(data.presence.hash).sort(), ["7", "watcher"]);
  assert.equal(channel.channel.members.me.id, 7);
  assert.equal(String((await watched.got("pusher:member_added")).id), "7");
  seven.close();
  assert.equal(String((await watched.got("pusher:member_removed")).id), "7");
  assert.deepEqual(ids(watched), ["watcher"]);
});

scenario("a user with several connections comes once and goes with the last", async (t) => {
  const watcher = await as(t, "watcher");
  const watched = await watcher.joined("presence-tabs");
  const tabs = [await as(t, "ada"), await as(t, "ada"), await as(t, "ada")];
  for (const tab of tabs) {
    const channel = await tab.joined("presence-tabs");
    assert.deepEqual(ids(channel), ["ada", "watcher"]);
    assert.equal(channel.channel.members.count, 2);
  }
  tabs[0].close();
  tabs[1].unsubscribe("presence-tabs");
  const other = await as(t, "zoe");
  await other.joined("presence-tabs");
  await watched.got("pusher:member_added", is("zoe"));
  other.unsubscribe("presence-tabs");
  await watched.got("pusher:member_removed", is("zoe"));
  assert.deepEqual(ids(watched), ["ada", "watcher"]);
  tabs[2].close();
  await watched.got("pusher:member_removed", is("ada"));
  assert.deepEqual(
    watched.all("pusher:member_added").map(({ id }) => id),
    ["ada", "zoe"],
  );
  assert.deepEqual(
    watched.all("pusher:member_removed").map(({ id }) => id),
    ["zoe", "ada"],
  );
});

scenario("a page that reloads neither goes nor comes", async (t) => {
  const watcher = await as(t, "watcher");
  const watched = await watcher.joined("presence-reload");
  const before = await as(t, "ada");
  await before.joined("presence-reload");
  const last = await as(t, "bo");
  await last.joined("presence-reload");
  await watched.got("pusher:member_added", is("bo"));
  const reloaded = await as(t, "ada");
  before.close();
  const channel = await reloaded.joined("presence-reload");
  assert.deepEqual(ids(channel), ["ada", "bo", "watcher"]);
  // Bo goes after Ada's first page, so Ada's end would have been told before.
  last.close();
  await watched.got("pusher:member_removed", is("bo"));
  assert.deepEqual(
    watched.all("pusher:member_removed").map(({ id }) => id),
    ["bo"],
  );
  assert.deepEqual(
    watched.all("pusher:member_added").map(({ id }) => id),
    ["ada", "bo"],
  );
});

scenario("one connection is one member: another signature does not add a second", async (t) => {
  const watcher = await as(t, "watcher");
  const watched = await watcher.joined("presence-ghost");
  const raw = await RawClient.open(server);
  closing(t, raw);
  const join = (user_id) => {
    const data = backend.authorizeChannel(raw.socketId, "presence-ghost", {
      user_id,
      user_info: {},
    });
    raw.send({ event: "pusher:subscribe", data: { channel: "presence-ghost", ...data } });
  };
  join("one");
  await watched.got("pusher:member_added", is("one"));
  join("two");
  await raw.settled();
  await watcher.settled();
  raw.close();
  await watched.events.when(
    () => (ids(watched).join() === "watcher" ? true : undefined),
    "whoever it was to be gone",
  );
  const zoe = await as(t, "zoe");
  const channel = await zoe.joined("presence-ghost");
  assert.deepEqual(ids(channel), ["watcher", "zoe"], "no ghost stays");
});

scenario("channel data without a member is refused", async (t) => {
  const raw = await RawClient.open(server);
  closing(t, raw);
  const wrong = [
    {},
    { user_id: null },
    { user_id: "" },
    { user_id: {} },
    { user_id: [] },
    [],
    7,
    "x",
  ];
  for (const [n, member] of wrong.entries()) {
    const channel = `presence-wrong-${n}`;
    const data = backend.authorizeChannel(raw.socketId, channel, member);
    raw.send({ event: "pusher:subscribe", data: { channel, ...data } });
    const { event } = await raw.frames.find(
      (frame) => frame.channel === channel,
      `an answer for ${JSON.stringify(member)}`,
    );
    assert.equal(event, "pusher:subscription_error", JSON.stringify(member));
  }
  raw.send({ event: "pusher:subscribe", data: { channel: "presence-wrong", auth: "shop-key:0" } });
  await raw.find("pusher:subscription_error", ({ channel }) => channel === "presence-wrong");
});

scenario("more than a hundred members, and all of them are right", async (t) => {
  const watcher = await as(t, "watcher");
  const watched = await watcher.joined("presence-crowd");
  const crowd = await Promise.all(Array.from({ length: 120 }, () => RawClient.open(server)));
  closing(t, ...crowd);
  for (const [n, raw] of crowd.entries()) {
    const member = { user_id: `user-${n}`, user_info: { n } };
    const data = backend.authorizeChannel(raw.socketId, "presence-crowd", member);
    raw.send({ event: "pusher:subscribe", data: { channel: "presence-crowd", ...data } });
  }
  for (const raw of crowd) await raw.find("pusher_internal:subscription_succeeded");
  await watched.events.atLeast(120, ({ event }) => event === "pusher:member_added", "members");
  assert.equal(watched.channel.members.count, 121);
  const late = await as(t, "late");
  const channel = await late.joined("presence-crowd");
  assert.equal(channel.channel.members.count, 122);
  assert.equal(ids(channel).length, 122);
  const { users } = await answer(backend.get({ path: "/channels/presence-crowd/users" }));
  assert.equal(users.length, 122);
});

scenario("a member of the sign-in, when the application signs no channel data", async (t) => {
  const user = { id: "ada", user_info: { name: "Ada" } };
  const ada = await PusherClient.open(server, auth.options({ user }));
  closing(t, ada);
  await ada.signIn();
  const watcher = await as(t, "watcher");
  const watched = await watcher.joined("presence-signed-in");
  const channel = await ada.joined("presence-signed-in");
  assert.deepEqual(ids(channel), ["ada", "watcher"]);
  assert.deepEqual(channel.channel.members.me, { id: "ada", info: { name: "Ada" } });
  assert.deepEqual(await watched.got("pusher:member_added"), { id: "ada", info: { name: "Ada" } });
});

scenario("leaving and coming back without losing the connection", async (t) => {
  const watcher = await as(t, "watcher");
  const watched = await watcher.joined("presence-door");
  const ada = await as(t, "ada");
  await ada.joined("presence-door");
  ada.unsubscribe("presence-door");
  await watched.got("pusher:member_removed", is("ada"));
  await ada.joined("presence-door");
  await watched.events.atLeast(
    2,
    ({ event, data }) => event === "pusher:member_added" && is("ada")(data),
    "ada's coming",
  );
  assert.deepEqual(ids(watched), ["ada", "watcher"]);
});
