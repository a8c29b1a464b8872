// Recovery when the server itself was away: an orderly restart, a crash, and both again and again.
import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { roomOf } from "./support/api.mjs";
import { KINDS, kind } from "./support/generations.mjs";
import { VOCABULARIES } from "./support/members.mjs";
import { Server, scenarios } from "./support/server.mjs";
import { Traveller } from "./support/traveller.mjs";

let server;
before(async () => {
  server = await Server.start();
});
after(() => server?.close());

const scenario = scenarios(() => server);

/** One traveller for each kind that recovers and each vocabulary, in one room. */
async function travellers(t, base) {
  const wanted = KINDS.filter(({ recovers }) => recovers).flatMap((one) =>
    Object.keys(VOCABULARIES).map((vocabulary) => ({ kind: one, vocabulary })),
  );
  const { room, users } = await roomOf(base, "ada", ...wanted.map((_, index) => `u${index}`));
  const all = [];
  for (const [index, options] of wanted.entries())
    all.push(await Traveller.open(t, base, users[index + 1], room, options));
  return { room, api: users[0].api, all };
}

/** All are away at once while `happen`; each must be recovered. */
async function allAway(all, happen) {
  let go;
  const gate = new Promise((resolve) => (go = resolve));
  const back = Promise.all(all.map((traveller) => traveller.away(() => gate)));
  back.catch(() => {});
  for (const { client } of all) await client.states.find(({ state }) => state === "disconnect");
  try {
    await happen();
  } finally {
    go();
  }
  for (const [index, { recovered }] of (await back).entries())
    assert.equal(recovered, true, all[index].member.name);
}

for (const how of [{ kill: false }, { kill: true }]) {
  const name = how.kill ? "kill -9" : "SIGTERM";
  scenario(
    `${name} and a new process: all are recovered, nothing is missing`,
    async (t) => {
      const { room, api, all } = await travellers(t, server.url);
      for (let index = 0; index < 5; index += 1) await api.send(room.id, `before ${index}`);
      for (let round = 0; round < 2; round += 1) {
        await allAway(all, async () => {
          await api.send(room.id, `old process, unheard ${round}`);
          await server.restart(how);
          await api.send(room.id, `new process, unheard ${round}`);
        });
        await api.send(room.id, `live ${round}`);
        for (const traveller of all) await traveller.heardAll(api);
      }
    },
    120_000,
  );

  scenario(
    `${name} before the first event of a room`,
    async (t) => {
      const { room, api, all } = await travellers(t, server.url);
      await allAway(all, () => server.restart(how));
      await api.send(room.id, "the first");
      for (const traveller of all) await traveller.heardAll(api);
    },
    120_000,
  );
}

test("kill -9 in the middle of sends: what is kept is heard, and nothing else", {
  timeout: 120_000,
}, async (t) => {
  const own = await Server.start();
  t.after(() => own.close());
  const { room, users } = await roomOf(own.url, "ada", "bo", "cy");
  const native = await Traveller.open(t, own.url, users[1], room, {
    kind: kind("4 over websocket"),
  });
  const camel = await Traveller.open(t, own.url, users[2], room, {
    kind: kind("4 over polling"),
    vocabulary: "camel",
  });
  for (let round = 0; round < 3; round += 1) {
    const starts = [native, camel].map(({ client }) => client.states.items.length);
    // Some of these are committed and not told to anybody, some are refused with the connection.
    const sends = Array.from({ length: 60 }, (_, index) =>
      users[0].api.send(room.id, `${round}.${index}`, `${round}.${index}`).catch(() => undefined),
    );
    await Promise.race(sends);
    await own.restart({ kill: true });
    await Promise.all(sends);
    for (const [index, { client }] of [native, camel].entries()) {
      const { recovered } = await client.state("connect", starts[index]);
      assert.equal(recovered, true, `round ${round}`);
    }
    await users[0].api.send(room.id, `marker ${round}`);
    for (const traveller of [native, camel]) await traveller.heardAll(users[0].api);
  }
});
