// `retries` of socket.io-client 4: a send is repeated until it is acknowledged, and exists once.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { roomOf } from "./support/api.mjs";
import { kind } from "./support/generations.mjs";
import { LossyProxy } from "./support/lossy-proxy.mjs";
import { kept, Member } from "./support/members.mjs";
import { Server, scenarios } from "./support/server.mjs";
import { closing, facts } from "./support/sockets.mjs";
import { until, within } from "./support/wait.mjs";

let server;
before(async () => {
  server = await Server.start();
});
after(() => server?.close());

const scenario = scenarios(() => server);
const ACK = 3;
const COUNT = 20;
const RETRIES = { retries: 50, ackTimeout: 400 };
const IMPATIENT = { retries: 500, ackTimeout: 100 };

/** Every acknowledgement the library was sent, also those it threw away. */
function allAcks(client) {
  const seen = [];
  client.socket.io.on("packet", ({ type, data }) => {
    // The library puts a null before the arguments of an ack that it waited for.
    const ack = type === ACK ? data.find((argument) => argument?.message) : undefined;
    if (ack) seen.push(ack.message);
  });
  return seen;
}

/** Hands `count` messages to the library at once; it sends one after the other. Answers what it was told. */
function sendAll(member, count, prefix) {
  const { socket } = member.client;
  return Promise.all(
    Array.from({ length: count }, (_, index) => {
      const clientId = `${prefix}${index}`;
      const body = { roomId: member.roomId, content: `text of ${clientId}`, clientId };
      return new Promise((resolve, reject) => {
        socket.emit(member.words.send, body, (error, ack) =>
          error ? reject(error) : resolve({ ...ack, clientId }),
        );
      });
    }),
  );
}

/** One message for each client id, and every ack of it, also a repeated one, names that message. */
async function check(api, roomId, answers, acks) {
  const history = await api.history(roomId);
  const texts = history.map(({ content }) => content);
  assert.deepEqual(
    texts,
    answers.map(({ clientId }) => `text of ${clientId}`),
    "each once, in the order of sending",
  );
  const idOf = new Map(history.map((message) => [message.clientId, message.id]));
  for (const { success, message, clientId } of answers) {
    assert.equal(success, true);
    assert.equal(message.id, idOf.get(clientId), `the ack of ${clientId}`);
  }
  for (const { id, clientId } of acks)
    assert.equal(id, idOf.get(clientId), `some ack of ${clientId}`);
}

for (const vocabulary of ["native", "camel"]) {
  for (const name of ["4 over websocket", "4 over polling", "4 upgrading"]) {
    scenario(`the connection is lost before the ack: ${name}, ${vocabulary}`, async (t) => {
      const proxy = await LossyProxy.start(server.url);
      t.after(() => proxy.close());
      const { room, users } = await roomOf(server.url, "ada", "bo");
      const options = { kind: kind(name), vocabulary };
      const witness = await Member.open(server.url, users[1], room, { vocabulary });
      const member = await Member.open(proxy.url, users[0], room, { ...options, ...RETRIES });
      closing(t, member, witness);
      const acks = allAcks(member.client);
      // The line breaks when the next answer comes by; every third message has that happen to it.
      const sent = sendAll(member, COUNT, "m");
      let lost = 0;
      const breaking = (async () => {
        while (lost < COUNT / 3) {
          const heard = witness.heard().length;
          proxy.loseNextAnswer();
          await until(() => proxy.lost > lost, "an answer to be lost");
          lost = proxy.lost;
          await witness.client.events.when(
            () => (witness.heard().length > heard + 1 ? true : undefined),
            "another message",
          );
        }
      })();
      const answers = await within(30_000, sent, "all acks");
      await within(30_000, Promise.race([breaking, sent]), "the losses");
      proxy.pass();
      assert.ok(proxy.lost > 0, "no answer was lost");
      await check(users[0].api, room.id, answers, acks);
      await witness.hears(answers.at(-1).message.id);
      assert.deepEqual(witness.heard(), await kept(users[0].api, room.id));
    });
  }
}

scenario("acks come later than the library waits for them", async (t) => {
  const proxy = await LossyProxy.start(server.url);
  t.after(() => proxy.close());
  const { room, users } = await roomOf(server.url, "ada");
  const member = await Member.open(proxy.url, users[0], room, {
    kind: kind("4 over websocket"),
    ...IMPATIENT,
  });
  t.after(() => member.close());
  const acks = allAcks(member.client);
  proxy.delayAnswers(250, 6);
  const answers = await within(30_000, sendAll(member, 5, "late"), "all acks");
  assert.ok(acks.length > answers.length, "the library repeated what was acknowledged late");
  await check(users[0].api, room.id, answers, acks);
});

scenario(
  "the server is killed in the middle of sends, three times",
  async (t) => {
    const { room, users } = await roomOf(server.url, "ada");
    for (let round = 0; round < 3; round += 1) {
      const member = await Member.open(server.url, users[0], room, {
        kind: kind("4 over websocket"),
        retries: 500,
        ackTimeout: 400,
      });
      t.after(() => member.close());
      const before = await users[0].api.history(room.id);
      const acks = allAcks(member.client);
      const sent = sendAll(member, 200, `r${round}-`);
      await until(() => acks.length > 20, "the first acks");
      await server.restart({ kill: true });
      const answers = await within(60_000, sent, "all acks");
      const history = (await users[0].api.history(room.id)).slice(before.length);
      assert.deepEqual(
        history.map(facts),
        answers.map(({ message }) => facts(message)),
        "what was acknowledged is there once, in order",
      );
      for (const { id, clientId } of acks)
        assert.equal(id, answers.find((answer) => answer.clientId === clientId).message.id);
      member.close();
    }
  },
  120_000,
);
