// The same promise for a client that speaks MessagePack.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { roomOf } from "./support/api.mjs";
import { kind } from "./support/generations.mjs";
import { LossyProxy } from "./support/lossy-proxy.mjs";
import { Member } from "./support/members.mjs";
import { Server, scenarios } from "./support/server.mjs";

let server;
before(async () => {
  server = await Server.start();
});
after(() => server?.close());

const scenario = scenarios(() => server);

for (const name of ["4 msgpack over websocket", "4 msgpack over polling"]) {
  scenario(`the connection is lost before the ack: ${name}`, async (t) => {
    const proxy = await LossyProxy.start(server.url);
    t.after(() => proxy.close());
    const { room, users } = await roomOf(server.url, "ada");
    const member = await Member.open(proxy.url, users[0], room, {
      kind: kind(name),
      retries: 50,
      ackTimeout: 400,
    });
    t.after(() => member.close());
    // Base64 hides the word that marks an acknowledgement: any answer after a send is one.
    for (let turn = 0; turn < 10; turn += 1) {
      if (turn % 3 === 0) proxy.loseNextAnswer({ any: name.includes("polling") });
      const clientId = `m${turn}`;
      const body = { roomId: room.id, content: clientId, clientId };
      const ack = await member.client.socket.emitWithAck("message.send", body);
      assert.equal(ack.message.content, clientId);
    }
    assert.ok(proxy.lost > 0, "no answer was lost");
    const texts = (await users[0].api.history(room.id)).map(({ content }) => content);
    assert.deepEqual(
      texts,
      Array.from({ length: 10 }, (_, turn) => `m${turn}`),
    );
  });
}
