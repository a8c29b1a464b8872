// While the store is away nobody can say who may hear a channel. pusher-js takes every refusal for good, so none is
// given: the subscription waits, or the connection ends in a way that brings the library back.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { closing, PusherClient } from "./support/pusher-client.mjs";
import { contents, signedByHouse, Thread } from "./support/pusher-house.mjs";
import { APP, PusherServer } from "./support/pusher-server.mjs";
import { scenarios } from "./support/server.mjs";
import { Postgres } from "./support/stores.mjs";
import { until } from "./support/wait.mjs";

const WAIT_MS = 45_000;
const [ADA, BO] = [0, 1];

let postgres;
let server;
before(async () => {
  postgres = await Postgres.start();
  server = await PusherServer.start({ env: { DATABASE_URL: postgres.database() } });
});
after(async () => {
  await server?.close();
  await postgres?.close();
});

const scenario = scenarios(() => server);

/** The app's own back end signs, and needs no store for it. */
function signedByApp(user) {
  const backend = server.backend();
  const customHandler = ({ channelName, socketId }, done) =>
    done(null, backend.authorizeChannel(socketId, channelName, { user_id: user.user.id }));
  return { channelAuthorization: { customHandler } };
}

const ready = async () => (await fetch(`${server.url}/readyz`)).status;

async function away(happen) {
  await postgres.kill();
  await until(async () => (await ready()) === 503, "the server to notice", WAIT_MS);
  await happen();
  await postgres.spawn();
}

/** All are subscribed in the end, without a refusal, and hear what is said from then on. */
async function hears(thread, clients, who) {
  const channels = clients.map((client) => client.channel(thread.channel));
  for (const channel of channels)
    await channel.got("pusher:subscription_succeeded", () => true, WAIT_MS);
  await until(async () => (await ready()) === 200, "the server to be whole again", WAIT_MS);
  await thread.say(who, "all is well");
  for (const channel of channels) {
    await channel.got("tenant-user-message", ({ content }) => content === "all is well");
    assert.deepEqual(contents(channel), ["all is well"]);
    assert.deepEqual(channel.all("pusher:subscription_error"), []);
  }
}

scenario(
  "a subscription during a short absence succeeds when the store is back",
  async (t) => {
    const thread = await Thread.open(server);
    const [ada, bo] = thread.users;
    const byHouse = await PusherClient.open(server, signedByHouse(server, ada));
    const byApp = await PusherClient.open(server, { key: APP.key, ...signedByApp(bo) });
    closing(t, byHouse, byApp);
    await away(() => {
      byHouse.channel(thread.channel);
      byApp.channel(thread.channel);
    });
    await hears(thread, [byHouse, byApp], BO);
  },
  120_000,
);

scenario(
  "a long absence ends the connection, and the library subscribes again by itself",
  async (t) => {
    const thread = await Thread.open(server, ["cy", "di"]);
    const client = await PusherClient.open(server, {
      key: APP.key,
      ...signedByApp(thread.users[ADA]),
    });
    closing(t, client);
    await away(async () => {
      client.channel(thread.channel);
      const { data } = await client.errors.find(({ data }) => data?.code === 4100, "4100", WAIT_MS);
      assert.match(data.message, /try again/);
    });
    await client.connected(2, WAIT_MS);
    await hears(thread, [client], BO);
  },
  120_000,
);
