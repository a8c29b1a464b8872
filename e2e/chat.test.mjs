// One room, stock clients on both transports: everyone sees the same messages.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { Api, newUser, roomOf } from "./support/api.mjs";
import { Server, scenarios } from "./support/server.mjs";
import { closing, facts, native } from "./support/sockets.mjs";

let server;
before(async () => {
  server = await Server.start();
});
after(() => server?.close());

const scenario = scenarios(() => server);

scenario("a websocket client and a polling client see the same messages", async (t) => {
  const { room, users } = await roomOf(server.url, "ada", "bo");
  const ada = await native(server.url, users[0], { transports: ["websocket"] });
  const bo = await native(server.url, users[1], { transports: ["polling"], upgrade: false });
  closing(t, ada, bo);
  assert.equal(bo.socket.io.engine.transport.name, "polling");

  const sent = [];
  for (let turn = 0; turn < 6; turn += 1) {
    const client = turn % 2 ? bo : ada;
    const content = `turn ${turn} — ünïcode 😀 "quoted" \u2028`;
    sent.push(
      (await client.ok("message.send", { roomId: room.id, content, clientId: `turn-${turn}` }))
        .message,
    );
  }
  const last = sent.at(-1).id;
  for (const client of [ada, bo])
    await client.got("message.created", ({ data }) => data.id === last);
  const seen = (client) => client.all("message.created").map(({ data }) => facts(data));
  assert.deepEqual(seen(ada), sent.map(facts));
  assert.deepEqual(seen(bo), sent.map(facts));
  assert.deepEqual((await users[1].api.history(room.id)).map(facts), sent.map(facts));
});

scenario("a client that starts on polling upgrades and misses nothing", async (t) => {
  const { room, users } = await roomOf(server.url, "ada", "bo");
  const ada = await native(server.url, users[0]);
  const bo = await native(server.url, users[1], { transports: ["polling", "websocket"] });
  closing(t, ada, bo);
  const upgraded = new Promise((resolve) => {
    if (bo.socket.io.engine.transport.name === "websocket") resolve();
    else bo.socket.io.engine.once("upgrade", resolve);
  });
  let count = 0;
  let done = false;
  upgraded.then(() => (done = true));
  do {
    count += 1;
    await ada.ok("message.send", { roomId: room.id, content: `m${count}`, clientId: `m${count}` });
  } while (!done && count < 2_000);
  assert.ok(done, "the transport was upgraded");
  await bo.got("message.created", ({ data }) => data.content === `m${count}`);
  const contents = bo.all("message.created").map(({ data }) => data.content);
  assert.deepEqual(
    contents,
    Array.from({ length: count }, (_, index) => `m${index + 1}`),
  );
});

scenario("history survives an orderly restart, and clients come back by themselves", async (t) => {
  const { room, users } = await roomOf(server.url, "ada", "bo");
  const bo = await native(server.url, users[1]);
  t.after(() => bo.close());
  const sent = [];
  for (const content of ["one", "two", "three"])
    sent.push(await users[0].api.send(room.id, content));
  await bo.got("message.created", ({ data }) => data.content === "three");

  const before = bo.states.items.length;
  await server.restart();
  await bo.state("connect", before);
  assert.deepEqual((await users[0].api.history(room.id)).map(facts), sent.map(facts));
  const again = await users[0].api.send(room.id, "four");
  assert.equal(again.number, 4);
  assert.ok(again.seq > sent[2].seq);
  await bo.got("message.created", ({ data }) => data.content === "four");
});

scenario("an outsider receives nothing of a private room", async (t) => {
  const { users } = await roomOf(server.url, "ada");
  const room = await users[0].api.createRoom("secret", { visibility: "private" });
  const mallory = await newUser(server.url, "mallory");
  const outsider = await native(server.url, mallory);
  t.after(() => outsider.close());
  const message = await users[0].api.send(room.id, "for members only");

  for (const path of [`/v1/rooms/${room.id}/messages`, `/v1/messages/${message.id}`]) {
    const { status } = await mallory.api.call("GET", path);
    assert.ok([403, 404].includes(status), `${path} answered ${status}`);
  }
  const joined = await outsider.ask("room.join", { roomId: room.id });
  assert.equal(joined.success, false);
  const sent = await outsider.ask("message.send", {
    roomId: room.id,
    content: "let me in",
    clientId: "x",
  });
  assert.equal(sent.success, false);
  await users[0].api.send(room.id, "still alone");
  await outsider.ok("ping", {});
  assert.deepEqual(
    outsider.events.items.filter(({ event }) => event.startsWith("message.")),
    [],
  );
  const { events } = await mallory.api.sync();
  assert.deepEqual(
    events.filter(({ roomId }) => roomId === room.id),
    [],
  );
});

