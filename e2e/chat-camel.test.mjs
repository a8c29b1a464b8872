// The room vocabulary of the root namespace, as an existing front end speaks it.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { newUser, roomOf } from "./support/api.mjs";
import { Server, scenarios } from "./support/server.mjs";
import { camel, closing, facts, native } from "./support/sockets.mjs";

let server;
before(async () => {
  server = await Server.start();
});
after(() => server?.close());

const scenario = scenarios(() => server);

scenario(
  "transcript: join, history, presence of others, send, type, edit, delete, leave",
  async (t) => {
    const { room, users } = await roomOf(server.url, "ada");
    const bo = await newUser(server.url, "bo");
    const old = [];
    for (const content of ["first", "second"]) old.push(await users[0].api.send(room.id, content));
    const a = await camel(server.url, users[0]);
    const b = await camel(server.url, bo);
    closing(t, a, b);

    const joinedA = await a.ok("joinRoom", { roomId: room.id });
    assert.equal(joinedA.roomId, room.id);
    const history = await a.got("roomHistory");
    assert.equal(history.roomId, room.id);
    assert.deepEqual(history.messages.map(facts), old.map(facts), "oldest first");
    const row = history.messages[0];
    assert.deepEqual(
      [row.roomId, row.userId, row.messageType, row.user.id],
      [room.id, users[0].user.id, "text", users[0].user.id],
    );

    await b.ok("joinRoom", room.id);
    await b.got("roomHistory", ({ roomId }) => roomId === room.id);
    await b.got("joinedRoom", ({ roomId }) => roomId === room.id);
    const arrival = await a.got(
      "userJoined",
      (event) => (event.userId ?? event.user?.id) === bo.user.id,
    );
    assert.equal(arrival.roomId, room.id);

    const ack = await b.ok("sendMessage", { roomId: room.id, content: "with ack" });
    b.socket.emit("sendMessage", { roomId: room.id, content: "without ack", messageType: "text" });
    for (const client of [a, b]) {
      await client.got("newMessage", ({ content }) => content === "without ack");
      const seen = client.all("newMessage");
      assert.deepEqual(
        seen.map(({ content }) => content),
        ["with ack", "without ack"],
      );
      assert.deepEqual(facts(seen[0]), facts(ack.message));
      assert.deepEqual(
        [seen[0].userId, seen[0].messageType, seen[0].metadata],
        [bo.user.id, "text", null],
      );
    }

    b.socket.emit("typing", { roomId: room.id, isTyping: true });
    const typing = await a.got("userTyping", ({ userId }) => userId === bo.user.id);
    assert.deepEqual([typing.roomId, typing.isTyping], [room.id, true]);

    await b.ok("editMessage", { messageId: ack.message.id, content: "edited" });
    const edited = await a.got("messageUpdated", ({ id }) => id === ack.message.id);
    assert.equal(edited.content, "edited");
    await b.ok("deleteMessage", { messageId: ack.message.id });
    const deleted = await a.got("messageDeleted", ({ id }) => id === ack.message.id);
    assert.equal(deleted.roomId, room.id);

    await a.ok("markAsRead", {
      roomId: room.id,
      messageId: (await users[0].api.history(room.id)).at(-1).id,
    });
    const left = await b.ok("leaveRoom", { roomId: room.id });
    assert.equal(left.success, true);
    await a.got("userLeft", (event) => (event.userId ?? event.user?.id) === bo.user.id);
  },
);

scenario("nothing of a room arrives before joinRoom", async (t) => {
  const { room, users } = await roomOf(server.url, "ada", "bo");
  const b = await camel(server.url, users[1]);
  t.after(() => b.close());
  await users[0].api.send(room.id, "too early");
  await b.ok("joinRoom", { roomId: room.id });
  const later = await users[0].api.send(room.id, "in time");
  await b.got("newMessage", ({ id }) => id === later.id);
  assert.deepEqual(
    b.all("newMessage").map(({ content }) => content),
    ["in time"],
  );
});

scenario(
  "joining while others write: history and live events meet without hole or double",
  async (t) => {
    const { room, users } = await roomOf(server.url, "ada", "bo");
    const writer = await native(server.url, users[0]);
    t.after(() => writer.close());
    let writing = true;
    let written = 0;
    const loop = (async () => {
      while (writing) {
        written += 1;
        await writer.ok("message.send", {
          roomId: room.id,
          content: `w${written}`,
          clientId: `w${written}`,
        });
      }
    })();
    const joiners = [];
    for (let index = 0; index < 5; index += 1) {
      await writer.events.atLeast(
        (index + 1) * 10,
        ({ event }) => event === "message.created",
        "message.created",
      );
      const joiner = await camel(server.url, users[1]);
      t.after(() => joiner.close());
      joiner.socket.emit("joinRoom", { roomId: room.id });
      joiners.push(joiner);
    }
    for (const joiner of joiners)
      await joiner.events.atLeast(10, ({ event }) => event === "newMessage", "newMessage");
    writing = false;
    await loop;
    for (const joiner of joiners) {
      await joiner.got("newMessage", ({ content }) => content === `w${written}`);
      const history = joiner.all("roomHistory");
      assert.equal(history.length, 1);
      const all = [...history[0].messages, ...joiner.all("newMessage")].map(({ content }) =>
        Number(content.slice(1)),
      );
      const first = all[0];
      assert.deepEqual(
        all,
        all.map((_, index) => first + index),
      );
      assert.equal(all.at(-1), written);
    }
  },
);

scenario("native and room clients of one room see the same id and seq", async (t) => {
  const { room, users } = await roomOf(server.url, "ada", "bo");
  const a = await native(server.url, users[0]);
  const b = await camel(server.url, users[1]);
  closing(t, a, b);
  await b.ok("joinRoom", { roomId: room.id });
  const one = await a.ok("message.send", {
    roomId: room.id,
    content: "from native",
    clientId: "n1",
  });
  const two = await b.ok("sendMessage", { roomId: room.id, content: "from room", clientId: "c1" });
  await a.got("message.created", ({ data }) => data.id === two.message.id);
  await b.got("newMessage", ({ id }) => id === two.message.id);
  const seenA = a.all("message.created").map(({ data }) => facts(data));
  assert.deepEqual(seenA, b.all("newMessage").map(facts));
  assert.deepEqual(
    seenA.map(({ id }) => id),
    [one.message.id, two.message.id],
  );

  const again = await b.ok("sendMessage", {
    roomId: room.id,
    content: "from room",
    clientId: "c1",
  });
  assert.equal(again.message.id, two.message.id);
});

scenario("refusals come as ack and as exception", async (t) => {
  const ada = await newUser(server.url, "ada");
  const client = await camel(server.url, ada);
  t.after(() => client.close());
  const missing = "00000000-0000-4000-8000-000000000000";
  const refused = await client.ask("sendMessage", { roomId: missing, content: "x" });
  assert.equal(refused.success, false);
  assert.equal(typeof refused.error, "string");
  assert.equal(typeof refused.code, "string");
  const exception = await client.got("exception");
  assert.equal(exception.status, "error");
  assert.equal(exception.code, refused.code);
  client.socket.emit("joinRoom", { roomId: missing });
  await client.events.atLeast(2, ({ event }) => event === "exception", "exception");
});
