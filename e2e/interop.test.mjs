// Conversations with clients on a Node server and on Mynah at once, as in a migration.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Emitter } from "@socket.io/redis-emitter";
import msgpack from "socket.io-msgpack-parser";
import { newUser, roomOf } from "./support/api.mjs";
import { NodeServer, Redis } from "./support/interop.mjs";
import { Server } from "./support/server.mjs";
import { camel, closing } from "./support/sockets.mjs";
import { until } from "./support/wait.mjs";

for (const format of ["classic", "sharded"]) {
  let redis;
  let node;
  let server;

  before(async () => {
    redis = await Redis.start();
    node = await NodeServer.start(redis, { format, namespace: "/" });
    const env = {
      MYNAH_SOCKETIO__DEFAULT_DIALECT: "camel",
      MYNAH_INTEROP__REDIS_URL: redis.url,
      MYNAH_INTEROP__NAMESPACES: "/",
      MYNAH_INTEROP__FORMAT: format,
    };
    server = await Server.start({ env });
    await until(async () => (await node.count()) === 2, "both to be subscribed");
  });
  after(async () => {
    await server?.close();
    await node?.stop();
    await redis?.kill();
  });

  /** A conversation with Ada and Bo on Mynah, and a client of the Node server. */
  async function conversation(t, ...options) {
    const { room, users } = await roomOf(server.url, "ada", "bo");
    const ours = [];
    for (const [index, user] of users.entries()) {
      const client = await camel(server.url, user, ...(options[index] ? [options[index]] : []));
      closing(t, client);
      await client.ok("joinRoom", { roomId: room.id });
      ours.push(client);
    }
    const theirs = await node.client([room.id]);
    t.after(() => theirs.disconnect());
    return { room, users, ours, theirs };
  }

  const heard = (client, name) => client.events.find(({ event }) => event === name, name);

  test(`${format}: what is said on Mynah is heard by clients of Node, once and in order`, async (t) => {
    const { room, users, ours, theirs } = await conversation(t);
    const ack = await ours[0].ok("sendMessage", { roomId: room.id, content: "hello" });
    const [, message] = await theirs.heard.find(([event]) => event === "newMessage", "the message");
    assert.deepEqual(message, await ours[1].got("newMessage", ({ id }) => id === message.id));
    assert.equal(message.id, ack.message.id);

    ours[0].socket.emit("typing", { roomId: room.id, isTyping: true });
    const [, typing] = await theirs.heard.find(([event]) => event === "userTyping", "typing");
    assert.deepEqual([typing.roomId, typing.userId], [room.id, users[0].user.id]);
    await ours[0].ok("editMessage", { messageId: message.id, content: "edited" });
    const [, edited] = await theirs.heard.find(([event]) => event === "messageUpdated", "the edit");
    assert.equal(edited.content, "edited");

    const contents = Array.from({ length: 100 }, (_, number) => `number ${number}`);
    for (const content of contents)
      ours[0].socket.emit("sendMessage", { roomId: room.id, content });
    await theirs.heard.find(([, body]) => body?.content === contents.at(-1), "the last one");
    const got = theirs.heard.items.filter(([event]) => event === "newMessage");
    assert.deepEqual(
      got.map(([, { content }]) => content),
      ["hello", ...contents],
    );
  });

  test(`${format}: what Node emits to a conversation is heard by its members on Mynah, once`, async (t) => {
    const options = { parser: msgpack };
    const { room, ours } = await conversation(t, {}, options);
    const stranger = await camel(server.url, await newUser(server.url, "eve"));
    closing(t, stranger);
    node.io.to(room.id).emit("newMessage", { id: "n1", content: "from Node" }, [1]);
    node.io.to(room.id).emit("file", { bytes: Buffer.from([1, 2, 3]) });
    node.io.to(room.id).emit("text", "at the end");
    node.io.to(room.id).volatile.emit("last");
    for (const client of ours) {
      await heard(client, "last");
      const events = client.events.items.filter(({ event }) =>
        ["newMessage", "file", "text", "last"].includes(event),
      );
      assert.deepEqual(
        events.map(({ event }) => event),
        ["newMessage", "file", "text", "last"],
      );
      assert.deepEqual(events[0].args, [{ id: "n1", content: "from Node" }, [1]]);
      assert.deepEqual([...events[1].args[0].bytes], [1, 2, 3]);
      // Clients that recover take a string at the end for a place in the log; none must be there.
      assert.deepEqual(events[2].args, ["at the end", null]);
    }
    node.io.emit("everybody");
    await heard(stranger, "everybody");
    assert.ok(!stranger.events.items.some(({ event }) => event === "last"));
  });

  test(`${format}: rooms, exceptions and single sockets are who is meant`, async (t) => {
    const { room, ours } = await conversation(t);
    const [ada, bo] = ours;
    node.io.in(ada.socket.id).socketsJoin(["vip", room.id]);
    await until(() => {
      node.io.to("vip").emit("vip");
      return ada.all("vip").length > 0;
    }, "the room to be entered");
    node.io.to(room.id).to("vip").emit("both");
    node.io.to(room.id).except("vip").emit("not ada");
    node.io.to(bo.socket.id).emit("bo alone");
    node.io.to(room.id).emit("end");
    for (const client of ours) await heard(client, "end");
    const names = (client) =>
      client.events.items
        .map(({ event }) => event)
        .filter((event) => ["both", "not ada", "bo alone", "end"].includes(event));
    assert.deepEqual(names(ada), ["both", "end"]);
    assert.deepEqual(names(bo), ["both", "not ada", "bo alone", "end"]);
    node.io.in("vip").socketsLeave("vip");
    node.io.to("vip").emit("nobody");
    node.io.to(room.id).emit("after");
    await heard(ada, "after");
    assert.ok(!ada.events.items.some(({ event }) => event === "nobody"));
  });

  test(`${format}: Node finds our sockets, asks them and disconnects them`, async (t) => {
    const { room, users, ours, theirs } = await conversation(t);
    const sockets = await node.io.in(room.id).fetchSockets();
    const ids = [...ours.map((client) => client.socket.id), theirs.id];
    assert.deepEqual(sockets.map(({ id }) => id).sort(), ids.toSorted());
    const ada = sockets.find(({ id }) => id === ours[0].socket.id);
    assert.deepEqual([ada.data.userId, ada.handshake.address], [users[0].user.id, "127.0.0.1"]);
    assert.ok(ada.rooms.has(room.id) && ada.rooms.has(ada.id));
    assert.ok(!JSON.stringify(ada.handshake).includes(users[0].token ?? "eyJ"), "no credentials");

    theirs.on("ask", (_, answer) => answer("Node"));
    ours[0].socket.on("ask", (_, answer) => answer("ada", 2));
    ours[1].socket.on("ask", (_, answer) => answer({ from: "bo" }));
    const answers = await node.io.to(room.id).timeout(10_000).emitWithAck("ask", 1);
    const shown = answers.map((answer) => answer.from ?? answer);
    assert.deepEqual(shown.sort(), ["Node", "ada", "bo"]);
    const none = await node.io.serverSideEmitWithAck("are you there");
    assert.deepEqual(none, [null]);

    node.io.in(ours[0].socket.id).disconnectSockets();
    const gone = await ours[0].states.find(({ state }) => state === "disconnect", "the end");
    assert.equal(gone.reason, "io server disconnect");
    ours[0].socket.connect();
    await until(() => ours[0].socket.connected, "a new connection");
    node.io.in(ours[1].socket.id).disconnectSockets(true);
    const ended = await ours[1].states.find(({ state }) => state === "disconnect", "the end");
    assert.equal(ended.reason, "io server disconnect");
    await until(async () => {
      const left = await node.io.in(room.id).fetchSockets();
      return !left.some(({ id }) => id === ids[1]);
    }, "Bo's socket to be gone");
  });

  test(`${format}: recovery is exact though Node spoke last`, async (t) => {
    const { room, ours } = await conversation(t);
    const [ada, bo] = ours;
    await bo.ok("sendMessage", { roomId: room.id, content: "one" });
    await ada.got("newMessage", ({ content }) => content === "one");
    node.io.to(room.id).emit("note", "a text");
    await heard(ada, "note");
    const again = ada.states.items.length;
    ada.socket.io.engine.close();
    await bo.ok("sendMessage", { roomId: room.id, content: "two" });
    await ada.states.when(
      (items) => items.slice(again).find(({ state }) => state === "connect"),
      "the connection",
    );
    await ada.got("newMessage", ({ content }) => content === "two");
    assert.deepEqual(
      ada.all("newMessage").map(({ content }) => content),
      ["one", "two"],
    );
  });

  test(`${format}: garbage harms nobody`, async (t) => {
    const { room, ours } = await conversation(t);
    const client = await redis.client();
    t.after(() => client.close());
    const [command, channel] =
      format === "sharded" ? ["SPUBLISH", "socket.io#/#"] : ["PUBLISH", "socket.io-request#/#"];
    for (const garbage of ["", "{", "\xc1", "{}", '{"type":3}', '{"type":"x","uid":{}}']) {
      await client.sendCommand([command, channel, garbage]);
    }
    node.io.to(room.id).emit("after");
    await heard(ours[0], "after");
    if (format === "classic") {
      new Emitter(client).to(room.id).emit("emitted", 1);
      assert.deepEqual((await heard(ours[0], "emitted")).args, [1]);
    }
  });
}
