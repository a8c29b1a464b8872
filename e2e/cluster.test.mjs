// Two nodes with one PostgreSQL and one broker: stock clients need not know which node they are at.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe } from "node:test";
import { Api, newUser, roomOf } from "./support/api.mjs";
import { kept, Member } from "./support/members.mjs";
import { Server, scenarios } from "./support/server.mjs";
import { closing, native } from "./support/sockets.mjs";
import { Nats, Postgres, Redis } from "./support/stores.mjs";
import { TcpProxy } from "./support/tcp-proxy.mjs";
import { Traveller } from "./support/traveller.mjs";
import { until } from "./support/wait.mjs";

/** A balancer that sends each connection to the next node. */
const RoundRobin = {
  async before(...nodes) {
    const proxy = await TcpProxy.start(nodes[0].url);
    proxy.targets = nodes.map(({ url }) => {
      const { hostname, port } = new URL(url);
      return { host: hostname, port: Number(port) };
    });
    proxy.turns = 0;
    Object.defineProperty(proxy, "target", {
      get: () => proxy.targets[proxy.turns++ % proxy.targets.length],
    });
    return proxy;
  },
};

let postgres;
before(async () => {
  postgres = await Postgres.start();
});
after(() => postgres?.close());

for (const Broker of [Redis, Nats]) {
  describe(`two nodes on ${Broker.name}`, () => {
    let broker;
    let one;
    let two;
    before(async () => {
      broker = await Broker.start();
      const env = { DATABASE_URL: postgres.database(), ...broker.env };
      // Both at once: one makes the tables, the other waits.
      [one, two] = await Promise.all([Server.start({ env }), Server.start({ env })]);
      await bothKnow(one, two);
    });
    after(async () => {
      await Promise.all([one?.close(), two?.close()]);
      await broker?.close();
    });
    const scenario = scenarios(() => ({ log: `${one?.log}\n--- second node ---\n${two?.log}` }));
    everything(scenario, () => ({ one, two, broker }));
  });
}

/** Each has heard of the other. */
async function bothKnow(...nodes) {
  for (const node of nodes)
    await until(async () => (await metric(node, "mynah_cluster_nodes")) === 2, "two nodes");
}

async function metric(node, name) {
  const text = await (await fetch(`${node.adminUrl}/metrics`)).text();
  const line = text.split("\n").find((one) => one.startsWith(`${name} `));
  return line ? Number(line.slice(name.length + 1)) : undefined;
}

/** The owner decides on one node; who it concerns hears of it, and is held to it, on the other. */
async function rightsChange(t, one, two) {
  const { room, users } = await roomOf(one.url, "ada", "bob", "cyd");
  const [ada, bob, cyd] = users;
  const [bobThere, cydThere] = [await native(two.url, bob), await native(two.url, cyd)];
  closing(t, bobThere, cydThere);
  const path = `/v1/rooms/${room.id}`;
  const member = `${path}/members/${bob.user.id}`;
  const isBob = ({ data }) => data.userId === bob.user.id;

  await ada.api.ok("PATCH", member, { role: "admin" });
  const ranked = await cydThere.got("member.role_changed", isBob);
  assert.equal(ranked.data.role, "admin");

  await ada.api.ok("POST", `${member}/ban`, {});
  const removed = await bobThere.got("room.removed", ({ data }) => data.roomId === room.id);
  assert.equal(removed.data.reason, "banned");
  await cydThere.got("member.left", isBob);
  const refused = await bobThere.ask("message.send", { roomId: room.id, content: "let me in" });
  assert.equal(refused.success, false, JSON.stringify(refused));
  const said = await ada.api.send(room.id, "without bob");
  await cydThere.got("message.created", ({ data }) => data.id === said.id);

  await ada.api.ok("DELETE", path);
  await cydThere.got("room.deleted", ({ data }) => data.roomId === room.id);
  const late = await cydThere.ask("message.send", { roomId: room.id, content: "too late" });
  assert.equal(late.success, false, JSON.stringify(late));
  // What is said to bob next shows that nothing of the room came before it.
  const other = await ada.api.createRoom("another one");
  await new Api(two.url, bob.accessToken).join(other.id);
  await bobThere.got("room.added", ({ data }) => data.room.id === other.id);
  assert.deepEqual(bobThere.all("message.created"), []);
}

