// Mynah's side of a Socket.IO cluster against the official adapters and emitter, in both directions.
import assert from "node:assert/strict";
import test from "node:test";
import { Emitter } from "@socket.io/redis-emitter";
import { NodeServer, Redis, Side } from "./support/interop.mjs";
import { until } from "./support/wait.mjs";

for (const format of ["classic", "sharded"]) {
  test(`interop, ${format} adapter`, async (t) => {
    const redis = await Redis.start();
    const node = await NodeServer.start(redis, { format });
    const side = await Side.start(redis, { format });
    await until(async () => (await node.count()) === 2, "both to be subscribed");
    t.after(async () => {
      await node.stop();
      await side.stop();
      await redis.kill();
    });
    await side.add("mynah-1", ["r1"]);
    await side.add("mynah-2", ["r1", "r2"]);
    const ann = await node.client(["r1"]);
    const bob = await node.client(["r2"]);
    t.after(() => [ann, bob].forEach((client) => client.disconnect()));

    await t.test("Node's events reach the sockets that are meant", async () => {
      node.nsp.to("r1").emit("one", 1, { a: [true, null, "ä"] });
      assert.deepEqual(await side.next("emit"), {
        heard: "emit",
        event: "one",
        args: [1, { a: [true, null, "ä"] }],
        attachments: [],
        sockets: ["mynah-1", "mynah-2"],
        volatile: false,
      });
      node.nsp.to("r1").to("r3").except("r2").emit("two");
      assert.deepEqual((await side.next("emit")).sockets, ["mynah-1"]);
      node.nsp.volatile.emit("three");
      const three = await side.next("emit");
      assert.deepEqual([three.sockets, three.volatile], [["mynah-1", "mynah-2"], true]);
      node.nsp.to("mynah-2").emit("four");
      assert.deepEqual((await side.next("emit")).sockets, ["mynah-2"]);
      node.io.emit("other namespace");
      node.nsp.to("r2").emit("five");
      assert.equal((await side.next("emit")).event, "five");
    });

    await t.test("binary data comes through", async () => {
      node.nsp.to("r1").emit("file", { bytes: Buffer.from([1, 2, 3]) }, Buffer.from([255]));
      const heard = await side.next("emit");
      assert.deepEqual(heard.args, [
        { bytes: { _placeholder: true, num: 0 } },
        { _placeholder: true, num: 1 },
      ]);
      assert.deepEqual(heard.attachments, [[1, 2, 3], [255]]);
    });

    await t.test("a date is what JSON makes of it", async () => {
      node.nsp.to("r1").emit("date", new Date(1795255200123), Buffer.from([]));
      const [date] = (await side.next("emit")).args;
      // Beside binary data the sharded adapter sends dates as msgpack knows them.
      assert.equal(date, "2026-11-21T10:00:00.123Z");
    });

    await t.test("our events reach Node's clients", async () => {
      const heard = (client, name) => client.heard.find(([event]) => event === name, name);
      side.tell({ do: "emit", rooms: ["r1"], event: "hello", args: [{ a: 1 }, "two"] });
      assert.deepEqual(await heard(ann, "hello"), ["hello", { a: 1 }, "two"]);
      side.tell({ do: "emit", rooms: ["r1", "r2"], except: ["r1"], event: "except" });
      assert.deepEqual(await heard(bob, "except"), ["except"]);
      const args = [{ bytes: { _placeholder: true, num: 0 } }];
      side.tell({ do: "emit", event: "our file", args, attachments: [[1, 2, 3]] });
      const [, { bytes }] = await heard(ann, "our file");
      assert.deepEqual([...bytes], [1, 2, 3]);
      await heard(bob, "our file");
      side.tell({ do: "emit", rooms: [bob.id], event: "only bob" });
      await heard(bob, "only bob");
      const wrong = ann.heard.items.filter(([event]) => ["except", "only bob"].includes(event));
      assert.deepEqual(wrong, []);
    });

    await t.test("Node sees our sockets", async () => {
      const sockets = await node.nsp.fetchSockets();
      const ids = sockets.map((socket) => socket.id);
      assert.deepEqual(ids.sort(), ["mynah-1", "mynah-2", ann.id, bob.id].sort());
      const ours = sockets.find((socket) => socket.id === "mynah-2");
      assert.deepEqual(ours.data, { name: "mynah-2" });
      assert.deepEqual([...ours.rooms].sort(), ["mynah-2", "r1", "r2"]);
      assert.equal(ours.handshake.address, "127.0.0.1");
      const some = await node.nsp.in("r1").except("r2").fetchSockets();
      assert.deepEqual(some.map((socket) => socket.id).sort(), ["mynah-1", ann.id].sort());
      if (format === "classic") {
        const rooms = await node.nsp.adapter.allRooms();
        assert.deepEqual(
          [...rooms].sort(),
          ["mynah-1", "mynah-2", "r1", "r2", ann.id, bob.id].sort(),
        );
      }
    });

    await t.test("rooms change from both sides", async () => {
      node.nsp.in("mynah-1").socketsJoin(["r7", "r8"]);
      assert.deepEqual(await side.next("join"), {
        heard: "join",
        sockets: ["mynah-1"],
        rooms: ["r7", "r8"],
      });
      node.nsp.to("r7").emit("seven");
      assert.deepEqual((await side.next("emit")).sockets, ["mynah-1"]);
      node.nsp.in("r7").socketsLeave("r7");
      assert.deepEqual((await side.next("leave")).sockets, ["mynah-1"]);

      side.tell({ do: "join", rooms: ["r1"], names: ["r9"] });
      // The sharded adapter begins to listen to a room when the first socket has entered it.
      await until(() => {
        side.tell({ do: "emit", rooms: ["r9"], event: "nine" });
        return ann.heard.items.some(([event]) => event === "nine");
      }, "nine");
      side.tell({ do: "leave", rooms: ["r9"], names: ["r9"] });
      side.tell({ do: "emit", rooms: ["r9"], event: "nobody" });
      side.tell({ do: "emit", event: "everybody" });
      await ann.heard.find(([event]) => event === "everybody", "everybody");
      assert.ok(!ann.heard.items.some(([event]) => event === "nobody"));
    });

    await t.test("servers talk to each other", async () => {
      node.nsp.serverSideEmit("news", { a: 1 });
      const heard = await side.next("serverSide");
      assert.deepEqual([heard.event, heard.args], ["news", [{ a: 1 }]]);
      assert.deepEqual(await node.nsp.serverSideEmitWithAck("question", 2), [{ from: "mynah" }]);
      assert.equal((await side.next("serverSide")).event, "question");
      const heardHere = new Promise((resolve) => node.nsp.once("hi", (...args) => resolve(args)));
      side.tell({ do: "serverSide", event: "hi", args: [1, "b"] });
      assert.deepEqual(await heardHere, [1, "b"]);
    });

    await t.test("Node gets the acknowledgements of our sockets too", async () => {
      ann.on("ask", (...args) => args.at(-1)("ann"));
      const answers = await node.nsp.to("r1").timeout(5000).emitWithAck("ask", 1);
      assert.deepEqual(answers.map((answer) => answer.from ?? answer).sort(), [
        "ann",
        "mynah-1",
        "mynah-2",
      ]);
      assert.equal((await side.next("emitWithAck")).event, "ask");
    });

    await t.test("Node disconnects our sockets, and we its", async () => {
      node.nsp.in("mynah-1").disconnectSockets();
      assert.deepEqual(await side.next("disconnect"), {
        heard: "disconnect",
        sockets: ["mynah-1"],
        whole: false,
      });
      const gone = new Promise((resolve) => bob.once("disconnect", resolve));
      side.tell({ do: "disconnect", rooms: ["r2"] });
      assert.equal(await gone, "io server disconnect");
    });

    await t.test("garbage is counted and harms nobody", async () => {
      const before = (await side.ask()).garbage;
      const client = await redis.client();
      const garbage = [
        Buffer.from([0xc1]),
        "",
        "{",
        "[]",
        Buffer.alloc(1000, 0x91),
        "\x93\xa1a\xc0\xc0",
      ];
      for (const message of garbage) {
        // Node's classic adapter dies of garbage where events come; among requests it survives.
        const channel = format === "sharded" ? "socket.io#/chat#r1#" : "socket.io-request#/chat#";
        const command = format === "sharded" ? "SPUBLISH" : "PUBLISH";
        await client.sendCommand([command, channel, message]);
      }
      await client.close();
      node.nsp.to("r1").emit("after");
      assert.equal((await side.next("emit")).event, "after");
      assert.equal((await side.ask()).garbage - before, garbage.length);
    });

    await t.test("a Redis that comes back finds all of it again", async () => {
      await redis.kill();
      await until(async () => !(await side.ask()).up, "the loss to be noticed");
      redis.spawn();
      await redis.ready();
      await until(async () => (await side.ask()).up, "a connection");
      await until(async () => (await node.count().catch(() => 0)) === 2, "both to be subscribed");
      await until(async () => {
        node.nsp.to("r1").emit("again");
        return side.heard.items.some((line) => line.event === "again");
      }, "an event");
      await until(() => {
        side.tell({ do: "emit", rooms: ["r1"], event: "and back" });
        return ann.heard.items.some(([event]) => event === "and back");
      }, "an event");
    });
  });
}

