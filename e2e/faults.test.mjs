// The server is killed, and what it acknowledged is still there.
import assert from "node:assert/strict";
import test from "node:test";
import { roomOf } from "./support/api.mjs";
import { crashRounds } from "./support/crash-rounds.mjs";
import { MYNAH_BIN, Server } from "./support/server.mjs";
import { facts, native } from "./support/sockets.mjs";

test("kill -9 under load, three times: nothing lost, nothing doubled, no gap", {
  timeout: 180_000,
}, async (t) => {
  const result = await crashRounds({
    bin: MYNAH_BIN,
    rounds: 3,
    senders: 16,
    silenceMsMax: 10_000,
    report: (line) => t.diagnostic(line),
  });
  const { lost, doubled, gaps, conflicts, silent } = result;
  const clean = { lost: 0, doubled: 0, gaps: 0, conflicts: 0, silent: 0 };
  assert.deepEqual({ lost, doubled, gaps, conflicts, silent }, clean, result.log);
  assert.ok(result.acked > 100, `only ${result.acked} acknowledged: that was no load`);
});

test("a listener that lives through a kill gets what it missed", { timeout: 60_000 }, async (t) => {
  const server = await Server.start();
  t.after(() => server.close());
  const { room, users } = await roomOf(server.url, "ada", "bo");
  const bo = await native(server.url, users[1]);
  t.after(() => bo.close());
  const before = await users[0].api.send(room.id, "before");
  await bo.got("message.created", ({ data }) => data.id === before.id);
  bo.socket.auth = { ...bo.socket.auth, since: { [room.id]: before.seq } };
  bo.socket.io.reconnection(false);

  await server.restart({ kill: true });
  const missed = await users[0].api.send(room.id, "while away");
  const states = bo.states.items.length;
  bo.socket.connect();
  await bo.state("connect", states);
  await bo.got("message.created", ({ data }) => data.id === missed.id);
  const after = await users[0].api.send(room.id, "after");
  await bo.got("message.created", ({ data }) => data.id === after.id);
  const seen = bo.all("message.created").map(({ data }) => facts(data));
  assert.deepEqual(seen, [before, missed, after].map(facts));
});

test("sessions and tokens live through a kill", { timeout: 60_000 }, async (t) => {
  const server = await Server.start();
  t.after(() => server.close());
  const { room, users } = await roomOf(server.url, "ada");
  await server.restart({ kill: true });
  const me = await users[0].api.ok("GET", "/v1/auth/me");
  assert.equal(me.id, users[0].user.id);
  const again = await users[0].api.ok("POST", "/v1/auth/refresh", {
    refreshToken: users[0].refreshToken,
  });
  assert.equal(typeof again.accessToken, "string");
  assert.equal((await users[0].api.ok("GET", `/v1/rooms/${room.id}`)).id, room.id);
});
