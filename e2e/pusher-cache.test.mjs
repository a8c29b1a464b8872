// Cache channels of every kind: the last event waits for who comes later.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { AuthProgram } from "./support/pusher-auth.mjs";
import { closing, PusherClient } from "./support/pusher-client.mjs";
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

async function client(t, member = { user_id: "ada" }) {
  const it = await PusherClient.open(server, auth.options({ member }));
  closing(t, it);
  return it;
}

for (const kind of ["cache-", "private-cache-", "private-encrypted-cache-", "presence-cache-"]) {
  scenario(`${kind}: a miss, then the last event, after the subscription`, async (t) => {
    const name = `${kind}price`;
    const early = await client(t);
    const before = await early.joined(name);
    await before.got("pusher:cache_miss");
    assert.deepEqual(before.names.slice(0, 2), [
      "pusher:subscription_succeeded",
      "pusher:cache_miss",
    ]);
    await backend.trigger(name, "price", { euro: 1 });
    await backend.trigger(name, "price", { euro: 2 });
    await before.got("price", ({ euro }) => euro === 2);
    const late = await client(t, { user_id: "bo" });
    const after = await late.joined(name);
    assert.deepEqual(await after.got("price"), { euro: 2 });
    await late.settled();
    assert.deepEqual(
      after.names.filter((event) => !event.startsWith("pusher:member")),
      ["pusher:subscription_succeeded", "price"],
      "the last one only, and no miss",
    );
    assert.deepEqual(before.all("price").length, 2, "nobody else gets it again");
  });
}

scenario("the cached event outlives its audience, and is told over HTTP", async (t) => {
  await backend.trigger("cache-alone", "left", { n: 1 });
  const channel = await (await client(t)).joined("cache-alone");
  assert.deepEqual(await channel.got("left"), { n: 1 });
  const told = await answer(
    backend.get({ path: "/channels/cache-alone", params: { info: "cache,subscription_count" } }),
  );
  assert.equal(told.occupied, true);
  assert.equal(told.subscription_count, 1);
  assert.equal(told.cache.data, '{"n":1}');
  assert.ok(told.cache.ttl > 0 && told.cache.ttl <= 3_600);
});

scenario("client events are not kept", async (t) => {
  const ada = await client(t);
  const bo = await client(t, { user_id: "bo" });
  await ada.joined("private-cache-board");
  const his = await bo.joined("private-cache-board");
  ada.channel("private-cache-board").channel.trigger("client-move", { n: 1 });
  await his.got("client-move");
  const late = await client(t, { user_id: "zoe" });
  const channel = await late.joined("private-cache-board");
  await channel.got("pusher:cache_miss");
});

scenario("an event kept without its sender is for the sender as well", async (t) => {
  const ada = await client(t);
  await ada.joined("cache-own");
  await backend.trigger("cache-own", "mine", { n: 1 }, { socket_id: ada.socketId });
  ada.unsubscribe("cache-own");
  await ada.settled();
  const again = await ada.joined("cache-own");
  assert.deepEqual(await again.got("mine"), { n: 1 });
});
