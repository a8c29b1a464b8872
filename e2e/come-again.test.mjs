// While the store is away nobody can come in; every library comes back by itself once the store answers.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { roomOf } from "./support/api.mjs";
import { KINDS } from "./support/generations.mjs";
import { kept, Member } from "./support/members.mjs";
import { Server, scenarios } from "./support/server.mjs";
import { Postgres } from "./support/stores.mjs";
import { until } from "./support/wait.mjs";

const WAIT_MS = 40_000;

let postgres;
let server;
before(async () => {
  postgres = await Postgres.start();
  server = await Server.start({ env: { DATABASE_URL: postgres.database() } });
});
after(async () => {
  await server?.close();
  await postgres?.close();
});

const scenario = scenarios(() => server);

scenario(
  "who comes while the database is down is let in when it is back, without a word of the front end",
  async (t) => {
    const { room, users } = await roomOf(server.url, "ada", ...KINDS.map((_, n) => `user${n}`));
    const [ada, ...others] = users;
    const opened = KINDS.map((kind, n) => Member.open(server.url, others[n], room, { kind }));
    const members = await Promise.all(opened);
    t.after(() => members.map((member) => member.close()));

    await postgres.kill();
    const transports = members.map(({ client }) => {
      const seen = { begun: 0, states: client.states.items.length };
      client.socket.io.on("open", () => {
        seen.begun += 1;
      });
      client.cut();
      return seen;
    });
    // The second transport of each shows that the first was ended by the server.
    await until(() => transports.every(({ begun }) => begun >= 2), "all to be sent away", WAIT_MS);
    await postgres.spawn();

    for (const [n, { client }] of members.entries())
      await client.state("connect", transports[n].states, WAIT_MS);
    // A refusal says why; a transport that ends says nothing.
    for (const [n, { client, name }] of members.entries()) {
      const states = client.states.items.slice(transports[n].states);
      const refusals = states.filter(({ data }) => data !== undefined);
      assert.deepEqual(refusals, [], name);
    }
    await ada.api.send(room.id, "all are back");
    const all = await kept(ada.api, room.id);
    for (const member of members) {
      await member.hears(all.at(-1).id);
      assert.deepEqual(member.heard(), all, member.name);
    }
  },
  120_000,
);
