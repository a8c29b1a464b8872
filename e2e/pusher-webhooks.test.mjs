// Webhooks as a backend receives them: signed, whole, repeated until taken, and never mixed between apps.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before } from "node:test";
import { AuthProgram } from "./support/pusher-auth.mjs";
import { closing, PusherClient } from "./support/pusher-client.mjs";
import { app, PusherServer, SOKETI } from "./support/pusher-server.mjs";
import { scenarios } from "./support/server.mjs";
import { Recorder } from "./support/wait.mjs";

/** A backend that takes webhooks, or refuses them. */
class Hook {
  calls = new Recorder("webhooks");
  events = new Recorder("webhook events");
  /** Ids of events, at each try. */
  ids = new Recorder("ids of webhook events");
  status = 200;

  static async start() {
    const hook = new Hook();
    hook.http = createServer((request, response) => hook.#take(request, response));
    await new Promise((resolve) => hook.http.listen(0, "127.0.0.1", resolve));
    hook.url = `http://127.0.0.1:${hook.http.address().port}/hook`;
    return hook;
  }

  async #take(request, response) {
    let rawBody = "";
    for await (const chunk of request) rawBody += chunk;
    const { status } = this;
    response.writeHead(status).end();
    const { events } = JSON.parse(rawBody);
    this.calls.push({ headers: request.headers, rawBody, status });
    for (const { event_id, ...event } of events) {
      if (event_id) this.ids.push({ event_id, channel: event.channel, status });
      if (status === 200) this.events.push(event);
    }
  }

  got(name, match = () => true) {
    return this.events.find((event) => event.name === name && match(event), name);
  }

  close() {
    this.http.closeAllConnections();
    return new Promise((resolve) => this.http.close(resolve));
  }
}

const hooks = {};
let server;
let auth;
const apps = {};
before(async () => {
  for (const name of ["all", "some", "other"]) hooks[name] = await Hook.start();
  apps.all = app("all", {
    webhooks: [{ url: hooks.all.url, headers: { "X-Own": "yes" }, event_types: KINDS }],
  });
  apps.some = app("some", {
    webhooks: [
      {
        url: hooks.some.url,
        event_types: ["channel_occupied", "member_added"],
        filter: { channel_name_starts_with: "presence-", channel_name_ends_with: "-watched" },
      },
    ],
  });
  apps.other = app("other", {
    webhooks: [{ url: hooks.other.url, event_types: ["channel_occupied"] }],
  });
  server = await PusherServer.start({
    apps: Object.values(apps),
    env: { MYNAH_PUSHER__WEBHOOKS__ALLOW_PRIVATE_ADDRESSES: "true" },
  });
  auth = await AuthProgram.start(server, apps.all);
});
after(async () => {
  for (const hook of Object.values(hooks)) await hook.close();
  await auth?.close();
  await server?.close();
});

const KINDS = [
  "channel_occupied",
  "channel_vacated",
  "member_added",
  "member_removed",
  "client_event",
  "cache_miss",
  "subscription_count",
];

const scenario = scenarios(() => server);

async function client(t, user_id = "ada", which = apps.all, program = auth) {
  const member = { user_id, user_info: {} };
  const it = await PusherClient.open(server, { key: which.key, ...program.options({ member }) });
  closing(t, it);
  return it;
}

const on = (channel) => (event) => event.channel === channel;

scenario("signed with the key of the app, as the server library checks it", async (t) => {
  const ada = await client(t);
  await ada.joined("signed");
  await hooks.all.got("channel_occupied", on("signed"));
  const { headers, rawBody } = hooks.all.calls.items.find((it) => it.rawBody.includes("signed"));
  assert.match(headers["content-type"], /^application\/json/);
  assert.equal(headers["x-pusher-key"], apps.all.key);
  assert.equal(headers["x-own"], "yes");
  const webhook = server.backend(apps.all).webhook({ headers, rawBody });
  assert.equal(webhook.isValid(), true);
  assert.ok(webhook.getTime().getTime() > 1_600_000_000_000);
  const [{ event_id, ...event }] = webhook.getEvents();
  assert.deepEqual(event, { name: "channel_occupied", channel: "signed" });
  if (!SOKETI) assert.match(event_id, /^[0-9a-f-]{36}$/);
  assert.equal(server.backend(apps.other).webhook({ headers, rawBody }).isValid(), false);
});

scenario("channel_occupied with the first, channel_vacated after the last", async (t) => {
  const [ada, bo] = [await client(t), await client(t, "bo")];
  await ada.joined("hall");
  await bo.joined("hall");
  await hooks.all.got("channel_occupied", on("hall"));
  ada.close();
  bo.close();
  await hooks.all.got("channel_vacated", on("hall"));
  const told = hooks.all.events.items
    .filter((event) => on("hall")(event) && event.name.startsWith("channel_"))
    .map(({ name }) => name);
  assert.deepEqual(told, ["channel_occupied", "channel_vacated"]);
});

scenario("member_added and member_removed, once for a user with several connections", async (t) => {
  const tabs = [await client(t, "tabs"), await client(t, "tabs")];
  for (const tab of tabs) await tab.joined("presence-hall");
  const added = await hooks.all.got("member_added", on("presence-hall"));
  assert.deepEqual(added, { name: "member_added", channel: "presence-hall", user_id: "tabs" });
  for (const tab of tabs) tab.close();
  const removed = await hooks.all.got("member_removed", on("presence-hall"));
  assert.equal(removed.user_id, "tabs");
  const told = hooks.all.events.items.filter(
    (event) => on("presence-hall")(event) && event.name === "member_added",
  );
  assert.equal(told.length, 1);
});

