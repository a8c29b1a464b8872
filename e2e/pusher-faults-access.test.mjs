// What Soketi, Sockudo or Reverb let through or got wrong about who is where: signatures of cache channels, ghosts,
// limits that only held for some apps, lists that were late.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { closing, RawClient } from "./support/pusher-client.mjs";
import { answer, app, PusherServer } from "./support/pusher-server.mjs";
import { scenarios } from "./support/server.mjs";

// Nobody has to sign in: that would end connections after a while.
const FREE = { enableUserAuthentication: false };
const SHOP = app("shop", FREE);
const SMALL = app("small", { ...FREE, maxPresenceMembersPerChannel: 2 });

let server;
let backend;
before(async () => {
  server = await PusherServer.start({ apps: [SHOP, SMALL] });
  backend = server.backend(SHOP);
});
after(() => server?.close());

const scenario = scenarios(() => server);

const data = (frame) => (typeof frame.data === "string" ? JSON.parse(frame.data) : frame.data);

async function raw(t, it = SHOP) {
  const client = await RawClient.open(server, { key: it.key });
  closing(t, client);
  return client;
}

const join = (client, channel, content = {}) =>
  client.send({ event: "pusher:subscribe", data: { channel, ...content } });

/** The answer to a subscription: its frame. */
const answered = (client, channel) =>
  client.frames.find(
    (frame) => frame.channel === channel && /subscription_(succeeded|error)$/.test(frame.event),
    `an answer for ${channel}`,
  );

/** Joins with a signature of the app's server library. */
async function joined(client, channel, member, it = SHOP) {
  join(client, channel, server.backend(it).authorizeChannel(client.socketId, channel, member));
  const frame = await answered(client, channel);
  assert.equal(frame.event, "pusher_internal:subscription_succeeded", JSON.stringify(frame));
  return data(frame);
}

for (const prefix of ["private-cache-", "private-encrypted-cache-", "presence-cache-"]) {
  scenario(`${prefix}: the cached event is for those with a right signature`, async (t) => {
    const channel = `${prefix}secret`;
    await backend.trigger(channel, "kept", { secret: true });
    const good = await raw(t);
    const member = prefix.startsWith("presence-") ? { user_id: "ada" } : undefined;
    const signed = backend.authorizeChannel(good.socketId, channel, member);
    const foreign = await raw(t);
    const [key, signature] = signed.auth.split(":");
    const forged = [
      "",
      "x",
      "x:y",
      `${key}:`,
      `${key}:${"0".repeat(64)}`,
      `other:${signature}`,
      `${key}:${signature}`,
    ];
    for (const auth of forged) {
      const it = await raw(t);
      join(it, channel, { ...signed, auth });
      const frame = await answered(it, channel);
      assert.equal(frame.event, "pusher:subscription_error", auth);
      await it.settled();
      assert.ok(it.frames.items.every(({ event }) => event !== "kept"));
    }
    if (member) {
      join(foreign, channel, { ...signed, channel_data: '{"user_id":"eve"}' });
      assert.equal((await answered(foreign, channel)).event, "pusher:subscription_error");
    }
    await joined(good, channel, member);
    await good.find("kept");
  });
}

scenario("a signature for a private channel does not open a presence channel", async (t) => {
  const it = await raw(t);
  const { auth } = backend.authorizeChannel(it.socketId, "presence-a");
  join(it, "presence-a", { auth });
  assert.equal(data(await answered(it, "presence-a")).type, "AuthError");
  join(it, "presence-b", { auth, channel_data: '{"user_id":"eve"}' });
  assert.equal(data(await answered(it, "presence-b")).type, "AuthError");
  await it.settled();
});

scenario("the signature of a subscription does not sign in, nor the other way round", async (t) => {
  const it = await raw(t);
  const user_data = '{"id":"ada"}';
  const { sign, key } = { sign: (text) => backend.config.token.sign(text), key: SHOP.key };
  const channelLike = sign(`${it.socketId}:private-a:${user_data}`);
  it.send({ event: "pusher:signin", data: { auth: `${key}:${channelLike}`, user_data } });
  const { auth } = backend.authenticateUser(it.socketId, { id: "ada" });
  const other = await raw(t);
  const odd = ":user:";
  join(other, odd, { auth, channel_data: user_data });
  await other.settled();
  assert.ok(other.frames.items.every(({ event }) => !/succe/.test(event)));
  assert.ok(it.frames.items.every(({ event }) => event !== "pusher:signin_success"));
});

scenario("presence: what comes back after a refusal is a first time", async (t) => {
  const it = await raw(t);
  join(it, "presence-again", { auth: `${SHOP.key}:00`, channel_data: "{" });
  assert.equal((await answered(it, "presence-again")).event, "pusher:subscription_error");
  it.frames.items.length = 0;
  const { presence } = await joined(it, "presence-again", { user_id: "ada" });
  assert.deepEqual(presence, { ids: ["ada"], hash: { ada: null }, count: 1 });
});

