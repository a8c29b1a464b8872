// The browser builds of pusher-js and laravel-echo in Chromium, on a page of another origin.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { launch } from "./support/browser.mjs";
import { AuthProgram } from "./support/pusher-auth.mjs";
import { PageServer, visit } from "./support/pusher-page.mjs";
import { app, PusherServer } from "./support/pusher-server.mjs";
import { scenarios } from "./support/server.mjs";

const APPS = [app("shop"), app("disabled", { enabled: false })];

let server;
let auth;
let pages;
let browser;
let backend;
before(async () => {
  server = await PusherServer.start({ apps: APPS });
  auth = await AuthProgram.start(server);
  pages = await PageServer.start();
  browser = await launch();
  backend = server.backend();
});
after(async () => {
  await browser?.close();
  await pages?.close();
  await auth?.close();
  await server?.close();
});

const scenario = scenarios(() => server);

/** In the page: connects as `window.pusher` and keeps what each channel tells in `window.heard`. */
function connect({ key, options, channels }) {
  window.heard = [];
  const pusher = new window.Pusher(key, options);
  window.pusher = pusher;
  for (const name of channels) {
    pusher.subscribe(name).bind_global((event, data) => window.heard.push({ name, event, data }));
  }
  return new Promise((resolve) => {
    const joined = () => {
      const done = new Set(
        window.heard
          .filter(({ event }) => event === "pusher:subscription_succeeded")
          .map(({ name }) => name),
      );
      if (done.size === channels.length) resolve(pusher.connection.socket_id);
    };
    for (const name of channels)
      pusher.channel(name).bind("pusher:subscription_succeeded", () => setTimeout(joined));
    pusher.connection.bind("disconnected", () => resolve(null));
  });
}

/** In the page: whether `event` was heard on `name`. */
const hasHeard = ([name, event]) =>
  window.heard.some((it) => it.name === name && it.event === event);
const dataOf = ([name, event]) =>
  window.heard.filter((it) => it.name === name && it.event === event).map(({ data }) => data);

async function heard(page, name, event) {
  await page.waitForFunction(hasHeard, [name, event]);
  return page.evaluate(dataOf, [name, event]);
}

scenario("public, private, presence, encrypted and cache channels in one page", async (t) => {
  await backend.trigger("cache-price", "price", { euro: 1 });
  const channels = [
    "news",
    "private-orders",
    "presence-room",
    "private-encrypted-notes",
    "cache-price",
    "private-cache-empty",
  ];
  const member = { user_id: "ada", user_info: { name: "Ada" } };
  const options = { ...server.clientOptions, ...auth.options({ member }) };
  const page = await visit(t, browser, pages.origin);
  const socketId = await page.evaluate(connect, { key: APPS[0].key, options, channels });
  assert.match(socketId, /^\d+\.\d+$/);
  for (const name of channels.slice(0, 4)) await backend.trigger(name, "e", { of: name });
  for (const name of channels.slice(0, 4))
    assert.deepEqual(await heard(page, name, "e"), [{ of: name }]);
  assert.deepEqual(await heard(page, "cache-price", "price"), [{ euro: 1 }]);
  await heard(page, "private-cache-empty", "pusher:cache_miss");
  const members = await page.evaluate(() => window.pusher.channel("presence-room").members.members);
  assert.deepEqual(members, { ada: { name: "Ada" } });
  assert.deepEqual(page.complaints, []);
});

scenario("two pages: presence and client events between them", async (t) => {
  const open = async (id) => {
    const member = { user_id: id, user_info: { name: id } };
    const options = { ...server.clientOptions, ...auth.options({ member }) };
    const page = await visit(t, browser, `${pages.origin}/plain`);
    await page.evaluate(connect, { key: APPS[0].key, options, channels: ["presence-talk"] });
    return page;
  };
  const ada = await open("ada");
  const bo = await open("bo");
  assert.deepEqual(await heard(ada, "presence-talk", "pusher:member_added"), [
    { id: "bo", info: { name: "bo" } },
  ]);
  await bo.evaluate(() => window.pusher.channel("presence-talk").trigger("client-hi", { n: 1 }));
  assert.deepEqual(await heard(ada, "presence-talk", "client-hi"), [{ n: 1 }]);
  await bo.close();
  assert.deepEqual(await heard(ada, "presence-talk", "pusher:member_removed"), [
    { id: "bo", info: { name: "bo" } },
  ]);
});

