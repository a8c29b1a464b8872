// The endpoints of the chat's front ends: where to connect, who may subscribe; in Node and in a browser.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import Pusher from "pusher-js";
import { newUser } from "./support/api.mjs";
import { launch } from "./support/browser.mjs";
import { closing, PusherClient } from "./support/pusher-client.mjs";
import { signedByHouse, Thread } from "./support/pusher-house.mjs";
import { PageServer, sameOrigin, visit } from "./support/pusher-page.mjs";
import { APP, PusherServer } from "./support/pusher-server.mjs";
import { scenarios } from "./support/server.mjs";

const PREFIXES = ["", "/api", "/v1", "/api/v1"];
const NAME = "presence-tenant.default.online";

let server;
let pages;
let browser;
let ada;
before(async () => {
  pages = await PageServer.start();
  server = await PusherServer.start({ env: { ALLOWED_ORIGIN: pages.origin } });
  browser = await launch();
  ada = await newUser(server.url, "ada");
});
after(async () => {
  await browser?.close();
  await pages?.close();
  await server?.close();
});

const scenario = scenarios(() => server);

/** Calls an auth endpoint: `{status, body, headers}`. */
async function ask(
  body,
  { path = "/chat/realtime/auth", token = ada.accessToken, type, ...rest } = {},
) {
  const form = typeof body === "string";
  const response = await fetch(server.url + path, {
    method: "POST",
    headers: {
      "content-type": type ?? (form ? "application/x-www-form-urlencoded" : "application/json"),
      ...(token ? { authorization: `Bearer ${token}` } : {}),
      ...rest.headers,
    },
    body: form ? body : JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: JSON.parse(text) };
}

for (const prefix of PREFIXES) {
  scenario(
    `config under ${prefix || "/"}: what the client connects with, and no secret`,
    async () => {
      const response = await fetch(`${server.url}${prefix}/chat/realtime/config`);
      assert.equal(response.status, 200);
      const text = await response.text();
      const { success, config } = JSON.parse(text);
      assert.equal(success, true);
      assert.equal(config.key, APP.key);
      assert.equal(config.appId, APP.id);
      assert.equal(config.useTLS, false);
      assert.equal(config.cluster, "mt1");
      assert.equal(typeof config.host, "string");
      assert.equal(typeof config.port, "number");
      assert.ok(!text.includes(APP.secret));
    },
  );
}

scenario("pusher-js connects with the config as it is", async (t) => {
  const { config } = await (await fetch(`${server.url}/chat/realtime/config`)).json();
  const pusher = new Pusher(config.key, {
    cluster: config.cluster,
    wsHost: config.host,
    wsPort: config.port,
    forceTLS: config.useTLS,
    enabledTransports: ["ws", "wss"],
  });
  closing(t, { close: () => pusher.disconnect() });
  await new Promise((resolve) => pusher.connection.bind("connected", resolve));
});

for (const prefix of PREFIXES) {
  scenario(`auth under ${prefix || "/"}: JSON and form alike`, async () => {
    const path = `${prefix}/chat/realtime/auth`;
    const asked = { socket_id: "123.456", channel_name: NAME };
    const form = new URLSearchParams(asked).toString();
    for (const body of [asked, form]) {
      const answer = await ask(body, { path });
      assert.equal(answer.status, 200, "exactly 200: pusher-js takes no other");
      assert.match(answer.body.auth, new RegExp(`^${APP.key}:[0-9a-f]{64}$`));
      const member = JSON.parse(answer.body.channel_data);
      assert.equal(member.user_id, ada.user.id);
      assert.equal(member.user_info.tenantId, "default");
    }
  });
}

for (const [what, status, body, options] of [
  ["no socket id", 400, { channel_name: NAME }],
  ["a socket id that is none", 400, { socket_id: "x", channel_name: NAME }],
  ["an empty body", 400, ""],
  ["a body that is no JSON", 400, "{", { type: "application/json" }],
  ["nobody", 401, { socket_id: "1.2", channel_name: NAME }, { token: null }],
  ["a worthless token", 401, { socket_id: "1.2", channel_name: NAME }, { token: "x.y.z" }],
  ["another tenant", 403, { socket_id: "1.2", channel_name: "presence-tenant.other.online" }],
  ["another user's", 403, { socket_id: "1.2", channel_name: "private-scheduled.default.bo" }],
  ["staff's", 403, { socket_id: "1.2", channel_name: "private-tenant.default.tickets" }],
  ["a channel of nobody's", 403, { socket_id: "1.2", channel_name: "private-orders" }],
]) {
  scenario(`auth: ${what} is ${status}, with a sentence`, async () => {
    const answer = await ask(body, options);
    assert.equal(answer.status, status, JSON.stringify(answer.body));
    assert.equal(typeof answer.body.error, "string");
    assert.ok(!("auth" in answer.body));
  });
}

scenario("refused again and again: slowed, others are not", async () => {
  const storm = await newUser(server.url, "storm");
  const asked = { socket_id: "1.2", channel_name: "private-orders" };
  const answers = await Promise.all(
    Array.from({ length: 60 }, () => ask(asked, { token: storm.accessToken })),
  );
  assert.ok(
    answers.every(({ status }) => status === 403),
    "always 403, never another status",
  );
  assert.equal((await ask({ socket_id: "1.2", channel_name: NAME })).status, 200);
});

scenario("many channels in one call", async () => {
  const form = `socket_id=1.2&channel_name[]=${NAME}&channel_name[]=private-orders`;
  const { status, body } = await ask(form);
  assert.equal(status, 200);
  assert.equal(body[NAME].status, 200);
  assert.match(body[NAME].data.auth, /^shop-key:/);
  assert.equal(body["private-orders"].status, 403);
});

scenario("OPTIONS: a page of an allowed origin may ask, others may not", async () => {
  const preflight = (origin) =>
    fetch(`${server.url}/api/chat/realtime/auth`, {
      method: "OPTIONS",
      headers: {
        origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
      },
    });
  const allowed = await preflight(pages.origin);
  assert.ok(allowed.status === 200 || allowed.status === 204);
  assert.equal(allowed.headers.get("access-control-allow-origin"), pages.origin);
  const other = await preflight("https://evil.example");
  assert.notEqual(other.headers.get("access-control-allow-origin"), "https://evil.example");
});

scenario("clearing the cache: for admins only", async () => {
  const clear = (headers) =>
    fetch(`${server.url}/admin/cache/clear`, { method: "POST", headers }).then((it) => it.status);
  assert.equal(await clear({}), 401);
  assert.equal(await clear({ authorization: `Bearer ${ada.accessToken}` }), 403);
  const operator = await fetch(`${server.adminUrl}/admin/cache/clear`, { method: "POST" });
  assert.equal(operator.status, 200);
  assert.equal((await operator.json()).success, true);
});

scenario("sign-in by the house: user events reach pusher-js", async (t) => {
  const client = await PusherClient.open(server, signedByHouse(server, ada, "/pusher/user-auth"));
  closing(t, client);
  const { user_data } = await client.signIn();
  assert.equal(JSON.parse(user_data).id, ada.user.id);
  await client.frame(
    ({ event, channel }) => event.endsWith("subscription_succeeded") && channel?.startsWith("#"),
    "its own channel",
  );
  await server.backend().sendToUser(ada.user.id, "hello", {});
  await client.user.find(({ event }) => event === "hello", "hello");
});

/** In the page: as the front end does it, from the config to the first event of a thread. */
async function frontEnd({ base, token, channel }) {
  const answer = await fetch(`${base}/api/chat/realtime/config`);
  const { config } = await answer.json();
  const pusher = new window.Pusher(config.key, {
    cluster: config.cluster,
    wsHost: config.host,
    wsPort: config.port,
    forceTLS: config.useTLS,
    enabledTransports: ["ws", "wss"],
    channelAuthorization: {
      transport: "ajax",
      endpoint: `${base}/api/chat/realtime/auth`,
      headers: { Authorization: `Bearer ${token}` },
    },
  });
  window.heard = [];
  window.pusher = pusher;
  const subscription = pusher.subscribe(channel);
  subscription.bind("tenant-user-message", (data) => window.heard.push(data));
  return new Promise((resolve) => {
    subscription.bind("pusher:subscription_succeeded", (members) => resolve(members.myID));
    subscription.bind("pusher:subscription_error", (error) => resolve(error));
  });
}

for (const [where, open] of [
  [
    "the server's own origin",
    (t) =>
      visit(t, browser, `${server.url}/page.html`, {
        route: (page) => sameOrigin(page, server.url),
      }),
  ],
  ["another origin", (t) => visit(t, browser, `${pages.origin}/`)],
]) {
  scenario(`a page of ${where}: config, auth, a message of the chat`, async (t) => {
    const thread = await Thread.open(server);
    const page = await open(t);
    const me = await page.evaluate(frontEnd, {
      base: where === "another origin" ? server.url : "",
      token: thread.users[0].accessToken,
      channel: thread.channel,
    });
    assert.equal(me, thread.users[0].user.id);
    const sent = await thread.say(1, "to the page");
    await page.waitForFunction(() => window.heard.length === 1);
    const [message] = await page.evaluate(() => window.heard);
    assert.equal(message.id, sent.id);
    assert.equal(message.content, "to the page");
    assert.deepEqual(page.complaints, []);
  });
}