scenario("a page that reloads is not told", async (t) => {
  const first = await client(t, "reload");
  await first.joined("presence-page");
  await hooks.all.got("member_added", on("presence-page"));
  const second = await client(t, "reload");
  first.close();
  await second.joined("presence-page");
  const last = await client(t, "last");
  await last.joined("fence-page");
  last.close();
  await hooks.all.got("channel_vacated", on("fence-page"));
  const told = hooks.all.events.items.filter(on("presence-page")).map(({ name }) => name);
  assert.ok(!told.includes("member_removed") && !told.includes("channel_vacated"), told.join());
});

scenario("client_event: the data as text, who sent it", async (t) => {
  const [ada, bo] = [await client(t), await client(t, "bo")];
  for (const it of [ada, bo]) await it.joined("presence-talk");
  await bo.joined("private-talk");
  ada.channel("presence-talk").channel.trigger("client-said", { n: 1 });
  bo.channel("private-talk").channel.trigger("client-said", { n: 2 });
  const inPresence = await hooks.all.got("client_event", on("presence-talk"));
  assert.deepEqual(inPresence, {
    name: "client_event",
    channel: "presence-talk",
    event: "client-said",
    data: '{"n":1}',
    socket_id: ada.socketId,
    user_id: "ada",
  });
  const inPrivate = await hooks.all.got("client_event", on("private-talk"));
  assert.deepEqual(inPrivate, {
    name: "client_event",
    channel: "private-talk",
    event: "client-said",
    data: '{"n":2}',
    socket_id: bo.socketId,
  });
});

scenario("cache_miss", async (t) => {
  const ada = await client(t);
  await ada.joined("cache-empty");
  assert.deepEqual(await hooks.all.got("cache_miss"), {
    name: "cache_miss",
    channel: "cache-empty",
  });
});

scenario("filters: only the kinds and channels that were asked for", async (t) => {
  const program = await AuthProgram.start(server, apps.some);
  t.after(() => program.close());
  const ada = await client(t, "ada", apps.some, program);
  await ada.joined("plain-watched");
  await ada.joined("presence-ignored");
  await ada.joined("presence-watched");
  await hooks.some.got("member_added", on("presence-watched"));
  ada.close();
  const bo = await client(t, "bo", apps.some, program);
  await bo.joined("presence-second-watched");
  await hooks.some.got("member_added", on("presence-second-watched"));
  const named = new Set(hooks.some.events.items.map(({ channel }) => channel));
  assert.deepEqual([...named].sort(), ["presence-second-watched", "presence-watched"]);
  const kinds = new Set(hooks.some.events.items.map(({ name }) => name));
  assert.deepEqual([...kinds].sort(), ["channel_occupied", "member_added"]);
});

scenario(
  "refused webhooks are repeated until they are taken, and nobody else's wait",
  async (t) => {
    hooks.other.status = 503;
    const program = await AuthProgram.start(server, apps.other);
    t.after(() => program.close());
    const ada = await client(t, "ada", apps.other, program);
    await ada.joined("patient");
    await hooks.other.calls.atLeast(2, ({ status }) => status === 503, "tries");
    await (await client(t)).joined("impatient");
    await hooks.all.got("channel_occupied", on("impatient"));
    hooks.other.status = 200;
    await hooks.other.events.find(on("patient"), "the event in the end", 45_000);
    const ids = hooks.other.ids.items.filter(on("patient")).map(({ event_id }) => event_id);
    assert.ok(ids.length > 2 && new Set(ids).size === 1, "an event keeps its id");
  },
);

scenario(
  "what was to be told survives kill -9",
  async (t) => {
    hooks.other.status = 500;
    const program = await AuthProgram.start(server, apps.other);
    t.after(() => program.close());
    const ada = await client(t, "ada", apps.other, program);
    await ada.joined("durable");
    await hooks.other.calls.find(
      ({ rawBody, status }) => status === 500 && rawBody.includes("durable"),
      "a try",
    );
    ada.close();
    await server.restart({ kill: true });
    hooks.other.status = 200;
    await hooks.other.events.find(on("durable"), "the event after the crash", 45_000);
  },
  90_000,
);

scenario("one app's events are never sent under another's key", async (t) => {
  const program = await AuthProgram.start(server, apps.other);
  t.after(() => program.close());
  const clients = [await client(t), await client(t, "ada", apps.other, program)];
  for (let n = 0; n < 20; n += 1)
    await Promise.all(clients.map((it, which) => it.joined(`mixed-${which}-${n}`)));
  for (let n = 0; n < 20; n += 1) {
    await hooks.all.got("channel_occupied", on(`mixed-0-${n}`));
    await hooks.other.got("channel_occupied", on(`mixed-1-${n}`));
  }
  for (const [name, hook] of Object.entries(hooks))
    for (const { headers } of hook.calls.items)
      assert.equal(headers["x-pusher-key"], apps[name].key);
  assert.ok(hooks.all.events.items.every(({ channel }) => !channel.startsWith("mixed-1")));
  assert.ok(hooks.other.events.items.every(({ channel }) => !channel.startsWith("mixed-0")));
});
