// What operators and careful back ends use of the Pusher door: probes, metrics, listeners, repeated requests.
import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { connect } from "node:net";
import { test } from "node:test";
import { Child, freePort } from "./support/process.mjs";
import { closing, PusherClient } from "./support/pusher-client.mjs";
import { app, PusherServer, SOKETI } from "./support/pusher-server.mjs";
import { MYNAH_BIN } from "./support/server.mjs";
import { until } from "./support/wait.mjs";

// What is tried here is Mynah's own.
const options = { skip: SOKETI ? "of Mynah" : false, timeout: 60_000 };

const SHOP = app("shop");

async function started(t, more = {}) {
  const server = await PusherServer.start({ apps: [SHOP], ...more });
  t.after(() => server.close());
  return server;
}

/** Path and query of a request to the API, signed. */
function signed(method, path, body = "") {
  const query = new URLSearchParams({
    auth_key: SHOP.key,
    auth_timestamp: String(Math.floor(Date.now() / 1_000)),
    auth_version: "1.0",
    ...(body ? { body_md5: createHash("md5").update(body).digest("hex") } : {}),
  });
  const text = `${method}\n${path}\n${query}`;
  const signature = createHmac("sha256", SHOP.secret).update(text).digest("hex");
  return `${path}?${query}&auth_signature=${signature}`;
}

async function get(url) {
  const response = await fetch(url);
  return {
    status: response.status,
    type: response.headers.get("content-type"),
    text: await response.text(),
  };
}

function publish(server, event, headers = {}) {
  const body = JSON.stringify(event);
  const target = signed("POST", "/apps/shop/events", body);
  return fetch(server.pusherUrl + target, { method: "POST", body, headers });
}

test("a repeated event with its key comes once", options, async (t) => {
  const server = await started(t);
  const client = await PusherClient.open(server);
  closing(t, client);
  const channel = await client.joined("orders");
  const event = { name: "paid", channel: "orders", data: '{"n":1}' };
  const first = await publish(server, event, { "idempotency-key": "order-1" });
  assert.equal(first.status, 200);
  assert.equal(first.headers.get("idempotent-replayed"), null);
  const again = await publish(server, event, { "idempotency-key": "order-1" });
  assert.equal(again.status, 200);
  assert.equal(again.headers.get("idempotent-replayed"), "true");
  const other = { ...event, data: '{"n":2}' };
  assert.equal((await publish(server, other, { "idempotency-key": "order-1" })).status, 422);
  await publish(server, { ...event, name: "fence" });
  await channel.got("fence");
  assert.deepEqual(channel.all("paid"), [{ n: 1 }]);
});

test("a caller that hangs up does not cut its event short", options, async (t) => {
  const server = await started(t);
  const client = await PusherClient.open(server);
  closing(t, client);
  const names = Array.from({ length: 100 }, (_, n) => `hung-${n}`);
  const last = await client.joined(names[99]);
  const first = await client.joined(names[0]);
  for (let n = 0; n < 20; n += 1) {
    const body = JSON.stringify({ name: `e${n}`, channels: names, data: "{}" });
    const head = `POST ${signed("POST", "/apps/shop/events", body)} HTTP/1.1\r\nhost: x\r\n`;
    const socket = connect(server.pusherPort, "127.0.0.1");
    socket.on("error", () => {});
    await new Promise((resolve) => socket.on("connect", resolve));
    const request = `${head}content-length: ${body.length}\r\n\r\n${body}`;
    await new Promise((resolve) => socket.write(request, resolve));
    // Every second one hangs up when its event is under way, the others at once.
    if (n % 2 === 1) await first.got(`e${n}`);
    socket.destroy();
  }
  const seen = (channel) => channel.names.filter((name) => /^e\d/.test(name)).sort();
  await until(() => seen(first).length > 0 && same(seen(first), seen(last)), "both channels");
});

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

test("a body is not waited for before its caller is known", options, async (t) => {
  const server = await started(t);
  const target = signed("POST", "/apps/shop/events", "x").replace(
    /auth_signature=./,
    "auth_signature=z",
  );
  const socket = connect(server.pusherPort, "127.0.0.1");
  t.after(() => socket.destroy());
  let said = "";
  socket.on("data", (data) => (said += data));
  socket.on("error", () => {});
  const head = `POST ${target} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n`;
  socket.write(head);
  for (let n = 0; n < 20; n += 1) socket.write("x".repeat(1_000_000));
  await until(() => said.includes("\r\n\r\n") || socket.destroyed, "an answer");
  assert.match(said || "HTTP/1.1 401", /^HTTP\/1\.1 401/);
  assert.equal((await get(`${server.pusherUrl}/ready`)).text, "OK");
});

