// What an unmodified pusher-js missed in a thread arrives after it has subscribed again.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { launch } from "./support/browser.mjs";
import { contents, signedByHouse, Thread } from "./support/pusher-house.mjs";
import { PageServer, visit } from "./support/pusher-page.mjs";
import { PusherServer } from "./support/pusher-server.mjs";
import { scenarios } from "./support/server.mjs";
import { TcpProxy } from "./support/tcp-proxy.mjs";

const EVENTS_MAX = 10;
let server;
let proxy;
before(async () => {
  server = await PusherServer.start({
    env: { MYNAH_PUSHER__REPLAY_EVENTS_MAX: String(EVENTS_MAX) },
  });
  proxy = await TcpProxy.start(server.pusherUrl);
});
after(async () => {
  proxy?.close();
  await server?.close();
});

const scenario = scenarios(() => server);
const [ADA, BO] = [0, 1];
const texts = (from, to) => Array.from({ length: to - from + 1 }, (_, n) => `m${from + n}`);

async function say(thread, from, to) {
  for (const text of texts(from, to)) await thread.say(BO, text);
}

const heard = (it, text) => it.thread.got("tenant-user-message", ({ content }) => content === text);

/** Cuts the line, runs `meanwhile` while nobody gets through, and waits until pusher-js is back. */
async function away(client, meanwhile, line = proxy) {
  const errors = client.errors.items.length;
  const times = client.thread.names.filter((it) => it === "pusher:subscription_succeeded").length;
  line.hold();
  line.cut();
  await client.errors.atLeast(errors + 1, () => true, "the loss of the connection");
  await meanwhile();
  line.admit();
  await client.thread.joined(times + 1);
}

scenario(
  "what was missed: in order, once, after the subscription and before what is new",
  async (t) => {
    const thread = await Thread.open(server);
    const ada = await thread.pusher(t, ADA, { via: proxy.url });
    await say(thread, 1, 3);
    await heard(ada, "m3");
    await away(ada, () => say(thread, 4, 8));
    await say(thread, 9, 9);
    await heard(ada, "m9");
    const { names } = ada.thread;
    const again = names.lastIndexOf("pusher:subscription_succeeded");
    const messages = ada.thread.events.items
      .map(({ event, data }, at) => ({ event, at, text: data?.content }))
      .filter(({ event }) => event === "tenant-user-message");
    const after = messages.filter(({ at }) => at > again).map(({ text }) => text);
    // What arrived in the last moment before the loss may come again, in its place.
    const missed = after.slice(after.indexOf("m4"));
    assert.deepEqual(missed, texts(4, 9));
    assert.deepEqual([...new Set(contents(ada.thread))], texts(1, 9));
  },
);

scenario("five times, and edits and deletions as well", async (t) => {
  const thread = await Thread.open(server);
  const ada = await thread.pusher(t, ADA, { via: proxy.url });
  await say(thread, 0, 0);
  await heard(ada, "m0");
  for (let round = 1; round <= 5; round += 1) {
    await away(ada, () => say(thread, round, round));
    await heard(ada, `m${round}`);
  }
  const { id } = await thread.say(BO, "to be changed");
  await heard(ada, "to be changed");
  await away(ada, async () => {
    await thread.users[BO].api.ok("PATCH", `/v1/messages/${id}`, { content: "changed" });
    await thread.users[BO].api.ok("DELETE", `/v1/messages/${id}`);
  });
  await ada.thread.got("tenant-user-message-deleted");
  assert.deepEqual([...new Set(contents(ada.thread))].slice(0, 6), texts(0, 5));
});

scenario("a line that went silent: the new page gets what the old one did not", async (t) => {
  const thread = await Thread.open(server);
  const old = await thread.pusher(t, ADA, { via: proxy.url });
  await say(thread, 1, 1);
  await heard(old, "m1");
  // The server has asked whether the page is there, and the page has answered.
  for (let n = 0; n < 2; n += 1) await old.settled();
  proxy.freeze();
  await say(thread, 2, 4);
  const page = await thread.pusher(t, ADA);
  await heard(page, "m4");
  await say(thread, 5, 5);
  await heard(page, "m5");
  assert.deepEqual(contents(page.thread).slice(-4), texts(2, 5));
});

