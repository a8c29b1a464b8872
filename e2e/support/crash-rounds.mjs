// Kills the server under load, again and again, and compares what it kept with what it acknowledged.
import { setTimeout as pause } from "node:timers/promises";
import { newUser } from "./api.mjs";
import { keyOf, Log, Sender } from "./senders.mjs";
import { Server } from "./server.mjs";
import { until } from "./wait.mjs";

const SENDERS_PER_USER = 4;

/** Users, rooms and senders of a run. */
async function prepare(server, { senders, rooms }) {
  const users = [];
  while (users.length < Math.ceil(senders / SENDERS_PER_USER))
    users.push(await newUser(server.url, "writer"));
  const made = [];
  while (made.length < rooms) made.push(await users[0].api.createRoom(`load ${made.length}`));
  for (const user of users.slice(1)) for (const room of made) await user.api.join(room.id);
  const log = new Log();
  const list = Array.from({ length: senders }, (_, index) => {
    const user = users[index % users.length];
    const roomId = made[index % made.length].id;
    return new Sender({ base: server.url, user, roomId, name: `s${index}`, log });
  });
  return { reader: users[0].api, rooms: made.map(({ id }) => id), log, senders: list };
}

/** Reads a room back from `after` on and compares it with the log. */
async function check(run, roomId, after, counted) {
  const stored = await run.reader.history(roomId, after);
  const findings = { lost: 0, doubled: 0, gaps: 0, examples: [] };
  const note = (kind, what) => {
    findings[kind] += 1;
    if (findings.examples.length < 2)
      findings.examples.push(`${kind}: ${JSON.stringify(what).slice(0, 240)}`);
  };
  const byKey = new Map();
  let expected = after + 1;
  let seq = 0;
  for (const message of stored) {
    if (message.number !== expected || message.seq <= seq) note("gaps", { expected, got: message });
    expected = message.number + 1;
    seq = message.seq;
    const key = keyOf({ roomId, senderId: message.senderId, clientId: message.clientId });
    if (byKey.has(key) || counted.has(key)) note("doubled", message);
    else byKey.set(key, message);
  }
  for (const [key, entry] of run.log.acked) {
    if (entry.roomId !== roomId || counted.has(key)) continue;
    counted.add(key);
    const message = byKey.get(key);
    if (!message) note("lost", entry);
    else if (
      message.id !== entry.id ||
      message.seq !== entry.seq ||
      message.number !== entry.number
    ) {
      note("lost", { acked: entry, stored: message });
    }
  }
  for (const key of byKey.keys()) counted.add(key);
  return { ...findings, head: expected - 1 };
}

/** The event log of every room, 1, 2, 3 … up to its head, read over /v1/sync from `since`. */
async function checkLog(run, progress) {
  const { events, next } = await run.reader.sync(progress.pos);
  progress.pos = next;
  let gaps = 0;
  for (const { roomId, seq } of events) {
    if (!run.rooms.includes(roomId)) continue;
    const expected = (progress.heads.get(roomId) ?? 0) + 1;
    if (seq !== expected) gaps += 1;
    progress.heads.set(roomId, seq);
  }
  for (const roomId of run.rooms) {
    const { lastSeq } = await run.reader.ok("GET", `/v1/rooms/${roomId}`);
    if (lastSeq !== progress.heads.get(roomId)) gaps += 1;
  }
  return gaps;
}

/** One round: load, kill at a random moment, start again, let it settle, read back. */
async function round(server, run, progress, { loadMsMin, loadMsMax }) {
  const before = run.log.acked.size;
  for (const sender of run.senders) sender.start();
  await until(() => run.log.acked.size > before, "the load to begin");
  await pause(loadMsMin + Math.random() * (loadMsMax - loadMsMin));
  await server.kill();
  const atKill = run.log.acked.size;
  const lastAck = run.log.lastAckAt;
  await server.spawn();
  const readyAt = Date.now();
  await until(
    () => run.log.acked.size > atKill,
    "the first acknowledgement after the restart",
    30_000,
  );
  const firstAck = Date.now();
  await Promise.all(run.senders.map((sender) => sender.settle()));

  const result = { acked: run.log.acked.size - before, lost: 0, doubled: 0, gaps: 0, examples: [] };
  for (const roomId of run.rooms) {
    const found = await check(run, roomId, progress.numbers.get(roomId) ?? 0, progress.counted);
    progress.numbers.set(roomId, found.head);
    for (const kind of ["lost", "doubled", "gaps"]) result[kind] += found[kind];
    result.examples.push(...found.examples);
  }
  result.gaps += await checkLog(run, progress);
  result.silenceMs = firstAck - lastAck;
  result.silenceReadyMs = firstAck - readyAt;
  return result;
}

/** Everything again from the first message: a later crash may not harm what an earlier round proved. */
async function finalCheck(run) {
  const total = { lost: 0, doubled: 0, gaps: 0, examples: [] };
  const counted = new Set();
  for (const roomId of run.rooms) {
    const found = await check(run, roomId, 0, counted);
    for (const kind of ["lost", "doubled", "gaps"]) total[kind] += found[kind];
    total.examples.push(...found.examples);
  }
  total.gaps += await checkLog(run, { pos: "0", heads: new Map() });
  return total;
}

/**
 * Runs the rounds; `report(line)` is told about each.
 * Answers `{acked, stored violations, ok}`.
 */
export async function crashRounds({
  bin,
  rounds = 3,
  senders = 16,
  rooms = 4,
  loadMsMin = 100,
  loadMsMax = 1_200,
  silenceMsMax = 3_000,
  report = () => {},
}) {
  const server = await Server.start({ bin });
  let run;
  try {
    run = await prepare(server, { senders, rooms });
    const progress = { pos: "0", heads: new Map(), numbers: new Map(), counted: new Set() };
    const total = { lost: 0, doubled: 0, gaps: 0, silent: 0 };
    for (let index = 1; index <= rounds; index += 1) {
      const result = await round(server, run, progress, { loadMsMin, loadMsMax });
      for (const kind of ["lost", "doubled", "gaps"]) total[kind] += result[kind];
      if (result.silenceReadyMs > silenceMsMax) total.silent += 1;
      const { acked, lost, doubled, gaps, silenceMs, silenceReadyMs } = result;
      report(
        `round ${index}: acked ${acked} lost ${lost} doubled ${doubled} gaps ${gaps} silence ${silenceMs} ms (${silenceReadyMs} ms after ready)`,
      );
      for (const example of result.examples) report(`  ${example}`);
    }
    const last = await finalCheck(run);
    for (const kind of ["lost", "doubled", "gaps"]) total[kind] = Math.max(total[kind], last[kind]);
    for (const example of last.examples) report(`  at the end: ${example}`);
    const conflicts = run.log.conflicts.length;
    for (const pair of run.log.conflicts.slice(0, 5))
      report(`  two answers for one send: ${JSON.stringify(pair)}`);
    const ok = total.lost + total.doubled + total.gaps + total.silent + conflicts === 0;
    return {
      ...total,
      conflicts,
      ok,
      acked: run.log.acked.size,
      rounds,
      log: ok ? "" : server.log,
    };
  } catch (error) {
    error.message += `\n--- log tail ---\n${server.log}`;
    throw error;
  } finally {
    for (const sender of run?.senders ?? []) sender.close();
    await server.close();
  }
}
