// Stopping and crashing: clients of pusher-js come back by themselves and hear again.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { AuthProgram } from "./support/pusher-auth.mjs";
import { closing, PusherClient, RawClient } from "./support/pusher-client.mjs";
import { PusherServer } from "./support/pusher-server.mjs";
import { scenarios } from "./support/server.mjs";
import { within } from "./support/wait.mjs";

const DRAIN_S = 3;
let server;
let auth;
let backend;
before(async () => {
  server = await PusherServer.start({ env: { MYNAH_SERVER__DRAIN_S: `${DRAIN_S}` } });
  auth = await AuthProgram.start(server);
  backend = server.backend();
});
after(async () => {
  await auth?.close();
  await server?.close();
});

const scenario = scenarios(() => server);

async function visitors(t, count) {
  const all = [];
  for (let n = 0; n < count; n += 1) {
    const member = { user_id: `user-${n}`, user_info: {} };
    const it = await PusherClient.open(server, {
      ...auth.options({ member, user: { id: `user-${n}` } }),
      // With `wss` the library would look for TLS on port 443 before it comes back here.
      enabledTransports: ["ws"],
    });
    closing(t, it);
    await it.signIn();
    await it.joined("private-news");
    await it.joined("presence-room");
    all.push(it);
  }
  return all;
}

/** All are back, subscribed, and know each other. */
async function back(all) {
  for (const it of all) {
    // A library that found the port closed looks again after 15 seconds.
    await it.connected(2, 45_000);
    await it.channel("private-news").joined(2);
    await it.channel("presence-room").joined(2);
  }
  await backend.trigger("private-news", "back", {});
  for (const it of all) await it.channel("private-news").got("back");
  const last = await PusherClient.open(
    server,
    auth.options({ member: { user_id: "last", user_info: {} } }),
  );
  const channel = await last.joined("presence-room");
  const members = Object.keys(channel.channel.members.members).sort();
  last.close();
  assert.deepEqual(members, [...all.map((_, n) => `user-${n}`), "last"].sort());
}

scenario(
  "SIGTERM: an orderly end with status 0, and everybody is back at the next process",
  async (t) => {
    const all = await visitors(t, 8);
    const raw = await RawClient.open(server);
    closing(t, raw);
    server.child.signal("SIGTERM");
    const { code } = await within(DRAIN_S * 1_000 + 20_000, server.child.exited, "the end");
    assert.equal(code, 0);
    assert.equal((await raw.closed).code, 4100, "come back after a second, not at once");
    await server.spawn();
    await back(all);
  },
  120_000,
);

scenario(
  "kill -9: everybody is back",
  async (t) => {
    const all = await visitors(t, 4);
    await server.restart({ kill: true });
    await back(all);
  },
  120_000,
);
