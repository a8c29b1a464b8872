// A server that is given nothing but what Soketi was given: its environment, its JSON file, its ports.
import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { Child, freePort, removeAtExit } from "./support/process.mjs";
import { closing, PusherClient, RawClient } from "./support/pusher-client.mjs";
import { APP, answer, app, PusherServer, SOKETI } from "./support/pusher-server.mjs";
import { MYNAH_BIN } from "./support/server.mjs";
import { until } from "./support/wait.mjs";

/** A test with a server of its own, whose log is shown when it fails. */
function scenario(name, options, run) {
  test(name, { timeout: 60_000 }, async (t) => {
    const server = await PusherServer.start(options);
    t.after(() => server.close());
    try {
      await run(t, server);
    } catch (error) {
      process.stderr.write(`--- ${name}: log tail ---\n${server.log}\n--- end ---\n`);
      throw error;
    }
  });
}

/** An event goes from the server library to pusher-js. */
async function works(t, server, it = server.apps[0]) {
  const client = await PusherClient.open(server, { key: it.key });
  closing(t, client);
  const channel = await client.joined("works");
  await server.backend(it).trigger("works", "e", { n: 1 });
  assert.deepEqual(await channel.got("e"), { n: 1 });
  return client;
}

scenario("SOKETI_DEFAULT_APP_*: id, key, secret", {}, works);

const JSON_APPS = [app("first"), app("second"), app("third", { enabled: false })];
scenario("a JSON file with several apps", { apps: JSON_APPS }, async (t, server) => {
  await works(t, server, JSON_APPS[0]);
  await works(t, server, JSON_APPS[1]);
  const raw = new RawClient(server, { key: "third-key" });
  closing(t, raw);
  assert.equal((await raw.closed).code, 4003);
});

const NESTED = {
  appManager: { driver: "array", cache: { enabled: false }, array: { apps: [app("nested")] } },
  channelLimits: { maxNameLength: 20, cacheTtl: 60 },
  "eventLimits.maxChannelsAtOnce": 2,
};
scenario("a JSON file, nested and dotted", { config: NESTED }, async (t, server) => {
  const it = app("nested");
  await works(t, server, it);
  const client = await PusherClient.open(server, { key: it.key });
  closing(t, client);
  await client.joined("n".repeat(20));
  const error = await client.refused("n".repeat(21));
  assert.equal(typeof error.error, "string");
  const told = await server
    .backend(it)
    .trigger(["a", "b", "c"], "e", {})
    .then((response) => response.text())
    .catch(({ body }) => body);
  assert.match(told, /Cannot broadcast to more than 2 channels at once/);
});

