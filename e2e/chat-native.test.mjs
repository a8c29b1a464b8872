// Catching up with the native vocabulary: what was missed arrives once and in order.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { newUser, roomOf } from "./support/api.mjs";
import { Server, scenarios } from "./support/server.mjs";
import { facts, native } from "./support/sockets.mjs";

let server;
before(async () => {
  server = await Server.start();
});
after(() => server?.close());

const scenario = scenarios(() => server);

/** Highest seq a client has seen in a room. */
const seenSeq = (client, roomId) =>
  Math.max(
    client.ready.rooms.find(({ id }) => id === roomId)?.seq ?? 0,
    ...client.events.items.flatMap(({ args }) =>
      args[0]?.roomId === roomId ? (args[0].seq ?? 0) : 0,
    ),
  );

/** Durable events of a room that a client received, in order. */
const durable = (client, roomId) =>
  client.events.items
    .map(({ args }) => args[0])
    .filter((event) => event?.roomId === roomId && event.pos);

scenario("ready tells the user, the session and the heads of the rooms", async (t) => {
  const { room, users } = await roomOf(server.url, "ada", "bo");
  const message = await users[0].api.send(room.id, "before");
  const bo = await native(server.url, users[1]);
  t.after(() => bo.close());
  assert.equal(bo.ready.userId, users[1].user.id);
  assert.equal(bo.ready.user.username, users[1].username);
  assert.deepEqual(
    bo.ready.rooms.find(({ id }) => id === room.id),
    { id: room.id, seq: message.seq },
  );
  assert.equal(bo.events.items[0].event, "connection.ready", "nothing comes before it");
});

scenario("the envelope of an event is whole", async (t) => {
  const { room, users } = await roomOf(server.url, "ada");
  const ada = await native(server.url, users[0]);
  t.after(() => ada.close());
  const sent = await users[0].api.send(room.id, "hello", "envelope-1");
  const event = await ada.got("message.created", ({ data }) => data.id === sent.id);
  assert.equal(event.type, "message.created");
  assert.equal(event.version, 1);
  assert.equal(event.roomId, room.id);
  assert.equal(event.seq, sent.seq);
  assert.equal(event.actorId, users[0].user.id);
  assert.equal(typeof event.pos, "string");
  assert.equal(new Date(event.at).toISOString(), event.at);
  assert.deepEqual(event.data, sent);
  assert.equal(event.data.clientId, "envelope-1");
});

scenario("reconnecting with since gives exactly what was missed, in order", async (t) => {
  const { room, users } = await roomOf(server.url, "ada", "bo");
  const carol = await newUser(server.url, "carol");
  const first = await native(server.url, users[1]);
  await users[0].api.send(room.id, "seen");
  await first.got("message.created", ({ data }) => data.content === "seen");
  const since = { [room.id]: seenSeq(first, room.id) };
  first.close();

  const kept = await users[0].api.send(room.id, "missed 1");
  const gone = await users[0].api.send(room.id, "missed 2");
  await users[0].api.ok("PATCH", `/v1/messages/${kept.id}`, { content: "missed 1, edited" });
  await users[0].api.ok("DELETE", `/v1/messages/${gone.id}`);
  await carol.api.join(room.id);

  const again = await native(server.url, users[1], { since });
  t.after(() => again.close());
  const live = await users[0].api.send(room.id, "live");
  await again.got("message.created", ({ data }) => data.id === live.id);
  const events = durable(again, room.id);
  const types = [
    "message.created",
    "message.created",
    "message.updated",
    "message.deleted",
    "member.joined",
  ];
  assert.deepEqual(
    events.map(({ type }) => type),
    [...types, "message.created"],
  );
  const from = since[room.id];
  assert.deepEqual(
    events.map(({ seq }) => seq),
    events.map((_, index) => from + 1 + index),
  );
  assert.equal(events[2].data.content, "missed 1, edited");
  assert.equal(events[3].data.messageId, gone.id);
});

scenario("reconnecting while others write: no hole and no double", async (t) => {
  const { room, users } = await roomOf(server.url, "ada", "bo");
  const ada = await native(server.url, users[0]);
  t.after(() => ada.close());
  const start = ada.ready.rooms.find(({ id }) => id === room.id).seq;

  let writing = true;
  let written = 0;
  const writer = (async () => {
    while (writing) {
      written += 1;
      await ada.ok("message.send", {
        roomId: room.id,
        content: `w${written}`,
        clientId: `w${written}`,
      });
    }
  })();
  let since = start;
  const seen = [];
  for (let visit = 0; visit < 6; visit += 1) {
    const bo = await native(server.url, users[1], { since: { [room.id]: since } });
    await bo.events.atLeast(20, ({ event }) => event === "message.created", "message.created");
    bo.close();
    const events = durable(bo, room.id);
    seen.push(...events.map(({ seq }) => seq));
    since = events.at(-1).seq;
  }
  writing = false;
  await writer;
  const last = await native(server.url, users[1], { since: { [room.id]: since } });
  t.after(() => last.close());
  const mark = await users[0].api.send(room.id, "mark");
  await last.got("message.created", ({ data }) => data.id === mark.id);
  seen.push(...durable(last, room.id).map(({ seq }) => seq));
  assert.deepEqual(
    seen,
    seen.map((_, index) => start + 1 + index),
  );
  assert.equal(seen.at(-1), mark.seq);
});

