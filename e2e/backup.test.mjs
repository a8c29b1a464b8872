// `mynah backup` while the server is written to, `mynah restore`, and what clients are told that have seen more
// than the backup has.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import path from "node:path";
import { after, before } from "node:test";
import { promisify } from "node:util";
import { roomOf } from "./support/api.mjs";
import { kept, Member } from "./support/members.mjs";
import { MYNAH_BIN, Server, scenarios } from "./support/server.mjs";
import { facts, native } from "./support/sockets.mjs";
import { Traveller } from "./support/traveller.mjs";

const run = promisify(execFile);

let server;
before(async () => {
  server = await Server.start();
});
after(() => server?.close());

const scenario = scenarios(() => server);

/** Runs a command on the server's data; `{code, stdout, stderr}`. */
async function mynah(...args) {
  const options = { env: { ...process.env, MYNAH_DATA_DIR: server.dataDir }, cwd: server.dataDir };
  try {
    return { code: 0, ...(await run(MYNAH_BIN, args, options)) };
  } catch (error) {
    return error;
  }
}

scenario(
  "a backup under load has all that was acked before it, and clients ahead of it read anew",
  async (t) => {
    const { room, users } = await roomOf(server.url, "ada", "bo", "cy", "di", "ed");
    const [ada, bo, cy, di, ed] = users;
    const acked = [];
    let writing = true;
    const writer = (async () => {
      for (let index = 0; writing; index += 1)
        acked.push((await ada.api.send(room.id, `m${index}`, `m${index}`)).id);
    })();
    while (acked.length < 50) await new Promise(setImmediate);
    const before = acked.length;
    const file = path.join(server.dataDir, "backup");
    const made = await mynah("backup", "--to", file);
    assert.equal(made.code, 0, made.stderr);
    assert.match(made.stdout, /position \d+ of the log/);
    const again = await mynah("backup", "--to", file);
    assert.equal(again.code, 1);
    assert.match(again.stderr, /--force/);
    // Everybody sees more than the backup has.
    const beyond = acked.length;
    while (acked.length < beyond + 20) await new Promise(setImmediate);
    writing = false;
    await writer;

    const traveller = await Traveller.open(t, server.url, bo, room);
    await ada.api.send(room.id, "seen by all");
    await traveller.member.hearsText("seen by all");
    const first = await native(server.url, cy);
    const { epoch } = first.ready;
    const head = first.ready.rooms.find(({ id }) => id === room.id).seq;
    const cursor = (await di.api.ok("GET", "/v1/sync")).next;
    const camel = await Member.open(server.url, ed, room, { vocabulary: "camel" });
    t.after(() => camel.close());
    first.close();

    const running = await mynah("restore", "--from", file);
    assert.equal(running.code, 1);
    assert.match(running.stderr, /in use by another process/);

    const from = traveller.client.states.items.length;
    await server.stop();
    const restored = await mynah("restore", "--from", file);
    assert.equal(restored.code, 0, restored.stderr);
    assert.match(restored.stdout, /kept as .*replaced-1/);
    await server.spawn();

    const rows = await kept(ada.api, room.id);
    const there = new Set(rows.map(({ id }) => id));
    assert.ok(
      acked.slice(0, before).every((id) => there.has(id)),
      "all that was acked before the backup",
    );
    assert.ok(!there.has(acked.at(-1)), "not what came after it");

    // New events reach and pass the numbers that the clients have.
    const { lastSeq } = await ada.api.ok("GET", `/v1/rooms/${room.id}`);
    assert.ok(lastSeq < head);
    const fresh = [];
    for (let seq = lastSeq; seq < head + 3; seq += 1)
      fresh.push(await ada.api.send(room.id, `fresh ${seq}`));
    assert.equal(fresh[0].seq, lastSeq + 1, "seq goes on without a gap");

    const back = await traveller.client.state("connect", from);
    assert.equal(back.recovered, false, "a ticket of another log");

    const ahead = await native(server.url, cy, { since: { [room.id]: head }, epoch });
    t.after(() => ahead.close());
    assert.notEqual(ahead.ready.epoch, epoch);
    const resync = await ahead.got("room.resync", ({ roomId }) => roomId === room.id);
    assert.equal(resync.seq, head + 3);
    const answer = await ahead.ok("sync", { since: { [room.id]: head }, epoch });
    assert.deepEqual([answer.gap, answer.events], [[room.id], []]);
    assert.equal(answer.epoch, ahead.ready.epoch);
    const now = await ahead.ok("sync", { since: { [room.id]: head }, epoch: answer.epoch });
    assert.deepEqual(
      now.events.map(({ data }) => facts(data)),
      fresh.slice(-3).map(facts),
    );

    const page = await di.api.ok("GET", `/v1/sync?since=${cursor}`);
    assert.equal(page.gap, true);
    // Without an epoch: nothing new is passed over, as no position is given twice.
    const [pos] = cursor.split("-");
    const plain = await di.api.ok("GET", `/v1/sync?since=${pos}&limit=1000`);
    assert.deepEqual(
      plain.events.map(({ data }) => data.id),
      fresh.map(({ id }) => id),
    );

    const mark = await ada.api.send(room.id, "live again");
    await traveller.member.hears(mark.id);
    await ahead.got("message.created", ({ data }) => data.id === mark.id);
  },
  120_000,
);
