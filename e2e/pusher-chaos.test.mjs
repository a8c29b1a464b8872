// Right frames, spoiled frames and lost connections, all at once and at random: whoever watches a presence channel sees
// comings and goings that add up, and in the end nobody is left over.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { after, before } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { closing, RawClient } from "./support/pusher-client.mjs";
import { answer, app, PusherServer } from "./support/pusher-server.mjs";
import { pick, random, SEED } from "./support/random.mjs";
import { scenarios } from "./support/server.mjs";
import { until } from "./support/wait.mjs";

const RUN_MS = Number(process.env.E2E_CHAOS_MS ?? 12_000);
const CLIENTS = 10;
const APP = app("chaos", { enableUserAuthentication: false });
const CHANNELS = ["presence-a", "presence-b", "presence-cache-a"];
const OTHERS = ["a", "cache-a", "private-a", "private-cache-a", "private-encrypted-a"];
const USERS = ["u1", "u2", 3, "4"];
const SEEDS = fileURLToPath(new URL("../fuzz/seeds/pusher_frame/", import.meta.url));

let server;
let backend;
before(async () => {
  server = await PusherServer.start({ apps: [APP] });
  backend = server.backend(APP);
});
after(() => server?.close());

const scenario = scenarios(() => server);

const sign = (text) => `${APP.key}:${createHmac("sha256", APP.secret).update(text).digest("hex")}`;

/** A frame that an honest client might send. */
function honest(next, socketId) {
  const channel = pick(next, [...CHANNELS, ...CHANNELS, ...OTHERS, "#server-to-user-u1"]);
  const kind = next();
  if (kind < 0.4) {
    const member = {
      user_id: pick(next, USERS),
      user_info: pick(next, [undefined, null, {}, "x"]),
    };
    const data = channel.startsWith("presence-") ? JSON.stringify(member) : undefined;
    const auth = sign(`${socketId}:${channel}${data ? `:${data}` : ""}`);
    return { event: "pusher:subscribe", data: { channel, auth, channel_data: data } };
  }
  if (kind < 0.6) return { event: "pusher:unsubscribe", data: { channel } };
  if (kind < 0.7) {
    const user_data = JSON.stringify({ id: pick(next, ["u1", "u2"]), watchlist: ["u1", "u2"] });
    const auth = sign(`${socketId}::user::${user_data}`);
    return { event: "pusher:signin", data: { auth, user_data } };
  }
  return { event: "client-x", channel, data: { kind } };
}

/** The text with up to three of its bytes changed. */
function spoiled(next, text) {
  const bytes = Buffer.from(text);
  for (let n = next() * 3; bytes.length > 0 && n >= 0; n -= 1) {
    bytes[Math.floor(next() * bytes.length)] = Math.floor(next() * 128);
  }
  return bytes.toString();
}

/** Connects, sends, and goes in any way, until the time is over. */
async function restless(name, end) {
  const next = random(name);
  const seeds = readdirSync(SEEDS).map((file) => readFileSync(SEEDS + file, "utf8"));
  while (Date.now() < end) {
    const client = await RawClient.open(server, { key: APP.key });
    const frames = Math.floor(next() * 200);
    let signsIn = false;
    for (let n = 0; n < frames && client.socket.readyState === 1; n += 1) {
      const frame = JSON.stringify(honest(next, client.socketId));
      const kind = next();
      const sent = kind < 0.6 ? frame : spoiled(next, kind < 0.8 ? frame : pick(next, seeds));
      signsIn ||= sent.includes("signin");
      client.send(sent);
      if (n % 40 === 39) await pause(5);
    }
    // It still answers, unless a refused sign-in ended it.
    const settled = client.settled().catch(() => null);
    await Promise.race([settled, client.closed]);
    if (client.socket.readyState !== 1) {
      assert.ok(signsIn, "nothing else ends a connection");
      // The last word of the server may be lost to a reset where it is not read for two seconds.
      assert.ok([4009, 1006].includes((await client.closed).code), "how it ended");
    }
    if (next() < 0.5) client.close();
    else client.socket.close();
    await client.closed;
  }
}

/** Follows the presence channels by what it is told; `problems` keeps what does not add up. */
async function watcher(t) {
  const it = await RawClient.open(server, { key: APP.key });
  closing(t, it);
  const here = new Map();
  const problems = [];
  let changes = 0;
  const follow = ({ event, channel, data, user_id }) => {
    const members = here.get(channel);
    const said = event.startsWith("pusher_internal:") ? JSON.parse(data) : null;
    const complain = (what) => problems.push(`${what} ${channel} ${said?.user_id ?? user_id}`);
    if (event === "pusher_internal:subscription_succeeded") {
      here.set(channel, new Set(said.presence.ids));
    } else if (event === "pusher_internal:member_added") {
      changes += 1;
      if (members.has(said.user_id)) complain("added twice:");
      members.add(said.user_id);
    } else if (event === "pusher_internal:member_removed") {
      changes += 1;
      if (!members.delete(said.user_id)) complain("removed without having come:");
    } else if (event.startsWith("client-") && !members.has(user_id)) {
      complain("an event of somebody who is not there:");
    }
  };
  it.socket.on("message", (text) => follow(JSON.parse(text.toString())));
  for (const channel of CHANNELS) {
    const channel_data = '{"user_id":"watcher"}';
    const auth = sign(`${it.socketId}:${channel}:${channel_data}`);
    it.send({ event: "pusher:subscribe", data: { channel, auth, channel_data } });
  }
  await until(() => here.size === CHANNELS.length, "the watcher to be in");
  return { here, problems, changes: () => changes };
}

scenario(
  "presence adds up, and nobody is left over",
  async (t) => {
    t.diagnostic(`E2E_SEED=${SEED}`);
    const watching = await watcher(t);
    const end = Date.now() + RUN_MS;
    const clients = Array.from({ length: CLIENTS }, (_, n) => restless(`client-${n}`, end));
    await Promise.all(clients);
    const left = async () => {
      const { channels } = await answer(backend.get({ path: "/channels" }));
      const others = [...watching.here.values()].flatMap((members) => [...members]);
      return (
        Object.keys(channels).length === CHANNELS.length && others.every((id) => id === "watcher")
      );
    };
    await until(left, "everybody to be gone");
    assert.doesNotMatch(server.log, /panicked/);
    assert.deepEqual(watching.problems, []);
    assert.ok(watching.changes() > 20, `${watching.changes()} comings and goings`);
    for (const channel of CHANNELS) {
      const { users } = await answer(backend.get({ path: `/channels/${channel}/users` }));
      assert.deepEqual(
        users.map(({ id }) => id),
        ["watcher"],
      );
    }
  },
  RUN_MS + 60_000,
);