scenario("sync gives the events after a seq, and says where to go on", async (t) => {
  const { room, users } = await roomOf(server.url, "ada", "bo");
  const bo = await native(server.url, users[1]);
  t.after(() => bo.close());
  const from = bo.ready.rooms.find(({ id }) => id === room.id).seq;
  const sent = [];
  for (const content of ["a", "b", "c"]) sent.push(await users[0].api.send(room.id, content));

  const answer = await bo.ok("sync", { since: { [room.id]: from } });
  assert.deepEqual(
    answer.events.map(({ data }) => facts(data)),
    sent.map(facts),
  );
  assert.equal(answer.next[room.id], sent[2].seq);
  assert.deepEqual(answer.gap, []);
  const rest = await bo.ok("sync", { since: answer.next });
  assert.deepEqual(rest.events, []);
  const ahead = await bo.ask("sync", { since: { [room.id]: 1_000_000 } });
  assert.ok(
    !ahead.success || ahead.gap.includes(room.id),
    "a seq from the future is never an empty success",
  );
});

scenario("the whole log over REST: positions ascend and every room is without gaps", async () => {
  const { room, users } = await roomOf(server.url, "ada", "bo");
  for (let index = 0; index < 130; index += 1)
    await users[index % 2].api.send(room.id, `s${index}`);
  const { events, next } = await users[0].api.sync();
  const positions = events.map(({ pos }) => BigInt(pos));
  assert.ok(positions.every((pos, index) => index === 0 || pos > positions[index - 1]));
  const seqs = events.filter(({ roomId }) => roomId === room.id).map(({ seq }) => seq);
  assert.deepEqual(
    seqs,
    seqs.map((_, index) => index + 1),
  );
  const { lastSeq } = await users[0].api.ok("GET", `/v1/rooms/${room.id}`);
  assert.equal(seqs.at(-1), lastSeq);
  const more = await users[1].api.send(room.id, "after");
  const tail = await users[0].api.sync(next);
  assert.deepEqual(
    tail.events.map(({ data }) => data.id),
    [more.id],
  );
});

scenario("typing, presence and read marks reach the others, not the log", async (t) => {
  const { room, users } = await roomOf(server.url, "ada", "bo");
  const ada = await native(server.url, users[0]);
  t.after(() => ada.close());
  const bo = await native(server.url, users[1]);
  const here = await ada.got(
    "presence",
    ({ userId, status }) => userId === users[1].user.id && status === "online",
  );
  assert.ok(here);
  const message = await users[0].api.send(room.id, "read me");
  bo.socket.emit("typing", { roomId: room.id, isTyping: true });
  const typing = await ada.got("typing");
  assert.deepEqual(
    [typing.roomId, typing.userId, typing.isTyping],
    [room.id, users[1].user.id, true],
  );
  const read = await bo.ok("room.read", { roomId: room.id, messageId: message.id });
  assert.equal(read.number, message.number);
  const receipt = await ada.got("receipt.read", ({ userId }) => userId === users[1].user.id);
  assert.deepEqual(
    [receipt.roomId, receipt.seq, receipt.number],
    [room.id, message.seq, message.number],
  );
  const asked = await ada.ok("presence.query", { userIds: [users[1].user.id] });
  assert.equal(asked.users[0].status, "online");
  bo.close();
  await ada.got(
    "presence",
    ({ userId, status }) => userId === users[1].user.id && status === "offline",
  );
  const { events } = await users[0].api.sync();
  const kinds = new Set(events.map(({ type }) => type));
  for (const state of ["typing", "presence", "receipt.read"]) assert.ok(!kinds.has(state), state);
});

scenario("rooms made by others reach a connected member at once", async (t) => {
  const [ada, bo] = [await newUser(server.url, "ada"), await newUser(server.url, "bo")];
  const client = await native(server.url, bo);
  t.after(() => client.close());
  const direct = await ada.api.ok("POST", "/v1/rooms/direct", { userId: bo.user.id });
  const added = await client.got("room.added", ({ data }) => data.room.id === direct.id);
  assert.equal(added.roomId, null);
  const message = await ada.api.send(direct.id, "hello bo");
  const event = await client.got("message.created", ({ data }) => data.id === message.id);
  assert.equal(event.roomId, direct.id);
  const same = await bo.api.ok("POST", "/v1/rooms/direct", { userId: ada.user.id });
  assert.equal(same.id, direct.id);
});
