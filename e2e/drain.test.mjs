// The server is told to stop while everybody talks, and another process takes its place.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { roomOf } from "./support/api.mjs";
import { KINDS } from "./support/generations.mjs";
import { kept, Member } from "./support/members.mjs";
import { Server, scenarios } from "./support/server.mjs";
import { closing, facts } from "./support/sockets.mjs";
import { until, within } from "./support/wait.mjs";

const DRAIN_S = 3;
let server;
before(async () => {
  server = await Server.start({ env: { MYNAH_SERVER__DRAIN_S: `${DRAIN_S}` } });
});
after(() => server?.close());

const scenario = scenarios(() => server);

/** Says one thing after the other and repeats what was not acknowledged; answers the acks by client id. */
async function talk(member, stop) {
  const acked = new Map();
  for (let turn = 0; !stop.over; turn += 1) {
    const clientId = `${member.name}-${turn}`;
    while (!acked.has(clientId)) {
      try {
        acked.set(clientId, await member.say(clientId));
      } catch (error) {
        if (!/disconnected|timed out|waited/.test(error.message)) throw error;
      }
    }
  }
  return acked;
}

scenario(
  "SIGTERM under load, twice: nothing lost, nothing doubled, all are back",
  async (t) => {
    // Only kinds whose library says when an ack is lost with its connection.
    const kinds = KINDS.filter(({ recovers }) => recovers);
    const { room, users } = await roomOf(server.url, ...kinds.map((_, index) => `u${index}`));
    const members = [];
    for (const [index, kind] of kinds.entries())
      members.push(await Member.open(server.url, users[index], room, { kind }));
    closing(t, ...members);
    const stop = { over: false };
    const talking = members.map((member) => talk(member, stop));
    for (const one of talking) one.catch(() => {});

    for (let round = 0; round < 2; round += 1) {
      const heard = () => Math.min(...members.map((member) => member.heard().length));
      const enough = heard() + 30;
      await until(() => heard() > enough, "everybody to hear thirty messages more", 30_000);
      const starts = members.map(({ client }) => client.states.items.length);
      server.child.signal("SIGTERM");
      const { code } = await within(DRAIN_S * 1_000 + 10_000, server.child.exited, "the end");
      assert.equal(code, 0);
      await server.spawn();
      for (const [index, { client, name }] of members.entries()) {
        const away = await client.state("disconnect", starts[index]);
        assert.notEqual(away.reason, "io server disconnect", `${name} may come back`);
        await client.state("connect", starts[index]);
      }
    }
    stop.over = true;
    const acks = (await within(30_000, Promise.all(talking), "all acks")).flatMap((map) => [
      ...map.values(),
    ]);
    const history = await kept(users[0].api, room.id);
    assert.deepEqual(
      history.map(({ id }) => id).sort(),
      acks.map(({ id }) => id).sort(),
      "what was acknowledged is there, each once, and nothing else",
    );
    assert.equal(new Set(history.map(({ content }) => content)).size, history.length);
    const byId = new Map(history.map((message) => [message.id, message]));
    for (const ack of acks) assert.deepEqual(facts(ack), byId.get(ack.id));
  },
  120_000,
);
