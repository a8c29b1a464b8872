// Two nodes with one PostgreSQL and one broker: who is online, and Pusher channels, with stock clients.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { Api, roomOf } from "./support/api.mjs";
import { AuthProgram } from "./support/pusher-auth.mjs";
import { closing, PusherClient } from "./support/pusher-client.mjs";
import { contents, signedByHouse, threadKey } from "./support/pusher-house.mjs";
import { answer, PusherServer } from "./support/pusher-server.mjs";
import { scenarios } from "./support/server.mjs";
import { native } from "./support/sockets.mjs";
import { Postgres, Redis } from "./support/stores.mjs";
import { until } from "./support/wait.mjs";

let postgres;
let redis;
let env;
let one;
let two;
let auth;
before(async () => {
  [postgres, redis] = await Promise.all([Postgres.start(), Redis.start()]);
  env = { DATABASE_URL: postgres.database(), ...redis.env };
  [one, two] = await Promise.all([PusherServer.start({ env }), PusherServer.start({ env })]);
  auth = await AuthProgram.start(one);
  await known(2, one, two);
});
after(async () => {
  await auth?.close();
  await Promise.all([one?.close(), two?.close()]);
  await Promise.all([redis?.close(), postgres?.close()]);
});

const scenario = scenarios(() => ({ log: `${one?.log}\n--- second node ---\n${two?.log}` }));

/** Each hears that there are so many nodes. */
async function known(count, ...nodes) {
  const line = `\nmynah_cluster_nodes ${count}\n`;
  const knows = async (node) =>
    (await (await fetch(`${node.adminUrl}/metrics`)).text()).includes(line);
  for (const node of nodes) await until(() => knows(node), `${count} nodes`);
}

/** A pusher-js client of a node, as a member of presence channels. */
async function as(t, node, user_id) {
  const options = auth.options({ member: { user_id, user_info: { name: user_id } } });
  const client = await PusherClient.open(node, options);
  closing(t, client);
  return client;
}

const ids = ({ channel }) => Object.keys(channel.members.members).sort();

scenario("what a back end publishes at one node the clients of both hear, in order", async (t) => {
  const clients = [await as(t, one, "ada"), await as(t, two, "bo")];
  const heard = [];
  for (const client of clients) heard.push(await client.joined("news"));
  for (let n = 0; n < 30; n += 1) await one.backend().trigger("news", "said", { n });
  for (const channel of heard) {
    await channel.got("said", ({ n }) => n === 29);
    assert.deepEqual(
      channel.all("said").map(({ n }) => n),
      Array.from({ length: 30 }, (_, n) => n),
    );
  }
  const counted = async () => {
    const { channels } = await answer(two.backend().get({ path: "/channels" }));
    return channels.news?.subscription_count === 2;
  };
  await until(counted, "both nodes to be counted");
});

scenario("members of a presence channel are those of both nodes, and talk", async (t) => {
  const [ada, bo] = [await as(t, one, "ada"), await as(t, two, "bo")];
  const hers = await ada.joined("presence-tea");
  const his = await bo.joined("presence-tea");
  await hers.got("pusher:member_added", ({ id }) => id === "bo");
  await until(() => ids(his).length === 2, "him to know of her");
  assert.deepEqual(
    [ids(hers), ids(his)],
    [
      ["ada", "bo"],
      ["ada", "bo"],
    ],
  );
  his.channel.trigger("client-hello", { from: "bo" });
  assert.deepEqual(await hers.got("client-hello"), { from: "bo" });
  const { users } = await answer(one.backend().get({ path: "/channels/presence-tea/users" }));
  assert.deepEqual(users.map(({ id }) => id).sort(), ["ada", "bo"]);
  bo.unsubscribe("presence-tea");
  await hers.got("pusher:member_removed", ({ id }) => id === "bo");
  assert.deepEqual(ids(hers), ["ada"]);
});

scenario(
  "a conversation that begins on one node is heard from its begin on the other",
  async (t) => {
    const { users } = await roomOf(one.url, "ann", "ben");
    const key = threadKey(users[0].user.id, users[1].user.id);
    const client = await PusherClient.open(two, signedByHouse(two, users[1]));
    closing(t, client);
    const thread = await client.joined(`presence-tenant.default.thread.${key}`);
    const room = await users[0].api.ok("POST", "/v1/rooms/direct", { userId: users[1].user.id });
    for (let n = 0; n < 10; n += 1) await users[0].api.send(room.id, `n ${n}`);
    await thread.got("tenant-user-message", ({ content }) => content === "n 9");
    assert.deepEqual(
      contents(thread),
      Array.from({ length: 10 }, (_, n) => `n ${n}`),
    );
  },
);

scenario(
  "who moves between nodes stays online; the users of a killed node go within 20 seconds",
  async (t) => {
    const three = await PusherServer.start({ env });
    t.after(() => three.close());
    await known(3, one, two, three);
    const { users } = await roomOf(one.url, "ida", "jo", "kim");
    const [ida, jo, kim] = users;
    const watcher = await native(one.url, ida);
    closing(t, watcher);
    const status = async (user) => {
      const api = new Api(two.url, ida.accessToken);
      const { users: found } = await api.ok("POST", "/v1/presence/query", {
        userIds: [user.user.id],
      });
      return found[0].status;
    };
    const of = (user) => watcher.all("presence").filter(({ userId }) => userId === user.user.id);
    const [lost, moves] = [await native(three.url, jo), await native(three.url, kim)];
    closing(t, lost, moves);
    for (const user of [jo, kim]) {
      await until(async () => (await status(user)) === "online", "online", 10_000);
      await watcher.got("presence", ({ userId }) => userId === user.user.id);
    }
    const began = performance.now();
    await three.kill();
    closing(t, await native(two.url, kim));
    const isGone = ({ userId, status: now }) => userId === jo.user.id && now === "offline";
    await watcher.got("presence", isGone, 30_000);
    assert.ok(performance.now() - began < 25_000, "in time");
    await until(async () => (await status(jo)) === "offline", "the other node to know", 10_000);
    assert.equal(await status(kim), "online");
    assert.deepEqual(
      of(kim).map(({ status: now }) => now),
      ["online"],
      "was never gone",
    );
  },
);
