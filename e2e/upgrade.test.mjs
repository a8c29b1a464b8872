// From polling to WebSocket in the middle of a conversation, and through proxies that do not let it happen.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { roomOf } from "./support/api.mjs";
import { kind } from "./support/generations.mjs";
import { HttpProxy, WAYS } from "./support/http-proxy.mjs";
import { kept, Member } from "./support/members.mjs";
import { Server, scenarios } from "./support/server.mjs";
import { closing } from "./support/sockets.mjs";
import { until } from "./support/wait.mjs";

// Heartbeats and the patience with probes are short: each test lives through several.
const ENV = {
  MYNAH_SOCKETIO__PING_INTERVAL_MS: "700",
  MYNAH_SOCKETIO__PING_TIMEOUT_MS: "10000",
  MYNAH_SOCKETIO__UPGRADE_TIMEOUT_MS: "300",
};
let server;
/** Waits for the WebSocket that a client upgrades to, however long it is held up. */
let patient;
before(async () => {
  server = await Server.start({ env: ENV });
  patient = await Server.start();
});
after(() => Promise.all([server?.close(), patient?.close()]));

const scenario = scenarios(() => server);
const THROUGH = ["pass", "hold", "cut after the answer, once"];
const BLOCKED = WAYS.filter((way) => !THROUGH.includes(way));

/** The `members`, more may come, talk at once with `window` messages on the way each, until `enough()`. */
async function talk(members, window, enough) {
  let going = true;
  let turn = 0;
  const sent = [];
  const speaking = new Map();
  let failure;
  const one = async (member) => {
    while (going) {
      turn += 1;
      sent.push(await member.say(`${member.name} ${turn}`, `${turn}`));
    }
  };
  const begin = () => {
    for (const member of members)
      if (!speaking.has(member))
        speaking.set(
          member,
          Promise.all(Array.from({ length: window }, () => one(member))).catch((error) => {
            failure = error;
          }),
        );
  };
  try {
    await until(() => {
      begin();
      if (failure) throw failure;
      return enough();
    }, "enough talk");
  } finally {
    going = false;
    await Promise.allSettled(speaking.values());
  }
  if (failure) throw failure;
  return sent;
}

/** Whatever was acknowledged is there once, and each heard exactly the history, in its order. */
async function check(api, roomId, members, sent) {
  const history = await kept(api, roomId);
  const acked = sent.map(({ id }) => id);
  assert.equal(new Set(acked).size, acked.length, "each ack names another message");
  assert.deepEqual(new Set(history.map(({ id }) => id)), new Set(acked));
  assert.equal(history.length, acked.length);
  for (const member of members) {
    await member.hears(history.at(-1).id);
    const since = history.filter(({ seq }) => seq > member.since);
    assert.deepEqual(member.heard(), since, `what ${member.name} heard`);
  }
}

const transport = ({ client }) => client.socket.io.engine.transport.name;

for (const vocabulary of ["native", "camel"]) {
  scenario(`upgrade under load in both directions, ${vocabulary}, ten times`, async (t) => {
    for (let round = 0; round < 10; round += 1) {
      const proxy = await HttpProxy.start(patient.url, "hold");
      t.after(() => proxy.close());
      const { room, users } = await roomOf(patient.url, "ada", "bo");
      const steady = await Member.open(patient.url, users[0], room, {
        vocabulary,
        kind: kind("4 over websocket"),
      });
      const moving = await Member.open(proxy.url, users[1], room, {
        vocabulary,
        kind: kind("4 upgrading"),
      });
      closing(t, steady, moving);
      let enough = 0;
      const sent = await talk([steady, moving], 4, () => {
        const heard = moving.heard().length;
        if (transport(moving) === "polling" && heard > 20) proxy.release();
        if (transport(moving) === "websocket" && enough === 0) enough = heard + 20;
        return enough > 0 && heard > enough;
      });
      assert.equal(moving.client.states.items.length, 1, "the connection never broke");
      await check(users[0].api, room.id, [steady, moving], sent);
      for (const one of [steady, moving, proxy]) one.close();
    }
  });
}

for (const way of BLOCKED) {
  scenario(`a proxy that does: ${way}; the client goes on over polling`, async (t) => {
    const proxy = await HttpProxy.start(server.url, way);
    t.after(() => proxy.close());
    const { room, users } = await roomOf(server.url, "ada", "bo");
    const steady = await Member.open(server.url, users[0], room, {
      kind: kind("4 over websocket"),
    });
    const behind = await Member.open(proxy.url, users[1], room, { kind: kind("4 upgrading") });
    let pings = 0;
    behind.client.socket.io.engine.on("ping", () => (pings += 1));
    closing(t, steady, behind);
    const sent = await talk(
      [steady, behind],
      1,
      () => proxy.upgrades > 0 && pings >= 3 && behind.heard().length > 50,
    );
    assert.equal(transport(behind), "polling");
    assert.equal(behind.client.states.items.length, 1, "the connection never broke");
    await check(users[0].api, room.id, [steady, behind], sent);
    assert.equal((await steady.say("and still here")).content, "and still here");
    await behind.hearsText("and still here");
    assert.equal((await behind.say("here too")).content, "here too");
  });
}

scenario("a proxy that lets it happen", async (t) => {
  const proxy = await HttpProxy.start(patient.url, "pass");
  t.after(() => proxy.close());
  const { room, users } = await roomOf(patient.url, "ada", "bo");
  const steady = await Member.open(patient.url, users[0], room, { kind: kind("4 over websocket") });
  const behind = await Member.open(proxy.url, users[1], room, { kind: kind("4 upgrading") });
  closing(t, steady, behind);
  const sent = await talk([steady, behind], 2, () => transport(behind) === "websocket");
  await check(users[0].api, room.id, [steady, behind], sent);
});