scenario("presence: a socket that rejoins as another user leaves no ghost", async (t) => {
  const watcher = await raw(t);
  await joined(watcher, "presence-ghost", { user_id: "watcher" });
  const it = await raw(t);
  await joined(it, "presence-ghost", { user_id: "one" });
  join(
    it,
    "presence-ghost",
    backend.authorizeChannel(it.socketId, "presence-ghost", { user_id: "two" }),
  );
  await it.settled();
  it.send({ event: "pusher:unsubscribe", data: { channel: "presence-ghost" } });
  await it.settled();
  const late = await raw(t);
  const { presence } = await joined(late, "presence-ghost", { user_id: "late" });
  assert.ok(!presence.ids.includes("two") || !presence.ids.includes("one"));
  const events = () => watcher.frames.items.map((frame) => [frame.event, data(frame)?.user_id]);
  const gone = await watcher.find("pusher_internal:member_removed");
  const added = events().filter(([event]) => event === "pusher_internal:member_added");
  assert.ok(
    added.some(([, id]) => id === data(gone).user_id),
    "who goes had come",
  );
  const { users } = await answer(backend.get({ path: "/channels/presence-ghost/users" }));
  assert.deepEqual(users.map(({ id }) => id).sort(), ["late", "watcher"]);
});

scenario("presence: at the limit a second tab of a member still comes in", async (t) => {
  const names = ["ada", "bo"];
  for (const user_id of names)
    await joined(await raw(t, SMALL), "presence-full", { user_id }, SMALL);
  const third = await raw(t, SMALL);
  join(
    third,
    "presence-full",
    server.backend(SMALL).authorizeChannel(third.socketId, "presence-full", { user_id: "eve" }),
  );
  const refused = await answered(third, "presence-full");
  assert.equal(refused.event, "pusher:subscription_error");
  assert.equal(data(refused).type, "LimitReached");
  await third.settled();
  const tab = await raw(t, SMALL);
  const { presence } = await joined(tab, "presence-full", { user_id: "ada" }, SMALL);
  assert.equal(presence.count, 2);
});

scenario("presence: too large a member is refused in every app", async (t) => {
  for (const it of [SHOP, SMALL]) {
    const client = await raw(t, it);
    const member = { user_id: "ada", user_info: { text: "x".repeat(3_000) } };
    join(
      client,
      "presence-large",
      server.backend(it).authorizeChannel(client.socketId, "presence-large", member),
    );
    assert.equal((await answered(client, "presence-large")).event, "pusher:subscription_error");
    await client.settled();
  }
});

scenario("presence: client events name their sender, who cannot choose it", async (t) => {
  const [ada, bo] = [await raw(t), await raw(t)];
  await joined(ada, "presence-typing", { user_id: "ada" });
  await joined(bo, "presence-typing", { user_id: 7 });
  const frame = { event: "client-typing", channel: "presence-typing", data: {}, user_id: "eve" };
  bo.send(frame);
  assert.equal((await ada.find("client-typing")).user_id, "7");
});

scenario("the list of channels is of this moment", async (t) => {
  const list = async () => (await answer(backend.get({ path: "/channels" }))).channels;
  const it = await raw(t);
  for (let n = 0; n < 5; n += 1) {
    join(it, `fresh-${n}`);
    await answered(it, `fresh-${n}`);
    assert.ok(`fresh-${n}` in (await list()), "listed at once");
    it.send({ event: "pusher:unsubscribe", data: { channel: `fresh-${n}` } });
    await it.settled();
    assert.ok(!(`fresh-${n}` in (await list())), "gone at once");
  }
});

scenario("a second subscription to a channel counts once, and is left at once", async (t) => {
  const it = await raw(t);
  for (let n = 0; n < 3; n += 1) join(it, "once");
  await it.settled();
  const info = { path: "/channels/once", params: { info: "subscription_count" } };
  assert.equal((await answer(backend.get(info))).subscription_count, 1);
  it.send({ event: "pusher:unsubscribe", data: { channel: "once" } });
  await it.settled();
  assert.equal((await answer(backend.get(info))).occupied, false);
});

scenario("one connection that leaves does not wait for the channels of others", async (t) => {
  const hundred = async () => {
    const started = performance.now();
    for (let n = 0; n < 100; n += 1) {
      const it = await RawClient.open(server, { key: SHOP.key });
      it.close();
      await it.closed;
    }
    return performance.now() - started;
  };
  const alone = await hundred();
  const owner = await raw(t);
  for (let n = 0; n < 3_000; n += 1) join(owner, `many-${n}`);
  await owner.settled();
  const ms = await hundred();
  await owner.settled();
  assert.ok(ms < 10_000 + 10 * alone, `${ms.toFixed(0)} ms, alone ${alone.toFixed(0)} ms`);
});
