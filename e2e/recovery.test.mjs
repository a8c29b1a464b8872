// Connection state recovery with the stock library alone: no `since`, nothing kept by the page.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { newUser, roomOf } from "./support/api.mjs";
import { KINDS, kind } from "./support/generations.mjs";
import { Member, VOCABULARIES } from "./support/members.mjs";
import { Server, scenarios } from "./support/server.mjs";
import { Client } from "./support/sockets.mjs";
import { TcpProxy } from "./support/tcp-proxy.mjs";
import { story, Traveller } from "./support/traveller.mjs";

let server;
before(async () => {
  server = await Server.start();
});
after(() => server?.close());

const scenario = scenarios(() => server);
const ROOM_EVENTS = {
  native: [
    "message.created",
    "message.updated",
    "message.deleted",
    "member.joined",
    "room.updated",
  ],
  camel: ["newMessage", "messageUpdated", "messageDeleted", "userJoined", "roomUpdated"],
};

async function sendAll(api, roomId, count, prefix) {
  const sent = [];
  for (let index = 0; index < count; index += 1)
    sent.push(await api.send(roomId, `${prefix} ${index}`));
  return sent;
}

for (const one of KINDS.filter(({ recovers }) => recovers)) {
  for (const vocabulary of Object.keys(VOCABULARIES)) {
    const options = { kind: one, vocabulary };

    scenario(`${one.name}, ${vocabulary}: before the first event of a room`, async (t) => {
      const { room, users } = await roomOf(server.url, "ada", "bo");
      const traveller = await Traveller.open(t, server.url, users[1], room, options);
      const { id } = traveller.client.socket;
      const { recovered } = await traveller.away(() => sendAll(users[0].api, room.id, 3, "missed"));
      assert.equal(recovered, true);
      assert.equal(traveller.client.socket.id, id, "it is the same socket");
      await sendAll(users[0].api, room.id, 2, "live");
      await traveller.heardAll(users[0].api);
    });

    scenario(`${one.name}, ${vocabulary}: five times, whatever happened meanwhile`, async (t) => {
      const { room, users } = await roomOf(server.url, "ada", "bo", "cy");
      const witness = await Member.open(server.url, users[2], room, { vocabulary });
      t.after(() => witness.close());
      const traveller = await Traveller.open(t, server.url, users[1], room, options);
      const { api } = users[0];
      for (let round = 0; round < 5; round += 1) {
        const heard = await sendAll(api, room.id, 2 + round * 20, `heard ${round}`);
        const [first, second] = heard;
        await traveller.member.hears(heard.at(-1).id);
        const { recovered } = await traveller.away(async () => {
          if (round === 3) return;
          await sendAll(api, room.id, 1 + round * 5, `missed ${round}`);
          await api.ok("PATCH", `/v1/messages/${first.id}`, { content: `changed ${round}` });
          await api.ok("DELETE", `/v1/messages/${second.id}`);
          await (await newUser(server.url, "new")).api.join(room.id);
          await api.ok("PATCH", `/v1/rooms/${room.id}`, { name: `round ${round}` });
        });
        assert.equal(recovered, true, `round ${round}`);
        const own = await traveller.member.say(`own ${round}`);
        await witness.hears(own.id);
        await traveller.member.hears(own.id);
        const names = ROOM_EVENTS[vocabulary];
        assert.deepEqual(story(traveller.member, names), story(witness, names), `round ${round}`);
      }
      // (`connection.ready` is told again: it says where the rooms stand.)
      const opened = ["joinedRoom", "roomHistory"];
      const again = story(traveller.member, opened);
      const once = new Set(again.map(([event]) => event));
      assert.equal(again.length, once.size, "no room is opened again");
    });

    scenario(`${one.name}, ${vocabulary}: the old connection still looks open`, async (t) => {
      const { room, users } = await roomOf(server.url, "ada", "bo");
      const traveller = await Traveller.open(t, server.url, users[1], room, options);
      for (let round = 0; round < 3; round += 1) {
        await sendAll(users[0].api, room.id, 2, `heard ${round}`);
        await traveller.heardAll(users[0].api);
        const { recovered } = await traveller.halfOpen(() =>
          sendAll(users[0].api, room.id, 5, `into the void ${round}`),
        );
        assert.equal(recovered, true, `round ${round}`);
        await sendAll(users[0].api, room.id, 1, `live ${round}`);
        await traveller.heardAll(users[0].api);
      }
    });
  }
}

