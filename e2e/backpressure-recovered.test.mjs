// A stock client that stalled, was ended as slow, and has everything in the end.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { roomOf } from "./support/api.mjs";
import { closedSlow } from "./support/floods.mjs";
import { kind } from "./support/generations.mjs";
import { Member, VOCABULARIES } from "./support/members.mjs";
import { Server, scenarios } from "./support/server.mjs";
import { Traveller } from "./support/traveller.mjs";

let server;
before(async () => {
  server = await Server.start({ env: { MYNAH_LIMITS__QUEUE_BYTES_MAX: `${256 * 1_024}` } });
});
after(() => server?.close());

const scenario = scenarios(() => server);
const MESSAGES_MAX = 12_000;

for (const vocabulary of Object.keys(VOCABULARIES)) {
  scenario(
    `stalled, ended as slow, recovered: ${vocabulary}`,
    async (t) => {
      const { room, users } = await roomOf(server.url, "ada", "bo");
      const writer = await Member.open(server.url, users[0], room);
      t.after(() => writer.close());
      const traveller = await Traveller.open(t, server.url, users[1], room, {
        kind: kind("4 over websocket"),
        vocabulary,
      });
      const { client, line } = traveller;
      const slow = await closedSlow(server.adminUrl);
      line.stall();
      const text = "x".repeat(7_900);
      let sent = 0;
      while ((await closedSlow(server.adminUrl)) === slow && sent < MESSAGES_MAX) {
        const batch = Array.from({ length: 16 }, (_, index) =>
          writer.say(`${sent + index} ${text}`, `${sent + index}`),
        );
        await Promise.all(batch);
        sent += batch.length;
      }
      assert.equal((await closedSlow(server.adminUrl)) - slow, 1, "it was ended as slow");
      const from = client.states.items.length;
      line.flow();
      const { recovered } = await client.state("connect", from);
      assert.equal(recovered, true);
      await writer.say("after it all");
      await traveller.heardAll(users[0].api);
    },
    120_000,
  );
}
