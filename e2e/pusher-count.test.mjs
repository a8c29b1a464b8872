// subscription_count: how many listen, told to those who do, in apps that want it.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { AuthProgram } from "./support/pusher-auth.mjs";
import { closing, PusherClient } from "./support/pusher-client.mjs";
import { app, PusherServer } from "./support/pusher-server.mjs";
import { scenarios } from "./support/server.mjs";

const COUNTING = app("counting");
const SILENT = app("silent");
const TOML = [COUNTING, SILENT]
  .map(
    ({ id, key, secret }) => `[[pusher.apps]]
id = "${id}"
key = "${key}"
secret = "${secret}"
subscription_counts = ${id === "counting"}
`,
  )
  .join("\n");

let server;
let auth;
before(async () => {
  server = await PusherServer.start({ apps: [COUNTING, SILENT], toml: TOML });
  auth = await AuthProgram.start(server, COUNTING);
});
after(async () => {
  await auth?.close();
  await server?.close();
});

const scenario = scenarios(() => server);

async function client(t, { key } = COUNTING) {
  const member = { user_id: "ada", user_info: {} };
  const it = await PusherClient.open(server, { key, ...auth.options({ member }) });
  closing(t, it);
  return it;
}

const count = (n) => (data) => data.subscription_count === n;

for (const name of ["stand", "private-stand"]) {
  scenario(`${name}: the number goes up and down`, async (t) => {
    const ada = await client(t);
    const channel = await ada.joined(name);
    await channel.got("pusher:subscription_count", count(1));
    const bo = await client(t);
    await bo.joined(name);
    await channel.got("pusher:subscription_count", count(2));
    await bo.channel(name).got("pusher:subscription_count", count(2));
    assert.equal(bo.channel(name).channel.subscriptionCount, 2);
    const seen = channel.events.items.length;
    bo.close();
    await channel.events.when(
      (items) =>
        items
          .slice(seen)
          .find(({ event, data }) => event === "pusher:subscription_count" && count(1)(data)),
      "one again",
    );
  });
}

scenario("not on presence channels, which have their members", async (t) => {
  const ada = await client(t);
  const channel = await ada.joined("presence-stand");
  await ada.joined("fence");
  await ada.channel("fence").got("pusher:subscription_count");
  assert.deepEqual(channel.all("pusher:subscription_count"), []);
});

scenario("not in apps that did not ask for it", async (t) => {
  const ada = await client(t, SILENT);
  const bo = await client(t, SILENT);
  const channel = await ada.joined("stand");
  await bo.joined("stand");
  await server.backend(SILENT).trigger("stand", "fence", {});
  await channel.got("fence");
  assert.deepEqual(channel.all("pusher:subscription_count"), []);
});
