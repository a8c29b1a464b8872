// Two Mynah nodes and a Node server: everybody hears everything once.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { newUser, roomOf } from "./support/api.mjs";
import { NodeServer, Redis } from "./support/interop.mjs";
import { Server } from "./support/server.mjs";
import { camel, closing } from "./support/sockets.mjs";
import { Postgres } from "./support/stores.mjs";
import { until } from "./support/wait.mjs";

let redis;
let postgres;
let node;
let one;
let two;

before(async () => {
  redis = await Redis.start();
  postgres = await Postgres.start();
  node = await NodeServer.start(redis, { namespace: "/" });
  const env = {
    DATABASE_URL: postgres.database(),
    REDIS_URL: redis.url,
    MYNAH_INTEROP__REDIS_URL: redis.url,
    MYNAH_INTEROP__NAMESPACES: "/",
  };
  [one, two] = await Promise.all([Server.start({ env }), Server.start({ env })]);
  await until(async () => (await node.count()) === 3, "all three to be subscribed");
  for (const mynah of [one, two])
    await until(async () => /^mynah_cluster_nodes 2$/m.test(await metrics(mynah)), "two nodes");
});
after(async () => {
  await Promise.all([one?.close(), two?.close()]);
  await node?.stop();
  await postgres?.close();
  await redis?.kill();
});

const metrics = async ({ adminUrl }) => (await fetch(`${adminUrl}/metrics`)).text();

test("messages of both nodes reach Node once, and Node's events both nodes once", async (t) => {
  const { room, users } = await roomOf(one.url, "ada", "bo");
  const ada = await camel(one.url, users[0]);
  const bo = await camel(two.url, users[1]);
  closing(t, ada, bo);
  for (const client of [ada, bo]) await client.ok("joinRoom", { roomId: room.id });
  const theirs = await node.client([room.id]);
  t.after(() => theirs.disconnect());

  const said = [];
  for (let number = 0; number < 20; number++) {
    const client = number % 2 === 0 ? ada : bo;
    const content = `number ${number}`;
    said.push(content);
    await client.ok("sendMessage", { roomId: room.id, content });
  }
  for (const client of [ada, bo])
    await client.got("newMessage", ({ content }) => content === said.at(-1));
  await theirs.heard.find(([, body]) => body?.content === said.at(-1), "the last one");
  node.io.to(room.id).emit("fromNode", 1);
  for (const client of [ada, bo]) await client.got("fromNode");
  // What would come twice has come by now.
  await ada.ok("sendMessage", { roomId: room.id, content: "end" });
  for (const client of [ada, bo])
    await client.got("newMessage", ({ content }) => content === "end");
  await theirs.heard.find(([, body]) => body?.content === "end", "the end");

  const contents = theirs.heard.items
    .filter(([event]) => event === "newMessage")
    .map(([, { content }]) => content);
  assert.deepEqual(contents.toSorted(), [...said, "end"].toSorted());
  for (const client of [ada, bo]) {
    assert.equal(client.all("fromNode").length, 1);
    assert.equal(client.all("newMessage").length, said.length + 1);
  }
});

test("Node finds the sockets of both nodes", async (t) => {
  const user = await newUser(one.url, "cleo");
  const ours = [await camel(one.url, user), await camel(two.url, user)];
  closing(t, ...ours);
  const found = await node.io.fetchSockets();
  const ids = found.filter(({ data }) => data.userId === user.user.id).map(({ id }) => id);
  assert.deepEqual(ids.toSorted(), ours.map((client) => client.socket.id).toSorted());
  assert.deepEqual(await node.io.serverSideEmitWithAck("ping"), [null, null]);
});
