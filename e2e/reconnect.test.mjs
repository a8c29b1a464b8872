// Ten clients of all kinds lose their connections in every way at random moments while others talk.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { setInterval } from "node:timers/promises";
import { roomOf } from "./support/api.mjs";
import { KINDS, kind } from "./support/generations.mjs";
import { kept, Member } from "./support/members.mjs";
import { pick, random, SEED } from "./support/random.mjs";
import { Server, scenarios } from "./support/server.mjs";
import { Traveller } from "./support/traveller.mjs";
import { until } from "./support/wait.mjs";

const FAULTS = 6;
const SENDERS = 3;
/** Each sender sends one message in this time. */
const PACE_MS = 25;
const WAIT_MS = 30_000;

const ENV = {
  // Whoever hears nothing notices within a second.
  MYNAH_SOCKETIO__PING_INTERVAL_MS: "500",
  MYNAH_SOCKETIO__PING_TIMEOUT_MS: "500",
};
let server;
before(async () => {
  server = await Server.start({ env: ENV });
});
after(() => server?.close());

const scenario = scenarios(() => server);

const CROWD = [
  ["4 over websocket", "native"],
  ["4 over websocket", "camel"],
  ["4 over polling", "native"],
  ["4 over polling", "camel"],
  ["4 upgrading", "native"],
  ["4 msgpack over websocket", "native"],
  ["4 msgpack over polling", "camel"],
  ["3 over websocket", "native"],
  ["2 over websocket", "native"],
  ["2 upgrading", "native"],
].filter(([name]) => KINDS.some((one) => one.name === name));

const WAYS = {
  "the line is cut": ({ line }) => line.cut(),
  "the line is dead, and nobody is told": ({ line }) => line.freeze(),
  "nothing gets up": ({ line }) => line.freeze("up"),
  "nothing comes down": ({ line }) => line.freeze("down"),
  "the client closes its transport": ({ client }) => client.cut(),
};

/** Lets the faults happen to one traveller, each once it has heard some more. */
async function suffer(traveller, name, log) {
  const next = random(name);
  const { member, client } = traveller;
  for (let fault = 0; fault < FAULTS; fault += 1) {
    const enough = member.heard().length + Math.floor(next() * 30);
    await client.events.when(
      () => (member.heard().length > enough ? true : undefined),
      `message ${enough}`,
      WAIT_MS,
    );
    const from = client.states.items.length;
    const heard = member.heard().length;
    const way = pick(next, Object.keys(WAYS));
    log.push(`${name}: ${way}, having heard ${heard}`);
    WAYS[way](traveller);
    // A polling client may be between two requests just then, and not notice at all.
    const back = () => client.states.items.slice(from).some(({ state }) => state === "connect");
    const unhurt = () => client.states.items.length === from && member.heard().length > heard + 200;
    await until(() => back() || unhurt(), `${name} to be back from: ${way}`, WAIT_MS);
  }
}

/** Talks at its pace until told to stop; answers how many it said. */
async function talk(member, stop) {
  let count = 0;
  for await (const _ of setInterval(PACE_MS)) {
    if (stop.over) return count;
    await member.insist(`${member.name} ${count}`, `${count}`);
    count += 1;
  }
}

/** What a client without recovery may claim: an order, no message twice, all since it was last ready. */
function checkOrder({ member, client }, history) {
  const seqs = member.heard().map(({ seq }) => seq);
  assert.deepEqual(
    seqs,
    [...new Set(seqs)].sort((a, b) => a - b),
    `the order in which ${member.name} heard`,
  );
  const ready = client.all("connection.ready").at(-1);
  const since = ready.rooms.find(({ id }) => id === member.roomId).seq;
  assert.deepEqual(
    member.heard().filter(({ seq }) => seq > since),
    history.filter(({ seq }) => seq > since),
    `what ${member.name} heard since it was ready`,
  );
}

scenario(
  "every way to lose a connection, at random moments (E2E_SEED)",
  async (t) => {
    t.diagnostic(`E2E_SEED=${SEED}`);
    const names = [...CROWD.map((_, index) => `u${index}`), ..."x".repeat(SENDERS)];
    const { room, users } = await roomOf(server.url, ...names);
    const travellers = [];
    for (const [index, [name, vocabulary]] of CROWD.entries()) {
      // Whoever connects over a dead line gives up soon.
      const options = { kind: kind(name), vocabulary, timeout: 2_000 };
      travellers.push(await Traveller.open(t, server.url, users[index], room, options));
    }
    const senders = [];
    for (const user of users.slice(CROWD.length))
      senders.push(await Member.open(server.url, user, room));
    t.after(() => {
      for (const sender of senders) sender.close();
    });

    const log = [];
    const talking = { over: false };
    const told = Promise.all(senders.map((sender) => talk(sender, talking)));
    try {
      const suffering = travellers.map((one, index) => suffer(one, CROWD[index].join(", "), log));
      await Promise.race([Promise.all(suffering), told]);
      talking.over = true;
      const said = (await told).reduce((sum, count) => sum + count, 0);
      const last = await senders[0].insist("the last one");
      const history = await kept(users[0].api, room.id);
      assert.equal(history.length, said + 1);
      for (const [index, traveller] of travellers.entries()) {
        await traveller.member.hears(last.id, WAIT_MS);
        if (!kind(CROWD[index][0]).recovers) {
          checkOrder(traveller, history);
          continue;
        }
        await traveller.heardAll(users[0].api);
        const back = traveller.client.states.items
          .filter(({ state }) => state === "connect")
          .slice(1);
        const lost = back.filter(({ recovered }) => recovered !== true).length;
        assert.equal(lost, 0, `${traveller.member.name} was a new connection ${lost} times`);
      }
    } catch (error) {
      talking.over = true;
      error.message += `\nE2E_SEED=${SEED}\n${log.join("\n")}`;
      throw error;
    }
  },
  120_000,
);