scenario("a repeated send gives one message, over REST and over the socket", async (t) => {
  const { room, users } = await roomOf(server.url, "ada", "bo");
  const ada = await native(server.url, users[0]);
  const bo = await native(server.url, users[1]);
  closing(t, ada, bo);

  const body = { content: "only once", clientId: "retry-1" };
  const path = `/v1/rooms/${room.id}/messages`;
  const first = await users[0].api.call("POST", path, body);
  const second = await users[0].api.call("POST", path, body);
  assert.equal(first.status, 201);
  assert.equal(second.status, 200);
  assert.equal(second.headers.get("idempotent-replayed"), "true");
  assert.deepEqual(second.body, first.body);

  const overSocket = await ada.ok("message.send", { roomId: room.id, ...body });
  assert.equal(overSocket.replayed, true);
  assert.equal(overSocket.message.id, first.body.id);

  const fresh = { roomId: room.id, content: "raced", clientId: "retry-2" };
  const acks = await Promise.all(Array.from({ length: 8 }, () => ada.ok("message.send", fresh)));
  assert.equal(new Set(acks.map(({ message }) => message.id)).size, 1);
  assert.equal(acks.filter(({ replayed }) => !replayed).length, 1);

  // The same client id of another user or in another room is another message.
  const other = await bo.ok("message.send", { roomId: room.id, ...body });
  assert.notEqual(other.message.id, first.body.id);
  await bo.got("message.created", ({ data }) => data.id === other.message.id);
  const contents = bo.all("message.created").map(({ data }) => data.content);
  assert.deepEqual(contents, ["only once", "raced", "only once"]);
  assert.equal((await users[0].api.history(room.id)).length, 3);
});

scenario(
  "500 pipelined sends of one socket: acks, events and history in the order sent",
  async (t) => {
    const { room, users } = await roomOf(server.url, "ada", "bo");
    const ada = await native(server.url, users[0]);
    const bo = await native(server.url, users[1], { transports: ["polling"], upgrade: false });
    closing(t, ada, bo);

    const expected = Array.from({ length: 500 }, (_, index) => `p${index}`);
    const acked = [];
    await Promise.all(
      expected.map(async (content) => {
        const ack = await ada.ok("message.send", { roomId: room.id, content, clientId: content });
        acked.push(ack.message);
      }),
    );
    assert.deepEqual(
      acked.map(({ content }) => content),
      expected,
    );
    assert.deepEqual(
      acked.map(({ number }) => number),
      expected.map((_, index) => index + 1),
    );
    for (const client of [ada, bo]) {
      await client.got("message.created", ({ data }) => data.content === "p499");
      const seen = client.all("message.created").map(({ data }) => facts(data));
      assert.deepEqual(seen, acked.map(facts));
    }
    assert.deepEqual((await users[0].api.history(room.id)).map(facts), acked.map(facts));
  },
);

scenario("the history answers the same from every side", async () => {
  const { room, users } = await roomOf(server.url, "ada");
  const sent = [];
  for (let index = 0; index < 12; index += 1)
    sent.push(await users[0].api.send(room.id, `h${index}`));
  const page = async (query) => {
    const { items } = await users[0].api.ok("GET", `/v1/rooms/${room.id}/messages?${query}`);
    return items.map(({ content }) => content);
  };
  assert.deepEqual(await page("limit=3"), ["h11", "h10", "h9"]);
  assert.deepEqual(await page("limit=3&before=number:4"), ["h2", "h1", "h0"]);
  assert.deepEqual(await page(`limit=2&before=${sent[5].seq}`), ["h4", "h3"]);
  assert.deepEqual(await page(`limit=2&before=${sent[5].id}`), ["h4", "h3"]);
  assert.deepEqual((await page("limit=2&after=number:10")).sort(), ["h10", "h11"]);
  assert.ok((await page("limit=5&around=number:6")).includes("h5"));
  const anonymous = await new Api(server.url).call("GET", `/v1/rooms/${room.id}/messages`);
  assert.equal(anonymous.status, 401);
});