scenario("a second page is not sent what the first one has", async (t) => {
  for (let tries = 1; ; tries += 1) {
    const thread = await Thread.open(server);
    const first = await thread.pusher(t, ADA);
    await say(thread, 1, 3);
    await heard(first, "m3");
    const second = await thread.pusher(t, ADA);
    await say(thread, 4, 4);
    await heard(second, "m4");
    await heard(first, "m4");
    await first.settled().catch(() => null);
    // A page that does not answer within a second is taken for lost: then this says nothing.
    if (first.state !== "connected" && tries < 4) continue;
    assert.deepEqual(contents(second.thread), ["m4"]);
    assert.deepEqual(contents(first.thread), texts(1, 4));
    return;
  }
});

scenario("another user is not sent it", async (t) => {
  const thread = await Thread.open(server);
  const ada = await thread.pusher(t, ADA, { via: proxy.url });
  await say(thread, 1, 1);
  await heard(ada, "m1");
  await away(ada, async () => {
    await say(thread, 2, 2);
    const bo = await thread.pusher(t, BO);
    await say(thread, 3, 3);
    await heard(bo, "m3");
    assert.deepEqual(contents(bo.thread), ["m3"]);
  });
  await heard(ada, "m3");
});

scenario("more than is kept: the page is told to read anew", async (t) => {
  const thread = await Thread.open(server);
  const ada = await thread.pusher(t, ADA, { via: proxy.url });
  await say(thread, 1, 1);
  await heard(ada, "m1");
  await away(ada, () => say(thread, 2, EVENTS_MAX + 5));
  const told = await ada.thread.got("tenant-user-messages-resync");
  assert.equal(told.threadKey, thread.key);
  await thread.say(BO, "live");
  await heard(ada, "live");
});

scenario("switched off: only what is new", async (t) => {
  const silent = await PusherServer.start({ env: { MYNAH_PUSHER__REPLAY: "false" } });
  const line = await TcpProxy.start(silent.pusherUrl);
  t.after(async () => {
    line.close();
    await silent.close();
  });
  const thread = await Thread.open(silent);
  const ada = await thread.pusher(t, ADA, { via: line.url });
  await say(thread, 1, 1);
  await heard(ada, "m1");
  await away(ada, () => say(thread, 2, 2), line);
  await say(thread, 3, 3);
  await heard(ada, "m3");
  assert.deepEqual(contents(ada.thread), ["m1", "m3"]);
});

/** In the page: hears the thread as `window.heard`. */
function hear({ key, options, channel }) {
  window.heard = [];
  window.joined = 0;
  const pusher = new window.Pusher(key, options);
  const subscription = pusher.subscribe(channel);
  subscription.bind("tenant-user-message", ({ content }) => window.heard.push(content));
  return new Promise((resolve) => {
    subscription.bind("pusher:subscription_succeeded", () => {
      window.joined += 1;
      resolve();
    });
  });
}

scenario("a page in a browser that loses its line", async (t) => {
  const pages = await PageServer.start();
  const browser = await launch();
  t.after(async () => {
    await browser.close();
    await pages.close();
  });
  const thread = await Thread.open(server);
  const page = await visit(t, browser, `${pages.origin}/plain`);
  await page.evaluate(hear, {
    key: server.apps[0].key,
    options: {
      ...server.clientOptions,
      ...signedByHouse(server, thread.users[ADA]),
      wsPort: Number(new URL(proxy.url).port),
    },
    channel: thread.channel,
  });
  await say(thread, 1, 2);
  await page.waitForFunction(() => window.heard.includes("m2"));
  proxy.cut();
  await say(thread, 3, 5);
  await page.waitForFunction(() => window.joined === 2);
  await say(thread, 6, 6);
  await page.waitForFunction(() => window.heard.includes("m6"));
  const all = await page.evaluate(() => window.heard);
  assert.deepEqual([...new Set(all)], texts(1, 6));
  assert.deepEqual(all.slice(-4), texts(3, 6));
});