scenario("a client that joined no room is recovered too", async (t) => {
  const ada = await newUser(server.url, "ada");
  const proxy = await TcpProxy.start(server.url);
  t.after(() => proxy.close());
  for (const one of KINDS.filter(({ recovers }) => recovers)) {
    const client = await Client.open(proxy.url, { token: ada.accessToken, ...one.options });
    t.after(() => client.close());
    const { id } = client.socket;
    for (let round = 1; round <= 3; round += 1) {
      const from = client.states.items.length;
      client.cut();
      const { recovered } = await client.state("connect", from);
      assert.equal(recovered, true, `${one.name}, round ${round}`);
      assert.equal(client.socket.id, id, one.name);
    }
    client.close();
  }
});

scenario("rooms of the user's inbox: added, messages there, removed", async (t) => {
  const { room, users } = await roomOf(server.url, "ada", "bo");
  const traveller = await Traveller.open(t, server.url, users[1], room, {
    kind: kind("4 over websocket"),
  });
  const { api } = users[0];
  const group = await api.createRoom("brief", { visibility: "private" });
  const direct = { userId: users[1].user.id };
  let talk;
  const { recovered } = await traveller.away(async () => {
    await api.ok("POST", `/v1/rooms/${group.id}/members`, direct);
    talk = await api.ok("POST", "/v1/rooms/direct", direct);
    await api.send(talk.id, "in a room it did not know of");
    await api.send(room.id, "in a room it knew");
  });
  assert.equal(recovered, true);
  await api.send(talk.id, "live there");
  const { client } = traveller;
  await client.got("message.created", ({ data }) => data.content === "live there");
  const added = client.all("room.added").filter(({ data }) => data.room.id === talk.id);
  assert.equal(added.length, 1);
  const contents = (id) =>
    client
      .all("message.created")
      .filter(({ roomId }) => roomId === id)
      .map(({ data }) => data.content);
  assert.deepEqual(contents(talk.id), ["in a room it did not know of", "live there"]);
  assert.deepEqual(contents(room.id), ["in a room it knew"]);
});

scenario("a text that was deleted meanwhile is not told any more", async (t) => {
  const { room, users } = await roomOf(server.url, "ada", "bo");
  const { api } = users[0];
  for (const vocabulary of Object.keys(VOCABULARIES)) {
    const traveller = await Traveller.open(t, server.url, users[1], room, { vocabulary });
    const { recovered } = await traveller.away(async () => {
      const regretted = await api.send(room.id, "regretted");
      await api.ok("DELETE", `/v1/messages/${regretted.id}`);
      await api.send(room.id, "what was meant");
    });
    assert.equal(recovered, true);
    await traveller.member.hearsText("what was meant");
    const told = JSON.stringify(traveller.client.events.items);
    assert.ok(!told.includes("regretted"), told);
    traveller.member.close();
  }
});

scenario("what was said after one was removed stays unheard", async (t) => {
  const { room, users } = await roomOf(server.url, "ada", "bo");
  const other = await users[0].api.createRoom("the other");
  await users[1].api.join(other.id);
  for (const vocabulary of Object.keys(VOCABULARIES)) {
    const traveller = await Traveller.open(t, server.url, users[1], room, { vocabulary });
    if (vocabulary === "camel") await traveller.client.ok("joinRoom", { roomId: other.id });
    const { api } = users[0];
    const { recovered } = await traveller.away(async () => {
      await api.send(room.id, "while a member");
      await api.ok("DELETE", `/v1/rooms/${room.id}/members/${users[1].user.id}`);
      await api.send(room.id, "not for them");
      await api.send(other.id, "elsewhere");
    });
    assert.equal(recovered, true);
    await api.send(room.id, "not for them either");
    const marker = await api.send(other.id, "marker");
    const { words } = traveller.member;
    await traveller.client.got(words.created, (body) => words.message(body).id === marker.id);
    const heard = traveller.client.all(words.created).map((body) => words.message(body).content);
    assert.deepEqual(
      heard.filter((content) => content.startsWith("not for them")),
      [],
    );
    assert.deepEqual(
      heard.filter((content) => ["elsewhere", "marker"].includes(content)),
      ["elsewhere", "marker"],
    );
    traveller.member.close();
    await users[1].api.join(room.id);
  }
});