scenario("SOKETI_PATH_PREFIX", { soketi: { PATH_PREFIX: "/ws" } }, async (t, server) => {
  const client = await PusherClient.open(server, { wsPath: "/ws" });
  closing(t, client);
  const channel = await client.joined("prefixed");
  const body = JSON.stringify({ name: "e", channel: "prefixed", data: '{"n":1}' });
  const query = new URLSearchParams({
    auth_key: APP.key,
    auth_timestamp: String(Math.floor(Date.now() / 1_000)),
    auth_version: "1.0",
    body_md5: createHash("md5").update(body).digest("hex"),
  });
  const at = `/ws/apps/${APP.id}/events`;
  const signature = createHmac("sha256", APP.secret).update(`POST\n${at}\n${query}`).digest("hex");
  const response = await fetch(`${server.pusherUrl}${at}?${query}&auth_signature=${signature}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
  });
  assert.equal(response.status, 200, await response.text());
  assert.deepEqual(await channel.got("e"), { n: 1 });
  const probe = await fetch(`${server.pusherUrl}/ws/ready`);
  assert.equal(await probe.text(), "OK");
});

const LIMITS = {
  DEFAULT_APP_ENABLE_CLIENT_MESSAGES: "false",
  DEFAULT_APP_MAX_CONNS: "2",
  EVENT_MAX_NAME_LENGTH: "10",
  EVENT_MAX_SIZE_IN_KB: "1",
  EVENT_MAX_BATCH_SIZE: "2",
  PRESENCE_MAX_MEMBERS: "1",
};
scenario("limits from the environment", { soketi: LIMITS }, async (t, server) => {
  const it = server.backend();
  const said = (call) =>
    call.then((response) => response.text()).catch((error) => error.body ?? String(error));
  assert.match(await said(it.trigger("c", "n".repeat(11), {})), /Maximum allowed size is 10/);
  assert.match(await said(it.trigger("c", "e", "x".repeat(1_100))), /less than 1 KB/);
  const three = ["a", "b", "c"].map((channel) => ({ channel, name: "e", data: {} }));
  assert.match(await said(it.triggerBatch(three)), /more than 2 messages/);
  const sockets = [await RawClient.open(server), await RawClient.open(server)];
  closing(t, ...sockets);
  const third = new RawClient(server);
  closing(t, third);
  const { code } = await third.closed;
  assert.ok(code === 4004 || code === 4100, String(code));
  for (const [n, socket] of sockets.entries()) {
    const data = it.authorizeChannel(socket.socketId, "presence-x", {
      user_id: `u${n}`,
      user_info: {},
    });
    socket.send({ event: "pusher:subscribe", data: { channel: "presence-x", ...data } });
    await socket.settled();
  }
  const refused = await sockets[1].find("pusher:subscription_error");
  const data = typeof refused.data === "string" ? JSON.parse(refused.data) : refused.data;
  assert.equal(data.type, "LimitReached");
  sockets[0].send({ event: "client-x", channel: "presence-x", data: {} });
  const error = await sockets[0].find("pusher:error");
  assert.equal((typeof error.data === "string" ? JSON.parse(error.data) : error.data).code, 4301);
});

const SIGN_IN = {
  soketi: { DEFAULT_APP_USER_AUTHENTICATION: "true", USER_AUTHENTICATION_TIMEOUT: "3000" },
};
scenario(
  "SOKETI_USER_AUTHENTICATION_TIMEOUT: who does not sign in goes",
  SIGN_IN,
  async (t, server) => {
    const raw = await RawClient.open(server);
    closing(t, raw);
    assert.equal((await raw.closed).code, 4009);
    const known = await RawClient.open(server);
    closing(t, known);
    const user = server.backend().authenticateUser(known.socketId, { id: "ada" });
    known.send({ event: "pusher:signin", data: user });
    await known.find("pusher:signin_success");
    const later = await RawClient.open(server);
    closing(t, later);
    assert.equal((await later.closed).code, 4009);
    await known.settled();
  },
);

const METRICS = { soketi: { METRICS_ENABLED: "1", METRICS_PROMETHEUS_PREFIX: "soketi_" } };
scenario("probes and metrics where Soketi has them", METRICS, async (t, server) => {
  const get = async (url) => {
    const response = await fetch(url);
    return { status: response.status, text: await response.text() };
  };
  await works(t, server);
  for (const at of [server.pusherUrl, server.metricsUrl])
    for (const probe of ["/", "/ready"])
      assert.deepEqual(await get(at + probe), { status: 200, text: "OK" }, at + probe);
  const traffic = await get(`${server.pusherUrl}/accept-traffic`);
  assert.equal(traffic.status, 200);
  assert.ok(JSON.parse(traffic.text).memory.percentUsage > 0);
  const usage = JSON.parse((await get(`${server.metricsUrl}/usage`)).text);
  assert.deepEqual(Object.keys(usage.memory).sort(), ["free", "percent", "total", "used"]);
  const { text } = await get(`${server.metricsUrl}/metrics`);
  for (const name of [
    "soketi_connected",
    "soketi_new_connections_total",
    "soketi_http_calls_received_total",
    "soketi_ws_messages_sent_total",
    "soketi_ws_messages_received_total",
    "soketi_socket_received_bytes",
    "soketi_socket_transmitted_bytes",
    "soketi_http_received_bytes",
    "soketi_http_transmitted_bytes",
  ])
    assert.match(text, new RegExp(`^${name}\\{[^}]*\\} [1-9]`, "m"), name);
  assert.match(text, /^soketi_connected\{[^}]*port="\d+"[^}]*\} 1$/m);
});

scenario(
  "channels of one app are not those of another",
  { apps: [app("a"), app("b")] },
  async (t, server) => {
    await works(t, server, app("a"));
    const { channels } = await answer(server.backend(app("b")).get({ path: "/channels" }));
    assert.deepEqual(channels, {});
  },
);

const MYNAH_ONLY = { skip: SOKETI ? "says how Mynah starts" : false, timeout: 60_000 };

/** `mynah serve` with exactly this environment; the log of its start. */
async function start(t, env) {
  const dataDir = mkdtempSync(path.join(tmpdir(), "mynah-e2e-"));
  const folder = removeAtExit(dataDir);
  const child = new Child(MYNAH_BIN, ["serve"], {
    cwd: dataDir,
    env: {
      PORT: String(await freePort()),
      MYNAH_ADMIN__PORT: String(await freePort()),
      MYNAH_DATA_DIR: dataDir,
      ...env,
    },
  });
  t.after(async () => {
    await child.stop();
    folder.now();
  });
  return child;
}

test("names without meaning here are told at the start, with the reason", MYNAH_ONLY, async (t) => {
  const port = await freePort();
  const child = await start(t, {
    SOKETI_PORT: String(port),
    SOKETI_METRICS_SERVER_PORT: String(await freePort()),
    SOKETI_ADAPTER_DRIVER: "redis",
    SOKETI_DB_REDIS_HOST: "redis.internal",
    SOKETI_NO_SUCH_NAME: "1",
  });
  await until(() => fetch(`http://127.0.0.1:${port}/ready`), "the listener");
  const log = child.tail(200);
  for (const name of ["SOKETI_ADAPTER_DRIVER", "SOKETI_DB_REDIS_HOST", "SOKETI_NO_SUCH_NAME"])
    assert.ok(log.includes(name), `${name} is named in:\n${log}`);
});

test("a JSON file that cannot be read, or names nonsense, is no start", MYNAH_ONLY, async (t) => {
  for (const [content, complaint] of [
    [null, /soketi\.json/],
    ["{", /soketi\.json/],
    ['{"appManager.array.apps":"x"}', /appManager\.array\.apps/],
  ]) {
    const folder = mkdtempSync(path.join(tmpdir(), "mynah-e2e-"));
    removeAtExit(folder);
    const file = path.join(folder, "soketi.json");
    if (content !== null) writeFileSync(file, content);
    const child = await start(t, { MYNAH_PUSHER__SOKETI_CONFIG: file });
    const { code } = await child.exited;
    assert.notEqual(code, 0);
    assert.match(child.tail(), complaint);
  }
});

test("production refuses the secrets that everybody knows", MYNAH_ONLY, async (t) => {
  const child = await start(t, {
    MYNAH_ENV: "production",
    JWT_SECRET: "e2e-only-secret-0123456789-abcdefghijklmnop",
    SOKETI_PORT: String(await freePort()),
    SOKETI_DEFAULT_APP_ID: "app-id",
    SOKETI_DEFAULT_APP_KEY: "app-key",
    SOKETI_DEFAULT_APP_SECRET: "app-secret",
  });
  const { code } = await child.exited;
  assert.notEqual(code, 0);
  assert.match(child.tail(), /app-secret|secret/);
});
