// Two nodes behind a real proxy are restarted one after the other while everybody talks: nobody is told 5xx, no
// request is cut, nothing is lost.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { roomOf } from "./support/api.mjs";
import { Front } from "./support/fronts.mjs";
import { POLLING, UPGRADING, WEBSOCKET } from "./support/generations.mjs";
import { Member } from "./support/members.mjs";
import { Server, scenarios } from "./support/server.mjs";
import { closing } from "./support/sockets.mjs";
import { Postgres, Redis } from "./support/stores.mjs";
import { until, within } from "./support/wait.mjs";

// Longer than the proxies need to notice; deploy.test.mjs compares the files.
const DELAY_S = 8;
const DRAIN_S = 4;
const WORKERS = 6;

let postgres;
let redis;
before(async () => {
  postgres = await Postgres.start();
  redis = await Redis.start();
});
after(async () => {
  await redis?.close();
  await postgres?.close();
});

let servers = [];
const scenario = scenarios(() => ({ log: servers.map(({ log }) => log).join("\n--- next ---\n") }));

function node(url) {
  return Server.start({
    env: {
      DATABASE_URL: url,
      ...redis.env,
      MYNAH_HTTP__TRUSTED_PROXIES: "127.0.0.1",
      MYNAH_SERVER__DRAIN_DELAY_S: String(DELAY_S),
      MYNAH_SERVER__DRAIN_S: String(DRAIN_S),
    },
  });
}

/** REST without a pause; `{acked, answered, trouble}`: sends by client id, answers, and what should not have been. */
async function ask(api, roomId, name, stop) {
  const found = { acked: new Map(), answered: 0, trouble: [] };
  for (let turn = 0; !stop.over; turn += 1) {
    const clientId = `${name}-${turn}`;
    const calls = [
      ["POST", `/v1/rooms/${roomId}/messages`, { content: clientId, clientId }],
      ["GET", `/v1/rooms/${roomId}/messages?limit=5`],
      ["GET", "/v1/rooms"],
    ];
    for (const [method, path, body] of calls) {
      try {
        const answer = await api.call(method, path, body);
        found.answered += 1;
        if (answer.status >= 500) found.trouble.push(`${method} ${path}: ${answer.status}`);
        else if (method === "POST" && answer.status < 300)
          found.acked.set(clientId, answer.body.id);
      } catch (error) {
        found.trouble.push(`${method} ${path}: ${error.cause?.code ?? error.message}`);
      }
    }
    // Slow enough that what is missed in between stays below what is replayed (1,000 events).
    await pause(50);
  }
  return found;
}

/** Sends of a socket; one that is lost with its connection is repeated, as every library does. */
async function talk(member, stop) {
  const acked = new Map();
  for (let turn = 0; !stop.over; turn += 1) {
    const clientId = `${member.name}-${turn}`;
    while (!acked.has(clientId)) {
      try {
        acked.set(clientId, (await member.say(clientId)).id);
      } catch (error) {
        if (!/disconnected|timed out|waited/.test(error.message)) throw error;
      }
    }
    await pause(80);
  }
  return acked;
}

for (const kind of ["haproxy", "nginx"]) {
  scenario(
    `behind ${kind}`,
    async (t) => {
      const url = postgres.database();
      servers = [await node(url), await node(url)];
      let log;
      const front = await Front.start(kind, servers, (text, folder) => {
        log = `${folder}/access.log`;
        return text.replace("access_log off;", `access_log ${log};`);
      });
      t.after(async () => {
        await front.close();
        for (const server of servers) await server.close();
      });
      const ways = { websocket: WEBSOCKET, polling: POLLING, upgrading: UPGRADING };
      const names = [...Object.keys(ways), ...Object.keys(ways)];
      const people = [...Array(WORKERS).keys()].map((n) => `w${n}`);
      const { room, users } = await roomOf(front.url, ...people, ...names);
      const members = [];
      for (const [index, name] of names.entries()) {
        const user = users[WORKERS + index];
        members.push(
          await Member.open(front.url, user, room, {
            kind: { name: `${name} ${index}`, options: ways[name] },
          }),
        );
      }
      closing(t, ...members);
      // A handshake that meets the end of its session is answered 400, and the library begins another one.
      const refused = [];
      for (const { client, name } of members)
        client.socket.on("connect_error", ({ message, description }) => {
          if (description !== 400) refused.push(`${name}: ${message}, ${description}`);
        });

      const stop = { over: false };
      const asking = people.map((name, n) => ask(users[n].api, room.id, name, stop));
      const talking = members.map((member) => talk(member, stop));
      for (const server of servers) {
        await pause(1_000);
        server.child.signal("SIGTERM");
        const longest = (DELAY_S + DRAIN_S) * 1_000 + 10_000;
        const { code } = await within(longest, server.child.exited, "the end of a node");
        assert.equal(code, 0);
        await server.spawn();
        // Until the proxy has seen that it is back.
        await pause(3_000);
      }
      stop.over = true;
      const asked = await Promise.all(asking);
      const said = await Promise.all(talking);

      const answered = asked.reduce((sum, one) => sum + one.answered, 0);
      assert.deepEqual(
        asked.flatMap(({ trouble }) => trouble),
        [],
        `of ${answered} requests`,
      );
      assert.ok(answered > 100, `${answered} requests were answered`);
      if (kind === "nginx") {
        const statuses = [...readFileSync(log, "utf8").matchAll(/" (5\d\d) /g)];
        assert.deepEqual(
          statuses.map(([, status]) => status),
          [],
        );
      }
      assert.deepEqual(refused, []);

      const stored = new Map(
        (await users[0].api.history(room.id)).map((row) => [row.clientId, row]),
      );
      for (const acked of [...said, ...asked.map((one) => one.acked)])
        for (const [clientId, id] of acked) assert.equal(stored.get(clientId)?.id, id, clientId);
      const all = [...stored.values()].sort((a, b) => a.seq - b.seq);
      for (const member of members) {
        const expected = all.filter(({ seq }) => seq > member.since).map(({ seq }) => seq);
        await until(
          () => member.heard().length >= expected.length,
          `${member.name} to hear all ${expected.length}`,
        );
        assert.deepEqual(
          member.heard().map(({ seq }) => seq),
          expected,
          member.name,
        );
      }
      t.diagnostic(`${answered} requests, ${all.length} messages, ${members.length} sockets`);
    },
    120_000,
  );
}