scenario("camel: only rooms that were opened are heard again", async (t) => {
  const { room, users } = await roomOf(server.url, "ada", "bo");
  const { api } = users[0];
  const second = await api.createRoom("opened too");
  const closed = await api.createRoom("never opened");
  for (const { id } of [second, closed]) await users[1].api.join(id);
  const traveller = await Traveller.open(t, server.url, users[1], room, { vocabulary: "camel" });
  await traveller.client.ok("joinRoom", second.id);
  const say = async (word) => {
    for (const { id } of [closed, room, second]) await api.send(id, word);
  };
  await say("before");
  const { recovered } = await traveller.away(() => say("missed"));
  assert.equal(recovered, true);
  await say("after");
  await traveller.client.got(
    "newMessage",
    ({ roomId, content }) => roomId === second.id && content === "after",
  );
  const heard = (id) =>
    traveller.client
      .all("newMessage")
      .filter(({ roomId }) => roomId === id)
      .map(({ content }) => content);
  assert.deepEqual(heard(room.id), ["before", "missed", "after"]);
  assert.deepEqual(heard(second.id), ["before", "missed", "after"]);
  assert.deepEqual(heard(closed.id), []);
});

scenario("typing of the past is not replayed; durable events alone carry a place", async (t) => {
  const { room, users } = await roomOf(server.url, "ada", "bo");
  const talker = await Member.open(server.url, users[0], room);
  t.after(() => talker.close());
  const traveller = await Traveller.open(t, server.url, users[1], room);
  await talker.client.ok("typing", { roomId: room.id, isTyping: true });
  await traveller.client.got("typing");
  await talker.client.ok("typing", { roomId: room.id, isTyping: false });
  await talker.say("done");
  await traveller.member.hearsText("done");
  const seen = traveller.client.all("typing").length;
  const { recovered } = await traveller.away(async () => {
    await talker.client.ok("typing", { roomId: room.id, isTyping: true });
    await talker.client.ok("typing", { roomId: room.id, isTyping: false });
  });
  assert.equal(recovered, true);
  await talker.say("marker");
  await traveller.member.hearsText("marker");
  assert.equal(traveller.client.all("typing").length, seen);
  for (const { event, args } of traveller.client.events.items) {
    if (event === "typing" || event === "presence") assert.equal(args.length, 1, event);
    if (event !== "message.created") continue;
    assert.equal(args.length, 2, event);
    assert.equal(typeof args[1], "string", event);
  }
});

scenario("two namespaces on one connection are both recovered", async (t) => {
  const { room, users } = await roomOf(server.url, "ada", "bo");
  const traveller = await Traveller.open(t, server.url, users[1], room, { vocabulary: "camel" });
  const { client } = traveller;
  const beside = client.socket.io.socket("/mynah", { auth: { token: users[1].accessToken } });
  t.after(() => beside.close());
  const heard = [];
  beside.on("message.created", ({ data }) => heard.push(data.content));
  await new Promise((resolve) => beside.once("connect", resolve));
  const back = new Promise((resolve) => {
    beside.on("disconnect", () => beside.once("connect", () => resolve(beside.recovered)));
  });
  const { recovered } = await traveller.away(() => users[0].api.send(room.id, "missed by both"));
  assert.deepEqual([recovered, await back], [true, true]);
  await users[0].api.send(room.id, "live for both");
  await traveller.heardAll(users[0].api);
  await client.ok("markAsRead", { roomId: room.id });
  assert.deepEqual(heard, ["missed by both", "live for both"]);
});
