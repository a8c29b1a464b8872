// The WebSocket dies when the client has changed to it: the library starts anew, and is recovered.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { setInterval } from "node:timers/promises";
import { roomOf } from "./support/api.mjs";
import { kind } from "./support/generations.mjs";
import { HttpProxy } from "./support/http-proxy.mjs";
import { kept, Member, VOCABULARIES } from "./support/members.mjs";
import { Server, scenarios } from "./support/server.mjs";
import { closing } from "./support/sockets.mjs";

let server;
before(async () => {
  server = await Server.start({
    env: { MYNAH_SOCKETIO__PING_INTERVAL_MS: "500", MYNAH_SOCKETIO__PING_TIMEOUT_MS: "500" },
  });
});
after(() => server?.close());

const PACE_MS = 20;
const scenario = scenarios(() => server);

for (const vocabulary of Object.keys(VOCABULARIES)) {
  scenario(`cut after the answer to the probe, then let through: ${vocabulary}`, async (t) => {
    const proxy = await HttpProxy.start(server.url, "cut after the answer, once");
    t.after(() => proxy.close());
    const { room, users } = await roomOf(server.url, "ada", "bo");
    const writer = await Member.open(server.url, users[0], room);
    closing(t, writer);
    const moving = await Member.open(proxy.url, users[1], room, {
      vocabulary,
      kind: kind("4 upgrading"),
    });
    closing(t, moving);
    proxy.release();
    let said = 0;
    const back = moving.client.states.find(({ recovered }) => recovered === true, "recovery");
    let over = false;
    back.finally(() => (over = true)).catch(() => {});
    // At a pace: what is missed must stay within what recovery replays.
    for await (const _ of setInterval(PACE_MS)) {
      if (over) break;
      await writer.insist(`m${said}`);
      said += 1;
    }
    await back;
    const last = await writer.insist("last");
    await moving.hears(last.id);
    const since = (await kept(users[0].api, room.id)).filter(({ seq }) => seq > moving.since);
    assert.deepEqual(moving.heard(), since);
  });
}
