// Webhooks in one call, webhooks that may not be called, and what operators do about those given up.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { closing, PusherClient } from "./support/pusher-client.mjs";
import { app, PusherServer, SOKETI } from "./support/pusher-server.mjs";
import { Recorder, until } from "./support/wait.mjs";

const skip = SOKETI ? "of Mynah only" : false;
const ALLOWED = "MYNAH_PUSHER__WEBHOOKS__ALLOW_PRIVATE_ADDRESSES";

const calls = new Recorder("webhooks");
let hook;
let shop;
before(async () => {
  hook = createServer(async (request, response) => {
    let rawBody = "";
    for await (const chunk of request) rawBody += chunk;
    response.writeHead(200).end();
    calls.push({ headers: request.headers, rawBody, ...JSON.parse(rawBody) });
  });
  await new Promise((resolve) => hook.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${hook.address().port}/hook`;
  shop = app("shop", { webhooks: [{ url, event_types: ["channel_occupied"] }] });
});
after(() => {
  hook.closeAllConnections();
  hook.close();
});

async function command(server, ...args) {
  const env = { ...process.env, ...server.env };
  const options = { env, cwd: server.dataDir };
  const all = ["webhook", ...args, "--data-dir", server.dataDir];
  const { stdout } = await promisify(execFile)(server.bin, all, options);
  return stdout;
}

async function visit(t, server, ...channels) {
  const client = await PusherClient.open(server, { key: shop.key });
  closing(t, client);
  for (const channel of channels) await client.joined(channel);
}

const named = (channel) => (call) => call.events.some((event) => event.channel === channel);

test("with batching, what happens together travels in one signed call", {
  skip,
  timeout: 90_000,
}, async (t) => {
  const env = { [ALLOWED]: "true" };
  const soketi = { WEBHOOKS_BATCHING: "true", WEBHOOKS_BATCHING_DURATION: "5000" };
  const server = await PusherServer.start({ apps: [shop], soketi, env });
  t.after(() => server.close());
  const channels = Array.from({ length: 10 }, (_, n) => `together-${n}`);
  await visit(t, server, ...channels);
  const call = await calls.find(named("together-0"), "the call");
  const told = call.events.map(({ channel }) => channel);
  assert.deepEqual(told, channels);
  const webhook = server.backend(shop).webhook(call);
  assert.ok(webhook.isValid() && webhook.getEvents().length === 10);
});

test("private addresses are not called unless that is set, dead letters can be sent then", {
  skip,
  timeout: 90_000,
}, async (t) => {
  const server = await PusherServer.start({ apps: [shop] });
  t.after(() => server.close());
  await visit(t, server, "forbidden", "dropped");
  const list = async () => (await command(server, "list", "--json")).trim().split("\n");
  const dead = await until(async () => {
    const lines = (await list()).filter(Boolean).map((line) => JSON.parse(line));
    return lines.length === 2 && lines;
  }, "two dead letters");
  assert.deepEqual(dead.map(({ event }) => event.channel).sort(), ["dropped", "forbidden"]);
  assert.match(dead[0].error, /127\.0\.0\.1 is an address of this machine/);
  assert.match(await command(server, "list"), /app shop: 0 waiting, 2 given up/);
  const metrics = await until(async () => {
    const text = await (await fetch(`${server.adminUrl}/metrics`)).text();
    return text.includes('mynah_webhook_dead{app_id="shop"} 2') && text;
  }, "the metrics");
  assert.match(metrics, /mynah_webhook_given_up_total\{app_id="shop"\} 2/);
  assert.ok(!calls.items.some(named("forbidden")), "nobody was called");
  const letter = (channel) => dead.find(({ event }) => event.channel === channel);
  const { id, event: dropped } = letter("dropped");
  assert.equal(await command(server, "drop", String(id)), "1 deleted\n");
  await server.stop();
  server.env[ALLOWED] = "true";
  await server.spawn();
  assert.match(await command(server, "retry", "--all"), /^1 wait again/);
  // The client that comes back tells of both channels anew: events are known by their ids.
  const { event_id: revived } = letter("forbidden").event;
  const tells = ({ events }) => events.some(({ event_id }) => event_id === revived);
  const call = await calls.find(tells, "the call", 30_000);
  assert.ok(server.backend(shop).webhook(call).isValid());
  await until(
    async () => (await command(server, "list")).startsWith("nothing waits"),
    "an empty outbox",
  );
  const told = calls.items.flatMap(({ events }) => events.map(({ event_id }) => event_id));
  assert.ok(!told.includes(dropped.event_id));
});

test("subscription_count, of an app that counts", { skip, timeout: 60_000 }, async (t) => {
  const toml = `[[pusher.apps]]
id = "${shop.id}"
key = "${shop.key}"
secret = "${shop.secret}"
subscription_counts = true
[[pusher.apps.webhooks]]
url = "${shop.webhooks[0].url}"
events = ["subscription_count"]
`;
  const server = await PusherServer.start({ apps: [shop], toml, env: { [ALLOWED]: "true" } });
  t.after(() => server.close());
  await visit(t, server, "counted");
  const { events } = await calls.find(named("counted"), "the call");
  const { event_id, ...event } = events[0];
  assert.ok(event_id);
  assert.deepEqual(event, {
    name: "subscription_count",
    channel: "counted",
    subscription_count: 1,
  });
});
