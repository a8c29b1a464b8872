// One room in which every generation of the client library meets, each in both vocabularies.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { roomOf } from "./support/api.mjs";
import { KINDS } from "./support/generations.mjs";
import { kept, Member, VOCABULARIES } from "./support/members.mjs";
import { Server, scenarios } from "./support/server.mjs";
import { facts } from "./support/sockets.mjs";

let server;
before(async () => {
  server = await Server.start();
});
after(() => server?.close());

const scenario = scenarios(() => server);

/** A room with one member for each kind of client and vocabulary, each another user. */
async function everybody(t) {
  const wanted = KINDS.flatMap((kind) =>
    Object.keys(VOCABULARIES).map((vocabulary) => ({ kind, vocabulary })),
  );
  const { room, users } = await roomOf(server.url, ...wanted.map((_, index) => `user${index}`));
  const members = [];
  t.after(() => {
    for (const member of members) member.close();
  });
  for (const [index, options] of wanted.entries())
    members.push(await Member.open(server.url, users[index], room, options));
  return { room, users, members };
}

scenario("in turn: each sends, all hear all, with equal ids, seq and order", async (t) => {
  const { room, users, members } = await everybody(t);
  const sent = [];
  for (const [index, member] of members.entries())
    sent.push(await member.say(`${index} says ünïcode 😀 \u2028 "quoted" \\ from ${member.name}`));
  for (const member of members) await member.hears(sent.at(-1).id);
  for (const member of members)
    assert.deepEqual(member.heard(), sent.map(facts), `what ${member.name} heard`);
  assert.deepEqual(await kept(users[0].api, room.id), sent.map(facts));
});

scenario("all at once: one order for everybody, each once", async (t) => {
  const { room, users, members } = await everybody(t);
  const each = 10;
  const acks = await Promise.all(
    members.flatMap((member, index) =>
      Array.from({ length: each }, (_, turn) => member.say(`${index}.${turn}`)),
    ),
  );
  const history = await kept(users[0].api, room.id);
  assert.deepEqual(new Set(history.map(({ id }) => id)), new Set(acks.map(({ id }) => id)));
  for (const member of members) await member.hears(history.at(-1).id);
  for (const member of members)
    assert.deepEqual(member.heard(), history, `what ${member.name} heard`);
  for (const index of members.keys()) {
    const own = history.filter(({ content }) => content.startsWith(`${index}.`));
    const expected = Array.from({ length: each }, (_, turn) => `${index}.${turn}`);
    assert.deepEqual(
      own.map(({ content }) => content),
      expected,
      `the order in which ${members[index].name} sent`,
    );
  }
});

scenario("typing of each reaches all others, and not itself", async (t) => {
  const { room, members } = await everybody(t);
  for (const typist of members) {
    await typist.client.ok(typist.words.typing, { roomId: room.id, isTyping: true });
    for (const other of members) {
      if (other === typist) continue;
      const match = ({ userId, isTyping }) => userId === typist.user.user.id && isTyping;
      const notice = await other.client.got(other.words.typed, match);
      assert.equal(notice.roomId, room.id);
    }
  }
  const marker = await members[0].say("after all typing");
  for (const member of members) {
    await member.hears(marker.id);
    const own = member.client
      .all(member.words.typed)
      .filter(({ userId, isTyping }) => userId === member.user.user.id && isTyping);
    assert.deepEqual(own, [], `${member.name} hears itself type`);
  }
});

scenario("a refused event is an ack with a code and the vocabulary's error event", async (t) => {
  const { members } = await everybody(t);
  for (const { client, words, name } of members) {
    const body = { roomId: "00000000-0000-4000-8000-000000000000", content: "x", clientId: "x" };
    const ack = await client.ask(words.send, body);
    assert.equal(ack.success, false, name);
    assert.equal(typeof ack.code, "string", name);
    const event = await client.got(words.refusal);
    assert.equal(event.code, ack.code, name);
  }
});

scenario("an edit and a deletion reach every generation", async (t) => {
  const { members } = await everybody(t);
  const [first] = members;
  const message = await first.say("to be changed");
  const native = first.words.dialect === "native";
  await first.client.ok(native ? "message.edit" : "editMessage", {
    messageId: message.id,
    content: "changed",
  });
  await first.client.ok(native ? "message.delete" : "deleteMessage", { messageId: message.id });
  for (const { client, words, name } of members) {
    const [updated, deleted] =
      words.dialect === "native"
        ? ["message.updated", "message.deleted"]
        : ["messageUpdated", "messageDeleted"];
    const change = await client.got(updated, (body) => (body.data ?? body).id === message.id);
    assert.equal((change.data ?? change).content, "changed", name);
    await client.got(deleted, (body) => (body.data ?? body).messageId === message.id);
  }
});

scenario(
  "clients of the second generation never see an argument more than Node sends",
  async (t) => {
    const { members } = await everybody(t);
    const last = await members[0].say("one argument");
    for (const member of members) {
      await member.hears(last.id);
      if (!member.name.startsWith("2 ")) continue;
      const long = member.client.events.items.filter(({ args }) => args.length !== 1);
      assert.deepEqual(long, [], member.name);
    }
  },
);