test("metrics under Soketi's names, as text, as JSON and for operators", options, async (t) => {
  const soketi = { METRICS_ENABLED: "1", METRICS_PROMETHEUS_PREFIX: "chat_" };
  const server = await started(t, { soketi });
  const client = await PusherClient.open(server);
  closing(t, client);
  await publish(server, { name: "e", channel: "c", data: "{}" });
  const text = await get(`${server.metricsUrl}/metrics`);
  assert.match(text.type, /^text\/plain; version=0\.0\.4/);
  const labels = `\\{app_id="shop",port="${server.pusherPort}"\\}`;
  assert.match(text.text, new RegExp(`^chat_connected${labels} 1$`, "m"));
  assert.match(text.text, new RegExp(`^chat_http_calls_received_total${labels} 1$`, "m"));
  const json = JSON.parse((await get(`${server.metricsUrl}/metrics?json=1`)).text);
  const connected = json.find(({ name }) => name === "chat_connected");
  assert.equal(connected.type, "gauge");
  const value = { value: 1, labels: { app_id: "shop", port: server.pusherPort } };
  assert.deepEqual(connected.values, [value]);
  const operators = await get(`http://127.0.0.1:${server.adminPort}/metrics`);
  assert.match(operators.text, new RegExp(`^chat_connected${labels} 1$`, "m"));
  assert.match(operators.text, /^mynah_pusher_sockets 1$/m);
  assert.ok(operators.text.endsWith("# EOF\n"));
});

test(
  "without a word of Soketi there is one port, and numbers are told once",
  options,
  async (t) => {
    const apps = `[[pusher.apps]]\nid = "shop"\nkey = "${SHOP.key}"\nsecret = "${SHOP.secret}"\n`;
    const server = await started(t, {
      toml: apps,
      soketi: {},
      env: { SOKETI_PORT: undefined, SOKETI_METRICS_SERVER_PORT: undefined },
    });
    const main = await get(`${server.url}${signed("GET", "/apps/shop/channels")}`);
    assert.deepEqual([main.status, main.text], [200, '{"channels":{}}']);
    await assert.rejects(get(`${server.pusherUrl}/ready`));
    assert.equal((await get(`${server.url}/accept-traffic`)).status, 200);
    assert.equal((await get(`${server.url}/usage`)).status, 404);
    const operators = `http://127.0.0.1:${server.adminPort}`;
    assert.equal((await get(`${operators}/usage`)).status, 200);
    assert.ok(!(await get(`${operators}/metrics`)).text.includes("soketi_"));
  },
);

test("a leaving server asks for no more traffic", options, async (t) => {
  const server = await started(t, { env: { MYNAH_SERVER__DRAIN_S: "30" } });
  const client = await PusherClient.open(server);
  closing(t, client);
  assert.equal((await get(`${server.pusherUrl}/accept-traffic`)).status, 200);
  const statuses = [];
  const watch = setInterval(() => {
    get(`${server.pusherUrl}/ready`).then(
      ({ status }) => statuses.push(status),
      () => {},
    );
  }, 2);
  await server.stop();
  clearInterval(watch);
  const wrong = statuses.filter((status) => status !== 200 && status !== 503);
  assert.deepEqual(wrong, []);
});

test("a port that is taken is named by its setting", options, async (t) => {
  const server = await started(t);
  for (const [taken, name] of [
    [{ SOKETI_PORT: String(server.pusherPort) }, /pusher\.port \(SOKETI_PORT\)/],
    [
      { SOKETI_METRICS_ENABLED: "1", SOKETI_METRICS_SERVER_PORT: String(server.pusherPort) },
      /pusher\.metrics_port \(SOKETI_METRICS_SERVER_PORT\)/,
    ],
  ]) {
    const env = {
      PORT: String(await freePort()),
      MYNAH_ADMIN__PORT: String(await freePort()),
      SOKETI_PORT: String(await freePort()),
      MYNAH_DATA_DIR: `${server.dataDir}/second`,
      ...taken,
    };
    const child = new Child(MYNAH_BIN, ["serve"], { cwd: server.dataDir, env });
    t.after(() => child.stop());
    const { code } = await child.exited;
    assert.notEqual(code, 0);
    assert.match(child.tail(), name);
  }
});
