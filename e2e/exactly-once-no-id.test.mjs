// `retries` of a page that gives no ids of its own: the server alone tells a repeat from a second message.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { roomOf } from "./support/api.mjs";
import { kind } from "./support/generations.mjs";
import { LossyProxy } from "./support/lossy-proxy.mjs";
import { kept, Member } from "./support/members.mjs";
import { Server, scenarios } from "./support/server.mjs";
import { facts } from "./support/sockets.mjs";

let server;
before(async () => {
  server = await Server.start();
});
after(() => server?.close());

const scenario = scenarios(() => server);
const RETRIES = { retries: 50, ackTimeout: 1_000 };

for (const name of ["4 over websocket", "4 over polling"]) {
  scenario(`the answer is lost with the connection: ${name}`, async (t) => {
    const proxy = await LossyProxy.start(server.url);
    t.after(() => proxy.close());
    const { room, users } = await roomOf(server.url, "ada");
    const member = await Member.open(proxy.url, users[0], room, { kind: kind(name), ...RETRIES });
    t.after(() => member.close());
    const { socket } = member.client;
    const said = [];
    for (let turn = 0; turn < 12; turn += 1) {
      if (turn % 4 === 1) proxy.loseNextAnswer();
      // The same word is said on purpose now and then.
      const content = turn % 3 === 0 ? "yes" : `words ${turn}`;
      const ack = await socket.emitWithAck("message.send", { roomId: room.id, content });
      assert.equal(ack.success, true);
      said.push(ack.message);
    }
    assert.ok(proxy.lost >= 3, `only ${proxy.lost} answers were lost`);
    assert.deepEqual(await kept(users[0].api, room.id), said.map(facts), "each once, as answered");
  });
}

scenario("equal messages on purpose stay as many as they were", async (t) => {
  const { room, users } = await roomOf(server.url, "ada");
  const member = await Member.open(server.url, users[0], room, {
    kind: kind("4 over websocket"),
    ...RETRIES,
  });
  t.after(() => member.close());
  const say = () =>
    member.client.socket.emitWithAck("message.send", { roomId: room.id, content: "ha" });
  const inOneGo = await Promise.all([say(), say(), say()]);
  const oneByOne = [await say(), await say()];
  const ids = [...inOneGo, ...oneByOne].map(({ message }) => message.id);
  assert.equal(new Set(ids).size, 5);
  assert.deepEqual(
    (await kept(users[0].api, room.id)).map(({ id }) => id),
    ids,
  );
});