function everything(scenario, nodes) {
  scenario("what is said on one node is heard on the other, in order, both ways", async (t) => {
    const { one, two } = nodes();
    const { room, users } = await roomOf(one.url, "ada", "bob");
    const members = [
      await Member.open(one.url, users[0], room),
      await Member.open(two.url, users[1], room, { vocabulary: "camel" }),
    ];
    t.after(() => members.map((member) => member.close()));
    for (let n = 0; n < 50; n += 1) await members[n % 2].say(`n ${n}`);
    const all = await kept(users[0].api, room.id);
    assert.equal(all.length, 50);
    for (const member of members) {
      await member.hears(all.at(-1).id);
      assert.deepEqual(member.heard(), all, member.name);
    }
  });

  scenario("a room made on one node is joined and left on the other", async (t) => {
    const { one, two } = nodes();
    const [ada, bob] = [await newUser(one.url, "ada"), await newUser(two.url, "bob")];
    const listener = await native(two.url, bob);
    closing(t, listener);
    const added = (id) => listener.got("room.added", ({ data }) => data.room.id === id);
    const bobHere = new Api(one.url, bob.accessToken);
    const room = await ada.api.createRoom("made later");
    await bobHere.join(room.id);
    await added(room.id);
    await ada.api.send(room.id, "welcome");
    await listener.got("message.created", ({ data }) => data.content === "welcome");
    await bobHere.ok("POST", `/v1/rooms/${room.id}/leave`, {});
    await listener.got("room.removed", ({ data }) => data.roomId === room.id);
    await ada.api.send(room.id, "without bob");
    const also = await ada.api.createRoom("as a sign of life");
    await bobHere.join(also.id);
    await added(also.id);
    const contents = listener.all("message.created").map(({ data }) => data.content);
    assert.deepEqual(contents, ["welcome"]);
  });

  scenario("typing and read receipts cross nodes, and typing ends", async (t) => {
    const { one, two } = nodes();
    const { room, users } = await roomOf(one.url, "ada", "bob");
    const [ada, bob] = [
      await Member.open(one.url, users[0], room),
      await Member.open(two.url, users[1], room),
    ];
    t.after(() => [ada, bob].map((member) => member.close()));
    const message = await bob.say("read me");
    await ada.hears(message.id);
    ada.client.socket.emit("typing", { roomId: room.id, isTyping: true });
    await bob.client.got("typing", ({ isTyping }) => isTyping === true);
    await ada.client.ok("room.read", { roomId: room.id, seq: message.seq });
    await bob.client.got("receipt.read", ({ userId }) => userId === users[0].user.id);
    await bob.client.got("typing", ({ isTyping }) => isTyping === false);
  });

  scenario("who is there is known on both nodes, and leaving is said once", async (t) => {
    const { one, two } = nodes();
    const { room, users } = await roomOf(one.url, "ada", "bob");
    const ada = await native(one.url, users[0]);
    closing(t, ada);
    const isBob = (status) => (presence) =>
      presence.userId === users[1].user.id && presence.status === status;
    const bobs = [await native(two.url, users[1])];
    closing(t, bobs[0]);
    await ada.got("presence", isBob("online"));
    bobs.push(await native(one.url, users[1]));
    closing(t, bobs[1]);
    bobs[1].close();
    const carol = await newUser(two.url, "carol");
    await carol.api.join(room.id);
    bobs[0].close();
    await ada.got("presence", isBob("offline"), 30_000);
    assert.equal(ada.all("presence").filter(isBob("offline")).length, 1);
    assert.equal(ada.all("presence").filter(isBob("online")).length, 1);
  });

  scenario(
    "polling works with every request at the other node, and so does the upgrade",
    async (t) => {
      const { one, two } = nodes();
      const { room, users } = await roomOf(one.url, "ada", "bob");
      const balancer = await RoundRobin.before(one, two);
      t.after(() => balancer.close());
      // No connection is kept: each request goes to the node after the one before.
      const options = { extraHeaders: { connection: "close" } };
      const polling = await Member.open(balancer.url, users[0], room, {
        transports: ["polling"],
        ...options,
      });
      t.after(() => polling.close());
      for (let n = 0; n < 5; n += 1) {
        const { id } = await users[1].api.send(room.id, `poll ${n}`);
        await polling.hears(id);
        await polling.say(`answer ${n}`);
      }
      assert.ok(balancer.turns > 10, `${balancer.turns} connections`);
      const upgrading = await Member.open(balancer.url, users[1], room, {
        transports: ["polling", "websocket"],
        ...options,
      });
      t.after(() => upgrading.close());
      const engine = () => upgrading.client.socket.io.engine;
      await until(() => engine().transport.name === "websocket", "the upgrade");
      const { id } = await polling.say("over the new line");
      await upgrading.hears(id);
      await upgrading.say("and back");
    },
  );

  scenario(
    "a client that is lost is recovered at the other node: nothing missing, nothing twice",
    async (t) => {
      const { one, two } = nodes();
      const { room, users } = await roomOf(one.url, "ada", "bob");
      const traveller = await Traveller.open(t, one.url, users[1], room);
      for (let n = 0; n < 10; n += 1) {
        const from = n % 2 ? one : two;
        await new Api(from.url, users[0].accessToken).send(room.id, `before ${n}`);
      }
      for (const node of [two, one, two]) {
        const { hostname, port } = new URL(node.url);
        const back = await traveller.away(async () => {
          await users[0].api.send(room.id, "unheard");
          traveller.line.target = { host: hostname, port: Number(port) };
        });
        assert.equal(back.recovered, true);
        await new Api(two.url, users[0].accessToken).send(room.id, "live");
        await traveller.heardAll(users[0].api);
      }
    },
  );

  scenario("the same client id on both nodes at once is one message", async () => {
    const { one, two } = nodes();
    const { room, users } = await roomOf(one.url, "ada");
    const apis = [one, two].map(({ url }) => new Api(url, users[0].accessToken));
    for (let round = 0; round < 20; round += 1) {
      const clientId = randomUUID();
      const answers = await Promise.all(apis.map((api) => api.send(room.id, "once", clientId)));
      assert.equal(answers[0].id, answers[1].id);
      assert.equal(answers[0].seq, answers[1].seq);
    }
    const all = await users[0].api.history(room.id);
    assert.deepEqual(
      all.map(({ number }) => number),
      Array.from({ length: 20 }, (_, n) => n + 1),
    );
  });

  scenario("signing out on one node ends the sockets and the tokens on the other", async (t) => {
    const { one, two } = nodes();
    const ada = await newUser(one.url, "ada");
    const client = await native(two.url, ada);
    closing(t, client);
    await new Api(two.url, ada.accessToken).ok("GET", "/v1/auth/me");
    const began = performance.now();
    await ada.api.ok("POST", "/v1/auth/logout", {});
    await client.state("disconnect");
    assert.ok(performance.now() - began < 10_000);
    const after = await new Api(two.url, ada.accessToken).call("GET", "/v1/auth/me");
    assert.equal(after.status, 401);
  });

  scenario("signing out reaches the other node without a broker, too", async (t) => {
    const { one, two, broker } = nodes();
    const ada = await newUser(one.url, "ada");
    const client = await native(two.url, ada);
    closing(t, client);
    await broker.kill();
    try {
      await ada.api.ok("POST", "/v1/auth/logout", {});
      await client.state("disconnect", 0, 30_000);
    } finally {
      await broker.spawn();
    }
    await bothKnow(one, two);
  });

  scenario("a rank, a ban and the end of a room reach the other node", async (t) => {
    const { one, two } = nodes();
    await rightsChange(t, one, two);
  });

  scenario(
    "a rank, a ban and the end of a room reach the other node without a broker",
    async (t) => {
      const { one, two, broker } = nodes();
      await broker.kill();
      try {
        await rightsChange(t, one, two);
      } finally {
        await broker.spawn();
      }
      await bothKnow(one, two);
    },
    120_000,
  );

  scenario(
    "while the broker is away each node serves its own, and then nothing is missing",
    async (t) => {
      const { one, two, broker } = nodes();
      const { room, users } = await roomOf(one.url, "ada", "bob");
      const [here, there] = [
        await Member.open(one.url, users[0], room, { vocabulary: "native" }),
        await Member.open(two.url, users[1], room, { vocabulary: "native" }),
      ];
      t.after(() => Promise.all([here.close(), there.close()]));
      await broker.kill();
      const sent = [];
      for (let n = 0; n < 20; n += 1) {
        const base = n % 2 ? one : two;
        sent.push(await new Api(base.url, users[0].accessToken).send(room.id, `dark ${n}`));
      }
      await broker.spawn();
      for (const member of [here, there]) {
        await member.hears(sent.at(-1).id);
        const seqs = member.heard().map(({ seq }) => seq);
        assert.deepEqual(
          seqs,
          sent.map(({ seq }) => seq),
        );
      }
      await bothKnow(one, two);
    },
  );
}
