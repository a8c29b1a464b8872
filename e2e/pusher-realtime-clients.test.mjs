// Libraries set up by the realtime endpoints alone: with the config as it is, and signatures of the house.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import Echo from "laravel-echo";
import Pusher from "pusher-js";
import { newUser } from "./support/api.mjs";
import { closing, PusherClient } from "./support/pusher-client.mjs";
import { PusherServer } from "./support/pusher-server.mjs";
import { JWT_SECRET, scenarios } from "./support/server.mjs";
import { short } from "./support/tokens.mjs";
import { within } from "./support/wait.mjs";

const PREFIXES = ["", "/api", "/v1", "/api/v1"];

let server;
before(async () => {
  server = await PusherServer.start();
});
after(() => server?.close());

const scenario = scenarios(() => server);
const ONLINE = "presence-tenant.default.online";
const thread = (one, other) => `presence-tenant.default.thread.${one.user.id}--${other.user.id}`;

/** pusher-js set up with what the config endpoint says, as the front end does it. */
async function frontEnd(t, user, { prefix = "/api", token = user.accessToken } = {}) {
  const { success, config } = await user.api.ok("GET", `${prefix}/chat/realtime/config`);
  assert.equal(success, true);
  const headers = { Authorization: `Bearer ${token}` };
  const client = new PusherClient(server, {
    key: config.key,
    cluster: config.cluster,
    wsHost: config.host,
    wsPort: config.port,
    forceTLS: config.useTLS,
    channelAuthorization: {
      endpoint: `${server.url}${prefix}/chat/realtime/auth`,
      transport: "ajax",
      headers,
    },
    userAuthentication: {
      endpoint: `${server.url}${prefix}/chat/realtime/auth`,
      transport: "ajax",
      headers,
    },
  });
  closing(t, client);
  await client.connected();
  return client;
}

scenario("config, then the channels of two users, under every prefix", async (t) => {
  const ada = await newUser(server.url, "ada");
  const bo = await newUser(server.url, "bo");
  for (const prefix of PREFIXES) {
    const [one, other] = [await frontEnd(t, ada, { prefix }), await frontEnd(t, bo, { prefix })];
    const name = thread(ada, bo);
    await one.joined(name);
    await other.joined(name);
    const { members } = other.channel(name).channel;
    assert.equal(members.me.id, bo.user.id);
    assert.deepEqual(members.get(ada.user.id).info, {
      name: ada.user.name,
      email: ada.user.email,
      role: "member",
      tenantId: "default",
    });
    await one.joined(ONLINE);
    await one.joined(`private-scheduled.default.${ada.user.id}`);
    for (const client of [one, other]) client.close();
  }
});

scenario("who may not is told so, and stays connected", async (t) => {
  const [ada, bo, cy] = await Promise.all(
    ["ada", "bo", "cy"].map((name) => newUser(server.url, name)),
  );
  const client = await frontEnd(t, cy);
  for (const name of [
    thread(ada, bo),
    `private-scheduled.default.${ada.user.id}`,
    "private-tenant.default.tickets",
    "presence-tenant.other.online",
    "private-orders",
  ]) {
    const error = await client.refused(name);
    assert.equal(error.type, "AuthError");
    assert.equal(error.status, 403, name);
  }
  await client.joined(ONLINE);
  assert.equal(client.state, "connected");
});

scenario("without a credential, and with one that is over", async (t) => {
  const ada = await newUser(server.url, "ada");
  const past = short(ada.accessToken, -60, JWT_SECRET);
  for (const token of ["", past, "nonsense"]) {
    const client = await frontEnd(t, ada, { token });
    assert.equal((await client.refused(ONLINE)).status, 401);
  }
});

scenario("signing in at the same endpoint", async (t) => {
  const ada = await newUser(server.url, "ada");
  const client = await frontEnd(t, ada);
  const { user_data: data } = await client.signIn();
  const user = JSON.parse(data);
  assert.equal(user.id, ada.user.id);
  assert.equal(user.user_info.name, ada.user.name);
  await server.backend().sendToUser(ada.user.id, "greeting", { n: 1 });
  const heard = await client.user.find(({ event }) => event === "greeting", "the greeting");
  assert.deepEqual(heard.data, { n: 1 });
});

scenario("Laravel Echo with its own paths and a bearer token", async (t) => {
  const ada = await newUser(server.url, "ada");
  const echo = new Echo({
    broadcaster: "pusher",
    Pusher,
    key: server.apps[0].key,
    authEndpoint: `${server.url}/broadcasting/auth`,
    userAuthentication: { endpoint: `${server.url}/broadcasting/user-auth`, headers: {} },
    bearerToken: ada.accessToken,
    ...server.clientOptions,
  });
  closing(t, { close: () => echo.disconnect() });
  const here = new Promise((resolve, reject) => {
    echo.join("tenant.default.online").here(resolve).error(reject);
  });
  const members = await within(15_000, here, "who is here");
  assert.ok(members.some(({ email }) => email === ada.user.email));
});

scenario("switched off: no error for the config, 503 for the signature", async (t) => {
  const off = await PusherServer.start({ env: { MYNAH_PUSHER__ENABLED: "false" } });
  t.after(() => off.close());
  const ada = await newUser(off.url, "ada");
  const { success, message } = await ada.api.ok("GET", "/api/chat/realtime/config");
  assert.equal(success, false);
  assert.ok(message);
  const body = { socket_id: "123.456", channel_name: ONLINE };
  const { status, body: error } = await ada.api.call("POST", "/api/chat/realtime/auth", body);
  assert.equal(status, 503);
  assert.ok(error.error);
});