scenario("signed in: events for the user", async (t) => {
  const options = { ...server.clientOptions, ...auth.options({ user: { id: "ada" } }) };
  const page = await visit(t, browser, pages.origin);
  await page.evaluate(connect, { key: APPS[0].key, options, channels: ["news"] });
  await page.evaluate(() => {
    window.pusher.user.bind("invoice", (data) =>
      window.heard.push({ name: "user", event: "invoice", data }),
    );
    return new Promise((resolve) => {
      window.pusher.connection.bind("message", ({ event, channel }) => {
        if (event.endsWith("subscription_succeeded") && channel.startsWith("#")) resolve();
      });
      window.pusher.signin();
    });
  });
  await backend.sendToUser("ada", "invoice", { sum: 3 });
  assert.deepEqual(await heard(page, "user", "invoice"), [{ sum: 3 }]);
});

for (const [key, code] of [
  ["no-such-key", 4001],
  ["disabled-key", 4003],
]) {
  scenario(`${key}: the page is told ${code}, and does not come back`, async (t) => {
    const page = await visit(t, browser, pages.origin);
    const said = await page.evaluate(
      ({ key, options }) =>
        new Promise((resolve) => {
          const pusher = new window.Pusher(key, options);
          let error;
          pusher.connection.bind("error", (it) => {
            error = it.error ?? it;
          });
          pusher.connection.bind("disconnected", () =>
            setTimeout(() => resolve({ error, state: pusher.connection.state })),
          );
        }),
      { key, options: server.clientOptions },
    );
    assert.equal(said.state, "disconnected");
    assert.equal(said.error.data.code, code);
  });
}

scenario("laravel-echo: private and presence channels", async (t) => {
  const page = await visit(t, browser, `${pages.origin}/echo`);
  const params = { member: JSON.stringify({ user_id: "ada", user_info: { name: "Ada" } }) };
  const here = await page.evaluate(
    ({ options }) => {
      window.heard = [];
      window.echo = new window.Echo.default({ broadcaster: "pusher", ...options });
      window.echo
        .private("orders")
        .listen("Shipped", (data) => window.heard.push({ name: "orders", event: "Shipped", data }));
      return new Promise((resolve) => {
        window.echo.private("orders").subscribed(() => window.echo.join("room").here(resolve));
      });
    },
    {
      options: {
        ...server.clientOptions,
        key: APPS[0].key,
        authEndpoint: `${auth.url}/broadcasting/auth`,
        auth: { headers: {}, params },
        bearerToken: "token",
      },
    },
  );
  assert.deepEqual(here, [{ name: "Ada" }]);
  await backend.trigger("private-orders", "App\\Events\\Shipped", { id: 1 });
  assert.deepEqual(await heard(page, "orders", "Shipped"), [{ id: 1 }]);
  assert.deepEqual(page.complaints, []);
});

scenario("a page that goes offline and on again is subscribed again", async (t) => {
  const page = await visit(t, browser, pages.origin);
  await page.evaluate(connect, {
    key: APPS[0].key,
    options: server.clientOptions,
    channels: ["news"],
  });
  const first = await page.evaluate(() => window.pusher.connection.socket_id);
  await page.evaluate(() => window.pusher.connection.connection.close());
  await page.waitForFunction((before) => {
    const { connection } = window.pusher;
    return connection.state === "connected" && connection.socket_id !== before;
  }, first);
  await page.waitForFunction(() => window.pusher.channel("news").subscribed);
  await backend.trigger("news", "again", { n: 1 });
  assert.deepEqual(await heard(page, "news", "again"), [{ n: 1 }]);
});