test("interop, the emitter", async (t) => {
  const redis = await Redis.start();
  const side = await Side.start(redis);
  const client = await redis.client();
  t.after(async () => {
    await client.close();
    await side.stop();
    await redis.kill();
  });
  await side.add("mynah-1", ["r1", "7"]);
  await side.add("mynah-2", ["r2"]);
  const emitter = new Emitter(client).of("/chat");

  emitter.to("r1").emit("one", 1, Buffer.from([9]));
  const one = await side.next("emit");
  assert.deepEqual([one.sockets, one.args[0], one.attachments], [["mynah-1"], 1, [[9]]]);
  emitter.except("r1").volatile.emit("two");
  const two = await side.next("emit");
  assert.deepEqual([two.sockets, two.volatile], [["mynah-2"], true]);
  emitter.to(7).emit("a room that is a number");
  assert.deepEqual((await side.next("emit")).sockets, ["mynah-1"]);
  emitter.to("nobody").emit("three");
  emitter.in("r2").socketsJoin("r3");
  assert.deepEqual(await side.next("join"), { heard: "join", sockets: ["mynah-2"], rooms: ["r3"] });
  emitter.in("r3").socketsLeave(["r3"]);
  assert.deepEqual((await side.next("leave")).sockets, ["mynah-2"]);
  emitter.serverSideEmit("news", { a: 1 });
  assert.deepEqual((await side.next("serverSide")).args, [{ a: 1 }]);
  emitter.in("r2").disconnectSockets(true);
  const gone = await side.next("disconnect");
  assert.deepEqual([gone.sockets, gone.whole], [["mynah-2"], true]);
  assert.ok(!side.heard.items.some((line) => line.event === "three"));
});
